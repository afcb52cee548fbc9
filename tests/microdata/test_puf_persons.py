"""Persons of returns: who there is, ages by code, sexes, and whose amounts are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_demographics import dependents_of
from tessera.microdata.puf_persons import BENEFIT_AGE, SPOUSE_BENEFIT, Persons, allocate, expand


def returns(n: int = 1, **values: object) -> pd.DataFrame:
    start = {"MARS": 2, "XTOT": 2, "DSI": 0, "AGERANGE": 3, "GENDER": 1, "EARNSPLIT": 1}
    start |= {"AGEDP1": 0, "AGEDP2": 0, "AGEDP3": 0, "E30400": 0.0, "E30500": 0.0}
    return pd.DataFrame({**start, **values, "RECID": np.arange(1, n + 1)}, index=range(n))


def spouse_of(persons: Persons) -> tuple[np.ndarray, np.ndarray]:
    head = np.flatnonzero(persons.slot == 0)
    spouse = np.flatnonzero(persons.slot == 1)
    return head[persons.unit[spouse]], spouse


@pytest.mark.parametrize(
    ("mars", "xtot", "dsi", "slots"),
    [
        (1, 1, 0, [0]),
        (1, 0, 1, [0]),
        (1, 4, 1, [0]),  # whom another claims, claims nobody
        (2, 2, 0, [0, 1]),
        (2, 1, 0, [0, 1]),  # an exemption too few is no negative child
        (2, 4, 0, [0, 1, 2, 3]),
        (4, 3, 0, [0, 2, 3]),
        (4, 9, 0, [0, 2, 3, 4]),  # three at most, as the file has codes for
    ],
)
def test_who_there_is(mars: int, xtot: int, dsi: int, slots: list[int]) -> None:
    table = returns(MARS=mars, XTOT=xtot, DSI=dsi)
    assert expand(table, seed=1).slot.tolist() == slots
    assert dependents_of(table).tolist() == [sum(slot > 1 for slot in slots)]


@pytest.mark.parametrize(
    ("dsi", "code", "low", "high"),
    [(0, 1, 18, 25), (0, 2, 26, 34), (0, 6, 65, 85), (1, 1, 14, 17), (1, 2, 18, 25), (1, 3, 26, 39), (1, 6, 26, 39)],
)
def test_ages_of_filers_by_code(dsi: int, code: int, low: int, high: int) -> None:
    age = expand(returns(500, MARS=1, XTOT=1, DSI=dsi, AGERANGE=code), seed=1).age
    assert (age == np.floor(age)).all()
    assert (age.min(), age.max()) == (low, high)


def test_ages_of_dependants_by_code() -> None:
    persons = expand(returns(400, MARS=4, XTOT=4, AGEDP1=1, AGEDP2=3, AGEDP3=6), seed=1)
    for slot, low, high in ((2, 0, 4), (3, 13, 16), (4, 24, 39)):
        age = persons.age[persons.slot == slot]
        assert (age.min(), age.max()) == (low, high)


def test_spouses_ages_differ_as_published() -> None:
    persons = expand(returns(20_000, AGERANGE=4), seed=1)
    head, spouse = spouse_of(persons)
    older = persons.age[head] - persons.age[spouse]  # heads are men but for couples of one sex
    assert (persons.is_female[head] == persons.is_female[spouse]).mean() == pytest.approx(0.04, abs=0.006)
    for row in read_rows("spouse_age_difference"):
        share = ((older >= float(row["low"])) & (older <= float(row["high"]))).mean()
        assert share == pytest.approx(float(row["share"]), abs=0.012), row
    women = expand(returns(20_000, AGERANGE=4, GENDER=2), seed=1)
    head, spouse = spouse_of(women)
    assert (women.age[spouse] - women.age[head]).mean() == pytest.approx(older.mean(), abs=0.3)


def test_spouses_are_grown_up_and_not_above_the_oldest() -> None:
    for code in (1, 6):
        persons = expand(returns(3_000, AGERANGE=code), seed=1)
        assert persons.age.min() >= 18
        assert persons.age.max() <= 85


def test_a_person_depends_on_its_return_alone() -> None:
    table = returns(50, XTOT=4, AGEDP1=2, AGEDP2=2)
    whole, part = expand(table, seed=1), expand(table.iloc[20:30].reset_index(drop=True), seed=1)
    rows = np.isin(whole.recid, part.recid)
    np.testing.assert_array_equal(whole.age[rows], part.age)
    np.testing.assert_array_equal(whole.is_female[rows], part.is_female)


def shares(table: pd.DataFrame, **amounts: float) -> dict[str, np.ndarray]:
    """The spouse's share of each amount."""
    persons = expand(table, seed=1)
    given = pd.DataFrame({name: np.full(len(table), value) for name, value in amounts.items()})
    found = allocate(given, table, persons, seed=1)
    for name, values in found.items():
        total = np.bincount(persons.unit, weights=values)
        np.testing.assert_allclose(total, given[name], rtol=1e-12)
        assert (values[persons.slot > 1] == 0).all()
    return {name: values[persons.slot == 1] / amounts[name] for name, values in found.items()}


@pytest.mark.parametrize(
    ("code", "low", "high"), [(0, 0.0, 0.0), (1, 0.0, 0.25), (2, 0.25, 0.75), (3, 0.75, 1.0), (4, 0.0, 0.0)]
)
def test_earnings_are_split_by_earnsplit(code: int, low: float, high: float) -> None:
    names = ("employment_income_before_lsr", "self_employment_income_before_lsr", "farm_operations_income")
    found = shares(returns(300, XTOT=3, AGEDP1=1, EARNSPLIT=code), **dict.fromkeys(names, 1000.0))
    for name in names:
        assert low <= found[name].min() <= found[name].max() <= high
        np.testing.assert_array_equal(found[name], found[names[0]])


def test_losses_are_split_too_and_other_amounts_stand_with_the_head() -> None:
    found = shares(returns(5, EARNSPLIT=3), self_employment_income_before_lsr=-100.0, taxable_interest_income=7.0)
    assert (found["self_employment_income_before_lsr"] >= 0.75).all()
    assert (found["taxable_interest_income"] == 0).all()


def test_partners_are_split_as_schedule_se() -> None:
    found = shares(returns(E30400=100.0, E30500=300.0), partnership_self_employment_net_earnings=50.0)
    assert found["partnership_self_employment_net_earnings"].tolist() == [0.75]


def test_two_educators_and_one() -> None:
    assert shares(returns(), educator_expense=250.0)["educator_expense"].tolist() == [0.0]
    assert shares(returns(), educator_expense=500.0)["educator_expense"].tolist() == [0.5]


def test_benefits_of_couples() -> None:
    table = returns(2_000, AGERANGE=5)
    persons = expand(table, seed=1)
    head, spouse = spouse_of(persons)
    found = shares(table, puf_social_security=100.0)["puf_social_security"]
    one, other = persons.age[head] >= BENEFIT_AGE, persons.age[spouse] >= BENEFIT_AGE
    np.testing.assert_array_equal(found, np.where(one & other, SPOUSE_BENEFIT, np.where(other & ~one, 1.0, 0.0)))
    assert {0.0, SPOUSE_BENEFIT, 1.0} == set(found)


def test_a_single_filer_has_it_all() -> None:
    table = returns(3, MARS=[1, 3, 4], XTOT=1, EARNSPLIT=3)
    persons = expand(table, seed=1)
    found = allocate(pd.DataFrame({"employment_income_before_lsr": [1.0, 2.0, 3.0]}), table, persons, seed=1)
    assert found["employment_income_before_lsr"].tolist() == [1.0, 2.0, 3.0]
