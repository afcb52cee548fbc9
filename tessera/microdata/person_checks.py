"""Refusals of persons and households of a CPS ASEC file that cannot be used, each with row, value and next step.

Holds checks of single columns and keys; pointers between persons are checked where they are resolved (`asec`). A row
number is the place in the table handed in, from 0.

A reader that goes wrong (a shifted column, another vintage, a spreadsheet between) most often leaves a column of
zeros, which nobody would notice before the totals. So columns that are never zero for everybody are refused by name
where they are, in tables of `LEAST_ROWS` persons and more: fewer persons may well be all without wages.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import columns_of

LEAST_ROWS = 200
# Nobody aged above 0, nobody with wages, with Social Security or with interest: no sample of that size is like that.
NEVER_ALL_ZERO = ("A_AGE", "WSAL_VAL", "SS_VAL", "INT_VAL", "PRDTRACE", "MARSUPWT")
# Columns whose codes every person has, and the codes (lowest, highest).
CODES = {"A_SEX": (1, 2), "A_MARITL": (1, 7), "A_EXPRRP": (1, 14), "A_AGE": (0, 120)}


def check_persons(person: pd.DataFrame) -> None:
    """Refuse a person table with missing cells, duplicated lines, unknown codes or columns of zeros.

    Raises:
        SourceError: naming column, row and value.
    """
    if len(person) == 0:
        raise SourceError("ASEC person table: it has no rows; wanted at least one person. Read the file again.")
    _check_missing(person, "person", "PH_SEQ")
    for column in ("A_LINENO", "P_SEQ"):
        _check_unique(person, column)
    for column, (lowest, highest) in CODES.items():
        _check_codes(person, column, lowest, highest)
    if len(person) >= LEAST_ROWS:
        _check_zeros(person)


def check_households(household: pd.DataFrame) -> None:
    """Refuse a household table with missing cells or a household twice.

    Raises:
        SourceError: naming column, row and value.
    """
    if "H_SEQ" not in household:
        raise SourceError(
            f"ASEC household table: column H_SEQ is absent; it has {len(household.columns)} columns. Check that the "
            "file is of the vintage that its reader expects."
        )
    _check_missing(household, "household", "H_SEQ")
    twice = household["H_SEQ"].duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(
            f"ASEC household table row {row}: H_SEQ {household['H_SEQ'].iloc[row]} occurs twice; wanted one row a "
            "household. Remove the duplicated row."
        )


@cache
def _known_columns(record: str) -> frozenset[str]:
    return frozenset(column.name for column in columns_of("cps_asec", record))


def _check_missing(table: pd.DataFrame, record: str, key: str) -> None:
    """Every column of the catalogue is used somewhere, so none may have a missing or infinite cell."""
    used = table[[column for column in table.columns if column in _known_columns(record)]]
    bad = used.isna()
    for column in used.columns[[pd.api.types.is_float_dtype(kind) for kind in used.dtypes]]:
        bad[column] |= np.isinf(used[column].to_numpy())
    if bad.to_numpy().any():
        column = str(bad.any().idxmax())
        rows = np.flatnonzero(bad[column].to_numpy())
        seen = "missing" if pd.isna(used[column].iloc[rows[0]]) else used[column].iloc[rows[0]]
        raise SourceError(
            f"ASEC {record} table row {rows[0]} ({key} {table[key].iloc[rows[0]]}): {column} is {seen} in {len(rows)} "
            "row(s); wanted a number in every cell, 0 or the code for not in universe included. Repair or drop the "
            "household in the source file."
        )


def _check_unique(person: pd.DataFrame, column: str) -> None:
    twice = person.duplicated(["PH_SEQ", column]).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(
            f"ASEC person table row {row}: household PH_SEQ {person['PH_SEQ'].iloc[row]} has {column} "
            f"{person[column].iloc[row]} twice; wanted one person a line. Remove the duplicated row."
        )


def _check_codes(person: pd.DataFrame, column: str, lowest: int, highest: int) -> None:
    values = person[column].to_numpy(dtype=np.float64)
    bad = np.flatnonzero((values < lowest) | (values > highest))
    if bad.size:
        row = int(bad[0])
        raise SourceError(
            f"ASEC person table row {row} (PH_SEQ {person['PH_SEQ'].iloc[row]}): {column} is {values[row]:g} "
            f"({bad.size} such row(s)); wanted {lowest} to {highest}. Is the file of the vintage that its reader "
            "expects? Fetch it again."
        )


def _check_zeros(person: pd.DataFrame) -> None:
    for column in NEVER_ALL_ZERO:
        if column in person and not person[column].to_numpy(dtype=np.float64).any():
            raise SourceError(
                f"ASEC person table: {column} is 0 in all {len(person)} rows, which no sample of that size has; wanted "
                "values. The column was probably lost or shifted on the way: fetch the file again."
            )
