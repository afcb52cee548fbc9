"""What a fit on the CPU needs in main memory, checked before it starts: a refusal helps, being killed does not.

    recipe     105 a record + 400 a target + 60 a target and logged step + what both modes take
    calibrate   45 a record + 400 a target + 25 a cell and pair of metrics + what both modes take
    thinning    50 a record (by gates 105) + 400 a target + the table's other form once more, on top of calibrate
    both        50 a (cell, metric) + 60 a non-zero of the aggregation + 2 a non-zero and 8 a row of the value table
                + the table's other form

bytes, beside the package that is loaded already. The coefficients were set by measuring both modes at five sizes, 0.2
to 5.2 million records and 40 or 160 metrics, in both forms of the table: what was found was less than what is counted
here, and more than half of it. Memory of a GPU: `memory`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tessera.calibration.dual_options import DualOptions
from tessera.calibration.gpu.memory import free_memory
from tessera.calibration.options import FitOptions
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.rows import form_bytes

_CGROUP = Path("/sys/fs/cgroup")
_RECIPE_RECORD, _CALIBRATE_RECORD, _THINNED_RECORD = 105, 45, 50
_TARGET, _LOGGED, _METRIC_PAIR = 400, 60, 25
_CELL_METRIC, _AGGREGATION, _TABLE_VALUE, _TABLE_ROW = 50, 60, 2, 8
Options = FitOptions | DualOptions


def needed_bytes(matrix: CalibrationMatrix, options: Options) -> int:
    """Main memory that a fit of this matrix takes beside the matrix itself, in the mode of the options."""
    table, cells, metrics = matrix.value_table, matrix.n_cells, matrix.n_metrics
    form = form_bytes(table)
    needed = (
        _TARGET * matrix.n_targets
        + _CELL_METRIC * cells * metrics
        + _AGGREGATION * int(matrix.aggregation.nnz)
        + _TABLE_VALUE * int(table.nnz)
        + _TABLE_ROW * int(table.shape[0])
        + form
    )
    if isinstance(options, FitOptions):
        logged = 1 + options.total_epochs // (options.log_frequency or options.total_epochs)
        return needed + _RECIPE_RECORD * matrix.n_records + _LOGGED * logged * matrix.n_targets
    needed += _CALIBRATE_RECORD * matrix.n_records + _METRIC_PAIR * cells * metrics**2
    if options.records is not None:
        record = _THINNED_RECORD if options.thinning == "draw" else _RECIPE_RECORD
        needed += record * matrix.n_records + _TARGET * matrix.n_targets + form
    return needed


def free_bytes() -> int:
    """Main memory that this process may still take: of the machine, and of its control group where that has a limit."""
    free = free_memory("cpu")
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, max(0, int(limit) - used)) if limit != "max" else free


def require_host_memory(matrix: CalibrationMatrix, options: Options, *, free: int | None = None) -> int:
    """Bytes that the fit needs, or `FitError` if there are not so many.

    Args:
        matrix: to be fitted.
        options: of either mode.
        free: bytes that may be used; None asks the machine.
    """
    needed, available = needed_bytes(matrix, options), free_bytes() if free is None else free
    if needed > available:
        raise FitError(f"{_fit_of(matrix)} needs {needed / 1e9:.2f} GB of main memory; {_left(available)}")
    return needed


@contextmanager
def short_of_host_memory(matrix: CalibrationMatrix, options: Options) -> Iterator[None]:
    """Turns a lack of main memory on the way into a `FitError` that says what was counted on and what to change."""
    try:
        yield
    except MemoryError as error:
        raise FitError(
            f"{_fit_of(matrix)} ran out of main memory ({error}); {needed_bytes(matrix, options) / 1e9:.2f} GB were "
            f"counted on, {_left(free_bytes())} A checkpoint, if one was kept, is intact: resume from it."
        ) from error


def _fit_of(matrix: CalibrationMatrix) -> str:
    return f"The fit of {matrix.n_records} records, {matrix.n_metrics} metrics and {matrix.n_targets} targets"


def _left(free: int) -> str:
    return (
        f"{free / 1e9:.2f} GB are free. End other programs, log less often (log_frequency), build the package with "
        "fewer clones, or run on a larger machine."
    )
