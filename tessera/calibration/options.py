"""FitOptions: every setting of the fit, checked when it is made.

The objective, over log-weights a_i and gate parameters alpha_i (z_i is the hard concrete gate, see `gates`):

    sum_t ((M (exp(a) z))_t - y_t)^2 / s_t^2  +  lambda_l0 * sum_i P(z_i > 0)  +  lambda_l2 * sum_i (c exp(a_i))^2

Loss scale. "relative": s_t = |y_t| + relative_floor, which is symmetric in the sign of y and never zero; the published
recipe divides by y + 1, which is singular at y = -1 and lopsided below it, and is the same for y >= 0. "squared":
s_t = 1.

Scale of the l2 penalty. The recipe was tuned with weights of about 25 households (130 million over 5.16 million
clones); raw squares of the weights would make the same lambda ten thousand times stronger with a hundredth of the
clones. So c = l2_mean_weight / (mean initial weight): at production scale c = 1. None takes raw weights, as the recipe.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tessera.errors import FitError

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class FitOptions:
    """Settings of a fit.

    Attributes:
        lambda_l0: price of an open gate, at least 0.
        lambda_l2: price of a squared weight (in units of l2_mean_weight), at least 0.
        beta: temperature of the gates, above 0.
        gamma, zeta: ends to which the gates are stretched, gamma < 0 and zeta > 1.
        learning_rate: of Adam, above 0.
        epochs: steps with sampled gates, at least 1.
        decay_share: share of the epochs, at the end, over which the learning rate falls along a cosine to a twentieth;
            0 keeps it constant, as the recipe.
        polish_epochs: further steps with the final gates held fixed, in which only the weights that survived move.
        polish_rate: learning rate at the start of the polish; it falls along a cosine to nearly 0.
        keep_probability: of the gates at the start, in (0, 1).
        log_weight_jitter, gate_jitter: standard deviations of the noise added to the starting parameters.
        loss: "relative" or "squared".
        relative_floor: added to |y| in the relative loss, above 0, in the target's unit.
        max_weight_ratio: largest weight allowed, as a multiple of the mean initial weight; None for no limit.
        l2_mean_weight: mean weight that lambda_l2 refers to; None takes weights as they are.
        seed: of the jitters and the gates' noise.
        log_frequency: epochs between entries of the target log; None logs the end only.
        device: "auto" and "cpu" take the CPU; "cuda" is refused, as this version has no kernels for it.
        threads: of the CPU kernels, None for all; results do not depend on it.
    """

    lambda_l0: float = 1e-7
    lambda_l2: float = 1e-8
    beta: float = 0.65
    gamma: float = -0.1
    zeta: float = 1.1
    learning_rate: float = 0.15
    epochs: int = 1000
    decay_share: float = 0.25
    polish_epochs: int = 200
    polish_rate: float = 0.05
    keep_probability: float = 0.999
    log_weight_jitter: float = 0.05
    gate_jitter: float = 0.01
    loss: Literal["relative", "squared"] = "relative"
    relative_floor: float = 1.0
    max_weight_ratio: float | None = None
    l2_mean_weight: float | None = 25.0
    seed: int = 42
    log_frequency: int | None = None
    device: Device = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        _number("lambda_l0", self.lambda_l0, 0.0, math.inf)
        _number("lambda_l2", self.lambda_l2, 0.0, math.inf)
        _number("gamma", self.gamma, -math.inf, 0.0, open_ends=True)
        _number("zeta", self.zeta, 1.0, math.inf, open_ends=True)
        _number("decay_share", self.decay_share, 0.0, 1.0)
        _number("keep_probability", self.keep_probability, 0.0, 1.0, open_ends=True)
        for name in ("log_weight_jitter", "gate_jitter"):
            _number(name, getattr(self, name), 0.0, math.inf)
        for name in ("beta", "learning_rate", "polish_rate", "relative_floor"):
            _number(name, getattr(self, name), 0.0, math.inf, open_ends=True)
        for name in ("max_weight_ratio", "l2_mean_weight"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), 0.0, math.inf, open_ends=True)
        _whole("epochs", self.epochs, 1)
        _whole("polish_epochs", self.polish_epochs, 0)
        _whole("seed", self.seed, 0)
        for name in ("log_frequency", "threads"):
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), 1)
        _choice("loss", self.loss, ("relative", "squared"))
        _choice("device", self.device, ("auto", "cpu", "cuda"))

    @property
    def total_epochs(self) -> int:
        """Steps in all, with sampled gates and of the polish."""
        return self.epochs + self.polish_epochs

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, for manifests and checkpoints."""
        return asdict(self)


def _number(name: str, value: float, low: float, high: float, *, open_ends: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not (number and (low < value < high if open_ends else low <= value <= high)):
        between = f"above {low} and below {high}" if open_ends else f"from {low} to {high}"
        raise FitError(f"FitOptions.{name} is {value!r}; wanted a number {between}.")


def _whole(name: str, value: int, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise FitError(f"FitOptions.{name} is {value!r}; wanted a whole number of at least {low}.")


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise FitError(f"FitOptions.{name} is {value!r}; wanted one of {', '.join(allowed)}.")
