"""The chains of one stage: run with one seed, one number of workers and one report of progress, their quality kept.

Holds no choice of variables and draws nothing itself; `imputation` does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from tessera.durations import duration
from tessera.microdata.asec import FloatArray, IntArray
from tessera.microdata.imputation import Keys, Progress, impute_chain

logger = logging.getLogger(__name__)
# Variables between two lines of the log.
_BATCH = 10


@dataclass
class Chains:
    """Runs chains one after another.

    Attributes:
        seed: seed of forests and draws.
        n_jobs: workers over the variables of a chain; the values do not depend on it.
        progress: called after each variable with variables done, variables planned and "chain: variable".
        planned: variables of all chains to come, for the time left; a guess is enough, and it grows where it was low.
        quality: quality tables of the chains run, in order.
    """

    seed: int
    n_jobs: int = 1
    progress: Progress | None = None
    planned: int = 0
    quality: list[pd.DataFrame] = field(default_factory=list)
    _done: int = 0
    _started: float = field(default_factory=time.monotonic)

    def run(
        self,
        label: str,
        donors: pd.DataFrame,
        predictors: Sequence[str],
        outputs: Sequence[str],
        weights: FloatArray,
        receivers: pd.DataFrame,
        keys: Keys,
        receiver_weights: FloatArray,
        groups: IntArray | None = None,
    ) -> pd.DataFrame:
        """Values of the outputs for the receivers, float64, in their order and with their index.

        Args:
            label: name of the chain, part of the labels of its draws.
            donors: predictors and outputs.
            predictors: columns that donors and receivers share.
            outputs: columns of the donors, in the order of the chain.
            weights: survey weights of the donors, (n_donors,).
            receivers: rows to draw for; none gives an empty table.
            keys: identity of the receivers' draws.
            receiver_weights: survey weights of the receivers, for the quality table, (n_receivers,).
            groups: of donors that are one observation, (n_donors,); None where each is one.

        Raises:
            FrameError: as `imputation.impute_chain` does.
        """
        if len(receivers) == 0 or len(outputs) == 0:
            return pd.DataFrame(0.0, index=receivers.index, columns=list(outputs))
        before = self._done
        logger.info("%s: %d variables, %s donors, %s receivers", label, len(outputs), len(donors), len(receivers))

        def told(done: int, total: int, name: str) -> None:
            self._done = before + done
            self._report(f"{label}: {name}", last=done == total)

        result = impute_chain(
            donors,
            predictors,
            outputs,
            weights,
            receivers,
            seed=self.seed,
            label=label,
            keys=keys,
            groups=groups,
            receiver_weights=receiver_weights if receiver_weights.sum() > 0 else None,
            n_jobs=self.n_jobs,
            progress=told,
        )
        self.quality.append(result.quality)
        return result.values

    def table(self) -> pd.DataFrame:
        """All quality tables in one, a row an output of a chain."""
        return pd.concat(self.quality, ignore_index=True) if self.quality else pd.DataFrame()

    def finish(self, what: str) -> None:
        """Report that nothing is left to run."""
        self.planned = self._done
        if self._done:
            self._report(what, last=True)

    def _report(self, what: str, *, last: bool) -> None:
        self.planned = max(self.planned, self._done)
        if last or self._done % _BATCH == 0:
            spent = time.monotonic() - self._started
            left = spent / self._done * (self.planned - self._done)
            logger.info(
                "%s; %d of %d variables in %s, about %s to go",
                what,
                self._done,
                self.planned,
                duration(spent),
                duration(left),
            )
        if self.progress is not None:
            self.progress(self._done, self.planned, what)
