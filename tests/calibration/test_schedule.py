"""When the sampled epochs end, and the learning rate of every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.calibration.fit import FitProgress, fit
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.schedule import learning_rate, sampled_steps
from tessera.calibration.recipe.state import HISTORY
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]


def history(losses: list[float]) -> list[tuple[float, ...]]:
    rows = [dict.fromkeys(HISTORY, 0.0) | {"epoch": epoch, "loss": loss} for epoch, loss in enumerate(losses)]
    return [tuple(row.values()) for row in rows]


@given(
    epochs=st.integers(1, 400), polish=st.integers(1, 100), share=st.floats(0, 1), cut=st.floats(0, 1),
    rate=st.floats(1e-3, 1), polish_rate=st.floats(1e-3, 1),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_rates_fall_and_stay_positive(
    epochs: int, polish: int, share: float, cut: float, rate: float, polish_rate: float
) -> None:
    options = FitOptions(
        epochs=epochs, polish_epochs=polish, decay_share=share, learning_rate=rate, polish_rate=polish_rate
    )
    falling = share * epochs
    sampled = max(1, epochs - int(cut * (epochs - falling)))  # after an early stop, all of the fall still to come
    rates = np.array([learning_rate(epoch, sampled, options) for epoch in range(1, sampled + polish + 1)])
    first, second = rates[:sampled], rates[sampled:]
    assert np.all(np.diff(first) <= 1e-12) and np.all(np.diff(second) <= 1e-12)
    assert np.all(first > 0) and np.all(second > 0)
    assert first.max() <= rate and second.max() <= polish_rate
    full = int(np.floor(sampled - falling))
    assert np.all(first[:full] == rate)
    if falling >= 1:
        assert first[-1] == pytest.approx(0.05 * rate)
    assert second[-1] == pytest.approx(0.001 * polish_rate)


def test_the_rate_falls_along_a_cosine() -> None:
    options = FitOptions(epochs=100, decay_share=0.4, polish_epochs=10)
    middle = learning_rate(80, 100, options)
    assert middle == pytest.approx(0.15 * (0.05 + 0.95 / 2))
    assert learning_rate(60, 80, options) == pytest.approx(middle)  # the same fall after an early stop
    assert learning_rate(105, 100, options) == pytest.approx(0.05 * (0.001 + 0.999 / 2))


def test_a_plateau_is_followed_by_the_fall_of_the_rate() -> None:
    options = FitOptions(epochs=1000, decay_share=0.2, patience=50, plateau=0.01)
    flat = history([1.0] * 100)
    assert sampled_steps(flat, 1000, options) == 100 + 200
    assert sampled_steps(flat, 1000, replace(options, decay_share=0.0)) == 101
    assert sampled_steps(flat, 1000, replace(options, patience=None)) == 1000
    # Looked at only every `patience` steps, from the second time on.
    for steps in (50, 99, 101, 149):
        assert sampled_steps(history([1.0] * steps), 1000, options) == 1000
    # Once cut, or with too little left to cut, it stays.
    assert sampled_steps(history([1.0] * 150), 300, options) == 300
    assert sampled_steps(history([1.0] * 800), 1000, options) == 1000
    assert sampled_steps(history([1.0] * 750), 1000, options) == 950


@pytest.mark.parametrize(("last", "ends"), [(0.98, False), (0.991, True), (1.0, True), (1.5, True)])
def test_it_is_the_best_loss_that_has_to_fall(last: float, ends: bool) -> None:
    options = FitOptions(epochs=1000, patience=20, plateau=0.01)
    losses = [3.0] * 10 + [1.0] + [3.0] * 9 + [2.0] * 7 + [last] + [2.0] * 12
    assert (sampled_steps(history(losses), 1000, options) < 1000) == ends


@given(
    losses=st.lists(st.floats(0, 1e6), max_size=120), patience=st.integers(1, 40), plateau=st.floats(0, 1),
    share=st.floats(0, 1), epochs=st.integers(1, 200),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_steps_are_only_ever_cut(losses: list[float], patience: int, plateau: float, share: float, epochs: int) -> None:
    options = FitOptions(epochs=epochs, patience=patience, plateau=plateau, decay_share=share)
    sampled, cuts = epochs, 0
    for done in range(1, min(len(losses), epochs) + 1):
        if done >= sampled:
            break
        left = sampled_steps(history(losses[:done]), sampled, options)
        assert done < left <= sampled
        cuts += left < sampled
        sampled = left
    assert cuts <= 1


def test_a_fit_ends_early_and_still_polishes(make_matrix: MakeMatrix) -> None:
    matrix, weights, seen = make_matrix(300), np.full(300, 100.0), []
    options = FitOptions(
        epochs=400, polish_epochs=40, patience=30, plateau=0.5, log_frequency=100, decay_share=0.1, device="cpu"
    )
    result = fit(matrix, weights, options, progress=seen.append)
    sampled = len(result.history) - 40
    assert sampled % 30 == 10 and 60 + 40 <= sampled < 300
    assert [report.epochs for report in seen[-41:]] == [len(result.history)] * 41
    assert seen[0].epochs == 440 and seen[-1].seconds_left == 0
    assert result.target_log["epoch"].unique().tolist()[-1] == len(result.history)
    loss = result.history["loss"].to_numpy()
    assert loss[-1] < loss[sampled] < loss[: sampled - 40].min()
    # Up to the cut it is the fit that never ends early.
    whole = fit(matrix, weights, replace(options, patience=None))
    assert len(whole.history) == 440
    np.testing.assert_array_equal(whole.history["loss"][: sampled - 40], loss[: sampled - 40])


def test_the_polish_starts_afresh_and_moves_weights_alone(make_matrix: MakeMatrix) -> None:
    options = FitOptions(epochs=80, polish_epochs=20, keep_probability=0.6, lambda_l0=1e-2, device="cpu")
    with Epochs(make_matrix(200), np.full(200, 100.0), options) as epochs:
        state = epochs.begin()
        while state.epoch < 80:
            epochs.advance(state)
        epochs.synchronise(state)
        start = state.records.copy()
        while state.epoch < 100:
            epochs.advance(state)
        epochs.synchronise(state)
    assert 20 < np.count_nonzero(start[kernels.GATE]) < 180
    assert not start[[kernels.MEAN_W, kernels.SQUARE_W]].any()
    for row in (kernels.ALPHA, kernels.GATE):
        np.testing.assert_array_equal(state.records[row], start[row])
    moved = state.records[kernels.LOG_WEIGHT] != start[kernels.LOG_WEIGHT]
    np.testing.assert_array_equal(moved, start[kernels.GATE] > 0)


@pytest.mark.parametrize("stop", [60, 80, 110, 120])
def test_resuming_around_an_early_stop_equals_never_stopping(
    make_matrix: MakeMatrix, tmp_path: Path, stop: int
) -> None:
    matrix, weights, path = make_matrix(300), np.full(300, 100.0), tmp_path / "fit.h5"
    options = FitOptions(epochs=300, polish_epochs=40, patience=35, plateau=1.0, decay_share=0.1, device="cpu")

    def kill(report: FitProgress) -> None:
        if report.epoch == stop + 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(matrix, weights, options, progress=kill, checkpoint_path=path, checkpoint_every=20)
    whole, resumed = fit(matrix, weights, options), fit(matrix, weights, options, checkpoint_path=path, resume=True)
    assert len(whole.history) == 70 + 30 + 40
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    pd.testing.assert_frame_equal(resumed.target_log, whole.target_log, check_exact=True)
