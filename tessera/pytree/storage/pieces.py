"""Bytes of arrays in pieces of 4 MiB, so that several threads hash, write and read them. Knows no trees and no files.

SHA-256 is sequential: 1 GB takes half a second however many cores there are. An array of more than `LARGE` bytes is
therefore hashed piece by piece, and the sha256 of its pieces stand for it. `hashlib`, `pread` and `pwrite` let other
threads run meanwhile.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

LARGE = 1 << 16
PIECE = 1 << 22
_ROW = 512
_ROW_BYTES = 8 * _ROW
_MOST_THREADS = 8

T = TypeVar("T")


def bytes_of(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of a C-contiguous array, without a copy."""
    return array.reshape(-1).view(np.uint8).data


def cuts(nbytes: int) -> list[tuple[int, int]]:
    """Where pieces begin and end: (0, 4 MiB), (4 MiB, 8 MiB), ...; the last one may be shorter."""
    return [(start, min(start + PIECE, nbytes)) for start in range(0, nbytes, PIECE)]


@dataclass(frozen=True)
class PieceSums:
    """The checksums of a piece: one tells contents apart, the other finds damage in a tenth of the time."""

    sha256: bytes
    words: bytes


def sums(content: memoryview) -> PieceSums:
    """Both checksums of a piece."""
    return PieceSums(digest(content), word_sums(content))


def word_sums(content: memoryview) -> bytes:
    """A checksum at the speed of memory: the sha256 of the sums of all rows and of all columns of a piece, 32 bytes.

    Rows are 512 words of 64 bits, little-endian, the last one padded with zeros; sums are modulo 2^64. Any change in
    a row (4 KiB) or within a column, and any change of fewer than four words changes some sum: to leave all as
    they were, each row and each column that is touched needs two altered words that make up for each other.
    """
    whole = len(content) // _ROW_BYTES * _ROW_BYTES
    rows = np.frombuffer(content[:whole], dtype="<u8").reshape(-1, _ROW)
    by_row, by_column = rows.sum(axis=1, dtype=np.uint64), rows.sum(axis=0, dtype=np.uint64)
    if whole < len(content):
        last = np.frombuffer(bytes(content[whole:]).ljust(_ROW_BYTES, b"\0"), dtype="<u8")
        by_row, by_column = np.append(by_row, last.sum(dtype=np.uint64)), by_column + last
    return digest(np.concatenate([by_row, by_column]).astype("<u8").tobytes())


def digest(content: bytes | memoryview) -> bytes:
    """sha256, 32 bytes."""
    return hashlib.sha256(content).digest()


class Crew:
    """Threads that are started with the first task and gone when the block is left. One a dump or load.

    A thread more than there are cores hides waiting for the disk; more than eight gain nothing.
    """

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, task: Callable[..., T], *arguments: Any) -> Future[T]:
        """Run a task in some thread; `.result()` waits for it and raises what it raised."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(min(_MOST_THREADS, _cores()), thread_name_prefix="tessera-pieces")
        return self._pool.submit(task, *arguments)

    def run(self, task: Callable[..., T], argument_lists: Iterable[tuple[Any, ...]]) -> list[T]:
        """Run a task for each list of arguments; the results in order."""
        return [future.result() for future in [self.start(task, *arguments) for arguments in argument_lists]]

    def digests(self, content: memoryview) -> list[bytes]:
        """sha256 of each piece of some bytes."""
        pieces = cuts(len(content))
        if len(pieces) == 1:
            return [digest(content)]
        return self.run(digest, [(content[start:stop],) for start, stop in pieces])


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
