"""Constraints that a solver has to hold itself, as scipy's constraint objects on the internal parameters z."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import DerivativeError, FunctionError, StructureError, TesseraError
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.selection import Selection, limits_for, selected_spec
from tessera.pytree.spaces.transforms import Vector

if TYPE_CHECKING:
    from tessera.pytree.spaces.space import Space
    from tessera.pytree.tree import TreeSpec

# Up to so many entries a constraint matrix is given to scipy as a dense one, which every solver takes.
_DENSE = 10_000_000


def solver_constraints(space: Space) -> list[Any]:
    """The rows and nonlinear constraints of a space for `scipy.optimize.minimize`."""
    found = [*_rows(space)] if space.rows[0].shape[0] else []
    found.extend(_nonlinear(space, selection) for selection in space.nonlinear)
    return found


def _rows(space: Space) -> list[Any]:
    """Rows on y: linear in z where all they touch is affine in z, nonlinear otherwise."""
    from scipy.optimize import LinearConstraint, NonlinearConstraint

    matrix, lower, upper = space.rows
    curved = np.zeros(matrix.shape[1], dtype=bool)
    for transform in space.transforms:
        if not transform.affine:
            curved[transform.positions] = True
    bent = np.asarray(abs(matrix) @ curved.astype(np.float64)) > 0
    constraints: list[Any] = []
    if not bent.all():
        part, origin = matrix[~bent], np.zeros(space.n_internal)
        offset = part @ np.where(curved, 0.0, space.to_reduced(origin))
        slope = _dense(part @ space.jacobian_reduced(origin))
        constraints.append(LinearConstraint(slope, lower[~bent] - offset, upper[~bent] - offset))
    if bent.any():
        part = matrix[bent]
        constraints.append(
            NonlinearConstraint(
                lambda z: part @ space.to_reduced(z),
                lower[bent],
                upper[bent],
                jac=lambda z: _dense(part @ space.jacobian_reduced(z)),
            )
        )
    return constraints


def _dense(matrix: Any) -> Any:
    return matrix.toarray() if matrix.shape[0] * matrix.shape[1] <= _DENSE else matrix


def _nonlinear(space: Space, selection: Selection) -> Any:
    from scipy.optimize import NonlinearConstraint

    function = _Function(space.spec, selection)
    lower, upper = limits_for(selection, len(function(space.start)))
    return NonlinearConstraint(
        lambda z: function(space.to_external(z)),
        lower,
        upper,
        jac=lambda z: space.pull_back(z, function.jacobian(space.to_external(z))),
    )


class _Function:
    """The function of a nonlinear constraint, from x (n,) to its values (m,)."""

    def __init__(self, spec: TreeSpec, selection: Selection) -> None:
        self.spec, self.selection = spec, selection
        constraint: Any = selection.constraint
        self.selector, self.func, self.jac = constraint.selector, constraint.func, constraint.jac
        self.inner = selected_spec(spec, selection)

    def __call__(self, x: Vector) -> Vector:
        return self._output(x)[1]

    def _output(self, x: Vector) -> tuple[TreeSpec, Vector]:
        where = self.selection.where
        try:
            output = self.func(self.selector(self.spec.unravel(x)))
        except Exception as error:
            raise FunctionError(f"{where}: func raised {type(error).__name__}: {error}") from error
        outer = self.spec.like(output)
        try:
            values = outer.ravel(output)
        except TesseraError as error:
            raise FunctionError(f"{where}: func returns what holds no numbers: {error}") from error
        if not np.isfinite(values).all():
            names = name_positions(outer, np.flatnonzero(~np.isfinite(values)))
            raise FunctionError(f"{where}: func is not finite at {names}; return finite numbers, or add bounds.")
        return outer, values

    def jacobian(self, x: Vector) -> Vector:
        """The derivative by all parameters, (m, n)."""
        outer, values = self._output(x)
        positions = self.selection.positions
        full = np.zeros((len(values), len(x)))
        full[:, positions] = self._numerical(x, values) if self.jac is None else self._given(x, outer)
        return full

    def _numerical(self, x: Vector, values: Vector) -> Vector:
        from tessera.pytree.derivatives.differences import jacobian

        def inner(selected: Vector) -> Vector:
            moved = x.copy()
            moved[self.selection.positions] = selected
            return self(moved)

        return jacobian(inner, x[self.selection.positions], f0=values)[0]

    def _given(self, x: Vector, outer: TreeSpec) -> Vector:
        from tessera.pytree.blocks import blocks_to_matrix

        where, wanted = self.selection.where, (outer.size, self.inner.size)
        assert self.jac is not None
        try:
            derivative = self.jac(self.selector(self.spec.unravel(x)))
        except Exception as error:
            raise DerivativeError(f"{where}: jac raised {type(error).__name__}: {error}") from error
        if isinstance(derivative, np.ndarray) and derivative.shape == wanted:
            return derivative
        try:
            return blocks_to_matrix(derivative, outer, self.inner)
        except StructureError as error:
            raise DerivativeError(
                f"{where}: jac returns neither a matrix {wanted} nor the blocks of first_derivative: {error}"
            ) from error
