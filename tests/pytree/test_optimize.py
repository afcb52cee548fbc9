"""`minimize` and `maximize`: EEP-01's examples, numbers against scipy, derivatives as trees, and every refusal."""

from __future__ import annotations

import pickle
import sys
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import optimize as scipy_optimize

from tessera.errors import BoundsError, ConfigError, ConstraintError, DerivativeError, FunctionError, StructureError
from tessera.pytree import first_derivative
from tessera.pytree.constraints import Covariance, Fixed, Increasing, Linear, Nonlinear, Probability, SdCorr
from tessera.pytree.optimisation.algorithms import ALGORITHMS, get_algorithm
from tessera.pytree.optimize import maximize, minimize

SCALAR = [name for name, a in ALGORITHMS.items() if a.kind == "scalar" and not a.finite_bounds]
SQUARES = [name for name, a in ALGORITHMS.items() if a.kind == "least_squares"]


@pytest.fixture
def params():
    """EEP-01's parameters, verbatim."""
    return {
        "delta": 0.95,
        "utility": pd.DataFrame([[0.5, 0]] * 3, index=["a", "b", "c"], columns=["value", "lower_bound"]),
        "probs": np.array([[0.8, 0.2], [0.3, 0.7]]),
    }


TARGET = {"delta": 0.5, "utility": np.array([1.0, -1.0, 2.0]), "probs": np.array([[0.5, 0.1], [0.6, 0.6]])}


def crit(params):
    """A sum of squares in the format of EEP-01's criterion; its unconstrained minimum is at TARGET."""
    roots = {
        "a": np.append(params["utility"]["value"].to_numpy() - TARGET["utility"], params["delta"] - TARGET["delta"]),
        "b": params["probs"] - TARGET["probs"],
    }
    squares = {key: root**2 for key, root in roots.items()}
    return {
        "value": sum(float(square.sum()) for square in squares.values()),
        "contributions": squares,
        "root_contributions": roots,
        "note": "anything",
    }


def close_to(params, delta, utility, probs, tolerance=1e-4):
    np.testing.assert_allclose(params["delta"], delta, atol=tolerance)
    np.testing.assert_allclose(params["utility"]["value"], utility, atol=tolerance)
    np.testing.assert_allclose(params["probs"], probs, atol=tolerance)


# --- EEP-01's examples ------------------------------------------------------------------------------------------------


def test_eep_run_an_optimization(params):
    result = minimize(
        criterion=crit,
        params=params,
        algorithm="scipy_lbfgsb",
    )
    # The frame's own column bounds utility from below.
    close_to(result.params, 0.5, [1, 0, 2], TARGET["probs"])
    assert isinstance(result.params["delta"], float)
    assert result.params["utility"]["lower_bound"].tolist() == [0, 0, 0]
    assert result.params["utility"].index.tolist() == ["a", "b", "c"]
    assert result.fun_output.keys() == crit(params).keys() and result.fun_output["note"] == "anything"
    assert result.fun == pytest.approx(1.0) == result.solution_criterion["value"]
    assert result.solution_params is result.params
    assert params["delta"] == 0.95 and params["utility"]["value"].tolist() == [0.5] * 3


def test_eep_least_squares_sees_the_flattened_root_contributions(params):
    result = minimize(criterion=crit, params=params, algorithm="scipy_ls_dogbox")
    close_to(result.params, 0.5, [1, 0, 2], TARGET["probs"])
    assert result.fun_output["root_contributions"]["b"].shape == (2, 2)


def test_eep_add_bounds(params):
    result = minimize(
        criterion=lambda params: crit(params) | {"value": crit(params)["value"] - 10 * params["delta"]},
        params=params,
        algorithm="scipy_lbfgsb",
        lower_bounds={"delta": 0},
        upper_bounds={"delta": 1},
    )
    close_to(result.params, 1, [1, 0, 2], TARGET["probs"])


def test_eep_add_a_constraint(params):
    constraints = [
        {"selector": lambda params: params["probs"][0], "type": "probability"},
        {"selector": lambda params: params["probs"][1], "type": "probability"},
    ]
    result = minimize(
        criterion=crit,
        params=params,
        algorithm="scipy_lbfgsb",
        constraints=constraints,
    )
    close_to(result.params, 0.5, [1, 0, 2], [[0.7, 0.3], [0.5, 0.5]])


def test_eep_a_single_value_frame_with_loc_and_query():
    params = pd.DataFrame({"value": [0.5, 0.5, 3.0, 4.0], "kind": list("ppxx")}, index=list("abcd"))

    def fun(frame):
        assert frame["kind"].tolist() == list("ppxx")
        return ((frame["value"] - [0.9, 0.3, 1.0, 1.0]) ** 2).sum()

    constraints = [{"query": "kind == 'p'", "type": "probability"}, {"loc": "d", "type": "fixed"}]
    result = minimize(fun, params, constraints=constraints)
    np.testing.assert_allclose(result.params["value"], [0.8, 0.2, 1, 4], atol=1e-4)
    assert result.params.columns.tolist() == ["value", "kind"]


# --- every algorithm --------------------------------------------------------------------------------------------------


def rosenbrock(params):
    x = np.array([params["x"], *params["y"]])
    return float(scipy_optimize.rosen(x))


def rosenbrock_gradient(params):
    gradient = scipy_optimize.rosen_der(np.array([params["x"], *params["y"]]))
    return {"y": gradient[1:], "x": gradient[0]}  # keys in another order: matched by path


ROSEN_START = {"x": 1.3, "y": np.array([0.7, 0.8])}


@pytest.mark.parametrize("algorithm", SCALAR)
def test_scalar_algorithms_against_scipy(algorithm):
    result = minimize(rosenbrock, ROSEN_START, algorithm, jac=rosenbrock_gradient)
    method = ALGORITHMS[algorithm].method
    jac = scipy_optimize.rosen_der if ALGORITHMS[algorithm].gradient else None
    peer = scipy_optimize.minimize(scipy_optimize.rosen, [1.3, 0.7, 0.8], method=method, jac=jac)
    np.testing.assert_allclose(result.x, peer.x, atol=1e-12)
    assert result.fun == pytest.approx(peer.fun, abs=1e-20)
    assert result.success == peer.success and result.params["y"].shape == (2,)


@pytest.mark.parametrize("algorithm", SQUARES)
@pytest.mark.parametrize("closed", [True, False])
def test_least_squares_algorithms_against_scipy(algorithm, closed):
    t = np.linspace(0, 2, 15)
    data = 2.0 * np.exp(-1.3 * t)

    def fun(p):
        return {"root_contributions": pd.Series(p["scale"] * np.exp(-p["rate"][0] * t) - data)}

    def jac(p):
        base = np.exp(-p["rate"][0] * t)
        return {"rate": (-p["scale"] * t * base)[:, None], "scale": pd.Series(base)}

    start = {"scale": 1.0, "rate": np.array([0.5])}
    result = minimize(fun, start, algorithm, jac=jac if closed else None)
    np.testing.assert_allclose(result.x, [2.0, 1.3], atol=1e-6)
    peer = scipy_optimize.least_squares(
        lambda x: x[0] * np.exp(-x[1] * t) - data, [1.0, 0.5], method=ALGORITHMS[algorithm].method
    )
    np.testing.assert_allclose(result.x, peer.x, atol=1e-7)
    assert result.fun == pytest.approx(2 * peer.cost, abs=1e-12)


def test_differential_evolution_with_finite_bounds():
    result = minimize(
        rosenbrock, ROSEN_START, "scipy_differential_evolution", bounds=[(0, 2)] * 3, algo_options={"rng": 0}
    )
    np.testing.assert_allclose(result.x, 1, atol=1e-2)


@pytest.mark.parametrize("name", ["lbfgsb", "L-BFGS-B", "l-bfgs-b", "scipy_lbfgsb"])
def test_names_of_algorithms(name):
    assert get_algorithm(name).name == "scipy_lbfgsb"


# --- derivatives ------------------------------------------------------------------------------------------------------


def test_a_derivative_in_another_key_order_is_matched_by_path():
    def fun(p):
        return (p["a"] - 1) ** 2 + 100 * (p["b"] - 2) ** 2

    result = minimize(fun, {"a": 0.0, "b": 0.0}, jac=lambda p: {"b": 200 * (p["b"] - 2), "a": 2 * (p["a"] - 1)})
    np.testing.assert_allclose(result.x, [1, 2], atol=1e-5)


def test_a_derivative_with_shuffled_labels_is_matched_by_label():
    start = pd.Series([0.0, 0.0, 0.0], index=list("xyz"))
    aim = pd.Series([3.0, 1.0, 2.0], index=list("zxy"))
    result = minimize(lambda p: float(((p - aim) ** 2).sum()), start, jac=lambda p: (2 * (p - aim)).loc[list("zyx")])
    assert result.params.round(5).to_dict() == {"x": 1, "y": 2, "z": 3}


def derivative(key):
    return lambda params: first_derivative(lambda p: crit(p)[key], params).derivative


@pytest.mark.parametrize("key", ["value", "contributions", "root_contributions"])
def test_derivatives_of_each_entry_serve_a_scalar_algorithm(params, key):
    result = minimize(crit, params, "scipy_slsqp", jac={key: derivative(key)})
    close_to(result.params, 0.5, [1, 0, 2], TARGET["probs"], 1e-3)
    assert result.n_fun_evals < 40  # none for numerical derivatives


def test_one_function_for_the_derivative_of_the_whole_output(params):
    calls = []

    def jac(p):
        calls.append(1)
        return {key: derivative(key)(p) for key in ("value", "root_contributions")}

    for algorithm in ("scipy_lbfgsb", "scipy_ls_trf"):
        result = minimize(crit, params, algorithm, jac=jac)
        close_to(result.params, 0.5, [1, 0, 2], TARGET["probs"], 1e-3)
    assert calls


def test_fun_and_jac_are_called_once_a_point():
    calls = []

    def both(p, scale):
        calls.append(1)
        return scale * rosenbrock(p), {key: scale * value for key, value in rosenbrock_gradient(p).items()}

    result = minimize(params=ROSEN_START, fun_and_jac=both, fun_kwargs={"scale": 2.0})
    np.testing.assert_allclose(result.x, 1, atol=1e-5)
    assert len(calls) == result.n_fun_evals == result.history.n_evals


def test_closed_form_derivatives_pass_through_constraints(params):
    constraints = [Probability(lambda p: p["probs"][0]), Increasing(lambda p: p["utility"]["value"])]
    with_jac = minimize(crit, params, constraints=constraints, jac={"value": derivative("value")})
    without = minimize(crit, params, constraints=constraints)
    np.testing.assert_allclose(with_jac.x, without.x, atol=1e-4)
    squares = minimize(
        crit,
        params,
        "scipy_ls_trf",
        constraints=constraints[:1],
        jac={"root_contributions": derivative("root_contributions")},
    )
    close_to(squares.params, 0.5, [1, 0, 2], [[0.7, 0.3], [0.6, 0.6]], 1e-3)


def test_the_gradient_at_the_solution_on_request():
    closed = minimize(rosenbrock, ROSEN_START, jac=rosenbrock_gradient)
    numerical = minimize(rosenbrock, ROSEN_START)
    np.testing.assert_allclose(closed.jac, scipy_optimize.rosen_der(closed.x), atol=1e-12)
    np.testing.assert_allclose(numerical.jac, scipy_optimize.rosen_der(numerical.x), atol=1e-6)


@pytest.mark.parametrize(
    ("jac", "words"),
    [
        (lambda p: {"x": 1.0}, r"\['y'\]"),
        (lambda p: {"x": 1.0, "y": np.zeros(3)}, r"\['y'\]"),
        (lambda p: {"x": 1.0, "y": np.array([np.nan, 0])}, r"at the start: .*not finite at \['y'\]\[0\]"),
        (lambda p: {"x": 1.0, "z": np.zeros(2)}, "z"),
        (lambda p: 1 / 0, "jac raised ZeroDivisionError"),
        ({"value": 3}, "jac is a int"),
        ({"vlaue": rosenbrock_gradient}, "vlaue"),
        ({"root_contributions": rosenbrock_gradient}, "does not return"),
    ],
)
def test_derivatives_that_do_not_fit(jac, words):
    with pytest.raises(DerivativeError, match=words):
        minimize(rosenbrock, ROSEN_START, jac=jac)


# --- maximise ---------------------------------------------------------------------------------------------------------


def test_maximize_keeps_the_users_signs():
    def fun(p):
        return 5 - (p["a"] - 1) ** 2

    for jac in (None, lambda p: {"a": -2 * (p["a"] - 1)}):
        result = maximize(fun, {"a": 3.0}, jac=jac)
        assert result.fun == pytest.approx(5) and result.start_fun == 1
        assert result.params["a"] == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(result.jac, 0, atol=1e-4)
        assert result.history.value[0] == 1 and result.history.best()[-1] == pytest.approx(5)
        assert (np.diff(result.history.best()) >= 0).all()


def test_maximize_of_contributions():
    result = maximize(lambda p: {"contributions": {"i": -((p - [1.0, 2.0]) ** 2)}}, np.zeros(2))
    np.testing.assert_allclose(result.params, [1, 2], atol=1e-5)


# --- constraints through solvers --------------------------------------------------------------------------------------


def distance_to(target):
    return lambda p: float(((np.asarray(p) - target) ** 2).sum())


@pytest.mark.parametrize("algorithm", ["scipy_slsqp", "scipy_trust_constr", "scipy_cobyla", "scipy_cobyqa"])
def test_linear_and_nonlinear_constraints_are_handed_to_the_solver(algorithm):
    constraints = [
        Linear(lambda p: p["x"], [1.0, 1.0, 0.0], upper=1.0),
        Nonlinear(lambda p: p["x"][1:], lambda s: float(s @ s), upper=2.0),
        Fixed(lambda p: p["f"]),
    ]
    start = {"f": 7.0, "x": np.array([0.1, 0.2, 0.3])}
    result = minimize(lambda p: distance_to([2.0, 1.0, 3.0])(p["x"]), start, algorithm, constraints=constraints)
    peer = scipy_optimize.minimize(
        distance_to([2.0, 1.0, 3.0]),
        [0.1, 0.2, 0.3],
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda x: 1 - x[0] - x[1]},
            {"type": "ineq", "fun": lambda x: 2 - x[1] ** 2 - x[2] ** 2},
        ],
    )
    np.testing.assert_allclose(result.params["x"], peer.x, atol=2e-3)
    assert result.params["f"] == 7


@pytest.mark.parametrize("algorithm", ["scipy_lbfgsb", "scipy_slsqp", "scipy_bfgs"])
def test_an_equality_holds_with_any_solver(algorithm):
    result = minimize(
        distance_to([1.0, 2.0, 3.0]), np.full(3, 1 / 3), algorithm, constraints=Linear(lambda p: p, value=1.0)
    )
    np.testing.assert_allclose(result.params, [-2 / 3, 1 / 3, 4 / 3], atol=1e-4)


def test_maximum_likelihood_of_a_multinomial():
    counts = np.array([10.0, 20.0, 70.0])
    for algorithm in ("scipy_lbfgsb", "scipy_neldermead", "scipy_trust_constr"):
        result = maximize(
            lambda p: float(counts @ np.log(np.maximum(p, 1e-12))),
            np.full(3, 1 / 3),
            algorithm,
            constraints=Probability(lambda p: p),
        )
        np.testing.assert_allclose(result.params, counts / 100, atol=1e-3)
        assert result.params.sum() == pytest.approx(1)


def test_covariance_and_sdcorr_of_a_normal_sample():
    sample = np.random.default_rng(3).multivariate_normal([0, 0], [[2.0, 0.6], [0.6, 1.0]], size=200)
    cov = sample.T @ sample / len(sample)

    def loglike(matrix):
        return float(-np.linalg.slogdet(matrix)[1] - np.trace(np.linalg.solve(matrix, cov)))

    def of_cov(p):
        return loglike(np.array([[p["c"][0], p["c"][1]], [p["c"][1], p["c"][2]]]))

    def of_sdcorr(p):
        sd, r = p["sd"], p["r"]
        return loglike(np.array([[sd[0] ** 2, r * sd[0] * sd[1]], [r * sd[0] * sd[1], sd[1] ** 2]]))

    one = maximize(of_cov, {"c": np.array([1.0, 0.0, 1.0])}, constraints=Covariance(lambda p: p["c"]))
    np.testing.assert_allclose(one.params["c"], cov[np.tril_indices(2)], rtol=1e-3)
    other = maximize(of_sdcorr, {"sd": np.ones(2), "r": 0.0}, constraints=SdCorr(lambda p: [p["sd"], p["r"]]))
    np.testing.assert_allclose(other.params["sd"], np.sqrt(np.diag(cov)), rtol=1e-3)
    assert other.fun == pytest.approx(one.fun, abs=1e-6)


def test_isotonic_regression_within_bounds():
    data = np.array([0.3, 0.1, 0.5, 0.4, 1.4])
    exact = np.array([0.2, 0.2, 0.45, 0.45, 1.0])
    for algorithm in ("scipy_slsqp", "scipy_lbfgsb"):
        result = minimize(
            distance_to(data),
            np.linspace(0.1, 0.9, 5),
            algorithm,
            bounds=[(0, 1)] * 5,
            constraints=Increasing(lambda p: p),
        )
        np.testing.assert_allclose(result.params, exact, atol=5e-3)


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("output", "algorithm", "words"),
    [
        ({"valu": 1.0}, "scipy_lbfgsb", "keys valu; wanted one or more of value, contributions"),
        ({"value": 1.0}, "scipy_ls_lm", "scipy_ls_lm .*needs root_contributions.*derived from value"),
        (1.0, "scipy_ls_trf", "needs root_contributions"),
        (np.zeros(3), "scipy_lbfgsb", r"shape \(3,\), not one number"),
        ("text", "scipy_lbfgsb", "is a str"),
        (np.nan, "scipy_lbfgsb", "at the start: .*is nan"),
        (np.inf, "scipy_lbfgsb", "is inf"),
        ({"root_contributions": {"r": np.array([1.0, np.nan])}}, "scipy_ls_trf", r"not finite at \['r'\]\[1\]"),
        ({"root_contributions": {"r": "text"}}, "scipy_ls_trf", r"\['r'\]"),
    ],
)
def test_outputs_that_cannot_be_used(output, algorithm, words):
    with pytest.raises(FunctionError, match=words):
        minimize(lambda p: output, {"a": 1.0}, algorithm)


def test_outputs_whose_structure_changes():
    def fun(p):
        return {"root_contributions": np.zeros(3 if p["a"] == 1 else 4)}

    with pytest.raises(FunctionError, match="cannot be flattened as at the start"):
        minimize(fun, {"a": 1.0}, "scipy_ls_trf")


def test_an_exception_of_the_user_is_named_and_kept():
    def fun(p):
        return 1 / (p["a"] - 1)

    with pytest.raises(FunctionError, match="at the start: the criterion raised ZeroDivisionError") as info:
        minimize(fun, {"a": 1.0})
    causes, error = [], info.value
    while error is not None:
        causes.append(type(error))
        error = error.__cause__
    assert ZeroDivisionError in causes


@pytest.mark.parametrize("algorithm", ["scipy_lbfgsb", "scipy_neldermead", "scipy_bfgs", "scipy_ls_trf"])
@pytest.mark.parametrize("failure", [np.nan, None])
def test_error_handling_continue_penalises(algorithm, failure):
    def fun(p):
        if p["a"] < 0.5:
            if failure is None:
                raise ValueError("undefined here")
            return {"root_contributions": np.array([failure])}
        return {"root_contributions": np.array([np.log(p["a"]), p["a"] - 1])[: 1 if failure is not None else 2]}

    result = minimize(fun, {"a": 9.0}, algorithm, error_handling="continue")
    assert result.params["a"] == pytest.approx(1, abs=1e-3)


def test_the_place_of_a_failure_is_named():
    def fun(p):
        return np.nan if p["a"] < 8 else p["a"]

    with pytest.raises(FunctionError, match=r"at evaluation [1-9].*is nan.*error_handling='continue'"):
        minimize(fun, {"a": 9.0}, "scipy_neldermead")


def test_a_start_that_fails_is_an_error_also_with_continue():
    with pytest.raises(FunctionError, match="at the start"):
        minimize(lambda p: np.nan, {"a": 1.0}, error_handling="continue")


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"algorithm": "scipy_lbgfsb"}, ConfigError, "the algorithms are scipy_lbfgsb"),
        ({"algorithm": "scipy_bfgs", "lower_bounds": {"x": 0}}, BoundsError, "takes no bounds.*scipy_lbfgsb"),
        ({"algorithm": "scipy_differential_evolution"}, BoundsError, "needs finite bounds"),
        ({"lower_bounds": {"x": 5}}, BoundsError, r"\['x'\] = 1.3"),
        ({"lower_bounds": {"z": 5}}, BoundsError, "z"),
        (
            {"constraints": Nonlinear(lambda p: p["x"], lambda x: x, upper=2)},
            ConstraintError,
            "no nonlinear constraints. Use one of scipy_slsqp",
        ),
        (
            {"algorithm": "scipy_bfgs", "constraints": Increasing(lambda p: p["y"])},
            ConstraintError,
            "takes no bounds",
        ),
        ({"algo_options": {"maxitre": 3}}, ConfigError, "maxitre"),
        ({"algorithm": "scipy_ls_lm", "algo_options": {"maxitre": 3}}, FunctionError, "root_contributions"),
        ({"error_handling": "ignore"}, ConfigError, "'ignore'"),
        ({"history": "some"}, ConfigError, "'some'"),
        ({"criterion": rosenbrock}, ConfigError, "both fun and criterion"),
    ],
)
def test_arguments_that_cannot_be_honoured(kwargs, error, words):
    with pytest.raises(error, match=words):
        minimize(rosenbrock, ROSEN_START, **kwargs)


def test_missing_arguments():
    with pytest.raises(ConfigError, match="params is missing"):
        minimize(rosenbrock)
    with pytest.raises(ConfigError, match="no function"):
        minimize(params=1.0)
    with pytest.raises(ConfigError, match="cannot maximise"):
        maximize(rosenbrock, ROSEN_START, "scipy_ls_lm")
    with pytest.raises(StructureError, match="name"):
        minimize(lambda p: 0.0, {"a": 1.0, "name": "text"})


# --- trees of every kind ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start",
    [3.0, 3, np.array(3.0), np.full((2, 2), 3.0), pd.Series([3.0, 3.0], index=["u", "v"]), (3.0, [3.0, {"k": 3}])],
)
def test_any_tree_is_params(start):
    def numbers(tree):
        if isinstance(tree, list | tuple):
            return np.concatenate([numbers(child) for child in tree])
        if isinstance(tree, dict):
            return np.concatenate([numbers(child) for child in tree.values()])
        return np.ravel(np.asarray(tree, dtype=float))

    result = minimize(lambda p: float(((numbers(p) - 1) ** 2).sum()), start)
    np.testing.assert_allclose(numbers(result.params), 1, atol=1e-6)
    assert np.shape(result.params) == np.shape(start) if not isinstance(start, tuple) else len(result.params) == 2


class Pair:
    def __init__(self, left, right):
        self.left, self.right = left, right


def test_a_registry_of_the_user():
    registry = {
        Pair: {
            "flatten": lambda pair: ([pair.left, pair.right], None),
            "unflatten": lambda _, children: Pair(*children),
            "names": lambda _: ["left", "right"],
        }
    }

    def fun(pair):
        return {"root_contributions": Pair(pair.left - 1, pair.right - 2)}

    result = minimize(fun, Pair(0.0, np.zeros(2)), "scipy_ls_lm", params_registry=registry)
    assert isinstance(result.params, Pair) and result.params.left == pytest.approx(1)


def test_functions_may_change_what_they_are_given():
    def fun(p):
        p["x"] -= 1
        return float((p["x"] ** 2).sum())

    result = minimize(fun, {"x": np.zeros(3)})
    np.testing.assert_allclose(result.x, 1, atol=1e-6)


def test_no_free_parameter_is_evaluated_once():
    result = minimize(lambda p: p["a"] ** 2, {"a": 3.0}, constraints=Fixed(lambda p: p))
    assert result.fun == 9 and result.success and result.n_fun_evals == 1


# --- result and history -----------------------------------------------------------------------------------------------


def test_result_reads_well_and_pickles():
    result = minimize(rosenbrock, ROSEN_START, jac=rosenbrock_gradient, algo_options={"stopping.maxiter": 100})
    text = repr(result)
    assert "converged" in text and "['y'][1]" in text and "scipy_lbfgsb" in text and str(result.n_fun_evals) in text
    again = pickle.loads(pickle.dumps(result))
    assert again.x.tolist() == result.x.tolist() and again.report == result.report
    stopped = minimize(rosenbrock, ROSEN_START, algo_options={"stopping_maxiter": 1})
    assert not stopped.success and "NOT CONVERGED" in repr(stopped) and stopped.n_iterations == 1
    assert result.convergence.loc["absolute_fun_change", "one_step"] >= 0


def test_a_result_with_functions_in_its_constraints_pickles():
    constraints = [Probability(lambda p: p), Nonlinear(lambda p: p, lambda p: p[0] * p[1], upper=0.2)]
    result = minimize(distance_to([1.0, 0.0]), np.array([0.3, 0.7]), "scipy_slsqp", constraints=constraints)
    again = pickle.loads(pickle.dumps(result))
    assert again.report == result.report
    np.testing.assert_array_equal(
        again.space.jacobian(again.space.start_internal).toarray(),
        result.space.jacobian(result.space.start_internal).toarray(),
    )


def test_the_dashboard_is_written_while_running_and_at_the_end(monkeypatch, tmp_path):
    written = []

    def write_dashboard(source, path):
        written.append((type(source).__name__, source.history.n_evals if hasattr(source, "history") else len(source)))
        assert path == tmp_path / "page.html"

    monkeypatch.setitem(sys.modules, "tessera.pytree.dashboard", SimpleNamespace(write_dashboard=write_dashboard))
    monkeypatch.setattr("tessera.pytree.optimisation.problem._REFRESH", 0.0)
    monkeypatch.setattr("tessera.pytree.optimisation.problem._SHARE", 0.0)
    result = minimize(rosenbrock, ROSEN_START, "scipy_neldermead", dashboard=str(tmp_path / "page.html"), history=False)
    assert written[:3] == [("History", 1), ("History", 2), ("History", 3)]
    assert written[-1] == ("OptimizeResult", result.n_fun_evals)
    assert len(result.history.x) > 0  # which the paths of parameters are drawn from


def test_numerical_derivatives_name_the_parameter_that_was_stepped():
    def fun(p):
        if p["p"][0] < 0.25:
            raise ValueError("too small")
        return float(p["p"] @ [1.0, 2.0])

    with pytest.raises(FunctionError, match=r"share of \['p'\]\[0\]"):
        minimize(fun, {"p": np.array([0.25, 0.75])}, constraints=Probability(lambda p: p["p"]))


def test_history_has_every_evaluation():
    seen = []

    def fun(p):
        seen.append(np.array([p["x"], *p["y"]]))
        return rosenbrock(p)

    result = minimize(fun, ROSEN_START, "scipy_neldermead")
    history = result.history
    assert history.n_evals == len(seen) == result.n_fun_evals
    np.testing.assert_array_equal(history.x, seen)
    np.testing.assert_array_equal(history.value, [scipy_optimize.rosen(x) for x in seen])
    assert (np.diff(history.best()) <= 0).all() and (np.diff(history.seconds) >= 0).all()
    assert history.value[history.best_evaluation] == result.fun
    assert history.params(3)["y"].tolist() == seen[3][1:].tolist()
    assert history.params(-1)["x"] == seen[-1][0]
    frame = history.frame()
    assert frame["accepted"].sum() == (np.diff(history.best()) < 0).sum() + 1
    with pytest.raises(ConfigError, match="no evaluation 10000"):
        history.params(10_000)


def test_history_keeps_parameters_within_its_budget(monkeypatch):
    monkeypatch.setattr("tessera.pytree.optimize.X_BUDGET", 10 * 3 * 8)
    history = minimize(rosenbrock, ROSEN_START, "scipy_neldermead").history
    assert len(history.x) == len(history.evaluations) <= 10 and not history.is_complete
    assert {0, history.best_evaluation} <= set(history.evaluations.tolist())
    assert np.diff(history.evaluations)[:-1].max() <= history.n_evals / 2
    kept = history.kept()
    assert kept.is_complete and len(kept.x) == len(kept.value) == len(history.x)
    assert kept.best()[-1] == history.best()[-1] == kept.value[kept.best_evaluation]
    dropped = next(iter(set(range(history.n_evals)) - set(history.evaluations.tolist())))
    with pytest.raises(ConfigError, match="history='full'"):
        history.params(dropped)
    assert minimize(rosenbrock, ROSEN_START, "scipy_neldermead", history="full").history.is_complete
    none = minimize(rosenbrock, ROSEN_START, history=False).history
    assert len(none.x) == 0 and none.n_evals > 0


def test_memory_and_result_of_a_large_problem():
    size, pieces = 200_000, 10
    rng = np.random.default_rng(0)
    weight, aim = rng.uniform(0.5, 2, size), rng.normal(size=size)
    parts = [slice(i * size // pieces, (i + 1) * size // pieces) for i in range(pieces)]

    def fun(tree):
        return sum(float(weight[s] @ (tree[i] - aim[s]) ** 2) for i, s in enumerate(parts))

    def jac(tree):
        return {i: 2 * weight[s] * (tree[i] - aim[s]) for i, s in reversed(list(enumerate(parts)))}

    options = {"maxiter": 15}
    flat = scipy_optimize.minimize(
        lambda x: float(weight @ (x - aim) ** 2),
        np.zeros(size),
        jac=lambda x: 2 * weight * (x - aim),
        method="L-BFGS-B",
        options=options,
    )
    tracemalloc.start()
    result = minimize(fun, {i: np.zeros(size // pieces) for i in range(pieces)}, jac=jac, algo_options=options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(result.x, flat.x, atol=1e-6)
    # scipy alone takes about 38 vectors with ten corrections; the history keeps its budget on top.
    assert peak < (38 + 20) * size * 8 + 48_000_000
