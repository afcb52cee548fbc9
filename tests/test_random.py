"""Counter-based draws: frozen vectors, twins, and what makes them safe to use in chunks."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera import random as documented
from tessera import random_numba
from tessera.random import generator, label_key, uniform

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
    return min(((state >> 11) + 0.5) * 2.0**-53, 1 - 2.0**-53)


def _clone_that_ends_in(last: int, variable: str) -> int:
    """The number of a clone of household 0, entity 0 whose last state is this one: the algorithm backwards."""
    state = int.from_bytes(hashlib.blake2b(variable.encode(), digest_size=8).digest(), "little")
    for _ in range(2):
        state = (state * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) & MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
        state ^= state >> 31
    before = last
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        mixed = before
        for _ in range(64 // shift + 1):
            mixed = before ^ (mixed >> shift)
        before = mixed * pow(factor, -1, 2**64) & MASK
    part = (before - state * 0x9E3779B97F4A7C15 - 0xD1B54A32D192ED03) & MASK
    return part - 2**64 if part >= 2**63 else part


@pytest.mark.parametrize(
    ("last", "value"),
    [(0, 2.0**-54), (2**11 - 1, 2.0**-54), (2**63, 0.5), (MASK - 2**11, 1 - 2.0**-52), (MASK, 1 - 2.0**-53)],
)
def test_the_ends_of_the_interval_stay_open(last: int, value: float) -> None:
    from tessera import random_torch

    clone = _clone_that_ends_in(last, "x")
    assert float(uniform("x", 0, 0, clone)) == value
    assert float(random_numba.uniform("x", 0, 0, clone)) == value
    assert float(random_torch.uniform("x", 0, 0, clone)) == value


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


def test_the_documented_vectors_are_these() -> None:
    text = documented.__doc__
    assert text is not None
    table = text.split("household_id  entity_index  clone  draw\n")[1].split("\n\n")[0]
    rows = [line.split() for line in table.splitlines()]
    assert [((row[0], *map(int, row[1:4])), float(row[4])) for row in rows] == VECTORS


@given(st.text(max_size=20), *[st.integers(-(2**63), 2**63 - 1)] * 3)
def test_the_compiled_twins_agree(variable: str, household: int, entity: int, clone: int) -> None:
    expected = _twin(variable, household, entity, clone)
    assert float(random_numba.uniform(variable, household, entity, clone)) == expected
    assert random_numba.draw(np.uint64(label_key(variable)), household, entity, clone) == expected


def test_the_compiled_twin_broadcasts_and_does_not_depend_on_threads() -> None:
    household, clone = np.arange(-4000, 4000)[:, None], np.arange(12, dtype=np.uint8)[None, :]
    expected = uniform("x", household, 2, clone)
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(random_numba.uniform("x", household, 2, clone, threads=threads), expected)
    np.testing.assert_array_equal(random_numba.uniform("x", 3, 2, clone[0]), uniform("x", 3, 2, clone[0]))
    assert random_numba.uniform("x", np.zeros((0, 3), dtype=int)).shape == (0, 3)
    assert random_numba.uniform("x", 5).shape == ()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_twin_in_torch_agrees(device: str) -> None:
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    from tessera import random_torch

    for labels, value in VECTORS:
        assert float(random_torch.uniform(*labels, device=device)) == value
    ends = np.array([-(2**63), -1, 0, 1, 2**31, 2**63 - 1])
    parts = [ends, np.arange(1000)[:, None], np.arange(-3, 3)[:, None, None]]
    tensors = [torch.from_numpy(part) for part in parts]
    found = random_torch.uniform("takes_up/42", *tensors, device=device)
    assert found.dtype == torch.float64
    np.testing.assert_array_equal(found.cpu().numpy(), uniform("takes_up/42", *parts))


def test_importing_the_draws_imports_no_compiler() -> None:
    command = "import sys, tessera.random; sys.exit(bool({'numba', 'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


def test_generators_depend_on_label_and_seed() -> None:
    first = generator("label", 1).random(5)
    np.testing.assert_array_equal(generator("label", 1).random(5), first)
    assert not np.array_equal(generator("label", 2).random(5), first)
    assert not np.array_equal(generator("other", 1).random(5), first)
    assert generator("a", 1).random(2).tolist() == [0.979038049395914, 0.08945862436832375]
