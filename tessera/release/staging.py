"""Staging: a complete, verified set of files in one folder, that a promotion can be made from.

Holds `stage` and the verification that staging and release share; switching the current release is in `promotion`.

Layout of a staged or released folder: `national/ states/ districts/ cities/ diagnostics/ manifest.json`, with
`diagnostics/trace.tro.jsonld` derived from the manifest, and `.complete.json`, written last, which holds the sha256 of
the manifest. A folder without that marker is incomplete whatever it holds; a manifest that differs from it was altered.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessera.errors import ReleaseError, StorageError
from tessera.release.manifest import Manifest, checked_path, manifest_json, read_manifest
from tessera.release.tro import TRO_PATH, tro_json
from tessera.store import sha256_of, write_text

MANIFEST = "manifest.json"
MARKER = ".complete.json"

_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}


@dataclass(frozen=True)
class StagedRelease:
    """A staged folder that was complete and verified.

    Attributes:
        folder: where it lies.
        run_id: of its manifest.
        manifest_sha256: of its `manifest.json`; a promotion refuses the folder if that has changed since.
        n_files: files that the manifest lists.
    """

    folder: Path
    run_id: str
    manifest_sha256: str
    n_files: int


def stage(files: Mapping[str, Path], manifest: Manifest, staging_dir: Path) -> StagedRelease:
    """Put the files of a release and its manifest into one folder; done again over a part or an older staging.

    Files are hard links where the file system allows, else copies. Each is verified against the manifest after it was
    placed. A staging that is complete with this very manifest is verified and kept.

    Args:
        files: path below the release -> file; exactly the paths that the manifest lists.
        manifest: what the release is.
        staging_dir: folder of this run's staging; whatever else it holds is removed.

    Raises:
        ReleaseError: files and manifest do not list the same paths, or a file differs from its sha256.
        StorageError: the disk is full or cannot be written.
    """
    text = manifest_json(manifest)
    wanted = {entry.path: entry.sha256 for entry in manifest.files}
    _same_paths(files, wanted)
    if _is_staged(staging_dir, text):
        return verify_staged(staging_dir)
    try:
        _clear(staging_dir)
        for name in sorted(files):
            _place(files[name], staging_dir / checked_path(name))
        _verify_files(staging_dir, wanted)
        for folder in sorted({path.parent for path in staging_dir.rglob("*")}):
            sync_folder(folder)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error(staging_dir, error) from error
    write_text(staging_dir / TRO_PATH, tro_json(text))
    write_text(staging_dir / MANIFEST, text)
    digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
    write_text(staging_dir / MARKER, json.dumps({"manifest_sha256": digest}) + "\n")
    return StagedRelease(staging_dir, manifest.identity.run_id, digest, len(wanted))


def verify_staged(folder: Path) -> StagedRelease:
    """Verify every file of a staged or released folder; raises `ReleaseError` naming what is incomplete or altered."""
    content = verified_manifest(folder)
    _verify_files(folder, {entry["path"]: entry["sha256"] for entry in content["files"]})
    return StagedRelease(folder, content["run_id"], sha256_of(folder / MANIFEST), len(content["files"]))


def verified_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose marker, manifest, fingerprint and list of files agree; reads no other file."""
    marker = folder / MARKER
    try:
        wanted = json.loads(marker.read_text(encoding="utf-8"))["manifest_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{folder}: incomplete, no readable marker {MARKER} ({error}). Stage the release again."
        ) from error
    content = read_manifest(folder / MANIFEST)
    seen = sha256_of(folder / MANIFEST)
    if seen != wanted:
        raise ReleaseError(
            f"{folder / MANIFEST}: altered, its sha256 is {seen}; wanted {wanted}. Stage the release again."
        )
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    tro = folder / TRO_PATH
    if not tro.is_file() or tro.read_bytes() != tro_json(text).encode("utf-8"):
        raise ReleaseError(f"{tro}: absent or altered, it does not follow from the manifest. Stage the release again.")
    listed = {entry["path"] for entry in content["files"]} | {MANIFEST, MARKER, TRO_PATH}
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if listed != there:
        raise ReleaseError(
            f"{folder}: missing {_some(listed - there)}; not in the manifest {_some(there - listed)}. "
            "Stage the release again."
        )
    return content


def copy_verified(source: Path, destination: Path, wanted: str) -> None:
    """Copy a file while taking its sha256, and sync it; raises `ReleaseError` if its bytes are not those wanted."""
    digest = hashlib.sha256()
    destination.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, destination.open("xb") as writer:
        while chunk := reader.read(1 << 20):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != wanted:
        raise ReleaseError(
            f"{source}: altered, its sha256 is {digest.hexdigest()}; wanted {wanted}. Stage the release again."
        )


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(place: Path, error: OSError) -> StorageError:
    """A `StorageError` that says what happened to a folder of files."""
    existing = next(folder for folder in (place, *place.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e6
    return StorageError(
        f"{place}: cannot be written ({error.strerror or error}); {free:.0f} MB are free there. The current release is "
        "intact. Free space or set TESSERA_HOME to another disk, then run again."
    )


def _same_paths(files: Mapping[str, Path], wanted: Mapping[str, str]) -> None:
    if set(files) != set(wanted):
        raise ReleaseError(
            f"Staging: not in the manifest {_some(set(files) - set(wanted))}; in the manifest only "
            f"{_some(set(wanted) - set(files))}. Make the manifest from the files that are staged."
        )
    reserved = {MANIFEST, MARKER, TRO_PATH} & set(wanted)
    if reserved:
        raise ReleaseError(f"Staging: {_some(reserved)} is written by staging itself. Leave it out of the files.")


def _is_staged(folder: Path, text: str) -> bool:
    """Whether a folder is complete with a manifest; what is incomplete, altered or of another run is staged anew."""
    if not (folder / MARKER).is_file() or not (folder / MANIFEST).is_file():
        return False
    try:
        verify_staged(folder)
    except ReleaseError:
        return False
    return (folder / MANIFEST).read_bytes() == text.encode("utf-8")


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).unlink(missing_ok=True)  # first, so that no moment shows a marker beside half the files
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _place(source: Path, destination: Path) -> None:
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), destination)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        shutil.copyfile(source, destination)
    descriptor = os.open(destination, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _verify_files(folder: Path, wanted: Mapping[str, str]) -> None:
    for name, digest in wanted.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise ReleaseError(f"{path}: missing, or not a plain file; the manifest lists it. Stage the release again.")
        seen = sha256_of(path)
        if seen != digest:
            raise ReleaseError(f"{path}: altered, its sha256 is {seen}; wanted {digest}. Build and stage it again.")


def _some(items: set[str], n: int = 5) -> str:
    listed = sorted(items)
    return (", ".join(listed[:n]) + (f" and {len(listed) - n} more" if len(listed) > n else "")) or "nothing"
