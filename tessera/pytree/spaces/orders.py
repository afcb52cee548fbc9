"""Increasing and decreasing constraints as cumulative sums, shares between bounds, or rows for the solver.

A chain is cut at fixed elements, which become bounds of the pieces. In a piece y_1 <= ... <= y_k a lower bound holds
for all later elements too and an upper bound for all earlier ones, so L and U are made non-decreasing. Then

- U free but for y_1, L the same for all:  anchor y_1 in [L, U_1], increments >= 0          (`OrderedChain`)
- L free but for y_k, U the same for all:  anchor y_k in [L_k, U], increments >= 0          (`OrderedChain`)
- otherwise, rows y_{i+1} - y_i >= 0 where the solver takes linear constraints, else
- all bounds finite, U (or L) the same for all:  shares of the room that is left             (`BoundedChain`)
"""

from __future__ import annotations

import numpy as np

from tessera.errors import ConstraintError
from tessera.pytree.spaces.draft import Draft
from tessera.pytree.spaces.ties import TOLERANCE
from tessera.pytree.spaces.transforms import BoundedChain, OrderedChain, Positions, Transform, Vector


def add_order(draft: Draft, where: str, numbers: Positions, *, free: bool) -> None:
    """Work in that y[numbers] does not decrease.

    Args:
        draft: the problem; gets transforms or rows.
        where: the constraint, for messages.
        numbers: (k,) positions in y; a number may stand several times in a row.
        free: whether no other constraint holds any of them; otherwise rows are used.

    Raises:
        ConstraintError: for a start that is not in order, and where neither route is open.
    """
    chain = numbers[np.concatenate([[True], numbers[1:] != numbers[:-1]])]
    values = draft.start[chain]
    drop = np.flatnonzero(np.diff(values) < -TOLERANCE * np.maximum(1.0, np.abs(values[1:])))
    if drop.size:
        pair = chain[drop[0] : drop[0] + 2]
        raise draft.infeasible(where, pair, "its parameters are not in order")
    if not free:
        _add_rows(draft, where, chain, "another constraint holds some of the same parameters")
        return
    pinned = draft.fixed[chain]
    floor = np.maximum.accumulate(np.where(pinned, values, draft.lower[chain]))
    ceiling = np.minimum.accumulate(np.where(pinned, values, draft.upper[chain])[::-1])[::-1]
    for piece in np.split(np.arange(len(chain)), np.flatnonzero(np.diff(pinned)) + 1):
        if not pinned[piece[0]]:
            _add_piece(draft, where, chain[piece], floor[piece], ceiling[piece])


def _add_piece(draft: Draft, where: str, chain: Positions, floor: Vector, ceiling: Vector) -> None:
    start = draft.start[chain]
    slack = TOLERANCE * np.maximum(1.0, np.abs(start))
    if (start < floor - slack).any() or (start > ceiling + slack).any():
        raise draft.infeasible(where, chain, "bounds or fixed values of other elements exclude the order")
    draft.lower[chain], draft.upper[chain] = floor, ceiling
    if len(chain) == 1:
        return
    transform = _anchored(chain, floor, ceiling)
    if transform is None and draft.takes_rows:
        _add_rows(draft, where, chain, "its parameters have bounds on both sides")
        return
    transform = transform or _shares(chain, floor, ceiling)
    if transform is None:
        # Ends in the error of a solver that takes no rows, with the parameters concerned.
        _add_rows(draft, where, chain, "the bounds of its parameters leave no exact reparametrisation")
        return
    draft.add_transform(transform)


def _anchored(chain: Positions, floor: Vector, ceiling: Vector) -> Transform | None:
    if (floor == floor[0]).all() and np.isposinf(ceiling[1:]).all():
        return OrderedChain(chain, float(floor[0]), float(ceiling[0]), from_top=False)
    if (ceiling == ceiling[0]).all() and np.isneginf(floor[:-1]).all():
        return OrderedChain(chain, float(floor[-1]), float(ceiling[-1]), from_top=True)
    return None


def _shares(chain: Positions, floor: Vector, ceiling: Vector) -> Transform | None:
    if not (np.isfinite(floor).all() and np.isfinite(ceiling).all()):
        return None
    if (ceiling == ceiling[0]).all():
        return BoundedChain(chain, floor, float(ceiling[0]))
    if (floor == floor[0]).all():
        # -y read from the top is a chain whose lower bounds are -ceiling and whose common upper bound is -floor.
        return BoundedChain(chain[::-1].copy(), -ceiling[::-1], -float(floor[0]), mirrored=True)
    return None


def _add_rows(draft: Draft, where: str, chain: Positions, why: str) -> None:
    for pair in np.lib.stride_tricks.sliding_window_view(chain, 2):
        if not draft.fixed[pair].all():
            draft.add_row(where, pair, (-1.0, 1.0), 0.0, np.inf, why)


def check_chain_length(where: str, numbers: Positions) -> None:
    """`ConstraintError` for a chain of one element, which says nothing."""
    if len(numbers) < 2:
        raise ConstraintError(f"{where}: the selector returns one parameter; an order needs two or more.")
