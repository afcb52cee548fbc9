"""Writing files so that nothing is ever half-written: write beside, fsync, rename. And their sha256.

Holds no formats. A reader sees the old file or the new one, whatever moment the writer is killed at.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.errors import StorageError

_CHUNK = 1 << 20


@contextmanager
def atomic_path(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`; on leaving the block without an error it is fsynced and renamed to `path`.

    With `durable=False` it is renamed without waiting for the disk: a loss of power may then lose the file, and what it
    replaced. On an error the temporary file is removed and `path` is as it was. A full disk or a folder that cannot be
    written raises `StorageError` naming the file and the free space.
    """
    temporary = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        if durable:
            _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        if durable:
            _sync(path.parent)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise StorageError(
            f"{path}: cannot be written ({error.strerror or error}); {_free_space(path)}. "
            "The previous file, if any, is intact. Free space or set TESSERA_HOME to another disk, then run again."
        ) from error
    finally:
        if temporary != path:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> Path:
    """Write bytes atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return path


def write_text(path: Path, content: str) -> Path:
    """Write text as UTF-8 atomically; returns the path."""
    return write_bytes(path, content.encode("utf-8"))


def sha256_of(path: Path) -> str:
    """sha256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while chunk := handle.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return digest.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_space(path: Path) -> str:
    existing = next((folder for folder in path.parents if folder.exists()), Path("/"))
    status = os.statvfs(existing)
    return f"{status.f_bavail * status.f_frsize / 1e6:.0f} MB are free there"
