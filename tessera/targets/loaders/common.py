"""What the loaders share: reading tables, checking columns and rows, and turning published cells into numbers.

Holds no source. Every failure is a `SourceError` that names the file, the row or column, the value seen and what next.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import State, states

# Cells that a publisher writes instead of a number that it withholds or does not have.
SUPPRESSED = frozenset({"", "-888888888", "-666666666", "-999999999", "-222222222", "-555555555", "**", "*", "d", "(D)",
                        "--", "---", "X", "N/A", "NA", "nan", "None", "(X)", "+", "NR"})  # fmt: skip
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+(\.\d*)?")


def require_file(path: Path) -> Path:
    """The path itself if it is a file."""
    if not path.is_file():
        raise SourceError(f"{path}: no such file; wanted the official file as published. Fetch it and run again.")
    return path


def read_csv(path: Path, *, skiprows: int = 0) -> pd.DataFrame:
    """A CSV file with every cell as text (blank cells as ""), whatever its dtype."""
    return _parse_csv(require_file(path).read_bytes(), path, skiprows)


def read_zip_csv(path: Path, member: str) -> pd.DataFrame:
    """A CSV member of a zip file with every cell as text (blank cells as "")."""
    return _parse_csv(read_zip_member(path, member), path / member, 0)


def _parse_csv(content: bytes, label: Path, skiprows: int) -> pd.DataFrame:
    """A table of text. A file that is cut off, or whose cells do not stand below their headings, is refused."""
    if content.lstrip()[:1] == b"<":
        raise SourceError(
            f"{label}: an HTML or XML page; wanted the CSV file. The server may have refused: fetch again."
        )
    if b"\0" in content:
        raise SourceError(f"{label}: byte {content.index(0) + 1} is zero; wanted text. It is damaged: fetch it again.")
    # A number that is cut in two still reads as one; every file read here ends its last line.
    if content.strip() and not content.endswith((b"\n", b"\r")):
        raise SourceError(f"{label}: the last line has no end; wanted a line break. It is cut off: fetch it again.")
    try:
        frame = pd.read_csv(
            io.BytesIO(content), dtype=str, keep_default_na=False, skiprows=skiprows, encoding="utf-8-sig"
        )
        headings = next(csv.reader(io.StringIO(content.decode("utf-8-sig")).readlines()[skiprows:]), [])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{label}: not a readable CSV file ({error}); fetch it again.") from error
    # With a heading too few, the cells of the first column would become labels, and all others move by one.
    if not isinstance(frame.index, pd.RangeIndex):
        raise SourceError(
            f"{label}: rows have more cells than the {len(headings)} headings; wanted as many. Fetch the file again."
        )
    _require_unique(headings, label)
    return frame


def _require_unique(headings: Iterable[object], label: Path) -> None:
    """Raise if a heading is there twice, as either column could be meant. Columns without a heading are not read."""
    seen = [str(heading) for heading in headings]
    twice = sorted(heading for heading in set(seen) if heading and seen.count(heading) > 1)
    if twice:
        raise SourceError(
            f"{label}: {len(twice)} headings are there twice, the first {twice[0]!r}; wanted each once. Fetch the file "
            "again."
        )


def read_census_json(path: Path) -> pd.DataFrame:
    """A Census API answer (a list of rows, the first one the header) with every cell as text."""
    require_file(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SourceError(
            f"{path}: not JSON ({error}); the API answers HTML when it refuses a key: fetch again."
        ) from error
    if not isinstance(rows, list) or len(rows) < 2 or not all(isinstance(row, list) for row in rows):
        raise SourceError(f"{path}: wanted rows below a header row, as the Census API answers; fetch it again.")
    ragged = next((number for number, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if ragged is not None:
        raise SourceError(
            f"{path}: row {ragged} has {len(rows[ragged])} cells, the header has {len(rows[0])}; the file is truncated."
        )
    _require_unique(rows[0], path)
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

    A suppressed or blank cell raises: a loader that has a rule for one asks `is_suppressed` first. So does a comma that
    parts no thousands, which may be a decimal comma.
    """
    if is_suppressed(cell):
        raise SourceError(f"{path}: {where}: the cell is suppressed or blank ({cell!r}); wanted a number.")
    text = str(cell).strip().replace("$", "").strip('"')
    negative = text.startswith("(") and text.endswith(")")
    digits = text.strip("()")
    if "," in digits and not _THOUSANDS.fullmatch(digits):
        raise SourceError(f"{path}: {where}: {cell!r} has commas that do not part thousands; wanted a number.")
    try:
        value = float(digits.replace(",", ""))
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
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"{path}: not a whole zip file ({error}); fetch it again.") from error


def squash(text: object) -> str:
    """Text with runs of white space as one blank, for comparing headings of workbooks."""
    return re.sub(r"\s+", " ", str(text if text is not None else "")).strip()
