"""Which targets pull hardest, and which contradict each other, as the multipliers of a calibration tell.

The multiplier of a target is what a unit of its relative error costs. At the solution it is the error divided by rho,
so that a target far off has a large one: something pulls against it. That something is another target of the same
metric whose area overlaps and whose multiplier has the other sign, or, where there is none, the bounds of the weights.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.matrix.calibration_matrix import CalibrationMatrix

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BOUNDS = "the bounds of the weights"
# A target counts as missed from this many tolerances on.
_MISSED = 5.0
_LISTED = 500


def dual_table(
    matrix: CalibrationMatrix, fitted: IntArray, dual: FloatArray, rho: float, totals: FloatArray
) -> pd.DataFrame:
    """Every fitted target with its multiplier, hardest first.

    Args:
        matrix: of the targets.
        fitted: rows of the targets that were fitted.
        dual: their multipliers, scaled by the targets, shape of `fitted`.
        rho: relaxation.
        totals: of cells and metrics at the solution.

    Returns:
        DataFrame: row (of the matrix), name, geo_level, geo_id, target, estimate, rel_error, dual, cost (share of the
        objective's relaxation term that the target takes).
    """
    table = matrix.targets.iloc[fitted]
    target = table["value"].to_numpy(dtype=np.float64)
    estimate = (matrix.aggregation @ totals.ravel())[fitted]
    squares = rho * dual**2
    out = pd.DataFrame(
        {
            "row": fitted,
            "name": table["name"].to_numpy(),
            "geo_level": table["geo_level"].to_numpy(),
            "geo_id": table["geo_id"].to_numpy(),
            "target": target,
            "estimate": estimate,
            "rel_error": (estimate - target) / np.where(target == 0, 1.0, np.abs(target)),
            "dual": dual,
            "cost": squares / max(float(squares.sum()), np.finfo(float).tiny),
        }
    )
    return out.iloc[np.argsort(-np.abs(dual), kind="stable")].reset_index(drop=True)


def conflicts_of(matrix: CalibrationMatrix, duals: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Targets missed by more than five tolerances, hardest first, each with what pulls against it.

    Args:
        matrix: of the targets.
        duals: of `dual_table`.
        tolerance: of the calibration.

    Returns:
        DataFrame: name, geo_level, geo_id, target, estimate, rel_error, dual, against (name of the target, or the
        bounds of the weights), against_rel_error (NaN for the bounds); at most 500 rows.
    """
    missed = duals[duals["rel_error"].abs() > _MISSED * tolerance].head(_LISTED)
    aggregation = matrix.aggregation
    dual_of_row = np.zeros(matrix.n_targets)
    dual_of_row[duals["row"]] = duals["dual"]
    error_of_row = np.full(matrix.n_targets, np.nan)
    error_of_row[duals["row"]] = duals["rel_error"]
    by_column = aggregation.tocsc()
    opponents = []
    for row in missed["row"]:
        columns = aggregation.indices[aggregation.indptr[row] : aggregation.indptr[row + 1]]
        meeting = np.unique(by_column[:, columns].indices)
        pull = -np.sign(dual_of_row[row]) * dual_of_row[meeting]
        best = int(np.argmax(pull)) if len(meeting) else 0
        opponents.append(int(meeting[best]) if len(meeting) and pull[best] > 0 else -1)
    against = np.array(opponents, dtype=np.int64)
    names = matrix.targets["name"].to_numpy()
    return missed.drop(columns=["row", "cost"]).assign(
        against=[names[row] if row >= 0 else BOUNDS for row in against],
        against_rel_error=np.where(against >= 0, error_of_row[against], np.nan),
    )
