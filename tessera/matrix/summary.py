"""A package in a few numbers: for people, and for whoever compares packages. Computes no fit."""

from __future__ import annotations

import pandas as pd

from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.package import CalibrationPackage, Fact
from tessera.matrix.supports import nonzeros

_LEVELS = ("national", "state", "district", "city")


def package_facts(package: CalibrationPackage) -> dict[str, Fact]:
    """Sizes, non-zeros, weights, hashes and provenance of a package, by name."""
    matrix = package.matrix
    nnz_b, nnz_m = nonzeros(matrix)
    weights = package.initial_weights
    return {
        "sha256": package.sha256,
        "clones": matrix.n_records,
        "targets": matrix.n_targets,
        "unachievable targets": len(matrix.unachievable),
        "metrics": matrix.n_metrics,
        "cells": matrix.n_cells,
        "rows of the value table": int(matrix.value_table.shape[0]),
        "non-zeros of the value table": int(matrix.value_table.nnz),
        "non-zeros of B": nnz_b,
        "non-zeros of M": nnz_m,
        "households by initial weights": float(weights.sum()),
        "effective sample by initial weights": float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0,
        **package.provenance,
    }


def targets_by_level(matrix: CalibrationMatrix) -> pd.DataFrame:
    """Supported and unachievable targets of each geographic level: columns supported, unachievable; index level."""
    counts = pd.DataFrame(
        {
            "supported": matrix.targets["geo_level"].value_counts(),
            "unachievable": matrix.unachievable["geo_level"].value_counts(),
        }
    )
    present = [level for level in _LEVELS if level in counts.index]
    return counts.reindex(present).fillna(0).astype(int)
