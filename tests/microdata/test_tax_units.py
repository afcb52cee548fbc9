"""Tax units: hand-checked real households, corner cases, refusals, invariants and agreement with the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.microdata import tax_units
from tessera.microdata.tax_units import construct, gross_income_limit, qualifying_child_age

from .support import persons, sample


def units_of(person: pd.DataFrame, sequence: int) -> dict[tuple[int, ...], tuple[str, int]]:
    """Lines of each unit of a household -> (filing status, line of the head)."""
    units = construct(person, 2019)
    found = {}
    for unit in np.unique(units.tax_unit_id[(person["PH_SEQ"] == sequence).to_numpy()]):
        rows = np.flatnonzero(units.tax_unit_id == unit)
        lines = tuple(sorted(int(line) for line in person["A_LINENO"].to_numpy()[rows]))
        found[lines] = (str(units.filing_status[unit]), int(person["A_LINENO"].to_numpy()[units.head[unit]]))
    return found


# Read by hand from the real file: PH_SEQ, and what the rules of relationship, age, schooling and income make of it.
REAL = {
    1: {(1, 2): ("JOINT", 1)},  # a couple; the younger wife is the reference person
    4: {(1,): ("SINGLE", 1), (2,): ("SINGLE", 2)},  # a son of 37 with wages
    5: {(1, 2): ("JOINT", 1), (3,): ("SINGLE", 3), (4,): ("SINGLE", 4)},  # children of 19 and 21, no students
    # Unmarried parents with two minors (the mother has more income), and a father of 18 with a baby of his own.
    19: {
        (1, 3, 5): ("HEAD_OF_HOUSEHOLD", 1),
        (2,): ("SINGLE", 2),
        (4, 7): ("HEAD_OF_HOUSEHOLD", 4),
        (6,): ("SINGLE", 6),
    },
    101: {(1, 2, 4, 5, 6, 7): ("JOINT", 1)},  # students of 23 and 21 with incomes of their own, minors
    362: {(1, 2, 3, 4): ("JOINT", 1)},  # grandchildren of 16 (a relative of low income) and 12 (a child)
    404: {(1, 2): ("HEAD_OF_HOUSEHOLD", 1), (3,): ("SINGLE", 3)},  # a son of 18; a roommate of 18
    497: {(1,): ("SINGLE", 1), (2, 3): ("SURVIVING_SPOUSE", 2)},  # a widowed roommate with her child
    619: {(1, 2, 3): ("JOINT", 1), (4, 5): ("JOINT", 4)},  # two couples
    784: {(1, 2): ("JOINT", 1), (3, 4, 5): ("HEAD_OF_HOUSEHOLD", 3)},  # three generations: a divorced son with children
}


@pytest.mark.parametrize("sequence", sorted(REAL))
def test_real_households_by_hand(shared_data: Path, sequence: int) -> None:
    person = sample(shared_data)
    assert units_of(person, sequence) == REAL[sequence]


def test_older_spouse_heads_where_neither_is_the_reference_person() -> None:
    person = persons(
        {"A_AGE": 80},
        {"A_AGE": 40, "A_MARITL": 1, "A_SPOUSE": 3, "A_EXPRRP": 10},
        {"A_AGE": 45, "A_MARITL": 1, "A_SPOUSE": 2, "A_EXPRRP": 10},
    )
    units = construct(person, 2024)
    assert units.role.tolist() == ["HEAD", "SPOUSE", "HEAD"]
    assert units.filing_status.tolist() == ["SINGLE", "JOINT"]


def test_disabled_adult_child_is_claimed_at_any_age() -> None:
    person = persons({"A_AGE": 70}, {"A_AGE": 45, "PEPAR1": 1, "A_EXPRRP": 5, "PEDISREM": 1})
    assert construct(person, 2024).role.tolist() == ["HEAD", "DEPENDENT"]


@pytest.mark.parametrize(
    ("child", "claimed"),
    [
        ({"PEDISREM": 1, "WSAL_VAL": 18_599}, True),
        ({"PEDISREM": 1, "WSAL_VAL": 18_600}, False),  # gainful activity in 2024: 1,550 a month
        ({"PEDISREM": 1, "SEMP_VAL": 9_300, "FRSE_VAL": 9_300}, False),
        ({"PEDISEYE": 1, "WSAL_VAL": 31_079}, True),  # of the blind: 2,590
        ({"SSI_VAL": 9000}, True),
        ({"SS_VAL": 20_000, "RESNSS1": 2}, False),  # supports themselves
    ],
)
def test_adult_child_is_claimed_for_a_disability_that_keeps_from_earning(child: dict[str, int], claimed: bool) -> None:
    person = persons({"A_AGE": 70}, {"A_AGE": 45, "PEPAR1": 1, "A_EXPRRP": 5} | child).fillna(0)
    assert bool(construct(person, 2024).role[1] == "DEPENDENT") is claimed


def test_minor_with_a_minor_mother_ends_with_the_grandparent() -> None:
    person = persons(
        {"A_AGE": 50, "WSAL_VAL": 30000},
        {"A_AGE": 16, "PEPAR1": 1, "A_EXPRRP": 5},
        {"A_AGE": 0, "PEPAR1": 2, "A_EXPRRP": 7},
    )
    units = construct(person, 2024)
    assert units.tax_unit_id.tolist() == [0, 0, 0]
    assert units.filing_status.tolist() == ["HEAD_OF_HOUSEHOLD"]
    assert units.is_qualifying_child.tolist() == [False, True, True]


@pytest.mark.parametrize(("wages", "claimed"), [(5049, True), (5050, False)])
def test_relative_of_sixteen_is_claimed_below_the_limit_only(wages: int, claimed: bool) -> None:
    person = persons({}, {"A_AGE": 16, "A_EXPRRP": 7, "WSAL_VAL": wages})
    units = construct(person, 2024)
    assert (units.role[1] == "DEPENDENT") is claimed
    assert not units.is_qualifying_child.any()


def test_losses_do_not_lower_gross_income() -> None:
    person = persons({}, {"A_AGE": 16, "A_EXPRRP": 7, "WSAL_VAL": 6000, "SEMP_VAL": -5000})
    assert construct(person, 2024).role.tolist() == ["HEAD", "HEAD"]


def test_parents_in_two_units_compete_by_income_then_age_then_line() -> None:
    def claims(**first: object) -> int:
        child = {"A_AGE": 9, "PEPAR1": 1, "PEPAR2": 2, "A_EXPRRP": 5}
        units = construct(persons({"A_AGE": 30, **first}, {"A_AGE": 30}, child), 2024)
        return int(units.head[units.tax_unit_id[2]])

    assert claims(SS_VAL=1) == 0
    assert claims(A_AGE=29) == 1
    assert claims() == 0


def test_unrelated_child_without_parents_belongs_to_the_reference_unit_as_a_relative() -> None:
    units = construct(persons({}, {"A_AGE": 10, "A_EXPRRP": 14}), 2024)
    assert units.role.tolist() == ["HEAD", "DEPENDENT"]
    # No kin and no qualifying child: the claim alone makes no head of household.
    assert units.filing_status.tolist() == ["SINGLE"]


@pytest.mark.parametrize("marital", [3, 6])
def test_married_person_who_lives_apart_files_separately_unless_with_a_child(marital: int) -> None:
    alone = construct(persons({"A_MARITL": marital}), 2024)
    assert alone.filing_status.tolist() == ["SEPARATE"]
    with_child = persons({"A_MARITL": marital}, {"A_AGE": 9, "PEPAR1": 1, "A_EXPRRP": 5})
    assert construct(with_child, 2024).filing_status.tolist() == ["HEAD_OF_HOUSEHOLD"]
    # A relative who is no child does not do (26 USC 7703(b)), where it does for the unmarried (26 USC 2(b)).
    with_nephew = persons({"A_MARITL": marital}, {"A_AGE": 9, "A_EXPRRP": 10})
    assert construct(with_nephew, 2024).filing_status.tolist() == ["SEPARATE"]
    assert construct(with_nephew.assign(A_MARITL=7), 2024).filing_status.tolist() == ["HEAD_OF_HOUSEHOLD"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"A_SPOUSE": [2, 0]}, "spouse"),
        ({"A_SPOUSE": [9, 0]}, "A_SPOUSE is 9"),
        ({"PEPAR1": [-1, 2]}, "PEPAR1 is 2"),
        ({"PEPAR1": [2, 1]}, "circle"),
        ({"A_LINENO": [1, 1]}, "A_LINENO 1 twice"),
        ({"P_SEQ": [1, 1]}, "P_SEQ 1 twice"),
        ({"A_AGE": [40, np.nan]}, "row 1 .*A_AGE is missing"),
        ({"A_EXPRRP": [1, 2]}, "2 reference persons"),
        ({"A_EXPRRP": [13, 13]}, "0 reference persons"),
    ],
)
def test_broken_households_are_refused_by_row(change: dict[str, list[float]], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        construct(persons({}, {}).assign(**change), 2024)


def test_absent_column_and_disorder_and_unknown_year_are_refused() -> None:
    two = persons({}, {})
    with pytest.raises(SourceError, match="PEPAR2"):
        construct(two.drop(columns="PEPAR2"), 2024)
    with pytest.raises(SourceError, match="out of order"):
        construct(two.iloc[::-1].reset_index(drop=True), 2024)
    with pytest.raises(SourceError, match="starts in 2017"):
        gross_income_limit(1999)


@st.composite
def households(draw: st.DrawFn) -> pd.DataFrame:
    size = draw(st.integers(1, 7))
    rows: list[dict[str, object]] = []
    for number in range(1, size + 1):
        age = draw(st.integers(0, 85))
        # Parents are earlier lines, so pointers cannot turn in circles.
        parents = draw(st.lists(st.integers(1, number - 1), max_size=2, unique=True)) if number > 1 else []
        rows.append(
            {
                "A_AGE": age,
                "A_MARITL": 7 if age < 15 else draw(st.sampled_from([4, 5, 6, 7])),
                "PEPAR1": parents[0] if parents else -1,
                "PEPAR2": parents[1] if len(parents) > 1 else -1,
                "A_EXPRRP": 1 if number == 1 else draw(st.sampled_from([5, 7, 8, 9, 10, 11, 12, 13, 14])),
                "WSAL_VAL": draw(st.sampled_from([0, 3000, 8000, 60000])),
                "A_ENRLW": draw(st.sampled_from([1, 2])),
                "A_FTPT": 1,
                "PEDISEYE": draw(st.sampled_from([1, 2])),
            }
        )
    if size > 1 and draw(st.booleans()):
        rows[0].update(A_MARITL=1, A_SPOUSE=2)
        rows[1].update(A_MARITL=1, A_SPOUSE=1, PEPAR1=-1, PEPAR2=-1, A_EXPRRP=3)
    return persons(*rows)


@settings(max_examples=120, deadline=None)
@given(households())
def test_every_unit_has_one_head_at_most_one_spouse_and_dense_ids(person: pd.DataFrame) -> None:
    units = construct(person, 2024)
    n = len(units.head)
    assert set(units.tax_unit_id) == set(range(n))
    assert np.bincount(units.tax_unit_id[units.role == "HEAD"], minlength=n).tolist() == [1] * n
    spouses = np.bincount(units.tax_unit_id[units.role == "SPOUSE"], minlength=n)
    assert spouses.max() <= 1
    assert ((units.filing_status == "JOINT") == (spouses == 1)).all()
    assert (units.role[units.head] == "HEAD").all()
    # Units are numbered by first occurrence.
    assert (np.diff([np.flatnonzero(units.tax_unit_id == u)[0] for u in range(n)]) > 0).all()
    # Nobody with a dependent of their own unit is a dependent's head elsewhere, and no adult parent is claimed.
    assert not units.is_qualifying_child[units.role != "DEPENDENT"].any()


@settings(max_examples=30, deadline=None)
@given(households(), households())
def test_households_do_not_touch_each_other(one: pd.DataFrame, two: pd.DataFrame) -> None:
    both = pd.concat([one, two.assign(PH_SEQ=2)], ignore_index=True)
    joined, first, second = construct(both, 2024), construct(one, 2024), construct(two.assign(PH_SEQ=2), 2024)
    assert joined.role.tolist() == [*first.role, *second.role]
    assert joined.filing_status.tolist() == [*first.filing_status, *second.filing_status]
    assert (joined.tax_unit_id == np.concatenate([first.tax_unit_id, second.tax_unit_id + len(first.head)])).all()


@pytest.mark.engine
def test_rules_restate_those_of_the_engine() -> None:
    from policyengine_us.tools import tax_unit_construction as engine

    for year in range(2017, 2027):
        assert gross_income_limit(year) == engine.dependent_gross_income_limit(year)
    codes = range(1, 15)
    children = {code for code in codes if engine.reference_relationship_allows_qualifying_child(code)}
    assert children == set(tax_units.CHILD_RELATIONSHIPS)
    for age in range(100):
        for student in (False, True):
            for disabled in (False, True):
                ours = qualifying_child_age(np.array([float(age)]), np.array([student]), np.array([disabled]))[0]
                assert ours == engine.qualifying_child_age_test(age, student, disabled)
