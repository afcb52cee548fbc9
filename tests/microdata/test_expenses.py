"""Expenses, coverage, reported benefits and the poverty measure's columns: real persons and units by hand, rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.benefits import COVERAGE, coverage, employer_plans, reported_benefits, unit_benefits
from tessera.microdata.cps import build_cps
from tessera.microdata.expenses import PERSON_EXPENSES, expenses
from tessera.microdata.spm import AMOUNTS, housing_assistance

from .support import RawAsec, persons, sample

PREMIUM, OWN, OTHER = (
    "health_insurance_premiums_without_medicare_part_b",
    "health_insurance_premiums",
    "other_health_insurance_premiums",
)
COUNTER, MEDICAL = "over_the_counter_health_expenses", "other_medical_expenses"
PART_B = "medicare_part_b_premiums_reported"
# Household and line of the real file -> expenses that are not zero, by hand.
REAL: dict[tuple[int, int], dict[str, float]] = {
    # Self-employed with a marketplace plan: deducted, but for the poverty measure the engine computes the premium.
    (185, 1): {PREMIUM: 740, OWN: 740, COUNTER: 25, MEDICAL: 25},
    # Self-employed with a plan bought directly.
    (655, 1): {PREMIUM: 5000, OWN: 5000, OTHER: 5000, COUNTER: 150, MEDICAL: 3500},
    # An employee with a marketplace plan.
    (78, 1): {PREMIUM: 540, COUNTER: 50, MEDICAL: 3000},
    # Medicaid alone; Medicaid beside Medicare, whose supplement may cost; Medicaid beside the employer's plan.
    (351, 1): {PREMIUM: 400, COUNTER: 100, MEDICAL: 550},
    (159, 1): {PREMIUM: 1400, OTHER: 1400, PART_B: 576, COUNTER: 2000, MEDICAL: 1000},
    (99, 1): {PREMIUM: 3000, OTHER: 3000, COUNTER: 10, MEDICAL: 300},
    # Marketplace and the employer's plan at once.
    (584, 3): {PREMIUM: 2500, OTHER: 2500, COUNTER: 50, MEDICAL: 500},
    # A father who pays for a child elsewhere.
    (311, 2): {"child_support_expense": 6000, COUNTER: 25},
}


def row_of(raw: pd.DataFrame, key: tuple[int, int]) -> int:
    return int(np.flatnonzero((raw["PH_SEQ"] == key[0]) & (raw["A_LINENO"] == key[1]))[0])


@pytest.mark.parametrize("key", sorted(REAL))
def test_real_persons_by_hand(shared_data: Path, key: tuple[int, int]) -> None:
    raw = sample(shared_data)
    columns = expenses(raw, raw["A_AGE"].to_numpy(dtype=float))
    row = row_of(raw, key)
    assert {name: values[row] for name, values in columns.items() if values[row]} == REAL[key]


def test_real_totals_are_kept(shared_data: Path) -> None:
    raw = sample(shared_data)
    columns = expenses(raw, raw["A_AGE"].to_numpy(dtype=float))
    for name, column in PERSON_EXPENSES.items():
        np.testing.assert_array_equal(columns[name], raw[column])
    assert all((values >= 0).all() for values in columns.values())
    medical = columns[PREMIUM] + columns[COUNTER] + columns[MEDICAL]
    np.testing.assert_array_equal(medical, raw["MOOP"])
    # The other forms of the premium are the premium or nothing.
    for name in (OWN, OTHER):
        assert ((columns[name] == 0) | (columns[name] == columns[PREMIUM])).all()
        assert 0 < columns[name].sum() < columns[PREMIUM].sum()


def test_premiums_of_the_self_employed_stop_at_medicare_and_at_an_employers_plan() -> None:
    person = persons(*[{"PHIP_VAL": 100, "SEMP_VAL": -5}] * 3, {"PHIP_VAL": 100, "FRSE_VAL": 9}, {"PHIP_VAL": 100})
    person = person.fillna(0).assign(NOW_GRP=[2, 1, 2, 2, 2])
    own = expenses(person, np.array([64.9, 40.0, 65.0, 30.0, 30.0]))[OWN]
    assert own.tolist() == [100, 0, 0, 100, 0]


# Household and line -> flags that are true.
COVERED = {
    (72, 2): {"has_esi"},  # and Medicare, which the engine finds itself
    (605, 2): {"has_tricare_health_coverage_at_interview", "has_champva_health_coverage_at_interview"},
    (23, 1): {"has_va_health_coverage_at_interview"},
    (554, 3): {"has_indian_health_service_coverage_at_interview"},
    (584, 3): {"has_esi", "has_marketplace_health_coverage_at_interview"},
    (655, 1): {"has_non_marketplace_direct_purchase_health_coverage_at_interview"},
    (99, 1): {"has_esi", "has_medicaid_health_coverage_at_interview"},
    (311, 2): set(),
}


@pytest.mark.parametrize("key", sorted(COVERED))
def test_real_coverage_by_hand(shared_data: Path, key: tuple[int, int]) -> None:
    raw = sample(shared_data)
    row = row_of(raw, key)
    assert {name for name, flags in coverage(raw).items() if flags[row]} == COVERED[key]


def test_each_kind_of_coverage_has_its_flag(shared_data: Path) -> None:
    raw = sample(shared_data)
    flags = coverage(raw)
    for name, column in COVERAGE.items():
        np.testing.assert_array_equal(flags[name], raw[column] == 1)
    # The survey has a flag of direct purchase outside the marketplace too, and agrees.
    direct = flags["has_non_marketplace_direct_purchase_health_coverage_at_interview"]
    np.testing.assert_array_equal(direct, raw["NOW_NONM"] == 1)


def test_offers_bar_unless_too_expensive_or_in_the_marketplace(shared_data: Path) -> None:
    raw = sample(shared_data)
    plans = employer_plans(raw)
    offered = np.asarray(plans["offered_aca_disqualifying_esi"])
    assert offered[row_of(raw, (10, 2))]
    assert not offered[row_of(raw, (19, 1))]  # too expensive
    assert not offered[row_of(raw, (329, 2))]  # has marketplace coverage
    assert offered.sum() == 65 - 21 - 1  # of 65 with an offer


def test_what_employers_pay(shared_data: Path) -> None:
    raw = sample(shared_data)
    pays = pd.Series(employer_plans(raw)["employer_contribution_to_health_insurance_premiums_category"])
    assert pays[row_of(raw, (72, 2))] == "NONE"
    assert pays[row_of(raw, (584, 3))] == "ALL"
    assert pays[row_of(raw, (675, 2))] == "SOME"
    assert pays[row_of(raw, (311, 2))] == "NA"
    assert pays.value_counts().to_dict() == {"NA": 697, "SOME": 234, "ALL": 53, "NONE": 15}


def test_assistance_is_tanf_or_general(shared_data: Path) -> None:
    raw = sample(shared_data)
    general = reported_benefits(raw)["general_assistance"]
    assert general[row_of(raw, (672, 1))] == 2520
    assert general.sum() == 2520
    frame = build_cps(RawAsec(raw, income_year=2019, synthetic=False), seed=1)
    units = frame.unit_of_person("spm_unit")
    tanf = frame.spm_unit["tanf_reported"].to_numpy()
    assert tanf[units[row_of(raw, (672, 1))]] == 0
    assert tanf[units[row_of(raw, (69, 3))]] == 120
    assert tanf[units[row_of(raw, (404, 1))]] == 4800  # reported as other income
    assert tanf.sum() == 120 + 4800


def test_assistance_of_both_kinds_counts_as_tanf() -> None:
    person = persons(*[{"PAW_VAL": 100}] * 4).assign(PAW_TYP=[0, 1, 2, 3])
    tanf = unit_benefits(person, np.arange(4), pd.DataFrame(index=range(4)))["tanf_reported"]
    assert tanf.tolist() == [100, 100, 0, 100]


# SPM units of the real file -> reported amounts by hand.
UNITS = {
    (102, 1): {"spm_unit_pre_subsidy_childcare_expenses": 3120.0, "receives_housing_assistance": False},
    (494, 1): {"spm_unit_pre_subsidy_childcare_expenses": 1560.0, "receives_housing_assistance": False},
    (8, 1): {"spm_unit_pre_subsidy_childcare_expenses": 0.0, "receives_housing_assistance": True},
    (22, 1): {"spm_unit_pre_subsidy_childcare_expenses": 0.0, "receives_housing_assistance": True},
}


def test_real_units_by_hand_and_totals(shared_data: Path) -> None:
    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw, income_year=2019, synthetic=False), seed=1)
    unit = frame.unit_of_person("spm_unit")
    for key, wanted in UNITS.items():
        found = frame.spm_unit.iloc[unit[row_of(raw, key)]]
        assert {name: found[name] for name in wanted} == wanted, key
    once = raw.drop_duplicates("SPM_ID")
    for name, column in AMOUNTS.items():
        np.testing.assert_array_equal(frame.spm_unit[name], once[column])
    assert frame.spm_unit["receives_housing_assistance"].sum() == 16
    assert not frame.household["is_in_public_housing"].any()  # the sample has no household file


def test_household_questions_count_for_the_unit_of_the_reference_person() -> None:
    unit = pd.DataFrame({"SPM_CAPHOUSESUB": [0, 0, 50, 0]})
    home = pd.DataFrame({"HPUBLIC": [1, 2, 2], "HLORENT": [0, 1, 2]})
    assert housing_assistance(unit, home, np.array([0, 1, 3])).tolist() == [True, True, True, False]
    assert housing_assistance(unit, None, np.array([0, 1, 3])).tolist() == [False, False, True, False]
    person = pd.concat([persons({}), persons({"PH_SEQ": 4})], ignore_index=True)
    household = pd.DataFrame({"H_SEQ": [4, 1], "HSUP_WGT": [20.0, 10.0], "HPUBLIC": [1, 2], "HLORENT": [0, 2]})
    frame = build_cps(RawAsec(person, household), seed=1)
    assert frame.household["is_in_public_housing"].tolist() == [False, True]
    assert frame.spm_unit["receives_housing_assistance"].tolist() == [False, True]
