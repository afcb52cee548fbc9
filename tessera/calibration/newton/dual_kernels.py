"""Compiled passes of the calibration mode: weights, their slopes and totals at given duals, and importance of records.

With mu (n_cells, n_metrics) the duals summed into cells, u_i = mu_cell(i) . v_i, v_i the record's value row, and F the
derivative of the conjugate Phi of the distance phi (see `dual_options`):

    w_i = d_i F(u_i),   slope_i = d_i F'(u_i),   value = sum_i d_i Phi(u_i),   Phi(0) = 0,  Phi' = F

    chi_square  F = clip(1 + u, lower, upper)
    entropy     F = clip(exp(u), lower, upper)
    logit       F = (lower (upper - 1) + upper (1 - lower) e) / (upper - 1 + (1 - lower) e),  e = exp(A u),
                A = (upper - lower) / ((1 - lower) (upper - 1))

Vectors over records are float32 in the order of the matrix's layout; totals and values float64.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from tessera.matrix.rows import BLOCK, precise_products, products, sums

CHI_SQUARE, ENTROPY, LOGIT = range(3)
# Columns of the statistics of a cell: sum of d Phi(u), and records at a bound.
VALUE, AT_BOUND = range(2)

_F = np.float32
_ZERO = _F(0)
_STEEPEST = 60.0  # exponents beyond this are as good as infinite


class Bounds(NamedTuple):
    """Distance (a code above) and bounds of w / d."""

    distance: int
    lower: float
    upper: float


@njit(cache=True, nogil=True, error_model="numpy")
def _chi_square(u, lower, upper, ratio, slope, phi):  # type: ignore[no-untyped-def]
    for j in range(len(u)):
        ratio[j] = min(max(1.0 + u[j], lower), upper)
        slope[j] = 1.0 if (ratio[j] > lower) and (ratio[j] < upper) else 0.0
        inside = ratio[j] - 1.0
        phi[j] = inside + inside * inside / 2.0 + ratio[j] * (u[j] - inside)


@njit(cache=True, nogil=True, error_model="numpy")
def _entropy(u, lower, upper, ratio, slope, phi):  # type: ignore[no-untyped-def]
    low, high = np.log(lower) if lower > 0.0 else -_STEEPEST, np.log(upper)
    for j in range(len(u)):
        inside = min(max(u[j], low), high)
        ratio[j] = np.exp(inside)
        slope[j] = ratio[j] if inside == u[j] else 0.0
        phi[j] = ratio[j] - 1.0 + ratio[j] * (u[j] - inside)


@njit(cache=True, nogil=True, error_model="numpy")
def _logit(u, lower, upper, ratio, slope, phi):  # type: ignore[no-untyped-def]
    below, above, width = 1.0 - lower, upper - 1.0, upper - lower
    factor = width / (below * above)
    for j in range(len(u)):
        x = min(max(factor * u[j], -_STEEPEST), _STEEPEST)
        e = np.exp(x)
        bottom = above + below * e
        ratio[j] = (lower * above + upper * below * e) / bottom
        slope[j] = (ratio[j] - lower) * (upper - ratio[j]) / (below * above)
        inside = x / factor
        phi[j] = lower * inside + width / factor * np.log(bottom / width) + ratio[j] * (u[j] - inside)


@njit(cache=True, nogil=True, error_model="numpy")
def weight_pass(first, last, ptr, row, table, design, mu, bounds, weight, slope, totals, statistics):  # type: ignore[no-untyped-def]
    """Weights, slopes, totals and statistics of the cells [first, last) at the duals `mu`.

    Duals may be large and cancel each other, so products with them and all that follows are float64; only what is
    stored for each record is float32.
    """
    u, ratio, curve, phi = np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK), np.empty(BLOCK)
    sum_of_block = np.empty(totals.shape[1], _F)
    for cell in range(first, last):
        total = totals[cell]
        total[:] = 0.0
        value, bound = 0.0, 0
        for begin in range(ptr[cell], ptr[cell + 1], BLOCK):
            end = min(begin + BLOCK, ptr[cell + 1])
            n, rows = end - begin, row[begin:end]
            precise_products(table, rows, mu[cell], u[:n])
            if bounds.distance == CHI_SQUARE:
                _chi_square(u[:n], bounds.lower, bounds.upper, ratio, curve, phi)
            elif bounds.distance == ENTROPY:
                _entropy(u[:n], bounds.lower, bounds.upper, ratio, curve, phi)
            else:
                _logit(u[:n], bounds.lower, bounds.upper, ratio, curve, phi)
            for j in range(n):
                d = np.float64(design[begin + j])
                bound += curve[j] == 0.0
                value += d * phi[j]
                weight[begin + j] = d * ratio[j]
                slope[begin + j] = d * curve[j]
            sums(table, rows, weight[begin:end], sum_of_block)
            for k in range(len(total)):
                total[k] += sum_of_block[k]
        statistics[cell, VALUE] = value
        statistics[cell, AT_BOUND] = bound


@njit(cache=True, nogil=True, error_model="numpy")
def importance_pass(first, last, ptr, row, squares, price, weight, out):  # type: ignore[no-untyped-def]
    """out = weight * sqrt(sum_k v_k^2 price_k) of each record; `squares` is the table of squared values."""
    everyone = np.ones(BLOCK, _F)
    for cell in range(first, last):
        for begin in range(ptr[cell], ptr[cell + 1], BLOCK):
            end = min(begin + BLOCK, ptr[cell + 1])
            part = out[begin:end]
            products(squares, row[begin:end], everyone[: end - begin], price[cell], part)
            for j in range(end - begin):
                part[j] = weight[begin + j] * np.sqrt(max(part[j], _ZERO))
