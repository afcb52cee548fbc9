"""FitOptions: every setting of the fit, checked when it is made.

The objective, over log-weights a_i and gate parameters alpha_i (z_i is the hard concrete gate, see `gates`):

    sum_t g_t ((M (exp(a) z))_t - y_t)^2 / s_t^2  +  lambda_l0 * sum_i P(z_i > 0)  +  lambda_l2 * sum_i (c exp(a_i))^2

g_t weighs target t: 1, or by groups. Loss scale. "relative": s_t = |y_t| + relative_floor, which is symmetric in the
sign of y and never zero; the published recipe divides by y + 1, which is singular at y = -1 and lopsided below it, and
is the same for y >= 0. "squared": s_t = 1.

Scale of the l2 penalty. The recipe was tuned with weights of about 25 households (130 million over 5.16 million
clones); raw squares of the weights would make the same lambda ten thousand times stronger with a hundredth of the
clones. So c = l2_mean_weight / (mean initial weight): at production scale c = 1. None takes raw weights, as the recipe.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tessera.calibration.checks import choice, fold, number, whole

Device = Literal["auto", "cpu", "cuda"]
LossGroups = Literal["none", "variable", "level", "level_variable", "source"]


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
        loss_groups: targets are put into groups by these columns, and each group weighs the same in the loss, so that
            eighteen age targets do not outvote one of SNAP; "none" weighs each target the same. The weights of all
            targets sum to their number, so that a price keeps its meaning.
        group_multipliers: (group, factor) pairs on top, a group being named by its columns joined by "/"
            ("snap", "district/snap").
        holdout_folds, holdout_fold: targets are dealt into that many folds by a hash of their names; those of the
            fold named leave the loss and stay in the logs. None holds out nothing.
        records: record budget. A controller then finds the price of a record which leaves about so many, and lambda_l0
            is not used; a surplus at the end is closed by the smallest gates. It wants some 300 epochs. No budget if
            there are no more records than that.
        patience, plateau: the sampled epochs end early, going over to the falling learning rate, when the best loss
            of the last `patience` epochs is not below (1 - plateau) times the best one before; None never.
        shrink: leave out of the passes the clones whose gate is not expected to open again (see `active`); saves up to
            three quarters of the time and changes results by less than another seed does.
        seed: of the jitters and the gates' noise.
        log_frequency: epochs between entries of the target log; None logs the end only.
        device: "auto" takes a CUDA device where there is one and else the CPU, "cuda" is refused where there is none.
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
    loss_groups: LossGroups = "none"
    group_multipliers: tuple[tuple[str, float], ...] = ()
    holdout_folds: int = 10
    holdout_fold: int | None = None
    records: int | None = None
    patience: int | None = None
    plateau: float = 1e-3
    shrink: bool = True
    seed: int = 42
    log_frequency: int | None = None
    device: Device = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        number("FitOptions.lambda_l0", self.lambda_l0, 0.0, math.inf)
        number("FitOptions.lambda_l2", self.lambda_l2, 0.0, math.inf)
        number("FitOptions.gamma", self.gamma, -math.inf, 0.0, open_ends=True)
        number("FitOptions.zeta", self.zeta, 1.0, math.inf, open_ends=True)
        number("FitOptions.decay_share", self.decay_share, 0.0, 1.0)
        number("FitOptions.keep_probability", self.keep_probability, 0.0, 1.0, open_ends=True)
        for name in ("log_weight_jitter", "gate_jitter"):
            number(f"FitOptions.{name}", getattr(self, name), 0.0, math.inf)
        for name in ("beta", "learning_rate", "polish_rate", "relative_floor"):
            number(f"FitOptions.{name}", getattr(self, name), 0.0, math.inf, open_ends=True)
        for name in ("max_weight_ratio", "l2_mean_weight"):
            if getattr(self, name) is not None:
                number(f"FitOptions.{name}", getattr(self, name), 0.0, math.inf, open_ends=True)
        number("FitOptions.plateau", self.plateau, 0.0, 1.0)
        whole("FitOptions.epochs", self.epochs, 1)
        whole("FitOptions.holdout_folds", self.holdout_folds, 2)
        fold("FitOptions.holdout_fold", self.holdout_fold, self.holdout_folds)
        for group, factor in self.group_multipliers:
            number(f"FitOptions.group_multipliers[{group!r}]", factor, 0.0, math.inf)
        whole("FitOptions.polish_epochs", self.polish_epochs, 0)
        whole("FitOptions.seed", self.seed, 0)
        for name in ("log_frequency", "threads", "records", "patience"):
            if getattr(self, name) is not None:
                whole(f"FitOptions.{name}", getattr(self, name), 1)
        choice("FitOptions.loss", self.loss, ("relative", "squared"))
        choice("FitOptions.loss_groups", self.loss_groups, ("none", "variable", "level", "level_variable", "source"))
        choice("FitOptions.device", self.device, ("auto", "cpu", "cuda"))

    @property
    def total_epochs(self) -> int:
        """Steps in all, with sampled gates and of the polish."""
        return self.epochs + self.polish_epochs

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, for manifests and checkpoints."""
        return asdict(self)
