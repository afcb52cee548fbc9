"""Compiled passes over the clones of a range of cells, and the threads that share them out.

B, the values of every clone in the rows of its cell, is never formed: a pass gathers rows of the value table. A kernel
handles the cells [first, last) in order and writes only what belongs to them, so that results do not depend, to the
bit, on the number of threads or on how cells are shared out. Kernels release the interpreter lock and run on plain
threads: no threading layer to be forked by accident, and a fraction of the compile time of parallel loops.

Shapes: ptr (n_cells + 1,) int64, start of each cell's clones in the layout; order (n_records,) int32, the record at
each place of the layout; row (n_records,) int32, its value row; indptr int64, indices uint16, data float32: the value
table in CSR.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tessera.threads import RANGES_A_THREAD, RangeThreads, thread_count

_BLOCK = 256  # clones whose weights are fetched together


@njit(cache=True, nogil=True)
def cell_totals(first, last, ptr, order, row, indptr, indices, data, weights, totals):  # type: ignore[no-untyped-def]
    """totals[cell, metric] = sum of value * weight over the cell's clones; weights float64 in record order.

    Weights lie anywhere in memory; a block of them is fetched before it is used, so that the fetches overlap.
    """
    block = np.empty(_BLOCK)
    for cell in range(first, last):
        line = totals[cell]
        line[:] = 0.0
        for start in range(ptr[cell], ptr[cell + 1], _BLOCK):
            size = min(_BLOCK, ptr[cell + 1] - start)
            for j in range(size):
                block[j] = weights[order[start + j]]
            for j in range(size):
                weight = block[j]
                if weight != 0.0:
                    begin, end = indptr[row[start + j]], indptr[row[start + j] + 1]
                    metrics, values = indices[begin:end], data[begin:end]
                    for k in range(len(values)):
                        line[metrics[k]] += values[k] * weight


@njit(cache=True, nogil=True)
def record_sums(first, last, ptr, order, row, indptr, indices, data, duals, out):  # type: ignore[no-untyped-def]
    """out[record] = sum over metrics of value * duals[cell, metric]; the adjoint of `cell_totals`."""
    for cell in range(first, last):
        dual = duals[cell]
        for i in range(ptr[cell], ptr[cell + 1]):
            begin, end = indptr[row[i]], indptr[row[i] + 1]
            metrics, values = indices[begin:end], data[begin:end]
            total = 0.0
            for k in range(len(values)):
                total += values[k] * dual[metrics[k]]
            out[order[i]] = total


@njit(cache=True, nogil=True)
def cell_supports(first, last, ptr, order, row, indptr, indices, data, above, below):  # type: ignore[no-untyped-def]
    """above[cell, metric] = how many of the cell's clones have a value above 0; below: how many one below 0."""
    for cell in range(first, last):
        above[cell, :] = 0
        below[cell, :] = 0
        for i in range(ptr[cell], ptr[cell + 1]):
            for k in range(indptr[row[i]], indptr[row[i] + 1]):
                if data[k] > 0:
                    above[cell, indices[k]] += 1
                elif data[k] < 0:
                    below[cell, indices[k]] += 1


@njit(cache=True, nogil=True)
def covered_records(first, last, ptr, order, row, indptr, indices, data, covered, out):  # type: ignore[no-untyped-def]
    """out[record] = whether it has a non-zero value of a metric that is covered[cell, metric]."""
    for cell in range(first, last):
        for i in range(ptr[cell], ptr[cell + 1]):
            found = False
            for k in range(indptr[row[i]], indptr[row[i] + 1]):
                if covered[cell, indices[k]] and data[k] != 0:
                    found = True
                    break
            out[order[i]] = found


class CellThreads(RangeThreads):
    """Shares ranges of cells, of about equal work, out to threads.

    Args:
        work: how much work each cell is, any unit, shape (n_cells,).
        threads: number of threads, None for all that there are.
    """

    def __init__(self, work: npt.NDArray[np.number[Any]], threads: int | None = None) -> None:
        count = thread_count(threads)
        parts = count * RANGES_A_THREAD if count > 1 else 1
        cumulative = np.concatenate([[0.0], np.cumsum(work, dtype=np.float64)])
        cuts = np.searchsorted(cumulative, np.linspace(0, cumulative[-1], parts + 1)[1:-1])
        super().__init__(np.unique(np.concatenate([[0], cuts, [len(work)]])).tolist(), count)
