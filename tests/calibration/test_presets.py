"""Both presets on the benchmark's synthetic problem of a demo's size, with epochs cut short."""

from __future__ import annotations

import pytest

from benchmarks.fit import measure, problem
from tessera.calibration.presets import preset


@pytest.mark.parametrize("name", ["local", "national"])
def test_nearly_every_target_is_within_ten_percent(name: str) -> None:
    matrix, weights = problem(households=500, clones=100, extra_metrics=0, seed=2)
    assert matrix.n_records == 50_000
    assert matrix.n_targets > 9_000
    figures, result = measure(matrix, weights, preset(name, epochs=200, polish_epochs=100))
    assert figures["share_within"]["10"] >= 0.95
    assert figures["nonzero"] == (result.weights > 0).sum()
    assert figures["effective_sample_size"] > 20_000
    assert 110e6 < result.weights.sum() < 160e6
