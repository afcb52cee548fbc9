"""Writing synthetic files so that the same draws give the same bytes: csv text, zips with fixed timestamps, marks.

Zip members are deflated with a fixed date (1980-01-01, the earliest that the format knows) and fixed permissions.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd

from tessera.sources.marks import MEMBER, NOTICE, write_mark
from tessera.store import atomic_path, sha256_of

_EPOCH = (1980, 1, 1, 0, 0, 0)


def csv_bytes(table: pd.DataFrame, *, separator: str = ",") -> bytes:
    """A table as delimited text, UTF-8, newline endings, no index."""
    return table.to_csv(index=False, sep=separator, lineterminator="\n").encode("utf-8")


def write_zip(path: Path, members: dict[str, bytes], *, writer: str, seed: int, settings: dict[str, int]) -> Path:
    """Write a zip of the given members and the notice, atomically, and its sidecar; returns the path."""
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, content in {**members, MEMBER: NOTICE.encode()}.items():
                info = zipfile.ZipInfo(name, date_time=_EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.external_attr = 0o644 << 16
                archive.writestr(info, content, compresslevel=4)
        write_mark(path, sha256=sha256_of(temporary), writer=writer, seed=seed, settings=settings)
    return path


def write_csv(
    path: Path, table: pd.DataFrame, *, writer: str, seed: int, settings: dict[str, int], separator: str = ","
) -> Path:
    """Write one delimited file, atomically, and its sidecar; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(csv_bytes(table, separator=separator))
        write_mark(path, sha256=sha256_of(temporary), writer=writer, seed=seed, settings=settings)
    return path
