"""Numerical first and second derivatives of functions between trees, with the block structure of `jax.jacobian`.

The parameters are stepped one number at a time: the tree of a point exists only while the function is called. The
result is a matrix first; trees of blocks and labelled frames are made from it on demand. Formulas and steps are in
`differences` and `steps`, blocks in `blocks`; `jacobian` and `hessian` of flat vectors are passed on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import DerivativeError, FunctionError, StructureError
from tessera.pytree.blocks import array_to_blocks, matrix_to_blocks, matrix_to_frame
from tessera.pytree.derivatives.differences import hessian, jacobian
from tessera.pytree.derivatives.evaluation import ErrorHandling
from tessera.pytree.derivatives.nearby import tree_builder
from tessera.pytree.derivatives.steps import Method
from tessera.pytree.spaces.places import name_position
from tessera.pytree.tree import Registry, TreeSpec
from tessera.pytree.trees.containers import IsLeaf

if TYPE_CHECKING:
    from tessera.pytree.bounds import Bounds

__all__ = ["NumdiffResult", "first_derivative", "hessian", "jacobian", "second_derivative"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class NumdiffResult:
    """A numerical derivative.

    Attributes:
        matrix: first derivatives (m, n), of m outputs by n parameters; second derivatives (m, n, n), or (n, n) where
            the function returns one number.
        outer: structure of the outputs.
        inner: structure of the parameters.
        func_value: what the function returned at the parameters, before `unpacker`.
        n_evals: number of evaluations it took.
        method: "central", "forward" or "backward".
        order: 1 or 2.
    """

    matrix: Array
    outer: TreeSpec
    inner: TreeSpec
    func_value: Any
    n_evals: int
    method: str
    order: Literal[1, 2]

    @cached_property
    def derivative(self) -> Any:
        """The derivative as a tree like the output, of trees like the parameters (twice for order 2), of blocks."""
        if self.order == 1:
            return matrix_to_blocks(self.matrix, self.outer, self.inner)
        return array_to_blocks(self.matrix.reshape(-1, *self.matrix.shape[-2:]), self.outer, self.inner)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The derivative with the names of outputs as index and of parameters as columns.

        Second derivatives have an index of outputs and parameters, or only of parameters where there is one number.
        """
        if self.matrix.ndim == 2:
            return matrix_to_frame(self.matrix, self.outer if self.order == 1 else self.inner, self.inner)
        names = self.inner.index("flat")
        rows = pd.MultiIndex.from_product([self.outer.index("flat"), names], names=["output", "parameter"])
        return pd.DataFrame(self.matrix.reshape(-1, self.inner.size), index=rows, columns=names)

    def __repr__(self) -> str:
        kind = {1: "first", 2: "second"}[self.order]
        lines = [f"{kind} derivative of {self.outer.size} output(s) by {self.inner.size} parameter(s)"]
        lines.append(f"  {self.method} differences, {self.n_evals} evaluations")
        for what, spec in (("outputs", self.outer), ("parameters", self.inner)):
            parts = [f"{name} {shape}" for name, shape in zip(spec.names[:6], spec.shapes, strict=False)]
            more = f" and {spec.n_leaves - 6} more" if spec.n_leaves > 6 else ""
            lines.append(f"  {what}: {', '.join(parts)}{more}")
        missing = int(np.isnan(self.matrix).sum())
        sizes = np.abs(self.matrix[np.isfinite(self.matrix)])
        lines.append(f"  largest absolute value {sizes.max() if sizes.size else np.nan:.6g}, {missing} missing")
        return "\n".join(lines)


def first_derivative(
    func: Callable[..., Any],
    params: Any,
    *,
    func_kwargs: Mapping[str, Any] | None = None,
    method: Method = "central",
    step_size: Any = None,
    scaling_factor: Any = 1,
    min_steps: Any = None,
    bounds: Bounds | Any = None,
    f0: Any = None,
    unpacker: Callable[[Any], Any] | None = None,
    n_cores: int = 1,
    error_handling: ErrorHandling = "raise",
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
    output_registry: Registry | None = None,
    output_is_leaf: IsLeaf | None = None,
) -> NumdiffResult:
    """The derivative of a function from trees to trees at `params`.

    Args:
        func: called with a tree like `params`, returns a tree of numbers.
        params: where the derivative is taken, n numbers.
        func_kwargs: further arguments of `func`.
        method: "central" (2 n + 1 evaluations), or "forward" or "backward" (n + 1, less exact). A parameter closer to a
            bound than its step is stepped to the other side only.
        step_size: None for steps that suit double precision; a number, or a tree of numbers for some of the parameters.
        scaling_factor: multiplies the steps; a number or such a tree.
        min_steps: smallest step that bounds may shrink a step to; a number or such a tree.
        bounds: `Bounds` or what else `bounds.resolve_bounds` takes. Columns `lower_bound` and `upper_bound` of frames
            count as well. No parameter is stepped over its bounds.
        f0: func(params), where it is known.
        unpacker: takes the tree to be differentiated out of what func returns, for instance `lambda out: out["value"]`.
        n_cores: number of forked processes that evaluate the function.
        error_handling: "raise" stops at the first evaluation that raises or is not finite, naming the parameter that
            was stepped ("raise_strict" is the same). "continue" uses what is left, one-sided, then NaN, and warns.
        registry: container types of `params`, in pybaum's format; also of the output unless that has its own.
        is_leaf: stops the descent into containers of `params`.
        output_registry: container types of the output.
        output_is_leaf: stops the descent into containers of the output.

    Raises:
        FunctionError: where the function fails, returns NaN, no numbers or another structure than at `params`.
        StructureError: where `params` holds something that is no number.
        BoundsError: where bounds match no parameter or exclude `params`.
        DerivativeError: for options that cannot be used, and bounds that leave no room for a step.
    """
    problem = _Problem.of(func, params, func_kwargs, unpacker, f0, registry, is_leaf, output_registry, output_is_leaf)
    options = problem.options(bounds, step_size, scaling_factor, min_steps)
    matrix, n_evals = jacobian(
        problem.flat, problem.x, method=method, n_cores=n_cores, error_handling=error_handling, **options
    )
    return problem.result(matrix, n_evals, method, 1)


def second_derivative(
    func: Callable[..., Any],
    params: Any,
    *,
    func_kwargs: Mapping[str, Any] | None = None,
    method: Literal["central"] = "central",
    step_size: Any = None,
    scaling_factor: Any = 1,
    min_steps: Any = None,
    bounds: Bounds | Any = None,
    f0: Any = None,
    unpacker: Callable[[Any], Any] | None = None,
    n_cores: int = 1,
    error_handling: ErrorHandling = "raise",
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
    output_registry: Registry | None = None,
    output_is_leaf: IsLeaf | None = None,
) -> NumdiffResult:
    """The second derivative of a function from trees to trees at `params`, whatever the number of outputs.

    Takes n^2 + n + 1 evaluations for n parameters, a few more for parameters next to a bound. Arguments and errors as
    in `first_derivative`.
    """
    if method != "central":
        raise DerivativeError(f"method is {method!r}; second derivatives are taken by 'central' differences only.")
    problem = _Problem.of(func, params, func_kwargs, unpacker, f0, registry, is_leaf, output_registry, output_is_leaf)
    options = problem.options(bounds, step_size, scaling_factor, min_steps)
    matrix, n_evals = hessian(problem.flat, problem.x, n_cores=n_cores, error_handling=error_handling, **options)
    return problem.result(matrix, n_evals, method, 2)


@dataclass(frozen=True)
class _Problem:
    """A function between trees as one between vectors: `flat` takes (n,) and returns (m,), or a number."""

    flat: Callable[[Array], Any]
    x: Array
    inner: TreeSpec
    outer: TreeSpec
    func_value: Any
    start: Any
    n_start: int

    @classmethod
    def of(
        cls,
        func: Callable[..., Any],
        params: Any,
        func_kwargs: Mapping[str, Any] | None,
        unpacker: Callable[[Any], Any] | None,
        f0: Any,
        registry: Registry | None,
        is_leaf: IsLeaf | None,
        output_registry: Registry | None,
        output_is_leaf: IsLeaf | None,
    ) -> _Problem:
        kwargs = dict(func_kwargs or {})
        inner = TreeSpec.of(params, registry=registry, is_leaf=is_leaf)
        x = inner.ravel(params)
        value, n_start = (f0, 0) if f0 is not None else (_first_call(func, inner.unravel(x), kwargs), 1)
        try:
            unpacked = value if unpacker is None else unpacker(value)
        except Exception as error:
            raise FunctionError(
                f"unpacker raised {type(error).__name__}: {error}. It is called with what the function returns."
            ) from error
        output_registry = registry if output_registry is None else output_registry
        outer = TreeSpec.of(unpacked, registry=output_registry, is_leaf=output_is_leaf)
        start = _first_output(outer, unpacked)
        return cls(_flat(func, kwargs, unpacker, tree_builder(inner, x), outer), x, inner, outer, value, start, n_start)

    def options(self, bounds: Any, step_size: Any, scaling_factor: Any, min_steps: Any) -> dict[str, Any]:
        """The arguments of `jacobian` and `hessian` that come from trees, as vectors."""
        from tessera.pytree.bounds import resolve_bounds

        lower, upper = resolve_bounds(self.inner, bounds=bounds)
        return {
            "lower": lower,
            "upper": upper,
            "step_size": self._numbers(step_size, np.nan, "step_size"),
            "scaling_factor": self._numbers(scaling_factor, 1.0, "scaling_factor"),
            "min_steps": self._numbers(min_steps, np.nan, "min_steps"),
            "f0": self.start,
            "describe": lambda position: name_position(self.inner, position),
            "describe_output": lambda position: name_position(self.outer, position),
        }

    def result(self, matrix: Array, n_evals: int, method: str, order: Literal[1, 2]) -> NumdiffResult:
        return NumdiffResult(matrix, self.outer, self.inner, self.func_value, self.n_start + n_evals, method, order)

    def _numbers(self, value: Any, fill: float, what: str) -> Any:
        if value is None or isinstance(value, int | float):
            return value
        try:
            return self.inner.partial(value, fill=fill, what=what)
        except StructureError as error:
            raise DerivativeError(f"{what} does not match the parameters: {error}") from error


def _flat(
    func: Callable[..., Any],
    kwargs: dict[str, Any],
    unpacker: Callable[[Any], Any] | None,
    build: Callable[[Array], Any],
    outer: TreeSpec,
) -> Callable[[Array], Any]:
    """The function between vectors."""
    ravel = outer.ravel
    is_number = outer.n_leaves == 1 and outer.paths == ((),) and outer.shapes == ((),)
    is_array = outer.n_leaves == 1 and not is_number and all(label is None for label in outer.labels(0))
    shape = outer.shapes[0]

    def flat(x: Array) -> Any:
        # The vector is made for this call alone, so that the leaves may be views of it.
        output = func(build(x), **kwargs)
        if unpacker is not None:
            output = unpacker(output)
        if is_number and isinstance(output, float):
            return output
        if is_array:
            leaf = outer.leaves_of(output)[0]
            if type(leaf) is np.ndarray and leaf.shape == shape and leaf.dtype.kind == "f":
                return leaf.reshape(-1)
        return ravel(output)

    return flat


def _first_call(func: Callable[..., Any], params: Any, kwargs: dict[str, Any]) -> Any:
    try:
        return func(params, **kwargs)
    except Exception as error:
        raise FunctionError(
            f"the function raised {type(error).__name__}: {error} at the start, before any step was taken."
        ) from error


def _first_output(outer: TreeSpec, output: Any) -> Any:
    try:
        start = outer.ravel(output)
    except StructureError as error:
        raise FunctionError(
            f"the function returns something that cannot be differentiated: {error} Use unpacker to pick the part that "
            "holds numbers."
        ) from error
    if not start.size:
        raise FunctionError("the function returns a tree without numbers; there is nothing to differentiate.")
    return start[0] if outer.shapes == ((),) and outer.paths == ((),) else start
