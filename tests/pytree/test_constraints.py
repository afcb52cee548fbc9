"""Constraints as the user writes them: classes and dicts, and every way to get them wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.errors import ConstraintError
from tessera.pytree.constraints import (
    Covariance,
    Decreasing,
    Equal,
    Fixed,
    Increasing,
    Linear,
    Nonlinear,
    PairwiseEqual,
    Probability,
    SdCorr,
    read_constraints,
)
from tessera.pytree.spaces.selection import select_all, values_for, weights_for
from tessera.pytree.tree import TreeSpec


def first(params):
    return params["a"]


def second(params):
    return params["b"]


@pytest.mark.parametrize(
    ("as_dict", "as_object"),
    [
        ({"type": "fixed", "selector": first}, Fixed(first)),
        ({"type": "fixed", "selector": first, "value": 3}, Fixed(first, 3)),
        ({"type": "equality", "selector": first}, Equal(first)),
        ({"type": "pairwise_equality", "selectors": [first, second]}, PairwiseEqual(first, second)),
        ({"type": "increasing", "selector": first}, Increasing(first)),
        ({"type": "decreasing", "selector": first}, Decreasing(first)),
        ({"type": "probability", "selector": first}, Probability(first)),
        ({"type": "linear", "selector": first, "weights": 2, "value": 1}, Linear(first, 2, value=1)),
        (
            {"type": "linear", "selector": first, "weights": 2, "lower_bound": 1, "upper_bound": 3},
            Linear(first, 2, lower=1, upper=3),
        ),
        ({"type": "covariance", "selector": first, "bounds_distance": 0.1}, Covariance(first, 0.1)),
        ({"type": "sdcorr", "selector": first}, SdCorr(first)),
        (
            {"type": "nonlinear", "selector": first, "func": sum, "derivative": max, "lower_bounds": 0},
            Nonlinear(first, sum, max, lower=0),
        ),
    ],
)
def test_the_dict_form_says_the_same_as_the_class(as_dict, as_object):
    assert read_constraints([as_dict]) == read_constraints(as_object) == (as_object,)


def test_one_several_none_in_any_iterable():
    assert read_constraints(None) == ()
    assert read_constraints(Fixed(first)) == (Fixed(first),)
    assert read_constraints((Fixed(first), {"type": "equality", "selector": first})) == (Fixed(first), Equal(first))
    assert read_constraints(constraint for constraint in [Equal(first)]) == (Equal(first),)


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        (7, "constraints is a int"),
        ([7], "constraint 0 is a int"),
        ([{"type": "fixd", "selector": first}], "type 'fixd'"),
        ([Fixed(first), {"type": "fixed"}], r"constraint 1 \(fixed\) selects nothing"),
        ([{"type": "fixed", "selector": first, "vale": 1}], "unknown entries .'vale'"),
        ([{"type": "fixed", "selector": first, "loc": "a"}], "2 selectors"),
        ([{"type": "pairwise_equality", "selector": first}], "1 selectors"),
        ([{"type": "pairwise_equality", "selectors": [first, second], "value": 1}], "unknown entries"),
        ([{"type": "nonlinear", "selector": first, "value": 1}], 'no "func"'),
        ([Fixed("a")], "selector 'a'"),
        ([Linear(first, 1.0)], "needs either value"),
        ([Linear(first, 1.0, lower=0, value=1)], "needs either value"),
        ([Nonlinear(first, 3, value=1)], "has func 3"),
    ],
)
def test_what_cannot_be_read_is_refused(constraints, words):
    with pytest.raises(ConstraintError, match=words):
        read_constraints(constraints)


def positions(params, constraint):
    return [group.tolist() for group in select_all(TreeSpec.of(params), read_constraints(constraint))[0].groups]


def test_selection_keeps_the_order_of_the_flattened_selection():
    params = {"a": np.arange(4.0), "b": pd.Series([1.0, 2.0], index=["x", "y"]), "c": 3.0}
    assert positions(params, Fixed(lambda p: [p["c"], p["b"]["y"], p["a"][1:3]])) == [[6, 5, 1, 2]]
    assert positions(params, PairwiseEqual(lambda p: p["a"][:2], lambda p: p["b"])) == [[0, 1], [4, 5]]


def test_loc_and_query_of_a_single_value_frame():
    index = pd.MultiIndex.from_tuples([("u", 0), ("u", 1), ("v", 0)], names=["kind", "number"])
    params = pd.DataFrame({"value": [1.0, 2.0, 3.0], "lower_bound": 0.0}, index=index)
    assert positions(params, {"type": "fixed", "loc": "u"}) == [[0, 1]]
    assert positions(params, {"type": "fixed", "loc": ("v", 0)}) == [[2]]
    assert positions(params, {"type": "fixed", "query": "number == 0"}) == [[0, 2]]
    assert positions(params, {"type": "pairwise_equality", "locs": [("u", 0), ("v", 0)]}) == [[0], [2]]
    assert positions(params, {"type": "pairwise_equality", "queries": ["number == 1", "kind == 'v'"]}) == [[1], [2]]


@pytest.mark.parametrize("entry", ["loc", "query"])
def test_loc_and_query_need_a_value_frame(entry):
    with pytest.raises(ConstraintError, match="one DataFrame with a value column, not a dict"):
        positions({"a": 1.0}, {"type": "fixed", entry: "a"})


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (lambda p: p["z"], r"raised KeyError: 'z'.*leaves are \['a'\], \['b'\]"),
        (lambda p: None, "returned no parameters"),
        (lambda p: p["a"][:0], "returned no parameters"),
        (lambda p: p["a"] * 2, "no parameters of the tree"),
        (lambda p: 5, "no parameters of the tree"),
        (lambda p: "a", "constraint 0"),
        (lambda p: [p["a"], p["a"][1]], r"returns \['a'\]\[1\] more than once"),
    ],
)
def test_selectors_that_fail_or_select_no_parameters(selector, words):
    with pytest.raises(ConstraintError, match=words):
        positions({"a": np.arange(3.0), "b": 1.0}, Fixed(selector))


def test_pairwise_selections_have_one_length():
    with pytest.raises(ConstraintError, match="return 3, 1 parameters"):
        positions({"a": np.arange(3.0), "b": 1.0}, PairwiseEqual(first, second))


def test_values_and_weights_as_numbers_vectors_and_trees():
    params = {"a": np.arange(3.0), "b": {"x": 1.0, "y": 2.0}}
    spec = TreeSpec.of(params)
    on_b = select_all(spec, (Fixed(second),))[0]
    assert values_for(spec, on_b, 4, "value").tolist() == [4, 4]
    assert values_for(spec, on_b, [4, 5], "value").tolist() == [4, 5]
    assert values_for(spec, on_b, {"y": 5, "x": 4}, "value").tolist() == [4, 5]
    assert weights_for(spec, on_b, {"y": 5, "x": 4}).tolist() == [[4, 5]]
    assert weights_for(spec, on_b, [[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ConstraintError, match="does not fit the 2 selected"):
        values_for(spec, on_b, {"x": 4}, "value")
    with pytest.raises(ConstraintError, match="all zero"):
        weights_for(spec, on_b, [0, 0])
