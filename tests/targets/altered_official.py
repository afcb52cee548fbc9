"""Altered copies of official files of any format: their tables as grids of cells, edits, and loading the outcome.

Text formats (CSV, answers of the Census API, HTML pages, CSV members of zip files) are written back as files. Workbooks
are altered between reading and the loader, as no library at hand writes `.xls`; their marks of combined classes move
with the cells. Holds no expectation of what a loader says.
"""

from __future__ import annotations

import csv
import html
import importlib
import io
import json
import pkgutil
import random
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tessera.sources.workbook import read_xlsx
from tessera.targets import loaders, official
from tessera.targets.loaders import aca_marketplace, nhe
from tessera.targets.loaders.common import squash
from tessera.targets.loaders.html_table import read_tables
from tessera.targets.loaders.soi_workbook import Sheet, read_sheet

Row = list[Any]
Grid = list[Row]
Grids = dict[str, Grid]
_KFF = '"gdocsObject":'
_MEMBERS = {"marketplace": (aca_marketplace.member(), "utf-8-sig"), "nhe_services": (nhe.MEMBER, "cp1252")}


@dataclass(frozen=True)
class Combined:
    """A cell of an SOI workbook that carries the mark of combined classes."""

    value: object


@dataclass(frozen=True)
class Used:
    """A cell that the loader reads: its table, row and column, and the row of headings above it."""

    table: str
    heading: int
    row: int
    column: int
    key: int


@dataclass
class Original:
    """An official file, its tables, and the figures that it gives unaltered."""

    file: official.OfficialFile
    path: Path
    folder: Path
    grids: Grids = field(default_factory=dict)
    figures: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def others(self) -> tuple[object, ...]:
        """Further arguments of the loader: a second official file as published, or a word."""
        if self.file.second:
            return (self.folder / official.official_files()[self.file.second].path,)
        word = self.file.loader.partition("=")[2]
        return (word,) if word else ()

    def load(self, path: Path) -> pd.DataFrame:
        """Figures of a copy at a path."""
        return official.loader_of(self.file)(path, *self.others)


def opened(file: official.OfficialFile, folder: Path) -> Original:
    """An official file with its grids and figures."""
    original = Original(file, folder / file.path, folder)
    name, suffix = file.name, original.path.suffix
    if name in _MEMBERS:
        member, encoding = _MEMBERS[name]
        with zipfile.ZipFile(original.path) as archive:
            original.grids = {"": _rows_of_csv(archive.read(member).decode(encoding))}
    elif suffix in (".csv", ".txt"):
        original.grids = {"": _rows_of_csv(original.path.read_text(encoding="utf-8-sig"))}
    elif suffix == ".json":
        original.grids = {"": json.loads(original.path.read_text(encoding="utf-8"))}
    elif name == "marketplace_kff":
        original.grids = {str(year): rows for year, rows in _kff_tables(original.path)[1]}
    elif suffix == ".html":
        _, tables = read_tables(original.path)
        original.grids = {"": [list(row) for row in tables[0]]}
    else:
        original.grids = _grids_of_workbooks(original)
    with pytest.MonkeyPatch.context() as patch:
        original.figures = load_altered(original, original.grids, original.path, patch)
    return original


def load_altered(original: Original, grids: Grids, target: Path, patch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Figures of the file with other tables.

    Args:
        original: the file.
        grids: its tables, altered.
        target: where a file of a text format is written; the original's path loads that as it is.
        patch: puts altered tables in the place of a workbook's.
    """
    if original.path.suffix in (".xls", ".xlsx") or _is_zip_of_workbooks(original):
        _patch_workbooks(patch, grids)
        return original.load(original.path)
    if target != original.path:
        write(original, grids, target)
    return original.load(target)


def write(original: Original, grids: Grids, target: Path) -> None:
    """A file of a text format with other tables."""
    name, suffix = original.file.name, original.path.suffix
    if name in _MEMBERS:
        member, encoding = _MEMBERS[name]
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr(member, _csv_of_rows(grids[""]).encode(encoding))
    elif suffix == ".json":
        target.write_text(json.dumps(grids[""]), encoding="utf-8")
    elif name == "marketplace_kff":
        before, _, after = _kff_tables(original.path)
        tables = [[int(year) if year.isdigit() else year, rows] for year, rows in grids.items()]
        target.write_text(before + json.dumps(tables) + after, encoding="utf-8")
    elif suffix == ".html":
        text, _ = read_tables(original.path)
        rows = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in grids[""])
        table = "".join(f"<tr>{row}</tr>" for row in rows)
        target.write_text(f"<p>{html.escape(text)}</p><table>{table}</table>", encoding="utf-8")
    else:
        target.write_text(_csv_of_rows(grids[""]), encoding="utf-8")


def used_cell(grids: Grids, table: str, heading: str, labels: tuple[str, ...], right: int = 0) -> Used:
    """The cell in the column of a heading and the first row below it that holds all labels; the first is its key.

    Args:
        grids: tables of a file.
        table: the one with the cell.
        heading: text above the cell.
        labels: texts in its row.
        right: columns from the heading to the cell.
    """
    grid = grids[table]
    row, column = next(
        (row, column)
        for row, cells in enumerate(grid)
        for column, cell in enumerate(cells)
        if squash(_value(cell)) == heading
    )
    for below in range(row + 1, len(grid)):
        texts = [squash(_value(cell)) for cell in grid[below]]
        if all(label in texts for label in labels):
            return Used(table, row, below, column + right, texts.index(labels[0]))
    raise AssertionError(f"no row {labels} below {heading!r}")


def value_at(grids: Grids, used: Used) -> object:
    """The cell as published."""
    return _value(grids[used.table][used.row][used.column])


def with_cell(grids: Grids, used: Used, change: Callable[[Any], Any]) -> Grids:
    """The tables with the used cell changed; the changed value is what was published, not wrapped."""

    def edit(rows: Grid) -> Grid:
        cell = rows[used.row][used.column]
        new = change(_value(cell))
        rows[used.row] = [*rows[used.row]]
        rows[used.row][used.column] = Combined(new) if isinstance(cell, Combined) else new
        return rows

    return with_rows(grids, used.table, edit)


def with_rows(grids: Grids, table: str, edit: Callable[[Grid], Grid]) -> Grids:
    """The tables with an edit of the list of rows of one of them; rows themselves are not to be changed in place."""
    return {**grids, table: edit(list(grids[table]))}


def with_columns(grids: Grids, table: str, order: Callable[[Row], Row]) -> Grids:
    """The tables with every row of one of them brought into another order of cells."""
    return with_rows(grids, table, lambda rows: [order(list(row)) for row in rows])


def shuffled(grids: Grids, table: str, seed: int) -> Grids:
    """The tables with the columns of one of them in another order, headings and all, labels in place."""
    width = max(len(row) for row in grids[table])
    order = list(range(1, width))
    random.Random(seed).shuffle(order)
    positions = [0, *order]
    return with_columns(grids, table, lambda row: [row[place] for place in positions if place < len(row)])


def other_year(grids: Grids, used: Used, year: int) -> Grids:
    """The tables with another year in every text at or above the headings of the used one; the same if none has it."""

    def edit(rows: Grid) -> Grid:
        return [
            [_renamed(cell, str(year), str(year - 3)) for cell in row] if place <= used.heading else row
            for place, row in enumerate(rows)
        ]

    return with_rows(grids, used.table, edit)


def neighbours(original: Original, used: Used, count: int, seed: int) -> list[Used]:
    """Some cells with numbers in the table of the used one, from its headings down."""
    grid = original.grids[used.table]
    cells = [
        (row, column)
        for row in range(used.heading + 1, len(grid))
        for column, cell in enumerate(grid[row])
        if is_number(_value(cell))
    ]
    chosen = random.Random(seed).sample(cells, min(count, len(cells)))
    return [replace(used, row=row, column=column) for row, column in chosen]


def is_number(cell: object) -> bool:
    """Whether a cell is a number, or the text of one."""
    text = str(cell).strip().replace(",", "").replace("$", "")
    try:
        float(text)
    except ValueError:
        return False
    return not isinstance(cell, bool) and text[:1] in "-.0123456789"


def plain(cell: object) -> float:
    """A cell that `is_number` as that number."""
    return float(str(cell).strip().replace(",", "").replace("$", ""))


def _renamed(cell: Any, old: str, new: str) -> Any:
    return cell.replace(old, new) if isinstance(cell, str) else cell


def _value(cell: object) -> object:
    return cell.value if isinstance(cell, Combined) else cell


def _rows_of_csv(text: str) -> Grid:
    return [list(row) for row in csv.reader(io.StringIO(text))]


def _csv_of_rows(rows: Grid) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _kff_tables(path: Path) -> tuple[str, list[Any], str]:
    """The page before its tables, the tables, and the page after them."""
    text = path.read_text(encoding="utf-8")
    start = text.index(_KFF) + len(_KFF)
    tables, end = json.JSONDecoder().raw_decode(text, start)
    return text[:start], tables, text[end:]


def _is_zip_of_workbooks(original: Original) -> bool:
    return original.path.suffix == ".zip" and original.file.name not in _MEMBERS


def _patch_everywhere(patch: pytest.MonkeyPatch, name: str, function: Callable[..., Any]) -> None:
    for found in pkgutil.iter_modules(loaders.__path__):
        module = importlib.import_module(f"{loaders.__name__}.{found.name}")
        if hasattr(module, name):
            patch.setattr(module, name, function)


def _grids_of_workbooks(original: Original) -> Grids:
    """Every table that the loader opens: `workbook/sheet`, or `` for the one sheet of an SOI workbook."""
    grids: Grids = {}

    def reading_xlsx(content: Path | bytes, label: Path) -> dict[str, Any]:
        sheets = read_xlsx(content, label)
        grids.update({f"{label.name}/{title}": [list(row) for row in rows] for title, rows in sheets.items()})
        return sheets

    def reading_sheet(path: Path, name: str | None = None) -> Sheet:
        sheet = read_sheet(path, name)
        grids[""] = [
            [Combined(cell) if (row, column) in sheet.combined else cell for column, cell in enumerate(cells)]
            for row, cells in enumerate(sheet.rows)
        ]
        return sheet

    with pytest.MonkeyPatch.context() as patch:
        _patch_everywhere(patch, "read_xlsx", reading_xlsx)
        _patch_everywhere(patch, "read_sheet", reading_sheet)
        original.load(original.path)
    return grids


def _patch_workbooks(patch: pytest.MonkeyPatch, grids: Grids) -> None:
    def rows_of(grid: Grid) -> list[tuple[object, ...]]:
        # A reader of workbooks gives rows of one width.
        width = max((len(row) for row in grid), default=0)
        return [tuple(map(_value, row)) + (None,) * (width - len(row)) for row in grid]

    def altered_xlsx(content: object, label: Path) -> dict[str, Any]:
        start = f"{label.name}/"
        return {key.removeprefix(start): rows_of(grid) for key, grid in grids.items() if key.startswith(start)}

    def altered_sheet(path: Path, name: str | None = None) -> Sheet:
        combined = frozenset(
            (row, column)
            for row, cells in enumerate(grids[""])
            for column, cell in enumerate(cells)
            if isinstance(cell, Combined)
        )
        return Sheet(rows_of(grids[""]), combined)

    _patch_everywhere(patch, "read_xlsx", altered_xlsx)
    _patch_everywhere(patch, "read_sheet", altered_sheet)
