"""Progress of a fit as log lines: at most one every few seconds, with what is left."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tessera.calibration.fit import FitProgress

_LOGGER = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 3.0


def progress_log(label: str) -> Callable[[FitProgress], None]:
    """A callback for `fit` that logs a line every three seconds.

    Args:
        label: what is being fitted; the lines begin with it.
    """
    last = 0.0

    def report(state: FitProgress) -> None:
        nonlocal last
        if state.seconds - last < _SECONDS_BETWEEN_LINES:
            return
        last = state.seconds
        _LOGGER.info(
            "%s: step %d of %d, loss %.4g, %d records open, %.1f %% of targets within 10 %%, %.0f s left",
            label,
            state.epoch,
            state.epochs,
            state.loss,
            state.nonzero,
            100 * state.share_within_10,
            state.seconds_left,
        )

    return report
