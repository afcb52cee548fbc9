"""exp and log of single precision against numpy's in double precision, over everything they are called with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from tessera.calibration.recipe import kernels, vector_math
from tessera.calibration.recipe.gates import NOISE_LIMIT

TINY, HUGE = np.finfo(np.float32).tiny, np.finfo(np.float32).max


@njit
def exp_of(x, out):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        out[i] = vector_math.exp(x[i])


@njit
def log_of(x, out):  # type: ignore[no-untyped-def]
    for i in range(len(x)):
        out[i] = vector_math.log(x[i])


def called(function, *values) -> np.ndarray:  # type: ignore[no-untyped-def]
    x = np.concatenate([np.atleast_1d(np.asarray(value, dtype=np.float32)) for value in values])
    out = np.empty_like(x)
    function(x, out)
    return out


def every_exponent(mantissas: int) -> np.ndarray:
    """Positive normal floats: some mantissas, the ends among them, at every exponent."""
    bits = np.arange(1, 255, dtype=np.int32)[:, None] << 23
    fraction = np.unique(np.linspace(0, 2**23 - 1, mantissas).astype(np.int32))
    return (bits + fraction).ravel().view(np.float32)


def test_exp_over_its_range() -> None:
    x = np.linspace(-87, 88, 500_001).astype(np.float32)
    # Where the argument is split at another power of two, on both sides.
    halves = (np.arange(-125, 127) + 0.5) * np.log(2)
    x = np.concatenate([x, *(np.nextafter(halves.astype(np.float32), way) for way in (-np.inf, np.inf))])
    x = x.astype(np.float32)
    assert np.abs(called(exp_of, x) / np.exp(x.astype(np.float64)) - 1).max() < 1e-7


def test_exp_at_its_edges() -> None:
    low, high = called(exp_of, -87.0, 88.0)
    assert called(exp_of, 0.0, -0.0).tolist() == [1.0, 1.0]
    assert called(exp_of, -87.001, -1e30, -np.inf).tolist() == [low] * 3
    assert called(exp_of, 88.001, 1e30, np.inf).tolist() == [high] * 3
    assert TINY <= low < 2e-38
    assert 1e38 < high <= HUGE
    assert np.isnan(called(exp_of, np.nan)[0])  # so that a fit that diverges is seen to


@given(x=st.floats(-86.5, 87.5, width=32), step=st.floats(2e-7, 0.5))
@settings(max_examples=200, deadline=None)
def test_exp_never_falls(x: float, step: float) -> None:
    left, right = called(exp_of, x, x + step * max(1.0, abs(x)))
    assert left <= right


def test_log_over_every_exponent() -> None:
    x = every_exponent(2001)
    exact = np.log(x.astype(np.float64))
    error = np.abs(called(log_of, x) - exact)
    assert (error[exact != 0] / np.abs(exact[exact != 0])).max() < 1e-7
    near = np.nextafter(np.float32(1), np.array([0, 2], np.float32))
    np.testing.assert_allclose(called(log_of, near), np.log(near.astype(np.float64)), rtol=1e-7)


def test_log_at_its_edges() -> None:
    assert called(log_of, 1.0).tolist() == [0.0]
    np.testing.assert_allclose(called(log_of, TINY, HUGE), np.log([float(TINY), float(HUGE)]), rtol=1e-7)


@given(st.floats(-80, 80, width=32))
@settings(max_examples=200, deadline=None)
def test_log_undoes_exp(x: float) -> None:
    back = called(log_of, called(exp_of, x))[0]
    assert back == pytest.approx(x, rel=2e-7, abs=2e-7)


def test_the_limit_of_the_noise_is_within_reach_of_log() -> None:
    """The odds of the outermost draws are normal floats whose logarithms pass the limit."""
    last = 2**24 - 1
    odds = np.array([0.5 / (last + 0.5), (last + 0.5) / 0.5], dtype=np.float32)
    assert (np.abs(called(log_of, odds)) > NOISE_LIMIT).all()


def test_a_loop_whose_sums_are_reordered_keeps_exp_exact() -> None:
    """exp is inlined where the compiler may reorder additions, which must not undo its rounding to whole numbers."""
    alpha = np.linspace(-25, 25, 1001).astype(np.float32)
    out = np.zeros(kernels.N_STATISTICS)
    for place in range(0, len(alpha), 100):  # a block adds up no more than that
        kernels._statistics(alpha[place : place + 100], np.ones(100, np.float32), np.float32(1.5), out)
    expected = 1 / (1 + np.exp(-(np.clip(alpha.astype(np.float64), -20, 20) + 1.5)))
    assert out[kernels.EXPECTED_OPEN] == pytest.approx(expected.sum(), rel=1e-6)
    assert out[kernels.FINAL_OPEN] == np.count_nonzero(alpha > -1.5)
