"""The manifest of a release: what it is, what it was made from, and the sha256 of every file in it.

Holds the schema and its deterministic JSON: sorted keys, two spaces, a final newline, no time but the run's own, null
for a number that is not finite. The same run therefore writes the same bytes. Holds no copying (see `staging`).
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd

from tessera.diagnostics.targets import TargetSummary
from tessera.errors import ReleaseError
from tessera.geography.areas import CONGRESS, areas
from tessera.release.gate import GateResult
from tessera.release.identity import RunIdentity
from tessera.store import sha256_of

SCHEMA_VERSION = 1
PACKAGES = (
    "tessera", "policyengine-us", "policyengine-core", "numpy", "pandas", "scipy", "torch", "numba", "h5py", "duckdb",
    "quantile-forest", "spm-calculator", "pybaum", "dagster",
)  # fmt: skip


@dataclass(frozen=True)
class FileEntry:
    """A file of the release; the last four are None for a file that is not an area's.

    Attributes:
        path: relative to the release, with forward slashes.
        sha256, bytes: of its content.
        area: key of the catalogue.
        records, weight_sum, ess: of the area's table row.
    """

    path: str
    sha256: str
    bytes: int
    area: str | None = None
    records: int | None = None
    weight_sum: float | None = None
    ess: float | None = None


@dataclass(frozen=True)
class SourceEntry:
    """A source file: name, sha256, where it is published, which vintage, and whether it was synthesised."""

    name: str
    sha256: str
    url: str
    vintage: str
    synthetic: bool


@dataclass(frozen=True)
class Manifest:
    """Content of `manifest.json`; see the attributes of the classes that it holds.

    `config` and `seeds` hold JSON values only. `diagnostics` holds the headline numbers of the target summary.
    """

    identity: RunIdentity
    packages: Mapping[str, str]
    config: Mapping[str, Any]
    seeds: Mapping[str, int]
    synthetic: bool
    sources: tuple[SourceEntry, ...]
    files: tuple[FileEntry, ...]
    diagnostics: Mapping[str, float | int]
    gate: GateResult
    congress: int = CONGRESS
    schema_version: int = SCHEMA_VERSION


def package_versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Installed versions of the packages that results depend on, and of Python; "not installed" where absent."""
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def file_entries(files: Mapping[str, Path], area_metrics: pd.DataFrame) -> tuple[FileEntry, ...]:
    """Entries of the files of a release, by path, with what the table of areas knows of an area's file.

    Args:
        files: path below the release -> file, which is read for its sha256.
        area_metrics: table of areas.

    Raises:
        ReleaseError: a path leaves the release, or a file differs from the sha256 in the table of areas.
    """
    by_path = {area.relative_path: area.key for area in areas()}
    rows: dict[str, Any] = {str(row.key): row for row in area_metrics.itertuples(index=False)}
    entries = []
    for name in sorted(files):
        digest, size = sha256_of(files[name]), files[name].stat().st_size
        row = rows.get(by_path.get(name, ""))
        if row is None:
            entries.append(FileEntry(checked_path(name), digest, size))
            continue
        if row.sha256 != digest:
            raise ReleaseError(
                f"{files[name]}: sha256 {digest[:16]}..., but area_metrics has {str(row.sha256)[:16]}... for "
                f"{row.key}; the file changed after it was measured. Materialise the area and area_metrics again."
            )
        entries.append(FileEntry(name, digest, size, row.key, int(row.records), float(row.weight_sum), float(row.ess)))
    return tuple(entries)


def diagnostics_summary(summary: TargetSummary) -> dict[str, float | int]:
    """Headline numbers of the target summary for the manifest."""
    return {
        "n_targets": summary.n_targets,
        "n_unachievable": len(summary.unachievable),
        "n_not_finite": summary.n_not_finite,
        "share_within_1": summary.share_within_1,
        "share_within_5": summary.share_within_5,
        "share_within_10": summary.share_within_10,
        "mean_abs_rel_error": summary.mean_abs_rel_error,
        "median_abs_rel_error": summary.median_abs_rel_error,
    }


def manifest_json(manifest: Manifest) -> str:
    """The manifest as JSON text, the same for the same manifest; raises `ReleaseError` for a value JSON cannot hold."""
    content = asdict(manifest)
    identity = content.pop("identity")
    content |= {"run_id": identity["run_id"], "version": identity["version"], "started_at": identity["started_at"]}
    content |= {"git": identity["git"]}
    try:
        return json.dumps(_finite(content), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except TypeError as error:
        raise ReleaseError(
            f"Manifest of {manifest.identity.run_id}: {error}; wanted texts, numbers, booleans, lists and mappings in "
            "config, seeds and diagnostics. Convert paths and arrays before they are passed."
        ) from error


def read_manifest(path: Path) -> dict[str, Any]:
    """The content of a `manifest.json`; raises `ReleaseError` if it is absent, damaged or of another schema."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path}: no readable manifest ({error}). Stage the release again.") from error
    seen = content.get("schema_version") if isinstance(content, dict) else None
    if seen != SCHEMA_VERSION:
        raise ReleaseError(f"{path}: schema version {seen!r}; this version of tessera reads {SCHEMA_VERSION}.")
    for entry in content.get("files", ()):
        checked_path(str(entry.get("path")))
    return dict(content)


def checked_path(name: str) -> str:
    """The relative path itself; raises `ReleaseError` if it is absolute, empty, not normal or leaves the release."""
    path = PurePosixPath(name)
    leaves = path.is_absolute() or ".." in path.parts or "\\" in name
    if not name or leaves or str(path) != name or name.startswith("."):
        raise ReleaseError(f"{name!r} is not a path below a release; wanted one like states/CA.h5.")
    return name


def composition_fingerprint(digests: Iterable[str]) -> str:
    """One digest for a set of files: sha256 of their sorted sha256, a line each; blind to names and order."""
    import hashlib

    return hashlib.sha256("\n".join(sorted(digests)).encode("ascii")).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
