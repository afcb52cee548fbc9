"""Where a run's data came from: one entry a source file, for the report and the manifest."""

from __future__ import annotations

from tessera.config import Paths
from tessera.geography.official_files import block_files
from tessera.release.manifest import SourceEntry
from tessera.sources.marks import is_synthetic
from tessera.sources.registry import sources
from tessera.store import sha256_of
from tessera.targets.snapshot import load_snapshot


def source_entries(paths: Paths) -> tuple[SourceEntry, ...]:
    """Entries of the survey and tax files in `raw/`, and of the official tables behind the targets.

    A file's sha256 is of its bytes; a target table's is of its figures as packaged.
    """
    entries = []
    for source in sources().values():
        for file in source.files:
            path = paths.raw / file.path
            if path.is_file():
                digest = sha256_of(path)
                made_up = is_synthetic(path, digest)
                entries.append(SourceEntry(f"{source.name}: {file.path}", digest, file.url, str(source.year), made_up))
    return (*entries, *_block_entries(paths), *_target_entries())


def _block_entries(paths: Paths) -> list[SourceEntry]:
    """Official block files, where a run has them; synthetic blocks are made in memory and have no file."""
    files = block_files()
    entries = []
    for file in files.all():
        path = paths.raw / file.path
        if path.is_file():
            digest = sha256_of(path)
            year, made_up = str(files.year), is_synthetic(path, digest)
            entries.append(SourceEntry(f"census_blocks: {file.path}", digest, file.url, year, made_up))
    return entries


def _target_entries() -> list[SourceEntry]:
    import hashlib

    figures = load_snapshot()
    entries = []
    for (source, table), rows in figures.groupby(["source", "table"], sort=True):
        digest = hashlib.sha256(rows.to_csv(index=False).encode("utf-8")).hexdigest()
        first = rows.iloc[0]
        entries.append(SourceEntry(f"{source}: {table}", digest, str(first["url"]), str(first["vintage"]), False))
    return entries
