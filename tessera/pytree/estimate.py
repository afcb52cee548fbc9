"""Estimation with trees: method of simulated moments and maximum likelihood, with or without the optimisation.

A table of contents. `estimate_msm`, `estimate_ml` optimise and judge the estimate; `msm_inference`, `ml_inference`
judge given parameters. The formulas are in `inference` and `sensitivity`, the results in `results`, covariances and
weights of moments in `moments`.
"""

from __future__ import annotations

from tessera.pytree.estimation.likelihood import estimate_ml, ml_inference
from tessera.pytree.estimation.results import EstimationResult, LikelihoodResult, MomentsResult
from tessera.pytree.estimation.simulated_moments import estimate_msm, msm_inference

__all__ = [
    "EstimationResult",
    "LikelihoodResult",
    "MomentsResult",
    "estimate_ml",
    "estimate_msm",
    "ml_inference",
    "msm_inference",
]
