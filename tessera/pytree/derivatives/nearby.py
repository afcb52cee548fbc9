"""Trees at points that differ from one point in a few numbers. Holds no derivative.

To make a dict of a thousand floats or a tree with dozens of Series anew takes far longer than to copy the tree at x and
replace the leaf in which a point differs. That is done for trees of plain dicts and lists:

    floats         the container is copied, the number replaced
    arrays         copied
    frames         copied without their data, which pandas copies as soon as someone writes into it
    Series         handed out again as long as they are what they were made as, which is looked at each time

All other trees are built from the vector. Nothing that a caller does to a tree changes one that it gets later.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.pytree.trees.spec import TreeSpec

Vector = npt.NDArray[np.float64]
# With fewer scalars than this it is as fast to build the tree from the vector.
_MANY_SCALARS = 24


def tree_builder(spec: TreeSpec, x: Vector) -> Callable[[Vector], Any]:
    """A function from vectors that differ from `x` in a few numbers to trees like `spec`.

    Args:
        spec: structure of the trees.
        x: (spec.size,), finite.

    Returns:
        The function. It takes a vector (spec.size,) that is its own from then on: the tree may hold views of it.
    """
    template = spec.unravel(x)
    leaves = spec.leaves_of(template)
    sources = {k: _SOURCES[type(leaf)](leaf) for k, leaf in enumerate(leaves) if type(leaf) in _SOURCES}
    n_scalars = sum(type(leaf) is float for leaf in leaves)
    makes_sense = n_scalars >= _MANY_SCALARS or any(isinstance(leaf, pd.Series | pd.DataFrame) for leaf in leaves)
    copy = _copier(template, {id(leaves[k]): source for k, source in sources.items()}) if makes_sense else None
    if copy is None or not isinstance(template, dict | list) or not _reach(template, spec.paths, leaves):
        return partial(spec.unravel, copy=False)
    places = [(path[:-1], path[-1]) for path in spec.paths]
    offsets = spec.offsets.tolist()

    def build(vector: Vector) -> Any:
        tree = copy()
        for position in (vector != x).nonzero()[0].tolist():
            leaf = bisect_right(offsets, position) - 1
            above, last = places[leaf]
            container = tree
            for key in above:
                container = container[key]
            if leaf in sources:
                container[last] = sources[leaf].make(vector[offsets[leaf] : offsets[leaf + 1]])
            else:
                container[last] = float(vector[position])
        return tree

    return build


def _reach(tree: Any, paths: tuple[tuple[Any, ...], ...], leaves: list[Any]) -> bool:
    """Whether the keys of each path lead to its leaf; a registry may give the children of a dict other names."""
    for path, leaf in zip(paths, leaves, strict=True):
        found = tree
        for key in path:
            try:
                found = found[key]
            except (KeyError, IndexError, TypeError):
                return False
        if found is not leaf:
            return False
    return True


def _copier(tree: Any, sources: dict[int, _Source]) -> Callable[[], Any] | None:
    """A function that copies a tree of plain dicts, lists and known leaves; None where there is anything else.

    Args:
        tree: the tree.
        sources: by the id of each leaf that is no float.
    """
    if id(tree) in sources:
        return sources[id(tree)].get
    if type(tree) not in (dict, list):
        return None
    inner: list[tuple[Any, Callable[[], Any]]] = []
    for key, child in tree.items() if type(tree) is dict else enumerate(tree):
        if type(child) is float:
            continue
        copy = _copier(child, sources)
        if copy is None:
            return None
        inner.append((key, copy))
    duplicate: Callable[[], Any] = tree.copy
    if not inner:
        return duplicate

    def copy_all() -> Any:
        new = duplicate()
        for key, copy in inner:
            new[key] = copy()
        return new

    return copy_all


class _Source(Protocol):
    """Where the leaves of one place come from."""

    def get(self) -> Any:
        """The leaf as it is at x."""

    def make(self, values: Vector) -> Any:
        """The leaf with other numbers, (size,)."""


class _ArraySource:
    def __init__(self, array: Vector) -> None:
        self.get, self._shape = array.copy, array.shape

    def make(self, values: Vector) -> Vector:
        return values.reshape(self._shape)


class _FrameSource:
    def __init__(self, frame: pd.DataFrame) -> None:
        self.get = partial(frame.copy, deep=False)
        self.make = partial(TreeSpec.of(frame).unravel, copy=False)


class _SeriesSource:
    """Hands out one Series again and again, and makes it anew once someone has changed it."""

    def __init__(self, series: pd.Series) -> None:
        self._values, self._index, self._name = series.to_numpy().copy(), series.index, series.name
        self._bytes = self._values.tobytes()
        self._series = self.make(self._values.copy())

    def get(self) -> pd.Series:
        series = self._series
        # Labels first: where they are the same object, the number of values is the same.
        if (
            not series.index.is_(self._index)
            or series.name is not self._name
            or series.to_numpy().tobytes() != self._bytes
        ):
            self._series = series = self.make(self._values.copy())
        return series

    def make(self, values: Vector) -> pd.Series:
        return pd.Series(values, index=self._index, name=self._name, copy=False)


_SOURCES: dict[type[Any], Callable[[Any], _Source]] = {
    np.ndarray: _ArraySource,
    pd.Series: _SeriesSource,
    pd.DataFrame: _FrameSource,
}
