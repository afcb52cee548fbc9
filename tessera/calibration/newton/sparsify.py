"""Thinning calibrated weights to a record budget: by a draw, or by the gates of the recipe.

A draw goes by importance: the size of what a record contributes to its targets, relative to them,

    importance_i = w_i sqrt(sum_t (m_ti / s_t)^2),

and a record's chance is proportional to the mean of its importance and its weight, each relative to its own mean, and
at most 1. Chances in proportion to importance make the summed relative variance of the targets' estimates as small as a
sample of that size can (a Neyman allocation); the weight's share keeps weights even, which an analysis of something
else than the targets needs. The draw is systematic along the matrix's layout, so that every cell, and in it every
stretch of value rows, gets its share of records to within one. A drawn record starts with its weight over its chance.

Source: Särndal, Swensson and Wretman 1992, "Model assisted survey sampling", sections 3.6 and 12.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.calibration.dual_options import DualOptions
from tessera.calibration.newton.dual_kernels import importance_pass
from tessera.calibration.options import FitOptions
from tessera.calibration.target_weights import held_out
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.kernels import CellThreads
from tessera.matrix.rows import DenseTable, Table
from tessera.random import uniform

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class DrawnRecords:
    """The records that thinning leaves.

    Attributes:
        records: their numbers, ascending, int64, shape (n,).
        weights: that each starts its second calibration with, float64, shape (n,).
    """

    records: npt.NDArray[np.int64]
    weights: FloatArray


def thin(matrix: CalibrationMatrix, weights: FloatArray, options: DualOptions) -> DrawnRecords:
    """About `options.records` records and their weights, by the way that the options name; see `draw_records`."""
    return (draw_records if options.thinning == "draw" else gate_records)(matrix, weights, options)


def gate_records(matrix: CalibrationMatrix, weights: FloatArray, options: DualOptions) -> DrawnRecords:
    """The records that a fit of hard concrete gates from the calibrated weights leaves open, with the fit's weights."""
    from tessera.calibration.fit import fit

    gates = FitOptions(
        lambda_l0=1e-6, lambda_l2=0.0, epochs=options.gate_epochs, polish_epochs=options.gate_epochs // 3,
        relative_floor=options.relative_floor, records=options.records, holdout_folds=options.holdout_folds,
        holdout_fold=options.holdout_fold, seed=options.seed, threads=options.threads, device="cpu",
    )  # fmt: skip
    found = fit(matrix, weights, gates).weights
    records = np.flatnonzero(found)
    return DrawnRecords(records, found[records])


def draw_records(matrix: CalibrationMatrix, weights: FloatArray, options: DualOptions) -> DrawnRecords:
    """A sample of `options.records` records.

    Args:
        matrix: of n_records records.
        weights: calibrated, shape (n_records,), in households.
        options: with records, seed and the fold held out, whose targets lend no importance.
    """
    assert options.records is not None
    importance = importance_of(matrix, weights, options)
    placed = weights[matrix.layout.order]
    score = importance / importance.mean() + placed / placed.mean() if importance.any() else placed
    chance = chances(score, options.records)
    places = systematic(chance, float(uniform(f"fit/records/{options.seed}", 0)))
    records = matrix.layout.order[places].astype(np.int64)
    by_number = np.argsort(records)
    drawn = placed[places] / chance[places]
    return DrawnRecords(records[by_number], drawn[by_number])


def importance_of(matrix: CalibrationMatrix, weights: FloatArray, options: DualOptions) -> FloatArray:
    """Importance of each record in the order of the layout, float64, shape (n_records,)."""
    fitted = ~held_out(matrix.targets, options.holdout_folds, options.holdout_fold)
    scale = np.abs(matrix.target_values) + options.relative_floor
    price = matrix.aggregation.power(2).T @ (fitted / scale**2)
    layout = matrix.layout
    weight, out = weights[layout.order].astype(np.float32), np.empty(matrix.n_records, dtype=np.float32)
    with CellThreads(matrix.cell_work, options.threads) as cells:
        cells.run(
            importance_pass, layout.ptr, layout.row, _squared(matrix.table),
            price.astype(np.float32).reshape(matrix.n_cells, matrix.n_metrics), weight, out,
        )  # fmt: skip
    return out.astype(np.float64)


def chances(score: FloatArray, n: int) -> FloatArray:
    """Chances in proportion to a score, at most 1, that sum to n (or to the number of positive scores, if fewer)."""
    certain = np.zeros(len(score), dtype=bool)
    n = min(n, int(np.count_nonzero(score)))
    while True:
        rest = np.where(certain, 0.0, score)
        chance = np.where(certain, 1.0, rest / (rest.sum() or 1.0) * (n - certain.sum()))
        over = ~certain & (chance >= 1)
        if not over.any():
            return chance
        certain |= over


def systematic(chance: FloatArray, start: float) -> npt.NDArray[np.int64]:
    """Places drawn: those at which the running sum of the chances passes start, start + 1, ...; start in (0, 1)."""
    reached = np.floor(np.cumsum(chance) - start)
    return np.flatnonzero(np.diff(reached, prepend=-1.0) > 0)


def _squared(table: Table) -> Table:
    if isinstance(table, DenseTable):
        return DenseTable(table.values**2)
    return table._replace(data=table.data**2)
