"""Downloads from a server on this machine: what arrives, what is resumed, what is kept, and who may write where."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tessera.errors import SourceError, StorageError
from tessera.sources.download import Fetched, Limits, Progress, fetch
from tessera.sources.partial import PartialFile
from tests.sources.loopback import BODY, HALF, NAME, OTHER, QUICK, SHA256, STALLING, Plan, get, names, serve, zipped

ROOT = Path(__file__).resolve().parents[2]


# What arrives -----------------------------------------------------------------------------------------------------


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    with serve([Plan(BODY)]) as server:
        first = fetch(server.file(), SHA256, tmp_path, "irs_soi/districts/data.csv", limits=QUICK)
        second = fetch(server.file(), SHA256.upper(), tmp_path, "irs_soi/districts/data.csv", limits=QUICK)
        third = fetch(server.file(), None, tmp_path, "irs_soi/districts/data.csv", limits=QUICK)
    assert first == Fetched(tmp_path / "irs_soi/districts/data.csv", len(BODY), SHA256, downloaded=True)
    assert (second.downloaded, second.sha256) == (False, SHA256)
    assert (third.downloaded, third.sha256) == (False, "")
    assert first.path.read_bytes() == BODY
    assert names(first.path.parent) == ["data.csv"]
    assert len(server.asked) == 1
    assert server.asked[0]["user-agent"].startswith("tessera/")
    assert server.asked[0]["accept-encoding"] == "identity"


PAGE = b"<!DOCTYPE html><html><title>B.101</title><table></table></html>"
GOOD: dict[str, tuple[str, list[Plan], bytes]] = {
    "in chunks": (NAME, [Plan(BODY, length="chunked")], BODY),
    "without a length": (NAME, [Plan(BODY, length="no")], BODY),
    "compressed unasked": (
        NAME, [Plan(gzip.compress(BODY), headers=(("Content-Encoding", "gzip"),))], BODY,
    ),
    "where another address leads": (NAME, [Plan(status=302, location="/moved/data.csv"), Plan(BODY)], BODY),
    "a page that is wanted": ("b101.html", [Plan(PAGE, headers=(("Content-Type", "text/html"),))], PAGE),
    "data that the server calls a page": (NAME, [Plan(BODY, headers=(("Content-Type", "text/html"),))], BODY),
    "an answer of an interface": ("S0101.json", [Plan(b'[["NAME"],\n["US"]]')], b'[["NAME"],\n["US"]]'),
    "a zip": ("table.zip", [Plan(zipped())], zipped()),
    "a short file": (NAME, [Plan(b"a\n1\n")], b"a\n1\n"),
    "after an error of the server": (NAME, [Plan(status=500), Plan(status=503), Plan(BODY)], BODY),
    "after the wait it asks for": (NAME, [Plan(status=429, headers=(("Retry-After", "0"),)), Plan(BODY)], BODY),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_the_bytes_are_those_of_the_file(case: str, tmp_path: Path) -> None:
    name, plans, body = GOOD[case]
    with serve(plans) as server:
        found = get(server, tmp_path, name=name)
    assert found.path.read_bytes() == body
    assert found.sha256 == hashlib.sha256(body).hexdigest()
    assert names(tmp_path) == [name]
    assert len(server.asked) == len(plans)


def test_progress_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="tessera")
    seen: list[Progress] = []
    with serve([Plan(BODY)]) as server:
        fetch(server.file(), None, tmp_path, NAME, limits=Limits(report=0), report=seen.append)
        fetch(server.file(), None, tmp_path, "again.csv", limits=Limits(report=0))
    done = [progress.done for progress in seen]
    assert done == sorted(done) and done[-1] == len(BODY) and len(done) > 2
    assert {progress.total for progress in seen} == {len(BODY)}
    assert f"data.csv: downloading {server.file()}" in caplog.messages
    assert any(message.startswith("again.csv: 100 % of 1.0 MB") for message in caplog.messages)
    assert any(f"sha256 {SHA256} (not pinned)" in message for message in caplog.messages)


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (Progress("a.zip", 150_000_000, 600_000_000, 5e6), "a.zip: 25 % of 600.0 MB, 5.0 MB/s, 1 min 30 s left"),
        (Progress("a.zip", 150_000_000, -1, 5e4), "a.zip: 150.0 MB so far, 50.0 kB/s"),
        (Progress("a.zip", 0, 600_000_000, 0), "a.zip: 0 % of 600.0 MB, 0.0 kB/s"),
    ],
)
def test_progress_in_words(progress: Progress, words: str) -> None:
    assert str(progress) == words


# What is resumed --------------------------------------------------------------------------------------------------

BROKEN: dict[str, Plan] = {
    "cut": Plan(BODY, cut=HALF),
    "stalled": Plan(BODY, stall=HALF),
    "cut between chunks": Plan(BODY, cut=HALF, length="chunked"),
    "known by its date": Plan(BODY, cut=HALF, etag="", modified="Sat, 01 Mar 2025 10:00:00 GMT"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_is_gone_on_with(case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = BROKEN[case]
    with serve([plan, Plan(BODY, etag=plan.etag, modified=plan.modified)]) as server:
        found = get(server, tmp_path, limits=replace(STALLING, stall=2) if plan.stall else QUICK)
    assert found.path.read_bytes() == BODY and found.sha256 == SHA256
    assert server.ranges == ["", f"bytes={HALF}-"]
    assert server.asked[1]["if-range"] == (plan.etag or plan.modified)
    assert any("again in 0.01 s (2 of 3)" in message for message in caplog.messages)


def test_a_server_may_give_less_than_what_is_asked_for(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF), Plan(BODY, piece=200_000)]) as server:
        assert get(server, tmp_path).path.read_bytes() == BODY
    starts = range(HALF, len(BODY), 200_000)
    assert server.ranges == ["", *(f"bytes={start}-" for start in starts)]


def test_progress_between_failures_starts_the_count_again(tmp_path: Path) -> None:
    cuts = [Plan(BODY, cut=100_000)] * 7  # each brings 100 kB more
    with serve([*cuts, Plan(BODY)]) as server:
        assert get(server, tmp_path).sha256 == SHA256
    assert len(server.asked) == 8


def test_a_server_that_hangs_up_after_a_few_bytes_is_given_up(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=5000)]) as server, pytest.raises(SourceError, match=r"tried 3 times without progress"):
        get(server, tmp_path)
    assert len(server.asked) == 3


def test_the_next_run_goes_on(tmp_path: Path) -> None:
    once = Limits(attempts=1)
    with serve([Plan(BODY, cut=HALF), Plan(BODY)]) as server:
        with pytest.raises(SourceError, match=r"tried once.* 0\.4 MB are kept; the next run goes on from there"):
            get(server, tmp_path, limits=once)
        assert names(tmp_path) == [".data.csv.part", ".data.csv.part.json"]
        assert get(server, tmp_path, limits=once).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={HALF}-"]
    assert names(tmp_path) == [NAME]


def test_a_stop_keeps_what_has_come(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise KeyboardInterrupt

    with serve([Plan(BODY)]) as server:
        with pytest.raises(KeyboardInterrupt):
            fetch(server.file(), None, tmp_path, NAME, limits=Limits(report=0), report=stop)
        kept = (tmp_path / ".data.csv.part").stat().st_size
        assert 0 < kept <= len(BODY)
        assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={kept}-"]


def test_a_stop_before_the_file_is_in_place_asks_for_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: PartialFile) -> None:
        raise KeyboardInterrupt

    with serve([Plan(BODY)]) as server:
        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(PartialFile, "complete", stop)
            get(server, tmp_path)
        assert get(server, tmp_path, SHA256).path.read_bytes() == BODY
    assert len(server.asked) == 1


def run_child(code: str, *arguments: str) -> subprocess.Popen[str]:
    lines = ["import sys; from pathlib import Path", "from tessera.sources.download import Limits, fetch", code]
    command = [sys.executable, "-c", "\n".join(lines), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


FETCH = "fetch(sys.argv[1], None, Path(sys.argv[2]), 'data.csv')"


def test_a_killed_process_is_taken_up_from_its_last_checkpoint(tmp_path: Path) -> None:
    body, sent = BODY * 12, 9_000_000
    with serve([Plan(body, stall=sent), Plan(body)]) as server:
        child = run_child(FETCH, server.file(), str(tmp_path))
        assert server.coming.acquire(timeout=60)
        part = tmp_path / ".data.csv.part"
        while not (part.exists() and part.stat().st_size == sent):
            assert child.poll() is None
            time.sleep(0.01)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert get(server, tmp_path).path.read_bytes() == body
    start = int(server.ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert 4 << 20 <= start <= sent
    assert names(tmp_path) == [NAME]


def spoil_bytes(folder: Path) -> None:
    part = folder / ".data.csv.part"
    part.write_bytes(b"\0" * part.stat().st_size)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "other bytes": spoil_bytes,
    "fewer bytes": lambda folder: os.truncate(folder / ".data.csv.part", HALF - 1),
    "no checkpoint": lambda folder: (folder / ".data.csv.part.json").unlink(),
    "half a checkpoint": lambda folder: os.truncate(folder / ".data.csv.part.json", 40),
    "no bytes": lambda folder: (folder / ".data.csv.part").unlink(),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_part_is_dropped(case: str, tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF), Plan(BODY)]) as server:
        with pytest.raises(SourceError):
            get(server, tmp_path, limits=Limits(attempts=1))
        DAMAGE[case](tmp_path)
        assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.ranges == ["", ""]


def test_bytes_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF), Plan(BODY)]) as server:
        with pytest.raises(SourceError):
            get(server, tmp_path, limits=Limits(attempts=1))
        with (tmp_path / ".data.csv.part").open("ab") as part:
            part.write(b"\0" * 1000)
        assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={HALF}-"]


def test_the_part_of_another_address_is_dropped(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF), Plan(OTHER)]) as server:
        with pytest.raises(SourceError):
            get(server, tmp_path, limits=Limits(attempts=1))
        fetch(server.file("other.csv"), None, tmp_path, NAME, limits=QUICK)
    assert (tmp_path / NAME).read_bytes() == OTHER
    assert server.ranges == ["", ""]


# Two at a time ----------------------------------------------------------------------------------------------------


def test_two_processes_download_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tessera.sources import partial

    waiting, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(partial._LOG, "info", lambda *_: waiting.set())
    found: list[Fetched] = []
    with serve([Plan(BODY, before=go_on)]) as server:
        child = run_child(FETCH, server.file(), str(tmp_path))
        assert server.coming.acquire(timeout=60)  # the child has the part
        second = threading.Thread(target=lambda: found.append(get(server, tmp_path, SHA256, limits=QUICK)))
        second.start()
        assert waiting.wait(60)
        go_on.set()
        second.join(60)
        assert child.wait(60) == 0, child.communicate()[1]
        child.communicate()
    assert [one.downloaded for one in found] == [False]
    assert len(server.asked) == 1
    assert names(tmp_path) == [NAME]


def test_who_waited_for_one_that_failed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tessera.sources import partial

    waiting, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(partial._LOG, "info", lambda *_: waiting.set())
    failed: list[Exception] = []

    def first() -> None:
        try:
            get(server, tmp_path, limits=Limits(attempts=1))
        except SourceError as error:
            failed.append(error)

    def second() -> None:
        get(server, tmp_path, limits=QUICK)

    with serve([Plan(BODY, cut=HALF, before=go_on), Plan(BODY)]) as server:
        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        threads[0].start()
        assert server.coming.acquire(timeout=60)
        threads[1].start()
        assert waiting.wait(60)
        go_on.set()
        for thread in threads:
            thread.join(60)
    assert len(failed) == 1
    assert server.ranges == ["", f"bytes={HALF}-"]
    assert (tmp_path / NAME).read_bytes() == BODY


# The disk ---------------------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_free_space_is_not_begun(tmp_path: Path) -> None:
    with (
        serve([Plan(BODY, length=1 << 60)]) as server,
        pytest.raises(StorageError, match=r"data\.csv: 1,152,921,504,606\.8 MB are to come, and .* MB are free there"),
    ):
        get(server, tmp_path, limits=Limits(largest=1 << 62))
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", ["yes", "chunked"])
def test_a_server_that_sends_too_much_is_cut_off(length: str, tmp_path: Path) -> None:
    with (
        serve([Plan(BODY, length=length)]) as server,
        pytest.raises(SourceError, match=r"data\.csv: http://.* sends [01]\.\d MB or more; wanted at most 0\.2 MB"),
    ):
        get(server, tmp_path, limits=Limits(largest=200_000))
    assert names(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_was_written(tmp_path: Path) -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "from tessera.errors import StorageError\n"
        f"try: {FETCH}\n"
        "except StorageError as error: sys.exit(str(error))"
    )
    with serve([Plan(BODY)]) as server:
        child = run_child(limited, server.file(), str(tmp_path))
        message = child.communicate(timeout=60)[1]
        assert child.returncode == 1
        assert ".data.csv.part: cannot be written (File too large). What has come so far is kept." in message
        assert get(server, tmp_path).path.read_bytes() == BODY
    start = int(server.ranges[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 300_000


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "irs_soi").write_text("in the way")
    with serve([Plan(BODY)]) as server, pytest.raises(StorageError, match=r"cannot be written"):
        fetch(server.file(), None, tmp_path, "irs_soi/data.csv", limits=QUICK)
    assert not server.asked


# Where it may lie -------------------------------------------------------------------------------------------------

ESCAPES: Sequence[str] = (
    "", "/etc/passwd", "../data.csv", "a/../../data.csv", "a/..", "..", ".", "a//data.csv", "a/", "./data.csv",
    ".hidden", "a/.ssh/key", "a\\..\\data.csv", "C:data.csv", "a\0b", "a\nb", "a/ /b",
)  # fmt: skip


@pytest.mark.parametrize("path", ESCAPES, ids=repr)
def test_no_path_leaves_the_folder(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError, match=r"wanted a path below .*raw"):
        fetch(server.file(), None, folder, path, limits=QUICK)
    assert not server.asked and names(tmp_path) == []


def test_no_symbolic_link_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder, outside = tmp_path / "raw", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "irs_soi").symlink_to(outside)
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError, match=r"a symbolic link leads out of .*raw"):
        fetch(server.file(), None, folder, "irs_soi/data.csv", limits=QUICK)
    assert not server.asked and names(outside) == []


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / NAME).symlink_to(tmp_path / "outside.csv")
    with serve([Plan(BODY)]) as server:
        get(server, folder)
    assert names(tmp_path) == ["raw"]
    assert (folder / NAME).read_bytes() == BODY and not (folder / NAME).is_symlink()


def test_names_that_a_server_gives_are_not_used(tmp_path: Path) -> None:
    headers = (("Content-Disposition", 'attachment; filename="../../evil.csv"'),)
    plans = [Plan(status=301, location="/%2e%2e/%2e%2e/evil.csv"), Plan(BODY, headers=headers)]
    with serve(plans) as server:
        get(server, tmp_path / "raw")
    assert names(tmp_path) == ["raw"] and names(tmp_path / "raw") == [NAME]


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError, match=r"data\.csv: is a folder; wanted a file"):
        get(server, tmp_path)
