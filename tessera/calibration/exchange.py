"""How a fit in a process of its own is asked for and answered: the names of files.

    folder/                             of one fit, kept from run to run
        {package}-{settings}.checkpoint.h5
        exchange-{run}/                 of one run, removed when it ends
            package.h5                  `package.write_package`
            outcome.h5                  `FitOutcome.to_tree`
            error.txt                   why there is no outcome

A checkpoint's name says what is fitted and how, so that one is only ever found by its own fit.
"""

from __future__ import annotations

from pathlib import Path

from tessera.calibration.request import FitRequest
from tessera.calibration.run import Checkpoints
from tessera.matrix.package import CalibrationPackage

PACKAGE, OUTCOME, ERROR = "package.h5", "outcome.h5", "error.txt"


def checkpoints_in(folder: Path, package: CalibrationPackage, request: FitRequest) -> Checkpoints:
    """Checkpoints of this package and request in a folder, to go on from; those of other fits are removed."""
    path = folder / f"{package.sha256[:16]}-{request.identity}.checkpoint.h5"
    for old in folder.glob("*.checkpoint.h5"):
        if old != path:
            old.unlink(missing_ok=True)
    return Checkpoints(path, resume=True)
