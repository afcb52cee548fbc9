"""CalibrationMatrix: the linear map from clone weights to target estimates, held as factors.

M = A B. B (cells * metrics, records) holds each clone's metric values in the rows of its cell; A (targets,
cells * metrics) sums cells into target rows: districts, or parts of them where cities have targets, into districts,
cities, states and the nation. B is not stored either: a clone's values are a row of one value table, that of its
situation (a distinct household x state x county x take-up pattern), and `value_row` says which. Situations with equal
values share a row. As rows are of situations, nothing is left over for a sparse remainder beside them: B is the
gathering of rows, exactly, with every interaction of programmes and every county in it.

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
from tessera.matrix.factor_checks import check_factors, check_targets, vector
from tessera.matrix.metrics import Metrics
from tessera.matrix.row_order import in_order_of_use
from tessera.matrix.supports import NO_CLONE, NO_SUPPORT, WRONG_SIGN, unachievable_reasons

__all__ = ["NO_CLONE", "NO_SUPPORT", "WRONG_SIGN", "CalibrationMatrix", "Layout", "build"]

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from tessera.matrix.rows import Table

SCHEMA_VERSION = 2
_PART = 1 << 18  # elements that are converted at a time, to be hashed

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
        value_table: values of each situation, csr_array float32, shape (n_rows, n_metrics); `build` puts its rows in
            the order in which passes meet them.
        value_row: situation of each record, int32, shape (n_records,).
        cell: geography cell of each record, int32, shape (n_records,).
        cells: district code of each cell, int64, shape (n_cells,).
        aggregation: A, csr_array float64, shape (n_targets, n_cells * n_metrics).
        cell_city: key of the city that each cell lies in, "" for none, str, shape (n_cells,).
    """

    targets: pd.DataFrame
    unachievable: pd.DataFrame
    metric_ids: tuple[str, ...]
    value_table: csr_array
    value_row: IntArray
    cell: IntArray
    cells: npt.NDArray[np.int64]
    aggregation: csr_array
    cell_city: npt.NDArray[np.str_]

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
            for start in range(0, len(array), _PART):
                part = array[start : start + _PART]
                digest.update(np.ascontiguousarray(part if part.dtype.kind == "f" else part.astype(np.int64)).data)
        return digest.hexdigest()

    def cell_values(self, weights: FloatArray) -> FloatArray:
        """Weighted sums of each metric in each cell: B w, float64, shape (n_cells, n_metrics)."""
        from tessera.matrix.kernels import CellThreads, cell_totals

        weights = vector(weights, self.n_records, "weights")
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

        residuals = vector(residuals, self.n_targets, "residuals")
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
        """A plain dict of arrays, sparse matrices and tables, for storage; `from_tree` reads it back.

        Columns of the value table and cells are stored in two bytes each.
        """
        table = self.value_table
        narrow = np.int16 if self.n_cells <= np.iinfo(np.int16).max else np.int32
        return {
            "schema_version": SCHEMA_VERSION,
            "targets": self.targets,
            "unachievable": self.unachievable,
            "metric_ids": np.array(self.metric_ids, dtype=np.str_),
            "value_table": {
                "indptr": table.indptr.astype(np.int64),
                "indices": table.indices.astype(np.uint16),
                "data": table.data,
            },
            "value_row": self.value_row,
            "cell": self.cell.astype(narrow),
            "cells": self.cells,
            "cell_city": self.cell_city,
            "aggregation": self.aggregation,
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> CalibrationMatrix:
        """The matrix of a stored tree; raises `MatrixError` for another schema version or a missing part."""
        from scipy.sparse import csr_array

        _check_tree(tree)
        stored, n_metrics = tree["value_table"], len(tree["metric_ids"])
        # Both in the narrower type: csr_array brings indices and indptr to the wider one of theirs.
        kind = np.int32 if len(stored["data"]) <= np.iinfo(np.int32).max else np.int64
        table = csr_array(
            (stored["data"], stored["indices"].astype(kind), stored["indptr"].astype(kind)),
            shape=(len(stored["indptr"]) - 1, n_metrics),
            dtype=np.float32,
        )
        matrix = cls(
            targets=tree["targets"],
            unachievable=tree["unachievable"],
            metric_ids=tuple(map(str, tree["metric_ids"])),
            value_table=table,
            value_row=np.asarray(tree["value_row"], dtype=np.int32),
            cell=np.asarray(tree["cell"], dtype=np.int32),
            cells=np.asarray(tree["cells"], dtype=np.int64),
            aggregation=csr_array(tree["aggregation"], dtype=np.float64),
            cell_city=np.asarray(tree["cell_city"], dtype=np.str_),
        )
        check_factors(matrix.value_table, matrix.value_row, matrix.cell, matrix.n_cells, matrix.n_metrics)
        if matrix.aggregation.shape != (matrix.n_targets, matrix.n_cells * matrix.n_metrics):
            raise MatrixError(
                f"The stored aggregation has shape {matrix.aggregation.shape}; wanted "
                f"{(matrix.n_targets, matrix.n_cells * matrix.n_metrics)}. Materialise calibration_matrix again."
            )
        return matrix


def _check_tree(tree: Mapping[str, Any]) -> None:
    """Raise `MatrixError` for another schema version or a missing part."""
    version = tree.get("schema_version")
    if version is None or int(version) != SCHEMA_VERSION:
        raise MatrixError(
            f"The stored calibration matrix has schema version {version}; this code reads {SCHEMA_VERSION}. "
            "Materialise calibration_matrix again, or read it with the release that wrote it."
        )
    parts = (
        "targets", "unachievable", "metric_ids", "value_table", "value_row", "cell", "cells", "cell_city",
        "aggregation",
    )  # fmt: skip
    missing = [part for part in parts if part not in tree]
    table = tree.get("value_table", ())
    missing += [f"value_table.{part}" for part in ("indptr", "indices", "data") if part not in table]
    if missing:
        raise MatrixError(f"The stored calibration matrix lacks {', '.join(missing)}; materialise it again.")


def build(
    targets: pd.DataFrame,
    metrics: Metrics,
    value_table: csr_array,
    value_row: npt.NDArray[np.integer[Any]],
    cell: npt.NDArray[np.integer[Any]],
    cells: Sequence[int] | npt.NDArray[np.integer[Any]],
    cell_city: Sequence[str] | npt.NDArray[np.str_] | None = None,
) -> CalibrationMatrix:
    """The calibration matrix, with unachievable targets set aside.

    Args:
        targets: one row a target; `metrics` was compiled from the same rows.
        metrics: what each target measures, and where.
        value_table: values of each situation, shape (n_rows, n_metrics), from `metrics.evaluate`.
        value_row: situation of each record, shape (n_records,).
        cell: index into `cells` of each record, shape (n_records,).
        cells: district code of each cell.
        cell_city: key of the city that each cell lies in, "" for none; none of them does if not given.

    Raises:
        MatrixError: parts that do not fit together, targets or values that are not finite, unknown areas.
    """
    from scipy.sparse import csr_array

    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and named below
        table = csr_array(value_table, dtype=np.float32)
    table.sum_duplicates()
    rows, places = np.asarray(value_row), np.asarray(cell)
    check_factors(table, rows, places, len(cells), len(metrics))
    check_targets(targets, metrics)
    table, rows = in_order_of_use(table, rows, places)
    city = np.full(len(cells), "") if cell_city is None else np.asarray(cell_city, dtype=np.str_)
    everything = CalibrationMatrix(
        targets=targets.reset_index(drop=True),
        unachievable=targets.iloc[:0],
        metric_ids=metrics.ids,
        value_table=table,
        value_row=rows,
        cell=places.astype(np.int32),
        cells=np.asarray(cells, dtype=np.int64),
        aggregation=aggregation_matrix(metrics, [int(code) for code in cells], targets["name"].to_list(), city),
        cell_city=city,
    )
    return _without_unachievable(everything)


def _without_unachievable(matrix: CalibrationMatrix) -> CalibrationMatrix:
    reason = unachievable_reasons(matrix)
    keep = reason == ""
    unachievable = matrix.targets[~keep].assign(reason=reason[~keep].astype(str))
    return replace(
        matrix,
        targets=matrix.targets[keep].reset_index(drop=True),
        unachievable=unachievable.reset_index(drop=True),
        aggregation=matrix.aggregation[np.flatnonzero(keep)],
    )
