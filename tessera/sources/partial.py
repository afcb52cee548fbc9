"""The bytes of a download that is under way: kept when it stops, hashed as they come, held by one process at a time.

Beside the file `name` lie, until it is complete, `.name.part` (its first bytes) and `.name.part.json` (what the server
said of it, and a checkpoint: how many of the bytes are sure, and their sha256). The checkpoint is written every few
megabytes and when a transfer ends, for whatever reason. Bytes after it, or bytes that no longer have its sha256 (a
crash of the machine), are dropped, so that a download goes on only from bytes that are known to be right.

The part itself carries the lock (`flock`): no lock file is left behind. Whoever waited finds the part renamed, and
looks whether the file is there now. `store.atomic_path` is not used, since an unfinished file must outlive its process;
what readers see, the file itself, still appears in one step.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path

from tessera.errors import StorageError
from tessera.store import atomic_path

_LOG = logging.getLogger(__name__)
_CHECKPOINT_BYTES = 4 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Origin:
    """What a server says of a file.

    Attributes:
        url: address that was asked for.
        etag, modified: headers `ETag` (strong ones only) and `Last-Modified`, "" where it has none.
        length: bytes of the whole file, -1 if unknown.
    """

    url: str
    etag: str = ""
    modified: str = ""
    length: int = -1

    @property
    def validator(self) -> str:
        """What `If-Range` is to hold, "" if the server gives nothing to tell one version from another."""
        return self.etag or self.modified

    def agrees_with(self, other: Origin) -> bool:
        """Whether both can be of one version: nothing that both know differs."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified))
        lengths = {self.length, other.length} - {-1}
        return len(lengths) < 2 and all(one == two for one, two in pairs if one and two)


class PartialFile:
    """The first bytes of a file, and what is known of the rest. Made by `hold`.

    Attributes:
        target: the file that is wanted.
        path: of the bytes at hand.
        size: how many there are.
        origin: the version that they are of.
        resumed: whether some of them came with an earlier answer than the last.
    """

    def __init__(self, target: Path, handle: FileIO) -> None:
        self.target, self.path = target, part_of(target)
        self.size = 0
        self.origin = Origin("")
        self.resumed = False
        self._handle, self._digest = handle, hashlib.sha256()
        self._checked = 0
        self._take_up()

    def continues(self) -> None:
        """The bytes to come are of the same version as those at hand, and follow them."""
        self.resumed = self.resumed or self.size > 0

    def restart(self, origin: Origin) -> None:
        """Drop all bytes: those to come are of another version, or come from the start."""
        self._cut(0)
        self._digest, self.origin, self.resumed = hashlib.sha256(), origin, False

    def append(self, chunk: bytes) -> None:
        """Add bytes at the end.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[self._handle.write(rest) :]
        except OSError as error:
            raise _storage_error(self.path, error) from error
        self._digest.update(chunk)
        self.size += len(chunk)
        if self.size - self._checked >= _CHECKPOINT_BYTES:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Write down how far the bytes are sure."""
        stored = {**asdict(self.origin), "bytes": self.size, "sha256": self.sha256()}
        try:
            with atomic_path(_note_of(self.target), durable=False) as temporary:
                temporary.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        except OSError as error:
            raise _storage_error(self.path, error) from error
        self._checked = self.size

    def sha256(self) -> str:
        """sha256 of the bytes at hand, in hexadecimal."""
        return self._digest.hexdigest()

    def complete(self) -> None:
        """Put the bytes in place as the file: synced, and in one step."""
        try:
            os.fsync(self._handle.fileno())
            _note_of(self.target).unlink(missing_ok=True)
            self.path.replace(self.target)
            descriptor = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _storage_error(self.target, error) from error

    def discard(self) -> None:
        """Remove the bytes and what is known of them."""
        self.restart(Origin(""))
        _note_of(self.target).unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def _take_up(self) -> None:
        """Go on from the checkpoint, if the bytes before it are as they were."""
        origin, size, sha256 = _read_note(_note_of(self.target))
        digest, left = hashlib.sha256(), size
        self._handle.seek(0)
        while left > 0 and (chunk := self._handle.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
        if size > 0 and left == 0 and digest.hexdigest() == sha256:
            self._cut(size)
            self._digest, self.origin, self.resumed = digest, origin, True
        else:
            self._cut(0)

    def _cut(self, size: int) -> None:
        try:
            self._handle.truncate(size)
            self._handle.seek(size)
        except OSError as error:
            raise _storage_error(self.path, error) from error
        self.size = self._checked = size


@contextmanager
def hold(target: Path) -> Iterator[PartialFile]:
    """The unfinished bytes of a file, held by this process alone; waits for another that has them.

    On leaving, what has come is kept and a checkpoint written, unless `complete` or `discard` took the bytes away. A
    part without bytes is removed.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    handle = _lock(target)
    with handle:
        part = PartialFile(target, handle)
        try:
            yield part
        except BaseException:
            with suppress(StorageError):  # of a full disk, which is what is being told
                _leave(part, handle)
            raise
        _leave(part, handle)


def part_of(target: Path) -> Path:
    """Where the first bytes of a file lie until it is complete."""
    return target.with_name(f".{target.name}.part")


def _note_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.part.json")


def _lock(target: Path) -> FileIO:
    path = part_of(target)
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = path.open("a+b", buffering=0)
        except OSError as error:
            raise _storage_error(path, error) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                _LOG.info("%s: another process is downloading it; waiting for it", target.name)
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Who had it may have renamed or removed it: then what is locked here is no longer the part.
            if _is_at(path, handle):
                return handle
        except BaseException:
            handle.close()
            raise
        handle.close()


def _leave(part: PartialFile, handle: FileIO) -> None:
    if not _is_at(part.path, handle):
        return
    if part.size:
        part.checkpoint()
    else:
        part.discard()


def _is_at(path: Path, handle: FileIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _read_note(path: Path) -> tuple[Origin, int, str]:
    """Origin, size and sha256 of the checkpoint; size 0 where there is none that can be read."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        origin = Origin(str(stored["url"]), str(stored["etag"]), str(stored["modified"]), int(stored["length"]))
        return origin, int(stored["bytes"]), str(stored["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return Origin(""), 0, ""


def _storage_error(path: Path, error: OSError) -> StorageError:
    if isinstance(error, StorageError):
        return error
    wanted = "Free space" if error.errno == errno.ENOSPC else "Check the folder's permissions"
    return StorageError(
        f"{path}: cannot be written ({error.strerror or error}). What has come so far is kept. {wanted}, or set "
        "TESSERA_HOME to another disk, and run again."
    )
