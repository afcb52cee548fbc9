"""The price of a record that leaves as many records as are wanted: a controller that moves lambda_l0 during the fit.

A record's place in the fit is worth about c = sum_t g_t (w m_t / s_t)^2, the loss that it causes when it is drawn and
when it is not; with k of n records left weights grow by n / k and c by its square. So the price starts at a tenth of
the mean c, and the number of open final gates is led along a path that falls from all records to the budget: fast at
first, ever slower towards its end, as closed gates seldom open again. With x the log of kept over path, each step adds

    2 log(path before / path)  +  4 (x - x before)  +  15 / steps * clip(x, -1, 1)

to the log of the price: what the path is expected to cost, and a proportional and an integral part for the rest. After
`_HOLD` of the steps the price rests, so that the last ones run at one price, the one reported. It is no search over
fits: one fit finds price and weights together. The path ends a little above the budget, the further the smaller the
budget, for what the last steps still close; what is over it at the end is closed by the smallest gates.

Pure functions of a fit's state, so that a fit resumed goes on as if it had never stopped.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tessera.calibration import kernels
from tessera.calibration.active import ActiveSet
from tessera.matrix.calibration_matrix import CalibrationMatrix

# Shares of the sampled steps: where the path begins and ends, and from where on the price rests.
_BEGIN, _END, _HOLD = 0.05, 0.7, 0.9
_FORWARD, _PROPORTIONAL, _INTEGRAL, _LARGEST_CHANGE = 2.0, 4.0, 15.0, 0.5
_ABOVE = 0.04  # the path ends at budget^(1 - _ABOVE) n^_ABOVE
_STARTING_SHARE = 0.1
_SAMPLE = 50_000

FloatArray = npt.NDArray[np.float64]


def starting_price(matrix: CalibrationMatrix, weights: FloatArray, curvature: FloatArray) -> float:
    """lambda_l0 of the first step: a tenth of what a record is worth on average, over at most 100,000 records.

    Args:
        matrix: of n_targets targets and n_records records.
        weights: initial ones, shape (n_records,), in households.
        curvature: g / s^2 of each target, shape (n_targets,).
    """
    layout, table = matrix.layout, matrix.value_table
    places = np.arange(0, matrix.n_records, max(1, matrix.n_records // _SAMPLE))
    records = layout.order[places]
    by_cell = (matrix.aggregation.power(2).T @ curvature).reshape(matrix.n_cells, matrix.n_metrics)
    values = table[layout.row[places]]
    length = np.diff(values.indptr)
    squares = (values.data * np.repeat(weights[records], length)) ** 2
    worth = squares * by_cell[np.repeat(matrix.cell[records], length), values.indices]
    # Something above 0, without which no price would ever rise.
    return max(_STARTING_SHARE * float(worth.sum()) / len(places), np.finfo(np.float32).tiny)


def next_price(price: float, kept: int, before: int, n_records: int, budget: int, step: int, steps: int) -> float:
    """lambda_l0 of the next step.

    Args:
        price: lambda_l0 now, above 0.
        kept, before: records whose final gate is open, now and a step before.
        n_records: all of them.
        budget: how many are wanted.
        step, steps: sampled steps taken, and in all.
    """
    if budget >= n_records or not _BEGIN * steps <= step <= _HOLD * steps:
        return price
    path, path_before = (_path(n_records, budget, taken / steps) for taken in (step, step - 1))
    excess, excess_before = math.log(max(kept, 1) / path), math.log(max(before, 1) / path_before)
    change = _FORWARD * math.log(path_before / path) + _PROPORTIONAL * (excess - excess_before)
    change += _INTEGRAL / steps * max(-1.0, min(1.0, excess))
    return price * math.exp(max(-_LARGEST_CHANGE, min(_LARGEST_CHANGE, change)))


def is_settled(step: int, steps: int) -> bool:
    """Whether the path has come to its end, before which a fit with a budget must not end."""
    return step >= _END * steps


def close_surplus(active: ActiveSet, budget: int) -> None:
    """Close the smallest of the final gates so that at most `budget` stay open; ties go by place in the layout."""
    gate = active.records[kernels.GATE]
    opened = np.flatnonzero(gate > 0)
    if len(opened) <= budget:
        return
    alpha = active.records[kernels.ALPHA, opened]
    surplus = opened[np.argsort(alpha, kind="stable")[: len(opened) - budget]]
    active.records[kernels.GATE, surplus] = 0


def _path(n_records: int, budget: int, progress: float) -> float:
    """Records that are to be left at a share of the sampled steps."""
    left = 1 - min(1.0, max(0.0, (progress - _BEGIN) / (_END - _BEGIN)))
    return float(n_records * (budget / n_records) ** ((1 - _ABOVE) * (1 - left**2)))
