"""A small calibration package with everything in it: three levels, two programmes, domains, unachievable targets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.metrics import compile_metrics
from tessera.matrix.package import CalibrationPackage

CELLS = (601, 602, 603, 4801, 4802, 3601, 1101, 201)
PLACES = (("national", "US"), ("state", "CA"), ("state", "TX"), ("district", "CA-02"), ("district", "DC-01"))
ADULTS = '[["age", ">=", 18]]'
# Variable, constraints, source; the last two have no support and the wrong sign.
METRICS = (
    ("snap", "[]", "usda"),
    ("ssi", "[]", "ssa"),
    ("person_count", "[]", "census"),
    ("person_count", ADULTS, "census"),
    ("tanf", "[]", "hhs"),
    ("net_loss", "[]", "irs"),
)
NO_VALUES, NEGATIVE = 4, 5


def example_matrix(n_records: int = 400, seed: int = 0) -> CalibrationMatrix:
    """A matrix with 20 targets that weights near 100 reach, and 10 that none do."""
    rng = np.random.Generator(np.random.Philox(seed))
    n_rows = max(4, n_records // 3)
    table = rng.lognormal(0, 1, (n_rows, len(METRICS))) * (rng.random((n_rows, len(METRICS))) < 0.6)
    table[:, NO_VALUES] = 0.0
    table[:, NEGATIVE] *= -1
    row, cell = rng.integers(0, n_rows, n_records), rng.integers(0, len(CELLS), n_records)
    rows = [
        (
            f"{place}/{variable}{'/adults' if constraints != '[]' else ''}",
            variable,
            level,
            place,
            constraints,
            source,
            1.0,
        )
        for variable, constraints, source in METRICS
        for level, place in PLACES
    ]
    columns = ["name", "variable", "geo_level", "geo_id", "constraints", "source", "value"]
    targets = pd.DataFrame(rows, columns=columns)
    metrics = compile_metrics(targets)
    unscaled = build(targets, metrics, csr_array(table), row, cell, CELLS)
    reachable = unscaled.row_sums() * 100 * np.exp(rng.normal(0, 0.1, unscaled.n_targets))
    targets.loc[: len(reachable) - 1, "value"] = reachable
    return build(targets, metrics, csr_array(table), row, cell, CELLS)


def example_package(n_records: int = 400, seed: int = 0, **provenance: Any) -> CalibrationPackage:
    """A package of `example_matrix`, with initial weights of 80 households."""
    facts = {"scale": "test", "seed": seed, "synthetic": True, **provenance}
    return CalibrationPackage(example_matrix(n_records, seed), np.full(n_records, 80.0), facts)
