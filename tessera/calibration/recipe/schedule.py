"""When a fit ends its sampled steps, and the learning rate of each step. Pure functions.

The recipe keeps the rate constant. Here it falls along a cosine over the last `decay_share` of the sampled steps, and
again over the polish.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tessera.calibration.options import FitOptions
from tessera.calibration.recipe.state import HISTORY

_LOWEST_RATE = 0.05  # of the learning rate, at the end of its cosine
_LOWEST_POLISH_RATE = 0.001
_LOSS = HISTORY.index("loss")


def learning_rate(epoch: int, sampled: int, options: FitOptions) -> float:
    """Learning rate of the step that leads to `epoch` steps taken, of a fit with `sampled` sampled steps."""
    if epoch > sampled:
        return options.polish_rate * _cosine((epoch - sampled) / options.polish_epochs, _LOWEST_POLISH_RATE)
    falling = options.decay_share * options.epochs
    share = (epoch - (sampled - falling)) / falling if falling else 0.0
    return options.learning_rate * _cosine(min(1.0, max(0.0, share)), _LOWEST_RATE)


def sampled_steps(history: Sequence[tuple[float, ...]], sampled: int, options: FitOptions) -> int:
    """Number of sampled steps, cut short if the loss has come to a plateau.

    Args:
        history: a row a step so far, columns `state.HISTORY`.
        sampled: number of sampled steps as planned now.
        options: with patience and plateau.
    """
    patience, done = options.patience, len(history)
    falling = math.ceil(options.decay_share * options.epochs)
    if patience is None or done < 2 * patience or done % patience or done + falling >= sampled:
        return sampled
    losses = [row[_LOSS] for row in history]
    if min(losses[-patience:]) < (1 - options.plateau) * min(losses[:-patience]):
        return sampled
    return max(done + falling, done + 1)


def _cosine(share: float, lowest: float) -> float:
    return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * share))
