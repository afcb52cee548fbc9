"""The loss over targets and its derivative in the totals of the cells: the barrier between two passes over the clones.

    loss = sum_t g_t ((A T)_t - y_t)^2 / s_t^2,   duals = d loss / d T = A' (2 g (A T - y) / s^2)

T float64 (n_cells, n_metrics), the totals of the cells; A the aggregation of the matrix; s and g as in `options`. g is
0 for a target held out. Penalties are no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    def loss(self, estimates: FloatArray) -> float:
        """Weighted sum of squared scaled errors."""
        return float(np.sum(self.weight * ((estimates - self.target) / self.scale) ** 2))

    def duals(self, estimates: FloatArray, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Derivative of the loss in each cell's totals, float32, of the totals' shape."""
        pull = self.transposed @ (2.0 * self.weight * (estimates - self.target) / self.scale**2)
        return np.asarray(pull, dtype=np.float32).reshape(shape)

    def share_within(self, estimates: FloatArray, tolerance: float) -> float:
        """Share of the targets in the loss whose relative error is at most a tolerance (a target of 0 counts as 1)."""
        fitted = self.weight > 0
        size = np.where(self.target == 0, 1.0, np.abs(self.target))
        return float(np.mean((np.abs(estimates - self.target) <= tolerance * size)[fitted]))


def require_targets(matrix: CalibrationMatrix) -> FloatArray:
    """The targets of a matrix that a fit can work with, shape (n_targets,); `FitError` otherwise."""
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
    return target
