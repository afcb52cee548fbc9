"""Incomes of the year before: whom the merge matches, whom it does not, and the files it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.previous_year import matches, previous_year

from .support import RawAsec, persons, sample


def identifiers(*numbers: int) -> list[str]:
    return [f"{number:022d}" for number in numbers]


def two_surveys() -> tuple[RawAsec, RawAsec]:
    now = persons({"A_AGE": 41}, {"A_AGE": 30}, {"A_AGE": 80}).assign(PERIDNUM=identifiers(1, 2, 3), SEMP_VAL=1)
    before = persons({"A_AGE": 79}, {"A_AGE": 40}).assign(PERIDNUM=identifiers(3, 1), SEMP_VAL=[-50, 700])
    return RawAsec(now, income_year=2024), RawAsec(before, income_year=2023)


def test_persons_of_both_surveys_have_the_income_of_the_year_before() -> None:
    now, before = two_surveys()
    found = previous_year(now.person, now, before)
    assert list(found["self_employment_income_last_year"]) == [700, 0, -50]
    assert list(found["previous_year_income_available"]) == [True, False, True]


def test_without_the_other_survey_nothing_is_available() -> None:
    now, _ = two_surveys()
    person = now.person.drop(columns="PERIDNUM")
    found = previous_year(person, now, None)
    assert not found["previous_year_income_available"].any()
    assert not found["self_employment_income_last_year"].any()


def test_allocated_earnings_are_no_report() -> None:
    now, before = two_surveys()
    found = previous_year(
        now.person, now, replace(before, person=before.person.assign(I_ERNVAL=[0, 1], I_SEVAL=[0, 0]))
    )
    assert list(found["previous_year_income_available"]) == [False, False, True]
    assert list(found["self_employment_income_last_year"]) == [0, 0, -50]


@pytest.mark.parametrize(
    ("now", "before", "same"),
    [
        (41, 40, True),
        (40, 40, True),
        (42, 40, True),
        (43, 40, False),
        (39, 40, False),
        (80, 79, True),
        (80, 78, True),
        (80, 77, False),
        (80, 80, True),
        (85, 80, True),
        (85, 79, False),
        (85, 85, True),
        (80, 85, False),
    ],
)
def test_ages_must_agree(now: int, before: int, same: bool) -> None:
    one, other = persons({"A_AGE": now}), persons({"A_AGE": before})
    row = matches(one.assign(PERIDNUM=identifiers(7)), other.assign(PERIDNUM=identifiers(7)))[0]
    assert row == (0 if same else -1)


def test_another_sex_is_another_person() -> None:
    one, other = persons({"A_SEX": 1}), persons({"A_SEX": 2})
    assert matches(one.assign(PERIDNUM=identifiers(7)), other.assign(PERIDNUM=identifiers(7)))[0] == -1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.23456E+21", "2.3E+21", "3.4E+21"], "row 0: PERIDNUM is '1.23456E.21' .3 such"),
        (identifiers(1, 1, 2), "row 1: PERIDNUM 0000000000000000000001 occurs twice"),
        (["", *identifiers(1, 2)], "row 0: PERIDNUM is ''"),
    ],
)
def test_broken_identifiers_are_refused(names: list[str], words: str) -> None:
    now, before = two_surveys()
    with pytest.raises(SourceError, match=f"^ASEC person table {words}"):
        previous_year(now.person.assign(PERIDNUM=names), now, before)
    with pytest.raises(SourceError, match=f"^previous ASEC person table {words}"):
        previous_year(now.person, now, replace(before, person=persons({}, {}, {}).assign(PERIDNUM=names)))


def test_another_year_and_absent_columns_are_refused() -> None:
    now, before = two_surveys()
    with pytest.raises(SourceError, match="incomes are of 2022; wanted 2023"):
        previous_year(now.person, now, replace(before, income_year=2022))
    with pytest.raises(SourceError, match="previous ASEC person table: columns PERIDNUM are absent"):
        previous_year(now.person, now, replace(before, person=before.person.drop(columns="PERIDNUM")))


def test_spreadsheet_of_the_real_persons_is_refused(shared_data: Path) -> None:
    raw = sample(shared_data)
    now = RawAsec(raw, income_year=2019)
    with pytest.raises(SourceError, match=r"PERIDNUM is '8.32961e\+21'.*spreadsheet"):
        previous_year(raw, now, RawAsec(raw, income_year=2018))


def test_rows_of_the_year_before_may_come_in_any_order() -> None:
    now, before = two_surveys()
    turned = replace(before, person=before.person.iloc[::-1].set_axis([5, 9]))
    one, other = previous_year(now.person, now, before), previous_year(now.person, now, turned)
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(other))
