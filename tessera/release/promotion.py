"""Promotion: a staged folder becomes an immutable version, and `release/current` names it.

Holds `promote`, `rollback` and `list_versions`. Order of a promotion, so that a reader sees a whole version at every
moment and a kill at any moment leaves the previous one current: copy into a hidden folder while verifying every
sha256, sync, rename the folder to the version, replace the link `current`. Done again after a kill, it takes up where
it stopped.

A version is copied, not linked: it shares no bytes with staging or the run, and its files are made read-only. One
promotion runs at a time (an advisory lock on `release/.lock`).
"""

from __future__ import annotations

import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.errors import ReleaseError, StorageError
from tessera.release.staging import (
    MANIFEST,
    MARKER,
    StagedRelease,
    copy_verified,
    storage_error,
    sync_folder,
    verified_manifest,
    verify_staged,
)
from tessera.release.tro import TRO_PATH
from tessera.store import sha256_of

CURRENT = "current"

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PART = ".part"


@dataclass(frozen=True)
class PromotedRelease:
    """The version that is current.

    Attributes:
        version, folder: name and place.
        run_id, manifest_sha256: of its manifest.
        previous: the version that was current before, None if there was none.
        changed: false when it was promoted and current already.
    """

    version: str
    folder: Path
    run_id: str
    manifest_sha256: str
    previous: str | None
    changed: bool


@dataclass(frozen=True)
class ReleaseVersion:
    """A version in the store. `run_id`, `started_at` and `synthetic` are of its manifest."""

    version: str
    run_id: str
    started_at: str
    synthetic: bool
    current: bool


def promote(staged: StagedRelease, release_root: Path, version: str) -> PromotedRelease:
    """Make a staged folder the current version.

    Args:
        staged: from `stage`; the folder is verified again, file by file, while it is copied.
        release_root: folder of the versions.
        version: name of the new version: letters, digits, `.`, `_`, `+`, `-`. A name that exists with another manifest
            is refused; with the same manifest it is verified and made current, which is no change if it is already.

    Raises:
        ReleaseError: the staging is incomplete or altered, the gate of its manifest is closed, or the version exists.
        StorageError: the disk is full or cannot be written. Whatever is raised, the previous version stays current.
    """
    _check_version(version)
    content = _unaltered(staged)
    if content["gate"].get("passed") is not True:
        raise ReleaseError(f"{staged.folder}: the gate of its manifest is closed; nothing is promoted. Open it first.")
    with _locked(release_root):
        folder = release_root / version
        if folder.exists():
            _same_release(folder, staged)
        else:
            _remove_parts(release_root)
            _copy_beside(staged.folder, content, folder)
        return _switch(release_root, version, staged.run_id, staged.manifest_sha256)


def rollback(release_root: Path, version: str) -> PromotedRelease:
    """Make an existing version current again, after verifying every file of it.

    Raises:
        ReleaseError: there is no such version (the message lists those there are), or it was altered.
    """
    _check_version(version)
    folder = release_root / version
    if not folder.is_dir():
        known = ", ".join(item.version for item in list_versions(release_root)) or "none"
        raise ReleaseError(f"{folder}: no such version; versions there are: {known}. Name one of them.")
    with _locked(release_root):
        verified = verify_staged(folder)
        return _switch(release_root, version, verified.run_id, verified.manifest_sha256)


def list_versions(release_root: Path) -> tuple[ReleaseVersion, ...]:
    """The versions of a store, by start of their runs; their manifests are verified, their other files are not read."""
    if not release_root.is_dir():
        return ()
    current = current_version(release_root)
    found = []
    for folder in release_root.iterdir():
        if folder.is_symlink() or not folder.is_dir() or folder.name.startswith("."):
            continue
        content = verified_manifest(folder)
        found.append(
            ReleaseVersion(
                folder.name,
                str(content["run_id"]),
                str(content["started_at"]),
                bool(content["synthetic"]),
                folder.name == current,
            )
        )
    return tuple(sorted(found, key=lambda item: (item.started_at, item.version)))


def current_version(release_root: Path) -> str | None:
    """Name of the current version, None before the first promotion."""
    link = release_root / CURRENT
    if not link.is_symlink():
        if link.exists():
            raise ReleaseError(f"{link}: a file or folder; wanted a link to a version. Move it away, then promote.")
        return None
    return link.readlink().name


def _check_version(version: str) -> None:
    if not _VERSION.fullmatch(version) or version == CURRENT:
        raise ReleaseError(
            f"{version!r} cannot name a version; wanted letters, digits, '.', '_', '+' and '-', and not {CURRENT!r}."
        )


def _unaltered(staged: StagedRelease) -> dict[str, Any]:
    content = verified_manifest(staged.folder)
    seen = sha256_of(staged.folder / MANIFEST)
    if seen != staged.manifest_sha256:
        raise ReleaseError(
            f"{staged.folder / MANIFEST}: sha256 {seen}; it was {staged.manifest_sha256} when staged. Stage it again."
        )
    return content


def _same_release(folder: Path, staged: StagedRelease) -> None:
    there = verify_staged(folder)
    if there.manifest_sha256 != staged.manifest_sha256:
        raise ReleaseError(
            f"{folder}: the version exists, made by run {there.run_id}; versions are immutable and run {staged.run_id} "
            "differs from it. Promote under another version."
        )
    verify_staged(staged.folder)


def _copy_beside(source: Path, content: dict[str, Any], folder: Path) -> None:
    """Copy a staged folder to a hidden one beside `folder`, verify, sync, rename; leaves nothing behind on an error."""
    digests = {entry["path"]: entry["sha256"] for entry in content["files"]}
    for name in (TRO_PATH, MANIFEST, MARKER):
        digests[name] = sha256_of(source / name)
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=_PART, dir=folder.parent))
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        for name, digest in digests.items():
            copy_verified(source / name, beside / name, digest)
            (beside / name).chmod(0o444)
        for path in (beside, *(entry for entry in beside.rglob("*") if entry.is_dir())):
            sync_folder(path)
        beside.chmod(0o755)
        verified_manifest(beside)  # what was altered during the copy is caught before anybody can see it
        beside.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(folder, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _switch(release_root: Path, version: str, run_id: str, manifest_sha256: str) -> PromotedRelease:
    previous = current_version(release_root)
    changed = previous != version
    if changed:
        link = release_root / f".{CURRENT}{_PART}"
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(version, target_is_directory=True)
            link.replace(release_root / CURRENT)
            sync_folder(release_root)
        except OSError as error:
            raise storage_error(release_root / CURRENT, error) from error
        finally:
            link.unlink(missing_ok=True)
    return PromotedRelease(version, release_root / version, run_id, manifest_sha256, previous, changed)


def _remove_parts(release_root: Path) -> None:
    """Remove what a killed promotion left; the lock is held, so none of it is in use."""
    for path in release_root.glob(f".*{_PART}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)


@contextmanager
def _locked(release_root: Path) -> Iterator[None]:
    try:
        release_root.mkdir(parents=True, exist_ok=True)
        handle = (release_root / ".lock").open("w")
    except OSError as error:
        raise storage_error(release_root, error) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
