"""Counter-based draws: frozen vectors, an independent twin, and what makes them safe to use in chunks."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.random import generator, uniform

MASK = 2**64 - 1
# Numbers that stored clones and take-up depend on: a change of any of them changes every release.
VECTORS = [
    (("snap", 0, 0, 0), 0.005542446055522732),
    (("snap", 1, 0, 0), 0.6482653303192265),
    (("snap", 0, 1, 0), 0.6255588444490976),
    (("snap", 0, 0, 1), 0.7145084472628782),
    (("takes_up_snap_if_eligible/42", 123456789, 3, 429), 0.42381229588569297),
    (("é", -1, 2**40, 7), 0.6534522000283511),
]


def _twin(variable: str, *parts: int) -> float:
    """The documented algorithm in Python's whole numbers."""
    state = int.from_bytes(hashlib.blake2b(variable.encode(), digest_size=8).digest(), "little")
    for part in parts:
        state = (state * 0x9E3779B97F4A7C15 + part + 0xD1B54A32D192ED03) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    return ((state >> 11) + 0.5) * 2.0**-53


@pytest.mark.parametrize(("labels", "value"), VECTORS)
def test_vectors(labels: tuple[str, int, int, int], value: float) -> None:
    assert float(uniform(*labels)) == value


@given(st.text(max_size=20), *[st.integers(-(2**63), 2**63 - 1)] * 3)
def test_the_twin_agrees(variable: str, household: int, entity: int, clone: int) -> None:
    assert float(uniform(variable, household, entity, clone)) == _twin(variable, household, entity, clone)


def test_a_draw_depends_on_its_labels_alone() -> None:
    household, clone = np.arange(300)[:, None], np.arange(40)[None, :]
    whole = uniform("x", household, 2, clone)
    assert whole.shape == (300, 40)
    order = np.random.default_rng(1).permutation(300)
    np.testing.assert_array_equal(uniform("x", order[:, None], 2, clone), whole[order])
    np.testing.assert_array_equal(uniform("x", household[100:110], 2, clone[:, 7:9]), whole[100:110, 7:9])
    np.testing.assert_array_equal(uniform("x", household.astype(np.int32), 2, clone.astype(np.uint8)), whole)
    assert uniform("x", 5).shape == ()


def test_draws_are_uniform_and_those_of_neighbours_unrelated() -> None:
    n = 200_000
    draws = uniform("x", np.arange(n))
    assert draws.min() > 0 and draws.max() < 1
    counts = np.bincount((draws * 100).astype(int), minlength=100)
    # Chi-squared with 99 degrees of freedom: mean 99, standard deviation 14.
    assert 45 < ((counts - n / 100) ** 2 / (n / 100)).sum() < 160
    others = {
        "next household": uniform("x", np.arange(n) + 1),
        "next entity": uniform("x", np.arange(n), 1),
        "next clone": uniform("x", np.arange(n), 0, 1),
        "other variable": uniform("y", np.arange(n)),
    }
    for name, other in others.items():
        assert abs(np.corrcoef(draws, other)[0, 1]) < 0.01, name
        assert len(np.intersect1d(draws, other)) == (n - 1 if name == "next household" else 0), name


def test_generators_depend_on_label_and_seed() -> None:
    first = generator("label", 1).random(5)
    np.testing.assert_array_equal(generator("label", 1).random(5), first)
    assert not np.array_equal(generator("label", 2).random(5), first)
    assert not np.array_equal(generator("other", 1).random(5), first)
    assert generator("a", 1).random(2).tolist() == [0.979038049395914, 0.08945862436832375]
