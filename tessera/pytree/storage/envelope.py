"""The first 512 bytes of a tree file and the table at its end, so that no byte is used before it was checked.

    pytree-h5 2
    bytes 00000000000000123456
    table 00000000000000123000
    sha256 9f86...

as ASCII lines, padded with NUL: the size of the whole file, where the table begins, and the table's sha256. The table
has a line `length sha256` for each block of the file from byte 512 up to the table, and `length sha256 words` for each
piece of a large array, which is a block of its own; blocks have up to 4 MiB. All that HDF5 interprets is compared with
its sha256; the pieces of large arrays, which are only numbers, with sums of their words (`pieces.word_sums`),
unless the sha256 is asked for: SHA-256 takes three times as long as reading. HDF5 leaves this *user block* and what
follows its own end alone, and its tools open the file as any other. Version 1 had no table: the sha256 was that of
everything after the user block.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tessera.errors import StorageError
from tessera.pytree.storage.pieces import PIECE, Crew, digest
from tessera.pytree.storage.stores import Source

FORMAT = "pytree-h5"
VERSION = 2
SIZE = 512
_GAP = 1 << 20
_LAYOUT = re.compile(rb"pytree-h5 (\d{1,9})\n")
_VERSION_1 = re.compile(rb"pytree-h5 1\nbytes (\d{20})\nsha256 ([0-9a-f]{64})\n\0*\Z")
_VERSION_2 = re.compile(rb"pytree-h5 2\nbytes (\d{20})\ntable (\d{20})\nsha256 ([0-9a-f]{64})\n\0*\Z")
_TABLE = re.compile(rb"(?:[1-9]\d{0,6} [0-9a-f]{64}(?: [0-9a-f]{64})?\n)*\Z")


@dataclass(frozen=True)
class Block:
    """A part of a file: where it begins, how long it is, and its checksums; sums of words for large arrays only."""

    start: int
    length: int
    sha256: bytes
    words: bytes | None = None

    @property
    def line(self) -> bytes:
        """Its line in the table."""
        words = "" if self.words is None else f" {self.words.hex()}"
        return f"{self.length} {self.sha256.hex()}{words}\n".encode("ascii")


def seal(path: Path, known: Iterable[Block] = ()) -> int:
    """Finish a file: append the table, then write the user block.

    Args:
        path: a file of HDF5 with a user block, closed; an older table at its end is not looked for.
        known: blocks whose checksums are known already, in any order; all else is read and hashed.

    Returns:
        The size of the file.
    """
    with path.open("r+b", buffering=0) as file, Crew() as crew:
        end = file.seek(0, os.SEEK_END)
        blocks = sorted(known, key=lambda block: block.start)
        gaps = _gaps(blocks, end)
        found = crew.run(lambda start, length: digest(os.pread(file.fileno(), length, start)), gaps)
        blocks += [Block(start, length, of_gap) for (start, length), of_gap in zip(gaps, found, strict=True)]
        blocks.sort(key=lambda block: block.start)
        table = b"".join(block.line for block in blocks)
        lines = (
            f"{FORMAT} {VERSION}",
            f"bytes {end + len(table):020d}",
            f"table {end:020d}",
            f"sha256 {digest(table).hex()}\n",
        )
        for place, content in ((end, table), (0, "\n".join(lines).encode("ascii").ljust(SIZE, b"\0"))):
            file.seek(place)
            done = 0
            while done < len(content):
                done += file.write(content[done:])
    return end + len(table)


def _gaps(blocks: Sequence[Block], end: int) -> list[tuple[int, int]]:
    """(start, length) of what the blocks leave of the file, in parts of at most 1 MiB."""
    gaps, place = [], SIZE
    for start, length in [*((block.start, block.length) for block in blocks), (end, 0)]:
        gaps += [(at, min(_GAP, start - at)) for at in range(place, start, _GAP)]
        place = start + length
    return gaps


@dataclass(frozen=True)
class Layout:
    """What the user block and the table say.

    Attributes:
        version: of the format.
        blocks: of version 2, one after another from byte 512 on.
        sha256: of version 1, of everything after the user block; empty in version 2.
    """

    version: int
    blocks: tuple[Block, ...]
    sha256: str


def read_layout(source: Source) -> Layout:
    """Read the user block and the table.

    Raises:
        StorageError: for a foreign, truncated, altered or newer file, with what was seen and what to do.
    """
    head = _bytes(source, 0, SIZE)
    first, second = _VERSION_1.match(head), _VERSION_2.match(head)
    known = first or second
    if known is None or source.size < SIZE:
        raise StorageError(f"{source.name}: {_what_else(head, source.size)}")
    if int(known[1]) != source.size:
        raise StorageError(
            f"{source.name}: the file has {source.size} bytes, its first lines say {int(known[1])}; it was cut or "
            "extended. Materialise it again."
        )
    if second is None:
        return Layout(1, (), known[2].decode("ascii"))
    return Layout(2, tuple(_read_table(source, int(second[2]), second[3].decode("ascii"))), "")


def _read_table(source: Source, place: int, sha256: str) -> list[Block]:
    table = _bytes(source, place, source.size - place) if SIZE <= place <= source.size else b""
    if digest(table).hex() != sha256 or _TABLE.match(table) is None:
        raise StorageError(
            f"{source.name}: the table of {source.size - place} bytes at {place} differs from its sha256 {sha256}; the "
            "file was altered or damaged. Materialise it again."
        )
    blocks, start = [], SIZE
    for line in table.splitlines():
        length, of_block, *words = line.decode("ascii").split(" ")
        blocks.append(Block(start, int(length), bytes.fromhex(of_block), bytes.fromhex(words[0]) if words else None))
        start += int(length)
    if start != place or any(block.length > PIECE for block in blocks):
        raise StorageError(
            f"{source.name}: the blocks of the table end at {start}, and the table begins at {place}; it was forged."
        )
    return blocks


def _bytes(source: Source, start: int, length: int) -> bytes:
    content = bytearray(length)
    source.fill(start, memoryview(content))
    return bytes(content)


def _what_else(head: bytes, size: int) -> str:
    version = _LAYOUT.match(head)
    if version is not None and int(version[1]) > VERSION:
        return (
            f"written in {FORMAT} version {int(version[1])}; this tessera reads up to version {VERSION}. "
            "Upgrade tessera, or materialise the file with this version."
        )
    if version is not None:
        return f"the first {SIZE} bytes are damaged or cut ({size} bytes in all). Materialise the file again."
    return (
        f"not a {FORMAT} file ({size} bytes, beginning with {head[: min(12, size)]!r}); wanted one written by "
        "dump_tree. Check the path, or materialise the asset again."
    )
