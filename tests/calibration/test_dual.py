"""The calibration mode: its optimum against general solvers, its system against a dense one, bounds, conflicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from benchmarks.problems import factored_problem
from tessera.calibration.dual import calibrate
from tessera.calibration.dual_options import DISTANCES, DualOptions
from tessera.calibration.log import target_table
from tessera.calibration.newton import dual_kernels as kernels
from tessera.calibration.newton.conflicts import BOUNDS
from tessera.calibration.newton.hierarchy import hierarchy
from tessera.calibration.newton.newton_system import gram, solve
from tessera.calibration.newton.sparsify import chances, draw_records, importance_of, systematic
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.rows import table_form

MakeMatrix = Callable[..., CalibrationMatrix]
SINGLE = np.float32


def test_targets_are_reached_near_the_design_weights(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(2000)
    design = np.random.Generator(np.random.Philox(2)).lognormal(4.5, 0.3, 2000)
    result = calibrate(matrix, design, DualOptions())
    assert result.converged
    assert result.history["dual_gradient"].iloc[-1] < 1e-5
    assert len(result.history) < 15
    table = target_table(matrix, result.weights)
    assert (table["abs_rel_error"] < 0.02).all()
    np.testing.assert_allclose(table["estimate"], result.target_log["estimate"], rtol=1e-5)
    ratio = result.weights / design
    assert ratio.min() > 0.0199 and ratio.max() < 50.001
    assert np.abs(ratio - 1).mean() < 0.5
    assert (np.diff(result.history["dual_value"]) > -1e-3).all()


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_optimum_is_that_of_a_general_solver(make_matrix: MakeMatrix, distance: str) -> None:
    matrix = make_matrix(60, n_metrics=3, spread=0.3)
    design = np.full(60, 100.0)
    options = DualOptions(distance=distance, lower=0.5, upper=2.0, tolerance=0.05)
    result = calibrate(matrix, design, options)
    assert result.converged

    dense, target = matrix.to_csr().toarray(), matrix.target_values
    scale = np.abs(target) + options.relative_floor

    def objective(ratio: np.ndarray) -> tuple[float, np.ndarray]:
        error = (dense @ (design * ratio) - target) / (options.tolerance * scale)
        phi, slope = _phi(distance, ratio, 0.5, 2.0)
        pull = design * (dense.T @ (error / (options.tolerance * scale))) / len(target)
        return float(np.mean(phi) + 0.5 * np.mean(error**2)), slope / 60 + pull

    edge = 1e-9 if distance == "logit" else 0.0
    best = minimize(
        objective, np.ones(60), jac=True, bounds=[(0.5 + edge, 2.0 - edge)] * 60, method="L-BFGS-B",
        options={"maxiter": 20000, "maxfun": 20000, "ftol": 1e-15, "gtol": 1e-9},
    )  # fmt: skip
    ratio = np.clip(result.weights / design, 0.5 + edge, 2.0 - edge)
    assert objective(ratio)[0] <= best.fun * (1 + 1e-4) + 1e-7
    np.testing.assert_allclose(ratio, best.x, atol=0.01)


def _phi(distance: str, r: np.ndarray, low: float, up: float) -> tuple[np.ndarray, np.ndarray]:
    """The distance and its derivative."""
    if distance == "chi_square":
        return (r - 1) ** 2 / 2, r - 1
    if distance == "entropy":
        return r * np.log(r) - r + 1, np.log(r)
    factor = (up - low) / ((1 - low) * (up - 1))
    below, above = np.log((r - low) / (1 - low)), np.log((up - r) / (up - 1))
    return ((r - low) * below + (up - r) * above) / factor, (below - above) / factor


@given(distance=st.sampled_from(range(3)), u=st.floats(-3, 3))
@settings(max_examples=60, deadline=None)
def test_weights_and_slopes_are_derivatives(distance: int, u: float) -> None:
    def at(x: float) -> tuple[float, float, float]:
        table = table_form(_one_value())
        weight, slope, totals, statistics = (
            np.empty(1, SINGLE), np.empty(1, SINGLE), np.empty((1, 1)), np.empty((1, 2)),
        )  # fmt: skip
        kernels.weight_pass(
            0, 1, np.array([0, 1]), np.zeros(1, np.int32), table, np.ones(1, SINGLE), np.full((1, 1), x),
            kernels.Bounds(distance, 0.1, 10.0), weight, slope, totals, statistics,
        )  # fmt: skip
        return float(weight[0]), float(slope[0]), float(statistics[0, 0])

    step = 1e-4
    (w, s, _), (w_up, _, v_up), (w_down, _, v_down) = at(u), at(u + step), at(u - step)
    assert w == pytest.approx((v_up - v_down) / (2 * step), rel=1e-4, abs=1e-4)
    if min(w_up, w_down) > 0.11 and max(w_up, w_down) < 9.9:
        assert s == pytest.approx((w_up - w_down) / (2 * step), rel=2e-3, abs=2e-3)
    assert at(0.0)[0] == pytest.approx(1.0, abs=1e-6)


def _one_value():  # type: ignore[no-untyped-def]
    from scipy.sparse import csr_array

    return csr_array(np.ones((1, 1), SINGLE))


@pytest.mark.parametrize("seed", range(4))
def test_elimination_solves_the_dense_system(make_matrix: MakeMatrix, seed: int) -> None:
    matrix = make_matrix(300, n_metrics=4, seed=seed)
    rng = np.random.Generator(np.random.Philox(seed))
    scale = rng.uniform(0.5, 2, matrix.n_targets)
    structure = hierarchy(matrix.aggregation, matrix.n_metrics, matrix.cells // 100, scale)
    layout, slope = matrix.layout, rng.uniform(0, 1, 300).astype(SINGLE)

    def gram_of(cell: int) -> np.ndarray:
        part = slice(layout.ptr[cell], layout.ptr[cell + 1])
        return gram(matrix.table, layout.row[part], slope[part], matrix.n_metrics)

    residual = rng.normal(0, 1, matrix.n_targets)
    found = solve(structure, gram_of, residual, rho=0.3, threads=2)
    by_record = np.empty(300)
    by_record[layout.order] = slope
    dense = matrix.to_csr().toarray() / scale[:, None]
    system = dense @ (by_record[:, None] * dense.T) + 0.3 * np.eye(matrix.n_targets)
    np.testing.assert_allclose(found, np.linalg.solve(system, residual), rtol=2e-4, atol=2e-5)


def test_a_target_over_two_metrics_is_refused(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(50)
    mixed = matrix.aggregation.copy().tolil()
    mixed[0, 0] = mixed[0, 1] = 1.0
    with pytest.raises(FitError, match="row 0 sums several metrics"):
        hierarchy(mixed.tocsr(), matrix.n_metrics, matrix.cells // 100, np.ones(matrix.n_targets))


def test_contradicting_targets_are_named(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(500, spread=0.02)
    value = matrix.target_values.copy()
    names = matrix.targets["name"].to_list()
    # A district cannot hold three times what its state holds.
    value[names.index("CA/2")] = value[names.index("CA-02/2")] / 3
    result = calibrate(replace(matrix, targets=matrix.targets.assign(value=value)), np.full(500, 100.0), DualOptions())
    pairs = set(zip(result.conflicts["name"], result.conflicts["against"], strict=True))
    assert {("CA/2", "CA-02/2"), ("CA-02/2", "CA/2")} <= pairs
    assert result.duals["cost"].sum() == pytest.approx(1)


def test_a_target_out_of_reach_names_the_bounds(dense_matrix: Callable[..., CalibrationMatrix]) -> None:
    matrix = dense_matrix(np.array([[1.0, 2.0, 1.0, 3.0]]), np.array([70_000.0]))
    result = calibrate(matrix, np.full(4, 100.0), DualOptions(upper=10.0))
    np.testing.assert_allclose(result.weights, 1000, rtol=1e-5)
    assert result.conflicts["against"].to_list() == [BOUNDS]
    assert result.conflicts["rel_error"].iloc[0] == pytest.approx(-0.9, abs=1e-3)


def test_same_bits_for_any_number_of_threads(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(3000)
    options = DualOptions(records=400)
    first = calibrate(matrix, np.full(3000, 90.0), replace(options, threads=1))
    for threads in (2, 3):
        again = calibrate(matrix, np.full(3000, 90.0), replace(options, threads=threads))
        np.testing.assert_array_equal(again.weights, first.weights)


def test_a_held_out_fold_is_not_fitted(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(400, spread=0.4)
    options = DualOptions(holdout_folds=3, holdout_fold=1, tolerance=0.001)
    result = calibrate(matrix, np.full(400, 100.0), options)
    fitted = set(result.duals["name"])
    held = ~matrix.targets["name"].isin(fitted)
    assert 0 < held.sum() < matrix.n_targets
    error = result.target_log["abs_rel_error"].to_numpy()
    assert error[held].mean() > 5 * error[~held].mean()


def test_a_record_budget_is_kept_and_the_targets_too(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(6000)
    result = calibrate(matrix, np.full(6000, 80.0), DualOptions(records=300))
    assert np.count_nonzero(result.weights) == 300
    np.testing.assert_array_equal(result.gates == 1, result.weights > 0)
    assert (target_table(matrix, result.weights)["abs_rel_error"] < 0.05).all()
    other = calibrate(matrix, np.full(6000, 80.0), DualOptions(records=300, seed=3))
    assert not np.array_equal(other.weights > 0, result.weights > 0)


@given(score=st.lists(st.floats(0, 1e6), min_size=1, max_size=60), n=st.integers(1, 60), start=st.floats(0.001, 0.999))
@settings(max_examples=100, deadline=None)
def test_chances_sum_to_the_budget_and_certain_records_are_drawn(score: list[float], n: int, start: float) -> None:
    values = np.array(score)
    wanted = min(n, np.count_nonzero(values))
    chance = chances(values, n)
    assert chance.sum() == pytest.approx(wanted, abs=1e-6)
    assert ((chance >= 0) & (chance <= 1)).all()
    drawn = systematic(chance, start)
    assert abs(len(drawn) - wanted) <= 1
    assert len(set(drawn)) == len(drawn)
    assert (chance[drawn] > 0).all()


def test_gates_serve_a_budget_near_the_number_of_targets() -> None:
    matrix, design = factored_problem(400, 60, 12, 6, seed=5, district_metrics=4)
    budget = int(1.3 * matrix.n_targets)
    share = {}
    for thinning in ("draw", "gates"):
        result = calibrate(matrix, design, DualOptions(records=budget, thinning=thinning, gate_epochs=300))
        assert 0.8 * budget < np.count_nonzero(result.weights) <= budget
        share[thinning] = (target_table(matrix, result.weights)["abs_rel_error"] <= 0.1).mean()
    assert share["gates"] > 0.97
    assert share["gates"] > share["draw"] + 0.03


def test_importance_is_the_size_of_the_contribution_to_the_targets(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(200)
    weights = np.random.Generator(np.random.Philox(3)).lognormal(4, 1, 200)
    found = np.empty(200)
    found[matrix.layout.order] = importance_of(matrix, weights, DualOptions())
    relative = matrix.to_csr().toarray() / (np.abs(matrix.target_values) + 1)[:, None]
    np.testing.assert_allclose(found, weights * np.sqrt((relative**2).sum(axis=0)), rtol=1e-5)
    drawn = draw_records(matrix, weights, DualOptions(records=50))
    assert len(drawn.records) in (49, 50)
    assert (drawn.weights >= weights[drawn.records] * 0.999).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": "euclid"}, "distance is 'euclid'"),
        ({"lower": 1.0}, "lower is 1.0"),
        ({"lower": -0.1}, "lower is -0.1"),
        ({"upper": 0.9}, "upper is 0.9"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"records": 0}, "records is 0"),
        ({"thinning": "cube"}, "thinning is 'cube'"),
        ({"gate_epochs": 0}, "gate_epochs is 0"),
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"holdout_fold": 10}, "holdout_fold is 10"),
    ],
)
def test_senseless_options_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FitError, match=message):
        DualOptions(**change)
