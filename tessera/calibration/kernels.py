"""The compiled epoch: one pass over the clones does the backward step, Adam, the next gates and the next estimates.

The gradient of epoch t needs the residuals of epoch t, hence a barrier; but the update of a clone and its contribution
to epoch t + 1 need only that clone. So a pass reads each clone's row of the value table once an epoch, not twice, while
it is in the nearest cache. A clone whose gate is exactly 0 reads nothing. Twin in numpy:
`tessera.calibration.reference`.

State: float32, shape (n_records, 10), in the order of the matrix's layout, so that a clone is one cache line. Totals
accumulate in float64. A pass over the cells [first, last) writes to those cells only (see `tessera.matrix.kernels`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tessera.calibration.gates import ALPHA_LIMIT, NOISE_LIMIT

# Columns of the state. WEIGHT is exp(LOG_WEIGHT); OPEN the probability of an open gate.
LOG_WEIGHT, ALPHA, MEAN_W, SQUARE_W, MEAN_A, SQUARE_A, WEIGHT, GATE, SLOPE, OPEN = range(10)
N_COLUMNS = 10
# Columns of the statistics of a cell: expected open gates, squared weights, records whose final gate is open.
EXPECTED_OPEN, SQUARED_WEIGHT, FINAL_OPEN = range(3)
N_STATISTICS = 3

_F = np.float32
_ONE, _ZERO = _F(1), _F(0)
_LIMIT = _F(ALPHA_LIMIT)
_DECAY_1, _DECAY_2, _TINY = _F(0.9), _F(0.999), _F(1e-8)
_REST_1, _REST_2 = _F(0.1), _F(0.001)
_HALF, _LAST, _NOISE_LIMIT = _F(0.5), np.uint64(2**24 - 1), _F(NOISE_LIMIT)
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


@njit(cache=True, nogil=True, error_model="numpy")
def _noise(key, record):  # type: ignore[no-untyped-def]
    x = key + np.uint64(record)
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    x ^= x >> np.uint64(31)
    n = x >> np.uint64(40)
    odds = (_F(n) + _HALF) / (_F(_LAST - n) + _HALF)
    return min(max(np.log(odds), -_NOISE_LIMIT), _NOISE_LIMIT)


@njit(cache=True, nogil=True, error_model="numpy")
def _adam(mean, square, gradient):  # type: ignore[no-untyped-def]
    return _DECAY_1 * mean + _REST_1 * gradient, _DECAY_2 * square + _REST_2 * gradient * gradient


@njit(cache=True, nogil=True, error_model="numpy")
def _descend(p, total, step):  # type: ignore[no-untyped-def]
    """Adam's step of one clone; `total` is the derivative of the loss in the clone's weight."""
    weight = p[WEIGHT]
    p[MEAN_W], p[SQUARE_W] = _adam(p[MEAN_W], p[SQUARE_W], total * weight * p[GATE] + _F(2) * step.l2 * weight * weight)
    p[LOG_WEIGHT] = min(
        p[LOG_WEIGHT] - step.rate_weight * p[MEAN_W] / (np.sqrt(p[SQUARE_W] * step.unbias) + _TINY), step.largest
    )
    p[WEIGHT] = np.exp(p[LOG_WEIGHT])
    if step.rate_alpha > _ZERO:
        gradient = total * weight * p[SLOPE] + step.l0 * p[OPEN] * (_ONE - p[OPEN])
        p[MEAN_A], p[SQUARE_A] = _adam(p[MEAN_A], p[SQUARE_A], gradient)
        p[ALPHA] -= step.rate_alpha * p[MEAN_A] / (np.sqrt(p[SQUARE_A] * step.unbias) + _TINY)


@njit(cache=True, nogil=True, error_model="numpy")
def _open_gate(p, noise, step):  # type: ignore[no-untyped-def]
    """Set the gate, its slope and the open probability of one clone."""
    alpha = min(max(p[ALPHA], -_LIMIT), _LIMIT)
    s = _ONE / (_ONE + np.exp(-(noise + alpha) / step.beta))
    stretched = s * (step.zeta - step.gamma) + step.gamma
    p[GATE] = min(max(stretched, _ZERO), _ONE)
    inside = _ZERO < stretched < _ONE
    p[SLOPE] = (step.zeta - step.gamma) * s * (_ONE - s) / step.beta if inside else _ZERO
    p[OPEN] = _ONE / (_ONE + np.exp(-(alpha + step.shift)))


@njit(cache=True, nogil=True, error_model="numpy")
def epoch_pass(  # type: ignore[no-untyped-def]
    first, last, ptr, order, row, indptr, indices, data, duals, state, totals, statistics, step
):
    """One pass over the cells [first, last): update with `duals`, then gates, totals and statistics of the result.

    duals float32 (n_cells, n_metrics): derivative of the loss in each cell's total; totals float64, the same shape.
    """
    for cell in range(first, last):
        dual = duals[cell]
        total = totals[cell]
        total[:] = 0.0
        expected = squares = 0.0
        kept = 0
        for i in range(ptr[cell], ptr[cell + 1]):
            p = state[i]
            begin, end = indptr[row[i]], indptr[row[i] + 1]
            if step.update:
                slope = _ZERO
                if p[GATE] != _ZERO:
                    for k in range(begin, end):
                        slope += data[k] * dual[indices[k]]
                _descend(p, slope, step)
            if step.resample == 2:
                _open_gate(p, _noise(step.key, order[i]), step)
            elif step.resample == 1:
                _open_gate(p, _ZERO, step)
            value = p[WEIGHT] * p[GATE]
            if value != _ZERO:
                for k in range(begin, end):
                    total[indices[k]] += data[k] * value
            expected += p[OPEN]
            squares += p[WEIGHT] * p[WEIGHT]
            kept += p[ALPHA] > -step.shift
        statistics[cell, EXPECTED_OPEN] = expected
        statistics[cell, SQUARED_WEIGHT] = squares
        statistics[cell, FINAL_OPEN] = kept
