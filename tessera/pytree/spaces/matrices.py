"""Covariance and sdcorr constraints: which fixed entries and bounds a Cholesky factor can hold, and the rest as rows.

Exact are a fixed variance at the top left and entries fixed at zero from the start of a row on. Any other fixed entry
or bound of a covariance becomes a row on the parameter itself, for solvers that take constraints: the matrix is still
parametrised by its factor, so it is positive semidefinite at every evaluation. Standard deviations of sdcorr are
parameters of their own, so their bounds, fixed values and equalities are always exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tessera.errors import ConstraintError
from tessera.pytree.spaces.cholesky import CorrelationFactor, CovarianceFactor, semidefinite_factor, triangle_dimension
from tessera.pytree.spaces.draft import Draft
from tessera.pytree.spaces.transforms import Positions

Mask = npt.NDArray[np.bool_]


def add_covariance(draft: Draft, where: str, numbers: Positions, regularization: float) -> None:
    """Work in that y[numbers] is the lower triangle of a covariance matrix, row by row.

    Raises:
        ConstraintError: for a number of parameters that is no triangle, a start that is not positive semidefinite, two
            entries that are tied, and fixed entries or bounds that need a solver which takes constraints.
    """
    dimension = triangle_dimension(len(numbers), diagonal=True)
    if dimension is None:
        raise ConstraintError(
            f"{where}: {len(numbers)} parameters are no lower triangle; select d (d + 1) / 2 (1, 3, 6, 10, ...)."
        )
    _check_untied(draft, where, numbers)
    rows, columns = np.tril_indices(dimension)
    matrix = np.zeros((dimension, dimension))
    matrix[rows, columns] = draft.start[numbers]
    try:
        factor = semidefinite_factor(matrix)
    except np.linalg.LinAlgError:
        raise draft.infeasible(where, numbers, "the matrix is not positive semidefinite") from None
    if np.diagonal(factor).min() < regularization * (1 - 1e-9):
        raise draft.infeasible(where, numbers, f"its Cholesky factor has a diagonal below {regularization:.3g}")
    held = draft.fixed[numbers]
    if held.all():
        return
    exact = held & (_leading_zeros(held & (matrix[rows, columns] == 0), rows, columns) | (rows + columns == 0))
    _release(draft, where, numbers[held & ~exact])
    first = float(matrix[0, 0]) if exact[0] else np.nan
    at = ~exact
    _bound_entries(draft, where, numbers[at & ~held], (rows == columns)[at & ~held])
    draft.add_transform(CovarianceFactor(numbers[at], rows[at], columns[at], dimension, first, float(regularization)))


def add_sdcorr(draft: Draft, where: str, numbers: Positions, regularization: float) -> None:
    """Work in that y[numbers] is d standard deviations and the correlations below the diagonal, row by row.

    Raises:
        ConstraintError: as `add_covariance`; the correlation matrix must be positive definite at the start.
    """
    dimension = triangle_dimension(len(numbers), diagonal=True)
    if dimension is None:
        raise ConstraintError(
            f"{where}: {len(numbers)} parameters are no standard deviations and correlations; select d + d (d - 1) / 2 "
            "(1, 3, 6, 10, ...)."
        )
    deviations, correlations = numbers[:dimension], numbers[dimension:]
    if (draft.start[deviations] < max(regularization, 0.0)).any():
        raise draft.infeasible(where, deviations, f"standard deviations are below {max(regularization, 0.0):.3g}")
    draft.lower[deviations] = np.maximum(draft.lower[deviations], max(regularization, 0.0))
    if not correlations.size:
        return
    _check_untied(draft, where, correlations)
    rows, columns = np.tril_indices(dimension, -1)
    matrix = np.eye(dimension)
    matrix[rows, columns] = draft.start[correlations]
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise draft.infeasible(where, correlations, "the correlation matrix is not positive definite") from None
    held = draft.fixed[correlations]
    if held.all():
        return
    exact = held & _leading_zeros(held & (matrix[rows, columns] == 0), rows, columns)
    _release(draft, where, correlations[held & ~exact])
    at = ~exact
    _bound_entries(draft, where, correlations[at & ~held], np.zeros(int((at & ~held).sum()), dtype=bool), limit=1.0)
    draft.add_transform(CorrelationFactor(correlations[at], rows[at], columns[at], dimension))


def _check_untied(draft: Draft, where: str, numbers: Positions) -> None:
    distinct, counts = np.unique(numbers, return_counts=True)
    clash = distinct[(counts > 1) | draft.taken[distinct]]
    if clash.size:
        raise ConstraintError(
            f"{where} overlaps with another constraint at {draft.reduction.name(clash)}: an entry of the matrix "
            "is held equal to another one or belongs to a second matrix. Remove one of the two constraints."
        )


def _leading_zeros(zero: Mask, rows: Positions, columns: Positions) -> Mask:
    """Which entries belong to a run of fixed zeros that begins at the start of their row."""
    table = np.zeros((rows.max() + 1, columns.max() + 1), dtype=bool)
    table[rows, columns] = zero
    result: Mask = np.logical_and.accumulate(table, axis=1)[rows, columns] & (rows != columns)
    return result


def _release(draft: Draft, where: str, numbers: Positions) -> None:
    """Let the factor move fixed entries and have the solver hold them."""
    why = "its matrix has fixed entries that a Cholesky factor cannot hold"
    for number in numbers:
        value = float(draft.start[number])
        draft.add_row(where, np.array([number]), (1.0,), value, value, why)
    draft.fixed[numbers] = False


def _bound_entries(
    draft: Draft,
    where: str,
    numbers: Positions,
    variance: Mask,
    limit: float = np.inf,
) -> None:
    """Rows for bounds on entries that the matrix does not imply (variances >= 0, correlations within 1)."""
    implied_lower = np.where(variance, 0.0, -limit)
    needed = (draft.lower[numbers] > implied_lower) | (draft.upper[numbers] < limit)
    for number in numbers[needed]:
        low, high = float(draft.lower[number]), float(draft.upper[number])
        draft.add_row(where, np.array([number]), (1.0,), low, high, "its matrix has bounds on single entries")
