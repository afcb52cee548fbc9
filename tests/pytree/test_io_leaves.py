"""Any leaf comes back to the last bit: tables, indexes, sparse matrices and tensors as hypothesis thinks them up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tessera.pytree.compare import identity_diff
from tessera.pytree.io import dump_tree, load_tree

QUICK = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
INSTANT = st.one_of(st.none(), st.integers(-(2**62), 2**62))
ZONES = st.sampled_from(["UTC", "America/New_York", "Asia/Kolkata", "Etc/GMT+5", "+05:30"])
UNITS = st.sampled_from(["s", "ms", "us", "ns"])
NARROW = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values)


@st.composite
def columns(draw: st.DrawFn, length: int) -> Any:
    """A column of some dtype that pandas knows and files hold."""
    kind = draw(st.sampled_from(list(_MAKERS)))
    return _MAKERS[kind](draw, length)


def rows(draw: st.DrawFn, values: st.SearchStrategy[Any], length: int) -> list[Any]:
    return draw(st.lists(values, min_size=length, max_size=length))


def numpy_column(draw: st.DrawFn, length: int) -> Any:
    dtype = draw(
        st.one_of(
            hnp.integer_dtypes(endianness="="), hnp.floating_dtypes(sizes=(32, 64), endianness="="), st.just(bool)
        )
    )
    return pd.Series(draw(hnp.arrays(dtype, length)))


def masked_column(draw: st.DrawFn, length: int) -> Any:
    dtype = draw(st.sampled_from(["Int8", "Int64", "UInt16", "Float32", "Float64", "boolean"]))
    values = {
        "Int8": st.integers(-128, 127),
        "UInt16": st.integers(0, 65_535),
        "boolean": st.booleans(),
        "Int64": st.integers(-(2**63), 2**63 - 1),
    }
    numbers = values.get(dtype, st.floats(width=32, allow_nan=False))
    return pd.Series(pd.array(rows(draw, optional(numbers), length), dtype=dtype))


def text_column(draw: st.DrawFn, length: int) -> Any:
    dtype = draw(st.sampled_from(["str", "string"]))
    return pd.Series(rows(draw, optional(TEXT), length), dtype=dtype)


def category_column(draw: st.DrawFn, length: int) -> Any:
    labels = draw(st.lists(st.one_of(TEXT), min_size=1, max_size=4, unique=True))
    codes = rows(draw, st.integers(-1, len(labels) - 1), length)
    dtype = pd.CategoricalDtype(pd.Index(labels, dtype="str"), ordered=draw(st.booleans()))
    return pd.Series(pd.Categorical.from_codes(codes, dtype=dtype))


def instants(draw: st.DrawFn, length: int) -> np.ndarray:
    missing = np.iinfo(np.int64).min
    return np.array([missing if n is None else n for n in rows(draw, NARROW, length)], dtype="i8")


def time_column(draw: st.DrawFn, length: int) -> Any:
    stamps = pd.DatetimeIndex(instants(draw, length).view(f"M8[{draw(UNITS)}]"))
    zone = draw(optional(ZONES))
    return pd.Series(stamps if zone is None else stamps.tz_localize("UTC").tz_convert(zone))


def span_column(draw: st.DrawFn, length: int) -> Any:
    return pd.Series(pd.TimedeltaIndex(instants(draw, length).view(f"m8[{draw(UNITS)}]")))


def period_column(draw: st.DrawFn, length: int) -> Any:
    frequency = draw(st.sampled_from(["M", "D", "Y-DEC", "Q-MAR", "h"]))
    return pd.Series(pd.PeriodIndex.from_ordinals(rows(draw, st.integers(0, 10_000), length), freq=frequency))


_MAKERS = {
    "numpy": numpy_column,
    "masked": masked_column,
    "text": text_column,
    "category": category_column,
    "time": time_column,
    "span": span_column,
    "period": period_column,
}
LABELS = st.one_of(TEXT, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none(), st.tuples(st.integers(0, 3), TEXT))


@st.composite
def indexes(draw: st.DrawFn, length: int) -> pd.Index:
    """A row index of some class."""
    name = draw(LABELS)
    kind = draw(st.sampled_from(["range", "column", "mixed", "multi"]))
    if kind == "range":
        start, step = draw(st.integers(-5, 5)), draw(st.integers(1, 3))
        return pd.RangeIndex(start, start + step * length, step, name=name)
    if kind == "mixed":
        labels = np.empty(length, dtype=object)
        labels[:] = rows(draw, st.one_of(TEXT, st.integers(0, 9)), length)
        return pd.Index(labels, dtype=object, name=name)
    if kind == "multi":
        pairs = [rows(draw, st.integers(0, 2), length), rows(draw, st.sampled_from(["a", "b"]), length)]
        return pd.MultiIndex.from_arrays(pairs, names=[name, "second"])
    return pd.Index(draw(columns(length)), name=name)


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """A frame, or a Series, of up to five rows and three columns."""
    length = draw(st.integers(0, 5))
    index = draw(indexes(length))
    labels = draw(st.lists(st.one_of(TEXT, st.integers(0, 5)), max_size=3, unique=True))
    frame = pd.DataFrame({label: draw(columns(length)).array for label in labels}, index=index)
    if labels and draw(st.booleans()):
        return frame[labels[0]]
    return frame


@QUICK
@given(table=tables())
def test_tables_of_any_columns_and_index(table: Any, tmp_path: Path) -> None:
    dump_tree(table, tmp_path / "tree.h5")
    loaded = load_tree(tmp_path / "tree.h5")
    assert identity_diff(table, loaded) is None
    if isinstance(table, pd.Series):
        pd.testing.assert_series_equal(loaded, table, check_exact=True, check_index_type="exact")
    else:
        pd.testing.assert_frame_equal(loaded, table, check_exact=True, check_index_type="exact")
    assert type(loaded.index) is type(table.index)


@QUICK
@given(data=st.data())
def test_indexes_that_are_leaves(data: st.DataObject, tmp_path: Path) -> None:
    index = data.draw(indexes(data.draw(st.integers(0, 4))))
    if isinstance(index, pd.PeriodIndex):
        return
    dump_tree([index], tmp_path / "tree.h5")
    loaded = load_tree(tmp_path / "tree.h5")[0]
    assert type(loaded) is type(index)
    pd.testing.assert_index_equal(loaded, index, exact=True)
    assert loaded.names == index.names


@QUICK
@given(data=st.data())
def test_sparse_matrices_of_any_pattern(data: st.DataObject, tmp_path: Path) -> None:
    shape = (data.draw(st.integers(0, 5)), data.draw(st.integers(1, 5)))
    dtype = data.draw(st.sampled_from(["f8", "f4", "i4", "bool", "c16"]))
    dense = data.draw(hnp.arrays(dtype, shape, elements=st.integers(0, 1).map(np.dtype(dtype).type)))
    name = data.draw(st.sampled_from(["csr_array", "csr_matrix", "csc_array", "csc_matrix", "coo_array", "coo_matrix"]))
    before = getattr(sp, name)(dense)
    dump_tree({"m": before}, tmp_path / "tree.h5")
    after = load_tree(tmp_path / "tree.h5")["m"]
    assert type(after) is type(before) and after.dtype == before.dtype and after.shape == before.shape
    for part in ("data", "indices", "indptr", "row", "col"):
        if hasattr(before, part):
            mine, kept = getattr(after, part), getattr(before, part)
            assert mine.dtype == kept.dtype and np.array_equal(mine, kept)
    assert identity_diff({"m": before}, {"m": after}) is None


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_tensors_of_any_dtype(data: st.DataObject, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    dtype = data.draw(st.sampled_from(["f8", "f4", "f2", "i8", "i4", "u1", "bool", "c8"]))
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
    before = torch.from_numpy(array)
    dump_tree([before, before.T if before.ndim == 2 else before], tmp_path / "tree.h5")
    after = load_tree(tmp_path / "tree.h5")
    assert after[0].dtype == before.dtype and after[0].shape == before.shape
    assert after[0].numpy().tobytes() == array.tobytes()


def test_the_values_behind_masks_do_not_matter(tmp_path: Path) -> None:
    """Two arrays that pandas calls equal have the same content hash, whatever sits below the mask."""
    mask = np.array([False, True])
    one = pd.Series(pd.arrays.IntegerArray(np.array([1, 7]), mask))
    other = pd.Series(pd.arrays.IntegerArray(np.array([1, 9]), mask))
    assert dump_tree(one, tmp_path / "a.h5").sha256 == dump_tree(other, tmp_path / "b.h5").sha256
