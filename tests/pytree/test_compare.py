"""Equality of trees: by value, path and label; and to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tessera.pytree.compare import identity_diff, tree_diff, tree_equal, tree_identical

NAN = float("nan")
EQUAL: dict[str, tuple[Any, Any]] = {
    "order of keys": ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    "number types": ({"a": 1, "b": np.array([1, 2])}, {"a": 1.0, "b": np.array([1.0, 2.0])}),
    "nan": ([NAN, np.array([NAN, 1.0])], [NAN, np.array([NAN, 1.0])]),
    "labels": (pd.Series([1, 2], ["a", "b"]), pd.Series([2, 1], ["b", "a"])),
    "frames": (
        pd.DataFrame({"x": [1, 2], "t": ["p", None]}),
        pd.DataFrame({"t": [None, "p"], "x": [2, 1]}, index=[1, 0]),
    ),
    "missing": (pd.Series([1, None], dtype="Int64"), pd.Series([1.0, NAN])),
    "dates": (pd.Series(pd.to_datetime(["2020-01-01", None])), pd.Series(pd.to_datetime(["2020-01-01", None]))),
    "text arrays": (np.array(["a", "b"]), np.array(["a", "b"], dtype=object)),
    "sparse order": (
        sparse.coo_array((np.array([1.0, 2.0]), (np.array([0, 1]), np.array([0, 1]))), shape=(2, 2)),
        sparse.csr_array(np.diag([1.0, 2.0])),
    ),
    "none": ([None, (), {}], [None, (), {}]),
    "scalars": ({"a": np.array(1.5)}, {"a": 1.5}),
}
DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "key": ({"a": 1}, {"b": 1}, "missing ['a']; extra ['b']"),
    "length": ([1, 2], [1, 2, 3], "extra [2]"),
    "value": ({"a": [1.0, "x"]}, {"a": [2.0, "y"]}, "['a'][0]: 1.0 and 2.0\n['a'][1]: 'x' and 'y'"),
    "broadcast": (np.ones(3), np.ones(1), "(root): shape (3,) and (1,)"),
    "one of many": (np.zeros((2, 2)), np.eye(2) * [0, 1], "(root): 1 values differ, first at (1, 1): 0.0 and 1.0"),
    "nan": ([NAN], [1.0], "[0]: nan and 1.0"),
    "kind": ([np.ones(2)], [pd.Series([1.0, 1.0])], "[0]: ndarray and Series"),
    "label": (pd.Series([1.0], ["a"]), pd.Series([1.0], ["b"]), "(root): missing labels 'a'; extra labels 'b'"),
    "column": (
        pd.DataFrame({"value": [1.0], "t": ["x"]}),
        pd.DataFrame({"value": [1.0], "t": ["y"]}),
        "(root): column 't': 1 values differ, first at 0: 'x' and 'y'",
    ),
    "sparse shape": ([sparse.csr_array((2, 2))], [sparse.csr_array((2, 3))], "[0]: shape (2, 2) and (2, 3)"),
    "pattern": (
        sparse.csr_array(np.eye(2)),
        sparse.csr_array(np.ones((2, 2))),
        "(root): extra labels (0, 1), (1, 0)",
    ),
    "text": ("a", 1, "(root): 'a' and 1"),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_trees(name: str) -> None:
    one, other = EQUAL[name]
    assert tree_diff(one, other) is None and tree_equal(other, one)


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_trees(name: str) -> None:
    one, other, message = DIFFERENT[name]
    assert tree_diff(one, other) == message and not tree_equal(other, one)


def test_tolerances_and_types() -> None:
    one, other = {"a": np.array([1.0, 100.0])}, {"a": np.array([1.0 + 1e-9, 100.0 + 1e-7])}
    assert not tree_equal(one, other) and tree_equal(one, other, rtol=1e-8) and tree_equal(one, other, atol=1e-6)
    assert not tree_equal(one, other, atol=1e-8)
    assert tree_diff([1], [1.0], check_dtype=True) == "[0]: int and float"
    assert tree_diff(np.ones(1, "i4"), np.ones(1, "i8"), check_dtype=True) == "(root): ndarray int32 and ndarray int64"
    assert not tree_equal(pd.Series([1]), pd.Series([1.0]), check_dtype=True)
    assert tree_equal({"a": [1, 2]}, {"a": [1, 2]}, is_leaf=lambda node: isinstance(node, list))


def test_only_ten_differences_are_listed() -> None:
    assert len((tree_diff([0] * 30, [1] * 30) or "").splitlines()) == 10


def test_identity_is_to_the_last_bit() -> None:
    assert tree_identical({"a": np.array([NAN]), "b": 1}, {"a": np.array([NAN]), "b": 1})
    for one, other in (
        (1, 1.0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ([1], (1,)),
        (np.ones(1, "i4"), np.ones(1, "i8")),
        (0.0, -0.0),
    ):
        assert not tree_identical(one, other) and tree_equal(one, other)
    assert identity_diff({"a": 1}, {"b": 1}) == "missing ['a']; extra ['b']"
    assert identity_diff([1], (1,)) == "the same leaves in containers of another type or order"
    assert "['a'][0]: float" in (identity_diff({"a": [1.0]}, {"a": [2.0]}) or "")
