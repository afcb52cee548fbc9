"""Groups of parameters by the rules of EEP-01: similar magnitude, common beginning, a title, about five lines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import ConfigError
from tessera.pytree import TreeSpec, parameter_groups
from tessera.pytree.plotting.grouping import MAX_LINES, ParameterGroup, group_parameters, words_of


def titles(params: object, **options: int) -> dict[str, tuple[str, ...]]:
    groups = parameter_groups(params, **options)
    assert len({group.title for group in groups}) == len(groups), "two plots with one title"
    return {group.title: group.labels for group in groups}


def test_branches_of_the_tree_are_groups_and_the_title_is_the_common_part() -> None:
    params = {
        "wage": dict.fromkeys(("constant", "age", "school", "exper", "tenure"), 1.0),
        "utility": dict.fromkeys(("leisure", "child", "home", "work", "sleep"), 2.0),
    }
    assert titles(params) == {
        "wage": ("constant", "age", "school", "exper", "tenure"),
        "utility": ("leisure", "child", "home", "work", "sleep"),
    }


def test_names_part_at_underscores_as_at_branches() -> None:
    params = {f"{head}_{tail}": 1.0 for head in ("wage", "utility") for tail in "abcde"}
    assert titles(params) == {"wage": tuple("abcde"), "utility": tuple("abcde")}


def test_a_long_common_beginning_is_the_title() -> None:
    assert titles({"a": {"b": {"c": np.ones(3)}}}) == {"a_b_c": ("0", "1", "2")}


def test_different_magnitudes_are_never_in_one_group() -> None:
    params = {"coef": {"a": 1.0, "b": 1000.0, "c": -2.0, "d": -1500.0, "e": 1e-4}}
    groups = parameter_groups(params)
    assert [group.positions for group in groups] == [(0, 2), (1, 3), (4,)]
    assert all(group.title.startswith("coef") for group in groups)


def test_the_sign_of_a_start_does_not_matter() -> None:
    assert len(parameter_groups({"a": np.array([1.0, -1.0, 2.0, -2.0])})) == 1


@pytest.mark.parametrize(("other", "n_groups"), [(0.5, 1), (1.0, 1), (50.0, 2)])
def test_a_start_of_zero_goes_with_small_values_only(other: float, n_groups: int) -> None:
    assert len(parameter_groups({"a": np.array([0.0, other, 0.0, other])})) == n_groups


def test_starts_that_are_not_finite_are_kept_apart() -> None:
    spec = TreeSpec.of({"a": np.ones(4)})
    groups = group_parameters(spec, np.array([1.0, np.nan, 2.0, np.inf]))
    assert [group.positions for group in groups] == [(0, 2), (1, 3)]


@pytest.mark.parametrize(
    ("n", "sizes"), [(5, {5}), (8, {8}), (9, {4, 5}), (10, {5}), (12, {6}), (40, {5}), (103, {4, 5, 6})]
)
def test_many_alike_are_cut_into_even_pieces_of_about_five(n: int, sizes: set[int]) -> None:
    groups = parameter_groups({"a": np.ones(n)})
    assert {len(group) for group in groups} <= sizes
    assert [p for group in groups for p in group.positions] == list(range(n))


def test_pieces_of_one_branch_are_told_apart_by_their_range() -> None:
    assert list(titles({"a": np.ones(10)})) == ["a: 0 to 4", "a: 5 to 9"]


def test_single_parameters_share_a_plot() -> None:
    assert titles({"alpha": 1.0, "beta": 1.1, "gamma": 1.2}) == {"alpha, beta, gamma": ("alpha", "beta", "gamma")}


def test_the_levels_of_an_index_are_words() -> None:
    index = pd.MultiIndex.from_product([["men", "women"], range(5)], names=["sex", "age"])
    params = {"beta": pd.DataFrame({"value": np.ones(10)}, index=index)}
    assert titles(params) == {"beta_men": tuple("01234"), "beta_women": tuple("01234")}
    spec = TreeSpec.of(params)
    assert words_of(spec, [0, 9]) == [("beta", "men", "0"), ("beta", "women", "4")]


def test_a_number_has_a_group_of_its_own() -> None:
    (group,) = parameter_groups(3.0)
    assert (group.positions, group.labels, len(group)) == ((0,), ("value",), 1)
    assert group.title


def test_names_are_those_of_the_flat_index() -> None:
    params = {"b": np.ones(2), "a": {"x": 1.0}}
    named = {
        p: name for group in parameter_groups(params) for p, name in zip(group.positions, group.names, strict=True)
    }
    assert [named[p] for p in sorted(named)] == [str(name) for name in TreeSpec.of(params).index("flat")]


def test_some_positions_only() -> None:
    spec = TreeSpec.of({"a": np.ones(6)})
    (group,) = group_parameters(spec, np.ones(6), positions=[4, 1, 4])
    assert (group.positions, group.labels) == ((1, 4), ("1", "4"))


@pytest.mark.parametrize("max_size", [0, 9, -1, 2.0, True, "5"])
def test_an_impossible_size_is_refused(max_size: object) -> None:
    with pytest.raises(ConfigError, match="whole number from 1 to 8"):
        parameter_groups({"a": 1.0}, max_size=max_size)  # type: ignore[arg-type]


def test_deep_trees_need_no_recursion() -> None:
    params: object = {"x": 1.0, "y": 1.0}
    for _ in range(150):
        params = {"a": params}
    (group,) = parameter_groups(params)
    assert group.labels == ("x", "y")


STARTS = st.one_of(
    st.just(0.0), st.floats(-1e9, 1e9), st.floats(-3.0, 3.0), st.sampled_from([1e-300, 5e-324, -1e300, 1e-12])
)
KEYS = st.sampled_from(["a", "b", "a_b", "a_c", "a_b_c", "", "_", "wage_x", "wage_y", "z"])
LEAVES = st.one_of(STARTS, st.lists(STARTS, min_size=1, max_size=12).map(np.array))
TREES = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=6), max_leaves=25)


@settings(max_examples=150, deadline=None)
@given(params=TREES, max_size=st.integers(1, MAX_LINES))
def test_every_parameter_is_in_one_group_of_similar_starts(params: object, max_size: int) -> None:
    spec = TreeSpec.of(params)
    start = np.abs(spec.ravel(params))
    groups = parameter_groups(params, max_size)
    assert sorted(p for group in groups for p in group.positions) == list(range(spec.size))
    assert [group.positions[0] for group in groups] == sorted(group.positions[0] for group in groups)
    assert len({group.title for group in groups}) == len(groups)
    for group in groups:
        check(group, start, max_size)


def check(group: ParameterGroup, start: np.ndarray, max_size: int) -> None:
    assert 1 <= len(group) <= max_size
    assert len(group.labels) == len(group.names) == len(group)
    assert list(group.positions) == sorted(group.positions)
    sizes = start[list(group.positions)]
    positive = sizes[sizes > 0]
    if positive.size:
        assert np.log10(positive.max()) - np.log10(positive.min()) <= 1 + 1e-9
        assert positive.size == sizes.size or positive.max() <= 1
