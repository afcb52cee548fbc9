"""Writing HDF5 so that a full disk is an error: HDF5 itself ends the process, or hides the cause, when a flush fails.

Holds one context manager. HDF5 writes through a Python file that never fails in its face: the first error of the disk
is kept, what comes after it is not written, HDF5 closes in peace, and then the kept error is raised. Small pieces that
could not be written stay in memory, as HDF5 reads its own metadata back.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import h5py

_SMALL = 1 << 16


@contextmanager
def new_hdf5(path: Path, **options: Any) -> Iterator[h5py.File]:
    """A new HDF5 file, open for writing; an existing one is emptied.

    Args:
        path: of the file; whoever wants it whole or not at all gives a temporary one (`store.atomic_path`).
        options: of `h5py.File`.

    Raises:
        OSError: the disk is full or fails, raised when the block is left, whatever HDF5 made of it.
    """
    import h5py

    with path.open("w+b", buffering=0) as raw:
        sink = _Sink(raw)
        try:
            with h5py.File(sink, "w", **options) as file:
                yield file
        except (OSError, RuntimeError, ValueError, LookupError) as error:
            if sink.error is not None:
                raise sink.error from error
            raise
        if sink.error is not None:
            raise sink.error


class _Sink(io.RawIOBase):
    """A file that keeps the first error of a write instead of raising it, and drops the writes after it."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__()
        self.error: OSError | None = None
        self._raw = raw
        self._place = 0
        self._size = 0
        self._kept: dict[int, bytes] = {}

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def truncate(self, size: int | None = None) -> int:
        self._size = self._place if size is None else size
        self._attempt(lambda: self._raw.truncate(self._size))
        return self._size

    def write(self, data: Any) -> int:
        content = memoryview(data).cast("B")
        place, self._place = self._place, self._place + len(content)
        self._size = max(self._size, self._place)
        self._attempt(lambda: self._write_all(place, content))
        if self.error is not None and len(content) <= _SMALL:
            self._kept[place] = bytes(content)
        return len(content)

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        self._raw.seek(self._place)
        done = self._raw.readinto(target) or 0
        while 0 < done < len(target) and (more := self._raw.readinto(target[done:])):
            done += more
        target[done:] = bytes(len(target) - done)
        for place, content in self._kept.items():
            low, high = max(place, self._place), min(place + len(content), self._place + len(target))
            if low < high:
                target[low - self._place : high - self._place] = content[low - place : high - place]
        self._place += len(target)
        return len(target)

    def _write_all(self, place: int, content: memoryview) -> None:
        self._raw.seek(place)
        done = 0
        while done < len(content):
            done += self._raw.write(content[done:]) or 0

    def _attempt(self, step: Callable[[], object]) -> None:
        if self.error is not None:
            return
        try:
            step()
        except OSError as error:
            self.error = error
