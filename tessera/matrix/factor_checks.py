"""Checks of the parts that a calibration matrix is made of: lengths, ranges, finite values, targets with a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import MatrixError
from tessera.matrix.metrics import Metrics

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_MAX_METRICS = np.iinfo(np.uint16).max


def vector(values: npt.NDArray[np.float64], length: int, what: str) -> npt.NDArray[np.float64]:
    """A contiguous float64 vector; raises `MatrixError` for another shape than (length,)."""
    result = np.ascontiguousarray(values, dtype=np.float64)
    if result.shape != (length,):
        raise MatrixError(f"The {what} have shape {result.shape}; wanted ({length},).")
    return result


def check_targets(targets: pd.DataFrame, metrics: Metrics) -> None:
    """Raise `MatrixError` for a table that the metrics were not compiled from, or a value that is not finite."""
    if len(targets) != len(metrics.metric_of_target):
        raise MatrixError(
            f"{len(targets)} targets, but metrics of {len(metrics.metric_of_target)}; compile the metrics of the same "
            "table."
        )
    if "value" not in targets:
        raise MatrixError(f"The target table has no column value; it has {', '.join(map(str, targets.columns))}.")
    value = targets["value"].to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(value))
    if bad.size:
        name = targets["name"].iloc[int(bad[0])]
        raise MatrixError(
            f"Target {name!r} (row {int(bad[0])}) has the value {value[bad[0]]}; {bad.size} targets are not finite. "
            "Correct or drop them."
        )


def check_factors(
    table: csr_array, value_row: npt.NDArray[Any], cell: npt.NDArray[Any], n_cells: int, n_metrics: int
) -> None:
    """Raise `MatrixError` for parts that do not fit together, or a value that is not finite (float32)."""
    if table.shape[1] != n_metrics or n_metrics > _MAX_METRICS:
        raise MatrixError(
            f"The value table has {table.shape[1]} columns for {n_metrics} metrics; wanted one a metric and at most "
            f"{_MAX_METRICS}. Evaluate the metrics that the targets were compiled to."
        )
    if value_row.ndim != 1 or value_row.shape != cell.shape:
        raise MatrixError(f"value_row has shape {value_row.shape}, cell {cell.shape}; wanted one number a record each.")
    for name, index, size in (("value_row", value_row, table.shape[0]), ("cell", cell, n_cells)):
        bad = np.flatnonzero((index < 0) | (index >= size))
        if bad.size:
            record = int(bad[0])
            raise MatrixError(f"{name}[{record}] is {index[record]}; wanted 0 to {size - 1} ({bad.size} are outside).")
    broken = np.flatnonzero(~np.isfinite(table.data))
    if broken.size:
        row = int(np.searchsorted(table.indptr, broken[0], side="right")) - 1
        raise MatrixError(
            f"Value row {row}, metric {int(table.indices[broken[0]])} is {table.data[broken[0]]}; {broken.size} values "
            "are not finite (float32). Check the engine's values of that situation."
        )
