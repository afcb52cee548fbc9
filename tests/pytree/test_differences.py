"""Jacobians and Hessians of flat functions against closed forms; bounds, failures and the number of evaluations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import rosen, rosen_der, rosen_hess
from scipy.stats import norm

from tessera.errors import BoundsError, DerivativeError, FunctionError
from tessera.pytree.derivatives.differences import hessian, jacobian

RNG = np.random.default_rng(20)


def exponentials(n: int, m: int = 50):
    a = RNG.normal(size=(m, n)) / np.sqrt(n)
    x = RNG.normal(size=n)
    return (lambda z: a @ np.exp(z)), x, a * np.exp(x)


@pytest.mark.parametrize(("method", "error"), [("central", 5e-9), ("forward", 2e-6), ("backward", 2e-6)])
def test_jacobian_of_exponentials(method: str, error: float) -> None:
    f, x, truth = exponentials(200)
    matrix, n_evals = jacobian(f, x, method=method)
    assert np.abs(matrix - truth).max() < error
    assert n_evals == (401 if method == "central" else 201)


def test_error_with_three_thousand_parameters_is_far_below_the_limit() -> None:
    f, x, truth = exponentials(3000)
    assert np.abs(jacobian(f, x)[0] - truth).max() < 1e-7
    x = RNG.normal(size=3000)
    sums = jacobian(lambda z: np.exp(z).reshape(50, -1).sum(axis=1), x)[0]
    assert np.abs(sums - np.kron(np.eye(50), np.ones(60)) * np.exp(x)).max() < 1e-7


def test_a_number_gives_one_row_and_f0_saves_an_evaluation() -> None:
    x = np.array([1.2, 0.7, -0.3, 0.1])
    matrix, n_evals = jacobian(rosen, x, f0=rosen(x))
    assert matrix.shape == (1, 4)
    assert n_evals == 8
    assert matrix[0] == pytest.approx(rosen_der(x), rel=1e-8, abs=1e-7)


@pytest.mark.parametrize("p", [1, 2, 7, 30])
def test_hessian_of_rosenbrock_takes_p_squared_plus_p_plus_one_evaluations(p: int) -> None:
    x = RNG.normal(size=max(p, 2))[:p]
    f, truth = (rosen, rosen_hess(x)) if p > 1 else ((lambda z: z[0] ** 3), np.array([[6 * x[0]]]))
    calls = []
    matrix, n_evals = hessian(lambda z: calls.append(1) or f(z), x)
    assert n_evals == len(calls) == p * p + p + 1
    assert np.abs(matrix - truth).max() < 1e-6 * max(1.0, f(x))  # rounding is in proportion to the function
    assert np.array_equal(matrix, matrix.T)


def test_hessian_of_a_vector_takes_as_many() -> None:
    a = RNG.normal(size=(4, 6)) / 3
    x = RNG.normal(size=6)
    matrix, n_evals = hessian(lambda z: np.exp(a @ z), x)
    truth = np.exp(a @ x)[:, None, None] * a[:, :, None] * a[:, None, :]
    assert matrix.shape == (4, 6, 6)
    assert n_evals == 6 * 6 + 6 + 1
    assert np.abs(matrix - truth).max() < 2e-6


def test_information_of_a_normal_sample() -> None:
    data = RNG.normal(2.0, 1.5, size=500)
    mean, sd = data.mean(), data.std()
    matrix, _ = hessian(lambda z: norm.logpdf(data, z[0], z[1]).sum(), np.array([mean, sd]))
    # At the maximum of the likelihood: -n / sd^2 and -2 n / sd^2.
    assert np.allclose(matrix, np.diag([-500 / sd**2, -1000 / sd**2]), atol=1e-3)


class Within:
    """A function that refuses points outside its bounds."""

    def __init__(self, f, lower, upper) -> None:
        self.f, self.lower, self.upper = f, np.asarray(lower), np.asarray(upper)

    def __call__(self, z):
        assert (z >= self.lower).all()
        assert (z <= self.upper).all()
        return self.f(z)


@pytest.mark.parametrize("method", ["central", "forward", "backward"])
def test_no_step_leaves_the_bounds(method: str) -> None:
    x = np.array([1.0, 0.0, 2.0, 0.5, 0.3])
    lower = np.array([1.0, 0.0, -np.inf, 0.5 - 1e-7, -5.0])
    upper = np.array([np.inf, 1.0, 2.0, 0.5 + 1e-7, 5.0])
    f = Within(lambda z: np.array([np.exp(z.sum()), np.sin(z) @ z]), lower, upper)
    matrix, _ = jacobian(f, x, method=method, lower=lower, upper=upper)
    truth = np.array([np.full(5, np.exp(x.sum())), np.sin(x) + x * np.cos(x)])
    assert np.abs(matrix / truth[0, 0] - truth / truth[0, 0]).max() < (1e-8 if method == "central" else 1e-6)


def test_hessian_next_to_bounds_is_as_exact_and_stays_within() -> None:
    x = np.array([1.0, 0.0, 0.4, -0.2])
    lower, upper = np.array([1.0, -1.0, -9, -9]), np.array([9.0, 0.0, 9, 9])
    a = np.array([0.5, -0.7, 1.1, 0.2])
    matrix, n_evals = hessian(Within(lambda z: np.exp(a @ z), lower, upper), x, lower=lower, upper=upper)
    assert np.abs(matrix - np.exp(a @ x) * np.outer(a, a)).max() < 5e-6
    # p^2 + p + 1, one more for each of the two on a bound, two more for each of the five pairs with one of them.
    assert n_evals == 21 + 2 + 2 * 5


def test_a_fixed_parameter_cannot_be_stepped() -> None:
    bounds = {"lower": np.array([0.0, 1.0]), "upper": np.array([2.0, 1.0])}
    with pytest.raises(DerivativeError, match=r"x\[1\] cannot be stepped.*\[1\.0, 1\.0\]"):
        jacobian(np.sum, np.ones(2), **bounds)
    with pytest.warns(RuntimeWarning, match=r"x\[1\] are not finite"):
        matrix, _ = jacobian(np.sum, np.ones(2), error_handling="continue", **bounds)
    assert matrix[0, 0] == pytest.approx(1)
    assert np.isnan(matrix[0, 1])
    with pytest.warns(RuntimeWarning, match="no room"):
        second, _ = hessian(lambda z: z @ z, np.ones(2), error_handling="continue", **bounds)
    assert second[0, 0] == pytest.approx(2, abs=1e-6)
    assert np.isnan(second[1]).all()


def test_min_steps_limit_how_far_a_step_is_shrunk() -> None:
    bounds = {"lower": np.array([1.0]), "upper": np.array([1.0 + 1e-7])}
    assert jacobian(np.exp, np.ones(1), **bounds)[0][0, 0] == pytest.approx(math.e, rel=1e-6)
    with pytest.raises(DerivativeError, match="min_steps"):
        jacobian(np.exp, np.ones(1), min_steps=1e-6, **bounds)


def test_step_sizes_can_be_given_for_some() -> None:
    seen = []
    jacobian(
        lambda z: seen.append(z) or z, np.zeros(2), method="forward", step_size=np.array([0.5, np.nan]), f0=np.zeros(2)
    )
    assert seen[0].tolist() == [0.5, 0.0]
    assert 0 < seen[1][1] < 1e-6
    with pytest.raises(DerivativeError, match="positive"):
        jacobian(np.sum, np.zeros(2), step_size=0.0)


def test_each_call_gets_a_vector_of_its_own() -> None:
    def destructive(z: np.ndarray) -> float:
        z *= z
        return float(z.sum())

    x = np.array([1.0, 2.0])
    assert jacobian(destructive, x)[0] == pytest.approx(np.array([[2.0, 4.0]]))
    assert x.tolist() == [1.0, 2.0]


def test_points_outside_bounds_and_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(BoundsError, match=r"x\[1\] is 3\.0, outside its bounds \[0\.0, 2\.0\]"):
        jacobian(np.sum, np.array([1.0, 3.0]), lower=0.0, upper=2.0)
    with pytest.raises(DerivativeError, match=r"x\[0\] is nan"):
        jacobian(np.sum, np.array([np.nan, 3.0]))


@pytest.mark.parametrize("options", [{"method": "sideways"}, {"error_handling": "ignore"}, {"n_cores": 0}])
def test_unknown_options_are_refused(options: dict) -> None:
    with pytest.raises(DerivativeError, match=next(iter(options))):
        jacobian(np.sum, np.ones(2), **options)


def half(z: np.ndarray) -> np.ndarray:
    """NaN for z[1] < 1, an exception for z[2] > 1, else exp."""
    if z[2] > 1:
        raise ZeroDivisionError("too far")
    return np.where(z[1] < 1, np.nan, np.exp(z))


def test_nan_is_an_error_that_names_the_step_and_the_way_out() -> None:
    with pytest.raises(FunctionError, match=r"returned nan in output 0.*x\[1\] from 1\.0 to 0\.99.*bounds.*continue"):
        jacobian(half, np.array([1.0, 1.0, 0.0]))


def test_an_exception_is_an_error_that_names_the_step_and_keeps_its_cause() -> None:
    with pytest.raises(FunctionError, match=r"ZeroDivisionError: too far.*x\[2\] from 1\.0 to 1\.0000") as caught:
        jacobian(half, np.array([1.0, 2.0, 1.0]))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_exception_or_nan_at_the_start_is_told_as_such() -> None:
    with pytest.raises(FunctionError, match="too far at the start"):
        jacobian(half, np.array([1.0, 1.0, 2.0]))
    with pytest.raises(FunctionError, match=r"nan in output 0 \(and 2 more\) at the start"):
        jacobian(half, np.zeros(3))


def test_continue_falls_back_to_one_side_and_warns() -> None:
    with pytest.warns(RuntimeWarning, match=r"x\[1\], x\[2\] are one-sided and less exact; the first failure: .*nan"):
        matrix, _ = jacobian(half, np.array([1.0, 1.0, 1.0]), error_handling="continue")
    assert matrix == pytest.approx(np.diag(np.full(3, math.e)), rel=1e-4)


def test_continue_gives_nan_where_both_sides_fail() -> None:
    def never(z: np.ndarray) -> np.ndarray:
        if z[0] != 1:
            raise ValueError("no")
        return np.append(z, np.inf if z[1] != 1 else 1.0)

    with pytest.warns(RuntimeWarning, match=r"some derivatives by x\[0\], x\[1\] are not finite.*ValueError: no"):
        matrix, _ = jacobian(never, np.ones(3), error_handling="continue")
    assert np.isnan(matrix[:, 0]).all()
    assert not np.isfinite(matrix[3, 1])
    assert matrix[:3, 1:] == pytest.approx(np.eye(3)[:, 1:])


def test_continue_in_second_derivatives() -> None:
    def f(z: np.ndarray) -> float:
        return math.nan if z[0] > 1 and z[1] > 1 else float(np.exp(z.sum()))

    with pytest.warns(RuntimeWarning, match=r"x\[0\].*one-sided"):
        matrix, _ = hessian(f, np.ones(3), error_handling="continue")
    assert matrix == pytest.approx(np.full((3, 3), math.exp(3)), rel=1e-3)
    with pytest.raises(FunctionError, match=r"x\[0\] from 1\.0 to .* and x\[1\] from 1\.0 to"):
        hessian(f, np.ones(3))


def test_outputs_may_not_change_their_number() -> None:
    with pytest.raises(FunctionError, match=r"returned 2 numbers where it returned 3"):
        jacobian(lambda z: z if z[0] == 0 else z[:2], np.zeros(3), error_handling="continue")
    with pytest.raises(FunctionError, match="no numbers"):
        jacobian(lambda z: "text", np.zeros(3))
    with pytest.raises(FunctionError, match=r"shape \(2, 2\)"):
        jacobian(lambda z: np.eye(2), np.zeros(3))


def test_large_finite_values_are_no_failure() -> None:
    matrix, _ = jacobian(lambda z: 1e200 * z, np.ones(3))
    assert matrix == pytest.approx(1e200 * np.eye(3))


@pytest.mark.parametrize("derivative", [jacobian, hessian])
def test_several_cores_give_the_same_numbers(derivative) -> None:
    a = RNG.normal(size=(5, 9)) / 3
    x = RNG.normal(size=9)
    one, n_one = derivative(lambda z: np.exp(a @ z), x)
    two, n_two = derivative(lambda z: np.exp(a @ z), x, n_cores=2)
    assert np.array_equal(one, two)
    assert n_one == n_two
    with pytest.raises(FunctionError, match=r"x\[1\]"):
        derivative(half, np.array([1.0, 1.0, 0.0]), n_cores=2)


def test_memory_is_a_small_multiple_of_the_result() -> None:
    import tracemalloc

    f, x, _ = exponentials(2000, 40)
    jacobian(f, x[:2000])
    tracemalloc.start()
    result, _ = jacobian(f, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * result.nbytes


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=5), st.data())
@settings(max_examples=60, deadline=None)
def test_quadratics_have_their_derivatives_anywhere_within_any_bounds(start: list[float], data: st.DataObject) -> None:
    x = np.array(start)
    below = np.array(data.draw(st.lists(st.sampled_from([0.0, 1e-6, 1.0, np.inf]), min_size=x.size, max_size=x.size)))
    above = np.array(data.draw(st.lists(st.sampled_from([1e-6, 1e-3, np.inf]), min_size=x.size, max_size=x.size)))
    lower, upper = x - below, x + above
    a = np.cos(np.arange(x.size**2)).reshape(x.size, -1)
    a = a + a.T
    matrix, _ = jacobian(Within(lambda z: z @ a @ z / 2, lower, upper), x, lower=lower, upper=upper)
    size = 1 + np.abs(a).sum() * (1 + np.abs(x).max()) ** 2
    assert np.abs(matrix[0] - a @ x).max() < 1e-7 * size
