"""Edits of donor files that tests break on purpose: functions of the members of a zip, by name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

Edit = Callable[[dict[str, bytes]], dict[str, bytes]]
Edited = Callable[[Path, Edit], Path]


def members_of(archive: zipfile.ZipFile) -> list[str]:
    return [name for name in archive.namelist() if name.startswith("psam")]


def replaced(column: str, value: str) -> Edit:
    """An edit that writes one value into a column of the first record of every member."""

    def edit(held: dict[str, bytes]) -> dict[str, bytes]:
        changed = {}
        for name, text in held.items():
            rows = text.decode().split("\n")
            separator = "|" if "|" in rows[0] else ","
            if column in (header := rows[0].split(separator)):
                fields = rows[1].split(separator)
                fields[header.index(column)] = value
                rows[1] = separator.join(fields)
            changed[name] = "\n".join(rows).encode()
        return changed

    return edit


def zeros(column: str) -> Edit:
    """An edit that writes 0 into a column of every record."""

    def edit(held: dict[str, bytes]) -> dict[str, bytes]:
        changed = {}
        for name, text in held.items():
            header = text.split(b"\n", 1)[0].decode()
            separator = "|" if "|" in header else ","
            if column not in header.split(separator):
                changed[name] = text
                continue
            table = pd.read_csv(io.BytesIO(text), sep=separator, dtype=str, keep_default_na=False)
            changed[name] = table.assign(**{column: "0"}).to_csv(index=False, sep=separator).encode()
        return changed

    return edit
