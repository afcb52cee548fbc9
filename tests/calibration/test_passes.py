"""A pass over the clones: cells side by side or one by one, in one range or many, just compiled or from the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe import kernels
from tessera.calibration.recipe.epochs import Epochs
from tessera.calibration.recipe.kernels import STRETCH, epoch_pass
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]
ROOT = Path(__file__).resolve().parents[2]
OPTIONS = FitOptions(epochs=10, keep_probability=0.7, lambda_l0=1e-3, device="cpu", threads=1)


def passed(matrix: CalibrationMatrix, cuts: list[int]) -> tuple[np.ndarray, ...]:
    """State, totals and statistics after a pass with gradient step, over the cells between the cuts."""
    with Epochs(matrix, np.full(matrix.n_records, 90.0), OPTIONS) as epochs:
        state = epochs.begin()
        duals = np.linspace(-1e-6, 1e-6, state.totals.size, dtype=np.float32).reshape(state.totals.shape)
        step = epochs._step(state, 1, update=True)
        layout = matrix.layout
        for first, last in zip([0, *cuts], [*cuts, matrix.n_cells], strict=True):
            epoch_pass(
                first, last, layout.ptr, layout.order, layout.row, matrix.table, duals, state.records, state.totals,
                state.statistics, step,
            )  # fmt: skip
    return state.records, state.totals, state.statistics


@pytest.mark.parametrize("n_records", [40, 900, 20_000])
def test_the_ranges_of_cells_change_no_bit(make_matrix: MakeMatrix, n_records: int) -> None:
    """Cells of more clones than a stretch, of fewer, and of none; their rows are shared."""
    matrix = make_matrix(n_records, n_metrics=9)
    assert (np.diff(matrix.layout.ptr).max() > 2 * STRETCH) == (n_records == 20_000)
    together = passed(matrix, [])
    for cuts in ([4], [1, 2, 3, 4, 5, 6, 7]):
        for left, right in zip(together, passed(matrix, cuts), strict=True):
            np.testing.assert_array_equal(left, right)


def test_totals_and_statistics_are_those_of_the_state(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(20_000, n_metrics=9)
    records, totals, statistics = passed(matrix, [5])
    layout, values = matrix.layout, matrix.value_table.toarray().astype(np.float64)
    weight, gate = (records[row].astype(np.float64) for row in (kernels.WEIGHT, kernels.GATE))
    assert 0 < np.count_nonzero(gate == 0) < len(gate)
    for cell in range(matrix.n_cells):
        part = slice(layout.ptr[cell], layout.ptr[cell + 1])
        np.testing.assert_allclose(totals[cell], (weight * gate)[part] @ values[layout.row[part]], rtol=1e-6)
        assert statistics[cell, kernels.SQUARED_WEIGHT] == pytest.approx(np.sum(weight[part] ** 2), rel=1e-5)


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([[0, 1, 2], [0, 1, 3], [2, 3, 3]], [3, 3, 3]),
        ([[0, 1, 2], [3, 4, 5], [3, 5, 6], [7, 7, 7]], [1, 3, 3, 4]),
        ([[0, 1, 2], [0, 3, 4], [0, 4, 5]], [1, 3, 3]),  # a row that all have makes no neighbours of them
        ([[], [0, 0], [], [0, 0, 1]], [1, 4, 3, 4]),
    ],
)
def test_neighbours_share_rows(rows: list[list[int]], ends: list[int]) -> None:
    ptr = np.concatenate([[0], np.cumsum([len(part) for part in rows])]).astype(np.int64)
    row = np.concatenate(rows).astype(np.int32)
    found = [kernels._end_of_neighbours(first, len(rows), ptr, row) for first in range(len(rows))]
    assert found == ends


HASH = """
import hashlib
import numpy as np
from tessera.calibration.fit import fit
from tessera.calibration.options import FitOptions
from tests.packages import example_matrix

options = FitOptions(epochs=30, polish_epochs=5, device="cpu", keep_probability=0.9)
print(hashlib.sha256(fit(example_matrix(), np.full(400, 80.0), options).weights.tobytes()).hexdigest())
"""


def test_code_from_the_cache_gives_the_bits_of_code_just_compiled(tmp_path: Path) -> None:
    """Sums that may be reordered, in functions that are compiled more than once, would not."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    found = [
        subprocess.run(
            [sys.executable, "-c", HASH], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbc"))
    assert found[0] == found[1] != ""
