"""A user's function along one parameter at a time: the tables behind the slice and the derivative plot.

Holds the evaluation only; `plots` draws. For parameter `j` with the others at their values, a slice is
`f(x_1 ... z ... x_n)` over a grid of `z`; its tangent at `x_j` is `f(x) + d_j (z - x_j)`, with `d` the derivative to be
looked at.

Shapes: `n` parameters, `m` outputs, grids of `k` points; a derivative is `(m, n)` when flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import ConfigError, DerivativeError, FunctionError
from tessera.pytree.optimisation.criterion import Criterion
from tessera.pytree.plotting.grouping import words_of
from tessera.pytree.plotting.plot_data import Selector, select_positions
from tessera.pytree.registry import Registry
from tessera.pytree.tree import TreeSpec

MAX_SLICES = 40
"""The most panels that a slice or derivative plot has."""

_Vector = npt.NDArray[np.float64]
_IsLeaf = Callable[[Any], bool]


def slice_data(
    func: Callable[..., Any],
    params: Any,
    *,
    func_kwargs: Mapping[str, Any] | None = None,
    selector: Selector | None = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    width: float = 1.0,
    n_points: int = 41,
    unpacker: Callable[[Any], Any] | None = None,
    registry: Registry | None = None,
    is_leaf: _IsLeaf | None = None,
) -> pd.DataFrame:
    """A criterion along each parameter, with all others as they are.

    Args:
        func: criterion: returns a number, or a dict with `value` or what gives it (EEP-01).
        params: tree of parameters.
        func_kwargs: further arguments of `func`.
        selector: function of the tree that returns the parameters to vary; all without it, at most 40.
        bounds: `Bounds`, or what `minimize` takes; so `lower_bounds` and `upper_bounds`. The slice runs between them.
        lower_bounds: see `bounds`.
        upper_bounds: see `bounds`.
        width: where a side has no bound, go this far, times the size of the parameter (1 where it is zero).
        n_points: points of each slice; the parameter's own value is always one more.
        unpacker: turns what `func` returns into the number or dict.
        registry: containers, in pybaum's format.
        is_leaf: ends the descent into containers where it is true.

    Returns:
        Columns `name`, `position`, `x`, `value`, `is_params`; NaN where the function gives no finite number.

    Raises:
        ConfigError: too many parameters, or a grid that cannot be.
        FunctionError: the function raises; names the parameter and its value.
    """
    spec = TreeSpec.of(params, registry=registry, is_leaf=is_leaf)
    point = _Point(spec, spec.ravel(params), func, dict(func_kwargs or {}), unpacker, "slice_plot")
    lower, upper = _limits(spec, bounds, lower_bounds, upper_bounds)
    # Only for reading what `func` returns: `point` calls it, because its message names the parameter that moved.
    reader = Criterion(func, None, algorithm="slice_plot", least_squares=False, like=spec)
    tables = []
    for position, name in point.parameters(selector):
        grid = _grid(float(point.x[position]), float(lower[position]), float(upper[position]), width, n_points)
        columns = {"name": name, "position": position, "x": grid}
        values = [reader.value_or_nan(point.at(position, z, name)) for z in grid]
        tables.append(pd.DataFrame({**columns, "value": values, "is_params": grid == point.x[position]}))
    return pd.concat(tables, ignore_index=True)


def derivative_data(
    func: Callable[..., Any],
    params: Any,
    *,
    derivative: Any = None,
    func_kwargs: Mapping[str, Any] | None = None,
    selector: Selector | None = None,
    output_selector: Selector | None = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    width: float = 0.1,
    n_points: int = 21,
    unpacker: Callable[[Any], Any] | None = None,
    registry: Registry | None = None,
    is_leaf: _IsLeaf | None = None,
) -> pd.DataFrame:
    """A function near its parameters and the tangents that a derivative says it has.

    Args:
        func: returns any tree of numbers.
        params: tree of parameters.
        derivative: what to look at: a `NumdiffResult`, a tree of blocks (or a function of `params` that returns one, a
            closed-form derivative say), or a matrix (m, n). Default: `first_derivative`.
        func_kwargs: further arguments of `func` (and of `derivative`).
        selector: function of the tree that returns the parameters to vary.
        output_selector: function of the output that returns the numbers to show. At most 40 pairs are shown.
        bounds: as for `slice_data`, as are `lower_bounds`, `upper_bounds`, `width`, `n_points`, `registry`, `is_leaf`.
        lower_bounds: see `bounds`.
        upper_bounds: see `bounds`.
        width: half of the range, times the size of the parameter (1 where it is zero).
        n_points: points of each curve.
        unpacker: turns what `func` returns into the tree that is differentiated.
        registry: containers, in pybaum's format.
        is_leaf: ends the descent into containers where it is true.

    Returns:
        Columns `output`, `name`, `position`, `x`, `value`, `tangent`, `derivative`, `is_params`.

    Raises:
        ConfigError: too many pairs of outputs and parameters.
        DerivativeError: a derivative that does not fit the function.
        FunctionError: the function raises.
    """
    spec = TreeSpec.of(params, registry=registry, is_leaf=is_leaf)
    point = _Point(spec, spec.ravel(params), func, dict(func_kwargs or {}), unpacker, "derivative_plot")
    start = point.at(0, float(point.x[0]), "params")
    outer = TreeSpec.of(start)
    lower, upper = _limits(spec, bounds, lower_bounds, upper_bounds)
    matrix = _matrix(derivative, point, params, outer, (lower, upper), (registry, is_leaf))
    shown = np.arange(outer.size) if output_selector is None else select_positions(outer, output_selector, point.what)
    chosen = list(point.parameters(selector, n_outputs=len(shown)))
    outputs = ["_".join(words) or "value" for words in words_of(outer, shown)]
    at_start = outer.ravel(start)
    tables = []
    for position, name in chosen:
        here = float(point.x[position])
        grid = _grid(here, *_near(here, float(lower[position]), float(upper[position]), width), width, n_points)
        values = np.array([outer.ravel(point.at(position, z, name)) for z in grid])
        for output, text in zip(shown, outputs, strict=True):
            slope = float(matrix[output, position])
            columns = {"output": text, "name": name, "position": position, "x": grid}
            tangent = at_start[output] + slope * (grid - here)
            more = {"value": values[:, output], "tangent": tangent, "derivative": slope, "is_params": grid == here}
            tables.append(pd.DataFrame({**columns, **more}))
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class _Point:
    """A user's function at a point, and which plot asks."""

    spec: TreeSpec
    x: _Vector
    func: Callable[..., Any]
    kwargs: dict[str, Any]
    unpacker: Callable[[Any], Any] | None
    what: str

    def at(self, position: int, value: float, name: str) -> Any:
        """The output with one parameter moved."""
        vector = self.x.copy()
        vector[position] = value
        try:
            output = self.func(self.spec.unravel(vector), **self.kwargs)
        except Exception as error:
            raise FunctionError(
                f"{self.what}: the function raised {type(error).__name__}: {error}, at {name} = {value:.6g} with the "
                "other parameters as given. Set bounds within which it is defined, or a smaller width."
            ) from error
        return output if self.unpacker is None else self.unpacker(output)

    def parameters(self, selector: Selector | None, n_outputs: int = 1) -> Iterator[tuple[int, str]]:
        """Position and name of the parameters to vary."""
        chosen = np.arange(self.spec.size) if selector is None else select_positions(self.spec, selector, self.what)
        if len(chosen) * n_outputs > MAX_SLICES:
            outputs = f" for {n_outputs} outputs" if n_outputs > 1 else ""
            example = self.spec.names[0] or "['name']"
            raise ConfigError(
                f"{self.what}: {len(chosen):,} parameters{outputs} make {len(chosen) * n_outputs:,} panels; wanted at "
                f"most {MAX_SLICES}. Pass selector=, such as lambda params: params{example}"
                f"{', or output_selector=' if n_outputs > 1 else ''}."
            )
        for position, words in zip(chosen.tolist(), words_of(self.spec, chosen), strict=True):
            yield position, "_".join(words) or "value"


def _limits(spec: TreeSpec, bounds: Any, lower: Any, upper: Any) -> tuple[_Vector, _Vector]:
    from tessera.pytree.bounds import resolve_bounds

    found: tuple[_Vector, _Vector] = resolve_bounds(spec, bounds, lower, upper)
    return found


def _grid(here: float, lower: float, upper: float, width: float, n_points: int) -> _Vector:
    if not n_points >= 2 or not width > 0:
        raise ConfigError(f"a slice needs two points and a positive width; n_points is {n_points}, width is {width}.")
    reach = width * (abs(here) or 1.0)
    low = lower if np.isfinite(lower) else here - reach
    high = upper if np.isfinite(upper) else here + reach
    # A start outside its bounds is shown where it is.
    return np.unique(np.r_[np.linspace(min(low, here), max(high, here), n_points), here])


def _near(here: float, lower: float, upper: float, width: float) -> tuple[float, float]:
    reach = width * (abs(here) or 1.0)
    return max(lower, here - reach), min(upper, here + reach)


def _matrix(
    derivative: Any,
    point: _Point,
    params: Any,
    outer: TreeSpec,
    limits: tuple[_Vector, _Vector],
    rules: tuple[Registry | None, _IsLeaf | None],
) -> _Vector:
    """The derivative as (m, n), from any of its forms."""
    from tessera.pytree.blocks import blocks_to_matrix
    from tessera.pytree.bounds import Bounds
    from tessera.pytree.numdiff import first_derivative

    if derivative is None:
        unravel = point.spec.unravel
        derivative = first_derivative(
            point.func, params, func_kwargs=point.kwargs, unpacker=point.unpacker, registry=rules[0], is_leaf=rules[1],
            bounds=Bounds(unravel(limits[0]), unravel(limits[1])),
        )  # fmt: skip
    elif callable(derivative):
        derivative = derivative(params, **point.kwargs)
    if hasattr(derivative, "matrix"):
        derivative = np.asarray(derivative.matrix)
    wanted = (outer.size, point.spec.size)
    is_matrix = isinstance(derivative, np.ndarray) and derivative.shape == wanted
    matrix = derivative if is_matrix else blocks_to_matrix(derivative, outer, point.spec)
    found: _Vector = np.asarray(matrix, dtype=np.float64)
    if found.shape != wanted:
        raise DerivativeError(
            f"{point.what}: the derivative has shape {found.shape}; wanted {wanted}, one row an output and one column "
            "a parameter. Pass what first_derivative or a closed-form derivative returns for this function."
        )
    return found
