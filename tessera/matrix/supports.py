"""Supports: how many clones carry each metric where, with which sign; so which targets no weights can reach, and why.

Counts only, per cell and metric; a row of the matrix has support where A brings together cells with clones of non-zero
value. The non-zeros of B and of M follow from the same counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tessera.matrix.calibration_matrix import CalibrationMatrix

NO_CLONE = "the area holds no clone"
NO_SUPPORT = "no clone of the area has a non-zero value"
WRONG_SIGN = "every non-zero value of the area's clones has the sign opposite to the target's"

CountArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Supports:
    """Clones of each cell with a value above, and with one below zero: int64, shape (n_cells, n_metrics) each."""

    above: CountArray
    below: CountArray


def supports(matrix: CalibrationMatrix) -> Supports:
    """Counts of the clones behind every cell and metric."""
    from tessera.matrix.kernels import CellThreads, cell_supports

    above, below = (np.empty((matrix.n_cells, matrix.n_metrics), dtype=np.int64) for _ in range(2))
    with CellThreads(matrix.cell_work) as threads:
        threads.run(cell_supports, *matrix.factors, above, below)
    return Supports(above, below)


def nonzeros(matrix: CalibrationMatrix) -> tuple[int, int]:
    """Non-zeros of B (values of all clones) and of M (each counts once for every target that its cell is summed in)."""
    counted = supports(matrix)
    values = (counted.above + counted.below).ravel()
    aggregation = matrix.aggregation
    targets = np.bincount(aggregation.indices[aggregation.data != 0], minlength=len(values))
    return int(values.sum()), int(values @ targets)


def unachievable_reasons(matrix: CalibrationMatrix) -> npt.NDArray[np.object_]:
    """Why no weights reach each target, "" where some do; shape (n_targets,)."""
    counted = supports(matrix)
    records = np.bincount(matrix.cell, minlength=matrix.n_cells).astype(np.float64)
    populated = matrix.aggregation @ np.repeat(records, matrix.n_metrics)
    above, below = (matrix.aggregation @ part.ravel().astype(np.float64) for part in (counted.above, counted.below))
    value = matrix.target_values
    reason = np.full(matrix.n_targets, "", dtype=object)
    reason[(value > 0) & (above == 0)] = WRONG_SIGN
    reason[(value < 0) & (below == 0)] = WRONG_SIGN
    reason[(above == 0) & (below == 0)] = NO_SUPPORT
    reason[populated == 0] = NO_CLONE
    return reason
