"""Draws behave as independent uniforms where Tessera uses them: along households, entities, clones and variables.

Each test has a fixed stream, so that it passes or fails for good. The limit on a p-value is one in 100,000 for each of
some sixty of them: a sound generator would fail one here with a chance below one in a thousand.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tessera.random import uniform

N = 1_000_000
LEAST_P = 1e-5
# The labels along which draws are consecutive somewhere in the pipeline: name -> (household, entity, clone) of N draws.
COUNT = np.arange(N)
STREAMS = {
    "households": (COUNT, 0, 0),
    "households far apart": (COUNT * 1_000_003 + 7, 0, 0),
    "entities": (12, COUNT, 0),
    "clones": (12, 0, COUNT),
    "households, then clones": (COUNT % 2000, 0, COUNT // 2000),
    "entities of households": (COUNT // 5, COUNT % 5, 3),
}
SEEDED = "takes_up_snap_if_eligible/20240101"


@pytest.fixture(scope="module", params=STREAMS)
def stream(request: pytest.FixtureRequest) -> np.ndarray:
    return uniform(SEEDED, *STREAMS[request.param])


def test_draws_are_uniform(stream: np.ndarray) -> None:
    assert stream.min() > 0 and stream.max() < 1
    counts = np.bincount((stream * 1000).astype(int), minlength=1000)
    assert stats.chisquare(counts).pvalue > LEAST_P
    assert stats.kstest(stream, "uniform").pvalue > LEAST_P
    assert len(np.unique(stream)) == N


def test_consecutive_draws_are_uncorrelated(stream: np.ndarray) -> None:
    centred = (stream - 0.5) * np.sqrt(12.0)
    for lag in (1, 2, 3, 5, 436, 2000):
        z = (centred[lag:] @ centred[:-lag]) / np.sqrt(N - lag)
        assert 2 * stats.norm.sf(abs(z)) > LEAST_P, lag


def test_consecutive_pairs_fill_the_square_evenly(stream: np.ndarray) -> None:
    bins = (stream * 50).astype(int)
    counts = np.bincount(bins[0::2] * 50 + bins[1::2], minlength=2500)
    assert stats.chisquare(counts).pvalue > LEAST_P


def test_every_bit_is_even(stream: np.ndarray) -> None:
    whole = (stream * 2.0**52).astype(np.uint64)  # above one half, draws are multiples of 2^-52
    for bit in range(52):
        ones = int(((whole >> np.uint64(bit)) & np.uint64(1)).sum())
        assert abs(ones - N / 2) < 5 * np.sqrt(N / 4), bit


NEIGHBOURS = {
    "other households": (SEEDED, COUNT + N, 0, 0),
    "next entity": (SEEDED, COUNT, 1, 0),
    "next clone": (SEEDED, COUNT, 0, 1),
    "next seed": ("takes_up_snap_if_eligible/20240102", COUNT, 0, 0),
    "other programme": ("takes_up_tanf_if_eligible/20240101", COUNT, 0, 0),
    "entities in place of households": (SEEDED, 0, COUNT, 0),
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_draws_whose_labels_differ_in_one_place_are_independent(name: str) -> None:
    first, second = uniform(SEEDED, COUNT), uniform(*NEIGHBOURS[name])
    counts = np.bincount((first * 50).astype(int) * 50 + (second * 50).astype(int), minlength=2500)
    assert stats.chisquare(counts).pvalue > LEAST_P
    z = (first - 0.5) @ (second - 0.5) * 12.0 / np.sqrt(N)
    assert 2 * stats.norm.sf(abs(z)) > LEAST_P
    same_labels = 1 if name == "entities in place of households" else 0  # household 0, entity 0, clone 0
    assert len(np.intersect1d(first, second)) == same_labels


def test_a_household_takes_up_two_programmes_as_often_as_chance_has_it() -> None:
    shape = (2000, 1), (1, 500)
    household, clone = np.arange(2000).reshape(shape[0]), np.arange(500).reshape(shape[1])
    snap = uniform(SEEDED, household, 0, clone) < 0.82
    tanf = uniform("takes_up_tanf_if_eligible/20240101", household, 0, clone) < 0.22
    expected = 0.82 * 0.22
    z = ((snap & tanf).mean() - expected) / np.sqrt(expected * (1 - expected) / snap.size)
    assert abs(z) < 4.5
    # Clones of one household, and households in one clone, spread as independent draws do.
    for axis, count in ((1, 500), (0, 2000)):
        spread = snap.sum(axis=axis).var() / (count * 0.82 * 0.18)
        assert abs(spread - 1) < 5 * np.sqrt(2 / snap.shape[1 - axis])
