"""Symmetric positive semi-definite matrices of moments, stored as cheaply as they allow: covariances and weights.

A `SymmetricMatrix` of K moments is one of

    diagonal   values (K,)          nothing K x K is ever made of it
    sparse     values csr (K, K)    inverted and factored block by block, a block being a connected component
    dense      values (K, K)

Callers say `matrix @ x`, `matrix.diagonal()`, `matrix.inverse()`, `matrix.root()` and never look at the storage. Which
trees and frames make such a matrix is in `moments`; what is estimated with it is in `inference` and `sensitivity`.

Singular matrices: `inverse()` raises `InferenceError` and names the moments that cause it, or gives the Moore-Penrose
inverse on request; `root()` needs no inverse and falls back from Cholesky to eigenvalues, so weights may be singular.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import InferenceError

FloatArray = npt.NDArray[np.float64]
Storage = Literal["diagonal", "sparse", "dense"]
_SYMMETRY_TOLERANCE = 1e-8
_NEGATIVE_TOLERANCE = 1e-10
_LOADING = 0.1
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class SymmetricMatrix:
    """A symmetric matrix of K moments; build it with `SymmetricMatrix.of`, which checks it.

    Attributes:
        values: (K,) the diagonal of a diagonal matrix, a csr_array (K, K), or a dense float64 array (K, K).
        labels: the K names that messages use; None to number the moments.
        name: what messages call the matrix, for instance `moments_cov`.
    """

    values: Any
    labels: pd.Index | None = field(default=None, repr=False)
    name: str = "the matrix"

    @classmethod
    def of(cls, values: Any, labels: pd.Index | None = None, name: str = "the matrix") -> SymmetricMatrix:
        """Check values and store them as cheaply as they allow; a dense or sparse diagonal is kept as a vector.

        Raises:
            InferenceError: for a shape that is not (K,) or (K, K), numbers that are not finite, an asymmetric matrix,
                or a negative variance or weight; names the moments.
        """
        matrix = cls(_stored(values, name), labels, name)
        if labels is not None and len(labels) != matrix.size:
            raise InferenceError(f"{name} is for {matrix.size} moments, but there are {len(labels)}.")
        _check(matrix)
        return matrix._simplified()

    @property
    def storage(self) -> Storage:
        """How the matrix is stored."""
        if not isinstance(self.values, np.ndarray):
            return "sparse"
        return "diagonal" if self.values.ndim == 1 else "dense"

    @property
    def size(self) -> int:
        """Number of moments K."""
        return int(self.values.shape[0])

    def __matmul__(self, other: FloatArray) -> FloatArray:
        """The product with a vector (K,) or a matrix (K, P)."""
        if self.storage == "diagonal":
            scale = self.values if other.ndim == 1 else self.values[:, None]
            return np.asarray(scale * other)
        return np.asarray(self.values @ other)

    def diagonal(self) -> FloatArray:
        """The diagonal, (K,)."""
        return self.values if self.storage == "diagonal" else np.asarray(self.values.diagonal())

    def dense(self) -> FloatArray:
        """The whole matrix, (K, K): for output that asks for it."""
        if self.storage == "diagonal":
            return np.diag(self.values)
        return np.asarray(self.values.toarray() if self.storage == "sparse" else self.values)

    def submatrix_names(self, positions: npt.ArrayLike) -> str:
        """The labels at some positions as text for a message, the first eight of them."""
        where = np.atleast_1d(np.asarray(positions)).tolist()
        names = [str(number if self.labels is None else self.labels[number]) for number in where[:_SHOWN]]
        more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
        return ", ".join(names) + more

    def inverse(self, singular: Literal["raise", "pseudo"] = "raise") -> SymmetricMatrix:
        """The inverse, stored as this matrix is.

        Args:
            singular: "raise" for an error that names the moments, "pseudo" for the Moore-Penrose inverse.

        Raises:
            InferenceError: if the matrix is singular to working precision and `singular` is "raise".
        """
        return self._blockwise(lambda where, block: self._inverted(where, block, singular), f"inverse of {self.name}")

    def root(self) -> Any:
        """A factor R with R'R equal to the matrix: (K,) for a diagonal matrix, csr or dense (K, K) otherwise.

        Raises:
            InferenceError: if the matrix has a negative eigenvalue; names the moments.
        """
        return self._root

    def root_times(self, other: FloatArray) -> FloatArray:
        """R times a vector (K,) or matrix (K, P), so that the squared length of R x is x' M x."""
        return SymmetricMatrix(self._root) @ other

    @cached_property
    def _root(self) -> Any:
        return self._blockwise(self._rooted, f"root of {self.name}").values

    def _simplified(self) -> SymmetricMatrix:
        """The same matrix as a vector if all its numbers are on the diagonal."""
        if self.storage == "diagonal":
            return self
        diagonal = np.array(self.values.diagonal(), dtype=np.float64)
        total = self.values.count_nonzero() if self.storage == "sparse" else np.count_nonzero(self.values)
        return replace(self, values=diagonal) if total == np.count_nonzero(diagonal) else self

    def _blockwise(self, function: Callable[[npt.NDArray[np.int64], FloatArray], FloatArray], name: str) -> Any:
        """Apply a function to each block: a vector stands for a diagonal, all isolated moments form one such."""
        if self.storage != "sparse":
            return SymmetricMatrix(function(np.arange(self.size), self.values), self.labels, name)
        from scipy.sparse import coo_array

        rows, columns, data = [], [], []
        for where, block in _components(self.values):
            result = function(where, block)
            is_vector = result.ndim == 1
            rows.append(where if is_vector else np.repeat(where, where.size))
            columns.append(where if is_vector else np.tile(where, where.size))
            data.append(result.ravel())
        coordinates = (np.concatenate(rows), np.concatenate(columns))
        joined = coo_array((np.concatenate(data), coordinates), shape=self.values.shape)
        return SymmetricMatrix(joined.tocsr(), self.labels, name)

    def _inverted(
        self, where: npt.NDArray[np.int64], block: FloatArray, singular: Literal["raise", "pseudo"]
    ) -> FloatArray:
        if block.ndim == 1:
            if singular == "raise" and not block.all():
                raise InferenceError(self._singular_message(where[block == 0]))
            return np.divide(1.0, block, out=np.zeros_like(block), where=block != 0)
        inverse, null_space = invert_definite(block)
        if inverse is not None:
            return inverse
        if singular == "raise":
            raise InferenceError(self._singular_message(where[loaded_rows(null_space)]))
        return np.asarray(np.linalg.pinv(block, rcond=block.shape[0] * np.finfo(float).eps * 10, hermitian=True))

    def _rooted(self, where: npt.NDArray[np.int64], block: FloatArray) -> FloatArray:
        if block.ndim == 1:
            return np.sqrt(block)
        try:
            return np.asarray(np.linalg.cholesky(block).T)
        except np.linalg.LinAlgError:
            eigenvalues, vectors = np.linalg.eigh(block)
        if eigenvalues[0] < -_NEGATIVE_TOLERANCE * max(eigenvalues[-1], 0.0):
            names = self.submatrix_names(where[loaded_rows(vectors[:, :1])])
            raise InferenceError(
                f"{self.name} has the negative eigenvalue {eigenvalues[0]:.3g}; it must be positive semi-definite. "
                f"Correct its entries for the moments {names}."
            )
        return np.asarray(np.sqrt(np.clip(eigenvalues, 0.0, None))[:, None] * vectors.T)

    def _singular_message(self, positions: npt.NDArray[np.int64]) -> str:
        cause = "have no variance" if not self.diagonal()[positions].any() else "are linear combinations of each other"
        return (
            f"{self.name} is singular and has no inverse: the moments {self.submatrix_names(positions)} {cause}. "
            'Drop such moments, use weights="diagonal" or "identity", or accept the Moore-Penrose inverse with '
            'get_weighting_matrix(moments_cov, "optimal", singular="pseudo").'
        )


def invert_definite(matrix: FloatArray) -> tuple[FloatArray | None, FloatArray]:
    """The inverse of a symmetric positive definite matrix (n, n), or None and what it maps to zero.

    The matrix is scaled to a unit diagonal first, so that units of measurement do not decide what is singular.

    Returns:
        The inverse and an empty (n, 0) array; or None and the directions (n, d), columns of length one in scaled units,
        that are mapped to zero or less to working precision.
    """
    from scipy.linalg import lapack

    n = matrix.shape[0]
    diagonal = np.diagonal(matrix)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = matrix * scale[:, None] * scale
    tolerance = 10 * n * np.finfo(float).eps
    factor, failed = lapack.dpotrf(scaled, lower=1, clean=1)
    if not failed:
        reciprocal_condition, _ = lapack.dpocon(factor, np.abs(scaled).sum(axis=0).max(), uplo="L")
        if reciprocal_condition > tolerance:
            lower, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
            inverse = lower + lower.T
            np.fill_diagonal(inverse, np.diagonal(lower))
            inverse *= scale[:, None]
            inverse *= scale
            return inverse, np.empty((n, 0))
    eigenvalues, vectors = np.linalg.eigh(scaled)
    # The condition estimate may be stricter than the eigenvalues, so that at least the smallest counts.
    null = eigenvalues <= max(tolerance * max(eigenvalues[-1], 0.0), eigenvalues[0])
    return None, vectors[:, null]


def loaded_rows(directions: FloatArray) -> npt.NDArray[np.int64]:
    """Which rows of some directions (n, d) are not nearly zero, relative to the largest."""
    size = np.abs(directions).max(axis=1)
    return np.flatnonzero(size > _LOADING * size.max())


def _stored(values: Any, name: str) -> Any:
    from scipy.sparse import csr_array, issparse

    stored = csr_array(values, dtype=np.float64) if issparse(values) else np.asarray(values, dtype=np.float64)
    if stored.ndim not in (1, 2) or stored.shape[0] != stored.shape[-1]:
        raise InferenceError(f"{name} has the shape {stored.shape}; wanted (K,) or (K, K) for K moments.")
    return stored


def _check(matrix: SymmetricMatrix) -> None:
    stored, name = matrix.values, matrix.name
    is_sparse = matrix.storage == "sparse"
    numbers = stored.data if is_sparse else stored
    if not np.isfinite(numbers).all():
        bad = stored.tocoo().coords[0][~np.isfinite(stored.data)] if is_sparse else np.nonzero(~np.isfinite(stored))[0]
        where = matrix.submatrix_names(np.unique(bad))
        raise InferenceError(f"{name} has entries that are not finite, for the moments {where}; remove the moments.")
    negative = np.flatnonzero(matrix.diagonal() < 0)
    if negative.size:
        raise InferenceError(
            f"{name} has negative diagonal entries, for the moments {matrix.submatrix_names(negative)}."
        )
    if stored.ndim == 2 and numbers.size:
        gap = abs(stored - stored.T)
        if gap.max() > _SYMMETRY_TOLERANCE * np.abs(numbers).max():
            row = int(np.unravel_index(int(gap.argmax()), gap.shape)[0])
            where = matrix.submatrix_names(row)
            raise InferenceError(f"{name} is not symmetric, by {gap.max():.3g} in the row of the moment {where}.")


def _components(matrix: Any) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
    """The connected components of a sparse matrix: positions and block; isolated ones together, as a diagonal."""
    from scipy.sparse.csgraph import connected_components

    _, component = connected_components(matrix, directed=False)
    sizes = np.bincount(component)
    alone = np.flatnonzero(sizes[component] == 1)
    if alone.size:
        yield alone, np.asarray(matrix.diagonal())[alone]
    order = np.argsort(component, kind="stable")
    order = order[sizes[component[order]] > 1]
    sorted_matrix = matrix[order][:, order]
    start = 0
    for size in sizes[sizes > 1].tolist():
        stop = start + size
        yield order[start:stop], sorted_matrix[start:stop, start:stop].toarray()
        start = stop
