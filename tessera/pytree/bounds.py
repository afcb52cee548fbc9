"""Bounds on parameters: from trees, sub-trees, numbers, scipy's `Bounds`, pairs and value-frame columns to two vectors.

A value-frame's own columns `lower_bound` and `upper_bound` come first; what is given explicitly replaces them where it
names a parameter. Parameters that nothing names are unbounded. Vectors are float64 (size,), with -inf and inf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import BoundsError, StructureError
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.transforms import Vector

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec

# A start this far outside, relative to its size, is rounding (say, of an earlier solution) and is moved to the bound.
_SLACK = 1e-9


@dataclass(frozen=True)
class Bounds:
    """Lower and upper bounds of parameters.

    Attributes:
        lower, upper: a tree like the parameters, a part of one with enough structure to match (`{"delta": 0}`), a
            number for all parameters or for all of a leaf, or None.
    """

    lower: Any = None
    upper: Any = None


def resolve_bounds(
    spec: TreeSpec, bounds: Any = None, lower_bounds: Any = None, upper_bounds: Any = None
) -> tuple[Vector, Vector]:
    """The bounds of every parameter.

    Args:
        spec: structure of the parameters; value-frames among them may have columns `lower_bound` and `upper_bound`.
        bounds: `Bounds`, `scipy.optimize.Bounds`, or a pair (lower, upper) for each number; None for none.
        lower_bounds, upper_bounds: as the attributes of `Bounds`; they replace those of `bounds` where both are given.

    Returns:
        Lower and upper bounds, each float64 (size,).

    Raises:
        BoundsError: where bounds match no parameter, are no numbers, or cross; names the paths.
    """
    given = read_bounds(bounds, spec.size)
    sides = []
    for column, unbounded, values in (
        ("lower_bound", -np.inf, (given.lower, lower_bounds)),
        ("upper_bound", np.inf, (given.upper, upper_bounds)),
    ):
        vector = spec.column(column)
        for value in values:
            if value is not None:
                explicit = _partial(spec, value, column)
                vector = np.where(np.isnan(explicit), vector, explicit)
        sides.append(np.where(np.isnan(vector), unbounded, vector))
    lower, upper = sides
    crossed = np.flatnonzero(lower > upper)
    if crossed.size:
        raise BoundsError(
            f"the lower bound is above the upper bound at {name_positions(spec, crossed)}: "
            f"{lower[crossed[0]]:.6g} > {upper[crossed[0]]:.6g} at the first. Swap or widen them."
        )
    return lower, upper


def read_bounds(bounds: Any, size: int) -> Bounds:
    """Bounds in any accepted form (see `resolve_bounds`) as `Bounds` with trees or vectors."""
    if bounds is None:
        return Bounds()
    if isinstance(bounds, Bounds):
        return bounds
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        return Bounds(_full(bounds.lb, size, -np.inf), _full(bounds.ub, size, np.inf))
    if isinstance(bounds, Sequence | np.ndarray) and not isinstance(bounds, str):
        return _pairs(bounds, size)
    raise BoundsError(
        f"bounds is a {type(bounds).__name__}; give Bounds(lower, upper), scipy.optimize.Bounds, or a pair "
        "(lower, upper) for each number. Trees go into lower_bounds and upper_bounds."
    )


def check_start(spec: TreeSpec, x: Vector, lower: Vector, upper: Vector) -> Vector:
    """The start, moved onto bounds that it misses by rounding only.

    Raises:
        BoundsError: where it is outside, or not a finite number; names the paths and values.
    """
    if not np.isfinite(x.sum()):
        broken = np.flatnonzero(~np.isfinite(x))
        if broken.size:
            raise BoundsError(
                f"the start is not finite at {name_positions(spec, broken, x[broken])}. Give every parameter a number."
            )
    if not (x < lower).any() and not (x > upper).any():
        return x
    slack = _SLACK * np.maximum(1.0, np.abs(x))
    outside = np.flatnonzero((x < lower - slack) | (x > upper + slack))
    if outside.size:
        first = outside[0]
        raise BoundsError(
            f"the start is outside its bounds at {name_positions(spec, outside, x[outside])}; the bounds of the first "
            f"are [{lower[first]:.6g}, {upper[first]:.6g}]. Move the start or widen the bounds."
        )
    return np.clip(x, lower, upper)


def _partial(spec: TreeSpec, value: Any, column: str) -> Vector:
    what = f"{column}s"
    # A vector of all numbers, as scipy's Bounds hold, matches by length whatever the tree.
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.shape == (spec.size,):
        return value.astype(np.float64)
    try:
        return np.asarray(spec.partial(value, fill=np.nan, what=what), dtype=np.float64)
    except StructureError as error:
        raise BoundsError(f"{what} do not match the parameters: {error}") from error
    except (TypeError, ValueError) as error:
        raise BoundsError(f"{what} hold something that is no number: {error}") from error


def _full(side: Any, size: int, unbounded: float) -> Vector:
    vector = np.asarray(side, dtype=np.float64)
    try:
        vector = np.broadcast_to(vector, (size,)).copy()
    except ValueError as error:
        raise BoundsError(
            f"scipy's Bounds have shape {vector.shape}; the parameters are {size} numbers. Give one bound or {size}."
        ) from error
    return np.where(np.isnan(vector), unbounded, vector)


def _pairs(pairs: Any, size: int) -> Bounds:
    items = list(pairs)
    if len(items) != size or any(np.shape(pair) != (2,) for pair in items):
        raise BoundsError(
            f"bounds is a sequence of {len(items)}; give {size} pairs (lower, upper), one for each number, or use "
            "lower_bounds and upper_bounds for trees."
        )
    lower = np.array([-np.inf if low is None else low for low, _ in items], dtype=np.float64)
    upper = np.array([np.inf if high is None else high for _, high in items], dtype=np.float64)
    return Bounds(lower, upper)
