"""Who receives what from the donor surveys: universes, bounds, absent surveys, independence, quality."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import ConfigError, FrameError, SourceError
from tessera.frame import Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donor_absence import GIVEN
from tessera.microdata.donors import DonorImputation, impute_donors

from .support import RawAsec, donor_files, sample

ALL = {name for _, person, household in GIVEN.values() for name in (*person, *household)}


@pytest.fixture(scope="module")
def cps(shared_data: Path) -> Frame:
    raw = sample(shared_data)
    return build_cps(RawAsec(raw[raw["PH_SEQ"] <= 200].reset_index(drop=True)), seed=1)


@pytest.fixture(scope="module")
def result(cps: Frame) -> DonorImputation:
    return impute_donors(cps, **donor_files(600), seed=3)


@pytest.fixture(scope="module")
def imputed(result: DonorImputation) -> Frame:
    return result.frame


def test_rents_go_to_renting_heads_and_taxes_to_owning_ones(imputed: Frame) -> None:
    person = imputed.person
    tenure = imputed.household["tenure_type"].astype(str).to_numpy()[imputed.unit_of_person("household")]
    head = person["is_household_head"].to_numpy()
    rents = (person["pre_subsidy_rent"] > 0).to_numpy()
    taxes = (person["real_estate_taxes"] > 0).to_numpy()
    np.testing.assert_array_equal(rents, head & (tenure == "RENTED"))
    np.testing.assert_array_equal(taxes, head & np.char.startswith(tenure.astype(str), "OWNED"))
    assert person.loc[rents, "pre_subsidy_rent"].between(400 * 12, 3000 * 12).all()


def test_tips_and_wages_go_to_workers(imputed: Frame) -> None:
    person = imputed.person
    works = person["employment_income_before_lsr"] > 0
    assert (person.loc[~works, ["tip_income", "hourly_wage"]] == 0).all(axis=None)
    assert not person.loc[~works, ["is_paid_hourly", "is_union_member_or_covered"]].any(axis=None)
    assert (person.loc[works, "hourly_wage"] > 0).all()
    assert (person["tip_income"] <= person["employment_income_before_lsr"].clip(lower=0)).all()
    # Status flags (9 a month here) never count as tips: a donor has 12 times 100 dollars or none.
    assert set(person["tip_income"]) <= {0.0, 1200.0} | set(person["employment_income_before_lsr"])
    # All donors paid by the hour earn 18.50: receivers nearly always, as a leaf may hold donors of both kinds.
    hourly = person["is_paid_hourly"]
    assert (person.loc[hourly, "hourly_wage"] == 18.5).mean() > 0.8
    assert (person.loc[works & ~hourly, "hourly_wage"] == 18.5).mean() < 0.2


def test_tips_follow_the_tipped_occupation(cps: Frame) -> None:
    # All of the donors' tips are paid to waiters (4110): so are the receivers'.
    works = (cps.person["employment_income_before_lsr"] > 20_000).to_numpy()
    codes = np.where(works & (np.arange(len(works)) % 2 == 0), 1, 0)
    waiting = replace(cps, person=cps.person.assign(treasury_tipped_occupation_code=codes))
    tips = impute_donors(waiting, **donor_files(600), seed=3).frame.person["tip_income"].to_numpy()
    assert (tips[works & (codes == 1)] > 0).mean() > 0.7
    assert (tips[works & (codes == 0)] > 0).mean() < 0.1


def test_wealth_is_of_households_and_assets_of_adults(imputed: Frame) -> None:
    home = imputed.household
    assert set(home["auto_loan_balance"]) <= {0.0, 12_000.0}
    assert (home["net_worth"] < 0).any()
    # The donors' loans all bear 5 percent; nobody without a loan pays interest.
    assert set(home["auto_loan_interest"]) <= {0.0, 600.0}
    assert (home.loc[home["auto_loan_balance"] == 0, "auto_loan_interest"] == 0).all()
    assert home["household_vehicles_owned"].isin((0, 1, 2, 3)).all()
    assert (home.loc[home["household_vehicles_owned"] == 0, "household_vehicles_value"] == 0).all()
    value = home["household_vehicles_value"] - home["auto_loan_balance"]
    np.testing.assert_array_equal(home["household_vehicles_equity"], value)
    young = imputed.person["age"] < 15
    assert (imputed.person.loc[young, ["bank_account_assets", "stock_assets", "bond_assets"]] == 0).all(axis=None)
    assert (imputed.person.loc[~young, "bank_account_assets"] > 0).all()


def test_types_are_those_of_the_engine(imputed: Frame) -> None:
    assert imputed.person[["is_paid_hourly", "is_union_member_or_covered"]].dtypes.eq(bool).all()
    assert imputed.household["household_vehicles_owned"].dtype == np.int64


def test_nothing_else_changes_and_households_do_not_depend_on_others(cps: Frame, imputed: Frame) -> None:
    for name in cps.person.columns:
        assert (imputed.person[name].to_numpy() == cps.person[name].to_numpy()).all(), name
    assert set(imputed.person.columns) | set(imputed.household.columns) >= ALL
    part = impute_donors(cps.select_households(np.arange(15)), **donor_files(600), seed=3).frame
    for name in ("pre_subsidy_rent", "hourly_wage", "bank_account_assets"):
        np.testing.assert_array_equal(part.person[name], imputed.person[name].to_numpy()[: part.count("person")])
    for name in ("net_worth", "household_vehicles_value", "auto_loan_interest"):
        np.testing.assert_array_equal(part.household[name], imputed.household[name].to_numpy()[:15])


def test_the_order_of_persons_does_not_matter(cps: Frame, imputed: Frame) -> None:
    order = np.random.default_rng(5).permutation(cps.count("person"))
    shuffled = replace(cps, person=cps.person.iloc[order].reset_index(drop=True))
    again = impute_donors(shuffled, **donor_files(600), seed=3).frame
    for name in ("pre_subsidy_rent", "tip_income", "bank_account_assets", "hourly_wage", "is_union_member_or_covered"):
        np.testing.assert_array_equal(again.person[name], imputed.person[name].to_numpy()[order])
    pd.testing.assert_frame_equal(again.household, imputed.household)


def test_workers_do_not_matter(cps: Frame, imputed: Frame) -> None:
    pd.testing.assert_frame_equal(impute_donors(cps, **donor_files(600), seed=3, n_jobs=2).frame.person, imputed.person)


def test_quality_has_a_row_for_each_drawn_variable(result: DonorImputation) -> None:
    # Equity follows from two others, everything else is drawn.
    assert set(result.quality["output"]) == ALL - {"household_vehicles_equity"}
    assert (result.quality["test_loss"] >= 0).all()
    assert result.absent == ()
    rent = result.quality.set_index("output").loc["pre_subsidy_rent"]
    assert rent["donor_zero_share"] == 0 and rent["n_train"] > 40


def test_all_absent_donors_are_named_with_file_year_and_way_out(cps: Frame) -> None:
    with pytest.raises(SourceError) as caught:
        impute_donors(cps, **{**donor_files(20), "sipp": None, "org": None}, seed=1)
    message = str(caught.value)
    wanted = ("pu2023_csv.zip of 2023", "tip_income", "hourly_wage", "TESSERA_ABSENT_SOURCES=sipp,cps_org")
    for word in wanted:
        assert word in message, word
    assert "acs_pums" not in message


@pytest.mark.parametrize("fallback", ["leave_out", "zero"])
@pytest.mark.parametrize("name", ["acs", "sipp", "scf", "org"])
def test_one_absent_donor_does_not_stop_the_others(
    cps: Frame, name: str, fallback: str, caplog: pytest.LogCaptureFixture
) -> None:
    few = cps.select_households(np.arange(20))
    with caplog.at_level(logging.WARNING, logger="tessera.microdata"):
        result = impute_donors(few, **{**donor_files(60), name: None}, seed=1, fallback=fallback)  # type: ignore[arg-type]
    (absent,) = result.absent
    assert (absent.survey, absent.source) == (name, GIVEN[name][0])
    assert any(absent.source in record.message for record in caplog.records)
    held = set(result.frame.person.columns) | set(result.frame.household.columns)
    assert held >= ALL - set(absent.variables)
    if fallback == "leave_out":
        assert not held & set(absent.variables)
    else:
        stored = [result.frame.person[name] for name in absent.person]
        stored += [result.frame.household[name] for name in absent.household]
        assert all((column == 0).all() for column in stored)


def test_without_any_donor_nothing_is_stored(cps: Frame) -> None:
    result = impute_donors(cps, seed=1, fallback="leave_out")
    assert list(result.frame.person.columns) == list(cps.person.columns)
    assert [absent.survey for absent in result.absent] == ["acs", "sipp", "scf", "org"]
    assert len(result.quality) == 0


def test_interest_is_left_out_where_no_rates_are_at_hand(cps: Frame, caplog: pytest.LogCaptureFixture) -> None:
    files = donor_files(60)
    files["scf"] = replace(files["scf"], companions={})
    with caplog.at_level(logging.WARNING, logger="tessera.microdata"):
        frame = impute_donors(cps.select_households(np.arange(20)), **files, seed=1).frame
    assert "auto_loan_interest" not in frame.household and "auto_loan_balance" in frame.household
    assert any("auto_loan_interest" in record.getMessage() for record in caplog.records)


def test_an_unknown_fallback_is_refused(cps: Frame) -> None:
    with pytest.raises(ConfigError, match="'ignore'; wanted one of error, leave_out, zero"):
        impute_donors(cps, seed=1, fallback="ignore")  # type: ignore[arg-type]


def test_a_frame_without_a_needed_column_is_refused(cps: Frame) -> None:
    bare = replace(cps, household=cps.household.drop(columns="tenure_type"))
    with pytest.raises(FrameError, match="the frame has no tenure_type"):
        impute_donors(bare, **donor_files(20), seed=1)


def test_a_household_without_head_is_refused(cps: Frame) -> None:
    person = cps.person.assign(is_household_head=cps.person["is_household_head"] & (cps.person["household_id"] != 3))
    with pytest.raises(FrameError, match=r"household 3 has 0 heads .*wanted exactly one"):
        impute_donors(replace(cps, person=person), **donor_files(20), seed=1)


def test_an_unusable_donor_is_an_error_whatever_the_fallback(cps: Frame) -> None:
    files = donor_files(20)
    files["sipp"] = replace(files["sipp"], table=files["sipp"].table.drop(columns="TVAL_BANK"))
    with pytest.raises(SourceError, match="TVAL_BANK"):
        impute_donors(cps, **files, seed=1, fallback="leave_out")


def test_amounts_are_brought_to_the_year_of_the_frame_once(cps: Frame) -> None:
    few = cps.select_households(np.arange(30))
    same = impute_donors(few, **donor_files(60, year=2019), seed=1).frame
    later = impute_donors(replace(few, year=2024), **donor_files(60, year=2024), seed=1).frame
    earlier = impute_donors(few, **donor_files(60, year=2015), seed=1).frame
    # Donors of the frame's year are drawn as they are, whichever year that is.
    pd.testing.assert_frame_equal(same.person, later.person)
    rents = same.person["pre_subsidy_rent"] > 0
    # 255.657 / 237.017: CPI-U of 2019 and 2015. All rents of donors are multiples of 12 dollars.
    months = earlier.person.loc[rents, "pre_subsidy_rent"] / 12 / (255.657 / 237.017)
    np.testing.assert_allclose(months, months.round(), atol=1e-6)


def test_union_coverage_is_as_frequent_as_among_donors(imputed: Frame) -> None:
    # An eighth of the donors is covered.
    person = imputed.person
    works = (person["employment_income_before_lsr"] > 0).to_numpy()
    weights = imputed.weights[imputed.unit_of_person("household")] * works
    assert np.average(person["is_union_member_or_covered"], weights=weights) == pytest.approx(0.125, abs=0.06)
