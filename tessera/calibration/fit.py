"""fit: weights and gates that bring the estimates of a calibration matrix to its targets.

Full-batch Adam on log-weights and gate parameters with sampled hard concrete gates and closed-form gradients, as the
published recipe; then, unlike it, a falling learning rate and a polish: the final gates are held fixed and the weights
that survived move on without noise, which is what is shipped. The objective is in `options`, the steps in `epochs`.
Seeded; equal to the bit for any number of threads, and after resuming from a checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.calibration.checks import whole
from tessera.calibration.device import choose_device
from tessera.calibration.log import epoch_log
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import checkpoint
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.state import HISTORY, FitState, check_weights, fit_fingerprint
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FitProgress:
    """Where a fit stands: figures at the start of step `epoch` of `epochs`, seconds so far and to go."""

    epoch: int
    epochs: int
    loss: float
    l0: float
    nonzero: int
    share_within_10: float
    seconds: float
    seconds_left: float


@dataclass(frozen=True)
class FitResult:
    """What a fit found; vectors in record order, shape (n_records,).

    Attributes:
        weights: final weights (exp(log_weight) * gates), float64, in households; exactly 0 where a gate is closed.
        gates: final gates, in [0, 1].
        log_weight, log_alpha: the parameters; log_alpha is -1000 for records that were left out of the passes.
        history: a row a step: epoch, loss (of the targets, at the gates drawn), l0 (expected open gates), nonzero
            (records whose final gate is open), share_within_10 (of the targets), lambda_l0 (the price of a record).
        target_log: every target at each logged epoch and at the end, at the final gates.
        options, fingerprint: what was fitted, and with which settings.
        seconds: duration, of this process if resumed.
    """

    weights: FloatArray
    gates: FloatArray
    log_weight: FloatArray
    log_alpha: FloatArray
    history: pd.DataFrame
    target_log: pd.DataFrame
    options: FitOptions
    fingerprint: str
    seconds: float


def fit(
    matrix: CalibrationMatrix,
    initial_weights: FloatArray,
    options: FitOptions,
    *,
    progress: Callable[[FitProgress], None] | None = None,
    checkpoint_path: Path | None = None,
    checkpoint_every: int = 100,
    resume: bool = False,
) -> FitResult:
    """Fit clone weights to targets.

    Args:
        matrix: of n_targets targets and n_records clones.
        initial_weights: shape (n_records,), in households, at least 0.
        options: settings, see `FitOptions` and `presets`.
        progress: called before every step.
        checkpoint_path: where to keep the state, every `checkpoint_every` steps; None for nowhere.
        resume: go on from `checkpoint_path` if that file exists.

    Raises:
        FitError: bad weights or targets, a fit that diverges, CUDA asked for where there is none, a checkpoint of
            another fit.
        StorageError: a damaged checkpoint.
    """
    started = time.perf_counter()
    whole("checkpoint_every", checkpoint_every, 1)
    weights = check_weights(matrix, initial_weights)
    fingerprint = fit_fingerprint(matrix, weights)
    with _epochs_on(choose_device(options.device), matrix, weights, options) as epochs:
        if resume and checkpoint_path is not None and checkpoint_path.exists():
            state = checkpoint.load(checkpoint_path, fingerprint, options)
        else:
            state = epochs.begin()
        first = state.epoch
        while state.epoch < epochs.total_steps(state):
            row = epochs.advance(state)
            if progress is not None:
                done, steps = state.epoch - first, epochs.total_steps(state)
                _report(progress, row, done, steps, time.perf_counter() - started)
            if checkpoint_path is not None and state.epoch % checkpoint_every == 0:
                epochs.synchronise(state)
                checkpoint.save(checkpoint_path, state, fingerprint, options)
        return _result(matrix, epochs, state, options, fingerprint, started)


def _epochs_on(device: str, matrix: CalibrationMatrix, weights: FloatArray, options: FitOptions) -> Epochs:
    if device == "cpu":
        return Epochs(matrix, weights, options)
    from tessera.calibration.gpu.torch_epochs import TorchEpochs

    return TorchEpochs(matrix, weights, options, device)


def _report(
    progress: Callable[[FitProgress], None], row: tuple[float, ...], done: int, steps: int, seconds: float
) -> None:
    left = (steps - row[0] - 1) * seconds / max(done, 1)
    progress(FitProgress(int(row[0]), steps, row[1], row[2], int(row[3]), row[4], seconds, left))


def _result(
    matrix: CalibrationMatrix, epochs: Epochs, state: FitState, options: FitOptions, fingerprint: str, started: float
) -> FitResult:
    history = pd.DataFrame(state.history, columns=list(HISTORY)).astype({"epoch": np.int64, "nonzero": np.int64})
    weights, gate, log_weight, alpha = epochs.by_record(state)
    if not weights.any():
        raise FitError(
            f"Every gate closed: at lambda_l0 = {options.lambda_l0:g} no record is worth its price. Lower it (the "
            "presets have 1e-7 and 1e-4), or name a record budget (records) instead."
        )
    log = epoch_log(matrix, state.log_epochs, state.log_estimates)
    seconds = time.perf_counter() - started
    return FitResult(weights, gate, log_weight, alpha, history, log, options, fingerprint, seconds)
