"""Growth of the nation's population, prices, incomes and returns between years, measured from official files.

What each factor is made of (see `uprating_rules` for the names):

- population: Census resident population of 1 July (vintage 2024); births: those of age 0 among them;
- cpi: annual averages of the CPI-U (BLS), the packaged `cpi_u.csv`;
- cbo:LINE: CBO's income by source (February 2026), from 2023 on;
- soi:VARIABLE: the amount in IRS SOI Publication 1304 to its last year, then CBO's nearest line, AGI without one;
- soi_returns, soi_returns:VARIABLE: returns in the same tables, then the population;
- agi_class: returns or AGI (table 1.1), then as above;
- marketplace:persons, marketplace:credit: coverage of a state, see `marketplace_growth`.

Figures of a class of AGI follow the classes of the table that make it up, and all of the item where these are no
measure: combined cells, another sign, a growth `NOISE` times off. Classes are at fixed dollars until the last year of
SOI. Nobody publishes the year after it by class: every income is taken to grow by g = (AGI growth) / (population
growth), and the bounds of classes move by g, which keeps each class's mean inside it. Holds no rules and no figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from io import StringIO
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError, TargetError
from tessera.targets import growth_soi, marketplace_growth
from tessera.targets.classes import AGI, EVERYBODY, Interval, covers
from tessera.targets.figures import MODEL_YEAR
from tessera.targets.growth_soi import RETURNS, SoiSeries
from tessera.targets.loaders import cbo
from tessera.targets.loaders.common import number, read_csv, require_columns
from tessera.targets.marketplace_growth import MarketplaceGrowth

CPI = "cpi_u.csv"
# The last tax year of Publication 1304.
SOI_YEAR = 2023
# A class of an item that grows by this many times more or less than the item says more of the sample than of incomes.
NOISE = 2.0
# Variable -> CBO's line that it follows after it; AGI for the rest.
LINES = {
    "irs_employment_income": "wages_and_salaries",
    "eitc": "wages_and_salaries",
    "taxable_interest_income": cbo.ONLY_GROWTH[0],
    "ordinary_dividend_income": cbo.ONLY_GROWTH[0],
    "qualified_dividend_income": "qualified_dividend_income",
    "loss_limited_net_capital_gains": "net_capital_gain",
    "total_self_employment_income": cbo.ONLY_GROWTH[1],
    "partnership_income": cbo.ONLY_GROWTH[1],
    "s_corp_income": cbo.ONLY_GROWTH[1],
    "tax_unit_partnership_s_corp_income": cbo.ONLY_GROWTH[1],
    "qualified_business_income_deduction": cbo.ONLY_GROWTH[1],
}


@dataclass(frozen=True)
class Growth:
    """What the official files count, by year.

    Attributes:
        population, births, cpi: the nation's, by year.
        cbo: by line and year, dollars.
        soi: IRS SOI Publication 1304, see `growth_soi`.
        marketplace: marketplace coverage from the year `marketplace_year` to the model year, see `marketplace_growth`.
        marketplace_year: the year that its factors start from.
    """

    population: dict[int, float]
    births: dict[int, float]
    cpi: dict[int, float]
    cbo: dict[str, dict[int, float]]
    soi: SoiSeries
    marketplace: MarketplaceGrowth
    marketplace_year: int = 2022

    def bound_shift(self) -> float:
        """By how much the bounds of classes of AGI move from the last year of SOI to the model year."""
        return self._of(self.cbo[AGI], SOI_YEAR, AGI) / self._of(self.population, SOI_YEAR, "population")

    def factor(
        self, follows: str, year: int, *, is_count: bool, interval: Interval = EVERYBODY, place: str = "US"
    ) -> float:
        """Growth of what a rule names from a year to the model year.

        Args:
            follows: as in the rules.
            year: the figure's.
            is_count: whether the figure counts units (else dollars); `agi_class` asks.
            interval: its class of AGI; rules of SOI ask.
            place: the figure's state, or US; `marketplace` asks.

        Raises:
            TargetError: a year, line or variable that the files do not have, a class that theirs do not make up.
        """
        kind, _, name = follows.partition(":")
        if kind == "none":
            return 1.0
        if kind in ("population", "births", "cpi"):
            series: dict[int, float] = getattr(self, kind)
            return self._of(series, year, kind)
        if kind == "cbo":
            return self._of(self._named(self.cbo, name, "CBO"), year, follows)
        if kind == "marketplace":
            return self._marketplace(name, year, place)
        counted = is_count if kind == "agi_class" else kind == "soi_returns"
        if kind == "agi_class":
            name = "" if is_count else AGI
        what = f"{RETURNS}:{name}".rstrip(":") if counted else name
        after = self.population if counted else self.cbo[LINES.get(what, AGI)]
        return self._to_soi_year(what, year, interval) * self._of(after, SOI_YEAR, follows)

    def _to_soi_year(self, what: str, year: int, interval: Interval) -> float:
        """Growth of a series to the last year of SOI: of the class of AGI, or of all where that is not to be had."""
        total = self._of(self._named(self.soi.totals, what, "SOI"), year, what, SOI_YEAR)
        if interval == EVERYBODY or year == SOI_YEAR:
            return total
        sums = {}
        for one, by_class in self.soi.classes[what].items():
            inside = sorted(part for part in by_class if interval[0] <= part[0] and part[1] <= interval[1])
            if covers(inside, interval):
                sums[one] = sum(by_class[part] for part in inside)
        if what in (RETURNS, AGI):
            label = f"{what} of the class of AGI from {interval[0]:,.0f} to {interval[1]:,.0f}"
            return self._of(sums, year, label, SOI_YEAR)
        before, after = sums.get(year, 0.0), sums.get(SOI_YEAR, 0.0)
        own = after / before if before else 0.0
        return own if total / NOISE < own < total * NOISE else total

    def _marketplace(self, name: str, year: int, place: str) -> float:
        if name not in ("persons", "credit") or year != self.marketplace_year:
            raise TargetError(
                f"The marketplace's growth is of persons or credit from {self.marketplace_year}; {name!r} from {year} "
                "was asked for. Change the rule in uprating_rules.csv."
            )
        factors: dict[str, float] = getattr(self.marketplace, name)
        if place not in factors:
            raise TargetError(f"The marketplace's growth is by state; there is none for {place!r}.")
        return factors[place]

    @staticmethod
    def _named(series: dict[str, dict[int, float]], name: str, what: str) -> dict[int, float]:
        if name not in series:
            raise TargetError(f"{what} has no series {name!r}; known are {', '.join(sorted(series))}.")
        return series[name]

    @staticmethod
    def _of(series: dict[int, float], year: int, what: str, last: int = MODEL_YEAR) -> float:
        for wanted in (year, last):
            if wanted not in series:
                raise TargetError(
                    f"No official figure of {wanted} for {what}; there are {', '.join(map(str, sorted(series)))}. "
                    "Change the rule in uprating_rules.csv."
                )
        return series[last] / series[year]


def measure(path: dict[str, Path]) -> Growth:
    """Growth from the official files.

    Args:
        path: of the official files by name: population, income, soi_table_*, marketplace, marketplace_2022 and
            marketplace_kff are read.

    Raises:
        SourceError: a file that is missing or not what is wanted.
    """
    before = Growth.marketplace_year
    return Growth(
        population=_population(path["population"], "999"),
        births=_population(path["population"], "0"),
        cpi=prices(),
        cbo=_cbo(path["income"]),
        soi=growth_soi.read_series(path),
        marketplace=marketplace_growth.measure(
            path["marketplace_kff"], path[f"marketplace_{before}"], path["marketplace"], before
        ),
    )


def prices() -> dict[int, float]:
    """Annual averages of the CPI-U, from the package: columns year and index."""
    text = resources.files("tessera.targets").joinpath(CPI).read_text(encoding="utf-8")
    table = pd.read_csv(StringIO(text), comment="#")
    if not {"year", "index"} <= set(table.columns):
        raise SourceError(f"{CPI}: columns are {list(table.columns)}; wanted year and index.")
    return {int(year): float(index) for year, index in zip(table["year"], table["index"], strict=True)}


def _cbo(path: Path) -> dict[str, dict[int, float]]:
    lines = (*cbo.INCOME, *cbo.ONLY_GROWTH)
    by_year = {year: cbo.read_series(path, lines, year) for year in (SOI_YEAR, MODEL_YEAR)}
    return {line: {year: values[line] for year, values in by_year.items()} for line in lines}


def _population(path: Path, age: str) -> dict[int, float]:
    """Residents of both sexes of an age (999: all) on 1 July, by year."""
    frame = read_csv(path)
    years = {int(name[-4:]): name for name in frame.columns if name.startswith("POPESTIMATE")}
    require_columns(frame, ["SEX", "AGE", f"POPESTIMATE{MODEL_YEAR}"], path)
    total = frame[(frame["SEX"] == "0") & (frame["AGE"] == age)]
    if len(total) != 1:
        raise SourceError(f"{path}: {len(total)} rows of both sexes (SEX 0) and AGE {age}; wanted 1.")
    return {year: number(total[name].iloc[0], path, name, minimum=1) for year, name in years.items()}
