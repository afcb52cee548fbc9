"""Census blocks with population, district and county: the table that every clone's place derives from.

Holds the table, its checks and the synthetic blocks that stand in where the official block files are absent. Does not
place clones (`clones.py`).

Synthetic blocks lie below the *real* shares of each district's population in each county: every (district, county)
piece gets round(share x blocks_per_district) blocks, at least one, and its population is split among them in proportion
to exponential draws. Their 15-digit codes are county (5, real) + tract (6, made up) + block (4, made up).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import GeographyError
from tessera.geography import areas
from tessera.random import uniform

_BLOCKS_PER_TRACT = 30


@dataclass(frozen=True)
class Blocks:
    """Blocks sorted by district code; all arrays have shape (n_blocks,).

    Attributes:
        block_geoid: 15-digit code, fixed-width unicode.
        population: residents, int64, at least 0.
        district: district code (612 for CA-12), int32.
        synthetic: true where the blocks are made up below real county shares.
    """

    block_geoid: npt.NDArray[np.str_]
    population: npt.NDArray[np.int64]
    district: npt.NDArray[np.int32]
    synthetic: bool

    @property
    def county_fips(self) -> npt.NDArray[np.str_]:
        """Five-digit county code of each block."""
        return self.block_geoid.astype("<U5")

    @property
    def tract_geoid(self) -> npt.NDArray[np.str_]:
        """Eleven-digit tract code of each block."""
        return self.block_geoid.astype("<U11")

    def district_starts(self) -> npt.NDArray[np.int64]:
        """First block of each stratum district and the end of the last, shape (437,)."""
        codes = np.asarray(areas.stratum_districts(), dtype=np.int64)
        return np.append(np.searchsorted(self.district, codes), len(self.district)).astype(np.int64)

    def validate(self, where: str = "blocks") -> Blocks:
        """Check codes, order and that every district has population; return self or raise `GeographyError`."""
        codes = np.asarray(areas.stratum_districts(), dtype=np.int64)
        unknown = np.flatnonzero(~np.isin(self.district, codes))
        if unknown.size:
            row = int(unknown[0])
            raise GeographyError(
                f"{where}: block {self.block_geoid[row]} (row {row}) lies in district {self.district[row]}, which the "
                f"{areas.CONGRESS}th Congress does not have."
            )
        if np.any(np.diff(self.district) < 0):
            raise GeographyError(f"{where}: blocks are not sorted by district code; sort them.")
        if np.any(self.population < 0):
            row = int(np.flatnonzero(self.population < 0)[0])
            raise GeographyError(
                f"{where}: block {self.block_geoid[row]} has population {self.population[row]}; wanted 0+."
            )
        if len(np.unique(self.block_geoid)) != len(self.block_geoid):
            raise GeographyError(f"{where}: a block code occurs twice; every block lies in one district.")
        populations = self.district_population()
        if (populations <= 0).any():
            empty = [areas.district_key(code) for code in codes[populations <= 0]]
            raise GeographyError(
                f"{where}: no populated block in district {', '.join(empty)}; every district needs one."
            )
        return self

    def district_population(self) -> npt.NDArray[np.int64]:
        """Population of each stratum district, in catalogue order, shape (436,)."""
        totals = np.append(0, np.cumsum(self.population))
        starts = self.district_starts()
        return totals[starts[1:]] - totals[starts[:-1]]


def synthetic_blocks(
    county_shares: pd.DataFrame, district_population: pd.Series, *, blocks_per_district: int, seed: int
) -> Blocks:
    """Blocks below the real county shares of each district.

    Args:
        county_shares: columns `district` (code), `county_fips` (five digits), `share` (sums to 1 in each district).
        district_population: population by district code.
        blocks_per_district: how many blocks a district gets, about; each of its counties gets at least one.
        seed: of the block sizes.

    Returns:
        Blocks sorted by district, then county, whose populations sum exactly to each district's.
    """
    pieces = county_shares.sort_values(["district", "county_fips"], kind="stable").reset_index(drop=True)
    population = pieces["district"].map(district_population)
    if population.isna().any():
        row = int(np.flatnonzero(population.isna())[0])
        raise GeographyError(
            f"county shares row {row}: district {pieces['district'].iloc[row]} has no population figure."
        )
    n_blocks = np.maximum(1, np.rint(pieces["share"].to_numpy() * blocks_per_district)).astype(np.int64)
    piece = np.repeat(np.arange(len(pieces)), n_blocks)
    within = np.arange(len(piece)) - np.repeat(np.cumsum(n_blocks) - n_blocks, n_blocks)
    size = -np.log(uniform(f"synthetic_blocks/{seed}", pieces["district"].to_numpy()[piece], piece, within))
    piece_population = pieces["share"].to_numpy() * population.to_numpy(dtype=np.float64)
    expected = size * (piece_population / np.bincount(piece, size))[piece]
    district = pieces["district"].to_numpy(dtype=np.int32)[piece]
    return Blocks(
        block_geoid=_synthetic_codes(pieces["county_fips"].to_numpy(dtype="<U5")[piece]),
        population=_round_to_totals(expected, district, district_population),
        district=district,
        synthetic=True,
    ).validate("synthetic blocks")


def _synthetic_codes(county: npt.NDArray[np.str_]) -> npt.NDArray[np.str_]:
    """Unique 15-digit codes: blocks are numbered within their county, 30 to a made-up tract."""
    order = np.argsort(county, kind="stable")
    first = np.searchsorted(county[order], county[order])
    number = np.empty(len(county), dtype=np.int64)
    number[order] = np.arange(len(county)) - first
    tract, block = number // _BLOCKS_PER_TRACT + 1, number % _BLOCKS_PER_TRACT + 1000
    codes = [f"{fips}{t:06d}{b:04d}" for fips, t, b in zip(county, tract, block, strict=True)]
    return np.array(codes, dtype="<U15")


def _round_to_totals(
    expected: npt.NDArray[np.float64], district: npt.NDArray[np.int32], totals: pd.Series
) -> npt.NDArray[np.int64]:
    """Whole numbers nearest to `expected` whose sum in each district is its total (largest remainders go up)."""
    floor = np.floor(expected).astype(np.int64)
    result = floor.copy()
    starts = np.flatnonzero(np.append(True, np.diff(district) != 0))
    for start, end in zip(starts, np.append(starts[1:], len(district)), strict=True):
        missing = int(totals.loc[int(district[start])]) - int(floor[start:end].sum())
        order = np.argsort(floor[start:end] - expected[start:end], kind="stable")
        result[start + np.resize(order, max(missing, 0))] += 1
    return result
