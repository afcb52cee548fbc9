"""Incomes of the year before, from the survey of the year before.

Half of the sample is interviewed in two years running: households in their second half year of rotation, if they have
not moved. PERIDNUM (22 digits: household and line) names a person in both. A match must agree: the same sex, and from
0 to 2 years older (interviews lie a year apart, give or take a birthday); ages 80 and 85 stand for 80-84 and 85 and
over. Earnings that the Census Bureau allocated (I_ERNVAL, I_SEVAL above 0) are no report and count as not available.

`self_employment_income_last_year` is an input of the engine; `employment_income_last_year` is computed there from the
wages of the year before, so that it is left out.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import AsecTables, BoolArray, FloatArray, IntArray, optional, require_columns

DIGITS = 22
MOST_YEARS = 2
GROUPED, OLDEST = 80, 85
COLUMNS = ["PERIDNUM", "A_SEX", "A_AGE", "SEMP_VAL"]


def previous_year(person: pd.DataFrame, raw: AsecTables, previous: AsecTables | None) -> dict[str, object]:
    """Income inputs of the year before, each of shape (n_persons,); zero and not available where nobody matches.

    Args:
        person: ordered persons of `raw`.
        raw: this year's survey.
        previous: that of the year before, or None.

    Raises:
        SourceError: `previous` is of another year, lacks a column, or either survey has identifiers that are no 22
            digits (a spreadsheet rounds them) or occur twice.
    """
    income = np.zeros(len(person))
    available = np.zeros(len(person), dtype=bool)
    if previous is not None:
        if previous.income_year != raw.income_year - 1:
            raise SourceError(
                f"Previous ASEC: its incomes are of {previous.income_year}; wanted {raw.income_year - 1}, the year "
                f"before those of the survey ({raw.income_year}). Give the survey of that year, or none."
            )
        match = matches(person, previous.person)
        found = match >= 0
        reported = (optional(previous.person, "I_ERNVAL") == 0) & (optional(previous.person, "I_SEVAL") == 0)
        available[found] = reported[match[found]]
        income = np.where(available, optional(previous.person, "SEMP_VAL")[np.maximum(match, 0)], 0.0)
    return {"self_employment_income_last_year": income, "previous_year_income_available": available}


def matches(person: pd.DataFrame, previous: pd.DataFrame) -> IntArray:
    """Row of each person in the table of the year before, -1 for nobody, shape (n_persons,).

    Raises:
        SourceError: an absent column, or identifiers that are broken or occur twice.
    """
    for table, what in ((person, "ASEC person table"), (previous, "previous ASEC person table")):
        require_columns(table, COLUMNS, what)
        _check_identifiers(table["PERIDNUM"], what)
    if len(previous) == 0:
        return np.full(len(person), -1, dtype=np.int64)
    rows = pd.Index(previous["PERIDNUM"]).get_indexer(pd.Index(person["PERIDNUM"])).astype(np.int64)
    before = previous.iloc[np.maximum(rows, 0)]
    same_sex = person["A_SEX"].to_numpy() == before["A_SEX"].to_numpy()
    older = _ages_agree(person["A_AGE"].to_numpy(dtype=np.float64), before["A_AGE"].to_numpy(dtype=np.float64))
    return np.where((rows >= 0) & same_sex & older, rows, -1)


def _ages_agree(now: FloatArray, before: FloatArray) -> BoolArray:
    """Whether some ages that the codes stand for lie 0 to 2 years apart."""
    agree: BoolArray = (_oldest(now) - before >= 0) & (now - _oldest(before) <= MOST_YEARS)
    return agree


def _oldest(age: FloatArray) -> FloatArray:
    return np.where(age == GROUPED, OLDEST - 1.0, np.where(age >= OLDEST, np.inf, age))


def _check_identifiers(identifier: pd.Series, what: str) -> None:
    text = identifier.astype(str)
    bad = ~(text.str.len().eq(DIGITS) & text.str.isdigit()).to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise SourceError(
            f"{what} row {row}: PERIDNUM is {text.iloc[row]!r} ({int(bad.sum())} such row(s)); wanted {DIGITS} digits. "
            "A spreadsheet rounds these identifiers beyond repair: take the file as the Census Bureau publishes it, or "
            "build without a previous survey."
        )
    twice = text.duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(
            f"{what} row {row}: PERIDNUM {text.iloc[row]} occurs twice; wanted one person an identifier. Remove the "
            "duplicated row, or build without a previous survey."
        )
