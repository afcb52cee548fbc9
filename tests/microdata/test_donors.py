"""Donor surveys: meaning of their columns, who receives what, bounds, refusals, and the real SCF."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donor_tables import acs_donors, org_donors, scf_donors, sipp_donors
from tessera.microdata.donors import impute_from_donors

from .support import RawAsec, RawTable, donor_files, sample


@pytest.fixture(scope="module")
def cps(shared_data: Path) -> Frame:
    raw = sample(shared_data)
    return build_cps(RawAsec(raw[raw["PH_SEQ"] <= 200].reset_index(drop=True)), seed=1)


@pytest.fixture(scope="module")
def imputed(cps: Frame) -> Frame:
    return impute_from_donors(cps, **donor_files(), seed=3)


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
    assert not person.loc[~works, "is_paid_hourly"].any()
    assert (person.loc[works, "hourly_wage"] > 0).all()
    assert (person["tip_income"] <= person["employment_income_before_lsr"].clip(lower=0)).all()
    # Allocation flags (9 a month here) never count as tips.
    assert set(person["tip_income"]) <= {0.0, 1200.0} | set(person["employment_income_before_lsr"])
    # All donors paid by the hour earn 18.50: receivers nearly always, as a leaf may hold donors of both kinds.
    hourly = person["is_paid_hourly"]
    assert (person.loc[hourly, "hourly_wage"] == 18.5).mean() > 0.8
    assert (person.loc[works & ~hourly, "hourly_wage"] == 18.5).mean() < 0.2


def test_wealth_is_of_households_and_assets_of_adults(imputed: Frame) -> None:
    assert set(imputed.household["auto_loan_balance"]) <= {0.0, 12_000.0}
    assert (imputed.household["net_worth"] < 0).any()
    young = imputed.person["age"] < 15
    assert (imputed.person.loc[young, "bank_account_assets"] == 0).all()
    assert (imputed.person.loc[~young, "bank_account_assets"] > 0).all()


def test_nothing_else_changes_and_households_do_not_depend_on_others(cps: Frame, imputed: Frame) -> None:
    for name in cps.person.columns:
        assert (imputed.person[name].to_numpy() == cps.person[name].to_numpy()).all(), name
    part = impute_from_donors(cps.select_households(np.arange(15)), **donor_files(), seed=3)
    for name in ("pre_subsidy_rent", "hourly_wage", "bank_account_assets"):
        np.testing.assert_array_equal(part.person[name], imputed.person[name].to_numpy()[: part.count("person")])


def test_donor_tables_read_the_official_codes() -> None:
    files = donor_files(60)
    renters, owners = acs_donors(files["acs"])
    household = files["acs"].companions["household"]
    assert len(renters.table) == (household["TEN"] == 3).sum()
    assert len(owners.table) == household["TEN"].isin((1, 2)).sum()
    rent = household.loc[household["TEN"] == 3, "RNTP"].to_numpy() * 12
    np.testing.assert_array_equal(renters.table["pre_subsidy_rent"], rent)
    tips, assets = sipp_donors(files["sipp"])
    assert set(tips.table["tip_income"]) == {0.0, 1200.0}
    assert len(assets.table) == 60
    wage = org_donors(files["org"])
    salaried = wage.table["is_paid_hourly"] == 0
    expected = wage.table.loc[salaried, "employment_income"] / 52 / 40
    np.testing.assert_allclose(wage.table.loc[salaried, "hourly_wage"], expected)


def test_sipp_months_are_counted_once() -> None:
    sipp = donor_files(30)["sipp"]
    doubled = replace(sipp, table=pd.concat([sipp.table, sipp.table], ignore_index=True))
    pd.testing.assert_frame_equal(sipp_donors(doubled)[0].table, sipp_donors(sipp)[0].table)


def test_real_scf_totals(shared_data: Path) -> None:
    raw = RawTable("scf", pd.read_csv(shared_data / "scf" / "SCFP2019.csv.gz"), year=2019, synthetic=False)
    donors = scf_donors(raw)
    assert len(donors.table) == 28_885
    families = donors.weights.sum()
    assert families == pytest.approx(128.6e6, rel=0.01)
    # The Federal Reserve published a mean of 748,800 dollars of 2019 and restates it in later dollars.
    mean = np.average(donors.table["net_worth"], weights=donors.weights)
    assert 700_000 < mean < 1_000_000
    assert donors.table["is_married"].mean() == pytest.approx(0.6, abs=0.1)


@pytest.mark.parametrize("name", ["acs", "sipp", "scf", "org"])
def test_absent_donors_are_named(cps: Frame, name: str) -> None:
    with pytest.raises(SourceError, match=f"Donor surveys {name} are absent"):
        impute_from_donors(cps, **{**donor_files(20), name: None}, seed=1)


@pytest.mark.parametrize(
    ("name", "column"),
    [("acs", "AGEP"), ("sipp", "TVAL_BANK"), ("sipp", "TJB1_TXAMT"), ("scf", "NETWORTH"), ("org", "PTERNWA")],
)
def test_absent_columns_are_named(cps: Frame, name: str, column: str) -> None:
    files = donor_files(20)
    files[name] = replace(files[name], table=files[name].table.drop(columns=column))
    with pytest.raises(SourceError, match=column.replace("1_TXAMT", r"\*_TXAMT")):
        impute_from_donors(cps, **files, seed=1)


def test_donors_without_weight_are_refused(cps: Frame) -> None:
    files = donor_files(20)
    files["scf"] = replace(files["scf"], table=files["scf"].table.assign(WGT=0.0))
    with pytest.raises(SourceError, match="scf: 20 usable donors with total weight 0"):
        impute_from_donors(cps, **files, seed=1)
