"""The record budget: how many records are left, at what price, and that the controller is a function of the state."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.calibration.fit import FitProgress, FitResult, fit
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.active import ActiveSet
from tessera.calibration.recipe.budget import close_surplus, is_settled, next_price, starting_price, warn_of_haste
from tessera.calibration.recipe.objective import Objective
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]
OPTIONS = FitOptions(epochs=300, polish_epochs=60, device="cpu")


def fitted(matrix: CalibrationMatrix, options: FitOptions) -> FitResult:
    return fit(matrix, np.full(matrix.n_records, 100.0), options)


@pytest.mark.parametrize(
    ("n_records", "n_metrics", "budget", "within"),
    [
        (400, 5, 320, 0.02),
        (400, 5, 120, 0.1),
        (400, 5, 40, 1.0),
        (2000, 5, 1900, 0.02),
        (2000, 5, 1000, 0.02),
        (2000, 5, 300, 0.05),
        (2000, 5, 100, 0.2),
        (10_000, 20, 1500, 0.1),
    ],
)
def test_the_budget_is_used_and_kept(
    make_matrix: MakeMatrix, n_records: int, n_metrics: int, budget: int, within: float
) -> None:
    matrix = make_matrix(n_records, n_metrics)
    result = fitted(matrix, replace(OPTIONS, records=budget))
    assert 0.85 * budget <= np.count_nonzero(result.weights) <= budget
    assert target_table(matrix, result.weights)["abs_rel_error"].max() < within


def test_the_price_is_reported_and_rests_at_the_end(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(1000)
    prices = []
    for budget in (600, 200):
        result = fitted(matrix, replace(OPTIONS, records=budget))
        price = result.history["lambda_l0"].to_numpy()
        assert np.all(price > 0)
        assert len(np.unique(price[272:])) == 1  # from nine tenths of the sampled epochs on
        assert len(np.unique(price[60:270])) > 150
        assert result.history["nonzero"].iloc[-1] == np.count_nonzero(result.weights)
        prices.append(price[-1])
    assert prices[1] > 3 * prices[0]
    # A fit at the price that was found, without a budget, leaves about as many.
    alone = fitted(matrix, replace(OPTIONS, lambda_l0=prices[1], epochs=600))
    assert np.count_nonzero(alone.weights) == pytest.approx(200, rel=0.3)


def test_a_budget_fits_as_well_as_the_same_number_at_a_fixed_price(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(2000)
    plain = fitted(matrix, replace(OPTIONS, lambda_l0=1e-3, epochs=1000))
    count = int(np.count_nonzero(plain.weights))
    budget = fitted(matrix, replace(OPTIONS, records=count, epochs=1000))
    assert 0.9 * count < np.count_nonzero(budget.weights) <= count < 500
    assert budget.history["loss"].iloc[-1] < 1.5 * plain.history["loss"].iloc[-1]


def test_few_epochs_still_keep_the_budget(make_matrix: MakeMatrix) -> None:
    """No gate closes in so few: the surplus is closed by the smallest gates, and the polish mends what that breaks."""
    matrix = make_matrix(1000)
    result = fitted(matrix, replace(OPTIONS, records=500, epochs=30, polish_epochs=100))
    assert result.history["nonzero"].iloc[29] == 1000
    assert np.count_nonzero(result.weights) == 500
    # The first row of the polish has the estimates without the surplus already.
    loss = result.history["loss"].to_numpy()
    assert loss[30] > 5 * loss[29] and loss[-1] < loss[30] / 20


def test_a_budget_of_all_records_or_more_changes_nothing(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(200)
    plain = fitted(matrix, replace(OPTIONS, lambda_l0=1e-3))
    for budget in (200, 10_000):
        same = fitted(matrix, replace(OPTIONS, lambda_l0=1e-3, records=budget))
        np.testing.assert_array_equal(same.weights, plain.weights)
        assert set(same.history["lambda_l0"]) == {1e-3}


def test_the_price_of_the_options_does_not_matter(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(300)
    free, dear = (fitted(matrix, replace(OPTIONS, records=100, lambda_l0=price)) for price in (0.0, 1.0))
    np.testing.assert_array_equal(free.weights, dear.weights)


@pytest.mark.parametrize("stop", [20, 80, 110, 130, 150, 160])
def test_resuming_with_a_budget_equals_never_stopping(make_matrix: MakeMatrix, tmp_path: Path, stop: int) -> None:
    """In front of the path, on it, at rest, at the end of the sampled epochs, and in the polish."""
    matrix, path = make_matrix(500), tmp_path / "fit.h5"
    options = replace(OPTIONS, records=200, epochs=150, polish_epochs=30, learning_rate=0.4, log_frequency=40)

    def kill(report: FitProgress) -> None:
        if report.epoch == stop + 3:
            raise KeyboardInterrupt

    weights = np.full(500, 100.0)
    with pytest.raises(KeyboardInterrupt):
        fit(matrix, weights, options, progress=kill, checkpoint_path=path, checkpoint_every=10)
    resumed, whole = fit(matrix, weights, options, checkpoint_path=path, resume=True), fit(matrix, weights, options)
    for name in ("weights", "gates", "log_weight", "log_alpha"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    pd.testing.assert_frame_equal(resumed.target_log, whole.target_log, check_exact=True)
    assert 170 <= np.count_nonzero(whole.weights) <= 200


def test_a_plateau_does_not_end_a_fit_on_its_way_to_the_budget(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(1000)
    options = replace(OPTIONS, records=300, patience=5, plateau=1.0, decay_share=0.1)
    result = fitted(matrix, options)
    assert 210 + 30 <= len(result.history) - options.polish_epochs < 300
    assert 0.85 * 300 <= np.count_nonzero(result.weights) <= 300
    assert is_settled(210, 300) and not is_settled(209, 300)


@given(
    kept=st.integers(0, 5000), before=st.integers(0, 5000), price=st.floats(1e-12, 1e3), budget=st.integers(1, 4999),
    steps=st.integers(100, 5000), share=st.floats(0, 1),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_the_next_price(kept: int, before: int, price: float, budget: int, steps: int, share: float) -> None:
    options, step = FitOptions(records=budget), int(share * (steps - 1))

    def after(now: int, earlier: int) -> float:
        return next_price(price, now, earlier, 5000, step, steps, options)

    result = after(kept, before)
    assert math.exp(-0.5001) <= result / price <= math.exp(0.5001)
    if step > 0.9 * steps or step < 0.05 * steps:
        assert result == price
    else:
        # More records make it dearer, and so do records that do not fall.
        assert after(kept + 1, before) >= result * (1 - 1e-12)
        assert after(kept, before + 1) <= result * (1 + 1e-12)
    if 0.7 * steps + 1 < step <= 0.9 * steps:
        # At the end of the path it rises above the budget and falls below it.
        assert after(5000, 5000) > price > after(budget // 2, budget // 2) or budget > 4800


@given(st.lists(st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0, 2.5, 7.0]), max_size=40), st.integers(1, 45))
@settings(max_examples=200, deadline=None)
def test_the_smallest_gates_make_up_the_surplus(alphas: list[float], budget: int) -> None:
    alpha = np.array(alphas, dtype=np.float32)
    records = np.zeros((kernels.N_COLUMNS, len(alpha)), dtype=np.float32)
    records[kernels.ALPHA], records[kernels.GATE] = alpha, np.where(alpha > -2, 0.7, 0.0)
    opened = records[kernels.GATE] > 0
    empty = np.empty(0, dtype=np.int32)
    close_surplus(ActiveSet(None, np.array([0, len(alpha)]), empty, empty, records), budget)
    kept = records[kernels.GATE] > 0
    assert np.count_nonzero(kept) == min(budget, np.count_nonzero(opened))
    assert not np.any(kept & ~opened)
    closed = opened & ~kept
    if closed.any():
        assert alpha[closed].max() <= alpha[kept].min()
        tied = np.flatnonzero(opened & (alpha == alpha[closed].max()))
        np.testing.assert_array_equal(kept[tied], np.sort(kept[tied]))  # the first of equals are closed


def test_the_first_price_is_a_tenth_of_what_a_record_is_worth(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(300)
    weights = np.random.Generator(np.random.Philox(2)).lognormal(4, 1, 300)
    objective = Objective.of(matrix, replace(OPTIONS, loss_groups="level"))
    curvature = objective.weight / objective.scale**2
    worth = (matrix.to_csr().toarray() * weights) ** 2 * curvature[:, None]
    assert starting_price(matrix, weights, curvature) == pytest.approx(0.1 * worth.sum() / 300, rel=1e-5)
    halved = replace(matrix, aggregation=matrix.aggregation * 0.5)
    assert starting_price(halved, weights, curvature) == pytest.approx(0.1 * worth.sum() / 4 / 300, rel=1e-5)
    assert starting_price(matrix, np.zeros(300), curvature) > 0
    result = fit(matrix, weights, replace(OPTIONS, loss_groups="level", records=100, epochs=1, polish_epochs=0))
    assert result.history["lambda_l0"].iloc[0] == starting_price(matrix, weights, curvature)


def test_the_first_price_is_the_mean_of_a_sample_at_scale(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(120_000, 2)
    weights, curvature = np.full(120_000, 10.0), np.full(matrix.n_targets, 1e-12)
    values = matrix.value_table.power(2)[matrix.value_row]
    by_cell = (matrix.aggregation.power(2).T @ curvature).reshape(matrix.n_cells, 2)
    exact = 100 * np.sum(values.toarray() * by_cell[matrix.cell]) / 120_000
    assert starting_price(matrix, weights, curvature) == pytest.approx(0.1 * exact, rel=0.1)


def test_too_few_epochs_are_warned_of(caplog: pytest.LogCaptureFixture, make_matrix: MakeMatrix) -> None:
    with caplog.at_level(logging.WARNING, "tessera"):
        warn_of_haste(replace(OPTIONS, records=10))
        assert not caplog.records
        fitted(make_matrix(50), replace(OPTIONS, records=10, epochs=20))
    assert "A gate takes 56 of the 20 epochs to close" in caplog.text
    assert "at least 282 epochs" in caplog.text
