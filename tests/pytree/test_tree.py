"""Flatten, unflatten, map, update, names: containers of every kind, registries, and the EEP's examples."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from tessera.errors import StructureError
from tessera.pytree.compare import tree_equal
from tessera.pytree.registry import get_registry, register_dataclass
from tessera.pytree.tree import (
    leaf_names,
    leaf_paths,
    ravel,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_structure,
    tree_unflatten,
    tree_update,
)
from tessera.rules.values import EntityValues

Point = namedtuple("Point", ["x", "y"])


@register_dataclass
@dataclasses.dataclass(frozen=True)
class Pair:
    first: Any
    second: Any


@dataclasses.dataclass
class Unregistered:
    x: float


KEYS = st.one_of(st.integers(), st.text(max_size=2), st.booleans(), st.tuples(st.integers(), st.text(max_size=1)))
TREES = st.recursive(
    st.one_of(st.integers(), st.floats(allow_nan=False), st.text(max_size=2), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(KEYS, inner, max_size=3),
        st.dictionaries(KEYS, inner, max_size=3).map(OrderedDict),
        st.tuples(inner, inner).map(Point._make),
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=200)
@given(tree=TREES)
def test_unflatten_is_the_inverse_of_flatten(tree: Any) -> None:
    leaves, spec = tree_flatten(tree)
    again = tree_unflatten(spec, leaves)
    assert repr(again) == repr(tree) and type(again) is type(tree)
    assert len(set(spec.paths)) == len(spec.names) == spec.n_leaves == len(leaves)
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec == tree_structure(tree) and hash(copy) == hash(spec)
    assert repr(tree_unflatten(copy, leaves)) == repr(tree)


@settings(deadline=None, max_examples=100)
@given(tree=TREES)
def test_leaves_are_those_that_pybaum_finds(tree: Any) -> None:
    from pybaum import tree_just_flatten

    assert repr(tree_leaves(tree)) == repr(tree_just_flatten(tree, registry=get_registry()))
    assert repr(tree_leaves(tree, registry=get_registry())) == repr(tree_leaves(tree))


def test_examples_of_the_proposal_arrays_as_leaves() -> None:
    first = tree_leaves([1, "a", np.arange(3)])
    assert first[:2] == [1, "a"] and first[2].tolist() == [0, 1, 2] and len(first) == 3
    assert tree_leaves([1, {"k1": 2, "k2": (3, 4)}, 5]) == [1, 2, 3, 4, 5]
    (third,) = tree_leaves(np.arange(5))
    assert third.tolist() == [0, 1, 2, 3, 4]


def test_examples_of_the_proposal_arrays_as_containers() -> None:
    registry = get_registry(["numpy.ndarray"])
    assert tree_leaves([1, "a", np.arange(3)], registry=registry) == [1, "a", 0, 1, 2]
    assert tree_leaves([1, {"k1": 2, "k2": (3, 4)}, 5], registry=registry) == [1, 2, 3, 4, 5]
    assert tree_leaves(np.arange(5), registry=registry) == [0, 1, 2, 3, 4]


def params() -> dict[str, Any]:
    """The parameters of the proposal's optimisation example."""
    return {
        "delta": 0.95,
        "utility": pd.DataFrame([[0.5, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"]),
        "probs": np.array([[0.8, 0.2], [0.3, 0.7]]),
    }


def test_both_views_of_the_parameters_of_the_proposal() -> None:
    assert len(tree_leaves(params())) == 3
    extended = get_registry(extended=True)
    leaves, spec = tree_flatten(params(), registry=extended)
    assert leaves == [0.95, 0.5, 0.5, 0.5, 0.8, 0.2, 0.3, 0.7]
    assert tree_equal(tree_unflatten(spec, leaves), params(), check_dtype=True)
    vector, unravel = ravel(params())
    assert vector.tolist() == leaves and tree_equal(unravel(vector), params(), check_dtype=True)
    lower = get_registry(extended=True, data_col="lower_bound")
    assert tree_leaves(params()["utility"], registry=lower) == [0, 0, 0]
    assert leaf_names(params()) == [
        *("delta", "utility_a", "utility_b", "utility_c"),
        *("probs_0_0", "probs_0_1", "probs_1_0", "probs_1_1"),
    ]


def test_the_extended_registry_serves_pybaum_itself() -> None:
    from pybaum import leaf_names as pybaum_names
    from pybaum import tree_just_flatten
    from pybaum import tree_map as pybaum_map

    registry = get_registry(extended=True)
    tree = {
        **params(),
        "s": pd.Series([1.0, 2.0], index=[1, 2]),
        "f": pd.DataFrame({0: [1.0], 1: [2.0]}),
        "m": sparse.csr_array(np.eye(2)),
    }
    assert tree_just_flatten(tree, registry=registry) == tree_leaves(tree, registry=registry)
    assert tree_equal(pybaum_map(lambda x: x, tree, registry=registry), tree)
    assert pybaum_names(tree, registry=registry)[-6:] == ["s_1", "s_2", "f_0_0", "f_0_1", "m_0_0", "m_1_1"]
    with pytest.raises(StructureError, match="unknown type 'polars'"):
        get_registry(["polars"])


def test_plain_pybaum_registries_are_respected() -> None:
    from pybaum import get_registry as pybaum_registry

    assert tree_leaves([(1, 2), {"a": 3}], registry=pybaum_registry(["list"], include_defaults=False)) == [
        (1, 2),
        {"a": 3},
    ]
    assert tree_leaves(Point(1, [2]), registry=pybaum_registry()) == [1, 2]
    assert tree_leaves(Pair(1, 2), registry=pybaum_registry()) == [Pair(1, 2)]
    vector, unravel = ravel({"a": np.ones((2, 2))}, registry=pybaum_registry(["numpy.ndarray"]))
    assert vector.shape == (4,) and unravel(vector)["a"].shape == (2, 2)


def test_a_container_of_a_user() -> None:
    entry = {"flatten": lambda s: (sorted(s), None), "unflatten": lambda _, children: set(children), "names": sorted}
    registry = get_registry(extra={set: entry})
    leaves, spec = tree_flatten([{2, 1}, 3], registry=registry)
    assert leaves == [1, 2, 3] and tree_unflatten(spec, [4, 5, 6]) == [{4, 5}, 6]
    assert tree_leaves([{2, 1}]) == [{1, 2}]
    sorted_dict = {
        "flatten": lambda d: ([d[key] for key in sorted(d)], sorted(d)),
        "unflatten": lambda keys, children: dict(zip(keys, children, strict=True)),
        "names": sorted,
    }
    assert tree_leaves({"b": 1, "a": 2}, registry=get_registry(extra={dict: sorted_dict})) == [2, 1]


def test_is_leaf_stops_the_descent() -> None:
    tree = {"a": [1, 2], "b": (3, [4])}
    is_list = lambda node: isinstance(node, list)  # noqa: E731
    leaves, spec = tree_flatten(tree, is_leaf=is_list)
    assert leaves == [[1, 2], 3, [4]] and tree_unflatten(spec, leaves) == tree
    assert tree_leaves(tree, is_leaf=lambda node: True) == [tree]
    assert tree_map(len, {"a": [1, 2]}, is_leaf=is_list) == {"a": 2}


def test_containers_are_rebuilt_as_what_they_were() -> None:
    tree = [None, (), [], {}, OrderedDict(b=1), Point(1, (2,)), Pair(1, {"z": 2}), defaultdict(list, a=[1])]
    leaves, spec = tree_flatten(tree)
    again = tree_unflatten(spec, leaves)
    assert again == tree and list(map(type, again)) == list(map(type, tree))
    assert again[-1].default_factory is list
    assert spec.names == ("[4]['b']", "[5].x", "[5].y[0]", "[6].first", "[6].second['z']", "[7]['a'][0]")
    assert leaf_paths(tree)[-1] == (7, "a", 0)
    values = EntityValues(1, {}, {}, {"age": np.zeros(1)}, {})
    assert tree_structure({"v": values}).names == ("['v'].n_households", "['v'].values['age']")


def test_a_dataclass_is_a_container_once_it_is_registered() -> None:
    @dataclasses.dataclass
    class Later:
        x: float

    with pytest.raises(StructureError, match=r"\(root\): .*Later.* is no number"):
        ravel(Later(1.0))
    assert tree_leaves(Unregistered(1.0)) == [Unregistered(1.0)]
    register_dataclass(Later)
    assert ravel(Later(1.0))[0].tolist() == [1.0]


def test_the_number_of_leaves_must_fit() -> None:
    spec = tree_structure([1, {"a": 2}])
    for leaves in ([], [1], [1, 2, 3]):
        with pytest.raises(StructureError, match="structure with 2"):
            tree_unflatten(spec, leaves)


def test_cyclic_and_very_deep_trees_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(StructureError, match="contains itself"):
        tree_leaves(loop)
    deep: Any = 1.0
    for _ in range(200):
        deep = {"a": [deep]}
    vector, unravel = ravel(deep)
    assert unravel(vector) == deep


def test_map_matches_by_key_not_by_position() -> None:
    assert tree_map(lambda a, b: a - b, {"x": 1, "y": 2}, {"y": 20, "x": 10}) == {"x": -9, "y": -18}
    with pytest.raises(StructureError, match=r"missing \['y'\]; extra \['z'\]"):
        tree_map(max, {"x": 1, "y": 2}, {"x": 1, "z": 2})
    with pytest.raises(StructureError, match=r"missing \['x'\]\[0\], \['x'\]\[1\]; extra \['x'\]"):
        tree_map(max, {"x": [1, 2]}, {"x": 3})
    assert tree_map(lambda a, b: (a, b), Point(1, 2), {"y": [3], "x": None}) == Point((1, None), (2, [3]))


def test_arrays_are_leaves_and_not_copied() -> None:
    array = np.zeros(3)
    assert tree_leaves({"a": array})[0] is array


def test_names_of_numbers() -> None:
    frame = pd.DataFrame({0: [1.0], "b": [2.0], "text": ["x"]}, index=pd.Index([pd.Timestamp("2020-01-01")]))
    series = pd.Series([1.0, 2.0], index=pd.MultiIndex.from_tuples([("u", 1), ("v", 2)]))
    assert leaf_names({"f": frame, "s": series, "t": "text"}) == [
        "f_2020-01-01_0",
        "f_2020-01-01_b",
        "s_u_1",
        "s_v_2",
        "t",
    ]
    assert leaf_names([{"a": 1}, np.zeros((1, 2))], sep=".") == ["0.a", "1.0.0", "1.0.1"]
    assert leaf_names(3.0) == ["0"] and leaf_names(np.zeros(())) == ["0"] and leaf_names(np.zeros(2)) == ["0", "1"]
    assert leaf_names(frame["b"]) == ["2020-01-01"] and leaf_names({}) == []


def test_names_that_would_collide_are_replaced_by_paths() -> None:
    assert leaf_names({1: 0, "1": 1, "a_b": 2, "a": {"b": 3}, "c": 4}) == ["[1]", "['1']", "['a_b']", "['a']['b']", "c"]
    assert leaf_names({"a": pd.Series([1.0], ["x"]), "a_x": 1.0}) == ["['a']['x']", "['a_x']"]
    repeated = leaf_names(pd.Series([1.0, 2.0, 3.0], index=["x", "x", "y"]))
    assert len(set(repeated)) == 3


def test_update_replaces_leaves_by_path() -> None:
    tree = {"a": 1, "b": [np.zeros(2), {"c": "x"}]}
    new = tree_update(tree, {"b": [None, {"c": "y"}]})
    assert new["b"][1] == {"c": "y"} and new["b"][0] is tree["b"][0] and tree["b"][1] == {"c": "x"}
    assert tree_update({1: 0, "1": 1, "a_b": 2, "a": {"b": 3}}, {"a": {"b": 4}}) == {
        1: 0,
        "1": 1,
        "a_b": 2,
        "a": {"b": 4},
    }
    for wrong, where in (({"z": 1}, r"\['z'\]"), ({"b": {"c": 1}}, r"\['b'\]\['c'\]"), ({"b": 5}, r"\['b'\]")):
        with pytest.raises(StructureError, match=rf"nothing at {where}"):
            tree_update(tree, wrong)


def test_update_replaces_numbers_by_label() -> None:
    new = tree_update(params(), {"utility": pd.Series([9.0, np.nan], index=["c", "a"])})
    assert new["utility"]["value"].tolist()[1:] == [0.5, 9.0] and np.isnan(new["utility"]["value"]["a"])
    assert new["utility"]["lower_bound"].tolist() == [0, 0, 0]
    with pytest.raises(StructureError, match=r"\['utility'\]: .*extra labels 'z'"):
        tree_update(params(), {"utility": pd.Series([9.0], index=["z"])})


class FakeArray:
    """What JAX's arrays offer: shape, dtype, __array__ and nothing of NumPy's classes."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values, dtype=np.float32)

    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self._values, dtype=dtype)


def test_arrays_of_other_libraries_are_leaves_and_numbers() -> None:
    tree = {"a": FakeArray([1.0, 2.0]), "b": FakeArray(3.0)}
    assert tree_leaves(tree)[0] is tree["a"]
    vector, unravel = ravel(tree)
    assert vector.tolist() == [1.0, 2.0, 3.0] and unravel(vector)["a"].tolist() == [1.0, 2.0]
    assert tree_structure({"a": np.zeros(2), "b": 0.0}).ravel(tree).tolist() == [1.0, 2.0, 3.0]
    assert "jax" not in sys.modules
