"""The loss over targets and its derivative in the totals of the cells: the barrier between two passes over the clones.

    loss = sum_t g_t ((A T)_t - y_t)^2 / s_t^2,   duals = d loss / d T = A' (2 g (A T - y) / s^2)

T float64 (n_cells, n_metrics), the totals of the cells; A the aggregation of the matrix; s and g as in `options`. g is
0 for a target held out. Penalties are no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.target_weights import target_weights
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]
# A loss from which on gradients may have squares beyond single precision, and the gradient that they are limited to.
STEEP_LOSS, _STEEPEST = 1e15, 1e18


@dataclass(frozen=True)
class Objective:
    """The loss of one matrix.

    Attributes:
        aggregation, transposed: A and its transpose in CSR.
        target: y, shape (n_targets,).
        scale: s, shape (n_targets,), above 0.
        weight: g, shape (n_targets,), at least 0.
    """

    aggregation: csr_array
    transposed: csr_array
    target: FloatArray
    scale: FloatArray
    weight: FloatArray

    @classmethod
    def of(cls, matrix: CalibrationMatrix, options: FitOptions) -> Objective:
        """The loss of a matrix; raises `FitError` if there is no target or one is not finite."""
        target = require_targets(matrix)
        relative = options.loss == "relative"
        scale = np.abs(target) + options.relative_floor if relative else np.ones(len(target))
        weight = target_weights(matrix.targets, options)
        return cls(matrix.aggregation, matrix.aggregation.T.tocsr(), target, scale, weight)

    def estimates(self, totals: FloatArray) -> FloatArray:
        """Estimates of the targets, shape (n_targets,)."""
        return np.asarray(self.aggregation @ totals.ravel())

    @cached_property
    def curvature(self) -> FloatArray:
        """g / s^2, half the second derivative of the loss in each estimate, shape (n_targets,)."""
        return self.weight / self.scale**2

    @cached_property
    def _size(self) -> FloatArray:
        """What the relative error of a target in the loss is relative to; -1, which no error is within, for others."""
        return np.where(self.weight > 0, np.where(self.target == 0, 1.0, np.abs(self.target)), -1.0)

    def loss(self, estimates: FloatArray) -> float:
        """Weighted sum of squared scaled errors."""
        error = estimates - self.target
        return float(np.sum(error * error * self.curvature))  # not BLAS, whose threads spin between passes

    def duals(self, estimates: FloatArray, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Derivative of the loss in each cell's totals, float32, of the totals' shape."""
        pull = self.transposed @ (2.0 * self.curvature * (estimates - self.target))
        return np.asarray(pull, dtype=np.float32).reshape(shape)

    def share_within(self, estimates: FloatArray, tolerance: float) -> float:
        """Share of the targets in the loss whose relative error is at most a tolerance (a target of 0 counts as 1)."""
        within = np.count_nonzero(np.abs(estimates - self.target) <= tolerance * self._size)
        return float(within / np.count_nonzero(self.weight))


def steepest_duals(matrix: CalibrationMatrix, squared_weights: FloatArray) -> npt.NDArray[np.float32]:
    """Largest duals of each cell with which the squares of all gradients stay finite, float32, shape (n_cells, 1).

    Adam never moves a weight again whose squared gradient was infinite once. Sums of dollars against targets of 0, or
    in the squared loss, get there.

    Args:
        matrix: that is fitted.
        squared_weights: their sum in each cell, shape (n_cells,).
    """
    table = matrix.value_table
    largest = float(np.abs(table.data).max(initial=0.0)) * int(np.diff(table.indptr).max(initial=0))
    limit = _STEEPEST / np.maximum(largest * np.sqrt(squared_weights), 1e-19)
    return np.asarray(np.minimum(limit, 1e37), dtype=np.float32)[:, None]


def require_targets(matrix: CalibrationMatrix) -> FloatArray:
    """The targets of a matrix that a fit can work with, shape (n_targets,); `FitError` otherwise.

    The values of the matrix are looked at too: `build` lets none but finite ones pass, but a matrix can be changed.
    """
    target = matrix.target_values
    if matrix.n_targets == 0 or matrix.n_records == 0:
        raise FitError(
            f"The matrix has {matrix.n_targets} supported targets and {matrix.n_records} records; the fit needs at "
            f"least one of each. {len(matrix.unachievable)} targets are unachievable: see matrix.unachievable."
        )
    bad = np.flatnonzero(~np.isfinite(target))
    if bad.size:
        name = matrix.targets["name"].iloc[int(bad[0])]
        raise FitError(f"Target {name!r} (row {int(bad[0])}) has the value {target[bad[0]]}; wanted a number.")
    for what, values in (("value table", matrix.value_table.data), ("aggregation", matrix.aggregation.data)):
        broken = int(np.count_nonzero(~np.isfinite(values)))
        if broken:
            raise FitError(
                f"{broken} values of the matrix's {what} are NaN or infinite; wanted numbers. Build the package again."
            )
    return target
