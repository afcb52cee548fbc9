"""Synthetic calibration problems of any size, for benchmarks: generated, seeded, without geography to speak of.

`factored_problem` has what production has in size and structure: households with some non-zero values in many metrics
that differ a little by state, clones in distinct districts, targets for every metric in the nation, the states and the
districts, from other weights than the initial ones, contradicting each other by 2 %.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.geography import areas
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.metrics import compile_metrics
from tessera.random import generator

HOUSEHOLDS_IN_NATION = 130e6


def factored_problem(
    households: int, clones: int, metrics: int, nonzeros: int, seed: int = 0, *, district_metrics: int | None = None
) -> tuple[CalibrationMatrix, np.ndarray]:
    """A matrix of households * clones records and 488 * metrics targets, and its design weights.

    Args:
        households, clones: of each household; at most one clone a district.
        metrics, nonzeros: columns of the value table, and how many of them a household has on average.
        seed: of everything.
        district_metrics: metrics that districts have targets of, the first ones; None for all.
    """
    from scipy.sparse import csr_array, random_array

    rng = generator("benchmark/factored", seed)
    cells = np.array(areas.stratum_districts())
    places = np.argsort(rng.random((households, len(cells)), dtype=np.float32), axis=1)[:, :clones]
    cell = np.ascontiguousarray(places.T).ravel().astype(np.int32)
    household = np.tile(np.arange(households, dtype=np.int64), clones)
    state = np.searchsorted(np.unique(cells // 100), cells // 100)
    pairs, value_row = np.unique(state[cell] * households + household, return_inverse=True)
    base = random_array((households, metrics), density=nonzeros / metrics, format="csr", rng=rng, dtype=np.float32)
    base.data = rng.lognormal(0, 1, base.nnz).astype(np.float32)
    table = base[pairs % households]
    table.data = table.data * np.repeat(1 + 0.01 * (pairs // households), np.diff(table.indptr)).astype(np.float32)
    design = np.full(len(cell), HOUSEHOLDS_IN_NATION / len(cell))
    true = design * np.exp(rng.normal(-0.3, 0.8, len(cell)).astype(np.float32))
    targets = _targets(cells, metrics, district_metrics if district_metrics is not None else metrics)
    matrix = build(targets, compile_metrics(targets), csr_array(table), value_row, cell, cells)
    totals = matrix.cell_values(true) * np.exp(rng.normal(0, 0.15, (len(cells), metrics)))
    values = (matrix.aggregation @ totals.ravel()) * _disagreement(matrix.targets, rng)
    return replace(matrix, targets=matrix.targets.assign(value=values)), design


def _targets(cells: np.ndarray, metrics: int, district_metrics: int) -> pd.DataFrame:
    rows = []
    for metric in range(metrics):
        places = [("national", "US"), *(("state", state.usps) for state in areas.states())]
        if metric < district_metrics:
            places += [("district", areas.district_key(int(code))) for code in cells]
        rows += [(level, place, f"synthetic_amount_{metric}", "[]") for level, place in places]
    table = pd.DataFrame(rows, columns=["geo_level", "geo_id", "variable", "constraints"])
    return table.assign(name=table["geo_id"] + "/" + table["variable"], value=1.0)


def _disagreement(targets: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    noise = np.exp(rng.normal(0, 0.02, len(targets)))
    return np.where(targets["geo_level"] == "district", 1.0, noise)
