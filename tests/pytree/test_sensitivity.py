"""Sensitivity measures against their definitions, moment by moment, with dense matrices and nothing clever."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import block_diag, csr_array

from tessera.errors import InferenceError
from tessera.pytree.estimation.inference import LinearMoments, ParameterMap
from tessera.pytree.estimation.sensitivity import SENSITIVITY_KINDS, sensitivity_measure
from tessera.pytree.estimation.symmetric import SymmetricMatrix, invert_definite

inv = np.linalg.inv


def covariance(size: int, rng: np.random.Generator) -> np.ndarray:
    draws = rng.normal(size=(size, size + 5))
    return draws @ draws.T / size


def linear(g: Any, w: Any, s: Any, t: Any = None) -> LinearMoments:
    t = np.eye(g.shape[1]) if t is None else t
    return LinearMoments(
        g, SymmetricMatrix.of(w, name="weights"), SymmetricMatrix.of(s, name="moments_cov"), ParameterMap(t)
    )


def by_definition(g: np.ndarray, w: np.ndarray, s: np.ndarray, t: np.ndarray) -> dict[str, np.ndarray]:
    """The six measures from the formulas of the papers, one moment at a time."""
    n_moments = len(g)
    bread = inv(g.T @ w @ g)
    robust = bread @ g.T @ w @ s @ w @ g @ bread
    best = inv(g.T @ inv(s) @ g)
    v, vo = np.diag(t @ robust @ t.T)[:, None], np.diag(t @ best @ t.T)[:, None]

    def each(function: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
        columns = []
        for k in range(n_moments):
            only = np.zeros((n_moments, n_moments))
            only[k, k] = 1.0
            columns.append(np.diag(t @ function(k, only) @ t.T))
        return np.array(columns).T

    def without(k: int, _: np.ndarray) -> np.ndarray:
        rest = w.copy()
        rest[k, :] = rest[:, k] = 0.0
        bread_k = inv(g.T @ rest @ g)
        return bread_k @ g.T @ rest @ s @ rest @ g @ bread_k - robust

    def best_without(k: int, _: np.ndarray) -> np.ndarray:
        g_k = np.delete(g, k, axis=0)
        return inv(g_k.T @ inv(np.delete(np.delete(s, k, 0), k, 1)) @ g_k) - best

    def reweighted(_: int, only: np.ndarray) -> np.ndarray:
        first = bread @ g.T @ only @ g @ robust
        second = bread @ g.T @ only @ s @ w @ g @ bread
        return second + second.T - first - first.T

    weight_best = inv(s)
    return {
        "bias": -t @ bread @ g.T @ w,
        "noise": each(lambda _, o: bread @ g.T @ w @ o @ w @ g @ bread) / v * np.diag(s),
        "noise_fundamental": each(lambda _, o: best @ g.T @ weight_best @ o @ weight_best @ g @ best) / vo * np.diag(s),
        "removal": each(without) / v,
        "removal_fundamental": each(best_without) / vo,
        "weighting": each(reweighted) / v * np.diag(w),
    }


def block_covariance(size: int, rng: np.random.Generator) -> np.ndarray:
    return block_diag([covariance(5, rng) for _ in range(size // 5)]).toarray()


def diagonal(size: int, rng: np.random.Generator) -> np.ndarray:
    return np.diag(rng.uniform(0.5, 2.0, size))


@pytest.mark.parametrize("cov_of", [covariance, block_covariance, diagonal])
@pytest.mark.parametrize("weights_of", [covariance, block_covariance, diagonal])
@pytest.mark.parametrize("store", [np.asarray, csr_array])
@pytest.mark.parametrize("kind", SENSITIVITY_KINDS)
def test_closed_forms_equal_definitions(kind: Any, store: Any, weights_of: Any, cov_of: Any) -> None:
    rng = np.random.default_rng(3)
    g, t = rng.normal(size=(20, 4)), rng.normal(size=(6, 4))
    w, s = weights_of(20, rng), cov_of(20, rng)
    expected = by_definition(g, w, s, t)[kind]
    np.testing.assert_allclose(
        sensitivity_measure(linear(g, store(w), store(s), t), kind), expected, rtol=1e-8, atol=1e-11
    )


def test_diagonal_given_as_a_vector_is_the_diagonal_matrix() -> None:
    rng = np.random.default_rng(4)
    g, w, s = rng.normal(size=(12, 3)), rng.uniform(1, 2, 12), rng.uniform(1, 2, 12)
    for kind in SENSITIVITY_KINDS:
        vector, matrix = (sensitivity_measure(linear(g, a, b), kind) for a, b in ((w, s), (np.diag(w), np.diag(s))))
        np.testing.assert_array_equal(vector, matrix)


def test_best_weights_make_weighting_zero_and_both_noises_equal() -> None:
    rng = np.random.default_rng(5)
    g, s = rng.normal(size=(15, 3)), covariance(15, rng)
    model = linear(g, inv(s), s)
    np.testing.assert_allclose(sensitivity_measure(model, "weighting"), 0.0, atol=1e-10)
    for measure in ("noise", "removal"):
        actual, fundamental = sensitivity_measure(model, measure), sensitivity_measure(model, f"{measure}_fundamental")  # type: ignore[arg-type]
        # With weights held, leaving a moment out is not the best response to its loss, so "removal" is at least as bad.
        if measure == "noise":
            np.testing.assert_allclose(actual, fundamental, rtol=1e-8)
        else:
            assert (actual >= fundamental - 1e-10).all()


def test_bias_is_the_change_of_the_estimate() -> None:
    """For linear moments m = G p the estimate is (G'WG)^-1 G'W m_data, so a bias in the model moves it back."""
    rng = np.random.default_rng(6)
    g, w = rng.normal(size=(9, 2)), covariance(9, rng)
    data, shift = rng.normal(size=9), rng.normal(size=9)

    def estimate(target: np.ndarray) -> np.ndarray:
        return np.linalg.solve(g.T @ w @ g, g.T @ w @ target)

    change = estimate(data - shift) - estimate(data)
    np.testing.assert_allclose(sensitivity_measure(linear(g, w, w), "bias") @ shift, change, rtol=1e-10)


@pytest.mark.parametrize("kind", ["removal", "removal_fundamental"])
def test_removing_the_only_moment_of_a_parameter_costs_infinitely_much(kind: Any) -> None:
    g = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0]])
    measure = sensitivity_measure(linear(g, np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])), kind)
    assert measure[1, 2] == np.inf
    assert measure[0, 2] == pytest.approx(0.0)
    assert np.isfinite(measure[:, :2]).all()
    np.testing.assert_allclose(measure[1, :2], 0.0, atol=1e-12)


def test_removal_in_an_exactly_identified_model_is_infinite_for_all_that_depend_on_it() -> None:
    rng = np.random.default_rng(7)
    g = rng.normal(size=(3, 3))
    assert (sensitivity_measure(linear(g, np.ones(3), covariance(3, rng)), "removal") == np.inf).all()


def test_fixed_parameters_are_nan_and_do_not_respond() -> None:
    rng = np.random.default_rng(8)
    g, t = rng.normal(size=(6, 2)), csr_array(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
    model = linear(g, np.ones(6), np.ones(6), t)
    assert not sensitivity_measure(model, "bias")[1].any()
    for kind in SENSITIVITY_KINDS[1:]:
        measure = sensitivity_measure(model, kind)  # type: ignore[arg-type]
        assert np.isnan(measure[1]).all()
        assert np.isfinite(measure[[0, 2]]).all()


def test_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(InferenceError, match="removal_fundamental"):
        sensitivity_measure(linear(np.eye(2), np.ones(2), np.ones(2)), "removed")  # type: ignore[arg-type]


def test_fundamental_measures_name_moments_that_make_the_covariance_singular() -> None:
    cov = np.diag([1.0, 2.0, 3.0])
    cov[0, 1] = cov[1, 0] = np.sqrt(2.0)
    model = LinearMoments(
        np.arange(6.0).reshape(3, 2),
        SymmetricMatrix.of(np.ones(3)),
        SymmetricMatrix.of(cov, np.array(["m_a", "m_b", "m_c"]), "moments_cov"),  # type: ignore[arg-type]
        ParameterMap(np.eye(2)),
    )
    assert np.isfinite(sensitivity_measure(model, "noise")).all()
    with pytest.raises(InferenceError, match=r"moments m_a, m_b are linear combinations"):
        sensitivity_measure(model, "noise_fundamental")


def test_unidentified_parameters_are_named() -> None:
    g = np.column_stack([np.arange(5.0), 2.0 * np.arange(5.0), np.ones(5)])
    model = LinearMoments(
        g,
        SymmetricMatrix.of(np.ones(5)),
        SymmetricMatrix.of(np.ones(5)),
        ParameterMap(np.eye(3), np.array(["slope", "twice", "level"])),  # type: ignore[arg-type]
    )
    with pytest.raises(InferenceError, match=r"do not identify the parameters slope, twice:"):
        _ = model.robust


def test_memory_is_linear_in_the_number_of_moments_for_diagonal_weights() -> None:
    rng = np.random.default_rng(9)
    n_moments, n_params = 20_000, 5
    model = linear(rng.normal(size=(n_moments, n_params)), rng.uniform(1, 2, n_moments), rng.uniform(1, 2, n_moments))
    tracemalloc.start()
    for kind in SENSITIVITY_KINDS:
        assert sensitivity_measure(model, kind).shape == (n_params, n_moments)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60 * n_moments * n_params * 8


# --- the matrices underneath ------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(0, 10_000))
def test_inverse_and_root_of_any_storage(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    dense = covariance(size, rng)
    mask = rng.random((size, size)) < 0.3
    sparse = np.where(mask | mask.T, dense, 0.0)
    sparse[np.diag_indices(size)] = np.abs(dense).sum(axis=1)
    x = rng.normal(size=(size, 2))
    for values, store in ((dense, np.asarray), (sparse, csr_array), (np.diag(np.diag(dense)), np.asarray)):
        matrix = SymmetricMatrix.of(store(values))
        np.testing.assert_allclose(matrix @ x, values @ x, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(matrix.inverse().dense() @ values, np.eye(size), atol=1e-6)
        root_x = matrix.root_times(x)
        np.testing.assert_allclose(root_x.T @ root_x, x.T @ values @ x, rtol=1e-9, atol=1e-10)


def test_storage_is_as_cheap_as_the_numbers_allow() -> None:
    assert SymmetricMatrix.of(np.diag([1.0, 2.0])).storage == "diagonal"
    assert SymmetricMatrix.of(csr_array(np.diag([1.0, 2.0]))).storage == "diagonal"
    assert SymmetricMatrix.of(np.array([[2.0, 1.0], [1.0, 2.0]])).storage == "dense"
    blocks = SymmetricMatrix.of(block_diag([np.array([[2.0, 1.0], [1.0, 2.0]])] * 3, format="csr"))
    assert blocks.storage == "sparse"
    assert blocks.inverse().storage == "sparse"
    assert blocks.inverse().values.nnz == 12


def test_singular_weights_have_a_root_but_indefinite_ones_do_not() -> None:
    singular = np.ones((3, 3))
    x = np.array([1.0, 2.0, -5.0])
    root_x = SymmetricMatrix.of(singular).root_times(x)
    assert root_x @ root_x == pytest.approx(4.0)
    with pytest.raises(InferenceError, match="negative eigenvalue -1"):
        SymmetricMatrix.of(np.array([[1.0, 2.0], [2.0, 1.0]]), name="weights").root()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((2, 3)), r"shape \(2, 3\)"),
        (np.ones((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "not symmetric, by 0.5 in the row of the moment a"),
        (np.array([1.0, -1.0]), "negative diagonal entries, for the moments b"),
        (np.array([1.0, np.nan]), "not finite, for the moments b"),
        (csr_array(np.array([[1.0, np.inf], [np.inf, 1.0]])), "not finite, for the moments a, b"),
        (np.ones(3), "for 3 moments, but there are 2"),
    ],
)
def test_numbers_that_are_no_covariance_are_refused(values: Any, message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        SymmetricMatrix.of(values, np.array(["a", "b"]), "moments_cov")  # type: ignore[arg-type]


def test_scale_does_not_decide_what_is_singular() -> None:
    scale = np.array([1e-9, 1.0, 1e9])
    well = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 1.0]])
    inverse, null = invert_definite(well * scale[:, None] * scale)
    assert inverse is not None
    assert null.shape == (3, 0)
    np.testing.assert_allclose(inverse * scale[:, None] * scale, inv(well), rtol=1e-10)
