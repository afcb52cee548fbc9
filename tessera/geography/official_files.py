"""Which official block files there are, where they are published and where they lie below `raw/`; none is read here.

106 files: four of the nation and two a state (`sources/data/official_block_files.json`). They are asked for together:
those that are absent are downloaded in one go, and a message lists every one that could not be had, with its URL.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tessera.errors import SourceError
from tessera.geography.areas import State, states
from tessera.sources.cache import obtain
from tessera.sources.download import Fetched, Limits
from tessera.sources.marks import is_synthetic, sidecar_of
from tessera.sources.registry import SYNTHETIC_ADVICE, OfficialFile
from tessera.store import sha256_of


@dataclass(frozen=True)
class BlockFiles:
    """The block files of a census.

    Attributes:
        equivalency: block to district of the 119th Congress.
        tract_pumas: tract to PUMA.
        zctas: block to ZCTA.
        cbsas: county to metropolitan area.
        population: redistricting files by state's postal code.
        assignment: block assignment files by state's postal code.
        year, note: of the census, and the publisher in words.
    """

    equivalency: OfficialFile
    tract_pumas: OfficialFile
    zctas: OfficialFile
    cbsas: OfficialFile
    population: Mapping[str, OfficialFile]
    assignment: Mapping[str, OfficialFile]
    year: int
    note: str

    def all(self) -> tuple[OfficialFile, ...]:
        """Every file, national ones first."""
        national = (self.equivalency, self.tract_pumas, self.zctas, self.cbsas)
        return (*national, *self.population.values(), *self.assignment.values())


@cache
def block_files() -> BlockFiles:
    """The files of the 2020 census, with the hashes that are known."""
    catalogue = resources.files("tessera.sources") / "data" / "official_block_files.json"
    stored = json.loads(catalogue.read_text(encoding="utf-8"))
    folder, national, each = str(stored["folder"]), stored["national"], stored["each_state"]
    by_state = {
        name: {state.usps: _file(folder, entry, _words(state)) for state in states()} for name, entry in each.items()
    }
    return BlockFiles(
        equivalency=_file(folder, national["equivalency"], {}),
        tract_pumas=_file(folder, national["tract_pumas"], {}),
        zctas=_file(folder, national["zctas"], {}),
        cbsas=_file(folder, national["cbsas"], {}),
        population=by_state["population"],
        assignment=by_state["assignment"],
        year=int(stored["year"]),
        note=str(stored["note"]),
    )


def obtain_blocks(
    raw: Path, files: BlockFiles, *, offline: bool | None = None, limits: Limits | None = None
) -> list[Fetched]:
    """Download the block files that are absent from a folder of source files; returns those.

    Raises:
        SourceError: names every file that could not be had and its URL.
        StorageError: the disk is full or cannot be written.
    """
    kind, note = "official block files", f"{files.note} {SYNTHETIC_ADVICE}"
    return obtain(files.all(), raw, what="census_blocks", kind=kind, note=note, offline=offline, limits=limits)


def check_present(raw: Path, files: BlockFiles) -> None:
    """Download block files that are absent; refuse those that are synthetic or not the pinned ones.

    Raises:
        SourceError: names every absent file that could not be had and its URL, or the first that is not what it should
            be.
        StorageError: the disk is full or cannot be written.
    """
    obtain_blocks(raw, files)
    for file in files.all():
        path = raw / file.path
        # Hashing gigabytes takes a while: only where a hash is pinned, or a sidecar has to be compared with one.
        digest = sha256_of(path) if file.sha256 is not None or sidecar_of(path).exists() else ""
        if is_synthetic(path, digest):
            raise SourceError(f"{path}: is synthetic; wanted the official file. Get it from {file.url}.")
        if file.sha256 is not None and digest != file.sha256:
            raise SourceError(
                f"{path}: has sha256 {digest}; wanted {file.sha256}. It is damaged or of another release: get it again "
                f"from {file.url}."
            )


def _words(state: State) -> dict[str, str]:
    return {
        "usps": state.usps,
        "usps_lower": state.usps.lower(),
        "fips": f"{state.fips:02d}",
        "state_name": state.name.replace(" ", "_"),
    }


def _file(folder: str, entry: Mapping[str, str | None], words: Mapping[str, str]) -> OfficialFile:
    return OfficialFile(
        path=f"{folder}/{str(entry['file']).format_map(words)}",
        url=str(entry["url"]).format_map(words),
        sha256=entry["sha256"],
    )
