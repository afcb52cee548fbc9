"""State values: each clone's own values whatever the tasks, kept through failures, refused where they are not exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import AreaDataset
from tessera.errors import RulesError
from tessera.geography import areas
from tessera.rules import state_values
from tessera.rules.examination import Examined
from tessera.rules.state_values import compute_state_values
from tessera.rules.takeup import published_rates, takeup_probabilities
from tessera.rules.values import EntityValues
from tests import builders
from tests.builders import by_household
from tests.stub_engine import StubRules

STATES = tuple(areas.state_by_usps(usps) for usps in ("CA", "NY", "WY", "VT"))
VARIABLES = ("adjusted_gross_income", "snap", "person_receives_aca")


class Generous(StubRules):
    """A double where SNAP goes to poor SPM units that take it up; and that knows what it read."""

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        values = super().compute(dataset, variables)
        if "snap" in variables:
            paid = dataset.arrays["takes_up_snap_if_eligible"].astype(bool) & poor(values)
            values = replace(values, values={**values.values, "snap": np.where(paid, values.values["snap"], 0.0)})
        return values

    def examine(self, dataset: AreaDataset, variables: Sequence[str], takeup: Sequence[str]) -> Examined:
        values = self.compute(dataset, variables)
        matters = {name: np.zeros(len(dataset.arrays[name]), dtype=bool) for name in takeup}
        matters["takes_up_snap_if_eligible"] = poor(values)
        return Examined(values, matters)


class Forgetful(Generous):
    """One that takes SNAP for something that does not matter."""

    def examine(self, dataset: AreaDataset, variables: Sequence[str], takeup: Sequence[str]) -> Examined:
        found = super().examine(dataset, variables, takeup)
        nothing = {name: np.zeros_like(flags) for name, flags in found.takeup_matters.items()}
        return Examined(found.values, nothing)


class BrokenInCalifornia(Generous):
    """One in which a variable fails in one state."""

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        if (dataset.arrays["state_fips"] == 6).any():
            raise RulesError("test double 0: snap failed for 2024 (ValueError: no such county).")
        return super().compute(dataset, variables)


def poor(values: EntityValues) -> npt.NDArray[np.bool_]:
    """SPM units of households below 40,000 dollars."""
    return by_household(values, "adjusted_gross_income")[values.household_of["spm_unit"]] < 40_000.0


@pytest.fixture(scope="module")
def assembler() -> Assembler:
    base = builders.frame(30)
    placed = builders.place(base, builders.real_place_blocks(2), 436)
    return Assembler(base, placed, takeup_probabilities(base, published_rates(), seed=1))


@pytest.mark.parametrize("workers", [1, 2])
def test_every_clone_has_its_own_values_from_fewer_rows(assembler: Assembler, workers: int) -> None:
    rules = Generous()
    computed = compute_state_values(assembler, rules, STATES, VARIABLES, workers=workers)
    assert list(computed) == ["CA", "NY", "WY", "VT"]
    for values in computed.values():
        each = rules.compute(assembler.assemble(values.records), VARIABLES)
        for variable in VARIABLES:
            ours = by_household(values.values, variable)[values.situation]
            np.testing.assert_array_equal(ours, by_household(each, variable))
        assert values.inputs_sha256 == computed["CA"].inputs_sha256
    california = computed["CA"]
    assert california.values.n_households < 0.9 * len(california.records)
    assert set(by_household(california.values, "snap") > 0) == {True, False}


def test_a_state_has_the_same_rows_alone_and_among_others(
    assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = compute_state_values(assembler, Generous(), STATES, VARIABLES)
    monkeypatch.setattr(state_values, "MAX_STATES_A_TASK", 1)
    monkeypatch.setattr("tessera.rules.simulator.MAX_HOUSEHOLDS", 200)
    for state in STATES:
        alone = compute_state_values(assembler, Generous(), [state], VARIABLES)[state.usps]
        np.testing.assert_array_equal(alone.situation, together[state.usps].situation)
        for variable in VARIABLES:
            np.testing.assert_array_equal(alone.values.values[variable], together[state.usps].values.values[variable])


def test_an_engine_that_hides_what_matters_is_found_out(assembler: Assembler) -> None:
    with pytest.raises(RulesError, match=r"CA.*snap of clone \d+ is .* as it lives.*taken not to matter"):
        compute_state_values(assembler, Forgetful(), STATES[:1], VARIABLES)


def test_a_failing_state_is_named_and_the_others_are_kept(
    assembler: Assembler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_values, "MAX_STATES_A_TASK", 1)
    with pytest.raises(RulesError, match=r"state values of CA: .*snap failed for 2024"):
        compute_state_values(assembler, BrokenInCalifornia(), STATES, VARIABLES, cache=tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*.h5")) == ["NY.h5", "VT.h5", "WY.h5"]

    class OnlyCalifornia(Generous):
        def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
            assert set(dataset.arrays["state_fips"]) == {6}
            return super().compute(dataset, variables)

    again = compute_state_values(assembler, OnlyCalifornia(), STATES, VARIABLES, cache=tmp_path)
    assert [again[usps].state for usps in again] == ["CA", "NY", "WY", "VT"]


def test_states_of_other_inputs_are_not_taken(assembler: Assembler, tmp_path: Path) -> None:
    compute_state_values(assembler, Generous(), STATES[2:], VARIABLES, cache=tmp_path)
    first = sorted(tmp_path.rglob("*.h5"))
    other = compute_state_values(assembler, Generous(), STATES[2:], VARIABLES[:1], cache=tmp_path)
    assert set(other["WY"].values.values) == {"adjusted_gross_income"}
    assert not any(path.exists() for path in first)


def test_a_damaged_file_is_computed_again(assembler: Assembler, tmp_path: Path) -> None:
    whole = compute_state_values(assembler, Generous(), STATES[2:3], VARIABLES, cache=tmp_path)["WY"]
    (path,) = tmp_path.rglob("*.h5")
    path.write_bytes(path.read_bytes()[:200])
    again = compute_state_values(assembler, Generous(), STATES[2:3], VARIABLES, cache=tmp_path)["WY"]
    np.testing.assert_array_equal(again.values.values["snap"], whole.values.values["snap"])


def test_a_state_without_clones_is_refused() -> None:
    base = builders.frame(3)
    placed = builders.place(base, builders.real_place_blocks(1), 2)
    empty = Assembler(base, placed, takeup_probabilities(base, published_rates(), seed=1))
    gone = [state for state in areas.states() if state.fips not in set(placed.state_fips)]
    with pytest.raises(RulesError, match=rf"no clone lies in {gone[0].usps}.*raise the number of clones"):
        compute_state_values(empty, StubRules(), areas.states(), VARIABLES)
