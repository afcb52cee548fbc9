"""The device and the process that fits run in: `auto`, `cpu` or `cuda`; in this process, or in one of its own.

Either way the fit is `tessera.calibration.run.run_fit`. It checks device and memory before it starts, goes on from its
last checkpoint if it was killed, and reports where it stands as observations of the asset, live. A process of its own
(`jobs.fit_process`, through Dagster Pipes) ends with all its memory given back, and may be started on another host that
sees the store.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from tessera.errors import ConfigError, FitError

if TYPE_CHECKING:
    from tessera.calibration.progress import StepReport
    from tessera.calibration.request import FitRequest
    from tessera.calibration.run import FitOutcome
    from tessera.matrix.package import CalibrationPackage

LAUNCHES = ("in_process", "subprocess")
DEVICES = ("auto", "cpu", "cuda")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Fitted:
    """An outcome, and what the process that made it reports of itself."""

    outcome: "FitOutcome"
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Accelerator(dg.ConfigurableResource):
    """Where and how the fit runs.

    Attributes:
        device: `auto` takes a GPU where there is one and falls back to the CPU with a warning; `cpu`; `cuda`.
        launch: `in_process`, or `subprocess` for a process of its own.
        observe_seconds: at least so long between two observations.
    """

    device: str = "auto"
    launch: str = "in_process"
    observe_seconds: float = 10.0

    def fit(
        self,
        context: dg.AssetExecutionContext,
        package: "CalibrationPackage",
        request: "FitRequest",
        asset: str,
        folder: Path,
    ) -> Fitted:
        """Fit a package as part of the asset's step; checkpoints are kept in the folder while it lasts."""
        from tessera.calibration.exchange import checkpoints_in

        _choice("launch", self.launch, LAUNCHES)
        _choice("device", self.device, DEVICES)
        checkpoints = checkpoints_in(folder, package, request)
        observer = _Observer(context, asset, self.observe_seconds)
        if self.launch == "subprocess":
            fitted = _in_subprocess(context, package, request, asset, folder, observer)
        else:
            from tessera.calibration.run import run_fit

            outcome = run_fit(package, request, progress=observer, checkpoints=checkpoints)
            fitted = Fitted(outcome, {"device": outcome.device})
        checkpoints.path.unlink(missing_ok=True)
        return fitted


def accelerator_from_environment() -> Accelerator:
    """The accelerator that TESSERA_DEVICE and TESSERA_FIT_LAUNCH ask for; unset ones keep their defaults."""
    device = _choice("TESSERA_DEVICE", os.environ.get("TESSERA_DEVICE", "auto"), DEVICES)
    launch = _choice("TESSERA_FIT_LAUNCH", os.environ.get("TESSERA_FIT_LAUNCH", "in_process"), LAUNCHES)
    return Accelerator(device=device, launch=launch)


class _Observer:
    """Turns progress into observations of an asset, not more often than asked for."""

    def __init__(self, context: dg.AssetExecutionContext, asset: str, seconds: float) -> None:
        from tessera.calibration.progress import progress_log

        self._context, self._asset, self.seconds = context, asset, seconds
        self._last = 0.0
        self._log = progress_log(f"{asset} fit")

    def __call__(self, report: "StepReport") -> None:
        """A step of the fit, of this process or of a child's."""
        self._log(report)
        if report.seconds - self._last < self.seconds:
            return
        self._last = report.seconds
        metadata = {
            "epoch": report.step,
            "epochs": report.steps,
            report.measure: report.value,
            "records": report.records,
            "share of targets within 10 %": report.share_within_10,
            "seconds left": report.seconds_left,
        }
        self._context.log_event(dg.AssetObservation(asset_key=self._asset, metadata=metadata))


class _ObservingReader(dg.PipesTempFileMessageReader):
    """Reads a child's messages, and hands its custom ones on as they come instead of when it ends."""

    def __init__(self, observe: Callable[["StepReport"], None]) -> None:
        super().__init__()
        self._observe = observe

    @contextmanager
    def read_messages(self, handler: dg.PipesMessageHandler) -> Iterator[Any]:
        from tessera.calibration.progress import StepReport

        take = handler.handle_message

        def tap(message: Any) -> None:
            if message["method"] == "report_custom_message":
                self._observe(StepReport(**message["params"]["payload"]))
            else:
                take(message)

        handler.handle_message = tap  # type: ignore[method-assign]
        with super().read_messages(handler) as params:
            yield params


def _in_subprocess(
    context: dg.AssetExecutionContext,
    package: "CalibrationPackage",
    request: "FitRequest",
    asset: str,
    folder: Path,
    observer: _Observer,
) -> Fitted:
    """The fit in a process of its own: package and outcome pass through files of the run's own."""
    from tessera.calibration.exchange import ERROR, OUTCOME, PACKAGE
    from tessera.calibration.run import FitOutcome
    from tessera.matrix.package import write_package
    from tessera.pytree.io import load_tree

    for left_by_a_killed_run in folder.glob("exchange-*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    exchange = folder / f"exchange-{context.run.run_id}"
    try:
        write_package(exchange / PACKAGE, package)
        client = dg.PipesSubprocessClient(cwd=str(ROOT), message_reader=_ObservingReader(observer))
        extras = {
            "exchange": str(exchange), "folder": str(folder), "asset": asset, "request": request.as_dict(),
            "seconds_between_messages": min(1.0, observer.seconds),
        }  # fmt: skip
        command = [sys.executable, "-m", "jobs.fit_process"]
        # Pipes asks an asset context for attributes that are deprecated on it.
        done = client.run(context=context.op_execution_context, command=command, extras=extras)
        if (exchange / ERROR).exists():
            raise FitError((exchange / ERROR).read_text(encoding="utf-8"))
        reported = [one for one in done.get_results(implicit_materializations=False) if one.metadata]
        metadata = dict(reported[0].metadata or {}) if reported else {}
        return Fitted(FitOutcome.from_tree(load_tree(exchange / OUTCOME)), metadata)
    finally:
        shutil.rmtree(exchange, ignore_errors=True)


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigError(f"Accelerator: {name} is {value!r}; wanted one of {', '.join(allowed)}.")
    return value
