"""pandas objects as named arrays: columns one by one in their exact dtype, indexes with their class, names and levels.

`encode_table` and `encode_series` are leaf encoders; importing this module registers them. A column is a *vector*: its
arrays go under the vector's name, and a small JSON value says how to read them:

| vector                   | arrays                                   | JSON                                           |
| ------------------------ | ---------------------------------------- | ---------------------------------------------- |
| NumPy dtypes             | the values                               | {"v": "numpy"}                                 |
| str, string              | UTF-8 bytes, end offsets, mask if needed | {"v": "string", "na": "nan" | "NA", "storage"} |
| Int64, boolean, Float64  | values (0 where masked), mask            | {"v": "masked"}                                |
| category                 | codes, categories (an index)             | {"v": "category", "ordered"}                   |
| datetime64 with time zone | int64 counts in UTC                     | {"v": "zoned", "tz", "unit"}                   |
| period                   | int64 ordinals                           | {"v": "period", "freq"}                        |

Object columns are refused: their dtype says nothing about what they hold.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError, UnsupportedLeafError
from tessera.pytree.storage.encoders import Encoded, Parts, register_leaf
from tessera.pytree.trees.structure import decode_key, encode_key

_MASKED: dict[str, Any] = {
    "b": pd.arrays.BooleanArray,
    "i": pd.arrays.IntegerArray,
    "u": pd.arrays.IntegerArray,
    "f": pd.arrays.FloatingArray,
}
_ZONE = re.compile(r"(?!dateutil/)[A-Za-z0-9_+\-/:]{1,64}\Z")  # pandas would open the file behind a "dateutil/" name
MutableParts = dict[str, npt.NDArray[Any]]


def encode_table(table: pd.DataFrame) -> Encoded:
    """A DataFrame column by column; column labels, row index and `attrs` included."""
    parts: MutableParts = {}
    columns = [
        _encode_vector(table.iloc[:, i].array, f"c{i:05d}", parts, f"column {label!r}")
        for i, label in enumerate(table.columns)
    ]
    meta = {
        "columns": _encode_index(table.columns, "columns", parts),
        "index": _encode_index(table.index, "index", parts),
        "vectors": columns,
        "attrs": _encode_attrs(table.attrs),
    }
    dtypes = sorted({str(dtype) for dtype in table.dtypes})
    return Encoded(parts, meta, ", ".join(dtypes)[:200], table.shape)


def decode_table(parts: Parts, meta: Any) -> pd.DataFrame:
    """The DataFrame behind `encode_table`."""
    index = _decode_index(meta["index"], "index", parts)
    vectors = {i: _decode_vector(vector, f"c{i:05d}", parts) for i, vector in enumerate(meta["vectors"])}
    for i, vector in vectors.items():
        if len(vector) != len(index):
            raise StructureError(f"column {i} has {len(vector)} rows, the index has {len(index)}; rebuild the file.")
    table = pd.DataFrame(vectors, index=index, copy=False)
    table.columns = _decode_index(meta["columns"], "columns", parts)
    table.attrs = _decode_attrs(meta["attrs"])
    return table


def encode_series(series: pd.Series[Any]) -> Encoded:
    """A Series with its index, name and `attrs`."""
    parts: MutableParts = {}
    meta = {
        "vector": _encode_vector(series.array, "values", parts, "values"),
        "index": _encode_index(series.index, "index", parts),
        "name": _label(series.name, "name of the Series"),
        "attrs": _encode_attrs(series.attrs),
    }
    return Encoded(parts, meta, str(series.dtype), series.shape)


def decode_series(parts: Parts, meta: Any) -> pd.Series[Any]:
    """The Series behind `encode_series`."""
    values = _decode_vector(meta["vector"], "values", parts)
    index = _decode_index(meta["index"], "index", parts)
    series: pd.Series[Any] = pd.Series(values, index=index, name=decode_key(meta["name"]), copy=False)
    series.attrs = _decode_attrs(meta["attrs"])
    return series


def encode_pandas_index(index: pd.Index[Any]) -> Encoded:
    """An index as a leaf of its own."""
    parts: MutableParts = {}
    return Encoded(parts, _encode_index(index, "index", parts), str(index.dtype), index.shape)


def _encode_attrs(attrs: Any) -> list[Any]:
    return [[encode_key(key, "attrs"), encode_key(value, f"attrs[{key!r}]")] for key, value in attrs.items()]


def _decode_attrs(pairs: Any) -> dict[Any, Any]:
    return {decode_key(key): decode_key(value) for key, value in pairs}


# --- indexes ----------------------------------------------------------------------------------------------------------


def _encode_index(index: pd.Index[Any], name: str, parts: MutableParts) -> dict[str, Any]:
    if isinstance(index, pd.MultiIndex):
        for i, codes in enumerate(index.codes):
            parts[f"{name}.codes{i}"] = np.asarray(codes)
        levels = [_encode_index(level, f"{name}.level{i}", parts) for i, level in enumerate(index.levels)]
        return {"i": "multi", "names": [_label(label, name) for label in index.names], "levels": levels}
    label = _label(index.name, name)
    if isinstance(index, pd.RangeIndex):
        return {"i": "range", "range": [index.start, index.stop, index.step], "name": label}
    if isinstance(index.dtype, np.dtype) and index.dtype.kind == "O":
        return {"i": "labels", "labels": [_label(item, name) for item in index], "name": label}
    encoded = {"i": "plain", "vector": _encode_vector(index.array, name, parts, name), "name": label}
    frequency = getattr(index, "freqstr", None)
    if frequency is not None and isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        encoded["freq"] = frequency
    return encoded


def _label(label: Any, name: str) -> Any:
    if isinstance(label, np.integer | np.bool_ | np.str_ | np.float64):  # `frame[0]` has the name np.int64(0)
        label = label.item()
    try:
        return encode_key(label, f"a label of the {name}")
    except StructureError as error:
        raise UnsupportedLeafError(str(error)) from None


def _decode_index(meta: Any, name: str, parts: Parts) -> pd.Index[Any]:
    kind = meta["i"]
    if kind == "multi":
        levels: list[Any] = [_decode_index(level, f"{name}.level{i}", parts) for i, level in enumerate(meta["levels"])]
        codes: list[Any] = [parts[f"{name}.codes{i}"] for i in range(len(levels))]
        return pd.MultiIndex(levels=levels, codes=codes, names=[decode_key(label) for label in meta["names"]])
    label = decode_key(meta["name"])
    if kind == "range":
        start, stop, step = meta["range"]
        return pd.RangeIndex(start, stop, step, name=label)
    if kind == "labels":
        labels = np.empty(len(meta["labels"]), dtype=object)
        for i, item in enumerate(meta["labels"]):
            labels[i] = decode_key(item)
        return pd.Index(labels, dtype=object, name=label, tupleize_cols=False)
    if kind != "plain":
        raise StructureError(f"unknown kind of index {kind!r}; rebuild the file.")
    index: pd.Index[Any] = pd.Index(_decode_vector(meta["vector"], name, parts), name=label, copy=False)
    if "freq" in meta:
        cls = pd.DatetimeIndex if isinstance(index, pd.DatetimeIndex) else pd.TimedeltaIndex
        index = cls(index, freq=meta["freq"], name=label)
    return index


# --- vectors ----------------------------------------------------------------------------------------------------------


def _encode_vector(values: Any, name: str, parts: MutableParts, what: str) -> dict[str, Any]:
    if type(values) is pd.arrays.NumpyExtensionArray:  # string arrays are a sub-class
        values = values.to_numpy()
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        if dtype.kind == "O":
            raise UnsupportedLeafError(
                f"{what} has dtype object, whose exact types are unknown; convert it, for instance with "
                '.astype("str"), .astype("category") or pd.to_numeric'
            )
        parts[name] = np.asarray(values)
        return {"v": "numpy"}
    if isinstance(dtype, pd.StringDtype):
        return _encode_strings(values, name, parts)
    if isinstance(dtype, pd.CategoricalDtype):
        parts[name] = np.asarray(values.codes)
        categories = _encode_index(dtype.categories, f"{name}.categories", parts)
        return {"v": "category", "ordered": bool(dtype.ordered), "categories": categories}
    if isinstance(dtype, pd.DatetimeTZDtype) and _same_zone(dtype):
        parts[name] = values.tz_convert("UTC").tz_localize(None).to_numpy().view("i8")
        return {"v": "zoned", "tz": str(dtype.tz), "unit": dtype.unit}
    if isinstance(dtype, pd.PeriodDtype):
        parts[name] = np.asarray(values.asi8)
        return {"v": "period", "freq": dtype.name.removeprefix("period[").removesuffix("]")}
    if type(values) in _MASKED.values():
        numpy_dtype = dtype.numpy_dtype
        parts[name] = values.to_numpy(dtype=numpy_dtype, na_value=numpy_dtype.type(0))
        parts[f"{name}.mask"] = np.asarray(values.isna(), dtype=bool)
        return {"v": "masked"}
    raise UnsupportedLeafError(f"{what} has dtype {dtype}, which is not stored; convert it to a NumPy or masked dtype")


def _decode_vector(meta: Any, name: str, parts: Parts) -> Any:
    kind = meta["v"]
    if kind == "string":
        return _decode_strings(meta, name, parts)
    values = parts[name]
    if values.ndim != 1:
        raise StructureError(f"{name} has the shape {values.shape}; wanted one dimension. Rebuild the file.")
    if kind == "numpy":
        return values
    if kind == "masked":
        return _MASKED[values.dtype.kind](values, parts[f"{name}.mask"])
    if kind == "category":
        categories = _decode_index(meta["categories"], f"{name}.categories", parts)
        return pd.Categorical.from_codes(values, dtype=pd.CategoricalDtype(categories, ordered=meta["ordered"]))
    if kind == "zoned":
        if not isinstance(meta["tz"], str) or _ZONE.match(meta["tz"]) is None:
            raise StructureError(f"{name}: {meta['tz']!r} names no time zone; rebuild the file.")
        stamps = pd.DatetimeIndex(values.view(f"M8[{meta['unit']}]"))
        return stamps.tz_localize("UTC").tz_convert(meta["tz"]).array
    if kind == "period":
        return pd.arrays.PeriodArray(values, dtype=pd.PeriodDtype(meta["freq"]))
    raise StructureError(f"unknown kind of column {kind!r}; rebuild the file.")


def _same_zone(dtype: pd.DatetimeTZDtype) -> bool:
    """Whether the zone's name brings the same zone back."""
    try:
        return pd.DatetimeTZDtype(dtype.unit, str(dtype.tz)) == dtype
    except (TypeError, ValueError, KeyError):
        return False


def _encode_strings(values: Any, name: str, parts: MutableParts) -> dict[str, Any]:
    mask = np.asarray(values.isna(), dtype=bool)
    items = [
        b"" if missing else item.encode("utf-8", "surrogatepass")
        for item, missing in zip(values.to_numpy(dtype=object), mask, strict=True)
    ]
    lengths = np.fromiter(map(len, items), dtype=np.int64, count=len(items))
    parts[name] = np.frombuffer(b"".join(items), dtype=np.uint8)
    parts[f"{name}.ends"] = np.cumsum(lengths)
    if mask.any():
        parts[f"{name}.mask"] = mask
    missing_value = "NA" if values.dtype.na_value is pd.NA else "nan"
    return {"v": "string", "na": missing_value, "storage": values.dtype.storage}


def _decode_strings(meta: Any, name: str, parts: Parts) -> Any:
    content, ends = parts[name].tobytes(), parts[f"{name}.ends"]
    starts = np.concatenate(([0], ends[:-1])) if len(ends) else ends
    if len(ends) and (ends[-1] != len(content) or np.any(ends < starts)):
        raise StructureError(f"{name}: text offsets do not fit {len(content)} bytes; rebuild the file.")
    items = np.empty(len(ends), dtype=object)
    for i, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        items[i] = content[start:end].decode("utf-8", "surrogatepass")
    missing = pd.NA if meta["na"] == "NA" else np.nan
    mask = parts.get(f"{name}.mask")
    if mask is not None:
        items[mask] = missing
    storage = meta["storage"] if importlib.util.find_spec("pyarrow") else "python"
    string_dtype: Any = pd.StringDtype
    return pd.array(items, dtype=string_dtype(storage, na_value=missing))


register_leaf("pandas.DataFrame", pd.DataFrame, encode_table, decode_table)
register_leaf("pandas.Series", pd.Series, encode_series, decode_series)
for _cls in (pd.Index, pd.RangeIndex, pd.MultiIndex, pd.DatetimeIndex, pd.TimedeltaIndex, pd.CategoricalIndex):
    register_leaf(
        f"pandas.{_cls.__name__}", _cls, encode_pandas_index, lambda parts, meta: _decode_index(meta, "index", parts)
    )
