"""The internal space: round trips, feasibility of every internal point, exact derivatives, and refusals by name."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import BoundsError, ConstraintError
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
)
from tessera.pytree.derivatives.differences import jacobian
from tessera.pytree.spaces.cholesky import semidefinite_factor, triangle_dimension
from tessera.pytree.spaces.space import build_space
from tessera.pytree.spaces.transforms import OrderedChain
from tessera.pytree.tree import TreeSpec

INF = np.inf


def space_of(params, constraints, lower=None, upper=None, **kwargs):
    spec = TreeSpec.of(params)
    low = np.full(spec.size, -INF) if lower is None else spec.partial(lower, fill=-INF)
    high = np.full(spec.size, INF) if upper is None else spec.partial(upper, fill=INF)
    return build_space(spec, spec.ravel(params), low, high, constraints, **kwargs)


def triangle(matrix):
    return matrix[np.tril_indices(len(matrix))]


def at(key):
    return lambda params: params[key]


@st.composite
def problems(draw):
    """Parameters with a random set of constraints that their start obeys, and functions that check these."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    params: dict[str, object] = {"free": rng.normal(size=draw(st.integers(1, 3)))}
    constraints: list[object] = []
    checks = []
    kinds = ("probability", "increasing", "decreasing", "covariance", "sdcorr", "equal", "pairs", "fixed", "linear")
    for kind in draw(st.lists(st.sampled_from(kinds), unique=True, max_size=6)):
        size = draw(st.integers(2, 4))
        if kind == "probability":
            params[kind] = rng.dirichlet(np.ones(size))
            constraints.append(Probability(at(kind)))
            checks.append(lambda p: abs(p["probability"].sum() - 1) < 1e-9 and p["probability"].min() >= 0)
        elif kind == "increasing":
            params[kind] = np.sort(rng.normal(size=size))
            constraints.append(Increasing(at(kind)))
            checks.append(lambda p: np.diff(p["increasing"]).min() >= -1e-12)
        elif kind == "decreasing":
            params[kind] = np.sort(rng.normal(size=size))[::-1]
            constraints.append({"type": "decreasing", "selector": at(kind)})
            checks.append(lambda p: np.diff(p["decreasing"]).max() <= 1e-12)
        elif kind in {"covariance", "sdcorr"}:
            root = np.tril(rng.normal(size=(size, size))) + 2 * np.eye(size)
            cov = root @ root.T
            if kind == "covariance":
                params[kind] = triangle(cov)
                constraints.append(Covariance(at(kind)))
                checks.append(lambda p: least_eigenvalue(p["covariance"]) > -1e-9)
            else:
                sd = np.sqrt(np.diag(cov))
                params[kind] = np.concatenate([sd, (cov / np.outer(sd, sd))[np.tril_indices(size, -1)]])
                constraints.append(SdCorr(at(kind)))
                checks.append(lambda p: correlations_are_valid(p["sdcorr"]))
        elif kind == "equal":
            params[kind] = np.full(size, rng.normal())
            constraints.append(Equal(at(kind)))
            checks.append(lambda p: np.ptp(p["equal"]) == 0)
        elif kind == "pairs":
            values = rng.normal(size=size)
            params[kind] = {"x": values, "y": values.copy()}
            constraints.append(PairwiseEqual(lambda p: p["pairs"]["x"], lambda p: p["pairs"]["y"]))
            checks.append(lambda p: (p["pairs"]["x"] == p["pairs"]["y"]).all())
        elif kind == "fixed":
            params[kind] = rng.normal(size=size)
            constraints.append(Fixed(at(kind)))
            wanted = params[kind].copy()
            checks.append(lambda p, wanted=wanted: (p["fixed"] == wanted).all())
        else:
            params[kind] = rng.normal(size=size)
            weights = rng.uniform(0.5, 2, size=size)
            total = float(weights @ params[kind])
            constraints.append(Linear(at(kind), weights, value=total))
            checks.append(lambda p, w=weights, t=total: abs(w @ p["linear"] - t) < 1e-8)
    return params, constraints, checks, rng


def least_eigenvalue(numbers):
    size = triangle_dimension(len(numbers), diagonal=True)
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = numbers
    return np.linalg.eigvalsh(matrix)[0]


def correlations_are_valid(numbers):
    size = triangle_dimension(len(numbers), diagonal=True)
    matrix = np.eye(size)
    matrix[np.tril_indices(size, -1)] = numbers[size:]
    return numbers[:size].min() >= 0 and np.linalg.eigvalsh(matrix)[0] > -1e-9


def random_internal(space, rng):
    low = np.where(np.isfinite(space.lower), space.lower, -1.0)
    high = np.where(np.isfinite(space.upper), space.upper, np.maximum(low, 0.0) + 2.0)
    return rng.uniform(low, high)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(problem=problems())
def test_random_constraint_sets(problem):
    params, constraints, checks, rng = problem
    space = space_of(params, constraints, linear=False)
    x = space.spec.ravel(params)
    np.testing.assert_allclose(space.start, x, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(space.to_external(space.to_internal(x)), x, rtol=1e-9, atol=1e-9)

    z = random_internal(space, rng)
    moved = space.to_external(z)
    assert all(check(space.spec.unravel(moved)) for check in checks)
    # z is not unique for a factor with a negative diagonal, but what it stands for is.
    np.testing.assert_allclose(space.to_external(space.to_internal(moved)), moved, rtol=1e-6, atol=1e-7)

    gradient = rng.normal(size=space.n_external)
    exact = space.jacobian(z)
    assert exact.shape == (space.n_external, space.n_internal)
    np.testing.assert_allclose(space.pull_back(z, gradient), exact.T @ gradient, atol=1e-9)
    batch = rng.normal(size=(3, space.n_external))
    np.testing.assert_allclose(space.pull_back(z, batch), batch @ exact.toarray(), atol=1e-9)
    if space.n_internal:
        numerical = jacobian(space.to_external, z)[0]
        np.testing.assert_allclose(exact.toarray(), numerical, rtol=1e-5, atol=1e-6)


def test_without_constraints_the_internal_vector_is_the_external_one():
    space = space_of({"a": np.arange(3.0)}, [])
    x = np.arange(3.0)
    assert space.is_identity and space.to_external(x) is x and space.to_internal(x) is x
    assert space.pull_back(x, x) is x
    assert (space.jacobian(x).toarray() == np.eye(3)).all()


def test_fixed_takes_values_and_equal_bounds_are_fixed():
    params = {"a": np.arange(3.0), "b": 5.0, "c": 6.0}
    space = space_of(params, Fixed(at("a"), [9.0, 8.0, 7.0]), {"b": 5.0}, {"b": 5.0})
    assert space.n_internal == 1
    assert space.start.tolist() == [9, 8, 7, 5, 6]
    assert space.to_external(np.array([-1.0])).tolist() == [9, 8, 7, 5, -1]


def test_a_fixed_parameter_fixes_all_that_equal_it():
    params = {"a": 2.0, "b": 2.0, "c": np.array([2.0, 1.0])}
    space = space_of(params, [Equal(lambda p: [p["a"], p["c"][0]]), Equal(lambda p: [p["a"], p["b"]]), Fixed(at("b"))])
    assert space.n_internal == 1
    assert space.to_external(np.array([4.0])).tolist() == [2, 2, 2, 4]


def test_tied_parameters_take_the_tightest_bounds_and_sum_their_gradients():
    space = space_of({"a": 1.0, "b": 1.0}, Equal(lambda p: p), {"a": 0, "b": -1}, {"a": 9, "b": 3})
    assert (space.lower.tolist(), space.upper.tolist()) == ([0], [3])
    assert space.pull_back(np.ones(1), np.array([2.0, 3.0])).tolist() == [5]


def test_two_tied_blocks_under_the_same_constraint_are_one():
    params = {"a": np.array([0.25, 0.75]), "b": np.array([0.25, 0.75])}
    space = space_of(params, [Probability(at("a")), PairwiseEqual(at("a"), at("b")), Probability(at("b"))])
    assert space.n_internal == 1 and not space.needs_solver
    np.testing.assert_allclose(space.to_external(np.array([1.0])), 0.5)


def test_probability_with_fixed_tied_and_bounded_elements():
    params = {"p": np.array([0.1, 0.2, 0.2, 0.5])}
    constraints = [Probability(at("p")), Fixed(lambda p: p["p"][0]), Equal(lambda p: p["p"][1:3])]
    space = space_of(params, constraints, {"p": np.array([0.1, 0.15, 0.0, 0.0])}, {"p": 1.0})
    x = space.to_external(np.array([0.0]))
    np.testing.assert_allclose(x, [0.1, 0.15, 0.15, 0.6])
    np.testing.assert_allclose(space.to_external(space.to_internal(params["p"])), params["p"])
    assert space.n_internal == 1 and not space.needs_solver


def test_many_groups_of_probabilities_are_filled_at_once():
    rng = np.random.default_rng(0)
    rows = [rng.dirichlet(np.ones(size)) for size in (2, 5, 1, 3)]
    space = space_of({"rows": rows, "free": 1.0}, [Probability(lambda p, i=i: p["rows"][i]) for i in range(4)])
    assert len(space.transforms) == 1 and space.n_internal == 1 + 1 + 4 + 2
    z = random_internal(space, rng)
    tree = space.spec.unravel(space.to_external(z))
    np.testing.assert_allclose([row.sum() for row in tree["rows"]], 1)
    exact = space.jacobian(z)
    np.testing.assert_allclose(exact.toarray(), jacobian(space.to_external, z)[0], atol=1e-8)
    gradient = rng.normal(size=(2, space.n_external))
    np.testing.assert_allclose(space.pull_back(z, gradient), gradient @ exact.toarray(), atol=1e-12)
    np.testing.assert_allclose(space.to_internal(space.to_external(z)), z)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_overlapping_constraints_are_rows_with_exact_derivatives(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    size = data.draw(st.integers(3, 6))
    x = np.sort(rng.dirichlet(np.ones(size)))
    weights = rng.normal(size=(2, size))
    pool = [
        Probability(lambda p: p["p"]),
        Increasing(lambda p: p["p"]),
        Increasing(lambda p: p["p"][:2]),
        Linear(lambda p: p["p"], weights, lower=weights @ x - 1, upper=weights @ x + 1),
        Linear(lambda p: [p["p"][0], p["q"][2]], [1.0, 2.0], upper=20.0),
        Covariance(lambda p: p["q"]),
        Fixed(lambda p: p["p"][1]),
    ]
    chosen = data.draw(st.lists(st.sampled_from(pool), unique_by=id, min_size=1))
    space = space_of({"p": x, "q": np.array([2.0, 0.5, 3.0])}, chosen)
    z = space.start_internal
    np.testing.assert_allclose(space.start[:size], x, atol=1e-9)
    for constraint in space.solver_constraints:
        linear = hasattr(constraint, "A")
        values = constraint.A @ z if linear else constraint.fun(z)
        assert (values >= constraint.lb - 1e-7).all() and (values <= constraint.ub + 1e-7).all()
        if not linear:
            np.testing.assert_allclose(constraint.jac(z), jacobian(constraint.fun, z)[0], atol=1e-6)
    # Wherever the rows hold within the bounds of z, so do the constraints: here, the sums of the probabilities.
    if chosen[0] is pool[0] and space.rows[0].shape[0] == 0:
        moved = space.to_external(random_internal(space, rng))
        assert moved[:size].sum() == pytest.approx(1)


def test_a_zero_probability_is_reached_exactly():
    space = space_of(np.array([0.0, 0.4, 0.6]), Probability(lambda p: p))
    assert space.start.tolist() == pytest.approx([0.0, 0.4, 0.6])
    assert space.start[0] == 0 and space.to_external(np.zeros(2)).tolist() == [0, 0, 1]


def test_a_chain_is_cut_at_fixed_elements():
    params = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    space = space_of(params, [Increasing(lambda p: p), Fixed(lambda p: p[2])], linear=False)
    kinds = [transform for transform in space.transforms if isinstance(transform, OrderedChain)]
    assert len(kinds) == 2 and not space.needs_solver
    z = np.array([4.0, 0.5, 3.0, 0.25])
    z = np.clip(z, space.lower, space.upper)
    x = space.to_external(z)
    assert x[2] == 3 and (np.diff(x) >= 0).all()


def test_elements_between_two_equal_ones_of_a_chain_are_equal_too():
    params = np.array([1.0, 2.0, 2.0, 2.0, 3.0])
    space = space_of(params, [Increasing(lambda p: p), Equal(lambda p: [p[1], p[3]])])
    assert space.n_internal == 3
    assert np.ptp(space.to_external(np.array([0.0, 1.0, 1.0]))[1:4]) == 0


@pytest.mark.parametrize(
    ("lower", "upper"),
    [(-1.0, INF), (-INF, 9.0), (np.array([-INF, 0.0, 1.0]), 5.0), (0.0, np.array([2.0, 3.0, INF])), (0.0, 3.0)],
)
def test_bounds_of_a_chain_hold_at_every_internal_point(lower, upper):
    x = np.array([0.5, 1.0, 2.0])
    low, high = np.broadcast_to(lower, 3).astype(float), np.broadcast_to(upper, 3).astype(float)
    spec = TreeSpec.of(x)
    try:
        space = build_space(spec, x, low, high, Increasing(lambda p: p), linear=False)
    except ConstraintError:
        assert not (np.isfinite(low).all() and np.isfinite(high).all())
        return
    np.testing.assert_allclose(space.start, x)
    rng = np.random.default_rng(0)
    for _ in range(50):
        moved = space.to_external(random_internal(space, rng))
        assert (np.diff(moved) >= -1e-12).all()
        assert (moved >= low - 1e-12).all() and (moved <= high + 1e-12).all()


def test_bounds_on_both_sides_of_a_chain_are_rows_for_solvers_that_take_them():
    x = np.array([0.5, 1.0, 2.0])
    space = build_space(TreeSpec.of(x), x, np.zeros(3), np.full(3, 3.0), Increasing(lambda p: p), linear=True)
    (rows,) = space.solver_constraints
    assert (rows.A @ x).tolist() == [0.5, 1.0] and rows.lb.tolist() == [0, 0]


@settings(deadline=None, max_examples=40)
@given(size=st.integers(2, 6), seed=st.integers(0, 1000), mirrored=st.booleans())
def test_the_bounded_chain_has_exact_derivatives(size, seed, mirrored):
    rng = np.random.default_rng(seed)
    edges = np.sort(rng.uniform(0, 1, size))
    low, high = (np.zeros(size), 1 + edges) if mirrored else (edges - 1, np.full(size, 2.0))
    x = np.sort(rng.uniform(low.max(), high.min(), size))
    space = build_space(TreeSpec.of(x), x, low, high, Increasing(lambda p: p), linear=False)
    np.testing.assert_allclose(space.start, x, atol=1e-12)
    z = rng.uniform(0.05, 0.95, size)
    exact = space.jacobian(z).toarray()
    np.testing.assert_allclose(exact, jacobian(space.to_external, z)[0], atol=1e-7)


def test_covariance_with_a_fixed_first_variance_and_fixed_zeros():
    cov = np.array([[1.0, 0.0, 0.0], [0.0, 2.0, 0.5], [0.0, 0.5, 3.0]])
    params = triangle(cov)
    constraints = [Covariance(lambda p: p), Fixed(lambda p: [p[0], p[1], p[3]])]
    space = space_of(params, constraints, linear=False)
    assert space.n_internal == 3
    x = space.to_external(np.array([1.0, -2.0, 3.0]))
    assert x[[0, 1, 3]].tolist() == [1, 0, 0]
    assert x[[2, 4, 5]].tolist() == [1, -2, 13]


def test_a_singular_covariance_is_a_start():
    space = space_of(np.array([1.0, 1.0, 1.0]), Covariance(lambda p: p))
    np.testing.assert_allclose(space.start, 1.0)
    root = semidefinite_factor(np.zeros((2, 2)))
    assert (root == 0).all()


def test_other_fixed_entries_of_a_covariance_go_to_the_solver():
    params = np.array([1.0, 0.5, 2.0])
    constraints = [Covariance(lambda p: p), Fixed(lambda p: p[2])]
    space = space_of(params, constraints)
    (row,) = space.solver_constraints
    z = space.start_internal
    np.testing.assert_allclose(row.fun(z), 2.0)
    np.testing.assert_allclose(row.jac(z), jacobian(row.fun, z)[0], atol=1e-8)
    with pytest.raises(ConstraintError, match=r"fixed entries that a Cholesky factor cannot hold.*scipy_slsqp"):
        space_of(params, constraints, linear=False)


def test_bounds_and_fixed_values_of_standard_deviations_are_exact():
    params = np.array([1.0, 2.0, 0.3])
    space = space_of(params, [SdCorr(lambda p: p), Fixed(lambda p: p[0])], np.array([0.0, 1.5, -1.0]), linear=False)
    assert space.n_internal == 2 and space.lower.tolist() == [1.5, -INF]
    x = space.to_external(np.array([3.0, -40.0]))
    assert x[:2].tolist() == [1, 3] and -1 < x[2] < -0.99


def test_linear_constraints_go_to_the_solver_or_are_solved_for():
    params = {"w": np.array([0.2, 0.3, 0.5]), "free": 1.0}
    budget = Linear(at("w"), 1.0, value=1.0)
    for_solver = space_of(params, budget)
    (rows,) = for_solver.solver_constraints
    assert rows.A.tolist() == [[1, 1, 1, 0]] and rows.lb == rows.ub == 1
    solved = space_of(params, budget, linear=False)
    assert solved.n_internal == 3 and not solved.needs_solver
    x = solved.to_external(np.array([5.0, 0.1, 0.7]))
    assert x[:3].sum() == pytest.approx(1) and x[3] == 5


def test_an_inequality_is_a_bound_on_its_row():
    space = space_of(np.array([1.0, 2.0]), Linear(lambda p: p, [[1, 1]], lower=0, upper=4), linear=False)
    assert 0 in space.lower and 4 in space.upper
    rng = np.random.default_rng(0)
    sums = [space.to_external(random_internal(space, rng)).sum() for _ in range(20)]
    assert min(sums) >= -1e-12 and max(sums) <= 4 + 1e-12


def test_overlapping_linear_constraints_all_go_to_the_solver():
    params = np.array([0.2, 0.3, 0.5])
    constraints = [Probability(lambda p: p), Increasing(lambda p: p)]
    space = space_of(params, constraints)
    assert space.n_internal == 3 and space.rows[0].shape == (3, 3)
    assert (space.lower == 0).all() and (space.upper == 1).all()
    with pytest.raises(ConstraintError, match="another constraint holds some of the same parameters"):
        space_of(params, constraints, linear=False)


def test_a_linear_row_over_a_transform_is_nonlinear_for_the_solver():
    params = {"p": np.array([0.2, 0.3, 0.5]), "b": 1.0}
    space = space_of(params, [SdCorr(lambda p: [p["b"]]), Linear(at("b"), value=1.0)])
    assert len(space.solver_constraints) == 1
    cov = {"c": np.array([1.0, 0.2, 2.0])}
    space = space_of(cov, [Covariance(at("c")), Linear(at("c"), [1, 0, 1], upper=3.5)])
    (row,) = space.solver_constraints
    z = space.start_internal + 0.1
    np.testing.assert_allclose(row.jac(z), jacobian(row.fun, z)[0], atol=1e-7)


def test_nonlinear_constraints_by_tree_with_and_without_derivative():
    params = {"p": np.array([0.2, 0.3, 0.5]), "b": 2.0}

    def product(selected):
        return {"out": selected["p"][0] * selected["b"], "sum": selected["p"][:2]}

    def slope(selected):
        zero = np.zeros((2, 3))
        zero[[0, 1], [0, 1]] = 1
        top = np.array([selected["b"], 0, 0])
        return {"sum": {"b": np.zeros(2), "p": zero}, "out": {"p": top, "b": selected["p"][0]}}

    def selector(tree):
        return {"b": tree["b"], "p": tree["p"]}

    spaces = [
        space_of(params, [Probability(at("p")), Nonlinear(selector, product, jac, lower=0, upper=[1, 2, 3])])
        for jac in (None, slope)
    ]
    z = spaces[0].start_internal + 0.05
    numerical, closed = (space.solver_constraints[0] for space in spaces)
    np.testing.assert_allclose(numerical.fun(z), closed.fun(z))
    np.testing.assert_allclose(numerical.jac(z), closed.jac(z), atol=1e-8)
    np.testing.assert_allclose(closed.jac(z), jacobian(closed.fun, z)[0], atol=1e-8)


@pytest.mark.parametrize(
    ("params", "constraints", "words"),
    [
        ([0.5, 0.6], Probability(lambda p: p), r"sum to 1\.1, not 1.*\[0\] = 0\.5"),
        ([-0.5, 1.5], Probability(lambda p: p), r"the least -0\.5"),
        ([2.0, 1.0], Increasing(lambda p: p), "not in order"),
        ([1.0, 2.0], Decreasing(lambda p: p), "not in order"),
        ([1.0, 2.0], Equal(lambda p: p), "different values"),
        ([1.0, 2.0, 1.0], Covariance(lambda p: p), "not positive semidefinite"),
        ([1.0, 1.0, 1.5], SdCorr(lambda p: p), "not positive definite"),
        ([-1.0, 1.0, 0.5], SdCorr(lambda p: p), "standard deviations are below 0"),
        ([1.0, 2.0], Linear(lambda p: p, value=1), "needs 1 and the start gives 3"),
        ([1.0, 2.0], Linear(lambda p: p, upper=1), "needs at most 1"),
    ],
)
@pytest.mark.parametrize("linear", [True, False])
def test_an_infeasible_start_is_refused_by_name(params, constraints, words, linear):
    if isinstance(constraints, Linear) and not linear:
        words = "infeasible start"
    with pytest.raises(ConstraintError, match=words):
        space_of(params, constraints, linear=linear)


@pytest.mark.parametrize(
    ("params", "constraints", "words"),
    [
        ([1.0, 2.0], Covariance(lambda p: p), "no lower triangle"),
        ([1.0], Increasing(lambda p: p), "two or more"),
        ([1.0, 0.5, 1.0], [Covariance(lambda p: p), Equal(lambda p: [p[0], p[2]])], "held equal to another"),
        ([1.0, 0.5, 1.0], [Covariance(lambda p: p), SdCorr(lambda p: p)], "overlaps with another"),
        ([1.0, 2.0], [Fixed(lambda p: p[0], 1), Fixed(lambda p: p, 3)], "fixed at two values"),
        ([1.0, 1.0], [Equal(lambda p: p), Fixed(lambda p: p, [1, 2])], "fixed at two values"),
        ([1.0, 2.0], Fixed(lambda p: p, np.nan), "not finite"),
        ([1.0, 2.0], Linear(lambda p: p, [[1, 2]], lower=[1, 2]), "do not fit 1 row"),
    ],
)
def test_constraints_that_cannot_be_honoured(params, constraints, words):
    with pytest.raises(ConstraintError, match=words):
        space_of(params, constraints)


def test_bounds_against_constraints():
    with pytest.raises(ConstraintError, match="exclude each other"):
        space_of({"a": 1.0, "b": 1.0 + 1e-12}, Equal(lambda p: p), {"b": 1.0 + 1e-12}, {"a": 1.0})
    with pytest.raises(ConstraintError, match=r"\['p'\]\[1\] has an upper bound"):
        space_of({"p": np.array([0.5, 0.5])}, Probability(at("p")), None, {"p": np.array([1.0, 0.7])}, linear=False)
    with pytest.raises(ConstraintError, match="fixed outside the bounds"):
        space_of({"p": 0.5}, Fixed(at("p"), 3.0), None, {"p": 1.0})
    with pytest.raises(BoundsError, match=r"\['p'\]"):
        space_of({"p": 0.5}, Fixed(at("p")), {"p": 1.0})


def test_steps_are_linear_in_the_number_of_parameters():
    size = 100_000
    x = np.full(size, 1 / size)
    space = space_of({"p": x, "i": np.arange(float(size))}, [Probability(at("p")), Increasing(at("i"))])
    z = space.start_internal
    tracemalloc.start()
    gradient = space.pull_back(z, np.ones(space.n_external))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert gradient.shape == (space.n_internal,)
    assert peak < 10 * space.n_external * 8
