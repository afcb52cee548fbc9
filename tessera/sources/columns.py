"""The columns that the readers need: name, meaning, unit, universe and codes, as data (`data/columns_*.csv`).

Holds no reading. `decimals` is the number of implied decimals of the file: a weight written 155290 with two of them is
1552.90. A column that is not `required` is one that some years lack; its reader fills it with `NOT_IN_UNIVERSE`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from tessera.errors import SourceError

Kind = Literal["int", "float", "text"]
NOT_IN_UNIVERSE = 0


@dataclass(frozen=True)
class Column:
    """A column of an official file.

    Attributes:
        record: the record that it belongs to ("person", "household", ...).
        name: official name.
        kind: "int" (exact integers), "float" (blanks are missing) or "text".
        decimals: implied decimals; the reader divides by 10**decimals.
        required: whether a file without it is refused.
        unit, universe, meaning, codes: documentation, in words.
    """

    record: str
    name: str
    kind: Kind
    decimals: int
    required: bool
    unit: str
    universe: str
    meaning: str
    codes: str


@cache
def columns_of(source: str, record: str) -> tuple[Column, ...]:
    """The needed columns of one record of one source, in file order of the catalogue.

    Args:
        source: name of the source module ("cps_asec", "acs_pums", ...).
        record: name of the record ("person", ...).

    Raises:
        SourceError: no such source or record.
    """
    catalogue = resources.files("tessera.sources") / "data" / f"columns_{source}.csv"
    if not catalogue.is_file():
        raise SourceError(
            f"No column catalogue for source {source!r}; wanted tessera/sources/data/columns_{source}.csv."
        )
    with catalogue.open(encoding="utf-8") as handle:
        rows = [_column(row) for row in csv.DictReader(handle)]
    found = tuple(column for column in rows if column.record == record)
    if not found:
        known = ", ".join(sorted({column.record for column in rows}))
        raise SourceError(f"Source {source!r} has no record {record!r}; wanted one of {known}.")
    return found


def _column(row: dict[str, str]) -> Column:
    return Column(
        record=row["record"],
        name=row["name"],
        kind=cast(Kind, row["kind"]),
        decimals=int(row["decimals"]),
        required=row["required"] == "yes",
        unit=row["unit"],
        universe=row["universe"],
        meaning=row["meaning"],
        codes=row["codes"],
    )
