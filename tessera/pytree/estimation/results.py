"""Results of estimations: covariances, standard errors, intervals, summaries and sensitivities in every format.

A result holds flat arrays and the structures of the trees; each method builds the format asked for. `kind` is always
the format: "tree" (like the parameters, or of blocks), "frame" or "series" (labelled with flat names), "array". All
parameters have standard errors, also those that a constraint ties to others; fixed ones have 0, and no p-value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from tessera.errors import InferenceError
from tessera.pytree.blocks import matrix_to_blocks, matrix_to_frame
from tessera.pytree.estimation.inference import LinearMoments, ParameterMap, normal_statistics
from tessera.pytree.estimation.sensitivity import SensitivityKind, sensitivity_measure
from tessera.pytree.estimation.symmetric import FloatArray, SymmetricMatrix
from tessera.pytree.summary import frames_of_columns, trees_of_columns
from tessera.pytree.tree import TreeSpec

MatrixKind = Literal["frame", "tree", "array"]
VectorKind = Literal["tree", "series", "array"]
IndexKind = Literal["flat", "multi"]
_SHOWN_ROWS = 30


@dataclass(frozen=True, eq=False, repr=False)
class EstimationResult:
    """What results of moments and likelihood estimations have in common.

    Attributes:
        params: the estimate, a tree.
        spec: structure of the parameters.
        x: (N,) the estimate as a vector.
        parameters: how the N external parameters follow the free ones.
        optimize_result: the result of the optimisation; None where inference was done at given parameters.
    """

    params: Any
    spec: TreeSpec
    x: FloatArray
    parameters: ParameterMap
    optimize_result: Any = field(default=None, kw_only=True)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods for covariances that this result offers, the default first."""
        raise NotImplementedError

    @property
    def statistics(self) -> Mapping[str, float | int]:
        """Numbers about the whole estimation, shown below tables."""
        raise NotImplementedError

    def _internal_cov(self, method: str) -> FloatArray:
        raise NotImplementedError

    def cov(self, kind: MatrixKind = "frame", *, method: str | None = None, index: IndexKind = "flat") -> Any:
        """The covariance of all parameters: delta method, T V T'.

        Args:
            kind: "frame" (N, N) labelled with flat names, "tree" of trees of blocks, or "array" (N, N).
            method: one of `methods`; None for the first.
            index: labels of the frame, "flat" or "multi", which is easier to select from.

        Raises:
            InferenceError: for an unknown kind or method, or one whose ingredients are singular.
        """
        matrix = self.parameters.covariance(self._internal_cov(self._checked_method(method)))
        return matrix_in_kind(matrix, self.spec, self.spec, kind, index)

    def se(self, kind: VectorKind = "tree", *, method: str | None = None) -> Any:
        """Standard errors of all parameters, as a tree, a Series by flat name or an array (N,)."""
        return self._vector(self._columns(method)["standard_error"], kind)

    def ci(self, kind: VectorKind = "tree", *, method: str | None = None, level: float = 0.95) -> tuple[Any, Any]:
        """Lower and upper ends of normal confidence intervals, each in the kind asked for (see `se`)."""
        columns = self._columns(method, level)
        return self._vector(columns["ci_lower"], kind), self._vector(columns["ci_upper"], kind)

    def p_values(self, kind: VectorKind = "tree", *, method: str | None = None) -> Any:
        """Two-sided p-values of the hypothesis that a parameter is 0, in the kind asked for (see `se`)."""
        return self._vector(self._columns(method)["p_value"], kind)

    def summary(
        self, kind: Literal["frames", "trees"] = "frames", *, method: str | None = None, level: float = 0.95
    ) -> Any:
        """The summary of EEP-01 in format 1 ("frames") or 2 ("trees"); see `summary`."""
        if kind not in {"frames", "trees"}:
            raise InferenceError(f"there is no kind {kind!r} of summary; choose frames or trees.")
        columns = self._columns(method, level)
        return frames_of_columns(columns, self.spec) if kind == "frames" else trees_of_columns(columns, self.spec)

    def summary_frame(
        self, *, method: str | None = None, level: float = 0.95, index: IndexKind = "flat"
    ) -> pd.DataFrame:
        """The summary of all parameters in one frame with N rows."""
        return pd.DataFrame(self._columns(method, level), index=self.spec.index(index))

    def _columns(self, method: str | None, level: float = 0.95) -> dict[str, np.ndarray[Any, Any]]:
        variances = self.parameters.variances(self._internal_cov(self._checked_method(method)))
        return normal_statistics(self.x, variances, self.parameters.free, level)

    def _checked_method(self, method: str | None) -> str:
        chosen = self.methods[0] if method is None else method
        if chosen not in self.methods:
            raise InferenceError(f"there is no method {method!r} here; choose one of {', '.join(self.methods)}.")
        return chosen

    def _vector(self, values: FloatArray, kind: VectorKind) -> Any:
        if kind == "tree":
            return self.spec.unravel(values)
        if kind == "series":
            return pd.Series(values, index=self.spec.index("flat"))
        if kind == "array":
            return values
        raise InferenceError(f"there is no kind {kind!r} of vector; choose tree, series or array.")

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value:.6g}" for name, value in self.statistics.items())
        lines = [
            f"{type(self).__name__}: {self.spec.size} parameters ({int(self.parameters.free.sum())} free), {facts}"
        ]
        if self.optimize_result is not None:
            outcome = "converged" if self.optimize_result.success else "did not converge"
            lines.append(f"optimisation {outcome}: {self.optimize_result.message}")
        table = self.summary_frame().head(_SHOWN_ROWS).to_string(float_format="{:.5g}".format)
        lines += [f"standard errors: {self.methods[0]}", table]
        if self.spec.size > _SHOWN_ROWS:
            lines.append(f"... and {self.spec.size - _SHOWN_ROWS} more parameters; see summary()")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False, repr=False)
class MomentsResult(EstimationResult):
    """Result of a method-of-moments estimation.

    Attributes:
        model: the linearised moments with weights and covariance, K moments.
        moments_spec: structure of the moments.
        empirical, simulated: (K,) moments of the data and at the estimate.
        external_jacobian: (K, N) d simulated moments / d external parameters.
    """

    model: LinearMoments
    moments_spec: TreeSpec
    empirical: FloatArray
    simulated: FloatArray
    external_jacobian: FloatArray

    @property
    def methods(self) -> tuple[str, ...]:
        """robust (for any weights) and optimal (what the best weights would give)."""
        return ("robust", "optimal")

    @property
    def statistics(self) -> Mapping[str, float | int]:
        """Number of moments and value of the criterion."""
        return {"Moments": self.moments_spec.size, "Criterion": self.criterion}

    @property
    def criterion(self) -> float:
        """(simulated - empirical)' W (simulated - empirical)."""
        gap = self.simulated - self.empirical
        return float(gap @ (self.model.weights @ gap))

    @property
    def jacobian(self) -> pd.DataFrame:
        """d simulated moments / d parameters, (K, N) labelled with flat names.

        Under constraints and without a closed form it is taken along the feasible directions only.
        """
        return matrix_to_frame(self.external_jacobian, self.moments_spec, self.spec)

    @property
    def weights(self) -> Any:
        """The weights: a Series (K,) where they are diagonal, a csr_array where sparse, else a frame (K, K)."""
        return self._labelled(self.model.weights, "weight")

    @property
    def moments_cov(self) -> Any:
        """The covariance of the empirical moments, in the form of `weights`."""
        return self._labelled(self.model.moments_cov, "variance")

    def sensitivity(
        self, kind: SensitivityKind = "bias", as_: MatrixKind = "frame", *, index: IndexKind = "flat"
    ) -> Any:
        """How much each parameter depends on each moment; measures and sources are in `sensitivity`.

        Args:
            kind: "bias", "noise", "noise_fundamental", "removal", "removal_fundamental" or "weighting".
            as_: "frame" (N, K), parameters by moments, "tree" of trees of blocks, or "array".
            index: labels of the frame.

        Raises:
            InferenceError: for an unknown kind; for the fundamental ones where the covariance of moments is singular.
        """
        return matrix_in_kind(sensitivity_measure(self.model, kind), self.spec, self.moments_spec, as_, index)

    def moments_fit(self) -> pd.DataFrame:
        """Empirical and simulated moments, their difference, and the difference in standard deviations of the data."""
        gap = self.simulated - self.empirical
        deviation = np.sqrt(self.model.moments_cov.diagonal())
        scaled = np.divide(gap, deviation, out=np.full_like(gap, np.nan), where=deviation > 0)
        columns = {"empirical": self.empirical, "simulated": self.simulated, "difference": gap, "scaled": scaled}
        return pd.DataFrame(columns, index=self.moments_spec.index("flat"))

    def _internal_cov(self, method: str) -> FloatArray:
        return self.model.robust if method == "robust" else self.model.optimal

    def _labelled(self, matrix: SymmetricMatrix, name: str) -> Any:
        index = self.moments_spec.index("flat")
        if matrix.storage == "diagonal":
            return pd.Series(matrix.values, index=index, name=name)
        return matrix.values if matrix.storage == "sparse" else pd.DataFrame(matrix.values, index=index, columns=index)


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodResult(EstimationResult):
    """Result of a maximum likelihood estimation.

    Attributes:
        loglike: the log likelihood at the estimate.
        n_obs: number of contributions; None where the function returns only the value.
        covariances: covariance (P, P) of the free parameters by method, the default first.
        scores: (n, P) derivatives of the contributions by the free parameters, or None.
        hessian: (P, P) second derivatives of the log likelihood by the free parameters, or None.
    """

    loglike: float
    n_obs: int | None
    covariances: Mapping[str, FloatArray]
    scores: FloatArray | None
    hessian: FloatArray | None

    @property
    def methods(self) -> tuple[str, ...]:
        """What the function and the arguments allow of robust, cluster_robust, hessian and jacobian."""
        return tuple(self.covariances)

    @property
    def statistics(self) -> Mapping[str, float | int]:
        """Number of contributions and log likelihood."""
        observations = {} if self.n_obs is None else {"Observations": self.n_obs}
        return {**observations, "Log likelihood": self.loglike}

    @cached_property
    def information_criteria(self) -> dict[str, float]:
        """Akaike's and Schwarz's criterion with as many parameters as are free."""
        n_free = self.parameters.jacobian.shape[1]
        criteria = {"AIC": 2.0 * n_free - 2.0 * self.loglike}
        if self.n_obs is not None:
            criteria["BIC"] = float(np.log(self.n_obs)) * n_free - 2.0 * self.loglike
        return criteria

    def _internal_cov(self, method: str) -> FloatArray:
        return self.covariances[method]


def matrix_in_kind(
    matrix: FloatArray, outer: TreeSpec, inner: TreeSpec, kind: MatrixKind, index: IndexKind = "flat"
) -> Any:
    """A matrix (outer.size, inner.size) as "frame", "tree" or "array"; `InferenceError` for another kind."""
    if kind == "frame":
        return matrix_to_frame(matrix, outer, inner, index)
    if kind == "tree":
        return matrix_to_blocks(matrix, outer, inner)
    if kind == "array":
        return matrix
    raise InferenceError(f"there is no kind {kind!r} of matrix; choose frame, tree or array.")
