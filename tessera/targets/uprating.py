"""Bringing figures of another year to the model year 2024, with factors derived from official figures of both years.

Two steps for IRS items of tax year 2022. To 2023: the growth that Publication 1304 (tables 1.4, 2.5) measures for the
nation, for AGI and returns class by class. To 2024: amounts grow as CBO's line of the same income (AGI where CBO has
none), returns and counts as the resident population (Census, vintage 2024). Classes of AGI: nobody publishes the year
2024 by class, so every income is taken to grow by g = (AGI growth) / (returns growth), and the bounds of the classes
move by g with it, which keeps each class's mean inside it. Figures of 2024 already are left as published.

Holds no file formats; `measure` reads through the loaders. A factor is recorded on each figure (column `uprating`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError, TargetError
from tessera.targets.figures import constraints_from_json, constraints_to_json, records
from tessera.targets.loaders import cbo, soi_national, soi_states
from tessera.targets.loaders.common import number, read_csv, require_columns

MODEL_YEAR = 2024
# Item of Historic Table 2 -> CBO line that it follows from 2023 to 2024; AGI for the rest.
_CBO_LINE = {
    "A00200": "wages_and_salaries",
    "A00300": cbo.ONLY_GROWTH[0],
    "A00600": cbo.ONLY_GROWTH[0],
    "A00650": "qualified_dividend_income",
    "A00900": cbo.ONLY_GROWTH[1],
    "A01000": "net_capital_gain",
    "A26270": cbo.ONLY_GROWTH[1],
    "A04475": cbo.ONLY_GROWTH[1],
    "A59660": "wages_and_salaries",
}
# Items without a line of their own in table 1.4: the tax follows the tax before credits; child credits are fixed
# dollars a child, so they follow the number of returns.
_SOI_PROXY = {"A06500": "A05800"}
_AGI = "adjusted_gross_income"
_FOLLOW_RETURNS = ("A07225", "A11070")


@dataclass(frozen=True)
class Factors:
    """Growth from tax year 2022 to 2024.

    Attributes:
        band_returns: returns, by class of AGI (10).
        band_agi: AGI, by class (10).
        bound_shift: g, by which the bounds of the classes move.
        amounts: by engine variable.
        eitc_returns: returns with the earned income credit.
    """

    band_returns: tuple[float, ...]
    band_agi: tuple[float, ...]
    bound_shift: float
    amounts: dict[str, float]
    eitc_returns: float


def measure(tables_1_4: tuple[Path, Path], tables_2_5: tuple[Path, Path], income: Path, population: Path) -> Factors:
    """Factors from the official files.

    Args:
        tables_1_4: Publication 1304 table 1.4 of 2022 and 2023.
        tables_2_5: table 2.5 of the same years.
        income: CBO's income by source.
        population: Census `nc-est2024-agesex-res.csv`.
    """
    before, after = (
        soi_national.read_table_1_4(path, year) for path, year in zip(tables_1_4, (2022, 2023), strict=True)
    )
    (count_before, eitc_before), (count_after, eitc_after) = (
        soi_national.read_eitc(path, year) for path, year in zip(tables_2_5, (2022, 2023), strict=True)
    )
    cbo_growth = _cbo_growth(income)
    people = _population(population, 2024) / _population(population, 2023)
    agi = cbo_growth[_AGI]
    items = {item: after.items[item] / before.items[item] for item in before.items}
    items |= {item: items[proxy] for item, proxy in _SOI_PROXY.items()}
    items |= dict.fromkeys(_FOLLOW_RETURNS, sum(after.returns) / sum(before.returns))
    items["A59660"] = eitc_after / eitc_before
    return Factors(
        band_returns=tuple(new / old * people for new, old in zip(after.returns, before.returns, strict=True)),
        band_agi=tuple(new / old * agi for new, old in zip(after.agi, before.agi, strict=True)),
        bound_shift=agi / people,
        amounts={
            variable: items[item] * (people if item in _FOLLOW_RETURNS else cbo_growth[_CBO_LINE.get(item, _AGI)])
            for item, variable in soi_states.ITEMS.items()
        },
        eitc_returns=count_after / count_before * people,
    )  # fmt: skip


def uprate(figures: pd.DataFrame, factors: Factors) -> pd.DataFrame:
    """Figures with value, uprating and period of the model year, and the bounds of AGI classes moved.

    Raises:
        TargetError: a figure of another year that no factor is known for.
    """
    rows = [_uprated(row, factors) for row in records(figures)]
    return pd.DataFrame(rows, columns=figures.columns)


def _uprated(row: dict[str, object], factors: Factors) -> dict[str, object]:
    if row["year"] == MODEL_YEAR:
        return row
    if row["source"] != soi_states.SOURCE or row["year"] != soi_states.YEAR:
        raise TargetError(
            f"Figure {row['geo_id']} {row['variable']} of {row['source']} is of {row['year']} and no factor "
            f"brings it to {MODEL_YEAR}; add one to tessera/targets/uprating.py."
        )
    factor, constraints = _factor(str(row["variable"]), str(row["constraints"]), factors)
    uprated = {"uprating": factor, "value": float(str(row["raw_value"])) * factor, "constraints": constraints}
    return row | uprated | {"period": MODEL_YEAR}


def _factor(variable: str, constraints: str, factors: Factors) -> tuple[float, str]:
    bands = {constraints_to_json(soi_states.band_constraints(*bounds)): n for n, bounds in enumerate(soi_states.BANDS)}
    if constraints in bands and variable in ("tax_unit_count", "adjusted_gross_income"):
        band = bands[constraints]
        of_band = factors.band_returns if variable == "tax_unit_count" else factors.band_agi
        return of_band[band], _moved(constraints, factors.bound_shift)
    return (factors.eitc_returns if variable == "tax_unit_count" else factors.amounts[variable]), constraints


def _moved(constraints: str, shift: float) -> str:
    """Bounds of an AGI class times `shift`, in whole dollars; the bound of one dollar divides some AGI from none."""
    rows = constraints_from_json(constraints)
    return constraints_to_json(
        [
            (name, operation, float(round(value * shift)) if name == "adjusted_gross_income" and value > 1 else value)
            for name, operation, value in rows
        ]
    )


def _cbo_growth(path: Path) -> dict[str, float]:
    concepts = (*cbo.INCOME, *cbo.ONLY_GROWTH)
    new, old = cbo.read_series(path, concepts, 2024), cbo.read_series(path, concepts, 2023)
    return {concept: new[concept] / old[concept] for concept in concepts}


def _population(path: Path, year: int) -> float:
    frame, column = read_csv(path), f"POPESTIMATE{year}"
    require_columns(frame, ["SEX", "AGE", column], path)
    total = frame[(frame["SEX"] == "0") & (frame["AGE"] == "999")]
    if len(total) != 1:
        raise SourceError(f"{path}: {len(total)} rows of both sexes and all ages (SEX 0, AGE 999); wanted 1.")
    return number(total[column].iloc[0], path, column, minimum=1)
