"""Estimation against closed forms: least squares, probit, logit, shares; trees in any order; constraints; bad input."""

from __future__ import annotations

import inspect
import pickle
import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_ndtr, ndtr
from scipy.stats import norm

import tessera.pytree.estimate as estimate_module
from tessera.errors import ConstraintError, DerivativeError, FunctionError, InferenceError, StructureError
from tessera.pytree.blocks import matrix_to_blocks
from tessera.pytree.constraints import Decreasing, Equal, Fixed, Linear, Nonlinear, Probability
from tessera.pytree.estimate import estimate_ml, estimate_msm, ml_inference, msm_inference
from tessera.pytree.moments import get_moments_cov, get_weighting_matrix
from tessera.pytree.numdiff import first_derivative
from tessera.pytree.tree import TreeSpec

inv = np.linalg.inv
N = 300
LABELS = ["level", "slope", "curve"]


def regressors() -> np.ndarray:
    z = np.random.default_rng(1).normal(size=N)
    return np.column_stack([np.ones(N), z, z**2 - 1.0])


X = regressors()
BETA = np.array([0.4, 1.0, -0.5])
Y = X @ BETA + np.random.default_rng(2).normal(size=N) * (0.5 + np.abs(X[:, 1]))
CHOICE = (X @ BETA + np.random.default_rng(3).normal(size=N) > 0).astype(float)
LEAST_SQUARES = np.linalg.solve(X.T @ X, X.T @ Y)
CLUSTERS = np.repeat(np.arange(N // 5), 5)


def robust_least_squares() -> np.ndarray:
    """White's HC0 covariance."""
    scores = X * (Y - X @ LEAST_SQUARES)[:, None]
    bread = inv(X.T @ X)
    return bread @ scores.T @ scores @ bread


# --- method of simulated moments --------------------------------------------------------------------------------------


def simulate_least_squares(params: dict[str, Any]) -> dict[str, Any]:
    beta = np.array([params["level"], *params["slopes"]])
    return {"orthogonal": pd.Series(X.T @ (X @ beta), index=LABELS)}


def least_squares_as_msm() -> tuple[Any, Any, Any]:
    """Moments X'y with their covariance; simulated moments X'X b: exactly identified, so b is least squares."""
    moments = {"orthogonal": pd.Series(X.T @ Y, index=LABELS)}
    scores = X * (Y - X @ LEAST_SQUARES)[:, None]
    spec = TreeSpec.of(moments)
    return moments, matrix_to_blocks(scores.T @ scores, spec, spec), {"level": 0.0, "slopes": np.zeros(2)}


@pytest.mark.parametrize("weights", ["diagonal", "optimal", "identity"])
@pytest.mark.parametrize("algorithm", ["scipy_lbfgsb", "scipy_ls_trf"])
def test_least_squares_as_moments_has_whites_covariance(weights: str, algorithm: str) -> None:
    moments, cov, start = least_squares_as_msm()
    result = estimate_msm(simulate_least_squares, moments, cov, start, algorithm, weights=weights)
    assert result.optimize_result.success
    np.testing.assert_allclose(result.x, LEAST_SQUARES, rtol=1e-4)
    np.testing.assert_allclose(result.cov("array"), robust_least_squares(), rtol=1e-6)
    np.testing.assert_allclose(result.cov("array", method="optimal"), robust_least_squares(), rtol=1e-6)
    np.testing.assert_allclose(result.jacobian.to_numpy(), X.T @ X, rtol=1e-6)


OVER = np.random.default_rng(4).normal(size=(12, 3))
COV_OVER = np.cov(np.random.default_rng(5).normal(size=(12, 40)))


def simulate_over(params: dict[str, Any]) -> dict[str, Any]:
    values = OVER @ np.array([params["a"], params["b"]["x"], params["b"]["y"]])
    return {
        "first": pd.Series(values[:4], index=list("pqrs")),
        "second": values[4:11].reshape(7, 1),
        "third": values[11],
    }


def test_overidentified_moments_have_hansens_covariance() -> None:
    params = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    data = {key: value + 0.1 for key, value in simulate_over(params).items()}
    spec = TreeSpec.of(data)
    w = np.diag(1 / np.diag(COV_OVER))
    bread = inv(OVER.T @ w @ OVER)
    result = msm_inference(simulate_over, data, matrix_to_blocks(COV_OVER, spec, spec), params)
    np.testing.assert_allclose(result.cov("array"), bread @ OVER.T @ w @ COV_OVER @ w @ OVER @ bread, rtol=1e-7)
    np.testing.assert_allclose(result.cov("array", method="optimal"), inv(OVER.T @ inv(COV_OVER) @ OVER), rtol=1e-7)
    assert result.criterion == pytest.approx(0.01 * np.trace(w))
    assert result.statistics == {"Moments": 12, "Criterion": result.criterion}
    np.testing.assert_allclose(result.moments_fit()["scaled"], -0.1 / np.sqrt(np.diag(COV_OVER)))


@pytest.mark.parametrize("algorithm", ["scipy_lbfgsb", "scipy_ls_dogbox"])
def test_re_ordered_keys_give_the_right_answer(algorithm: str) -> None:
    """The example with which matching by position finds x = 2 and y = 1."""

    def simulate(params: dict[str, float]) -> dict[str, float]:
        return {"b": params["y"], "a": params["x"]}

    result = estimate_msm(simulate, {"a": 1.0, "b": 2.0}, {"b": 4.0, "a": 1.0}, {"x": 0.0, "y": 0.0}, algorithm)
    assert result.params == {"x": pytest.approx(1.0, abs=1e-5), "y": pytest.approx(2.0, abs=1e-5)}
    assert result.se() == {"x": pytest.approx(1.0), "y": pytest.approx(2.0)}


def test_re_ordered_labels_covariance_weights_and_jacobian_give_the_right_answer() -> None:
    params = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    data = simulate_over(params)
    spec, inner = TreeSpec.of(data), TreeSpec.of(params)
    cov = matrix_to_blocks(COV_OVER, spec, spec)
    plain = msm_inference(simulate_over, data, cov, params, jacobian=matrix_to_blocks(OVER, spec, inner))

    def shuffled(params: dict[str, Any]) -> dict[str, Any]:
        moments = simulate_over(params)
        return {"third": moments["third"], "first": moments["first"].iloc[::-1], "second": moments["second"]}

    def jacobian(_: Any) -> dict[str, Any]:
        blocks = matrix_to_blocks(OVER, spec, inner)
        swapped = {
            key: {"b": {"y": block["b"]["y"], "x": block["b"]["x"]}, "a": block["a"]} for key, block in blocks.items()
        }
        swapped["first"]["a"] = swapped["first"]["a"].iloc[[2, 0, 3, 1]]
        return {key: swapped[key] for key in ("second", "third", "first")}

    flat = plain.moments_cov if isinstance(plain.moments_cov, pd.DataFrame) else None
    assert flat is not None
    order = np.random.default_rng(0).permutation(12)
    other = msm_inference(shuffled, data, flat.iloc[order, order[::-1]], params, jacobian=jacobian)
    np.testing.assert_allclose(other.cov("array"), plain.cov("array"), rtol=1e-12)
    np.testing.assert_allclose(other.jacobian, OVER)
    own = plain.weights.iloc[order]
    np.testing.assert_allclose(
        msm_inference(shuffled, data, cov, params, weights=own, jacobian=jacobian).cov("array"), plain.cov("array")
    )


def test_a_closed_form_jacobian_is_used_by_the_optimiser() -> None:
    truth = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    start = {"a": 0.0, "b": {"x": 0.0, "y": 0.0}}
    data = simulate_over(truth)
    spec, inner = TreeSpec.of(data), TreeSpec.of(truth)
    calls = []

    def counted(params: dict[str, Any]) -> dict[str, Any]:
        calls.append(params)
        return simulate_over(params)

    for algorithm in ("scipy_lbfgsb", "scipy_ls_lm"):
        calls.clear()
        result = estimate_msm(
            counted,
            data,
            np.ones(12),
            start,
            {"algorithm": algorithm},
            jacobian=lambda _: matrix_to_blocks(OVER, spec, inner),
        )
        np.testing.assert_allclose(result.x, [1.0, 2.0, 3.0], rtol=1e-6)
        assert len(calls) < 60


def test_custom_weights_in_a_frame_and_singular_weights() -> None:
    params = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    data = simulate_over(params)
    w = np.diag([1.0] * 6 + [0.0] * 6)
    bread = inv(OVER.T @ w @ OVER)
    labels = TreeSpec.of(data).index("flat")
    weights = pd.DataFrame(w, index=labels, columns=labels)
    result = msm_inference(simulate_over, data, COV_OVER, params, weights=weights)
    np.testing.assert_allclose(result.cov("array"), bread @ OVER.T @ w @ COV_OVER @ w @ OVER @ bread, rtol=1e-7)
    dense = np.ones((12, 12)) + w
    start = {"a": 0.5, "b": {"x": 1.0, "y": 1.0}}
    found = estimate_msm(simulate_over, data, COV_OVER, start, "scipy_ls_lm", weights=dense)
    np.testing.assert_allclose(found.x, [1.0, 2.0, 3.0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["frame", "variances", "tree"])
def test_from_data_to_estimate(kind: Any) -> None:
    """Data, bootstrapped covariance of moments, weights and estimate; the mean's standard error is s / sqrt(n)."""
    data = pd.DataFrame({"y": Y, "x": X[:, 1]})

    def calculate(sample: pd.DataFrame) -> dict[str, Any]:
        return {"slope": sample["y"].cov(sample["x"]) / sample["x"].var(), "means": sample.mean()}

    def simulate(params: dict[str, float]) -> dict[str, Any]:
        means = pd.Series([params["b"] * params["m"] + params["a"], params["m"]], index=["y", "x"])
        return {"means": means, "slope": params["b"]}

    cov = get_moments_cov(data, calculate, seed=1, n_draws=300, kind=kind)
    moments = calculate(data)
    result = estimate_msm(simulate, moments, cov, {"a": 0.0, "b": 0.0, "m": 0.0}, "scipy_ls_lm", weights="diagonal")
    line = np.polyfit(data["x"], data["y"], 1)
    np.testing.assert_allclose([result.params["b"], result.params["a"]], line, rtol=1e-5)
    assert result.se()["m"] == pytest.approx(data["x"].std() / np.sqrt(N), rel=0.1)
    weights = get_weighting_matrix(cov, "diagonal", moments)
    again = estimate_msm(simulate, moments, cov, result.params, False, weights=weights)
    np.testing.assert_allclose(again.se("array"), result.se("array"), rtol=1e-5)


# --- maximum likelihood -----------------------------------------------------------------------------------------------


def normal_loglike(params: dict[str, Any]) -> dict[str, Any]:
    each = norm.logpdf(Y, X @ params["beta"].to_numpy(), params["sigma"])
    return {"value": each.sum(), "contributions": {"early": pd.Series(each[:100]), "late": each[100:]}, "note": "kept"}


def test_least_squares_as_likelihood_has_the_covariances_of_theory() -> None:
    start = {"beta": pd.Series(np.zeros(3), index=LABELS), "sigma": 1.5}
    result = estimate_ml(normal_loglike, start, {"lower_bounds": {"sigma": 0.01}})
    residuals = Y - X @ LEAST_SQUARES
    sigma = np.sqrt(residuals @ residuals / N)
    np.testing.assert_allclose(result.x, [*LEAST_SQUARES, sigma], rtol=2e-4)
    assert result.optimize_result.fun_output["note"] == "kept"
    at = {"beta": pd.Series(LEAST_SQUARES, index=LABELS), "sigma": sigma}
    exact = ml_inference(normal_loglike, at)
    assert exact.methods == ("robust", "hessian", "jacobian")
    information = np.zeros((4, 4))
    information[:3, :3] = sigma**2 * inv(X.T @ X)
    information[3, 3] = sigma**2 / (2 * N)
    np.testing.assert_allclose(exact.cov("array", method="hessian"), information, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(exact.cov("array")[:3, :3], robust_least_squares(), rtol=1e-5)
    scores = np.column_stack([X * residuals[:, None] / sigma**2, residuals**2 / sigma**3 - 1 / sigma])
    np.testing.assert_allclose(exact.cov("array", method="jacobian"), inv(scores.T @ scores), rtol=1e-6)
    assert exact.loglike == pytest.approx(-N / 2 * (np.log(2 * np.pi * sigma**2) + 1))
    assert exact.n_obs == N
    assert exact.information_criteria["BIC"] == pytest.approx(4 * np.log(N) - 2 * exact.loglike)


def binary(kind: str) -> tuple[Any, Any, Any]:
    """Log likelihood, scores and Hessian of probit or logit, by hand."""
    sign = 2 * CHOICE - 1

    def loglike(params: np.ndarray) -> dict[str, Any]:
        index = sign * (X @ params)
        each = log_ndtr(index) if kind == "probit" else -np.logaddexp(0.0, -index)
        return {"value": each.sum(), "contributions": each}

    def scores(params: np.ndarray) -> np.ndarray:
        index = sign * (X @ params)
        if kind == "probit":
            return X * (sign * norm.pdf(index) / ndtr(index))[:, None]
        return X * (sign / (1 + np.exp(index)))[:, None]

    def hessian(params: np.ndarray) -> np.ndarray:
        index = sign * (X @ params)
        if kind == "probit":
            mills = norm.pdf(index) / ndtr(index)
            return -(X.T * (mills * (mills + index))) @ X
        share = 1 / (1 + np.exp(-index))
        return -(X.T * (share * (1 - share))) @ X

    return loglike, scores, hessian


@pytest.mark.parametrize("kind", ["probit", "logit"])
@pytest.mark.parametrize("closed", [False, True])
def test_binary_choice_has_the_textbook_covariances(kind: str, closed: bool) -> None:
    loglike, scores, hessian = binary(kind)
    options = {"jacobian": scores, "hessian": hessian} if closed else {}
    result = estimate_ml(loglike, np.zeros(3), clusters=CLUSTERS, **options)
    s, h = scores(result.params), hessian(result.params)
    np.testing.assert_allclose(s.sum(axis=0), 0.0, atol=0.02)
    bread = inv(h)
    sums = np.array([s[group == CLUSTERS].sum(axis=0) for group in np.unique(CLUSTERS)])
    n_clusters = len(sums)
    expected = {
        "jacobian": inv(s.T @ s),
        "hessian": -bread,
        "robust": bread @ s.T @ s @ bread,
        "cluster_robust": bread @ sums.T @ sums @ bread * n_clusters / (n_clusters - 1),
    }
    assert set(result.methods) == set(expected)
    for method, matrix in expected.items():
        np.testing.assert_allclose(result.cov("array", method=method), matrix, rtol=2e-5, atol=1e-9)
        np.testing.assert_allclose(result.se("array", method=method), np.sqrt(np.diag(matrix)), rtol=2e-5)
    error = result.se("array", method="hessian")
    z = result.x / error
    np.testing.assert_allclose(result.p_values("array", method="hessian"), 2 * norm.sf(np.abs(z)), rtol=1e-6)
    lower, upper = result.ci("array", method="hessian", level=0.9)
    np.testing.assert_allclose(lower, result.x - norm.ppf(0.95) * error)
    np.testing.assert_allclose(upper, result.x + norm.ppf(0.95) * error)


def test_clusters_are_matched_with_contributions_by_label() -> None:
    loglike, _, _ = binary("logit")
    names = [f"obs{i}" for i in range(N)]

    def labelled(params: np.ndarray) -> dict[str, Any]:
        return {"contributions": {"all": pd.Series(loglike(params)["contributions"], index=names)}}

    at = BETA * 1.5
    clusters = {"all": pd.Series(CLUSTERS, index=names).sample(frac=1.0, random_state=1)}
    by_label = ml_inference(labelled, at, clusters=clusters)
    by_position = ml_inference(loglike, at, clusters=CLUSTERS)
    np.testing.assert_allclose(
        by_label.se("array", method="cluster_robust"), by_position.se("array", method="cluster_robust"), rtol=1e-6
    )
    with pytest.raises(StructureError, match=r"clusters lack .*obs0"):
        ml_inference(labelled, at, clusters={"all": pd.Series(CLUSTERS[1:], index=names[1:])})


def test_a_likelihood_may_return_a_number_or_contributions_only() -> None:
    loglike, _, hessian = binary("logit")
    only_value = ml_inference(lambda p: loglike(p)["value"], BETA)
    assert only_value.methods == ("hessian",)
    assert only_value.n_obs is None
    np.testing.assert_allclose(only_value.cov("array"), -inv(hessian(BETA)), rtol=1e-5)
    only_each = ml_inference(lambda p: {"contributions": loglike(p)["contributions"]}, BETA)
    np.testing.assert_allclose(only_each.cov("array", method="hessian"), only_value.cov("array"), rtol=1e-5)
    fast = ml_inference(loglike, BETA, hessian=False)
    assert fast.methods == ("jacobian",)
    assert fast.hessian is None


# --- constraints and the delta method ---------------------------------------------------------------------------------

COUNTS = np.array([300, 400, 1300])
SHARES = COUNTS / COUNTS.sum()


def multinomial(params: dict[str, Any]) -> dict[str, Any]:
    logs = np.log(np.maximum(params["p"], 1e-10))
    return {"value": COUNTS @ logs, "contributions": np.repeat(logs, COUNTS)}


@pytest.mark.parametrize("method", ["robust", "hessian", "jacobian"])
def test_every_share_of_a_multinomial_has_its_standard_error(method: str) -> None:
    """The last share too; all equal sqrt(p (1 - p) / n), and their covariance is that of the multinomial."""
    result = ml_inference(multinomial, {"p": SHARES}, constraints=Probability(lambda p: p["p"]))
    exact = (np.diag(SHARES) - np.outer(SHARES, SHARES)) / COUNTS.sum()
    np.testing.assert_allclose(result.cov("array", method=method), exact, rtol=1e-4)
    assert result.spec.size == 3
    assert result.parameters.jacobian.shape[1] == 2


def test_an_equality_that_the_solver_holds_gives_the_same_standard_errors() -> None:
    sum_to_one = Linear(lambda p: p["p"], weights=1.0, value=1.0)
    start = {"p": np.array([0.3, 0.3, 0.4])}
    result = estimate_ml(multinomial, start, "scipy_slsqp", constraints=sum_to_one, lower_bounds={"p": 1e-3})
    np.testing.assert_allclose(result.x, SHARES, atol=2e-4)
    np.testing.assert_allclose(result.se("array", method="jacobian"), np.sqrt(SHARES * (1 - SHARES) / 2000), rtol=1e-3)


def test_a_nonlinear_equality_is_projected_out() -> None:
    """x is held on a circle; the standard error is that along the tangent."""

    def simulate(params: np.ndarray) -> np.ndarray:
        return params.copy()

    at = np.array([0.6, 0.8])
    circle = Nonlinear(lambda p: p, func=lambda p: (p**2).sum(), value=1.0)
    result = msm_inference(simulate, at, np.array([1.0, 4.0]), at, constraints=circle, weights="identity")
    tangent = np.array([0.8, -0.6])
    variance = tangent**2 @ np.array([1.0, 4.0])
    np.testing.assert_allclose(result.cov("array"), variance * np.outer(tangent, tangent), rtol=1e-6)
    with pytest.raises(InferenceError, match="not available under nonlinear equality"):
        ml_inference(lambda p: {"contributions": -((at - p) ** 2)}, at, constraints=circle)
    scores_only = ml_inference(
        lambda p: {"contributions": -((at - p - 0.1) ** 2)}, at, constraints=circle, hessian=False
    )
    assert scores_only.methods == ("jacobian",)


def test_tied_and_fixed_parameters_are_reported() -> None:
    def simulate(params: dict[str, Any]) -> dict[str, Any]:
        return {"m": OVER @ np.array([params["a"], params["b"], params["c"]])}

    at = {"a": 1.0, "b": 1.0, "c": 2.0}
    constraints = [Equal(lambda p: [p["a"], p["b"]]), Fixed(lambda p: p["c"])]
    result = msm_inference(simulate, simulate(at), np.ones(12), at, constraints=constraints)
    direction = OVER[:, 0] + OVER[:, 1]
    variance = 1 / (direction @ direction)
    np.testing.assert_allclose(result.cov("array"), variance * np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]]), rtol=1e-7)
    frame = result.summary_frame()
    assert frame["standard_error"].to_list() == [pytest.approx(np.sqrt(variance))] * 2 + [0.0]
    assert frame["free"].to_list() == [True, True, False]
    assert np.isnan(frame.loc["c", "p_value"])
    assert frame.loc["c", ["ci_lower", "ci_upper"]].to_list() == [2.0, 2.0]
    np.testing.assert_allclose(result.sensitivity("bias", "array")[0], -variance * direction, rtol=1e-7)
    np.testing.assert_allclose(result.jacobian[["a", "b"]].sum(axis=1), direction, rtol=1e-7)
    assert not result.jacobian["c"].any()


def test_a_closed_form_under_constraints_agrees_with_numbers() -> None:
    at = {"p": SHARES}

    def jacobian(params: dict[str, Any]) -> dict[str, Any]:
        return {"p": np.repeat(np.diag(1 / params["p"]), COUNTS, axis=0)}

    def hessian(params: dict[str, Any]) -> dict[str, Any]:
        return {"p": {"p": np.diag(-COUNTS / params["p"] ** 2)}}

    constraint = Probability(lambda p: p["p"])
    closed = ml_inference(multinomial, at, jacobian=jacobian, hessian=hessian, constraints=constraint)
    numerical = ml_inference(multinomial, at, constraints=constraint)
    for method in closed.methods:
        np.testing.assert_allclose(closed.cov("array", method=method), numerical.cov("array", method=method), rtol=1e-4)
    with pytest.raises(InferenceError, match="needs the first derivative too"):
        ml_inference(multinomial, at, hessian=hessian, constraints=constraint)


def test_ordered_parameters_and_bounds_do_not_disturb_inside() -> None:
    at = {"a": 3.0, "b": 2.0, "c": 1.0}

    def simulate(params: dict[str, float]) -> np.ndarray:
        return OVER @ np.array(list(params.values()))

    free = msm_inference(simulate, simulate(at), np.ones(12), at)
    ordered = msm_inference(
        simulate,
        simulate(at),
        np.ones(12),
        at,
        constraints=Decreasing(lambda p: [p["a"], p["b"], p["c"]]),
        lower_bounds={"c": 0.0},
    )
    np.testing.assert_allclose(ordered.cov("array"), free.cov("array"), rtol=1e-6)


# --- results ----------------------------------------------------------------------------------------------------------


def example() -> Any:
    params = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    return msm_inference(simulate_over, simulate_over(params), COV_OVER, params)


def test_covariance_and_sensitivity_come_as_frame_tree_and_array() -> None:
    result = example()
    frame, tree, array = (result.cov(kind) for kind in ("frame", "tree", "array"))
    assert list(frame.index) == list(frame.columns) == ["a", "b_x", "b_y"]
    np.testing.assert_array_equal(frame, array)
    assert tree["b"]["x"]["a"] == array[1, 0]
    assert result.cov(index="multi").loc[("b", "x"), ("a", "")] == array[1, 0]
    bias, blocks = result.sensitivity("bias"), result.sensitivity("bias", "tree")
    assert bias.shape == (3, 12)
    pd.testing.assert_series_equal(
        blocks["b"]["x"]["first"], pd.Series(bias.loc["b_x"].to_numpy()[:4], index=list("pqrs"))
    )
    assert blocks["a"]["second"].shape == (7, 1)
    assert result.se("series").index.equals(frame.index)


def test_results_pickle_and_print() -> None:
    result = pickle.loads(pickle.dumps(example()))
    text = repr(result)
    assert text.startswith("MomentsResult: 3 parameters (3 free), Moments 12, Criterion 0")
    assert "standard errors: robust" in text
    assert all(name in text for name in ("b_x", "standard_error", "***"))
    many = msm_inference(lambda p: p, np.ones(50), np.ones(50), np.ones(50))
    assert "and 20 more parameters" in repr(many)
    loglike, _, _ = binary("logit")
    shown = repr(estimate_ml(loglike, np.zeros(3)))
    assert shown.startswith("LikelihoodResult: 3 parameters (3 free), Observations 300, Log likelihood -1")
    assert "optimisation converged" in shown


def test_unknown_kinds_and_methods_name_the_known_ones() -> None:
    result = example()
    for call, message in (
        (lambda: result.cov("dict"), "frame, tree or array"),
        (lambda: result.cov(method="hessian"), "robust, optimal"),
        (lambda: result.se("frame"), "tree, series or array"),
        (lambda: result.summary("dict"), "frames or trees"),
        (lambda: result.ci(level=95), "between 0 and 1"),
    ):
        with pytest.raises(InferenceError, match=message):
            call()


def test_weights_and_covariance_are_returned_labelled() -> None:
    result = example()
    labels = result.moments_spec.index("flat")
    pd.testing.assert_series_equal(result.weights, pd.Series(1 / np.diag(COV_OVER), index=labels, name="weight"))
    pd.testing.assert_frame_equal(result.moments_cov, pd.DataFrame(COV_OVER, index=labels, columns=labels))


# --- size -------------------------------------------------------------------------------------------------------------


def test_no_k_by_k_matrix_for_districts_with_diagonal_weights() -> None:
    """436 districts with 20 targets each: a K x K matrix would be 608 MB."""
    n_districts, n_targets, n_params = 436, 20, 10
    n_moments = n_districts * n_targets
    slopes = np.random.default_rng(1).normal(size=(n_moments, n_params))
    index = pd.Index([f"target{i}" for i in range(n_targets)])

    def simulate(params: dict[str, Any]) -> dict[str, Any]:
        values = slopes @ params["rates"]
        return {
            f"district{d}": pd.Series(values[d * n_targets : (d + 1) * n_targets], index=index)
            for d in range(n_districts)
        }

    at = {"rates": np.linspace(0.1, 0.9, n_params)}
    data = simulate(at)
    variances = {key: abs(value) + 1.0 for key, value in data.items()}
    tracemalloc.start()
    result = msm_inference(simulate, data, variances, at)
    errors = result.se("array")
    sensitivity = result.sensitivity("removal")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.model.weights.storage == result.model.moments_cov.storage == "diagonal"
    assert peak < n_moments * n_moments * 8 / 10
    assert sensitivity.shape == (n_params, n_moments)
    w = 1 / TreeSpec.of(data).ravel(variances)
    np.testing.assert_allclose(errors, np.sqrt(np.diag(inv((slopes.T * w) @ slopes))), rtol=1e-6)


# --- bad input --------------------------------------------------------------------------------------------------------


def simulate_pair(params: dict[str, float]) -> dict[str, float]:
    return {"a": params["x"], "b": params["y"]}


AT = {"x": 1.0, "y": 2.0}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"a": 1.0, "c": 2.0}, r"do not have the same moments.*missing \['c'\].*extra \['b'\]"),
        ({"a": 1.0}, r"extra \['b'\]"),
        ({"a": 1.0, "b": 1.0, "c": 1.0}, r"missing \['c'\]"),
        ({"a": 1.0, "b": np.ones(2)}, r"\['b'\]"),
    ],
)
@pytest.mark.parametrize("optimise", [False, "scipy_lbfgsb"])
def test_moments_of_another_structure_are_named(data: Any, message: str, optimise: Any) -> None:
    with pytest.raises(StructureError, match=message):
        estimate_msm(simulate_pair, data, np.ones(TreeSpec.of(data).size), AT, optimise)


def test_failures_of_the_simulator_are_named() -> None:
    with pytest.raises(FunctionError, match="simulate_moments raised KeyError: 'z'"):
        msm_inference(lambda p: p["z"], 1.0, 1.0, AT)
    with pytest.raises(FunctionError, match=r"1 moments that are not finite: \['b'\]"):
        msm_inference(lambda p: {"a": 1.0, "b": np.nan}, {"a": 1.0, "b": 2.0}, np.ones(2), AT)
    with pytest.raises(FunctionError, match=r"\['y'\]"):
        msm_inference(lambda p: {"a": p["x"], "b": np.inf if p["y"] > 2 else 1.0}, {"a": 1.0, "b": 1.0}, np.ones(2), AT)
    with pytest.raises(InferenceError, match=r"empirical moments are not finite: \['b'\]"):
        msm_inference(simulate_pair, {"a": 1.0, "b": np.nan}, np.ones(2), AT)


def test_singular_covariances_and_unidentified_parameters_are_named() -> None:
    data = {"a": 1.0, "b": 2.0}
    with pytest.raises(InferenceError, match="moments b have no variance"):
        msm_inference(simulate_pair, data, {"a": 1.0, "b": 0.0}, AT, weights="optimal")
    with pytest.raises(InferenceError, match="moments a, b are linear combinations"):
        msm_inference(simulate_pair, data, np.ones((2, 2)), AT, weights="optimal")
    free = msm_inference(simulate_pair, data, {"a": 1.0, "b": 0.0}, AT, weights="identity")
    assert free.se() == {"x": pytest.approx(1.0), "y": pytest.approx(0.0)}
    blind = msm_inference(lambda p: {"a": p["x"], "b": p["x"]}, data, np.ones(2), AT)
    with pytest.raises(InferenceError, match="do not identify the parameters y"):
        blind.se()


def test_everything_fixed_leaves_nothing_to_estimate() -> None:
    with pytest.raises(InferenceError, match="all parameters are fixed"):
        msm_inference(simulate_pair, {"a": 1.0, "b": 1.0}, np.ones(2), AT, constraints=Fixed(lambda p: p))


def test_a_jacobian_that_does_not_fit_names_the_block() -> None:
    data = {"a": 1.0, "b": 2.0}
    with pytest.raises(DerivativeError, match=r"jacobian does not fit.*\['b'\]"):
        msm_inference(simulate_pair, data, np.ones(2), AT, jacobian={"a": {"x": 1.0, "y": 0.0}})
    bad = {"a": {"x": 1.0, "y": np.nan}, "b": {"x": 0.0, "y": 1.0}}
    with pytest.raises(DerivativeError, match="nan for a and y"):
        msm_inference(simulate_pair, data, np.ones(2), AT, jacobian=bad)
    with pytest.raises(FunctionError, match="jacobian raised ZeroDivisionError"):
        msm_inference(simulate_pair, data, np.ones(2), AT, jacobian=lambda p: 1 / 0)


def test_a_derivative_at_one_point_is_no_derivative_on_the_way() -> None:
    with pytest.raises(DerivativeError, match="jacobian is a ndarray, which holds at one point only"):
        estimate_msm(simulate_pair, {"a": 1.0, "b": 2.0}, np.ones(2), AT, jacobian=np.eye(2))
    with pytest.raises(DerivativeError, match=r"numdiff_options has \['steps'\]; the options are method, step_size"):
        msm_inference(simulate_pair, {"a": 1.0, "b": 2.0}, np.ones(2), AT, numdiff_options={"steps": 1})


def test_likelihoods_that_cannot_be_used_are_named() -> None:
    loglike, _, _ = binary("logit")
    for function, message in (
        (lambda p: {"loglike": 1.0}, r"keys \['loglike'\]"),
        (lambda p: np.nan, "loglike returned nan"),
        (lambda p: {"value": "high"}, "returned str as its value"),
        (lambda p: 1 / 0, "raised ZeroDivisionError"),
    ):
        with pytest.raises(FunctionError, match=message):
            ml_inference(function, BETA)
    with pytest.raises(InferenceError, match="nothing to base standard errors on"):
        ml_inference(lambda p: loglike(p)["value"], BETA, hessian=False)
    with pytest.raises(InferenceError, match=r"Hessian .* no optimum"):
        ml_inference(lambda p: float(p @ p), BETA)
    with pytest.raises(InferenceError, match="clusters has 299 entries, 0 of them missing, for 300 contributions"):
        ml_inference(loglike, BETA, clusters=CLUSTERS[1:])
    with pytest.raises(InferenceError, match="one cluster"):
        ml_inference(loglike, BETA, clusters=np.zeros(N))
    with pytest.raises(InferenceError, match="clusters need contributions"):
        ml_inference(lambda p: loglike(p)["value"], BETA, clusters=CLUSTERS)


def test_a_point_that_breaks_its_constraints_is_refused() -> None:
    with pytest.raises(ConstraintError):
        msm_inference(
            simulate_pair, {"a": 1.0, "b": 2.0}, np.ones(2), AT, constraints=Equal(lambda p: [p["x"], p["y"]])
        )


# --- EEP-01 -----------------------------------------------------------------------------------------------------------


def test_every_function_takes_registry_and_is_leaf_for_each_of_its_trees() -> None:
    for name in ("estimate_msm", "msm_inference", "estimate_ml", "ml_inference"):
        known = set(inspect.signature(getattr(estimate_module, name)).parameters)
        other = "moments" if "msm" in name else "contributions"
        assert {"params_registry", "params_is_leaf", f"{other}_registry", f"{other}_is_leaf"} <= known


def test_registries_of_params_and_moments_are_separate() -> None:
    class Theta:
        def __init__(self, x: float, y: float) -> None:
            self.x, self.y = x, y

    class Facts:
        def __init__(self, a: float, b: float) -> None:
            self.a, self.b = a, b

    params_registry = {
        Theta: {
            "flatten": lambda theta: ([theta.x, theta.y], None),
            "unflatten": lambda _, leaves: Theta(*leaves),
            "names": lambda _: ["x", "y"],
        }
    }
    moments_registry = {
        Facts: {
            "flatten": lambda facts: ([facts.a, facts.b], None),
            "unflatten": lambda _, leaves: Facts(*leaves),
            "names": lambda _: ["a", "b"],
        }
    }
    result = estimate_msm(
        lambda theta: Facts(theta.x, theta.x + theta.y),
        Facts(1.0, 3.0),
        Facts(1.0, 1.0),
        Theta(0.0, 0.0),
        params_registry=params_registry,
        params_is_leaf=None,
        moments_registry=moments_registry,
    )
    assert isinstance(result.params, Theta)
    assert (result.params.x, result.params.y) == (pytest.approx(1.0, abs=1e-5), pytest.approx(2.0, abs=1e-5))
    errors = result.se()
    assert (errors.x, errors.y) == (pytest.approx(1.0), pytest.approx(np.sqrt(2.0)))
    assert list(result.jacobian.columns) == ["x", "y"]
    assert list(result.jacobian.index) == ["a", "b"]


def test_the_jacobian_of_first_derivative_is_taken_as_it_is() -> None:
    params = {"a": 1.0, "b": {"x": 2.0, "y": 3.0}}
    data = simulate_over(params)
    derivative = first_derivative(simulate_over, params).derivative
    result = msm_inference(simulate_over, data, COV_OVER, params, jacobian=derivative)
    np.testing.assert_allclose(result.cov("array"), example().cov("array"), rtol=1e-6)
