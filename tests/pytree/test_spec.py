"""TreeSpec: trees and vectors, matched by path and label; sub-trees, selections, columns, names of numbers."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tessera.errors import StructureError
from tessera.pytree.compare import tree_equal
from tessera.pytree.registry import get_registry
from tessera.pytree.trees.spec import TreeSpec

FLOATS = st.floats(allow_nan=False, width=32)
LABELS = st.one_of(
    st.lists(st.text(max_size=3), unique=True, max_size=5).map(lambda x: pd.Index(x, dtype="str")),
    st.lists(st.integers(-9, 9), unique=True, max_size=5).map(lambda x: pd.Index(x, dtype="int64")),
    st.lists(st.floats(-3, 3), unique=True, max_size=4).map(lambda x: pd.Index([*x, np.nan], dtype="float64")),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), unique=True, min_size=1, max_size=5).map(
        pd.MultiIndex.from_tuples
    ),
    st.integers(0, 4).map(lambda n: pd.date_range("2020-01-01", periods=n, freq="D")),
)


def numbers(draw: Any, *shape: int) -> Any:
    size = int(np.prod(shape))
    return np.array(draw(st.lists(FLOATS, min_size=size, max_size=size)), dtype=np.float64).reshape(shape)


def scalars() -> Any:
    odd = st.sampled_from([np.float32(1.5), np.int8(3), np.uint16(7), np.array(2.5), np.array(3)])
    return st.one_of(FLOATS, st.integers(-(2**40), 2**40), odd)


@st.composite
def arrays(draw: Any) -> Any:
    values = numbers(draw, *draw(st.lists(st.integers(0, 3), max_size=3)))
    return np.array(values, dtype=draw(st.sampled_from(["f8", "f4"])), order=draw(st.sampled_from("CF")))


@st.composite
def matrices(draw: Any) -> Any:
    dense = numbers(draw, draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    formats = [f"{name}_{kind}" for name in ("csr", "csc", "coo") for kind in ("array", "matrix")]
    return getattr(sparse, draw(st.sampled_from(formats)))(dense)


@st.composite
def series(draw: Any) -> Any:
    index = draw(LABELS)
    return pd.Series(numbers(draw, len(index)), index=index, name=draw(st.sampled_from([None, "s", 3])))


@st.composite
def value_frames(draw: Any) -> Any:
    index = draw(LABELS)
    return pd.DataFrame({"lower_bound": 0.0, "value": numbers(draw, len(index)), "group": "g"}, index=index)


@st.composite
def frames(draw: Any) -> Any:
    index, width = draw(LABELS), draw(st.integers(0, 3))
    frame = pd.DataFrame(numbers(draw, len(index), width), index=index, columns=list(range(width)))
    if draw(st.booleans()):
        frame.insert(draw(st.integers(0, width)), "text", "t")
    return frame


TREES = st.recursive(
    st.one_of(scalars(), arrays(), matrices(), series(), value_frames(), frames(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)


def shuffled(tree: Any, rng: np.random.Generator) -> Any:
    """The same tree with keys, rows and columns in another order."""
    if isinstance(tree, dict):
        return {key: shuffled(tree[key], rng) for key in rng.permutation(np.array([*tree], dtype=object)).tolist()}
    if isinstance(tree, list | tuple):
        return type(tree)(shuffled(item, rng) for item in tree)
    if isinstance(tree, pd.Series):
        return tree.iloc[rng.permutation(len(tree))]
    if isinstance(tree, pd.DataFrame):
        return tree.iloc[rng.permutation(len(tree)), rng.permutation(tree.shape[1])]
    if sparse.issparse(tree) and tree.format == "coo":
        order = rng.permutation(tree.nnz)
        places = tuple(part[order] for part in tree.coords)
        return type(tree)((tree.data[order], places), shape=tree.shape)
    return tree


@settings(deadline=None, max_examples=200)
@given(tree=TREES)
def test_unravel_is_the_inverse_of_ravel(tree: Any) -> None:
    spec = TreeSpec.of(tree)
    vector = spec.ravel(tree)
    assert vector.dtype == np.float64 and vector.shape == (spec.size,) == (spec.offsets[-1],)
    again = spec.unravel(vector)
    assert tree_equal(tree, again)
    assert np.array_equal(spec.ravel(again), vector, equal_nan=True)
    assert tree_equal(spec.unravel(vector, copy=False), tree)
    assert TreeSpec.of(again) == spec and spec.diff(TreeSpec.of(again)) is None
    assert [int(np.prod(shape)) for shape in spec.shapes] == np.diff(spec.offsets).tolist()
    for number, shape in enumerate(spec.shapes):
        assert len(spec.labels(number)) == len(shape)
        assert all(label is None or len(label) == n for label, n in zip(spec.labels(number), shape, strict=True))


@settings(deadline=None, max_examples=200)
@given(tree=TREES, seed=st.integers(0, 99))
def test_the_order_of_keys_and_labels_does_not_matter(tree: Any, seed: int) -> None:
    spec = TreeSpec.of(tree)
    other = shuffled(tree, np.random.default_rng(seed))
    assert np.array_equal(spec.ravel(other), spec.ravel(tree), equal_nan=True)
    assert spec.diff(TreeSpec.of(other)) is None
    assert np.array_equal(spec.partial(other), spec.ravel(tree), equal_nan=True)
    assert tree_equal(tree, other)


@settings(deadline=None, max_examples=100)
@given(tree=TREES)
def test_indexes_name_every_number_once(tree: Any) -> None:
    spec = TreeSpec.of(tree)
    flat, multi = spec.index("flat"), spec.index("multi")
    assert len(flat) == len(multi) == spec.size and flat.is_unique
    assert isinstance(multi, pd.MultiIndex) and multi.is_unique
    assert flat.dtype == "str"


@settings(deadline=None, max_examples=100)
@given(tree=TREES)
def test_pickled_specs_are_equal_and_work(tree: Any) -> None:
    spec = TreeSpec.of(tree)
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec and hash(copy) == hash(spec)
    vector = np.arange(float(spec.size))
    assert tree_equal(copy.unravel(vector), spec.unravel(vector))
    assert np.array_equal(copy.ravel(spec.unravel(vector)), vector)


@settings(deadline=None, max_examples=100)
@given(tree=TREES)
def test_selecting_everything_gives_every_position(tree: Any) -> None:
    spec = TreeSpec.of(tree)
    assert spec.select(lambda whole: whole).tolist() == list(range(spec.size))


def params() -> dict[str, Any]:
    """The parameters of the proposal's optimisation example."""
    return {
        "delta": 0.95,
        "utility": pd.DataFrame([[0.5, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"]),
        "probs": np.array([[0.8, 0.2], [0.3, 0.7]]),
    }


def test_the_parameters_of_the_proposal() -> None:
    spec = TreeSpec.of(params())
    assert (spec.n_leaves, spec.size) == (3, 8)
    assert spec.paths == (("delta",), ("utility",), ("probs",))
    assert spec.names == ("['delta']", "['utility']", "['probs']")
    assert spec.shapes == ((), (3,), (2, 2)) and spec.offsets.tolist() == [0, 1, 4, 8]
    assert [label.tolist() for label in spec.labels(1) if label is not None] == [["a", "b", "c"]]
    assert spec.labels(2) == (None, None)
    assert spec.ravel(params()).tolist() == [0.95, 0.5, 0.5, 0.5, 0.8, 0.2, 0.3, 0.7]
    assert spec.index("multi").tolist()[-4:] == [("probs", 0, 0), ("probs", 0, 1), ("probs", 1, 0), ("probs", 1, 1)]
    assert spec.index("multi").get_loc(("utility", "b", "")) == 2
    assert repr(spec) == "TreeSpec(3 leaves, 8 numbers: ['delta'], ['utility'], ['probs'])"
    with pytest.raises(StructureError, match="unknown kind of index 'tree'"):
        spec.index("tree")  # type: ignore[arg-type]


def test_unravel_gives_floats_and_leaves_other_columns_alone() -> None:
    tree = {**params(), "n": 3, "counts": np.array([1, 2]), "table": pd.DataFrame({"x": [1, 2], "who": ["p", "q"]})}
    spec = TreeSpec.of(tree)
    new = spec.unravel(np.arange(float(spec.size)))
    assert type(new["n"]) is float and type(new["delta"]) is float and new["counts"].dtype == np.float64
    assert new["utility"].columns.tolist() == ["value", "lower_bound"]
    assert new["utility"]["lower_bound"].tolist() == [0, 0, 0] and new["utility"]["value"].tolist() == [1, 2, 3]
    assert new["table"]["who"].tolist() == ["p", "q"] and new["table"]["x"].tolist() == [11.0, 12.0]


def test_leaves_of_unravel_are_independent_of_vector_and_spec() -> None:
    tree = {**params(), "s": pd.Series([1.0, 2.0]), "m": sparse.csr_array(np.array([[0, 1.0], [2.0, 3.0]]))}
    spec = TreeSpec.of(tree)
    vector = spec.ravel(tree)
    before = vector.copy()
    new = spec.unravel(vector)
    new["probs"][0, 0] = -1.0
    new["s"].iloc[0] = -1.0
    new["utility"].loc["a", "value"] = -1.0
    new["utility"].loc["a", "lower_bound"] = -1
    new["m"].data[:] = -1.0
    new["m"].indices[:] = 0
    assert np.array_equal(vector, before) and np.array_equal(spec.ravel(tree), before)
    assert tree_equal(spec.unravel(vector), tree) and spec.column("lower_bound")[1:4].tolist() == [0, 0, 0]
    tree["utility"].loc["a", "lower_bound"] = 5
    assert spec.column("lower_bound")[1] == 0


@pytest.mark.parametrize("shape", [(), (0,), (9,), (2, 4)])
def test_unravel_refuses_vectors_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(StructureError, match="a tree of 8 numbers"):
        TreeSpec.of(params()).unravel(np.zeros(shape))


def test_unravel_refuses_what_is_no_vector() -> None:
    with pytest.raises(StructureError, match="no vector of numbers"):
        TreeSpec.of([1.0]).unravel(["x"])


MISFITS: dict[str, tuple[Any, Any, str]] = {
    "missing key": ({"a": 1, "b": {"c": 2}}, {"a": 1}, r"missing \['b'\]\['c'\]"),
    "extra key": ({"a": 1}, {"a": 1, "b": [1, {"c": 2}]}, r"extra \['b'\]\[0\], \['b'\]\[1\]\['c'\]"),
    "other key": ({"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}, r"missing \['b'\]; extra \['c'\]"),
    "shorter list": ([1, 2, 3], [1, 2], r"missing \[2\]"),
    "longer tuple": ((1,), (1, 2), r"extra \[1\]"),
    "leaf for container": ({"a": [1, 2]}, {"a": np.ones(2)}, r"missing \['a'\]\[0\], \['a'\]\[1\]; extra \['a'\]"),
    "container for leaf": ({"a": np.ones(2)}, {"a": [1, 2]}, r"\['a'\]: an object of type list is no number"),
    "none": ({"a": 1}, {"a": None}, r"\['a'\]: an object of type NoneType is no number"),
    "size": ({"x": np.ones(3)}, {"x": np.ones(2)}, r"\['x'\]: shape \(2,\) instead of \(3,\)"),
    "dimensions": (
        {"x": np.ones(4)},
        {"x": np.ones((2, 2))},
        r"\['x'\]: numbers of shape \(2, 2\) instead of an array",
    ),
    "broadcast": ({"x": np.ones(3)}, {"x": 1.0}, r"\['x'\]: numbers of shape \(\) instead of an array"),
    "scalar": ({"x": 1.0}, {"x": np.ones(1)}, r"\['x'\]: numbers of shape \(1,\) instead of a scalar"),
    "label": (
        pd.Series([1.0, 2.0], ["a", "b"]),
        pd.Series([1.0, 2.0], ["a", "c"]),
        r"missing labels 'b'; extra labels 'c'",
    ),
    "fewer labels": ([pd.Series([1.0, 2.0], ["a", "b"])], [pd.Series([1.0], ["a"])], r"\[0\]: missing labels 'b'"),
    "duplicates": (
        [pd.Series([1.0, 2.0, 3.0], ["a", "a", "b"])],
        [pd.Series([1.0, 2.0, 3.0], ["a", "b", "a"])],
        r"\[0\]: labels are repeated in the tree \('a'\)",
    ),
    "new duplicates": (
        [pd.Series([1.0, 2.0], ["a", "b"])],
        [pd.Series([1.0, 2.0], ["a", "a"])],
        r"labels are repeated",
    ),
    "columns": ([pd.DataFrame({"x": [1.0], "y": 2.0})], [pd.DataFrame({"x": [1.0], "z": 2.0})], r"missing labels 'y'"),
    "no value": ([params()["utility"]], [params()["utility"][["lower_bound"]]], r"\[0\]: numbers of shape \(3, 1\)"),
    "labels for positions": (
        [np.ones(2)],
        [pd.Series([1.0, 2.0], ["a", "b"])],
        r"\[0\]: missing labels 0, 1; extra labels",
    ),
    "time zone": (
        [pd.Series([1.0], pd.DatetimeIndex(["2020-01-01"]))],
        [pd.Series([1.0], pd.DatetimeIndex(["2020-01-01"], tz="UTC"))],
        r"\[0\]: missing labels",
    ),
    "pattern": ([sparse.csr_array(np.eye(2))], [sparse.csr_array(np.ones((2, 2)))], r"\[0\]: extra labels \(0, 1\)"),
    "sparse shape": (
        [sparse.csr_array(np.eye(2))],
        [sparse.csr_array(np.eye(3))],
        r"shape \(3, 3\) instead of \(2, 2\)",
    ),
    "text": ([1.0], ["x"], r"\[0\]: an object of type str is no number"),
    "text of a number": ([1.0, 2.0], ["1.0", 2.0], r"\[0\]: an object of type str is no number"),
    "boolean": ([1.0], [True], r"\[0\]: an object of type bool is no number"),
    "booleans": ([np.ones(2)], [np.array([True, False])], r"\[0\]: an array of dtype bool holds no numbers"),
    "objects": ([np.ones(2)], [np.array([1.0, None])], r"\[0\]: an array of dtype object"),
    "complex": ([1.0], [1j], r"\[0\]: an object of type complex"),
    "huge": ([1.0], [10**400], r"\[0\]: 1000.* is too large for a float"),
    "boolean column": ([pd.Series([1.0])], [pd.Series([True])], r"\[0\]: .*bool holds no numbers"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_trees_that_do_not_fit_are_refused_by_path(name: str) -> None:
    tree, other, message = MISFITS[name]
    with pytest.raises(StructureError, match=message):
        TreeSpec.of(tree).ravel(other)


NO_NUMBERS: dict[str, Any] = {
    "text": "x",
    "boolean": True,
    "numpy boolean": np.True_,
    "complex": np.ones(2, dtype=complex),
    "objects": np.array([1, "a"], dtype=object),
    "dates": np.array(["2020-01-01"], dtype="datetime64[D]"),
    "date series": pd.Series(pd.date_range("2020", periods=2)),
    "categories": pd.Series(["a"], dtype="category"),
    "index": pd.Index([1, 2]),
    "text value": pd.DataFrame({"value": ["x"]}),
    "two values": pd.DataFrame([[1.0, 2.0]], columns=["value", "value"]),
    "other format": sparse.lil_array((2, 2)),
    "set": {1, 2},
}


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_leaves_without_numbers_are_carried_but_not_raveled(name: str) -> None:
    tree = {"ok": 1.0, "bad": NO_NUMBERS[name]}
    spec = TreeSpec.of(tree)
    assert spec.n_leaves == 2 and spec == TreeSpec.of(tree)
    assert spec.unflatten([1.0, tree["bad"]])["bad"] is tree["bad"]
    for use in (lambda: spec.size, lambda: spec.ravel(tree), lambda: spec.shapes, spec.index):
        with pytest.raises(StructureError, match=r"\['bad'\]: .*Leave it out of the tree"):
            use()


def test_what_counts_as_the_same_labels() -> None:
    series = pd.Series([1.0, 2.0, 3.0], index=[2.0, np.nan, 1.0])
    spec = TreeSpec.of({"s": series})
    assert spec.ravel({"s": series.iloc[[1, 2, 0]]}).tolist() == [1.0, 2.0, 3.0]
    repeated = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "a"])
    assert TreeSpec.of(repeated).ravel(repeated * 2).tolist() == [2.0, 4.0, 6.0]
    integers = TreeSpec.of(pd.Series([1.0, 2.0], index=[0, 1]))
    assert integers.ravel(pd.Series([1.0, 2.0], index=[1.0, 0.0])).tolist() == [2.0, 1.0]
    assert TreeSpec.of(np.zeros(2)).ravel(pd.Series([1.0, 2.0], index=[1, 0])).tolist() == [2.0, 1.0]
    assert TreeSpec.of(pd.Series([0.0, 0.0], ["a", "b"])).ravel(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_leaves_of_related_kinds_stand_for_each_other() -> None:
    spec = TreeSpec.of(params())
    other = {
        "probs": pd.DataFrame([[4.0, 3.0], [2.0, 1.0]], columns=[1, 0]),
        "delta": np.array(7),
        "utility": pd.Series([3.0, 1.0, 2.0], index=["c", "a", "b"]),
    }
    assert spec.ravel(other).tolist() == [7, 1, 2, 3, 3, 4, 1, 2]
    nullable = {**params(), "utility": pd.Series([1, None, 3], index=["a", "b", "c"], dtype="Int64")}
    assert np.isnan(spec.ravel(nullable)[2]) and spec.ravel(nullable)[3] == 3
    matrix = sparse.csr_array(np.array([[0, 1.0], [2.0, 3.0]]))
    assert TreeSpec.of(matrix).ravel(matrix.tocsc()).tolist() == [1.0, 2.0, 3.0]
    assert TreeSpec.of([1.0, (2.0,)]).ravel((1, [2])).tolist() == [1, 2]


def test_another_data_column() -> None:
    spec = TreeSpec.of(params(), data_column="lower_bound")
    assert spec.ravel(params()).tolist() == [0.95, 0, 0, 0, 0.8, 0.2, 0.3, 0.7]
    new = spec.unravel(np.ones(8))
    assert new["utility"]["lower_bound"].tolist() == [1, 1, 1] and new["utility"]["value"].tolist() == [0.5] * 3
    with pytest.raises(StructureError, match="without 'upper_bound'"):
        TreeSpec.of(params(), data_column="upper_bound").ravel(params())


def test_columns_of_frames() -> None:
    spec = TreeSpec.of({**params(), "other": pd.DataFrame({"value": [1.0], "lower_bound": ["x"]})})
    assert np.isnan(spec.column("upper_bound")).all()
    with pytest.raises(StructureError, match=r"\['other'\]: the column 'lower_bound': .*holds no numbers"):
        spec.column("lower_bound")
    with pytest.raises(StructureError, match="the data column"):
        spec.column("value")
    lower = TreeSpec.of(params()).column("lower_bound", fill=-np.inf)
    assert lower.tolist() == [-np.inf, 0, 0, 0, -np.inf, -np.inf, -np.inf, -np.inf]


def test_selectors() -> None:
    spec = TreeSpec.of(params())
    assert spec.select(lambda p: p["probs"][0]).tolist() == [4, 5]
    assert spec.select(lambda p: p["probs"][:, 1]).tolist() == [5, 7]
    assert spec.select(lambda p: p["delta"]).tolist() == [0]
    assert spec.select(lambda p: [p["utility"].loc[["c", "a"]], {"x": p["delta"]}]).tolist() == [3, 1, 0]
    assert spec.select(lambda p: p["utility"].query("lower_bound == 0")["value"]).tolist() == [1, 2, 3]
    assert spec.select(lambda p: []).tolist() == [] == spec.select(lambda p: None).tolist()
    for wrong in (lambda p: p["utility"]["lower_bound"], lambda p: [0, 1], lambda p: p["delta"] * 2, lambda p: 0.5):
        with pytest.raises(StructureError, match="numbers that are no parameters"):
            spec.select(wrong)
    with pytest.raises(KeyError):
        spec.select(lambda p: p["nothing"])
    with pytest.raises(StructureError, match="is no number"):
        spec.select(lambda p: "delta")


def test_partial_trees() -> None:
    spec = TreeSpec.of({**params(), "deep": [1.0, {"x": 2.0, "y": np.zeros(2)}]})
    nan = np.nan

    def check(tree: Any, expected: list[float]) -> None:
        assert np.array_equal(spec.partial(tree), expected, equal_nan=True)

    check({"delta": 0}, [0] + [nan] * 11)
    check(2, [2] * 12)
    check(None, [nan] * 12)
    check({}, [nan] * 12)
    check({"deep": 3, "delta": None}, [nan] * 8 + [3] * 4)
    check({"deep": [None, {"y": 1}]}, [nan] * 10 + [1, 1])
    check({"deep": (5,)}, [nan] * 8 + [5] + [nan] * 3)
    check({"utility": pd.Series([7, 8], index=["c", "a"]), "probs": 0.5}, [nan, 8, nan, 7] + [0.5] * 4 + [nan] * 4)
    check({"utility": np.array([1, 2, 3])}, [nan, 1, 2, 3] + [nan] * 8)
    check({"probs": pd.DataFrame({1: [9.0]}, index=[1])}, [nan] * 7 + [9] + [nan] * 4)
    check({"utility": pd.DataFrame({"value": [4.0]}, index=["b"])}, [nan, nan, 4] + [nan] * 9)
    assert spec.partial({"delta": -np.inf}, fill=0.0).tolist() == [-np.inf] + [0.0] * 11


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"detla": 0}, r"upper bounds: \['detla'\] matches nothing\. The leaves are \['delta'\]"),
        ({"x": 0, "y": {"z": 1}}, r"\['x'\], \['y'\]\['z'\] match nothing"),
        ({"delta": [1]}, r"\['delta'\]: a list in place of a scalar"),
        ({"delta": np.ones(1)}, r"\['delta'\]: numbers of shape \(1,\)"),
        ({"utility": pd.Series([1.0], ["z"])}, r"\['utility'\]: extra labels 'z'"),
        ({"probs": np.ones((2, 1))}, r"\['probs'\]: shape \(2, 1\) instead of \(2, 2\)"),
        ({"probs": "x"}, r"\['probs'\]: an object of type str is no number"),
        (np.ones(8), r"\(root\): numbers of shape \(8,\) in place of a container"),
        ("x", r"\(root\): an object of type str"),
        (["x"], r"\[0\] matches nothing"),
    ],
)
def test_partial_trees_that_match_nothing(tree: Any, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        TreeSpec.of(params()).partial(tree, what="upper bounds")


def test_specs_are_equal_where_the_structure_is() -> None:
    spec = TreeSpec.of(params())
    same = params()
    same["delta"], same["probs"] = 2, same["probs"] * 2
    assert TreeSpec.of(same) == spec and hash(TreeSpec.of(same)) == hash(spec)
    reordered = TreeSpec.of(dict(reversed(params().items())))
    assert reordered != spec and spec.diff(reordered) is None
    for change, message in (
        ({"probs": np.ones((2, 3))}, r"['probs']: 3 numbers instead of 2"),
        ({"utility": pd.Series([1.0], ["a"])}, "['utility']: missing labels 'b', 'c'"),
        ({"delta": "x"}, "['delta']: a scalar and an object of type str is no number and holds none"),
        ({"delta": np.ones(2)}, "['delta']: a scalar and an array of shape (2,)"),
        ({"new": 1}, "extra ['new']"),
    ):
        other = TreeSpec.of({**params(), **change})
        assert other != spec and spec.diff(other) == message
    assert spec != 3 and TreeSpec.of([1.0]) != TreeSpec.of((1.0,))


def test_a_spec_holds_none_of_the_numbers() -> None:
    tree = {"s": pd.Series(np.full(1000, 7.25)), "v": pd.DataFrame({"value": np.full(1000, 7.25), "x": 1.0})}
    tree["f"] = pd.DataFrame({"a": np.full(1000, 7.25), "t": "x"})
    assert np.float64(7.25).tobytes() not in pickle.dumps(TreeSpec.of(tree))


def test_empty_trees() -> None:
    for tree in ({}, [], None, {"a": [], "b": ()}):
        spec = TreeSpec.of(tree)
        assert spec.size == spec.n_leaves == 0 and spec.ravel(tree).shape == (0,)
        assert spec.unravel(np.zeros(0)) == tree and len(spec.index()) == len(spec.index("multi")) == 0
    sizes = TreeSpec.of({"a": np.zeros((0, 3)), "b": pd.Series([], dtype=float), "c": 1.0})
    assert sizes.size == 1 and sizes.ravel({"c": 2, "a": np.zeros((0, 3)), "b": pd.Series([], dtype=float)}) == [2]
    with pytest.raises(StructureError, match=r"\['a'\]: shape \(0, 2\)"):
        sizes.ravel({"a": np.zeros((0, 2)), "b": pd.Series([], dtype=float), "c": 1.0})


def test_nothing_of_pandas_or_numpy_warns() -> None:
    mixed = pd.Series([1.0, 2.0], index=pd.Index(["a", 1], dtype=object))
    tree = {"m": mixed, ("t", 1): 2.0, None: pd.DataFrame({("u", 1): [1.0], ("v", 2): [2.0]})}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = TreeSpec.of(tree)
        assert spec.index("multi").tolist()[2][0] == ("t", 1)
        assert spec.index().tolist() == ["m_a", "m_1", "('t', 1)", "None_0_u_1", "None_0_v_2"]
        assert tree_equal(spec.unravel(spec.ravel(tree)), tree)


UNUSUAL = {
    "nan in a level": pd.MultiIndex.from_tuples([("a", np.nan), ("a", 1.0), ("b", 2.0)]),
    "none": pd.Index(["a", None, 1], dtype=object),
    "categories": pd.CategoricalIndex(["a", "b", "c"]),
    "intervals": pd.interval_range(0, 3),
    "periods": pd.period_range("2020-01", periods=3, freq="M"),
    "zones": pd.date_range("2020-01-01 05:00", periods=3, tz="US/Eastern"),
    "hours": pd.date_range("2020-01-01", periods=3, freq="h"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_labels(name: str) -> None:
    series = pd.Series([1.0, 2.0, 3.0], index=UNUSUAL[name])
    spec = TreeSpec.of({"s": series})
    assert spec.ravel({"s": series.iloc[[2, 0, 1]]}).tolist() == [1.0, 2.0, 3.0]
    assert spec.index().is_unique and all(text.startswith("s_") for text in spec.index())
    assert spec.index("multi").droplevel(0).equals(series.index) or name in {"none", "periods", "intervals"}


def test_names_of_dates() -> None:
    days = pd.Series([1.0, 2.0], index=pd.DatetimeIndex(["2020-01-01", None]))
    assert TreeSpec.of(days).index().tolist() == ["2020-01-01", "NaT"]
    assert TreeSpec.of(pd.Series([1.0], index=UNUSUAL["hours"][1:2])).index().tolist() == ["2020-01-01 01:00"]


def test_a_spec_with_the_default_registry_given_by_name_is_picklable() -> None:
    spec = TreeSpec.of(params(), registry=get_registry())
    assert pickle.loads(pickle.dumps(spec)) == spec == TreeSpec.of(params())
