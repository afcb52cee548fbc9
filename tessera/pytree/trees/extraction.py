"""The numbers and labels of a leaf as it is: reading scalars, arrays, Series, frames and sparse matrices.

Which numbers a leaf holds, and in which shape, is listed in `leaves`. Here nothing is aligned and nothing is rebuilt.
Booleans, text, dates, objects and complex numbers are no numbers. JAX and torch are recognised by what their arrays
offer and never imported; SciPy is only looked at where it is loaded already.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError

Array = npt.NDArray[Any]
Labels = tuple[pd.Index | None, ...]
_SCALARS = (int, float, np.integer, np.floating)


def block_of(leaf: Any, column: str) -> tuple[Array, Labels | None]:
    """The numbers of any leaf in its own shape, and its labels; no labels at all for a scalar.

    Raises:
        StructureError: without a path, for a leaf that holds no numbers.
    """
    if isinstance(leaf, _SCALARS) and not isinstance(leaf, bool):
        return _scalar(leaf), None
    if isinstance(leaf, pd.Series):
        return series_numbers(leaf), (leaf.index,)
    if isinstance(leaf, pd.DataFrame):
        return _frame_block(leaf, column)
    if is_sparse(leaf):
        check_dtype(leaf.dtype, "a sparse matrix")
        pattern_of(leaf)
        return np.asarray(leaf.data), (coordinates(leaf),)
    values = _array_numbers(leaf)
    return values, (None,) * values.ndim


def _frame_block(frame: pd.DataFrame, column: str) -> tuple[Array, Labels]:
    if has_column(frame, column):
        return series_numbers(data_column(frame, column)), (frame.index,)
    numeric = frame.iloc[:, numeric_columns(frame)]
    return numeric.to_numpy(dtype=np.float64, na_value=np.nan), (numeric.index, numeric.columns)


def _scalar(leaf: Any) -> Array:
    try:
        return np.array(leaf, dtype=np.float64)
    except OverflowError:
        raise StructureError(f"{str(leaf)[:20]}... is too large for a float") from None


def has_column(frame: pd.DataFrame, column: str) -> bool:
    """Whether a frame has a column of this label; never where columns have several levels."""
    return frame.columns.nlevels == 1 and column in frame.columns


def data_column(frame: pd.DataFrame, column: str) -> pd.Series:
    """The column of a frame that holds its numbers; `StructureError` where there are several of the name."""
    found = frame[column]
    if isinstance(found, pd.DataFrame):
        raise StructureError(f"a frame has {found.shape[1]} columns {column!r}, wanted one")
    return found


def numeric_columns(frame: pd.DataFrame) -> list[int]:
    """The positions of the columns of numbers."""
    return [position for position, dtype in enumerate(frame.dtypes.array) if _is_numeric(dtype)]


def _is_numeric(dtype: Any) -> bool:
    if isinstance(dtype, np.dtype):
        return dtype.kind in "fiu"
    return (
        pd.api.types.is_numeric_dtype(dtype)
        and not pd.api.types.is_bool_dtype(dtype)
        and not pd.api.types.is_complex_dtype(dtype)
    )


def check_dtype(dtype: Any, what: str) -> None:
    """`StructureError` naming `what` where a dtype is not one of numbers."""
    if not _is_numeric(dtype):
        raise StructureError(f"{what} of dtype {dtype} holds no numbers; wanted floats or integers")


def series_numbers(series: pd.Series) -> Array:
    """The values of a Series; missing ones of nullable dtypes are NaN."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "fiu":
        return series.to_numpy()
    check_dtype(dtype, "a column" if series.name is not None else "a Series")
    return series.to_numpy(dtype=np.float64, na_value=np.nan)


def _array_numbers(leaf: Any) -> Array:
    """The numbers of an array of NumPy or of a library whose arrays NumPy can read (JAX, torch)."""
    if isinstance(leaf, np.ndarray):
        check_dtype(leaf.dtype, "an array")
        return np.asarray(leaf)
    cls = type(leaf)
    arraylike = hasattr(cls, "__array__") and hasattr(leaf, "shape") and hasattr(leaf, "dtype")
    if not arraylike or cls.__module__.partition(".")[0] in {"pandas", "numpy"}:
        raise StructureError(f"{_type_text(leaf)} is no number and holds none")
    try:
        values = np.asarray(leaf)
    except Exception as error:  # whatever the other library raises, for instance for a traced or device array
        raise StructureError(f"{_type_text(leaf)} cannot be read as numbers ({error})") from error
    check_dtype(values.dtype, _type_text(leaf))
    return values


def is_sparse(leaf: Any) -> bool:
    """Whether an object is a sparse matrix or array of SciPy."""
    module = sys.modules.get("scipy.sparse")
    return module is not None and bool(module.issparse(leaf))


def pattern_of(matrix: Any) -> tuple[Array, ...]:
    """The index arrays of a sparse matrix in CSR, CSC or COO format; `StructureError` for other formats."""
    if matrix.format in {"csr", "csc"}:
        return (matrix.indices, matrix.indptr)
    if matrix.format == "coo":
        return tuple(matrix.coords)
    raise StructureError(f"a sparse matrix in {matrix.format} format; wanted CSR, CSC or COO, convert it with .tocsr()")


def coordinates(matrix: Any) -> pd.MultiIndex:
    """Row and column of each stored value, in the order of the values."""
    if matrix.format == "coo":
        return pd.MultiIndex.from_arrays([np.asarray(part) for part in matrix.coords])
    outer = np.repeat(np.arange(len(matrix.indptr) - 1), np.diff(matrix.indptr))
    both = (outer, matrix.indices) if matrix.format == "csr" else (matrix.indices, outer)
    return pd.MultiIndex.from_arrays(list(both))


def _type_text(leaf: Any) -> str:
    cls: type[Any] = type(leaf)
    module = "" if cls.__module__ == "builtins" else f"{cls.__module__}."
    return f"an object of type {module}{cls.__qualname__}"
