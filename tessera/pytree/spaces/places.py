"""Naming single numbers of a parameter vector in messages: `['utility']['b']`, without building the whole index."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec

_SHOWN = 6


def name_position(spec: TreeSpec, position: int) -> str:
    """The path of the leaf and the label (or index) of one number of the vector."""
    leaf = int(np.searchsorted(spec.offsets, position, side="right")) - 1
    shape = spec.shapes[leaf]
    place = np.unravel_index(position - int(spec.offsets[leaf]), shape) if shape else ()
    labels: tuple[Any, ...] = spec.labels(leaf) if shape else ()
    keys = [
        int(number) if index is None else index[int(number)]
        for number, index in zip(place, labels or (None,) * len(place), strict=True)
    ]
    inner = ", ".join(repr(key) if isinstance(key, str | int | tuple) else str(key) for key in keys)
    return f"{spec.names[leaf]}[{inner}]" if keys else (spec.names[leaf] or "the parameter")


def name_positions(spec: TreeSpec, positions: Iterable[int], values: Any = None) -> str:
    """The first few numbers by name, each with its value where `values` (as long as `positions`) is given."""
    where = np.asarray(positions if isinstance(positions, np.ndarray) else list(positions), dtype=np.int64)
    shown = [name_position(spec, int(position)) for position in where[:_SHOWN]]
    if values is not None:
        shown = [f"{name} = {value:.6g}" for name, value in zip(shown, np.asarray(values)[:_SHOWN], strict=True)]
    more = len(where) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
