"""Joined state values: the matrix is the one built entry by entry, whatever the order, the chunks and the merging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tessera.errors import MatrixError
from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.matrix.evaluation import evaluate
from tessera.matrix.joining import join_state_values, matrix_from_state_values
from tessera.matrix.merging import DistinctRows
from tessera.matrix.metrics import compile_metrics
from tessera.rules.state_values import StateValues
from tests.matrix.toy_states import COUNTY, INPUTS, PLACES, toy_clones, toy_states, toy_targets, toy_values

WITH_CITIES = (*PLACES, ("city", "NYC"), ("city", "LOS_ANGELES"))


class OneAtATime(Mapping[str, StateValues]):
    """A lazy mapping that remembers what was read."""

    def __init__(self, states: Mapping[str, StateValues], order: list[str]) -> None:
        self._states, self._order, self.read = states, order, list[str]()

    def __getitem__(self, usps: str) -> StateValues:
        self.read.append(usps)
        return self._states[usps]

    def __iter__(self) -> Iterator[str]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


def explicit(targets: pd.DataFrame, clones: Clones, states: Mapping[str, StateValues]) -> np.ndarray:
    """The matrix entry by entry: every clone's own row of values, put where its target's area is."""
    metrics = compile_metrics(targets)
    result = np.zeros((len(targets), clones.n_records))
    for state in states.values():
        rows = evaluate(metrics, state.values, chunk=10**9).toarray().astype(np.float32)
        for record, situation in zip(state.records, state.situation, strict=True):
            code = int(clones.district[record])
            places = {"US", state.state, areas.district_key(code)}
            if COUNTY[code] in ("36061", "06037"):
                places.add({"36061": "NYC", "06037": "LOS_ANGELES"}[COUNTY[code]])
            inside = targets["geo_id"].isin(places).to_numpy()
            result[inside, record] = rows[situation][metrics.metric_of_target[inside]]
    return result


@given(
    seed=st.integers(0, 10**6), n=st.integers(1, 60), chunk=st.integers(1, 20), in_order=st.booleans(),
    cities=st.booleans(),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_the_matrix_is_the_explicit_one(seed: int, n: int, chunk: int, in_order: bool, cities: bool) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    clones = toy_clones(rng, n)
    states = toy_states(rng, clones, in_order=in_order)
    targets = toy_targets(WITH_CITIES if cities else PLACES)
    lazy = OneAtATime(states, rng.permutation(list(states)).tolist())
    joined = join_state_values(targets, clones, lazy, chunk=chunk)
    matrix = joined.matrix
    kept = targets["name"].isin(matrix.targets["name"]).to_numpy()
    full = explicit(targets, clones, states)
    np.testing.assert_array_equal(matrix.to_csr().toarray(), full[kept])
    assert (full[~kept] <= 0).all()
    assert sorted(lazy.read) == sorted(states)
    assert joined.situations == sum(state.values.n_households for state in states.values())
    rows = matrix.value_table.toarray()
    assert len(np.unique(rows, axis=0)) == len(rows) <= joined.situations
    assert matrix_from_state_values(targets, clones, states).fingerprint == matrix.fingerprint


@given(seed=st.integers(0, 10**6), n=st.integers(0, 40), chunk=st.integers(1, 9), in_order=st.booleans())
@settings(max_examples=40, deadline=None)
def test_values_in_chunks_are_the_values(seed: int, n: int, chunk: int, in_order: bool) -> None:
    values = toy_values(np.random.Generator(np.random.Philox(seed)), n, in_order=in_order)
    metrics = compile_metrics(toy_targets())
    whole, parts = (evaluate(metrics, values, chunk=size) for size in (10**9, chunk))
    assert parts.shape == (n, len(metrics))
    np.testing.assert_array_equal(parts.toarray(), whole.toarray())


def test_a_household_that_is_the_same_in_two_states_has_one_row() -> None:
    rng = np.random.Generator(np.random.Philox(4))
    clones = toy_clones(rng, 30)
    states = toy_states(rng, clones)
    shared = toy_values(rng, 1, in_order=True)
    states = {
        usps: replace(state, values=shared, situation=np.zeros_like(state.situation)) for usps, state in states.items()
    }
    joined = join_state_values(toy_targets(), clones, states)
    assert joined.situations == len(states) > 1
    assert joined.matrix.value_table.shape[0] == 1
    assert (joined.matrix.value_row == 0).all()


@given(seed=st.integers(0, 10**6), n=st.integers(0, 200), cuts=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_distinct_rows(seed: int, n: int, cuts: int) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    dense = (rng.integers(0, 2, (n, 3)) * rng.integers(1, 3, (n, 3))).astype(np.float32)
    rows = DistinctRows(3)
    edges = np.sort(rng.integers(0, n + 1, cuts)).tolist()
    numbers = [rows.add(csr_array(part)) for part in np.split(dense, edges)]
    table = rows.table()
    assert (table.dtype, rows.n_rows) == (np.float32, 0)
    found = np.concatenate(numbers)
    np.testing.assert_array_equal(table.toarray()[found], dense)
    first = pd.DataFrame(dense).drop_duplicates().index
    np.testing.assert_array_equal(found[first], np.arange(table.shape[0]))


def test_rows_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    from tessera.matrix import merging

    monkeypatch.setattr(merging, "hash_rows", lambda indptr, indices, bits, hashes: hashes.fill(7))
    dense = np.array([[1, 0], [0, 1], [1, 0], [2, 0], [0, 0], [1, 1], [0, 0]], dtype=np.float32)
    rows = DistinctRows(2)
    assert rows.add(csr_array(dense)).tolist() == [0, 1, 0, 2, 3, 4, 3]
    np.testing.assert_array_equal(rows.table().toarray(), dense[[0, 1, 3, 4, 5]])


class Case:
    """Thirty clones, their targets and state values."""

    def __init__(self) -> None:
        rng = np.random.Generator(np.random.Philox(9))
        self.clones = toy_clones(rng, 30)
        self.states = toy_states(rng, self.clones)
        self.targets = toy_targets()

    def join(self, **states: StateValues) -> None:
        join_state_values(self.targets, self.clones, {**self.states, **states})


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_names_state_variable_and_household(bad: float) -> None:
    case = Case()
    state = case.states["CA"]
    wage = state.values.values["wage"].copy()
    wage[5] = bad
    household = int(state.values.household_of["person"][5])
    broken = replace(state.values, values={**state.values.values, "wage": wage})
    with pytest.raises(
        MatrixError, match=rf"state_values\[CA\]: wage is {bad}.*person row 5 of household row {household} "
    ):
        case.join(CA=replace(state, values=broken))


def test_a_sum_beyond_single_precision_names_state_metric_and_situation() -> None:
    case = Case()
    state = case.states["NY"]
    rent = state.values.values["rent"].copy()
    rent[2] = 1e60
    broken = replace(state.values, values={**state.values.values, "rent": rent})
    with pytest.raises(MatrixError, match=r"state_values\[NY\]: rent is inf .* situation 2 "):
        case.join(NY=replace(state, values=broken))


def test_a_missing_state_is_named() -> None:
    case = Case()
    wanted = int((case.clones.state_fips == 36).sum())
    del case.states["NY"]
    with pytest.raises(MatrixError, match=rf"{wanted} clones in NY have no engine values"):
        case.join()


def test_values_of_other_inputs_are_refused() -> None:
    case = Case()
    other = replace(case.states["NY"], inputs_sha256="ab" * 32)
    with pytest.raises(
        MatrixError, match=r"state_values\[NY\] was made from the inputs abababababababab; wanted 5e5e"
    ) as e:
        case.join(NY=other)
    assert "state_values[DC]" in str(e.value) and "Materialise state_values again" in str(e.value)
    with pytest.raises(MatrixError, match=r"state_values\[NY\] was computed by engine 2; wanted double 1"):
        case.join(NY=replace(case.states["NY"], rules_version="engine 2"))
    with pytest.raises(MatrixError, match=r"state_values\[NY\] holds the values of CA"):
        case.join(NY=case.states["CA"])
    joined = join_state_values(case.targets, case.clones, case.states)
    assert (joined.inputs_sha256, joined.rules_version) == (INPUTS, "double 1")


def test_values_of_another_base_file_or_placement_are_refused() -> None:
    case = Case()
    at_hand = case.clones.placement_sha256[:16]
    for other in (
        replace(case.clones, base_sha256="7" * 64),
        replace(case.clones, block_geoid=np.roll(case.clones.block_geoid, 1)),
    ):
        old = replace(case.states["NY"], placement_sha256=other.placement_sha256)
        with pytest.raises(MatrixError, match=rf"state_values\[NY\] was made for the clones .* wanted {at_hand}"):
            case.join(NY=old)


def test_values_of_clones_elsewhere_are_refused() -> None:
    case = Case()
    state = case.states["CA"]
    elsewhere = np.where(np.arange(len(state.records)) == 0, case.states["NY"].records[0], state.records)
    for records in (elsewhere, state.records + 1000):
        with pytest.raises(MatrixError, match=r"state_values\[CA\] holds clones that are not placed in CA"):
            case.join(CA=replace(state, records=records))
    for situation in (state.situation[1:], state.situation + 1000, state.situation - 1000):
        with pytest.raises(MatrixError, match=r"state_values\[CA\] has .* wanted one row of these for each clone"):
            case.join(CA=replace(state, situation=situation))


def test_cells_are_districts_unless_a_city_has_targets() -> None:
    case = Case()
    plain = matrix_from_state_values(case.targets, case.clones, case.states)
    np.testing.assert_array_equal(plain.cells, areas.stratum_districts())
    assert set(plain.cell_city) == {""}
    split = matrix_from_state_values(toy_targets(WITH_CITIES), case.clones, case.states)
    inside = split.cell_city[split.cell] == "NYC"
    np.testing.assert_array_equal(inside, case.clones.district == 3610)
    np.testing.assert_array_equal(split.cells[split.cell], case.clones.district)
    assert set(split.cells) == set(plain.cells)


def test_a_city_without_clones_is_unachievable_and_an_unknown_one_refused() -> None:
    case = Case()
    places = (*PLACES, ("city", "HOUSTON"))
    matrix = matrix_from_state_values(toy_targets(places), case.clones, case.states)
    lost = matrix.unachievable[matrix.unachievable["geo_level"] == "city"]
    assert len(lost) == 8 and set(lost["reason"]) == {"the area holds no clone"}
    with pytest.raises(MatrixError, match=r"'BOSTON/0' is for the city 'BOSTON'.*NYC, LOS_ANGELES"):
        matrix_from_state_values(toy_targets((*PLACES, ("city", "BOSTON"))), case.clones, case.states)
