"""The kernels against numpy and numpy against finite differences: gates, gradient, ten epochs with the same noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.calibration.fit import fit
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.gates import epoch_key, gate_noise, gates, open_probability, open_shift
from tessera.calibration.recipe.objective import Objective
from tessera.calibration.recipe.reference import Adam, gradient
from tessera.calibration.recipe.state import l2_factor, starting_state
from tessera.matrix.calibration_matrix import CalibrationMatrix

OPTIONS = FitOptions(
    lambda_l0=1e-3, lambda_l2=1e-6, epochs=10, polish_epochs=0, decay_share=0.0, keep_probability=0.7, seed=5
)
MakeMatrix = Callable[..., CalibrationMatrix]


def parameters(matrix: CalibrationMatrix, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starting log-weights and gate parameters in record order."""
    records = starting_state(matrix, weights, OPTIONS).records
    result = np.empty((2, matrix.n_records))
    result[:, matrix.layout.order] = records[[kernels.LOG_WEIGHT, kernels.ALPHA]]
    return result[0], result[1]


def test_noise_is_uniform_and_depends_on_seed_epoch_and_record() -> None:
    records = np.arange(200_000)
    noise = gate_noise(epoch_key(1, 7), records)
    u = 1 / (1 + np.exp(-noise))
    counts, _ = np.histogram(u, bins=50, range=(0, 1))
    assert np.abs(counts - 4000).max() < 5 * np.sqrt(4000)
    for other in (epoch_key(1, 8), epoch_key(2, 7)):
        assert abs(np.corrcoef(u, 1 / (1 + np.exp(-gate_noise(other, records))))[0, 1]) < 0.01
    np.testing.assert_array_equal(gate_noise(epoch_key(1, 7), records[5:9]), noise[5:9])
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.01


@given(alpha=st.floats(-25, 25), beta=st.floats(0.2, 2), noise=st.floats(-13, 13))
@settings(max_examples=60, deadline=None)
def test_gate_slopes_and_zero_points(alpha: float, beta: float, noise: float) -> None:
    options = FitOptions(beta=beta)
    z, slope = gates(np.array([alpha]), noise, options)
    assert 0 <= z[0] <= 1
    step = 1e-6
    up, down = (gates(np.array([alpha + d]), noise, options)[0][0] for d in (step, -step))
    if abs(alpha) < 19.9 and (0 < up < 1 and 0 < down < 1):
        assert slope[0] == pytest.approx((up - down) / (2 * step), rel=1e-3, abs=1e-8)
    final = gates(np.array([alpha]), 0.0, options)[0][0]
    threshold = -open_shift(options)
    if abs(alpha - threshold) > 1e-9:
        assert (final > 0) == (alpha > threshold)


def test_share_of_open_gates_is_the_open_probability() -> None:
    for alpha in (-3.0, 0.0, 2.0):
        noise = gate_noise(epoch_key(3, 1), np.arange(100_000))
        drawn = gates(np.full(100_000, alpha), noise, OPTIONS)[0] > 0
        assert drawn.mean() == pytest.approx(open_probability(np.array([alpha]), OPTIONS)[0], abs=0.006)


def test_gradient_against_finite_differences(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(30)
    weights = np.full(30, 80.0)
    objective = Objective.of(matrix, OPTIONS)
    logs, alpha = parameters(matrix, weights)
    noise = gate_noise(epoch_key(5, 0), np.arange(30))
    arguments = (matrix.to_csr(), objective.target, objective.scale)
    exact = gradient(*arguments, logs, alpha, noise, OPTIONS)
    step = 1e-6
    for i in range(30):
        shift = np.zeros(30)
        shift[i] = step
        by_log, by_alpha = (
            (
                gradient(*arguments, logs + d * a, alpha + d * (1 - a), noise, OPTIONS).objective
                - gradient(*arguments, logs - d * a, alpha - d * (1 - a), noise, OPTIONS).objective
            )
            / (2 * step)
            for a, d in ((1, shift), (0, shift))
        )
        assert by_log == pytest.approx(exact.by_log_weight[i], rel=1e-4, abs=1e-7)
        assert by_alpha == pytest.approx(exact.by_alpha[i], rel=1e-4, abs=1e-7)


def test_kernel_gradient_is_that_of_numpy(make_matrix: MakeMatrix) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    matrix = make_matrix(300)
    weights = np.random.Generator(np.random.Philox(1)).lognormal(4, 0.5, 300)
    objective = Objective.of(matrix, OPTIONS)
    logs, alpha = parameters(matrix, weights)
    noise = gate_noise(epoch_key(5, 0), np.arange(300))
    expected = gradient(
        matrix.to_csr(), objective.target, objective.scale, logs, alpha, noise, OPTIONS, l2_factor(weights, OPTIONS)
    )
    records, loss = _after_one_step(matrix, weights)
    by_log, by_alpha = np.empty(300), np.empty(300)
    by_log[matrix.layout.order] = 10 * records[kernels.MEAN_W]
    by_alpha[matrix.layout.order] = 10 * records[kernels.MEAN_A]
    np.testing.assert_allclose(by_log, expected.by_log_weight, rtol=2e-4, atol=1e-7)
    np.testing.assert_allclose(by_alpha, expected.by_alpha, rtol=2e-4, atol=1e-7)
    estimate = matrix.to_csr() @ (np.exp(logs) * gates(alpha, noise, OPTIONS)[0])
    assert loss == pytest.approx(objective.loss(estimate), rel=1e-5)


def _after_one_step(matrix: CalibrationMatrix, weights: np.ndarray) -> tuple[np.ndarray, float]:
    with Epochs(matrix, weights, OPTIONS) as epochs:
        state = epochs.begin()
        row = epochs.advance(state)
        epochs.synchronise(state)
    return state.records, row[1]


@pytest.mark.parametrize("loss", ["relative", "squared"])
def test_ten_epochs_with_the_same_noise(make_matrix: MakeMatrix, loss: str) -> None:
    matrix = make_matrix(250)
    options = FitOptions(**{**OPTIONS.as_dict(), "loss": loss})
    weights = np.full(250, 90.0)
    result = fit(matrix, weights, options)
    objective = Objective.of(matrix, options)
    logs, alpha = parameters(matrix, weights)
    by_log, by_alpha = (Adam(np.zeros(250), np.zeros(250)) for _ in range(2))
    losses = []
    for epoch in range(10):
        noise = gate_noise(epoch_key(options.seed, epoch), np.arange(250))
        losses.append(objective.loss(matrix.to_csr() @ (np.exp(logs) * gates(alpha, noise, options)[0])))
        now = gradient(
            matrix.to_csr(), objective.target, objective.scale, logs, alpha, noise, options, l2_factor(weights, options)
        )
        logs = by_log.step(logs, now.by_log_weight, options.learning_rate)
        alpha = by_alpha.step(alpha, now.by_alpha, options.learning_rate)
    np.testing.assert_allclose(result.log_weight, logs, atol=2e-3)
    np.testing.assert_allclose(result.log_alpha, alpha, atol=2e-3)
    np.testing.assert_allclose(result.history["loss"], losses, rtol=1e-3)
    np.testing.assert_allclose(result.weights, np.exp(logs) * gates(alpha, 0.0, options)[0], rtol=5e-3, atol=1e-2)
    assert result.history["l0"].iloc[0] == pytest.approx(
        open_probability(parameters(matrix, weights)[1], options).sum(), rel=1e-6
    )
