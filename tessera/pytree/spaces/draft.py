"""What the constraints of a problem become while its `space.Space` is put together: transforms and rows.

A constraint is worked in by one of three routes, in this order of preference:
1. a transform, where an exact one exists for the selected numbers with their bounds and fixed values;
2. rows, lower <= A y <= upper, that a solver which takes linear constraints is given;
3. a `ConstraintError` that says which of the two would be possible and how.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tessera.errors import ConstraintError
from tessera.pytree.optimisation.algorithms import names_taking
from tessera.pytree.spaces.ties import TOLERANCE, Reduction
from tessera.pytree.spaces.transforms import Positions, Transform, Vector


@dataclass
class Draft:
    """A problem in the making. `lower`, `upper` and `fixed` start as those of the reduction and may be tightened.

    Attributes:
        reduction: the distinct numbers y.
        takes_rows: whether the solver takes linear constraints.
        algorithm: its name, for messages.
    """

    reduction: Reduction
    takes_rows: bool = True
    algorithm: str = "the algorithm"
    transforms: list[Transform] = field(default_factory=list)
    rows: list[tuple[str, Positions, Vector, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = self.reduction.start
        self.lower = np.array(self.reduction.lower)
        self.upper = np.array(self.reduction.upper)
        self.fixed = np.array(self.reduction.fixed)
        self.taken = np.zeros(len(self.start), dtype=bool)

    def add_transform(self, transform: Transform) -> None:
        """Let a transform fill its positions."""
        self.taken[transform.positions] = True
        self.transforms.append(transform)

    def add_row(
        self, where: str, numbers: Positions, weights: Sequence[float] | Vector, lower: float, upper: float, why: str
    ) -> None:
        """Give lower <= weights @ y[numbers] <= upper to the solver.

        Args:
            where: the constraint.
            numbers: (k,) positions in y.
            weights: (k,).
            lower, upper: limits.
            why: reason for which there is no transform, for the message where the solver takes no rows.
        """
        if not self.takes_rows:
            raise ConstraintError(
                f"{where}: {why}, so the solver itself has to hold it, and {self.algorithm} takes no linear "
                f"constraints. Use one of {names_taking('linear')}, or remove one of the constraints or bounds on "
                f"{self.reduction.name(numbers)}."
            )
        vector = np.asarray(weights, dtype=np.float64)
        value = float(vector @ self.start[numbers])
        slack = TOLERANCE * max(1.0, float(np.abs(vector * self.start[numbers]).sum()))
        if value < lower - slack or value > upper + slack:
            raise ConstraintError(
                f"infeasible start: {where} needs {_limits(lower, upper)} and the start gives {value:.6g}, with "
                f"{self.reduction.name(numbers, values=True)}. Start where the constraint holds."
            )
        self.rows.append((where, numbers, vector, lower, upper))

    def infeasible(self, where: str, numbers: Positions, what: str) -> ConstraintError:
        """The error of a start that a constraint forbids."""
        return ConstraintError(
            f"infeasible start: {where}: {what}; the start is {self.reduction.name(numbers, values=True)}. "
            "Start where the constraint holds."
        )

    def matrix(self) -> tuple[Any, Vector, Vector]:
        """The rows as csr_array (r, m) with lower and upper limits (r,)."""
        from scipy.sparse import csr_array

        sizes = [len(numbers) for _, numbers, _, _, _ in self.rows]
        data = [weights for _, _, weights, _, _ in self.rows]
        columns = [numbers for _, numbers, _, _, _ in self.rows]
        matrix = csr_array(
            (
                np.concatenate([np.zeros(0), *data]),
                np.concatenate([np.zeros(0, dtype=np.int64), *columns]),
                np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            ),
            shape=(len(self.rows), len(self.start)),
        )
        matrix.sum_duplicates()
        lower, upper = (np.array([row[side] for row in self.rows], dtype=np.float64) for side in (3, 4))
        return matrix, lower, upper


def _limits(lower: float, upper: float) -> str:
    if lower == upper:
        return f"{lower:.6g}"
    if np.isneginf(lower):
        return f"at most {upper:.6g}"
    return f"at least {lower:.6g}" if np.isposinf(upper) else f"{lower:.6g} to {upper:.6g}"
