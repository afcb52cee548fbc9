"""The covariance of moments by the non-parametric bootstrap: rows or clusters of the data are drawn with replacement.

The draws are a function of the seed alone (`tessera.random.generator`). The covariance of K moments from B draws has at
most rank B - 1: for "optimal" weights take more draws than moments; for diagonal weights ask for the variances only,
which takes B x K numbers and nothing K x K.

Source: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapters 6 and 8; for clusters Cameron, Gelbach
and Miller (2008), Review of Economics and Statistics 90 (pairs cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FunctionError, InferenceError, StructureError
from tessera.pytree.estimation.symmetric import FloatArray
from tessera.pytree.tree import Registry, TreeSpec
from tessera.random import generator

CovForm = Literal["frame", "tree", "array", "variances"]
Columns = str | Sequence[str] | npt.NDArray[Any] | None


def get_moments_cov(
    data: pd.DataFrame | pd.Series | npt.NDArray[Any],
    calculate_moments: Callable[..., Any],
    *,
    seed: int,
    n_draws: int = 1000,
    kind: CovForm = "frame",
    moments_kwargs: Mapping[str, Any] | None = None,
    cluster_by: Columns = None,
    weight_by: Columns = None,
    moments_registry: Registry | None = None,
    moments_is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Covariance of the moments of a data set, by bootstrap.

    Args:
        data: n rows that are drawn from; a drawn sample has the type of the data and repeated index labels.
        calculate_moments: called as `calculate_moments(sample, **moments_kwargs)`; returns a tree of K moments.
        seed: of the draws.
        n_draws: number B of samples.
        kind: "frame" for a DataFrame (K, K) labelled with the flat names of the moments, "tree" for a tree of trees,
            "array" for (K, K), "variances" for a Series (K,) by flat name.
        moments_kwargs: further arguments of `calculate_moments`.
        cluster_by: a column, columns, or an array (n,), of clusters that are drawn whole.
        weight_by: a column, or an array (n,), of weights; rows (clusters) are drawn in proportion to their (summed)
            weight.
        moments_registry, moments_is_leaf: what is a container in the tree of moments.

    Raises:
        FunctionError: if `calculate_moments` raises or returns moments that are not finite; names the moments.
        StructureError: if a sample gives moments of another structure than the whole data; names the paths.
        InferenceError: for unusable weights or clusters, or fewer than two draws.
    """
    if kind not in get_args(CovForm):
        raise InferenceError(f"there is no kind {kind!r} of covariance; choose one of {', '.join(get_args(CovForm))}.")
    if n_draws < 2:
        raise InferenceError(f"n_draws is {n_draws}; a covariance needs at least two draws, better hundreds.")
    arguments = dict(moments_kwargs or {})
    moments = _call(calculate_moments, data, arguments, "the whole data")
    spec = TreeSpec.of(moments, registry=moments_registry, is_leaf=moments_is_leaf)
    _check_finite(spec.ravel(moments), spec, "the whole data")
    sampler = _sampler(data, cluster_by, weight_by, generator("pytree/get_moments_cov", seed))
    draws = np.empty((n_draws, spec.size))
    for number in range(n_draws):
        what = f"bootstrap sample {number}"
        sample = _take(data, sampler())
        draws[number] = _flat(spec, _call(calculate_moments, sample, arguments, what), what)
    return _in_form(draws, spec, kind)


def _in_form(draws: FloatArray, spec: TreeSpec, kind: CovForm) -> Any:
    from tessera.pytree.blocks import matrix_to_blocks, matrix_to_frame

    if kind == "variances":
        return pd.Series(draws.var(axis=0, ddof=1), index=spec.index("flat"), name="variance")
    centred = draws - draws.mean(axis=0)
    cov = centred.T @ centred / (len(draws) - 1)
    if kind == "array":
        return cov
    return matrix_to_frame(cov, spec, spec) if kind == "frame" else matrix_to_blocks(cov, spec, spec)


def _call(function: Callable[..., Any], sample: Any, arguments: Mapping[str, Any], what: str) -> Any:
    try:
        return function(sample, **arguments)
    except Exception as error:
        raise FunctionError(f"calculate_moments raised {type(error).__name__} for {what}: {error}") from error


def _flat(spec: TreeSpec, moments: Any, what: str) -> FloatArray:
    try:
        flat = spec.ravel(moments)
    except StructureError as error:
        raise StructureError(
            f"the moments of {what} are built otherwise than those of the whole data: {error} Make calculate_moments "
            "return every moment for every sample, for instance by re-indexing on all groups."
        ) from error
    _check_finite(flat, spec, what)
    return np.asarray(flat)


def _check_finite(flat: FloatArray, spec: TreeSpec, what: str) -> None:
    if not np.isfinite(flat).all():
        names = spec.index("flat")[~np.isfinite(flat)]
        raise FunctionError(
            f"{len(names)} moments of {what} are not finite: {list(names[:8])}. Use moments that exist in every "
            "sample, or clusters that leave no group empty."
        )


def _take(data: Any, rows: npt.NDArray[np.int64]) -> Any:
    return data.iloc[rows] if isinstance(data, pd.DataFrame | pd.Series) else data[rows]


def _sampler(
    data: Any, cluster_by: Columns, weight_by: Columns, rng: np.random.Generator
) -> Callable[[], npt.NDArray[np.int64]]:
    """A function that draws row numbers."""
    n = len(data)
    if n == 0:
        raise InferenceError("data has no rows, so there is nothing to draw from.")
    weights = None if weight_by is None else _weights(_column(data, weight_by, "weight_by"), n)
    if cluster_by is None:
        probabilities = None if weights is None else weights / weights.sum()
        return lambda: rng.choice(n, size=n, p=probabilities)
    codes = _cluster_codes(data, cluster_by)
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    starts = np.cumsum(sizes) - sizes
    mass = None if weights is None else np.bincount(codes, weights=weights)
    probabilities = None if mass is None else mass / mass.sum()

    def draw() -> npt.NDArray[np.int64]:
        drawn = rng.choice(sizes.size, size=sizes.size, p=probabilities)
        lengths = sizes[drawn]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.asarray(order[np.repeat(starts[drawn], lengths) + within])

    return draw


def _cluster_codes(data: Any, cluster_by: Columns) -> npt.NDArray[np.int64]:
    column = _column(data, cluster_by, "cluster_by")
    if isinstance(column, pd.DataFrame):
        codes = column.groupby(list(column.columns), sort=False, dropna=False).ngroup().to_numpy()
        missing = column.isna().any(axis=1).to_numpy()
    else:
        codes, _ = pd.factorize(column)
        missing = codes < 0
    if missing.any():
        raise InferenceError(f"{int(missing.sum())} rows of data have no cluster in cluster_by; drop or fill them.")
    if codes.max() == 0:
        raise InferenceError("cluster_by puts all rows in one cluster; the bootstrap needs at least two.")
    return codes.astype(np.int64)


def _weights(column: Any, n: int) -> FloatArray:
    weights = np.asarray(column, dtype=np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise InferenceError(
            f"weight_by must give {n} finite weights of at least 0, not all 0; it gives shape {weights.shape}, from "
            f"{weights.min(initial=np.inf):.4g} to {weights.max(initial=-np.inf):.4g}."
        )
    return weights


def _column(data: Any, by: Columns, argument: str) -> Any:
    if isinstance(by, np.ndarray):
        if by.shape != (len(data),):
            raise InferenceError(f"{argument} has the shape {by.shape}; wanted one entry for each of {len(data)} rows.")
        return by
    names = [by] if isinstance(by, str) else list(by or ())
    if not isinstance(data, pd.DataFrame) or not set(names) <= set(data.columns):
        missing = names if not isinstance(data, pd.DataFrame) else sorted(set(names) - set(data.columns))
        raise InferenceError(f"{argument} names {missing}, which data does not have; give columns or an array.")
    return data[names[0]] if len(names) == 1 else data[names]
