"""From state values to the calibration matrix: metrics are evaluated state by state, each clone pointing to its row.

Holds the joining only. The value table has one row a clone that the engine simulated; states are read one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from tessera.errors import MatrixError
from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.evaluation import evaluate
from tessera.matrix.metrics import compile_metrics
from tessera.rules.state_values import StateValues


def matrix_from_state_values(
    targets: pd.DataFrame, clones: Clones, state_values: Mapping[str, StateValues]
) -> CalibrationMatrix:
    """The calibration matrix of some targets.

    Args:
        targets: one row a target, as `tessera.targets.selection.read_targets` gives them.
        clones: placement of all clones.
        state_values: postal code -> engine values; a lazy mapping is read one state at a time.

    Raises:
        MatrixError: a clone without engine values, or values of clones that are not of this placement.
    """
    from scipy.sparse import vstack

    metrics = compile_metrics(targets)
    value_row = np.full(clones.n_records, -1, dtype=np.int64)
    blocks = []
    n_rows = 0
    for usps in state_values:
        state = state_values[usps]
        where = clones.state_fips[state.records[state.records < clones.n_records]]
        if len(where) != len(state.records) or (where != areas.state_by_usps(usps).fips).any():
            raise MatrixError(
                f"state_values[{usps}] holds clones that are not placed in {usps}: it was made for another placement. "
                f"Materialise state_values for {usps} again."
            )
        blocks.append(evaluate(metrics, state.values))
        value_row[state.records] = n_rows + np.arange(len(state.records))
        n_rows += len(state.records)
    missing = np.flatnonzero(value_row < 0)
    if missing.size:
        states = sorted({areas.state_by_fips(int(fips)).usps for fips in clones.state_fips[missing]})
        raise MatrixError(
            f"{missing.size} clones in {', '.join(states)} have no engine values. Materialise state_values for these "
            "states, then calibration_matrix."
        )
    return build(targets, metrics, vstack(blocks, format="csr"), value_row, clones.cell, areas.stratum_districts())
