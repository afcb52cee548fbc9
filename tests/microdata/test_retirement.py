"""Retirement contributions: real persons by hand, parts within sum and limits, limits as the engine has them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.microdata.datafile import read_rows
from tessera.microdata.retirement import (
    CONTRIBUTIONS,
    IRAS,
    ROTH_IRA,
    ROTH_WORKPLACE,
    SELF_EMPLOYED,
    TRADITIONAL_IRA,
    TRADITIONAL_WORKPLACE,
    WORKPLACE,
    Limits,
    contributions,
    limited_contributions,
    limits_of,
    retirement_share,
    split_contributions,
)

from .support import persons, sample

YEARS = range(2018, 2027)


def split(
    total: float, *, wages: float = 0.0, business: float = 0.0, age: float = 40.0, year: int = 2019
) -> dict[str, float]:
    parts = split_contributions(*(np.array([value]) for value in (total, wages, business, age)), year)
    return {name: float(values[0]) for name, values in parts.items()}


def accounts(workplace: float = 0.0, ira: float = 0.0, own: float = 0.0) -> dict[str, float]:
    return {
        SELF_EMPLOYED: own,
        TRADITIONAL_WORKPLACE: workplace * 0.85,
        ROTH_WORKPLACE: workplace * 0.15,
        TRADITIONAL_IRA: ira * (1 - 0.6028),
        ROTH_IRA: ira * 0.6028,
    }


# Household and line of the real file -> accounts by hand, with the limits of 2019 (19,000 and 6,000 at 50; IRA 6,000).
REAL = {
    # 3,000 dollars beside a profit of 20,000, of which a quarter is more: all into the own plan.
    (206, 2): accounts(own=3000),
    # A quarter of 2 dollars of profit; wages of 75,200.
    (305, 1): accounts(own=0.5, workplace=2999.5 * 0.9074, ira=2999.5 * 0.0926),
    # Wages alone, below all limits.
    (757, 2): accounts(workplace=4000 * 0.9074, ira=4000 * 0.0926),
    (404, 1): accounts(workplace=8800 * 0.9074, ira=8800 * 0.0926),
}


@pytest.mark.parametrize("key", sorted(REAL))
def test_real_persons_by_hand(shared_data: Path, key: tuple[int, int]) -> None:
    raw = sample(shared_data)
    parts = contributions(raw, raw["A_AGE"].to_numpy(dtype=float), 2019)
    row = int(np.flatnonzero((raw["PH_SEQ"] == key[0]) & (raw["A_LINENO"] == key[1]))[0])
    assert {name: values[row] for name, values in parts.items()} == pytest.approx(REAL[key], abs=1e-9)


def test_the_real_file_keeps_all_that_the_law_allows(shared_data: Path) -> None:
    raw = sample(shared_data)
    parts = contributions(raw, raw["A_AGE"].to_numpy(dtype=float), 2019)
    assert list(parts) == list(CONTRIBUTIONS)
    dropped = raw["RETCB_VAL"] - np.sum(list(parts.values()), axis=0)
    # Two persons of 61 and 64 without earnings report 10,000 each: an IRA takes 7,000.
    some = dropped > 0.01
    assert raw.loc[some, "A_AGE"].tolist() == [61, 64]
    np.testing.assert_allclose(dropped[some], 3000)
    assert (dropped[~some].abs() < 1e-6).all()


def test_what_is_above_one_limit_goes_to_the_other() -> None:
    # 0.9074 of 30,000 is above 19,000; the IRA takes 6,000 of the rest, and 5,000 are above everything.
    assert split(30_000, wages=90_000) == pytest.approx(accounts(workplace=19_000, ira=6_000))
    # The IRA's share of 20,000 is 1,852; what the plan cannot take, 0 here, stays there.
    assert split(20_000, wages=90_000) == pytest.approx(accounts(workplace=20_000 * 0.9074, ira=20_000 * 0.0926))
    # At 52 there are 6,000 and 1,000 more.
    assert split(40_000, wages=90_000, age=52) == pytest.approx(accounts(workplace=25_000, ira=7_000))
    # The share of the IRA is above its limit: the plan takes the rest.
    assert split(90_000, wages=900_000, business=400_000, year=2024) == pytest.approx(
        accounts(own=69_000, workplace=21_000 * 0.9074, ira=21_000 * 0.0926)
    )
    # Nobody defers more than the wage.
    assert split(10_000, wages=500) == pytest.approx(accounts(workplace=500, ira=6_000))


def test_losses_and_negative_sums_give_nothing() -> None:
    assert split(5_000, business=-50_000) == pytest.approx(accounts(ira=5_000))
    assert split(-100, wages=50_000) == pytest.approx(accounts())


amounts = st.floats(-1e5, 1e6, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(amounts, amounts, amounts, st.floats(0, 100), st.sampled_from(list(YEARS)))
def test_parts_stay_within_sum_and_limits(total: float, wages: float, business: float, age: float, year: int) -> None:
    parts = split(total, wages=wages, business=business, age=age, year=year)
    limits = limits_of(year)
    assert all(value >= 0 for value in parts.values())
    assert sum(parts.values()) <= max(total, 0) * (1 + 1e-12)
    own, workplace = parts[SELF_EMPLOYED], parts[TRADITIONAL_WORKPLACE] + parts[ROTH_WORKPLACE]
    ira = parts[TRADITIONAL_IRA] + parts[ROTH_IRA]
    at = np.array([age])
    assert own <= min(0.25 * max(business, 0), limits.annual_additions)
    assert workplace <= limits.workplace(at, np.array([wages]))[0] * (1 + 1e-12)
    assert ira <= limits.iras(at)[0] * (1 + 1e-12)
    # Nothing is dropped while a limit has room.
    if sum(parts.values()) < max(total, 0) - 1e-6:
        assert math.isclose(workplace, limits.workplace(at, np.array([wages]))[0], abs_tol=1e-6)
        assert math.isclose(ira, limits.iras(at)[0], abs_tol=1e-6)


@settings(max_examples=150, deadline=None)
@given(st.lists(amounts, min_size=7, max_size=7), amounts, amounts, st.floats(0, 100), st.sampled_from(list(YEARS)))
def test_limited_contributions_keep_proportions(
    values: list[float], wages: float, business: float, age: float, year: int
) -> None:
    names = (SELF_EMPLOYED, *WORKPLACE, *IRAS)
    desired = {name: np.array([value]) for name, value in zip(names, values, strict=True)}
    wage, profit, at = (np.array([value]) for value in (wages, business, age))
    held = limited_contributions(desired, wage, profit, at, year)
    limits = limits_of(year)
    assert set(held) == set(names)
    for group, limit in (
        ((SELF_EMPLOYED,), limits.self_employed(profit)[0]),
        (WORKPLACE, limits.workplace(at, wage)[0]),
        (IRAS, limits.iras(at)[0]),
    ):
        wanted = np.array([max(desired[name][0], 0.0) for name in group])
        got = np.array([held[name][0] for name in group])
        assert got.sum() <= limit * (1 + 1e-12) + 1e-9
        assert (got >= 0).all()
        if wanted.sum() <= limit:
            np.testing.assert_array_equal(got, wanted)
        else:
            np.testing.assert_allclose(got * wanted.sum(), wanted * limit, rtol=1e-9, atol=1e-6)
    again = limited_contributions(held, wage, profit, at, year)
    for name in names:
        # Wages of 1e-308 dollars are told to fewer digits.
        np.testing.assert_allclose(again[name], held[name], rtol=1e-12, atol=1e-12)


def test_names_that_are_absent_stay_absent() -> None:
    one = np.array([9_000.0])
    held = limited_contributions({ROTH_IRA: one}, one, one, np.array([40.0]), 2024)
    assert {name: value.tolist() for name, value in held.items()} == {ROTH_IRA: [7_000.0]}


def test_catch_up_by_age() -> None:
    ages, wages = np.array([49, 50, 59, 60, 63, 63.9, 64, 80]), np.full(8, 1e6)
    assert limits_of(2025).workplace(ages, wages).tolist() == [
        23_500, 31_000, 31_000, 34_750, 34_750, 34_750, 31_000, 31_000,
    ]  # fmt: skip
    assert limits_of(2024).workplace(ages, wages).tolist() == [23_000, *[30_500] * 7]
    assert limits_of(2026).iras(ages).tolist() == [7_500, *[8_600] * 7]


@pytest.mark.parametrize("year", [2017, 2027])
def test_a_year_without_limits_is_refused(year: int) -> None:
    with pytest.raises(SourceError, match=rf"for {year}; .* holds 2018 to 2026"):
        contributions(persons({}), np.array([40.0]), year)


def test_shares_are_those_of_the_published_tables(shared_data: Path) -> None:
    folder = shared_data / "official" / "irs_soi" / "ira_contributions"
    traditional, roth = (
        float(pd.read_excel(folder / name, header=None).iloc[7, 2]) for name in ("22in05ira.xlsx", "22in06ira.xlsx")
    )
    assert retirement_share("roth_ira") == pytest.approx(roth / (roth + traditional), abs=1e-4)
    workplace = 567.9e6  # thousands of dollars
    assert retirement_share("workplace") == pytest.approx(workplace / (workplace + roth + traditional), abs=1e-4)
    assert {row["year"] for row in read_rows("contribution_limits")} == {str(year) for year in YEARS}


@pytest.mark.engine
def test_limits_are_those_of_the_engine() -> None:
    from policyengine_us.system import system

    parameters = system.parameters
    for year in YEARS:
        law = parameters(f"{year}-01-01").gov.irs.gross_income.retirement_contributions
        catch_up = law.catch_up.limit.k401
        assert limits_of(year) == Limits(
            elective_deferral=law.limit["401k"],
            catch_up=catch_up.calc(50),
            catch_up_60_to_63=catch_up.calc(61),
            ira=law.limit.ira,
            ira_catch_up=law.catch_up.limit.ira,
            annual_additions=law.limit.annual_additions,
        ), year
        assert catch_up.calc(64) == catch_up.calc(59) == catch_up.calc(50)
        assert catch_up.calc(60) == catch_up.calc(63)
