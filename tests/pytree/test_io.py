"""Tree files: exact round trips, identical bytes, atomic writes, and only our errors whatever is read."""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tessera.errors import StructureError, UnsupportedLeafError
from tessera.frame import Frame
from tessera.pytree.compare import identity_diff, tree_identical
from tessera.pytree.io import describe_tree, dump_tree, format_tree, load_tree
from tessera.pytree.registry import register_dataclass, register_namedtuple
from tessera.pytree.storage import h5reading, h5writing, pieces
from tessera.pytree.storage.encoders import Encoded, register_leaf
from tessera.pytree.storage.fingerprint import tree_sha256
from tessera.rules.values import EntityValues

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass(frozen=True)
class Box:
    content: Any
    label: str


@dataclass(frozen=True)
class Stranger:
    content: Any


class Raster:
    def __init__(self, cells: np.ndarray) -> None:
        self.cells = cells


register_namedtuple(Point)
register_dataclass(Box)


def round_trip(tree: Any, folder: Path) -> Any:
    dump_tree(tree, folder / "tree.h5")
    return load_tree(folder / "tree.h5")


def assert_same(tree: Any, loaded: Any) -> None:
    assert identity_diff(tree, loaded) is None
    assert type(tree) is type(loaded)


TEXT = st.text(st.characters(codec=None), max_size=8)
KEYS = st.one_of(
    TEXT,
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=False),
    st.binary(max_size=4),
    st.tuples(st.integers(), TEXT),
)
DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64), endianness="?"),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.byte_string_dtypes(max_len=5),
    hnp.unicode_string_dtypes(max_len=5),
)
ARRAYS = DTYPES.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
SCALARS = st.one_of(st.integers(), st.floats(), st.booleans(), TEXT, st.binary(max_size=6), st.complex_numbers())
TREES = st.recursive(
    st.one_of(ARRAYS, SCALARS, st.none()),
    lambda children: st.one_of(
        st.lists(children, max_size=4),
        st.lists(children, max_size=3).map(tuple),
        st.dictionaries(KEYS, children, max_size=4),
        st.dictionaries(KEYS, children, max_size=3).map(OrderedDict),
        st.builds(Point, children, children),
        st.builds(Box, children, TEXT),
    ),
    max_leaves=8,
)


@QUICK
@given(array=ARRAYS)
def test_arrays_keep_dtype_shape_and_every_bit(array: np.ndarray, tmp_path: Path) -> None:
    loaded = round_trip(array, tmp_path)
    assert loaded.dtype.str == array.dtype.str
    assert loaded.shape == array.shape
    assert loaded.tobytes() == array.tobytes()


@QUICK
@given(tree=TREES)
def test_any_nesting_comes_back_and_again_gives_the_same_bytes(tree: Any, tmp_path: Path) -> None:
    first = dump_tree(tree, tmp_path / "first.h5")
    loaded = load_tree(tmp_path / "first.h5")
    assert_same(tree, loaded)
    second = dump_tree(loaded, tmp_path / "second.h5")
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()
    assert first.sha256 == second.sha256 == tree_sha256(tree) == describe_tree(tmp_path / "first.h5").sha256


@QUICK
@given(value=SCALARS)
def test_python_scalars_keep_their_type(value: Any, tmp_path: Path) -> None:
    loaded = round_trip(value, tmp_path)
    assert type(loaded) is type(value)
    assert repr(loaded) == repr(value)


COLUMNS = {
    "int8": pd.Series([1, -2, 3], dtype="int8"),
    "big endian": pd.Series(np.array([1, 2, 3], dtype=">f8")),
    "float32": pd.Series([1.5, np.nan, -0.0], dtype="float32"),
    "bool": pd.Series([True, False, True]),
    "complex": pd.Series([1 + 2j, 0j, -1j]),
    "str": pd.Series(["a", None, "DOÑA ANA\0"]),
    "string": pd.array(["a", pd.NA, ""], dtype="string"),
    "Int64": pd.array([1, None, 2**62], dtype="Int64"),
    "UInt8": pd.array([1, None, 255], dtype="UInt8"),
    "Float64": pd.array([1.5, None, 2.5], dtype="Float64"),
    "Float64 NaN": pd.Series(pd.arrays.FloatingArray(np.array([np.nan, 0, 1]), np.array([False, True, False]))),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "category": pd.Categorical(["b", None, "a"], categories=["c", "b", "a"]),
    "ordered": pd.Categorical([3, 1, 3], categories=[3, 1, 2], ordered=True),
    "day": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-06-01"])),
    "ns": pd.Series(pd.to_datetime(["2020-01-01", None, "2021-06-01"])).dt.as_unit("ns"),
    "span": pd.Series(pd.to_timedelta([1, 2, None], unit="s")),
    "zone": pd.Series(pd.to_datetime(["2020-07-01", None, "2021-01-01"]).tz_localize("America/New_York")),
    "utc": pd.Series(pd.to_datetime(["2020-07-01", None, "2021-01-01"]).tz_localize("UTC")),
    "period": pd.Series(pd.period_range("2024-01", periods=3, freq="M")),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_and_series_keep_their_dtype(name: str, tmp_path: Path) -> None:
    table = pd.DataFrame({name: COLUMNS[name], "n": [1, 2, 3]})
    loaded = round_trip({"table": table, "series": table[name]}, tmp_path)
    pd.testing.assert_frame_equal(loaded["table"], table, check_exact=True, check_flags=True)
    pd.testing.assert_series_equal(loaded["series"], table[name], check_exact=True)
    assert loaded["series"].dtype == table[name].dtype
    assert_same(table, loaded["table"])


INDEXES = {
    "default": pd.RangeIndex(3),
    "range": pd.RangeIndex(2, 11, 3, name="row"),
    "ints": pd.Index([3, 1, 2], dtype="int16", name=("a", 1)),
    "text": pd.Index(["é", "b", "b"], name=0),
    "mixed": pd.Index([1, "1", None], dtype=object),
    "tuples": pd.Index([("a", 1), ("a", 2), ("b", 1)], tupleize_cols=False),
    "days": pd.date_range("2024-01-01", periods=3, freq="D"),
    "zone": pd.date_range("2024-03-09", periods=3, freq="D", tz="America/New_York"),
    "spans": pd.timedelta_range("1s", periods=3, freq="2s"),
    "category": pd.CategoricalIndex(["x", "y", "x"], ordered=True),
    "multi": pd.MultiIndex.from_tuples([("CA", 1), ("CA", 2), ("NV", 1)], names=["state", None]),
    "interval ends": pd.Index([0.5, np.nan, np.inf]),
}


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_keep_class_name_and_labels(name: str, tmp_path: Path) -> None:
    index = INDEXES[name]
    table = pd.DataFrame({"v": [1.0, 2.0, 3.0], 7: [1, 2, 3]}, index=index)
    wide = pd.DataFrame(np.eye(3), columns=index)
    loaded = round_trip((table, wide, pd.Series([1, 2, 3], index=index, name=5)), tmp_path)
    for before, after in zip((table, wide), loaded[:2], strict=True):
        pd.testing.assert_frame_equal(after, before, check_exact=True, check_freq=True)
        assert type(after.index) is type(before.index)
        assert after.columns.dtype == before.columns.dtype
    pd.testing.assert_series_equal(loaded[2], pd.Series([1, 2, 3], index=index, name=5), check_exact=True)


def test_odd_tables_round_trip(tmp_path: Path) -> None:
    duplicate = pd.DataFrame([[1, 2.5]], columns=["a", "a"])
    attributed = pd.DataFrame({"a": [1]})
    attributed.attrs = {"source": "CPS", "year": 2024}
    tables = [pd.DataFrame(), pd.DataFrame(index=[1, 2]), pd.DataFrame({"a": []}), duplicate, attributed]
    for before, after in zip(tables, round_trip(tables, tmp_path), strict=True):
        pd.testing.assert_frame_equal(after, before)
        assert after.attrs == before.attrs
    series = pd.Series(dtype="str")
    pd.testing.assert_series_equal(round_trip(series, tmp_path), series)


@pytest.mark.parametrize("name", ["csr", "csc", "coo"])
@pytest.mark.parametrize("suffix", ["array", "matrix"])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_sparse_leaves_keep_class_pattern_and_index_dtype(name: str, suffix: str, dtype: str, tmp_path: Path) -> None:
    dense = np.zeros((4, 5), dtype=dtype)
    dense[1, 2], dense[3, 0] = 1, 3
    before = getattr(sp, f"{name}_{suffix}")(dense)
    after = round_trip(before, tmp_path)
    assert type(after) is type(before) and after.dtype == before.dtype and after.shape == before.shape
    assert (after != before).nnz == 0
    wide = sp.csr_array(dense)
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    loaded = round_trip(wide, tmp_path)
    assert loaded.indices.dtype == loaded.indptr.dtype == np.int64
    empty = getattr(sp, f"{name}_{suffix}")((0, 3))
    assert round_trip(empty, tmp_path).shape == (0, 3)


def test_torch_tensors_go_through_numpy(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    loaded = round_trip([torch.arange(6).reshape(2, 3), torch.ones(2, requires_grad=True)], tmp_path)
    assert torch.equal(loaded[0], torch.arange(6).reshape(2, 3))
    assert loaded[1].tolist() == [1.0, 1.0]
    with pytest.raises(UnsupportedLeafError, match=r"\['x'\].*bfloat16"):
        dump_tree({"x": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "x.h5")


def test_our_dataclasses_come_back_as_such(tmp_path: Path) -> None:
    tables = {name: pd.DataFrame({f"{name}_id": [1]}) for name in ("household", "tax_unit", "spm_unit", "family")}
    frame = Frame(**tables, marital_unit=pd.DataFrame(), person=pd.DataFrame({"age": [3]}), year=2024, synthetic=True)
    values = EntityValues(1, {"person": np.zeros(1, np.int64)}, {}, {"age": np.array([3.0])}, {"age": "person"})
    loaded = round_trip({"frame": frame, "values": values}, tmp_path)
    assert type(loaded["frame"]) is Frame and type(loaded["values"]) is EntityValues
    assert_same({"frame": frame, "values": values}, loaded)
    assert load_tree(tmp_path / "tree.h5", ("frame", "year")) == 2024
    part = load_tree(tmp_path / "tree.h5", "['frame'].person")
    pd.testing.assert_frame_equal(part, frame.person)
    assert type(load_tree(tmp_path / "tree.h5", ["values"])) is EntityValues


def test_keys_that_pybaum_confuses_stay_apart(tmp_path: Path) -> None:
    tree = {1: "int", "1": "str", "a_b": 1, "a": {"b": 2}, "none": None, "empty": [{}, [], ()], None: 0}
    loaded = round_trip(tree, tmp_path)
    assert_same(tree, loaded)
    assert load_tree(tmp_path / "tree.h5", (1,)) == "int" and load_tree(tmp_path / "tree.h5", ("1",)) == "str"
    assert load_tree(tmp_path / "tree.h5", "['empty']") == [{}, [], ()]
    with pytest.raises(StructureError, match="nothing at"):
        load_tree(tmp_path / "tree.h5", ("a", "c"))


def test_a_root_leaf_and_an_empty_tree(tmp_path: Path) -> None:
    assert round_trip(None, tmp_path) is None
    assert round_trip({}, tmp_path) == {}
    assert round_trip(3.5, tmp_path) == 3.5
    assert describe_tree(tmp_path / "tree.h5").leaves[0].path == "(root)"


def test_long_texts_and_many_leaves_outgrow_attributes(tmp_path: Path) -> None:
    wide = pd.DataFrame(np.zeros((1, 2600)), columns=pd.Index([f"c{i}" for i in range(2599)] + [1], dtype=object))
    tree = {"wide": wide, "k" * 70_000: "v" * 70_000, "labels": pd.Series(range(9000), index=[*range(8999), "x"])}
    assert_same(tree, round_trip(tree, tmp_path))
    many = {f"leaf {i}": i for i in range(1500)}
    assert round_trip(many, tmp_path) == many
    assert_same(tree["wide"], round_trip(tree, tmp_path)["wide"])


def test_columns_that_repeat_themselves_are_compressed(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.integers(0, 3, (50_000, 4)))
    table["name"] = ["a long name of a place"] * 50_000
    summary = dump_tree(table, tmp_path / "tree.h5")
    assert summary.bytes < summary.leaves[0].nbytes / 4
    pd.testing.assert_frame_equal(load_tree(tmp_path / "tree.h5"), table)
    noise = dump_tree(pd.DataFrame({"x": rng.random(50_000)}), tmp_path / "noise.h5")
    assert noise.leaves[0].nbytes < noise.bytes < noise.leaves[0].nbytes + 10_000


def test_many_large_leaves_are_in_flight_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(h5reading, "_IN_FLIGHT", 200_000)
    monkeypatch.setattr(h5writing, "_IN_FLIGHT", 200_000)
    tree = [np.full(10_000 * (i % 3 + 1), i) for i in range(20)]
    assert_same(tree, round_trip(tree, tmp_path))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "bool", ">f8", "c16", "M8[s]", "S3", "U3"])
def test_large_arrays_are_written_and_read_in_pieces(dtype: str, tmp_path: Path) -> None:
    """Three pieces and a bit of each kind of storage, beside others, whole and alone, on one thread and on many."""
    numbers = np.random.default_rng(1).integers(0, 2, (13 << 20) // np.dtype(dtype).itemsize)
    tree = {"large": numbers.astype(dtype), "small": 1, "rows": numbers[:20_000].reshape(4, -1).astype(dtype)}
    summary = dump_tree(tree, tmp_path / "tree.h5")
    assert summary.sha256 == tree_sha256(tree)
    assert_same(tree, load_tree(tmp_path / "tree.h5"))
    assert_same(tree, load_tree(tmp_path / "tree.h5", verify="sha256"))
    assert_same(tree["large"], load_tree(tmp_path / "tree.h5", ("large",)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_cores", lambda: 1)
        dump_tree(tree, tmp_path / "one.h5", durable=False)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "tree.h5").read_bytes()
    with h5py.File(tmp_path / "tree.h5") as file:  # as any other HDF5 tool sees it
        if dtype == "f8":
            assert np.array_equal(file["leaves/000000"][()], tree["large"])


def test_memory_order_does_not_change_the_bytes(tmp_path: Path) -> None:
    array = np.arange(12).reshape(3, 4)
    assert tree_sha256(array) == tree_sha256(np.asfortranarray(array)) == tree_sha256(array[::-1][::-1])
    assert tree_sha256(array) != tree_sha256(array.astype(np.int32)) != tree_sha256(array.reshape(4, 3))


def test_bytes_do_not_depend_on_the_clock_or_the_name(tmp_path: Path) -> None:
    tree = {"a": np.arange(3), "t": pd.DataFrame({"x": ["a", "b"]})}
    dump_tree(tree, tmp_path / "one.h5")
    time.sleep(1.1)
    dump_tree(tree, tmp_path / "deep" / "two.h5")
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "deep" / "two.h5").read_bytes()


def test_equality_is_exact() -> None:
    assert tree_identical({"a": np.array([np.nan])}, {"a": np.array([np.nan])})
    assert not tree_identical({"a": 1}, {"b": 1})
    assert not tree_identical([1, 2], [1, 2, 3])
    assert not tree_identical(np.ones(3), np.ones(1))
    assert not tree_identical(1, 1.0)
    assert not tree_identical({"a": 1, "b": 2}, {"b": 2, "a": 1})
    assert identity_diff({"a": 1}, {"b": 1}) == "missing ['a']; extra ['b']"
    assert "['a'][0]: float" in (identity_diff({"a": [1.0]}, {"a": [2.0]}) or "")


REFUSED = {
    "object array": (np.array([1, "a"], dtype=object), "object arrays are not stored"),
    "object column": (pd.DataFrame({"c": pd.Series([1, "a"], dtype=object)}), "column 'c' has dtype object"),
    "record array": (np.zeros(2, dtype=[("a", "i4")]), "is not stored"),
    "long double": (np.zeros(2, dtype=np.longdouble), "differs between machines"),
    "defaultdict": (defaultdict(int), "defaultdict"),
    "masked array": (np.ma.masked_array([1, 2], [True, False]), "MaskedArray"),
    "set": ({1, 2}, "register_leaf"),
    "lambda": (len, "builtin_function_or_method"),
    "unregistered dataclass": (Stranger(1), "register_dataclass"),
    "unregistered namedtuple": (namedtuple("Loose", "x")(1), "register_namedtuple"),
    "interval": (pd.Series(pd.interval_range(0, 2)), "interval"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_stored_is_refused_by_path(name: str, tmp_path: Path) -> None:
    leaf, message = REFUSED[name]
    (tmp_path / "tree.h5").write_bytes(b"before")
    with pytest.raises(UnsupportedLeafError, match=message) as caught:
        dump_tree({"ok": 1, "deep": [leaf]}, tmp_path / "tree.h5")
    assert "['deep'][0]" in str(caught.value)
    assert (tmp_path / "tree.h5").read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["tree.h5"]


def test_keys_and_depth_that_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="int64"):
        dump_tree({"a": {np.int64(1): 2}}, tmp_path / "tree.h5")
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(StructureError, match="contains itself"):
        dump_tree(cyclic, tmp_path / "tree.h5")


def test_a_registered_leaf_type(tmp_path: Path) -> None:
    register_leaf(
        "tests.Raster",
        Raster,
        lambda leaf: Encoded({"cells": leaf.cells}, None, leaf.cells.dtype.str, leaf.cells.shape),
        lambda parts, meta: Raster(parts["cells"]),
    )
    loaded = round_trip({"r": Raster(np.eye(2))}, tmp_path)
    np.testing.assert_array_equal(loaded["r"].cells, np.eye(2))
    with pytest.raises(StructureError, match="registered already"):
        register_leaf("tests.Raster", Stranger, lambda leaf: Encoded({}, None, "", ()), lambda parts, meta: None)


def test_the_description_names_every_leaf(tmp_path: Path) -> None:
    tree = {"t": pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), "m": sp.csr_array(np.eye(3)), "v": np.arange(9.0)}
    summary = dump_tree(tree, tmp_path / "tree.h5")
    assert describe_tree(tmp_path / "tree.h5") == summary
    text = format_tree(tmp_path / "tree.h5")
    assert summary.sha256 in text
    assert [line.split()[0] for line in text.splitlines()[2:]] == ["['t']", "['m']", "['v']"]
    assert "3 x 3" in text and "scipy.csr_array" in text
    with h5py.File(tmp_path / "tree.h5") as file:
        assert {bytes(node.attrs["path"]).decode() for node in file["leaves"].values()} == {"['t']", "['m']", "['v']"}
    assert (tmp_path / "tree.h5").read_bytes().startswith(b"pytree-h5 2\nbytes ")
