"""DualOptions: the settings of the calibration mode, checked when they are made.

With design weights d_i, metric values m_ti and targets y_t of scale s_t = |y_t| + relative_floor, the mode minimises

    sum_i d_i phi(w_i / d_i)  +  D / 2 * mean_t ((M w - y)_t / (tolerance s_t))^2, D = sum_i d_i, lower <= w/d <= upper

so that errors of `tolerance` on all targets cost as much as moving each weight by its own size (for chi-square). phi is

    chi_square  (r - 1)^2 / 2            truncated linear: the generalised regression estimator within bounds
    entropy     r log r - r + 1          raking within bounds
    logit       Deville and Särndal's case 6, which never reaches the bounds

The bounds are wide by default. Narrow ones (0.1 to 10) cost hits on targets, in the fit and out of it, where a district
has few clones: docs/performance.md has the table.

Source: Deville and Särndal 1992, "Calibration estimators in survey sampling", JASA 87; relaxation of the targets as in
ridge calibration (Chambers 1996, "Robust case-weighting for multipurpose establishment surveys", JOS 12).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tessera.calibration.checks import choice, fold, number, whole
from tessera.errors import FitError

Thinning = Literal["draw", "gates"]
Distance = Literal["chi_square", "entropy", "logit"]
DISTANCES: tuple[Distance, ...] = ("chi_square", "entropy", "logit")


@dataclass(frozen=True)
class DualOptions:
    """Settings of the calibration mode.

    Attributes:
        distance: phi, see the module.
        lower, upper: bounds of a weight in multiples of its design weight, 0 <= lower < 1 < upper.
        tolerance: relative error of a target that the fit is ready to leave, above 0.
        relative_floor: added to |y| in the scale of a target, above 0, in the target's unit.
        gradient_tolerance: the fit has converged when no target's residual of the optimality conditions is larger,
            relative to the target's scale.
        max_iterations: Newton steps at most.
        records: record budget; None keeps every record. Calibrated weights are thinned, and the records that are left
            are calibrated again (`sparsify`).
        thinning: "draw" samples records by their importance to the targets, in seconds, and is the better one where
            there are several records a target; "gates" fits hard concrete gates from the calibrated weights, which
            picks records that work together, for budgets near the number of targets.
        gate_epochs: of thinning by gates.
        sparse_upper: upper bound of the weights of the records drawn, in multiples of weight / chance of being drawn.
        holdout_folds, holdout_fold: as in `FitOptions`.
        seed: of the sampling.
        threads: None for all; results do not depend on it.
    """

    distance: Distance = "chi_square"
    lower: float = 0.02
    upper: float = 50.0
    tolerance: float = 0.01
    relative_floor: float = 1.0
    gradient_tolerance: float = 1e-5
    max_iterations: int = 100
    records: int | None = None
    thinning: Thinning = "draw"
    gate_epochs: int = 300
    sparse_upper: float = 50.0
    holdout_folds: int = 10
    holdout_fold: int | None = None
    seed: int = 42
    threads: int | None = None

    def __post_init__(self) -> None:
        choice("DualOptions.distance", self.distance, DISTANCES)
        number("DualOptions.lower", self.lower, 0.0, 1.0)
        if self.lower == 1.0:
            raise FitError("DualOptions.lower is 1.0; wanted a number below 1, so that weights can fall.")
        number("DualOptions.upper", self.upper, 1.0, math.inf, open_ends=True)
        number("DualOptions.sparse_upper", self.sparse_upper, 1.0, math.inf, open_ends=True)
        for name in ("tolerance", "relative_floor", "gradient_tolerance"):
            number(f"DualOptions.{name}", getattr(self, name), 0.0, math.inf, open_ends=True)
        choice("DualOptions.thinning", self.thinning, ("draw", "gates"))
        whole("DualOptions.gate_epochs", self.gate_epochs, 1)
        whole("DualOptions.max_iterations", self.max_iterations, 1)
        whole("DualOptions.holdout_folds", self.holdout_folds, 2)
        whole("DualOptions.seed", self.seed, 0)
        for name in ("records", "threads"):
            if getattr(self, name) is not None:
                whole(f"DualOptions.{name}", getattr(self, name), 1)
        fold("DualOptions.holdout_fold", self.holdout_fold, self.holdout_folds)

    def as_dict(self) -> dict[str, Any]:
        """The settings by name, for manifests."""
        return asdict(self)
