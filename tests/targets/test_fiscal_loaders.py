"""Loaders of budgets, taxes and balance sheets on the official files, and on altered copies that they must refuse."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.loaders import cbo, jct, stc, z1
from tessera.targets.loaders.html_table import read_tables
from tessera.targets.loaders.transcribed import COLUMNS, load, load_packaged
from tests.targets.altered import Edit, cell, edited, page, renamed, twice, without

PATHS = {
    "receipts": "cbo/individual_income_tax_receipts_2026_02/cbo_individual_income_tax_receipts_2026_02.csv",
    "income": "cbo/revenue_projections_income_by_source_2026_02/cbo_revenue_projections_income_by_source_2026_02.csv",
    "tax_expenditures": "jct/tax_expenditures_2024/jct_tax_expenditures_2024.csv",
    "state_tax": "census/stc_individual_income_tax/FY2024-Flat-File.txt",
    "z1": "federal_reserve/z1_household_net_worth_2026/federal_reserve_z1_20260319_b101.html",
}


@pytest.fixture(scope="session")
def files(shared_data: Path) -> dict[str, Path]:
    return {name: shared_data / "official" / relative for name, relative in PATHS.items()}


# CBO and JCT


def test_cbo_lines(files: dict[str, Path]) -> None:
    receipts = cbo.load_receipts(files["receipts"])
    assert receipts["value"].item() == 2_426_067_000_000
    income = cbo.load_income(files["income"])
    assert set(income["variable"]) == set(cbo.INCOME.values())
    assert income.set_index("variable")["value"]["adjusted_gross_income"] == 16_685_900_000_000
    assert set(income["constraints"]) == {'[["tax_unit_is_filer","==",1]]'}
    with pytest.raises(SourceError, match="year_2050"):
        cbo.load_income(files["income"], 2050)
    with pytest.raises(SourceError, match="year_2025"):
        cbo.load_receipts(files["receipts"], 2025)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            cell("projection_status", "source_concept_id", "net_capital_gain", "cbo_january_2025"),
            "wanted 'cbo_february",
        ),
        (cell("year_2024", "source_concept_id", "net_capital_gain", ""), "suppressed or blank"),
        (cell("year_2024", "source_concept_id", "net_capital_gain", "-1"), "out of range"),
        (cell("year_2024", "source_concept_id", "adjusted_gross_income", "166859000000"), "more than AGI"),
        (cell("source_concept_id", "source_concept_id", "net_capital_gain", "gain"), "net_capital_gain is missing"),
        (twice("source_concept_id", "net_capital_gain"), "is there twice"),
        (renamed("year_2024"), "column 'year_2024' is missing"),
        (lambda frame: frame.iloc[:0], "is missing"),
    ],
)
def test_altered_projections_are_refused(files: dict[str, Path], tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        cbo.load_income(edited(files["income"], tmp_path / "a.csv", edit))


def test_a_separator_of_thousands_is_read(files: dict[str, Path], tmp_path: Path) -> None:
    edit = cell("year_2024", "source_concept_id", cbo.RECEIPTS, "2,426,067,000,000")
    figures = cbo.load_receipts(edited(files["receipts"], tmp_path / "a.csv", edit))
    assert figures["value"].item() == 2_426_067_000_000


def test_repeals_name_the_variable_that_they_neutralise(files: dict[str, Path]) -> None:
    figures = jct.load(files["tax_expenditures"])
    assert (figures["variable"] == "income_tax").all()
    values = figures.set_index("reform")["value"]
    assert tuple(values.index) == tuple(one.variable for one in jct.PROVISIONS)
    assert values["salt_deduction"] == 21_700_000_000
    assert values["student_loan_interest_ald"] == 2_400_000_000
    assert all(reform in VariableCatalogue.packaged() for reform in values.index)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (renamed("individual_revenue_loss_2024"), "column 'individual_revenue_loss_2024' is missing"),
        (cell("individual_revenue_loss_2024", "tax_expenditure", "salt_deduction", "(1)"), "out of range"),
        (cell("individual_revenue_loss_2024", "tax_expenditure", "salt_deduction", "---"), "suppressed"),
        (cell("jct_line_label", "tax_expenditure", "salt_deduction", "Medical expenses"), "wanted 'Taxes paid"),
        (twice("tax_expenditure", "salt_deduction"), "is there twice"),
        (without("tax_expenditure", "salt_deduction"), "salt_deduction is missing"),
    ],
)
def test_altered_tax_expenditures_are_refused(files: dict[str, Path], tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        jct.load(edited(files["tax_expenditures"], tmp_path / "a.csv", edit))


# State taxes


def test_state_taxes_follow_the_published_nation(files: dict[str, Path], tmp_path: Path) -> None:
    taxes = stc.load(files["state_tax"]).set_index("geo_id")["value"]
    without = {"AK", "FL", "NV", "SD", "TN", "TX", "WY"}
    assert set(taxes.index) == {state.usps for state in states()} - without
    assert taxes["CA"] == 123_101_651_000
    # The census's US is the fifty states; Tennessee's 2,123 thousand are arrears of a tax that has ended.
    assert taxes.drop("DC").sum() == pytest.approx(479_627_360_000 - 2_123_000, abs=51_000)
    renamed = tmp_path / "FY2023-Flat-File.txt"
    shutil.copyfile(files["state_tax"], renamed)
    with pytest.raises(SourceError, match="FY2024"):
        stc.load(renamed)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (cell("OH", "ITEM", "T40", ""), "suppressed or blank"),
        (cell("OH", "ITEM", "T40", "n/a"), "is not a number"),
        (cell("OH", "ITEM", "T40", "-4"), "out of range"),
        (cell("OH", "ITEM", "T40", "X"), "add up to"),
        (cell("OH", "ITEM", "T40", "10,020,706,000"), "add up to"),
        (without("ITEM", "T40"), "0 rows of item T40"),
        (twice("ITEM", "T40"), "2 rows of item T40"),
        (renamed("OH"), "column 'OH' is missing"),
        (lambda frame: frame.assign(PR="5"), "column PR is unknown"),
    ],
)
def test_altered_state_taxes_are_refused(files: dict[str, Path], tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        stc.load(edited(files["state_tax"], tmp_path / "FY2024-Flat-File.txt", edit))


# Z.1


def test_net_worth_of_the_household_sector(files: dict[str, Path]) -> None:
    figures = z1.load(files["z1"])
    assert figures[["variable", "geo_id", "year"]].to_numpy().tolist() == [["net_worth", "US", 2024]]
    assert figures["value"].item() == 169_619_200_000_000
    with pytest.raises(SourceError, match="2019"):
        z1.load(files["z1"], 2019)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("B.101 Households and nonprofit", "B.102 Nonfinancial corporate", "does not say 'B.101"),
        ("Billions of dollars; amounts", "Millions of dollars; amounts", "does not say 'Billions"),
        ('class="colhead">Series', 'class="colhead">Code', "the headings are"),
        ('class="colhead">2024:Q4', 'class="colhead">2024:Q2', "wanted Line, Description, Series, 2024:Q4"),
        ('s40" class="totaldata" style="font-weight: bold; ">169619.2</td> <td id="x40t3"',
         's40" class="totaldata" style="font-weight: bold; ">169619.3</td> <td id="x40t3"', "fourth quarter"),
        (">169619.2<", ">168619.2<", "1000.0 billion off net worth"),
        (">169619.2<", ">ND<", "is not a number"),
        (">169619.2<", "><", "suppressed or blank"),
        (">FL152090005<", ">FL152090000<", "series FL152090005 is missing"),
        (">FL153020005<", ">FL152090005<", "is there twice"),
        ("Net worth (assets minus liabilities)", "Net worth", "wanted 'Net worth"),
        ("<table", "<section", "has no table"),
    ],
)  # fmt: skip
def test_altered_z1_pages_are_refused(files: dict[str, Path], tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        z1.load(page(files["z1"], tmp_path / "b101.html", old, new))


def test_html_tables(tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text(
        "<p>Title<sup>1</sup></p><script>var hidden;</script><table><tr><th>a &amp;<br> b</th><td>1&nbsp;2<sup>x</sup>"
        "</td></tr><tr></tr></table><table><tr><td>second</td></tr></table>",
        encoding="utf-8",
    )
    text, tables = read_tables(target)
    assert text == "Title a & b 1 2 second"
    assert tables == [[("a & b", "1 2"), ()], [("second",)]]
    with pytest.raises(SourceError, match="no such file"):
        read_tables(tmp_path / "absent.html")
    target.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="not an HTML page"):
        read_tables(target)


# Printed figures


def test_printed_figures_of_the_latest_year() -> None:
    figures = load_packaged().set_index("source")
    assert figures.loc["acf_liheap", "value"] == 5_876_646
    assert figures.loc["acf_liheap", "constraints"] == '[["spm_unit_energy_subsidy",">",0]]'
    assert figures.loc["treasury_eitc", "value"] == 63_920_000_000 + 3_010_000_000
    assert set(figures["year"]) == {2024}
    assert load_packaged(2023).set_index("source").loc["acf_liheap", "value"] == 5_939_605
    assert all(variable in VariableCatalogue.packaged() for variable in figures["variable"])
    for text in figures["constraints"]:
        assert all(name in VariableCatalogue.packaged() for name, _, _ in json.loads(text))
    with pytest.raises(SourceError, match="no figure of 2001 or before"):
        load_packaged(2001)


_ROW = (
    "agency", "T 1", "p. 3", "https://a.gov/b.pdf", "FY 2024", "2024", "national", "US", "snap", "[]",
    "all", "5", "dollar",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": "**"}, "row 2, value: the cell is suppressed"),
        ({"value": ""}, "row 2: the column value is blank"),
        ({"page": " "}, "row 2: the column page is blank"),
        ({"year": "FY24"}, "row 2: year is 'FY24'"),
        ({"geo_level": "county"}, "geo_level is 'county'"),
        ({"constraints": '[["snap", ">", 0]]'}, "wanted JSON such as"),
        ({"constraints": "snap > 0"}, "wanted JSON such as"),
    ],
)
def test_printed_figures_that_are_refused(tmp_path: Path, change: dict[str, str], message: str) -> None:
    row = dict(zip(COLUMNS, _ROW, strict=True))
    path = tmp_path / "printed.csv"
    pd.DataFrame([row]).to_csv(path, index=False)
    assert load(path)["value"].item() == 5
    pd.DataFrame([row | change]).to_csv(path, index=False)
    with pytest.raises(SourceError, match=message):
        load(path)


def test_parts_add_up_and_are_there_once(tmp_path: Path) -> None:
    row = dict(zip(COLUMNS, _ROW, strict=True))
    path = tmp_path / "printed.csv"
    pd.DataFrame([row, row | {"part": "rest", "value": "1,000"}]).to_csv(path, index=False)
    assert load(path)["value"].item() == 1005
    pd.DataFrame([row, row]).to_csv(path, index=False)
    with pytest.raises(SourceError, match="row 3: part 'all' of its figure is there twice"):
        load(path)
    pd.DataFrame([row, row | {"part": "rest", "url": "https://a.gov/c.pdf"}]).to_csv(path, index=False)
    with pytest.raises(SourceError, match="2 publications"):
        load(path)
    pd.DataFrame([row]).drop(columns="part").to_csv(path, index=False)
    with pytest.raises(SourceError, match="columns are"):
        load(path)
    pd.DataFrame(columns=list(COLUMNS)).to_csv(path, index=False)
    with pytest.raises(SourceError, match="no rows"):
        load(path)
