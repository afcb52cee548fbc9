"""Covariances and weights of moments: every form, in any order; the bootstrap; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, issparse

from tessera.errors import FunctionError, InferenceError, StructureError
from tessera.pytree.blocks import matrix_to_blocks, matrix_to_frame
from tessera.pytree.moments import get_moments_cov, get_weighting_matrix, moment_matrix
from tessera.pytree.tree import TreeSpec

MOMENTS = {
    "mean": 1.5,
    "by_region": pd.Series([1.0, 2.0, 3.0], index=["north", "east", "west"]),
    "table": pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["young", "old"], columns=["f", "m"]),
}
SPEC = TreeSpec.of(MOMENTS)
K = SPEC.size


def covariance(seed: int = 0, size: int = K) -> np.ndarray:
    draws = np.random.default_rng(seed).normal(size=(size, 3 * size))
    return draws @ draws.T / size


def reordered(tree: Any) -> Any:
    """The same tree with keys and labels in reverse."""
    if isinstance(tree, dict):
        return {key: reordered(tree[key]) for key in reversed(tree)}
    if isinstance(tree, pd.Series):
        return tree.iloc[::-1]
    return tree.iloc[::-1, ::-1] if isinstance(tree, pd.DataFrame) else tree


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.permutations(range(K)))
def test_a_frame_is_read_by_label_in_any_order(seed: int, order: list[int]) -> None:
    cov = covariance(seed)
    frame = matrix_to_frame(cov, SPEC, SPEC).iloc[order, order[::-1]]
    np.testing.assert_array_equal(moment_matrix(frame, SPEC, "moments_cov").values, cov)


@pytest.mark.parametrize("form", ["frame", "blocks", "array", "sparse"])
def test_every_full_form_is_the_same_matrix(form: str) -> None:
    cov = covariance()
    given_as = {
        "frame": matrix_to_frame(cov, SPEC, SPEC, "multi"),
        "blocks": reordered(matrix_to_blocks(cov, SPEC, SPEC)),
        "array": cov,
        "sparse": csr_array(cov),
    }[form]
    np.testing.assert_allclose(moment_matrix(given_as, SPEC, "moments_cov").dense(), cov, rtol=1e-15)


@pytest.mark.parametrize("form", ["tree", "reordered", "flat series", "multi series", "array"])
def test_every_diagonal_form_is_the_same_vector(form: str) -> None:
    variances = np.arange(1.0, K + 1.0)
    tree = SPEC.unravel(variances)
    given_as = {
        "tree": tree,
        "reordered": reordered(tree),
        "flat series": pd.Series(variances, index=SPEC.index("flat")).iloc[::-1],
        "multi series": pd.Series(variances, index=SPEC.index("multi")).iloc[::-1],
        "array": variances,
    }[form]
    matrix = moment_matrix(given_as, SPEC, "moments_cov")
    assert matrix.storage == "diagonal"
    np.testing.assert_array_equal(matrix.values, variances)


@pytest.mark.parametrize(
    "moments",
    [
        2.0,
        np.arange(3.0),
        np.arange(4.0).reshape(2, 2),
        pd.Series([1.0, 2.0], index=["a", "b"]),
        pd.DataFrame([[1.0, 2.0], [3.0, 4.0]], index=["a", "b"], columns=["c", "d"]),
        {"only": 2.0},
    ],
    ids=["scalar", "vector", "matrix", "series", "frame", "dict of one"],
)
def test_moments_that_are_a_single_leaf(moments: Any) -> None:
    spec = TreeSpec.of(moments)
    cov = covariance(1, spec.size)
    variances = np.diag(cov)
    for given_as in (cov, matrix_to_frame(cov, spec, spec), matrix_to_blocks(cov, spec, spec)):
        np.testing.assert_allclose(moment_matrix(given_as, spec, "moments_cov").dense(), cov, rtol=1e-15)
    for given_as in (spec.unravel(variances), pd.Series(variances, index=spec.index("flat"))):
        np.testing.assert_array_equal(moment_matrix(given_as, spec, "moments_cov").values, variances)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**MOMENTS, "extra": 1.0}, r"\['extra'\]"),
        ({"mean": 1.0, "by_region": MOMENTS["by_region"]}, r"\['table'\]"),
        ({**MOMENTS, "by_region": pd.Series([1.0, 2.0, 3.0], index=["north", "east", "south"])}, "south"),
        (np.eye(3), r"shape \(3, 3\), but there are 8 moments"),
        (pd.Series(np.ones(K), index=[f"m{i}" for i in range(K)]), "missing.*mean.*extra.*m0"),
        (pd.DataFrame(np.eye(K)), "index of the frame"),
    ],
    ids=["extra", "missing", "other label", "shape", "series", "frame"],
)
def test_what_does_not_fit_the_moments_is_named(values: Any, message: str) -> None:
    with pytest.raises(StructureError, match=message):
        moment_matrix(values, SPEC, "moments_cov")


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_by_method_are_labelled_as_the_covariance_is() -> None:
    cov = covariance()
    frame = matrix_to_frame(cov, SPEC, SPEC)
    labels = SPEC.index("flat")
    for method, expected in (
        ("diagonal", np.diag(1 / np.diag(cov))),
        ("optimal", np.linalg.inv(cov)),
        ("identity", np.eye(K)),
    ):
        weights = get_weighting_matrix(frame, method)  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(weights, pd.DataFrame(expected, index=labels, columns=labels), rtol=1e-9)


def test_weights_come_in_the_form_of_the_covariance() -> None:
    cov = covariance()
    variances = np.diag(cov)
    assert isinstance(get_weighting_matrix(matrix_to_blocks(cov, SPEC, SPEC), "optimal", MOMENTS), pd.DataFrame)
    series = get_weighting_matrix(pd.Series(variances, index=SPEC.index("flat")), "diagonal")
    pd.testing.assert_series_equal(series, pd.Series(1 / variances, index=SPEC.index("flat"), name="weight"))
    np.testing.assert_allclose(get_weighting_matrix(cov, "optimal"), np.linalg.inv(cov), rtol=1e-9)
    np.testing.assert_array_equal(get_weighting_matrix(variances, "diagonal"), 1 / variances)
    sparse = get_weighting_matrix(csr_array(cov), "diagonal")
    assert issparse(sparse)
    assert sparse.nnz == K


def test_a_tree_of_variances_gives_a_series_of_weights() -> None:
    variances = reordered(SPEC.unravel(np.arange(1.0, K + 1.0)))
    weights = get_weighting_matrix(variances, "diagonal", MOMENTS)
    pd.testing.assert_series_equal(
        weights, pd.Series(1 / np.arange(1.0, K + 1.0), index=SPEC.index("flat"), name="weight")
    )


def test_a_tree_without_the_moments_beside_it_is_ambiguous() -> None:
    with pytest.raises(StructureError, match="give empirical_moments too"):
        get_weighting_matrix({"a": 1.0}, "diagonal")


def test_a_moment_without_variance_is_named_or_gets_no_weight() -> None:
    cov = pd.DataFrame(np.diag([1.0, 0.0, 4.0]), index=list("abc"), columns=list("abc"))
    for method in ("optimal", "diagonal"):
        with pytest.raises(InferenceError, match="moments b have no variance"):
            get_weighting_matrix(cov, method)  # type: ignore[arg-type]
        weights = get_weighting_matrix(cov, method, singular="pseudo")  # type: ignore[arg-type]
        np.testing.assert_array_equal(weights, np.diag([1.0, 0.0, 0.25]))


def test_dependent_moments_are_named_or_weighted_by_the_pseudo_inverse() -> None:
    base = covariance(2, 3)
    mix = np.vstack([np.eye(3), [1.0, 1.0, 0.0]])
    labels = ["a", "b", "c", "a+b"]
    cov = pd.DataFrame(mix @ base @ mix.T, index=labels, columns=labels)
    with pytest.raises(InferenceError, match=r"moments a, b, a\+b are linear combinations of each other"):
        get_weighting_matrix(cov, "optimal")
    weights = get_weighting_matrix(cov, "optimal", singular="pseudo").to_numpy()
    np.testing.assert_allclose(weights, np.linalg.pinv(cov.to_numpy(), hermitian=True, rcond=1e-12), rtol=1e-6)


def test_an_unknown_method_names_the_known_ones() -> None:
    with pytest.raises(InferenceError, match="diagonal, optimal, identity"):
        get_weighting_matrix(np.eye(2), "best")  # type: ignore[arg-type]


# --- bootstrap --------------------------------------------------------------------------------------------------------


def sample(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    group = np.repeat(np.arange(n // 4), 4)
    return pd.DataFrame(
        {
            "group": group,
            "x": rng.normal(size=n) + rng.normal(size=n // 4)[group],
            "y": rng.normal(size=n),
            "w": rng.uniform(0.2, 3.0, n),
        }
    )


def means(data: pd.DataFrame) -> dict[str, Any]:
    return {"x": data["x"].mean(), "both": data[["x", "y"]].mean()}


def test_bootstrap_covariance_of_means_is_that_of_theory() -> None:
    data = sample()
    cov = get_moments_cov(data, means, seed=1, n_draws=2000)
    assert list(cov.index) == list(cov.columns) == ["x", "both_x", "both_y"]
    theory = np.cov(data[["x", "y"]].to_numpy().T, ddof=0) / len(data)
    np.testing.assert_allclose(cov.loc[["both_x", "both_y"], ["both_x", "both_y"]], theory, atol=0.1 * theory.max())
    assert cov.loc["x", "x"] == pytest.approx(cov.loc["both_x", "both_x"])
    assert cov.loc["x", "both_x"] == pytest.approx(cov.loc["x", "x"])


def test_clusters_are_drawn_whole() -> None:
    data = sample()
    cov = get_moments_cov(data, means, seed=1, n_draws=2000, cluster_by="group")
    cluster_means = data.groupby("group")["x"].mean()
    assert cov.loc["x", "x"] == pytest.approx(cluster_means.var(ddof=0) / len(cluster_means), rel=0.1)
    assert cov.loc["x", "x"] > 2 * get_moments_cov(data, means, seed=1, n_draws=500).loc["x", "x"]

    def whole(drawn: pd.DataFrame) -> float:
        assert (drawn.groupby("group").size() % 4 == 0).all()
        return float(len(drawn))

    lengths = get_moments_cov(data, whole, seed=2, n_draws=20, cluster_by=["group"], kind="array")
    assert lengths.shape == (1, 1)


def test_weights_set_how_often_rows_are_drawn() -> None:
    data = sample()
    seen: list[float] = []

    def mean_x(drawn: pd.DataFrame) -> float:
        seen.append(float(drawn["x"].mean()))
        return seen[-1]

    get_moments_cov(data, mean_x, seed=3, n_draws=2000, weight_by="w")
    weighted = np.average(data["x"], weights=data["w"])
    spread = np.sqrt(np.average((data["x"] - weighted) ** 2, weights=data["w"]) / len(data))
    assert np.mean(seen[1:]) == pytest.approx(weighted, abs=4 * spread / np.sqrt(2000))
    assert abs(weighted - data["x"].mean()) > 5 * spread / np.sqrt(2000)  # or the line above would show nothing


def test_a_cluster_of_no_weight_is_never_drawn() -> None:
    data = pd.DataFrame({"g": ["a", "a", "b", "c"], "x": [1.0, 2.0, 3.0, 1e9], "w": [1.0, 1.0, 2.0, 0.0]})
    cov = get_moments_cov(data, lambda d: d["x"].max(), seed=0, n_draws=50, cluster_by="g", weight_by="w", kind="array")
    assert cov.max() < 1.0


def test_draws_depend_on_the_seed_alone() -> None:
    data = sample(80)
    one, same, other = (get_moments_cov(data, means, seed=seed, n_draws=50) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, same)
    assert not np.allclose(one, other)


def test_kinds_of_covariance_agree() -> None:
    data = sample(80)
    frame, tree, array, variances = (
        get_moments_cov(data, means, seed=1, n_draws=50, kind=kind) for kind in ("frame", "tree", "array", "variances")
    )
    np.testing.assert_array_equal(frame.to_numpy(), array)
    assert tree["x"]["x"] == array[0, 0]
    np.testing.assert_array_equal(tree["both"]["both"], frame.iloc[1:, 1:])
    np.testing.assert_allclose(variances, np.diag(array), rtol=1e-12)
    assert list(variances.index) == list(frame.index)


def test_arrays_and_series_are_data_too() -> None:
    values = np.arange(50.0)
    one = get_moments_cov(values, lambda d, power: float((d**power).mean()), seed=1, moments_kwargs={"power": 2})
    two = get_moments_cov(pd.Series(values), lambda d: {"m": (d**2).mean()}, seed=1, cluster_by=None)
    assert one.iloc[0, 0] == pytest.approx(two.iloc[0, 0])
    by_array = get_moments_cov(values, np.mean, seed=1, n_draws=10, cluster_by=np.repeat(np.arange(25), 2))
    assert by_array.iloc[0, 0] > 0


def test_a_sample_without_some_group_names_the_missing_moment() -> None:
    data = pd.DataFrame({"g": ["a"] * 30 + ["rare"], "x": np.arange(31.0)})
    with pytest.raises(StructureError, match=r"bootstrap sample \d+ .*rare.*re-indexing on all groups"):
        get_moments_cov(data, lambda d: d.groupby("g")["x"].mean(), seed=1)


def test_failures_name_sample_and_moment() -> None:
    data = sample(20)
    with pytest.raises(FunctionError, match="KeyError for the whole data: 'z'"):
        get_moments_cov(data, lambda d: d["z"].mean(), seed=1)
    with pytest.raises(FunctionError, match=r"1 moments of the whole data are not finite: \['b'\]"):
        get_moments_cov(data, lambda d: {"a": 1.0, "b": np.nan}, seed=1)
    with pytest.raises(FunctionError, match=r"bootstrap sample 0 are not finite: \['b'\]"):
        get_moments_cov(data, lambda d: {"a": 1.0, "b": 1.0 if d.index.is_unique else np.nan}, seed=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_draws": 1}, "at least two draws"),
        ({"cluster_by": "nope"}, "cluster_by names .*nope"),
        ({"cluster_by": np.zeros(3)}, r"shape \(3,\)"),
        ({"cluster_by": np.zeros(20)}, "all rows in one cluster"),
        ({"cluster_by": np.where(np.arange(20) < 5, np.nan, 1.0)}, "5 rows of data have no cluster"),
        ({"weight_by": np.full(20, -1.0)}, "20 finite weights of at least 0"),
        ({"kind": "dict"}, "no kind 'dict'"),
    ],
)
def test_unusable_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        get_moments_cov(sample(20), means, seed=1, **options)


def test_registry_and_is_leaf_reach_the_moments() -> None:
    class Pair:
        def __init__(self, a: float, b: float) -> None:
            self.a, self.b = a, b

    entry = {
        "flatten": lambda pair: ([pair.a, pair.b], None),
        "unflatten": lambda _, leaves: Pair(*leaves),
        "names": lambda _: ["a", "b"],
    }
    registry = {Pair: entry}
    cov = get_moments_cov(
        sample(40), lambda d: Pair(d["x"].mean(), d["y"].mean()), seed=1, n_draws=20, moments_registry=registry
    )
    assert list(cov.index) == ["a", "b"]
    weights = get_weighting_matrix(cov, "diagonal", Pair(0.0, 0.0), moments_registry=registry)
    np.testing.assert_allclose(np.diag(weights), 1 / np.diag(cov))
