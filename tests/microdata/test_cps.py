"""The survey's Frame: units, hand-checked persons, splits that keep totals, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.frame import ENTITIES
from tessera.microdata.cps import build_cps
from tessera.microdata.income import SOCIAL_SECURITY_PARTS, share, social_security
from tessera.microdata.quality import weighted_totals

from .support import RawAsec, persons, sample


def test_real_sample_keeps_households_persons_and_totals(shared_data: Path) -> None:
    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw, income_year=2019, synthetic=False), seed=1)
    assert frame.count("household") == raw["PH_SEQ"].nunique() == 424
    assert frame.count("person") == 999
    assert frame.count("spm_unit") == raw["SPM_ID"].nunique()
    assert frame.count("family") == len(raw.drop_duplicates(["PH_SEQ", "PF_SEQ"]))
    assert frame.count("marital_unit") == 999 - 215  # 430 persons have a spouse in the household
    assert frame.year == 2019
    assert not frame.synthetic
    reference = raw.loc[raw["A_EXPRRP"].isin((1, 2)), "MARSUPWT"].to_numpy()
    np.testing.assert_array_equal(frame.weights, reference)
    person = frame.person
    for name, column in (("employment_income_before_lsr", "WSAL_VAL"), ("rental_income", "RNT_VAL")):
        assert person[name].sum() == raw[column].sum()
    parts = person[list(SOCIAL_SECURITY_PARTS)].sum(axis=1)
    np.testing.assert_array_equal(parts, raw["SS_VAL"].to_numpy(dtype=float))
    gains = person["long_term_capital_gains_before_response"] + person["short_term_capital_gains"]
    np.testing.assert_allclose(gains, raw["CAP_VAL"].to_numpy(dtype=float), rtol=1e-12)
    # Interest inside retirement accounts is left out of the year's income.
    interest = person["taxable_interest_income"] + person["tax_exempt_interest_income"]
    np.testing.assert_allclose(interest, raw["TRDINT_VAL"].to_numpy(dtype=float), rtol=1e-12)


def test_real_persons_by_hand(shared_data: Path) -> None:
    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw), seed=1)
    first, husband = frame.person.iloc[0], frame.person.iloc[1]
    assert first["age"] == 63
    assert first["is_female"]
    assert first["employment_income_before_lsr"] == 52500
    assert first["tax_unit_role_input"] == "HEAD"
    assert husband["tax_unit_role_input"] == "SPOUSE"
    assert husband["social_security_retirement"] == 18700
    assert first["marital_unit_id"] == husband["marital_unit_id"]
    # Household 557 holds three SPM units.
    rows = (raw["PH_SEQ"] == 557).to_numpy()
    assert frame.person.loc[rows, "spm_unit_id"].nunique() == raw.loc[rows, "SPM_ID"].nunique() == 3


def test_ages_80_spread_over_five_years_and_others_stay(shared_data: Path) -> None:
    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw), seed=1)
    reported = raw["A_AGE"].to_numpy()
    age = frame.person["age"].to_numpy()
    np.testing.assert_array_equal(age[reported != 80], reported[reported != 80])
    assert set(age[reported == 80]) <= {80, 81, 82, 83, 84}
    assert len(set(age[reported == 80])) > 1
    np.testing.assert_array_equal(age, build_cps(RawAsec(raw), seed=1).person["age"])
    assert (age != build_cps(RawAsec(raw), seed=2).person["age"].to_numpy()).any()


def test_social_security_follows_the_reasons_in_order() -> None:
    person = persons(*[{"SS_VAL": 100}] * 6).assign(RESNSS1=[1, 5, 4, 8, 8, 3], RESNSS2=[2, 0, 0, 0, 0, 2])
    parts = social_security(person, np.array([70.0, 10, 40, 62, 61, 50]))
    kinds = [next(name for name in SOCIAL_SECURITY_PARTS if parts[name][row] == 100) for row in range(6)]
    short = [kind.removeprefix("social_security_") for kind in kinds]
    assert short == ["retirement", "survivors", "dependents", "retirement", "disability", "disability"]


def test_rows_may_come_in_any_order(shared_data: Path) -> None:
    raw = sample(shared_data)
    shuffled = raw.iloc[np.random.default_rng(3).permutation(len(raw))].reset_index(drop=True)
    one, other = build_cps(RawAsec(raw), seed=1), build_cps(RawAsec(shuffled), seed=1)
    for entity in ENTITIES:
        pd.testing.assert_frame_equal(one.table(entity), other.table(entity))


def test_a_household_draws_the_same_without_the_others(shared_data: Path) -> None:
    raw = sample(shared_data)
    part = raw[raw["PH_SEQ"] > 400].reset_index(drop=True)
    whole = build_cps(RawAsec(raw), seed=1).person[(raw["PH_SEQ"] > 400).to_numpy()]
    alone = build_cps(RawAsec(part), seed=1).person
    for name in ("age", "is_pregnant", "years_since_us_entry", "is_permanently_and_totally_disabled"):
        np.testing.assert_array_equal(whole[name].to_numpy(), alone[name].to_numpy())


def test_survey_of_the_year_before_gives_its_incomes() -> None:
    now = persons({}, {"A_AGE": 30}).assign(PERIDNUM=[f"{k:022d}" for k in (5, 6)])
    before = persons({"A_AGE": 39, "SEMP_VAL": 1200}).assign(PERIDNUM=[f"{5:022d}"])
    raw, last = RawAsec(now, income_year=2024), RawAsec(before, income_year=2023)
    person = build_cps(raw, last, seed=1).person
    assert person["self_employment_income_last_year"].tolist() == [1200, 0]
    assert person["previous_year_income_available"].tolist() == [True, False]
    assert not build_cps(raw, seed=1).person["previous_year_income_available"].any()


def test_household_file_gives_weights_state_and_tenure() -> None:
    person = pd.concat([persons({}), persons({"PH_SEQ": 4})], ignore_index=True)
    household = pd.DataFrame({"H_SEQ": [4, 1], "HSUP_WGT": [20.0, 10.0], "GESTFIPS": [6, 23], "H_TENURE": [3, 2]})
    frame = build_cps(RawAsec(person, household), seed=1)
    assert frame.weights.tolist() == [10, 20]
    assert frame.household["state_fips"].tolist() == [23, 6]
    assert frame.household["tenure_type"].tolist() == ["RENTED", "NONE"]
    assert frame.household["source_household_id"].tolist() == [1, 4]
    assert set(frame.household["source"]) == {"cps"}


def test_family_stands_in_where_there_are_no_spm_units() -> None:
    person = persons({}, {"PF_SEQ": 2}).drop(columns=["SPM_ID", "SPM_TENMORTSTATUS"])
    frame = build_cps(RawAsec(person), seed=1)
    assert frame.person["spm_unit_id"].tolist() == [0, 1]
    assert frame.spm_unit["spm_unit_tenure_type"].tolist() == ["RENTER", "RENTER"]


def test_amounts_of_units_are_of_units() -> None:
    person = persons({"PAW_VAL": 300}, {"PAW_VAL": 200}).assign(SPM_SNAPSUB=1200, SPM_CHILDCAREXPNS=500)
    unit = build_cps(RawAsec(person), seed=1).spm_unit.iloc[0]
    assert unit["snap_reported"] == 1200
    assert unit["tanf_reported"] == 500
    assert unit["spm_unit_pre_subsidy_childcare_expenses"] == 500


@pytest.mark.parametrize(
    ("person", "household", "words"),
    [
        (persons({}), pd.DataFrame({"H_SEQ": [2], "HSUP_WGT": [1.0]}), "not in the household table"),
        (persons({}), pd.DataFrame({"H_SEQ": [1, 1], "HSUP_WGT": [1.0, 1.0]}), "H_SEQ 1 occurs twice"),
        (persons({}), pd.DataFrame({"H_SEQ": [1], "HSUP_WGT": [-1.0]}), "HSUP_WGT of household PH_SEQ 1 is -1.0"),
        (persons({}), pd.DataFrame({"H_SEQ": [1], "HSUP_WGT": [np.nan]}), "row 0 .H_SEQ 1.: HSUP_WGT is missing"),
        (persons({}), pd.DataFrame({"H_SEQ": [1], "GESTFIPS": [np.nan]}), "GESTFIPS is missing"),
        (persons({}), pd.DataFrame({"HSUP_WGT": [1.0]}), "H_SEQ is absent"),
        (persons({"MARSUPWT": 0.0}), pd.DataFrame(), "absent or zero for every household"),
        (persons({"MARSUPWT": np.nan}), pd.DataFrame(), "row 0 .PH_SEQ 1.: MARSUPWT is missing"),
        (persons({}).drop(columns="WSAL_VAL"), pd.DataFrame(), "WSAL_VAL"),
        (pd.concat([persons({}), persons({"PH_SEQ": 2})]).assign(SPM_ID=5), pd.DataFrame(), "SPM_ID 5"),
        (persons({}).iloc[:0], pd.DataFrame(), "no rows"),
    ],
)
def test_broken_files_are_refused(person: pd.DataFrame, household: pd.DataFrame, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        build_cps(RawAsec(person, household), seed=1)


def test_weighted_totals_compare_with_official_figures() -> None:
    person = persons({"WSAL_VAL": 100, "DIV_VAL": 10}, {"WSAL_VAL": 50})
    totals = weighted_totals(
        build_cps(RawAsec(person), seed=1), {"employment_income_before_lsr": 300_000.0, "snap": 5.0}
    ).set_index("variable")
    wages = totals.loc["employment_income_before_lsr"]
    assert (wages["total"], wages["ratio"], wages["share_nonzero"]) == (150_000, 0.5, 1.0)
    assert totals.loc["household_count", "total"] == 1000
    assert totals.loc["qualified_dividend_income", "total"] == pytest.approx(10_000 * share("qualified_dividends"))
    assert np.isnan(totals.loc["snap", "total"])


def test_shares_are_those_of_the_published_totals(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "official" / "soi_targets.csv")
    whole = np.isinf(table["AGI lower bound"]) & np.isinf(table["AGI upper bound"]) & (table["Year"] == 2023)
    table = table[whole & ~table["Count"] & ~table["Taxable only"] & (table["Filing status"] == "All")]
    soi = table.drop_duplicates("Variable").set_index("Variable")["Value"]
    interest = soi["taxable_interest_income"] / (soi["taxable_interest_income"] + soi["exempt_interest"])
    assert share("taxable_interest") == pytest.approx(interest, abs=1e-4)
    assert share("qualified_dividends") == pytest.approx(
        soi["qualified_dividends"] / soi["ordinary_dividends"], abs=1e-4
    )
    assert share("taxable_pensions") == pytest.approx(
        soi["taxable_pension_income"] / soi["total_pension_income"], abs=1e-4
    )
