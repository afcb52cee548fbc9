"""Situations: what the engine can tell apart among the clones of a household.

Clones of one household differ in where they live, in what they take up, and in the months into which the engine places
a spell of unemployment. County and spell are always told apart. Most decisions make no difference: a rich household
that would take up SNAP gets none. Clones that differ in nothing that matters share a *situation*, one row of engine
values. Nothing is assumed about which decisions those are: the engine is asked (`examination`), and asked again
wherever the answer was "it matters".

Refinement. A group of clones, at first all of a household in a county, is simulated once, with the decisions that most
of them take. Members whose decisions agree with that, as far as they matter, have these values exactly. The others are
told apart by what matters, and are groups of the next round. Clones of small groups are simulated as they live. Every
simulation settles a clone or tells some apart, so that it ends after a few rounds; what a row is does not depend on
chunks, nor on other states or households.

Shapes: n records (clones of some states), slots = take-up decisions of all their units, in one ragged array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.errors import RulesError
from tessera.ragged import ranges
from tessera.random import uniform

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
_MAX_ROUNDS = 100
FEW = 2
"""Members of a group that are simulated each by itself: to examine one costs more than it saves."""


@dataclass(frozen=True)
class Differences:
    """What may tell the clones of a household apart.

    Attributes:
        household: household of each record, int64, shape (n,).
        place: county of each record, int64, shape (n,).
        variables: take-up variables.
        first: variable -> first unit of each record and the end, shape (n + 1,).
        decision: variable -> decision of each unit, bool, shape (first[-1],).
        always: variables whose decisions are told apart whatever the engine says: those that targets name.
        spell: of each record, int64, shape (n,); records of one household with equal numbers have equal spells.
    """

    household: IntArray
    place: IntArray
    variables: tuple[str, ...]
    first: Mapping[str, IntArray]
    decision: Mapping[str, BoolArray]
    always: frozenset[str]
    spell: IntArray


@dataclass(frozen=True)
class Asked:
    """A batch of simulations.

    Attributes:
        records: who is simulated, rows of the `Differences`, shape (m,).
        takeup: variable -> decision of each of their units, record by record.
        certain: records that are simulated just as they live, so that nothing needs to be examined, bool, shape (m,);
            they come last.
    """

    records: IntArray
    takeup: Mapping[str, BoolArray]
    certain: BoolArray


@dataclass(frozen=True)
class Situations:
    """The situations of some records.

    Attributes:
        simulated: number of the simulation (in the order in which they were asked for) of each record, shape (n,).
        n_simulations: how many there were.
        rounds: of refinement.
    """

    simulated: IntArray
    n_simulations: int
    rounds: int


def settle(differences: Differences, examine: Callable[[Asked], Mapping[str, BoolArray]]) -> Situations:
    """Find the situations of all records.

    Args:
        differences: between the records.
        examine: simulates a batch and says which decisions matter: variable -> bool, of the batch's units in order.

    Raises:
        RulesError: refinement does not end, which no engine can bring about that answers for one household alone.
    """
    slots = _Slots(differences)
    simulated = np.full(len(differences.household), -1, dtype=np.int64)
    told = slots.always.copy()
    group = _number(slots.hash(told), differences.spell, differences.household, differences.place)
    pending = np.arange(len(group))
    done = rounds = 0
    while len(pending):
        if rounds == _MAX_ROUNDS:
            raise RulesError(
                f"state values: {len(pending)} clones are not settled after {rounds} rounds; the engine's answers for "
                "a household must depend on that household alone. Report it with the engine's version."
            )
        leaders, of, alone = _lead(pending, group[pending])
        context = slots.majority(pending, leaders, of)
        matters = examine(Asked(leaders, slots.split(leaders, context), alone))
        told_now = told[slots.of(leaders)] | slots.join(leaders, matters)
        disagree = slots.like_leader(pending, leaders, of, told_now) & (
            slots.bit[slots.of(pending)] != slots.like_leader(pending, leaders, of, context)
        )
        settled = alone[of] | ~slots.any_of(pending, disagree)
        simulated[pending[settled]] = done + of[settled]
        done, rounds = done + len(leaders), rounds + 1
        pending, of = pending[~settled], of[~settled]
        told[slots.of(pending)] = slots.like_leader(pending, leaders, of, told_now)
        group[pending] = _number(slots.hash(told, pending), group[pending])
    return Situations(simulated, done, rounds)


def _lead(pending: IntArray, group: IntArray) -> tuple[IntArray, IntArray, BoolArray]:
    """Who is simulated for whom: one for each group of more than a few, and every member of smaller ones for itself.

    Args:
        pending: records, shape (n,).
        group: of each, shape (n,).

    Returns:
        Leaders (those of larger groups first, in order of the groups), the leader's number of each record, shape (n,),
        and whether each leader stands for itself alone.
    """
    _, first, of, size = np.unique(group, return_index=True, return_inverse=True, return_counts=True)
    large = np.flatnonzero(size > FEW)
    number = np.full(len(size), -1, dtype=np.int64)
    number[large] = np.arange(len(large))
    led = number[of]
    single = np.flatnonzero(led < 0)
    single = single[np.argsort(group[single], kind="stable")]
    led[single] = len(large) + np.arange(len(single))
    leaders = np.concatenate([pending[first[large]], pending[single]])
    return leaders, led, np.arange(len(leaders)) >= len(large)


class _Slots:
    """The decisions of all records in one ragged array: record by record, variable by variable, unit by unit."""

    def __init__(self, differences: Differences) -> None:
        self._variables = differences.variables
        self._units = {name: np.diff(differences.first[name]) for name in self._variables}
        n = len(differences.household)
        self.count = sum(self._units.values(), start=np.zeros(n, dtype=np.int64))
        self._start = np.append(0, np.cumsum(self.count))
        everyone = np.arange(n)
        self.bit = self.join(everyone, differences.decision)
        self.always = self._filled(everyone, {name: name in differences.always for name in self._variables})

    def of(self, records: IntArray) -> IntArray:
        """Slots of some records, in their order."""
        return ranges(self._start[records], self.count[records])

    def join(self, records: IntArray, values: Mapping[str, BoolArray]) -> BoolArray:
        """Values by variable, each record by record, as one array of the records' slots."""
        result = np.empty(int(self.count[records].sum()), dtype=bool)
        for name, where in self._places(records):
            result[where] = values[name]
        return result

    def split(self, records: IntArray, values: BoolArray) -> dict[str, BoolArray]:
        """An array of the records' slots by variable."""
        return {name: values[where] for name, where in self._places(records)}

    def like_leader(self, records: IntArray, leaders: IntArray, of: IntArray, values: BoolArray) -> BoolArray:
        """Values of the leaders' slots, spread over the slots of those they lead: all of one household."""
        start = np.append(0, np.cumsum(self.count[leaders]))
        return values[ranges(start[of], self.count[records])]

    def majority(self, records: IntArray, leaders: IntArray, of: IntArray) -> BoolArray:
        """What most of each leader's records decide, shape of the leaders' slots; where all agree, that."""
        start = np.append(0, np.cumsum(self.count[leaders]))
        led = ranges(start[of], self.count[records])
        taken = np.bincount(led, weights=self.bit[self.of(records)], minlength=int(start[-1]))
        return 2 * taken >= np.bincount(led, minlength=int(start[-1]))

    def any_of(self, records: IntArray, flags: BoolArray) -> BoolArray:
        """Whether any slot of each record is flagged."""
        row = np.repeat(np.arange(len(records)), self.count[records])
        return np.bincount(row[flags], minlength=len(records)) > 0

    def hash(self, told: BoolArray, records: IntArray | None = None) -> npt.NDArray[np.uint64]:
        """A number of each record that is equal where the decisions told apart are; unequal, but for chance, elsewhere.

        Chance costs a round, never a wrong answer: a member has to agree with its leader in every slot told apart.
        """
        chosen = np.arange(len(self.count)) if records is None else records
        slots = self.of(chosen)
        within = slots - np.repeat(self._start[chosen], self.count[chosen])
        weight = (uniform("situations", np.arange(int(self.count.max(initial=0)))) * 2.0**63).astype(np.uint64)
        values = np.where(told[slots], weight[within] + self.bit[slots], np.uint64(0))
        ends = np.append(np.uint64(0), np.cumsum(values * values, dtype=np.uint64))
        bounds = np.append(0, np.cumsum(self.count[chosen]))
        return ends[bounds[1:]] - ends[bounds[:-1]]

    def _filled(self, records: IntArray, value: Mapping[str, bool]) -> BoolArray:
        units = {name: np.full(int(self._units[name][records].sum()), value[name]) for name in self._variables}
        return self.join(records, units)

    def _places(self, records: IntArray) -> Iterator[tuple[str, IntArray]]:
        """Where the units of each variable lie in an array of the records' slots."""
        offset = np.append(0, np.cumsum(self.count[records]))[:-1]
        for name in self._variables:
            units = self._units[name][records]
            yield name, ranges(offset, units)
            offset = offset + units


def _number(*columns: npt.NDArray[np.generic]) -> IntArray:
    """Numbers of the distinct rows of some columns, in the order of the last one, then of the one before it."""
    order = np.lexsort(columns)
    new = np.zeros(len(order), dtype=bool)
    for column in columns:
        new[1:] |= column[order][1:] != column[order][:-1]
    result = np.empty(len(order), dtype=np.int64)
    result[order] = np.cumsum(new)
    return result
