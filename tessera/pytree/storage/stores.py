"""Where tree files are: folders of this machine, or stores that fsspec knows (`memory://`, `s3://`, ...), as UPaths.

A `Source` gives bytes of a file by position; `written` takes a finished local file to its place. A reader of any store
sees the old file or the new one: local files are renamed, object stores replace an object with one request, all others
get a file of another name that is then moved.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, cast

from tessera.errors import StorageError
from tessera.store import atomic_path

if TYPE_CHECKING:
    from upath import UPath

    TreePath = Path | UPath

_WHOLE = 1 << 24  # a remote file up to this size is fetched with one request
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss"}


class Source(Protocol):
    """Bytes of an open file.

    Attributes:
        name: of the file, for messages.
        size: in bytes.
    """

    name: str
    size: int

    def fill(self, start: int, target: memoryview) -> None:
        """Fill `target` with the bytes from `start` on; zeros beyond the end. Any thread may call it."""
        ...


def as_path(path: TreePath | str | os.PathLike[str], **options: Any) -> TreePath:
    """The path of a file or folder, local or not.

    Args:
        path: text such as `out/tree.h5`, `file:///data/tree.h5`, `memory://a/tree.h5`, `s3://bucket/tree.h5`, a `Path`
            or a `UPath`.
        options: of the fsspec file system, where `path` is text with a protocol.

    Raises:
        StorageError: for a protocol that fsspec does not know, or whose package is not installed.
    """
    found: Any = path
    if isinstance(path, str) and "://" in path:
        from upath import UPath

        try:
            found = UPath(path, **options)
            _ = found.fs if is_remote(found) else None
        except (ValueError, ImportError) as error:
            raise StorageError(f"{path}: this store cannot be used ({error}). Install its fsspec package.") from error
    if is_remote(found):
        return cast("UPath", found)
    return Path(found.path if hasattr(found, "protocol") else found)


def is_remote(path: Any) -> bool:
    """Whether a path is in a store that is reached through fsspec."""
    return getattr(path, "protocol", "") not in ("", "file", "local")


def exists(path: TreePath) -> bool:
    """Whether there is a file; `StorageError` where a store cannot be asked."""
    try:
        return path.is_file()
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: the store cannot be asked ({_reason(error)}). Check its address.") from error


@contextmanager
def opened(path: TreePath) -> Iterator[Source]:
    """A file, open for reading; `StorageError` where it is missing or cannot be read."""
    if is_remote(path):
        yield _RemoteSource(path)
        return
    try:
        descriptor = os.open(str(path), os.O_RDONLY)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}). Materialise it first.") from error
    try:
        yield _LocalSource(path, descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def written(path: TreePath, *, durable: bool = True) -> Iterator[Path]:
    """A local temporary file; on leaving the block without an error it takes the place of `path`, at once and whole.

    Args:
        path: of the file to be; folders are made.
        durable: a local file is on the disk, not only in the system's memory, before it replaces the old one.

    Raises:
        StorageError: where it cannot be written; the old file is then intact.
    """
    if not is_remote(path):
        with atomic_path(Path(str(path)), durable=durable) as temporary:
            yield temporary
        return
    with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
        temporary = Path(folder) / "tree.h5"
        temporary.touch()
        yield temporary
        try:
            _upload(temporary, path)
        except (OSError, ValueError) as error:
            raise StorageError(
                f"{path}: cannot be written ({_reason(error)}). The previous file, if any, is intact. Check the "
                "store's address and credentials, then run again."
            ) from error


def _upload(local: Path, path: Any) -> None:
    files, place = path.fs, path.path
    if path.protocol in _OBJECT_STORES:  # these have no folders, and would make a bucket
        files.put_file(str(local), place)
        return
    files.makedirs(files._parent(place), exist_ok=True)
    beside = f"{files._parent(place)}/.{path.name}.{uuid.uuid4().hex}.part"
    try:
        files.put_file(str(local), beside)
        files.mv(beside, place)
    finally:
        if files.exists(beside):
            files.rm_file(beside)


class _LocalSource:
    """A file of this machine, read by position."""

    def __init__(self, path: TreePath, descriptor: int) -> None:
        self.name = str(path)
        self.size = os.fstat(descriptor).st_size
        self._descriptor = descriptor

    def fill(self, start: int, target: memoryview) -> None:
        done = 0
        try:
            while done < len(target) and (count := os.preadv(self._descriptor, [target[done:]], start + done)):
                done += count
        except OSError as error:
            raise StorageError(f"{self.name}: cannot be read ({error.strerror or error}).") from error
        target[done:] = bytes(len(target) - done)


class _RemoteSource:
    """A file of a store, read by ranges; a small one is fetched whole."""

    def __init__(self, path: Any) -> None:
        self.name = str(path)
        self._files, self._place = path.fs, path.path
        self._lock = None if getattr(self._files, "async_impl", False) else Lock()
        try:
            self.size = int(self._files.size(self._place) or 0)
        except (OSError, ValueError) as error:
            raise StorageError(f"{path}: cannot be read ({_reason(error)}). Materialise it first.") from error
        self._content = self._fetch(0, self.size) if self.size <= _WHOLE else None

    def fill(self, start: int, target: memoryview) -> None:
        stop = min(start + len(target), self.size)
        if start >= stop:
            content = b""
        elif self._content is None:
            content = self._fetch(start, stop)
        else:
            content = self._content[start:stop]
        target[: len(content)] = content
        target[len(content) :] = bytes(len(target) - len(content))

    def _fetch(self, start: int, stop: int) -> bytes:
        try:
            if self._lock is None:
                return bytes(self._files.cat_file(self._place, start=start, end=stop))
            with self._lock:
                return bytes(self._files.cat_file(self._place, start=start, end=stop))
        except (OSError, ValueError) as error:
            raise StorageError(f"{self.name}: cannot be read ({_reason(error)}).") from error


def _reason(error: Exception) -> str:
    """What went wrong, in words; fsspec often says nothing but the name of the file."""
    words = getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
