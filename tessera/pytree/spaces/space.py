"""The space that a solver works in: external parameters x as a function of internal ones z, with box bounds on z.

    z --(constants, plain numbers, transforms)--> y --(ties: x = y[group])--> x

Everything is an index array or a transform of few numbers, so that a step costs O(n), and O(d^3) for d x d matrices.
Nothing n x n is made; `jacobian` is sparse. What no transform holds (see `draft`) is in `rows` and `nonlinear`,
which `solver_rows.solver_constraints` turns into scipy's constraints on z. Without constraints, z is x.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import ConstraintError
from tessera.pytree.bounds import check_start
from tessera.pytree.constraints import (
    Constraint,
    Covariance,
    Decreasing,
    Increasing,
    Linear,
    Nonlinear,
    Probability,
    SdCorr,
    read_constraints,
)
from tessera.pytree.spaces.draft import Draft
from tessera.pytree.spaces.matrices import add_covariance, add_sdcorr
from tessera.pytree.spaces.orders import add_order, check_chain_length
from tessera.pytree.spaces.selection import Selection, limits_for, select_all, weights_for
from tessera.pytree.spaces.sums import add_linear, add_probability
from tessera.pytree.spaces.ties import Ties, reduce_problem
from tessera.pytree.spaces.transforms import Positions, Simplex, Transform, Vector, jacobian_entries

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec

_ORDERS = (Increasing, Decreasing)


@dataclass(frozen=True, eq=False)
class Space:
    """External parameters as a function of internal ones. Made by `build_space`.

    Attributes:
        spec: structure of the parameters.
        start: (n_external,) the start, with fixed values put in and rounding taken out.
        ties: which external parameters share a number of y (m numbers).
        constants: positions in y that do not change, and their values.
        plain: positions in y that are internal numbers themselves; None where that is all of y.
        transforms: what fills the other positions of y, each from its own stretch of z, after the plain ones.
        lower, upper: bounds of z, (n_internal,).
        rows: csr_array (r, m) with limits (r,): linear constraints on y that the solver has to hold.
        nonlinear: nonlinear constraints that the solver has to hold.
    """

    spec: TreeSpec
    start: Vector
    ties: Ties
    constants: tuple[Positions, Vector]
    plain: Positions | None
    transforms: tuple[Transform, ...]
    lower: Vector
    upper: Vector
    rows: tuple[Any, Vector, Vector]
    nonlinear: tuple[Selection, ...]

    @property
    def n_external(self) -> int:
        """Number of parameters."""
        return self.ties.size

    @property
    def n_internal(self) -> int:
        """Number of free internal numbers."""
        return len(self.lower)

    @property
    def is_identity(self) -> bool:
        """Whether z is x."""
        return self.plain is None and self.ties.group is None

    @property
    def needs_solver(self) -> bool:
        """Whether there are constraints that the solver has to hold."""
        return self.rows[0].shape[0] > 0 or bool(self.nonlinear)

    @cached_property
    def stretches(self) -> tuple[slice, ...]:
        """Which part of z belongs to each transform."""
        begin = self.ties.n_reduced if self.plain is None else len(self.plain)
        stretches = []
        for transform in self.transforms:
            end = begin + len(transform.lower)
            stretches.append(slice(begin, end))
            begin = end
        return tuple(stretches)

    @property
    def start_internal(self) -> Vector:
        """The start as z (n_internal,)."""
        return np.clip(self.to_internal(self.start), self.lower, self.upper)

    def to_reduced(self, z: Vector) -> Vector:
        """y (m,) from z."""
        if self.plain is None:
            return z
        y = np.empty(self.ties.n_reduced)
        positions, values = self.constants
        y[positions] = values
        y[self.plain] = z[: len(self.plain)]
        for transform, stretch in zip(self.transforms, self.stretches, strict=True):
            y[transform.positions] = transform.forward(z[stretch])
        return y

    def to_external(self, z: Vector) -> Vector:
        """x (n_external,) from z (n_internal,). Where z is x, the same array."""
        y = self.to_reduced(np.asarray(z, dtype=np.float64))
        return y if self.ties.group is None else y[self.ties.group]

    def to_internal(self, x: Vector) -> Vector:
        """z (n_internal,) from x (n_external,) that obeys the constraints. Where z is x, the same array."""
        y = self.ties.reduce(np.asarray(x, dtype=np.float64))
        if self.plain is None:
            return y
        parts = [y[self.plain], *(transform.inverse(y[transform.positions]) for transform in self.transforms)]
        return np.concatenate(parts)

    def pull_back(self, z: Vector, gradient: Vector) -> Vector:
        """A gradient with respect to z from one with respect to x.

        Args:
            z: (n_internal,).
            gradient: (n_external,), or (m, n_external) for the derivatives of m outputs.

        Returns:
            (n_internal,) or (m, n_internal).
        """
        return self.pull_back_reduced(z, self.ties.sum_back(np.asarray(gradient, dtype=np.float64)))

    def pull_back_reduced(self, z: Vector, gradient: Vector) -> Vector:
        """A gradient with respect to z from one with respect to y (..., m)."""
        if self.plain is None:
            return gradient
        parts = [gradient[..., self.plain]]
        for transform, stretch in zip(self.transforms, self.stretches, strict=True):
            parts.append(transform.pull_back(z[stretch], gradient[..., transform.positions]))
        return np.concatenate(parts, axis=-1)

    def jacobian(self, z: Vector) -> Any:
        """dx/dz as csr_array (n_external, n_internal); k x k numbers for each transform of k, one for any other."""
        return self.ties.matrix() @ self.jacobian_reduced(z)

    def jacobian_reduced(self, z: Vector) -> Any:
        """dy/dz as csr_array (m, n_internal)."""
        from scipy.sparse import coo_array

        plain = np.arange(self.ties.n_reduced) if self.plain is None else self.plain
        rows, columns, data = [plain], [np.arange(len(plain))], [np.ones(len(plain))]
        for transform, stretch in zip(self.transforms, self.stretches, strict=True):
            inner_rows, inner_columns, values = jacobian_entries(transform, z[stretch])
            rows.append(transform.positions[inner_rows])
            columns.append(inner_columns + stretch.start)
            data.append(values)
        place = (np.concatenate(rows), np.concatenate(columns))
        return coo_array((np.concatenate(data), place), shape=(self.ties.n_reduced, self.n_internal)).tocsr()

    @cached_property
    def solver_constraints(self) -> list[Any]:
        """What the solver has to hold, as scipy's `LinearConstraint` and `NonlinearConstraint` on z."""
        from tessera.pytree.spaces.solver_rows import solver_constraints

        return solver_constraints(self)

    def __repr__(self) -> str:
        kinds = ", ".join(type(transform).__name__ for transform in self.transforms[:6])
        left = f"; for the solver: {self.rows[0].shape[0]} rows, {len(self.nonlinear)} nonlinear"
        return (
            f"Space({self.n_external} external, {self.n_internal} internal"
            + (f"; {kinds}" if kinds else "")
            + (left if self.needs_solver else "")
            + ")"
        )


def build_space(
    spec: TreeSpec,
    x: Vector,
    lower: Vector,
    upper: Vector,
    constraints: Any = (),
    *,
    linear: bool = True,
    nonlinear: bool = True,
    algorithm: str = "the algorithm",
) -> Space:
    """The space of a problem.

    Args:
        spec: structure of the parameters.
        x: (n,) start values.
        lower, upper: (n,) bounds.
        constraints: in any form that `constraints.read_constraints` takes.
        linear, nonlinear: whether the solver takes such constraints; where not, all must be worked in.
        algorithm: name of the solver, for messages.

    Raises:
        BoundsError: for a start outside the bounds; names the paths.
        ConstraintError: for selectors that fail, an infeasible start, and constraints that cannot be honoured together
            or by this solver. The start of a nonlinear constraint is not checked: solvers find feasible points.
    """
    x = check_start(spec, np.asarray(x, dtype=np.float64), lower, upper)
    chosen = select_all(spec, read_constraints(constraints))
    if not chosen and not (lower == upper).any():
        return _identity(spec, x, lower, upper)
    reduction = reduce_problem(spec, x, lower, upper, chosen)
    draft = Draft(reduction, takes_rows=linear, algorithm=algorithm)
    _work_in(draft, reduction.ties, chosen)
    kept = tuple(selection for selection in chosen if isinstance(selection.constraint, Nonlinear))
    if kept and not nonlinear:
        from tessera.pytree.optimisation.algorithms import names_taking

        raise ConstraintError(
            f"{kept[0].where}: {algorithm} takes no nonlinear constraints. Use one of {names_taking('nonlinear')}."
        )
    return _assemble(draft, kept)


def _identity(spec: TreeSpec, x: Vector, lower: Vector, upper: Vector) -> Space:
    from scipy.sparse import csr_array

    none = np.zeros(0)
    rows = (csr_array((0, len(lower))), none, none)
    return Space(spec, x, Ties(len(lower)), (np.zeros(0, dtype=np.int64), none), None, (), lower, upper, rows, ())


def _work_in(draft: Draft, ties: Ties, chosen: Sequence[Selection]) -> None:
    """Turn each constraint into a transform or rows: matrices first, then sums and orders, then linear ones."""
    free = _free(ties, _distinct(ties, chosen), draft.fixed)
    for selection in _distinct(ties, chosen):
        constraint, where, numbers = selection.constraint, selection.where, ties.of(selection.positions)
        if isinstance(constraint, Covariance):
            add_covariance(draft, where, numbers, constraint.regularization)
        elif isinstance(constraint, SdCorr):
            add_sdcorr(draft, where, numbers, constraint.regularization)
        elif isinstance(constraint, Probability):
            add_probability(draft, where, numbers, free=free[selection])
        elif isinstance(constraint, _ORDERS):
            check_chain_length(where, numbers)
            ordered = numbers if isinstance(constraint, Increasing) else numbers[::-1]
            add_order(draft, where, ordered, free=free[selection])
        elif isinstance(constraint, Linear):
            weights = weights_for(draft.reduction.spec, selection, constraint.weights)
            add_linear(draft, where, numbers, weights, limits_for(selection, len(weights)), free=free[selection])


def _distinct(ties: Ties, chosen: Sequence[Selection]) -> list[Selection]:
    """The constraints that need work, each once: tied blocks under the same constraint are one block."""
    order = (Covariance, SdCorr, Probability, *_ORDERS, Linear)
    seen: set[tuple[Any, ...]] = set()
    result = []
    for selection in sorted(
        (s for s in chosen if isinstance(s.constraint, order)),
        key=lambda s: next(k for k, kind in enumerate(order) if isinstance(s.constraint, kind)),
    ):
        key = (type(selection.constraint), ties.of(selection.positions).tobytes(), _options(selection.constraint))
        if key not in seen:
            seen.add(key)
            result.append(selection)
    return result


def _options(constraint: Constraint) -> Any:
    """What tells two constraints on the same numbers apart."""
    return id(constraint) if isinstance(constraint, Linear) else getattr(constraint, "regularization", None)


def _free(ties: Ties, chosen: Sequence[Selection], fixed: Any) -> dict[Selection, bool]:
    """For each constraint, whether it is alone on its numbers that are not fixed."""
    counts = np.zeros(ties.n_reduced, dtype=np.int32)
    distinct = [np.unique(ties.of(selection.positions)) for selection in chosen]
    for numbers in distinct:
        counts[numbers] += 1
    return {
        selection: bool((counts[numbers][~fixed[numbers]] <= 1).all())
        for selection, numbers in zip(chosen, distinct, strict=True)
    }


def _assemble(draft: Draft, nonlinear: tuple[Selection, ...]) -> Space:
    spec, ties = draft.reduction.spec, draft.reduction.ties
    groups = [transform for transform in draft.transforms if isinstance(transform, Simplex)]
    transforms = [transform for transform in draft.transforms if not isinstance(transform, Simplex)]
    transforms += [Simplex.joined(groups)] if groups else []
    fixed = np.flatnonzero(draft.fixed & ~draft.taken)
    plain = np.flatnonzero(~draft.fixed & ~draft.taken)
    lower = np.concatenate([draft.lower[plain], *(transform.lower for transform in transforms)])
    upper = np.concatenate([draft.upper[plain], *(transform.upper for transform in transforms)])
    y = draft.start
    space = Space(
        spec=spec,
        start=y if ties.group is None else y[ties.group],
        ties=ties,
        constants=(fixed, draft.start[fixed]),
        plain=None if len(plain) == ties.n_reduced else plain,
        transforms=tuple(transforms),
        lower=lower,
        upper=upper,
        rows=draft.matrix(),
        nonlinear=nonlinear,
    )
    return replace(space, start=space.to_external(space.start_internal))
