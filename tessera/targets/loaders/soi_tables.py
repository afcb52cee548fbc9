"""Reading the tables of IRS SOI Publication 1304 that go by size of adjusted gross income (AGI).

A table is a title (table, tax year), headings over several rows with merged cells, a row of column numbers, a row for
all returns and a row for each class of AGI. A column is found by its heading, the merged cells above it joined with
" / " and footnote marks dropped ("Business or profession / Net loss / Amount"), so columns that moved together are
found where they are and one that was renamed is an error. Columns below one merged cell have consecutive numbers; where
they have not, a column was moved, lost or added alone, and could be taken for its neighbour's. Counts in returns, money
in thousands of dollars.

Rules: the classes of every column that is read have to add up to its first row (cells are rounded one by one); a blank
or suppressed cell is an error; so is a negative cell where the column cannot be negative; classes that SOI combined are
one class (`soi_columns`). Holds no table and no concept of the engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tessera.errors import SourceError
from tessera.sources.workbook import Rows
from tessera.targets.figures import Provenance
from tessera.targets.loaders.common import number, squash
from tessera.targets.loaders.soi_columns import Bounds, Column, combined_spans, describe
from tessera.targets.loaders.soi_workbook import read_sheet

NO_AGI: Bounds = (None, 1)
# The classes of tables 1.1, 1.2 and 1.4.
CLASSES: tuple[Bounds, ...] = (
    NO_AGI, (1, 5_000), (5_000, 10_000), (10_000, 15_000), (15_000, 20_000), (20_000, 25_000), (25_000, 30_000),
    (30_000, 40_000), (40_000, 50_000), (50_000, 75_000), (75_000, 100_000), (100_000, 200_000), (200_000, 500_000),
    (500_000, 1_000_000), (1_000_000, 1_500_000), (1_500_000, 2_000_000), (2_000_000, 5_000_000),
    (5_000_000, 10_000_000), (10_000_000, None),
)  # fmt: skip
AGI = "adjusted_gross_income"
URL = "https://www.irs.gov/pub/irs-soi"
THOUSAND = 1000.0
_FIRST_HEADING = 2
_LAST_HEADING = 12
_FOOTNOTE = re.compile(r"\s*\[\d+\]")
_NONE = re.compile(r"No adjusted gross income( \(includes deficits\)| and deficit)?")
_BETWEEN = re.compile(r"\$([\d,]+) under \$([\d,]+)")
_BELOW = re.compile(r"Under \$([\d,]+)")
_ABOVE = re.compile(r"\$([\d,]+) (?:or more|and over)")


def publication_1304(source: str, table: str, year: int, file: str) -> Provenance:
    """Where a table of Publication 1304 is published: its number such as 1.4, and the end of its file's name."""
    url = f"{URL}/{year % 100:02d}in{file}.xls"
    return Provenance(source, f"Publication 1304, table {table}", url, f"Tax year {year}", year)


@dataclass(frozen=True)
class ClassTable:
    """Cells of a table by size of AGI.

    Attributes:
        path: the file.
        bounds: classes, lowest first.
        cells: by heading, the cell for all returns and those of the classes, as published.
        combined: by heading, the classes that were combined (counted from 0).
    """

    path: Path
    bounds: tuple[Bounds, ...]
    cells: dict[str, tuple[object, ...]]
    combined: dict[str, frozenset[int]] = field(default_factory=dict)

    def column(self, heading: str, *, signed: bool = False) -> Column:
        """A column as numbers.

        Args:
            heading: the joined heading.
            signed: whether its cells may be negative.

        Raises:
            SourceError: no such heading, a suppressed or negative cell, classes that do not add up to all returns, or
                no return at all.
        """
        cells = self.cells.get(heading)
        if cells is None:
            raise SourceError(f"{self.path}: no column with the heading {heading!r}; {self._near(heading)}")
        minimum = None if signed else 0.0
        labels = ["all returns", *(f"class {describe(bounds)}" for bounds in self.bounds)]
        values = tuple(
            number(cell, self.path, f"{label}, column {heading!r}", minimum=minimum)
            for label, cell in zip(labels, cells, strict=True)
        )
        if abs(sum(values[1:]) - values[0]) > len(self.bounds):
            raise SourceError(
                f"{self.path}: column {heading!r}: the classes of AGI add up to {sum(values[1:]):.0f}, all returns "
                f"read {values[0]:.0f}; a row or column has moved. Fetch the file again."
            )
        if not values[0]:
            raise SourceError(f"{self.path}: column {heading!r} is zero for all returns; fetch the file again.")
        return Column(
            self.bounds, values[0], values[1:], combined_spans(values[1:], self.combined.get(heading, frozenset()))
        )

    def _near(self, heading: str) -> str:
        start = heading.split(" / ", maxsplit=1)[0]
        near = [known for known in self.cells if known.startswith(start)]
        return f"it has {'; '.join(near[:6]) or 'none that starts so'}. It may be another year's layout."


def read_class_table(path: Path, name: str, year: int, total: str, bounds: tuple[Bounds, ...] = CLASSES) -> ClassTable:
    """A table of Publication 1304 with one row a class of AGI.

    Args:
        path: the workbook, .xls as published (or .xlsx).
        name: "Table 1.4".
        year: tax year.
        total: label of the row above the classes, such as "All returns, total".
        bounds: the classes that have to be there, in order.

    Raises:
        SourceError: another table or year, no row of column numbers, no such row, other classes.
    """
    sheet = read_sheet(path)
    rows = sheet.rows
    require_title(rows, path, name, year)
    numbers, columns = columns_by_heading(rows, path)
    start = _row_labelled(rows, numbers, total, path)
    used = rows[start : start + len(bounds) + 1]
    require_classes([row[0] for row in used[1:]], bounds, path, f"rows {start + 2} to {start + 1 + len(bounds)}")
    cells = {heading: tuple(row[column] for row in used) for heading, column in columns.items()}
    combined = {
        heading: frozenset(index for index in range(len(bounds)) if (start + 1 + index, column) in sheet.combined)
        for heading, column in columns.items()
    }
    return ClassTable(path, bounds, cells, combined)


def require_title(rows: Rows, path: Path, name: str, year: int) -> None:
    """Raise unless the first cell is the title of that table of that tax year."""
    title = squash(rows[0][0]) if rows and rows[0] else ""
    if not title.startswith(f"{name}.") or f"Tax Year {year}" not in title:
        raise SourceError(f"{path}: the title reads {title[:90]!r}; wanted {name} of tax year {year}.")


def parse_class(label: object) -> Bounds | None:
    """Bounds of a class of AGI from its label; None if it is no such label."""
    text = squash(label)
    if _NONE.fullmatch(text):
        return NO_AGI
    if match := _BETWEEN.fullmatch(text):
        return _dollars(match[1]), _dollars(match[2])
    if match := _BELOW.fullmatch(text):
        return None, _dollars(match[1])
    if match := _ABOVE.fullmatch(text):
        return _dollars(match[1]), None
    return None


def require_classes(labels: Sequence[object], bounds: tuple[Bounds, ...], path: Path, where: str) -> None:
    """Raise unless the labels are those of the classes, each once and in order."""
    for position, wanted in enumerate(bounds):
        seen = labels[position] if position < len(labels) else None
        if parse_class(seen) != wanted:
            raise SourceError(
                f"{path}: {where}: class {position + 1} reads {squash(seen)!r}; wanted AGI {describe(wanted)}. "
                "A class is missing, twice there or of another year's layout."
            )


def columns_by_heading(rows: Rows, path: Path) -> tuple[int, dict[str, int]]:
    """Index of the row of column numbers, and the column below each joined heading.

    Raises:
        SourceError: no such row; two columns with one heading; a column below a merged cell that does not follow its
            neighbour's number.
    """
    numbers = _row_of_column_numbers(rows, path)
    found: dict[str, int] = {}
    for column, heading in _headings(rows, numbers, path):
        if heading in found:
            raise SourceError(f"{path}: two columns have the heading {heading!r}; the table has changed.")
        found[heading] = column
    return numbers, found


def _row_of_column_numbers(rows: Rows, path: Path) -> int:
    for index, row in enumerate(rows[:_LAST_HEADING]):
        # Table 1.2 shows its numbers in brackets, which the workbook stores as negative numbers.
        if len(row) > 2 and row[1] in (1, -1) and row[2] in (2, -2):
            return index
    raise SourceError(f"{path}: no row of column numbers (1, 2, 3 ...) below the title; the table has moved.")


def _headings(rows: Rows, numbers: int, path: Path) -> Iterator[tuple[int, str]]:
    levels = range(_FIRST_HEADING, numbers)
    current = dict.fromkeys(levels, "")
    last = 0.0
    for column in range(1, len(rows[numbers])):
        begun = inherits = False
        for level in levels:
            text = _FOOTNOTE.sub("", squash(rows[level][column]))
            # A cell begins here: what stood below the merged cell to its left does not reach under it.
            if text or begun:
                current[level], begun = text, True
            inherits = inherits or (bool(current[level]) and not begun)
        count = rows[numbers][column]
        if isinstance(count, int | float):
            heading = " / ".join(text for text in current.values() if text)
            if inherits and abs(count) != last + 1:
                raise SourceError(
                    f"{path}: column {heading!r} has the number {abs(count):g} and stands after {last:g}; wanted the "
                    "next number below one heading: a column has moved, is lost or was added. Fetch the file again."
                )
            last = abs(count)
            yield column, heading


def _row_labelled(rows: Rows, after: int, label: str, path: Path) -> int:
    for index in range(after + 1, len(rows)):
        if squash(rows[index][0]) == label:
            return index
    raise SourceError(f"{path}: no row {label!r} below the headings; the table has moved.")


def _dollars(text: str) -> float:
    return float(text.replace(",", ""))
