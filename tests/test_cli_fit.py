"""`tessera fit`: the published commands, every way of going wrong, and going on after being stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.cli import main
from tessera.matrix.package import write_package
from tests.packages import example_package

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., tuple[int, str, str]]
QUICK = ("--epochs", "40", "--polish-epochs", "10", "--device", "cpu")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    write_package(tmp_path / "package.h5", example_package())
    return tmp_path / "package.h5"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], package: Path) -> Run:
    """Runs `tessera fit` on the package: exit code, standard output, standard error."""

    def call(*arguments: str, path: Path = package) -> tuple[int, str, str]:
        try:
            code = main(["fit", "--package-path", str(path), *arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


@pytest.mark.parametrize(("l0", "l2", "preset"), [("1e-7", "1e-8", "local"), ("1e-4", "1e-12", "national")])
def test_the_published_commands_work(run: Run, tmp_path: Path, l0: str, l2: str, preset: str) -> None:
    config = tmp_path / "target_config.yaml"
    config.write_text("exclude: [{variable: tanf}]\n", encoding="utf-8")
    output = tmp_path / preset / "weights.npy"
    code, out, err = run(
        "--epochs", "60", "--beta", "0.65", "--lambda-l0", l0, "--lambda-l2", l2, "--log-freq", "30",
        "--target-config", str(config), "--device", "cpu", "--output", str(output),
    )  # fmt: skip
    assert code == 0, err
    assert "Fitted 20 targets" in out and "5 more are unachievable" in out
    assert str(output) in out
    log = pd.read_csv(output.with_name("calibration_log.csv"))
    assert log["epoch"].unique().tolist() == [30, 60, 90, 120, 150, 180, 210, 240, 260]
    settings = json.loads(output.with_name("unified_run_config.json").read_text(encoding="utf-8"))["options"]
    assert (settings["lambda_l0"], settings["lambda_l2"], settings["epochs"]) == (float(l0), float(l2), 60)
    assert not output.with_name("weights.checkpoint.h5").exists()


def test_weights_are_those_of_the_library_and_go_beside_the_package(run: Run, package: Path) -> None:
    code, out, _ = run(*QUICK, "--preset", "national", "--seed", "3", "--json")
    found = json.loads(out.splitlines()[-1])
    assert code == 0
    path = package.with_name("package_fit") / "weights.npy"
    assert found["paths"]["weights"] == str(path)
    request = FitRequest("national", "recipe", {"epochs": 40, "polish_epochs": 10, "seed": 3, "device": "cpu"})
    np.testing.assert_array_equal(np.load(path), run_fit(example_package(), request).weights)
    assert found["figures"]["targets"] == 20
    assert found["package"]["sha256"] == example_package().sha256


def test_mode_calibrate_with_a_budget(run: Run, tmp_path: Path) -> None:
    code, out, err = run("--mode", "calibrate", "--records", "200", "--output", str(tmp_path / "c" / "w.npy"))
    assert code == 0, err
    assert "(calibrate, local)" in out
    assert 0 < np.count_nonzero(np.load(tmp_path / "c" / "w.npy")) <= 200
    assert (tmp_path / "c" / "conflicts.csv").is_file()


def test_a_warm_start_and_further_options(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "start.npy", np.full(400, 100.0))
    output = tmp_path / "w" / "w.npy"
    code, out, err = run(
        *QUICK, "--initial-weights", str(tmp_path / "start.npy"), "--max-weight-ratio", "1.5", "--holdout-fold", "1",
        "--holdout-folds", "3", "--loss-groups", "variable", "--group-multiplier", "snap=2", "--no-shrink",
        "--l2-mean-weight", "none", "--threads", "1", "--output", str(output),
    )  # fmt: skip
    assert code == 0, err
    assert "Held out, " in out
    assert np.load(output).max() <= 150.001
    options = json.loads(output.with_name("unified_run_config.json").read_text(encoding="utf-8"))["options"]
    assert options["group_multipliers"] == [["snap", 2.0]]
    assert (options["shrink"], options["l2_mean_weight"]) == (False, None)


def test_help_tells_meanings_and_defaults(run: Run) -> None:
    code, out, _ = run("--help")
    text = " ".join(out.split())
    assert code == 0
    assert "--lambda-l0 X price of a record that is kept (default: local 1e-07, national 0.0001)" in text
    assert "--tolerance X relative error that a target is let have (default: 0.01)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--epochs", "0"), "epochs is 0; wanted a whole number of at least 1"),
        (("--epochs", "ten"), "invalid int value: 'ten'"),
        (("--lambda-l0", "-1e-7"), "lambda_l0 is -1e-07"),
        (("--lambda-l2", "nan"), "lambda_l2 is nan"),
        (("--beta", "0"), "beta is 0"),
        (("--log-freq", "0"), "log_frequency is 0"),
        (("--records", "-5"), "records is -5"),
        (("--holdout-fold", "10"), "holdout_fold is 10"),
        (("--device", "tpu"), "invalid choice: 'tpu'"),
        (("--preset", "regional"), "invalid choice: 'regional'"),
        (("--group-multiplier", "snap"), "wanted GROUP=FACTOR"),
        (("--mode", "calibrate", "--epochs", "10"), "Mode calibrate has no option epochs"),
        (("--output", "weights.csv"), "ends in .npy"),
        (("--checkpoint-every", "0"), "wanted a whole number of at least 1"),
    ],
)
def test_bad_arguments_end_with_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert message in err


def test_bad_packages_end_with_1(run: Run, package: Path, tmp_path: Path) -> None:
    cases = []
    absent = tmp_path / "absent.h5"
    cases.append((absent, "no such calibration package"))
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(package.read_bytes()[:-500])
    cases.append((damaged, "damaged.h5"))
    old = tmp_path / "old.h5"
    old.write_bytes(b"\x80\x04a pickle")
    cases.append((old, "old.h5"))
    good = example_package()
    empty = replace(good.matrix, targets=good.matrix.targets.iloc[:0], aggregation=good.matrix.aggregation[:0])
    write_package(tmp_path / "empty.h5", replace(good, matrix=empty))
    cases.append((tmp_path / "empty.h5", "0 supported targets"))
    for path, message in cases:
        code, out, err = run(*QUICK, "--output", str(tmp_path / "out" / "w.npy"), path=path)
        assert (code, out) == (1, ""), path
        assert message in err and "Traceback" not in err
        assert not (tmp_path / "out").exists()


def test_bad_files_end_with_1(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("include: [{variable: snap}, {variable: rents}]\n", encoding="utf-8")
    checkpoint = tmp_path / "checkpoint.h5"
    checkpoint.write_bytes(b"not HDF5")
    for arguments, message in (
        (("--target-config", str(config)), "variable='rents' matches no target of the package"),
        (("--target-config", str(tmp_path / "no.yaml")), "no such target configuration"),
        (("--resume-from", str(checkpoint)), "not a readable checkpoint"),
        (("--resume-from", str(tmp_path / "no.h5")), "no such checkpoint"),
        (("--resume-from", str(tmp_path / "w.npy")), "start from them with --initial-weights"),
        (("--initial-weights", str(tmp_path / "no.npy")), "not readable as an array of weights"),
    ):
        code, _, err = run(*QUICK, *arguments)
        assert code == 1, arguments
        assert message in err, err


def test_a_checkpoint_of_another_package_or_other_options_is_refused(run: Run, tmp_path: Path) -> None:
    checkpoint = tmp_path / "kept.h5"
    assert run(*QUICK, "--checkpoint-output", str(checkpoint), "--checkpoint-every", "20")[0] == 0
    before = checkpoint.read_bytes()
    write_package(tmp_path / "other.h5", example_package(seed=1))
    code, _, err = run(*QUICK, "--resume-from", str(checkpoint), path=tmp_path / "other.h5")
    assert code == 1 and "belongs to another matrix" in err
    code, _, err = run(*QUICK, "--resume-from", str(checkpoint), "--beta", "0.5")
    assert code == 1 and "was made with beta = 0.65" in err
    assert checkpoint.read_bytes() == before
    copied = tmp_path / "copied.h5"
    assert run(*QUICK, "--resume-from", str(checkpoint), "--checkpoint-output", str(copied))[0] == 0
    assert checkpoint.read_bytes() == before and copied.is_file()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_mid_epoch_and_resumed_is_never_stopped(
    run: Run, package: Path, tmp_path: Path, how: signal.Signals
) -> None:
    arguments = ("--epochs", "1000", "--device", "cpu", "--checkpoint-every", "50")
    output = tmp_path / "stopped" / "w.npy"
    checkpoint = output.with_name("w.checkpoint.h5")
    command = [sys.executable, "-m", "tessera.cli", "fit", "--package-path", str(package), *arguments]
    # A shell in the background ignores Ctrl-C, and what it starts inherits that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, "--output", str(output)], cwd=ROOT, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    signal.signal(signal.SIGINT, handler)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert process.poll() is None and time.monotonic() < deadline, process.stderr and process.stderr.read()
        time.sleep(0.01)
    process.send_signal(how)
    _, err = process.communicate()
    assert not output.exists()
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert f"--resume-from {checkpoint}" in err and "Traceback" not in err
    assert run(*arguments, "--output", str(output), "--resume-from", str(checkpoint))[0] == 0
    assert run(*arguments, "--output", str(tmp_path / "whole" / "w.npy"))[0] == 0
    for name in ("w.npy", "w_gates.npy", "calibration_log.csv", "fit_history.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not checkpoint.exists()


def test_a_checkpoint_left_behind_is_mentioned(run: Run, package: Path) -> None:
    left = package.with_name("package_fit") / "weights.checkpoint.h5"
    left.parent.mkdir()
    left.write_bytes(b"of a fit that was killed")
    code, _, err = run(*QUICK)
    assert code == 0
    assert f"the checkpoint {left} is of an earlier fit" in err


def test_other_commands_do_not_load_the_fit() -> None:
    code = "import sys; from tessera.cli import main; main(['areas']); print('numpy' in sys.modules, file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "False"
