"""Six measures of how estimates depend on each moment, in closed form: O(K P^2) for diagonal weights and covariance.

With G, W, S, T as in `inference`, A = WG, V the robust and Vo the optimal covariance of the internal parameters, v and
vo the variances of external parameter j, w, s, q the diagonals of W, S, S^-1, U = S^-1 G, for moment k:

    bias                 -(T B^-1 A')_jk                              change of estimate j per unit of bias in moment k
    noise_fundamental    (T Vo U')_jk^2 s_k / vo_j                    relative loss of precision as moment k gets
    noise                bias_jk^2 s_k / v_j                          noisier, with the best and the actual weights
    removal_fundamental  (T Vo U')_jk^2 / (q_k - u_k' Vo u_k) / vo_j  relative loss of precision without moment k,
    removal              (T V~_k T')_jj / v_j - 1                     with the best and the actual weights
    weighting            2 (T B^-1 G')_jk (T B^-1 A'S - T V G')_jk w_k / v_j    as the weight of moment k rises

V~_k is V with row and column k of W set to zero. That changes G'WG by a matrix of rank two, so the Woodbury formula
gives every V~_k from inner products of length-P vectors; no matrix is inverted per moment. The removal of a moment that
alone identifies a parameter gives infinity for that parameter. Rows of fixed parameters are NaN, but 0 for `bias`.

Sources: Andrews, Gentzkow and Shapiro (2017), "Measuring the sensitivity of parameter estimates to estimation moments",
QJE 132, for `bias`; Honore, Jorgensen and de Paula (2020), "The informativeness of estimation moments", Journal of
Applied Econometrics 35, for the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from tessera.errors import InferenceError
from tessera.pytree.estimation.inference import LinearMoments
from tessera.pytree.estimation.symmetric import FloatArray, SymmetricMatrix

SensitivityKind = Literal["bias", "noise", "noise_fundamental", "removal", "removal_fundamental", "weighting"]
SENSITIVITY_KINDS: tuple[str, ...] = get_args(SensitivityKind)
_UNIDENTIFIED = 1e-10


def sensitivity_measure(model: LinearMoments, kind: SensitivityKind = "bias") -> FloatArray:
    """One measure for every external parameter and moment.

    Args:
        model: the linearised moment model.
        kind: which measure, see the top of the module.

    Returns:
        (N, K).

    Raises:
        InferenceError: for an unknown kind; for the fundamental measures where the covariance of moments is singular.
    """
    if kind not in _MEASURES:
        raise InferenceError(f"there is no sensitivity measure {kind!r}; choose one of {', '.join(SENSITIVITY_KINDS)}.")
    return _MEASURES[kind](model)


def _bias(model: LinearMoments) -> FloatArray:
    return -_external(model, model.bread) @ model.weighted.T


def _noise(model: LinearMoments) -> FloatArray:
    return _relative(_bias(model) ** 2 * model.moments_cov.diagonal(), model.parameters.variances(model.robust))


def _noise_fundamental(model: LinearMoments) -> FloatArray:
    effect = _external(model, model.optimal) @ (model.precision @ model.jacobian).T
    return _relative(effect**2 * model.moments_cov.diagonal(), model.parameters.variances(model.optimal))


def _removal_fundamental(model: LinearMoments) -> FloatArray:
    influence = model.precision @ model.jacobian
    effect = _external(model, model.optimal) @ influence.T
    own = model.precision.diagonal()
    left = own - np.einsum("kp,kp->k", influence @ model.optimal, influence)
    variances = model.parameters.variances(model.optimal)
    loss = np.empty_like(effect)
    known = left > _UNIDENTIFIED * own
    loss[:, known] = effect[:, known] ** 2 / left[known]
    moved = effect[:, ~known] ** 2 > _UNIDENTIFIED * variances[:, None] * own[~known]
    loss[:, ~known] = np.where(moved, np.inf, 0.0)
    return _relative(loss, variances)


def _weighting(model: LinearMoments) -> FloatArray:
    half = _external(model, model.bread)
    change = half @ model.noise.T - _external(model, model.robust) @ model.jacobian.T
    change *= 2.0 * (half @ model.jacobian.T) * model.weights.diagonal()
    return _relative(change, model.parameters.variances(model.robust))


def _removal(model: LinearMoments) -> FloatArray:
    """Variances with each moment left out, from the rank-two change -g a' - a g' + w g g' of G'WG.

    g, a, h, c are rows k of G, WG, SWG, WSWG. With Z = [g, a], the new bread times a row t of T is
    y = B^-1 t + B^-1 Z m, m = E^-1 Z' B^-1 t, where E is two by two with determinant -(1 - leverage of the moment).
    """
    g, a, h = model.jacobian, model.weighted, model.noise
    c = model.weights @ h
    w = model.weights.diagonal()
    half, spread = _external(model, model.bread), _external(model, model.robust)
    variances = model.parameters.variances(model.robust)
    bg, ba = g @ model.bread, a @ model.bread
    e11, e12, e22 = -_rows(bg, g), 1.0 - _rows(bg, a), w - _rows(ba, a)
    determinant = e11 * e22 - e12**2
    alone = np.abs(determinant) < _UNIDENTIFIED
    determinant = np.where(alone, 1.0, determinant)
    tg, ta = g @ half.T, a @ half.T
    m1 = (e22[:, None] * tg - e12[:, None] * ta) / determinant[:, None]
    m2 = (e11[:, None] * ta - e12[:, None] * tg) / determinant[:, None]

    def inner(row: FloatArray) -> FloatArray:
        """row_k' y_kj for every moment k and parameter j, (K, N)."""
        return row @ half.T + _rows(row, bg)[:, None] * m1 + _rows(row, ba)[:, None] * m2

    gy, ay = inner(g), inner(a)
    rest = ay - w[:, None] * gy
    meat_g, meat_a = g @ model.robust, a @ model.robust
    quadratic = variances + 2.0 * (m1 * (g @ spread.T) + m2 * (a @ spread.T))
    quadratic += m1**2 * _rows(meat_g, g)[:, None] + m2**2 * _rows(meat_a, a)[:, None]
    quadratic += 2.0 * m1 * m2 * _rows(meat_g, a)[:, None]
    quadratic -= 2.0 * (inner(h) * rest + inner(c) * gy)
    cross, twice = _diagonals(model.weights, model.moments_cov)
    quadratic += model.moments_cov.diagonal()[:, None] * rest**2 + 2.0 * cross[:, None] * rest * gy
    quadratic += twice[:, None] * gy**2
    removed = quadratic.T
    for number in np.flatnonzero(alone).tolist():
        removed[:, number] = _variances_without(model, number)
    return _relative(removed - variances[:, None], variances)


_MEASURES: dict[str, Callable[[LinearMoments], FloatArray]] = {
    "bias": _bias,
    "noise": _noise,
    "noise_fundamental": _noise_fundamental,
    "removal": _removal,
    "removal_fundamental": _removal_fundamental,
    "weighting": _weighting,
}


def _variances_without(model: LinearMoments, number: int) -> FloatArray:
    """Variances (N,) without a moment that some direction of the parameters hangs on: infinite along it."""
    row, weighted = model.jacobian[number], model.weighted[number]
    weight = model.weights.diagonal()[number]
    bread = np.linalg.inv(model.bread) - np.outer(row, weighted) - np.outer(weighted, row)
    bread += weight * np.outer(row, row)
    scale = np.sqrt(np.diagonal(model.bread))
    eigenvalues, vectors = np.linalg.eigh(bread * scale[:, None] * scale)
    # Leaving out one moment costs one rank, so there is exactly one direction that is lost.
    kept = vectors[:, 1:] / np.sqrt(eigenvalues[1:])
    inverse = kept @ kept.T * scale[:, None] * scale
    unit = np.zeros(model.weights.size)
    unit[number] = 1.0
    loads = model.weighted - np.outer(unit, weighted - weight * row) - np.outer(model.weights @ unit, row)
    covariance = inverse @ (loads.T @ (model.moments_cov @ loads)) @ inverse
    lost = np.abs(np.asarray(model.parameters.jacobian @ (scale * vectors[:, 0])))
    is_lost = lost > _UNIDENTIFIED**0.5 * np.sqrt(model.parameters.variances(model.bread))
    return np.where(is_lost, np.inf, model.parameters.variances(covariance))


def _external(model: LinearMoments, internal: FloatArray) -> FloatArray:
    return np.asarray(model.parameters.jacobian @ internal)


def _relative(change: FloatArray, variances: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variances[:, None] > 0, change / variances[:, None], np.nan)


def _rows(one: FloatArray, other: FloatArray) -> FloatArray:
    """The inner product of each row of one array with the same row of another, (K,)."""
    return np.asarray(np.einsum("kp,kp->k", one, other))


def _diagonals(weights: SymmetricMatrix, cov: SymmetricMatrix) -> tuple[FloatArray, FloatArray]:
    """The diagonals of S W and of W S W, (K,) each, with no more K x K work than the storage asks for."""
    w, s = weights.values, cov.values
    if weights.storage == "diagonal":
        cross = w * cov.diagonal()
        return cross, w * cross
    if cov.storage == "diagonal":
        squared = w.multiply(w) if weights.storage == "sparse" else w * w
        return s * weights.diagonal(), np.asarray(squared @ s)
    product = s @ w
    twice = weights.values.multiply(product) if weights.storage == "sparse" else product * weights.dense()
    return np.asarray(product.diagonal()), np.asarray(twice.sum(axis=0)).ravel()
