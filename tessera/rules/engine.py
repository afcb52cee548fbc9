"""The rules engine behind a protocol: engine inputs in, values at their entities out.

Holds the protocol and the PolicyEngine adapter. Loading policyengine-us takes half a minute of CPU and 1 GB, so it is
loaded once a process, on first use, never at import; worker processes are forked after that (`state_values`).

`provision:variable` names what repealing a provision would bring: the variable where the provision's variable is
nothing for everybody, less the variable under the law as it is.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tessera.areas.dataset import AreaDataset, read_area, write_area
from tessera.errors import RulesError
from tessera.frame import ENTITIES, GROUP_ENTITIES
from tessera.rules.examination import Examined
from tessera.rules.values import EntityValues

Arrays = Mapping[str, npt.NDArray[np.generic]]
_DECISIONS = ("takes_up_", "would_file_")


class Rules(Protocol):
    """What the pipeline needs of a rules engine."""

    @property
    def version(self) -> str:
        """Name and version, recorded in packages and manifests."""
        ...

    def load(self) -> None:
        """Load the engine now, before workers are forked."""
        ...

    def entity(self, variable: str) -> str:
        """Entity of a variable; `RulesError` for one that the engine does not know."""
        ...

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        """Values of variables for a dataset's households, each at its own entity."""
        ...

    def examine(self, dataset: AreaDataset, variables: Sequence[str], takeup: Sequence[str]) -> Examined:
        """The same values, and which take-up decisions they hang on."""
        ...

    @property
    def spell_input(self) -> str:
        """Input of persons without which the engine makes nothing of their ids."""
        ...

    def spells(self, person_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """What the engine makes of persons' ids: a number a person, equal where ids are one to it."""
        ...


class PolicyEngine:
    """policyengine-us. Every call is a fresh simulation: nothing is cached from one set of clones to the next."""

    # It lets a spell of unemployment begin in a month drawn from the person's id; without weeks there is none.
    spell_input = "weeks_unemployed"

    @property
    def version(self) -> str:
        """For instance `policyengine-us 2.68.0`."""
        from importlib.metadata import version

        return f"policyengine-us {version('policyengine-us')}"

    def load(self) -> None:
        """Load the engine into this process, and find what reads take-up decisions."""
        _ = self._readers

    @cached_property
    def _variables(self) -> Any:
        from policyengine_us.system import system

        return system.variables

    def entity(self, variable: str) -> str:
        """Entity of a variable; raises `RulesError` if the engine does not know it, or its provision."""
        provision, _, variable = variable.rpartition(":")
        if provision:
            self.entity(provision)
        found = self._variables.get(variable)
        if found is None:
            near = sorted(name for name in self._variables if name.startswith(variable[:6]))[:6]
            raise RulesError(f"{self.version} has no variable {variable!r}; near: {', '.join(near) or 'none'}.")
        return str(found.entity.key)

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        """Simulate the dataset as if it were loaded from its file, and read the variables off.

        Raises:
            RulesError: a variable is unknown, fails, or has values that are not finite; it is named.
        """
        return self._compute(dataset, variables)[1]

    def examine(self, dataset: AreaDataset, variables: Sequence[str], takeup: Sequence[str]) -> Examined:
        """Simulate the dataset, and probe which take-up decisions the values hang on.

        Args:
            dataset: households as they are to be simulated.
            variables: whose values matter.
            takeup: take-up variables of the dataset.

        Raises:
            RulesError: as `compute`.
        """
        from tessera.rules.probe import Probe

        simulations, values = self._compute(dataset, variables)
        readers = {name: self.readers(name) for name in takeup}
        matters = {name: np.zeros(len(dataset.arrays[name]), dtype=bool) for name in takeup}
        with _quiet():
            for simulation in simulations:
                found = Probe(simulation, readers, values.unit_of_person, dataset.counts).takeup_matters()
                for name in takeup:
                    matters[name] |= found[name]
        return Examined(values, matters)

    def spells(self, person_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Month, 0 to 11, in which the engine lets a spell of unemployment begin: all that it makes of an id."""
        from policyengine_us.variables.gov.usda.snap.eligibility.work_requirements import (
            is_receiving_unemployment_compensation as spell,
        )

        return np.asarray(spell.unemployment_compensation_start_month_index(person_id), dtype=np.int64)

    def readers(self, takeup: str) -> tuple[str, ...]:
        """Variables whose formulas read a take-up decision."""
        return self._readers[takeup]

    @cached_property
    def _readers(self) -> dict[str, tuple[str, ...]]:
        from tessera.rules.probe import find_readers

        decisions = [name for name in self._variables if name.startswith(_DECISIONS)]
        return find_readers(self._variables, decisions)

    def _compute(self, dataset: AreaDataset, variables: Sequence[str]) -> tuple[list[Any], EntityValues]:
        """Simulations of the dataset, under the law and each repeal that is asked for, and the values of variables."""
        entity_of = {variable: self.entity(variable) for variable in variables}
        with tempfile.TemporaryDirectory(prefix="tessera-") as folder:
            path = write_area(dataset, Path(folder) / "dataset.h5")
            simulations = {name: self._simulation(path, name, dataset.year) for name in _provisions(variables)}
        values = self._values(simulations, variables, dataset.year)
        return list(simulations.values()), EntityValues(
            n_households=dataset.counts["household"],
            household_of=household_links(dataset.arrays, dataset.counts),
            unit_of_person={entity: _person_links(dataset.arrays, entity) for entity in GROUP_ENTITIES},
            values=values,
            entity_of=entity_of,
        )

    def _values(
        self, simulations: Mapping[str, Any], variables: Sequence[str], year: int
    ) -> dict[str, npt.NDArray[np.generic]]:
        values = {}
        for name in variables:
            provision, _, variable = name.rpartition(":")
            values[name] = self._calculate(simulations[provision], variable, year)
            if provision:
                law = self._calculate(simulations[""], variable, year)
                values[name] = values[name].astype(np.float64) - law.astype(np.float64)
        return values

    def compute_file(self, path: Path, variables: Sequence[str]) -> tuple[EntityValues, npt.NDArray[np.float64]]:
        """What `Microsimulation` computes on a written area file, and the household weights it reads there.

        Slower than `compute`, and the same door that a user of the file goes through: it serves verification.
        """
        from policyengine_us import Microsimulation

        stored = read_area(path)
        counts = {entity: len(stored[f"{entity}_id"]) for entity in ENTITIES}
        with _quiet():
            simulations = {provision: Microsimulation(dataset=str(path)) for provision in _provisions(variables)}
        simulation = simulations[""]
        year = int(simulation.default_calculation_period)
        for provision, one in simulations.items():
            self._repeal(one, provision, year)
        values = EntityValues(
            n_households=counts["household"],
            household_of=household_links(stored, counts),
            unit_of_person={entity: _person_links(stored, entity) for entity in GROUP_ENTITIES},
            values=self._values(simulations, variables, year),
            entity_of={variable: self.entity(variable) for variable in variables},
        )
        return values, np.asarray(simulation.calculate("household_weight", year), dtype=np.float64)

    def _simulation(self, path: Path, provision: str, year: int) -> Any:
        # The plain simulation: Microsimulation wraps every intermediate array in a weighted series, at twice the time.
        from policyengine_us import Simulation

        with _quiet():
            simulation = Simulation(dataset=str(path))
        self._repeal(simulation, provision, year)
        return simulation

    def _repeal(self, simulation: Any, provision: str, year: int) -> None:
        """Make a provision's variable nothing for everybody: a value that is given is not computed."""
        if provision:
            count = simulation.get_variable_population(provision).count
            simulation.set_input(provision, year, np.zeros(count, dtype=np.float32))

    def _calculate(self, simulation: Any, variable: str, year: int) -> npt.NDArray[np.generic]:
        try:
            with _quiet():
                result = simulation.calculate(variable, year)
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError) as error:
            raise RulesError(
                f"{self.version}: {variable} failed for {year} ({type(error).__name__}: {error})."
            ) from error
        if hasattr(result, "decode_to_str"):
            return np.asarray(result.decode_to_str(), dtype=np.str_)
        values = np.asarray(result)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise RulesError(f"{self.version}: {variable} is {values[row]} in row {row}; wanted finite values.")
        return values


def _provisions(variables: Sequence[str]) -> list[str]:
    """Provisions whose repeal is asked for, after "" for the law as it is."""
    return ["", *sorted({name.rpartition(":")[0] for name in variables} - {""})]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence numpy's and pandas' warnings inside the engine, whose formulas divide by zero where masks apply later."""
    root = logging.getLogger()
    root.addFilter(_is_news)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a message of the engine tells anything: that it skips our provenance columns does not."""
    return "do not match any variable" not in record.getMessage()


def household_links(arrays: Arrays, counts: Mapping[str, int]) -> dict[str, npt.NDArray[np.int64]]:
    """Household row of every unit of every entity, from the links of a dataset."""
    person_household = _person_links(arrays, "household")
    links = {"person": person_household, "household": np.arange(counts["household"], dtype=np.int64)}
    for entity in GROUP_ENTITIES[1:]:
        household = np.empty(counts[entity], dtype=np.int64)
        household[_person_links(arrays, entity)] = person_household
        links[entity] = household
    return links


def _person_links(arrays: Arrays, entity: str) -> npt.NDArray[np.int64]:
    return arrays[f"person_{entity}_id"].astype(np.int64)
