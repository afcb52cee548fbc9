"""Trees at points next to one point: the same as those built from the vector, and sharing nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.pytree.compare import tree_equal
from tessera.pytree.derivatives.nearby import tree_builder
from tessera.pytree.tree import TreeSpec

TREES = {
    "floats": {f"k{i}": float(i) for i in range(40)},
    "nested": {"a": [float(i) for i in range(30)], "b": {"c": np.arange(6.0).reshape(2, 3), "d": {"e": 1.0}}},
    "mixed": {"a": [float(i) for i in range(30)], "b": (1.0, 2.0), "s": pd.Series([1.0, 2.0])},
    "tables": {
        "s": pd.Series([1.0, 2.0], index=["x", "y"], name="n"),
        "f": pd.DataFrame({"value": [1.0, 2.0], "group": ["a", "b"]}),
        "t": [pd.DataFrame({"u": [1.0, 2.0], "v": [3.0, 4.0]}), 5.0],
    },
    "few": {"a": 1.0, "b": np.zeros(3)},
    "root": 3.0,
}


@pytest.mark.parametrize("name", TREES)
def test_trees_are_those_of_the_vector(name: str) -> None:
    spec = TreeSpec.of(TREES[name])
    x = spec.ravel(TREES[name])
    build = tree_builder(spec, x)
    for first in range(x.size):
        for second in {0, x.size - 1, first}:
            vector = x.copy()
            vector[first] += 0.5
            vector[second] -= 2.0
            assert tree_equal(build(vector.copy()), spec.unravel(vector))


CHANGES = {
    "number": lambda p: p["s"].__setitem__("x", 9.0),
    "all": lambda p: p["s"].mul(2, fill_value=0).pipe(p["s"].update),
    "in place": lambda p: p["s"].__iadd__(1.0),
    "enlarged": lambda p: p["s"].__setitem__("new", 1.0),
    "position": lambda p: p["s"].iloc.__setitem__(0, 7.0),
    "labels": lambda p: setattr(p["s"], "index", ["q", "r"]),
    "name": lambda p: setattr(p["s"], "name", "other"),
    "frame": lambda p: p["f"].__setitem__("value", 3.0),
    "frame's number": lambda p: p["f"].loc.__setitem__((0, "value"), 3.0),
    "frame's labels": lambda p: setattr(p["f"], "index", ["q", "r"]),
    "deleted": lambda p: p.pop("s"),
    "list": lambda p: p["l"].append(1),
    "array": lambda p: p["l"][0].fill(3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_done_to_a_tree_does_not_reach_the_next(name: str) -> None:
    tree = {
        "a": 1.0,
        "s": pd.Series([2.0, 1.0], index=["x", "y"]),
        "f": pd.DataFrame({"value": [1.0, 2.0], "lower_bound": [0.0, 0.0]}),
        "l": [np.zeros(2)],
    }
    spec = TreeSpec.of(tree)
    x = spec.ravel(tree)
    build = tree_builder(spec, x)
    for position in range(x.size):
        vector = x.copy()
        vector[position] += 1
        built = build(vector.copy())
        assert tree_equal(built, spec.unravel(vector))
        CHANGES[name](built)


def test_trees_share_nothing() -> None:
    spec = TreeSpec.of(TREES["nested"])
    x = spec.ravel(TREES["nested"])
    build = tree_builder(spec, x)
    tree = build(x.copy())
    tree["b"]["c"][:] = -1
    tree["a"].append(5.0)
    tree["b"]["d"].clear()
    assert tree_equal(build(x.copy()), spec.unravel(x))


def test_dicts_whose_children_a_registry_names_otherwise() -> None:
    entry = {
        "flatten": lambda tree: ([tree[key] for key in sorted(tree)], sorted(tree)),
        "unflatten": lambda keys, children: dict(zip(keys, children, strict=True)),
        "names": lambda tree: [f"<{key}>" for key in sorted(tree)],
    }
    tree = {f"k{i}": float(i) for i in reversed(range(40))}
    spec = TreeSpec.of(tree, registry={dict: entry})
    x = spec.ravel(tree)
    build = tree_builder(spec, x)
    x[3] += 1
    assert build(x.copy()) == spec.unravel(x)
