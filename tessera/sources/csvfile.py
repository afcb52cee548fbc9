"""Reading the needed columns of official delimited files, plain, gzipped or as members of a zip, with errors that name
them.

Holds no knowledge of any source. Lines are counted as an editor counts them: the header is line 1. Only needed columns
are parsed; a column with implied decimals is divided. Every fault of a file becomes a `SourceError`.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import NOT_IN_UNIVERSE, Column

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile)
_CELLS = 20_000_000
_FETCH_AGAIN = "Delete it and fetch it again"


@dataclass(frozen=True)
class CsvTable:
    """A delimited file: a path and, within a zip, the member's name without folders."""

    path: Path
    member: str | None = None
    separator: str = ","

    def __str__(self) -> str:
        return f"{self.path} (member {self.member})" if self.member else str(self.path)


def require_file(path: Path, advice: str) -> None:
    """Refuse a path that is no file, with the next step in `advice`."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise SourceError(f"{path}: source file {what}. {advice}")


def members(path: Path) -> tuple[str, ...]:
    """Names, without folders, of the files in a zip. A damaged archive is refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(PurePosixPath(name).name for name in archive.namelist() if not name.endswith("/"))
    except _DAMAGE as error:
        raise _damaged(CsvTable(path), error) from error
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error}).") from error


@contextmanager
def open_table(table: CsvTable) -> Iterator[IO[bytes]]:
    """The bytes of a table; faults of the archive met while reading are raised as `SourceError`."""
    try:
        if table.member is not None:
            with zipfile.ZipFile(table.path) as archive, archive.open(_full_name(archive, table)) as handle:
                yield handle
        elif table.path.suffix == ".gz":
            with gzip.open(table.path, "rb") as handle:
                yield handle  # type: ignore[misc]
        else:
            with table.path.open("rb") as handle:
                yield handle
    except _DAMAGE as error:
        raise _damaged(table, error) from error
    except OSError as error:
        raise SourceError(f"{table}: cannot be read ({error.strerror or error}).") from error


def header(table: CsvTable) -> tuple[str, ...]:
    """Column names of a table in capitals, as in the catalogues; blanks and byte order mark removed."""
    return tuple(map(_plain, _written_names(table)))


def _written_names(table: CsvTable) -> tuple[str, ...]:
    with open_table(table) as handle:
        first = handle.readline().decode("utf-8-sig", errors="replace")
    names = tuple(name.strip('"') for name in first.rstrip("\r\n").split(table.separator))
    if names == ("",):
        raise SourceError(f"{table}: is empty; wanted a header line. {_FETCH_AGAIN}.")
    return names


def _plain(name: object) -> str:
    # The basic monthly CPS writes some years' names in small letters; other files put blanks before them.
    return str(name).strip().strip('"').upper()


def absent_columns(table: CsvTable, columns: Sequence[Column]) -> tuple[str, ...]:
    """Names of the optional columns that a table lacks.

    Raises:
        SourceError: it lacks a required one, or names one twice.
    """
    names = header(table)
    present = set(names)
    twice = [column.name for column in columns if names.count(column.name) > 1]
    if twice:
        raise SourceError(f"{table}: its header names {', '.join(twice)} twice; wanted once. {_FETCH_AGAIN}.")
    absent = [column for column in columns if column.name not in present]
    required = [column.name for column in absent if column.required]
    if required:
        raise SourceError(
            f"{table}: lacks the needed column(s) {', '.join(required)}; it has {len(present)} columns. "
            "Check that this is the file of the right source and year, or add the new name to the column catalogue."
        )
    return tuple(column.name for column in absent)


def read_table(table: CsvTable, columns: Sequence[Column]) -> pd.DataFrame:
    """The needed columns of a table: one row a record, columns in catalogue order, absent optional ones filled.

    Raises:
        SourceError: a required column is missing, a value is not of its kind (line named) or the file is damaged.
    """
    # The parser holds every cell of the rows at hand, wanted or not: wide files are read a part at a time.
    rows = max(1, _CELLS // len(header(table)))
    return pd.concat(read_chunks(table, columns, rows), ignore_index=True)


def read_chunks(table: CsvTable, columns: Sequence[Column], rows: int | None) -> Generator[pd.DataFrame, None, None]:
    """The same as `read_table`, `rows` records at a time (all at once for None), in bounded memory."""
    absent = set(absent_columns(table, columns))
    present = [column for column in columns if column.name not in absent]
    line = 2
    # The parser is closed before the file below it, also where a value is refused or the caller stops half-way.
    with open_table(table) as handle, closing(_parse(table, handle, present, rows)) as chunks:
        for raw in chunks:
            typed = {column.name: _typed(table, raw[column.name], column, line) for column in present}
            typed |= {name: pd.Series(NOT_IN_UNIVERSE, index=raw.index) for name in absent}
            yield pd.DataFrame(typed, columns=[column.name for column in columns])
            line += len(raw)


def coalesced(table: CsvTable, frame: pd.DataFrame, name: str, other: str) -> pd.DataFrame:
    """The frame with one column `name` for two spellings of different years; refuses a table that has neither."""
    present = set(header(table))
    if name not in present and other not in present:
        raise SourceError(
            f"{table}: lacks both {name} and {other}; wanted one of them. Check that this is the file of the right "
            f"source."
        )
    if name not in present:
        frame = frame.assign(**{name: frame[other]})
    return frame.drop(columns=other)


def unique_rows(table: CsvTable, frame: pd.DataFrame, keys: Sequence[str]) -> None:
    """Refuse a table in which two records share their key; names the key and both lines."""
    repeated = frame.duplicated(list(keys), keep=False).to_numpy()
    if not repeated.any():
        return
    first = int(np.flatnonzero(repeated)[0])
    same = (frame[list(keys)] == frame[list(keys)].iloc[first]).all(axis=1).to_numpy()
    lines = ", ".join(str(row + 2) for row in np.flatnonzero(same)[:3])
    value = ", ".join(f"{key} {frame[key].iloc[first]}" for key in keys)
    raise SourceError(f"{table}: {value} occurs on lines {lines}; wanted once. {_FETCH_AGAIN}.")


def refuse_zeros(table: CsvTable | Path, frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a file in which a weight or an amount is 0, blank or a code below 0 for everybody.

    Args:
        table: the file, for the message.
        frame: its records.
        names: columns that somebody must have.

    Raises:
        SourceError: a column of them is empty.
    """
    empty = [name for name in names if not (frame[name].fillna(0) > 0).any()]
    if len(frame) and empty:
        raise SourceError(
            f"{table}: column(s) {', '.join(empty)} are 0 or blank in all {len(frame):,} record(s); wanted some above "
            "0. The file was probably cut or changed: fetch it again."
        )


def _parse(
    table: CsvTable, handle: IO[bytes], columns: Sequence[Column], rows: int | None
) -> Generator[pd.DataFrame, None, None]:
    names = {column.name for column in columns}
    texts = {column.name for column in columns if column.kind == "text"}
    try:
        parsed = pd.read_csv(
            handle,
            sep=table.separator,
            usecols=lambda name: _plain(name) in names,
            dtype={written: str for written in _written_names(table) if _plain(written) in texts},
            encoding="utf-8-sig",
            chunksize=rows,
            low_memory=False,
            index_col=False,
        )
        if isinstance(parsed, pd.DataFrame):
            yield _stripped(parsed)
            return
        with parsed:
            for chunk in parsed:
                yield _stripped(chunk)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise SourceError(f"{table}: cannot be parsed ({error}). {_FETCH_AGAIN}.") from error


def _stripped(chunk: pd.DataFrame) -> pd.DataFrame:
    return chunk.rename(columns=_plain)


def _typed(table: CsvTable, values: pd.Series, column: Column, line: int) -> pd.Series:
    if column.kind == "text":
        return values.fillna("").astype(str)
    numbers = pd.to_numeric(values, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(dtype=np.float64))
    if column.kind == "float":
        bad = bad & values.notna().to_numpy()
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        value = values.iloc[row]
        seen = "a blank" if pd.isna(value) else repr(value) if isinstance(value, str) else str(value)
        wanted = "an integer" if column.kind == "int" else "a number"
        raise SourceError(
            f"{table}: line {row + line}, column {column.name} ({column.meaning}) holds {seen}; wanted {wanted}. "
            f"{int(bad.sum())} such value(s) in this part of the file. {_FETCH_AGAIN}."
        )
    if column.kind == "float" or column.decimals:
        value = numbers.astype(np.float64)
        # Negative values of such columns are codes ("not in universe"), never amounts.
        return value.where(value < 0, value / 10**column.decimals) if column.decimals else value
    return _integers(table, numbers, column, line)


def _integers(table: CsvTable, numbers: pd.Series, column: Column, line: int) -> pd.Series:
    whole = numbers.astype(np.int64)
    broken = (whole != numbers).to_numpy()
    if broken.any():
        row = int(np.flatnonzero(broken)[0])
        raise SourceError(
            f"{table}: line {row + line}, column {column.name} ({column.meaning}) holds {numbers.iloc[row]}; "
            f"wanted an integer. {_FETCH_AGAIN}."
        )
    return whole


def _full_name(archive: zipfile.ZipFile, table: CsvTable) -> str:
    for name in archive.namelist():
        if PurePosixPath(name).name == table.member:
            return name
    held = ", ".join(PurePosixPath(name).name for name in archive.namelist()) or "nothing"
    raise SourceError(
        f"{table.path}: has no member {table.member}; it holds {held}. Check that the archive is of the right "
        f"source and "
        "year, then fetch it again."
    )


def _damaged(table: CsvTable, error: Exception) -> SourceError:
    size = table.path.stat().st_size if table.path.exists() else 0
    return SourceError(
        f"{table}: the archive is truncated or damaged ({error}); it has {size:,} bytes. {_FETCH_AGAIN}."
    )
