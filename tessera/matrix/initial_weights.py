"""Where the fit starts: households that each clone stands for before calibration.

    design    the survey weight of the household over its expected number of clones in the district, scaled so that the
              clones of each district carry its households (`tessera.geography.clones`): the default
    uniform   the public reference's way, which discards survey weights: the households of each district, shared equally
              among the district's active clones, those with a value that some target sums; 0 for the others

The reference shares out persons where the columns are households, and so starts two and a half times too high; here
both ways carry the same households in each district. To stay near the initial weights means something for design
weights only.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tessera.errors import ConfigError
from tessera.geography.clones import Clones
from tessera.matrix.calibration_matrix import CalibrationMatrix

InitialWeights = Literal["design", "uniform"]
KINDS: tuple[InitialWeights, ...] = get_args(InitialWeights)

FloatArray = npt.NDArray[np.float64]


def initial_weights(kind: str, matrix: CalibrationMatrix, clones: Clones) -> FloatArray:
    """Initial weights of a kind, float64, shape (n_records,), households; raises `ConfigError` for an unknown kind."""
    if kind == "design":
        return clones.design_weight
    if kind == "uniform":
        return uniform_weights(matrix, clones)
    raise ConfigError(f"Initial weights {kind!r}; wanted one of {', '.join(KINDS)}.")


def uniform_weights(matrix: CalibrationMatrix, clones: Clones) -> FloatArray:
    """The households of each district in equal parts for its active clones, float64, shape (n_records,)."""
    active = active_records(matrix)
    district = clones.cell
    households = np.bincount(district, clones.design_weight)
    share = households / np.maximum(np.bincount(district, active, minlength=len(households)), 1.0)
    return np.where(active, share[district], 0.0)


def active_records(matrix: CalibrationMatrix) -> npt.NDArray[np.bool_]:
    """Clones with a non-zero value of a metric that some supported target sums there, shape (n_records,)."""
    from tessera.matrix.kernels import CellThreads, covered_records

    aggregation = matrix.aggregation
    targets = np.bincount(
        aggregation.indices[aggregation.data != 0], minlength=matrix.n_cells * matrix.n_metrics
    ).reshape(matrix.n_cells, matrix.n_metrics)
    active = np.empty(matrix.n_records, dtype=bool)
    with CellThreads(matrix.cell_work) as threads:
        threads.run(covered_records, *matrix.factors, targets > 0, active)
    return active
