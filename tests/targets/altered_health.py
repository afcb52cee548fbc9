"""What the tests of health loaders share: members and cells of official files, altered, and figures by place."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd

RECEIVES = '[["person_receives_aca","==",1]]'


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    """A zip file of members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def member(path: Path, name: str) -> bytes:
    """The content of a member of a zip file."""
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def with_cell(content: bytes, sheet: str, cell: str, value: object) -> bytes:
    """A workbook with a value in a cell."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    book[sheet][cell] = value
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def values(figures: pd.DataFrame, variable: str, constraints: str = "[]") -> pd.Series[float]:
    """The values of a variable and domain by place."""
    rows = figures[(figures["variable"] == variable) & (figures["constraints"] == constraints)]
    return rows.set_index("geo_id")["value"]
