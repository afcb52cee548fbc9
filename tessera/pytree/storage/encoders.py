"""Leaf encoders: functions that turn a leaf into named arrays and a little JSON, and back. The registry of them.

A leaf's *kind* is the name a file knows it by. Dispatch is by exact type, so a sub-class never loses what it adds: an
unknown type raises `UnsupportedLeafError` with the call that registers one. Types of libraries that may not be loaded
(SciPy, torch) are registered as `"top_level_package:ClassName"`; nothing is imported to look a leaf up, and torch is
never imported at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.errors import StructureError, TesseraError, UnsupportedLeafError
from tessera.pytree.storage.arrays import refusal

AnyArray = npt.NDArray[Any]
Parts = Mapping[str, AnyArray]
_DAMAGE = (
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
)


@dataclass(frozen=True)
class Encoded:
    """A leaf in parts.

    Attributes:
        parts: arrays by name; a single part named "" stands for the leaf itself.
        meta: whatever else the decoder needs, as a JSON value.
        dtype, shape: what a reader of the file is told about the leaf.
    """

    parts: Parts
    meta: Any
    dtype: str
    shape: tuple[int, ...]


Encoder = Callable[[Any], Encoded]
Decoder = Callable[[Parts, Any], Any]


@dataclass(frozen=True)
class LeafKind:
    """A kind of leaf: its name in files and its two functions."""

    kind: str
    encode: Encoder
    decode: Decoder


_BY_TYPE: dict[type[Any] | str, LeafKind] = {}
_BY_KIND: dict[str, LeafKind] = {}


def register_leaf(kind: str, leaf_type: type[Any] | str, encode: Encoder, decode: Decoder) -> None:
    """Teach the file format a type of leaf.

    Args:
        kind: name in files, unique and stable for ever, for instance `"mylib.Raster"`.
        leaf_type: the exact type, or `"top_level_package:ClassName"` for one whose library may not be imported.
        encode: leaf -> `Encoded`; its arrays have fixed-width dtypes.
        decode: (parts, meta) -> leaf.

    Raises:
        StructureError: where the kind is taken by another type.
    """
    taken = next((t for t, known in _BY_TYPE.items() if known.kind == kind and t != leaf_type), None)
    if taken is not None:
        raise StructureError(f"the leaf kind {kind!r} is registered already, for {taken}; choose another name.")
    entry = LeafKind(kind, encode, decode)
    _BY_TYPE[leaf_type] = entry
    _BY_KIND[kind] = entry


def encode_leaf(leaf: Any, where: str) -> tuple[str, Encoded]:
    """The kind and the parts of a leaf; `UnsupportedLeafError` names `where` it sits in the tree."""
    cls = type(leaf)
    entry = _find(cls)
    if entry is None:
        name = f"{cls.__module__}.{cls.__qualname__}"
        raise UnsupportedLeafError(
            f"{where}: leaves of type {name} cannot be stored. Convert it to arrays, or call "
            f"tessera.pytree.storage.encoders.register_leaf({name!r}, {cls.__name__}, encode, decode)."
        )
    try:
        encoded = entry.encode(leaf)
    except UnsupportedLeafError as error:
        raise UnsupportedLeafError(f"{where}: {error}") from None
    except StructureError as error:
        raise StructureError(f"{where}: {error}") from None
    for part, array in encoded.parts.items():
        reason = refusal(array.dtype)
        if reason is not None:
            label = f" ({part})" if part else ""
            raise UnsupportedLeafError(
                f"{where}{label}: {cls.__module__}.{cls.__qualname__} of dtype {array.dtype}: {reason}, or call "
                f"tessera.pytree.storage.encoders.register_leaf(kind, type, encode, decode) for a type of your own."
            )
    return entry.kind, encoded


def decode_leaf(kind: str, parts: Parts, meta: Any, where: str) -> Any:
    """The leaf of a kind behind its parts; `StructureError` where they do not fit together."""
    entry = _BY_KIND.get(kind)
    if entry is None:
        raise StructureError(
            f"{where}: the file holds a leaf of kind {kind!r}, which is not registered. Import the module that calls "
            f"tessera.pytree.storage.encoders.register_leaf({kind!r}, ...) before loading, or upgrade tessera."
        )
    try:
        return entry.decode(parts, meta)
    except TesseraError as error:
        raise StructureError(f"{where}: {error}") from error
    except _DAMAGE as error:
        raise StructureError(
            f"{where}: the stored {kind} does not fit together ({type(error).__name__}: {error}); rebuild the file."
        ) from error


def _find(cls: type[Any]) -> LeafKind | None:
    found = _BY_TYPE.get(cls)
    if found is None and issubclass(cls, np.generic):
        found = _BY_KIND["numpy.scalar"]
    if found is None:
        found = _BY_TYPE.get(f"{cls.__module__.partition('.')[0]}:{cls.__qualname__}")
    return found


# --- Python scalars ---------------------------------------------------------------------------------------------------

_INLINE_TEXT = 1024


def _scalar(name: str, to_json: Callable[[Any], Any], from_json: Callable[[Any], Any]) -> tuple[Encoder, Decoder]:
    return (lambda leaf: Encoded({}, to_json(leaf), name, ())), (lambda parts, meta: from_json(meta))


def _encode_text(leaf: str) -> Encoded:
    if len(leaf) <= _INLINE_TEXT:
        return Encoded({}, leaf, "str", ())
    content = np.frombuffer(leaf.encode("utf-8", "surrogatepass"), dtype=np.uint8)
    return Encoded({"utf8": content}, None, "str", ())


def _decode_text(parts: Parts, meta: Any) -> str:
    if not parts:
        return _expect(meta, str)
    return parts["utf8"].tobytes().decode("utf-8", "surrogatepass")


def _expect(value: Any, kind: type[Any]) -> Any:
    if type(value) is not kind:
        raise StructureError(f"found {value!r} where a {kind.__name__} belongs; rebuild the file.")
    return value


def _encode_bytes(leaf: bytes) -> Encoded:
    return Encoded({"": np.frombuffer(leaf, dtype=np.uint8)}, None, "bytes", (len(leaf),))


# --- NumPy ------------------------------------------------------------------------------------------------------------


def _encode_array(leaf: AnyArray) -> Encoded:
    return Encoded({"": leaf}, None, leaf.dtype.str, leaf.shape)


def _encode_numpy_scalar(leaf: np.generic) -> Encoded:
    array = np.asarray(leaf)
    return Encoded({"": array}, None, array.dtype.str, ())


def _decode_numpy_scalar(parts: Parts, meta: Any) -> Any:
    array = parts[""]
    if array.shape != ():
        raise StructureError(f"a scalar is stored with the shape {array.shape}; rebuild the file.")
    return array[()]


# --- SciPy sparse -----------------------------------------------------------------------------------------------------

_COMPRESSED = ("data", "indices", "indptr")


def _encode_compressed(leaf: Any) -> Encoded:
    parts = {name: getattr(leaf, name) for name in _COMPRESSED}
    return Encoded(parts, {"shape": list(leaf.shape)}, leaf.dtype.str, leaf.shape)


def _decode_compressed(class_name: str, parts: Parts, meta: Any) -> Any:
    from scipy import sparse

    shape = tuple(meta["shape"])
    if len(shape) != 2 or len(parts["indptr"]) != shape["csr" not in class_name] + 1:
        raise StructureError(f"{len(parts['indptr'])} row starts do not fit the shape {shape}; rebuild the file.")
    matrix = getattr(sparse, class_name)(shape, dtype=parts["data"].dtype)
    for name in _COMPRESSED:
        setattr(matrix, name, parts[name])
    matrix.check_format(full_check=True)
    for name in _COMPRESSED:  # the check may narrow index dtypes
        setattr(matrix, name, parts[name])
    return matrix


def _encode_coo(leaf: Any) -> Encoded:
    parts = {"data": leaf.data} | {f"coords{axis}": index for axis, index in enumerate(leaf.coords)}
    return Encoded(parts, {"shape": list(leaf.shape)}, leaf.dtype.str, leaf.shape)


def _decode_coo(class_name: str, parts: Parts, meta: Any) -> Any:
    from scipy import sparse

    shape = tuple(meta["shape"])
    coords = tuple(parts[f"coords{axis}"] for axis in range(len(shape)))
    matrix = getattr(sparse, class_name)((parts["data"], coords), shape=shape)
    matrix.coords = coords  # the constructor may narrow index dtypes
    return matrix


# --- torch ------------------------------------------------------------------------------------------------------------


def _encode_tensor(leaf: Any) -> Encoded:
    try:
        array = leaf.detach().cpu().numpy()
    except TypeError as error:
        raise UnsupportedLeafError(
            f"a torch tensor of {leaf.dtype} has no NumPy form ({error}); convert it, for instance with .float()"
        ) from error
    return Encoded({"": array}, None, array.dtype.str, array.shape)


def _decode_tensor(parts: Parts, meta: Any) -> Any:
    """A tensor where torch is loaded already, the NumPy array otherwise."""
    torch = sys.modules.get("torch")
    return parts[""] if torch is None else torch.from_numpy(parts[""])


def _register_defaults() -> None:
    register_leaf("bool", bool, *_scalar("bool", bool, lambda value: _expect(value, bool)))
    register_leaf("int", int, *_scalar("int", hex, lambda value: int(value, 16)))
    register_leaf("float", float, *_scalar("float", float.hex, float.fromhex))
    register_leaf(
        "complex",
        complex,
        *_scalar(
            "complex",
            lambda leaf: [leaf.real.hex(), leaf.imag.hex()],
            lambda value: complex(float.fromhex(value[0]), float.fromhex(value[1])),
        ),
    )
    register_leaf("str", str, _encode_text, _decode_text)
    register_leaf("bytes", bytes, _encode_bytes, lambda parts, meta: parts[""].tobytes())
    register_leaf("numpy.ndarray", np.ndarray, _encode_array, lambda parts, meta: parts[""])
    register_leaf("numpy.scalar", np.generic, _encode_numpy_scalar, _decode_numpy_scalar)
    for name in ("csr_matrix", "csr_array", "csc_matrix", "csc_array"):
        register_leaf(f"scipy.{name}", f"scipy:{name}", _encode_compressed, partial(_decode_compressed, name))
    for name in ("coo_matrix", "coo_array"):
        register_leaf(f"scipy.{name}", f"scipy:{name}", _encode_coo, partial(_decode_coo, name))
    register_leaf("torch.Tensor", "torch:Tensor", _encode_tensor, _decode_tensor)


_register_defaults()
