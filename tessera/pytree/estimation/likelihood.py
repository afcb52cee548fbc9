"""Maximum likelihood on trees: maximise the log likelihood, and judge the estimate.

The function returns a dict with `value` (a number) and `contributions` (any tree, one number for each observation), of
which one is enough: without contributions there are no scores, without `value` it is their sum. Entries beyond these
are ignored here and kept in the result of the optimisation. A plain number is taken as `value`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tessera.errors import FunctionError, InferenceError, StructureError, TesseraError
from tessera.pytree.estimation.estimation_point import EstimationPoint, optimize_options_of
from tessera.pytree.estimation.inference import likelihood_covariances
from tessera.pytree.estimation.results import LikelihoodResult
from tessera.pytree.estimation.symmetric import FloatArray
from tessera.pytree.estimation.user_derivative import closed_form, refuse_values
from tessera.pytree.tree import Registry, TreeSpec
from tessera.pytree.trees.containers import IsLeaf


def estimate_ml(
    loglike: Callable[..., Any],
    params: Any,
    optimize_options: str | Mapping[str, Any] | bool | None = None,
    *,
    jacobian: Any = None,
    hessian: Any = None,
    clusters: Any = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    loglike_kwargs: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    params_registry: Registry | None = None,
    params_is_leaf: IsLeaf | None = None,
    contributions_registry: Registry | None = None,
    contributions_is_leaf: IsLeaf | None = None,
) -> LikelihoodResult:
    """Estimate parameters by maximum likelihood.

    Args:
        loglike: called as `loglike(params, **loglike_kwargs)`; see the top of the module for what it returns.
        params: start values, a tree of N parameters.
        optimize_options: an algorithm, or arguments of `maximize` by name; False takes `params` as the estimate.
        jacobian: d contributions / d params in closed form: a function of the parameters, or its value where nothing is
            optimised; in the block structure of `first_derivative` or an array (n, N). None for numerical derivatives,
            False for none.
        hessian: second derivative of `value`, in the same forms with an array (N, N); False for none, which leaves the
            method "jacobian".
        clusters: the cluster of each contribution, an array (n,) or a tree like the contributions; adds the method
            "cluster_robust".
        bounds, lower_bounds, upper_bounds, constraints: as in `maximize`.
        loglike_kwargs: further arguments of `loglike`.
        numdiff_options: options of the numerical derivatives at the estimate, as in `estimate_msm`.
        params_registry, params_is_leaf: what is a container in the tree of parameters.
        contributions_registry, contributions_is_leaf: what is a container in the tree of contributions.

    Raises:
        FunctionError: if `loglike` raises, lacks the entries needed or returns what is not finite.
        InferenceError: if the information is singular or the Hessian not that of a maximum; names the parameters.
    """
    options = optimize_options_of(optimize_options)
    if options is None:
        return ml_inference(
            loglike,
            params,
            jacobian=jacobian,
            hessian=hessian,
            clusters=clusters,
            bounds=bounds,
            lower_bounds=lower_bounds,
            upper_bounds=upper_bounds,
            constraints=constraints,
            loglike_kwargs=loglike_kwargs,
            numdiff_options=numdiff_options,
            params_registry=params_registry,
            params_is_leaf=params_is_leaf,
            contributions_registry=contributions_registry,
            contributions_is_leaf=contributions_is_leaf,
        )
    refuse_values({"jacobian": jacobian, "hessian": hessian})
    function = _Likelihood(loglike, dict(loglike_kwargs or {}), contributions_registry, contributions_is_leaf)
    problem = {
        "bounds": bounds,
        "lower_bounds": lower_bounds,
        "upper_bounds": upper_bounds,
        "constraints": constraints,
        "params_registry": params_registry,
        "params_is_leaf": params_is_leaf,
        **options,
    }
    result = _optimise(function, params, jacobian, problem)
    return _judge(function, EstimationPoint.of_result(result), jacobian, hessian, clusters, numdiff_options, result)


def ml_inference(
    loglike: Callable[..., Any],
    params: Any,
    *,
    jacobian: Any = None,
    hessian: Any = None,
    clusters: Any = None,
    bounds: Any = None,
    lower_bounds: Any = None,
    upper_bounds: Any = None,
    constraints: Any = (),
    loglike_kwargs: Mapping[str, Any] | None = None,
    numdiff_options: Mapping[str, Any] | None = None,
    params_registry: Registry | None = None,
    params_is_leaf: IsLeaf | None = None,
    contributions_registry: Registry | None = None,
    contributions_is_leaf: IsLeaf | None = None,
) -> LikelihoodResult:
    """Standard errors of a maximum likelihood estimate at given parameters, without optimisation.

    Args and errors as in `estimate_ml`; `params` are the estimate.
    """
    function = _Likelihood(loglike, dict(loglike_kwargs or {}), contributions_registry, contributions_is_leaf)
    point = EstimationPoint.of(
        params,
        bounds=bounds,
        lower_bounds=lower_bounds,
        upper_bounds=upper_bounds,
        constraints=constraints,
        registry=params_registry,
        is_leaf=params_is_leaf,
    )
    return _judge(function, point, jacobian, hessian, clusters, numdiff_options, None)


@dataclass(frozen=True, eq=False)
class _Likelihood:
    """The user's function, and what it returns as numbers."""

    function: Callable[..., Any]
    kwargs: Mapping[str, Any]
    registry: Registry | None
    is_leaf: IsLeaf | None

    def evaluate(self, params: Any) -> tuple[float, Any]:
        """The log likelihood and the tree of contributions, None where the function returns none."""
        try:
            output = self.function(params, **self.kwargs)
        except TesseraError:
            raise
        except Exception as error:
            raise FunctionError(f"loglike raised {type(error).__name__}: {error}") from error
        entries = output if isinstance(output, Mapping) else {"value": output}
        contributions = entries.get("contributions")
        if contributions is None and "value" not in entries:
            raise FunctionError(
                f'loglike returned a dict with the keys {list(entries)}; it needs "value", "contributions" or both.'
            )
        value = entries.get("value")
        try:
            number = float(self.flat(contributions).sum() if value is None else value)
        except (TypeError, ValueError) as error:
            raise FunctionError(
                f"loglike returned {type(value).__name__} as its value; it must be a number."
            ) from error
        if not np.isfinite(number):
            raise FunctionError(f"loglike returned {number}; set bounds that keep the parameters where it is defined.")
        return number, contributions

    def value(self, params: Any) -> float:
        return self.evaluate(params)[0]

    def spec(self, contributions: Any) -> TreeSpec:
        return TreeSpec.of(contributions, registry=self.registry, is_leaf=self.is_leaf)

    def flat(self, contributions: Any) -> FloatArray:
        return self.spec(contributions).ravel(contributions)


def _optimise(function: _Likelihood, params: Any, jacobian: Any, problem: dict[str, Any]) -> Any:
    """Maximise the log likelihood; `problem` holds the other arguments of `maximize`."""
    from tessera.pytree.optimize import maximize

    _, contributions = function.evaluate(params)
    if callable(jacobian) and contributions is not None:
        spec = TreeSpec.of(params, registry=problem["params_registry"], is_leaf=problem["params_is_leaf"])
        outer = function.spec(contributions)

        def gradient(params: Any) -> Any:
            return spec.unravel(closed_form(jacobian, params, outer, spec, "jacobian").sum(axis=0))

        problem = {"jac": gradient, **problem}

    def criterion(params: Any) -> Any:
        return function.function(params, **function.kwargs)

    return maximize(criterion, params, **problem)


def _judge(
    function: _Likelihood,
    point: EstimationPoint,
    jacobian: Any,
    hessian: Any,
    clusters: Any,
    options: Mapping[str, Any] | None,
    optimize_result: Any,
) -> LikelihoodResult:
    params = point.params
    value, contributions = function.evaluate(params)
    outer = None if contributions is None else function.spec(contributions)
    scores = external = None
    if outer is not None and jacobian is not False:
        scores, external = _scores(function, point, contributions, outer, jacobian, options)
    second = _second(function, point, value, hessian, external, options)
    if scores is None and second is None:
        raise InferenceError(
            "there is nothing to base standard errors on: loglike returns no contributions and hessian is False. "
            'Return "contributions", or allow the Hessian.'
        )
    return LikelihoodResult(
        params=params,
        spec=point.spec,
        x=point.x,
        parameters=point.parameters,
        loglike=value,
        n_obs=None if outer is None else outer.size,
        covariances=likelihood_covariances(
            scores, second, point.parameters, _clusters(clusters, outer, scores, second)
        ),
        scores=scores,
        hessian=second,
        optimize_result=optimize_result,
    )


def _scores(
    function: _Likelihood,
    point: EstimationPoint,
    contributions: Any,
    outer: TreeSpec,
    jacobian: Any,
    options: Mapping[str, Any] | None,
) -> tuple[FloatArray, FloatArray | None]:
    """Scores (n, P), and (n, N) where they come in closed form."""
    if jacobian is not None:
        external = closed_form(jacobian, point.params, outer, point.spec, "jacobian")
        return point.pull_back(external), external
    flat = outer.ravel(contributions)
    if not np.isfinite(flat).all():
        names = outer.index("flat")[~np.isfinite(flat)]
        raise FunctionError(f"{len(names)} contributions are not finite: {list(names[:8])}.")

    def each(params: Any) -> FloatArray:
        return outer.ravel(function.evaluate(params)[1])

    return point.jacobian(each, flat, outer.index("flat"), options), None


def _second(
    function: _Likelihood,
    point: EstimationPoint,
    value: float,
    hessian: Any,
    external_scores: FloatArray | None,
    options: Mapping[str, Any] | None,
) -> FloatArray | None:
    if hessian is False:
        return None
    if hessian is None:
        return point.hessian(function.value, value, options)
    matrix = closed_form(hessian, point.params, point.spec, point.spec, "hessian")
    if external_scores is not None:
        gradient = external_scores.sum(axis=0)
    elif point.space.is_identity:
        gradient = np.zeros(point.spec.size)
    else:
        raise InferenceError(
            "a closed-form hessian under constraints needs the first derivative too; give jacobian in closed form, or "
            "leave hessian out."
        )
    return point.hessian_from_external(matrix, gradient)


def _clusters(clusters: Any, outer: TreeSpec | None, scores: Any, second: Any) -> Any:
    """The clusters (n,) in the order of the contributions."""
    if clusters is None:
        return None
    if outer is None or scores is None or second is None:
        raise InferenceError("clusters need contributions, their derivatives and the Hessian; leave neither out.")
    if isinstance(clusters, np.ndarray | list) and (outer.n_leaves == 1 or len(clusters) == outer.size):
        return np.asarray(clusters)
    leaves = outer.leaves_of(clusters)
    parts = []
    for number, leaf in enumerate(leaves):
        index = outer.labels(number)[0] if outer.shapes[number] else None
        if isinstance(leaf, pd.Series) and index is not None:
            missing = index.difference(leaf.index)
            if len(missing):
                raise StructureError(f"clusters lack {list(missing[:8])} of the contributions {outer.names[number]}.")
            parts.append(leaf.reindex(index).to_numpy())
        else:
            parts.append(np.asarray(leaf).reshape(-1))
    return np.concatenate(parts)
