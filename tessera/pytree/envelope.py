"""The first 512 bytes of a tree file: what it is, how long and which sha256, so that HDF5 never meets damage.

    pytree-h5 1
    bytes 00000000000000123456
    sha256 9f86...

as ASCII lines, padded with NUL. HDF5 leaves this *user block* alone, and its tools open the file as any other. The size
is that of the whole file, the sha256 that of everything after the block.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tessera.errors import StorageError

FORMAT = "pytree-h5"
VERSION = 1
SIZE = 512
_BLOCK = 1 << 20
_LAYOUT = re.compile(rb"pytree-h5 (\d{1,9})\n")
_VERSION_1 = re.compile(rb"pytree-h5 1\nbytes (\d{20})\nsha256 ([0-9a-f]{64})\n\0*\Z")


def seal(path: Path) -> None:
    """Write the block of a finished file."""
    digest, size = _measure(path)
    text = f"{FORMAT} {VERSION}\nbytes {size:020d}\nsha256 {digest}\n".encode("ascii")
    with path.open("r+b") as file:
        file.write(text.ljust(SIZE, b"\0"))


def check(path: Path, *, digest: bool) -> None:
    """Refuse what is not a complete file of ours.

    Args:
        path: the file.
        digest: also compare the sha256 of the whole file.

    Raises:
        StorageError: for a missing, foreign, truncated, altered or newer file, with what was seen and what to do.
    """
    try:
        with path.open("rb") as file:
            block = file.read(SIZE)
        size = path.stat().st_size
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}). Materialise it first.") from error
    known = _VERSION_1.match(block)
    if known is None or len(block) < SIZE:
        raise StorageError(f"{path}: {_what_else(block, size)}")
    if int(known[1]) != size:
        raise StorageError(
            f"{path}: the file has {size} bytes, its first lines say {int(known[1])}; it was cut or extended. "
            "Materialise it again."
        )
    if digest:
        found, _ = _measure(path)
        if found != known[2].decode("ascii"):
            raise StorageError(
                f"{path}: the contents have the sha256 {found}, the first lines say {known[2].decode('ascii')}; the "
                "file was altered or damaged. Materialise it again."
            )


def _what_else(block: bytes, size: int) -> str:
    version = _LAYOUT.match(block)
    if version is not None and int(version[1]) > VERSION:
        return (
            f"written in {FORMAT} version {int(version[1])}; this tessera reads up to version {VERSION}. "
            "Upgrade tessera, or materialise the file with this version."
        )
    if version is not None:
        return f"the first {SIZE} bytes are damaged or cut ({size} bytes in all). Materialise the file again."
    return (
        f"not a {FORMAT} file ({size} bytes, beginning with {block[:12]!r}); wanted one written by dump_tree. "
        "Check the path, or materialise the asset again."
    )


def _measure(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), SIZE
    try:
        with path.open("rb") as file:
            file.seek(SIZE)
            while chunk := file.read(_BLOCK):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return digest.hexdigest(), size
