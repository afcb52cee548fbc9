"""State values: what the engine computes for every clone of a state, at the clone's own county and take-up.

Splits states into tasks, runs them in worker processes forked after the engine is loaded, and returns one `StateValues`
a state. The datasets come from the same assembly as the area files, so a value here is the value in the file.

A few small states are simulated in one pass: on top of a fixed cost of about two seconds a simulation, the engine takes
a fraction of a second a state and about a millisecond a household.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tessera.areas.assemble import Assembler
from tessera.errors import RulesError
from tessera.geography.areas import State
from tessera.parallel import fork_map
from tessera.rules.engine import Rules
from tessera.rules.values import EntityValues

_LOGGER = logging.getLogger(__name__)

MAX_STATES_A_TASK = 4
MAX_HOUSEHOLDS_A_TASK = 6000


@dataclass(frozen=True)
class StateValues:
    """Engine values of a state's clones.

    Attributes:
        state: postal code.
        records: rows of `Clones`, ascending, shape (n,).
        values: the engine's values; its households are these clones, in this order.
        rules_version: engine and version that computed them.
    """

    state: str
    records: npt.NDArray[np.int64]
    values: EntityValues
    rules_version: str


def compute_state_values(
    assembler: Assembler,
    rules: Rules,
    states: Sequence[State],
    variables: Sequence[str],
    *,
    workers: int = 1,
) -> dict[str, StateValues]:
    """Engine values of every clone of some states.

    Args:
        assembler: of all clones.
        rules: the engine.
        states: wanted states.
        variables: wanted variables; each comes at its own entity.
        workers: processes, forked after the engine is loaded; 1 stays in this process.

    Raises:
        RulesError: a variable failed; the states and the variable are named.
    """
    rules.load()
    tasks = _tasks(assembler, states)

    def report(done: int, task: tuple[State, ...]) -> None:
        names = ", ".join(state.usps for state in task)
        _LOGGER.info("state values: %d of %d simulations done (%s)", done, len(tasks), names)

    run = partial(_run, assembler, rules, tuple(variables))
    # The lightest task runs before the fork: an engine's first simulation fills caches that take longer than it does,
    # and workers forked afterwards (here and in later stages of this process) share them.
    finished = [run(tasks[-1])]
    report(1, tasks[-1])
    finished += fork_map(run, tasks[:-1], workers, lambda done, task: report(done + 1, task))
    results = {usps: values for part in finished for usps, values in part.items()}
    return {state.usps: results[state.usps] for state in states}


def _tasks(assembler: Assembler, states: Sequence[State]) -> list[tuple[State, ...]]:
    """Groups of states: large ones alone, small ones together; the heaviest first, so that workers end together."""
    size = {state.fips: int((assembler.clones.state_fips == state.fips).sum()) for state in states}
    groups: list[list[State]] = []
    for state in sorted(states, key=lambda one: (-size[one.fips], one.fips)):
        for group in groups:
            if (
                len(group) < MAX_STATES_A_TASK
                and sum(size[one.fips] for one in group) + size[state.fips] <= MAX_HOUSEHOLDS_A_TASK
            ):
                group.append(state)
                break
        else:
            groups.append([state])
    return [tuple(group) for group in groups]


def _run(
    assembler: Assembler, rules: Rules, variables: tuple[str, ...], states: tuple[State, ...]
) -> dict[str, StateValues]:
    names = ", ".join(state.usps for state in states)
    empty = [state.usps for state in states if not (assembler.clones.state_fips == state.fips).any()]
    if empty:
        raise RulesError(f"state values: no clone lies in {', '.join(empty)}; raise the number of clones.")
    records = np.flatnonzero(np.isin(assembler.clones.state_fips, [state.fips for state in states]))
    try:
        values = rules.compute(assembler.assemble(records), variables)
    except RulesError as error:
        raise RulesError(f"state values of {names}: {error}") from error
    state_of_record = assembler.clones.state_fips[records]
    return {
        state.usps: StateValues(
            state.usps,
            records[state_of_record == state.fips],
            select_households(values, state_of_record == state.fips),
            rules.version,
        )
        for state in states
    }


def select_households(values: EntityValues, keep: npt.NDArray[np.bool_]) -> EntityValues:
    """The values of some households, in order, with links renumbered."""
    kept_units = {entity: keep[household] for entity, household in values.household_of.items()}
    new_row = {entity: np.cumsum(kept) - 1 for entity, kept in kept_units.items()}
    household_row = np.cumsum(keep) - 1
    return EntityValues(
        n_households=int(keep.sum()),
        household_of={entity: household_row[values.household_of[entity][kept]] for entity, kept in kept_units.items()},
        unit_of_person={
            entity: new_row[entity][unit[kept_units["person"]]] for entity, unit in values.unit_of_person.items()
        },
        values={name: array[kept_units[values.entity_of[name]]] for name, array in values.values.items()},
        entity_of=dict(values.entity_of),
    )
