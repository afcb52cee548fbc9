"""Leaves as numbers: how many a leaf holds, in which shape, under which labels, and back. One codec a leaf.

    leaf                       shape             labels                   numbers
    int, float, NumPy scalar   ()                none                     itself
    array (also JAX, torch)    its own           none                     its elements, C order
    Series                     (n,)              index                    its values
    frame with data column     (n,)              index                    that column; the others survive untouched
    frame without              (n, k)            index, numeric columns   those columns, row by row
    CSR, CSC, COO matrix       (nnz,)            (row, column)            the stored values; the pattern is structure

Booleans, text, dates, objects and complex numbers are no numbers: such a leaf is *opaque*, it can be carried but not
raveled. Codecs hold labels and the other columns of frames, never the numbers themselves. How leaves are read is in
`extraction`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.trees.extraction import (
    block_of,
    check_dtype,
    coordinates,
    data_column,
    has_column,
    is_sparse,
    numeric_columns,
    pattern_of,
    series_numbers,
)
from tessera.pytree.trees.labels import positions_of, same_labels

Array = npt.NDArray[Any]
Labels = tuple[pd.Index | None, ...]
SCALAR_TYPES = frozenset({float, int, np.float64, np.float32, np.int64, np.int32})


class Codec:
    """How one leaf becomes numbers and is made again from numbers.

    Attributes:
        what: the leaf in words, for messages.
        shape: of the numbers, as they enter the shapes of derivatives.
        size: how many there are.
    """

    what = "a scalar"
    shape: tuple[int, ...] = ()
    size = 1

    @property
    def labels(self) -> Labels:
        """The labels of each dimension; None for positions."""
        return (None,) * len(self.shape)

    def numbers(self, leaf: Any, column: str) -> Array:
        """The numbers of a leaf in this codec's order, shape `self.shape`.

        Raises:
            StructureError: without a path, for other labels, another shape or what is no number.
        """
        values, labels = block_of(leaf, column)
        return aligned(values, labels, self)

    def build(self, values: Array) -> Any:
        """The leaf with these numbers, shape (size,), of any numeric dtype; may be a view of them."""
        return values.item()

    def column(self, name: str) -> Array | None:
        """Another column of a frame with a data column, shape (size,); None where there is none."""
        return None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Codec) or type(self) is not type(other) or self.shape != other.shape:
            return False
        return all(map(same_labels, self.labels, other.labels))

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.shape))


class OpaqueCodec(Codec):
    """A leaf without numbers."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpaqueCodec)

    def __hash__(self) -> int:
        return 0


class ArrayCodec(Codec):
    """An array of numbers of any number of dimensions."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.size = int(np.prod(shape, dtype=np.int64))
        self.what = f"an array of shape {shape}"

    def numbers(self, leaf: Any, column: str) -> Array:
        if type(leaf) is np.ndarray and leaf.shape == self.shape and leaf.dtype.kind in "fiu":
            return leaf
        return super().numbers(leaf, column)

    def build(self, values: Array) -> Any:
        return values if len(self.shape) == 1 else values.reshape(self.shape)


class SeriesCodec(Codec):
    """A Series of numbers."""

    def __init__(self, index: pd.Index, name: Any) -> None:
        self.index, self.name = index, name
        self.shape = (len(index),)
        self.size = len(index)
        self.what = f"a Series with {self.size} labels"

    @property
    def labels(self) -> Labels:
        return (self.index,)

    def numbers(self, leaf: Any, column: str) -> Array:
        if type(leaf) is pd.Series:
            values = leaf.to_numpy()
            if type(values) is np.ndarray and values.dtype.kind in "fiu" and same_labels(leaf.index, self.index):
                return values
        return super().numbers(leaf, column)

    def build(self, values: Array) -> Any:
        return pd.Series(values, index=self.index, name=self.name, copy=False)


class DataColumnCodec(Codec):
    """A frame of which one column holds the numbers.

    Args:
        frame: the frame with zeros in its data column.
        column: label of the data column.
    """

    def __init__(self, frame: pd.DataFrame, column: str) -> None:
        self.index = frame.index
        self.shape = (len(frame),)
        self.size = len(frame)
        self._column = column
        self._position = frame.columns.tolist().index(column)
        self._frame = frame.copy(deep=False)
        self._frame.isetitem(self._position, np.zeros(len(frame), dtype=np.int8))
        self.what = f"a frame with the column {column!r} and {self.size} labels"

    @property
    def labels(self) -> Labels:
        return (self.index,)

    def numbers(self, leaf: Any, column: str) -> Array:
        if type(leaf) is pd.DataFrame and same_labels(leaf.index, self.index) and leaf.columns.is_unique:
            held = leaf.get(column)
            values = None if held is None else held.to_numpy()
            if type(values) is np.ndarray and values.dtype.kind in "fiu":
                return values
        return super().numbers(leaf, column)

    def build(self, values: Array) -> Any:
        if self._frame.shape[1] == 1:
            return pd.DataFrame(values[:, None], index=self.index, columns=self._frame.columns, copy=False)
        frame = self._frame.copy(deep=False)
        _set_column(frame, self._position, values)
        return frame

    def column(self, name: str) -> Array | None:
        if name == self._column:
            raise StructureError("it is the data column, whose numbers are not kept; ravel the tree instead")
        if name not in self._frame.columns:
            return None
        return series_numbers(self._frame[name])


class FrameCodec(Codec):
    """A frame whose numeric columns all hold numbers; other columns survive untouched.

    Args:
        frame: the frame.
        numeric: positions of the numeric columns.
    """

    def __init__(self, frame: pd.DataFrame, numeric: list[int]) -> None:
        self.index = frame.index
        self.columns = frame.columns if len(numeric) == frame.shape[1] else frame.columns[numeric]
        self.shape = (len(frame), len(numeric))
        self.size = len(frame) * len(numeric)
        self._numeric = numeric
        self._frame: pd.DataFrame | None = None
        if len(numeric) < frame.shape[1]:
            self._frame = frame.copy(deep=False)
            for position in numeric:
                self._frame.isetitem(position, np.zeros(len(frame), dtype=np.int8))
        self.what = f"a frame of shape {self.shape}"

    @property
    def labels(self) -> Labels:
        return (self.index, self.columns)

    def build(self, values: Array) -> Any:
        values = values.reshape(self.shape)
        if self._frame is None:
            return pd.DataFrame(values, index=self.index, columns=self.columns, copy=False)
        frame = self._frame.copy(deep=False)
        for number, position in enumerate(self._numeric):
            _set_column(frame, position, values[:, number])
        return frame


class SparseCodec(Codec):
    """A sparse matrix in CSR, CSC or COO format: the stored values are numbers, where they are is structure."""

    def __init__(self, matrix: Any) -> None:
        self._cls, self._of = type(matrix), matrix.shape
        self._pattern = tuple(part.copy() for part in pattern_of(matrix))
        self.shape = (matrix.nnz,)
        self.size = matrix.nnz
        self.what = f"a sparse matrix of shape {self._of} with {self.size} stored values"

    @property
    def labels(self) -> Labels:
        return (self._places,)

    @cached_property
    def _places(self) -> pd.MultiIndex:
        return coordinates(self.build(np.zeros(self.size)))

    def numbers(self, leaf: Any, column: str) -> Array:
        if type(leaf) is self._cls and leaf.shape == self._of and leaf.dtype.kind in "fiu":
            pattern = pattern_of(leaf)
            if len(leaf.data) == self.size and all(map(np.array_equal, pattern, self._pattern)):
                return np.asarray(leaf.data)
        if is_sparse(leaf) and leaf.shape != self._of:
            raise StructureError(f"a sparse matrix of shape {leaf.shape} instead of {self._of}")
        return super().numbers(leaf, column)

    def build(self, values: Array) -> Any:
        parts = tuple(part.copy() for part in self._pattern)  # methods such as sort_indices change them in place
        if len(parts) == 2 and self._cls.__name__[:3] == "coo":
            return self._cls((values, parts), shape=self._of)
        return self._cls((values, *parts), shape=self._of)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SparseCodec)
            and (self._cls, self._of, self.size) == (other._cls, other._of, other.size)
            and all(map(np.array_equal, self._pattern, other._pattern))
        )

    __hash__ = Codec.__hash__


SCALAR = Codec()


def codec_of(leaf: Any, column: str) -> Codec:
    """The codec of a leaf; an opaque one where it holds no numbers.

    Args:
        leaf: any object.
        column: label of the column of a frame that holds the numbers, usually "value".
    """
    if type(leaf) in SCALAR_TYPES:
        return SCALAR
    try:
        return _codec_of(leaf, column)
    except StructureError as error:
        return OpaqueCodec(str(error))


def _codec_of(leaf: Any, column: str) -> Codec:
    if isinstance(leaf, pd.DataFrame):
        if has_column(leaf, column):
            series_numbers(data_column(leaf, column))
            return DataColumnCodec(leaf, column)
        if has_column(leaf, "value"):
            raise StructureError(f"a frame with the column 'value' but without {column!r}")
        return FrameCodec(leaf, numeric_columns(leaf))
    if isinstance(leaf, pd.Series):
        check_dtype(leaf.dtype, "a Series")
        return SeriesCodec(leaf.index, leaf.name)
    if is_sparse(leaf):
        check_dtype(leaf.dtype, "a sparse matrix")
        pattern_of(leaf)
        return SparseCodec(leaf)
    values, labels = block_of(leaf, column)
    return ArrayCodec(values.shape) if labels is not None else SCALAR


def aligned(values: Array, labels: Labels | None, codec: Codec) -> Array:
    """A block of numbers in the order of a codec's labels. Numbers without labels are taken in order.

    Raises:
        StructureError: without a path, for another shape, or labels that are missing, extra or repeated.
    """
    if values.ndim != len(codec.shape):
        raise StructureError(f"numbers of shape {values.shape} instead of {codec.what}")
    if labels is None or all(label is None for label in labels):
        if values.shape != codec.shape:
            raise StructureError(f"shape {values.shape} instead of {codec.shape}")
        return values
    for axis, (want, have) in enumerate(zip(codec.labels, labels, strict=True)):
        positions = positions_of(have, values.shape[axis], want, codec.shape[axis])
        if positions is not None:
            values = np.take(values, positions, axis=axis)
    return values


def _set_column(frame: pd.DataFrame, position: int, values: Array) -> None:
    """Put values into a column without a copy, which pandas makes of arrays but not of Series."""
    column: Any = pd.Series(values, index=frame.index, copy=False)
    frame.isetitem(position, column)
