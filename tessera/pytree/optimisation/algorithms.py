"""The solvers: what each takes, and how its options are called. Runs scipy's `minimize`, `least_squares` and
`differential_evolution`; knows no trees.

Options are scipy's own, or these names that mean the same for every solver: `stopping_maxiter`, `stopping_maxfun`,
`convergence_ftol_rel`, `convergence_gtol_abs`, `convergence_xtol_rel` (dots for underscores after the first word too).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tessera.errors import ConfigError
from tessera.pytree.spaces.transforms import Vector

Kind = Literal["scalar", "least_squares"]


@dataclass(frozen=True)
class Algorithm:
    """A solver and what it takes.

    Attributes:
        name: as given to `minimize`.
        method: what scipy calls it.
        kind: "scalar" minimises a number; "least_squares" the sum of squares of the root contributions.
        gradient: whether it uses first derivatives.
        bounds: whether it takes bounds.
        linear, nonlinear: whether it takes such constraints.
        finite_bounds: whether it needs bounds on both sides of every parameter.
        infinite: whether it copes with values of plus infinity.
        options: common names of options and what this solver calls them.
    """

    name: str
    method: str
    kind: Kind = "scalar"
    gradient: bool = True
    bounds: bool = True
    linear: bool = False
    nonlinear: bool = False
    finite_bounds: bool = False
    infinite: bool = False
    options: Mapping[str, str] = field(default_factory=dict)


_ITER = {"stopping_maxiter": "maxiter"}
_FUN = {"stopping_maxfun": "maxfev"}
_GTOL = {"convergence_gtol_abs": "gtol"}
_LS = {
    "stopping_maxfun": "max_nfev",
    "convergence_ftol_rel": "ftol",
    "convergence_xtol_rel": "xtol",
    "convergence_gtol_abs": "gtol",
}
_ALL = (
    Algorithm(
        "scipy_lbfgsb",
        "L-BFGS-B",
        options={**_ITER, **_GTOL, "stopping_maxfun": "maxfun", "convergence_ftol_rel": "ftol"},
    ),
    Algorithm("scipy_slsqp", "SLSQP", linear=True, nonlinear=True, options={**_ITER, "convergence_ftol_abs": "ftol"}),
    Algorithm(
        "scipy_neldermead",
        "Nelder-Mead",
        gradient=False,
        infinite=True,
        options={**_ITER, **_FUN, "convergence_xtol_abs": "xatol", "convergence_ftol_abs": "fatol"},
    ),
    Algorithm(
        "scipy_powell",
        "Powell",
        gradient=False,
        infinite=True,
        options={**_ITER, **_FUN, "convergence_xtol_rel": "xtol", "convergence_ftol_rel": "ftol"},
    ),
    Algorithm("scipy_bfgs", "BFGS", bounds=False, options={**_ITER, **_GTOL, "convergence_xtol_rel": "xrtol"}),
    Algorithm("scipy_conjugate_gradient", "CG", bounds=False, options={**_ITER, **_GTOL}),
    Algorithm("scipy_newton_cg", "Newton-CG", bounds=False, options={**_ITER, "convergence_xtol_rel": "xtol"}),
    Algorithm(
        "scipy_truncated_newton",
        "TNC",
        options={
            **_GTOL,
            "stopping_maxfun": "maxfun",
            "convergence_ftol_abs": "ftol",
            "convergence_xtol_abs": "xtol",
        },
    ),
    Algorithm(
        "scipy_trust_constr",
        "trust-constr",
        linear=True,
        nonlinear=True,
        options={**_ITER, **_GTOL, "convergence_xtol_rel": "xtol"},
    ),
    Algorithm("scipy_cobyla", "COBYLA", gradient=False, linear=True, nonlinear=True, options=_ITER),
    Algorithm(
        "scipy_cobyqa",
        "COBYQA",
        gradient=False,
        linear=True,
        nonlinear=True,
        options={**_ITER, **_FUN},
    ),
    Algorithm("scipy_ls_trf", "trf", kind="least_squares", options=_LS),
    Algorithm("scipy_ls_dogbox", "dogbox", kind="least_squares", options=_LS),
    Algorithm("scipy_ls_lm", "lm", kind="least_squares", bounds=False, options=_LS),
    Algorithm(
        "scipy_differential_evolution",
        "differential_evolution",
        gradient=False,
        linear=True,
        nonlinear=True,
        finite_bounds=True,
        infinite=True,
        options={**_ITER, "convergence_ftol_rel": "tol", "convergence_ftol_abs": "atol"},
    ),
)
ALGORITHMS: dict[str, Algorithm] = {algorithm.name: algorithm for algorithm in _ALL}


def get_algorithm(name: Any) -> Algorithm:
    """The solver of a name: ours (`scipy_lbfgsb`), without its prefix, or scipy's (`L-BFGS-B`)."""
    if isinstance(name, Algorithm):
        return name
    if isinstance(name, str):
        for algorithm in _ALL:
            short = algorithm.name.removeprefix("scipy_")
            if name == algorithm.name or name.lower() in {short, algorithm.method.lower()}:
                return algorithm
    raise ConfigError(f"there is no algorithm {name!r}; the algorithms are {', '.join(ALGORITHMS)}.")


def names_taking(what: Literal["bounds", "linear", "nonlinear"], kind: Kind | None = None) -> str:
    """The names of the solvers that take bounds or constraints, for messages."""
    return ", ".join(a.name for a in _ALL if getattr(a, what) and kind in {None, a.kind})


@dataclass(frozen=True)
class Outcome:
    """What a solver returns: the solution (n,), whether it converged, its message, its count of iterations, or None."""

    z: Vector
    success: bool
    message: str
    n_iterations: int | None


def run_solver(
    algorithm: Algorithm,
    fun: Callable[[Vector], Any],
    jac: Callable[[Vector], Vector] | None,
    z: Vector,
    bounds: tuple[Vector, Vector],
    constraints: list[Any],
    options: Mapping[str, Any],
) -> Outcome:
    """Run a solver.

    Args:
        algorithm: the solver.
        fun: from z (n,) to a float, or to the residuals (m,) for a solver of least squares.
        jac: the gradient (n,), or the Jacobian (m, n); None for a solver without derivatives.
        z: (n,) the start.
        bounds: lower and upper, each (n,).
        constraints: scipy's constraint objects.
        options: of the solver, scipy's names or the common ones.
    """
    from scipy.optimize import OptimizeWarning

    named = {algorithm.options.get(_plain(key), key): value for key, value in options.items()}
    if not len(z):
        fun(z)
        return Outcome(z, True, "there are no free parameters", 0)
    with warnings.catch_warnings():
        # scipy warns of an option that it does not know and goes on without it; that is an error of the caller.
        warnings.filterwarnings("error", message="Unknown solver options", category=OptimizeWarning)
        try:
            if algorithm.kind == "least_squares":
                return _least_squares(algorithm, fun, jac, z, bounds, named)
            if algorithm.finite_bounds:
                return _differential_evolution(fun, z, bounds, constraints, named)
            return _minimize(algorithm, fun, jac, z, bounds, constraints, named)
        except OptimizeWarning as warning:
            if "Unknown solver options" not in str(warning):
                raise
            unknown = str(warning).partition(":")[2].strip()
            raise ConfigError(f"{algorithm.name} has no option {unknown}; see scipy's {algorithm.method}.") from None


def _plain(key: str) -> str:
    return key.replace(".", "_")


def _minimize(
    algorithm: Algorithm,
    fun: Callable[[Vector], Any],
    jac: Callable[[Vector], Vector] | None,
    z: Vector,
    bounds: tuple[Vector, Vector],
    constraints: list[Any],
    options: dict[str, Any],
) -> Outcome:
    from scipy.optimize import Bounds, minimize

    tol = options.pop("tol", None)
    bounded = np.isfinite(bounds[0]).any() or np.isfinite(bounds[1]).any()
    found = minimize(
        fun,
        z,
        method=algorithm.method,
        jac=jac if algorithm.gradient else None,
        bounds=Bounds(*bounds) if bounded else None,
        constraints=constraints if algorithm.linear else (),
        tol=tol,
        options=options,
    )
    return _outcome(found, found.get("nit"))


def _least_squares(
    algorithm: Algorithm,
    fun: Callable[[Vector], Any],
    jac: Callable[[Vector], Vector] | None,
    z: Vector,
    bounds: tuple[Vector, Vector],
    options: dict[str, Any],
) -> Outcome:
    from scipy.optimize import least_squares

    found = _known(least_squares, algorithm)(
        fun, z, jac=jac, bounds=bounds if algorithm.bounds else (-np.inf, np.inf), method=algorithm.method, **options
    )
    return _outcome(found, found.get("njev"))


def _differential_evolution(
    fun: Callable[[Vector], Any],
    z: Vector,
    bounds: tuple[Vector, Vector],
    constraints: list[Any],
    options: dict[str, Any],
) -> Outcome:
    from scipy.optimize import Bounds, differential_evolution

    # Workers would count evaluations and keep history in processes of their own.
    options = {"polish": False, "x0": z, **options, "workers": 1}
    solver = _known(differential_evolution, get_algorithm("scipy_differential_evolution"))
    found = solver(fun, Bounds(*bounds), constraints=tuple(constraints), **options)
    return _outcome(found, found.get("nit"))


def _known(function: Callable[..., Any], algorithm: Algorithm) -> Callable[..., Any]:
    """The function, with a clear error for options that are no arguments of it."""
    from inspect import signature

    known = signature(function).parameters

    def call(*args: Any, **kwargs: Any) -> Any:
        unknown = sorted(set(kwargs) - set(known))
        if unknown:
            raise ConfigError(f"{algorithm.name} has no option {', '.join(unknown)}; see scipy's {algorithm.method}.")
        return function(*args, **kwargs)

    return call


def _outcome(found: Any, iterations: Any) -> Outcome:
    message = found.message.decode() if isinstance(found.message, bytes) else str(found.message)
    count = None if iterations is None else int(iterations)
    return Outcome(np.array(found.x, dtype=np.float64), bool(found.success), message, count)
