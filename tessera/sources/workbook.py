"""Reading the sheets of .xlsx and .xls workbooks as lists of rows. Holds no table's layout."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from xml.etree import ElementTree

from tessera.errors import SourceError
from tessera.sources.csvfile import require_file

Rows = list[tuple[object, ...]]
# What the readers of workbooks raise for files that are damaged or of another format.
XLSX_DAMAGE = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error, ElementTree.ParseError)
XLS_DAMAGE = (struct.error, AssertionError, IndexError, KeyError, ValueError)
_ADVICE = "Fetch the official file as published and run again."


def read_xlsx(content: Path | bytes, label: Path) -> dict[str, Rows]:
    """Every sheet of a workbook: its name and rows of cell values (formulas as last computed)."""
    import openpyxl

    if isinstance(content, Path):
        require_file(content, _ADVICE)
    stream = io.BytesIO(content.read_bytes() if isinstance(content, Path) else content)
    try:
        with warnings.catch_warnings():
            # openpyxl warns of page headers and styles that it does not read; the cells are all there.
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(stream, data_only=True)
    except XLSX_DAMAGE as error:
        raise SourceError(f"{label}: not a readable .xlsx workbook ({error}); fetch it again.") from error
    return {sheet.title: [tuple(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


def read_xls(path: Path) -> Rows:
    """The first sheet of an old workbook: rows of cell values."""
    import xlrd

    require_file(path, _ADVICE)
    try:
        # xlrd prints what it finds wrong with a file, besides raising it.
        sheet = xlrd.open_workbook(str(path), logfile=io.StringIO()).sheet_by_index(0)
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError, *XLS_DAMAGE) as error:
        raise SourceError(f"{path}: not a readable .xls workbook ({error}); fetch it again.") from error
    return [tuple(sheet.row_values(row)) for row in range(sheet.nrows)]


def sheet(sheets: dict[str, Rows], name: str, label: Path) -> Rows:
    """One sheet by name."""
    if name not in sheets:
        raise SourceError(f"{label}: no sheet {name!r}; it has {', '.join(list(sheets)[:8])} ...")
    return sheets[name]
