"""Both modes with both presets on a synthetic problem of a demo's size, with epochs cut short."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.problems import HOUSEHOLDS_IN_NATION, factored_problem
from tessera.calibration.log import target_table
from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.diagnostics.weights import weights_health
from tessera.matrix.package import CalibrationPackage

EPOCHS = {"epochs": 200, "polish_epochs": 100, "device": "cpu"}


@pytest.mark.parametrize(
    ("name", "mode", "changes", "within"),
    [
        ("local", "recipe", EPOCHS, 0.95),
        ("national", "recipe", EPOCHS, 0.95),
        ("local", "calibrate", {}, 0.999),
        ("national", "calibrate", {"records": 30_000}, 0.99),
    ],
)
def test_nearly_every_target_is_within_ten_percent(
    name: str, mode: str, changes: dict[str, object], within: float
) -> None:
    matrix, design = factored_problem(1_000, 50, 20, 10, seed=2)
    assert (matrix.n_records, matrix.n_targets) == (50_000, 9_760)
    outcome = run_fit(CalibrationPackage(matrix, design, {}), FitRequest(name, mode, changes))
    assert (target_table(matrix, outcome.weights)["abs_rel_error"] <= 0.1).mean() >= within
    health = weights_health(outcome.weights)
    assert health.n_nonzero == np.count_nonzero(outcome.weights) == outcome.history["nonzero"].iloc[-1]
    assert health.ess > 10_000
    assert outcome.weights.sum() == pytest.approx(HOUSEHOLDS_IN_NATION, rel=0.3)
