"""Hard concrete gates, in numpy: the reference that the compiled kernels are tested against.

A gate (Louizos, Welling and Kingma 2018, "Learning sparse neural networks through L0 regularization", ICLR) is a
stretched and clipped binary concrete variable,

    s = sigmoid((noise + alpha) / beta),  z = clip(s (zeta - gamma) + gamma, 0, 1),

with noise = logit(u), u uniform. It is exactly 0 or 1 with positive probability and differentiable in between; the
final gate takes noise = 0. The probability of being open is P(z > 0) = sigmoid(alpha - beta log(-gamma / zeta)).

Noise is counter-based: u depends on (seed, epoch, record) only, by the mixing step of `tessera.random`, of which the
top 24 bits n are kept: u = (n + 0.5) / 2**24, whose odds single precision holds well at both ends. The logit is limited
to that of [1e-6, 1 - 1e-6].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions

ALPHA_LIMIT = 20.0
NOISE_LIMIT = math.log((1 - 1e-6) / 1e-6)
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_OFFSET = 0xD1B54A32D192ED03

FloatArray = npt.NDArray[np.float64]


def epoch_key(seed: int, epoch: int) -> int:
    """64-bit key of an epoch's noise; record i takes mix(key + i)."""
    state = _mix((_mix((seed * _GOLDEN + _OFFSET) & _MASK) * _GOLDEN + epoch + _OFFSET) & _MASK)
    return (state * _GOLDEN + _OFFSET) & _MASK


def gate_noise(key: int, records: npt.NDArray[np.integer]) -> FloatArray:
    """logit of the uniform draw of each record, float64, shape of `records`."""
    with np.errstate(over="ignore"):
        x = np.uint64(key) + records.astype(np.uint64)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    above = (x >> np.uint64(40)).astype(np.float64) + 0.5
    return np.clip(np.log(above) - np.log(2.0**24 - above), -NOISE_LIMIT, NOISE_LIMIT)


def gates(alpha: FloatArray, noise: FloatArray | float, options: FitOptions) -> tuple[FloatArray, FloatArray]:
    """Gates and their slopes in alpha, each of shape (n_records,).

    Args:
        alpha: gate parameters, shape (n_records,).
        noise: logits of uniforms, or 0.0 for the final gates.
        options: with beta, gamma and zeta.
    """
    s = _sigmoid((noise + np.clip(alpha, -ALPHA_LIMIT, ALPHA_LIMIT)) / options.beta)
    stretched = s * (options.zeta - options.gamma) + options.gamma
    inside = (stretched > 0) & (stretched < 1)
    slope = np.where(inside, (options.zeta - options.gamma) * s * (1 - s) / options.beta, 0.0)
    return np.clip(stretched, 0, 1), slope


def open_probability(alpha: FloatArray, options: FitOptions) -> FloatArray:
    """P(z > 0) of each gate, shape (n_records,); its sum is the expected number of records kept."""
    return _sigmoid(np.clip(alpha, -ALPHA_LIMIT, ALPHA_LIMIT) + open_shift(options))


def open_shift(options: FitOptions) -> float:
    """-beta log(-gamma / zeta), the shift of alpha in the open probability."""
    return -options.beta * math.log(-options.gamma / options.zeta)


def _sigmoid(x: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-x))


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
