"""The fit's mathematics in plain numpy over the explicit matrix: slow, short, and what the kernels are tested against.

Holds the full objective with its penalties and closed-form gradient, and Adam's step. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe.gates import gates, open_probability

if TYPE_CHECKING:
    from scipy.sparse import csr_array

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Gradient:
    """The objective and its derivatives, each of shape (n_records,)."""

    objective: float
    by_log_weight: FloatArray
    by_alpha: FloatArray


def gradient(
    matrix: csr_array,
    target: FloatArray,
    scale: FloatArray,
    log_weight: FloatArray,
    alpha: FloatArray,
    noise: FloatArray | float,
    options: FitOptions,
    l2_factor: float = 1.0,
) -> Gradient:
    """Objective and gradient at one draw of the gates.

    Args:
        matrix: M, shape (n_targets, n_records).
        target, scale: shape (n_targets,).
        log_weight, alpha: parameters, shape (n_records,).
        noise: logits of uniforms, shape (n_records,), or 0.0.
        options: prices and shape of the gates.
        l2_factor: c^2, the scale of squared weights.
    """
    weight = np.exp(log_weight)
    gate, slope = gates(alpha, noise, options)
    probability = open_probability(alpha, options)
    error = (matrix @ (weight * gate) - target) / scale
    pull = matrix.T @ (2 * error / scale)
    price = options.lambda_l2 * l2_factor
    value = np.sum(error**2) + options.lambda_l0 * probability.sum() + price * np.sum(weight**2)
    return Gradient(
        objective=float(value),
        by_log_weight=pull * weight * gate + 2 * price * weight**2,
        by_alpha=pull * weight * slope + options.lambda_l0 * probability * (1 - probability),
    )


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015, ICLR) with the usual decays .9 and .999 and epsilon 1e-8, for one parameter vector."""

    mean: FloatArray
    square: FloatArray
    steps: int = 0

    def step(self, parameter: FloatArray, derivative: FloatArray, rate: float) -> FloatArray:
        """The parameter after one step."""
        self.steps += 1
        self.mean = 0.9 * self.mean + 0.1 * derivative
        self.square = 0.999 * self.square + 0.001 * derivative**2
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        return parameter - rate * mean / (np.sqrt(square) + 1e-8)
