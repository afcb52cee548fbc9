"""Health of a weight vector: how many records carry it, and how unevenly.

Effective sample size is Kish's (1965): (sum w)^2 / sum w^2; the design effect is records over it. Holds no targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.errors import FitError


@dataclass(frozen=True)
class WeightHealth:
    """Figures about weights.

    Attributes:
        n_records, n_nonzero: all records, and those with a weight above 0.
        total: sum of the weights, in households.
        mean, median, largest: of the weights above 0.
        effective_sample_size: number of equally weighted records that would be as precise.
        design_effect: n_nonzero / effective_sample_size, at least 1.
        top_1_percent_share: share of the total that the heaviest 1 % of the records above 0 carry (at least one).
    """

    n_records: int
    n_nonzero: int
    total: float
    mean: float
    median: float
    largest: float
    effective_sample_size: float
    design_effect: float
    top_1_percent_share: float


def weight_health(weights: npt.NDArray[np.float64]) -> WeightHealth:
    """Figures about weights of shape (n_records,); raises `FitError` if one is negative or not finite, or all are 0."""
    weights = np.asarray(weights, dtype=np.float64)
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise FitError(f"Weight {int(bad[0])} is {weights[bad[0]]}; wanted finite weights of at least 0.")
    positive = np.sort(weights[weights > 0])[::-1]
    if positive.size == 0:
        raise FitError(f"All {len(weights)} weights are 0; lower lambda_l0 or fit for fewer epochs.")
    total = float(positive.sum())
    effective = total**2 / float(np.sum(positive**2))
    return WeightHealth(
        n_records=len(weights),
        n_nonzero=positive.size,
        total=total,
        mean=total / positive.size,
        median=float(np.median(positive)),
        largest=float(positive[0]),
        effective_sample_size=effective,
        design_effect=positive.size / effective,
        top_1_percent_share=float(positive[: max(1, round(positive.size / 100))].sum()) / total,
    )
