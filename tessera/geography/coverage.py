"""How much of the country holds a clone: areas of every kind, counted on the blocks in which somebody lives.

An area counts as covered when at least one clone stands in one of its blocks. Areas of a kind are told apart by their
code within the area in which the code is unique (a voting district by county and code). Blocks without a code of the
kind do not count, and a kind of which the block table knows no code is left out rather than reported as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.geography.blocks import Blocks
from tessera.geography.clones import Clones
from tessera.geography.crosswalk import SCOPES, Codes

_Ids = npt.NDArray[np.int64]
_NOUNS = {
    "cbsa_code": "metropolitan areas",
    "puma": "PUMAs",
    "place": "places",
    "zcta": "ZCTAs",
    "sldu": "upper state districts",
    "sldl": "lower state districts",
    "vtd": "voting districts",
}


@dataclass(frozen=True)
class Covered:
    """Areas of a kind: how many have residents, and how many of them hold a clone."""

    kind: str
    populated: int
    held: int

    @property
    def share(self) -> float:
        """Share of the populated areas that hold a clone."""
        return self.held / self.populated


def covered_areas(clones: Clones, blocks: Blocks) -> tuple[Covered, ...]:
    """Blocks, tracts, counties, districts and the known layers of the crosswalk, each with its coverage."""
    populated = blocks.population > 0
    held = np.zeros(len(populated), dtype=bool)
    held[clones.block] = True
    number = blocks.number
    kinds = {"tracts": number // 10**4, "counties": number // 10**10, "districts": blocks.district.astype(np.int64)}
    result = [Covered("blocks", int(populated.sum()), int((held & populated).sum()))]
    result += [_covered(kind, ids, populated, held) for kind, ids in kinds.items()]
    if blocks.crosswalk is not None:
        scopes = {"nation": np.zeros_like(number), "state": number // 10**13, "county": number // 10**10}
        layers = blocks.crosswalk.layers()
        for name in blocks.crosswalk.known():
            coded = layers[name] != b""
            ids = _area_ids(scopes[SCOPES[name]], layers[name])
            result.append(_covered(_NOUNS[name], ids, populated & coded, held & coded))
    return tuple(result)


def coverage(clones: Clones, blocks: Blocks) -> dict[str, float]:
    """The same as metadata: of every kind, how many areas hold a clone, and which share of those with residents."""
    result: dict[str, float] = {}
    for covered in covered_areas(clones, blocks):
        result[f"{covered.kind} with a clone"] = covered.held
        result[f"share of {covered.kind} with a clone"] = covered.share
    return result


def _covered(kind: str, ids: _Ids, populated: npt.NDArray[np.bool_], held: npt.NDArray[np.bool_]) -> Covered:
    return Covered(kind, len(np.unique(ids[populated])), len(np.unique(ids[held & populated])))


def _area_ids(scope: _Ids, codes: Codes) -> _Ids:
    """A number for every pair of scope (a county at most, below 2^16) and code (six bytes at most)."""
    first_six = (codes.astype("S8").view(">u8") >> np.uint64(16)).astype(np.int64)
    return (scope << 48) | first_six
