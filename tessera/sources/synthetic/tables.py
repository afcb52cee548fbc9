"""The published figures that the synthetic writers draw from, as small tables in `data/`.

- `states()`: FIPS, Census region and resident population of 51 states (Census ACS 2024 1-year, table S0101).
- `age_sex()`: population by sex and five-year age group, 85 and over together (Census Population Estimates, vintage
2024).
- `counties()`: the largest metropolitan counties with CBSA and population (Census estimates, vintage 2019).
- `occupations()`: a sample of Census 2018 occupation codes with CPS recodes and the industry (WEIND) that most of them
work in; shares and wage factors are round numbers.
- `birthplaces()`: countries of birth (PENATVTY) of those born abroad, by origin; shares are round numbers.
- `spm_value(item)`: dollars a year that the supplemental poverty measure counts for a benefit or an expense.
- `amount(item)`: a national total in dollars (source named in the file) and the approximate share of persons with it.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import pandas as pd

HOUSEHOLDS = 132.2e6  # CPS ASEC 2024, Historical Households table HH-1
PERSONS = 336.5e6  # civilian noninstitutional population that households hold, rounded


@cache
def states() -> pd.DataFrame:
    """Columns fips, region, population; 51 rows in FIPS order."""
    return _table("states")


@cache
def age_sex() -> pd.DataFrame:
    """Columns sex (1 male, 2 female), lower_age, population; 36 rows."""
    return _table("age_sex")


@cache
def counties() -> pd.DataFrame:
    """Columns county_fips (state * 1000 + county), cbsa, population; the 40 largest."""
    return _table("counties")


@cache
def occupations() -> pd.DataFrame:
    """Columns code, major, recode, industry, share, degree_share, wage_factor, tipped, name."""
    return _table("occupations")


@cache
def birthplaces() -> pd.DataFrame:
    """Columns origin, code, share (of the origin's births abroad), name."""
    return _table("birthplaces")


@cache
def amounts() -> pd.DataFrame:
    """Columns total (dollars a year) and holders (share of persons), by item."""
    return _table("amounts").set_index("item")


def amount(item: str) -> float:
    """National total of an item in dollars a year."""
    return float(amounts()["total"].loc[[item]].iloc[0])


def holders(item: str) -> float:
    """Approximate share of persons with an item."""
    return float(amounts()["holders"].loc[[item]].iloc[0])


@cache
def _spm_values() -> pd.Series:
    return _table("spm_values").set_index("item")["value"]


def spm_value(item: str) -> float:
    """A value of `data/spm_values.csv` in dollars of 2024."""
    return float(_spm_values().loc[item])


def _table(name: str) -> pd.DataFrame:
    with (resources.files("tessera.sources.synthetic") / "data" / f"{name}.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle)
