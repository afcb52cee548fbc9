"""Parameters held equal or fixed: the reduction of n parameters x to m distinct numbers y, by index arrays.

x = y[group]; y = x[representatives]. Everything is O(n); where nothing is tied both arrays are None.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tessera.errors import ConstraintError
from tessera.pytree.constraints import Decreasing, Equal, Fixed, Increasing, PairwiseEqual
from tessera.pytree.spaces.places import name_positions
from tessera.pytree.spaces.selection import Selection, values_for
from tessera.pytree.spaces.transforms import Positions, Vector

if TYPE_CHECKING:
    import numpy.typing as npt

    from tessera.pytree.tree import TreeSpec

    Mask = npt.NDArray[np.bool_]
    Edges = list[tuple[Positions, Positions]]

# Start values that should be the same, or feasible, may differ by this much relative to their size.
TOLERANCE = 1e-8


@dataclass(frozen=True, eq=False)
class Ties:
    """Which parameters share one number.

    Attributes:
        size: n.
        group: (n,) number of y for each parameter, or None where nothing is tied.
        representatives: (m,) the first parameter of each y, or None.
    """

    size: int
    group: Positions | None = None
    representatives: Positions | None = None

    @property
    def n_reduced(self) -> int:
        """m."""
        return self.size if self.representatives is None else len(self.representatives)

    def of(self, positions: Positions) -> Positions:
        """The numbers of y behind parameters."""
        return positions if self.group is None else self.group[positions]

    def first(self, numbers: Positions) -> Positions:
        """A parameter for each number of y, to name it by."""
        return numbers if self.representatives is None else self.representatives[numbers]

    def reduce(self, x: Vector) -> Vector:
        """y from x: (m,)."""
        return x if self.representatives is None else x[self.representatives]

    def strictest(self, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
        """The tightest bounds of the parameters behind each number, each (m,)."""
        if self.group is None:
            return lower, upper
        low, high = np.full(self.n_reduced, -np.inf), np.full(self.n_reduced, np.inf)
        np.maximum.at(low, self.group, lower)
        np.minimum.at(high, self.group, upper)
        return low, high

    def sum_back(self, gradient: Vector) -> Vector:
        """A gradient (..., n) summed over tied parameters: (..., m)."""
        if self.group is None:
            return gradient
        if gradient.ndim == 1:
            return np.asarray(np.bincount(self.group, gradient, self.n_reduced), dtype=np.float64)
        return np.asarray(gradient @ self.matrix())

    def matrix(self) -> Any:
        """dx/dy as csr_array (n, m)."""
        from scipy.sparse import csr_array

        group = np.arange(self.size) if self.group is None else self.group
        return csr_array(
            (np.ones(self.size), group, np.arange(self.size + 1)), shape=(self.size, self.n_reduced), dtype=np.float64
        )


@dataclass(frozen=True, eq=False)
class Reduction:
    """The distinct numbers of a problem, before constraints on them are worked in. Every vector is (m,).

    Attributes:
        spec: structure of the parameters, for names.
        ties: x to y.
        start: y at the start.
        lower, upper: bounds of y.
        fixed: which of y are constants, at their start values.
    """

    spec: TreeSpec
    ties: Ties
    start: Vector
    lower: Vector
    upper: Vector
    fixed: Mask = field(repr=False)

    def name(self, numbers: Positions, *, values: bool = False) -> str:
        """Numbers of y by the names of the first parameters behind them."""
        return name_positions(self.spec, self.ties.first(numbers), self.start[numbers] if values else None)


def reduce_problem(spec: TreeSpec, x: Vector, lower: Vector, upper: Vector, chosen: list[Selection]) -> Reduction:
    """Work in fixed and equal parameters.

    Raises:
        ConstraintError: for start values that should be equal and are not, two values for one parameter, bounds of tied
            parameters that exclude each other, and fixed values outside the bounds.
    """
    ties = _tie(len(x), chosen)
    start = np.array(ties.reduce(x))
    fixed, given = _apply_fixed(spec, ties, start, chosen)
    _check_tied(spec, ties, x, start, given)
    low, high = ties.strictest(lower, upper)
    crossed = np.flatnonzero(low > high)
    if crossed.size:
        raise ConstraintError(
            f"parameters held equal have bounds that exclude each other, at {name_positions(spec, ties.first(crossed))}"
            f": [{low[crossed[0]]:.6g}, {high[crossed[0]]:.6g}]. Widen them or drop the equality."
        )
    _check_fixed_values(spec, ties, start, (low, high), given)
    # Equal bounds leave nothing to choose: such a parameter is a constant, not a direction of width zero.
    return Reduction(spec, ties, start, low, high, fixed | (low == high))


def _tie(size: int, chosen: list[Selection]) -> Ties:
    edges: Edges = []
    for selection in chosen:
        first = selection.positions
        if isinstance(selection.constraint, Equal) and len(first) > 1:
            edges.append((np.broadcast_to(first[:1], (len(first) - 1,)), first[1:]))
        if isinstance(selection.constraint, PairwiseEqual):
            edges.extend((first, other) for other in selection.groups[1:])
    if not edges:
        return Ties(size)
    ties = _components(size, edges)
    # Elements of a chain between two tied ones can only be equal to both.
    while more := list(_squeezed(ties, chosen)):
        edges.extend(more)
        ties = _components(size, edges)
    return ties


def _squeezed(ties: Ties, chosen: list[Selection]) -> Iterable[tuple[Positions, Positions]]:
    for selection in chosen:
        if isinstance(selection.constraint, Increasing | Decreasing):
            numbers = ties.of(selection.positions)
            seen: dict[int, int] = {}
            for place, number in enumerate(numbers.tolist()):
                begin = seen.setdefault(number, place)
                if (numbers[begin : place + 1] != number).any():
                    yield selection.positions[begin:place], selection.positions[begin + 1 : place + 1]
                    break


def _components(size: int, edges: Edges) -> Ties:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = (np.concatenate([pair[side] for pair in edges]) for side in (0, 1))
    touched, places = np.unique(np.concatenate([left, right]), return_inverse=True)
    pairs = coo_array((np.ones(len(left)), (places[: len(left)], places[len(left) :])), shape=(len(touched),) * 2)
    _, labels = connected_components(pairs.tocsr(), directed=False)
    _, first = np.unique(labels, return_index=True)
    keep = np.ones(size, dtype=bool)
    keep[touched] = False
    keep[touched[first]] = True
    group = np.cumsum(keep) - 1
    group[touched] = group[touched[first]][labels]
    return Ties(size, group.astype(np.int64), np.flatnonzero(keep))


def _apply_fixed(spec: TreeSpec, ties: Ties, start: Vector, chosen: list[Selection]) -> tuple[Mask, Mask]:
    """Mark fixed numbers and put given values into the start. The second mask: numbers with a value given."""
    fixed, given = np.zeros(len(start), dtype=bool), np.zeros(len(start), dtype=bool)
    for selection in chosen:
        constraint = selection.constraint
        if not isinstance(constraint, Fixed):
            continue
        numbers = ties.of(selection.positions)
        fixed[numbers] = True
        if constraint.value is None:
            continue
        values = values_for(spec, selection, constraint.value, "value")
        if not np.isfinite(values).all():
            raise ConstraintError(f"{selection.where}: value is not finite; give finite values, or none.")
        wanted = start.copy()
        wanted[numbers] = values
        clash = numbers[(wanted[numbers] != values) | (given[numbers] & (start[numbers] != values))]
        if clash.size:
            raise ConstraintError(
                f"{selection.where}: {name_positions(spec, ties.first(clash))} would be fixed at two values. "
                "Give one value for parameters that are equal or fixed twice."
            )
        start[:] = wanted
        given[numbers] = True
    return fixed, given


def _check_tied(spec: TreeSpec, ties: Ties, x: Vector, start: Vector, given: Mask) -> None:
    if ties.group is None:
        return
    wanted = start[ties.group]
    off = np.flatnonzero((np.abs(x - wanted) > TOLERANCE * np.maximum(1.0, np.abs(wanted))) & ~given[ties.group])
    if off.size:
        first = np.concatenate([[ties.first(ties.group[off[:1]])[0]], off])
        raise ConstraintError(
            f"infeasible start: parameters held equal have different values: {name_positions(spec, first, x[first])}. "
            "Start them at the same value."
        )


def _check_fixed_values(spec: TreeSpec, ties: Ties, start: Vector, bounds: tuple[Vector, Vector], given: Mask) -> None:
    low, high = bounds
    slack = TOLERANCE * np.maximum(1.0, np.abs(start))
    outside = np.flatnonzero(given & ((start < low - slack) | (start > high + slack)))
    if outside.size:
        names = name_positions(spec, ties.first(outside), start[outside])
        raise ConstraintError(f"fixed outside the bounds: {names}. Change the value or the bounds.")
