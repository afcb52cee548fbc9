"""Situations: every clone gets the values of its own county and decisions, from as few simulations as they allow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import RulesError
from tessera.rules.situations import Asked, Differences, settle

Answer = Callable[[int, int, tuple[bool, ...]], int]


class ToyEngine:
    """An engine whose answer for a household is any function of its county and its decisions."""

    def __init__(self, differences: Differences, answer: Answer) -> None:
        self.differences, self.answer = differences, answer
        self.answers: list[int] = []

    def __call__(self, asked: Asked) -> dict[str, npt.NDArray[np.bool_]]:
        names = self.differences.variables
        units = {name: np.diff(self.differences.first[name])[asked.records] for name in names}
        start = {name: np.append(0, np.cumsum(units[name])) for name in names}
        matters = {name: np.zeros(start[name][-1], dtype=bool) for name in names}
        for row, record in enumerate(asked.records):
            where = [(name, unit) for name in names for unit in range(start[name][row], start[name][row + 1])]
            bits = tuple(bool(asked.takeup[name][unit]) for name, unit in where)
            self.answers.append(self._of(record, bits))
            free = self._free(record, bits)
            for number, (name, unit) in enumerate(where):
                matters[name][unit] = number not in free
        return matters

    def _of(self, record: int, bits: tuple[bool, ...]) -> int:
        return self.answer(int(self.differences.household[record]), int(self.differences.place[record]), bits)

    def _free(self, record: int, bits: tuple[bool, ...]) -> set[int]:
        """Decisions that change nothing however they are changed together."""
        for size in range(len(bits), 0, -1):
            for free in combinations(range(len(bits)), size):
                choices = [(False, True) if number in free else (bit,) for number, bit in enumerate(bits)]
                if len({self._of(record, tuple(one)) for one in product(*choices)}) == 1:
                    return set(free)
        return set()


def differences(seed: int, n_records: int, n_households: int, n_places: int) -> Differences:
    """Clones with one to four decisions of two programmes."""
    rng = np.random.Generator(np.random.Philox(seed))
    household = rng.integers(0, n_households, n_records)
    sizes = {"snap": np.ones(n_households, dtype=np.int64), "ssi": rng.integers(0, 4, n_households)}
    first = {name: np.append(0, np.cumsum(size[household])) for name, size in sizes.items()}
    decision = {name: rng.random(ends[-1]) < 0.6 for name, ends in first.items()}
    return Differences(
        household=household,
        place=rng.integers(0, n_places, n_records),
        variables=("snap", "ssi"),
        first=first,
        decision=decision,
        always=frozenset(),
        spell=np.zeros(n_records, dtype=np.int64),
    )


def truth(made: Differences, answer: Answer) -> npt.NDArray[np.int64]:
    result = []
    for record in range(len(made.household)):
        bits = tuple(
            bool(bit)
            for name in made.variables
            for bit in made.decision[name][made.first[name][record] : made.first[name][record + 1]]
        )
        result.append(answer(int(made.household[record]), int(made.place[record]), bits))
    return np.array(result)


def gated(household: int, place: int, bits: tuple[bool, ...]) -> int:
    """Programmes that some households are eligible for, one of them only without another, one by place."""
    kind = household % 4
    if kind == 0:
        return -1
    first, rest = bits[0], bits[1:]
    value = 10 * first if kind in (1, 3) else 0
    if kind in (2, 3) and rest and rest[0]:
        value += 100 + (1000 * place if not first else 0)
    return value


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 6), st.integers(1, 3))
def test_every_record_gets_the_answer_of_its_own_decisions(seed: int, n: int, households: int, places: int) -> None:
    made = differences(seed, n, households, places)
    engine = ToyEngine(made, gated)
    found = settle(made, engine)
    assert len(engine.answers) == found.n_simulations <= 2 * n
    np.testing.assert_array_equal(np.array(engine.answers)[found.simulated], truth(made, gated))


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_any_function_of_county_and_decisions_is_settled(seed: int, n: int) -> None:
    made = differences(seed, n, 3, 2)
    table = np.random.Generator(np.random.Philox(seed + 1)).integers(0, 3, (3, 2, 16))

    def answer(household: int, place: int, bits: tuple[bool, ...]) -> int:
        return int(table[household, place, sum(bit << number for number, bit in enumerate(bits))])

    engine = ToyEngine(made, answer)
    found = settle(made, engine)
    np.testing.assert_array_equal(np.array(engine.answers)[found.simulated], truth(made, answer))


def test_clones_that_differ_in_nothing_that_matters_are_simulated_once() -> None:
    made = differences(1, 400, 4, 3)
    found = settle(made, ToyEngine(made, lambda household, place, _bits: 10 * household + place))
    assert found.n_simulations == 4 * 3
    assert found.rounds == 1


def test_what_a_target_names_is_told_apart_from_the_start() -> None:
    from dataclasses import replace

    made = replace(differences(1, 400, 1, 1), always=frozenset({"snap"}))
    engine = ToyEngine(made, lambda household, _place, _bits: household)
    found = settle(made, engine)
    snap = made.decision["snap"]
    assert found.n_simulations == 2
    assert set(found.simulated[snap]).isdisjoint(found.simulated[~snap])


def test_spells_tell_apart() -> None:
    from dataclasses import replace

    made = replace(differences(1, 60, 1, 1), spell=np.arange(60) % 12)
    engine = ToyEngine(made, lambda household, _place, _bits: household)
    assert settle(made, engine).n_simulations == 12


def test_records_of_one_state_settle_alike_whatever_others_are_there() -> None:
    made = differences(5, 300, 6, 2)
    engine = ToyEngine(made, gated)
    together = settle(made, engine)
    few = np.flatnonzero(made.household < 3)
    starts = {name: np.diff(made.first[name])[few] for name in made.variables}
    alone = Differences(
        made.household[few],
        made.place[few],
        made.variables,
        {name: np.append(0, np.cumsum(size)) for name, size in starts.items()},
        {
            name: np.concatenate([made.decision[name][made.first[name][r] : made.first[name][r + 1]] for r in few])
            for name in made.variables
        },
        frozenset(),
        made.spell[few],
    )
    apart = settle(alone, ToyEngine(alone, gated))
    _, one = np.unique(together.simulated[few], return_inverse=True)
    _, other = np.unique(apart.simulated, return_inverse=True)
    np.testing.assert_array_equal(one, other)


def test_where_everything_matters_all_decisions_are_told_apart() -> None:
    made = differences(1, 40, 1, 1)

    def restless(asked: Asked) -> dict[str, npt.NDArray[np.bool_]]:
        return {name: np.ones(len(bits), dtype=bool) for name, bits in asked.takeup.items()}

    distinct = {
        tuple(np.concatenate([made.decision[n][made.first[n][r] : made.first[n][r + 1]] for n in made.variables]))
        for r in range(40)
    }
    found = settle(made, restless)
    assert len(set(found.simulated)) == len(distinct)
    assert found.rounds < 10


def test_no_records_need_no_simulation() -> None:
    made = differences(1, 0, 1, 1)
    assert settle(made, ToyEngine(made, gated)).n_simulations == 0


def test_too_many_rounds_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    made = differences(1, 5, 1, 1)
    monkeypatch.setattr("tessera.rules.situations._MAX_ROUNDS", 0)
    with pytest.raises(RulesError, match=r"5 clones are not settled.*household alone"):
        settle(made, ToyEngine(made, gated))
