"""The invariant: for an area's file, what the matrix says its weights add up to is what the engine computes on it.

For every metric k (variable and constraints) and a file of clones r with weights w:  sum_r w_r V[row(r), k]  must equal
the sum over households of the file of w times the metric evaluated on `Microsimulation`'s values. Differences are
relative to  sum_r w_r |V[row(r), k]|: weights are stored in single precision, and where gains and losses cancel, the
rounding of what cancels is all that is left of the sum. Holds the comparison; the tolerance is the release gate's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.areas.build import records_in_area
from tessera.geography.areas import Area
from tessera.geography.clones import Clones
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.evaluation import evaluate
from tessera.matrix.metrics import Metrics, compile_metrics
from tessera.parallel import fork_map
from tessera.rules.engine import PolicyEngine


@dataclass(frozen=True)
class VerifiedArea:
    """One area's comparison.

    Attributes:
        area: key.
        metrics: one row a metric with `metric`, `matrix`, `engine`, `relative_difference`.
        max_relative_difference: largest of them; the difference itself where both are zero.
    """

    area: str
    metrics: pd.DataFrame
    max_relative_difference: float


def verify_areas(
    verified: Sequence[Area],
    matrix: CalibrationMatrix,
    clones: Clones,
    weights: npt.NDArray[np.float64],
    folder: Path,
    engine: PolicyEngine,
    *,
    workers: int = 1,
) -> list[VerifiedArea]:
    """Compare the written files of some areas with the matrix, all metrics each.

    Args:
        verified: areas whose files lie below `folder`.
        matrix: that the weights were fitted on.
        clones: placement of its records.
        weights: of all clones, as the files were written with, shape (n_records,).
        folder: of area files.
        engine: loads the files.
        workers: processes, forked after the engine is loaded.
    """
    engine.load()
    metrics = compile_metrics(pd.concat([matrix.targets, matrix.unachievable], ignore_index=True))
    column = {name: index for index, name in enumerate(matrix.metric_ids)}
    order = np.array([column[name] for name in metrics.ids])

    def compare(area: Area) -> VerifiedArea:
        inside = records_in_area(area, clones)
        records = inside[weights[inside] > 0]
        rows = matrix.value_table[matrix.value_row[records]]
        ours = np.asarray(rows.astype(np.float64).T @ weights[records])[order]
        gross = np.asarray(abs(rows.astype(np.float64)).T @ weights[records])[order]
        values, stored_weights = engine.compute_file(folder / area.relative_path, metrics.variables)
        theirs = np.asarray(evaluate(metrics, values).T @ stored_weights)
        return _compared(area, metrics, ours, theirs, gross)

    return fork_map(compare, verified, workers)


def _compared(
    area: Area,
    metrics: Metrics,
    ours: npt.NDArray[np.float64],
    theirs: npt.NDArray[np.float64],
    gross: npt.NDArray[np.float64],
) -> VerifiedArea:
    difference = relative_difference(ours, theirs, gross)
    table = pd.DataFrame(
        {"metric": list(metrics.ids), "matrix": ours, "engine": theirs, "relative_difference": difference}
    )
    return VerifiedArea(area.key, table, float(difference.max(initial=0.0)))


def relative_difference(
    ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], gross: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """|ours - theirs| as a share of the larger of `gross` and |theirs|, all of one shape; 0 where everything is 0."""
    scale = np.maximum(gross, np.abs(theirs))
    return np.asarray(np.abs(ours - theirs) / np.where(scale > 0, scale, 1.0))
