"""run_fit: from a package and a request to an outcome, in either mode. Command line, assets and processes all end here.

Holds no mathematics and writes no results (`outputs` does).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.calibration.device import choose_device
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.fit import fit
from tessera.calibration.gpu.memory import require_memory
from tessera.calibration.host_memory import require_host_memory, short_of_host_memory
from tessera.calibration.options import FitOptions
from tessera.calibration.progress import Progress, StepReport
from tessera.calibration.request import FitRequest
from tessera.errors import FitError
from tessera.matrix.package import CalibrationPackage

FloatArray = npt.NDArray[np.float64]
CHECKPOINT_EVERY = 100
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoints:
    """Where a fit in mode recipe keeps its state.

    Attributes:
        path: file, replaced atomically.
        every: steps between two.
        resume: go on from the file if it is there.
    """

    path: Path
    every: int = CHECKPOINT_EVERY
    resume: bool = False


@dataclass(frozen=True)
class FitOutcome:
    """What a fit found; vectors in record order, shape (n_records,).

    Attributes:
        request: what was asked for.
        weights: float64, in households; exactly 0 for a record that was dropped.
        gates: final gates, in [0, 1]; in mode calibrate 1 for a record that was kept, else 0.
        history: a row a step: at least epoch, loss (of the targets) and nonzero (records kept). In mode calibrate an
            epoch is a Newton step.
        target_log: every supported target at each logged step and at the end: `epoch` and the columns of
            `log.target_table`.
        fingerprint: of matrix and initial weights.
        seconds: duration.
        device: that it ran on, cpu or cuda.
        tables: further tables by name; in mode calibrate `duals` and `conflicts`.
    """

    request: FitRequest
    weights: FloatArray
    gates: FloatArray
    history: pd.DataFrame
    target_log: pd.DataFrame
    fingerprint: str
    seconds: float
    device: str = "cpu"
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_tree(self) -> dict[str, Any]:
        """A plain tree for storage; `from_tree` reads it back."""
        return {
            "request": self.request.as_dict(),
            "weights": self.weights,
            "gates": self.gates,
            "history": self.history,
            "target_log": self.target_log,
            "fingerprint": self.fingerprint,
            "seconds": self.seconds,
            "device": self.device,
            "tables": dict(self.tables),
        }

    @classmethod
    def from_tree(cls, tree: Mapping[str, Any]) -> FitOutcome:
        """The outcome of a stored tree."""
        return cls(**{**tree, "request": FitRequest.from_dict(tree["request"])})


def run_fit(
    package: CalibrationPackage,
    request: FitRequest,
    *,
    progress: Progress | None = None,
    checkpoints: Checkpoints | None = None,
) -> FitOutcome:
    """Fit a package.

    Args:
        package: matrix and initial weights.
        request: mode and settings.
        progress: called before every step.
        checkpoints: where to keep the state in mode recipe; None for nowhere. Mode calibrate is short and keeps none.

    Raises:
        FitError: data or settings with which the fit cannot run, or that ask for a device that is not there.
        StorageError: a damaged checkpoint.
    """
    device = prepare(package, request)
    with short_of_host_memory(package.matrix, request.options):
        if request.mode == "calibrate":
            return _calibrate(package, request, progress)
        return _recipe(package, request, device, progress, checkpoints)


def prepare(package: CalibrationPackage, request: FitRequest) -> Literal["cpu", "cuda"]:
    """The device that a fit will run on, once it is known to have the memory for it.

    Falls back to the CPU where no GPU is asked for by name, with a warning that says what that costs.

    Raises:
        FitError: a device that is not there, or too little memory on it; says how much is needed and what to change.
    """
    options = request.options
    if isinstance(options, FitOptions) and choose_device(options.device) == "cuda":
        require_memory(package.matrix, "cuda")
        return "cuda"
    require_host_memory(package.matrix, options)
    return "cpu"


def with_initial_weights(package: CalibrationPackage, path: Path) -> CalibrationPackage:
    """The package with initial weights from a .npy file, shape (n_records,), in households: a warm start.

    Raises:
        FitError: a file that is missing, no such array, or of another number of records.
    """
    try:
        weights = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FitError(
            f"{path}: not readable as an array of weights ({error}); wanted a .npy file of a fit."
        ) from error
    if weights.shape != package.initial_weights.shape or weights.dtype.kind not in "fiu":
        raise FitError(
            f"{path}: holds an array of shape {weights.shape} and type {weights.dtype}; wanted numbers of shape "
            f"{package.initial_weights.shape}, one a record of the package. Name weights that were fitted on it."
        )
    return replace(package, initial_weights=weights.astype(np.float64))


def _recipe(
    package: CalibrationPackage,
    request: FitRequest,
    device: Literal["cpu", "cuda"],
    progress: Progress | None,
    checkpoints: Checkpoints | None,
) -> FitOutcome:
    kept = checkpoints or Checkpoints(Path())
    result = fit(
        package.matrix,
        package.initial_weights,
        replace(request.recipe_options(), device=device),
        progress=None if progress is None else lambda state: progress(StepReport.of_fit(state)),
        checkpoint_path=None if checkpoints is None else kept.path,
        checkpoint_every=kept.every,
        resume=kept.resume,
    )
    return FitOutcome(
        request=request,
        weights=result.weights,
        gates=result.gates,
        history=result.history,
        target_log=result.target_log,
        fingerprint=result.fingerprint,
        seconds=result.seconds,
        device=device,
    )


def _calibrate(package: CalibrationPackage, request: FitRequest, progress: Progress | None) -> FitOutcome:
    from tessera.calibration.dual import DualProgress, calibrate

    options = _within_matrix(request.dual_options(), package.matrix.n_records)
    report = None
    if progress is not None:
        most = options.max_iterations * (1 if options.records is None else 2)

        def report(state: DualProgress) -> None:
            progress(StepReport.of_calibration(state, most))

    result = calibrate(package.matrix, package.initial_weights, options, progress=report)
    return FitOutcome(
        request=request,
        weights=result.weights,
        gates=result.gates,
        history=result.history.assign(epoch=result.history["iteration"], nonzero=result.history["records"]),
        target_log=result.target_log,
        fingerprint=result.fingerprint,
        seconds=result.seconds,
        tables={"duals": result.duals, "conflicts": result.conflicts},
    )


def _within_matrix(options: DualOptions, n_records: int) -> DualOptions:
    """The options without a record budget that the matrix has no more records than."""
    if options.records is None or options.records < n_records:
        return options
    _LOGGER.info("All %d records are kept: the budget is %d.", n_records, options.records)
    return replace(options, records=None)
