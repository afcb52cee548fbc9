"""The least time that an epoch can take on a device: the bytes that it has to move, over the device's bandwidth.

    bytes = state read and written + layout read + each cell's value rows read once + totals of the cells

A clone's row is counted once for all clones of a cell that share it, as they are neighbours in the layout. What a cache
may keep from one cell to the next is not taken off, and what a pass moves beside this (sums of strips, aggregation) is
not added: both are small where it matters, at many clones. For benchmarks; the fit itself does not use it.
"""

from __future__ import annotations

import numpy as np

from tessera.calibration.recipe import kernels
from tessera.matrix.calibration_matrix import CalibrationMatrix

_FLOAT, _INDEX, _DOUBLE = 4, 4, 8
# Rows of the state that a sampled step reads and writes: all of them.
_READ_AND_WRITTEN = 2 * kernels.N_COLUMNS


def epoch_bytes(matrix: CalibrationMatrix, *, dense: bool = True) -> int:
    """Bytes that one sampled epoch over all clones has to move.

    Args:
        matrix: to be fitted.
        dense: whether the value table is held dense (float32), or in CSR (float32 and an index of four bytes).
    """
    layout, table = matrix.layout, matrix.value_table
    first = np.ones(matrix.n_records, dtype=bool)
    first[1:] = np.diff(layout.row) != 0
    first[layout.ptr[:-1][np.diff(layout.ptr) > 0]] = True
    rows = layout.row[first]
    if dense:
        values = len(rows) * matrix.n_metrics * _FLOAT
    else:
        values = int(np.diff(table.indptr)[rows].sum()) * (_FLOAT + _INDEX) + len(rows) * 2 * _DOUBLE
    clones = matrix.n_records * (_READ_AND_WRITTEN * _FLOAT + 2 * _INDEX)
    totals = matrix.n_cells * matrix.n_metrics * (_DOUBLE + _FLOAT)
    return int(clones + values + totals)


def copy_bandwidth(device: str, *, size: int = 2**30, repeats: int = 10) -> float:
    """Bytes a second that a device moves while it copies `size` bytes, reads and writes counted; best of `repeats`."""
    import time

    import torch

    source = torch.zeros(size, dtype=torch.uint8, device=device)
    goal = torch.empty_like(source)
    on_gpu = source.is_cuda
    seconds = []
    for _ in range(repeats + 1):  # the first one warms up
        started = time.perf_counter()
        goal.copy_(source)
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return 2 * size / min(seconds[1:])


def epoch_floor(matrix: CalibrationMatrix, bytes_per_second: float, *, dense: bool = True) -> float:
    """Seconds that one sampled epoch takes at least at a bandwidth, say that of `copy_bandwidth`."""
    return epoch_bytes(matrix, dense=dense) / bytes_per_second
