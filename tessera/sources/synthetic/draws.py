"""Draws that the synthetic writers share: stratified uniforms, categories, positive amounts with a heavy top tail.

A stratified uniform puts one draw in each of n equal parts of (0, 1), shuffled: totals of heavy-tailed amounts then
vary little between seeds, at any size of sample. All functions take the generator and are vectorised; arrays have
shape (n,).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_TAIL = 0.99


def stratified(rng: np.random.Generator, n: int) -> Floats:
    """n uniforms in (0, 1), one in each n-th of the interval, in random order."""
    if n == 0:
        return np.empty(0)
    return np.clip((rng.permutation(n) + rng.random(n)) / n, 1e-9, 1 - 1e-9)


def choose(rng: np.random.Generator, values: Sequence[int], shares: Sequence[float], n: int) -> Integers:
    """n draws of `values` in proportion to `shares`, stratified."""
    edges = np.cumsum(np.asarray(shares, dtype=np.float64) / np.sum(shares))
    picked = np.searchsorted(edges, stratified(rng, n), side="right")
    return np.asarray(values, dtype=np.int64)[np.minimum(picked, len(edges) - 1)]


def normal_of(u: Floats) -> Floats:
    """Standard normal quantiles of uniforms (Acklam 2003, rational approximation, relative error below 1.2e-9)."""
    low, high = u < 0.02425, u > 1 - 0.02425
    q = np.sqrt(-2 * np.log(np.where(low, u, np.where(high, 1 - u, 0.5))))
    tail = _ratio(q, _C, _D)
    r = u - 0.5
    middle = r * _polynomial(r * r, _A) / (_polynomial(r * r, _B) * r * r + 1)
    return np.where(low, tail, np.where(high, -tail, middle))


def heavy(u: Floats, *, median: Floats | float, sigma: float, alpha: float) -> Floats:
    """Positive amounts: lognormal up to the 99th percentile, Pareto with exponent `alpha` above it.

    Args:
        u: uniforms, (n,).
        median: median of each draw, scalar or (n,).
        sigma: standard deviation of the logarithm below the tail.
        alpha: Pareto exponent of the tail; smaller is heavier.
    """
    body = np.exp(sigma * normal_of(np.minimum(u, _TAIL)))
    tail = ((1 - _TAIL) / np.maximum(1 - u, 1e-7)) ** (1 / alpha)
    return np.asarray(median * body * np.where(u > _TAIL, tail, 1.0), dtype=np.float64)


def scaled(values: Floats, weights: Floats, total: float) -> Floats:
    """Values times one constant, so that their weighted sum is `total`; unchanged where the sum is not positive."""
    present = float(values @ weights)
    return values * (total / present) if present > 0 else values


def rounded(values: Floats) -> Integers:
    """Dollars as respondents give them: to tens below 1,000, hundreds below 20,000, thousands above 100,000."""
    size = np.abs(values)
    unit = np.select([size < 1_000, size < 20_000, size < 100_000], [10.0, 100.0, 500.0], 1_000.0)
    return (np.round(values / unit) * unit).astype(np.int64)


_A = (-3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.383577518672690e2, -3.066479806614716e1,
      2.506628277459239)  # fmt: skip
_B = (-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1)
_C = (-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968,
      2.938163982698783)  # fmt: skip
_D = (7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416)


def _polynomial(x: Floats, coefficients: Sequence[float]) -> Floats:
    value = np.zeros_like(x)
    for coefficient in coefficients:
        value = value * x + coefficient
    return value


def _ratio(q: Floats, top: Sequence[float], bottom: Sequence[float]) -> Floats:
    return _polynomial(q, top) / (_polynomial(q, bottom) * q + 1)
