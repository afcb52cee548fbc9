"""Which numbers of the parameter vector a constraint selects, and values and weights given for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import ConstraintError, StructureError, TesseraError
from tessera.pytree.constraints import Constraint, PairwiseEqual
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.transforms import Positions, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tessera.pytree.tree import TreeSpec


@dataclass(frozen=True, eq=False)
class Selection:
    """A constraint with the positions that its selectors return.

    Attributes:
        constraint: what the user gave.
        where: number and type, for messages.
        groups: one array of positions, each (k,), for every selector.
    """

    constraint: Constraint
    where: str
    groups: tuple[Positions, ...]

    @property
    def positions(self) -> Positions:
        """The positions of the (first) selector, in the order selected."""
        return self.groups[0]


def select_all(spec: TreeSpec, constraints: Sequence[Constraint]) -> list[Selection]:
    """The positions of every constraint.

    Raises:
        ConstraintError: for a selector that raises, returns nothing, something that is no parameter, or a parameter
            twice; and for pairwise equality of selections of different lengths.
    """
    chosen = []
    for number, constraint in enumerate(constraints):
        where = f"constraint {number} ({constraint.name})"
        groups = tuple(_select(spec, selector, where) for selector in constraint.selectors)
        if isinstance(constraint, PairwiseEqual) and len({len(group) for group in groups}) > 1:
            raise ConstraintError(
                f"{where}: the selectors return {', '.join(str(len(group)) for group in groups)} parameters; they are "
                "held equal element by element, so let all return as many."
            )
        chosen.append(Selection(constraint, where, groups))
    return chosen


def _select(spec: TreeSpec, selector: Any, where: str) -> Positions:
    try:
        positions = spec.select(selector)
    except ConstraintError:
        raise
    except StructureError as error:
        raise ConstraintError(f"{where}: {error}") from error
    except Exception as error:
        raise ConstraintError(
            f"{where}: the selector raised {type(error).__name__}: {error}. It is called with a tree like the "
            f"parameters, whose leaves are {_leaves(spec)}, and returns a part of it."
        ) from error
    if positions.size == 0:
        raise ConstraintError(
            f"{where}: the selector returned no parameters. The parameters are {_leaves(spec)}; return some of them."
        )
    ordered = np.sort(positions)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if twice.size:
        raise ConstraintError(
            f"{where}: the selector returns {name_positions(spec, twice)} more than once; select each parameter once."
        )
    return positions


def values_for(spec: TreeSpec, selection: Selection, value: Any, what: str) -> Vector:
    """A number, (k,) numbers or a tree like the selection as a vector float64 (k,)."""
    k = len(selection.positions)
    array = _as_array(value)
    if array is not None and array.ndim == 0:
        return np.full(k, float(array))
    if array is not None and array.ndim == 1 and len(array) == k:
        return array
    return tree_values(spec, selection, value, what)


def tree_values(spec: TreeSpec, selection: Selection, value: Any, what: str) -> Vector:
    """A tree with the paths and labels of the selection as a vector float64 (k,)."""
    try:
        inner = selected_spec(spec, selection)
        return np.asarray(inner.ravel(value), dtype=np.float64)
    except TesseraError as error:
        raise ConstraintError(
            f"{selection.where}: {what} does not fit the {len(selection.positions)} selected parameters: {error}"
        ) from error


def selected_spec(spec: TreeSpec, selection: Selection) -> TreeSpec:
    """The structure of what the first selector returns."""
    return spec.like(selection.constraint.selectors[0](spec.unravel(np.zeros(spec.size))))


def weights_for(spec: TreeSpec, selection: Selection, weights: Any) -> Any:
    """Weights of a linear constraint as a matrix (rows, k); `ConstraintError` where they do not fit."""
    k = len(selection.positions)
    array = _as_array(weights)
    if array is not None and array.ndim == 2 and array.shape[1] == k:
        matrix = array
    else:
        matrix = values_for(spec, selection, weights, "weights")[None, :]
    if not np.isfinite(matrix).all() or not np.abs(matrix).max(axis=1).all():
        raise ConstraintError(f"{selection.where}: weights are not finite, or all zero in a row; leave that row out.")
    return matrix


def limits_for(selection: Selection, rows: int) -> tuple[Vector, Vector]:
    """Lower and upper limits, each (rows,), from `lower`, `upper` and `value` of a linear or nonlinear constraint."""
    constraint: Any = selection.constraint
    lower = constraint.lower if constraint.value is None else constraint.value
    upper = constraint.upper if constraint.value is None else constraint.value
    sides = []
    for given, default in ((lower, -np.inf), (upper, np.inf)):
        array = _as_array(default if given is None else given)
        if array is None or array.ndim > 1 or (array.ndim == 1 and len(array) not in {1, rows}):
            raise ConstraintError(f"{selection.where}: limits {given!r} do not fit {rows} row(s); give 1 or {rows}.")
        sides.append(np.broadcast_to(array, (rows,)).astype(np.float64))
    if np.isnan(sides).any() or (sides[0] > sides[1]).any():
        raise ConstraintError(f"{selection.where}: the limits are no numbers or cross: {sides[0]} and {sides[1]}.")
    return sides[0], sides[1]


def _as_array(value: Any) -> Any:
    """Numbers, lists of numbers and arrays as a float64 array; None for anything with structure of its own."""
    if isinstance(value, dict) or (hasattr(value, "index") and hasattr(value, "to_numpy")):
        return None
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def _leaves(spec: TreeSpec, limit: int = 8) -> str:
    shown = ", ".join(spec.names[:limit])
    return f"{shown} and {len(spec.names) - limit} more" if len(spec.names) > limit else shown
