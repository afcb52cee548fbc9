"""Summaries in both formats of EEP-01, the way between them, and tables of estimates."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import norm

from tessera.errors import StructureError
from tessera.pytree.estimate import ml_inference, msm_inference
from tessera.pytree.estimation.inference import normal_statistics
from tessera.pytree.summary import (
    estimation_table,
    frames_of_columns,
    summary_to_frames,
    summary_to_trees,
    trees_of_columns,
)
from tessera.pytree.tree import TreeSpec, tree_leaves

# The parameters of EEP-01.
PARAMS = {
    "delta": 0.95,
    "utility": pd.DataFrame([[0.5, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"]),
    "probs": np.array([[0.8, 0.2], [0.3, 0.7]]),
}
# p-values that lead to the stars in the example of EEP-01.
P_VALUES = np.array([0.001, 0.03, 0.03, 0.03, 0.001, 0.07, 0.03, 0.001])


def columns(params: Any, p_values: np.ndarray | None = None) -> dict[str, np.ndarray]:
    spec = TreeSpec.of(params)
    x = spec.ravel(params)
    p_values = np.linspace(0.001, 0.5, x.size) if p_values is None else p_values
    with np.errstate(divide="ignore"):
        errors = np.abs(x) / norm.isf(p_values / 2)
    return normal_statistics(x, errors**2, np.ones(x.size, dtype=bool))


def estimate_of(params: Any) -> Any:
    """A result whose estimate is any tree: moments are the parameters themselves."""
    size = TreeSpec.of(params).size
    spec = TreeSpec.of(params)
    return msm_inference(spec.ravel, spec.ravel(params), np.full(size, 0.04), params)


# --- EEP-01's example -------------------------------------------------------------------------------------------------


def test_format_1_is_that_of_the_eep() -> None:
    summary = frames_of_columns(columns(PARAMS, P_VALUES), TreeSpec.of(PARAMS))
    expected = {
        "delta": pd.DataFrame({"value": [0.95], "stars": ["***"]}, index=[0]),
        "utility": pd.DataFrame({"value": [0.5] * 3, "stars": ["**"] * 3}, index=["a", "b", "c"]),
        "probs": pd.DataFrame(
            {"value": [0.8, 0.2, 0.3, 0.7], "stars": ["***", "*", "**", "***"]},
            index=pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0), (1, 1)]),
        ),
    }
    assert list(summary) == list(expected)
    for key, frame in expected.items():
        pd.testing.assert_frame_equal(
            summary[key][["value", "stars"]], frame, check_dtype=False, check_index_type=False
        )


def test_format_2_is_that_of_the_eep() -> None:
    result = estimate_of(PARAMS)
    summary = result.summary("trees")
    assert list(summary) == ["values", "standard_errors", "ci_lower", "ci_upper", "p_values", "free", "stars"]
    errors = summary["standard_errors"]
    assert list(errors) == list(PARAMS)
    # Only the column `value` of a frame that has one is updated.
    utility = pd.DataFrame([[0.2, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"])
    pd.testing.assert_frame_equal(errors["utility"], utility)
    assert errors["delta"] == pytest.approx(0.2)
    np.testing.assert_allclose(errors["probs"], np.full((2, 2), 0.2))
    assert summary["stars"]["delta"] == "***"
    assert summary["stars"]["utility"]["value"].to_list() == ["**"] * 3
    assert summary["stars"]["utility"]["lower_bound"].to_list() == [0] * 3
    assert summary["free"]["probs"].all()


def test_the_default_format_has_all_statistics() -> None:
    frame = estimate_of(PARAMS).summary()["utility"]
    expected = ["value", "standard_error", "ci_lower", "ci_upper", "p_value", "free", "stars"]
    assert list(frame.columns) == expected
    np.testing.assert_allclose(frame["ci_lower"], 0.5 - norm.ppf(0.975) * 0.2)
    np.testing.assert_allclose(frame["ci_upper"], 0.5 + norm.ppf(0.975) * 0.2)
    np.testing.assert_allclose(frame["p_value"], 2 * norm.sf(2.5))


# --- any tree ---------------------------------------------------------------------------------------------------------

TWO_LEVELS = pd.MultiIndex.from_tuples([("p", 1), ("p", 2), ("q", 1)], names=["group", "year"])
LEAVES: dict[str, Any] = {
    "scalar": 1.5,
    "integer": 3,
    "zero-dimensional": np.array(2.0),
    "vector": np.arange(1.0, 4.0),
    "cube": np.arange(1.0, 9.0).reshape(2, 2, 2),
    "series": pd.Series([1.0, 2.0], index=["u", "v"], name="s"),
    "series, two levels": pd.Series([1.0, 2.0, 3.0], index=TWO_LEVELS),
    "value-frame": pd.DataFrame({"value": [1.0, 2.0], "note": ["x", "y"]}, index=[10, 20]),
    "frame": pd.DataFrame({"n": [1, 2], "text": ["x", "y"], "r": [0.5, 1.5]}, index=["i", "j"]),
    "frame with integer columns": pd.DataFrame([[1.0, 2.0]], columns=[0, 1]),
    "frame, two levels": pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=TWO_LEVELS),
    "sparse": csr_array(np.array([[1.0, 0.0], [2.0, 3.0]])),
    "empty": np.zeros(0),
}


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.sampled_from(sorted(LEAVES)).map(LEAVES.__getitem__),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3)
            | st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)
            | st.tuples(inner, inner)
        ),
        max_leaves=5,
    )
)
def test_formats_1_and_2_hold_the_same(params: Any) -> None:
    spec = TreeSpec.of(params)
    flat = columns(params)
    frames = frames_of_columns(flat, spec)
    trees = summary_to_trees(frames, spec)
    assert list(trees) == list(trees_of_columns(flat, spec))
    np.testing.assert_array_equal(spec.ravel(trees["p_values"]), flat["p_value"])
    np.testing.assert_array_equal(spec.ravel(trees["values"]), spec.ravel(params))
    again = summary_to_frames(trees, params)
    leaves = tree_leaves(frames)
    assert len(leaves) == spec.n_leaves
    for one, other in zip(leaves, tree_leaves(again), strict=True):
        pd.testing.assert_frame_equal(one, other, check_dtype=False)
    np.testing.assert_array_equal(np.concatenate([frame["value"] for frame in leaves]), flat["value"])


@pytest.mark.parametrize(
    ("leaf", "index"),
    [
        ("scalar", pd.RangeIndex(1)),
        ("zero-dimensional", pd.RangeIndex(1)),
        ("vector", pd.RangeIndex(3)),
        ("cube", pd.MultiIndex.from_product([range(2)] * 3)),
        ("series", pd.Index(["u", "v"])),
        ("series, two levels", TWO_LEVELS),
        ("value-frame", pd.Index([10, 20])),
        ("frame", pd.MultiIndex.from_product([["i", "j"], ["n", "r"]])),
        ("frame with integer columns", pd.MultiIndex.from_product([[0], [0, 1]])),
        ("sparse", pd.RangeIndex(3)),
    ],
)
def test_each_leaf_has_the_index_of_the_rules(leaf: str, index: pd.Index) -> None:
    summary = estimate_of(LEAVES[leaf]).summary()
    pd.testing.assert_index_equal(summary.index, index, exact=False, check_names=False)


def test_a_stacked_frame_with_two_levels_keeps_them() -> None:
    index = estimate_of(LEAVES["frame, two levels"]).summary().index
    assert index.names[:2] == ["group", "year"]
    assert index[1] == ("p", 1, "b")


def test_formats_meet_by_path_and_label() -> None:
    spec = TreeSpec.of(PARAMS)
    frames = frames_of_columns(columns(PARAMS), spec)
    shuffled = {key: frames[key].iloc[::-1] for key in ("probs", "delta", "utility")}
    np.testing.assert_array_equal(
        spec.ravel(summary_to_trees(shuffled, spec)["p_values"]), spec.ravel(summary_to_trees(frames, spec)["p_values"])
    )
    trees = summary_to_trees(frames, PARAMS)
    swapped = {
        name: {"probs": tree["probs"], "utility": tree["utility"].iloc[::-1], "delta": tree["delta"]}
        for name, tree in trees.items()
    }
    for key, frame in summary_to_frames(swapped, PARAMS).items():
        pd.testing.assert_frame_equal(frame, frames[key], check_dtype=False)


def test_what_does_not_fit_is_named() -> None:
    spec = TreeSpec.of(PARAMS)
    frames = frames_of_columns(columns(PARAMS), spec)
    with pytest.raises(StructureError, match=r"missing \['probs'\]"):
        summary_to_trees({key: frames[key] for key in ("delta", "utility")}, spec)
    with pytest.raises(StructureError, match=r"\['utility'\] has other rows.*missing \['c'\]"):
        summary_to_trees({**frames, "utility": frames["utility"].iloc[:2]}, spec)
    with pytest.raises(StructureError, match=r"\['probs'\] has the columns"):
        summary_to_trees({**frames, "probs": frames["probs"][["value"]]}, spec)
    with pytest.raises(StructureError, match=r"\['delta'\] is a float"):
        summary_to_trees({**frames, "delta": 1.0}, spec)
    trees = trees_of_columns(columns(PARAMS), spec)
    with pytest.raises(StructureError, match=r"values \['utility'\] is a float"):
        summary_to_frames({**trees, "values": {**PARAMS, "utility": 1.0}}, spec)


# --- tables -----------------------------------------------------------------------------------------------------------


def models() -> tuple[pd.DataFrame, pd.DataFrame]:
    first = columns(PARAMS, P_VALUES)
    frames = frames_of_columns(first, TreeSpec.of(PARAMS))
    fixed = frames["utility"].assign(free=[True, False, True], value=[0.25, 0.5, 0.75]).iloc[1:]
    return frames["utility"], fixed


def test_a_table_joins_models_by_parameter() -> None:
    table = estimation_table(models(), digits=2)
    error = 0.5 / norm.isf(0.015)
    expected = pd.DataFrame(
        [
            ["0.50**", ""],
            [f"({error:.2f})", ""],
            ["0.50**", "0.50**"],
            [f"({error:.2f})", "(fixed)"],
            ["0.50**", "0.75**"],
            [f"({error:.2f})", f"({error:.2f})"],
        ],
        index=pd.MultiIndex.from_product(
            [["a", "b", "c"], ["value", "standard_error"]], names=["parameter", "statistic"]
        ),
        columns=pd.Index(["(1)", "(2)"], name="model"),
    )
    pd.testing.assert_frame_equal(table, expected)


def test_concatenated_and_filtered_frames_are_models() -> None:
    frames = frames_of_columns(columns(PARAMS, P_VALUES), TreeSpec.of(PARAMS))
    both = pd.concat({"delta": frames["delta"], "utility": frames["utility"]})
    table = estimation_table({"all": both, "sure": both[both["p_value"] < 0.01]}, inference="none")
    assert table.columns.to_list() == ["all", "sure"]
    assert table.index.get_level_values("parameter").to_list() == ["delta, 0", "utility, a", "utility, b", "utility, c"]
    assert table["sure"].to_list() == ["0.950***", "", "", ""]
    renamed = estimation_table(both, labels={("delta", 0): "discount factor"}, inference="none")
    assert renamed.index[0] == ("discount factor", "value")


def test_a_table_as_text() -> None:
    text = estimation_table(models(), kind="text", digits=2, title="Two models", statistics={"Sample": ["old", "new"]})
    error = 0.5 / norm.isf(0.015)
    assert text == (
        "Two models\n"
        "-----------------------\n"
        "           (1)      (2)\n"
        "-----------------------\n"
        "a       0.50**\n"
        f"        ({error:.2f})\n"
        "b       0.50**   0.50**\n"
        f"        ({error:.2f})  (fixed)\n"
        "c       0.50**   0.75**\n"
        f"        ({error:.2f})   ({error:.2f})\n"
        "-----------------------\n"
        "Sample     old      new\n"
        "-----------------------\n"
        "*** p < 0.01, ** p < 0.05, * p < 0.1\n"
    )


def test_a_table_as_markdown_escapes_what_markdown_reads() -> None:
    frame = models()[0].rename(index={"a": "a|b"})
    lines = estimation_table(frame, kind="markdown", inference="ci").splitlines()
    assert lines[0] == "|  | (1) |"
    assert lines[1] == "| --- | ---: |"
    assert lines[2] == r"| a\|b | 0.500\*\* |"
    assert lines[3].startswith("|  | [0.0")


def test_a_table_as_latex_escapes_what_latex_reads() -> None:
    frame = models()[0].rename(index={"a": "beta_1 & 5%"})
    text = estimation_table(frame, kind="latex", inference="ci", title="A_1")
    assert r"beta\_1 \& 5\% & 0.500** \\" in text
    assert r"\caption{A\_1}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    # A bracket after a line break would be taken for its optional argument.
    assert " & {[" in text
    bare = estimation_table(frame, kind="latex", show_stars=False)
    assert bare.startswith(r"\begin{tabular}{lr}")
    assert "p \\textless" not in bare


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data)


def test_a_table_as_html_is_well_formed_and_escaped() -> None:
    frame = models()[0].rename(index={"a": "<script>"})
    parser = _Cells()
    parser.feed(estimation_table([frame, frame], kind="html", names=["x & y", "z"], title="T"))
    assert not parser.open
    assert parser.texts[:6] == ["T", "x & y", "z", "<script>", "0.500**", "0.500**"]


def test_numbers_too_small_or_large_for_the_digits_are_not_hidden() -> None:
    frame = pd.DataFrame({"value": [1e-7, 2e12, 0.0], "standard_error": [1e-8, np.nan, np.inf]}, index=list("abc"))
    table = estimation_table(frame)
    assert table["(1)"].to_list() == ["1.000e-07", "(1.000e-08)", "2.000e+12", "(nan)", "0.000", "(inf)"]


def test_results_are_models_and_bring_their_statistics() -> None:
    data = np.random.default_rng(0).normal(1.0, 2.0, 200)

    def loglike(params: dict[str, float]) -> dict[str, Any]:
        return {"contributions": norm.logpdf(data, params["mean"], params["sd"])}

    at = {"mean": data.mean(), "sd": data.std()}
    result = ml_inference(loglike, at)
    table = estimation_table({"ml": result, "msm": estimate_of(at)})
    assert table.loc[("Observations", ""), "ml"] == "200"
    assert table.loc[("Observations", ""), "msm"] == ""
    assert table.loc[("Log likelihood", ""), "ml"] == f"{result.loglike:.3f}"
    assert table.loc[("mean", "standard_error"), "ml"] == f"({result.se()['mean']:.3f})"
    assert table.loc[("Moments", ""), "msm"] == "2"


@pytest.mark.parametrize(
    ("given_models", "options", "message"),
    [
        (models(), {"kind": "pdf"}, "no kind 'pdf'"),
        (models(), {"inference": "t"}, "choose one of standard_error, ci, none"),
        (models(), {"names": ["one"]}, "2 models and the names"),
        (models(), {"names": ["one", "one"]}, "a name of its own|one name of its own"),
        (models(), {"statistics": {"n": [1]}}, "'n' has 1 entries for 2 models"),
        ([], {}, "0 models"),
        ([pd.DataFrame({"value": [1.0]})], {}, r"no columns \['standard_error'\]"),
        ([pd.concat(models())], {}, r"labels \['b', 'c'\] more than once"),
        ([PARAMS], {}, r"model \(1\) is a dict; give format-1 frames"),
    ],
)
def test_what_is_no_table_is_refused(given_models: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StructureError, match=message):
        estimation_table(given_models, **options)
