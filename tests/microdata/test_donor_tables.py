"""Donor surveys read into predictors and values: official codes, universes, and files that cannot be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.donor_acs import acs_donors
from tessera.microdata.donor_org import org_donors
from tessera.microdata.donor_scf import scf_donors
from tessera.microdata.donor_sipp import sipp_donors
from tessera.microdata.donor_tables import Donors, race_group

from .support import RawTable, donor_files

DONORS: dict[str, Callable[[RawTable], object]] = {
    "acs": acs_donors,
    "sipp": sipp_donors,
    "scf": scf_donors,
    "org": org_donors,
}


def _weighted(raw: RawTable, weights: float | np.ndarray) -> RawTable:
    """The survey with other weights."""
    column = {"sipp": "WPFINWGT", "scf": "WGT", "cps_org": "PWORWGT"}.get(raw.name)
    if column is not None:
        return replace(raw, table=raw.table.assign(**{column: weights}))
    return replace(raw, companions={"household": raw.companions["household"].assign(WGTP=weights)})


def test_acs_reads_the_official_codes() -> None:
    raw = donor_files(60)["acs"]
    renters, owners = acs_donors(raw)
    household = raw.companions["household"]
    assert len(renters.table) == (household["TEN"] == 3).sum()
    assert len(owners.table) == household["TEN"].isin((1, 2)).sum()
    rent = household.loc[household["TEN"] == 3, "RNTP"].to_numpy() * 12
    np.testing.assert_array_equal(renters.table["pre_subsidy_rent"], rent)
    assert owners.table["has_mortgage"].sum() == (household["TEN"] == 1).sum()
    # Children have no wages and are no heads: every donor has those of a head.
    assert (renters.table["employment_income"] > 0).all()


def test_acs_amounts_are_not_adjusted_again() -> None:
    raw = donor_files(60)["acs"]
    again = replace(
        raw,
        table=raw.table.assign(ADJINC=1.25),
        companions={"household": raw.companions["household"].assign(ADJHSG=1.25)},
    )
    for first, second in zip(acs_donors(raw), acs_donors(again), strict=True):
        pd.testing.assert_frame_equal(first.table, second.table)


def test_acs_with_state() -> None:
    raw = donor_files(60)["acs"]
    household = raw.companions["household"].assign(ST=np.arange(60) % 5 + 1)
    renters, _ = acs_donors(replace(raw, companions={"household": household}))
    assert set(renters.table["state_fips"]) <= {1, 2, 3, 4, 5} and "state_fips" in renters.predictors
    assert "state_fips" not in acs_donors(raw)[0].predictors


def test_sipp_reads_the_official_codes() -> None:
    raw = donor_files(60)["sipp"]
    tips, assets, vehicles = sipp_donors(raw)
    # 12 months of 100 dollars for every fifth, never the status flag (9).
    assert set(tips.table["tip_income"]) == {0.0, 1200.0}
    assert (tips.table["tip_income"] > 0).sum() == 12
    assert (tips.table.loc[tips.table["tip_income"] > 0, "is_tipped_occupation"] == 1).all()
    assert len(assets.table) == len(vehicles.table) == 60
    person = raw.table[raw.table["MONTHCODE"] == 12].sort_values("SSUID")
    np.testing.assert_array_equal(assets.table["is_married"], person["EMS"] == 1)
    np.testing.assert_array_equal(assets.table["bank_account_assets"], person["TVAL_BANK"])
    # Income from assets is that of the year, once, although it stands in every month.
    np.testing.assert_array_equal(assets.table["interest_income"], person["TINC_BANK"])
    np.testing.assert_array_equal(vehicles.table["household_vehicles_owned"], person["TVEH_NUM"].fillna(0))
    np.testing.assert_allclose(tips.table["employment_income"], person["TJB1_MSUM"] * 12)


def test_sipp_tips_are_of_the_months_that_there_are() -> None:
    raw = donor_files(20)["sipp"]
    late = raw.table[(raw.table["SSUID"] != raw.table["SSUID"].iloc[0]) | (raw.table["MONTHCODE"] >= 10)]
    tips, _, _ = sipp_donors(replace(raw, table=late))
    assert sorted(set(tips.table["tip_income"])) == [0.0, 300.0, 1200.0]


def test_sipp_wages_are_those_of_employers() -> None:
    raw = donor_files(20)["sipp"]
    own = raw.table.assign(EJB2_JBORSE=2.0, TJB2_MSUM=5_000.0)
    tips, _, _ = sipp_donors(replace(raw, table=own))
    pd.testing.assert_frame_equal(tips.table, sipp_donors(raw)[0].table)
    second = raw.table.assign(EJB2_JBORSE=1.0, TJB2_MSUM=5_000.0)
    more = sipp_donors(replace(raw, table=second))[0].table["employment_income"]
    np.testing.assert_allclose(more, tips.table["employment_income"] + 60_000)


def test_sipp_households_have_one_vehicle_count_and_the_incomes_of_all() -> None:
    raw = donor_files(20)["sipp"]
    partner = raw.table.assign(PNUM=102, ERELRPE=3.0, TAGE=5, TVAL_BANK=np.nan)
    _, assets, vehicles = sipp_donors(replace(raw, table=pd.concat([raw.table, partner], ignore_index=True)))
    alone = sipp_donors(raw)[2].table
    assert len(vehicles.table) == len(assets.table) == 20
    np.testing.assert_array_equal(vehicles.table["household_vehicles_value"], alone["household_vehicles_value"])
    np.testing.assert_allclose(vehicles.table["employment_income"], 2 * alone["employment_income"])
    assert (vehicles.table["household_size"] == 2).all() and (vehicles.table["count_under_18"] >= 1).all()


def test_sipp_without_december() -> None:
    raw = donor_files(20)["sipp"]
    with pytest.raises(SourceError, match="no row of December"):
        sipp_donors(replace(raw, table=raw.table[raw.table["MONTHCODE"] < 12]))


def test_scf_recodes_race_and_passes_families() -> None:
    raw = donor_files(60)["scf"]
    donors = scf_donors(raw)
    groups = {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0, 5: 4.0}
    np.testing.assert_array_equal(donors.table["race_group"], raw.table["RACE"].map(groups))
    assert donors.groups is not None
    np.testing.assert_array_equal(donors.groups, raw.table["YY1"])
    assert donors.values == ("net_worth", "auto_loan_balance", "auto_loan_interest")


def test_scf_interest_is_balance_times_rate() -> None:
    raw = donor_files(60)["scf"]
    loans = raw.companions["loans"].assign(
        X2218=8_000.0, X2219=625.0, X2318=4_000.0, X2319=-1.0, X7169=1_000.0, X7170=900
    )
    donors = scf_donors(replace(raw, companions={"loans": loans.iloc[::-1]}))
    owes = donors.table["auto_loan_balance"] > 0
    # 8,000 at 6.25 percent, 4,000 without interest, 1,000 at 9 percent; nothing for who owes nothing.
    np.testing.assert_allclose(donors.table.loc[owes, "auto_loan_interest"], 500 + 90)
    assert (donors.table.loc[~owes, "auto_loan_interest"] == 0).all()


def test_scf_in_dollars_of_a_later_year_is_brought_back() -> None:
    raw = donor_files(60)["scf"]
    money = ["WAGEINC", "NETWORTH", "VEH_INST", "VEHIC"]
    # CPI-U of September 2022, in whose dollars earlier waves were published again, and of September 2019.
    later = replace(raw, table=raw.table.assign(**{name: raw.table[name] * 296.808 / 256.759 for name in money}))
    np.testing.assert_allclose(scf_donors(later).table.to_numpy(), scf_donors(raw).table.to_numpy())


def test_org_reads_the_official_codes() -> None:
    raw = donor_files(64)["org"]
    donors = org_donors(raw)
    salaried = donors.table["is_paid_hourly"] == 0
    # Weekly pay over forty hours.
    np.testing.assert_allclose(donors.table.loc[salaried, "hourly_wage"], donors.table.loc[salaried, "weekly_pay"] / 40)
    assert (donors.table.loc[~salaried, "hourly_wage"] == 18.5).all()
    assert donors.table["is_union_member_or_covered"].sum() == 8
    assert set(donors.table["race_group"]) == {1.0, 3.0}


def test_org_counts_covered_who_are_no_members() -> None:
    raw = donor_files(64)["org"]
    covered = raw.table.assign(PEERNLAB=2, PEERNCOV=np.where(np.arange(64) < 5, 1, 2))
    assert org_donors(replace(raw, table=covered)).table["is_union_member_or_covered"].sum() == 5


def test_org_drops_who_cannot_be_valued() -> None:
    raw = donor_files(64)["org"]
    table = raw.table.copy()
    table.loc[0, "PEHRUSL1"] = -4  # hours vary
    table.loc[1, "PTERNWA"] = -0.01  # not asked
    table.loc[2, "PEERNLAB"] = -1  # not asked
    table.loc[3, "PWORWGT"] = 0.0
    assert len(org_donors(replace(raw, table=table)).table) == 60


def test_org_without_union_answers() -> None:
    raw = donor_files(20)["org"]
    with pytest.raises(SourceError, match=r"none of 20 employees answered PEERNLAB"):
        org_donors(replace(raw, table=raw.table.assign(PEERNLAB=-1, PEERNCOV=-1)))


def test_race_groups_put_origin_before_race() -> None:
    assert race_group([1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        *(("acs", column) for column in ("AGEP", "WAGP", "RELSHIPP")),
        *(("sipp", column) for column in ("TVAL_BANK", "TINC_RENT", "THVAL_VEH", "ETENURE", "ERELRPE", "MONTHCODE")),
        *(("scf", column) for column in ("NETWORTH", "WGT", "YY1", "NOWN")),
        *(("org", column) for column in ("PTERNWA", "PEERNCOV", "GESTFIPS", "HRMONTH")),
    ],
)
def test_absent_columns_are_named(name: str, column: str) -> None:
    raw = donor_files(20)[name]
    with pytest.raises(SourceError, match=rf"{raw.name} .*{column} .*absent"):
        DONORS[name](replace(raw, table=raw.table.drop(columns=column)))


def test_absent_tips_and_pay_are_named() -> None:
    raw = donor_files(20)["sipp"]
    with pytest.raises(SourceError, match=r"no columns TJB\*_TXAMT or no columns TJB\*_MSUM"):
        sipp_donors(replace(raw, table=raw.table.drop(columns="TJB1_TXAMT")))


def test_acs_without_households() -> None:
    with pytest.raises(SourceError, match="acs_pums household table: columns SERIALNO, NP, TEN"):
        acs_donors(replace(donor_files(20)["acs"], companions={}))


@pytest.mark.parametrize("name", DONORS)
def test_records_that_occur_twice_are_refused(name: str) -> None:
    raw = donor_files(20)[name]
    doubled = replace(raw, table=pd.concat([raw.table, raw.table.iloc[:1]], ignore_index=True))
    with pytest.raises(SourceError, match=r"occurs twice \(1 such row"):
        DONORS[name](doubled)


@pytest.mark.parametrize("name", DONORS)
def test_weights_below_zero_are_refused(name: str) -> None:
    raw = donor_files(20)[name]
    with pytest.raises(SourceError, match=r"has weight -1\.0; wanted a finite number of at least 0"):
        DONORS[name](_weighted(raw, -1.0))


@pytest.mark.parametrize("name", DONORS)
def test_weights_that_are_missing_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="has weight nan"):
        DONORS[name](_weighted(donor_files(20)[name], np.nan))


@pytest.mark.parametrize("name", DONORS)
def test_donors_without_weight_are_refused(name: str) -> None:
    with pytest.raises(SourceError, match="usable donors with total weight 0"):
        DONORS[name](_weighted(donor_files(20)[name], 0.0))


@pytest.mark.parametrize(
    ("name", "column"), [("acs", "AGEP"), ("sipp", "TAGE"), ("scf", "NETWORTH"), ("scf", "AGE"), ("org", "PRTAGE")]
)
def test_missing_numbers_are_refused(name: str, column: str) -> None:
    raw = donor_files(20)[name]
    table = raw.table.astype({column: float})
    # A head of the ACS, a December of the SIPP.
    row = (
        11
        if name == "sipp"
        else int(np.flatnonzero(raw.companions["household"]["TEN"] == 3)[0])
        if name == "acs"
        else 0
    )
    table.loc[row, column] = np.nan
    with pytest.raises(SourceError, match=r"row \d+ has no (age|net_worth)"):
        DONORS[name](replace(raw, table=table))


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("sipp", "TJB1_TXAMT", "tip_income"),
        ("sipp", "TVAL_STMF", "stock_assets"),
        ("scf", "NETWORTH", "net_worth"),
        ("scf", "VEH_INST", "auto_loan_balance"),
        ("org", "PEERNLAB", "is_union_member_or_covered"),
    ],
)
def test_columns_of_zeros_are_refused(name: str, column: str, value: str) -> None:
    raw = donor_files(20)[name]
    blank = 2 if column == "PEERNLAB" else 0.0
    with pytest.raises(SourceError, match=rf"{value}.* is 0 for all \d+ donors"):
        DONORS[name](replace(raw, table=raw.table.assign(**{column: blank})))


def test_a_column_of_blank_rents_is_refused() -> None:
    raw = donor_files(20)["acs"]
    blank = raw.companions["household"].assign(RNTP=np.nan)
    with pytest.raises(SourceError, match="pre_subsidy_rent is 0 for all"):
        acs_donors(replace(raw, companions={"household": blank}))


@pytest.mark.parametrize("name", DONORS)
def test_donors_are_complete_numbers(name: str) -> None:
    made = DONORS[name](donor_files(60)[name])
    for donors in made if isinstance(made, tuple) else (made,):
        assert isinstance(donors, Donors)
        assert np.isfinite(donors.table.to_numpy()).all() and (donors.weights > 0).all()
        assert set(donors.table.columns) == {*donors.predictors, *donors.values}
        assert donors.year == 2019
