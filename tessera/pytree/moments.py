"""Covariances and weights of moments: from whatever form the user holds them in to one aligned matrix.

Moments are any tree of K numbers; the empirical moments fix their order. Their covariance and the weights may be

    a DataFrame (K, K) labelled with the flat names of the moments, rows and columns in any order
    a tree of trees (blocks as in `blocks`), keys and labels in any order
    a tree of K variances (or diagonal weights) with the structure of the moments, or a Series of them by flat name
    an array (K,) or (K, K), or a scipy sparse matrix (K, K), in the order of the empirical moments

Nothing K x K is made of the diagonal forms. Estimating the covariance of moments from data is in `moments_bootstrap`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from tessera.errors import InferenceError, StructureError
from tessera.pytree.estimation.moments_bootstrap import get_moments_cov
from tessera.pytree.estimation.symmetric import SymmetricMatrix
from tessera.pytree.tree import Registry, TreeSpec, tree_leaves

__all__ = ["WeightingMethod", "get_moments_cov", "get_weighting_matrix", "moment_matrix", "weighting_matrix"]

WeightingMethod = Literal["diagonal", "optimal", "identity"]
Singular = Literal["raise", "pseudo"]
_METHODS: tuple[str, ...] = get_args(WeightingMethod)


def get_weighting_matrix(
    moments_cov: Any,
    method: WeightingMethod = "diagonal",
    empirical_moments: Any = None,
    *,
    singular: Singular = "raise",
    moments_registry: Registry | None = None,
    moments_is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """The weights of moments for a given covariance, in the form in which the covariance is given.

    Args:
        moments_cov: covariance of K moments in any form listed at the top of the module.
        method: "diagonal" (one over the variances), "optimal" (inverse of the covariance) or "identity".
        empirical_moments: the tree of moments; needed where `moments_cov` is itself a tree.
        singular: what moments without variance, or that depend on others, do: "raise" for an error that names them,
            "pseudo" for the Moore-Penrose inverse, which gives them no weight of their own.
        moments_registry, moments_is_leaf: what is a container in the tree of moments.

    Returns:
        DataFrame (K, K) labelled with the flat names of the moments for a frame or a tree of trees; Series (K,) for a
        Series or a tree of variances; array or csr_array as given. Give variances to stay free of K x K storage.

    Raises:
        InferenceError: for a singular covariance (see `singular`), or one that is no covariance; names the moments.
        StructureError: for labels or paths that do not match the empirical moments.
    """
    from scipy.sparse import issparse

    labels: pd.Index | None
    if empirical_moments is not None:
        spec = TreeSpec.of(empirical_moments, registry=moments_registry, is_leaf=moments_is_leaf)
        values, labels = _aligned_values(moments_cov, spec, "moments_cov"), spec.index("flat")
    else:
        values, labels = _self_labelled(moments_cov)
    weights = weighting_matrix(method, SymmetricMatrix.of(values, labels, "moments_cov"), singular)
    is_array = isinstance(moments_cov, np.ndarray) or issparse(moments_cov)
    return _in_form_of(values, weights, None if is_array else labels)


def weighting_matrix(method: str, moments_cov: SymmetricMatrix, singular: Singular = "raise") -> SymmetricMatrix:
    """The weights by name for an aligned covariance; `InferenceError` for another name or a singular covariance."""
    labels = moments_cov.labels
    if method == "identity":
        return SymmetricMatrix(np.ones(moments_cov.size), labels, "weights")
    if method == "diagonal":
        variances = SymmetricMatrix(moments_cov.diagonal(), labels, "the diagonal of moments_cov")
        return SymmetricMatrix(variances.inverse(singular).values, labels, "weights")
    if method == "optimal":
        return SymmetricMatrix(moments_cov.inverse(singular).values, labels, "weights")
    raise InferenceError(
        f"there are no weights called {method!r}; choose one of {', '.join(_METHODS)}, or give the weights themselves."
    )


def moment_matrix(values: Any, spec: TreeSpec, name: str) -> SymmetricMatrix:
    """A covariance or weighting matrix, aligned with the moments by path and label.

    Args:
        values: any form listed at the top of the module.
        spec: structure of the empirical moments.
        name: what messages call the matrix.

    Raises:
        StructureError: for labels or paths that are missing, extra or re-sized; names them.
        InferenceError: for numbers that cannot be a covariance or weights.
    """
    labels = spec.index("flat")
    if isinstance(values, SymmetricMatrix):
        return SymmetricMatrix.of(values.values, labels, name)
    return SymmetricMatrix.of(_aligned_values(values, spec, name), labels, name)


def _aligned_values(values: Any, spec: TreeSpec, name: str) -> Any:
    from scipy.sparse import issparse

    from tessera.pytree.blocks import frame_to_matrix

    if issparse(values) or isinstance(values, np.ndarray):
        if values.shape in {(spec.size, spec.size), (spec.size,)}:
            return values
        if (
            isinstance(values, np.ndarray)
            and spec.n_leaves == 1
            and values.shape
            in {
                spec.shapes[0],
                spec.shapes[0] * 2,
            }
        ):
            return _tree_values(values, spec, name)
        raise StructureError(
            f"{name} has the shape {values.shape}, but there are {spec.size} moments: give ({spec.size},) or "
            f"({spec.size}, {spec.size}), or a labelled form."
        )
    if isinstance(values, pd.DataFrame) and values.shape == (spec.size, spec.size) and not _is_single(spec, values):
        return frame_to_matrix(values, spec, spec)
    if isinstance(values, pd.Series) and not _is_single(spec, values):
        return _by_label(values, spec, name)
    return _tree_values(values, spec, name)


def _tree_values(values: Any, spec: TreeSpec, name: str) -> Any:
    """Numbers of a tree of variances (K,), or of a tree of trees (K, K)."""
    from tessera.pytree.blocks import blocks_to_matrix

    n_given = len(tree_leaves(values))
    if spec.n_leaves > 1 and n_given == spec.n_leaves**2:
        return blocks_to_matrix(values, spec, spec)
    try:
        return spec.ravel(values)
    except StructureError as error:
        if spec.n_leaves == 1:
            return blocks_to_matrix(values, spec, spec)
        raise StructureError(
            f"{name} has {n_given} leaves; a tree of variances would have those of the moments, {spec.n_leaves}, and a "
            f"tree of covariances {spec.n_leaves**2}. As a tree of variances: {error}"
        ) from error


def _is_single(spec: TreeSpec, values: pd.DataFrame | pd.Series) -> bool:
    """Whether a pandas object is labelled as the moments themselves are, these being a single Series or frame."""
    if spec.n_leaves != 1 or spec.paths[0] != ():
        return False
    own = spec.labels(0)
    if not own or own[0] is None or set(own[0]) != set(values.index):
        return False
    return isinstance(values, pd.Series) == (len(own) == 1)


def _by_label(values: pd.Series, spec: TreeSpec, name: str) -> Any:
    index = spec.index("multi" if isinstance(values.index, pd.MultiIndex) else "flat")
    missing, extra = index.difference(values.index, sort=False), values.index.difference(index, sort=False)
    if len(missing) or len(extra) or values.index.has_duplicates:
        raise StructureError(
            f"{name} is labelled otherwise than the moments: missing {list(missing[:8])}, extra {list(extra[:8])}"
            f"{', with duplicates' if values.index.has_duplicates else ''}. Give it the flat names of the moments."
        )
    return values.reindex(index).to_numpy(dtype=np.float64)


def _self_labelled(moments_cov: Any) -> tuple[Any, pd.Index | None]:
    """Numbers and labels of a covariance that needs no tree of moments beside it: a frame, a Series or an array."""
    from scipy.sparse import issparse

    if isinstance(moments_cov, pd.DataFrame):
        if set(moments_cov.index) != set(moments_cov.columns) or moments_cov.index.has_duplicates:
            raise StructureError(
                "the rows and columns of moments_cov have different or repeated labels; both must be the flat names of "
                "the moments. For another form give empirical_moments too."
            )
        return moments_cov.loc[:, moments_cov.index].to_numpy(dtype=np.float64), moments_cov.index
    if isinstance(moments_cov, pd.Series):
        return moments_cov.to_numpy(dtype=np.float64), moments_cov.index
    if issparse(moments_cov) or isinstance(moments_cov, np.ndarray):
        return moments_cov, None
    raise StructureError(
        f"moments_cov is a tree ({type(moments_cov).__name__}); give empirical_moments too, so that it can be told "
        "whether its leaves are variances or covariances."
    )


def _in_form_of(values: Any, weights: SymmetricMatrix, labels: pd.Index | None) -> Any:
    """Weights as the covariance was: a vector or a matrix, with labels or without."""
    from scipy.sparse import csr_array, issparse

    if issparse(values):
        if weights.storage == "sparse":
            return weights.values
        places = np.arange(weights.size)
        return csr_array((weights.diagonal(), (places, places)), shape=(weights.size, weights.size))
    if values.ndim == 1:
        vector = weights.diagonal()
        return vector if labels is None else pd.Series(vector, index=labels, name="weight")
    return weights.dense() if labels is None else pd.DataFrame(weights.dense(), index=labels, columns=labels)
