"""The fit through torch against the numpy reference and the CPU's kernels; device choice and memory.

Everything runs on torch's own CPU device. With a CUDA device the same tests run there too, and without one they are
skipped. The Triton kernel runs on CUDA, else in Triton's interpreter, else (no triton) is skipped.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tessera.calibration import device as devices
from tessera.calibration import fit as fits
from tessera.calibration.fit import FitProgress, FitResult, fit
from tessera.calibration.gpu.bandwidth import copy_bandwidth, epoch_bytes, epoch_floor
from tessera.calibration.gpu.memory import MemoryPlan, require_memory, short_of_memory
from tessera.calibration.gpu.torch_epochs import TorchEpochs
from tessera.calibration.gpu.torch_pass import Strips
from tessera.calibration.gpu.torch_pass import gate_noise as torch_noise
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.gates import epoch_key, gate_noise, gates
from tessera.calibration.recipe.objective import Objective
from tessera.calibration.recipe.reference import Adam, gradient
from tessera.calibration.recipe.state import FitState, l2_factor
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]
MakeEpochs = Callable[[CalibrationMatrix, np.ndarray, FitOptions], Epochs]
OPTIONS = FitOptions(
    lambda_l0=1e-3, lambda_l2=1e-6, epochs=10, polish_epochs=0, decay_share=0.0, keep_probability=0.7, seed=5
)
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
TRITON = pytest.mark.skipif(find_spec("triton") is None, reason="triton comes with torch's CUDA builds only")
IN_CSR = MemoryPlan(dense=False, chunk_records=300, needed=0, free=0)


@pytest.fixture(
    params=[
        "dense",
        "csr",
        pytest.param("triton", marks=TRITON),
        pytest.param("cuda", marks=CUDA),
        pytest.param("cuda-csr", marks=CUDA),
    ]
)
def make_epochs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MakeEpochs:
    """Function that makes the epochs of one form of the pass."""
    form = request.param
    gpu = torch.cuda.is_available() and form in ("triton", "cuda", "cuda-csr")
    if form == "triton" and not gpu:
        monkeypatch.setenv("TRITON_INTERPRET", "1")
    device = "cuda" if gpu else "cpu"
    kernel = "triton" if form == "triton" else "torch"
    plan = IN_CSR if form.endswith("csr") else None
    return lambda matrix, weights, options: TorchEpochs(matrix, weights, options, device, kernel=kernel, plan=plan)


def run(epochs: Epochs) -> FitState:
    """The state after the whole fit, brought up to date."""
    with epochs:
        state = epochs.begin()
        while state.epoch < epochs.total_steps(state):
            epochs.advance(state)
        epochs.synchronise(state)
    return state


def in_record_order(matrix: CalibrationMatrix, state: FitState, *rows: int) -> list[np.ndarray]:
    out = np.empty((len(rows), matrix.n_records))
    out[:, matrix.layout.order] = state.records[list(rows)]
    return list(out)


def assert_close(state: FitState, expected: FitState) -> None:
    """Equal within what single precision leaves after a fit."""
    np.testing.assert_allclose(np.array(state.history), np.array(expected.history), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.totals, expected.totals, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(state.statistics, expected.statistics, rtol=1e-4, atol=1e-4)
    for row in (kernels.LOG_WEIGHT, kernels.ALPHA, kernels.GATE):
        np.testing.assert_allclose(state.records[row], expected.records[row], rtol=1e-3, atol=1e-3)
    assert state.log_epochs == expected.log_epochs
    np.testing.assert_allclose(state.log_estimates, expected.log_estimates, rtol=1e-4)
    assert (state.epoch, state.sampled) == (expected.epoch, expected.sampled)
    assert state.price == pytest.approx(expected.price, rel=1e-6)


@pytest.mark.parametrize("epoch", range(6))  # keys on both sides of 2**63
def test_noise_has_the_bits_of_numpy(epoch: int) -> None:
    key, records = epoch_key(1, epoch), np.concatenate([np.arange(20_000), 2**31 - 1 - np.arange(500)])
    drawn = torch_noise(key, torch.tensor(records, dtype=torch.int32))
    assert drawn.dtype == torch.float32
    np.testing.assert_allclose(drawn.numpy(), gate_noise(key, records), rtol=3e-6, atol=3e-7)


def test_gradient_is_that_of_numpy(make_matrix: MakeMatrix, make_epochs: MakeEpochs) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    matrix = make_matrix(900)
    weights = np.random.Generator(np.random.Philox(1)).lognormal(4, 0.5, 900)
    with make_epochs(matrix, weights, OPTIONS) as epochs:
        state = epochs.begin()
        epochs.synchronise(state)
        logs, alpha = in_record_order(matrix, state, kernels.LOG_WEIGHT, kernels.ALPHA)
        loss = epochs.advance(state)[1]
        epochs.synchronise(state)
    by_log, by_alpha = in_record_order(matrix, state, kernels.MEAN_W, kernels.MEAN_A)
    objective, noise = Objective.of(matrix, OPTIONS), gate_noise(epoch_key(5, 0), np.arange(900))
    expected = gradient(
        matrix.to_csr(), objective.target, objective.scale, logs, alpha, noise, OPTIONS, l2_factor(weights, OPTIONS)
    )
    np.testing.assert_allclose(10 * by_log, expected.by_log_weight, rtol=2e-4, atol=1e-7)
    np.testing.assert_allclose(10 * by_alpha, expected.by_alpha, rtol=2e-4, atol=1e-7)
    estimates = matrix.to_csr() @ (np.exp(logs) * gates(alpha, noise, OPTIONS)[0])
    assert loss == pytest.approx(objective.loss(estimates), rel=1e-5)


@pytest.mark.parametrize("loss", ["relative", "squared"])
def test_ten_epochs_of_numpy_kernels_and_torch(make_matrix: MakeMatrix, make_epochs: MakeEpochs, loss: str) -> None:
    matrix, options, weights = make_matrix(250), replace(OPTIONS, loss=loss), np.full(250, 90.0)
    with make_epochs(matrix, weights, options) as epochs:
        start = epochs.begin()
        epochs.synchronise(start)
        logs, alpha = in_record_order(matrix, start, kernels.LOG_WEIGHT, kernels.ALPHA)
    state = run(make_epochs(matrix, weights, options))
    assert_close(state, run(Epochs(matrix, weights, options)))
    objective, full = Objective.of(matrix, options), matrix.to_csr()
    by_log, by_alpha, losses = Adam(np.zeros(250), np.zeros(250)), Adam(np.zeros(250), np.zeros(250)), []
    for epoch in range(10):
        noise = gate_noise(epoch_key(options.seed, epoch), np.arange(250))
        losses.append(objective.loss(full @ (np.exp(logs) * gates(alpha, noise, options)[0])))
        now = gradient(
            full, objective.target, objective.scale, logs, alpha, noise, options, l2_factor(weights, options)
        )
        logs = by_log.step(logs, now.by_log_weight, options.learning_rate)
        alpha = by_alpha.step(alpha, now.by_alpha, options.learning_rate)
    np.testing.assert_allclose([row[1] for row in state.history], losses, rtol=1e-3)
    found = in_record_order(matrix, state, kernels.LOG_WEIGHT, kernels.ALPHA)
    np.testing.assert_allclose(found, [logs, alpha], atol=2e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"lambda_l0": 0.1, "log_frequency": 50},  # closes and shrinks
        {"records": 120, "lambda_l0": 1e-3, "max_weight_ratio": 3.0},
        {"loss_groups": "level", "group_multipliers": (("state", 3.0),), "holdout_fold": 1, "holdout_folds": 4},
        {"patience": 15, "plateau": 0.9, "shrink": False},
    ],
)
def test_every_option_does_what_it_does_on_the_cpu(make_matrix: MakeMatrix, change: dict[str, object]) -> None:
    matrix, weights = make_matrix(600), np.full(600, 90.0)
    options = FitOptions(**{"epochs": 120, "polish_epochs": 20, "keep_probability": 0.8, **change})
    expected = run(Epochs(matrix, weights, options))
    assert_close(run(TorchEpochs(matrix, weights, options, "cpu")), expected)
    if "records" in change:
        assert np.count_nonzero(expected.records[kernels.GATE]) <= 120
    if "patience" in change:
        assert expected.sampled < 120


def through_torch(monkeypatch: pytest.MonkeyPatch, matrix: CalibrationMatrix, options: FitOptions, **how: object):
    """`fit` on torch's CPU device."""
    with monkeypatch.context() as patch:
        patch.setattr(fits, "choose_device", lambda wanted: "cpu:0")
        return fit(matrix, np.full(matrix.n_records, 90.0), options, **how)


def assert_same(left: FitResult, right: FitResult) -> None:
    for name in ("weights", "gates", "log_weight", "log_alpha"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    pd.testing.assert_frame_equal(left.history, right.history, check_exact=True)
    pd.testing.assert_frame_equal(left.target_log, right.target_log, check_exact=True)


@pytest.mark.parametrize("stop", [40, 60, 70])
def test_checkpoints_go_from_device_to_device(
    make_matrix: MakeMatrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    matrix, path = make_matrix(500), tmp_path / "fit.h5"
    options = FitOptions(lambda_l0=0.05, epochs=60, polish_epochs=20, log_frequency=25, keep_probability=0.8)
    whole = through_torch(monkeypatch, matrix, options)
    assert_same(through_torch(monkeypatch, matrix, options), whole)

    def kill(report: FitProgress) -> None:
        if report.epoch == stop + 3:
            raise KeyboardInterrupt

    def resume_on(device: str) -> FitResult:
        path.write_bytes(stored)
        if device == "torch":
            return through_torch(monkeypatch, matrix, options, checkpoint_path=path, resume=True)
        weights = np.full(matrix.n_records, 90.0)
        return fit(matrix, weights, replace(options, device="cpu"), checkpoint_path=path, resume=True)

    with pytest.raises(KeyboardInterrupt):
        through_torch(monkeypatch, matrix, options, progress=kill, checkpoint_path=path, checkpoint_every=10)
    stored = path.read_bytes()
    assert_same(resume_on("torch"), whole)
    elsewhere = resume_on("cpu")
    np.testing.assert_allclose(elsewhere.weights, whole.weights, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(elsewhere.history, whole.history, rtol=1e-4)
    path.unlink()
    with pytest.raises(KeyboardInterrupt):
        fit(
            matrix, np.full(500, 90.0), replace(options, device="cpu"),
            progress=kill, checkpoint_path=path, checkpoint_every=10,
        )  # fmt: skip
    stored = path.read_bytes()
    np.testing.assert_allclose(resume_on("torch").weights, whole.weights, rtol=1e-3, atol=1e-3)


def test_a_diverging_fit_is_named(make_matrix: MakeMatrix, make_epochs: MakeEpochs) -> None:
    matrix = make_matrix(60)
    with make_epochs(matrix, np.full(60, 90.0), OPTIONS) as epochs:
        state = epochs.begin()
        epochs.synchronise(state)
    state.totals[0, 0] = np.nan
    with make_epochs(matrix, np.full(60, 90.0), OPTIONS) as epochs, pytest.raises(FitError, match="loss is nan"):
        epochs.advance(state)


def test_strips_cut_cells_and_chunks_take_whole_strips() -> None:
    strips = Strips.of(np.array([0, 0, 300, 301, 301, 1000]))
    assert strips.offsets.tolist() == [0, 256, 300, 301, 557, 813, 1000]
    assert strips.cell.tolist() == [1, 1, 2, 4, 4, 4]
    assert strips.of_cell.tolist() == [0, 0, 2, 3, 3, 6]
    assert strips.chunks(300) == [(0, 2), (2, 4), (4, 5), (5, 6)]
    assert strips.chunks(10) == [(k, k + 1) for k in range(6)]
    assert strips.chunks(10**6) == [(0, 6)]


def test_memory_is_planned_and_refused(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(3000)
    roomy = require_memory(matrix, "cpu")
    assert roomy.dense
    assert roomy.chunk_records == 3000
    assert roomy.free > roomy.needed > matrix.n_records * 4 * kernels.N_COLUMNS
    tight = require_memory(matrix, "cpu", free=int(roomy.needed))
    assert tight.chunk_records < 3000
    assert tight.needed <= 0.9 * roomy.needed
    sparse = make_matrix(3000, n_metrics=40)
    table = sparse.value_table.copy()
    table.data[table.data < 3] = 0
    table.eliminate_zeros()
    sparse = replace(sparse, value_table=table)
    forms = [require_memory(sparse, "cpu", free=free).dense for free in (10**9, 570_000)]
    assert forms == [True, False]
    with pytest.raises(
        FitError, match=r"3000 records, 5 metrics.*GB on cuda, of which 5e-05 GB are free.*fewer clones"
    ):
        require_memory(matrix, "cuda", free=50_000)


def test_running_out_of_memory_says_what_to_change(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(50)
    plan = require_memory(matrix, "cpu")
    with (
        pytest.raises(FitError, match=r"ran out of memory on cpu.*were planned for"),
        short_of_memory(matrix, "cpu", plan),
    ):
        raise torch.OutOfMemoryError


def test_the_device_is_chosen_and_its_lack_explained(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "cuda_lack", lambda: "")
    assert [devices.choose_device(wanted) for wanted in ("auto", "cuda", "cpu")] == ["cuda", "cuda", "cpu"]
    assert not caplog.records
    monkeypatch.setattr(devices, "cuda_lack", lambda: "the GPU is on holiday")
    with caplog.at_level(logging.WARNING):
        assert devices.choose_device("auto") == "cpu"
    assert "the GPU is on holiday" in caplog.text
    assert "as long an epoch" in caplog.text
    with pytest.raises(FitError, match="device is 'cuda', but the GPU is on holiday"):
        devices.choose_device("cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_this_machine_says_why_it_has_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices.cuda_lack()
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    assert "without CUDA" in devices.cuda_lack() or "finds no CUDA device" in devices.cuda_lack()


def test_torch_is_imported_only_where_it_is_used() -> None:
    code = (
        "import sys, tessera.calibration.fit, tessera.calibration.device as d\n"
        "d.choose_device('cpu')\n"
        "sys.exit('torch' in sys.modules or 'triton' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_triton_is_refused_where_it_cannot_be_used(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(50)
    missing = "not installed" if find_spec("triton") is None else "dense form"
    with pytest.raises(FitError, match=f"Triton kernel cannot be used.*{missing}"):
        TorchEpochs(matrix, np.full(50, 90.0), OPTIONS, "cpu", kernel="triton", plan=IN_CSR)


def test_the_bandwidth_floor_counts_what_has_to_be_moved(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(2000)
    pairs = len(set(zip(matrix.cell.tolist(), matrix.value_row.tolist(), strict=True)))
    fixed = 2000 * (64 + 8) + matrix.n_cells * matrix.n_metrics * 12
    assert epoch_bytes(matrix) == fixed + pairs * 5 * 4
    assert epoch_bytes(matrix, dense=False) > fixed
    assert epoch_floor(matrix, 1e9) == epoch_bytes(matrix) / 1e9
    assert copy_bandwidth("cpu", size=2**22, repeats=2) > 1e8


@CUDA
def test_a_fit_on_cuda_repeats_itself_to_the_bit_and_is_that_of_the_cpu(make_matrix: MakeMatrix) -> None:
    matrix, weights = make_matrix(5000, n_metrics=40), np.full(5000, 90.0)
    options = FitOptions(epochs=60, polish_epochs=20, log_frequency=25, device="cuda")
    first = fit(matrix, weights, options)
    assert_same(fit(matrix, weights, options), first)
    on_cpu = fit(matrix, weights, replace(options, device="cpu"))
    np.testing.assert_allclose(first.history["loss"], on_cpu.history["loss"], rtol=1e-3)
    np.testing.assert_allclose(first.weights, on_cpu.weights, rtol=1e-2, atol=1e-2)
