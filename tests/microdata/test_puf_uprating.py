"""Growth of the tax file: every amount by its documented factor, once; factors are those of the published tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf import build_puf
from tessera.microdata.puf_uprating import SIGNS, growth, returns_growth, total_growth, uprate
from tessera.microdata.tax_variables import tax_variables

from .support import tax_file

AMOUNTS = [variable.name for variable in tax_variables() if variable.kind == "amount"]
FLAGS = [variable.name for variable in tax_variables() if variable.kind == "flag"]


@pytest.fixture(scope="module")
def frames() -> tuple[Frame, Frame]:
    """The same file in dollars of 2015 and of 2024."""
    raw = tax_file(260)
    # Losses too, so that both signs are held to their factors.
    signs = np.where(np.arange(260) % 3 == 0, -1.0, 1.0)
    for code in ("E00900", "E02100", "P22250", "P23250", "E01200", "E27200"):
        raw.table[code] = raw.table[code] * signs
    return build_puf(raw, year=2015, seed=1), build_puf(raw, year=2024, seed=1)


def totals(frame: Frame, name: str) -> dict[str, float]:
    weights = frame.weights[frame.unit_of_person("household")]
    values = frame.person[name].to_numpy()
    return {"positive": float(np.maximum(values, 0) @ weights), "negative": float(np.minimum(values, 0) @ weights)}


@pytest.mark.parametrize("name", AMOUNTS)
def test_weighted_totals_grow_by_the_documented_factor(name: str, frames: tuple[Frame, Frame]) -> None:
    before, after = (totals(frame, name) for frame in frames)
    for sign in SIGNS:
        assert after[sign] == pytest.approx(before[sign] * total_growth(name, sign), rel=1e-9, abs=1e-6), sign


def test_the_file_of_the_test_has_every_amount_in_it(frames: tuple[Frame, Frame]) -> None:
    empty = [name for name in AMOUNTS if not frames[0].person[name].any()]
    assert not empty
    signed = [name for name in AMOUNTS if totals(frames[0], name)["negative"] < 0]
    assert {"self_employment_income_before_lsr", "partnership_income", "other_net_gain", "farm_rent_income"} <= set(
        signed
    )


def test_flags_ages_and_families_are_not_uprated(frames: tuple[Frame, Frame]) -> None:
    before, after = frames
    same = [*FLAGS, "age", "is_female", "tax_unit_role_input", "household_id"]
    pd.testing.assert_frame_equal(before.person[same], after.person[same])
    for name in FLAGS:
        assert set(np.unique(after.person[name])) <= {0.0, 1.0}, name


def test_weights_grow_as_returns(frames: tuple[Frame, Frame]) -> None:
    before, after = frames
    np.testing.assert_allclose(after.weights, before.weights * returns_growth(), rtol=1e-12)


def test_defect_5_all_nine_years_are_there(frames: tuple[Frame, Frame]) -> None:
    """The reference's factors of 2021-2024 were looked up by year and never applied: amounts stayed those of 2021."""
    soi_2021 = 9_022_352_941_000 / 7_112_222_959_000
    before, after = (totals(frame, "employment_income_before_lsr")["positive"] for frame in frames)
    assert after / before > 1.15 * soi_2021
    assert after / before == pytest.approx(10_204_095_705_000 / 7_112_222_959_000 * 10_832.7 / 10_260.3, rel=1e-9)


def test_defect_6_nothing_twice_and_nothing_left_out(frames: tuple[Frame, Frame]) -> None:
    """The reference grew Schedule C and E26270 by their own growth and by income's, and K-1 and farm codes never."""
    before, after = frames
    own = growth("self_employment_income_before_lsr")
    agi = 15_286_017_359_000 / 10_210_310_102_000
    for name in ("self_employment_income_before_lsr", "sstb_self_employment_income_before_lsr"):
        values, grown = (frame.person[name].to_numpy() for frame in (before, after))
        some = values != 0
        ratio = grown[some] / values[some]
        expected = np.where(values[some] > 0, own.positive, own.negative)
        np.testing.assert_allclose(ratio, expected, rtol=1e-12)
        assert (np.abs(ratio / expected - agi) > 0.1).all()
    for name in ("partnership_income", "s_corp_income", "farm_operations_income"):
        values, grown = (frame.person[name].to_numpy() for frame in (before, after))
        some = values != 0
        assert (np.abs(grown[some] / values[some] - 1) > 0.05).all(), name
    # Partners' earnings are a difference of codes of 2015; grown once as such.
    name = "partnership_self_employment_net_earnings"
    values, grown = (frame.person[name].to_numpy() for frame in (before, after))
    k1 = growth(name)
    np.testing.assert_allclose(grown, values * np.where(values >= 0, k1.positive, k1.negative), rtol=1e-12)


def test_a_second_uprating_changes_nothing() -> None:
    amounts = {"self_employment_income_before_lsr": np.array([100.0, -100.0]), "business_is_sstb": np.array([1.0, 0.0])}
    once, factor = uprate(amounts, 2015, 2024)
    again, one = uprate(once, 2024, 2024)
    assert (factor, one) == (returns_growth(), 1.0)
    own = growth("self_employment_income_before_lsr")
    assert again["self_employment_income_before_lsr"].tolist() == [100 * own.positive, -100 * own.negative]
    assert again["business_is_sstb"].tolist() == [1.0, 0.0]


def test_other_years_and_unknown_amounts_are_refused() -> None:
    with pytest.raises(SourceError, match="growth to 2030"):
        uprate({"rental_income": np.ones(1)}, 2015, 2030)
    with pytest.raises(SourceError, match="Tax file of 2011"):
        uprate({"rental_income": np.ones(1)}, 2011, 2024)
    with pytest.raises(SourceError, match="No growth factor for nonsense"):
        uprate({"nonsense": np.ones(1)}, 2015, 2024)


def test_every_amount_has_one_factor_and_no_other_has() -> None:
    rows = [(row["variable"], row["sign"]) for row in read_rows("puf_uprating")]
    assert len(rows) == len(set(rows))
    assert {name for name, _ in rows} == {*AMOUNTS, "returns"}
    for name in AMOUNTS:
        for sign in SIGNS:
            # Penalties on savings grew with interest, from next to nothing.
            most = 15 if name == "early_withdrawal_penalty" else 5
            assert 0.1 < total_growth(name, sign) < most, name


def test_every_factor_names_its_source_and_how_good_it_is() -> None:
    for row in read_rows("puf_uprating"):
        assert row["source"], row["variable"]
        assert row["basis"] in {"published", "rounded", "related", "assumption"}, row["variable"]


def _soi(shared_data: Path) -> tuple[pd.Series, pd.Series]:
    soi = pd.read_csv(shared_data / "official" / "soi_targets.csv")
    whole = np.isinf(soi["AGI lower bound"]) & np.isinf(soi["AGI upper bound"]) & ~soi["Taxable only"]
    soi = soi[whole & (soi["Filing status"] == "All")].drop_duplicates(["Variable", "Year", "Count"])
    return (soi[soi["Count"] == counts].set_index(["Variable", "Year"])["Value"] for counts in (False, True))


def test_figures_are_those_of_the_tables(shared_data: Path) -> None:
    """Every published line whose item the table of 2015 and 2023 has, both years, sums and differences of items too."""
    total, count = _soi(shared_data)

    def item(text: str, year: int) -> float:
        first, *rest = text.split("-")
        return float(total[first, year] - sum(total[name, year] for name in rest))

    checked = 0
    for row in read_rows("puf_uprating"):
        names = row["item"].split("-")
        if row["basis"] == "rounded" or not all((name, 2015) in total.index for name in names if name):
            continue
        if row["item"]:
            assert float(row["base_2015"]) == pytest.approx(item(row["item"], 2015), rel=1e-8), row["variable"]
            checked += 1
        if row["later_year"] == "2023":
            assert float(row["later"]) == pytest.approx(item(row["item"], 2023), rel=1e-8), row["variable"]
    assert checked > 30
    assert returns_growth() == pytest.approx((count["count", 2023] / count["count", 2015]) ** (9 / 8), rel=1e-8)


def test_links_are_those_of_the_projections(shared_data: Path) -> None:
    folder = shared_data / "official" / "cbo" / "revenue_projections_income_by_source_2026_02"
    cbo = pd.read_csv(next(folder.glob("*.csv"))).set_index("source_concept_id")
    found = [row for row in read_rows("puf_uprating") if row["link"] in cbo.index]
    assert len(found) > 25
    for row in found:
        assert float(row["link_from"]) == cbo.loc[row["link"], "year_2023"], row["variable"]
        assert float(row["link_2024"]) == cbo.loc[row["link"], "year_2024"], row["variable"]


# Variable: text that begins the item of the filing season's table whose line of amounts follows (or is the same).
FILING_SEASON = {
    "taxable_interest_income": "Taxable interest:",
    "taxable_private_pension_income": "Taxable income from pensions",
    "taxable_ira_distributions": "Taxable income from Individual Retirement",
    "unemployment_compensation": "Unemployment compensation:",
    "salt_refund_income": "State and local income tax refunds:",
    "student_loan_interest": "Student loan interest deduction:",
    "educator_expense": "Educator expenses:",
    "self_employed_pension_contributions_desired": "Self-employed (Keogh)",
    "foreign_tax_credit_potential": "Foreign tax credit:",
    "general_business_credit": "Income tax before credits:",
}


def test_figures_of_2024_are_those_of_the_filing_season(shared_data: Path) -> None:
    from openpyxl import load_workbook

    book = load_workbook(next((shared_data / "official" / "irs_soi" / "filing_season_week47_2024").glob("*.xlsx")))
    rows = [tuple(cell.value for cell in row[:2]) for row in book.worksheets[0].iter_rows()]
    labels = [str(label or "").strip() for label, _ in rows]
    returns = rows[labels.index("All returns")][1]
    lines = {row["variable"]: row for row in read_rows("puf_uprating")}
    for name, text in FILING_SEASON.items():
        place = next(number for number, label in enumerate(labels) if label.startswith(text))
        assert labels[place + 1] == "Amount"
        assert float(lines[name]["later"]) == rows[place + 1][1] * 1000, name
        assert float(lines[name]["link_from"]) == returns, name
    projected = lines["returns"]["later"]
    assert {row["link_2024"] for row in lines.values() if row["link"].startswith("returns_all")} == {projected}


def test_other_figures_of_2023_are_those_of_table_1_4(shared_data: Path) -> None:
    from tessera.sources.workbook import read_xls

    rows = read_xls(shared_data / "official" / "irs_soi" / "table_1_4" / "23in14ar.xls")
    nation = next(row for row in rows if str(row[0]).startswith("All returns, total"))
    published = {float(cell) * 1000 for cell in nation if isinstance(cell, float)}
    lines = {(row["variable"], row["sign"]): float(row["later"]) for row in read_rows("puf_uprating") if row["later"]}
    for key in (
        ("alimony_income", "any"),
        ("alimony_expense", "any"),
        ("health_savings_account_ald", "any"),
        ("early_withdrawal_penalty", "any"),
        ("farm_operations_income", "positive"),
        ("farm_operations_income", "negative"),
        ("estate_income", "positive"),
    ):
        assert lines[key] in published, key
    for name in ("farm_rent_income", "other_net_gain"):
        # Gains of which losses are taken away; both are in the table.
        assert any(gain - lines[name, "any"] in published for gain in published), name
