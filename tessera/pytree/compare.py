"""Comparing trees by path: `tree_equal` and `tree_diff` by value, `tree_identical` and `identity_diff` to the last bit.

By value, containers are matched by key and pandas objects and sparse matrices by label, whatever the order; NaN equals
NaN; numbers may be allowed to differ by atol + rtol |second|. To the last bit, structure, order, types, dtypes and
bytes must be the same: a leaf is compared by its fingerprint (`fingerprint`), so it must be one that can be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.trees.containers import IsLeaf, containers_for, leaf_texts
from tessera.pytree.trees.extraction import block_of
from tessera.pytree.trees.labels import positions_of

_SHOWN = 10
Registry = Mapping[Any, Mapping[str, Any]]


def tree_equal(
    first: Any,
    second: Any,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    check_dtype: bool = False,
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
) -> bool:
    """Whether two trees have equal leaves at the same paths; arguments as in `tree_diff`."""
    options = {"rtol": rtol, "atol": atol, "check_dtype": check_dtype}
    return tree_diff(first, second, **options, registry=registry, is_leaf=is_leaf) is None  # type: ignore[arg-type]


def tree_diff(
    first: Any,
    second: Any,
    *,
    rtol: float = 0.0,
    atol: float = 0.0,
    check_dtype: bool = False,
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
) -> str | None:
    """The first ten differences between two trees, one a line, by path; None where they are equal.

    Args:
        first, second: the trees. Keys and labels may come in any order.
        rtol, atol: numbers may differ by atol + rtol |second|.
        check_dtype: whether 1 and 1.0, or arrays of int32 and int64, differ.
        registry, is_leaf: what is a container, in both.
    """
    containers = containers_for(registry, is_leaf)
    root, leaves = containers.take_apart(first)
    try:
        others = containers.leaves_like(root, second)
    except StructureError as error:
        return str(error).removeprefix("the trees have different leaves: ").removesuffix(".")
    rule = _Rule(rtol, atol, check_dtype)
    found = []
    for name, one, other in zip(leaf_texts(root), leaves, others, strict=True):
        difference = None if one is other else rule.difference(one, other)
        if difference is not None:
            found.append(f"{name}: {difference}")
    return "\n".join(found[:_SHOWN]) or None


def tree_identical(first: Any, second: Any) -> bool:
    """Whether two trees are the same to the last bit: structure, key order, types, dtypes, labels and values.

    NaN equals a NaN of the same bits. Leaves of types that cannot be stored raise `UnsupportedLeafError`.
    """
    return identity_diff(first, second) is None


def identity_diff(first: Any, second: Any) -> str | None:
    """The first ten differences between two trees, one a line, by path; None where they are equal to the last bit."""
    from tessera.pytree.storage.fingerprint import leaf_fingerprint
    from tessera.pytree.trees.stored import stored_flatten

    leaves, spec = stored_flatten(first)
    other_leaves, other_spec = stored_flatten(second)
    if spec != other_spec:
        return spec.diff(other_spec) or "the same leaves in containers of another type or order"
    differences = []
    for name, one, other in zip(spec.names, leaves, other_leaves, strict=True):
        a, b = leaf_fingerprint(one, name), leaf_fingerprint(other, name)
        if a.sha256 != b.sha256:
            differences.append(f"{name}: {a.kind} {a.dtype} {a.shape} and {b.kind} {b.dtype} {b.shape} differ")
    return "\n".join(differences[:_SHOWN]) or None


@dataclass(frozen=True)
class _Rule:
    """When two leaves are equal."""

    rtol: float
    atol: float
    check_dtype: bool

    def difference(self, one: Any, other: Any) -> str | None:
        """How two leaves differ; None where they are equal."""
        try:
            if isinstance(one, pd.DataFrame) and isinstance(other, pd.DataFrame):
                return self._frames(one, other)
            if isinstance(one, pd.Series) and isinstance(other, pd.Series):
                positions = positions_of(other.index, len(other), one.index, len(one))
                return self._values(one.array, other.array if positions is None else other.array.take(positions))
            if isinstance(one, pd.Series | pd.DataFrame) or isinstance(other, pd.Series | pd.DataFrame):
                return f"{type(one).__name__} and {type(other).__name__}"
            return self._blocks(one, other)
        except StructureError as error:
            return str(error)

    def _frames(self, one: pd.DataFrame, other: pd.DataFrame) -> str | None:
        rows = positions_of(other.index, len(other), one.index, len(one))
        columns = positions_of(other.columns, other.shape[1], one.columns, one.shape[1])
        for number, label in enumerate(one.columns):
            theirs = other.iloc[:, number if columns is None else int(columns[number])].array
            difference = self._values(one.iloc[:, number].array, theirs if rows is None else theirs.take(rows))
            if difference is not None:
                return f"column {label!r}: {difference}"
        return None

    def _blocks(self, one: Any, other: Any) -> str | None:
        try:
            mine, labels = block_of(one, "value")
            theirs, their_labels = block_of(other, "value")
        except StructureError:
            return self._objects(one, other)
        if getattr(one, "shape", ()) != getattr(other, "shape", ()):
            return f"shape {getattr(one, 'shape', ())} and {getattr(other, 'shape', ())}"
        if self.check_dtype and _dtype(one) != _dtype(other):
            return f"{_dtype(one)} and {_dtype(other)}"
        if labels and their_labels and labels[0] is not None and their_labels[0] is not None:  # sparse
            positions = positions_of(their_labels[0], len(theirs), labels[0], len(mine))
            theirs = theirs if positions is None else theirs[positions]
        return self._numbers(mine, theirs)

    def _objects(self, one: Any, other: Any) -> str | None:
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
            if one.shape != other.shape:
                return f"shape {one.shape} and {other.shape}"
            return self._values(one.reshape(-1), other.reshape(-1))
        if self.check_dtype and type(one) is not type(other):
            return f"{type(one).__name__} and {type(other).__name__}"
        return None if _same(one, other) else f"{_short(one)} and {_short(other)}"

    def _values(self, one: Any, other: Any) -> str | None:
        """Two columns of the same length, aligned."""
        if self.check_dtype and one.dtype != other.dtype:
            return f"dtype {one.dtype} and {other.dtype}"
        if len(one) != len(other):
            return f"{len(one)} and {len(other)} values"
        try:
            numbers = [block_of(pd.Series(values, copy=False), "value")[0] for values in (one, other)]
        except StructureError:
            pass
        else:
            return self._numbers(numbers[0], numbers[1])
        wrong = [row for row, pair in enumerate(zip(one, other, strict=True)) if not _same(*pair)]
        return _summary(wrong[0], len(wrong), one[wrong[0]], other[wrong[0]]) if wrong else None

    def _numbers(self, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> str | None:
        one, other = np.atleast_1d(one), np.atleast_1d(other)
        if self.rtol or self.atol:
            equal = np.isclose(one, other, rtol=self.rtol, atol=self.atol, equal_nan=True)
        else:
            equal = (one == other) | (np.isnan(one) & np.isnan(other))
        if equal.all():
            return None
        where = tuple(int(place[0]) for place in np.nonzero(~equal))
        place = where[0] if len(where) == 1 else where
        return _summary(place, int((~equal).sum()), one[where].item(), other[where].item(), equal.size)


def _summary(place: Any, count: int, one: Any, other: Any, size: int = 2) -> str:
    if size == 1:
        return f"{one!r} and {other!r}"
    return f"{count} values differ, first at {place}: {_short(one)} and {_short(other)}"


def _dtype(leaf: Any) -> str:
    return f"{type(leaf).__name__} {getattr(leaf, 'dtype', '')}".strip()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def _same(one: Any, other: Any) -> bool:
    """Whether two objects are equal; missing values equal each other."""
    if one is other:
        return True
    try:
        return (_missing(one) and _missing(other)) or bool(one == other)
    except (TypeError, ValueError):  # pd.NA against a value, and objects that compare elementwise
        return False


def _missing(value: Any) -> bool:
    return pd.api.types.is_scalar(value) and bool(pd.isna(value))
