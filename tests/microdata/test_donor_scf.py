"""The real Survey of Consumer Finances of 2019 through its reader and the donor table, checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.donor_scf import dollars_factor, scf_donors
from tessera.microdata.donor_tables import Donors
from tessera.microdata.imputation_quality import weighted_quantiles
from tessera.sources import scf
from tessera.sources.table import RawTable


@pytest.fixture(scope="module")
def raw(shared_data: Path) -> RawTable:
    return scf.read(shared_data / "scf" / "SCFP2019.csv.gz")


@pytest.fixture(scope="module")
def donors(raw: RawTable) -> Donors:
    return scf_donors(raw)


# Rows of the file as published, first implicates: Y1 -> what the donor must be.
CASES: dict[int, dict[str, float]] = {
    # A woman of 75, no car loan, two cars worth 4,600, a house without mortgage.
    11: {"age": 75, "is_male": 0, "race_group": 1, "is_married": 0, "own_children": 0, "net_worth": 2_153_600,
         "auto_loan_balance": 0, "owns_home": 1, "has_mortgage": 0, "vehicles_owned": 2, "vehicles_value": 4_600,
         "interest_dividend_income": 43_880.88156, "employment_income": 1_018.117902},
    # A couple with three children, debts above assets: 5,490 - 12,200, of which 3,900 on the car.
    21: {"age": 50, "is_male": 1, "is_married": 1, "own_children": 3, "net_worth": -6_710, "auto_loan_balance": 3_900,
         "owns_home": 0, "vehicles_owned": 1, "social_security_pension_income": 9_264.872904},
    # Tenants with three vehicles and no loan.
    31: {"age": 53, "net_worth": 33_900, "auto_loan_balance": 0, "vehicles_owned": 3, "vehicles_value": 17_400,
         "owns_home": 0, "employment_income": 104_866.1439},
    # Owners with a mortgage, 272,240 of assets and 388,900 of debts.
    41: {"age": 29, "net_worth": -116_660, "auto_loan_balance": 6_900, "owns_home": 1, "has_mortgage": 1},
    # The only debt is on the car.
    51: {"age": 47, "net_worth": 1_590, "auto_loan_balance": 680, "vehicles_value": 1_500},
    # No vehicle at all.
    61: {"age": 28, "is_married": 0, "net_worth": -12_480, "auto_loan_balance": 0, "vehicles_owned": 0},
    211: {"age": 47, "net_worth": 708_000, "auto_loan_balance": 0, "has_mortgage": 1},
    # A loan above the value of the vehicles.
    2021: {"age": 29, "own_children": 1, "net_worth": 34_250, "auto_loan_balance": 53_000, "vehicles_value": 48_000},
    # RACE 3 is Hispanic here, not American Indian as in the CPS.
    10061: {"age": 43, "race_group": 3, "own_children": 3, "net_worth": 39_800},
    # RACE 5 is other; the lowest net worth of the file.
    54994: {"age": 39, "race_group": 4, "net_worth": -955_500, "is_married": 0},
    # The highest net worth, with capital gains and a loss from business.
    27515: {"age": 65, "net_worth": 1_967_199_000, "capital_gains": 712_682_531.1, "business_income": -1_018_117.902},
    # The largest loans on vehicles: ten of them.
    30413: {"age": 65, "auto_loan_balance": 23_920_000, "vehicles_owned": 10, "business_income": 27_520_745},
    58131: {"age": 51, "net_worth": 7_635_200, "auto_loan_balance": 0, "business_income": 256_565.7112},
}  # fmt: skip


@pytest.mark.parametrize("implicate", CASES)
def test_a_family_is_read_as_it_stands_in_the_file(raw: RawTable, donors: Donors, implicate: int) -> None:
    (row,) = np.flatnonzero(raw.table["Y1"] == implicate)
    for name, value in CASES[implicate].items():
        assert donors.table[name].iloc[row] == pytest.approx(value), name
    assert donors.groups is not None and donors.groups[row] == implicate // 10


def test_weights_of_a_family_are_the_sum_of_its_implicates(donors: Donors) -> None:
    assert donors.weights[:5] == pytest.approx([6119.779308, 4712.374912, 5145.224455, 5297.663412, 4761.812371])
    # 26,037 families are like the first one.
    assert donors.weights[donors.groups == 1].sum() == pytest.approx(26_036.854458)


def test_all_families_of_the_nation(donors: Donors) -> None:
    assert len(donors.table) == 28_885 and donors.groups is not None
    assert len(np.unique(donors.groups)) == 5_777
    # 128.6 million families in 2019 (Federal Reserve Bulletin, September 2020).
    assert donors.weights.sum() == pytest.approx(128.6e6, rel=0.001)


def test_net_worth_is_that_published_in_dollars_of_2019(raw: RawTable, donors: Donors) -> None:
    # Published in 2020: mean 748.8 thousand, median 121.7 thousand dollars of 2019. The extract is in these dollars.
    assert dollars_factor(raw.table, raw.year) == 1.0
    assert np.average(donors.table["net_worth"], weights=donors.weights) == pytest.approx(748_800, rel=0.005)
    median = weighted_quantiles(donors.table["net_worth"].to_numpy(), donors.weights, [0.5])
    assert median[0] == pytest.approx(121_700, rel=0.001)


def test_incomes_are_of_the_year_before_in_the_same_dollars(raw: RawTable) -> None:
    # Answers are round dollars of 2018; 1.018 is growth in prices to 2019.
    wages = raw.table.loc[raw.table["WAGEINC"] > 0, "WAGEINC"] / 1.018117902
    assert (np.abs(wages - wages.round(-1)) < 0.01).mean() > 0.9


def test_shares_are_those_published(donors: Donors) -> None:
    table, weights = donors.table, donors.weights
    # 64.9 percent own their home, 36.9 percent have loans on vehicles (Federal Reserve Bulletin, tables 3 and 4).
    assert np.average(table["owns_home"], weights=weights) == pytest.approx(0.649, abs=0.001)
    assert np.average(table["auto_loan_balance"] > 0, weights=weights) == pytest.approx(0.369, abs=0.001)
    # Non-Hispanic white and black families by the reference person's answer.
    assert np.average(table["race_group"] == 1, weights=weights) == pytest.approx(0.68, abs=0.005)


def test_a_file_published_again_in_dollars_of_2022_gives_the_same(raw: RawTable, donors: Donors) -> None:
    grown = 296.808 / 256.759
    money = ["WAGEINC", "BUSSEFARMINC", "INTDIVINC", "KGINC", "SSRETINC", "NETWORTH", "VEH_INST", "VEHIC"]
    table = raw.table.assign(**{name: raw.table[name] * grown for name in money})
    again = scf_donors(RawTable("scf", table, raw.year, raw.synthetic, raw.sha256))
    pd.testing.assert_frame_equal(again.table, donors.table)


def test_net_worth_of_2024(donors: Donors) -> None:
    later = donors.in_dollars_of(2024)
    mean = np.average(later.table["net_worth"], weights=later.weights)
    # Households' net worth of 2024 (Z.1: 169.6 trillion with nonprofits) over 132.2 million households is 1.28 million;
    # the survey finds nine tenths of that of 2019 and so it does of that of 2024.
    assert 0.75 < mean / (169_619.2e9 / 132.216e6) < 0.95
