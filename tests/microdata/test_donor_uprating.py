"""Growth of donors' amounts: factors worked out by hand, releases chained, applied once."""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np
import pytest

from tessera.errors import SourceError
from tessera.microdata.donor_org import org_donors
from tessera.microdata.donor_scf import scf_donors
from tessera.microdata.donor_uprating import factor, level, uprated

from .support import donor_files


def test_wages_follow_the_average_wage_index() -> None:
    assert factor("employment_income", 2022, 2024) == pytest.approx(69_846.57 / 63_795.13)
    assert factor("hourly_wage", 2023, 2024) == factor("tip_income", 2023, 2024)


def test_prices_are_the_cpi_u() -> None:
    assert factor("pre_subsidy_rent", 2022, 2024) == pytest.approx(313.689 / 292.655)
    assert factor("auto_loan_balance", 2019, 2022) == pytest.approx(292.655 / 255.657)


def test_net_worth_is_chained_over_releases_and_counted_by_household() -> None:
    # Z.1 of 2024 for 2022 to 2023 and of 2026 for 2023 to 2024, over households of March (HH-1).
    total = (156_210 / 144_630) * (169_619.2 / 156_080.7)
    assert factor("net_worth", 2022, 2024) == pytest.approx(total / (132.216 / 131.202))
    # Within one release no other plays a part.
    assert factor("net_worth", 2019, 2022) == pytest.approx(144_630 / 116_891 / (131.202 / 128.579))


def test_interest_rose_and_is_counted_by_household() -> None:
    soi, cbo = 313_812_674_000 / 133_596_569_000, 309.7 / 286.8
    assert factor("interest_income", 2022, 2024) == pytest.approx(soi * cbo / (132.216 / 131.202))


def test_series_are_continued_by_prices_beyond_their_years() -> None:
    # The first year of equities on file is 2021: before it, prices.
    assert level("equities", 2019) == pytest.approx(level("equities", 2021) * 255.657 / 270.970)
    assert level("households", 2025) == level("households", 2024)


def test_there_and_back_is_one() -> None:
    for name in ("net_worth", "stock_assets", "employment_income", "dividend_income", "age"):
        assert factor(name, 2019, 2024) * factor(name, 2024, 2019) == pytest.approx(1.0)
        assert factor(name, 2022, 2022) == 1.0


def test_what_is_no_amount_does_not_grow() -> None:
    for name in ("age", "race_group", "household_vehicles_owned", "is_paid_hourly", "weekly_hours"):
        assert factor(name, 2015, 2024) == 1.0


def test_amounts_are_brought_to_a_year_once() -> None:
    donors = scf_donors(donor_files(60)["scf"])
    later = donors.in_dollars_of(2024)
    assert later.year == 2024
    np.testing.assert_allclose(later.table["net_worth"], donors.table["net_worth"] * factor("net_worth", 2019, 2024))
    np.testing.assert_allclose(
        later.table["employment_income"], donors.table["employment_income"] * 69_846.57 / 54_099.99
    )
    np.testing.assert_array_equal(later.table["age"], donors.table["age"])
    again = later.in_dollars_of(2024)
    np.testing.assert_array_equal(again.table.to_numpy(), later.table.to_numpy())


def test_losses_grow_as_gains_do() -> None:
    donors = scf_donors(donor_files(60)["scf"])
    assert (donors.table["net_worth"] < 0).any()
    np.testing.assert_array_equal(donors.in_dollars_of(2024).table["net_worth"] < 0, donors.table["net_worth"] < 0)


def test_every_column_of_the_donors_is_on_file() -> None:
    donors = org_donors(donor_files(60)["org"])
    assert all(factor(str(name), 2019, 2024) > 0 for name in donors.table.columns)
    with pytest.raises(SourceError, match="No growth is on file for the donors' column jewels"):
        uprated(donors.table.assign(jewels=1.0), 2019, 2024)


def test_a_year_without_prices_is_named() -> None:
    with pytest.raises(SourceError, match="No consumer prices of 1999 are on file"):
        factor("pre_subsidy_rent", 1999, 2024)


def test_every_level_has_a_source() -> None:
    table = resources.files("tessera.microdata") / "data" / "donor_series.csv"
    with table.open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert all(row["source"] and float(row["value"]) > 0 and 2010 < int(row["year"]) < 2030 for row in rows)
    assert len({(row["series"], row["vintage"], row["year"]) for row in rows}) == len(rows)
