"""Work: real persons by hand, codes outside the universe, occupation tables against the engine, overtime premiums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import FrameError, SourceError
from tessera.microdata.cps import build_cps
from tessera.microdata.datafile import read_rows
from tessera.microdata.overtime import (
    NEEDED,
    PREMIUM,
    OvertimeRules,
    exemption_threshold,
    overtime_premium,
    overtime_rules,
    with_overtime_premium,
)
from tessera.microdata.work import occupation_flags, overtime_flags, tipped_occupation_code, work

from .support import RawAsec, persons, sample

EXECUTIVE = "is_executive_administrative_professional"
# Household and line of the real file -> inputs by hand; flags that are not named are false.
REAL: dict[tuple[int, int], dict[str, object]] = {
    # Worked 40 weeks of 40 hours; no job now.
    (1, 2): {"weekly_hours_worked_before_lsr": 40, "weeks_worked": 40, "worked_last_year": True,
             "detailed_industry_recode": 9, "major_industry_recode": 6},
    # Retired: "never worked" by the survey's recode.
    (72, 2): {"has_never_worked": True, "detailed_industry_recode": 23, "major_industry_recode": 15},
    # A cleaner of private homes: tipped occupation 304 by the Census code 4230.
    (112, 1): {"weekly_hours_worked_before_lsr": 25, "weeks_worked": 52, "worked_last_year": True,
               "hours_worked_last_week": 35, "treasury_tipped_occupation_code": 304,
               "detailed_industry_recode": 19, "major_industry_recode": 12},
    # An engineer with a dollar of business and farm profit: broke even.
    (305, 1): {"weekly_hours_worked_before_lsr": 44, "weeks_worked": 52, "worked_last_year": True,
               "hours_worked_last_week": 40, "is_self_employed": True, EXECUTIVE: True,
               "detailed_industry_recode": 4, "major_industry_recode": 4},
    # An electrician of last year without a job now: listed by the longest job.
    (675, 2): {"weekly_hours_worked_before_lsr": 40, "weeks_worked": 20, "worked_last_year": True,
               "treasury_tipped_occupation_code": 403, "detailed_industry_recode": 3, "major_industry_recode": 3},
    # A bookkeeper with a business of the own; office work is exempt from a salary on.
    (206, 2): {"weekly_hours_worked_before_lsr": 40, "weeks_worked": 52, "worked_last_year": True,
               "hours_worked_last_week": 48, "is_self_employed": True, EXECUTIVE: True,
               "detailed_industry_recode": 13, "major_industry_recode": 9},
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(REAL))
def test_real_persons_by_hand(shared_data: Path, key: tuple[int, int]) -> None:
    raw = sample(shared_data)
    columns = work(raw)
    row = int(np.flatnonzero((raw["PH_SEQ"] == key[0]) & (raw["A_LINENO"] == key[1]))[0])
    assert {name: values[row].item() for name, values in columns.items() if values[row]} == REAL[key]


def test_real_file_hangs_together(shared_data: Path) -> None:
    raw = sample(shared_data)
    columns = work(raw)
    # Whoever worked has hours and an industry, nobody else has.
    np.testing.assert_array_equal(columns["worked_last_year"], columns["weekly_hours_worked_before_lsr"] > 0)
    np.testing.assert_array_equal(columns["worked_last_year"], np.isin(raw["WEIND"], range(1, 23)))
    assert not (columns["worked_last_year"] & columns["has_never_worked"]).any()
    assert columns["weeks_worked"].sum() == raw["WKSWORK"].sum()
    assert columns["weeks_unemployed"].sum() == raw["LKWEEKS"].clip(lower=0).sum()
    assert set(columns["treasury_tipped_occupation_code"]) - {0} <= {int(row["ttoc"]) for row in tipped()}


def tipped() -> tuple[dict[str, str], ...]:
    return read_rows("tipped_occupations")


def test_codes_below_zero_count_as_none() -> None:
    row = {"HRSWK": -1, "A_HRS1": -4, "LKWEEKS": -1, "WKSWORK": 0, "PEIOOCC": -1}
    columns = work(persons(row))
    assert all(not values.any() for values in columns.values())


def test_occupation_table_has_every_code_once() -> None:
    rows = read_rows("occupation_flags")
    assert [int(row["code"]) for row in rows] == list(range(1, 54))
    flags = overtime_flags(np.arange(60))
    assert np.sum(list(flags.values()), axis=0).max() == 1  # a person is exempt in one way
    assert np.flatnonzero(flags["is_computer_scientist"]).tolist() == [8]


def test_tipped_occupations_are_found_by_census_code() -> None:
    codes = [int(row["census_code"]) for row in tipped()]
    assert len(set(codes)) == len(codes)
    found = tipped_occupation_code(np.array([-1, 0, 4040, 4110, 4510, 9142, 9999, 2310, 4020]))
    assert found.tolist() == [0, 0, 101, 102, 603, 802, 0, 0, 105]
    groups = {int(row["ttoc"]) // 100 for row in tipped()}
    assert groups == set(range(1, 9))  # all eight industries of the list
    assert all(row["fit"] in ("same", "part") for row in tipped())


@pytest.mark.engine
def test_occupations_are_those_of_the_engine() -> None:
    from policyengine_us.data import cps as theirs

    named = dict(theirs.CPS_FLSA_OVERTIME_OCCUPATION_CODES)
    assert named.pop("is_military") == 52  # from the status of the person instead
    wanted = {name: frozenset({int(code)}) for name, code in named.items()}
    wanted[EXECUTIVE] = frozenset(
        int(code) for code in theirs.CPS_FLSA_EXECUTIVE_ADMINISTRATIVE_PROFESSIONAL_OCCUPATION_CODES
    )
    assert dict(occupation_flags()) == wanted


def test_overtime_premium_by_hand() -> None:
    # 50 hours at 20 dollars and ten of them at 30: 1,100 a week, of which 100 are the premium.
    premium = overtime_premium(
        np.full(4, 1100.0 * 52), np.array([50.0, 40.0, 0.0, 50.0]), np.array([True, True, True, False]),
        overtime_rules(2024),
    )  # fmt: skip
    np.testing.assert_allclose(premium, [100 * 52, 0, 0, 0], rtol=1e-12)


def test_thresholds_by_kind_of_work() -> None:
    no, yes = np.array([False]), np.array([True])
    rules = overtime_rules(2024)
    assert exemption_threshold(no, no, no, rules) == 107_432
    assert exemption_threshold(yes, no, no, rules) == exemption_threshold(no, yes, yes, rules) == 684 * 52
    assert exemption_threshold(no, no, yes, rules) == pytest.approx(27.63 * 52 * 40)
    with pytest.raises(SourceError, match=r"overtime rules for 2030; .* holds 2018 to 2025"):
        overtime_rules(2030)


@settings(max_examples=100, deadline=None)
@given(st.floats(0, 1e7), st.floats(0, 99), st.sampled_from(range(2018, 2026)))
def test_premium_is_less_than_a_third_of_the_wage(wage: float, hours: float, year: int) -> None:
    premium = overtime_premium(np.array([wage]), np.array([hours]), np.array([True]), overtime_rules(year))[0]
    assert 0 <= premium <= wage / 3
    assert (premium > 0) == (wage > 0 and hours > 40) or premium < 1e-9


def test_frame_gains_the_premium_where_pay_is_by_the_hour(shared_data: Path) -> None:
    frame = build_cps(RawAsec(sample(shared_data), income_year=2019, synthetic=False), seed=1)
    with pytest.raises(FrameError, match="no columns is_paid_hourly"):
        with_overtime_premium(frame)
    person = frame.person
    object.__setattr__(frame, "person", person.assign(is_paid_hourly=False))
    salaried = with_overtime_premium(frame).person[PREMIUM].to_numpy()
    object.__setattr__(frame, "person", person.assign(is_paid_hourly=True))
    hourly = with_overtime_premium(frame).person[PREMIUM].to_numpy()
    wages, hours = (person[name].to_numpy(dtype=float) for name in NEEDED[:2])
    assert ((hourly > 0) == ((wages > 0) & (hours > 40) & ~person["is_military"])).all()
    assert (salaried <= hourly).all()
    # By the survey's codes some managers above 684 dollars a week are exempt without hourly pay.
    exempt = (salaried == 0) & (hourly > 0)
    assert exempt.any()
    threshold = np.where(person[EXECUTIVE] | person["is_farmer_fisher"], 455 * 52, 57_470.4)
    assert (wages[exempt] >= threshold[exempt]).all()


@pytest.mark.engine
def test_overtime_rules_are_those_of_the_engine() -> None:
    from policyengine_us.system import system

    parameters = system.parameters
    # From 2025 on the engine lets the thresholds grow with wages, which the rule in force does not.
    for row in (row for row in read_rows("overtime_rules") if int(row["year"]) <= 2024):
        law = parameters(f"{row['year']}-01-01").gov.irs.income.exemption.overtime
        assert overtime_rules(int(row["year"])) == OvertimeRules(
            highly_compensated=law.hce_salary_threshold,
            salary_a_week=law.salary_basis_threshold,
            computer_an_hour=law.computer_salary_threshold,
            hours=law.hours_threshold,
            multiple=law.rate_multiplier,
        ), row["year"]
