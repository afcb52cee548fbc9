"""Donors: what the tables of other surveys have in common once their codes are read, and the checks that they pass.

Holds no survey: `donor_acs`, `donor_sipp`, `donor_scf` and `donor_org` read codes into predictors and values,
`donor_receivers` makes the same predictors for the households that receive.

Common codes: race_group 1 white, 2 black, 3 Hispanic, 4 other (a Hispanic person is of no race group else); flags 0/1;
amounts dollars a year of `Donors.year` (holdings at a day of it, weekly pay a week, wages an hour).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import BoolArray, FloatArray, IntArray, require_columns
from tessera.microdata.donor_uprating import uprated

WHITE, BLACK, HISPANIC, OTHER = 1.0, 2.0, 3.0, 4.0


class RawSurvey(Protocol):
    """What a reader hands over: a table with official names, its year, and companions by record name."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> pd.DataFrame: ...

    @property
    def year(self) -> int: ...

    @property
    def synthetic(self) -> bool: ...

    @property
    def companions(self) -> dict[str, pd.DataFrame]: ...


@dataclass(frozen=True)
class Donors:
    """Donors with complete numbers.

    Attributes:
        label: survey and subject ("acs rents"), the name of the chain.
        table: one row a donor; predictors and values, float64.
        predictors: names of the predictors.
        values: names of the values to impute, in the order of the chain.
        weights: survey weights, above 0, (n_donors,).
        year: year of the dollars.
        groups: what stands for one family several times (implicates), (n_donors,); None where a row is a donor.
    """

    label: str
    table: pd.DataFrame
    predictors: tuple[str, ...]
    values: tuple[str, ...]
    weights: FloatArray
    year: int
    groups: IntArray | None = None

    def in_dollars_of(self, year: int) -> Donors:
        """The donors in dollars of another year; unchanged if they are of that year already."""
        return replace(self, table=uprated(self.table, self.year, year), year=year)


def checked_donors(
    label: str,
    columns: Mapping[str, npt.NDArray[Any]],
    values: Sequence[str],
    weights: FloatArray,
    year: int,
    *,
    rows: BoolArray | None = None,
    groups: IntArray | None = None,
) -> Donors:
    """Donors of some rows with a weight above 0, after the checks that all surveys share.

    Args:
        label: survey and subject.
        columns: predictors and values, each (n_rows,).
        values: which of the columns are values.
        weights: survey weights, (n_rows,).
        year: year of the dollars.
        rows: rows of the universe; all if absent.
        groups: see `Donors`, (n_rows,).

    Raises:
        SourceError: a weight below 0 or missing, a missing number, no donor, or a value that nobody has.
    """
    table = pd.DataFrame(dict(columns)).astype(np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise SourceError(
            f"{label}: row {int(bad[0])} has weight {weights[bad[0]]}; wanted a finite number of at least 0. "
            f"{bad.size} such row(s); check the file's vintage and codes."
        )
    keep = weights > 0 if rows is None else (weights > 0) & rows
    _refuse_missing(label, table, keep)
    if not keep.any():
        universe = len(table) if rows is None else int(rows.sum())
        raise SourceError(
            f"{label}: {universe} usable donors with total weight 0; wanted at least one with a weight. "
            "Check the file's vintage and codes."
        )
    table = table.loc[keep].reset_index(drop=True)
    nobody = [name for name in values if not table[name].any()]
    if nobody:
        raise SourceError(
            f"{label}: {', '.join(nobody)} is 0 for all {len(table)} donors; wanted some who have it. "
            "The column is probably blank in this release: get the file of another year, or leave the survey out."
        )
    predictors = tuple(str(name) for name in table.columns if name not in values)
    chosen = None if groups is None else np.asarray(groups)[keep].astype(np.int64)
    return Donors(label, table, predictors, tuple(values), weights[keep], year, chosen)


def _refuse_missing(label: str, table: pd.DataFrame, keep: BoolArray) -> None:
    missing = ~np.isfinite(table.to_numpy()) & keep[:, None]
    if missing.any():
        row, column = (int(place) for place in np.argwhere(missing)[0])
        raise SourceError(
            f"{label}: row {row} has no {table.columns[column]} ({int(missing[:, column].sum())} such row(s)); "
            "wanted a number for every donor. Repair the row in the file, or drop it."
        )


def race_group(white: npt.ArrayLike, black: npt.ArrayLike, hispanic: npt.ArrayLike) -> FloatArray:
    """Race groups as all donors count them, (n_rows,): Hispanic before any race, then white, black, other."""
    groups: FloatArray = np.select(
        [np.asarray(hispanic, dtype=bool), np.asarray(white, dtype=bool), np.asarray(black, dtype=bool)],
        [HISPANIC, WHITE, BLACK],
        OTHER,
    )
    return groups


def filled(table: pd.DataFrame, column: str) -> FloatArray:
    """A column whose blanks mean "not in universe", as zeros, (n_rows,); zeros where an optional column is absent."""
    return table[column].fillna(0).to_numpy(dtype=np.float64) if column in table else np.zeros(len(table))


def number(table: pd.DataFrame, column: str) -> FloatArray:
    """A column as it stands, blanks as NaN, (n_rows,)."""
    return table[column].to_numpy(dtype=np.float64, na_value=np.nan)


def refuse_duplicates(table: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Refuse a table in which a record occurs twice; `what` names the table.

    Raises:
        SourceError: it does, or a key column is absent.
    """
    require_columns(table, keys, what)
    twice = table.duplicated(list(keys)).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        seen = ", ".join(f"{key} {table[key].iloc[row]}" for key in keys)
        raise SourceError(
            f"{what} row {row}: {seen} occurs twice ({int(twice.sum())} such row(s)); wanted each record "
            "once. Read the file again, or remove the repeated rows."
        )
