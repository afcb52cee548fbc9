"""Placement of clones: no collisions, exact inclusion, independence of chunks, design weights."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import GeographyError
from tessera.geography import areas, clones
from tessera.geography.blocks import Blocks, synthetic_blocks

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


@pytest.mark.parametrize("n_clones", [1, 40, 430, 436, 900])
def test_there_are_no_collisions(blocks: Blocks, n_clones: int) -> None:
    placed = place(blocks, 150, n_clones)
    assert placed.collisions() == 0
    counts = np.bincount(placed.household * 436 + placed.cell, minlength=150 * 436)
    assert counts.max() == -(-n_clones // 436)
    assert placed.n_records == 150 * n_clones


def test_clones_are_independent_of_chunks_and_of_other_households(blocks: Blocks, monkeypatch) -> None:
    whole = place(blocks, 101, 50)
    monkeypatch.setattr(clones, "_CHUNK_HOUSEHOLDS", 7)
    chunked = place(blocks, 101, 50)
    assert (whole.block == chunked.block).all()
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


@pytest.mark.parametrize(("households", "n_clones", "message"), [(0, 5, "no households"), (3, 0, "n_clones is 0")])
def test_bad_arguments_are_named(blocks: Blocks, households: int, n_clones: int, message: str) -> None:
    with pytest.raises(GeographyError, match=message):
        place(blocks, households, n_clones)
