"""The compiled epoch: one pass over the clones does the backward step, Adam, the next gates and the next estimates.

The gradient of epoch t needs the residuals of epoch t, hence a barrier; but the update of a clone and its contribution
to epoch t + 1 need only that clone. So a pass goes through blocks of a cell's clones: products of their value rows with
the cell's dual, the step and the next gates, and the weighted sums of the same rows, still in the nearest cache
(`tessera.matrix.rows`). A clone whose gate is exactly 0 costs no product. Twin in numpy: `calibration.reference`.

Cells that share value rows, as districts of a state do, are gone through side by side, a stretch of clones of each in
turn: the rows of a stretch are still in the second cache when the next cell needs them. The order of the sums of a cell
is the same either way.

State: float32, shape (N_COLUMNS, n_records), in the order of the matrix's layout: one run of memory a quantity, so that
the loops below become vector instructions; each touches few arrays, as the compiler gives up on many. Sums over a block
are float32, over blocks float64. A pass over the cells [first, last) writes to those cells only
(see `tessera.matrix.kernels`), so that results do not depend, to the bit, on the number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tessera.calibration.recipe.gates import ALPHA_LIMIT, NOISE_LIMIT
from tessera.calibration.recipe.vector_math import exp, log
from tessera.matrix.rows import BLOCK, PART, products, sums

# Rows of the state. WEIGHT is exp(LOG_WEIGHT).
LOG_WEIGHT, ALPHA, MEAN_W, SQUARE_W, MEAN_A, SQUARE_A, WEIGHT, GATE = range(8)
N_COLUMNS = 8
# Columns of the statistics of a cell: expected open gates, squared weights, records whose final gate is open.
EXPECTED_OPEN, SQUARED_WEIGHT, FINAL_OPEN = range(3)
N_STATISTICS = 3
STRETCH = 2 * BLOCK  # clones of a cell before it is the next cell's turn

_F = np.float32
_ONE, _ZERO, _TWO = _F(1), _F(0), _F(2)
_LIMIT = _F(ALPHA_LIMIT)
_DECAY_1, _DECAY_2, _TINY = _F(0.9), _F(0.999), _F(1e-8)
_REST_1, _REST_2 = _F(0.1), _F(0.001)
_HALF, _LAST, _NOISE_LIMIT = _F(0.5), np.int32(2**24 - 1), _F(NOISE_LIMIT)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Step(NamedTuple):
    """Settings of one pass; float32, but for the key.

    Attributes:
        update: 1 to take the gradient step first, 0 to compute gates and totals of the state as it is.
        resample: 2 to draw gates, 1 to take the final gates, 0 to leave the gates as they are.
        key: of the noise with which the gates are drawn.
        rate_weight, rate_alpha: learning rates, already divided by the correction of Adam's first moment.
        unbias: 1 over the correction of Adam's second moment.
        beta, gamma, zeta, shift: of the gates; shift is that of the open probability.
        l0, l2: prices; l2 includes the scale of the weights.
        largest: upper limit of the log-weight.
    """

    update: int
    resample: int
    key: np.uint64
    rate_weight: np.float32
    rate_alpha: np.float32
    unbias: np.float32
    beta: np.float32
    gamma: np.float32
    zeta: np.float32
    shift: np.float32
    l0: np.float32
    l2: np.float32
    largest: np.float32


@njit(**PART, fastmath={"contract"})
def _weight_gradients(slope, weight, gate, l2, out):  # type: ignore[no-untyped-def]
    for j in range(len(weight)):
        out[j] = slope[j] * weight[j] * gate[j] + _TWO * l2 * weight[j] * weight[j]


@njit(**PART, fastmath={"contract"})
def _gate_gradients(slope, weight, gate, alpha, step, out):  # type: ignore[no-untyped-def]
    scale = _ONE / (step.beta * (step.zeta - step.gamma))
    for j in range(len(weight)):
        # The derivative of an open gate in its alpha follows from the gate: it need not be kept.
        inside = (gate[j] - step.gamma) * (step.zeta - gate[j]) * scale
        gate_slope = inside if (gate[j] > _ZERO) and (gate[j] < _ONE) else _ZERO
        limited = min(max(alpha[j], -_LIMIT), _LIMIT)
        opened = _ONE / (_ONE + exp(-(limited + step.shift)))
        out[j] = slope[j] * weight[j] * gate_slope + step.l0 * opened * (_ONE - opened)


@njit(**PART, fastmath={"contract"})
def _adam(gradient, mean, square, parameter, rate, unbias):  # type: ignore[no-untyped-def]
    for j in range(len(parameter)):
        first = _DECAY_1 * mean[j] + _REST_1 * gradient[j]
        second = _DECAY_2 * square[j] + _REST_2 * gradient[j] * gradient[j]
        mean[j] = first
        square[j] = second
        parameter[j] -= rate * first / (np.sqrt(second * unbias) + _TINY)


@njit(**PART, fastmath={"contract"})
def _exponentiate(log_weight, largest, weight):  # type: ignore[no-untyped-def]
    for j in range(len(log_weight)):
        log_weight[j] = min(log_weight[j], largest)
        weight[j] = exp(log_weight[j])


@njit(**PART)
def _draw_noise(key, order, noise):  # type: ignore[no-untyped-def]
    for j in range(len(order)):
        x = key + np.uint64(order[j])
        x = (x ^ (x >> np.uint64(30))) * _MIX_1
        x = (x ^ (x >> np.uint64(27))) * _MIX_2
        x ^= x >> np.uint64(31)
        n = np.int32(x >> np.uint64(40))
        odds = (_F(n) + _HALF) / (_F(_LAST - n) + _HALF)
        noise[j] = min(max(log(odds), -_NOISE_LIMIT), _NOISE_LIMIT)


@njit(**PART, fastmath={"contract"})
def _open_gates(alpha, noise, step, gate):  # type: ignore[no-untyped-def]
    coldness = _ONE / step.beta
    for j in range(len(alpha)):
        limited = min(max(alpha[j], -_LIMIT), _LIMIT)
        s = _ONE / (_ONE + exp(-(noise[j] + limited) * coldness))
        gate[j] = min(max(s * (step.zeta - step.gamma) + step.gamma, _ZERO), _ONE)


@njit(**PART, fastmath={"reassoc", "contract"})
def _statistics(alpha, weight, shift, out):  # type: ignore[no-untyped-def]
    expected = squares = _ZERO
    kept = 0
    for j in range(len(alpha)):
        limited = min(max(alpha[j], -_LIMIT), _LIMIT)
        expected += _ONE / (_ONE + exp(-(limited + shift)))
        squares += weight[j] * weight[j]
        kept += alpha[j] > -shift
    out[EXPECTED_OPEN] += expected
    out[SQUARED_WEIGHT] += squares
    out[FINAL_OPEN] += kept


@njit(**PART)
def _descend(state, begin, end, slope, work, step):  # type: ignore[no-untyped-def]
    """Adam's step of the clones [begin, end); `slope` is the derivative of the loss in each clone's weight."""
    weight, log_weight = state[WEIGHT][begin:end], state[LOG_WEIGHT][begin:end]
    # The gates' gradient first: it needs the weights before their step.
    if step.rate_alpha > _ZERO:
        alpha = state[ALPHA][begin:end]
        _gate_gradients(slope, weight, state[GATE][begin:end], alpha, step, work)
        _adam(work, state[MEAN_A][begin:end], state[SQUARE_A][begin:end], alpha, step.rate_alpha, step.unbias)
    _weight_gradients(slope, weight, state[GATE][begin:end], step.l2, work)
    _adam(work, state[MEAN_W][begin:end], state[SQUARE_W][begin:end], log_weight, step.rate_weight, step.unbias)
    _exponentiate(log_weight, step.largest, weight)


@njit(**PART)
def _pass_block(begin, end, order, rows, table, dual, state, total, statistic, step, slope, work, sum_of_block):  # type: ignore[no-untyped-def]
    """The pass over a block of a cell's clones; `total` and `statistic` are the cell's, and added to."""
    weight, gate, alpha = state[WEIGHT][begin:end], state[GATE][begin:end], state[ALPHA][begin:end]
    if step.update:
        products(table, rows, gate, dual, slope)
        _descend(state, begin, end, slope, work, step)
    if step.resample == 2:
        _draw_noise(step.key, order, work)
    elif step.resample == 1:
        work[:] = _ZERO
    if step.resample:
        _open_gates(alpha, work, step, gate)
    for j in range(len(work)):
        work[j] = weight[j] * gate[j]
    sums(table, rows, work, sum_of_block)
    for k in range(len(total)):
        total[k] += sum_of_block[k]
    _statistics(alpha, weight, step.shift, statistic)


@njit(**PART)
def _end_of_neighbours(first, last, ptr, row):  # type: ignore[no-untyped-def]
    """End of the cells from `first` on of which each has half its clones or more in the range of the rows before."""
    top = np.int32(-1)
    for cell in range(first, last):
        if ptr[cell] < ptr[cell + 1]:
            if cell > first and row[(ptr[cell] + ptr[cell + 1]) // 2] > top:
                return cell
            top = max(top, row[ptr[cell + 1] - 1])
    return last


@njit(**PART)
def _pass_cells(first, last, ptr, order, row, table, duals, state, totals, statistics, step, slope, work, sum_of_block):  # type: ignore[no-untyped-def]
    """The pass over the cells [first, last), side by side."""
    longest = 0
    for cell in range(first, last):
        totals[cell, :] = 0.0
        statistics[cell, :] = 0.0
        longest = max(longest, ptr[cell + 1] - ptr[cell])
    for done in range(0, longest, STRETCH):
        for cell in range(first, last):
            stop = min(ptr[cell] + done + STRETCH, ptr[cell + 1])
            for begin in range(ptr[cell] + done, stop, BLOCK):
                end = min(begin + BLOCK, stop)
                n = end - begin
                _pass_block(
                    begin, end, order[begin:end], row[begin:end], table, duals[cell], state, totals[cell],
                    statistics[cell], step, slope[:n], work[:n], sum_of_block,
                )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def epoch_pass(first, last, ptr, order, row, table, duals, state, totals, statistics, step):  # type: ignore[no-untyped-def]
    """One pass over the cells [first, last): update with `duals`, then gates, totals and statistics of the result.

    duals float32 (n_cells, n_metrics): derivative of the loss in each cell's total; totals float64, the same shape.
    """
    slope, work = np.empty(BLOCK, _F), np.empty(BLOCK, _F)
    sum_of_block = np.empty(totals.shape[1], _F)
    begin = first
    while begin < last:
        end = _end_of_neighbours(begin, last, ptr, row)
        _pass_cells(
            begin, end, ptr, order, row, table, duals, state, totals, statistics, step, slope, work, sum_of_block
        )
        begin = end
