"""Clones with geography: every household is placed in many blocks, never twice in one district while districts last.

Holds the assignment and the design weights. Does not read block files (`blocks.py`) and decides no take-up. The passes
over clones are compiled (`clone_kernels.py`) and fill the result in place: beside it, an assignment holds two bytes a
clone and the blocks' population.

Districts. For a household, district d is included with probability pi_d proportional to its population (or to its
income target for households of the top decile, or equal), capped at one:  pi_d = min(1, c m_d),  sum pi_d = n_clones.
The sample is drawn systematically: districts in a random order of the household's own, cumulated pi, one random start
u, and district d is taken where  floor(C_d - u) > floor(C_{d-1} - u)  (Madow 1949). Cumulation is in whole units of
2^-40, so that the number of districts is exactly n_clones and no district is taken twice: there is nothing to retry.
Above 436 clones every district is taken n_clones // 436 times, and the rest are drawn as above.

Blocks. Within the district a block is drawn in proportion to population.

Design weights. A clone carries  W_h / pi_hd  (the survey weight over the expected number of the household's clones in
that district), scaled so that the clones of a district carry the district's households.

Every draw is a counter-based uniform of the household's id, so neither chunks nor threads nor other households matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tessera.errors import GeographyError
from tessera.geography import areas
from tessera.geography.blocks import Blocks
from tessera.random import label_key
from tessera.threads import run_ranges

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float64]

_UNIT = np.int64(1) << np.int64(40)
_LEAST_HOUSEHOLDS = 50  # that are worth a thread
TOP_SHARE_PERCENTILE = 90.0


@dataclass(frozen=True)
class Clones:
    """One row a clone, clone-major: row = clone * n_households + household; arrays have one element a row.

    Attributes:
        household: row of the household in the base frame, int32.
        clone: number of the clone, int32.
        block: row of its block in `Blocks`, int32.
        district: district code, int32.
        block_geoid: 15-digit code of the block, ASCII bytes (S15), as `Blocks` has it.
        inclusion: expected number of the household's clones in that district.
        design_weight: households that the clone stands for before calibration.
        n_households, n_clones: shape of the assignment.
        synthetic: true where the household or the block is synthetic.
        base_sha256: tree hash of the base frame that the clones are of; empty where they are of none.
    """

    household: npt.NDArray[np.int32]
    clone: npt.NDArray[np.int32]
    block: npt.NDArray[np.int32]
    district: npt.NDArray[np.int32]
    block_geoid: npt.NDArray[np.bytes_]
    inclusion: npt.NDArray[np.float64]
    design_weight: npt.NDArray[np.float64]
    n_households: int
    n_clones: int
    synthetic: bool
    base_sha256: str = ""

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
        codes = np.asarray(areas.stratum_districts())
        index = np.zeros(codes[-1] + 1, dtype=np.int32)
        index[codes] = np.arange(len(codes))
        return index[self.district]

    @cached_property
    def placement_sha256(self) -> str:
        """Hash of what values of the clones hang on: base file, household, clone, block, district; not the weights."""
        from tessera.pytree.storage.fingerprint import tree_sha256

        placed = {"household": self.household, "clone": self.clone, "block": self.block_geoid}
        return tree_sha256({**placed, "district": self.district, "base": self.base_sha256})

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
    base_sha256: str = "",
    threads: int | None = None,
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
        base_sha256: of the frame that the households are of, kept with the result.
        threads: None for all processors; the result does not depend on it.

    Raises:
        GeographyError: no household, fewer than one clone, an id that occurs twice, an array of another shape, a figure
            that is missing, infinite or negative, or a district without population.
    """
    population = blocks.district_population().astype(np.float64)
    agi = None if household_agi is None or district_agi is None else (household_agi, district_agi)
    _check(household_id, household_weight, n_clones, district_households, population, agi)
    plain = np.ones_like(population) if equal_mass else population
    measures = [plain]
    group = np.zeros(len(household_id), dtype=np.int64)
    if agi is not None:
        measures.append(np.maximum(agi[1], 0.0))
        group = (agi[0] >= _weighted_percentile(agi[0], household_weight)).astype(np.int64)
    inclusion = np.stack([inclusion_units(measure, n_clones) for measure in measures])
    cell, block = _draw_places(household_id, group, inclusion, blocks, n_clones, seed, threads)
    household, clone, district, expected, design_weight = _follow(
        cell, group, inclusion, household_weight, district_households
    )
    return Clones(
        household=household,
        clone=clone,
        block=block.reshape(-1),
        district=district,
        block_geoid=blocks.block_geoid[block.reshape(-1)],
        inclusion=expected,
        design_weight=design_weight,
        n_households=len(household_id),
        n_clones=n_clones,
        synthetic=synthetic or blocks.synthetic,
        base_sha256=base_sha256,
    )


def _draw_places(
    household_id: npt.NDArray[np.int64],
    group: npt.NDArray[np.int64],
    inclusion: npt.NDArray[np.int64],
    blocks: Blocks,
    n_clones: int,
    seed: int,
    threads: int | None,
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32]]:
    """District index and block of every clone, both of shape (n_clones, n_households)."""
    from tessera.geography.clone_kernels import place_households

    shape = (n_clones, len(household_id))
    cell, block = np.empty(shape, dtype=np.int16), np.empty(shape, dtype=np.int32)
    keys = np.array([label_key(f"clones/{what}/{seed}") for what in ("order", "start", "block")], dtype=np.uint64)
    cumulated = np.concatenate([[0], np.cumsum(blocks.population, dtype=np.int64)])
    starts = blocks.district_starts()
    given = (keys, np.ascontiguousarray(household_id, dtype=np.int64), group, inclusion, n_clones, starts, cumulated)
    run_ranges(place_households, shape[1], *given, cell, block, threads=threads, least=_LEAST_HOUSEHOLDS)
    return cell, block


def _follow(
    cell: npt.NDArray[np.int16],
    group: npt.NDArray[np.int64],
    inclusion: npt.NDArray[np.int64],
    household_weight: npt.NDArray[np.float64],
    district_households: npt.NDArray[np.float64],
) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]:
    """Household, clone, district, inclusion and design weight of every row."""
    from tessera.geography.clone_kernels import weigh_clones

    household, clone, district = (np.empty(cell.size, dtype=np.int32) for _ in range(3))
    expected, design_weight = np.empty(cell.size), np.empty(cell.size)
    codes = np.asarray(areas.stratum_districts(), dtype=np.int32)
    weight = np.ascontiguousarray(household_weight, dtype=np.float64)
    households = np.ascontiguousarray(district_households, dtype=np.float64)
    weigh_clones(cell, group, inclusion, weight, codes, households, household, clone, district, expected, design_weight)
    return household, clone, district, expected, design_weight


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
    population: npt.NDArray[np.float64],
    agi: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None,
) -> None:
    """Refuse what cannot be placed, by name."""
    if len(household_id) == 0:
        raise GeographyError("clones: no households; wanted at least one. Build the base frame first.")
    if n_clones < 1:
        raise GeographyError(f"clones: n_clones is {n_clones}; wanted at least 1.")
    wanted = len(areas.stratum_districts())
    _check_figures("survey weight", household_weight, len(household_id), "household")
    _check_figures("number of households", district_households, wanted, "district")
    if agi is not None:
        _check_figures("adjusted gross income", agi[0], len(household_id), "household", negative=True)
        _check_figures("adjusted gross income", agi[1], wanted, "district", negative=True)
    values, counts = np.unique(household_id, return_counts=True)
    if len(values) < len(household_id):
        raise GeographyError(
            f"clones: household_id {values[counts > 1][0]} occurs {counts.max()} times; wanted once, as draws are "
            "keyed on it. Give every household an id of its own."
        )
    if (population <= 0).any():
        empty = [areas.district_key(areas.stratum_districts()[row]) for row in np.flatnonzero(population <= 0)]
        raise GeographyError(
            f"clones: no populated block in district {', '.join(empty)}; every district needs one. Complete the blocks."
        )


def _check_figures(what: str, values: npt.NDArray[np.float64], wanted: int, of: str, *, negative: bool = False) -> None:
    if len(values) != wanted:
        raise GeographyError(f"clones: {what} of {len(values)} {of}s given; wanted {wanted}, one a {of}.")
    bad = np.flatnonzero(~np.isfinite(values) | ((values < 0) & (not negative)))
    if bad.size:
        row = int(bad[0])
        where = areas.district_key(areas.stratum_districts()[row]) if of == "district" else f"in row {row}"
        limits = "a finite number" if negative else "a finite number of at least 0"
        raise GeographyError(f"clones: the {what} of {of} {where} is {values[row]}; wanted {limits}.")
