"""Where a fit stands, in either mode: a report a step, as a line of text, in a log, or rewritten on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TextIO

from tessera.durations import duration

if TYPE_CHECKING:
    from tessera.calibration.dual import DualProgress
    from tessera.calibration.fit import FitProgress

_LOGGER = logging.getLogger(__name__)
_SECONDS_ON_TERMINAL, _SECONDS_BETWEEN_LINES = 0.2, 5.0
_CLEAR = "\r\x1b[2K"


@dataclass(frozen=True)
class StepReport:
    """A step of a fit.

    Attributes:
        step, steps: number of the step, from 0, and how many there will be (at most, where that is not known).
        measure: what `value` is: "loss", or "dual gradient", which falls towards 0.
        value: of the measure.
        records: records that are kept so far; None where that is not known.
        share_within_10: of the targets.
        seconds: since the start.
        seconds_left: to the end; None where that is not known.
    """

    step: int
    steps: int
    measure: str
    value: float
    records: int | None
    share_within_10: float
    seconds: float
    seconds_left: float | None

    @classmethod
    def of_fit(cls, progress: FitProgress) -> StepReport:
        """From a step of mode recipe."""
        return cls(
            progress.epoch, progress.epochs, "loss", progress.loss, progress.nonzero, progress.share_within_10,
            progress.seconds, progress.seconds_left,
        )  # fmt: skip

    @classmethod
    def of_calibration(cls, progress: DualProgress, most: int) -> StepReport:
        """From a step of mode calibrate, of which there are `most` at most."""
        return cls(
            progress.iteration, most, "dual gradient", progress.dual_gradient, None, progress.share_within_10,
            progress.seconds, None,
        )  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for another process."""
        return asdict(self)

    @property
    def text(self) -> str:
        """The report in one line."""
        parts = [f"step {self.step + 1:,} of {'' if self.seconds_left is not None else 'at most '}{self.steps:,}"]
        parts += [f"{self.measure} {self.value:.4g}", f"{self.share_within_10:.1%} of targets within 10 %"]
        parts += [] if self.records is None else [f"{self.records:,} records"]
        parts.append(
            f"{duration(self.seconds)} so far" if self.seconds_left is None else f"{duration(self.seconds_left)} left"
        )
        return ", ".join(parts)


Progress = Callable[[StepReport], None]


def progress_log(label: str) -> Progress:
    """A callback that logs a line every few seconds, beginning with the label."""
    last = 0.0

    def report(state: StepReport) -> None:
        nonlocal last
        if state.seconds - last >= _SECONDS_BETWEEN_LINES:
            last = state.seconds
            _LOGGER.info("%s: %s", label, state.text)

    return report


class ProgressLine:
    """A callback that shows where a fit stands: in one line that is rewritten on a terminal, else a line now and then.

    Not at the first step, whose time says nothing of the others.

    Attributes:
        stream: where to; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self._terminal = self.stream.isatty()
        self._last: float | None = None

    def __call__(self, report: StepReport) -> None:
        """Show a report, unless the last one was a moment ago."""
        pause = _SECONDS_ON_TERMINAL if self._terminal else _SECONDS_BETWEEN_LINES
        if self._last is None:
            self._last = 0.0
            return
        if report.seconds - self._last < pause:
            return
        self._last = report.seconds
        self.stream.write(f"{_CLEAR}{report.text}" if self._terminal else f"{report.text}\n")
        self.stream.flush()

    def close(self) -> None:
        """Leave the line as it is, and go to the next."""
        if self._terminal and self._last:
            self.stream.write("\n")
            self.stream.flush()
