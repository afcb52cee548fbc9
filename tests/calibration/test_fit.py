"""What a fit reaches, that it repeats itself to the bit, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tessera.calibration.fit import FitProgress, FitResult, fit
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.calibration.presets import preset
from tessera.calibration.recipe.schedule import learning_rate
from tessera.errors import FitError, StorageError
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]
QUICK = FitOptions(epochs=60, polish_epochs=20, log_frequency=25)


def assert_same(left: FitResult, right: FitResult) -> None:
    for name in ("weights", "gates", "log_weight", "log_alpha"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    pd.testing.assert_frame_equal(left.history, right.history, check_exact=True)
    pd.testing.assert_frame_equal(left.target_log, right.target_log, check_exact=True)


def test_targets_are_reached(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(2000)
    result = fit(matrix, np.full(2000, 80.0), preset("local", epochs=300))
    table = target_table(matrix, result.weights)
    assert (table["abs_rel_error"] < 0.01).all()
    assert result.history["loss"].iloc[-1] < 1e-3 < result.history["loss"].iloc[0]
    assert result.history["share_within_10"].iloc[-1] == 1.0
    np.testing.assert_allclose(table["estimate"], matrix.to_csr() @ result.weights, rtol=1e-12)
    np.testing.assert_allclose(table["error"], table["estimate"] - table["target"])
    assert np.all(result.weights >= 0)
    assert np.all((result.gates == 0) == (result.weights == 0))


def test_the_polish_lowers_the_loss(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(500, spread=0.3)
    options = preset("local", epochs=150, lambda_l0=1e-4)
    error = [
        target_table(matrix, fit(matrix, np.full(500, 100.0), replace(options, polish_epochs=p)).weights)[
            "abs_rel_error"
        ].mean()
        for p in (0, 150)
    ]
    assert error[1] < error[0]


def test_a_planted_support_is_recovered(dense_matrix: Callable[..., CalibrationMatrix]) -> None:
    rng = np.random.Generator(np.random.Philox(4))
    values = rng.lognormal(0, 1, (60, 30)) * (rng.random((60, 30)) < 0.5)
    planted = np.zeros(30)
    planted[[2, 7, 11, 19, 23, 28]] = [30, 80, 120, 60, 200, 45]
    matrix = dense_matrix(values[values @ planted > 0], (values @ planted)[values @ planted > 0])
    options = FitOptions(lambda_l0=0.1, lambda_l2=0.0, keep_probability=0.5, epochs=1500)
    result = fit(matrix, np.full(30, 50.0), options)
    assert np.flatnonzero(result.weights).tolist() == np.flatnonzero(planted).tolist()
    np.testing.assert_allclose(result.weights, planted, rtol=0.02)


def test_sparsity_rises_with_its_price(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(1000)
    kept = [
        int(
            fit(matrix, np.full(1000, 100.0), preset("national", lambda_l0=price, epochs=400))
            .history["nonzero"]
            .iloc[-1]
        )
        for price in (0.0, 1e-3, 1e-2, 1e-1)
    ]
    assert kept[0] >= 990
    assert kept == sorted(kept, reverse=True)
    assert kept[3] < kept[2] / 2 < 500


def test_the_cap_on_weights_holds(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(300, spread=0.5)
    result = fit(matrix, np.full(300, 100.0), replace(QUICK, max_weight_ratio=1.5))
    assert result.weights.max() == pytest.approx(150.0, rel=1e-5)


def test_same_seed_same_bits_for_any_number_of_threads(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(3000)
    weights = np.full(3000, 90.0)
    first = fit(matrix, weights, replace(QUICK, threads=1))
    for threads in (2, 4, None):
        assert_same(fit(matrix, weights, replace(QUICK, threads=threads)), first)
    assert not np.array_equal(fit(matrix, weights, replace(QUICK, seed=7)).weights, first.weights)


@pytest.mark.parametrize("stop", [40, 60, 70])
def test_resuming_equals_never_stopping(make_matrix: MakeMatrix, tmp_path: Path, stop: int) -> None:
    matrix, weights, path = make_matrix(500), np.full(500, 90.0), tmp_path / "fit.h5"

    def kill(report: FitProgress) -> None:
        if report.epoch == stop + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(matrix, weights, QUICK, progress=kill, checkpoint_path=path, checkpoint_every=10)
    with h5py.File(path) as file:
        assert file.attrs["epoch"] == stop
    resumed = fit(matrix, weights, QUICK, checkpoint_path=path, checkpoint_every=10, resume=True)
    assert_same(resumed, fit(matrix, weights, QUICK))
    # A finished fit resumes to its result.
    assert_same(fit(matrix, weights, QUICK, checkpoint_path=path, resume=True), resumed)


def test_a_checkpoint_of_another_fit_is_refused(make_matrix: MakeMatrix, tmp_path: Path) -> None:
    matrix, weights, path = make_matrix(200), np.full(200, 90.0), tmp_path / "fit.h5"
    fit(matrix, weights, QUICK, checkpoint_path=path, checkpoint_every=40)
    for other, start in ((make_matrix(200, seed=1), weights), (matrix, weights * 2)):
        with pytest.raises(FitError, match="another matrix or other initial weights"):
            fit(other, start, QUICK, checkpoint_path=path, resume=True)
    with pytest.raises(FitError, match=r"lambda_l0 = 1e-07, this fit has 1e-05"):
        fit(matrix, weights, replace(QUICK, lambda_l0=1e-5), checkpoint_path=path, resume=True)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(StorageError, match="not a readable checkpoint"):
        fit(matrix, weights, QUICK, checkpoint_path=path, resume=True)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(StorageError, match="something else"):
        fit(matrix, weights, QUICK, checkpoint_path=path, resume=True)


def test_progress_and_logs(make_matrix: MakeMatrix) -> None:
    matrix, seen = make_matrix(200), []
    result = fit(matrix, np.full(200, 90.0), QUICK, progress=seen.append)
    assert [report.epoch for report in seen] == list(range(80))
    assert seen[-1].seconds_left == 0
    assert result.history.columns.tolist() == ["epoch", "loss", "l0", "nonzero", "share_within_10", "lambda_l0"]
    assert result.target_log["epoch"].unique().tolist() == [25, 50, 75, 80]
    last = result.target_log[result.target_log["epoch"] == 80].drop(columns="epoch").reset_index(drop=True)
    pd.testing.assert_frame_equal(last, target_table(matrix, result.weights))


def test_learning_rate_falls_at_the_end_and_in_the_polish() -> None:
    options = FitOptions(epochs=100, polish_epochs=50, decay_share=0.2)
    rates = [learning_rate(epoch, 100, options) for epoch in range(1, 151)]
    assert set(rates[:80]) == {0.15}
    assert rates[99] == pytest.approx(0.15 * 0.05)
    assert rates[80:100] == sorted(rates[80:100], reverse=True)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert rates[100] < 0.05
    assert learning_rate(100, 100, replace(options, decay_share=0.0)) == 0.15


@pytest.mark.parametrize("value", [-1.0, -700.0, 0.0, 1e-3])
def test_negative_zero_and_small_targets_have_a_finite_loss(
    dense_matrix: Callable[..., CalibrationMatrix], value: float
) -> None:
    values = np.array([[1.0, 2.0, 1.0], [-1.0, 1.0, -3.0]])
    matrix = dense_matrix(values, np.array([250.0, value]))
    result = fit(matrix, np.full(3, 50.0), FitOptions(lambda_l2=0.0, epochs=300))
    assert np.isfinite(result.history["loss"]).all()
    table = target_table(matrix, result.weights)
    assert abs(table["error"].iloc[1]) < 0.02 * (abs(value) + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lambda_l0": -1e-9}, "lambda_l0 is -1e-09"),
        ({"lambda_l2": float("nan")}, "lambda_l2 is nan"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 10.5}, "epochs is 10.5"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"gamma": 0.1}, "gamma is 0.1"),
        ({"zeta": 1.0}, "zeta is 1.0"),
        ({"keep_probability": 1.0}, "keep_probability is 1.0"),
        ({"relative_floor": 0.0}, "relative_floor is 0.0"),
        ({"loss": "absolute"}, "loss is 'absolute'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"max_weight_ratio": -2.0}, "max_weight_ratio is -2.0"),
        ({"log_frequency": 0}, "log_frequency is 0"),
    ],
)
def test_senseless_options_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FitError, match=message):
        FitOptions(**change)


def test_unknown_presets_and_options_are_refused() -> None:
    with pytest.raises(FitError, match="Unknown preset 'regional'"):
        preset("regional")
    with pytest.raises(FitError, match="no lambda"):
        preset("local", **{"lambda": 3})
    assert preset("national").epochs == 4000


def test_senseless_data_are_refused(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(50)
    for weights, message in (
        (np.ones(49), r"shape \(49,\)"),
        (np.full(50, -1.0), "Initial weight 0 is -1.0"),
        (np.full(50, np.nan), "Initial weight 0 is nan"),
        (np.zeros(50), "All initial weights are 0"),
    ):
        with pytest.raises(FitError, match=message):
            fit(matrix, weights, QUICK)
    with pytest.raises(FitError, match=r"'US/0' \(row 0\) has the value nan"):
        fit(replace(matrix, targets=matrix.targets.assign(value=np.nan)), np.ones(50), QUICK)
    empty = replace(matrix, targets=matrix.targets.iloc[:0], aggregation=matrix.aggregation[:0])
    with pytest.raises(FitError, match="0 supported targets"):
        fit(empty, np.ones(50), QUICK)
    with pytest.raises(FitError, match="device is 'cuda'"):
        fit(matrix, np.ones(50), replace(QUICK, device="cuda"))
