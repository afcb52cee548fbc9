"""Placement of clones: no collisions, exact inclusion, independence of threads, design weights."""

import bisect
import dataclasses
import hashlib
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import GeographyError
from tessera.geography import areas, clones
from tessera.geography.blocks import Blocks, synthetic_blocks
from tessera.geography.placement import place_clones
from tessera.pytree.storage.fingerprint import tree_sha256
from tessera.random import uniform
from tests import builders

DISTRICTS = np.asarray(areas.stratum_districts())
POPULATION = pd.Series(np.linspace(500_000, 1_000_000, len(DISTRICTS)).astype(int), index=DISTRICTS)
HOUSEHOLDS = POPULATION.to_numpy() / 2.5


@pytest.fixture(scope="module")
def blocks() -> Blocks:
    shares = pd.DataFrame(
        {
            "district": np.repeat(DISTRICTS, 2),
            "county_fips": [f"{code // 100:02d}{county:03d}" for code in DISTRICTS for county in (1, 3)],
            "share": np.tile([0.75, 0.25], len(DISTRICTS)),
        }
    )
    return synthetic_blocks(shares, POPULATION, blocks_per_district=8, seed=1)


def place(blocks: Blocks, n_households: int, n_clones: int, **options) -> clones.Clones:
    ids = np.arange(1000, 1000 + n_households, dtype=np.int64)
    weights = np.linspace(50.0, 150.0, n_households)
    return clones.assign(ids, weights, blocks, n_clones=n_clones, seed=7, district_households=HOUSEHOLDS, **options)


def test_blocks_carry_the_population_of_their_district_exactly(blocks: Blocks) -> None:
    assert (blocks.district_population() == POPULATION.to_numpy()).all()
    assert blocks.synthetic
    assert len(np.unique(blocks.block_geoid)) == len(blocks.block_geoid)


@settings(max_examples=25, deadline=None)
@given(n_clones=st.integers(1, 1000))
def test_inclusion_sums_to_the_number_of_clones_and_is_capped(n_clones: int) -> None:
    measure = np.append(np.full(435, 1.0), 5000.0)
    units = clones.inclusion_units(measure, n_clones)
    assert int(units.sum()) == n_clones * 2**40
    rounds = n_clones // 436
    assert units.max() <= (rounds + 1) * 2**40
    assert units.min() >= rounds * 2**40


@pytest.mark.parametrize("n_clones", [1, 2, 40, 430, 435, 436, 437, 871, 872, 900])
@pytest.mark.parametrize("options", [{}, {"equal_mass": True}, "routed"], ids=["plain", "equal", "routed"])
def test_there_are_no_collisions_and_clones_spread_evenly(blocks: Blocks, n_clones: int, options) -> None:
    placed = place(blocks, 37, n_clones, **(ROUTED if options == "routed" else options))
    assert placed.collisions() == 0
    counts = np.bincount(placed.household * 436 + placed.cell, minlength=37 * 436)
    assert counts.max() == -(-n_clones // 436)
    assert counts.min() >= n_clones // 436
    assert placed.n_records == 37 * n_clones


def test_collisions_are_seen(blocks: Blocks) -> None:
    placed = place(blocks, 3, 4)
    district = placed.district.copy()
    district[3] = district[0]  # the second clone of household 0 moves to the district of the first
    assert dataclasses.replace(placed, district=district).collisions() == 1


# sha256 of placements of 37 households: what stored demo data were made with.
STORED = {
    (1, "plain"): "d543f0d58656f87b7f43a184c14b434741f67b4762a849f3aef42c0100bc21e0",
    (40, "plain"): "0b8211d3a0ea6bb63c43b9659f9cfb0cc46d7940917fe5c436e0cca507d241f0",
    (430, "routed"): "10c12539c6e2e6d9dee5a1db7519ae5a1724175948c1e109a8f4d2c6e3ff947d",
    (436, "plain"): "cb9addea4ced89aac35cbf13db83131883284e25ae03aced2b995b81333e7e5e",
    (900, "equal"): "44508c3df924606581d5b7171b098506361695d126010819fb2b5d2480915bef",
    (1001, "routed"): "f46d87cff8d4d588148c7cc5eced628cc13fd1c68c7d68518d2377506297dc0c",
}
ROUTED = {"household_agi": np.arange(37) * 1000.0, "district_agi": (np.arange(436) % 7 + 1) * 1e9}


@pytest.mark.parametrize(("n_clones", "how"), STORED)
def test_placements_stay_what_they_were(blocks: Blocks, n_clones: int, how: str) -> None:
    options = {"plain": {}, "equal": {"equal_mass": True}, "routed": ROUTED}[how]
    placed = place(blocks, 37, n_clones, **options)
    digest = hashlib.sha256()
    geoid = placed.block_geoid.astype("<U15")
    arrays = (placed.household, placed.clone, placed.block, placed.district, geoid, placed.inclusion)
    for array in (*arrays, placed.design_weight):
        digest.update(str(array.dtype).encode() + array.tobytes())
    assert digest.hexdigest() == STORED[n_clones, how]


@pytest.mark.parametrize("n_clones", [40, 700])
def test_the_placement_is_the_documented_one(blocks: Blocks, n_clones: int) -> None:
    """The formulas of the module, in whole numbers of Python and one household at a time."""
    placed = place(blocks, 5, n_clones)
    units = clones.inclusion_units(POPULATION.to_numpy().astype(float), n_clones).tolist()
    rounds = n_clones // 436
    cumulated = np.append(0, np.cumsum(blocks.population)).tolist()
    starts = blocks.district_starts().tolist()
    for row in range(5):
        household = 1000 + row
        order = sorted(range(436), key=lambda d: float(uniform("clones/order/7", household, d)))
        start = int(float(uniform("clones/start/7", household)) * 2**40)
        reached = list(itertools.accumulate(units[d] - rounds * 2**40 for d in order))
        steps = [-1, *((sum_ - 1 - start) // 2**40 for sum_ in reached)]
        drawn = [d for d, before, step in zip(order, steps, steps[1:], strict=False) if step > before]
        cells = order * rounds + drawn
        assert placed.cell.reshape(n_clones, 5)[:, row].tolist() == cells
        for clone, cell in enumerate(cells):
            low, high = cumulated[starts[cell]], cumulated[starts[cell + 1]]
            resident = low + int(float(uniform("clones/block/7", household, cell, clone)) * (high - low))
            assert placed.block[clone * 5 + row] == bisect.bisect_right(cumulated, resident) - 1


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_clones_are_independent_of_threads(blocks: Blocks, threads: int, monkeypatch) -> None:
    whole = place(blocks, 101, 50)
    monkeypatch.setattr(clones, "_LEAST_HOUSEHOLDS", 1)
    shared = place(blocks, 101, 50, threads=threads)
    for field in ("household", "clone", "block", "district", "inclusion", "design_weight"):
        np.testing.assert_array_equal(getattr(shared, field), getattr(whole, field))


def test_clones_are_independent_of_other_households(blocks: Blocks) -> None:
    whole = place(blocks, 101, 50)
    fewer = place(blocks, 11, 50)
    for clone in range(50):
        assert (fewer.block[clone * 11 : clone * 11 + 11] == whole.block[clone * 101 : clone * 101 + 11]).all()


def test_districts_are_drawn_in_proportion_to_population(blocks: Blocks) -> None:
    placed = place(blocks, 4000, 40)
    observed = np.bincount(placed.cell, minlength=436)
    expected = 4000 * 40 * POPULATION.to_numpy() / POPULATION.sum()
    assert np.abs(observed - expected).max() < 6 * np.sqrt(expected.max())
    equal = np.bincount(place(blocks, 4000, 40, equal_mass=True).cell, minlength=436)
    assert np.corrcoef(observed, POPULATION)[0, 1] > 0.8 > np.corrcoef(equal, POPULATION)[0, 1]


def test_the_top_decile_follows_the_income_of_districts(blocks: Blocks) -> None:
    agi = np.linspace(0.0, 1e6, 400)
    target = np.where(DISTRICTS // 100 == 6, 1e12, 1e9)
    placed = place(blocks, 400, 30, household_agi=agi, district_agi=target)
    top = agi[placed.household] >= np.quantile(agi, 0.95)
    in_california = placed.state_fips == 6
    assert in_california[top].mean() > 0.9
    assert in_california[~top].mean() < 0.3


def test_design_weights_carry_each_districts_households(blocks: Blocks) -> None:
    placed = place(blocks, 300, 60)
    carried = np.bincount(placed.cell, placed.design_weight, minlength=436)
    present = np.bincount(placed.cell, minlength=436) > 0
    assert np.allclose(carried[present], HOUSEHOLDS[present])
    assert (placed.district == blocks.district[placed.block]).all()
    assert (placed.county_fips == blocks.county_fips[placed.block]).all()


def test_a_district_without_blocks_is_named(blocks: Blocks) -> None:
    keep = blocks.district != 612
    broken = Blocks(blocks.block_geoid[keep], blocks.population[keep], blocks.district[keep], True)
    with pytest.raises(GeographyError, match="CA-12"):
        broken.validate()


def test_a_placement_refuses_blocks_that_leave_a_district_empty(blocks: Blocks) -> None:
    empty = np.where(blocks.district == 5001, 0, blocks.population)
    with pytest.raises(GeographyError, match="no populated block in district VT-01"):
        place(Blocks(blocks.block_geoid, empty, blocks.district, True), 3, 5)


@pytest.mark.parametrize(
    ("households", "n_clones", "message"),
    [(0, 5, "no households"), (3, 0, "n_clones is 0"), (3, -2, "n_clones is -2")],
)
def test_bad_arguments_are_named(blocks: Blocks, households: int, n_clones: int, message: str) -> None:
    with pytest.raises(GeographyError, match=message):
        place(blocks, households, n_clones)


def _ids(*ids: int) -> np.ndarray:
    return np.array(ids, dtype=np.int64)


BAD = {
    "household_id 5 occurs 2 times": {"ids": _ids(5, 6, 5)},
    "survey weight of household in row 1 is nan": {"weights": np.array([1.0, np.nan, 1.0])},
    "survey weight of household in row 2 is -1.0": {"weights": np.array([1.0, 1.0, -1.0])},
    "survey weight of 2 households given; wanted 3": {"weights": np.ones(2)},
    "number of households of district AL-01 is inf": {"district_households": np.append(np.inf, HOUSEHOLDS[1:])},
    "number of households of 4 districts given; wanted 436": {"district_households": HOUSEHOLDS[:4]},
    "income of household in row 0 is nan": {"household_agi": np.array([np.nan, 1.0, 1.0]), "district_agi": HOUSEHOLDS},
    "income of district AL-01 is nan": {
        "household_agi": np.ones(3),
        "district_agi": np.append(np.nan, HOUSEHOLDS[1:]),
    },
}


@pytest.mark.parametrize("message", BAD)
def test_bad_figures_are_named(blocks: Blocks, message: str) -> None:
    given = {"ids": _ids(1, 2, 3), "weights": np.ones(3), "district_households": HOUSEHOLDS} | BAD[message]
    ids, weights = given.pop("ids"), given.pop("weights")
    with pytest.raises(GeographyError, match=message):
        clones.assign(ids, weights, blocks, n_clones=2, seed=7, **given)


def test_incomes_below_zero_attract_nobody(blocks: Blocks) -> None:
    target = np.where(DISTRICTS // 100 == 6, 1e12, -1e9)
    placed = place(blocks, 37, 5, household_agi=np.ones(37), district_agi=target)
    assert set(placed.state_fips) == {6}
    assert placed.collisions() == 0


def test_clones_know_the_frame_they_are_of() -> None:
    base = builders.frame(12)
    keys = [areas.district_key(code) for code in areas.stratum_districts()]
    districts = pd.DataFrame({"key": keys, "population": 760_000, "households": 300_000})
    states = pd.DataFrame({"state": [state.usps for state in areas.states()], "population": 6_000_000, "agi": 3e11})
    placed = place_clones(base, builders.real_place_blocks(), districts, states, n_clones=3, seed=1)
    assert placed.base_sha256 == tree_sha256(base)
    again = place_clones(
        dataclasses.replace(base, household=base.household.assign(household_weight=1.0)),
        builders.real_place_blocks(), districts, states, n_clones=3, seed=1,
    )  # fmt: skip
    assert again.base_sha256 != placed.base_sha256
