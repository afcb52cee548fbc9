"""Publication 1304 on the official files, on altered copies of them, and against each other."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import Constraint, constraints_from_json, constraints_to_json
from tessera.targets.loaders import (
    soi_table_1_1,
    soi_table_1_2,
    soi_table_1_4,
    soi_table_2_1,
    soi_table_2_5,
    soi_table_4_3,
)
from tessera.targets.loaders.soi_items import AGI, FILER
from tessera.targets.loaders.soi_tables import parse_class
from tessera.targets.loaders.soi_workbook import read_sheet
from tests.targets.altered_soi import Cells, Edit, copy_of, rename, twice, without_row, write

STEMS = {"1_1": "in11si", "1_2": "in12ms", "1_4": "in14ar", "2_1": "in21id", "2_5": "in25ic", "4_3": "in43ts"}
COUNTS = {"1_1": 119, "1_2": 387, "1_4": 1994, "2_1": 1594, "2_5": 414, "4_3": 542}
ITEMIZES: Constraint = ("tax_unit_itemizes", "==", 1)
FROM_ONE: Constraint = (AGI, ">=", 1)
Load = Callable[..., pd.DataFrame]
Path4 = Callable[[str, int], Path]


@pytest.fixture(scope="session")
def official(shared_data: Path) -> Path4:
    folder = shared_data / "official" / "irs_soi"
    return lambda table, year: folder / f"table_{table}" / f"{year % 100:02d}{STEMS[table]}.xls"


@pytest.fixture(scope="session")
def tables(official: Path4) -> dict[str, pd.DataFrame]:
    return {table: _load(table)(official(table, 2023)) for table in STEMS}


def _load(table: str) -> Load:
    load: Load = importlib.import_module(f"tessera.targets.loaders.soi_table_{table}").load
    return load


def _value(figures: pd.DataFrame, variable: str, *constraints: Constraint) -> float:
    """The one figure of filers with these constraints."""
    same = figures["constraints"] == constraints_to_json((FILER, *constraints))
    return float(figures[same & (figures["variable"] == variable)]["value"].item())


def _classes(figures: pd.DataFrame, variable: str, *constraints: Constraint) -> dict[str, float]:
    """Values by class of AGI of filers with these constraints."""
    found = {}
    for text, value in figures[figures["variable"] == variable][["constraints", "value"]].itertuples(index=False):
        rows = constraints_from_json(text)
        bounds = [row for row in rows if row[0] == AGI]
        if bounds and set(rows) - set(bounds) == {FILER, *constraints}:
            found[constraints_to_json(bounds)] = value
    return found


def test_every_table_gives_its_figures_once_with_known_variables(tables: dict[str, pd.DataFrame]) -> None:
    variables = VariableCatalogue.packaged()
    for table, figures in tables.items():
        assert len(figures) == COUNTS[table]
        assert not figures.duplicated(["variable", "constraints"]).any()
        assert figures["value"].ne(0).all()
        assert set(figures["source"]) == {f"irs_soi_table_{table}"}
        assert set(figures["url"]) == {f"https://www.irs.gov/pub/irs-soi/23{STEMS[table]}.xls"}
        assert (set(figures["year"]), set(figures["geo_id"])) == ({2023}, {"US"})
        used = {name for text in figures["constraints"] for name, _, _ in constraints_from_json(text)}
        for name in used | set(figures["variable"]):
            assert name in variables, name


def test_totals_are_those_that_the_irs_prints(tables: dict[str, pd.DataFrame]) -> None:
    taxable: Constraint = ("income_tax_positive", ">", 0)
    assert _value(tables["1_1"], "tax_unit_count") == 160_602_107
    assert _value(tables["1_1"], AGI) == 15_286_017_359_000
    assert _value(tables["1_1"], "tax_unit_count", taxable) == 111_572_368
    assert _value(tables["1_1"], "income_tax_positive") == 2_147_909_818_000
    assert _value(tables["1_2"], "tax_unit_count", ("head_of_household_eligible", "==", 1)) == 21_604_491
    assert _value(tables["1_4"], "irs_employment_income") == 10_204_095_705_000
    assert _value(tables["1_4"], "total_self_employment_income") == 530_380_019_000 - 153_441_387_000
    assert _value(tables["1_4"], "tax_unit_count", ("total_self_employment_income", "<", 0)) == 9_067_174
    assert _value(tables["1_4"], "loss_limited_net_capital_gains") == 946_153_730_000
    assert _value(tables["1_4"], "income_tax_before_credits") == 2_272_912_500_000 - 7_294_849_000
    assert _value(tables["2_1"], "tax_unit_count", FROM_ONE, ITEMIZES) == 15_106_257
    assert _value(tables["2_1"], "salt_deduction", FROM_ONE, ITEMIZES) == 121_050_787_000
    assert _value(tables["2_1"], "charitable_deduction", FROM_ONE, ITEMIZES) == 211_975_123_000
    assert _value(tables["2_5"], "eitc") == 66_270_000_000
    assert _value(tables["2_5"], "tax_unit_count", ("eitc", ">", 0), ("eitc_child_count", ">=", 3)) == 3_193_038


def test_top_shares_are_slices_between_their_floors(tables: dict[str, pd.DataFrame]) -> None:
    figures = tables["4_3"]
    independent: Constraint = ("head_or_spouse_is_dependent_elsewhere", "==", 0)
    returns = _classes(figures, "tax_unit_count", independent)
    top = constraints_to_json([(AGI, ">=", 78_617_933)])
    next_slice = constraints_to_json([(AGI, ">=", 16_086_174), (AGI, "<", 78_617_933)])
    assert (returns[top], returns[next_slice]) == (1_531, 15_308 - 1_531)
    assert len(returns) == len(soi_table_4_3.SHARES) + 1
    assert sum(returns.values()) == _value(figures, "tax_unit_count", independent) == 153_076_443
    agi = _classes(figures, AGI, independent)
    assert agi[constraints_to_json([(AGI, "<", 53_801)])] == 15_196_869_291_000 - 13_323_862_714_000
    # Mean AGI of each slice lies between its bounds.
    for text, number in returns.items():
        mean = agi[text] / number
        assert all(mean >= value if operation == ">=" else mean < value for _, operation, value in
                   constraints_from_json(text))  # fmt: skip


def test_tables_agree_where_they_count_the_same(tables: dict[str, pd.DataFrame], official: Path4) -> None:
    itemizers = _classes(tables["1_2"], "tax_unit_count", ITEMIZES)
    of_deductions = _classes(tables["2_1"], "tax_unit_count", ITEMIZES)
    shared = set(itemizers) & set(of_deductions)
    assert len(shared) == 16
    assert all(abs(itemizers[text] - of_deductions[text]) <= 1 for text in shared)
    standard = _value(tables["1_2"], "standard_deduction", FROM_ONE, ("tax_unit_itemizes", "==", 0))
    parts = ("basic_standard_deduction", "additional_standard_deduction")
    added = sum(_value(tables["1_4"], part, FROM_ONE, ("tax_unit_itemizes", "==", 0)) for part in parts)
    assert added == pytest.approx(standard, rel=2e-4)  # table 1.2 has the disaster losses too
    # Returns and AGI stand in table 1.4 as well; nothing is read from the wrong row or column.
    rows = read_sheet(official("1_4", 2023)).rows
    returns, agi = (_classes(tables["1_1"], variable) for variable in ("tax_unit_count", AGI))
    for label, number, amount, *_ in rows[9:28]:
        text = constraints_to_json(_bounds(label))
        assert (returns.pop(text), agi.pop(text) / 1000) == pytest.approx((number, amount), abs=1)
    assert not returns and not agi


def _bounds(label: object) -> list[Constraint]:
    found = parse_class(label)
    assert found is not None
    low, high = found
    return [(AGI, operation, value) for operation, value in ((">=", low), ("<", high)) if value is not None]


def test_combined_classes_are_one_and_no_silent_zero(tables: dict[str, pd.DataFrame], official: Path4) -> None:
    rents = _classes(tables["1_4"], "tax_unit_count", ("farm_rent_income", "<", 0))
    highest = constraints_to_json([(AGI, ">=", 200_000)])
    assert rents[highest] == 8_475
    assert not any('">=",500000' in text for text in rents)
    # Filing statuses add up to all returns in every class only once combined classes are together.
    for year in (2021, 2022, 2023):
        assert len(soi_table_1_2.load(official("1_2", year), year)) > 380


def test_without_their_marks_combined_classes_do_not_add_up(official: Path4, tmp_path: Path) -> None:
    marked = copy_of(official("1_2", 2023), tmp_path / "23in12ms.xlsx")
    assert len(soi_table_1_2.load(marked)) == COUNTS["1_2"]
    bare = copy_of(official("1_2", 2023), tmp_path / "bare.xlsx", marks=False)
    with pytest.raises(SourceError, match="four filing statuses add up"):
        soi_table_1_2.load(bare)


@pytest.mark.parametrize("table", list(STEMS))
def test_another_year_or_table_is_refused(official: Path4, table: str) -> None:
    with pytest.raises(SourceError, match="of tax year 2023"):
        _load(table)(official(table, 2022))
    other = "1_4" if table != "1_4" else "1_1"
    with pytest.raises(SourceError, match=f"wanted Table {table.replace('_', '.')}"):
        _load(table)(official(other, 2023))


@pytest.mark.parametrize("year", [2020, 2021, 2022])
def test_older_tables_that_growth_is_measured_from(official: Path4, year: int) -> None:
    figures = soi_table_1_4.load(official("1_4", year), year)
    wages = {2020: 8_416_496, 2021: 9_022_353, 2022: 9_738_951}[year]
    assert round(_value(figures, "irs_employment_income") / 1e6) == wages
    assert _value(figures, "tax_unit_partnership_s_corp_income") > 7e11
    assert ("partnership_income" in set(figures["variable"])) == (year > 2020)
    assert _value(soi_table_2_5.load(official("2_5", year), year), "eitc") > 59e9
    assert len(soi_table_1_1.load(official("1_1", year), year)) == 119


def _swapped(cells: Cells) -> None:
    """Taxable income's columns change places with those of the minimum tax, headings and all."""
    for row in cells[2:40]:
        row[141:145] = [*row[143:145], *row[141:143]]


def _as_text(cells: Cells) -> None:
    for row in cells[8:28]:
        row[5:7] = [f"{cell:,.0f}" for cell in row[5:7] if isinstance(cell, float)]


@pytest.mark.parametrize("edit", [_swapped, _as_text], ids=["columns moved with their headings", "separators"])
def test_what_does_not_matter(official: Path4, tables: dict[str, pd.DataFrame], tmp_path: Path, edit: Edit) -> None:
    # Marks stay where they are, so only unmarked columns may be compared.
    figures = soi_table_1_4.load(copy_of(official("1_4", 2023), tmp_path / "23in14ar.xlsx", edit))
    for variable in ("irs_employment_income", "taxable_income", "taxable_interest_income"):
        assert _value(figures, variable) == _value(tables["1_4"], variable)
    assert _classes(figures, "irs_employment_income") == _classes(tables["1_4"], "irs_employment_income")


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("1_1", rename("Taxable returns", "Returns"), "no column with the heading 'Taxable returns"),
        ("1_1", write(12, 1, "**"), r"class 5,000 to 10,000, column .* suppressed or blank"),
        ("1_1", without_row(12), r"class 3 reads '\$10,000 under \$15,000'; wanted AGI 5,000 to 10,000"),
        ("1_2", twice(12), r"class 5 reads '\$10,000 under \$15,000'"),
        ("1_2", write(15, 37, 1.0), "heads of households / Number of returns': the classes of AGI add up to"),
        ("1_4", rename("Total wages", "Wages"), "no column with the heading 'Total wages / Total / Amount'"),
        ("1_4", write(20, 20, ""), r"class 100,000 to 200,000, column 'Taxable interest / Amount': the cell is"),
        ("1_4", write(20, 19, -5.0), "'Taxable interest / Number of returns': -5.* is out of range"),
        ("1_4", write(8, 20, 1.0), "'Taxable interest / Amount': the classes of AGI add up to"),
        ("1_4", rename("Ordinary dividends", "Taxable interest"), "two columns have the heading 'Taxable interest"),
        ("1_4", without_row(7), "no row of column numbers"),
        ("1_4", rename("All returns, total", "Taxable returns"), "no row 'All returns, total'"),
        ("2_1", rename("Limited state and local taxes", "Taxes"), "no column with the heading .*Limited state"),
        ("2_1", rename("Under $5,000", "$5,000 under $6,000"), "class 1 reads"),
        ("2_1", write(18, 93, "d"), "Limited state and local taxes / Amount': the cell is suppressed"),
        ("2_5", write(8, 1, 1.0), "All returns with earned income credit / Number of returns': the classes"),
        ("2_5", rename("$50,000 and over", "$60,000 and over"), "class 28 reads"),
        ("4_3", write(10, 0, "0.02 percent"), "0.02 percent"),
        ("4_3", write(10, 2, 78617933.0), "floors .* do not fall"),
        ("4_3", write(12, 1, 1.0), "1 percent has 1 of"),
        ("4_3", write(12, 5, 1.0), "'Total wages / Amount' does not rise"),
        ("4_3", rename("Total wages", "Wages"), "no column with the heading 'Total wages / Amount'"),
        ("4_3", write(10, 2, "N/A"), "AGI floor: the cell is suppressed"),
    ],
)  # fmt: skip
def test_altered_tables_are_refused(official: Path4, tmp_path: Path, table: str, edit: Edit, message: str) -> None:
    altered = copy_of(official(table, 2023), tmp_path / "altered.xlsx", edit)
    with pytest.raises(SourceError, match=message) as caught:
        _load(table)(altered)
    assert "altered.xlsx" in str(caught.value)


def _zeroed(cells: Cells) -> None:
    for row in cells[8:28]:
        row[23:25] = [0.0, 0.0]


def _one_child_more(cells: Cells) -> None:
    """Two classes that still add up to the total, but not to all returns with the credit."""
    cells[12][33], cells[13][33] = float(str(cells[12][33])) + 500.0, float(str(cells[13][33])) - 500.0


@pytest.mark.parametrize(
    ("table", "edit", "message"),
    [
        ("1_4", _zeroed, "column 'Ordinary dividends / Amount' is zero for all returns"),
        ("2_5", _one_child_more, r"'Number of returns', AGI 2,000 to 3,000: returns by number of children"),
    ],
)
def test_a_column_of_nothing_and_parts_that_do_not_add_up(
    official: Path4, tmp_path: Path, table: str, edit: Edit, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        _load(table)(copy_of(official(table, 2023), tmp_path / "altered.xlsx", edit))


def test_files_that_are_no_workbooks(official: Path4, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        soi_table_1_1.load(tmp_path / "23in11si.xls")
    page = tmp_path / "page.xls"
    page.write_text("<!DOCTYPE html><html><body>Not found</body></html>")
    with pytest.raises(SourceError, match=r"page\.xls: not a readable .xls workbook"):
        soi_table_1_1.load(page)
    cut = tmp_path / "cut.xls"
    cut.write_bytes(official("2_1", 2023).read_bytes()[:9000])
    with pytest.raises(SourceError, match=r"cut\.xls: not a readable"):
        soi_table_2_1.load(cut)
    other = tmp_path / "page.xlsx"
    other.write_bytes(page.read_bytes())
    with pytest.raises(SourceError, match=r"page\.xlsx: not a readable .xlsx workbook"):
        soi_table_1_1.load(other)


def test_the_same_numbers_as_another_reading_of_the_tables(shared_data: Path, tables: dict[str, pd.DataFrame]) -> None:
    """An independent compilation of table 1.4, cell by cell; it takes combined classes for what their cells show."""
    theirs = pd.read_csv(shared_data / "official" / "soi_targets.csv")
    theirs = theirs[(theirs["Year"] == 2023) & (theirs["SOI table"] == "Table 1.4") & ~theirs["Taxable only"]]
    names = {
        "employment_income": ("irs_employment_income", ()),
        "taxable_interest_income": ("taxable_interest_income", ()),
        "qualified_dividends": ("qualified_dividend_income", ()),
        "business_net_profits": ("total_self_employment_income", (("total_self_employment_income", ">", 0.0),)),
        "rent_and_royalty_net_income": ("rental_income", (("rental_income", ">", 0.0),)),
        "taxable_social_security": ("taxable_social_security", ()),
        "unemployment_compensation": ("unemployment_compensation", ()),
    }
    compared = 0
    for name, (variable, domain) in names.items():
        rows = theirs[(theirs["Variable"] == name) & ~theirs["Count"] & ~theirs["Full population"]]
        ours = _classes(tables["1_4"], variable, *domain)
        by_lower = {min((value for _, op, value in constraints_from_json(text) if op == ">="), default=float("-inf")):
                    value for text, value in ours.items()}  # fmt: skip
        assert len(rows) == 19
        for lower, value in rows[["AGI lower bound", "Value"]].itertuples(index=False):
            assert by_lower[lower] == value, (name, lower)
            compared += 1
    assert compared == 133
