"""Receivers in the donors' terms: spouses, races, couples' reference person, incomes of households."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.frame import Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donor_receivers import Receivers, receivers_of

from .support import RawAsec, persons


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Household 1: a woman who heads, her older husband, two children, one of them under six; household 2: two wives;
    household 3: a man alone who lives apart from his wife."""
    woman = {"A_AGE": 40, "A_SEX": 2, "A_MARITL": 1, "A_SPOUSE": 2, "WSAL_VAL": 52_000, "WKSWORK": 26, "PRDTRACE": 2}
    man = {"A_AGE": 45, "A_SEX": 1, "A_MARITL": 1, "A_SPOUSE": 1, "WSAL_VAL": 10_000, "INT_VAL": 100, "PRDTRACE": 1}
    child = {"A_AGE": 4, "A_SEX": 1, "PEPAR1": 1, "PEPAR2": 2, "PRDTRACE": 6}
    elder = {"A_AGE": 10, "A_SEX": 2, "PEPAR1": 1, "PEPAR2": 2, "PRDTRACE": 1, "PRDTHSP": 1}
    wife = {"PH_SEQ": 2, "A_SEX": 2, "A_MARITL": 1, "PRDTRACE": 4}
    table = persons(
        woman,
        man,
        child,
        elder,
        {**wife, "P_SEQ": 1, "A_LINENO": 1, "A_EXPRRP": 1, "A_AGE": 30, "A_SPOUSE": 2, "SEMP_VAL": 7_000},
        {**wife, "P_SEQ": 2, "A_LINENO": 2, "A_AGE": 39, "A_SPOUSE": 1, "RNT_VAL": -500},
        {"PH_SEQ": 3, "P_SEQ": 1, "A_LINENO": 1, "A_EXPRRP": 1, "A_AGE": 60, "A_MARITL": 3, "PRDTRACE": 1},
    )
    return build_cps(RawAsec(table.fillna(0).astype(int)), seed=1)


@pytest.fixture(scope="module")
def receivers(frame: Frame) -> Receivers:
    return receivers_of(frame)


def test_spouses_who_live_together_are_married(receivers: Receivers) -> None:
    assert receivers.persons["is_married"].tolist() == [1, 1, 0, 0, 1, 1, 0]


def test_race_groups_are_those_of_the_donors(receivers: Receivers) -> None:
    # Black, white, several races, Hispanic whatever the race, Asian, Asian, white.
    assert receivers.persons["race_group"].tolist() == [2, 1, 4, 3, 4, 4, 1]


def test_children_are_counted_by_household(receivers: Receivers) -> None:
    assert receivers.persons["count_under_18"].tolist() == [2, 2, 2, 2, 0, 0, 0]
    assert receivers.persons["count_under_6"].tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert receivers.persons["household_size"].tolist() == [4, 4, 4, 4, 2, 2, 1]
    assert receivers.persons["own_children"].tolist()[:2] == [2, 2]


def test_wealth_is_described_by_the_man_or_the_elder_of_the_heads_couple(receivers: Receivers) -> None:
    assert receivers.homes["age"].tolist() == [40, 30, 60]
    assert receivers.families["age"].tolist() == [45, 39, 60]
    assert receivers.families["is_male"].tolist() == [1, 0, 1]


def test_incomes_of_households_are_sums(receivers: Receivers) -> None:
    assert receivers.homes["employment_income"].tolist() == [62_000, 0, 0]
    assert receivers.families["interest_dividend_income"].tolist() == [100, 0, 0]
    # Business income counts rents, losses below zero.
    assert receivers.families["business_income"].tolist() == [0, 6_500, 0]
    assert receivers.families["rental_income"].tolist() == [0, -500, 0]


def test_weekly_pay_is_over_the_weeks_worked(receivers: Receivers) -> None:
    # 52,000 dollars in 26 weeks; weeks not given: a whole year's.
    np.testing.assert_allclose(receivers.persons["weekly_pay"][:2], [2_000, 10_000 / 52])


def test_heads(receivers: Receivers) -> None:
    assert receivers.head.tolist() == [0, 4, 6]
    assert not receivers.rents[[1, 2, 3, 5]].any() and not receivers.owns[[1, 2, 3, 5]].any()


def test_predictors_that_the_frame_lacks_are_left_out(receivers: Receivers) -> None:
    assert "state_fips" not in receivers.persons
