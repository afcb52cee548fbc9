"""Epochs: takes a fit from one step to the next on the CPU. Knows no files and no progress; see `fit` for the whole.

Sampled steps come first, then the polish with the final gates held fixed. A step is: residuals of the estimates at
hand, their pull on every cell (`objective`), one pass over the active clones (`kernels`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.active import DEAD_ALPHA, SHRINK_EVERY, ActiveSet, closed_for_good
from tessera.calibration.recipe.budget import close_surplus, is_settled, next_price, starting_price, warn_of_haste
from tessera.calibration.recipe.gates import epoch_key, gates, open_shift
from tessera.calibration.recipe.objective import STEEP_LOSS, Objective, steepest_duals
from tessera.calibration.recipe.schedule import learning_rate, sampled_steps
from tessera.calibration.recipe.state import HISTORY, PART, FitState, l2_factor, largest_log_weight, starting_state
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.kernels import CellThreads

FloatArray = npt.NDArray[np.float64]


class Epochs:
    """Advances a state by one step at a time; a context manager that holds the threads."""

    def __init__(self, matrix: CalibrationMatrix, weights: FloatArray, options: FitOptions) -> None:
        self._matrix = matrix
        self._weights = weights
        self._options = options
        self._objective = Objective.of(matrix, options)
        self._l2 = options.lambda_l2 * l2_factor(weights, options)
        self._largest = largest_log_weight(weights, options)
        self._active: ActiveSet | None = None
        self._threads: CellThreads | None = None

    def __enter__(self) -> Epochs:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._threads is not None:
            self._threads.__exit__(None, None, None)
            self._threads = None

    def begin(self) -> FitState:
        """The state before the first step, with its gates drawn."""
        state = starting_state(self._matrix, self._weights, self._options)
        if self._has_budget:
            warn_of_haste(self._options)
            curvature = self._objective.curvature
            state.price = starting_price(self._matrix, self._weights, curvature)
        duals = np.zeros(state.totals.shape, dtype=np.float32)
        self._pass(state, duals, self._step(state, 0, update=False))
        return state

    def advance(self, state: FitState) -> tuple[float, ...]:
        """Take a step; returns the row of the history for the state before it."""
        estimates = self._objective.estimates(state.totals)
        row = self._history_row(state, estimates)
        state.history.append(row)
        self._steer(state)
        duals = self._objective.duals(estimates, (self._matrix.n_cells, self._matrix.n_metrics))
        if row[HISTORY.index("loss")] > STEEP_LOSS:
            limit = steepest_duals(self._matrix, state.statistics[:, kernels.SQUARED_WEIGHT])
            duals = np.clip(duals, -limit, limit)
        self._pass(state, duals, self._step(state, state.epoch + 1, update=True))
        self._finish(state)
        return row

    def total_steps(self, state: FitState) -> int:
        """Steps of the whole fit as far as is known."""
        return state.sampled + self._options.polish_epochs

    def synchronise(self, state: FitState) -> None:
        """Bring the full state up to date; before it is stored or read."""
        if self._active is not None:
            self._active.write_back(state.records)

    def by_record(self, state: FitState) -> tuple[FloatArray, ...]:
        """Weights, gates, log-weights and gate parameters in record order, at the final gates."""
        self.synchronise(state)
        return final_parameters(self._matrix, state, self._options)

    def _finish(self, state: FitState) -> None:
        """Count the step; then what follows some steps: the polish, a smaller active set, the log."""
        state.epoch += 1
        if state.epoch == state.sampled:
            self._begin_polish(state)
        elif self._options.shrink and state.epoch < state.sampled and state.epoch % SHRINK_EVERY == 0:
            self._shrink(state)
        self._log(state)

    @property
    def _has_budget(self) -> bool:
        return self._options.records is not None and self._options.records < self._matrix.n_records

    def _steer(self, state: FitState) -> None:
        """Move the price towards the record budget, and end the sampled steps on a plateau."""
        if state.epoch >= state.sampled:
            return
        if self._has_budget:
            before, kept = (int(row[HISTORY.index("nonzero")]) for row in (state.history[-2:][0], state.history[-1]))
            step, steps, n_records = state.epoch, state.sampled, self._matrix.n_records
            state.price = next_price(state.price, kept, before, n_records, step, steps, self._options)
            if not is_settled(step, steps):
                return
        state.sampled = sampled_steps(state.history, state.sampled, self._options)

    def _begin_polish(self, state: FitState) -> None:
        """The polish solves another problem: its moments start afresh, and closed gates stay closed."""
        active = self._active_set(state)
        if self._has_budget:
            assert self._options.records is not None
            close_surplus(active, self._options.records)
        active.records[[kernels.MEAN_W, kernels.SQUARE_W]] = 0
        closed = active.records[kernels.GATE] == 0
        self._replace(active.without(self._matrix.layout, closed, state.records, always=True))
        # The totals at hand still count what the budget has just closed.
        if self._has_budget:
            self._pass(state, np.zeros(state.totals.shape, np.float32), self._step(state, state.epoch, update=False))

    def _shrink(self, state: FitState) -> None:
        active = self._active_set(state)
        closed = closed_for_good(active.records, self._options)
        self._replace(active.without(self._matrix.layout, closed, state.records))

    def _active_set(self, state: FitState) -> ActiveSet:
        if self._active is None:
            self._replace(ActiveSet.of(self._matrix.layout, state.records))
        assert self._active is not None
        return self._active

    def _replace(self, active: ActiveSet) -> None:
        if active is not self._active:
            self._active = active
            self.__exit__()
            self._threads = CellThreads(active.work, self._options.threads)

    def _pass(self, state: FitState, duals: npt.NDArray[np.float32], step: kernels.Step) -> None:
        active = self._active_set(state)
        assert self._threads is not None
        self._threads.run(
            kernels.epoch_pass, active.ptr, active.order, active.row, self._matrix.table, duals, active.records,
            state.totals, state.statistics, step,
        )  # fmt: skip

    def _step(self, state: FitState, epoch: int, *, update: bool) -> kernels.Step:
        """Settings of the pass that leads to a state after `epoch` steps."""
        options, single = self._options, np.float32
        polishing = epoch > state.sampled
        count = max(1, epoch - state.sampled if polishing else epoch)
        rate = learning_rate(epoch, state.sampled, options) / (1 - 0.9**count)
        last_sampled = epoch == state.sampled
        return kernels.Step(
            update=int(update),
            resample=0 if polishing or (last_sampled and not update) else 1 if last_sampled else 2,
            key=np.uint64(epoch_key(options.seed, epoch)),
            rate_weight=single(rate),
            rate_alpha=single(0 if polishing else rate),
            unbias=single(1 / (1 - 0.999**count)),
            beta=single(options.beta),
            gamma=single(options.gamma),
            zeta=single(options.zeta),
            shift=single(open_shift(options)),
            l0=single(state.price),
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
        expected, kept = float(sums[kernels.EXPECTED_OPEN]), float(sums[kernels.FINAL_OPEN])
        return (state.epoch, loss, expected, kept, within, state.price)

    def _log(self, state: FitState) -> None:
        frequency = self._options.log_frequency
        if state.epoch == self.total_steps(state) or (frequency and state.epoch % frequency == 0):
            state.log_epochs.append(state.epoch)
            self.synchronise(state)
            state.log_estimates.append(self._matrix.matvec(final_weights(self._matrix, state, self._options)))


def final_weights(matrix: CalibrationMatrix, state: FitState, options: FitOptions) -> FloatArray:
    """Weights of a full state in record order, at the final gates, shape (n_records,)."""
    weights = np.empty(matrix.n_records)
    for records, columns in _final_parts(matrix, state, options):
        weights[records] = columns[0]
    return weights


def final_parameters(matrix: CalibrationMatrix, state: FitState, options: FitOptions) -> tuple[FloatArray, ...]:
    """Weights, gates, log-weights and gate parameters of a full state in record order, at the final gates."""
    columns = np.empty((4, matrix.n_records))
    for records, part in _final_parts(matrix, state, options):
        columns[:, records] = part
    return tuple(columns)


def _final_parts(
    matrix: CalibrationMatrix, state: FitState, options: FitOptions
) -> Iterator[tuple[npt.NDArray[np.int32], tuple[FloatArray, ...]]]:
    """Some records at a time, and their weights, gates, log-weights and gate parameters."""
    for begin in range(0, matrix.n_records, PART):
        part = slice(begin, begin + PART)
        log_weight, alpha = (state.records[row, part].astype(np.float64) for row in (kernels.LOG_WEIGHT, kernels.ALPHA))
        gate = np.where(alpha == DEAD_ALPHA, 0.0, gates(alpha, 0.0, options)[0])
        yield matrix.layout.order[part], (np.exp(log_weight) * gate, gate, log_weight, alpha)
