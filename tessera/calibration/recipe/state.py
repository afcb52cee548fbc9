"""Where a fit stands between two epochs, and how it starts. Holds arrays; the epochs themselves are in `fit`."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.random import uniform

FloatArray = npt.NDArray[np.float64]
PART = 1 << 16  # records whose parameters are worked out at once, in float64
HISTORY = ("epoch", "loss", "l0", "nonzero", "share_within_10", "lambda_l0")


@dataclass
class FitState:
    """A fit after `epoch` steps.

    Attributes:
        epoch: steps taken.
        sampled: steps with sampled gates in all; fewer than planned after an early stop.
        price: lambda_l0 of the next step.
        records: state of each record in layout order, float32, shape (kernels.N_COLUMNS, n_records).
        totals: of each cell and metric with the gates drawn for the next step, shape (n_cells, n_metrics).
        statistics: of each cell, shape (n_cells, kernels.N_STATISTICS).
        history: a row a step, columns `HISTORY`.
        log_epochs, log_estimates: estimates at the final gates at each logged epoch, each of shape (n_targets,).
    """

    epoch: int
    sampled: int
    price: float
    records: npt.NDArray[np.float32]
    totals: FloatArray
    statistics: FloatArray
    history: list[tuple[float, ...]] = field(default_factory=list)
    log_epochs: list[int] = field(default_factory=list)
    log_estimates: list[FloatArray] = field(default_factory=list)


def starting_state(matrix: CalibrationMatrix, weights: FloatArray, options: FitOptions) -> FitState:
    """The state before the first step: log-weights and gate parameters with their jitters; gates not yet drawn."""
    records = np.zeros((kernels.N_COLUMNS, matrix.n_records), dtype=np.float32)
    largest = largest_log_weight(weights, options)
    keep = options.keep_probability
    for begin in range(0, matrix.n_records, PART):
        part, order = records[:, begin : begin + PART], matrix.layout.order[begin : begin + PART]
        moved = options.log_weight_jitter * _normal("fit/log_weight", options.seed, order)
        part[kernels.LOG_WEIGHT] = np.minimum(np.log(weights[order] + 1e-8) + moved, largest)
        part[kernels.WEIGHT] = np.exp(part[kernels.LOG_WEIGHT])
        moved = options.gate_jitter * _normal("fit/gate", options.seed, order)
        part[kernels.ALPHA] = math.log(keep / (1 - keep)) + moved
    totals = np.zeros((matrix.n_cells, matrix.n_metrics))
    statistics = np.zeros((matrix.n_cells, kernels.N_STATISTICS))
    return FitState(0, options.epochs, options.lambda_l0, records, totals, statistics)


def check_weights(matrix: CalibrationMatrix, weights: FloatArray) -> FloatArray:
    """The initial weights as float64, or `FitError` if they do not fit the matrix."""
    weights = np.ascontiguousarray(weights, dtype=np.float64)
    if weights.shape != (matrix.n_records,):
        raise FitError(f"The initial weights have shape {weights.shape}; wanted ({matrix.n_records},), one a record.")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise FitError(
            f"Initial weight {int(bad[0])} is {weights[bad[0]]} ({bad.size} such weights); wanted finite ones of at "
            "least 0."
        )
    if not weights.any():
        raise FitError("All initial weights are 0; the fit scales weights and needs a start above 0.")
    return weights


def fit_fingerprint(matrix: CalibrationMatrix, weights: FloatArray) -> str:
    """Hash of everything that a fit starts from but its options."""
    digest = hashlib.blake2b(matrix.fingerprint.encode(), digest_size=16)
    digest.update(np.ascontiguousarray(weights).data)
    return digest.hexdigest()


def l2_factor(weights: FloatArray, options: FitOptions) -> float:
    """c^2, the scale of squared weights in the l2 penalty (see `options`)."""
    return 1.0 if options.l2_mean_weight is None else float((options.l2_mean_weight / weights.mean()) ** 2)


def largest_log_weight(weights: FloatArray, options: FitOptions) -> float:
    """Upper limit of the log-weights: that of the option, else what float32 can square."""
    return 40.0 if options.max_weight_ratio is None else math.log(options.max_weight_ratio * float(weights.mean()))


def _normal(label: str, seed: int, record: npt.NDArray[np.int32]) -> FloatArray:
    """Standard normal noise of some records, by Box and Muller's transform of counter-based uniforms."""
    radius = np.sqrt(-2 * np.log(uniform(f"{label}/{seed}", record, 0)))
    return radius * np.cos(2 * np.pi * uniform(f"{label}/{seed}", record, 1))
