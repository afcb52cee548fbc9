"""calibrate: weights at the least distance from the design weights that bring estimates to their targets.

The problem is that of `dual_options`. Its dual, over one multiplier a target (scaled by s), is concave and smooth:

    max  lambda . y/s  -  sum_i d_i Phi(u_i)  -  rho/2 |lambda|^2,  u = M'(lambda / s),  rho = tolerance^2 n_targets / D

Newton's method on it takes some six to twenty passes over the clones where gradient descent takes a thousand; its
system is solved along the hierarchy of targets (`newton_system`). At the solution the relative error of a target is
rho times its multiplier: multipliers name the targets that pull hardest, and those that contradict each other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.calibration.dual_options import DISTANCES, DualOptions
from tessera.calibration.log import epoch_log
from tessera.calibration.newton import dual_kernels as kernels
from tessera.calibration.newton.conflicts import conflicts_of, dual_table
from tessera.calibration.newton.hierarchy import hierarchy
from tessera.calibration.newton.newton_system import gram, solve
from tessera.calibration.recipe.objective import require_targets
from tessera.calibration.recipe.state import check_weights, fit_fingerprint
from tessera.calibration.target_weights import held_out
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.kernels import CellThreads
from tessera.threads import thread_count

FloatArray = npt.NDArray[np.float64]
HISTORY = (
    "iteration", "loss", "dual_gradient", "dual_value", "share_within_10", "at_bound", "records", "seconds",
)  # fmt: skip
_LOGGER = logging.getLogger(__name__)
_SUFFICIENT = 1e-4
_HALVINGS = 12
_FIRST_FLOOR, _LEAST_FLOOR = 0.02, 0.005


@dataclass(frozen=True)
class DualProgress:
    """Where a calibration stands after `iteration` Newton steps: figures of the optimality conditions, seconds."""

    iteration: int
    dual_gradient: float
    share_within_10: float
    seconds: float


@dataclass(frozen=True)
class DualResult:
    """What a calibration found; vectors in record order, shape (n_records,).

    Attributes:
        weights: float64, in households; 0 for a record that a record budget left out.
        gates: 1 for a record that is kept, 0 for one left out.
        duals: every fitted target with its multiplier and what it costs, hardest first (`conflicts.dual_table`).
        conflicts: targets that were missed, each with the one that pulls against it (`conflicts.conflicts_of`).
        history: a row an iteration: loss (sum of squared relative errors of the fitted targets), dual_gradient (largest
            residual of the optimality conditions), dual_value, share_within_10 (of the fitted targets), at_bound
            (records), records (in the problem: fewer after thinning), seconds.
        target_log: every target at the final weights, with `epoch` = the number of iterations.
        converged: whether the gradient tolerance was reached.
        options, fingerprint: what was calibrated, and with which settings.
        seconds: duration.
    """

    weights: FloatArray
    gates: FloatArray
    duals: pd.DataFrame
    conflicts: pd.DataFrame
    history: pd.DataFrame
    target_log: pd.DataFrame
    converged: bool
    options: DualOptions
    fingerprint: str
    seconds: float


def calibrate(
    matrix: CalibrationMatrix,
    design_weights: FloatArray,
    options: DualOptions,
    *,
    progress: Callable[[DualProgress], None] | None = None,
) -> DualResult:
    """Calibrate design weights to targets; with a record budget, thin them and calibrate what is left again.

    Args:
        matrix: of n_targets targets and n_records clones.
        design_weights: shape (n_records,), in households, at least 0; a record of weight 0 keeps it.
        options: settings.
        progress: called after every Newton step.

    Raises:
        FitError: bad weights or targets, or a system that cannot be solved.
    """
    started = time.perf_counter()
    design = check_weights(matrix, design_weights)
    newton = _Newton(matrix, design, options, options.upper, started, progress)
    newton.run()
    weights, gates = newton.weights(), np.ones(matrix.n_records)
    if options.records is not None and options.records < np.count_nonzero(weights):
        from tessera.calibration.newton.sparsify import thin

        drawn = thin(matrix, weights, options)
        small = matrix.subset(drawn.records)
        newton.release()
        newton = _Newton(small, drawn.weights, options, options.sparse_upper, started, progress, newton.history)
        newton.run()
        weights, gates = np.zeros(matrix.n_records), np.zeros(matrix.n_records)
        weights[drawn.records], gates[drawn.records] = newton.weights(), 1.0
    return newton.result(matrix, weights, gates, fit_fingerprint(matrix, design))


class _Newton:
    """The dual problem of one matrix, and Newton's method on it."""

    def __init__(
        self,
        matrix: CalibrationMatrix,
        design: FloatArray,
        options: DualOptions,
        upper: float,
        started: float,
        progress: Callable[[DualProgress], None] | None,
        history: list[tuple[float, ...]] | None = None,
    ) -> None:
        self._matrix, self._options, self._progress, self._started = matrix, options, progress, started
        target = require_targets(matrix)
        self._fitted = np.flatnonzero(~held_out(matrix.targets, options.holdout_folds, options.holdout_fold))
        if not len(self._fitted):
            raise FitError("Every target is in the fold that is held out; choose another holdout_fold.")
        self._scale = (np.abs(target) + options.relative_floor)[self._fitted]
        self._target = target[self._fitted] / self._scale
        self._rho = options.tolerance**2 * len(self._fitted) / design.sum()
        self._structure = hierarchy(
            matrix.aggregation[self._fitted], matrix.n_metrics, np.asarray(matrix.cells) // 100, self._scale
        )
        layout = matrix.layout
        self._design = design[layout.order].astype(np.float32)
        self._weight, self._slope = np.empty_like(self._design), np.empty_like(self._design)
        self._totals = np.zeros((matrix.n_cells, matrix.n_metrics))
        self._statistics = np.zeros((matrix.n_cells, 2))
        self._bounds = kernels.Bounds(DISTANCES.index(options.distance), float(options.lower), float(upper))
        self._dual = np.zeros(len(self._fitted))
        self._floor = 0.0
        self.converged = False
        self.history: list[tuple[float, ...]] = history if history is not None else []

    def run(self) -> None:
        """Iterate to the solution."""
        from threadpoolctl import threadpool_limits

        threads = thread_count(self._options.threads)
        # Cells share the processors; the linear algebra below must not ask for them all a second time.
        with CellThreads(self._matrix.cell_work, threads) as cells, threadpool_limits(1):
            value, gradient = self._evaluate(self._dual, cells)
            self._record(value, gradient)
            for _ in range(self._options.max_iterations):
                if self.converged:
                    break
                step = solve(self._structure, self._gram, gradient, self._rho, threads)
                length, value, gradient = self._search(step, value, gradient, cells)
                self._record(value, gradient)
                if length == 0 and self._floor == 1.0:
                    break  # the value has no more digits
                self._adapt(length)
        if not self.converged:
            _LOGGER.warning(
                "The calibration stopped after %d Newton steps at a dual gradient of %.1e; wanted %.0e. Its weights "
                "keep the bounds and can be used; targets that cannot be met together are in the table of conflicts. "
                "A larger tolerance or wider bounds make the problem easier.",
                len(self.history) - 1,
                self.history[-1][HISTORY.index("dual_gradient")],
                self._options.gradient_tolerance,
            )

    def weights(self) -> FloatArray:
        """Weights in record order."""
        result = np.empty(self._matrix.n_records)
        result[self._matrix.layout.order] = self._weight
        return result

    def release(self) -> None:
        """Let go of the vectors over records."""
        self._weight = self._slope = self._design = np.empty(0, dtype=np.float32)

    def result(self, matrix: CalibrationMatrix, weights: FloatArray, gates: FloatArray, fingerprint: str) -> DualResult:
        """The result for the whole matrix."""
        duals = dual_table(self._matrix, self._fitted, self._dual, self._rho, self._totals)
        whole = {"iteration": np.int64, "at_bound": np.int64, "records": np.int64}
        history = pd.DataFrame(self.history, columns=list(HISTORY)).astype(whole)
        estimate = self._matrix.aggregation @ self._totals.ravel()
        return DualResult(
            weights=weights,
            gates=gates,
            duals=duals,
            conflicts=conflicts_of(self._matrix, duals, self._options.tolerance),
            history=history,
            target_log=epoch_log(matrix, [len(self.history) - 1], [estimate]),
            converged=self.converged,
            options=self._options,
            fingerprint=fingerprint,
            seconds=time.perf_counter() - self._started,
        )

    def _evaluate(self, dual: FloatArray, cells: CellThreads) -> tuple[float, FloatArray]:
        """Value and gradient of the dual problem; leaves weights, slopes and totals behind."""
        layout = self._matrix.layout
        pull = (self._structure.scaled.T @ dual).reshape(self._totals.shape)
        cells.run(
            kernels.weight_pass, layout.ptr, layout.row, self._matrix.table, self._design, pull, self._bounds,
            self._weight, self._slope, self._totals, self._statistics,
        )  # fmt: skip
        estimate = self._structure.scaled @ self._totals.ravel()
        value = dual @ self._target - self._statistics[:, kernels.VALUE].sum() - 0.5 * self._rho * (dual @ dual)
        return float(value), self._target - estimate - self._rho * dual

    def _gram(self, cell: int) -> npt.NDArray[np.float32]:
        layout = self._matrix.layout
        part = slice(layout.ptr[cell], layout.ptr[cell + 1])
        slope = np.maximum(self._slope[part], np.float32(self._floor) * self._design[part])
        return gram(self._matrix.table, layout.row[part], slope, self._matrix.n_metrics)

    def _adapt(self, length: float) -> None:
        """Raise the floor of the slopes after a short step, lower it after a full one.

        Where most weights of a cell are at a bound, the curvature there is too small to say how far to go. A floor of
        1 is the curvature of no weight at a bound, which for the chi-square distance is never too small.
        """
        if length < 0.25:
            self._floor = min(1.0, max(_FIRST_FLOOR, 4 * self._floor))
        elif length == 1.0:
            self._floor = self._floor / 4 if self._floor / 4 >= _LEAST_FLOOR else 0.0

    def _search(
        self, step: FloatArray, value: float, gradient: FloatArray, cells: CellThreads
    ) -> tuple[float, float, FloatArray]:
        """The first of the steps 1, 1/2, 1/4, ... that raises the value enough, or that lowers the gradient.

        Returns:
            Its length, 0 if none does, and value and gradient there.
        """
        slope, size = float(gradient @ step), float(np.abs(gradient).max())
        length = 1.0
        for _ in range(_HALVINGS):
            trial = self._dual + length * step
            new_value, new_gradient = self._evaluate(trial, cells)
            # Near the solution the value changes by less than its rounding, and the gradient decides.
            if new_value >= value + _SUFFICIENT * length * slope or np.abs(new_gradient).max() < 0.5 * size:
                self._dual = trial
                return length, new_value, new_gradient
            length /= 2
        return 0.0, *self._evaluate(self._dual, cells)

    def _record(self, value: float, gradient: FloatArray) -> None:
        size = float(np.abs(gradient).max())
        if not np.isfinite(size):
            raise FitError("The calibration diverged: the gradient is not finite. Look for values beyond 1e15.")
        self.converged = size <= self._options.gradient_tolerance
        error = self._rho * self._dual + gradient
        within = float(np.mean(np.abs(error) <= 0.1))
        seconds = time.perf_counter() - self._started
        bound = int(self._statistics[:, kernels.AT_BOUND].sum())
        loss, records = float(error @ error), self._matrix.n_records
        self.history.append((len(self.history), loss, size, value, within, bound, records, seconds))
        if self._progress is not None:
            self._progress(DualProgress(len(self.history) - 1, size, within, seconds))
