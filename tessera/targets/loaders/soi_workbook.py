"""The first sheet of an SOI workbook: its cells, and which of them were combined to protect taxpayers.

SOI publishes a class with very few returns together with another one: the sum stands in one cell and zero in the
others, and all of them carry a number format that shows `**` ("Data combined to prevent disclosure"). A reader of
values alone takes those zeros for zeros. Holds no table's layout.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.errors import SourceError
from tessera.sources.workbook import XLS_DAMAGE, XLSX_DAMAGE, Rows
from tessera.targets.loaders.common import require_file

MARK = '"**'


@dataclass(frozen=True)
class Sheet:
    """Cells of a sheet.

    Attributes:
        rows: cell values, row by row.
        combined: (row, column) of the cells that show `**`, counted from 0.
    """

    rows: Rows
    combined: frozenset[tuple[int, int]]


def read_sheet(path: Path, name: str | None = None) -> Sheet:
    """A sheet of an .xls or .xlsx workbook, the first one unless named.

    Raises:
        SourceError: no such file or sheet, or not a readable workbook.
    """
    require_file(path)
    return _read_xlsx(path, name) if path.suffix == ".xlsx" else _read_xls(path)


def _read_xls(path: Path) -> Sheet:
    import xlrd

    try:
        # xlrd prints what it finds wrong with a file, besides raising it.
        book = xlrd.open_workbook(str(path), formatting_info=True, logfile=io.StringIO())
        sheet = book.sheet_by_index(0)
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError, *XLS_DAMAGE) as error:
        raise SourceError(f"{path}: not a readable .xls workbook ({error}); fetch it again.") from error
    rows = [tuple(sheet.row_values(row)) for row in range(sheet.nrows)]
    marked = {index for index, style in enumerate(book.xf_list) if MARK in book.format_map[style.format_key].format_str}
    combined = {
        (row, column)
        for row in range(sheet.nrows)
        for column in range(len(rows[row]))
        if sheet.cell_xf_index(row, column) in marked
    }
    return Sheet(rows, frozenset(combined))


def _read_xlsx(path: Path, name: str | None) -> Sheet:
    import openpyxl

    try:
        with warnings.catch_warnings():
            # openpyxl warns of page headers and styles that it does not read; the cells are all there.
            warnings.simplefilter("ignore", UserWarning)
            book: Any = openpyxl.load_workbook(path, data_only=True)
    except XLSX_DAMAGE as error:
        raise SourceError(f"{path}: not a readable .xlsx workbook ({error}); fetch it again.") from error
    if name is not None and name not in book.sheetnames:
        raise SourceError(f"{path}: no sheet {name!r}; it has {', '.join(book.sheetnames)}.")
    sheet = book.worksheets[0] if name is None else book[name]
    rows = [tuple(row) for row in sheet.iter_rows(values_only=True)]
    combined = {
        (cell.row - 1, cell.column - 1) for row in sheet.iter_rows() for cell in row if MARK in cell.number_format
    }
    return Sheet(rows, frozenset(combined))
