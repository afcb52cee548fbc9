"""Clones with geography: every household is placed in many blocks, never twice in one district while districts last.

Holds the assignment and the design weights. Does not read block files (`blocks.py`) and decides no take-up.

Districts. For a household, district d is included with probability pi_d proportional to its population (or to its
income target for households of the top decile, or equal), capped at one:  pi_d = min(1, c m_d),  sum pi_d = n_clones.
The sample is drawn systematically: districts in a random order of the household's own, cumulated pi, one random start
u, and district d is taken where  floor(C_d - u) > floor(C_{d-1} - u)  (Madow 1949). Cumulation is in whole units of
2^-40, so that the number of districts is exactly n_clones and no district is taken twice: there is nothing to retry.
Above 436 clones every district is taken n_clones // 436 times, and the rest are drawn as above.

Blocks. Within the district a block is drawn in proportion to population.

Design weights. A clone carries  W_h / pi_hd  (the survey weight over the expected number of the household's clones in
that district), scaled so that the clones of a district carry the district's households.

Every draw is a counter-based uniform of the household's id, so neither chunks nor workers nor other households matter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.errors import GeographyError
from tessera.geography import areas
from tessera.geography.blocks import Blocks
from tessera.random import uniform

_UNIT = np.int64(1) << np.int64(40)
_CHUNK_HOUSEHOLDS = 2000
TOP_SHARE_PERCENTILE = 90.0


@dataclass(frozen=True)
class Clones:
    """One row a clone, clone-major: row = clone * n_households + household; arrays have one element a row.

    Attributes:
        household: row of the household in the base frame, int32.
        clone: number of the clone, int32.
        block: row of its block in `Blocks`, int32.
        district: district code, int32.
        block_geoid: 15-digit code of the block.
        inclusion: expected number of the household's clones in that district.
        design_weight: households that the clone stands for before calibration.
        n_households, n_clones: shape of the assignment.
        synthetic: true where the household or the block is synthetic.
    """

    household: npt.NDArray[np.int32]
    clone: npt.NDArray[np.int32]
    block: npt.NDArray[np.int32]
    district: npt.NDArray[np.int32]
    block_geoid: npt.NDArray[np.str_]
    inclusion: npt.NDArray[np.float64]
    design_weight: npt.NDArray[np.float64]
    n_households: int
    n_clones: int
    synthetic: bool

    @property
    def n_records(self) -> int:
        """Number of clones of all households."""
        return len(self.household)

    @property
    def state_fips(self) -> npt.NDArray[np.int32]:
        """State of each clone."""
        return (self.district // 100).astype(np.int32)

    @property
    def county_fips(self) -> npt.NDArray[np.str_]:
        """Five-digit county of each clone, from its block."""
        return self.block_geoid.astype("<U5")

    @property
    def cell(self) -> npt.NDArray[np.int32]:
        """Index of the clone's district among the 436 stratum districts."""
        return np.searchsorted(np.asarray(areas.stratum_districts()), self.district).astype(np.int32)

    def collisions(self) -> int:
        """Clones beyond the fewest that must share a district with another clone of their household."""
        n_districts = len(areas.stratum_districts())
        key = self.household.astype(np.int64) * n_districts + self.cell
        allowed = -(-self.n_clones // n_districts)
        counts = np.bincount(key, minlength=self.n_households * n_districts)
        return int(np.maximum(counts - allowed, 0).sum())


def assign(
    household_id: npt.NDArray[np.int64],
    household_weight: npt.NDArray[np.float64],
    blocks: Blocks,
    *,
    n_clones: int,
    seed: int,
    district_households: npt.NDArray[np.float64],
    household_agi: npt.NDArray[np.float64] | None = None,
    district_agi: npt.NDArray[np.float64] | None = None,
    equal_mass: bool = False,
    synthetic: bool = False,
) -> Clones:
    """Place `n_clones` clones of each household.

    Args:
        household_id: ids that the draws are keyed on, shape (n_households,).
        household_weight: survey weights, households, shape (n_households,).
        blocks: the block table.
        n_clones: clones of each household, at least 1, any number.
        seed: of the placement.
        district_households: households of each stratum district, catalogue order, shape (436,).
        household_agi: adjusted gross income of each household, dollars; with `district_agi`, routes the top decile.
        district_agi: income target of each stratum district, dollars, shape (436,); negative counts as zero.
        equal_mass: give every district the same probability instead of one in proportion to population.
        synthetic: mark the result as synthetic (it also is where the blocks are).

    Raises:
        GeographyError: no household, fewer than one clone, or an array of another shape.
    """
    _check(household_id, household_weight, n_clones, district_households)
    population = blocks.district_population().astype(np.float64)
    plain = np.ones_like(population) if equal_mass else population
    measures = np.stack([plain, plain if district_agi is None else np.maximum(district_agi, 0.0)])
    routed = np.zeros(len(household_id), dtype=np.int64)
    if household_agi is not None and district_agi is not None:
        routed = (household_agi >= _weighted_percentile(household_agi, household_weight)).astype(np.int64)
    inclusion = np.stack([inclusion_units(measure, n_clones) for measure in measures])
    cells = np.empty((len(household_id), n_clones), dtype=np.int32)
    for start in range(0, len(household_id), _CHUNK_HOUSEHOLDS):
        rows = slice(start, start + _CHUNK_HOUSEHOLDS)
        cells[rows] = _draw_districts(household_id[rows], inclusion[routed[rows]], n_clones, seed)
    household = np.tile(np.arange(len(household_id), dtype=np.int32), n_clones)
    clone = np.repeat(np.arange(n_clones, dtype=np.int32), len(household_id))
    cell = cells.T.reshape(-1)
    block = _draw_blocks(blocks, cell, household_id[household], clone, seed)
    expected = inclusion[routed[household], cell] / float(_UNIT)
    return Clones(
        household=household,
        clone=clone,
        block=block,
        district=np.asarray(areas.stratum_districts(), dtype=np.int32)[cell],
        block_geoid=blocks.block_geoid[block],
        inclusion=expected,
        design_weight=_design_weights(household_weight[household] / expected, cell, district_households),
        n_households=len(household_id),
        n_clones=n_clones,
        synthetic=synthetic or blocks.synthetic,
    )


def _design_weights(
    weight: npt.NDArray[np.float64], cell: npt.NDArray[np.int32], district_households: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Weights scaled so that the clones of each district carry its households."""
    carried = np.bincount(cell, weight, minlength=len(district_households))
    scale = np.divide(district_households, carried, out=np.zeros_like(carried), where=carried > 0)
    return weight * scale[cell]


def inclusion_units(measure: npt.NDArray[np.float64], n_clones: int) -> npt.NDArray[np.int64]:
    """Expected clones in each district, in units of 2^-40, summing to exactly n_clones * 2^40.

    Whole rounds over all districts first, then min(1, c m_d) for the rest, c found by repeatedly capping.
    """
    n_districts = len(measure)
    rounds, rest = divmod(n_clones, n_districts)
    probability = np.zeros(n_districts)
    capped = np.zeros(n_districts, dtype=bool)
    while rest > 0:
        free = ~capped
        total = measure[free].sum()
        share = measure[free] / total if total > 0 else np.full(free.sum(), 1.0 / free.sum())
        probability[free] = (rest - capped.sum()) * share
        probability[capped] = 1.0
        over = free & (probability > 1.0)
        if not over.any():
            break
        capped |= over
    units = np.minimum(np.floor(probability * float(_UNIT)).astype(np.int64), _UNIT)
    missing = rest * int(_UNIT) - int(units.sum())
    for district in np.argsort(-probability, kind="stable"):
        # Rounding down leaves a few units; they go to districts that are below one, so that none exceeds it.
        taken = min(missing, int(_UNIT - units[district]))
        units[district] += taken
        missing -= taken
    return units + rounds * _UNIT


def _draw_districts(
    household_id: npt.NDArray[np.int64], inclusion: npt.NDArray[np.int64], n_clones: int, seed: int
) -> npt.NDArray[np.int32]:
    """District indices of each household's clones, shape (n_households, n_clones), in the household's own order."""
    n_districts = inclusion.shape[1]
    rounds, rest = divmod(n_clones, n_districts)
    key = household_id[:, None]
    order = np.argsort(uniform(f"clones/order/{seed}", key, np.arange(n_districts)[None, :]), axis=1, kind="stable")
    result = np.empty((len(household_id), n_clones), dtype=np.int32)
    result[:, : rounds * n_districts] = np.tile(order, rounds)
    if rest:
        probability = np.take_along_axis(inclusion - rounds * _UNIT, order, axis=1)
        start = np.floor(uniform(f"clones/start/{seed}", household_id) * float(_UNIT)).astype(np.int64)
        cumulated = np.cumsum(probability, axis=1) - 1 - start[:, None]
        steps = np.floor_divide(cumulated, _UNIT)
        before = np.concatenate([np.full((len(household_id), 1), -1), steps[:, :-1]], axis=1)
        taken = steps > before
        result[:, rounds * n_districts :] = order[taken].reshape(len(household_id), rest)
    return result


def _draw_blocks(
    blocks: Blocks,
    cell: npt.NDArray[np.int32],
    household_id: npt.NDArray[np.int64],
    clone: npt.NDArray[np.int32],
    seed: int,
) -> npt.NDArray[np.int32]:
    """A block of each clone's district, in proportion to population."""
    cumulated = np.append(0, np.cumsum(blocks.population))
    starts = blocks.district_starts()
    low, high = cumulated[starts[cell]], cumulated[starts[cell + 1]]
    draw = low + np.floor(uniform(f"clones/block/{seed}", household_id, cell, clone) * (high - low)).astype(np.int64)
    return (np.searchsorted(cumulated, draw, side="right") - 1).astype(np.int32)


def _weighted_percentile(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    """The value at or above which the households of the top decile lie, by survey weight."""
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weights[order])
    index = np.searchsorted(cumulated, TOP_SHARE_PERCENTILE / 100.0 * cumulated[-1])
    return float(values[order[min(index, len(values) - 1)]])


def _check(
    household_id: npt.NDArray[np.int64],
    household_weight: npt.NDArray[np.float64],
    n_clones: int,
    district_households: npt.NDArray[np.float64],
) -> None:
    if len(household_id) == 0:
        raise GeographyError("clones: no households; wanted at least one. Build the base frame first.")
    if n_clones < 1:
        raise GeographyError(f"clones: n_clones is {n_clones}; wanted at least 1.")
    if len(household_weight) != len(household_id):
        raise GeographyError(f"clones: {len(household_weight)} weights for {len(household_id)} households.")
    wanted = len(areas.stratum_districts())
    if len(district_households) != wanted:
        raise GeographyError(f"clones: households of {len(district_households)} districts given; wanted {wanted}.")
