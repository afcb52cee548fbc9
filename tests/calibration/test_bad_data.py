"""Bad data, too little memory, kills and damaged files: clear errors, and the last checkpoint intact."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tessera.calibration import run
from tessera.calibration.dual import calibrate
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.fit import FitProgress, FitResult, fit
from tessera.calibration.host_memory import needed_bytes
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import checkpoint
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.state import FitState, check_weights, fit_fingerprint
from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.errors import FitError, MatrixError, StorageError
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.metrics import compile_metrics
from tests.packages import example_matrix, example_package

MakeMatrix = Callable[..., CalibrationMatrix]
QUICK = FitOptions(epochs=60, polish_epochs=20, log_frequency=25, device="cpu")
ROOT = Path(__file__).resolve().parents[2]


def recipe(matrix: CalibrationMatrix, weights: np.ndarray) -> np.ndarray:
    options = FitOptions(lambda_l2=0.0, relative_floor=100.0, epochs=400, polish_epochs=150, device="cpu")
    return fit(matrix, weights, options).weights


def calibration(matrix: CalibrationMatrix, weights: np.ndarray) -> np.ndarray:
    return calibrate(matrix, weights, DualOptions()).weights


BOTH_MODES = pytest.mark.parametrize("mode", [recipe, calibration])


@BOTH_MODES
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_and_targets_that_are_no_numbers_are_refused(
    make_matrix: MakeMatrix, mode: Callable[..., np.ndarray], bad: float
) -> None:
    matrix, weights = make_matrix(60), np.full(60, 90.0)
    table, aggregation = matrix.value_table.copy(), matrix.aggregation.copy()
    table.data[[3, 5]] = bad
    with pytest.raises(FitError, match=r"2 values of the matrix's value table are NaN or infinite"):
        mode(replace(matrix, value_table=table), weights)
    aggregation.data[0] = bad
    with pytest.raises(FitError, match=r"1 values of the matrix's aggregation are NaN"):
        mode(replace(matrix, aggregation=aggregation), weights)
    value = matrix.targets["value"].to_numpy().copy()
    value[4] = bad
    with pytest.raises(FitError, match=rf"'{matrix.targets['name'][4]}' \(row 4\) has the value {bad}"):
        mode(replace(matrix, targets=matrix.targets.assign(value=value)), weights)
    weights[2] = bad
    with pytest.raises(FitError, match=f"Initial weight 2 is {bad}"):
        mode(matrix, weights)


def test_a_matrix_is_not_even_built_of_them(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(60)
    table = matrix.value_table.copy()
    table.data[table.indptr[7]] = np.nan
    parts = (compile_metrics(matrix.targets), table, matrix.value_row, matrix.cell, matrix.cells)
    with pytest.raises(MatrixError, match=r"Value row 7, metric .* is nan; 1 values are not finite"):
        build(matrix.targets, *parts)


@BOTH_MODES
@pytest.mark.parametrize("value", [0.0, -1.0, -1.0 + 1e-9, -500.0, 1e-3])
def test_zero_and_negative_targets_are_met(
    dense_matrix: Callable[..., CalibrationMatrix], mode: Callable[..., np.ndarray], value: float
) -> None:
    values = np.array([[1.0, 2.0, 1.0, 3.0], [-1.0, 1.0, -3.0, 2.0]])
    matrix = dense_matrix(values, np.array([400.0, value]))
    table = target_table(matrix, mode(matrix, np.full(4, 50.0)))
    assert np.isfinite(table["estimate"]).all()
    assert table["error"].abs().iloc[0] < 0.02 * 400
    assert table["error"].abs().iloc[1] < 2.0  # of terms of 50 to 150 each


@pytest.mark.parametrize("device", ["cpu", "torch"])
def test_gradients_whose_squares_overflow_do_not_hold_a_fit_up(make_matrix: MakeMatrix, device: str) -> None:
    """Sums of dollars against targets of 0, or in the squared loss, have gradients beyond the root of 1e38."""
    matrix = make_matrix(300)
    dollars = replace(
        matrix, value_table=matrix.value_table * np.float32(1e8),
        targets=matrix.targets.assign(value=1e8 * matrix.targets["value"]),
    )  # fmt: skip
    options, weights = replace(QUICK, loss="squared", lambda_l0=0.0, epochs=200), np.full(300, 60.0)
    epochs = Epochs(dollars, weights, options)
    if device == "torch":
        from tessera.calibration.gpu.torch_epochs import TorchEpochs

        epochs = TorchEpochs(dollars, weights, options, "cpu")
    with epochs:
        state = epochs.begin()
        while state.epoch < epochs.total_steps(state):
            epochs.advance(state)
        final, *_ = epochs.by_record(state)
    assert np.isfinite(state.records).all()
    before, after = (target_table(dollars, each)["abs_rel_error"].mean() for each in (weights, final))
    assert after < 0.02 < before


def unreachable_matrix() -> CalibrationMatrix:
    """Targets of which none can be reached: no values, and values of the wrong sign."""
    rows = [(f"US/{m}", f"amount_{m}", "national", "US", "[]", 5.0) for m in range(2)]
    targets = pd.DataFrame(rows, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"])
    table = csr_array(np.array([[0.0, -1.0], [0.0, -2.0]]))
    return build(targets, compile_metrics(targets), table, np.array([0, 1, 1]), np.zeros(3, int), [601])


@BOTH_MODES
def test_targets_that_are_all_unachievable_are_an_error(mode: Callable[..., np.ndarray]) -> None:
    matrix = unreachable_matrix()
    assert matrix.n_targets == 0 and len(matrix.unachievable) == 2
    with pytest.raises(FitError, match=r"0 supported targets .* 2 targets are unachievable: see matrix.unachievable"):
        mode(matrix, np.ones(3))


@pytest.mark.parametrize(("mode", "changes"), [("recipe", {"epochs": 20, "device": "cpu"}), ("calibrate", {})])
def test_running_out_of_main_memory_says_what_to_change(
    monkeypatch: pytest.MonkeyPatch, mode: str, changes: dict[str, Any]
) -> None:
    def out_of_memory(*_arguments: object, **_how: object) -> None:
        raise MemoryError("Unable to allocate 3.1 GiB")

    monkeypatch.setattr(run, "fit", out_of_memory)
    monkeypatch.setattr("tessera.calibration.dual.calibrate", out_of_memory)
    with pytest.raises(FitError) as error:
        run_fit(example_package(), FitRequest("local", mode, changes))
    for part in ("400 records", "Unable to allocate 3.1 GiB", "GB were counted on", "fewer clones", "is intact"):
        assert part in str(error.value)


def test_memory_is_counted_with_the_dense_table(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(3000, 40)
    bare = replace(matrix, value_table=csr_array(matrix.value_table.shape, dtype=np.float32))
    dense = 4 * matrix.value_table.shape[0] * 40
    assert matrix.table.values.nbytes == dense  # type: ignore[union-attr]
    assert needed_bytes(matrix, QUICK) - needed_bytes(bare, QUICK) > 0.9 * dense


@pytest.mark.parametrize("every", [0, -5, 2.5])
def test_senseless_checkpoint_intervals_are_refused(make_matrix: MakeMatrix, tmp_path: Path, every: float) -> None:
    with pytest.raises(FitError, match=f"checkpoint_every is {every}"):
        fit(make_matrix(50), np.ones(50), QUICK, checkpoint_path=tmp_path / "c.h5", checkpoint_every=every)


KILLED = """
import os, signal, sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from tessera.calibration.recipe import checkpoint
from tessera.calibration.fit import fit
from tessera.calibration.options import FitOptions
from tests.packages import example_matrix

new_hdf5, path, when = checkpoint.new_hdf5, Path(sys.argv[1]), sys.argv[2]
options = FitOptions(epochs=60, polish_epochs=20, log_frequency=25, device="cpu")

@contextmanager
def killed_at_the_second(path):
    with new_hdf5(path) as file:
        yield file
        file.flush()
        if file.attrs["epoch"] == 20 and when == "writing":
            os.kill(os.getpid(), signal.SIGKILL)

def progress(report):
    if report.epoch == 17 and when == "epoch":
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.new_hdf5 = killed_at_the_second
fit(example_matrix(), np.full(400, 80.0), options, progress=progress, checkpoint_path=path, checkpoint_every=10)
"""


@pytest.mark.parametrize("when", ["epoch", "writing"])
def test_a_fit_that_was_killed_goes_on_from_its_last_checkpoint(tmp_path: Path, when: str) -> None:
    path = tmp_path / "fit.h5"
    ended = subprocess.run([sys.executable, "-c", KILLED, path, when], cwd=ROOT, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (len(list(tmp_path.iterdir())) == 2) == (when == "writing")  # what was being written lies beside it
    with h5py.File(path) as file:
        assert file.attrs["epoch"] == 10
    matrix, weights = example_matrix(), np.full(400, 80.0)
    resumed = fit(matrix, weights, QUICK, checkpoint_path=path, checkpoint_every=10, resume=True)
    assert_same(resumed, fit(matrix, weights, QUICK))


def assert_same(left: FitResult, right: FitResult) -> None:
    np.testing.assert_array_equal(left.weights, right.weights)
    pd.testing.assert_frame_equal(left.history, right.history, check_exact=True)
    pd.testing.assert_frame_equal(left.target_log, right.target_log, check_exact=True)


def test_a_full_disk_leaves_the_last_checkpoint_intact(
    make_matrix: MakeMatrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, weights, path = make_matrix(80), np.full(80, 90.0), tmp_path / "fit.h5"
    plain = checkpoint.new_hdf5

    @contextmanager
    def full_at_the_second(target: Path) -> Iterator[h5py.File]:
        with plain(target) as file:
            yield file
            if file.attrs["epoch"] == 20:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "new_hdf5", full_at_the_second)
    with pytest.raises(StorageError, match=r"fit.h5: cannot be written \(No space left.*previous file.* intact"):
        fit(matrix, weights, QUICK, checkpoint_path=path, checkpoint_every=10)
    assert [file.name for file in tmp_path.iterdir()] == ["fit.h5"]
    monkeypatch.undo()
    resumed = fit(matrix, weights, QUICK, checkpoint_path=path, resume=True)
    assert_same(resumed, fit(matrix, weights, QUICK))


@pytest.fixture
def stored(make_matrix: MakeMatrix, tmp_path: Path) -> tuple[Path, Callable[[], FitState]]:
    """A checkpoint, and what loads it."""
    matrix, weights, path = make_matrix(40), np.full(40, 90.0), tmp_path / "fit.h5"

    def stop(report: FitProgress) -> None:
        if report.epoch == 31:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(matrix, weights, QUICK, progress=stop, checkpoint_path=path, checkpoint_every=30)
    fingerprint = fit_fingerprint(matrix, check_weights(matrix, weights))
    return path, lambda: checkpoint.load(path, fingerprint, QUICK)


def assert_states_equal(left: FitState, right: FitState) -> None:
    assert (left.epoch, left.sampled, left.price) == (right.epoch, right.sampled, right.price)
    for name in ("records", "totals", "statistics", "log_estimates"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    assert (left.history, left.log_epochs) == (right.history, right.log_epochs)


def test_a_checkpoint_with_a_changed_byte_is_refused(stored: tuple[Path, Callable[[], FitState]]) -> None:
    """Wherever it is: bytes that hold nothing may change, all others are missed."""
    path, load = stored
    whole, contents = load(), path.read_bytes()
    rng, refused = np.random.Generator(np.random.Philox(5)), 0
    for place in rng.integers(0, len(contents), 250):
        damaged = bytearray(contents)
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            assert_states_equal(load(), whole)
        except StorageError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 50


@pytest.mark.parametrize("name", ["records", "totals", "statistics", "history", "log_epochs", "log_estimates"])
def test_a_changed_array_is_seen(stored: tuple[Path, Callable[[], FitState]], name: str) -> None:
    path, load = stored
    with h5py.File(path, "a") as file:
        values = file[name][()]
        values.flat[-1] += 1
        file[name][...] = values
    with pytest.raises(StorageError, match=r"do not have the digest .* fit from the start"):
        load()


@pytest.mark.parametrize("name", ["epoch", "sampled", "price", "options", "fingerprint", "digest"])
def test_a_changed_or_missing_attribute_is_seen(stored: tuple[Path, Callable[[], FitState]], name: str) -> None:
    path, load = stored
    with h5py.File(path, "a") as file:
        value = file.attrs[name]
        file.attrs[name] = value + "x" if isinstance(value, str) else value + 1
    with pytest.raises(StorageError, match="do not have the digest"):
        load()
    with h5py.File(path, "a") as file:
        del file.attrs[name]
    with pytest.raises(StorageError, match="not a readable checkpoint"):
        load()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_checkpoint_that_was_cut_short_is_refused(stored: tuple[Path, Callable[[], FitState]], share: float) -> None:
    path, load = stored
    contents = path.read_bytes()
    path.write_bytes(contents[: int(share * len(contents))])
    with pytest.raises(StorageError, match="not a readable checkpoint"):
        load()


def test_a_checkpoint_of_another_version_is_named(stored: tuple[Path, Callable[[], FitState]]) -> None:
    path, load = stored
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(StorageError, match="version 99; wanted 'tessera-fit-checkpoint', version 4"):
        load()
