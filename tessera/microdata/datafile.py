"""The small tables of figures that ship beside the microdata modules, each line with its year and source.

Holds the reading; what the columns mean is documented where they are used.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

from tessera.errors import SourceError


@cache
def read_rows(name: str) -> tuple[dict[str, str], ...]:
    """Rows of `data/{name}.csv` as text, in file order; callers must not change them."""
    table = resources.files("tessera.microdata") / "data" / f"{name}.csv"
    with table.open(encoding="utf-8") as handle:
        return tuple(csv.DictReader(handle))


def latest_row(name: str, year: int, what: str) -> dict[str, str]:
    """The row of `data/{name}.csv` of the latest year up to a year.

    Args:
        name: of the table, which has a column `year` and a row a year.
        year: wanted.
        what: the rows hold, for the error.

    Raises:
        SourceError: a year before the first of the table.
    """
    rows = {int(row["year"]): row for row in read_rows(name)}
    known = [value for value in rows if value <= year]
    if not known:
        raise SourceError(f"No {what} for {year}; data/{name}.csv starts in {min(rows)}. Add its row.")
    return rows[max(known)]


def row_of_year(name: str, year: int, what: str, publication: str) -> dict[str, str]:
    """The row of a year of `data/{name}.csv`.

    Args:
        name: of the table, which has a column `year` and a row a year.
        year: wanted.
        what: the rows hold, for the error.
        publication: that the row of another year can be taken from, for the error.

    Raises:
        SourceError: a year that the table does not hold.
    """
    rows = {int(row["year"]): row for row in read_rows(name)}
    if year not in rows:
        raise SourceError(
            f"No {what} for {year}; data/{name}.csv holds {min(rows)} to {max(rows)}. Add the row of that year from "
            f"{publication}."
        )
    return rows[year]
