"""What a fit leaves behind: tables that agree with the matrix, files that agree with the run configuration."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.calibration.outputs import (
    DIAGNOSTIC_COLUMNS,
    LOG_COLUMNS,
    diagnostics_table,
    estimates,
    figures,
    log_table,
    result_tree,
    write_outputs,
)
from tessera.calibration.request import FitRequest
from tessera.calibration.run import FitOutcome, run_fit
from tessera.pytree.io import load_tree
from tessera.store import sha256_of
from tests.packages import METRICS, NEGATIVE, PLACES, example_package

PACKAGE = example_package()
QUICK = {"epochs": 40, "polish_epochs": 10, "log_frequency": 20, "device": "cpu"}


@pytest.fixture(scope="module")
def outcome() -> FitOutcome:
    return run_fit(PACKAGE, FitRequest("local", "recipe", QUICK))


def test_the_log_has_every_target_at_every_logged_epoch(outcome: FitOutcome) -> None:
    table = log_table(PACKAGE, outcome)
    assert tuple(table.columns) == LOG_COLUMNS
    assert table["epoch"].unique().tolist() == [20, 40, 50]
    assert (table.groupby("epoch")["target_name"].nunique() == len(METRICS) * len(PLACES)).all()
    assert (table.groupby("epoch")["achievable"].sum() == PACKAGE.matrix.n_targets).all()
    known = table.dropna()
    np.testing.assert_allclose(known["error"], known["estimate"] - known["target"])
    np.testing.assert_allclose(known["rel_abs_error"], known["abs_error"] / known["target"].abs())
    np.testing.assert_allclose(known["loss"], (known["error"] / (known["target"].abs() + 1)) ** 2)
    last = table[(table["epoch"] == 50) & table["achievable"]]
    np.testing.assert_allclose(last["estimate"], PACKAGE.matrix.to_csr() @ outcome.weights)


def test_estimates_of_unachievable_targets_are_those_of_the_weights(outcome: FitOutcome) -> None:
    table = log_table(PACKAGE, outcome).set_index(["target_name", "epoch"])["estimate"]
    values = PACKAGE.matrix.value_table[:, [NEGATIVE]].toarray().ravel()[PACKAGE.matrix.value_row]
    assert values.min() < 0
    assert table["US/net_loss", 50] == pytest.approx(values @ outcome.weights)
    assert np.isnan(table["US/net_loss", 20])
    assert table["US/tanf", 20] == table["US/tanf", 50] == 0
    unknown = PACKAGE.matrix.unachievable.assign(variable="rent")
    assert np.isnan(estimates(PACKAGE.matrix, unknown, outcome.weights)).all()


def test_diagnostics_have_every_target_once(outcome: FitOutcome) -> None:
    table = diagnostics_table(PACKAGE, outcome.weights)
    assert tuple(table.columns) == DIAGNOSTIC_COLUMNS
    assert table["target"].is_unique and len(table) == len(METRICS) * len(PLACES)
    assert set(table.loc[~table["achievable"], "target"]) == set(PACKAGE.matrix.unachievable["name"])
    np.testing.assert_allclose(table["abs_rel_error"], (table["estimate"] / table["true_value"] - 1).abs())


def test_the_result_is_a_tree_by_geography_and_programme(outcome: FitOutcome) -> None:
    tree = result_tree(PACKAGE, outcome)
    targets = tree["targets"]
    assert {level: set(areas) for level, areas in targets.items()} == {
        "national": {"US"}, "state": {"CA", "TX"}, "district": {"CA-02", "DC-01"},
    }  # fmt: skip
    assert set(targets["state"]["CA"]) == {variable for variable, _, _ in METRICS}
    people = targets["state"]["CA"]["person_count"]
    assert people.index.tolist() == ["CA/person_count", "CA/person_count/adults"]
    assert people.columns.tolist() == ["target", "estimate", "rel_error", "achievable"]
    assert not targets["national"]["US"]["tanf"]["achievable"].any()
    assert sum(len(t) for areas in targets.values() for area in areas.values() for t in area.values()) == 30


def test_files_are_what_the_run_configuration_says(outcome: FitOutcome, tmp_path: Path) -> None:
    written = write_outputs(PACKAGE, outcome, tmp_path / "fit" / "w.npy", {"package_path": "p.h5"})
    assert {path.name for path in (tmp_path / "fit").iterdir()} == {
        "w.npy", "w_gates.npy", "calibration_log.csv", "unified_diagnostics.csv", "fit_history.csv", "fit_result.h5",
        "unified_run_config.json",
    }  # fmt: skip
    config = json.loads(written.files["run_config"].read_text(encoding="utf-8"))
    for role, entry in config["artifacts"].items():
        path = tmp_path / "fit" / entry["file"]
        assert path == written.files[role]
        assert (entry["sha256"], entry["bytes"]) == (sha256_of(path), path.stat().st_size)
    assert set(config["artifacts"]) == set(written.files) - {"run_config"}
    assert config["options"] == json.loads(json.dumps(outcome.request.settings()))
    assert config["package"] == {"sha256": PACKAGE.sha256, "provenance": dict(PACKAGE.provenance)}
    assert config["package_path"] == "p.h5"
    np.testing.assert_array_equal(np.load(tmp_path / "fit" / "w.npy"), outcome.weights)
    stored = load_tree(written.files["fit_result"])
    pd.testing.assert_frame_equal(
        stored["targets"]["state"]["TX"]["ssi"], result_tree(PACKAGE, outcome)["targets"]["state"]["TX"]["ssi"]
    )
    log = pd.read_csv(written.files["calibration_log"])
    pd.testing.assert_frame_equal(log, log_table(PACKAGE, outcome), check_dtype=False)


def test_figures_tell_fitted_from_held_out_targets(outcome: FitOutcome) -> None:
    found = figures(PACKAGE, outcome)
    assert (found["targets"], found["unachievable"]) == (20, 10)
    assert "held_out_targets" not in found
    assert found["records"] == np.count_nonzero(outcome.weights)
    assert found["effective_sample_size"] == pytest.approx(outcome.weights.sum() ** 2 / (outcome.weights**2).sum())
    held = figures(
        PACKAGE, run_fit(PACKAGE, FitRequest("local", "recipe", {**QUICK, "holdout_folds": 3, "holdout_fold": 1}))
    )
    assert held["targets"] + held["held_out_targets"] == 20
    assert 0 < held["held_out_targets"] < 20
    assert held["held_out_mean_abs_rel_error"] > held["mean_abs_rel_error"]


def test_mode_calibrate_adds_its_tables(tmp_path: Path) -> None:
    written = write_outputs(PACKAGE, run_fit(PACKAGE, FitRequest("local", "calibrate")), tmp_path / "weights.npy")
    duals = pd.read_csv(written.files["duals"])
    assert set(duals["name"]) == set(PACKAGE.matrix.targets["name"])
    assert written.files["conflicts"].is_file()
