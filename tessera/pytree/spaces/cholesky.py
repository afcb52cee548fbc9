"""Covariance and correlation matrices as transforms (see `transforms`), by the rows of a Cholesky factor.

`CovarianceFactor`: the selected numbers are the lower triangle of C, row by row with the diagonal; C = L L'. Internal
are the entries of L. For a gradient with lower triangle G, dF/dL = tril((G + G') L).

`CorrelationFactor`: the selected numbers are the lower triangle of R, row by row without the diagonal; R = U U', row i
of U being v_i / |v_i| with v_ii = 1. Internal are the entries of v below the diagonal, unbounded; every positive
definite correlation matrix is reached exactly once. Standard deviations stay parameters with bounds of their own.

Entries that are fixed at zero from the start of a row stay zero in the factor (the envelope of a Cholesky factor), so
such patterns, block diagonal ones included, are exact. Costs are O(d^3) for d x d matrices.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tessera.pytree.spaces.transforms import Positions, Vector

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CovarianceFactor:
    """A covariance matrix by its Cholesky factor.

    Attributes:
        positions: (k,) positions in y of the entries that are not fixed.
        rows, columns: (k,) where those entries stand in the matrix.
        dimension: d.
        first: the fixed variance at the top left, or NaN where it is free.
        regularization: lower bound of the diagonal of the factor; 0 leaves it free, as L and -L give the same C.
    """

    positions: Positions
    rows: Positions
    columns: Positions
    dimension: int
    first: float
    regularization: float
    affine: bool = field(default=False, init=False)

    @property
    def lower(self) -> Vector:
        floor = self.regularization if self.regularization > 0 else -np.inf
        return np.where(self.rows == self.columns, floor, -np.inf)

    @property
    def upper(self) -> Vector:
        return np.full(len(self.positions), np.inf)

    def _factor(self, z: Vector) -> Matrix:
        factor = np.zeros((self.dimension, self.dimension))
        if not np.isnan(self.first):
            factor[0, 0] = np.sqrt(self.first)
        factor[self.rows, self.columns] = z
        return factor

    def forward(self, z: Vector) -> Vector:
        factor = self._factor(z)
        return np.asarray((factor @ factor.T)[self.rows, self.columns])

    def inverse(self, y: Vector) -> Vector:
        matrix = np.zeros((self.dimension, self.dimension))
        if not np.isnan(self.first):
            matrix[0, 0] = self.first
        matrix[self.rows, self.columns] = y
        factor = semidefinite_factor(matrix)
        diagonal = self.rows == self.columns
        z = factor[self.rows, self.columns]
        return np.where(diagonal, np.maximum(z, max(self.regularization, 0.0)), z)

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        lower = np.zeros((*gradient.shape[:-1], self.dimension, self.dimension))
        lower[..., self.rows, self.columns] = gradient
        return np.asarray(((lower + np.swapaxes(lower, -1, -2)) @ self._factor(z))[..., self.rows, self.columns])


@dataclass(frozen=True, eq=False)
class CorrelationFactor:
    """A correlation matrix by the normalised rows of a Cholesky factor.

    Attributes:
        positions: (k,) positions in y of the correlations that are not fixed.
        rows, columns: (k,) where those stand in the matrix, below the diagonal.
        dimension: d.
    """

    positions: Positions
    rows: Positions
    columns: Positions
    dimension: int
    affine: bool = field(default=False, init=False)

    @property
    def lower(self) -> Vector:
        return np.full(len(self.positions), -np.inf)

    @property
    def upper(self) -> Vector:
        return np.full(len(self.positions), np.inf)

    def _directions(self, z: Vector) -> tuple[Matrix, Vector]:
        rows = np.eye(self.dimension)
        rows[self.rows, self.columns] = z
        lengths = np.sqrt((rows**2).sum(axis=1))
        return rows / lengths[:, None], lengths

    def forward(self, z: Vector) -> Vector:
        units, _ = self._directions(z)
        return np.asarray((units @ units.T)[self.rows, self.columns])

    def inverse(self, y: Vector) -> Vector:
        matrix = np.eye(self.dimension)
        matrix[self.rows, self.columns] = y
        factor = np.linalg.cholesky(matrix)  # numpy reads the lower triangle only
        return np.asarray((factor / np.diagonal(factor)[:, None])[self.rows, self.columns])

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        units, lengths = self._directions(z)
        lower = np.zeros((*gradient.shape[:-1], self.dimension, self.dimension))
        lower[..., self.rows, self.columns] = gradient
        by_unit = (lower + np.swapaxes(lower, -1, -2)) @ units
        along = (by_unit * units).sum(axis=-1, keepdims=True)
        by_row = (by_unit - along * units) / lengths[:, None]
        return np.asarray(by_row[..., self.rows, self.columns])


def semidefinite_factor(matrix: Matrix) -> Matrix:
    """The lower triangular L with L L' = the symmetric matrix whose lower triangle is given, also where it is singular.

    Raises:
        numpy.linalg.LinAlgError: where an eigenvalue is negative beyond rounding.
    """
    try:
        return np.asarray(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrix)
        if values[0] < -1e-10 * max(values[-1], 1e-300):
            raise
        # A = V S V' = (S^1/2 V')' (S^1/2 V') = R' R, where R is the triangle of a QR factorisation.
        triangle = np.linalg.qr(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, mode="r")
        signs = np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
        return np.asarray((signs[:, None] * triangle).T)


def triangle_dimension(count: int, *, diagonal: bool) -> int | None:
    """d for which a lower triangle (with or without its diagonal) has this many entries; None where there is none."""
    d = round((np.sqrt(8 * count + 1) - 1) / 2)
    if d * (d + 1) // 2 != count:
        return None
    return d if diagonal else d + 1
