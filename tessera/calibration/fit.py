"""fit: weights and gates that bring the estimates of a calibration matrix to its targets.

Full-batch Adam on log-weights and gate parameters with sampled hard concrete gates and closed-form gradients, as the
published recipe; then, unlike it, a falling learning rate and a polish: the final gates are held fixed and the weights
that survived move on without noise, which is what is shipped. The objective is in `options`, the pass over the clones
in `kernels`. Seeded; equal to the bit for any number of threads, and after resuming from a checkpoint.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.calibration import checkpoint, kernels
from tessera.calibration.gates import epoch_key, gates, open_shift
from tessera.calibration.log import epoch_log
from tessera.calibration.objective import Objective
from tessera.calibration.options import FitOptions
from tessera.calibration.state import (
    HISTORY,
    FitState,
    check_weights,
    l2_factor,
    largest_log_weight,
    starting_state,
)
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.kernels import CellThreads

FloatArray = npt.NDArray[np.float64]
_LOWEST_RATE = 0.05  # of the learning rate, at the end of its cosine
_LOWEST_POLISH_RATE = 0.001


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
        log_weight, log_alpha: the parameters.
        history: a row a step: epoch, loss (of the targets, at the gates drawn), l0 (expected open gates), nonzero
            (records whose final gate is open), share_within_10 (of the targets).
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
    require_device(options)
    weights = check_weights(matrix, initial_weights)
    fingerprint = _fingerprint(matrix, weights)
    epochs = Epochs(matrix, weights, options)
    if resume and checkpoint_path is not None and checkpoint_path.exists():
        state = checkpoint.load(checkpoint_path, fingerprint, options)
    else:
        state = epochs.begin()
    first = state.epoch
    with CellThreads(matrix.cell_work, options.threads) as threads:
        while state.epoch < options.total_epochs:
            row = epochs.advance(state, threads)
            if progress is not None:
                _report(progress, row, state.epoch - first, options, time.perf_counter() - started)
            if checkpoint_path is not None and state.epoch % checkpoint_every == 0:
                checkpoint.save(checkpoint_path, state, fingerprint, options)
    return _result(matrix, state, options, fingerprint, started)


def require_device(options: FitOptions) -> None:
    """Raise `FitError` if the options ask for a device that cannot be had."""
    if options.device == "cuda":
        raise FitError(
            "FitOptions.device is 'cuda', but this version fits on the CPU only. Use device='auto' or 'cpu'."
        )


class Epochs:
    """Advances a state by one step at a time."""

    def __init__(self, matrix: CalibrationMatrix, weights: FloatArray, options: FitOptions) -> None:
        self._matrix = matrix
        self._weights = weights
        self._options = options
        self._objective = Objective.of(matrix, options)
        self._l2 = options.lambda_l2 * l2_factor(weights, options)
        self._largest = largest_log_weight(weights, options)

    def begin(self) -> FitState:
        """The state before the first step, with its gates drawn."""
        state = starting_state(self._matrix, self._weights, self._options)
        duals = np.zeros(state.totals.shape, dtype=np.float32)
        with CellThreads(self._matrix.cell_work, self._options.threads) as threads:
            self._pass(state, duals, self._step(0, update=False), threads)
        return state

    def advance(self, state: FitState, threads: CellThreads) -> tuple[float, ...]:
        """Take a step; returns the row of the history for the state before it."""
        estimates = self._objective.estimates(state.totals)
        row = self._history_row(state, estimates)
        state.history.append(row)
        duals = self._objective.duals(estimates, (self._matrix.n_cells, self._matrix.n_metrics))
        self._pass(state, duals, self._step(state.epoch + 1, update=True), threads)
        state.epoch += 1
        if state.epoch == self._options.epochs:
            # The polish solves another problem: its moments start afresh.
            state.records[:, [kernels.MEAN_W, kernels.SQUARE_W]] = 0
        frequency = self._options.log_frequency
        if state.epoch == self._options.total_epochs or (frequency and state.epoch % frequency == 0):
            state.log_epochs.append(state.epoch)
            state.log_estimates.append(self._matrix.matvec(_by_record(self._matrix, state, self._options)[0]))
        return row

    def _pass(self, state: FitState, duals: npt.NDArray[np.float32], step: kernels.Step, threads: CellThreads) -> None:
        threads.run(
            kernels.epoch_pass, *self._matrix.factors, duals, state.records, state.totals, state.statistics, step
        )

    def _step(self, epoch: int, *, update: bool) -> kernels.Step:
        """Settings of the pass that leads to a state after `epoch` steps."""
        options, single = self._options, np.float32
        polishing = epoch > options.epochs
        count = max(1, epoch - options.epochs if polishing else epoch)
        rate = learning_rate(epoch, options) / (1 - 0.9**count)
        return kernels.Step(
            update=int(update),
            resample=0 if polishing else 1 if epoch == options.epochs else 2,
            key=np.uint64(epoch_key(options.seed, epoch)),
            rate_weight=single(rate),
            rate_alpha=single(0 if polishing else rate),
            unbias=single(1 / (1 - 0.999**count)),
            beta=single(options.beta),
            gamma=single(options.gamma),
            zeta=single(options.zeta),
            shift=single(open_shift(options)),
            l0=single(options.lambda_l0),
            l2=single(self._l2),
            largest=single(self._largest),
        )

    def _history_row(self, state: FitState, estimates: FloatArray) -> tuple[float, ...]:
        loss = self._objective.loss(estimates)
        if not math.isfinite(loss):
            raise FitError(
                f"The loss is {loss} at epoch {state.epoch}: the fit diverged. Lower the learning rate "
                f"({self._options.learning_rate}), or look for targets far from the estimates at the initial weights."
            )
        sums = state.statistics.sum(axis=0)
        within = self._objective.share_within(estimates, 0.10)
        return (state.epoch, loss, float(sums[kernels.EXPECTED_OPEN]), float(sums[kernels.FINAL_OPEN]), within)


def learning_rate(epoch: int, options: FitOptions) -> float:
    """Learning rate of the step that leads to `epoch` steps taken (1 to total_epochs)."""
    if epoch > options.epochs:
        share = (epoch - options.epochs) / options.polish_epochs
        return options.polish_rate * _cosine(share, _LOWEST_POLISH_RATE)
    falling = options.decay_share * options.epochs
    share = (epoch - (options.epochs - falling)) / falling if falling else 0.0
    return options.learning_rate * _cosine(max(0.0, share), _LOWEST_RATE)


def _cosine(share: float, lowest: float) -> float:
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * share))


def _fingerprint(matrix: CalibrationMatrix, weights: FloatArray) -> str:
    return hashlib.blake2b(matrix.fingerprint.encode() + weights.tobytes(), digest_size=16).hexdigest()


def _report(
    progress: Callable[[FitProgress], None], row: tuple[float, ...], done: int, options: FitOptions, seconds: float
) -> None:
    left = (options.total_epochs - row[0] - 1) * seconds / max(done, 1)
    progress(FitProgress(int(row[0]), options.total_epochs, row[1], row[2], int(row[3]), row[4], seconds, left))


def _by_record(matrix: CalibrationMatrix, state: FitState, options: FitOptions) -> tuple[FloatArray, ...]:
    """Weights, gates, log-weights and gate parameters in record order, at the final gates."""
    columns = np.empty((4, matrix.n_records))
    log_weight, alpha = (state.records[:, c].astype(np.float64) for c in (kernels.LOG_WEIGHT, kernels.ALPHA))
    gate = gates(alpha, 0.0, options)[0]
    columns[:, matrix.layout.order] = (np.exp(log_weight) * gate, gate, log_weight, alpha)
    return tuple(columns)


def _result(
    matrix: CalibrationMatrix, state: FitState, options: FitOptions, fingerprint: str, started: float
) -> FitResult:
    history = pd.DataFrame(state.history, columns=list(HISTORY)).astype({"epoch": np.int64, "nonzero": np.int64})
    weights, gate, log_weight, alpha = _by_record(matrix, state, options)
    log = epoch_log(matrix, state.log_epochs, state.log_estimates)
    seconds = time.perf_counter() - started
    return FitResult(weights, gate, log_weight, alpha, history, log, options, fingerprint, seconds)
