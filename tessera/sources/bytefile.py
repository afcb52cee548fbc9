"""Columns of very long delimited files as fixed-width bytes, chunk by chunk: no Python object is made a value.

For files of millions of lines and short codes (census blocks), where a table of strings would take gigabytes. Holds no
knowledge of any source; `csvfile` reads typed columns of smaller files. A chunk of bytes is searched for newlines and
separators with NumPy; the fields wanted are gathered into arrays of dtype `S{width}`, blanks around them removed.
Quoting is not known: no file that is read here quotes.

Every fault is a `SourceError` that names the line: another number of fields (a truncated file ends in such a line), a
value that is too long, or a byte that is not ASCII in a field that is wanted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.errors import SourceError
from tessera.sources.csvfile import CsvTable, header, open_table

Bytes = npt.NDArray[np.bytes_]
Positions = npt.NDArray[np.int64]
_CHUNK_BYTES = 16 << 20
_NEWLINE, _BLANK = 10, 32


@dataclass(frozen=True)
class Layout:
    """Where the wanted fields of a line are.

    Attributes:
        position: index of each wanted field, from 0.
        n_fields: fields of every line.
        has_header: whether the first line holds names.
    """

    position: Mapping[str, int]
    n_fields: int
    has_header: bool


@dataclass(frozen=True)
class Chunk:
    """Some consecutive lines: wanted fields, each of shape (n_lines,), and the number of the first line."""

    fields: Mapping[str, Bytes]
    first_line: int


def layout_of(table: CsvTable, wanted: Mapping[str, str]) -> Layout:
    """The layout of a file with a header line.

    Args:
        table: the file.
        wanted: name to use -> name in the header, in which blanks and a byte order mark do not count.

    Raises:
        SourceError: the header lacks a name.
    """
    names = header(table)
    absent = [name for name in wanted.values() if name not in names]
    if absent:
        raise SourceError(
            f"{table}: its header lacks {', '.join(absent)}; wanted {table.separator.join(wanted.values())}, found "
            f"{table.separator.join(names)[:120]!r}. Check that this is the file of the right source and vintage."
        )
    return Layout({use: names.index(name) for use, name in wanted.items()}, len(names), has_header=True)


def read_bytes_of(
    table: CsvTable, layout: Layout, widths: Mapping[str, int], only: tuple[str, frozenset[bytes]] | None = None
) -> Generator[Chunk, None, None]:
    """The wanted fields of all lines, in chunks of some megabytes.

    Args:
        table: the file; ends of lines may be \\n or \\r\\n.
        layout: where its fields are.
        widths: longest value allowed in each wanted field, bytes.
        only: a field and the values of it to keep; `first_line` of a chunk is that of its first line kept or not.

    Raises:
        SourceError: see the module's description.
    """
    line = 1
    skip = layout.has_header
    for data in _whole_lines(table):
        first = line
        line += data.count(b"\n")
        text = data.replace(b"\r\n", b"\n") if b"\r" in data else data
        if skip:
            text, first, skip = text[text.index(b"\n") + 1 :], first + 1, False
        if text:
            yield Chunk(_fields_of(table, text, layout, widths, only, first), first)


def whole_numbers(values: Bytes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Decimal numbers of up to 18 digits, and which of the values are such numbers (a blank is not); both (n,)."""
    width = values.dtype.itemsize
    digits = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), width)
    number = np.zeros(len(values), dtype=np.int64)
    good = digits[:, 0] != 0 if width else np.zeros(len(values), dtype=bool)
    for column in range(width):
        digit = digits[:, column]
        inside = digit != 0
        number = np.where(inside, number * 10 + (digit.astype(np.int64) - 48), number)
        good &= ~inside | ((digit >= 48) & (digit <= 57))
    return number, good


def _whole_lines(table: CsvTable) -> Iterator[bytes]:
    """The bytes of a file in pieces that end with a newline."""
    rest = b""
    with open_table(table) as handle:
        while read := handle.read(_CHUNK_BYTES):
            data = rest + read
            cut = data.rfind(b"\n") + 1
            rest = data[cut:]
            if cut:
                yield data[:cut]
    if rest:
        yield rest + b"\n"


def _fields_of(
    table: CsvTable,
    text: bytes,
    layout: Layout,
    widths: Mapping[str, int],
    only: tuple[str, frozenset[bytes]] | None,
    line: int,
) -> dict[str, Bytes]:
    buffer = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(buffer == _NEWLINE)
    starts = np.append(0, ends[:-1] + 1)
    rows: Positions = np.flatnonzero(ends > starts)  # a file may end in an empty line
    starts, ends = starts[rows], ends[rows]
    separators = _separators(table, buffer, starts, ends, layout, line + rows)
    if only is not None:
        name, values = only
        span = _span(starts, ends, separators, layout, name)
        found = _gather(table, buffer, *span, widths[name], name, line + rows)
        kept = np.flatnonzero(np.isin(found, np.array(sorted(values), dtype=found.dtype)))
        starts, ends, separators, rows = starts[kept], ends[kept], separators[kept], rows[kept]
    return {
        name: _gather(table, buffer, *_span(starts, ends, separators, layout, name), width, name, line + rows)
        for name, width in widths.items()
    }


def _separators(
    table: CsvTable, buffer: npt.NDArray[np.uint8], starts: Positions, ends: Positions, layout: Layout, lines: Positions
) -> Positions:
    """Positions of the separators of each line, shape (n_lines, n_fields - 1)."""
    wanted = layout.n_fields - 1
    found = np.flatnonzero(buffer == ord(table.separator))
    if len(found) == wanted * len(ends):
        grid = found.reshape(len(ends), wanted)
        if wanted == 0 or ((grid[:, 0] >= starts) & (grid[:, -1] < ends)).all():
            return grid
    counts = np.searchsorted(found, ends) - np.searchsorted(found, starts)
    row = int(np.flatnonzero(counts != wanted)[0])
    seen = bytes(buffer[starts[row] : ends[row]])[:60].decode("ascii", errors="replace")
    raise SourceError(
        f"{table}: line {lines[row]} has {counts[row] + 1} field(s); wanted {layout.n_fields}. It begins {seen!r}. The "
        "file is truncated, damaged or of another source: delete it and fetch it again."
    )


def _span(
    starts: Positions, ends: Positions, separators: Positions, layout: Layout, name: str
) -> tuple[Positions, Positions]:
    index = layout.position[name]
    first = starts if index == 0 else separators[:, index - 1] + 1
    return first, ends if index == layout.n_fields - 1 else separators[:, index]


def _gather(
    table: CsvTable,
    buffer: npt.NDArray[np.uint8],
    first: Positions,
    stop: Positions,
    width: int,
    name: str,
    lines: Positions,
) -> Bytes:
    """The bytes from `first` to `stop` of each line as an array of dtype S{width}."""
    length = stop - first
    offset = np.arange(width)
    taken = buffer[np.minimum(first[:, None] + offset, len(buffer) - 1)]
    taken[offset >= length[:, None]] = 0
    bad = (length > width) | (taken > 127).any(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        seen = repr(bytes(buffer[first[row] : stop[row]])[:60])[1:]
        raise SourceError(
            f"{table}: line {lines[row]}, field {name} holds {seen}; wanted at most {width} ASCII "
            "characters. Check that this is the file of the right source and vintage, or fetch it again."
        )
    values: Bytes = taken.view(f"S{width}").reshape(-1)
    blank = (taken == _BLANK).any()
    return np.char.strip(values).astype(f"S{width}") if blank else values
