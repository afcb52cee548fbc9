"""Method of simulated moments on trees: minimise (m(params) - m_data)' W (m(params) - m_data), and judge the estimate.

Moments of the data, simulated moments, their covariance and weights meet by path and label; the moments of the data fix
the order. Solvers see the residuals R (m(params) - m_data) with R'R = W, so that those for least squares can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessera.errors import FunctionError, InferenceError, StructureError, TesseraError
from tessera.pytree.estimation.estimation_point import EstimationPoint, optimize_options_of
from tessera.pytree.estimation.inference import LinearMoments
from tessera.pytree.estimation.results import MomentsResult
from tessera.pytree.estimation.symmetric import FloatArray, SymmetricMatrix
from tessera.pytree.estimation.user_derivative import closed_form, refuse_values
from tessera.pytree.moments import moment_matrix, weighting_matrix
from tessera.pytree.tree import Registry, TreeSpec
from tessera.pytree.trees.containers import IsLeaf


def estimate_msm(
    simulate_moments: Callable[..., Any],
    empirical_moments: Any,
    moments_cov: Any,
    params: Any,
    optimize_options: str | Mapping[str, Any] | bool | None = None,
    *,
    weights: Any = "diagonal",
    jacobian: Any = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    simulate_kwargs: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    params_registry: Registry | None = None,
    params_is_leaf: IsLeaf | None = None,
    moments_registry: Registry | None = None,
    moments_is_leaf: IsLeaf | None = None,
) -> MomentsResult:
    """Estimate parameters by the method of simulated moments.

    Args:
        simulate_moments: called as `simulate_moments(params, **simulate_kwargs)`; returns a tree of K moments.
        empirical_moments: tree of the same moments in the data. Keys and labels may differ in order, not otherwise.
        moments_cov: covariance of the empirical moments, in any form that `moments` lists; a tree or Series of
            variances keeps everything free of K x K numbers.
        params: start values, a tree of N parameters.
        optimize_options: an algorithm, or arguments of `minimize` by name; False takes `params` as the estimate.
        weights: "diagonal", "optimal" or "identity", or the weights themselves in any form that `moments` lists.
        jacobian: d moments / d params in closed form: a function of the parameters, or its value where nothing is
            optimised; in the block structure of `first_derivative`, a labelled frame or an array (K, N). None to
            differentiate numerically.
        bounds, lower_bounds, upper_bounds, constraints: as in `minimize`.
        simulate_kwargs: further arguments of `simulate_moments`.
        numdiff_options: method, step_size, scaling_factor, n_cores, error_handling of the numerical derivative at the
            estimate; give a step_size where the simulation is not smooth.
        params_registry, params_is_leaf: what is a container in the tree of parameters.
        moments_registry, moments_is_leaf: what is a container in the trees of moments.

    Raises:
        StructureError: if moments or their covariance are built differently; names the paths.
        FunctionError: if `simulate_moments` raises or returns moments that are not finite; names the moments.
        InferenceError: for a singular covariance with optimal weights, or parameters that the moments do not identify.
    """
    options = optimize_options_of(optimize_options)
    if options is None:
        return msm_inference(
            simulate_moments,
            empirical_moments,
            moments_cov,
            params,
            weights=weights,
            jacobian=jacobian,
            bounds=bounds,
            lower_bounds=lower_bounds,
            upper_bounds=upper_bounds,
            constraints=constraints,
            simulate_kwargs=simulate_kwargs,
            numdiff_options=numdiff_options,
            params_registry=params_registry,
            params_is_leaf=params_is_leaf,
            moments_registry=moments_registry,
            moments_is_leaf=moments_is_leaf,
        )
    refuse_values({"jacobian": jacobian})
    moments = _Moments.of(simulate_moments, empirical_moments, simulate_kwargs, moments_registry, moments_is_leaf)
    cov = moment_matrix(moments_cov, moments.spec, "moments_cov")
    weighting = _weighting(weights, cov, moments.spec)
    problem = {
        "bounds": bounds,
        "lower_bounds": lower_bounds,
        "upper_bounds": upper_bounds,
        "constraints": constraints,
        "params_registry": params_registry,
        "params_is_leaf": params_is_leaf,
        **options,
    }
    result = _optimise(moments, weighting, params, jacobian, problem)
    return _judge(moments, cov, weighting, EstimationPoint.of_result(result), jacobian, numdiff_options, result)


def msm_inference(
    simulate_moments: Callable[..., Any],
    empirical_moments: Any,
    moments_cov: Any,
    params: Any,
    *,
    weights: Any = "diagonal",
    jacobian: Any = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    simulate_kwargs: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    params_registry: Registry | None = None,
    params_is_leaf: IsLeaf | None = None,
    moments_registry: Registry | None = None,
    moments_is_leaf: IsLeaf | None = None,
) -> MomentsResult:
    """Standard errors and sensitivities of a method-of-moments estimate at given parameters, without optimisation.

    Args and errors as in `estimate_msm`; `params` are the estimate.
    """
    moments = _Moments.of(simulate_moments, empirical_moments, simulate_kwargs, moments_registry, moments_is_leaf)
    cov = moment_matrix(moments_cov, moments.spec, "moments_cov")
    point = EstimationPoint.of(
        params,
        bounds=bounds,
        lower_bounds=lower_bounds,
        upper_bounds=upper_bounds,
        constraints=constraints,
        registry=params_registry,
        is_leaf=params_is_leaf,
    )
    return _judge(moments, cov, _weighting(weights, cov, moments.spec), point, jacobian, numdiff_options, None)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Moments of the data, and the simulator as a function from a tree of parameters to a vector (K,)."""

    simulator: Callable[..., Any]
    kwargs: Mapping[str, Any]
    spec: TreeSpec
    empirical: FloatArray

    @classmethod
    def of(
        cls,
        simulator: Callable[..., Any],
        empirical: Any,
        kwargs: Mapping[str, Any] | None,
        registry: Registry | None,
        is_leaf: IsLeaf | None,
    ) -> _Moments:
        spec = TreeSpec.of(empirical, registry=registry, is_leaf=is_leaf)
        flat = spec.ravel(empirical)
        if spec.size == 0:
            raise InferenceError("empirical_moments holds no moments; give at least as many as there are parameters.")
        if not np.isfinite(flat).all():
            names = spec.index("flat")[~np.isfinite(flat)]
            raise InferenceError(f"{len(names)} empirical moments are not finite: {list(names[:8])}; leave them out.")
        return cls(simulator, dict(kwargs or {}), spec, flat)

    def simulate(self, params: Any) -> FloatArray:
        try:
            moments = self.simulator(params, **self.kwargs)
        except TesseraError:
            raise
        except Exception as error:
            raise FunctionError(f"simulate_moments raised {type(error).__name__}: {error}") from error
        try:
            flat = self.spec.ravel(moments)
        except StructureError as error:
            raise StructureError(
                f"simulate_moments and empirical_moments do not have the same moments: {error}"
            ) from error
        if not np.isfinite(flat).all():
            names = self.spec.index("flat")[~np.isfinite(flat)]
            raise FunctionError(
                f"simulate_moments returned {len(names)} moments that are not finite: {list(names[:8])}. Set bounds "
                "that keep the parameters where the model is defined, or leave the moments out."
            )
        return flat


def _weighting(weights: Any, cov: SymmetricMatrix, spec: TreeSpec) -> SymmetricMatrix:
    return weighting_matrix(weights, cov) if isinstance(weights, str) else moment_matrix(weights, spec, "weights")


def _optimise(
    moments: _Moments, weighting: SymmetricMatrix, params: Any, jacobian: Any, problem: dict[str, Any]
) -> Any:
    """Minimise the criterion; `problem` holds the other arguments of `minimize`."""
    from tessera.pytree.blocks import matrix_to_blocks
    from tessera.pytree.optimisation.algorithms import get_algorithm
    from tessera.pytree.optimize import minimize

    spec = TreeSpec.of(params, registry=problem["params_registry"], is_leaf=problem["params_is_leaf"])
    moments.simulate(params)  # fails here, before any optimisation, where the moments do not fit

    def criterion(params: Any) -> dict[str, Any]:
        residuals = weighting.root_times(moments.simulate(params) - moments.empirical)
        return {"value": float(residuals @ residuals), "root_contributions": residuals}

    def gradient(params: Any) -> Any:
        gap = moments.simulate(params) - moments.empirical
        return spec.unravel(2.0 * (weighting @ gap) @ closed_form(jacobian, params, moments.spec, spec, "jacobian"))

    def slopes(params: Any) -> Any:
        matrix = weighting.root_times(closed_form(jacobian, params, moments.spec, spec, "jacobian"))
        return matrix_to_blocks(matrix, TreeSpec.of(np.zeros(len(matrix))), spec)

    if callable(jacobian):
        of_squares = get_algorithm(problem["algorithm"]).kind == "least_squares"
        problem = {"jac": slopes if of_squares else gradient, **problem}
    return minimize(criterion, params, **problem)


def _judge(
    moments: _Moments,
    cov: SymmetricMatrix,
    weighting: SymmetricMatrix,
    point: EstimationPoint,
    jacobian: Any,
    numdiff_options: Mapping[str, Any] | None,
    optimize_result: Any,
) -> MomentsResult:
    params = point.params
    simulated = moments.simulate(params)
    if jacobian is None:
        labels = moments.spec.index("flat")
        slopes = point.jacobian(moments.simulate, simulated, labels, numdiff_options)
        external = _spread(slopes, point.parameters.jacobian)
    else:
        external = closed_form(jacobian, params, moments.spec, point.spec, "jacobian")
        slopes = point.pull_back(external)
    return MomentsResult(
        params=params,
        spec=point.spec,
        x=point.x,
        parameters=point.parameters,
        model=LinearMoments(slopes, weighting, cov, point.parameters),
        moments_spec=moments.spec,
        empirical=moments.empirical,
        simulated=simulated,
        external_jacobian=external,
        optimize_result=optimize_result,
    )


def _spread(slopes: FloatArray, transform: Any) -> FloatArray:
    """Derivatives (K, N) by the external parameters along feasible directions: G T+, with T (N, P) of full rank."""
    gram = transform.T @ transform
    dense = np.asarray(gram.toarray() if hasattr(gram, "toarray") else gram)
    if np.array_equal(dense, np.eye(len(dense))):
        return np.asarray((transform @ slopes.T).T)
    return np.asarray((transform @ (np.linalg.pinv(dense, hermitian=True) @ slopes.T)).T)
