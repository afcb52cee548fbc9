"""Atomic files: a reader sees the old one or the new one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tessera.errors import StorageError, TargetError
from tessera.store import atomic_path, sha256_of, write_bytes, write_text


def test_a_file_is_replaced_whole_and_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    assert write_text(path, "eins") == path
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("zwei", encoding="utf-8")
        assert path.read_text(encoding="utf-8") == "eins"
    assert path.read_text(encoding="utf-8") == "zwei"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [TargetError("no"), KeyboardInterrupt(), StorageError("ours")])
def test_an_error_leaves_the_previous_file_and_no_other(tmp_path: Path, error: BaseException) -> None:
    path = write_text(tmp_path / "file.txt", "before")
    with pytest.raises(type(error)) as raised, atomic_path(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error
    assert raised.value is error
    assert path.read_text(encoding="utf-8") == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_errors_of_the_disk_name_file_cause_and_next_step(tmp_path: Path) -> None:
    blocked = write_text(tmp_path / "file", "in the way") / "below.txt"
    with pytest.raises(StorageError, match=r"below\.txt: cannot be written \(.*\); \d+ MB are free .* TESSERA_HOME"):
        write_bytes(blocked, b"x")
    with pytest.raises(StorageError, match=r"absent: cannot be read \(No such file"):
        sha256_of(tmp_path / "absent")


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    assert sha256_of(write_bytes(tmp_path / "file", content)) == hashlib.sha256(content).hexdigest()
