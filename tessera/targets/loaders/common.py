"""What the loaders share: reading tables, checking columns and rows, and turning published cells into numbers.

Holds no source. Every failure is a `SourceError` that names the file, the row or column, the value seen and what next.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import State, states

# Cells that a publisher writes instead of a number that it withholds or does not have.
SUPPRESSED = frozenset({"", "-888888888", "-666666666", "-999999999", "-222222222", "-555555555", "**", "*", "d", "(D)",
                        "--", "---", "X", "N/A", "NA", "nan", "None", "(X)", "+", "NR"})  # fmt: skip


def require_file(path: Path) -> Path:
    """The path itself if it is a file."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file; wanted the official file as published. Fetch it and run again.")
    return path


def read_csv(path: Path, *, skiprows: int = 0) -> pd.DataFrame:
    """A CSV file with every cell as text (blank cells as ""), whatever its dtype."""
    return _parse_csv(require_file(path), path, skiprows)


def read_zip_csv(path: Path, member: str) -> pd.DataFrame:
    """A CSV member of a zip file with every cell as text (blank cells as "")."""
    return _parse_csv(io.BytesIO(read_zip_member(path, member)), path / member, 0)


def _parse_csv(source: Path | io.BytesIO, label: Path, skiprows: int) -> pd.DataFrame:
    try:
        return pd.read_csv(source, dtype=str, keep_default_na=False, skiprows=skiprows, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{label}: not a readable CSV file ({error}); fetch it again.") from error


def read_census_json(path: Path) -> pd.DataFrame:
    """A Census API answer (a list of rows, the first one the header) with every cell as text."""
    require_file(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: not JSON ({error}); the API answers HTML when it refuses a key: fetch again."
        ) from error
    if not isinstance(rows, list) or len(rows) < 2 or not isinstance(rows[0], list):
        raise SourceError(f"{path}: wanted rows below a header row, as the Census API answers; fetch it again.")
    ragged = next((number for number, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if ragged is not None:
        raise SourceError(
            f"{path}: row {ragged} has {len(rows[ragged])} cells, the header has {len(rows[0])}; the file is truncated."
        )
    return pd.DataFrame(rows[1:], columns=rows[0])


def require_columns(frame: pd.DataFrame, columns: Iterable[str], path: Path) -> None:
    """Raise if the table lacks a column."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise SourceError(
            f"{path}: column {missing[0]!r} is missing ({len(missing)} in all); it has {len(frame.columns)} columns, "
            f"{', '.join(map(str, frame.columns[:6]))} ... It may be another vintage: fetch the stated one."
        )


def require_each_once(keys: Iterable[Any], wanted: Iterable[Any], path: Path, what: str) -> None:
    """Raise if a wanted key is missing, twice there, or unknown."""
    seen = list(keys)
    expected = set(wanted)
    twice = sorted({str(key) for key in seen if seen.count(key) > 1}) if len(set(seen)) < len(seen) else []
    missing = sorted(str(key) for key in expected - set(seen))
    unknown = sorted(str(key) for key in set(seen) - expected)
    for label, found in (("is there twice", twice), ("is missing", missing), ("is unknown", unknown)):
        if found:
            raise SourceError(
                f"{path}: {what} {found[0]} {label} ({len(found)} such in all); wanted each of {len(expected)} once. "
                "Fetch the file again; if the publisher changed the table, the loader has to follow."
            )


def number(cell: object, path: Path, where: str, *, minimum: float | None = None) -> float:
    """A published cell as a number: thousands separators, dollar signs and brackets for negatives are understood.

    A suppressed or blank cell raises: a loader that has a rule for one asks `is_suppressed` first.
    """
    if is_suppressed(cell):
        raise SourceError(f"{path}: {where}: the cell is suppressed or blank ({cell!r}); wanted a number.")
    text = str(cell).strip().replace(",", "").replace("$", "").strip('"')
    negative = text.startswith("(") and text.endswith(")")
    try:
        value = float(text.strip("()"))
    except ValueError as error:
        raise SourceError(f"{path}: {where}: {cell!r} is not a number.") from error
    value = -value if negative else value
    if not math.isfinite(value) or (minimum is not None and value < minimum):
        raise SourceError(f"{path}: {where}: {cell!r} is out of range; wanted a finite number of at least {minimum}.")
    return value


def is_suppressed(cell: object) -> bool:
    """Whether the publisher put a mark, or nothing, in place of the number."""
    return cell is None or str(cell).strip() in SUPPRESSED


def state_by_name(name: str, path: Path) -> State:
    """The state with an official name, whatever its case."""
    found = {state.name.upper(): state for state in states()}.get(name.strip().upper())
    if found is None:
        raise SourceError(f"{path}: no state is called {name!r}; wanted one of the 50 states or District of Columbia.")
    return found


def read_zip_member(path: Path, member: str) -> bytes:
    """The bytes of a member of a zip file."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            if member not in archive.namelist():
                raise SourceError(
                    f"{path}: no member {member!r}; the last of {len(archive.namelist())} are "
                    f"{', '.join(archive.namelist()[-4:])}."
                )
            return archive.read(member)
    except zipfile.BadZipFile as error:
        raise SourceError(f"{path}: not a whole zip file ({error}); fetch it again.") from error


def squash(text: object) -> str:
    """Text with runs of white space as one blank, for comparing headings of workbooks."""
    return re.sub(r"\s+", " ", str(text if text is not None else "")).strip()
