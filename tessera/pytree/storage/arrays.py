"""NumPy arrays in a form that HDF5 holds bit for bit, and back. Knows no trees and no tables.

| logical dtype            | stored as                                              | storage   |
| ------------------------ | ------------------------------------------------------ | --------- |
| bool, integers, floats   | themselves                                             | `same`    |
| complex64, complex128    | floats with a last axis (real, imaginary)              | `pair`    |
| datetime64, timedelta64  | int64 counts of their unit                             | `count`   |
| S (bytes)                | fixed-length, NUL-padded strings                       | `same`    |
| U (text), all ASCII      | fixed-length, NUL-padded strings                       | `ascii`   |
| U (text), other          | uint32 code points with a last axis of the width       | `points`  |
| itemsize 0, or no elements | nothing                                              | `empty`   |

The byte order of the dtype is kept; the memory order is always C. Objects, records, long doubles and sub-classes are
refused: nothing is ever pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.errors import StructureError

AnyArray = npt.NDArray[Any]
_WIDEST = {"b": 1, "i": 8, "u": 8, "f": 8, "c": 16}


@dataclass(frozen=True)
class StoredArray:
    """An array as HDF5 holds it.

    Attributes:
        data: what is written; None where nothing is.
        dtype: logical dtype as NumPy's array-protocol string, for instance `<f8`, `<U5`, `<M8[us]`.
        shape: logical shape.
        storage: which row of the table above.
    """

    data: AnyArray | None
    dtype: str
    shape: tuple[int, ...]
    storage: str


def refusal(dtype: np.dtype[Any]) -> str | None:
    """Why a dtype cannot be stored, with what to do; None where it can."""
    if dtype.kind == "O":
        return "object arrays are not stored (no pickle); convert to a fixed dtype, for instance .astype(str) or float"
    if dtype.kind in "SUMm":
        return None
    if dtype.kind not in _WIDEST:
        return f"dtype {dtype} is not stored; use plain arrays, one for each field or of a fixed-width dtype"
    if dtype.itemsize > _WIDEST[dtype.kind]:
        return f"dtype {dtype} differs between machines; convert to float64 or complex128"
    return None


def to_stored(array: AnyArray) -> StoredArray:
    """The stored form of an array whose dtype has no `refusal`."""
    values = array if array.flags.c_contiguous else array.copy(order="C")
    dtype, shape, kind = values.dtype.str, values.shape, values.dtype.kind
    if values.dtype.itemsize == 0 or values.size == 0:
        return StoredArray(None, dtype, shape, "empty")
    if kind in "Mm":
        return StoredArray(values.view(f"{values.dtype.str[0]}i8"), dtype, shape, "count")
    if kind == "c":
        half = f"{values.dtype.byteorder}f{values.dtype.itemsize // 2}"
        return StoredArray(values.reshape(-1).view(half).reshape(*shape, 2), dtype, shape, "pair")
    if kind == "U":
        return _text_to_stored(values, dtype)
    return StoredArray(values, dtype, shape, "same")


def from_stored(data: AnyArray | None, dtype: str, shape: tuple[int, ...], storage: str) -> AnyArray:
    """The array behind its stored form; `StructureError` where the parts contradict each other."""
    logical = _checked_dtype(dtype)
    if storage == "empty":
        if logical.itemsize and 0 not in shape:
            raise StructureError(f"array of {dtype} {shape} is stored as if it were empty; rebuild the file.")
        return np.zeros(shape, dtype=logical)
    if data is None or storage not in _STORED_KINDS or data.dtype.kind not in _STORED_KINDS[storage]:
        raise StructureError(f"array of {dtype} {shape}: storage {storage!r} does not fit its data; rebuild the file.")
    array = _restore(data, logical, shape, storage)
    if array.dtype != logical or array.shape != shape:
        raise StructureError(
            f"the file says {dtype} of shape {shape} and holds {array.dtype.str} of shape {array.shape}; rebuild it."
        )
    return array


_STORED_KINDS = {"same": "biufS", "pair": "f", "count": "i", "ascii": "S", "points": "u"}


def _restore(data: AnyArray, logical: np.dtype[Any], shape: tuple[int, ...], storage: str) -> AnyArray:
    if storage == "count":
        return data.view(logical)
    if storage == "pair":
        return data.reshape(-1).view(logical).reshape(shape)
    if storage == "ascii":
        return _widen(data.reshape(-1), logical).reshape(shape)
    if storage == "points":
        native = logical.newbyteorder("=")
        return data.reshape(-1).view(native).reshape(shape).astype(logical, copy=False)
    return data


def _text_to_stored(values: AnyArray, dtype: str) -> StoredArray:
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    width = native.dtype.itemsize // 4
    points = native.reshape(-1).view(np.uint32)
    if points.max() < 128:
        text = points.astype(np.uint8).view(f"S{width}").reshape(values.shape)
        return StoredArray(text, dtype, values.shape, "ascii")
    return StoredArray(points.reshape(*values.shape, width), dtype, values.shape, "points")


def _widen(data: AnyArray, logical: np.dtype[Any]) -> AnyArray:
    """ASCII bytes to text, by widening each byte to a code point."""
    native = logical.newbyteorder("=")
    if data.dtype.itemsize * 4 != native.itemsize:
        raise StructureError(f"text of {logical.str} is stored {data.dtype.itemsize} bytes wide; rebuild the file.")
    points = np.frombuffer(data.tobytes(), dtype=np.uint8).astype(np.uint32)
    return points.view(native).astype(logical, copy=False)


def _checked_dtype(text: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError) as error:
        raise StructureError(f"the file names the dtype {text!r}, which NumPy does not know; rebuild it.") from error
    if dtype.str != text or refusal(dtype) is not None:
        raise StructureError(f"the file names the dtype {text!r}, which is not one that is stored; rebuild it.")
    return dtype
