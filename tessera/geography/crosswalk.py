"""The crosswalk: what a block lies in beside its county, tract, state and district, as codes of fixed width.

Seven layers, one array each, a row a block of the block table that it belongs to. A code that is not known, or an area
that the block does not lie in, is the empty string: never a guess. Names and contents are those of the area files:

    cbsa_code   core based statistical area of the county, March 2020    5 digits, unique in the nation
    puma        public use microdata area of the tract, 2020             5 digits, unique in its state
    place       incorporated or census designated place, 2020            5 digits, unique in its state
    zcta        ZIP code tabulation area, 2020                           5 digits, unique in the nation
    sldu, sldl  state legislative districts of 2020, upper and lower     3 characters, unique in their state
    vtd         voting district, 2020                                    6 characters, unique in its county

All are of the 2020 census, as blocks are; counties of Connecticut are its eight counties, not the planning regions of
2022. Memory: 32 bytes a block.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from tessera.errors import GeographyError

Codes = npt.NDArray[np.bytes_]
# Not `place_fips`, which the engine reads for local sales taxes: values are computed by county, and a
# file in which the engine found places would give other values than the matrix.
Scope = Literal["nation", "state", "county"]
WIDTHS = {"cbsa_code": 5, "puma": 5, "place": 5, "zcta": 5, "sldu": 3, "sldl": 3, "vtd": 6}
# Within which areas the codes of a layer are unique.
SCOPES: dict[str, Scope] = {
    "cbsa_code": "nation", "puma": "state", "place": "state", "zcta": "nation", "sldu": "state", "sldl": "state",
    "vtd": "county",
}  # fmt: skip


@dataclass(frozen=True)
class Crosswalk:
    """Codes of every block, arrays of shape (n_blocks,) and dtype S{WIDTHS[name]}; "" where there is none."""

    cbsa_code: Codes
    puma: Codes
    place: Codes
    zcta: Codes
    sldu: Codes
    sldl: Codes
    vtd: Codes

    @property
    def n_blocks(self) -> int:
        """Blocks of the table that the crosswalk belongs to."""
        return len(self.cbsa_code)

    def layers(self) -> dict[str, Codes]:
        """The arrays by name, in the order of `WIDTHS`."""
        return {name: getattr(self, name) for name in WIDTHS}

    def known(self) -> tuple[str, ...]:
        """Names of the layers in which any block has a code."""
        return tuple(name for name, codes in self.layers().items() if (codes != b"").any())

    def take(self, rows: npt.NDArray[np.integer]) -> Crosswalk:
        """The codes of some blocks, in the order of `rows`."""
        return crosswalk_of({name: codes[rows] for name, codes in self.layers().items()}, len(rows))


def crosswalk_of(layers: dict[str, Codes], n_blocks: int) -> Crosswalk:
    """A crosswalk of the layers given, by name; the others are empty.

    Raises:
        GeographyError: a layer that does not exist, is of another length or holds codes that are too long.
    """
    unknown = sorted(set(layers) - set(WIDTHS))
    if unknown:
        raise GeographyError(f"crosswalk: there is no layer {unknown[0]!r}; wanted some of {', '.join(WIDTHS)}.")
    for name, codes in layers.items():
        if codes.shape != (n_blocks,) or codes.dtype.kind != "S" or codes.dtype.itemsize > WIDTHS[name]:
            raise GeographyError(
                f"crosswalk: layer {name} is {codes.dtype} of shape {codes.shape}; wanted S{WIDTHS[name]} of shape "
                f"({n_blocks},)."
            )
    filled = {
        name: layers[name].astype(f"S{width}", copy=False) if name in layers else np.zeros(n_blocks, f"S{width}")
        for name, width in WIDTHS.items()
    }
    return Crosswalk(**filled)


assert tuple(field.name for field in fields(Crosswalk)) == tuple(WIDTHS)
