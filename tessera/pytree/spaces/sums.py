"""Probability and linear constraints: the simplex transform, pivoted rows, or rows for the solver.

Probabilities keep lower bounds (they become floors) and fixed elements (they leave the rest less to share); upper
bounds that the sum does not imply need a solver that takes linear constraints. Linear constraints go to the solver
where it takes them; otherwise as many unbounded parameters as there are rows follow from the rows (`PivotedRows`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.pytree.spaces.draft import Draft
from tessera.pytree.spaces.ties import TOLERANCE
from tessera.pytree.spaces.transforms import PivotedRows, Positions, Simplex, Vector

if TYPE_CHECKING:
    Matrix = npt.NDArray[np.float64]


def add_probability(draft: Draft, where: str, numbers: Positions, *, free: bool) -> None:
    """Work in that y[numbers] is not negative and sums to 1; `free` and errors as for `orders.add_order`."""
    start = draft.start[numbers]
    if (start < -TOLERANCE).any() or abs(start.sum() - 1) > TOLERANCE:
        negative = "" if start.min() >= 0 else f", the least {start.min():.6g}"
        raise draft.infeasible(where, numbers, f"its parameters sum to {start.sum():.9g}, not 1{negative}")
    distinct, counts = np.unique(numbers, return_counts=True)
    open_ = ~draft.fixed[distinct]
    rest, weights = distinct[open_], counts[open_].astype(np.float64)
    total = 1.0 - float(counts[~open_] @ draft.start[distinct[~open_]])
    if not rest.size:
        return
    floors = np.maximum(draft.lower[rest], 0.0)
    remainder = max(total - float(weights @ floors), 0.0)
    # The most an element can be is its floor and all that the floors leave.
    implied = draft.upper[rest] >= floors + remainder / weights - TOLERANCE
    draft.lower[rest], draft.upper[rest] = floors, np.minimum(draft.upper[rest], 1.0)
    if not (free and implied.all()):
        why = "another constraint holds some of the same parameters"
        if free:
            why = f"{draft.reduction.name(rest[~implied])} has an upper bound that the sum does not imply"
        draft.add_row(where, rest, weights, total, total, why)
        return
    reference = np.array([np.argmax(draft.start[rest] - floors)], dtype=np.int64)
    draft.add_transform(Simplex(rest, weights, floors, np.zeros(1, dtype=np.int64), np.array([remainder]), reference))


def add_linear(
    draft: Draft, where: str, numbers: Positions, weights: Matrix, limits: tuple[Vector, Vector], *, free: bool
) -> None:
    """Work in limits[0] <= weights @ y[numbers] <= limits[1].

    Args:
        draft: the problem; gets a transform or rows.
        where: the constraint, for messages.
        numbers: (k,) positions in y.
        weights: (rows, k).
        limits: lower and upper, each (rows,).
        free: whether no other constraint holds any of the numbers.
    """
    distinct, places = np.unique(numbers, return_inverse=True)
    matrix = np.zeros((len(weights), len(distinct)))
    np.add.at(matrix.T, places, weights.T)
    if not draft.takes_rows and free:
        transform = _pivot(draft, distinct, matrix, limits)
        if transform is not None:
            value = matrix @ draft.start[distinct]
            slack = TOLERANCE * np.maximum(1.0, np.abs(matrix) @ np.abs(draft.start[distinct]))
            if (value < limits[0] - slack).any() or (value > limits[1] + slack).any():
                raise draft.infeasible(where, distinct, f"its sums are {value}, the limits {limits[0]} and {limits[1]}")
            draft.add_transform(transform)
            return
    for row, lower, upper in zip(matrix, *limits, strict=True):
        why = "no unbounded parameters of its own are left to follow from it"
        draft.add_row(where, distinct, row, float(lower), float(upper), why)


def _pivot(draft: Draft, distinct: Positions, matrix: Matrix, limits: tuple[Vector, Vector]) -> PivotedRows | None:
    """Solve the rows for as many unbounded parameters; None where there are too few."""
    open_ = np.flatnonzero(~draft.fixed[distinct])
    unbounded = np.isneginf(draft.lower[distinct]) & np.isposinf(draft.upper[distinct])
    candidates = open_[unbounded[open_]]
    rows = len(matrix)
    if len(candidates) < rows:
        return None
    from scipy.linalg import qr

    _, triangle, order = qr(matrix[:, candidates], mode="economic", pivoting=True)
    diagonal = np.abs(np.diagonal(triangle))
    if diagonal[rows - 1] <= 1e-10 * diagonal[0]:
        return None
    pivots = candidates[order[:rows]]
    others = np.setdiff1d(open_, pivots)
    constant = np.setdiff1d(np.arange(len(distinct)), open_)
    return PivotedRows(
        positions=np.concatenate([distinct[pivots], distinct[others]]),
        solve=np.asarray(np.linalg.inv(matrix[:, pivots]), dtype=np.float64),
        rest=matrix[:, others],
        offset=matrix[:, constant] @ draft.start[distinct[constant]],
        equal=limits[0] == limits[1],
        row_lower=limits[0],
        row_upper=limits[1],
        rest_lower=draft.lower[distinct[others]],
        rest_upper=draft.upper[distinct[others]],
    )
