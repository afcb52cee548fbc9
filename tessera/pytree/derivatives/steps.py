"""Step sizes of numerical derivatives, and the sides they may be taken on under bounds. Calls no function.

The error of a difference is the sum of a truncation error, which grows with the step, and a rounding error of
eps * |f| / step^order. The step that balances them, with eps = 2.2e-16, is

    central first derivative    eps^(1/3) * scale     (error of order step^2)
    one-sided first derivative  eps^(1/2) * scale     (error of order step)
    second derivative           eps^(1/4) * scale     (error of order step^2)

with scale = max(|x|, 0.1), for second derivatives max(|x|, 0.25). A parameter with room for its step on both sides of x
has side 0. One near a bound is stepped to the side with more room, with several points on that side so that the order
of the error stays the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tessera.errors import BoundsError, DerivativeError

Vector = NDArray[np.float64]
Describe = Callable[[int], str]
Method = Literal["central", "forward", "backward"]

METHODS = ("central", "forward", "backward")
_EPS = float(np.finfo(np.float64).eps)
_FACTORS = {
    "central": _EPS ** (1 / 3),
    "forward": _EPS ** (1 / 2),
    "backward": _EPS ** (1 / 2),
    "second": _EPS ** (1 / 4),
}
# Parameters near zero get the step of a parameter of this size: a compromise between functions that change on a scale
# of one and of a hundredth of it. Rounding weighs more in second derivatives.
_SMALLEST_SCALES = {"central": 0.1, "forward": 0.1, "backward": 0.1, "second": 0.25}
# Bounds may shrink a step that the caller did not limit by this factor; a smaller one leaves mostly rounding error.
_MOST_SHRUNK = _EPS ** (1 / 3)


@dataclass(frozen=True)
class Steps:
    """Where each parameter can be stepped.

    Attributes:
        size: (n,), distance between neighbouring points; NaN where the bounds leave too little room.
        side: (n,), 0 for one point on each side of x, +1 or -1 for all points above or below x.
    """

    size: Vector
    side: NDArray[np.int8]

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Which parameters can be stepped at all, (n,)."""
        return np.isfinite(self.size)


def check_start(x: Vector, lower: Vector, upper: Vector, describe: Describe) -> None:
    """Refuse a point that is not finite or lies outside its bounds.

    Raises:
        DerivativeError: for NaN or infinity in `x`, naming the parameter.
        BoundsError: where not lower <= x <= upper, naming the parameter, its value and its bounds.
    """
    for position in np.flatnonzero(~np.isfinite(x))[:1].tolist():
        raise DerivativeError(
            f"parameter {describe(position)} is {x[position]}; derivatives can only be taken at finite parameters."
        )
    for position in np.flatnonzero(~((lower <= x) & (x <= upper)))[:1].tolist():
        raise BoundsError(
            f"parameter {describe(position)} is {float(x[position])!r}, outside its bounds "
            f"{_interval(lower, upper, position)}; take the derivative at a point within the bounds."
        )


def step_sizes(x: Vector, kind: str, step_size: Any = None, scaling_factor: Any = 1.0) -> Vector:
    """The size of each step before bounds, (n,).

    Args:
        x: (n,).
        kind: "central", "forward", "backward" or "second".
        step_size: None for the rule above, else absolute sizes: a number or (n,), NaN for the rule.
        scaling_factor: multiplies the sizes; a number or (n,).

    Raises:
        DerivativeError: for sizes that are not positive.
    """
    sizes = _FACTORS[kind] * np.maximum(np.abs(x), _SMALLEST_SCALES[kind])
    if step_size is not None:
        given = np.broadcast_to(np.asarray(step_size, dtype=np.float64), x.shape)
        sizes = np.where(np.isnan(given), sizes, given)
    sizes = sizes * np.asarray(scaling_factor, dtype=np.float64)
    if not bool(np.all((sizes > 0) & np.isfinite(sizes))):
        raise DerivativeError(
            f"step_size and scaling_factor give steps between {sizes.min()} and {sizes.max()}; all have to be positive "
            "and finite. Leave them out for steps that suit double precision."
        )
    # A step is only as long as the difference of the two numbers that it is taken between.
    return np.maximum((x + sizes) - x, np.spacing(np.abs(x)))


def place_steps(
    x: Vector, lower: Vector, upper: Vector, sizes: Vector, *, kind: str, reach: int, min_steps: Any = None
) -> Steps:
    """Choose the side of each parameter and shrink steps for which there is no room.

    Args:
        x: (n,), within its bounds.
        lower: (n,), -inf where there is none.
        upper: (n,), inf where there is none.
        sizes: (n,), wanted steps.
        kind: "central", "second" (both sides wanted), "forward" or "backward" (one side wanted).
        reach: number of steps that a one-sided formula goes away from x.
        min_steps: smallest step that bounds may shrink a step to, a number or (n,), NaN and None for a fraction of it.
    """
    above, below = upper - x, x - lower
    roomier = np.where(above >= below, 1, -1)
    if kind in ("central", "second"):
        side = np.where((above >= sizes) & (below >= sizes), 0, roomier)
    else:
        wanted, room, other = (1, above, below) if kind == "forward" else (-1, below, above)
        side = np.where(room >= reach * sizes, wanted, np.where(other >= reach * sizes, -wanted, roomier))
    room = np.where(side > 0, above, below)
    placed = np.where(side == 0, sizes, np.minimum(sizes, room / reach))
    least = sizes * _MOST_SHRUNK
    if min_steps is not None:
        given = np.broadcast_to(np.asarray(min_steps, dtype=np.float64), x.shape)
        least = np.where(np.isnan(given), least, np.minimum(given, sizes))
    representable = 4 * np.spacing(np.abs(x))
    placed = np.where(placed >= np.maximum(least, np.where(side == 0, 0, representable)), placed, np.nan)
    return Steps(placed, side.astype(np.int8))


def points(x: Vector, lower: Vector, upper: Vector, steps: Steps, multiples: tuple[int, ...]) -> Vector:
    """The values that each parameter takes, (n, number of points); NaN where it cannot be stepped.

    Args:
        x: (n,).
        lower: (n,).
        upper: (n,).
        steps: sizes and sides.
        multiples: steps away from x of each point on the chosen side; with side 0 the points are at +1 and -1 step, and
            NaN from the third on.
    """
    values = np.full((x.size, len(multiples)), np.nan)
    for column, multiple in enumerate(multiples):
        both = {0: 1.0, 1: -1.0}.get(column, np.nan)
        values[:, column] = x + np.where(steps.side == 0, both, steps.side * multiple) * steps.size
    # Rounding may carry a point over its bound by one unit in the last place.
    clipped: Vector = np.clip(values, lower[:, None], upper[:, None])
    return clipped


def refuse_unusable(steps: Steps, lower: Vector, upper: Vector, describe: Describe) -> None:
    """Raise `DerivativeError` naming the parameters that the bounds leave no room to step."""
    stuck = np.flatnonzero(~steps.usable).tolist()
    if stuck:
        first = stuck[0]
        more = f" (and {len(stuck) - 1} more)" if len(stuck) > 1 else ""
        raise DerivativeError(
            f"parameter {describe(first)}{more} cannot be stepped between its bounds {_interval(lower, upper, first)}. "
            "Widen the bounds, lower min_steps, leave the parameter out, or have NaN there by "
            "error_handling='continue'."
        )


def _interval(lower: Vector, upper: Vector, position: int) -> str:
    return f"[{float(lower[position])!r}, {float(upper[position])!r}]"
