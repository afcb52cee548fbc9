"""Pictures of the target database are pictures, the same each time, and small enough for metadata."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.diagnostics import target_plots
from tessera.diagnostics.canvas import MAX_BYTES
from tessera.errors import TesseraError
from tessera.targets import report
from tests.targets.small import small_figures


def test_targets_by_source() -> None:
    counts = report.counts(small_figures())
    png = target_plots.targets_by_source(counts)
    assert png.startswith(b"\x89PNG") and len(png) < MAX_BYTES
    assert png == target_plots.targets_by_source(counts)
    assert png != target_plots.targets_by_source(counts.assign(state=counts["state"] * 2))


def test_forty_sources_still_fit() -> None:
    numbers = np.arange(40)
    names = [f"agency_publication_{n}_table" for n in numbers]
    levels = {"national": 1 + 0 * numbers, "state": 51 * numbers, "district": 436 * numbers**2, "city": 0 * numbers}
    counts = pd.DataFrame({"source": names, **levels, "total": numbers})
    assert len(target_plots.targets_by_source(counts)) < MAX_BYTES


def test_no_targets_are_refused() -> None:
    with pytest.raises(TesseraError, match="no targets to draw"):
        target_plots.targets_by_source(report.counts(small_figures()).head(0))


def test_fitted_by_level() -> None:
    everything = small_figures()
    png = target_plots.fitted_by_level(everything[everything["geo_level"] == "state"], everything)
    assert png.startswith(b"\x89PNG") and len(png) < MAX_BYTES
    assert png != target_plots.fitted_by_level(everything, everything)
