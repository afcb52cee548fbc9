"""Building the file of one area: which clones lie in it, its dataset, and what was written.

Holds the choice of clones and the summary of a file; assembly and format are next door (`assemble`, `dataset`).

An area's clones are those of positive weight whose district (nation, state, district) or county (city) belongs to it.
A file that already holds exactly these clones, weights and inputs (same fingerprint) is left as it is, so that a run
that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import read_attributes, write_area
from tessera.errors import AreaError
from tessera.geography.areas import Area
from tessera.geography.clones import Clones
from tessera.store import sha256_of


@dataclass(frozen=True)
class AreaFile:
    """What the file of an area holds.

    Attributes:
        key, kind, name: of the area.
        relative_path: below a folder of area files, a staging folder or a release.
        sha256, bytes: of the file.
        records: clones of positive weight in it; persons: their members.
        weight_sum: households they stand for, before storage in single precision.
        effective_records: (sum w)^2 / sum w^2, Kish's effective sample size.
        max_weight: largest weight, households.
        synthetic: marked as made of synthetic records or places.
    """

    key: str
    kind: str
    name: str
    relative_path: str
    sha256: str
    bytes: int
    records: int
    persons: int
    weight_sum: float
    effective_records: float
    max_weight: float
    synthetic: bool


def records_in_area(area: Area, clones: Clones) -> npt.NDArray[np.int64]:
    """Rows of `Clones` that lie in an area, ascending."""
    if area.kind == "national":
        return np.arange(clones.n_records, dtype=np.int64)
    if area.kind == "city":
        counties = [f"{fips:05d}" for fips in area.county_fips]
        return np.flatnonzero(np.isin(clones.county_fips, counties))
    return np.flatnonzero(np.isin(clones.district, area.district_codes))


def build_area(area: Area, assembler: Assembler, weights: npt.NDArray[np.float64], folder: Path) -> AreaFile:
    """Write the file of an area below `folder`, unless it is there already, and summarise it.

    Args:
        area: from the catalogue.
        assembler: of all clones.
        weights: fitted weights of all clones, households, shape (n_records,).
        folder: the file goes to `folder / area.relative_path`.

    Raises:
        AreaError: no clone of positive weight lies in the area; the message says how many lie there at all.
    """
    inside = records_in_area(area, assembler.clones)
    records = inside[weights[inside] > 0]
    if len(records) == 0:
        raise AreaError(
            f"{area.key}: no clone of positive weight lies in the area ({len(inside)} clones do at all). "
            "Raise the number of clones, or lower lambda_l0 and fit again."
        )
    dataset = assembler.assemble(records, weights[records])
    fingerprint = _fingerprint(dataset.arrays)
    path = folder / area.relative_path
    if not (path.exists() and read_attributes(path).get("fingerprint") == fingerprint):
        write_area(dataset, path, fingerprint=fingerprint)
    kept = weights[records]
    return AreaFile(
        key=area.key,
        kind=area.kind,
        name=area.name,
        relative_path=area.relative_path,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        records=len(records),
        persons=dataset.counts["person"],
        weight_sum=float(kept.sum()),
        effective_records=float(kept.sum() ** 2 / np.square(kept).sum()),
        max_weight=float(kept.max()),
        synthetic=dataset.synthetic,
    )


def _fingerprint(arrays: Mapping[str, npt.NDArray[np.generic]]) -> str:
    """sha256 of every array's name, type and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{values.dtype.str}|{values.shape}|".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
