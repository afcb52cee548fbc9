"""Requests and their outcomes: what is asked for is what runs, in either mode, and it survives being handed on."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.calibration.device import choose_device
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.exchange import checkpoints_in
from tessera.calibration.fit import fit
from tessera.calibration.host_memory import free_bytes, needed_bytes, require_host_memory
from tessera.calibration.options import FitOptions
from tessera.calibration.presets import preset
from tessera.calibration.progress import ProgressLine, StepReport, duration, progress_log
from tessera.calibration.request import FitRequest, fit_request
from tessera.calibration.run import Checkpoints, FitOutcome, run_fit, with_initial_weights
from tessera.cli_fit_options import SETTINGS
from tessera.config import scale
from tessera.errors import FitError
from tessera.pytree.io import dump_tree, load_tree
from tests.packages import example_package

QUICK = {"epochs": 40, "polish_epochs": 10, "log_frequency": 20, "device": "cpu"}


def test_the_recipe_is_the_fit() -> None:
    package, seen = example_package(), []
    request = FitRequest("national", "recipe", QUICK)
    outcome = run_fit(package, request, progress=seen.append)
    plain = fit(package.matrix, package.initial_weights, preset("national", **QUICK))
    np.testing.assert_array_equal(outcome.weights, plain.weights)
    np.testing.assert_array_equal(outcome.gates, plain.gates)
    assert outcome.fingerprint == plain.fingerprint
    assert [report.step for report in seen] == list(range(50))
    assert seen[3].value == outcome.history["loss"].iloc[3]


def test_mode_calibrate_stays_near_the_design_weights() -> None:
    package, seen = example_package(), []
    outcome = run_fit(package, FitRequest("local", "calibrate"), progress=seen.append)
    ratio = outcome.weights / package.initial_weights
    assert ratio.min() >= 0.02 - 1e-6 and ratio.max() <= 50 + 1e-4
    assert (outcome.target_log.groupby("epoch")["abs_rel_error"].max() < 0.05).all()
    assert {"epoch", "loss", "nonzero"} <= set(outcome.history)
    assert set(outcome.tables) == {"duals", "conflicts"}
    assert seen and {report.measure for report in seen} == {"dual gradient"}
    assert seen[-1].value == outcome.history["dual_gradient"].iloc[-1] <= 1e-5
    assert outcome.history["loss"].is_monotonic_decreasing


def test_a_budget_that_the_matrix_does_not_exceed_keeps_every_record() -> None:
    outcome = run_fit(example_package(), FitRequest("national", "calibrate"))
    assert np.count_nonzero(outcome.weights) == 400


@pytest.mark.parametrize(("mode", "changes"), [("recipe", QUICK), ("calibrate", {})])
def test_an_outcome_survives_storage(tmp_path: Path, mode: str, changes: dict[str, object]) -> None:
    outcome = run_fit(example_package(), FitRequest("local", mode, changes))
    dump_tree(outcome.to_tree(), tmp_path / "outcome.h5")
    again = FitOutcome.from_tree(load_tree(tmp_path / "outcome.h5"))
    np.testing.assert_array_equal(again.weights, outcome.weights)
    pd.testing.assert_frame_equal(again.history, outcome.history)
    assert again.request == outcome.request
    assert {name: len(table) for name, table in again.tables.items()} == {
        name: len(table) for name, table in outcome.tables.items()
    }


def test_a_request_survives_json() -> None:
    request = FitRequest("local", "recipe", {"loss_groups": "variable", "group_multipliers": [["snap", 2.0]]})
    again = FitRequest.from_dict(json.loads(json.dumps(request.as_dict())))
    assert again.options == request.options
    assert again.recipe_options().group_multipliers == (("snap", 2.0),)
    with pytest.raises(FitError, match="A request has preset, mode and changes"):
        FitRequest.from_dict({"preset": "local"})


def test_identity_is_of_what_changes_numbers() -> None:
    request = FitRequest("local", "recipe", QUICK)
    same = FitRequest("local", "recipe", {**QUICK, "threads": 1, "device": "auto"})
    assert same.identity == request.identity
    others = [FitRequest("local", "recipe", {**QUICK, "seed": 1}), FitRequest("national", "recipe", QUICK)]
    assert len({request.identity, FitRequest("local", "calibrate").identity, *(one.identity for one in others)}) == 4


@pytest.mark.parametrize(
    ("preset_name", "mode", "changes", "message"),
    [
        ("regional", "recipe", {}, "Unknown preset 'regional'"),
        ("regional", "calibrate", {}, "Unknown preset 'regional'"),
        ("local", "greg", {}, "Unknown mode 'greg'"),
        ("local", "recipe", {"distance": "entropy"}, "no distance"),
        ("local", "calibrate", {"epochs": 10}, "no option epochs"),
        ("local", "recipe", {"lambda_l0": -1.0}, "lambda_l0 is -1.0"),
        ("local", "calibrate", {"lower": 2.0}, "lower is 2.0"),
    ],
)
def test_senseless_requests_are_refused(preset_name: str, mode: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(FitError, match=message):
        FitRequest(preset_name, mode, changes)


def test_a_run_configuration_makes_a_request() -> None:
    plain = {"records": 0, "epochs": 0, "lambda_l0": -1.0, "log_frequency": 0, "seed": 7, "device": "cpu"}
    tiny = scale("tiny")
    options = fit_request("national", tiny, mode="recipe", **plain).recipe_options()
    assert options == preset("national", epochs=tiny.national_epochs, seed=7, device="cpu")
    changed = {**plain, "records": 90, "epochs": 12, "lambda_l0": 0.5, "log_frequency": 4}
    options = fit_request("local", tiny, mode="recipe", **changed).recipe_options()
    assert (options.records, options.epochs, options.lambda_l0, options.log_frequency) == (90, 12, 0.5, 4)
    assert fit_request("national", tiny, mode="calibrate", **plain).dual_options().records == tiny.national_records
    with pytest.raises(FitError, match="no option epochs"):
        fit_request("local", tiny, mode="calibrate", **{**plain, "epochs": 3})


def test_every_option_has_a_flag() -> None:
    flags = {one.name for one in SETTINGS}
    assert flags == {one.name for one in (*fields(FitOptions), *fields(DualOptions))}


def test_checkpoints_belong_to_a_package_and_a_request(tmp_path: Path) -> None:
    package, request = example_package(), FitRequest("local", "recipe", QUICK)
    mine = checkpoints_in(tmp_path, package, request)
    assert mine.resume
    run_fit(package, request, checkpoints=replace(mine, every=10))
    assert mine.path.is_file()
    assert checkpoints_in(tmp_path, package, request).path == mine.path
    other = checkpoints_in(tmp_path, example_package(seed=1), request)
    assert other.path != mine.path and not mine.path.exists()


def test_resuming_through_a_run_equals_never_stopping(tmp_path: Path) -> None:
    package, request = example_package(), FitRequest("local", "recipe", QUICK)
    whole = run_fit(package, request)

    def kill(report: StepReport) -> None:
        if report.step == 33:
            raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path / "fit.h5", every=10, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run_fit(package, request, progress=kill, checkpoints=checkpoints)
    resumed = run_fit(package, request, checkpoints=checkpoints)
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    pd.testing.assert_frame_equal(resumed.target_log, whole.target_log, check_exact=True)


def test_a_warm_start_takes_weights_of_this_package_alone(tmp_path: Path) -> None:
    package, path = example_package(), tmp_path / "weights.npy"
    np.save(path, np.arange(400.0))
    np.testing.assert_array_equal(with_initial_weights(package, path).initial_weights, np.arange(400.0))
    np.save(path, np.ones(399))
    with pytest.raises(FitError, match=r"shape \(399,\) .* \(400,\)"):
        with_initial_weights(package, path)
    np.save(path, np.array(["a"] * 400))
    with pytest.raises(FitError, match="type <U1"):
        with_initial_weights(package, path)
    path.write_bytes(b"nothing")
    with pytest.raises(FitError, match="not readable as an array"):
        with_initial_weights(package, path)
    with pytest.raises(FitError, match="No such file"):
        with_initial_weights(package, tmp_path / "absent.npy")


def test_all_targets_unachievable_is_an_error() -> None:
    package = example_package()
    matrix = package.matrix
    empty = replace(matrix, targets=matrix.targets.iloc[:0], aggregation=matrix.aggregation[:0])
    for mode, changes in (("recipe", QUICK), ("calibrate", {})):
        with pytest.raises(FitError, match="0 supported targets"):
            run_fit(replace(package, matrix=empty), FitRequest("local", mode, changes))


def test_too_little_memory_is_refused_with_what_would_help() -> None:
    matrix = example_package().matrix
    for options in (FitOptions(), DualOptions()):
        needed = needed_bytes(matrix, options)
        assert needed > 40 * 400
        assert require_host_memory(matrix, options, free=needed) == needed
        with pytest.raises(FitError, match=r"needs 0\.00 GB of main memory; 0\.00 GB are free.*fewer clones"):
            require_host_memory(matrix, options, free=needed - 1)
    assert 1e6 < free_bytes() < 1e15


def test_what_takes_memory_is_counted() -> None:
    """Logged steps in mode recipe, pairs of metrics in mode calibrate, and thinning, by gates more than by a draw."""
    matrix = example_package().matrix
    plain = needed_bytes(matrix, FitOptions())
    assert needed_bytes(matrix, FitOptions(log_frequency=100)) - plain == 60 * 11 * matrix.n_targets
    all_records = needed_bytes(matrix, DualOptions())
    drawn, gated = (needed_bytes(matrix, DualOptions(records=50, thinning=way)) for way in ("draw", "gates"))
    assert all_records < drawn < gated
    matrix = replace(matrix, metric_ids=(*matrix.metric_ids, "another"))
    pairs = matrix.n_cells * (matrix.n_metrics**2 - (matrix.n_metrics - 1) ** 2)
    assert needed_bytes(matrix, DualOptions()) - all_records == 25 * pairs + 50 * matrix.n_cells


def test_cuda_that_is_not_there_is_refused() -> None:
    try:
        choose_device("cuda")
    except FitError:
        with pytest.raises(FitError, match="cuda"):
            run_fit(example_package(), FitRequest("local", "recipe", {**QUICK, "device": "cuda"}))
    else:
        pytest.skip("this machine has a CUDA device")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def reports(count: int, seconds: float) -> list[StepReport]:
    return [
        StepReport(step, count, "loss", 10.0 / (step + 1), 1000, 0.5, step * seconds, (count - step) * seconds)
        for step in range(count)
    ]


def test_progress_is_one_line_on_a_terminal_and_lines_elsewhere() -> None:
    for stream, breaks in ((Terminal(), 1), (io.StringIO(), 3)):
        line = ProgressLine(stream)
        for report in reports(16, 1.0):
            line(report)
        line.close()
        shown = stream.getvalue()
        assert shown.count("\n") == breaks
        assert "step 16 of 16, loss 0.625, 50.0% of targets within 10 %, 1,000 records, 1 s left" in shown
    silent = Terminal()
    ProgressLine(silent).close()
    assert silent.getvalue() == ""


def test_progress_is_logged_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    log = progress_log("local")
    with caplog.at_level(logging.INFO, "tessera"):
        for report in reports(13, 1.0):
            log(report)
    assert [record.getMessage().split(",")[0] for record in caplog.records] == [
        "local: step 6 of 13",
        "local: step 11 of 13",
    ]
    unknown = StepReport(2, 50, "dual gradient", 0.1, None, 0.9, 3.0, None)
    assert unknown.text == "step 3 of at most 50, dual gradient 0.1, 90.0% of targets within 10 %, 3 s so far"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (7300, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
