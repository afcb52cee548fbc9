"""The columns that the readers need: name, meaning, unit, universe and codes, as data (`data/columns_*.csv`).

Holds no reading. `decimals` is the number of implied decimals of the file: a weight written 155290 with two of them is
1552.90. A column that is not `required` is one that some years lack; its reader fills it with `NOT_IN_UNIVERSE`. The
documents that the columns were taken from are data too (`data/source_pages.csv`).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

from tessera.errors import SourceError

Kind = Literal["int", "float", "text"]
NOT_IN_UNIVERSE = 0
_CODE = re.compile(r"^(-?\d+)(?:-(\d+))?(?=$|[\s,])")


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
        first_year: first survey year whose file has it; 0 where every year that the reader knows does.
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
    first_year: int = 0

    @property
    def allowed(self) -> frozenset[int] | None:
        """The codes that the column may hold, or None where `codes` does not list them all.

        A list is complete if each of its parts, separated by semicolons, begins with a code or a range of codes:
        "-1 not in universe; 1-3 yes; 4 no".
        """
        found: set[int] = set()
        for part in self.codes.split(";"):
            match = _CODE.match(part.strip())
            if match is None:
                return None
            first = int(match.group(1))
            found.update(range(first, int(match.group(2) or first) + 1))
        return frozenset(found)


@dataclass(frozen=True)
class SourcePage:
    """Where the columns of a source are documented: the publisher's document and its address."""

    source: str
    document: str
    url: str


@cache
def page_of(source: str) -> SourcePage:
    """The document that the catalogue of a source was taken from.

    Raises:
        SourceError: no page is named for the source.
    """
    rows = {row["source"]: row for row in _rows("source_pages.csv")}
    if source not in rows:
        raise SourceError(f"No source page for {source!r}; wanted a line of data/source_pages.csv: {', '.join(rows)}.")
    return SourcePage(source, rows[source]["document"], rows[source]["url"])


def records_of(source: str) -> tuple[str, ...]:
    """The records of a source, in the order of its catalogue; the first is the main one."""
    return tuple(dict.fromkeys(row["record"] for row in _rows(f"columns_{source}.csv")))


@cache
def columns_of(source: str, record: str) -> tuple[Column, ...]:
    """The needed columns of one record of one source, in file order of the catalogue.

    Args:
        source: name of the source module ("cps_asec", "acs_pums", ...).
        record: name of the record ("person", ...).

    Raises:
        SourceError: no such source or record.
    """
    rows = [_column(row) for row in _rows(f"columns_{source}.csv")]
    found = tuple(column for column in rows if column.record == record)
    if not found:
        known = ", ".join(sorted({column.record for column in rows}))
        raise SourceError(f"Source {source!r} has no record {record!r}; wanted one of {known}.")
    return found


def _rows(name: str) -> list[dict[str, str]]:
    catalogue = resources.files("tessera.sources") / "data" / name
    if not catalogue.is_file():
        raise SourceError(f"No catalogue {name}; wanted the file tessera/sources/data/{name}.")
    with catalogue.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


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
        first_year=int(row.get("first_year") or 0),
    )
