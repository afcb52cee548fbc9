"""The point at which an estimate is judged: parameters as external vector x, internal z, and the free directions there.

    x = T(z),  z free within bounds but for equality constraints that a solver holds, whose tangent directions are N.

P free directions, N external parameters. Derivatives are taken by z, so that every evaluation obeys the constraints
worked into the space, and multiplied with N. Inequalities that bind are treated as if they did not (standard errors on
a boundary are no normal ones anyway). Holds no moments and no likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tessera.errors import DerivativeError, InferenceError
from tessera.pytree.bounds import resolve_bounds
from tessera.pytree.derivatives import differences
from tessera.pytree.estimation.inference import ParameterMap
from tessera.pytree.estimation.symmetric import FloatArray
from tessera.pytree.spaces.places import name_position
from tessera.pytree.spaces.space import Space, build_space
from tessera.pytree.tree import Registry, TreeSpec
from tessera.pytree.trees.containers import IsLeaf

TreeFunction = Callable[[Any], Any]
_DEFAULT_ALGORITHM = "scipy_lbfgsb"
_NUMDIFF_OPTIONS = ("method", "step_size", "scaling_factor", "min_steps", "n_cores", "error_handling")


@dataclass(frozen=True, eq=False)
class EstimationPoint:
    """Parameters with their space; made by `EstimationPoint.of`.

    Attributes:
        spec: structure of the parameters.
        space: external as a function of internal parameters.
        z: (n_internal,).
        x: (n_external,).
    """

    spec: TreeSpec
    space: Space
    z: FloatArray
    x: FloatArray

    @classmethod
    def of(
        cls,
        params: Any,
        *,
        bounds: Any = None,
        lower_bounds: Any = None,
        upper_bounds: Any = None,
        constraints: Any = (),
        registry: Registry | None = None,
        is_leaf: IsLeaf | None = None,
    ) -> EstimationPoint:
        """The point of some parameters; arguments and errors as in `minimize`.

        Raises:
            InferenceError: if the constraints leave nothing to estimate.
        """
        spec = TreeSpec.of(params, registry=registry, is_leaf=is_leaf)
        lower, upper = resolve_bounds(spec, bounds, lower_bounds, upper_bounds)
        x = spec.ravel(params)
        space = build_space(spec, x, lower, upper, constraints, algorithm="inference")
        if space.n_internal == 0:
            raise InferenceError("all parameters are fixed, so there is nothing to estimate; free some of them.")
        return cls(spec, space, space.start_internal, space.start)

    @classmethod
    def of_result(cls, result: Any) -> EstimationPoint:
        """The point at which an optimisation (`OptimizeResult`) ended."""
        return cls(result.spec, result.space, result.space.to_internal(result.x), result.x)

    @property
    def params(self) -> Any:
        """The parameters as a tree."""
        return self.spec.unravel(self.x)

    @cached_property
    def parameters(self) -> ParameterMap:
        """How the external parameters follow the free directions."""
        jacobian = self.space.jacobian(self.z)
        if self._tangent is not None:
            jacobian = jacobian @ self._tangent
        return ParameterMap(jacobian, self.spec.index("flat"))

    def pull_back(self, derivative: FloatArray) -> FloatArray:
        """Derivatives by the free directions, (m, P), from derivatives by the external parameters, (m, N)."""
        return self._along(np.asarray(self.space.pull_back(self.z, derivative)))

    def jacobian(
        self, function: TreeFunction, value: FloatArray, output_labels: Any, options: Mapping[str, Any] | None
    ) -> FloatArray:
        """Numerical derivatives of a function of the parameters by the free directions, (m, P).

        Args:
            function: takes the parameters as a tree and returns (m,).
            value: (m,), the function at the point.
            output_labels: index of length m that names the outputs in messages.
            options: of `differences.jacobian`: method, step_size, scaling_factor, min_steps, n_cores, error_handling.
        """
        matrix, _ = differences.jacobian(
            self._of_internal(function),
            self.z,
            lower=self.space.lower,
            upper=self.space.upper,
            f0=value,
            describe=self._describe,
            describe_output=lambda number: str(output_labels[number]),
            **_checked(options),
        )
        return self._along(matrix)

    def hessian(self, function: TreeFunction, value: float, options: Mapping[str, Any] | None) -> FloatArray:
        """Numerical second derivatives of a number by the free directions, (P, P); arguments as in `jacobian`."""
        allowed = {name: option for name, option in _checked(options).items() if name != "method"}
        matrix, _ = differences.hessian(
            self._of_internal(function),
            self.z,
            lower=self.space.lower,
            upper=self.space.upper,
            f0=value,
            describe=self._describe,
            **allowed,
        )
        return self._curved(matrix)

    def hessian_from_external(self, hessian: FloatArray, gradient: FloatArray) -> FloatArray:
        """Second derivatives by the free directions, (P, P), from those by the external parameters.

        Args:
            hessian: (N, N).
            gradient: (N,) first derivatives; they matter where x is a curved function of z.
        """
        half = np.asarray(self.space.pull_back(self.z, hessian))
        matrix = np.asarray(self.space.pull_back(self.z, half.T))
        if not self.space.is_identity:
            bend, _ = differences.jacobian(
                lambda z: self.space.pull_back(z, gradient), self.z, lower=self.space.lower, upper=self.space.upper
            )
            matrix = matrix + 0.5 * (bend + bend.T)
        return self._curved(matrix, np.asarray(self.space.pull_back(self.z, gradient)))

    def _of_internal(self, function: TreeFunction) -> Callable[[FloatArray], Any]:
        return lambda z: function(self.spec.unravel(self.space.to_external(z)))

    def _along(self, matrix: FloatArray) -> FloatArray:
        return matrix if self._tangent is None else matrix @ self._tangent

    def _curved(self, matrix: FloatArray, gradient: FloatArray | None = None) -> FloatArray:
        """A second derivative by z along the free directions. Curved equality constraints are refused."""
        if self._tangent is None:
            return matrix
        if any(not _is_linear(constraint) for constraint in self.space.solver_constraints):
            raise InferenceError(
                "standard errors from a Hessian are not available under nonlinear equality constraints; use "
                'hessian=False and the method "jacobian".'
            )
        return np.asarray(self._tangent.T @ matrix @ self._tangent)

    @cached_property
    def _tangent(self) -> FloatArray | None:
        """Directions of z (n_internal, P) along which equality constraints of the solver keep holding, or None."""
        slopes = [slope for constraint in self.space.solver_constraints for slope in _equalities(constraint, self.z)]
        if not slopes:
            return None
        from scipy.linalg import null_space

        tangent = null_space(np.vstack(slopes))
        if tangent.shape[1] == 0:
            raise InferenceError("the equality constraints determine all parameters; there is nothing to estimate.")
        return np.asarray(tangent)

    def _describe(self, number: int) -> str:
        """The name of the first external parameter that an internal one moves."""
        if self.space.is_identity:
            return name_position(self.spec, number)
        moved = self.space.jacobian(self.z).tocsc()[:, [number]].nonzero()[0]
        return name_position(self.spec, int(moved[0])) if len(moved) else f"internal parameter {number}"


def _is_linear(constraint: Any) -> bool:
    return hasattr(constraint, "A") or not (np.asarray(constraint.lb) == np.asarray(constraint.ub)).any()


def _equalities(constraint: Any, z: FloatArray) -> list[FloatArray]:
    """The derivatives by z of the equalities in one of scipy's constraint objects."""
    slope = constraint.A if hasattr(constraint, "A") else constraint.jac(z)
    slope = np.atleast_2d(slope.toarray() if hasattr(slope, "toarray") else np.asarray(slope))
    equal = np.broadcast_to(np.asarray(constraint.lb) == np.asarray(constraint.ub), (len(slope),))
    return [slope[equal]] if equal.any() else []


def _checked(options: Mapping[str, Any] | None) -> dict[str, Any]:
    unknown = sorted(set(options or {}) - set(_NUMDIFF_OPTIONS))
    if unknown:
        raise DerivativeError(f"numdiff_options has {unknown}; the options are {', '.join(_NUMDIFF_OPTIONS)}.")
    return dict(options or {})


def optimize_options_of(optimize_options: str | Mapping[str, Any] | bool | None) -> dict[str, Any] | None:
    """Arguments of `minimize` or `maximize` from what the user gives; None for False, where nothing is optimised."""
    if optimize_options is False:
        return None
    if isinstance(optimize_options, str):
        return {"algorithm": optimize_options}
    given = optimize_options if isinstance(optimize_options, Mapping) else {}
    return {"algorithm": _DEFAULT_ALGORITHM, **given}
