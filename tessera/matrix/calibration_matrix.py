"""CalibrationMatrix: the linear map from clone weights to target estimates, held as factors.

M = A B. B (cells * metrics, records) holds each clone's metric values in the rows of its cell; A (targets,
cells * metrics) sums cells into target rows. B is not stored either: a clone's values are a row of one value table,
that of its situation (a distinct household x state x county x take-up pattern), and `value_row` says which.

Vectors over records are in record order (clone-major); inside, clones are grouped by cell. Holds no weights and no fit.
Values are float32 (as the rules engine computes them), sums float64. Results do not depend, to the bit, on threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import MatrixError
from tessera.matrix.aggregation import aggregation_matrix
from tessera.matrix.metrics import Metrics

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from tessera.matrix.rows import Table

SCHEMA_VERSION = 1
_MAX_METRICS = np.iinfo(np.uint16).max
NO_CLONE = "the area holds no clone"
NO_SUPPORT = "no clone of the area has a non-zero value"
WRONG_SIGN = "every non-zero value of the area's clones has the sign opposite to the target's"

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Layout:
    """Records grouped by cell, and by value row within a cell (neighbouring reads of the value table).

    Attributes:
        order: record at each place, int32, shape (n_records,).
        ptr: first place of each cell, int64, shape (n_cells + 1,).
        row: value row at each place, int32, shape (n_records,).
    """

    order: IntArray
    ptr: npt.NDArray[np.int64]
    row: IntArray


@dataclass(frozen=True)
class CalibrationMatrix:
    """The calibration matrix of n_targets supported targets and n_records clones.

    Attributes:
        targets: supported targets, one row each, with at least name, variable, geo_level, geo_id, value.
        unachievable: targets that no weights can reach, the same columns and `reason`.
        metric_ids: columns of the value table, in order.
        value_table: values of each situation, csr_array float32, shape (n_rows, n_metrics).
        value_row: situation of each record, int32, shape (n_records,).
        cell: geography cell of each record, int32, shape (n_records,).
        cells: district code of each cell, int64, shape (n_cells,).
        aggregation: A, csr_array float64, shape (n_targets, n_cells * n_metrics).
    """

    targets: pd.DataFrame
    unachievable: pd.DataFrame
    metric_ids: tuple[str, ...]
    value_table: csr_array
    value_row: IntArray
    cell: IntArray
    cells: npt.NDArray[np.int64]
    aggregation: csr_array

    @property
    def n_records(self) -> int:
        """Number of clones, the columns of M."""
        return len(self.value_row)

    @property
    def n_targets(self) -> int:
        """Number of supported targets, the rows of M."""
        return len(self.targets)

    @property
    def n_cells(self) -> int:
        """Number of geography cells."""
        return len(self.cells)

    @property
    def n_metrics(self) -> int:
        """Number of columns of the value table."""
        return len(self.metric_ids)

    @property
    def target_values(self) -> FloatArray:
        """Values to reach, float64, shape (n_targets,), dollars or counts."""
        return self.targets["value"].to_numpy(dtype=np.float64)

    @cached_property
    def layout(self) -> Layout:
        """Records grouped by cell; worked out once."""
        order = np.lexsort((self.value_row, self.cell)).astype(np.int32)
        ptr = np.concatenate([[0], np.cumsum(np.bincount(self.cell, minlength=self.n_cells))]).astype(np.int64)
        return Layout(order, ptr, self.value_row[order])

    @cached_property
    def factors(self) -> tuple[npt.NDArray[Any], ...]:
        """What every kernel starts with: ptr, order, row, and the value table's indptr, indices (uint16), data."""
        table, layout = self.value_table, self.layout
        return (
            layout.ptr, layout.order, layout.row,
            table.indptr.astype(np.int64), table.indices.astype(np.uint16), table.data,
        )  # fmt: skip

    @cached_property
    def table(self) -> Table:
        """The value table in the form in which passes over blocks of records are faster (see `rows`)."""
        from tessera.matrix.rows import table_form

        return table_form(self.value_table)

    @cached_property
    def cell_work(self) -> FloatArray:
        """Work of a pass over each cell, in values read (a record counts as ten), shape (n_cells,)."""
        length = np.diff(self.value_table.indptr)[self.value_row] + 10.0
        return np.bincount(self.cell, weights=length, minlength=self.n_cells).astype(np.float64, copy=False)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of everything that a fit depends on; equal for equal matrices."""
        digest = hashlib.blake2b(digest_size=16)
        table, aggregation = self.value_table, self.aggregation
        for array in (
            self.value_row, self.cell, table.indptr, table.indices, table.data, self.target_values,
            aggregation.indptr, aggregation.indices, aggregation.data,
        ):  # fmt: skip
            digest.update(str((array.shape, array.dtype.kind)).encode())
            digest.update(np.ascontiguousarray(array if array.dtype.kind == "f" else array.astype(np.int64)).data)
        return digest.hexdigest()

    def cell_values(self, weights: FloatArray) -> FloatArray:
        """Weighted sums of each metric in each cell: B w, float64, shape (n_cells, n_metrics)."""
        from tessera.matrix.kernels import CellThreads, cell_totals

        weights = _vector(weights, self.n_records, "weights")
        totals = np.empty((self.n_cells, self.n_metrics))
        with CellThreads(self.cell_work) as threads:
            threads.run(cell_totals, *self.factors, weights, totals)
        return totals

    def matvec(self, weights: FloatArray) -> FloatArray:
        """Estimates of the targets: M w.

        Args:
            weights: shape (n_records,), in households.

        Returns:
            float64, shape (n_targets,), in the targets' units.
        """
        return np.asarray(self.aggregation @ self.cell_values(weights).ravel())

    def rmatvec(self, residuals: FloatArray) -> FloatArray:
        """M' r, the adjoint of `matvec`: float64, shape (n_records,), from r of shape (n_targets,)."""
        from tessera.matrix.kernels import CellThreads, record_sums

        residuals = _vector(residuals, self.n_targets, "residuals")
        duals = np.ascontiguousarray((self.aggregation.T @ residuals).reshape(self.n_cells, self.n_metrics))
        out = np.empty(self.n_records)
        with CellThreads(self.cell_work) as threads:
            threads.run(record_sums, *self.factors, duals, out)
        return out

    def row_sums(self) -> FloatArray:
        """Estimates at unit weights, shape (n_targets,)."""
        return self.matvec(np.ones(self.n_records))

    def subset(self, records: npt.NDArray[np.integer[Any]]) -> CalibrationMatrix:
        """The matrix of some of the records, with the same targets and only the situations that are left.

        Args:
            records: their numbers, ascending, shape (n,).
        """
        used, value_row = np.unique(self.value_row[records], return_inverse=True)
        return replace(
            self, value_table=self.value_table[used], value_row=value_row.astype(np.int32), cell=self.cell[records]
        )

    def to_csr(self) -> csr_array:
        """M itself, csr_array float64, shape (n_targets, n_records): for peers and tests, large at scale."""
        from scipy.sparse import csr_array

        gathered = self.value_table[self.value_row].astype(np.float64)
        shift = np.repeat(self.cell.astype(np.int64) * self.n_metrics, np.diff(gathered.indptr))
        shape = (self.n_records, self.n_cells * self.n_metrics)
        by_record = csr_array((gathered.data, gathered.indices + shift, gathered.indptr), shape=shape)
        matrix: csr_array = csr_array(self.aggregation @ by_record.T)
        matrix.sort_indices()
        return matrix

    def to_tree(self) -> dict[str, Any]:
        """A plain dict of arrays, sparse matrices and tables, for storage; `from_tree` reads it back."""
        return {
            "schema_version": SCHEMA_VERSION,
            "targets": self.targets,
            "unachievable": self.unachievable,
            "metric_ids": np.array(self.metric_ids, dtype=np.str_),
            "value_table": self.value_table,
            "value_row": self.value_row,
            "cell": self.cell,
            "cells": self.cells,
            "aggregation": self.aggregation,
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> CalibrationMatrix:
        """The matrix of a stored tree; raises `MatrixError` for another schema version or a missing part."""
        from scipy.sparse import csr_array

        version = tree.get("schema_version")
        if version is None or int(version) != SCHEMA_VERSION:
            raise MatrixError(
                f"The stored calibration matrix has schema version {version}; this code reads {SCHEMA_VERSION}. "
                "Materialise calibration_matrix again, or read it with the release that wrote it."
            )
        parts = ("targets", "unachievable", "metric_ids", "value_table", "value_row", "cell", "cells", "aggregation")
        missing = [part for part in parts if part not in tree]
        if missing:
            raise MatrixError(f"The stored calibration matrix lacks {', '.join(missing)}; materialise it again.")
        matrix = cls(
            targets=tree["targets"],
            unachievable=tree["unachievable"],
            metric_ids=tuple(map(str, tree["metric_ids"])),
            value_table=csr_array(tree["value_table"], dtype=np.float32),
            value_row=np.asarray(tree["value_row"], dtype=np.int32),
            cell=np.asarray(tree["cell"], dtype=np.int32),
            cells=np.asarray(tree["cells"], dtype=np.int64),
            aggregation=csr_array(tree["aggregation"], dtype=np.float64),
        )
        _check_factors(matrix.value_table, matrix.value_row, matrix.cell, matrix.n_cells, matrix.n_metrics)
        if matrix.aggregation.shape != (matrix.n_targets, matrix.n_cells * matrix.n_metrics):
            raise MatrixError(
                f"The stored aggregation has shape {matrix.aggregation.shape}; wanted "
                f"{(matrix.n_targets, matrix.n_cells * matrix.n_metrics)}. Materialise calibration_matrix again."
            )
        return matrix


def build(
    targets: pd.DataFrame,
    metrics: Metrics,
    value_table: csr_array,
    value_row: npt.NDArray[np.integer[Any]],
    cell: npt.NDArray[np.integer[Any]],
    cells: Sequence[int] | npt.NDArray[np.integer[Any]],
) -> CalibrationMatrix:
    """The calibration matrix, with unachievable targets set aside.

    Args:
        targets: one row a target; `metrics` was compiled from the same rows.
        metrics: what each target measures, and where.
        value_table: values of each situation, shape (n_rows, n_metrics), from `metrics.evaluate`.
        value_row: situation of each record, shape (n_records,).
        cell: index into `cells` of each record, shape (n_records,).
        cells: district code of each cell.

    Raises:
        MatrixError: parts that do not fit together, targets or values that are not finite, unknown areas.
    """
    from scipy.sparse import csr_array

    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and named below
        table = csr_array(value_table, dtype=np.float32)
    table.sum_duplicates()
    rows, places = np.asarray(value_row), np.asarray(cell)
    _check_factors(table, rows, places, len(cells), len(metrics))
    _check_targets(targets, metrics)
    everything = CalibrationMatrix(
        targets=targets.reset_index(drop=True),
        unachievable=targets.iloc[:0],
        metric_ids=metrics.ids,
        value_table=table,
        value_row=rows.astype(np.int32),
        cell=places.astype(np.int32),
        cells=np.asarray(cells, dtype=np.int64),
        aggregation=aggregation_matrix(metrics, [int(code) for code in cells], targets["name"].to_list()),
    )
    return _without_unachievable(everything)


def _without_unachievable(matrix: CalibrationMatrix) -> CalibrationMatrix:
    reason = _reasons(matrix)
    keep = reason == ""
    unachievable = matrix.targets[~keep].assign(reason=reason[~keep].astype(str))
    return CalibrationMatrix(
        targets=matrix.targets[keep].reset_index(drop=True),
        unachievable=unachievable.reset_index(drop=True),
        metric_ids=matrix.metric_ids,
        value_table=matrix.value_table,
        value_row=matrix.value_row,
        cell=matrix.cell,
        cells=matrix.cells,
        aggregation=matrix.aggregation[np.flatnonzero(keep)],
    )


def _reasons(matrix: CalibrationMatrix) -> npt.NDArray[np.object_]:
    """Why each target cannot be reached, "" where it can: by the signs of the values behind each row."""
    records = np.bincount(matrix.cell, minlength=matrix.n_cells).astype(np.float64)
    populated = matrix.aggregation @ np.repeat(records, matrix.n_metrics)
    up, down = (matrix.aggregation @ _signed_totals(matrix, sign) for sign in (1, -1))
    value = matrix.target_values
    reason = np.full(matrix.n_targets, "", dtype=object)
    reason[(value > 0) & (up == 0)] = WRONG_SIGN
    reason[(value < 0) & (down == 0)] = WRONG_SIGN
    reason[(up == 0) & (down == 0)] = NO_SUPPORT
    reason[populated == 0] = NO_CLONE
    return reason


def _signed_totals(matrix: CalibrationMatrix, sign: int) -> FloatArray:
    """Sum of the positive (or the negative) values of each cell and metric, shape (n_cells * n_metrics,)."""
    table = matrix.value_table.copy()
    table.data = np.maximum(table.data * np.float32(sign), np.float32(0))
    return replace(matrix, value_table=table).cell_values(np.ones(matrix.n_records)).ravel()


def _vector(vector: FloatArray, length: int, what: str) -> FloatArray:
    result = np.ascontiguousarray(vector, dtype=np.float64)
    if result.shape != (length,):
        raise MatrixError(f"The {what} have shape {result.shape}; wanted ({length},).")
    return result


def _check_targets(targets: pd.DataFrame, metrics: Metrics) -> None:
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


def _check_factors(
    table: csr_array, value_row: npt.NDArray[Any], cell: npt.NDArray[Any], n_cells: int, n_metrics: int
) -> None:
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
