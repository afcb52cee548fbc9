"""Growth of tax-file amounts from the file's year to the model's year, as data, applied once.

Holds factors and their application; reads no tax file. For each variable (and sign, where gains and losses grew apart):

    amount factor = SOI 2023 / SOI 2015 * CBO 2024 / CBO 2023           growth of the national total
    returns factor = (SOI 2023 / SOI 2015) ** (9 / 8)                   number of returns; 2024 at the mean rate
    record's amount *= amount factor / returns factor,   record's weight *= returns factor

so weighted totals grow by exactly the amount factor. Itemised deductions grow by a yearly rate for each return instead.
Figures and sources are in `data/puf_uprating.csv`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from tessera.errors import SourceError

BASE_YEAR, MODEL_YEAR, _SOI_YEAR = 2015, 2024, 2023


@dataclass(frozen=True)
class Growth:
    """Growth of one variable from 2015 to 2024, for each return: factor of positive and of negative amounts."""

    positive: float
    negative: float


@cache
def returns_growth() -> float:
    """Growth of the number of returns from 2015 to 2024."""
    row = next(row for row in _rows() if row["variable"] == "returns")
    yearly = (float(row["soi_2023"]) / float(row["soi_2015"])) ** (1 / (_SOI_YEAR - BASE_YEAR))
    return float(yearly ** (MODEL_YEAR - BASE_YEAR))


@cache
def total_growth(variable: str, sign: str) -> float:
    """Growth of a variable's national total from 2015 to 2024; `sign` is "positive" or "negative".

    Raises:
        SourceError: a variable without a row in `data/puf_uprating.csv`.
    """
    found = [row for row in _rows() if row["variable"] == variable and row["sign"] in (sign, "any")]
    if not found:
        raise SourceError(
            f"No growth factor for {variable} ({sign}); every amount is uprated by a documented factor. "
            "Add a row to data/puf_uprating.csv."
        )
    row = found[0]
    if row["annual_growth"]:
        return float((1 + float(row["annual_growth"])) ** (MODEL_YEAR - BASE_YEAR)) * returns_growth()
    soi = float(row["soi_2023"]) / float(row["soi_2015"])
    return soi * float(row["cbo_2024"]) / float(row["cbo_2023"])


def growth(variable: str) -> Growth:
    """Growth of a variable for each return."""
    return Growth(*(total_growth(variable, sign) / returns_growth() for sign in ("positive", "negative")))


def uprate(amounts: pd.DataFrame, from_year: int, to_year: int) -> tuple[pd.DataFrame, float]:
    """Amounts of another year and the factor of the weights.

    Args:
        amounts: one column a variable, one row a return, dollars of `from_year`.
        from_year: year of the amounts.
        to_year: year wanted: the same (nothing happens) or 2024 from 2015.

    Raises:
        SourceError: another pair of years.
    """
    if from_year == to_year:
        return amounts, 1.0
    if (from_year, to_year) != (BASE_YEAR, MODEL_YEAR):
        raise SourceError(
            f"Tax file of {from_year}: growth to {to_year} is not on file; wanted {BASE_YEAR} to {MODEL_YEAR}. "
            "Add the years' figures to data/puf_uprating.csv."
        )
    grown = {}
    for name in amounts.columns:
        factor = growth(str(name))
        value = amounts[name].to_numpy(dtype=np.float64)
        grown[name] = np.where(value >= 0, value * factor.positive, value * factor.negative)
    return pd.DataFrame(grown, index=amounts.index), returns_growth()


@cache
def _rows() -> tuple[dict[str, str], ...]:
    table = resources.files("tessera.microdata") / "data" / "puf_uprating.csv"
    with table.open(encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))
