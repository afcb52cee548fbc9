"""Clones left out of the passes: which ones, that it changes next to nothing, and that a fit resumes with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.calibration.fit import FitProgress, FitResult, fit
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import active, kernels
from tessera.calibration.recipe.active import DEAD_ALPHA, SHRINK_EVERY, ActiveSet, closed_for_good, closing_alpha
from tessera.calibration.recipe.epochs import Epochs, final_parameters
from tessera.calibration.recipe.gates import NOISE_LIMIT, gates, open_probability, open_shift
from tessera.calibration.recipe.state import FitState, starting_state
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix, Layout

MakeMatrix = Callable[..., CalibrationMatrix]
# Gates start so far apart that many can never open, whatever the noise.
APART = FitOptions(
    lambda_l0=1e-3, epochs=120, polish_epochs=30, keep_probability=0.9, gate_jitter=15.0, log_frequency=40, device="cpu"
)


def advanced(matrix: CalibrationMatrix, options: FitOptions, steps: int) -> FitState:
    with Epochs(matrix, np.full(matrix.n_records, 90.0), options) as epochs:
        state = epochs.begin()
        for _ in range(steps):
            epochs.advance(state)
        epochs.synchronise(state)
    return state


def is_dead(records: np.ndarray) -> np.ndarray:
    return np.asarray(records[kernels.ALPHA] == DEAD_ALPHA)


def assert_same(left: FitResult, right: FitResult) -> None:
    for name in ("weights", "gates", "log_weight", "log_alpha"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    pd.testing.assert_frame_equal(left.history, right.history, check_exact=True)
    pd.testing.assert_frame_equal(left.target_log, right.target_log, check_exact=True)


def test_leaving_out_what_cannot_open_changes_sums_by_rounding(
    make_matrix: MakeMatrix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active, "SELDOM", 0.0)  # only what no noise opens
    matrix, weights = make_matrix(900), np.full(900, 90.0)
    before = is_dead(advanced(matrix, APART, SHRINK_EVERY - 1).records)
    after = is_dead(advanced(matrix, APART, SHRINK_EVERY).records)
    assert not before.any()
    assert 90 < np.count_nonzero(after) < 500
    assert not is_dead(advanced(matrix, replace(APART, shrink=False), SHRINK_EVERY).records).any()
    shrunk, whole = fit(matrix, weights, APART), fit(matrix, weights, replace(APART, shrink=False))
    np.testing.assert_array_equal(shrunk.weights > 0, whole.weights > 0)
    np.testing.assert_allclose(shrunk.weights, whole.weights, rtol=2e-3)
    np.testing.assert_allclose(shrunk.history["loss"], whole.history["loss"], rtol=2e-3)
    np.testing.assert_array_equal(shrunk.history["nonzero"], whole.history["nonzero"])
    # Up to the first look they are the same to the bit: the difference is what shrinking does, and nothing else.
    assert shrunk.history["loss"][:SHRINK_EVERY].tolist() == whole.history["loss"][:SHRINK_EVERY].tolist()


def test_leaving_out_what_seldom_opens_changes_little(make_matrix: MakeMatrix) -> None:
    matrix, weights = make_matrix(2000), np.full(2000, 90.0)
    options = FitOptions(lambda_l0=1e-3, epochs=900, polish_epochs=50, device="cpu")
    left_out = is_dead(advanced(matrix, options, 850).records)
    assert np.count_nonzero(left_out) > 1000
    shrunk, whole, other = (
        fit(matrix, weights, chosen) for chosen in (options, replace(options, shrink=False), replace(options, seed=7))
    )
    kept, kept_whole, kept_other = (set(np.flatnonzero(result.weights)) for result in (shrunk, whole, other))
    assert len(kept) == pytest.approx(len(kept_whole), rel=0.03)
    assert len(kept & kept_whole) > len(kept & kept_other)
    assert shrunk.history["loss"].iloc[-1] < 1.1 * whole.history["loss"].iloc[-1]


@pytest.mark.parametrize("stop", [50, 60, 110, 120, 130, 140])
def test_resuming_a_shrunk_fit_equals_never_stopping(make_matrix: MakeMatrix, tmp_path: Path, stop: int) -> None:
    matrix, weights, path = make_matrix(500), np.full(500, 90.0), tmp_path / "fit.h5"

    def kill(report: FitProgress) -> None:
        if report.epoch == stop + 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(matrix, weights, APART, progress=kill, checkpoint_path=path, checkpoint_every=10)
    with h5py.File(path) as file:
        assert file.attrs["epoch"] == stop
        dead = np.count_nonzero(is_dead(file["records"][()]))
    assert dead > 50
    resumed = fit(matrix, weights, replace(APART, threads=1), checkpoint_path=path, resume=True)
    assert_same(replace(resumed, options=APART), fit(matrix, weights, APART))


def test_clones_left_out_have_no_weight(make_matrix: MakeMatrix) -> None:
    result = fit(make_matrix(500), np.full(500, 90.0), APART)
    dead = result.log_alpha == DEAD_ALPHA
    assert 100 < np.count_nonzero(dead) < 500
    assert np.all(result.weights[dead] == 0) and np.all(result.gates[dead] == 0)
    assert np.all(result.weights[~dead] > 0)
    assert result.history["nonzero"].iloc[-1] == np.count_nonzero(~dead)


def test_clones_left_out_have_no_weight_at_any_temperature(make_matrix: MakeMatrix) -> None:
    """At this one the final gate of the lowest alpha that is told apart is open."""
    matrix, options = make_matrix(50), FitOptions(beta=9.0)
    assert gates(np.array([-1000.0]), 0.0, options)[0][0] > 0
    state = starting_state(matrix, np.full(50, 90.0), options)
    state.records[kernels.ALPHA, ::2] = DEAD_ALPHA
    weights, gate, *_ = final_parameters(matrix, state, options)
    assert np.count_nonzero(weights) == np.count_nonzero(gate) == 25


def test_a_price_at_which_every_gate_closes_is_named(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(300)
    options = FitOptions(lambda_l0=1e4, epochs=120, polish_epochs=10, keep_probability=0.5, device="cpu")
    with pytest.raises(FitError, match=r"Every gate closed: at lambda_l0 = 10000 no record is worth its price"):
        fit(matrix, np.full(300, 90.0), options)


@given(alpha=st.floats(-30, 5), beta=st.floats(0.1, 8), keep=st.floats(1e-4, 0.9999), draw=st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_only_closed_gates_that_seldom_open_are_left_out(alpha: float, beta: float, keep: float, draw: int) -> None:
    options = FitOptions(beta=beta, keep_probability=keep)
    records = np.zeros((kernels.N_COLUMNS, 2), dtype=np.float32)
    records[kernels.ALPHA] = alpha
    records[kernels.GATE] = 0, 0.5
    closed = closed_for_good(records, options)
    assert not closed[1]
    if closed[0]:
        chance = open_probability(np.array([alpha]), options)[0]
        assert chance <= max(1.01e-6, 1e-3 * keep)
        if chance <= 0.98e-6:
            noise = NOISE_LIMIT - draw * 1e-6
            assert gates(np.array([alpha]), noise, options)[0][0] == 0
    # Whether it is left out is monotone in alpha.
    assert closed[0] == (np.float32(alpha) < closing_alpha(options))


def test_no_clone_is_left_out_where_the_limit_of_alpha_lets_every_gate_open() -> None:
    options = FitOptions(beta=6.0, keep_probability=1e-5)
    assert -open_shift(options) - NOISE_LIMIT < -20
    assert gates(np.array([-500.0]), NOISE_LIMIT, options)[0][0] > 0
    assert closing_alpha(options) == -np.inf


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.integers(0, 2**30), st.booleans())
@settings(max_examples=100, deadline=None)
def test_active_sets_hold_the_living_in_order(sizes: list[int], seed: int, always: bool) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    n = sum(sizes)
    layout = Layout(
        rng.permutation(n).astype(np.int32), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        rng.integers(0, 9, n).astype(np.int32),
    )  # fmt: skip
    records = rng.random((kernels.N_COLUMNS, n)).astype(np.float32)
    full = ActiveSet.of(layout, records)
    assert full.places is None and full.records is records
    closed = rng.random(n) < 0.4
    kept = full.without(layout, closed, records, always=always)
    if not closed.any():
        assert kept is full
        return
    np.testing.assert_array_equal(np.asarray(kept.places), np.flatnonzero(~closed))
    np.testing.assert_array_equal(is_dead(records), closed)
    assert not records[kernels.GATE, closed].any()
    for cell in range(len(sizes)):
        here, there = slice(*layout.ptr[cell : cell + 2]), slice(*kept.ptr[cell : cell + 2])
        for name in ("order", "row"):
            np.testing.assert_array_equal(getattr(kept, name)[there], getattr(layout, name)[here][~closed[here]])
    np.testing.assert_array_equal(kept.work, [np.count_nonzero(~closed[a:b]) + 1 for a, b in pairs(layout.ptr)])
    # What the passes change in the smaller arrays comes back to the right places, and nowhere else.
    before = records.copy()
    kept.records[kernels.LOG_WEIGHT] = 5.0
    kept.write_back(records)
    np.testing.assert_array_equal(records[kernels.LOG_WEIGHT] == 5.0, ~closed)
    np.testing.assert_array_equal(records[1:], before[1:])
    again = ActiveSet.of(layout, records)
    np.testing.assert_array_equal(again.records, kept.records)


def pairs(ptr: np.ndarray) -> list[tuple[int, int]]:
    return list(zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True))


def test_few_closed_clones_stay_unless_all_have_to_go() -> None:
    layout = Layout(np.arange(100, dtype=np.int32), np.array([0, 100]), np.zeros(100, dtype=np.int32))
    records = np.ones((kernels.N_COLUMNS, 100), dtype=np.float32)
    closed = np.arange(100) < 4
    full = ActiveSet.of(layout, records)
    assert full.without(layout, closed, records) is full
    assert not is_dead(records).any()
    assert len(full.without(layout, closed, records, always=True).row) == 96
    records[kernels.ALPHA] = 1
    assert len(full.without(layout, np.arange(100) < 5, records).row) == 95
