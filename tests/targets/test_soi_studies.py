"""Retirement arrangements, Form W-2 and the filing season: official files and altered copies of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import Constraint, constraints_from_json, constraints_to_json
from tessera.targets.loaders import soi_filing_season, soi_ira, soi_w2
from tessera.targets.loaders.soi_items import AGI, FILER
from tests.targets.altered_soi import Cells, Edit, copy_of, rename, twice, without_row, write

FILES = {
    "traditional": "ira_contributions/22in05ira.xlsx",
    "roth": "ira_contributions/22in06ira.xlsx",
    "w2": "w2_statistics/20in04w2all.xlsx",
    "season": "filing_season_week47_2024/25inweek47.xlsx",
}
LOADERS = {
    "traditional": soi_ira.load_traditional,
    "roth": soi_ira.load_roth,
    "w2": soi_w2.load,
    "season": soi_filing_season.load,
}
COUNTS = {"traditional": (24, 2022), "roth": (28, 2022), "w2": (54, 2020), "season": (1288, 2024)}


@pytest.fixture(scope="session")
def studies(shared_data: Path) -> dict[str, Path]:
    return {name: shared_data / "official" / "irs_soi" / relative for name, relative in FILES.items()}


@pytest.fixture(scope="session")
def tables(studies: dict[str, Path]) -> dict[str, pd.DataFrame]:
    return {name: load(studies[name]) for name, load in LOADERS.items()}


def _value(figures: pd.DataFrame, variable: str, *constraints: Constraint) -> float:
    """The one figure of filers with these constraints."""
    same = figures["constraints"] == constraints_to_json((FILER, *constraints))
    return float(figures[same & (figures["variable"] == variable)]["value"].item())


def test_every_file_gives_its_figures_once_with_known_variables(tables: dict[str, pd.DataFrame]) -> None:
    variables = VariableCatalogue.packaged()
    for name, figures in tables.items():
        assert (len(figures), *set(figures["year"])) == COUNTS[name]
        assert not figures.duplicated(["variable", "constraints"]).any()
        assert figures["value"].ne(0).all()
        assert figures["url"].str.endswith(Path(FILES[name]).name).all()
        used = {row[0] for text in figures["constraints"] for row in constraints_from_json(text)}
        for variable in used | set(figures["variable"]):
            assert variable in variables, variable


def test_contributions_by_age(tables: dict[str, pd.DataFrame]) -> None:
    roth, traditional = tables["roth"], tables["traditional"]
    young: tuple[Constraint, ...] = (("age", ">=", 20), ("age", "<", 25))
    contributes: Constraint = ("roth_ira_contributions", ">", 0)
    assert _value(roth, "roth_ira_contributions") == 34_951_077_000
    assert _value(roth, "person_count", contributes, *young) == 908_625
    assert _value(roth, "roth_ira_contributions", ("age", ">=", 70)) == 1_011_494_000
    assert _value(traditional, "traditional_ira_contributions") == 23_034_199_000
    # The two youngest ages are one number in the publication; who has no known age is in the total alone.
    assert _value(traditional, "traditional_ira_contributions", ("age", "<", 20)) == 23_351_000
    by_age = traditional[(traditional["variable"] == "person_count") & traditional["constraints"].str.contains("age")]
    assert by_age["value"].sum() == pytest.approx(5_101_648 - 4_128, abs=len(by_age))


def test_wages_and_deferrals_of_joint_and_other_returns(tables: dict[str, pd.DataFrame]) -> None:
    figures = tables["w2"]
    assert _value(figures, "irs_employment_income") == 7_930_348_735_000
    assert _value(figures, "person_count", ("irs_employment_income", ">", 0)) == 146_152_914
    assert _value(figures, "traditional_401k_contributions") == 277_859_181_000
    assert _value(figures, "roth_401k_contributions", ("tax_unit_is_joint", "==", 1)) == 20_531_010_000
    # Deferrals are what separates Medicare wages from taxable ones, but for what else each box leaves out.
    deferred = sum(_value(figures, f"traditional_{plan}_contributions") for plan in ("401k", "403b"))
    gap = _value(figures, "payroll_tax_gross_wages") - _value(figures, "irs_employment_income")
    assert deferred < gap < 2 * deferred


def test_the_filing_season_is_of_the_model_year(tables: dict[str, pd.DataFrame]) -> None:
    figures = tables["season"]
    assert _value(figures, "tax_unit_count") == 156_221_133
    assert _value(figures, AGI) == 15_880_389_499_000
    assert _value(figures, AGI, (AGI, "<", 1)) == -120_197_225_000
    assert _value(figures, "tax_unit_count", ("total_self_employment_income", "!=", 0)) == 29_714_394
    assert _value(figures, "ctc_value") == 80_775_519_000 + 33_487_334_000
    assert _value(figures, "income_tax_before_refundable_credits") == (
        2_229_263_637_000 + 48_689_857_000 - 8_812_506_000
    )
    classes = [text for text in figures[figures["variable"] == "tax_unit_count"]["constraints"] if "filer" in text]
    assert constraints_to_json((FILER, (AGI, ">=", 200_000), (AGI, "<", 250_000))) in classes
    # Nobody with an AGI of 50,000 dollars or more had the credit: no figure, and no zero.
    credit = figures[figures["variable"] == "eitc"]["constraints"]
    assert not credit.str.contains('">=",75000').any()


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("roth", rename("Tax Year 2022", "Tax Year 2021"), "wanted Table 6 of tax year 2022"),
        ("roth", rename("15 under 20", "15 under 18"), "wanted .*'15 under 20'"),
        ("roth", without_row(12), "The table has changed"),
        ("roth", write(12, 1, "d"), "25 under 30, column 2: the cell is suppressed"),
        ("roth", write(12, 2, -1), "out of range"),
        ("roth", write(12, 2, "4,255"), "column 3: ages add up to"),
        ("traditional", rename("Number of taxpayers", "Number of plans"), "wanted .*'Number of taxpayers'"),
        ("w2", rename("Tax Year 2020", "Tax Year 2019"), "wanted Table 4.B of tax year 2020"),
        ("w2", rename("Box 7: Social security tips", "Box 7"), "no row 'Box 7: Social security tips'"),
        ("w2", twice(21), "'D. 401.k. elective deferrals' is there twice"),
        ("w2", write(21, 5, "d"), "D. 401.k. elective deferrals, .*Number of taxpayers': the cell is suppressed"),
        ("w2", write(21, 6, 5), "joint and other returns add up to"),
        ("w2", rename("All taxpayers", "Taxpayers"), "no column with the heading 'All taxpayers"),
        ("season", rename("Cycle 47", "Cycle 30"), "wanted the table through Cycle 47"),
        ("season", rename("Tax Year 2024", "Tax Year 2023"), "wanted Table 1 of tax year 2024"),
        ("season", rename("Total returns", "Returns"), "column 2 is not 'Total returns'"),
        ("season", write(3, 5, "$10,000 under $20,000"), "class 4 reads"),
        ("season", rename("Ordinary dividends", "Dividends"), "no column with the heading 'Ordinary dividends"),
        ("season", write(16, 4, ""), "5,000 to 10,000, column 'Total wages / Amount': the cell is suppressed"),
        ("season", write(16, 1, 5), "'Total wages / Amount': the classes of AGI add up to"),
        ("season", twice(15), "'Total wages / Number of returns' is there twice"),
        ("season", without_row(17), "row 18 reads 'Amount' and no item is above it"),
    ],
)  # fmt: skip
def test_altered_files_are_refused(
    studies: dict[str, Path], tmp_path: Path, name: str, edit: Edit, message: str
) -> None:
    altered = copy_of(studies[name], tmp_path / "altered.xlsx", edit)
    with pytest.raises(SourceError, match=message) as caught:
        LOADERS[name](altered)
    assert "altered.xlsx" in str(caught.value)


def test_an_amount_without_an_item_and_a_missing_sheet(studies: dict[str, Path], tmp_path: Path) -> None:
    def without_items(cells: Cells) -> None:
        del cells[10:16]

    with pytest.raises(SourceError, match="no item is above it"):
        soi_filing_season.load(copy_of(studies["season"], tmp_path / "season.xlsx", without_items))
    with pytest.raises(SourceError, match=r"no sheet 'Table 4\.B'; it has Sheet1"):
        soi_w2.load(studies["roth"])


def test_without_marks_the_youngest_ages_are_apart(studies: dict[str, Path], tmp_path: Path) -> None:
    bare = soi_ira.load_traditional(copy_of(studies["traditional"], tmp_path / "ira.xlsx", marks=False))
    assert _value(bare, "person_count", ("traditional_ira_contributions", ">", 0), ("age", ">=", 15), ("age", "<", 20))
    kept = soi_ira.load_traditional(copy_of(studies["traditional"], tmp_path / "ira.xlsx"))
    assert _value(kept, "person_count", ("traditional_ira_contributions", ">", 0), ("age", "<", 20)) == 10_409
