"""Derivatives and covariances as trees of trees of blocks, as one matrix, and as one labelled frame: between the three.

The derivative of a function from trees like `inner` to trees like `outer` is a tree like `outer` whose leaves are trees
like `inner` whose leaves are blocks; a second derivative is nested once more. A block has the shape

    shape of the outer leaf + shape of the inner leaf (+ shape of the second inner leaf)

with every axis of size one kept, as `jax.jacobian` and `jax.hessian` return it. Series and frames with a data column
count as one-dimensional, other frames as two-dimensional. A block of one or two dimensions of which one is labelled is
a Series or a DataFrame, with the labels of the outer leaf first; other blocks are arrays, and plain numbers where there
is no dimension at all.

Back from blocks to a matrix, everything is matched by path and label. Numbers without labels (of JAX, for instance) are
taken in order and must have the exact shape. Computes no derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.tree import TreeSpec, tree_unflatten
from tessera.pytree.trees.labels import positions_of, same_labels
from tessera.pytree.trees.leaves import SCALAR_TYPES, block_of

Array = npt.NDArray[np.float64]
Labels = tuple[pd.Index | None, ...]


def matrix_to_blocks(matrix: Any, outer: TreeSpec, inner: TreeSpec, *, labels: bool = True) -> Any:
    """A matrix as a tree like `outer` of trees like `inner` of blocks.

    Args:
        matrix: (outer.size, inner.size), for instance of d output / d parameter.
        outer: structure of the rows.
        inner: structure of the columns.
        labels: False for arrays only, as JAX returns them.

    Returns:
        The tree. Its blocks share one copy of the matrix.

    Raises:
        StructureError: where the shape of the matrix does not fit.
    """
    return _split(_checked(matrix, (outer, inner)), [_Axis(outer), _Axis(inner)], (), (), labels)


def array_to_blocks(
    array: Any, outer: TreeSpec, inner: TreeSpec, inner2: TreeSpec | None = None, *, labels: bool = True
) -> Any:
    """A three-dimensional array as a tree like `outer` of trees like `inner` of trees like `inner2` of blocks.

    Args:
        array: (outer.size, inner.size, inner2.size), for instance of second derivatives.
        outer: structure of the outputs.
        inner: structure of the parameters.
        inner2: structure of the last axis; None for that of `inner`.
        labels: False for arrays only, as JAX returns them.
    """
    specs = (outer, inner, inner if inner2 is None else inner2)
    return _split(_checked(array, specs), [_Axis(spec) for spec in specs], (), (), labels)


def blocks_to_matrix(blocks: Any, outer: TreeSpec, inner: TreeSpec) -> Array:
    """The matrix (outer.size, inner.size) of a tree of trees of blocks, the inverse of `matrix_to_blocks`.

    Args:
        blocks: as `matrix_to_blocks` or `jax.jacobian` return it. Keys and labels may come in any order.
        outer: structure of the rows.
        inner: structure of the columns.

    Raises:
        StructureError: for paths, shapes or labels that differ; names the block.
    """
    matrix = np.empty((outer.size, inner.size))
    _join(matrix, blocks, [_Axis(outer), _Axis(inner)], (), (), "")
    return matrix


def blocks_to_array(blocks: Any, outer: TreeSpec, inner: TreeSpec, inner2: TreeSpec | None = None) -> Array:
    """The array (outer.size, inner.size, inner2.size) of nested blocks, the inverse of `array_to_blocks`."""
    specs = (outer, inner, inner if inner2 is None else inner2)
    array = np.empty(tuple(spec.size for spec in specs))
    _join(array, blocks, [_Axis(spec) for spec in specs], (), (), "")
    return array


def matrix_to_frame(
    matrix: Any, outer: TreeSpec, inner: TreeSpec, index: Literal["flat", "multi"] = "flat"
) -> pd.DataFrame:
    """A matrix with the names of its numbers as index and columns, (outer.size, inner.size).

    Args:
        matrix: (outer.size, inner.size).
        outer: structure of the rows.
        inner: structure of the columns.
        index: "flat" for one text a number, "multi" for a MultiIndex that is easier to select from.
    """
    rows = outer.index(index)
    columns = rows if inner is outer else inner.index(index)
    return pd.DataFrame(_checked(matrix, (outer, inner)), index=rows, columns=columns, copy=False)


def frame_to_matrix(frame: pd.DataFrame, outer: TreeSpec, inner: TreeSpec) -> Array:
    """The matrix of a labelled frame, its rows and columns put in order by label; the inverse of `matrix_to_frame`.

    Args:
        frame: (outer.size, inner.size) in any order, labelled flat or with a MultiIndex.
        outer: structure of the rows.
        inner: structure of the columns.

    Raises:
        StructureError: for labels that are missing, extra or repeated, and for what is no frame of numbers.
    """
    if not isinstance(frame, pd.DataFrame):
        raise StructureError(f"a labelled DataFrame is needed, not {type(frame).__name__}; see matrix_to_frame.")
    try:
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise StructureError(f"the frame holds something that is no number: {error}") from error
    for axis, (have, spec) in enumerate(((frame.index, outer), (frame.columns, inner))):
        want = spec.index("multi" if isinstance(have, pd.MultiIndex) else "flat")
        try:
            positions = positions_of(have, len(have), want, spec.size)
        except StructureError as error:
            raise StructureError(f"the {('index', 'columns')[axis]} of the frame: {error}.") from error
        if positions is not None:
            values = np.take(values, positions, axis=axis)
    return np.array(values, dtype=np.float64)


class _Axis:
    """One axis of a matrix cut into the leaves of a tree."""

    def __init__(self, spec: TreeSpec) -> None:
        self.spec, self.shapes, self.names = spec, spec.shapes, spec.names
        offsets = spec.offsets.tolist()
        self.slices = [slice(a, b) for a, b in pairwise(offsets)]
        self.labels: list[Labels] = [spec.labels(k) for k in range(spec.n_leaves)]
        self.all_scalars = not any(self.shapes)


def _checked(values: Any, specs: tuple[TreeSpec, ...]) -> Array:
    array = np.array(values, dtype=np.float64)
    shape = tuple(spec.size for spec in specs)
    if array.shape != shape:
        raise StructureError(f"an array of shape {array.shape} was given for trees that make it {shape}.")
    return array


def _split(array: Array, axes: Sequence[_Axis], shape: tuple[int, ...], labels: Labels, labelled: bool) -> Any:
    """The trees of blocks of the axes that are left; `array` is already cut along those before."""
    if not axes:
        return _block(array.reshape(shape), labels if labelled else ())
    axis, rest = axes[0], axes[1:]
    if not rest and not shape and axis.all_scalars:
        return tree_unflatten(axis.spec, array.reshape(-1).tolist())
    before = (slice(None),) * (array.ndim - len(axes))
    children = [
        _split(array[(*before, part)], rest, (*shape, *leaf_shape), (*labels, *leaf_labels), labelled)
        for part, leaf_shape, leaf_labels in zip(axis.slices, axis.shapes, axis.labels, strict=True)
    ]
    return tree_unflatten(axis.spec, children)


def _block(values: Array, labels: Labels) -> Any:
    if values.ndim == 0:
        return values.item()
    if values.ndim > 2 or all(label is None for label in labels):
        return values
    if values.ndim == 1:
        return pd.Series(values, index=labels[0], copy=False)
    return pd.DataFrame(values, index=labels[0], columns=labels[1], copy=False)


def _join(array: Array, tree: Any, axes: Sequence[_Axis], shape: tuple[int, ...], labels: Labels, name: str) -> None:
    """Write the blocks of a tree into `array`, which is already cut along the axes before those that are left."""
    if not axes:
        array[...] = _numbers(tree, shape, labels, name).reshape(array.shape)
        return
    axis, rest = axes[0], axes[1:]
    try:
        children = axis.spec.leaves_of(tree)
    except StructureError as error:
        raise StructureError(f"{name or 'the tree of blocks'}: {error}") from error
    if not rest and not shape and axis.all_scalars and SCALAR_TYPES.issuperset(map(type, children)):
        array[...] = np.array(children, dtype=np.float64).reshape(array.shape)
        return
    before = (slice(None),) * (array.ndim - len(axes))
    for part, child, leaf_shape, leaf_labels, leaf in zip(
        axis.slices, children, axis.shapes, axis.labels, axis.names, strict=True
    ):
        _join(array[(*before, part)], child, rest, (*shape, *leaf_shape), (*labels, *leaf_labels), f"{name} {leaf}")


def _numbers(block: Any, shape: tuple[int, ...], labels: Labels, name: str) -> Array:
    """The numbers of a block in the shape and order wanted."""
    try:
        values, have = _read(block, len(shape))
        for axis, (given, wanted) in enumerate(zip(have, labels, strict=True)):
            # Without labels there is only the order to go by; with labels on one side, positions label the other.
            if given is None or same_labels(given, wanted):
                continue
            positions = positions_of(given, values.shape[axis], wanted, shape[axis])
            if positions is not None:
                values = np.take(values, positions, axis=axis)
        if values.shape != shape:
            raise StructureError(f"it has shape {values.shape} instead of {shape}")
    except StructureError as error:
        raise StructureError(f"the block at{name}: {error}.") from error
    return values


def _read(block: Any, n_dimensions: int) -> tuple[Any, Labels]:
    """The numbers of a block and the labels of its axes."""
    if type(block) is pd.DataFrame and n_dimensions == 2:
        values = block.to_numpy()
        have: Labels = (block.index, block.columns)
        if values.dtype.kind not in "fiu":
            raise StructureError(f"a frame with dtypes {sorted(set(map(str, block.dtypes)))} is no block of numbers")
    elif n_dimensions == 2 and hasattr(block, "toarray"):
        values, have = block.toarray(), (None, None)
    else:
        # A gradient by a frame with a data column may come as such a frame.
        values, found = block_of(block, "value")
        have = found or ()
    if values.ndim != n_dimensions:
        raise StructureError(f"it has shape {values.shape}, which has {values.ndim} dimensions, not {n_dimensions}")
    return values, have
