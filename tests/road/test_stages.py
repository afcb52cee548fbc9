"""Stored stages: used again for equal inputs, made anew for others or if damaged, whole or not there after a kill."""

from __future__ import annotations

import errno
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera import store as storage
from tessera.errors import StorageError
from tessera.pytree.storage import fingerprint
from tessera.road.stages import StageStore, difference

ROOT = Path(__file__).resolve().parents[2]


class Made:
    """Makes values, and counts how often it was asked."""

    def __init__(self, value: Any) -> None:
        self.value, self.calls = value, 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.value


def stages(folder: Path) -> StageStore:
    return StageStore(folder, 2)


def test_equal_inputs_are_not_made_twice(tmp_path: Path) -> None:
    make = Made({"x": np.arange(5)})
    first = stages(tmp_path).stage("frame", {"seed": 1}, make)
    again = stages(tmp_path).stage("frame", {"seed": 1}, make)
    assert (make.calls, first.reused, again.reused) == (1, False, True)
    assert first.sha256 == again.sha256 == fingerprint.tree_sha256(make.value)
    np.testing.assert_array_equal(again.value["x"], np.arange(5))


def test_other_inputs_are_named_and_equal_values_keep_their_hash(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make = Made([1.5])
    first = stages(tmp_path).stage("frame", {"seed": 1, "base": "a" * 64}, make)
    with caplog.at_level(logging.INFO, logger="tessera"):
        second = stages(tmp_path).stage("frame", {"seed": 2, "base": "a" * 64}, make)
    assert make.calls == 2 and not second.reused
    assert second.sha256 == first.sha256
    assert "frame: making it; the stored one was made from other inputs: seed was 1, is 2" in caplog.text
    assert difference({"a": "b" * 64}, {"c": True}) == "a was bbbbbbbbbbbbbbbb, is not there; c was not there, is True"


def test_a_stage_that_was_altered_is_made_anew(tmp_path: Path) -> None:
    make = Made({"path": "there"})
    stages(tmp_path).stage("package", {}, make)
    seen = []
    for answer in ("", "its file is gone"):
        stages(tmp_path).stage("package", {}, make, lambda value, answer=answer: seen.append(value) or answer)
    assert seen == [make.value, make.value]
    assert make.calls == 2


def test_a_damaged_stage_is_made_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make = Made(np.arange(100_000))
    path = stages(tmp_path).stage("frame", {}, make).path
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.INFO, logger="tessera"):
        stages(tmp_path).stage("frame", {}, make)
    assert make.calls == 2 and path.read_bytes() == whole
    assert "the stored one cannot be read" in caplog.text


def test_a_full_disk_leaves_the_stage_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stages(tmp_path).stage("frame", {"seed": 1}, Made([1])).path
    before = path.read_bytes()

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "_sync", full)
        with pytest.raises(
            StorageError, match=r"frame\.h5: cannot be written \(No space left on device\); .* MB are free"
        ):
            stages(tmp_path).stage("frame", {"seed": 2}, Made([2]))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["frame.h5"]


_ROAD = """
import sys, time
from pathlib import Path
import numpy as np
from tessera.road.stages import StageStore

store = StageStore(Path(sys.argv[1]), 3)
first = store.stage("first", {}, lambda: np.arange(200_000))
def second():
    if len(sys.argv) > 2:
        (Path(sys.argv[1]) / "under_way").touch()
        time.sleep(60)
    return first.value * 2
second = store.stage("second", {"first": first.sha256}, second)
store.stage("third", {"second": second.sha256}, lambda: {"sum": int(second.value.sum())})
print(first.reused, second.reused)
"""


def test_a_run_that_was_killed_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    running = subprocess.Popen([sys.executable, "-c", _ROAD, str(killed), "wait"], cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (killed / "under_way").exists():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    (killed / "under_way").unlink()
    assert [path.name for path in killed.iterdir()] == ["first.h5"]
    for folder, said in ((killed, "True False"), (whole, "False False")):
        done = subprocess.run(
            [sys.executable, "-c", _ROAD, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == said
    names = sorted(path.name for path in whole.iterdir())
    assert names == ["first.h5", "second.h5", "third.h5"] == sorted(path.name for path in killed.iterdir())
    assert all((killed / name).read_bytes() == (whole / name).read_bytes() for name in names)
