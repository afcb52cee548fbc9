"""What a fit through torch needs in a device's memory, and which layout of the value table that allows.

    bytes = state + layout + value table (dense if it fits, else CSR) + sums and aggregation + one chunk's buffers

Holds the plan and the refusal; chooses no device (`device`) and moves nothing. torch is imported inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tessera.calibration.recipe import kernels
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

# Clones of a cell that are summed together (see `torch_pass`).
STRIP = 256
_CHUNK_BYTES = 2**29
# Of a chunk, a value: the row, the gathered dual, the product in float64. A clone: what Adam, gates and noise need.
_BYTES_PER_VALUE, _BYTES_PER_CLONE = 16, 160
_SHARE = 0.9  # of the free memory that may be planned for; the rest is left to the libraries on the device
_GIGA = 1e9
_ADVICE = (
    "End other programs on that device, choose a larger device, build the matrix with fewer clones or metrics, or fit "
    "with device='cpu'. A checkpoint, if one was kept, is intact: resume from it."
)


@dataclass(frozen=True)
class MemoryPlan:
    """How a fit fits into a device.

    Attributes:
        dense: whether the value table is held dense.
        chunk_records: clones gathered at once by the fused operations.
        needed: bytes that the fit takes.
        free: bytes that were free.
    """

    dense: bool
    chunk_records: int
    needed: int
    free: int


def require_memory(matrix: CalibrationMatrix, device: str, *, free: int | None = None) -> MemoryPlan:
    """The plan with which a fit of this matrix fits into a device.

    Args:
        matrix: to be fitted.
        device: of torch: "cuda", "cuda:1", "cpu".
        free: bytes that may be used; None asks the device.

    Raises:
        FitError: it does not fit; says how much is needed, how much there is, and what to change.
    """
    available = free_memory(device) if free is None else free
    usable = int(available * _SHARE)
    for dense in (True, False):
        fixed = _fixed_bytes(matrix, dense)
        records = min(matrix.n_records, max(STRIP, _CHUNK_BYTES // _clone_bytes(matrix)))
        # Halved, not cut to measure: a reduction's order may depend on its shape, and a run should repeat itself.
        while fixed + records * _clone_bytes(matrix) > usable and records > STRIP:
            records = max(STRIP, records // 2)
        needed = fixed + records * _clone_bytes(matrix)
        if needed <= usable:
            return MemoryPlan(dense, records, needed, available)
    raise FitError(
        f"{_fit_of(matrix)} needs {needed / _GIGA:.3g} GB on {device}, of which {available / _GIGA:.3g} GB are free "
        f"and {usable / _GIGA:.3g} GB may be used. {_ADVICE}"
    )


@contextmanager
def short_of_memory(matrix: CalibrationMatrix, device: str, plan: MemoryPlan) -> Iterator[None]:
    """Turns torch's errors for lack of memory into a `FitError` that says what was planned and what to change."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise FitError(
            f"{_fit_of(matrix)} ran out of memory on {device}: {plan.needed / _GIGA:.3g} GB were planned for, of "
            f"{plan.free / _GIGA:.3g} GB free at the start; now {free_memory(device) / _GIGA:.3g} GB are. {_ADVICE}"
        ) from error


def _fit_of(matrix: CalibrationMatrix) -> str:
    return f"The fit of {matrix.n_records} records, {matrix.n_metrics} metrics, {matrix.value_table.nnz} table values"


def free_memory(device: str) -> int:
    """Bytes free on a device, with what this process holds there but does not use."""
    if not device.startswith("cuda"):
        return _free_main_memory()
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def _free_main_memory() -> int:
    """Main memory that can be had without swapping."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _clone_bytes(matrix: CalibrationMatrix) -> int:
    return _BYTES_PER_VALUE * matrix.n_metrics + _BYTES_PER_CLONE


def _fixed_bytes(matrix: CalibrationMatrix, dense: bool) -> int:
    """Bytes held from the first step to the last."""
    table, cells = matrix.value_table, matrix.n_cells * matrix.n_metrics
    clones = matrix.n_records * (4 * kernels.N_COLUMNS + 3 * 4)
    values = table.shape[0] * matrix.n_metrics * 4 if dense else table.nnz * 12 + table.shape[0] * 8
    # Totals, their predecessors, duals; the strips' sums; the aggregation and its transpose with products.
    strips = (matrix.n_records // STRIP + matrix.n_cells) * matrix.n_metrics
    sums = cells * (8 + 8 + 4) + strips * 8 + matrix.aggregation.nnz * 2 * (8 + 8 + 8)
    return int(clones + values + sums)
