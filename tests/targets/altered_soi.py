"""Altered copies of the SOI's workbooks: the first sheet with an edit of its cells, written as .xlsx, marks kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openpyxl

from tessera.targets.loaders.common import squash
from tessera.targets.loaders.soi_workbook import read_sheet

Cells = list[list[object]]
Edit = Callable[[Cells], None]
_COMBINED = '"** "#,##0;"** "\\-#,##0;"**";"** "@'


def copy_of(source: Path, target: Path, edit: Edit = lambda cells: None, *, marks: bool = True) -> Path:
    """A copy of a sheet.

    Args:
        source: the workbook.
        target: .xlsx to write.
        edit: changes the cells in place; rows and columns that carry marks have to stay where they are.
        marks: whether cells that SOI combined still show it.
    """
    sheet_name = openpyxl.load_workbook(source, read_only=True).sheetnames if source.suffix == ".xlsx" else ["Sheet1"]
    name = "Table 4.B" if "Table 4.B" in sheet_name else None
    sheet = read_sheet(source, name)
    cells = [list(row) for row in sheet.rows]
    edit(cells)
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.title = name or "Sheet1"
    for row in cells:
        page.append(["" if cell is None else cell for cell in row])
    if marks:
        for row_index, column in sheet.combined:
            page.cell(row_index + 1, column + 1).number_format = _COMBINED
    book.save(target)
    return target


def write(row: int, column: int, value: object) -> Edit:
    """Writes a cell, counted from 0."""

    def edit(cells: Cells) -> None:
        cells[row][column] = value

    return edit


def rename(old: str, new: str) -> Edit:
    """Replaces text in every cell that holds it; there has to be one."""

    def edit(cells: Cells) -> None:
        found = [
            (row, column)
            for row, line in enumerate(cells)
            for column, cell in enumerate(line)
            if isinstance(cell, str) and old in squash(cell)
        ]
        assert found, old
        for row, column in found:
            cells[row][column] = squash(cells[row][column]).replace(old, new)

    return edit


def without_row(row: int) -> Edit:
    """Takes a row out."""
    return lambda cells: cells.__delitem__(row)


def twice(row: int) -> Edit:
    """Puts a row in once more, below itself."""
    return lambda cells: cells.insert(row, list(cells[row]))
