"""Small calibration problems, made without geography to speak of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.metrics import compile_metrics

MakeMatrix = Callable[..., CalibrationMatrix]


@pytest.fixture
def make_matrix() -> MakeMatrix:
    """Function that makes a matrix of n_records over eight districts with targets near weights of 100."""

    def make(n_records: int = 400, n_metrics: int = 5, seed: int = 0, spread: float = 0.1) -> CalibrationMatrix:
        rng = np.random.Generator(np.random.Philox(seed))
        cells = [601, 602, 603, 4801, 4802, 3601, 1101, 201]
        n_rows = max(4, n_records // 3)
        table = rng.lognormal(0, 1, (n_rows, n_metrics)) * (rng.random((n_rows, n_metrics)) < 0.6)
        row, cell = rng.integers(0, n_rows, n_records), rng.integers(0, len(cells), n_records)
        places = [("national", "US"), ("state", "CA"), ("state", "TX"), ("district", "CA-02"), ("district", "DC-01")]
        rows = [(f"{g}/{m}", f"amount_{m}", level, g, "[]", 1.0) for m in range(n_metrics) for level, g in places]
        targets = pd.DataFrame(rows, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"])
        metrics = compile_metrics(targets)
        unscaled = build(targets, metrics, csr_array(table), row, cell, cells)
        reachable = unscaled.row_sums() * 100 * np.exp(rng.normal(0, spread, unscaled.n_targets))
        targets = unscaled.targets.assign(value=reachable)
        return build(targets, compile_metrics(targets), csr_array(table), row, cell, cells)

    return make


@pytest.fixture
def dense_matrix() -> Callable[[np.ndarray, np.ndarray], CalibrationMatrix]:
    """Function that makes the matrix M itself, shape (n_targets, n_records), with national targets of given values."""

    def make(values: np.ndarray, target: np.ndarray) -> CalibrationMatrix:
        rows = [(f"t{m}", f"amount_{m}", "national", "US", "[]", y) for m, y in enumerate(target)]
        targets = pd.DataFrame(rows, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"])
        record = np.arange(values.shape[1])
        return build(targets, compile_metrics(targets), csr_array(values.T), record, record * 0, [601])

    return make
