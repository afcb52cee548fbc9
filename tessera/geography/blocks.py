"""Census blocks with population, district and county: the table that every clone's place derives from.

Holds the table, its checks and the synthetic blocks that stand in where the official block files are absent. Does not
read those files (`block_files.py`, `official_blocks.py`) nor place clones (`clones.py`).

Memory: 27 bytes a block, and 32 more for its crosswalk: 340 MB for the 5.8 million populated blocks of the 2020 census.

Synthetic blocks lie below the *real* shares of each district's population in each county: every (district, county)
piece gets round(share x blocks_per_district) blocks, at least one, and its population is split among them in proportion
to exponential draws. Their 15-digit codes are county (5, real) + tract (6, made up) + block (4, made up). Of the other
geographies they have what follows from the county, its metropolitan area; the rest is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import GeographyError
from tessera.geography import areas
from tessera.geography.county_cbsa import cbsa_of
from tessera.geography.crosswalk import Crosswalk, crosswalk_of
from tessera.random import uniform
from tessera.sources.bytefile import whole_numbers

_BLOCKS_PER_TRACT = 30
_CODE_DIGITS = 15
_PER_STATE = 10 ** (_CODE_DIGITS - 2)  # a block's number divided by this is its state


@dataclass(frozen=True)
class BlockCounts:
    """What became of the blocks of the official files.

    Attributes:
        in_files: blocks of the 50 states and DC in the redistricting files.
        unpopulated: of them, left out because nobody lives there.
        without_district: of the unpopulated ones, those that lie in no district ("ZZ": large water bodies).
        outside_states: blocks of the equivalency file in Puerto Rico and the islands, left out.
        absent_layers: "NE sldl" where a state has no file of a layer, because it has no such areas.
    """

    in_files: int
    unpopulated: int
    without_district: int
    outside_states: int
    absent_layers: tuple[str, ...]


@dataclass(frozen=True)
class Blocks:
    """Blocks sorted by district code; all arrays have shape (n_blocks,).

    Attributes:
        block_geoid: 15-digit code, ASCII bytes (S15).
        population: residents, int64, at least 0.
        district: district code (612 for CA-12), int32.
        synthetic: true where the blocks are made up below real county shares.
        crosswalk: what else each block lies in; None where nothing is known.
        counts: of official blocks, what was left out; None for synthetic ones.
    """

    block_geoid: npt.NDArray[np.bytes_]
    population: npt.NDArray[np.int64]
    district: npt.NDArray[np.int32]
    synthetic: bool
    crosswalk: Crosswalk | None = None
    counts: BlockCounts | None = None

    @property
    def number(self) -> npt.NDArray[np.int64]:
        """Each block's code as a whole number: divided by 10^10 its county, by 10^4 its tract."""
        return self.block_geoid.astype(np.int64)

    @property
    def county_fips(self) -> npt.NDArray[np.str_]:
        """Five-digit county code of each block."""
        return self.block_geoid.astype("<U5")

    @property
    def tract_geoid(self) -> npt.NDArray[np.str_]:
        """Eleven-digit tract code of each block."""
        return self.block_geoid.astype("<U11")

    def places(self, rows: npt.NDArray[np.integer]) -> pd.DataFrame:
        """Everything that some blocks lie in, as text: one row a block, in the order of `rows`.

        Columns: block_geoid, tract_geoid, county_fips, state (postal code), district (CA-12), the crosswalk's layers.
        """
        geoid = self.block_geoid[rows].astype("<U15")
        keys = [areas.district_key(code) for code in self.district[rows]]
        derived = {"block_geoid": geoid, "tract_geoid": geoid.astype("<U11"), "county_fips": geoid.astype("<U5")}
        codes = crosswalk_of({}, len(rows)) if self.crosswalk is None else self.crosswalk.take(rows)
        layers = {name: values.astype(np.str_) for name, values in codes.layers().items()}
        return pd.DataFrame({**derived, "state": [key[:2] for key in keys], "district": keys, **layers})

    def district_starts(self) -> npt.NDArray[np.int64]:
        """First block of each stratum district and the end of the last, shape (437,)."""
        codes = np.asarray(areas.stratum_districts(), dtype=np.int64)
        return np.append(np.searchsorted(self.district, codes), len(self.district)).astype(np.int64)

    def validate(self, where: str = "blocks") -> Blocks:
        """Check codes, order and that every district has population; return self or raise `GeographyError`."""
        known = np.asarray(areas.stratum_districts(), dtype=np.int64)
        unknown = np.flatnonzero(~np.isin(self.district, known))
        if unknown.size:
            row = int(unknown[0])
            raise GeographyError(
                f"{where}: block {_text(self.block_geoid[row])} (row {row}) lies in district {self.district[row]}, "
                f"which the {areas.CONGRESS}th Congress does not have."
            )
        if np.any(np.diff(self.district) < 0):
            raise GeographyError(f"{where}: blocks are not sorted by district code; sort them.")
        if np.any(self.population < 0):
            row = int(np.flatnonzero(self.population < 0)[0])
            raise GeographyError(
                f"{where}: block {_text(self.block_geoid[row])} has population {self.population[row]}; wanted 0+."
            )
        _check_codes(self, where)
        populations = self.district_population()
        if (populations <= 0).any():
            empty = [areas.district_key(code) for code in known[populations <= 0]]
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
    county = pieces["county_fips"].to_numpy(dtype="<U5")[piece]
    return Blocks(
        block_geoid=_synthetic_codes(county),
        population=_round_to_totals(expected, district, district_population),
        district=district,
        synthetic=True,
        crosswalk=crosswalk_of({"cbsa_code": cbsa_of(county.astype("S5"))}, len(county)),
    ).validate("synthetic blocks")


def _check_codes(blocks: Blocks, where: str) -> None:
    """Codes are 15 digits, unique and of their district's state, and the crosswalk has as many rows as the table."""
    number = _numbers(blocks.block_geoid, where)
    elsewhere = np.flatnonzero(number // _PER_STATE != blocks.district // 100)
    if elsewhere.size:
        row = int(elsewhere[0])
        raise GeographyError(
            f"{where}: block {_text(blocks.block_geoid[row])} (row {row}) is by its code not in the state of its "
            f"district, {areas.district_key(blocks.district[row])}."
        )
    order = np.sort(number)
    twice = np.flatnonzero(order[1:] == order[:-1])
    if twice.size:
        raise GeographyError(
            f"{where}: block {order[twice[0]]:015d} occurs twice ({twice.size} such); every block lies in one district."
        )
    if blocks.crosswalk is not None and blocks.crosswalk.n_blocks != len(number):
        raise GeographyError(
            f"{where}: the crosswalk has {blocks.crosswalk.n_blocks} rows for {len(number)} blocks; wanted one each."
        )


def _numbers(geoid: npt.NDArray[np.bytes_], where: str) -> npt.NDArray[np.int64]:
    """Block codes as numbers; refuses what is not 15 digits."""
    if geoid.dtype.kind != "S":
        raise GeographyError(f"{where}: block codes are {geoid.dtype}; wanted ASCII bytes, S{_CODE_DIGITS}.")
    number, good = whole_numbers(geoid)
    good &= np.char.str_len(geoid) == _CODE_DIGITS
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise GeographyError(f"{where}: {repr(bytes(geoid[row]))[1:]} (row {row}) is no block code; wanted 15 digits.")
    return number


def _text(code: bytes) -> str:
    return code.decode("ascii", errors="backslashreplace")


def _synthetic_codes(county: npt.NDArray[np.str_]) -> npt.NDArray[np.bytes_]:
    """Unique 15-digit codes: blocks are numbered within their county, 30 to a made-up tract."""
    order = np.argsort(county, kind="stable")
    first = np.searchsorted(county[order], county[order])
    number = np.empty(len(county), dtype=np.int64)
    number[order] = np.arange(len(county)) - first
    tract, block = number // _BLOCKS_PER_TRACT + 1, number % _BLOCKS_PER_TRACT + 1000
    codes = [f"{fips}{t:06d}{b:04d}" for fips, t, b in zip(county, tract, block, strict=True)]
    return np.array(codes, dtype="S15")


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
