"""The structure of a tree as files hold it: paths, skeletons, and which classes a file may name."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import StructureError
from tessera.pytree.registry import resolve_class
from tessera.pytree.trees.stored import find_subtree, stored_flatten, stored_unflatten
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
    leaves, spec = stored_flatten(tree)
    assert repr(stored_unflatten(spec, leaves)) == repr(tree)
    assert len(set(spec.names)) == len(set(spec.paths)) == spec.n_leaves == len(leaves)
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec and hash(copy) == hash(spec)
    assert stored_unflatten(spec, list(range(len(leaves)))) == spec.skeleton


def test_names_that_pybaum_joins_to_one_are_distinct() -> None:
    tree = {1: 0, "1": 1, "a_b": 2, "a": {"b": 3}}
    assert stored_flatten(tree)[1].names == ("[1]", "['1']", "['a_b']", "['a']['b']")
    assert stored_flatten(OrderedDict(x=[1, None, (2,)]))[1].names == ("['x'][0]", "['x'][2][0]")
    root = stored_flatten(5)[1]
    assert root.names == ("(root)",) and root.paths == ((),)
    values = EntityValues(1, {}, {}, {"age": np.zeros(1)}, {})
    assert stored_flatten({"v": values})[1].names == ("['v'].n_households", "['v'].values['age']")


def test_the_number_of_leaves_must_fit() -> None:
    spec = stored_flatten([1, {"a": 2}])[1]
    for leaves in ([], [1], [1, 2, 3]):
        with pytest.raises(StructureError, match="structure with 2"):
            stored_unflatten(spec, leaves)


def test_a_part_is_found_by_text_or_by_keys() -> None:
    spec = stored_flatten({"a": [10, {"b": 20}]})[1]
    assert find_subtree(spec, "['a'][1]") == find_subtree(spec, ("a", 1)) == {"b": 1}
    with pytest.raises(StructureError, match="nothing at"):
        find_subtree(spec, ("a", 2))


def test_diff_ignores_the_order_of_keys() -> None:
    one, other = stored_flatten({"a": 1, "b": 2})[1], stored_flatten({"b": 1, "a": 2})[1]
    assert one != other and one.diff(other) is None
    assert one.diff(stored_flatten({"a": 1})[1]) == "missing ['b']"


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
