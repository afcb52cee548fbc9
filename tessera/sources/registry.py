"""Where each source file comes from, and the preparation of the folder `raw/` in either mode.

- synthetic: each source is written by its writer, unless the file at hand is the one that it would write (its sidecar
says so).
- official: absent files are downloaded (`cache`, `download`), unless `$TESSERA_OFFLINE` or the caller says not to;
licensed ones must be supplied. A file at hand must be no synthetic one, and have the pinned sha256 where one is known.

URLs and hashes are data (`data/official_files.json`). A file without a synthetic mark is never overwritten.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tessera.config import Paths, Scale, SourceMode
from tessera.errors import SourceError
from tessera.sources.cache import absent, obtain
from tessera.sources.download import Fetched, Limits
from tessera.sources.marks import is_synthetic, read_mark, sidecar_of
from tessera.store import sha256_of

_LOG = logging.getLogger(__name__)
SYNTHETIC_ADVICE = "A run with synthetic sources needs none of them."
Sizes = dict[str, int]
Writer = Callable[[Path, Sizes, int], Path]


@dataclass(frozen=True)
class OfficialFile:
    """One file of a source: path below `raw/`, where it is published, and its sha256 if it is pinned."""

    path: str
    url: str
    sha256: str | None


@dataclass(frozen=True)
class SourceFile:
    """A source: its files and its synthetic writer.

    Attributes:
        name: asset name ("cps_asec", ...).
        year: survey or tax year of the official files.
        primary: path below `raw/` of what the reader is given (a file, or a folder of files).
        files: all files that the reader opens.
        note: publisher and licence, in words.
        licensed: whether the files cannot be downloaded: who has a licence puts them into `raw/`.
        sizes: settings of the synthetic writer at a scale.
        write: synthetic writer: folder, sizes, seed -> path of `primary`.
    """

    name: str
    year: int
    primary: str
    files: tuple[OfficialFile, ...]
    note: str
    licensed: bool
    sizes: Callable[[Scale], Sizes]
    write: Writer


@cache
def sources() -> dict[str, SourceFile]:
    """All sources by name."""
    catalogue = resources.files("tessera.sources") / "data" / "official_files.json"
    stored = json.loads(catalogue.read_text(encoding="utf-8"))
    return {name: _source(name, entry) for name, entry in stored.items()}


def prepare(paths: Paths, mode: SourceMode, scale: Scale, seed: int, *, offline: bool | None = None) -> dict[str, Path]:
    """Make sure that every source's files are in `raw/`.

    Args:
        paths: the store.
        mode: "synthetic" or "official".
        scale, seed: of the synthetic files; unused for official ones.
        offline: download no official file; None for what the environment says (`config.offline`).

    Returns:
        Path to give to each source's reader, by source name.

    Raises:
        SourceError: see `prepare_source`.
    """
    return {
        name: prepare_source(source, paths, mode, scale, seed, offline=offline) for name, source in sources().items()
    }


def prepare_source(
    source: SourceFile, paths: Paths, mode: SourceMode, scale: Scale, seed: int, *, offline: bool | None = None
) -> Path:
    """Make sure that one source's files are in `raw/`; returns the path to give to its reader.

    Raises:
        SourceError: an official file cannot be had, is synthetic or of another sha256; or an unmarked file, which may
            be official, lies where a synthetic one is to be written.
        StorageError: the disk is full or cannot be written.
    """
    if mode == "official":
        # What is at hand first: hours of downloading are no use beside a file that will be refused.
        for file in source.files:
            if (paths.raw / file.path).is_file():
                _check_official(source, file, paths.raw / file.path)
        obtain_source(source, paths.raw, offline=offline)
        return paths.raw / source.primary
    sizes = source.sizes(scale)
    # Every file is looked at, so that one that may be official stops the writer before it begins.
    current = [_is_current(source, paths.raw / file.path, sizes, seed) for file in source.files]
    if not all(current):
        _LOG.info("writing synthetic %s (%s, seed %d) to %s", source.name, sizes, seed, paths.raw)
        written = source.write(paths.raw, sizes, seed)
        if written != paths.raw / source.primary:
            raise SourceError(f"Writer of {source.name} wrote {written}; wanted {paths.raw / source.primary}.")
    return paths.raw / source.primary


def obtain_source(
    source: SourceFile, raw: Path, *, offline: bool | None = None, limits: Limits | None = None
) -> list[Fetched]:
    """Download the files of a source that are absent; returns those.

    What is at hand is not looked into (`prepare_source` does).

    Raises:
        SourceError: files that could not be had, or that must be supplied because they are licensed.
        StorageError: the disk is full or cannot be written.
    """
    missing = absent(source.files, raw)
    for file in missing:
        if sidecar_of(raw / file.path).exists():
            raise SourceError(
                f"{sidecar_of(raw / file.path)}: describes a synthetic file that is no longer there, so an official "
                "one cannot take its place. Delete it and run again."
            )
    if missing and source.licensed:
        places = " and ".join(str(raw / file.path) for file in missing)
        raise SourceError(
            f"{source.name}: {len(missing)} of {len(source.files)} official files ({source.year}) are absent. "
            f"{source.note} See {missing[0].url}. Put what you receive at {places}, or run with synthetic sources."
        )
    note = f"{source.note} {SYNTHETIC_ADVICE}"
    return obtain(source.files, raw, what=source.name, note=note, offline=offline, limits=limits)


def _is_current(source: SourceFile, path: Path, sizes: Sizes, seed: int) -> bool:
    mark = read_mark(path)
    if not path.exists():
        return False
    sha256 = sha256_of(path)
    if mark is None and is_synthetic(path, sha256):
        return False
    if mark is None or not mark.describes(sha256):
        reason = (
            "has no mark of a synthetic file"
            if mark is None
            else f"is not the file that {sidecar_of(path).name} describes"
        )
        raise SourceError(
            f"{path}: {reason} (sha256 {sha256[:12]}...), so it may be official and is not overwritten. Run with "
            f"official "
            "sources, or move it out of raw/ (with its sidecar, if any) and run again."
        )
    return mark.sha256 == sha256 and mark.writer == source.name and mark.seed == seed and mark.settings == sizes


def _check_official(source: SourceFile, file: OfficialFile, path: Path) -> None:
    sha256 = sha256_of(path)
    if is_synthetic(path, sha256):
        raise SourceError(
            f"{path}: is synthetic; wanted the official file of {source.name} ({source.year}). Move it and its "
            f"sidecar away, "
            f"get the official one from {file.url} and put it at that path."
        )
    if file.sha256 is not None and sha256 != file.sha256:
        raise SourceError(
            f"{path}: has sha256 {sha256}; wanted {file.sha256}. It is damaged or of another release: get it again "
            f"from {file.url}."
        )


def _source(name: str, entry: dict[str, object]) -> SourceFile:
    files = entry["files"]
    if not isinstance(files, list):
        raise SourceError(f"official_files.json: {name}.files is {files!r}; wanted a list.")
    return SourceFile(
        name=name,
        year=int(str(entry["year"])),
        primary=str(entry["primary"]),
        files=tuple(OfficialFile(str(file["path"]), str(file["url"]), file["sha256"]) for file in files),
        note=str(entry["note"]),
        licensed=bool(entry.get("licensed", False)),
        sizes=lambda scale: _sizes(name, scale),
        write=lambda folder, sizes, seed: _write(name, folder, sizes, seed),
    )


def _sizes(name: str, scale: Scale) -> Sizes:
    """Settings of a writer at a scale; donor surveys have their official sample's size at most."""
    year = sources()[name].year
    survey = scale.survey_households
    counts: dict[str, Sizes] = {
        "cps_asec": {"households": survey, "year": year},
        "irs_puf": {"returns": scale.puf_returns, "year": year},
        "acs_pums": {"households": survey, "year": year},
        "sipp": {"households": min(max(survey // 2, 200), 17_000), "year": year},
        "scf": {"families": min(max(survey // 2, 200), 4_600), "year": year},
        "cps_org": {"households": min(max(survey // 5, 60), 6_000), "year": year},
    }
    return counts[name]


def _write(name: str, folder: Path, sizes: Sizes, seed: int) -> Path:
    # Imported here: readers of official files need no writer.
    from tessera.sources.synthetic import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp

    if name == "irs_puf":
        return irs_puf.write(folder, returns=sizes["returns"], seed=seed)
    if name == "scf":
        return scf.write(folder, families=sizes["families"], year=sizes["year"], seed=seed)
    writers = {"cps_asec": cps_asec, "acs_pums": acs_pums, "sipp": sipp, "cps_org": cps_org}
    module = writers[name]
    return module.write(folder, households=sizes["households"], year=sizes["year"], seed=seed)
