"""Growth of donors' amounts from their survey's year to the year of the households that receive them, once.

Holds factors and their application; knows no survey. Each column of a donor table follows one series, or none where
it is no amount (`data/donor_uprating.csv`):

    factor = level(to) / level(from), over growth in the number of households where the series is a national total

`data/donor_series.csv` has the levels with their sources. Releases revise levels, so ratios are taken within a release
and chained over a year that two releases share. Before the first and after the last year of a series it is continued
with the CPI-U (BLS, annual averages). Predictors that are amounts are brought to the same year as the values drawn, so
that a donor's 50,000 dollars of 2022 meet a receiver's 50,000 dollars of 2022, and not those of 2024.

A table carries the year of its dollars (`Donors.year`), so what was brought to a year once is not brought there again.
"""

from __future__ import annotations

from functools import cache

import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.datafile import read_rows

PRICES, HOUSEHOLDS = "cpi_u", "households"
_RULES, _SERIES = "donor_uprating", "donor_series"


def factor(variable: str, from_year: int, to_year: int) -> float:
    """Growth of a column's amounts between two years; 1 for what is no amount.

    Args:
        variable: column of a donor table.
        from_year, to_year: years of the dollars.

    Raises:
        SourceError: a column without a row in `data/donor_uprating.csv`, or a year without consumer prices.
    """
    rule = _rules().get(variable)
    if rule is None:
        raise SourceError(
            f"No growth is on file for the donors' column {variable}; every column follows a series or none. "
            f"Add a row to tessera/microdata/data/{_RULES}.csv."
        )
    series, per_household = rule
    if not series or from_year == to_year:
        return 1.0
    growth = level(series, to_year) / level(series, from_year)
    return growth / (level(HOUSEHOLDS, to_year) / level(HOUSEHOLDS, from_year)) if per_household else growth


def uprated(table: pd.DataFrame, from_year: int, to_year: int) -> pd.DataFrame:
    """A donor table in dollars of another year; columns that are no amounts are unchanged.

    Raises:
        SourceError: see `factor`.
    """
    factors = {str(name): factor(str(name), from_year, to_year) for name in table.columns}
    return table.assign(**{name: table[name] * value for name, value in factors.items() if value != 1.0})


def level(series: str, year: int) -> float:
    """Level of a series in a year, in units of its newest release.

    Raises:
        SourceError: an unknown series, or a year without consumer prices.
    """
    if series == PRICES:
        prices = _prices()
        if year not in prices:
            raise SourceError(
                f"No consumer prices of {year} are on file, to bring donors' amounts to that year; on file are "
                f"{min(prices)} to {max(prices)}. Add the year to tessera/targets/cpi_u.csv."
            )
        return prices[year]
    levels = _levels(series)
    if year in levels:
        return levels[year]
    # The number of households changes by less than a hundredth a year: the nearest year stands for what is not on file.
    nearest = min(levels, key=lambda known: (abs(known - year), known))
    grown = 1.0 if series == HOUSEHOLDS else level(PRICES, year) / level(PRICES, nearest)
    return levels[nearest] * grown


@cache
def _levels(series: str) -> dict[int, float]:
    """Levels by year, older releases brought to the newest one's over the earliest year that they share with it."""
    releases: dict[int, dict[int, float]] = {}
    for row in read_rows(_SERIES):
        if row["series"] == series:
            releases.setdefault(int(row["vintage"]), {})[int(row["year"])] = float(row["value"])
    if not releases:
        raise SourceError(f"Unknown series {series!r} in {_RULES}.csv; wanted {PRICES} or a series of {_SERIES}.csv.")
    # Releases are dated by year, month or day: as text, so that 2025 comes before 202602.
    newest_first = sorted(releases, key=str, reverse=True)
    levels = dict(releases[newest_first[0]])
    for release in newest_first[1:]:
        older = releases[release]
        shared = sorted(set(older) & set(levels))
        if not shared:
            raise SourceError(
                f"{_SERIES}.csv: release {release} of {series} shares no year with a newer one to be chained over. "
                "Add the level of a common year."
            )
        ratio = levels[shared[0]] / older[shared[0]]
        levels |= {year: value * ratio for year, value in older.items() if year not in levels}
    return levels


@cache
def _rules() -> dict[str, tuple[str, bool]]:
    return {row["variable"]: (row["series"], row["per_household"] == "yes") for row in read_rows(_RULES)}


@cache
def _prices() -> dict[int, float]:
    from tessera.targets.growth import prices

    return prices()
