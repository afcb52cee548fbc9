"""Standard errors from flat arrays: covariances of method-of-moments and likelihood estimates, intervals, p-values.

No trees, no user functions, no optimisation; `estimate` brings the numbers here. K moments, n contributions, P free
(internal) parameters, N external parameters, T = d external / d internal (N, P).

Method of simulated moments, with G = d simulated moments / d parameters (K, P), weights W and covariance S of the
empirical moments (both K x K, only ever multiplied with (K, P) arrays):

    B       = G'WG                              the "bread" is its inverse
    robust  = B^-1 G'W S WG B^-1                for any weights
    optimal = (G' S^-1 G)^-1                    what the best weights would give

Maximum likelihood, with scores s (n, P) = d contributions / d parameters and Hessian H (P, P) of the log likelihood:

    jacobian = (s's)^-1         hessian = (-H)^-1         robust = H^-1 (s's) H^-1
    cluster_robust = g/(g-1) H^-1 (c'c) H^-1,   c (g, P) the sums of the scores in g clusters

External parameters get T V T' (delta method), exact for fixed, equal and linear transformations.

Sources: Hansen (1982), Econometrica 50; McFadden (1989), Econometrica 57; White (1982), Econometrica 50; the
small-sample factor for clusters as in Stata's `vce(cluster)` for likelihoods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from tessera.errors import InferenceError
from tessera.pytree.estimation.symmetric import FloatArray, SymmetricMatrix, invert_definite, loaded_rows

_STAR_LEVELS = ((0.01, "***"), (0.05, "**"), (0.1, "*"))


@dataclass(frozen=True)
class ParameterMap:
    """How external parameters move with the free internal ones, at the estimate.

    Attributes:
        jacobian: (N, P) d external / d internal, scipy sparse or dense.
        labels: names of the N external parameters, for messages.
    """

    jacobian: Any
    labels: pd.Index | None = field(default=None, repr=False)

    @cached_property
    def free(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which external parameters move at all, (N,); the others are fixed."""
        return np.asarray((abs(self.jacobian) > 0).sum(axis=1)).ravel() > 0

    def covariance(self, internal: FloatArray) -> FloatArray:
        """The covariance (N, N) of the external parameters from that of the internal ones (P, P)."""
        half = np.asarray(self.jacobian @ internal)
        covariance = np.asarray(self.jacobian @ half.T)
        return 0.5 * (covariance + covariance.T)

    def variances(self, internal: FloatArray) -> FloatArray:
        """The variances (N,) of the external parameters from the covariance (P, P) of the internal ones."""
        half = np.asarray(self.jacobian @ internal)
        product = self.jacobian.multiply(half) if hasattr(self.jacobian, "multiply") else self.jacobian * half
        return np.asarray(product.sum(axis=1)).ravel()

    def names(self, directions: FloatArray) -> str:
        """The external parameters that move along some internal directions (P, d), as text."""
        where = loaded_rows(np.asarray(self.jacobian @ directions))
        return SymmetricMatrix(np.empty(0), self.labels).submatrix_names(where)


@dataclass(frozen=True, eq=False)
class LinearMoments:
    """A moment model linearised at the estimate, with the products that covariances and sensitivities share.

    Attributes:
        jacobian: (K, P) d moments / d internal parameters.
        weights: W, K moments.
        moments_cov: S, K moments.
        parameters: how the external parameters follow.
    """

    jacobian: FloatArray
    weights: SymmetricMatrix
    moments_cov: SymmetricMatrix
    parameters: ParameterMap

    @cached_property
    def weighted(self) -> FloatArray:
        """A = W G, (K, P)."""
        return self.weights @ self.jacobian

    @cached_property
    def noise(self) -> FloatArray:
        """S A, (K, P)."""
        return self.moments_cov @ self.weighted

    @cached_property
    def bread(self) -> FloatArray:
        """(G'WG)^-1, (P, P).

        Raises:
            InferenceError: if the weighted moments do not identify the parameters; names them.
        """
        return invert_information(self.jacobian.T @ self.weighted, self.parameters, "the weighted moments")

    @cached_property
    def robust(self) -> FloatArray:
        """Robust covariance of the internal parameters, (P, P)."""
        return _symmetric(self.bread @ (self.weighted.T @ self.noise) @ self.bread)

    @cached_property
    def precision(self) -> SymmetricMatrix:
        """S^-1; `InferenceError` naming the moments where S is singular."""
        return self.moments_cov.inverse()

    @cached_property
    def optimal(self) -> FloatArray:
        """Covariance of the internal parameters under the best weights, (P, P)."""
        information = self.jacobian.T @ (self.precision @ self.jacobian)
        return invert_information(information, self.parameters, "the moments")


def likelihood_covariances(
    scores: FloatArray | None,
    hessian: FloatArray | None,
    parameters: ParameterMap,
    clusters: np.ndarray[Any, Any] | None = None,
) -> dict[str, FloatArray]:
    """Every covariance (P, P) of a likelihood estimate that its ingredients allow, by name.

    Args:
        scores: (n, P) derivative of each contribution, or None.
        hessian: (P, P) second derivative of the log likelihood, or None.
        parameters: names the parameters in messages.
        clusters: (n,) the cluster of each contribution, for `cluster_robust`; needs scores and Hessian.

    Raises:
        InferenceError: if the information is singular, or the Hessian not that of a maximum; names the parameters.
    """
    covariances: dict[str, FloatArray] = {}
    bread = None
    if hessian is not None:
        bread = invert_information(-_symmetric(hessian), parameters, "the Hessian of the log likelihood")
    if scores is not None and bread is not None:
        covariances["robust"] = _symmetric(bread @ (scores.T @ scores) @ bread)
        if clusters is not None:
            covariances["cluster_robust"] = _symmetric(bread @ _cluster_meat(scores, clusters) @ bread)
    if bread is not None:
        covariances["hessian"] = bread
    if scores is not None:
        covariances["jacobian"] = invert_information(scores.T @ scores, parameters, "the scores of the contributions")
    return covariances


def invert_information(information: FloatArray, parameters: ParameterMap, source: str) -> FloatArray:
    """The inverse of an information matrix (P, P).

    Raises:
        InferenceError: where it is not positive definite to working precision; names the parameters involved.
    """
    if not np.isfinite(information).all():
        raise InferenceError(f"{source}: the derivatives are not finite, so there are no standard errors.")
    inverse, null_space = invert_definite(information)
    if inverse is None:
        raise InferenceError(
            f"{source} do not identify the parameters {parameters.names(null_space)}: a change of these is not seen, "
            "or this is no optimum. Fix some of them, add moments or data, or look at the estimate."
        )
    return inverse


def normal_statistics(
    values: FloatArray, variances: FloatArray, free: np.ndarray[Any, np.dtype[np.bool_]], level: float = 0.95
) -> dict[str, np.ndarray[Any, Any]]:
    """Standard errors, two-sided normal intervals and p-values of N estimates.

    A fixed parameter is known: its standard error is 0, its interval its value, its p-value NaN and it has no stars.

    Args:
        values: (N,) estimates.
        variances: (N,) their variances.
        free: (N,) False for fixed parameters.
        level: probability of the interval, in (0, 1).

    Returns:
        Columns `value, standard_error, ci_lower, ci_upper, p_value, free, stars`, each (N,).
    """
    from scipy.special import ndtr, ndtri

    if not 0 < level < 1:
        raise InferenceError(f"ci_level is {level}; it must lie strictly between 0 and 1.")
    errors = np.where(free, np.sqrt(np.clip(variances, 0.0, None)), 0.0)
    half_width = float(ndtri(0.5 + level / 2)) * errors
    ratio = np.divide(np.abs(values), errors, out=np.full_like(errors, np.inf), where=errors > 0)
    p_value = np.where(free & np.isfinite(errors), 2.0 * ndtr(-ratio), np.nan)
    return {
        "value": values,
        "standard_error": errors,
        "ci_lower": values - half_width,
        "ci_upper": values + half_width,
        "p_value": p_value,
        "free": free,
        "stars": stars(p_value),
    }


def stars(p_value: FloatArray) -> np.ndarray[Any, Any]:
    """Significance stars, (N,) of text: three below 0.01, two below 0.05, one below 0.1."""
    marks = np.full(p_value.shape, "", dtype=object)
    for threshold, mark in reversed(_STAR_LEVELS):
        marks[p_value < threshold] = mark
    return marks


def _cluster_meat(scores: FloatArray, clusters: np.ndarray[Any, Any]) -> FloatArray:
    codes, names = pd.factorize(clusters)
    if len(codes) != len(scores) or (codes < 0).any():
        raise InferenceError(
            f"clusters has {len(codes)} entries, {int((codes < 0).sum())} of them missing, for {len(scores)} "
            "contributions; give every contribution one cluster."
        )
    n_clusters = len(names)
    if n_clusters < 2:
        raise InferenceError("all contributions are in one cluster; clustered standard errors need at least two.")
    sums = np.stack([np.bincount(codes, weights=column) for column in scores.T], axis=1)
    return np.asarray(sums.T @ sums * (n_clusters / (n_clusters - 1)))


def _symmetric(matrix: FloatArray) -> FloatArray:
    return 0.5 * (matrix + matrix.T)
