"""Simulator: runs the batches that refinement asks for through the engine, in chunks, and collects their values.

Between `situations`, which knows decisions and no engine, and `Rules`, which knows datasets and no clones.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import AreaDataset
from tessera.errors import RulesError
from tessera.geography.areas import state_by_fips
from tessera.rules.engine import Rules
from tessera.rules.examination import Examined
from tessera.rules.situations import Asked
from tessera.rules.values import EntityValues, concatenate

IntArray = npt.NDArray[np.int64]

MAX_HOUSEHOLDS = 24_000
"""Of one simulation: 1.2 GB beside what the engine takes itself."""


class Simulator:
    """Examines batches of clones. Calling it is asking; `collected` gives the values of all calls, in order.

    Args:
        assembler: of all clones.
        rules: the engine.
        variables: wanted values.
        records: rows of `Clones` that batches number.
    """

    def __init__(
        self,
        assembler: Assembler,
        rules: Rules,
        variables: Sequence[str],
        records: IntArray,
    ) -> None:
        self._assembler = assembler
        self._rules = rules
        self._variables = tuple(variables)
        self._records = records
        self._parts: list[EntityValues] = []

    def __call__(self, asked: Asked) -> dict[str, npt.NDArray[np.bool_]]:
        """Simulate a batch; which of its units' decisions matter, by take-up variable."""
        found = [self._examine(part) for part in self._chunks(asked)]
        self._parts += [one.values for one in found]
        return {name: np.concatenate([one.takeup_matters[name] for one in found]) for name in asked.takeup}

    def collected(self) -> EntityValues:
        """Values of all batches; households in the order in which they were asked for."""
        return concatenate(self._parts)

    def _chunks(self, asked: Asked) -> Iterator[Asked]:
        bits = dict.fromkeys(asked.takeup, 0)
        examined = int((~asked.certain).sum())
        # What is certain and what is to be examined go into different simulations.
        bounds = [*range(0, examined, MAX_HOUSEHOLDS), *range(examined, len(asked.records), MAX_HOUSEHOLDS)]
        for start, end in zip(bounds, [*bounds[1:], len(asked.records)], strict=True):
            rows = slice(start, end)
            units = self._assembler.takeup_units(self._records[asked.records[rows]])
            takeup = {name: asked.takeup[name][bits[name] : bits[name] + units[name]] for name in bits}
            yield Asked(asked.records[rows], takeup, asked.certain[rows])
            bits = {name: bits[name] + units[name] for name in bits}

    def _examine(self, asked: Asked) -> Examined:
        records = self._records[asked.records]
        dataset = self._assembler.assemble(records, takeup=asked.takeup)
        fips = self._assembler.clones.state_fips[records]
        # A simulation refers to itself: its arrays, a gigabyte, would wait for a later collection otherwise.
        gc.collect()
        try:
            if asked.certain.all():
                values = self._rules.compute(dataset, self._variables)
                nothing = {name: np.zeros(len(bits), dtype=bool) for name, bits in asked.takeup.items()}
                return Examined(values, nothing)
            return self._rules.examine(dataset, self._variables, tuple(asked.takeup))
        except RulesError as error:
            raise RulesError(self._where(dataset, fips, str(error))) from error

    def _where(self, dataset: AreaDataset, fips: npt.NDArray[np.int32], message: str) -> str:
        names = ", ".join(state_by_fips(int(one)).usps for one in np.unique(fips))
        return f"{message} It came up among {dataset.counts['household']} households of {names}."
