from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import ReleaseError, StorageError
from tessera.release import promotion, staging
from tessera.release.promotion import PromotedRelease, current_version, list_versions, promote, rollback
from tessera.release.staging import MARKER, StagedRelease, stage, verify_staged
from tessera.release.tro import TRO_PATH
from tessera.store import sha256_of

Maker = Callable[..., Any]


class Killed(BaseException):
    """Stands for a kill: no handler of the library catches it."""


def _stage(made: Any, folder: Path) -> StagedRelease:
    return stage(made.files, made.manifest, folder)


def _tree(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "release"


@pytest.fixture
def first(example: Maker, tmp_path: Path, root: Path) -> PromotedRelease:
    """A first version, promoted and current."""
    return promote(_stage(example(), tmp_path / "staging-1"), root, "0.1.0")


def _intact(root: Path, before: dict[str, str]) -> None:
    assert current_version(root) == "0.1.0"
    assert _tree(root / "current") == before
    assert not (root / "0.2.0").exists()
    verify_staged(root / "0.1.0")


def test_staged_folder_holds_the_layout(example: Maker, tmp_path: Path) -> None:
    made = example()
    staged = _stage(made, tmp_path / "staging")
    there = set(_tree(staged.folder))
    assert there == set(made.files) | {"manifest.json", MARKER, TRO_PATH}
    assert (staged.folder / "states/WY.h5").stat().st_ino == made.files["states/WY.h5"].stat().st_ino
    assert staged == verify_staged(staged.folder)
    assert staged.n_files == len(made.files)


def test_staging_copies_where_it_cannot_link(example: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def another_disk(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", another_disk)
    made = example()
    staged = _stage(made, tmp_path / "staging")
    assert (staged.folder / "states/WY.h5").stat().st_ino != made.files["states/WY.h5"].stat().st_ino
    verify_staged(staged.folder)


def test_staging_twice_and_over_another(example: Maker, tmp_path: Path) -> None:
    made, folder = example(), tmp_path / "staging"
    staged = _stage(made, folder)
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    assert _stage(made, folder) == staged
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp
    (folder / "states" / "stray.h5").write_bytes(b"x")
    assert _stage(made, folder) == staged
    assert not (folder / "states" / "stray.h5").exists()
    other = example("second", 1)
    assert _stage(other, folder).run_id == other.manifest.identity.run_id


def test_staging_refuses_other_files_than_the_manifest_lists(example: Maker, tmp_path: Path) -> None:
    made = example()
    part = {name: path for name, path in made.files.items() if name != "states/WY.h5"}
    with pytest.raises(ReleaseError, match=r"in the manifest only states/WY\.h5"):
        stage(part, made.manifest, tmp_path / "staging")
    with pytest.raises(ReleaseError, match=r"not in the manifest extra\.csv"):
        stage(made.files | {"extra.csv": made.files["states/WY.h5"]}, made.manifest, tmp_path / "staging")
    made.files["states/WY.h5"].write_bytes(b"altered after the manifest was made")
    with pytest.raises(ReleaseError, match=r"WY\.h5: altered"):
        _stage(made, tmp_path / "staging")
    assert not (tmp_path / "staging" / MARKER).exists()


def test_killed_staging_is_incomplete_and_done_again(
    example: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, folder, seen = example(), tmp_path / "staging", []
    place = staging._place

    def killed_at_third(source: Path, destination: Path) -> None:
        seen.append(source)
        if len(seen) == 3:
            raise Killed
        place(source, destination)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(staging, "_place", killed_at_third)
        _stage(made, folder)
    with pytest.raises(ReleaseError, match="incomplete"):
        verify_staged(folder)
    verify_staged(_stage(made, folder).folder)


def test_promotion_makes_a_version_of_its_own(first: PromotedRelease, root: Path, tmp_path: Path) -> None:
    assert (first.version, first.previous, first.changed) == ("0.1.0", None, True)
    assert (root / "current").is_symlink()
    assert (root / "current").readlink() == Path("0.1.0")  # relative: the store can be moved
    assert {path.name for path in (root / "current").iterdir() if not path.name.startswith(".")} == {
        "national", "states", "districts", "cities", "diagnostics", "manifest.json",
    }  # fmt: skip
    before = _tree(first.folder)
    (tmp_path / "staging-1" / "states" / "WY.h5").write_bytes(b"staging and run share these bytes, the release not")
    assert _tree(first.folder) == before
    assert (first.folder / "states/WY.h5").stat().st_mode & 0o222 == 0


def test_second_promotion_of_the_same_changes_nothing(
    example: Maker, first: PromotedRelease, root: Path, tmp_path: Path
) -> None:
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*") if path.name != ".lock"}
    again = promote(_stage(example(), tmp_path / "staging-again"), root, "0.1.0")
    assert again == dataclasses.replace(first, previous="0.1.0", changed=False)
    assert {path: path.lstat().st_mtime_ns for path in root.rglob("*") if path.name != ".lock"} == before


def test_versions_are_immutable(example: Maker, first: PromotedRelease, root: Path, tmp_path: Path) -> None:
    before = _tree(first.folder)
    with pytest.raises(ReleaseError, match="versions are immutable"):
        promote(_stage(example("second", 1), tmp_path / "staging-2"), root, "0.1.0")
    _intact(root, before)


@pytest.mark.parametrize("version", ["", "current", "../x", ".hidden", "a/b", "0.2.0\n"])
def test_version_names(example: Maker, tmp_path: Path, root: Path, version: str) -> None:
    with pytest.raises(ReleaseError, match="cannot name a version"):
        promote(_stage(example(), tmp_path / "staging"), root, version)


def _alter(folder: Path, what: str) -> None:
    target = folder / "states/WY.h5"
    content = target.read_bytes()
    if what in ("one byte", "missing", "link"):
        target.unlink()  # a new inode: the run's file, which staging links to, stays as it was
    if what == "one byte":
        target.write_bytes(content[:-1] + b"!")
    elif what == "link":
        target.symlink_to(folder / "states/CA.h5")
    elif what == "foreign":
        (folder / "states/ZZ.h5").write_bytes(b"x")
    elif what == "no marker":
        (folder / MARKER).unlink()
    elif what == "torn marker":
        (folder / MARKER).write_text("{")
    elif what == "no manifest":
        (folder / "manifest.json").unlink()
    elif what == "fingerprint":
        (folder / TRO_PATH).write_text("{}")
    elif what in ("manifest", "manifest and marker"):
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["synthetic"] = False
        (folder / "manifest.json").write_text(json.dumps(manifest, sort_keys=True, indent=2) + "\n")
    if what == "manifest and marker":
        (folder / MARKER).write_text(json.dumps({"manifest_sha256": sha256_of(folder / "manifest.json")}))
        (folder / TRO_PATH).write_text(staging.tro_json((folder / "manifest.json").read_text()))


ALTERATIONS = (
    "one byte", "missing", "link", "foreign", "no marker", "torn marker", "no manifest", "fingerprint", "manifest",
    "manifest and marker",
)  # fmt: skip


@pytest.mark.parametrize("what", ALTERATIONS)
def test_altered_staging_is_refused(
    example: Maker, first: PromotedRelease, root: Path, tmp_path: Path, what: str
) -> None:
    before = _tree(first.folder)
    staged = _stage(example("second", 1), tmp_path / "staging-2")
    _alter(staged.folder, what)
    with pytest.raises(ReleaseError, match="staging-2"):
        promote(staged, root, "0.2.0")
    _intact(root, before)
    assert not list(root.glob(".*.part"))


def test_closed_gate_is_not_promoted(example: Maker, first: PromotedRelease, root: Path, tmp_path: Path) -> None:
    made = example("second", 1)
    closed = dataclasses.replace(made.manifest.gate, passed=False)
    staged = stage(made.files, dataclasses.replace(made.manifest, gate=closed), tmp_path / "staging-2")
    with pytest.raises(ReleaseError, match="gate of its manifest is closed"):
        promote(staged, root, "0.2.0")
    _intact(root, _tree(first.folder))


KILLS = ("copy_verified", "sync_folder", "verified_manifest", "rename", "replace", "symlink_to")


@pytest.mark.parametrize("where", KILLS)
@pytest.mark.parametrize("error", [Killed(), OSError(errno.ENOSPC, "No space left on device")], ids=["kill", "full"])
def test_failure_in_the_middle_leaves_current_intact(
    example: Maker,
    first: PromotedRelease,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: BaseException,
) -> None:
    before, staged = _tree(first.folder), _stage(example("second", 1), tmp_path / "staging-2")
    calls = []

    def fails(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if where == "verified_manifest" and len(calls) == 1:
            return staging.verified_manifest(*arguments)  # the first call looks at staging, the second at the copy
        if where == "copy_verified" and len(calls) < 4:
            return staging.copy_verified(*arguments)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Path if where in ("rename", "replace", "symlink_to") else promotion, where, fails)
        wanted = Killed if isinstance(error, Killed) else StorageError
        with pytest.raises(wanted, match=None if wanted is Killed else "cannot be written.*No space left.*intact"):
            promote(staged, root, "0.2.0")
    assert calls
    assert current_version(root) == "0.1.0"
    assert _tree(root / "current") == before
    assert not list(root.glob(".*.part"))
    done = promote(staged, root, "0.2.0")  # and the same call finishes what was begun
    assert (current_version(root), done.previous) == ("0.2.0", "0.1.0")
    verify_staged(root / "current")


def test_leftovers_of_a_killed_process_are_removed(
    example: Maker, first: PromotedRelease, root: Path, tmp_path: Path
) -> None:
    left = root / ".0.2.0.abc.part"
    left.mkdir()
    (left / "half").write_bytes(b"x")
    (root / ".current.part").symlink_to("0.1.0")
    promote(_stage(example("second", 1), tmp_path / "staging-2"), root, "0.2.0")
    assert {path.name for path in root.iterdir()} == {".lock", "0.1.0", "0.2.0", "current"}


def test_full_disk_while_staging(example: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        with pytest.raises(StorageError, match=r"staging: cannot be written \(No space left"):
            _stage(example(), tmp_path / "staging")
    assert not (tmp_path / "staging" / MARKER).exists()
    verify_staged(_stage(example(), tmp_path / "staging").folder)


def test_rollback_and_forward(example: Maker, first: PromotedRelease, root: Path, tmp_path: Path) -> None:
    promote(_stage(example("second", 1), tmp_path / "staging-2"), root, "0.2.0")
    listed = list_versions(root)
    assert [(item.version, item.current, item.synthetic) for item in listed] == [
        ("0.1.0", False, True), ("0.2.0", True, True),
    ]  # fmt: skip
    back = rollback(root, "0.1.0")
    assert (back.version, back.previous, back.changed, back.run_id) == ("0.1.0", "0.2.0", True, first.run_id)
    assert (root / "current" / "states/WY.h5").read_bytes().startswith(b"first")
    assert not rollback(root, "0.1.0").changed
    assert rollback(root, "0.2.0").previous == "0.1.0"


def test_rollback_refuses_unknown_and_altered(
    example: Maker, first: PromotedRelease, root: Path, tmp_path: Path
) -> None:
    promote(_stage(example("second", 1), tmp_path / "staging-2"), root, "0.2.0")
    with pytest.raises(ReleaseError, match=r"versions there are: 0\.1\.0, 0\.2\.0"):
        rollback(root, "0.9.0")
    _alter(first.folder, "one byte")
    with pytest.raises(ReleaseError, match=r"WY\.h5: altered"):
        rollback(root, "0.1.0")
    assert current_version(root) == "0.2.0"


def test_no_version_yet(root: Path) -> None:
    assert list_versions(root) == ()
    assert current_version(root) is None
    with pytest.raises(ReleaseError, match="versions there are: none"):
        rollback(root, "0.1.0")


def test_current_that_is_no_link_is_left_alone(example: Maker, root: Path, tmp_path: Path) -> None:
    (root / "current").mkdir(parents=True)
    with pytest.raises(ReleaseError, match="wanted a link"):
        promote(_stage(example(), tmp_path / "staging"), root, "0.1.0")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_flipped_byte_is_found(example: Maker, tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / "flipped"
    shutil.rmtree(folder, ignore_errors=True)
    staged = _stage(example(), tmp_path / "staging-whole")
    shutil.copytree(staged.folder, folder)
    path = folder / data.draw(st.sampled_from(sorted(_tree(folder))))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    if path.name == MARKER and json.loads(_as_text(content)) == json.loads((staged.folder / MARKER).read_text()):
        return  # white space of the marker carries nothing
    with pytest.raises(ReleaseError):
        verify_staged(folder)


def _as_text(content: bytearray) -> str:
    try:
        json.loads(content.decode("utf-8"))
    except ValueError:
        return "null"
    return content.decode("utf-8")
