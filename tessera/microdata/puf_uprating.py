"""Growth of tax-file amounts from the file's year to the model's year, as data, applied once.

Holds factors and their application; reads no tax file. For each variable (and sign, where gains and losses grew apart)
a line of `data/puf_uprating.csv` gives an item's national total in 2015 and in a later year, and what brings the later
year to 2024:

    total factor = later / base_2015 * link_2024 / link_from      growth of the national total
    record's amount *= total factor / returns factor,   record's weight *= returns factor

so that weighted totals grow by exactly the total factor. Where no table has the item, `per_return` is the growth of the
amount of each return, and the total grows by the growth of returns as well. A file of counts by the 47th week of the
filing season is brought to all returns by the link. `basis` says how good a line is: published (both years in tables),
rounded (2015 to two or three figures), related (the growth of another item), assumption.

Itemised deductions are not grown with what itemisers deduct: since 2018 a third as many itemise, so that deducted
totals fell while what is paid rose, and the engine decides itself who itemises. They grow with what is paid.

Flags are no amounts and are never uprated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from tessera.errors import SourceError
from tessera.microdata.asec import FloatArray
from tessera.microdata.datafile import read_rows
from tessera.microdata.tax_variables import tax_variables

BASE_YEAR, MODEL_YEAR = 2015, 2024
RETURNS = "returns"
SIGNS = ("positive", "negative")


@dataclass(frozen=True)
class Growth:
    """Growth of one variable from 2015 to 2024, for each return: factor of positive and of negative amounts."""

    positive: float
    negative: float


@cache
def returns_growth() -> float:
    """Growth of the number of returns from 2015 to 2024."""
    row = next(row for row in read_rows("puf_uprating") if row["variable"] == RETURNS)
    return float(row["later"]) / float(row["base_2015"])


@cache
def total_growth(variable: str, sign: str) -> float:
    """Growth of a variable's national total from 2015 to 2024; `sign` is "positive" or "negative".

    Raises:
        SourceError: a variable without a row in `data/puf_uprating.csv`.
    """
    found = [r for r in read_rows("puf_uprating") if r["variable"] == variable and r["sign"] in (sign, "any")]
    if len(found) != 1:
        raise SourceError(
            f"{'No growth factor' if not found else f'{len(found)} growth factors'} for {variable} ({sign}); every "
            "amount is uprated by one documented factor. Give it one row in data/puf_uprating.csv."
        )
    row = found[0]
    if row["per_return"]:
        return float(row["per_return"]) * returns_growth()
    link = float(row["link_2024"]) / float(row["link_from"]) if row["link_from"] else 1.0
    return float(row["later"]) / float(row["base_2015"]) * link


def growth(variable: str) -> Growth:
    """Growth of a variable for each return."""
    return Growth(*(total_growth(variable, sign) / returns_growth() for sign in SIGNS))


def uprate(amounts: Mapping[str, FloatArray], from_year: int, to_year: int) -> tuple[dict[str, FloatArray], float]:
    """Amounts of another year and the factor of the weights.

    Args:
        amounts: by engine name, dollars of `from_year`, any shape; flags among them stay as they are.
        from_year: year of the amounts.
        to_year: year wanted: the same (nothing happens) or 2024 from 2015.

    Raises:
        SourceError: another pair of years, or a variable without one growth factor.
    """
    if from_year == to_year:
        return dict(amounts), 1.0
    if (from_year, to_year) != (BASE_YEAR, MODEL_YEAR):
        raise SourceError(
            f"Tax file of {from_year}: growth to {to_year} is not on file; wanted {BASE_YEAR} to {MODEL_YEAR}. "
            "Add the years' figures to data/puf_uprating.csv."
        )
    flags = {variable.name for variable in tax_variables() if variable.kind == "flag"}
    grown: dict[str, FloatArray] = {}
    for name, value in amounts.items():
        if name in flags:
            grown[name] = value
            continue
        factor = growth(name)
        grown[name] = np.where(value >= 0, value * factor.positive, value * factor.negative)
    return grown, returns_growth()
