"""The loss over targets on a torch device: the twin of `objective.Objective`, so that no epoch waits for the host.

Everything is float64 but the duals (float32, as the passes read them). A and its transpose are held as sorted segments
and summed in a fixed order; the two products are the same as those of `objective` but for the order of additions.
Imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tessera.calibration.recipe.objective import Objective

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class DeviceObjective:
    """The loss of one matrix, on a device.

    Args:
        objective: the loss to copy.
        shape: of the totals, (n_cells, n_metrics).
        device: where to.
    """

    def __init__(self, objective: Objective, shape: tuple[int, int], device: torch.device) -> None:
        def send(values: object) -> Tensor:
            return torch.tensor(np.asarray(values, dtype=np.float64), device=device)

        fitted = objective.weight > 0
        self._shape = shape
        self._rows, self._columns = _Product(objective.aggregation, device), _Product(objective.transposed, device)
        self._target, self._scale, self._weight = map(send, (objective.target, objective.scale, objective.weight))
        self._pull = send(2.0 * objective.weight / objective.scale**2)
        self._size = send(np.where(objective.target == 0, 1.0, np.abs(objective.target)))
        self._share = send(fitted / fitted.sum())

    def estimates(self, totals: Tensor) -> Tensor:
        """Estimates of the targets, float64, shape (n_targets,), from totals (n_cells, n_metrics)."""
        return self._rows.times(totals.reshape(-1))

    def loss(self, estimates: Tensor) -> Tensor:
        """Weighted sum of squared scaled errors, a scalar."""
        return (self._weight * ((estimates - self._target) / self._scale) ** 2).sum()

    def duals(self, estimates: Tensor) -> Tensor:
        """Derivative of the loss in each cell's totals, float32, of the totals' shape."""
        return self._columns.times(self._pull * (estimates - self._target)).float().view(self._shape)

    def share_within(self, estimates: Tensor, tolerance: float) -> Tensor:
        """Share of the targets in the loss whose relative error is at most a tolerance, a scalar."""
        return (self._share * ((estimates - self._target).abs() <= tolerance * self._size)).sum()


class _Product:
    """A sparse matrix, shape (n, m), that multiplies vectors of shape (m,)."""

    def __init__(self, matrix: csr_array, device: torch.device) -> None:
        self._offsets = torch.tensor(matrix.indptr.astype(np.int64), device=device)
        self._indices = torch.tensor(matrix.indices.astype(np.int64), device=device)
        self._values = torch.tensor(matrix.data.astype(np.float64), device=device)

    def times(self, vector: Tensor) -> Tensor:
        return torch.segment_reduce(
            self._values * vector.index_select(0, self._indices), "sum", offsets=self._offsets, axis=0
        )
