"""A fit as a process of its own, started by the accelerator through Dagster Pipes: package file in, outcome file out.

Knows Dagster only through the Pipes protocol: a GPU host needs the library, `dagster_pipes` and the store. Sends
log lines, progress (custom messages, which the parent turns into observations) and, at the end, metadata of the
materialisation. An error of ours goes to a file for the parent to raise, as Pipes would only say that a process failed.
"""

import logging
import platform
import resource
import time
from pathlib import Path

from dagster_pipes import PipesContext, open_dagster_pipes

from tessera.calibration.exchange import ERROR, OUTCOME, PACKAGE, checkpoints_in
from tessera.calibration.progress import StepReport
from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.errors import TesseraError
from tessera.matrix.package import read_package
from tessera.pytree.io import dump_tree
from tessera.store import write_text


def main() -> None:
    """Run the fit that the parent asks for."""
    with open_dagster_pipes() as pipes:
        exchange = Path(pipes.get_extra("exchange"))
        logger = logging.getLogger("tessera")
        logger.addHandler(_Forward(pipes))
        logger.setLevel(logging.INFO)
        try:
            _fit(pipes, exchange)
        except TesseraError as error:
            write_text(exchange / ERROR, str(error))


def _fit(pipes: PipesContext, exchange: Path) -> None:
    request = FitRequest.from_dict(pipes.get_extra("request"))
    package = read_package(exchange / PACKAGE)
    last, pause = 0.0, float(pipes.get_extra("seconds_between_messages"))

    def progress(report: StepReport) -> None:
        nonlocal last
        if time.monotonic() - last >= pause:
            last = time.monotonic()
            pipes.report_custom_message(report.as_dict())

    checkpoints = checkpoints_in(Path(pipes.get_extra("folder")), package, request)
    outcome = run_fit(package, request, progress=progress, checkpoints=checkpoints)
    dump_tree(outcome.to_tree(), exchange / OUTCOME)
    metadata = {
        "device": outcome.device,
        "host": platform.node(),
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    pipes.report_asset_materialization(metadata=metadata, asset_key=pipes.get_extra("asset"))


class _Forward(logging.Handler):
    """Sends the library's log lines to the parent's log."""

    def __init__(self, pipes: PipesContext) -> None:
        super().__init__()
        self._pipes = pipes

    def emit(self, record: logging.LogRecord) -> None:
        level = self._pipes.log.warning if record.levelno >= logging.WARNING else self._pipes.log.info
        level(record.getMessage())


if __name__ == "__main__":
    main()
