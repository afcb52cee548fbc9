"""The persons of a CPS ASEC file, indexed, before any of them is interpreted.

Holds the order of persons and their pointers to each other; `person_checks` refuses unusable rows. Holds no tax or
income rule. Official column names and codes throughout; person rows are ordered by (PH_SEQ, P_SEQ) and every
pointer becomes a row number of that order, -1 for "nobody".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.person_checks import check_persons

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]

# A line number has two digits and a household's sequence number stands before it.
_LINES = 1000
RELATION_COLUMNS = [
    "PH_SEQ",
    "P_SEQ",
    "A_LINENO",
    "A_SPOUSE",
    "PEPAR1",
    "PEPAR2",
    "A_MARITL",
    "A_EXPRRP",
    "A_AGE",
    "A_SEX",
    "A_ENRLW",
    "A_FTPT",
    "A_HSCOL",
    "PEDISEYE",
    "PEDISDRS",
    "PEDISEAR",
    "PEDISOUT",
    "PEDISPHY",
    "PEDISREM",
]


class AsecTables(Protocol):
    """What the reader of the ASEC hands over; tables with official names, weights with their decimals applied."""

    @property
    def person(self) -> pd.DataFrame: ...

    @property
    def household(self) -> pd.DataFrame: ...

    @property
    def income_year(self) -> int: ...

    @property
    def synthetic(self) -> bool: ...


@dataclass(frozen=True)
class Relations:
    """Pointers between persons as row numbers, each of shape (n_persons,).

    Attributes:
        sequence: PH_SEQ, the household's number in the file; with `line` it keys every draw about a person.
        household: dense household number 0..n-1 in ascending PH_SEQ.
        line: line number (A_LINENO).
        spouse: row of the spouse living in the household, or -1.
        parent_1, parent_2: rows of the parents living in the household, or -1; parent_2 only if parent_1 or alone.
        reference: row of the household's reference person.
    """

    sequence: IntArray
    household: IntArray
    line: IntArray
    spouse: IntArray
    parent_1: IntArray
    parent_2: IntArray
    reference: IntArray


def require_columns(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    """Refuse a table without some columns, naming all that are absent."""
    absent = [column for column in columns if column not in table]
    if absent:
        raise SourceError(
            f"{what}: columns {', '.join(absent)} are absent; it has {len(table.columns)} columns. "
            "Check that the file is of the vintage that its reader expects."
        )


def optional(table: pd.DataFrame, column: str) -> FloatArray:
    """A column that some vintages lack, as float64 of shape (n_rows,); zeros where it is absent."""
    if column not in table:
        return np.zeros(len(table))
    return table[column].to_numpy(dtype=np.float64)


def ordered_persons(person: pd.DataFrame) -> pd.DataFrame:
    """Persons ordered by (PH_SEQ, P_SEQ) with a fresh index.

    Raises:
        SourceError: a column is absent, a cell is missing or out of its codes, a (household, line) pair occurs twice,
            or a column that cannot be zero for everybody is.
    """
    require_columns(person, RELATION_COLUMNS, "ASEC person table")
    check_persons(person)
    return person.sort_values(["PH_SEQ", "P_SEQ"], kind="stable").reset_index(drop=True)


def relations(person: pd.DataFrame) -> Relations:
    """Resolve line numbers of ordered persons into rows, refusing pointers that do not hold.

    Args:
        person: the result of `ordered_persons`.

    Raises:
        SourceError: a pointer to an absent line, to oneself, a spouse who does not point back, a household without
            exactly one reference person, or a cycle of parents.
    """
    sequence = person["PH_SEQ"].to_numpy(dtype=np.int64)
    line = person["A_LINENO"].to_numpy(dtype=np.int64)
    _, household = np.unique(sequence, return_inverse=True)
    rows = {column: _row_of(person, sequence, line, column) for column in ("A_SPOUSE", "PEPAR1", "PEPAR2")}
    spouse = rows["A_SPOUSE"]
    pointing = np.flatnonzero(spouse >= 0)
    disagree = pointing[spouse[spouse[pointing]] != pointing]
    if disagree.size:
        row = int(disagree[0])
        other = int(spouse[row])
        raise SourceError(
            f"ASEC person table, PH_SEQ {sequence[row]}: line {line[row]} (row {row}) names line {line[other]} "
            f"(row {other}) as spouse, whose A_SPOUSE is {person['A_SPOUSE'].iloc[other]}; wanted {line[row]}. "
            "Spouse pointers must agree; repair the household in the source file."
        )
    parent_1, parent_2 = rows["PEPAR1"], rows["PEPAR2"]
    _refuse_cycles(sequence, line, parent_1, parent_2)
    return Relations(
        sequence=sequence,
        household=household.astype(np.int64),
        line=line,
        spouse=spouse,
        parent_1=parent_1,
        parent_2=parent_2,
        reference=_reference_rows(person, sequence, household),
    )


def any_difficulty(person: pd.DataFrame) -> BoolArray:
    """Whether a person reports any of six difficulties: hearing, seeing, remembering, walking, dressing, errands."""
    columns = [column for column in RELATION_COLUMNS if column.startswith("PEDIS")]
    answered: BoolArray = (person[columns].to_numpy() == 1).any(axis=1)
    return answered


def _row_of(person: pd.DataFrame, sequence: IntArray, line: IntArray, column: str) -> IntArray:
    pointer = person[column].to_numpy(dtype=np.int64)
    key = sequence * _LINES + line
    order = np.argsort(key, kind="stable")
    wanted = sequence * _LINES + pointer
    place = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1)
    found = order[place]
    named = pointer > 0
    bad = np.flatnonzero(named & ((key[found] != wanted) | (found == np.arange(len(key)))))
    if bad.size:
        row = int(bad[0])
        raise SourceError(
            f"ASEC person table row {row} (PH_SEQ {sequence[row]}, line {line[row]}): {column} is {pointer[row]}, "
            "which is no other person's line of the household; wanted an A_LINENO of it, or 0 or -1 for nobody."
        )
    return np.where(named, found, -1).astype(np.int64)


def _reference_rows(person: pd.DataFrame, sequence: IntArray, household: IntArray) -> IntArray:
    is_reference = np.isin(person["A_EXPRRP"].to_numpy(), (1, 2))
    count = np.bincount(household, weights=is_reference)
    bad = np.flatnonzero(count != 1)
    if bad.size:
        row = int(np.flatnonzero(household == bad[0])[0])
        raise SourceError(
            f"ASEC person table, PH_SEQ {sequence[row]} (row {row}): {int(count[bad[0]])} reference persons "
            "(A_EXPRRP 1 or 2); wanted exactly one. Repair or drop the household in the source file."
        )
    reference = np.empty(len(count), dtype=np.int64)
    rows = np.flatnonzero(is_reference)
    reference[household[rows]] = rows
    return reference[household]


def _refuse_cycles(sequence: IntArray, line: IntArray, parent_1: IntArray, parent_2: IntArray) -> None:
    """A person may not be an ancestor of themselves; each pass strips those whose parents are all settled."""
    settled = (parent_1 < 0) & (parent_2 < 0)
    while True:
        ready = ~settled & _settled_or_absent(settled, parent_1) & _settled_or_absent(settled, parent_2)
        if not ready.any():
            break
        settled |= ready
    if not settled.all():
        row = int(np.flatnonzero(~settled)[0])
        raise SourceError(
            f"ASEC person table row {row} (PH_SEQ {sequence[row]}, line {line[row]}): following PEPAR1 and PEPAR2 "
            "leads into a circle, so someone would be their own ancestor; repair the household in the source file."
        )


def _settled_or_absent(settled: BoolArray, parent: IntArray) -> BoolArray:
    result: BoolArray = (parent < 0) | settled[np.maximum(parent, 0)]
    return result
