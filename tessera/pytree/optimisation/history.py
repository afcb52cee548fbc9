"""The record of an optimisation: value and time of every evaluation, and parameters within a budget of memory.

Parameters are kept as flat vectors; trees are made on demand. Once they would take more than `X_BUDGET` bytes, every
second one is dropped and from then on only every second, fourth, ... evaluation is kept, so that what is kept is spread
evenly over the run. The start and the best evaluation are always kept. Values and times are complete.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from tessera.errors import ConfigError
from tessera.pytree.spaces.transforms import Positions, Vector

if TYPE_CHECKING:
    from tessera.pytree.tree import TreeSpec

Direction = Literal["minimize", "maximize"]
# Bytes of parameter vectors that a history keeps unless told otherwise: all of them for most problems, six vectors of
# a million parameters.
X_BUDGET = 48_000_000


class History:
    """What was evaluated. Grows while an optimisation runs; read-only for its users.

    Attributes:
        spec: structure of the parameters.
        direction: "minimize" or "maximize".
        budget: bytes of parameter vectors to keep; infinite for all.
        algorithm: name of what evaluates, where it is known.
    """

    def __init__(
        self, spec: TreeSpec, direction: Direction = "minimize", budget: float = X_BUDGET, algorithm: str = ""
    ) -> None:
        self.spec, self.direction, self.budget, self.algorithm = spec, direction, budget, algorithm
        self._values: list[float] = []
        self._seconds: list[float] = []
        self._kept: dict[int, Vector] = {}
        self._stride = 1
        self._best: tuple[int, float] = (-1, np.inf)
        self._began = time.perf_counter()

    def append(self, x: Vector, value: float) -> None:
        """Record an evaluation: external parameters (n,), of which a copy is kept, and the user's value of it."""
        number = len(self._values)
        self._values.append(value)
        self._seconds.append(time.perf_counter() - self._began)
        signed = value if self.direction == "minimize" else -value
        improves = signed < self._best[1]
        previous = self._best[0]
        if improves:
            self._best = (number, signed)
        # Without a budget nothing is kept at all, not even the best, which the result holds anyway.
        if self.budget <= 0 or not (improves or number % self._stride == 0):
            return
        if improves and previous > 0 and previous % self._stride:
            self._kept.pop(previous, None)
        self._kept[number] = np.array(x)
        self._thin(x.nbytes)

    def _thin(self, size: int) -> None:
        while len(self._kept) * size > self.budget and len(self._kept) > 2:
            self._stride *= 2
            wanted = {number for number in self._kept if number % self._stride == 0} | {0, self._best[0]}
            self._kept = {number: x for number, x in self._kept.items() if number in wanted}

    @property
    def n_evals(self) -> int:
        """Number of evaluations; those that numerical derivatives take are not among them."""
        return len(self._values)

    @property
    def value(self) -> Vector:
        """The value of each evaluation with the user's sign, (n_evals,); NaN where it failed."""
        return np.array(self._values, dtype=np.float64)

    @property
    def seconds(self) -> Vector:
        """The time of each evaluation since the start, seconds, (n_evals,)."""
        return np.array(self._seconds, dtype=np.float64)

    @property
    def evaluations(self) -> Positions:
        """The numbers of the evaluations whose parameters are kept: 0, 1, 2, ... unless the budget was reached."""
        return np.array(sorted(self._kept), dtype=np.int64)

    @property
    def x(self) -> Vector:
        """The parameters of the evaluations in `evaluations`, (number kept, size): of all, within the budget."""
        if not self._kept:
            return np.zeros((0, self.spec.size))
        return np.stack([self._kept[number] for number in self.evaluations.tolist()])

    @property
    def is_complete(self) -> bool:
        """Whether the parameters of every evaluation are kept."""
        return len(self._kept) == len(self._values)

    @property
    def accepted(self) -> Any:
        """Which evaluations were better than all before, bool (n_evals,)."""
        best = self.best()
        better = np.ones(len(best), dtype=bool)
        better[1:] = best[1:] != best[:-1]
        return better & ~np.isnan(best)

    def best(self) -> Vector:
        """The best value so far at each evaluation, (n_evals,): monotone."""
        worst = np.inf if self.direction == "minimize" else -np.inf
        values = self.value
        accumulate = (np.minimum if self.direction == "minimize" else np.maximum).accumulate
        best = accumulate(np.where(np.isnan(values), worst, values))
        return np.where(np.isinf(best) & np.isnan(values), np.nan, best)

    @property
    def best_evaluation(self) -> int:
        """The number of the best evaluation; -1 where there is none."""
        return self._best[0]

    def x_at(self, evaluation: int) -> Vector:
        """The flat parameters of an evaluation, (size,); negative numbers count from the end.

        Raises:
            ConfigError: for an evaluation that there is not, or whose parameters the budget left no room for.
        """
        number = evaluation + self.n_evals if evaluation < 0 else evaluation
        if not 0 <= number < self.n_evals:
            raise ConfigError(f"there is no evaluation {evaluation}; the history has {self.n_evals}.")
        if number not in self._kept:
            nearest = min(self._kept, key=lambda kept: abs(kept - number), default=None)
            raise ConfigError(
                f"the parameters of evaluation {number} were not kept (the nearest are those of {nearest}): "
                "the history keeps parameters up to a budget of memory. Call minimize with history='full' to keep all."
            )
        return self._kept[number]

    def params(self, evaluation: int) -> Any:
        """The parameters of an evaluation as a tree; arguments and errors as for `x_at`."""
        return self.spec.unravel(self.x_at(evaluation))

    def kept(self) -> History:
        """The history of those evaluations only whose parameters are kept: the same where it is complete."""
        if self.is_complete:
            return self
        history = History(self.spec, self.direction, np.inf, self.algorithm)
        numbers = self.evaluations.tolist()
        history._values, history._seconds = [self._values[k] for k in numbers], [self._seconds[k] for k in numbers]
        history._kept = dict(enumerate(self._kept[k] for k in numbers))
        if self._best[0] in self._kept:
            history._best = (numbers.index(self._best[0]), self._best[1])
        return history

    def frame(self) -> pd.DataFrame:
        """A row an evaluation: `evaluation`, `seconds`, `value`, `best`, `accepted`."""
        return pd.DataFrame(
            {
                "evaluation": np.arange(self.n_evals),
                "seconds": self.seconds,
                "value": self.value,
                "best": self.best(),
                "accepted": self.accepted,
            }
        )

    def __len__(self) -> int:
        return self.n_evals

    def __repr__(self) -> str:
        if not self._values:
            return f"History(no evaluations, {self.spec.size} parameters)"
        kept = "" if self.is_complete else f", parameters of {len(self._kept)} kept"
        number = self._best[0]
        best = f", best {self._values[number]:.6g} at {number}" if number >= 0 else ""
        return f"History({self.n_evals} evaluations in {self._seconds[-1]:.3g} s{best}{kept})"
