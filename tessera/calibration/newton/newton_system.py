"""The linear system of one Newton step, solved by elimination along the hierarchy of targets.

    (A blockdiag(G_c) A' + rho I) x = r,   G_c = sum_i slope_i v_i v_i'  (n_metrics x n_metrics), A scaled by 1 / s

Local targets of each cell go first: with L L' = a a' * G[m, m] + rho for a cell's local targets of metrics m and shares
a, and X = L^-1 (a G[m, :]), what the cell shows to the levels above is P = G - X'X. Groups are eliminated the same way
from the sums of their cells' P, then the global targets are solved for, and the way back fills in the rest. Nothing is
larger than the number of targets of one level in one place; cells are factored in parallel.

The Gram matrices are float32, as they come; the elimination float64. rho keeps collinear metrics (age groups that sum
to all persons) solvable.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular

from tessera.calibration.newton.hierarchy import Hierarchy, Rows
from tessera.errors import FitError
from tessera.matrix.rows import Table, gather

FloatArray = npt.NDArray[np.float64]
_GRAM_BLOCK = 1024


@dataclass(frozen=True)
class _Eliminated:
    """One cell or group with its own targets eliminated.

    Attributes:
        factor: L, lower triangular, (n, n).
        forward: L^-1 r, shape (n,).
        shown: P for a cell, (n_metrics, n_metrics), else None.
        cross: X: for a cell L^-1 (a G[m, :]), for a group L^-1 C', C the system's entries with the global targets.
        pulled: X' L^-1 r.
    """

    factor: FloatArray
    forward: FloatArray
    shown: FloatArray | None
    cross: FloatArray
    pulled: FloatArray


def gram(
    table: Table, row: npt.NDArray[np.int32], slope: npt.NDArray[np.float32], n_metrics: int
) -> npt.NDArray[np.float32]:
    """G of one cell: sum of slope * v v' over its records, float32, shape (n_metrics, n_metrics)."""
    total = np.zeros((n_metrics, n_metrics), dtype=np.float32)
    buffer = np.empty((_GRAM_BLOCK, n_metrics), dtype=np.float32)
    free = np.flatnonzero(slope)
    rows, root = row[free], np.sqrt(slope[free])
    for begin in range(0, len(rows), _GRAM_BLOCK):
        part = rows[begin : begin + _GRAM_BLOCK]
        gather(table, part, root[begin : begin + _GRAM_BLOCK], buffer)
        block = buffer[: len(part)]
        total += block.T @ block  # numpy sees X'X and takes the symmetric product
    return total


def solve(
    structure: Hierarchy,
    gram_of: Callable[[int], npt.NDArray[np.float32]],
    residual: FloatArray,
    rho: float,
    threads: int,
) -> FloatArray:
    """x, shape (n_targets,).

    Args:
        structure: of the targets, scaled.
        gram_of: G of a cell; called once a cell, from several threads.
        residual: r, shape (n_targets,).
        rho: relaxation, above 0.
        threads: to factor cells with.
    """

    def eliminate(cell: int) -> _Eliminated:
        return _eliminate_cell(structure.local[cell], gram_of(cell).astype(np.float64), residual, rho)

    with ThreadPoolExecutor(threads) as pool:
        cells = list(pool.map(eliminate, range(len(structure.local))))
    groups = [
        _eliminate_group(rows, structure.top, [cells[c] for c in members], members, residual, rho)
        for rows, members in zip(structure.group, structure.groups, strict=True)
    ]
    x = np.zeros(len(residual))
    x[structure.top.target] = _solve_top(structure.top, cells, groups, residual, rho)
    for rows, group in zip(structure.group, groups, strict=True):
        x[rows.target] = _backward(group, x[structure.top.target])
    # What the levels above move in each cell, by metric.
    n_metrics = structure.scaled.shape[1] // len(structure.local)
    moved = (structure.scaled.T @ x).reshape(len(structure.local), n_metrics)
    for rows, cell, shift in zip(structure.local, cells, moved, strict=True):
        x[rows.target] = _backward(cell, shift)
    return x


def _eliminate_cell(rows: Rows, g: FloatArray, residual: FloatArray, rho: float) -> _Eliminated:
    share = rows.share[:, 0]
    coupled = share[:, None] * g[rows.metric]
    own = coupled[:, rows.metric] * share
    factor = _cholesky(own, rho, rows)
    cross, forward = _forward(factor, coupled), _forward(factor, residual[rows.target])
    return _Eliminated(factor, forward, g - cross.T @ cross, cross, cross.T @ forward)


def _eliminate_group(
    rows: Rows, top: Rows, cells: list[_Eliminated], members: npt.NDArray[np.int64], residual: FloatArray, rho: float
) -> _Eliminated:
    own = np.zeros((len(rows.target), len(rows.target)))
    with_top = np.zeros((len(rows.target), len(top.target)))
    right = residual[rows.target].copy()
    for place, (cell, number) in enumerate(zip(cells, members, strict=True)):
        share = rows.share[:, place]
        coupled = share[:, None] * _shown(cell)[rows.metric]
        own += coupled[:, rows.metric] * share
        with_top += coupled[:, top.metric] * top.share[:, number]
        right -= share * cell.pulled[rows.metric]
    factor = _cholesky(own, rho, rows)
    cross, forward = _forward(factor, with_top), _forward(factor, right)
    return _Eliminated(factor, forward, None, cross, cross.T @ forward)


def _solve_top(
    top: Rows, cells: list[_Eliminated], groups: list[_Eliminated], residual: FloatArray, rho: float
) -> FloatArray:
    own = np.zeros((len(top.target), len(top.target)))
    right = residual[top.target].copy()
    for number, cell in enumerate(cells):
        share = top.share[:, number]
        own += (share[:, None] * share) * _shown(cell)[np.ix_(top.metric, top.metric)]
        right -= share * cell.pulled[top.metric]
    for group in groups:
        own -= group.cross.T @ group.cross
        right -= group.pulled
    if not len(top.target):
        return right
    return np.asarray(cho_solve((_cholesky(own, rho, top), True), right))


def _backward(part: _Eliminated, above: FloatArray) -> FloatArray:
    """x of the targets eliminated, given what moves the columns of `cross`."""
    if not len(part.forward):
        return part.forward
    return np.asarray(solve_triangular(part.factor, part.forward - part.cross @ above, lower=True, trans="T"))


def _forward(factor: FloatArray, right: FloatArray) -> FloatArray:
    return np.asarray(solve_triangular(factor, right, lower=True, check_finite=False)) if len(factor) else right


def _cholesky(own: FloatArray, rho: float, rows: Rows) -> FloatArray:
    """L of own + rho I. Rounding of the single precision Gram may need more than rho; then the diagonal grows."""
    size = own.diagonal().max(initial=0.0)
    for ridge in (rho, rho + 1e-7 * size, rho + 1e-5 * size, rho + 1e-3 * size):
        try:
            return np.asarray(cholesky(own + ridge * np.eye(len(own)), lower=True)) if len(own) else own
        except LinAlgError:
            continue
        except ValueError as error:
            raise FitError(f"The system of {len(own)} targets (first row {rows.target[0]}) is not finite.") from error
    raise FitError(
        f"The system of {len(own)} targets (first row {rows.target[0]}) is not positive definite. Raise the tolerance."
    )


def _shown(cell: _Eliminated) -> FloatArray:
    assert cell.shown is not None
    return cell.shown
