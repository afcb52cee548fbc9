"""Passes over rows of the value table in blocks of records: products with a dual, and weighted sums.

The value table comes in one of two forms. `DenseTable` holds every value, zeros too, so that a row is one run of memory
that vector instructions read 8 or 16 values at a time; `SparseTable` is CSR. A dense row of K metrics costs what some
K / 8 values of a sparse one cost, so `table_form` takes the dense form from a density of about an eighth on, as long as
it is not too large. Both give the same sums within rounding of single precision; a form is chosen once for a matrix.

A block is at most BLOCK records of one cell: its rows are read for the products, are still in a near cache when they
are read again for the sums, and sums in single precision run over no more than a block.

No loop here takes a view of an array, and none is compiled with reference counting: numba counts by atomic
instructions, and those of a view a row, which also keep the processor from fetching rows ahead, took half of a pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import overload

if TYPE_CHECKING:
    from scipy.sparse import csr_array

BLOCK = 256
DENSE_FROM = 0.12
DENSE_LIMIT_BYTES = 4 << 30
_F = np.float32
_ZERO = _F(0)
_U = np.uint32  # of a row's number: an index without a sign needs no check for one from the end
# Parts of a pass: without reference counting (they allocate nothing), and compiled into the pass that calls them. Else
# the pass that has just been compiled may call other versions of them than the one that is read from the cache, and
# where sums may be reordered, these differ in the last bit.
_PART: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False, "forceinline": True}
PART: dict[str, Any] = _PART | {"cache": True}


class DenseTable(NamedTuple):
    """Values float32, shape (n_rows, n_metrics)."""

    values: npt.NDArray[np.float32]


class SparseTable(NamedTuple):
    """The value table in CSR: indptr int64, indices uint16, data float32; `n_metrics` columns."""

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.uint16]
    data: npt.NDArray[np.float32]
    n_metrics: int


Table = DenseTable | SparseTable


def table_form(table: csr_array) -> Table:
    """The form in which passes over a value table are faster."""
    if _is_dense(table):
        return DenseTable(np.ascontiguousarray(table.toarray(), dtype=np.float32))
    return SparseTable(table.indptr.astype(np.int64), table.indices.astype(np.uint16), table.data, table.shape[1])


def form_bytes(table: csr_array) -> int:
    """Memory that the faster form of a value table takes beside the table itself."""
    n_rows, n_metrics = map(int, table.shape)
    return 4 * n_rows * n_metrics if _is_dense(table) else 2 * int(table.nnz) + 8 * (n_rows + 1)


def _is_dense(table: csr_array) -> bool:
    cells = int(table.shape[0]) * int(table.shape[1])
    return cells > 0 and table.nnz >= DENSE_FROM * cells and 4 * cells <= DENSE_LIMIT_BYTES


@njit(**PART, fastmath={"reassoc", "contract", "nsz"})
def dense_products(table, row, wanted, dual, out):  # type: ignore[no-untyped-def]
    """out[j] = sum_k value[row[j], k] * dual[k]; where wanted is 0 for four rows at a time, 0 instead.

    Four rows at a time share each element of the dual, and their sums do not wait for each other.
    """
    values = table.values
    whole = len(row) - len(row) % 4
    for j in range(0, whole, 4):
        at = bt = ct = dt = _ZERO
        if wanted[j] != _ZERO or wanted[j + 1] != _ZERO or wanted[j + 2] != _ZERO or wanted[j + 3] != _ZERO:
            a, b, c, d = _U(row[j]), _U(row[j + 1]), _U(row[j + 2]), _U(row[j + 3])
            for k in range(len(dual)):
                at += values[a, k] * dual[k]
                bt += values[b, k] * dual[k]
                ct += values[c, k] * dual[k]
                dt += values[d, k] * dual[k]
        out[j], out[j + 1], out[j + 2], out[j + 3] = at, bt, ct, dt
    for j in range(whole, len(row)):
        at, a = _ZERO, _U(row[j])
        for k in range(len(dual)):
            at += values[a, k] * dual[k]
        out[j] = at


@njit(**PART)
def sparse_products(table, row, wanted, dual, out):  # type: ignore[no-untyped-def]
    """out[j] = sum_k value[row[j], k] * dual[k] over the values that are stored; 0 where wanted is 0."""
    indptr, indices, data = table.indptr, table.indices, table.data
    for j in range(len(row)):
        total = _ZERO
        if wanted[j] != _ZERO:
            for k in range(indptr[row[j]], indptr[row[j] + 1]):
                total += data[k] * dual[indices[k]]
        out[j] = total


@njit(**PART, fastmath={"contract"})
def dense_sums(table, row, weight, out):  # type: ignore[no-untyped-def]
    """out[k] = sum_j value[row[j], k] * weight[j], float32; eight rows at a time, to touch `out` less often."""
    values = table.values
    out[:] = _ZERO
    whole = len(row) - len(row) % 8
    for j in range(0, whole, 8):
        a, b, c, d = _U(row[j]), _U(row[j + 1]), _U(row[j + 2]), _U(row[j + 3])
        e, f, g, h = _U(row[j + 4]), _U(row[j + 5]), _U(row[j + 6]), _U(row[j + 7])
        wa, wb, wc, wd = weight[j], weight[j + 1], weight[j + 2], weight[j + 3]
        we, wf, wg, wh = weight[j + 4], weight[j + 5], weight[j + 6], weight[j + 7]
        if (wa != _ZERO or wb != _ZERO or wc != _ZERO or wd != _ZERO) or (
            we != _ZERO or wf != _ZERO or wg != _ZERO or wh != _ZERO
        ):
            for k in range(len(out)):
                first = (values[a, k] * wa + values[b, k] * wb) + (values[c, k] * wc + values[d, k] * wd)
                second = (values[e, k] * we + values[f, k] * wf) + (values[g, k] * wg + values[h, k] * wh)
                out[k] += first + second
    for j in range(whole, len(row)):
        a, wa = _U(row[j]), weight[j]
        if wa != _ZERO:
            for k in range(len(out)):
                out[k] += values[a, k] * wa


@njit(**PART)
def sparse_sums(table, row, weight, out):  # type: ignore[no-untyped-def]
    """As `dense_sums`, over the values that are stored."""
    indptr, indices, data = table.indptr, table.indices, table.data
    out[:] = _ZERO
    for j in range(len(row)):
        if weight[j] != _ZERO:
            for k in range(indptr[row[j]], indptr[row[j] + 1]):
                out[indices[k]] += data[k] * weight[j]


@njit(**PART, fastmath={"reassoc", "contract", "nsz"})
def dense_precise_products(table, row, dual, out):  # type: ignore[no-untyped-def]
    """out[j] = sum_k value[row[j], k] * dual[k], everything but the values in float64."""
    values = table.values
    for j in range(len(row)):
        total, a = 0.0, _U(row[j])
        for k in range(len(dual)):
            total += np.float64(values[a, k]) * dual[k]
        out[j] = total


@njit(**PART)
def sparse_precise_products(table, row, dual, out):  # type: ignore[no-untyped-def]
    """As `dense_precise_products`, over the values that are stored."""
    indptr, indices, data = table.indptr, table.indices, table.data
    for j in range(len(row)):
        total = 0.0
        for k in range(indptr[row[j]], indptr[row[j] + 1]):
            total += np.float64(data[k]) * dual[indices[k]]
        out[j] = total


def products(table, row, wanted, dual, out):  # type: ignore[no-untyped-def]
    """Products of a block's rows with a dual, for either form; for compiled callers only."""
    raise NotImplementedError("products is called from compiled code only; call dense_products or sparse_products.")


def precise_products(table, row, dual, out):  # type: ignore[no-untyped-def]
    """Products in float64 of a block's rows with a dual, for either form; for compiled callers only."""
    raise NotImplementedError("precise_products is called from compiled code only; call dense_precise_products.")


def sums(table, row, weight, out):  # type: ignore[no-untyped-def]
    """Weighted sums of a block's rows, for either form; for compiled callers only."""
    raise NotImplementedError("sums is called from compiled code only; call dense_sums or sparse_sums.")


# An overload has to be a plain function, hence the lambdas.
@overload(products, jit_options=_PART)
def _products(table, row, wanted, dual, out):  # type: ignore[no-untyped-def]
    if table.instance_class is DenseTable:
        return lambda table, row, wanted, dual, out: dense_products(table, row, wanted, dual, out)  # noqa: PLW0108
    return lambda table, row, wanted, dual, out: sparse_products(table, row, wanted, dual, out)  # noqa: PLW0108


@overload(precise_products, jit_options=_PART)
def _precise_products(table, row, dual, out):  # type: ignore[no-untyped-def]
    if table.instance_class is DenseTable:
        return lambda table, row, dual, out: dense_precise_products(table, row, dual, out)  # noqa: PLW0108
    return lambda table, row, dual, out: sparse_precise_products(table, row, dual, out)  # noqa: PLW0108


@overload(sums, jit_options=_PART)
def _sums(table, row, weight, out):  # type: ignore[no-untyped-def]
    if table.instance_class is DenseTable:
        return lambda table, row, weight, out: dense_sums(table, row, weight, out)  # noqa: PLW0108
    return lambda table, row, weight, out: sparse_sums(table, row, weight, out)  # noqa: PLW0108


@njit(**PART)
def dense_gather(table, row, factor, out):  # type: ignore[no-untyped-def]
    """out[j, k] = value[row[j], k] * factor[j]."""
    values = table.values
    for j in range(len(row)):
        a, scale = _U(row[j]), factor[j]
        for k in range(out.shape[1]):
            out[j, k] = values[a, k] * scale


@njit(**PART)
def sparse_gather(table, row, factor, out):  # type: ignore[no-untyped-def]
    """As `dense_gather`, over the values that are stored."""
    indptr, indices, data = table.indptr, table.indices, table.data
    out[: len(row)] = _ZERO
    for j in range(len(row)):
        for k in range(indptr[row[j]], indptr[row[j] + 1]):
            out[j, indices[k]] = data[k] * factor[j]


def gather(table: Table, row: npt.NDArray[np.int32], factor: npt.NDArray[np.float32], out: npt.NDArray[Any]) -> None:
    """Rows of the value table, each times a factor, into the first len(row) rows of `out`, float32."""
    (dense_gather if isinstance(table, DenseTable) else sparse_gather)(table, row, factor, out)
