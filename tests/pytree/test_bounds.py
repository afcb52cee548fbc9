"""Bounds in every accepted form become two vectors, by path; what fits nothing is refused by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds as ScipyBounds

from tessera.errors import BoundsError
from tessera.pytree.bounds import Bounds, check_start, resolve_bounds
from tessera.pytree.tree import TreeSpec

INF = np.inf


@pytest.fixture
def params():
    return {
        "delta": 0.95,
        "utility": pd.DataFrame([[0.5, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"]),
        "probs": np.array([[0.8, 0.2], [0.3, 0.7]]),
    }


def resolve(params, *args, **kwargs):
    return resolve_bounds(TreeSpec.of(params), *args, **kwargs)


def test_eep_example_adds_bounds_for_delta_and_keeps_those_of_the_frame(params):
    lower, upper = resolve(params, lower_bounds={"delta": 0}, upper_bounds={"delta": 1})
    assert lower.tolist() == [0, 0, 0, 0, -INF, -INF, -INF, -INF]
    assert upper.tolist() == [1] + [INF] * 7


def test_explicit_bounds_replace_those_of_a_column(params):
    frame = pd.DataFrame({"value": [-1.0, np.nan, -3.0]}, index=["a", "b", "c"])
    lower, _ = resolve(params, lower_bounds={"utility": frame})
    assert lower[1:4].tolist() == [-1, 0, -3]


def test_a_number_goes_for_all_or_for_a_leaf(params):
    lower, upper = resolve(params, Bounds(lower=-5, upper={"probs": 1}))
    assert (lower == -5).all()
    assert upper.tolist() == [INF] * 4 + [1] * 4


def test_bounds_are_matched_by_path_and_label_whatever_the_order():
    params = {"a": 1.0, "s": pd.Series([1.0, 2.0], index=["x", "y"])}
    lower, _ = resolve(params, lower_bounds={"s": pd.Series([-2.0, -1.0], index=["y", "x"]), "a": -3})
    assert lower.tolist() == [-3, -1, -2]


@pytest.mark.parametrize(
    "bounds",
    [ScipyBounds([0, -INF, 1], [INF, 2, 3]), [(0, None), (None, 2), (1, 3)], np.array([(0, INF), (-INF, 2), (1, 3)])],
)
def test_scipy_bounds_and_pairs(bounds):
    lower, upper = resolve({"a": 1.0, "b": np.array([1.0, 2.0])}, bounds)
    assert lower.tolist() == [0, -INF, 1]
    assert upper.tolist() == [INF, 2, 3]


def test_scipy_bounds_of_one_number_go_for_all():
    lower, upper = resolve([1.0, 2.0], ScipyBounds(0, 4))
    assert lower.tolist() == [0, 0] and upper.tolist() == [4, 4]


def test_both_columns_of_a_single_value_frame():
    params = pd.DataFrame({"value": [1.0, 2.0], "lower_bound": [0, -INF], "upper_bound": [5.0, 6.0]})
    lower, upper = resolve(params)
    assert lower.tolist() == [0, -INF] and upper.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"lower_bounds": {"detla": 0}}, "detla"),
        ({"upper_bounds": {"probs": np.zeros(3)}}, "probs"),
        ({"lower_bounds": {"delta": 2}, "upper_bounds": {"delta": 1}}, r"above the upper bound at \['delta'\]"),
        ({"bounds": [(0, 1)]}, "8 pairs"),
        ({"bounds": 7}, "bounds is a int"),
        ({"bounds": ScipyBounds(np.zeros(3), np.ones(3))}, r"shape \(3,\)"),
        ({"lower_bounds": {"delta": "low"}}, "lower_bounds"),
    ],
)
def test_bounds_that_do_not_fit_are_refused_by_name(params, kwargs, words):
    with pytest.raises(BoundsError, match=words):
        resolve(params, **kwargs)


def test_a_start_outside_is_refused_by_name_and_rounding_is_forgiven():
    spec = TreeSpec.of({"a": 1.0, "b": np.array([2.0, 3.0])})
    x = np.array([1.0, 2.0, 3.0])
    low, high = np.zeros(3), np.full(3, 3.0)
    assert check_start(spec, x, low, high) is x
    assert check_start(spec, np.array([1.0, 2.0, 3.0 + 1e-12]), low, high).tolist() == [1, 2, 3]
    with pytest.raises(BoundsError, match=r"\['b'\]\[1\] = 4"):
        check_start(spec, np.array([1.0, 2.0, 4.0]), low, high)
    with pytest.raises(BoundsError, match=r"not finite at \['b'\]\[0\] = nan"):
        check_start(spec, np.array([1.0, np.nan, 4.0]), low, high)


@given(
    values=st.dictionaries(st.sampled_from("abcdef"), st.floats(-5, 5), min_size=1),
    given_=st.dictionaries(st.sampled_from("abcdef"), st.floats(-100, -6)),
)
def test_any_subtree_bounds_what_it_names_and_nothing_else(values, given_):
    named = {key: low for key, low in given_.items() if key in values}
    lower, upper = resolve(values, lower_bounds=dict(reversed(named.items())))
    assert lower.tolist() == [named.get(key, -INF) for key in values]
    assert (upper == INF).all()
