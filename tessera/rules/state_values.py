"""State values: what the engine computes for the clones of each state, one row for each situation.

Splits states into tasks, runs them in worker processes forked after the engine is loaded, and gives one `StateValues` a
state. The datasets come from the same assembly as the area files, and situations are exact (`situations`), so a clone's
row is what `Microsimulation` computes for it in any file; some clones are simulated as they live to verify it. Finished
states are kept in a folder, if one is given, under a hash of everything that they were made from, so that a run that
was stopped goes on where it was.

A simulation costs about four seconds, a fraction of a second for each state in it, and 0.7 milliseconds a household;
hence few simulations of many households, and small states together.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tessera.areas.assemble import Assembler
from tessera.durations import duration
from tessera.errors import RulesError
from tessera.geography.areas import State
from tessera.parallel import fork_map, settled_memory
from tessera.random import uniform
from tessera.rules.engine import Rules
from tessera.rules.finished import FinishedStates
from tessera.rules.simulator import Simulator
from tessera.rules.situations import Differences, settle
from tessera.rules.values import EntityValues, take_households

_LOGGER = logging.getLogger(__name__)

METHOD = 4
"""Counted up when the same inputs give other rows."""
VERIFIED = 100
"""Clones of each task that are simulated once more, as they live."""
MAX_STATES_A_TASK = 13
MAX_RECORDS_A_TASK = 400_000


@dataclass(frozen=True)
class StateValues:
    """Engine values of a state's clones.

    Attributes:
        state: postal code.
        records: rows of `Clones`, ascending, shape (n,).
        situation: row of `values` of each record, int32, shape (n,).
        values: the engine's values; its households are situations.
        rules_version: engine and version that computed them.
        inputs_sha256: hash of what they were made from: base frame, placement, take-up, variables, engine.
        placement_sha256: `Clones.placement_sha256` of the clones.
    """

    state: str
    records: npt.NDArray[np.int64]
    situation: npt.NDArray[np.int32]
    values: EntityValues
    rules_version: str
    inputs_sha256: str
    placement_sha256: str


def compute_state_values(
    assembler: Assembler,
    rules: Rules,
    states: Sequence[State],
    variables: Sequence[str],
    *,
    workers: int = 1,
    cache: Path | None = None,
) -> Mapping[str, StateValues]:
    """Engine values of every clone of some states.

    Args:
        assembler: of all clones.
        rules: the engine.
        states: wanted states.
        variables: wanted variables; each comes at its own entity.
        workers: processes, forked after the engine is loaded; 1 stays in this process.
        cache: folder in which finished states are kept and looked for; the result then reads one state at a time.

    Raises:
        RulesError: a variable is unknown or failed in some states; states and variable are named. The other states are
            finished first, and kept if there is a folder.
    """
    _check_clones(assembler, states)
    sha256 = inputs_sha256(assembler, rules, variables)
    finished = FinishedStates(cache, sha256)
    left = [state for state in states if state.usps not in finished]
    if left:
        rules.load()
        _check_variables(rules, variables)
        _LOGGER.info("state values: %d of %d states to do", len(left), len(states))
        run = partial(_attempt, assembler, rules, tuple(variables), sha256, finished)
        tasks = _tasks(assembler, left, workers)
        with settled_memory():
            outcomes = fork_map(run, tasks, workers, _Progress(assembler, left))
        failed = [outcome for outcome in outcomes if isinstance(outcome, RulesError)]
        if failed:
            more = f" (and {len(failed) - 1} more tasks failed)" if len(failed) > 1 else ""
            raise RulesError(f"{failed[0]}{more}") from failed[0]
        finished.add({usps: one for part in outcomes if isinstance(part, dict) for usps, one in part.items()})
    return finished.of([state.usps for state in states])


class _Progress:
    """Says how many clones have their values, and how long the others will take at the same pace."""

    def __init__(self, assembler: Assembler, states: Sequence[State]) -> None:
        self._size = dict(enumerate(np.bincount(assembler.clones.state_fips).tolist()))
        self._total = sum(self._size[state.fips] for state in states)
        self._done = 0
        self._begun = time.monotonic()

    def __call__(self, _tasks_done: int, task: tuple[State, ...]) -> None:
        self._done += sum(self._size[state.fips] for state in task)
        seconds = time.monotonic() - self._begun
        left = duration(seconds / self._done * (self._total - self._done))
        names = ", ".join(state.usps for state in task)
        share, spent = 100 * self._done // self._total, duration(seconds)
        _LOGGER.info("state values: %d %% of the clones done in %s, %s left (%s)", share, spent, left, names)


def inputs_sha256(assembler: Assembler, rules: Rules, variables: Sequence[str]) -> str:
    """Hash of everything that state values are made from."""
    from tessera.pytree.storage.fingerprint import tree_sha256

    return tree_sha256(
        {
            "method": METHOD,
            "frame": assembler.frame,
            "placement": assembler.clones.placement_sha256,
            "takeup": assembler.takeup,
            "variables": sorted(variables),
            "rules": rules.version,
        }
    )


def _tasks(assembler: Assembler, states: Sequence[State], workers: int) -> list[tuple[State, ...]]:
    """Groups of states: large ones alone, small ones together; the heaviest first, so that workers end together."""
    size = {state.fips: int((assembler.clones.state_fips == state.fips).sum()) for state in states}
    # Few large tasks, as every simulation has its fixed cost; several a worker, so that workers end together.
    limit = min(MAX_RECORDS_A_TASK, max(*size.values(), sum(size.values()) // (2 * workers)))
    groups: list[list[State]] = []
    for state in sorted(states, key=lambda one: (-size[one.fips], one.fips)):
        for group in groups:
            if len(group) < MAX_STATES_A_TASK and sum(size[one.fips] for one in [*group, state]) <= limit:
                group.append(state)
                break
        else:
            groups.append([state])
    return [tuple(group) for group in groups]


def _attempt(
    assembler: Assembler,
    rules: Rules,
    variables: tuple[str, ...],
    sha256: str,
    finished: FinishedStates,
    states: tuple[State, ...],
) -> dict[str, StateValues] | RulesError:
    """The values of some states, or why there are none; an error must not keep other states back."""
    try:
        return finished.keep(_run(assembler, rules, variables, sha256, states))
    except RulesError as error:
        names = ", ".join(state.usps for state in states)
        return RulesError(f"state values of {names}: {error}")


def _run(
    assembler: Assembler,
    rules: Rules,
    variables: tuple[str, ...],
    sha256: str,
    states: tuple[State, ...],
) -> dict[str, StateValues]:
    clones = assembler.clones
    fips = np.array([state.fips for state in states])
    records = np.flatnonzero(np.isin(clones.state_fips, fips))
    differences = _differences(assembler, rules, variables, records)
    simulator = Simulator(assembler, rules, variables, records)
    found = settle(differences, simulator)
    names = ", ".join(state.usps for state in states)
    _LOGGER.info(
        "state values: %s: %d clones, %d simulated in %d rounds", names, len(records), found.n_simulations, found.rounds
    )
    values = simulator.collected()
    _verify(assembler, rules, variables, records, values, found.simulated)
    result = {}
    for state in states:
        here = clones.state_fips[records] == state.fips
        used, situation = np.unique(found.simulated[here], return_inverse=True)
        result[state.usps] = StateValues(
            state.usps,
            records[here],
            situation.ravel().astype(np.int32),
            take_households(values, used),
            rules.version,
            sha256,
            clones.placement_sha256,
        )
    return result


def _verify(
    assembler: Assembler,
    rules: Rules,
    variables: tuple[str, ...],
    records: npt.NDArray[np.int64],
    values: EntityValues,
    simulated: npt.NDArray[np.int64],
) -> None:
    """Simulate some clones as they live, and raise `RulesError` if any has other values than its situation."""
    draw = uniform("state_values/verify", records)
    chosen = np.sort(np.argsort(draw, kind="stable")[:VERIFIED])
    lived = rules.compute(assembler.assemble(records[chosen]), variables)
    found = take_households(values, simulated[chosen])
    for variable in variables:
        ours, theirs = found.values[variable], lived.values[variable]
        wrong = np.flatnonzero(ours != theirs)
        if wrong.size:
            unit, household = int(wrong[0]), lived.household_of[lived.entity_of[variable]]
            raise RulesError(
                f"{variable} of clone {records[chosen[household[unit]]]} is {theirs[unit]} as it lives, {ours[unit]} "
                f"in the values of its situation ({len(np.unique(household[wrong]))} of {len(chosen)} clones tried). "
                "The engine's answer hangs on something that was taken not to matter: report it, with its version."
            )


def _differences(
    assembler: Assembler,
    rules: Rules,
    variables: tuple[str, ...],
    records: npt.NDArray[np.int64],
) -> Differences:
    """What may tell apart the clones of a household in a state."""
    clones = assembler.clones
    bits = assembler.takeup_bits(records)
    return Differences(
        household=clones.household[records].astype(np.int64),
        place=clones.block_geoid[records].astype("S5").astype(np.int64),
        variables=tuple(bits),
        first={name: first for name, (first, _) in bits.items()},
        decision={name: decision for name, (_, decision) in bits.items()},
        always=frozenset(bits) & frozenset(variables),
        spell=_spells(assembler, rules, records),
    )


def _spells(assembler: Assembler, rules: Rules, records: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """A number for each record, equal for clones of a household whose members' spells of unemployment begin alike."""
    frame = assembler.frame
    result = np.zeros(len(records), dtype=np.int64)
    if rules.spell_input not in frame.person:
        return result
    person = np.flatnonzero(frame.person[rules.spell_input].to_numpy() > 0)
    household = frame.household_of("person")[person]
    order = np.argsort(household, kind="stable")
    person, household = person[order], household[order]
    of_record = assembler.clones.household[records]
    position = np.arange(len(person)) - np.searchsorted(household, household)
    for number in range(int(position.max(initial=-1)) + 1):
        one = np.full(frame.count("household"), -1, dtype=np.int64)
        one[household[position == number]] = person[position == number]
        concerned = np.flatnonzero(one[of_record] >= 0)
        ids = assembler.person_ids(records[concerned], one[of_record[concerned]])
        result[concerned] = result[concerned] * 13 + 1 + rules.spells(ids)
    return result


def _check_clones(assembler: Assembler, states: Sequence[State]) -> None:
    present = set(np.unique(assembler.clones.state_fips).tolist())
    empty = [state.usps for state in states if state.fips not in present]
    if empty:
        raise RulesError(f"state values: no clone lies in {', '.join(empty)}; raise the number of clones.")


def _check_variables(rules: Rules, variables: Sequence[str]) -> None:
    """Raise `RulesError` for a variable that the engine does not have, before anything is simulated."""
    for variable in variables:
        rules.entity(variable)
