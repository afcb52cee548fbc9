"""Jacobians and Hessians of functions of a flat vector, by finite differences that respect bounds. Knows no trees.

With points at distances d1 and d2 from x (of either sign), f1 and f2 the values there and f0 the value at x,

    f'(x)  = w1 (f1 - f0) + w2 (f2 - f0),   w1 = d2 / (d1 (d2 - d1)),   w2 = -d1 / (d2 (d2 - d1)),

which is (f1 - f2) / (d1 - d2) for points on both sides and the three-point formula for points on one side. Both have an
error of order step^2. A Hessian takes, for parameters with room on both sides,

    H_ii = 2 ((f1 - f0) / d1 - (f2 - f0) / d2) / (d1 - d2)
    H_ij = mean over (+, +) and (-, -) of (f_ij - f_i - f_j + f0) / (d_i d_j),

2 p + p (p - 1) evaluations and one at x: p^2 + p + 1. A parameter next to a bound takes one more evaluation for H_ii,
and two more for each of its H_ij (the product of two three-point formulas), so that its error is of order step^2 too.
Memory is a small multiple of the result.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tessera.errors import DerivativeError
from tessera.pytree.derivatives.evaluation import ErrorHandling, Evaluator, check_options, start_value
from tessera.pytree.derivatives.steps import (
    METHODS,
    Describe,
    Method,
    Steps,
    Vector,
    check_start,
    place_steps,
    points,
    refuse_unusable,
    step_sizes,
)

# How many steps a one-sided formula goes away from x.
_REACH = {"central": 2, "forward": 1, "backward": 1, "second": 3}
# Which two points of a pair of parameters are combined: both up and both down, or all of two one-sided stencils.
_TWO_CORNERS = np.array([[0, 0], [1, 1]])
_FOUR_CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
# Pairs of parameters evaluated at a time: what is held beside the result.
_PAIRS = 16_384


def jacobian(
    func: Callable[[Vector], Any],
    x: Any,
    *,
    method: Method = "central",
    lower: Any = -np.inf,
    upper: Any = np.inf,
    step_size: Any = None,
    scaling_factor: Any = 1.0,
    min_steps: Any = None,
    f0: Any = None,
    n_cores: int = 1,
    error_handling: ErrorHandling = "raise",
    describe: Describe | None = None,
    describe_output: Describe | None = None,
) -> tuple[Vector, int]:
    """The derivative of each output by each parameter, (m, n), and the number of evaluations it took.

    Args:
        func: takes a float64 vector (n,) and returns (m,) or a number (m = 1).
        x: (n,).
        method: "central" (2 n evaluations), or "forward" or "backward" (n, less exact); one more for `f0`.
        lower: lower bounds, a number or (n,); no point goes below them.
        upper: upper bounds.
        step_size: None for steps that suit double precision, else absolute steps, a number or (n,).
        scaling_factor: multiplies the steps.
        min_steps: smallest step that bounds may shrink a step to.
        f0: func(x), where it is known.
        n_cores: number of forked processes.
        error_handling: "raise" (and its synonym "raise_strict") stops at the first evaluation that fails or is not
            finite; "continue" uses the points that are left, one-sided, then NaN with a warning.
        describe: the name of a parameter, for messages.
        describe_output: the name of an output, for messages.

    Raises:
        FunctionError: where func fails; names the parameter that was stepped.
        BoundsError: where x is outside its bounds.
        DerivativeError: for steps and options that cannot be used.
    """
    if method not in METHODS:
        raise DerivativeError(f"method is {method!r}; it can be {', '.join(map(repr, METHODS))}.")
    bounds, sizing = (lower, upper), (step_size, scaling_factor, min_steps)
    setup = _prepare(func, x, method, bounds, sizing, f0, n_cores, error_handling, describe, describe_output)
    usable, reach = np.flatnonzero(setup.steps.usable), _REACH[method]
    values = setup.points(reach)[usable]
    distances = values - setup.x[usable, None]
    where = np.repeat(np.tile(usable, reach)[:, None], 2, axis=1)
    rows = setup.evaluator.rows(where, np.repeat(values.T.reshape(-1, 1), 2, axis=1))
    parts = rows.reshape(reach, usable.size, setup.start.size)
    if method == "central":
        all_central = not setup.steps.side.any() and not setup.evaluator.failures
        derivatives = _three_point(parts, setup.start, distances, all_central)
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            derivatives = (parts[0] - setup.start) / distances
    matrix = np.full((setup.start.size, setup.x.size), np.nan)
    matrix[:, usable] = derivatives.T
    setup.warn_of_missing(matrix)
    return matrix, setup.n_start + setup.evaluator.n_evals


def hessian(
    func: Callable[[Vector], Any],
    x: Any,
    *,
    lower: Any = -np.inf,
    upper: Any = np.inf,
    step_size: Any = None,
    scaling_factor: Any = 1.0,
    min_steps: Any = None,
    f0: Any = None,
    n_cores: int = 1,
    error_handling: ErrorHandling = "raise",
    describe: Describe | None = None,
    describe_output: Describe | None = None,
) -> tuple[Vector, int]:
    """The second derivatives, (p, p) for a func that returns a number and (m, p, p) for a vector, and the evaluations.

    Takes p^2 + p + 1 evaluations (one less with `f0`) where no bound is within a step of x. Exactly symmetric.
    Arguments and errors as in `jacobian`.
    """
    bounds, sizing = (lower, upper), (step_size, scaling_factor, min_steps)
    setup = _prepare(func, x, "second", bounds, sizing, f0, n_cores, error_handling, describe, describe_output)
    values = setup.points(_REACH["second"])
    grid = _Grid(values, values - setup.x[:, None], _single_steps(setup.evaluator, values), setup.start)
    result = np.full((setup.start.size, setup.x.size, setup.x.size), np.nan)
    diagonal = np.arange(setup.x.size)
    result[:, diagonal, diagonal] = _second_on_diagonal(grid, setup.steps.side).T
    _fill_mixed(result, setup.evaluator, grid, setup.steps)
    setup.warn_of_missing(result.max(axis=1))
    return (result[0] if setup.is_scalar else result), setup.n_start + setup.evaluator.n_evals


@dataclass(frozen=True)
class _Setup:
    """What a derivative starts from, checked: x, lower, upper (n,), the steps, and the value at x as (m,)."""

    x: Vector
    lower: Vector
    upper: Vector
    steps: Steps
    start: Vector
    is_scalar: bool
    n_start: int
    evaluator: Evaluator

    def points(self, reach: int) -> Vector:
        return points(self.x, self.lower, self.upper, self.steps, tuple(range(1, reach + 1)))

    def warn_of_missing(self, result: Vector) -> None:
        """Warn of parameters whose derivative is missing or rests on fewer points than wanted; `result` is (m, n)."""
        describe, failures = self.evaluator.describe, self.evaluator.failures
        missing = np.flatnonzero(~np.isfinite(result).all(axis=0)).tolist()
        less_exact = sorted(set(failures) - set(missing))
        parts = []
        if missing:
            parts.append(f"some derivatives by {_listed(missing, describe)} are not finite")
        if less_exact:
            parts.append(f"derivatives by {_listed(less_exact, describe)} are one-sided and less exact")
        if not self.steps.usable.all():
            parts.append("bounds leave some parameters no room for a step")
        if failures:
            parts.append(f"the first failure: {failures[min(failures)]}")
        if parts:
            warnings.warn("; ".join(parts) + ".", RuntimeWarning, stacklevel=3)


def _prepare(
    func: Callable[[Vector], Any],
    x: Any,
    kind: str,
    bounds: tuple[Any, Any],
    sizing: tuple[Any, Any, Any],
    f0: Any,
    n_cores: int,
    error_handling: ErrorHandling,
    describe: Describe | None,
    describe_output: Describe | None,
) -> _Setup:
    describe, describe_output = describe or "x[{}]".format, describe_output or "output {}".format
    check_options(error_handling, n_cores)
    vector = np.array(x, dtype=np.float64).reshape(-1)
    lower, upper = (np.broadcast_to(np.asarray(bound, dtype=np.float64), vector.shape) for bound in bounds)
    lower, upper = np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)
    check_start(vector, lower, upper, describe)
    step_size, scaling_factor, min_steps = sizing
    sizes = step_sizes(vector, kind, step_size, scaling_factor)
    steps = place_steps(vector, lower, upper, sizes, kind=kind, reach=_REACH[kind], min_steps=min_steps)
    if error_handling != "continue":
        refuse_unusable(steps, lower, upper, describe)
    base, n_start = start_value(func, vector, f0, describe_output, error_handling)
    start = base.reshape(-1)
    evaluator = Evaluator(func, vector, start.size, describe, describe_output, error_handling, n_cores)
    return _Setup(vector, lower, upper, steps, start, base.ndim == 0, n_start, evaluator)


def _three_point(parts: Vector, start: Vector, distances: Vector, all_central: bool) -> Vector:
    """First derivatives (n, m) from the values at two points of each parameter (2, n, m), at distances (n, 2)."""
    first, second = distances[:, :1], distances[:, 1:]
    if all_central:
        difference: Vector = parts[0]
        difference -= parts[1]
        difference /= first - second
        return difference
    with np.errstate(invalid="ignore", over="ignore"):
        near, far = (parts[0] - start), (parts[1] - start)
        both = np.sign(first) != np.sign(second)
        two_sided = (parts[0] - parts[1]) / (first - second)
        # The two are the same for equally long steps to both sides, but the first needs no value at the start.
        derivative = np.where(both, two_sided, near * (second / (first * (second - first))))
        derivative -= np.where(both, 0.0, far * (first / (second * (second - first))))
        for fallback in (near / first, far / second):
            derivative = np.where(np.isfinite(derivative), derivative, fallback)
    return derivative


@dataclass(frozen=True)
class _Grid:
    """The points (p, 3) of each parameter, their distances from x, the outputs there (p, 3, m) and at x (m,)."""

    values: Vector
    distances: Vector
    singles: Vector
    start: Vector


def _single_steps(evaluator: Evaluator, values: Vector) -> Vector:
    """The values (p, 3, m) where one parameter alone is stepped; NaN where it is not."""
    owner, column = np.nonzero(np.isfinite(values))
    stepped = values[owner, column]
    singles = np.full((*values.shape, evaluator.n_outputs), np.nan)
    singles[owner, column] = evaluator.rows(np.stack([owner, owner], axis=1), np.stack([stepped, stepped], axis=1))
    return singles


def _second_on_diagonal(grid: _Grid, side: NDArray[np.int8]) -> Vector:
    """Second derivatives (p, m) by one parameter twice."""
    one, two = grid.distances[:, :1], grid.distances[:, 1:2]
    first, second, third = grid.singles[:, 0], grid.singles[:, 1], grid.singles[:, 2]
    with np.errstate(invalid="ignore", over="ignore"):
        both = 2 * ((first - grid.start) / one - (second - grid.start) / two) / (one - two)
        aside = (2 * grid.start - 5 * first + 4 * second - third) / one**2
    result: Vector = np.where(side[:, None] == 0, both, aside)
    return result


def _fill_mixed(result: Vector, evaluator: Evaluator, grid: _Grid, steps: Steps) -> None:
    """Write the second derivatives by two different parameters into `result` (m, p, p), one set of pairs at a time."""
    first, second = np.triu_indices(len(grid.values), 1)
    possible = steps.usable[first] & steps.usable[second]
    one_sided = (steps.side[first] != 0) | (steps.side[second] != 0)
    for kind, corners in ((possible & ~one_sided, _TWO_CORNERS), (possible & one_sided, _FOUR_CORNERS)):
        chosen = np.flatnonzero(kind)
        for begin in range(0, chosen.size, _PAIRS):
            part = chosen[begin : begin + _PAIRS]
            i, j = first[part], second[part]
            mixed = _mixed(evaluator, grid, i, j, corners).T
            result[:, i, j] = mixed
            result[:, j, i] = mixed


def _mixed(
    evaluator: Evaluator, grid: _Grid, i: NDArray[np.intp], j: NDArray[np.intp], corners: NDArray[np.intp]
) -> Vector:
    """Second derivatives (pairs, m) by the parameters i and j, from the points of each at `corners` (number, 2)."""
    a, b = corners[:, 0], corners[:, 1]
    i_of, j_of = np.broadcast_to(i[:, None], (i.size, a.size)), np.broadcast_to(j[:, None], (i.size, a.size))
    where = np.stack([i_of, j_of], axis=-1).reshape(-1, 2)
    rows = evaluator.rows(where, np.stack([grid.values[i_of, a], grid.values[j_of, b]], axis=-1).reshape(-1, 2))
    estimates = rows.reshape(i.size, len(corners), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        for k in range(len(corners)):
            estimates[:, k] -= grid.singles[i, a[k]]
            estimates[:, k] -= grid.singles[j, b[k]] - grid.start
        estimates /= (grid.distances[i_of, a] * grid.distances[j_of, b])[:, :, None]
        mixed: Vector = (estimates * _shares(grid.distances[i], grid.distances[j], corners)[:, :, None]).sum(axis=1)
        for k in range(len(corners)):
            mixed = np.where(np.isfinite(mixed), mixed, estimates[:, k])
    return mixed


def _shares(distances_i: Vector, distances_j: Vector, corners: NDArray[np.intp]) -> Vector:
    """The share of each corner's estimate in the derivative, (pairs, corners); they sum to one."""
    if len(corners) == 2:
        return np.full((len(distances_i), 2), 0.5)
    factors = []
    for distances, column in ((distances_i, corners[:, 0]), (distances_j, corners[:, 1])):
        one, two = distances[:, 0], distances[:, 1]
        factors.append(np.stack([two / (two - one), -one / (two - one)], axis=1)[:, column])
    product: Vector = factors[0] * factors[1]
    return product


def _listed(positions: list[int], describe: Describe, limit: int = 5) -> str:
    shown = ", ".join(map(describe, positions[:limit]))
    return f"{shown} and {len(positions) - limit} more" if len(positions) > limit else shown
