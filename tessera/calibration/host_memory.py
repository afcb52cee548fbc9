"""What a fit on the CPU needs in main memory, checked before it starts: a refusal helps, being killed does not.

    bytes = 130 a record + 50 a (cell, metric) + 60 a non-zero of the aggregation + the table's other form
            + 60 a target and logged step

counted from the arrays that a fit makes beside the package that is loaded already: state, layout, totals and duals,
transposed aggregation, the table as passes read it (`tessera.matrix.rows`), logs, results. Memory of a GPU: `memory`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.calibration.gpu.memory import free_memory
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.rows import form_bytes

_CGROUP = Path("/sys/fs/cgroup")
_RECORD, _CELL_METRIC, _AGGREGATION, _LOGGED = 130, 50, 60, 60


def needed_bytes(matrix: CalibrationMatrix, logged_steps: int = 1) -> int:
    """Main memory that a fit of this matrix takes beside the matrix itself.

    Args:
        matrix: to be fitted.
        logged_steps: how often every target is logged, at least once.
    """
    return (
        _RECORD * matrix.n_records
        + _CELL_METRIC * matrix.n_cells * matrix.n_metrics
        + _AGGREGATION * int(matrix.aggregation.nnz)
        + form_bytes(matrix.value_table)
        + _LOGGED * matrix.n_targets * max(1, logged_steps)
    )


def free_bytes() -> int:
    """Main memory that this process may still take: of the machine, and of its control group where that has a limit."""
    free = free_memory("cpu")
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, int(limit) - used)) if limit != "max" else free


def require_host_memory(matrix: CalibrationMatrix, logged_steps: int = 1, *, free: int | None = None) -> int:
    """Bytes that the fit needs, or `FitError` if there are not so many.

    Args:
        matrix: to be fitted.
        logged_steps: how often every target is logged.
        free: bytes that may be used; None asks the machine.
    """
    needed, available = needed_bytes(matrix, logged_steps), free_bytes() if free is None else free
    if needed > available:
        raise FitError(f"{_fit_of(matrix)} needs {needed / 1e9:.2f} GB of main memory; {_left(available)}")
    return needed


@contextmanager
def short_of_host_memory(matrix: CalibrationMatrix) -> Iterator[None]:
    """Turns a lack of main memory on the way into a `FitError` that says what was counted on and what to change."""
    try:
        yield
    except MemoryError as error:
        raise FitError(
            f"{_fit_of(matrix)} ran out of main memory ({error}); {needed_bytes(matrix) / 1e9:.2f} GB were counted on, "
            f"{_left(free_bytes())} A checkpoint, if one was kept, is intact: resume from it."
        ) from error


def _fit_of(matrix: CalibrationMatrix) -> str:
    return f"The fit of {matrix.n_records} records, {matrix.n_metrics} metrics and {matrix.n_targets} targets"


def _left(free: int) -> str:
    return (
        f"{free / 1e9:.2f} GB are free. End other programs, log less often (log_frequency), build the package with "
        "fewer clones, or run on a larger machine."
    )
