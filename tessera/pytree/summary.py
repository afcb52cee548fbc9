"""Summaries of estimates as trees, in the two formats of EEP-01, and the way from one to the other.

Format 1 (frames): the tree of parameters with a DataFrame in place of each leaf. Its rows are the numbers of the leaf,
its columns `value, standard_error, ci_lower, ci_upper, p_value, free, stars`.

    leaf                       index of its frame
    scalar, 0-d array          0
    1-d array, sparse matrix   0, 1, ...
    array of more dimensions   MultiIndex of positions, C order
    Series, value-frame        its own
    frame without `value`      MultiIndex (row, column), row by row

Format 2 (trees): a dict `values, standard_errors, ci_lower, ci_upper, p_values, free, stars` of trees, each built like
the parameters; of value-frames only `value` is replaced.

Both are made from and turned into flat columns, one array (size,) each. Tables of several models are in
`estimation_tables`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.estimation.estimation_tables import estimation_table
from tessera.pytree.tree import Registry, TreeSpec
from tessera.pytree.trees.containers import IsLeaf

__all__ = [
    "estimation_table",
    "frames_of_columns",
    "leaf_index",
    "summary_to_frames",
    "summary_to_trees",
    "trees_of_columns",
]

Columns = dict[str, npt.NDArray[Any]]
_DATA_COLUMN = "value"
_PLURAL = {"value": "values", "standard_error": "standard_errors", "p_value": "p_values"}
_SINGULAR = {plural: singular for singular, plural in _PLURAL.items()}


def summary_to_trees(
    frames: Any,
    spec: Any,
    *,
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
) -> dict[str, Any]:
    """Format 1 to format 2.

    Args:
        frames: the tree of parameters with a frame in place of each leaf; keys and rows may be in any order.
        spec: `TreeSpec` of the parameters, or the parameters themselves.
        registry, is_leaf: what is a container in the tree of parameters, where `spec` is no TreeSpec.

    Raises:
        StructureError: for frames that are missing or extra, have other rows or columns than they should; names them.
    """
    spec = _spec(spec, registry, is_leaf)
    return trees_of_columns(_columns_of_frames(frames, spec), spec)


def summary_to_frames(
    trees: Mapping[str, Any],
    spec: Any,
    *,
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
) -> Any:
    """Format 2 to format 1; arguments and errors as in `summary_to_trees`."""
    spec = _spec(spec, registry, is_leaf)
    columns = {_SINGULAR.get(name, name): _flat(tree, spec, name) for name, tree in trees.items()}
    return frames_of_columns(columns, spec)


def frames_of_columns(columns: Mapping[str, npt.NDArray[Any]], spec: TreeSpec) -> Any:
    """Format 1 from flat columns, each (size,)."""
    frames = []
    for number, (template, where) in enumerate(_templates(spec)):
        part = {name: column[where] for name, column in columns.items()}
        frames.append(pd.DataFrame(part, index=leaf_index(spec, number, template)))
    return spec.unflatten(frames)


def trees_of_columns(columns: Mapping[str, npt.NDArray[Any]], spec: TreeSpec) -> dict[str, Any]:
    """Format 2 from flat columns, each (size,)."""
    return {_PLURAL.get(name, name): _tree(column, spec) for name, column in columns.items()}


def leaf_index(spec: TreeSpec, number: int, leaf: Any = None) -> pd.Index:
    """The index of the format-1 frame of a leaf; `leaf` is any such leaf, to tell a sparse matrix from a Series."""
    shape, labels = spec.shapes[number], spec.labels(number)
    if len(shape) == 0:
        return pd.RangeIndex(1)
    if len(shape) == 1:
        label = labels[0]
        return pd.RangeIndex(shape[0]) if label is None or hasattr(leaf, "nnz") else label
    axes = [pd.RangeIndex(n) if label is None else label for n, label in zip(shape, labels, strict=True)]
    if any(axis.nlevels > 1 for axis in axes):
        return _stacked(axes, shape)
    return pd.MultiIndex.from_product(axes, names=[axis.name for axis in axes])


def _stacked(axes: list[pd.Index], shape: tuple[int, ...]) -> pd.MultiIndex:
    """The product of axes of which some have several levels."""
    places = np.unravel_index(np.arange(int(np.prod(shape))), shape)
    taken = [axis.take(place) for axis, place in zip(axes, places, strict=True)]
    arrays = [axis.get_level_values(level) for axis in taken for level in range(axis.nlevels)]
    return pd.MultiIndex.from_arrays(arrays, names=[name for axis in axes for name in axis.names])


def _spec(spec: Any, registry: Registry | None, is_leaf: IsLeaf | None) -> TreeSpec:
    return spec if isinstance(spec, TreeSpec) else TreeSpec.of(spec, registry=registry, is_leaf=is_leaf)


def _templates(spec: TreeSpec) -> list[tuple[Any, slice]]:
    """A leaf of the right type and labels for each place, with its slice of the flat columns."""
    leaves = spec.leaves_of(spec.unravel(np.zeros(spec.size)))
    starts = spec.offsets.tolist()
    return [(leaf, slice(a, b)) for leaf, a, b in zip(leaves, starts[:-1], starts[1:], strict=True)]


def _columns_of_frames(frames: Any, spec: TreeSpec) -> Columns:
    leaves = spec.leaves_of(frames)
    columns: Columns = {}
    for number, (frame, (template, where)) in enumerate(zip(leaves, _templates(spec), strict=True)):
        name = spec.names[number]
        if not isinstance(frame, pd.DataFrame):
            raise StructureError(f"{name} is a {type(frame).__name__}; in format 1 every leaf is a DataFrame.")
        order = _row_order(frame.index, leaf_index(spec, number, template), name)
        if number == 0:
            columns = {str(column): np.empty(spec.size, dtype=_dtype(frame[column])) for column in frame.columns}
        if set(frame.columns) != set(columns):
            raise StructureError(
                f"{name} has the columns {list(frame.columns)}, the leaf before it {list(columns)}; give all the same."
            )
        for column, values in columns.items():
            values[where] = frame[column].to_numpy()[order]
    return columns


def _row_order(have: pd.Index, want: pd.Index, name: str) -> npt.NDArray[np.intp]:
    if len(have) == len(want) and have.equals(want):
        return np.arange(len(want))
    if have.has_duplicates or want.has_duplicates or len(have) != len(want) or len(want.difference(have)):
        missing, extra = list(want.difference(have)[:8]), list(have.difference(want)[:8])
        raise StructureError(f"{name} has other rows than the parameters: missing {missing}, extra {extra}.")
    return np.asarray(have.get_indexer(want))


def _dtype(values: pd.Series) -> npt.DTypeLike:
    if values.dtype.kind in "fiu":
        return np.float64
    return np.bool_ if values.dtype.kind == "b" else np.object_


def _flat(tree: Any, spec: TreeSpec, name: str) -> npt.NDArray[Any]:
    """The flat column of a tree of format 2, which may hold text or truth values."""
    parts = []
    for number, (leaf, (template, _)) in enumerate(zip(spec.leaves_of(tree), _templates(spec), strict=True)):
        values = _leaf_values(leaf, template, spec.labels(number), f"{name} {spec.names[number]}")
        if values.size != np.prod(spec.shapes[number], dtype=int):
            raise StructureError(f"{name} {spec.names[number]} has {values.size} entries, not {spec.shapes[number]}.")
        parts.append(values.reshape(-1))
    return np.concatenate(parts) if parts else np.empty(0)


def _leaf_values(leaf: Any, template: Any, labels: tuple[Any, ...], name: str) -> npt.NDArray[Any]:
    if isinstance(template, pd.DataFrame) != isinstance(leaf, pd.DataFrame):
        raise StructureError(f"{name} is a {type(leaf).__name__}, but the parameters have {type(template).__name__}.")
    if isinstance(leaf, pd.DataFrame):
        columns = [_DATA_COLUMN] if len(labels) == 1 else list(labels[1])
        missing = [column for column in columns if column not in leaf.columns]
        if missing:
            raise StructureError(f"{name} lacks the columns {missing[:8]}.")
        part = leaf[columns].iloc[_row_order(leaf.index, labels[0], name)]
        return _plain(part.to_numpy())
    if isinstance(leaf, pd.Series) and isinstance(template, pd.Series):
        return _plain(leaf.to_numpy()[_row_order(leaf.index, labels[0], name)])
    return _plain(np.asarray(leaf.data if hasattr(leaf, "nnz") else leaf))


def _plain(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.float64) if values.dtype.kind in "iu" else values


def _tree(column: npt.NDArray[Any], spec: TreeSpec) -> Any:
    """A tree of one column: through the structure for numbers, leaf by leaf for text and truth values."""
    if column.dtype.kind == "f":
        return spec.unravel(column)
    return spec.unflatten([_filled(template, column[where]) for template, where in _templates(spec)])


def _filled(leaf: Any, values: npt.NDArray[Any]) -> Any:
    """A leaf with other values, of any dtype, in the place of its numbers."""
    if isinstance(leaf, pd.Series):
        return pd.Series(values, index=leaf.index, name=leaf.name)
    if isinstance(leaf, pd.DataFrame):
        if _DATA_COLUMN in leaf.columns:
            return leaf.assign(**{_DATA_COLUMN: values})
        # A template has floats where the numbers go and no floats elsewhere.
        places = [place for place, dtype in enumerate(leaf.dtypes) if dtype == np.float64]
        table, frame = values.reshape(len(leaf), len(places)), leaf.copy(deep=False)
        for number, place in enumerate(places):
            frame.isetitem(place, table[:, number])
        return frame
    if isinstance(leaf, np.ndarray):
        return values.reshape(leaf.shape).copy()
    # Sparse matrices hold neither text nor truth values with explicit zeros: their stored places, in order, do.
    return values.copy() if hasattr(leaf, "nnz") else values.tolist()[0]
