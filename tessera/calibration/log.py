"""Tables of targets against estimates: of given weights, and of the epochs of a fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.matrix.calibration_matrix import CalibrationMatrix

FloatArray = npt.NDArray[np.float64]
_DESCRIPTION = ("name", "variable", "geo_level", "geo_id", "constraints", "source")


def target_table(matrix: CalibrationMatrix, weights: FloatArray) -> pd.DataFrame:
    """Every supported target with its estimate at given weights.

    Args:
        matrix: of n_targets targets.
        weights: shape (n_records,), in households.

    Returns:
        DataFrame of n_targets rows: name, variable, geo_level, geo_id (constraints and source where given), target,
        estimate, error (estimate - target),
        rel_error (error / |target|; of a target of 0 the error itself), abs_rel_error.
    """
    return _with_errors(matrix, matrix.matvec(weights))


def epoch_log(matrix: CalibrationMatrix, epochs: Sequence[int], estimates: Sequence[FloatArray]) -> pd.DataFrame:
    """The tables of several epochs below each other, with a first column `epoch`."""
    tables = [
        _with_errors(matrix, estimate).assign(epoch=epoch) for epoch, estimate in zip(epochs, estimates, strict=True)
    ]
    table = pd.concat(tables, ignore_index=True)
    return table[["epoch", *(column for column in table.columns if column != "epoch")]]


def _with_errors(matrix: CalibrationMatrix, estimate: FloatArray) -> pd.DataFrame:
    target = matrix.target_values
    relative = (estimate - target) / np.where(target == 0, 1.0, np.abs(target))
    known = [column for column in _DESCRIPTION if column in matrix.targets]
    table = matrix.targets[known].reset_index(drop=True)
    return table.assign(
        target=target, estimate=estimate, error=estimate - target, rel_error=relative, abs_rel_error=np.abs(relative)
    )
