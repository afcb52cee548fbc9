"""Structure of trees: paths, flatten and unflatten, and what they refuse."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import StructureError
from tessera.pytree.registry import get_registry, resolve_class
from tessera.pytree.tree import (
    leaf_names,
    leaf_paths,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_structure,
    tree_unflatten,
)
from tessera.rules.values import EntityValues

TREES = st.recursive(
    st.one_of(st.integers(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.integers(), st.text(max_size=2), st.booleans()), inner, max_size=3),
    ),
    max_leaves=10,
)


@settings(deadline=None, max_examples=100)
@given(tree=TREES)
def test_unflatten_is_the_inverse_of_flatten(tree: Any) -> None:
    leaves, spec = tree_flatten(tree)
    assert repr(tree_unflatten(spec, leaves)) == repr(tree)
    assert len(set(spec.names)) == len(set(spec.paths)) == spec.n_leaves == len(leaves)
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec and hash(copy) == hash(spec)
    assert tree_unflatten(spec, list(range(len(leaves)))) == spec.skeleton


def test_names_that_pybaum_joins_to_one_are_distinct() -> None:
    tree = {1: 0, "1": 1, "a_b": 2, "a": {"b": 3}}
    assert leaf_names(tree) == ("[1]", "['1']", "['a_b']", "['a']['b']")
    assert leaf_names(OrderedDict(x=[1, None, (2,)])) == ("['x'][0]", "['x'][2][0]")
    assert leaf_names(5) == ("(root)",) and leaf_paths(5) == ((),)
    values = EntityValues(1, {}, {}, {"age": np.zeros(1)}, {})
    assert leaf_names({"v": values}) == ("['v'].n_households", "['v'].values['age']")


def test_the_number_of_leaves_must_fit() -> None:
    spec = tree_structure([1, {"a": 2}])
    for leaves in ([], [1], [1, 2, 3]):
        with pytest.raises(StructureError, match="structure with 2"):
            tree_unflatten(spec, leaves)


def test_map_matches_by_key_not_by_position() -> None:
    assert tree_map(lambda a, b: a - b, {"x": 1, "y": 2}, {"y": 20, "x": 10}) == {"x": -9, "y": -18}
    with pytest.raises(StructureError, match=r"missing \['y'\]; extra \['z'\]"):
        tree_map(max, {"x": 1, "y": 2}, {"x": 1, "z": 2})


def test_arrays_are_leaves_and_not_copied() -> None:
    array = np.zeros(3)
    assert tree_leaves({"a": array})[0] is array


def test_a_user_container_in_pybaum_format() -> None:
    from pybaum import tree_just_flatten

    entry = {"flatten": lambda s: (sorted(s), None), "unflatten": lambda _, children: set(children), "names": sorted}
    registry = get_registry({set: entry})
    assert tree_just_flatten([{2, 1}, 3], registry=registry) == [1, 2, 3]
    assert tree_just_flatten([{2, 1}], registry=get_registry()) == [{1, 2}]


def test_names_of_classes_resolve_only_to_data_classes_of_ours() -> None:
    assert resolve_class("tessera.rules.values:EntityValues") is EntityValues
    for name in (
        "subprocess:Popen",
        "builtins:eval",
        "tessera.store:atomic_path",
        "tesseract.x:Y",
        "tessera.store:os.system",
    ):
        with pytest.raises(StructureError):
            resolve_class(name)


def test_diff_ignores_the_order_of_keys() -> None:
    one, other = tree_structure({"a": 1, "b": 2}), tree_structure({"b": 1, "a": 2})
    assert one != other and one.diff(other) is None
    assert one.diff(tree_structure({"a": 1})) == "missing ['b']"
