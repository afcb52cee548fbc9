"""Derivatives of a criterion that the user supplies as trees, as flat gradients and Jacobians, by path and label.

A derivative has the structure that `first_derivative` (or JAX) gives: for a number, a tree like the parameters; for
`contributions` and `root_contributions`, a tree like them of trees like the parameters. It comes from

- `jac`, a function of the parameters: the derivative of the entry that the solver uses (`value`, or
  `root_contributions` for least squares), or of the whole dict that the criterion returns, entry by entry;
- `jac`, a dict of such functions by entry;
- `fun_and_jac`, which returns the output of the criterion and that derivative.

With c the contributions and r the root contributions, d value = sum dc = 2 r' dr where d value itself is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import DerivativeError, StructureError
from tessera.pytree.optimisation.criterion import KEYS, Criterion
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.transforms import Vector

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec


class CriterionDerivative:
    """The user's derivative of a criterion, read.

    Args:
        jac: a function, or a dict of functions by entry; None where `fun_and_jac` brings the derivatives.
        kwargs: further keyword arguments of the functions.
        spec: structure of the parameters.
        criterion: reads the outputs that derivatives of contributions refer to.
        least_squares: whether the solver needs the Jacobian of the root contributions.
    """

    def __init__(
        self,
        jac: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None,
        kwargs: Mapping[str, Any] | None,
        *,
        spec: TreeSpec,
        criterion: Criterion,
        least_squares: bool,
    ) -> None:
        self._kwargs, self._spec, self._criterion = dict(kwargs or {}), spec, criterion
        self._primary = "root_contributions" if least_squares else "value"
        self._jac = _best_entry(jac, self._primary) if isinstance(jac, Mapping) else jac
        for function in self._jac.values() if isinstance(self._jac, Mapping) else [self._jac]:
            if function is not None and not callable(function):
                raise DerivativeError(f"jac is a {type(function).__name__}; give a function, or a dict of functions.")

    def __call__(self, params: Any) -> Any:
        """Call the user's function: a derivative for `gradient` or `jacobian`."""
        try:
            if isinstance(self._jac, Mapping):
                return {key: function(params, **self._kwargs) for key, function in self._jac.items()}
            assert self._jac is not None
            return self._jac(params, **self._kwargs)
        except Exception as error:
            raise DerivativeError(f"jac raised {type(error).__name__}: {error}") from error

    def gradient(self, derivative: Any, output: Any) -> Vector:
        """The gradient of the value (n,), with the user's sign.

        Args:
            derivative: as the user's function returned it.
            output: of the criterion at the same parameters.

        Raises:
            DerivativeError: where the structure is not that of the parameters (and contributions), or for NaN; names
                the paths.
        """
        key, tree = self._entry(derivative, output)
        if key == "value":
            gradient = self._ravel(tree)
        else:
            matrix = self._matrix(key, tree, output)
            entries = self._criterion.entries(output)
            weights = np.ones(len(matrix))
            if key == "root_contributions":
                weights = 2.0 * self._criterion.spec_of(key, entries[key]).ravel(entries[key])
            gradient = weights @ matrix
        self._check_finite(gradient)
        return gradient

    def jacobian(self, derivative: Any, output: Any) -> Vector:
        """The Jacobian of the root contributions (m, n); arguments and errors as for `gradient`."""
        key, tree = self._entry(derivative, output)
        matrix = self._matrix(key, tree, output)
        self._check_finite(matrix.sum(axis=0))
        return matrix

    def _entry(self, derivative: Any, output: Any) -> tuple[str, Any]:
        """Which entry of the criterion a derivative is of."""
        by_entry = isinstance(self._jac, Mapping) or (
            isinstance(derivative, Mapping)
            and isinstance(output, Mapping)
            and any(key in derivative for key in KEYS)
            and set(derivative) <= set(output)
        )
        if not by_entry:
            return self._primary, derivative
        for key in _usable(self._primary):
            if key in derivative:
                return key, derivative[key]
        raise DerivativeError(
            f"the derivative has the entries {', '.join(map(str, derivative))}; this solver needs that of "
            f"{' or '.join(_usable(self._primary))}."
        )

    def _ravel(self, tree: Any) -> Vector:
        try:
            return self._spec.ravel(tree)
        except StructureError as error:
            try:
                # Where the parameters hold frames, the blocks of a number are Series or arrays of other kinds.
                return self._as_blocks(tree)
            except StructureError:
                raise DerivativeError(
                    f"the derivative of value does not have the structure of the parameters: {error} Return a tree "
                    'like them; for derivatives of other entries give jac={"root_contributions": function}.'
                ) from error

    def _as_blocks(self, tree: Any) -> Vector:
        from tessera.pytree.blocks import blocks_to_matrix

        return blocks_to_matrix(tree, self._spec.like(0.0), self._spec)[0]

    def _matrix(self, key: str, tree: Any, output: Any) -> Vector:
        from tessera.pytree.blocks import blocks_to_matrix

        entries = self._criterion.entries(output)
        if key not in entries:
            raise DerivativeError(f"jac is the derivative of {key}, which the criterion does not return.")
        outer = self._criterion.spec_of(key, entries[key])
        try:
            return blocks_to_matrix(tree, outer, self._spec)
        except StructureError as error:
            raise DerivativeError(
                f"the derivative of {key} does not have the blocks of first_derivative (a tree like {key} of trees "
                f"like the parameters): {error}"
            ) from error

    def _check_finite(self, gradient: Vector) -> None:
        # The sum is cheap, and finite unless something is not (or it overflows, which the second look tells apart).
        if np.isfinite(gradient.sum()):
            return
        broken = np.flatnonzero(~np.isfinite(gradient))
        if broken.size:
            raise DerivativeError(f"the derivative is not finite at {name_positions(self._spec, broken)}.")


def _usable(primary: str) -> tuple[str, ...]:
    """The entries whose derivative a solver can use, the best first."""
    return KEYS if primary == "value" else ("root_contributions",)


def _best_entry(jac: Mapping[str, Any], primary: str) -> dict[str, Any]:
    unknown = sorted(set(jac) - set(KEYS))
    usable = [key for key in _usable(primary) if key in jac]
    if unknown or not usable:
        raise DerivativeError(
            f"jac is a dict with the keys {', '.join(map(str, jac)) or 'none'}; wanted "
            f"{' or '.join(_usable(primary))}, as this solver uses."
        )
    return {usable[0]: jac[usable[0]]}
