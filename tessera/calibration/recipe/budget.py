"""The price of a record that leaves as many records as are wanted: a controller that moves lambda_l0 during the fit.

A record is worth about c = sum_t g_t (w m_t / s_t)^2, the loss that it causes when its gate is drawn; with k of n
records left weights grow by n / k and c by its square. So the price starts at a tenth of the mean c, and the number of
open final gates is led along a path that falls from all records to the budget: fast at first, ever slower towards its
end, as closed gates seldom open again. With x the log of kept over path, limited to +-_LARGEST_EXCESS, each step adds

    _FORWARD log(path before / path)  +  _PROPORTIONAL (x - x before)  +  _INTEGRAL / steps * x

to the log of the price: what the path is expected to cost, and a proportional and an integral part for the rest. After
`_HOLD` of the steps the price rests, so that the last ones run at one price, the one reported. It is no search over
fits: one fit finds price and weights together. The path ends a little above the budget, the further the smaller the
budget, for what the last steps still close; what is over it at the end is closed by the smallest gates.

Pure functions of a fit's state, so that a fit resumed goes on as if it had never stopped. The constants were chosen on
problems of 400 to 20,000 records with budgets of 5 to 80 %: from 300 epochs on, 88 to 117 % of the budget are open
before the surplus is closed. Fewer epochs leave gates, which take some 60 steps to close, too little time.
"""

from __future__ import annotations

import logging
import math

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.active import ActiveSet
from tessera.calibration.recipe.gates import open_shift
from tessera.matrix.calibration_matrix import CalibrationMatrix

# Shares of the sampled steps: where the path begins (at the latest) and ends, and from where on the price rests.
_BEGIN, _LATEST_BEGIN, _END, _HOLD = 0.05, 0.3, 0.7, 0.9
_FORWARD, _PROPORTIONAL, _INTEGRAL, _LARGEST_CHANGE = 2.0, 4.0, 15.0, 0.5
_LARGEST_EXCESS = 0.7
_ABOVE = 0.04  # the path ends at budget^(1 - _ABOVE) n^_ABOVE
_STARTING_SHARE = 0.1
_SAMPLE = 50_000

_LOGGER = logging.getLogger(__name__)

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
    return max(_STARTING_SHARE * float(worth.sum()) / len(places), float(np.finfo(np.float32).tiny))


def next_price(
    price: float, kept: int, before: int, n_records: int, step: int, steps: int, options: FitOptions
) -> float:
    """lambda_l0 of the next step.

    Args:
        price: lambda_l0 now, above 0.
        kept, before: records whose final gate is open, now and a step before.
        n_records: all of them, more than the budget.
        step, steps: sampled steps taken, and in all.
        options: of the fit, with a budget.
    """
    begin = _beginning(steps, options)
    if not begin <= step <= _HOLD * steps:
        return price
    assert options.records is not None
    share = options.records / n_records
    path, path_before = (
        n_records * _path(share, (taken - begin) / (_END * steps - begin)) for taken in (step, step - 1)
    )
    excess, excess_before = _excess(kept, path), _excess(before, path_before)
    change = _FORWARD * math.log(path_before / path) + _PROPORTIONAL * (excess - excess_before)
    change += _INTEGRAL / steps * excess
    return price * math.exp(max(-_LARGEST_CHANGE, min(_LARGEST_CHANGE, change)))


def warn_of_haste(options: FitOptions) -> None:
    """Say in the log if there are too few epochs to find the price in."""
    falling = _closing_steps(options)
    if falling > _LATEST_BEGIN * options.epochs:
        _LOGGER.warning(
            "A gate takes %.0f of the %d epochs to close, too many to find a price for %s records: what is over the "
            "budget is closed by the smallest gates, and fewer may be left. Take at least %.0f epochs.",
            falling, options.epochs, options.records, 5 * falling,
        )  # fmt: skip


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


def _beginning(steps: int, options: FitOptions) -> float:
    """Step at which the path begins: not before gates can have closed."""
    return max(_BEGIN * steps, min(_LATEST_BEGIN * steps, _closing_steps(options)))


def _closing_steps(options: FitOptions) -> float:
    """Steps that a gate takes to close, at a full learning rate a step."""
    start = math.log(options.keep_probability / (1 - options.keep_probability)) + open_shift(options)
    return start / options.learning_rate


def _excess(kept: int, path: float) -> float:
    return max(-_LARGEST_EXCESS, min(_LARGEST_EXCESS, math.log(max(kept, 1) / path)))


def _path(share: float, progress: float) -> float:
    """Share of the records that are to be left, of the share that is to be left in the end."""
    left = 1 - min(1.0, max(0.0, progress))
    return float(share ** ((1 - _ABOVE) * (1 - left**2)))
