"""`minimize` and `maximize`: a criterion of a tree of parameters, handed to a solver of flat vectors and back.

Puts together bounds, constraints (`space`), the user's functions (`criterion`, `criterion_derivative`, `problem`) and a
solver (`algorithms`). Computes nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tessera.errors import BoundsError, ConfigError, ConstraintError
from tessera.pytree.bounds import resolve_bounds
from tessera.pytree.optimisation.algorithms import Algorithm, get_algorithm, names_taking, run_solver
from tessera.pytree.optimisation.criterion import Criterion
from tessera.pytree.optimisation.criterion_derivative import CriterionDerivative
from tessera.pytree.optimisation.history import X_BUDGET, Direction, History
from tessera.pytree.optimisation.optimize_result import OptimizeResult
from tessera.pytree.optimisation.problem import Problem
from tessera.pytree.spaces.space import Space, build_space
from tessera.pytree.tree import TreeSpec

__all__ = ["OptimizeResult", "maximize", "minimize"]

ErrorHandling = Literal["raise", "continue"]
_MISSING: Any = object()


def minimize(
    fun: Callable[..., Any] | None = None,
    params: Any = _MISSING,
    algorithm: str | Algorithm = "scipy_lbfgsb",
    *,
    jac: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
    fun_and_jac: Callable[..., Any] | None = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    fun_kwargs: Mapping[str, Any] | None = None,
    algo_options: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    error_handling: ErrorHandling = "raise",
    history: bool | Literal["full"] = True,
    params_registry: Mapping[Any, Mapping[str, Any]] | None = None,
    params_is_leaf: Callable[[Any], bool] | None = None,
    dashboard: str | Path | None = None,
    criterion: Callable[..., Any] | None = None,
) -> OptimizeResult:
    """Minimise a function of a tree of parameters.

    Args:
        fun: takes a tree like `params` and returns a number, or a dict with `value`, `contributions` and/or
            `root_contributions` (trees) and any further entries.
        params: start values; any tree of numbers, arrays, Series and DataFrames.
        algorithm: one of `algorithms.ALGORITHMS`, such as "scipy_lbfgsb" or, for least squares, "scipy_ls_trf".
        jac: closed-form derivative, a function or a dict of functions by entry (see `criterion_derivative`); None for
            numerical derivatives.
        fun_and_jac: returns what `fun` and `jac` return, in place of both.
        bounds: `Bounds`, `scipy.optimize.Bounds` or a pair for each number.
        lower_bounds, upper_bounds: trees, parts of trees or numbers (see `bounds`); bounds in value-frames count too.
        constraints: objects such as `Fixed(selector)` or dicts, one or several (see `constraints`).
        fun_kwargs: further keyword arguments of `fun`, `jac` and `fun_and_jac`.
        algo_options: options of the solver (see `algorithms`).
        numdiff_options: options of numerical derivatives: method, step_size, scaling_factor, min_steps, n_cores.
        error_handling: "raise", or "continue" to penalise points at which `fun` raises or is not finite.
        history: True keeps value and time of every evaluation, and parameters up to 48 MB (see `history`); "full" keeps
            all parameters; False none.
        params_registry, params_is_leaf: what is a container in `params` and in outputs (see `registry`).
        dashboard: an HTML file that is written every few seconds and at the end.
        criterion: another name of `fun`.

    Returns:
        The solution, as a tree, with the output of `fun` there.

    Raises:
        FunctionError: where `fun` raises, or returns wrong keys, another structure or NaN.
        DerivativeError: where a derivative does not fit the parameters; names the paths.
        BoundsError: for bounds that match nothing, cross, or exclude the start.
        ConstraintError: for constraints that cannot be honoured, an infeasible start, or a selector that fails.
        StructureError: for parameters that hold no numbers; names the paths.
        ConfigError: for an unknown algorithm or option.
    """
    arguments = {key: value for key, value in locals().items() if key not in {"fun", "criterion"}}
    return _optimize(_one_function(fun, criterion, fun_and_jac), "minimize", **arguments)


def maximize(
    fun: Callable[..., Any] | None = None,
    params: Any = _MISSING,
    algorithm: str | Algorithm = "scipy_lbfgsb",
    *,
    jac: Callable[..., Any] | Mapping[str, Callable[..., Any]] | None = None,
    fun_and_jac: Callable[..., Any] | None = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    fun_kwargs: Mapping[str, Any] | None = None,
    algo_options: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    error_handling: ErrorHandling = "raise",
    history: bool | Literal["full"] = True,
    params_registry: Mapping[Any, Mapping[str, Any]] | None = None,
    params_is_leaf: Callable[[Any], bool] | None = None,
    dashboard: str | Path | None = None,
    criterion: Callable[..., Any] | None = None,
) -> OptimizeResult:
    """Maximise a function of a tree of parameters. As `minimize`; values and derivatives keep the user's sign."""
    arguments = {key: value for key, value in locals().items() if key not in {"fun", "criterion"}}
    return _optimize(_one_function(fun, criterion, fun_and_jac), "maximize", **arguments)


def _one_function(fun: Any, criterion: Any, fun_and_jac: Any) -> Callable[..., Any] | None:
    if fun is not None and criterion is not None:
        raise ConfigError("both fun and criterion are given; they are two names for one argument.")
    fun = criterion if fun is None else fun
    if fun is None and fun_and_jac is None:
        raise ConfigError("no function to optimise; give fun, or fun_and_jac.")
    for given in (fun, fun_and_jac):
        if given is not None and not callable(given):
            raise ConfigError(f"the criterion is a {type(given).__name__}; give a function of the parameters.")
    return fun


def _optimize(
    fun: Callable[..., Any] | None,
    direction: Direction,
    *,
    params: Any,
    algorithm: str | Algorithm,
    jac: Any,
    fun_and_jac: Callable[..., Any] | None,
    bounds: Any,
    lower_bounds: Any,
    upper_bounds: Any,
    constraints: Any,
    fun_kwargs: Mapping[str, Any] | None,
    algo_options: Mapping[str, Any] | None,
    numdiff_options: Mapping[str, Any] | None,
    error_handling: str,
    history: bool | str,
    params_registry: Any,
    params_is_leaf: Any,
    dashboard: str | Path | None,
) -> OptimizeResult:
    solver = get_algorithm(algorithm)
    _check_arguments(params, solver, direction, error_handling, history)
    leaves, spec = TreeSpec.flatten(params, registry=params_registry, is_leaf=params_is_leaf)
    lower, upper = resolve_bounds(spec, bounds, lower_bounds, upper_bounds)
    space = build_space(
        spec,
        spec.ravel_leaves(leaves),
        lower,
        upper,
        constraints,
        linear=solver.linear,
        nonlinear=solver.nonlinear,
        algorithm=solver.name,
    )
    _check_space(space, solver)
    # A dashboard draws the paths of parameters, so it needs some of them.
    budget = {True: X_BUDGET, False: 0 if dashboard is None else X_BUDGET, "full": np.inf}[history]
    record = History(spec, direction, budget, solver.name)
    reader, closed_form = _readers(fun, jac, fun_and_jac, fun_kwargs, space, solver, direction)
    both = None if fun_and_jac is None else _bind(fun_and_jac, fun_kwargs)
    page = None if dashboard is None else Path(dashboard)
    keep_going = error_handling == "continue"
    problem = Problem(space, reader, closed_form, both, record, numdiff_options, keep_going=keep_going, dashboard=page)
    return _run(problem, solver, algo_options or {})


def _run(problem: Problem, solver: Algorithm, options: Mapping[str, Any]) -> OptimizeResult:
    space = problem.space
    squares = solver.kind == "least_squares"
    # The first evaluation tells the structure of the output, and that the start can be used at all.
    z0 = space.start_internal
    (problem.residuals if squares else problem.value)(z0)
    outcome = run_solver(
        solver,
        problem.residuals if squares else problem.value,
        (problem.jacobian if squares else problem.gradient) if solver.gradient else None,
        z0,
        (space.lower, space.upper),
        space.solver_constraints,
        options,
    )
    z = np.clip(outcome.z, space.lower, space.upper)
    final = problem.evaluate_final(z)
    assert problem.start is not None
    x = np.array(space.to_external(z))
    result = OptimizeResult(
        spec=space.spec,
        space=space,
        x=x,
        fun=final.value,
        fun_output=final.output,
        start_x=space.start,
        start_fun=problem.start[1].value,
        success=outcome.success,
        message=outcome.message,
        algorithm=solver.name,
        direction=problem.history.direction,
        n_fun_evals=problem.n_fun_evals,
        n_jac_evals=problem.n_jac_evals,
        n_failures=problem.n_failures,
        n_iterations=outcome.n_iterations,
        history=problem.history,
        _gradient=partial(problem.external_gradient, output=final.output),
    )
    if problem.dashboard is not None:
        from tessera.pytree.dashboard import write_dashboard

        write_dashboard(result, problem.dashboard)
    return result


def _readers(
    fun: Callable[..., Any] | None,
    jac: Any,
    fun_and_jac: Any,
    fun_kwargs: Mapping[str, Any] | None,
    space: Space,
    solver: Algorithm,
    direction: Direction,
) -> tuple[Criterion, CriterionDerivative | None]:
    squares = solver.kind == "least_squares"
    worst = np.inf if direction == "minimize" else -np.inf
    if fun is None:
        fun = _first(fun_and_jac)
    reader = Criterion(
        fun,
        fun_kwargs,
        algorithm=solver.name,
        least_squares=squares,
        like=space.spec,
        infinite=worst if solver.infinite else None,
    )
    if not solver.gradient or (jac is None and fun_and_jac is None):
        return reader, None
    closed_form = CriterionDerivative(
        None if fun_and_jac is not None else jac,
        fun_kwargs,
        spec=space.spec,
        criterion=reader,
        least_squares=squares,
    )
    return reader, closed_form


def _first(fun_and_jac: Callable[..., Any]) -> Callable[..., Any]:
    def fun(params: Any, **kwargs: Any) -> Any:
        return fun_and_jac(params, **kwargs)[0]

    return fun


def _bind(function: Callable[..., Any], kwargs: Mapping[str, Any] | None) -> Callable[[Any], Any]:
    bound = dict(kwargs or {})
    return lambda params: function(params, **bound)


def _check_arguments(params: Any, solver: Algorithm, direction: str, error_handling: Any, history: Any) -> None:
    if params is _MISSING:
        raise ConfigError("params is missing: give the start values.")
    if direction == "maximize" and solver.kind == "least_squares":
        raise ConfigError(
            f"{solver.name} minimises a sum of squares and cannot maximise. Use minimize, or a scalar algorithm."
        )
    if error_handling not in {"raise", "continue"}:
        raise ConfigError(f"error_handling is {error_handling!r}; wanted 'raise' or 'continue'.")
    if not (isinstance(history, bool) or history == "full"):
        raise ConfigError(f"history is {history!r}; wanted True, False or 'full'.")


def _check_space(space: Space, solver: Algorithm) -> None:
    """Refuse what the solver would silently ignore."""
    low, high = np.isfinite(space.lower), np.isfinite(space.upper)
    if not solver.bounds and (low.any() or high.any()):
        kind = "bounds" if not space.transforms else "constraints that make bounds on internal parameters"
        error = BoundsError if not space.transforms else ConstraintError
        raise error(
            f"{solver.name} takes no bounds, and there are {kind}. Use one of {names_taking('bounds', solver.kind)}."
        )
    if solver.finite_bounds and not (low & high).all():
        open_ = np.flatnonzero(~(low & high))
        raise BoundsError(
            f"{solver.name} needs finite bounds on both sides; {len(open_)} of {len(low)} parameters have none. "
            "Give lower_bounds and upper_bounds, or use another algorithm."
        )
