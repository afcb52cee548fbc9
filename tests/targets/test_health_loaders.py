"""Loaders of health figures (CMS, KFF) on the real official files, and on altered copies that they must refuse."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import constraints_from_json
from tessera.targets.loaders import (
    aca_effectuated,
    aca_marketplace,
    cms_medicaid,
    kff_marketplace,
    nhe,
    nhe_tables,
)
from tessera.targets.official import paths
from tests.targets.altered_health import RECEIVES, member, values, with_cell, zipped

_ENROLLED = '[["medicaid_enrolled","==",1]]'


@pytest.fixture(scope="session")
def official(shared_data: Path) -> dict[str, Path]:
    return paths(shared_data / "official")


@pytest.fixture(scope="module")
def recent_medicaid(official: dict[str, Path]) -> pd.DataFrame:
    """The months of the Medicaid data set from July 2024 to March 2025, as text."""
    frame = pd.read_csv(official["medicaid"], dtype=str, keep_default_na=False)
    return frame[frame["Reporting Period"].between("202406", "202503")]


def test_every_health_figure_is_of_a_known_variable_once(official: dict[str, Path]) -> None:
    tables = [
        aca_marketplace.load(official["marketplace"]),
        aca_effectuated.load(official["marketplace_effectuated"]),
        kff_marketplace.load(official["marketplace_kff"]),
        cms_medicaid.load(official["medicaid"]),
        nhe.load(official["nhe_services"]),
        nhe_tables.load(official["nhe_tables"]),
    ]
    assert [len(table) for table in tables] == [102, 102, 51, 153, 4, 6]
    figures = pd.concat(tables, ignore_index=True)
    assert not figures.duplicated(["source", "geo_id", "variable", "constraints"]).any()
    assert figures.groupby("source")["year"].nunique().eq(1).all()
    assert (figures["value"] > 0).all()
    known = VariableCatalogue.packaged()
    used = set(figures["variable"]) | {
        name for text in set(figures["constraints"]) for name, _, _ in constraints_from_json(text)
    }
    assert [name for name in sorted(used) if name not in known] == []


# Medicaid and CHIP


def test_medicaid_repairs_a_zero_month_with_the_latest_number(official: dict[str, Path]) -> None:
    figures = cms_medicaid.load(official["medicaid"])
    enrolled = values(figures, "person_count", _ENROLLED)
    adults = values(figures, "person_count", '[["age",">=",19],["medicaid_enrolled","==",1]]')
    chip = values(figures, "person_count", '[["has_chip_health_coverage_at_interview","==",1]]')
    assert list(enrolled.index) == list(adults.index) == list(chip.index) == [state.usps for state in states()]
    # December 2024 of Rhode Island is published as zero in every column; these are of November.
    assert (enrolled["RI"], adults["RI"], chip["RI"]) == (273_400, 182_771, 32_761)
    assert (enrolled["AK"], adults["AK"], chip["AK"]) == (232_106, 149_249, 14_814)
    # The published December without Rhode Island.
    assert enrolled.drop("RI").sum() == 71_841_081
    assert chip.drop("RI").sum() == 7_305_874


def test_medicaid_of_a_year_without_adults_has_two_figures_a_state(official: dict[str, Path]) -> None:
    figures = cms_medicaid.load(official["medicaid"], 2022)
    assert len(figures) == 2 * 51
    assert not figures["constraints"].str.contains('"age"', regex=False).any()
    with pytest.raises(SourceError, match="no final report of 203012"):
        cms_medicaid.load(official["medicaid"], 2030)


_MEDICAID_COLUMN = "Total Medicaid Enrollment"
_CHIP_COLUMN = "Total CHIP Enrollment"


def _of(frame: pd.DataFrame, usps: str, month: str = "202412") -> pd.Series[bool]:
    found = (frame["State Abbreviation"] == usps) & (frame["Final Report"] == "Y")
    return found & (frame["Reporting Period"] == month if month else True)


@pytest.mark.parametrize(
    ("usps", "month", "column", "cell", "message"),
    [
        ("RI", "", _MEDICAID_COLUMN, "0", "RI: no enrolment above zero from 202406 to 202412"),
        ("RI", "", _CHIP_COLUMN, "", "RI: no enrolment above zero"),
        ("RI", "202411", _CHIP_COLUMN, "1", r"RI, 202411: .* add up to 273401; Total Medicaid and CHIP .* 306161"),
        ("OH", "202412", _MEDICAID_COLUMN, "many", r"OH, 202412: 'many' is not a number"),
        ("OH", "202412", _MEDICAID_COLUMN, "-5", r"OH, 202412: '-5' is out of range"),
        ("OH", "202412", "Total Adult Medicaid Enrollment", "7", "Child Enrollment and Total Adult .* add up to"),
        ("OH", "202412", "Medicaid and CHIP Child Enrollment", "", "OH, 202412, Medicaid and CHIP Child .* suppressed"),
        ("OH", "202412", "State Abbreviation", "TX", "state TX is there twice"),
        ("OH", "202411", "Reporting Period", "202410", "OH, month 202410 is there twice"),
        ("OH", "202412", "Final Report", "N", "state OH is missing"),
    ],
)
def test_altered_medicaid_files_are_refused(
    recent_medicaid: pd.DataFrame, tmp_path: Path, usps: str, month: str, column: str, cell: str, message: str
) -> None:
    frame = recent_medicaid.copy()
    frame.loc[_of(frame, usps, month), column] = cell
    path = tmp_path / "medicaid.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(SourceError, match=message):
        cms_medicaid.load(path)


def test_medicaid_blank_month_thousands_and_renamed_columns(recent_medicaid: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "medicaid.csv"
    frame = recent_medicaid.copy()
    november = frame.loc[_of(frame, "OH", "202411"), _MEDICAID_COLUMN].item()
    frame.loc[_of(frame, "OH"), _MEDICAID_COLUMN] = ""
    frame.loc[_of(frame, "AK"), _MEDICAID_COLUMN] = "232,106"
    frame.to_csv(path, index=False)
    enrolled = values(cms_medicaid.load(path), "person_count", _ENROLLED)
    assert (enrolled["OH"], enrolled["AK"]) == (float(november), 232_106)
    recent_medicaid.rename(columns={_CHIP_COLUMN: "CHIP"}).to_csv(path, index=False)
    with pytest.raises(SourceError, match=r"medicaid\.csv: column 'Total CHIP Enrollment' is missing"):
        cms_medicaid.load(path)


# National health expenditure


def test_national_health_expenditure(official: dict[str, Path]) -> None:
    amounts = nhe.load(official["nhe_services"]).set_index("variable")["value"]
    assert amounts.to_dict() == {
        # Medicaid 931,692 less administration, 15,892 by the states and 24,206 federal: millions.
        "medicaid": 891_594e6,
        "medicare_gross_cost": 1_118_000e6,
        "over_the_counter_health_expenses": 123_230e6,
        # Out of pocket 556,554 less 123,230 and 48,699 for nursing facilities.
        "other_medical_expenses": 384_625e6,
    }
    assert nhe.load(official["nhe_services"], 2023).set_index("variable")["value"]["medicare_gross_cost"] == 1_037_275e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("BY TYPE OF SERVICE", "BY AGE", 1),
            "row 1 reads 'NATIONAL HEALTH EXPENDITURES BY AGE",
        ),
        (lambda text: text.replace("(Millions)", "(Billions)", 1), "row 2 starts with"),
        (lambda text: text.replace(",2024", ",2025", 1), "has 0 columns 2024"),
        (lambda text: text.replace('"556,554"', "", 1), "Out of pocket: the cell is suppressed"),
        (lambda text: text.replace('"556,554"', '"565,554"', 1), "sources of funds add up to"),
        (lambda text: text.replace('"1,118,000"', '"1,181,000"', 1), "insurers add up to"),
        (lambda text: text.replace('"48,699"', '"84,699"', 1), "services add up to 592553 million"),
        (lambda text: text.replace('"48,699"', '"(48,699)"', 1), "out of range"),
        (
            lambda text: text.replace("\nPersonal Health Care", "\nPersonal Care", 1),
            "block Personal Health Care is missing",
        ),
        (lambda text: text.replace("\nResearch,", "\nPersonal Health Care,", 1), "Personal Health Care is there twice"),
        (lambda text: text.replace("Medicaid (Title XIX)", "Medicaid"), "no line 'Medicaid \\(Title XIX\\)'"),
        (lambda text: text.rpartition(",")[0], "has 65 cells, the header 66; the file is truncated"),
    ],
)
def test_altered_expenditure_files_are_refused(
    official: dict[str, Path], tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    text = member(official["nhe_services"], nhe.MEMBER).decode("cp1252")
    altered = change(text)
    assert altered != text
    path = zipped(tmp_path / "nhe.zip", {nhe.MEMBER: altered.encode("cp1252")})
    with pytest.raises(SourceError, match=message):
        nhe.load(path)


def test_expenditure_zip_without_itsmember(official: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no member 'NHE2024\.csv'"):
        nhe.load(official["nhe_tables"])
    cut = tmp_path / "cut.zip"
    cut.write_bytes(official["nhe_services"].read_bytes()[:20_000])
    with pytest.raises(SourceError, match="not a whole zip"):
        nhe.load(cut)


def test_health_insurance_tables(official: dict[str, Path]) -> None:
    figures = nhe_tables.load(official["nhe_tables"])
    assert values(figures, "health_insurance_premiums_without_medicare_part_b")["US"] == 468.4e9
    assert values(figures, "employer_sponsored_insurance_premiums")["US"] == 1047e9
    assert values(figures, "aca_ptc", RECEIVES)["US"] == 116.6e9
    assert values(figures, "person_count", '[["medicare_enrolled","==",1]]')["US"] == 66.6e6
    assert values(figures, "person_count", '[["has_esi","==",1]]')["US"] == 178.6e6
    marketplace = values(figures, "person_count", '[["has_marketplace_health_coverage_at_interview","==",1]]')["US"]
    # Two agencies' counts of one concept: the accounts' to a tenth of a million, and KFF's by state.
    assert marketplace == pytest.approx(kff_marketplace.load(official["marketplace_kff"])["value"].sum(), rel=0.01)
    earlier = nhe_tables.load(official["nhe_tables"], 2023)
    assert values(earlier, "person_count", '[["medicare_enrolled","==",1]]')["US"] == 65.2e6


@pytest.mark.parametrize(
    ("table", "cell", "value", "message"),
    [
        (nhe_tables.SPONSORS, "A1", "Table 5-5 Medicare", r"Table 05-6 .*row 1 reads 'Table 5-5"),
        (nhe_tables.SPONSORS, "AM2", 2025, "row 2 has 0 columns 2024"),
        (nhe_tables.SPONSORS, "B3", "Amount in Millions", "no 'Amount in Billions' in the first 6 rows"),
        (nhe_tables.SPONSORS, "A7", "Persons", "0 lines 'Households' among the levels"),
        (nhe_tables.SPONSORS, "A6", "Households", "2 lines 'Households' among the levels"),
        (nhe_tables.SPONSORS, "AM7", 648.4, "add up to 1824.6 in 2024; Private Health Insurance reads 1644.6"),
        (nhe_tables.SPONSORS, "AM12", None, "Marketplace Tax Credits and Subsidies, 2024: the cell is suppressed"),
        (nhe_tables.EMPLOYERS, "AM5", "--", "Employer Contribution .* the cell is suppressed"),
        (nhe_tables.EMPLOYERS, "AM5", -1047, "out of range"),
        (nhe_tables.EMPLOYERS, "AM5", 1074, "add up to 1456.1"),
        (nhe_tables.ENROLMENT, "B5", "Enrollees in Thousands", "no 'Enrollees in Millions' below a row Year"),
        (nhe_tables.ENROLMENT, "A43", 2023, "0 rows 2024 among the levels"),
        (nhe_tables.ENROLMENT, "H4", "Medicare Advantage", "0 lines 'Medicare' among the levels"),
        (nhe_tables.ENROLMENT, "E43", 12.1, "add up to 27.7"),
        (nhe_tables.ENROLMENT, "H43", "—", "'—' is not a number"),
    ],
)
def test_altered_insurance_tables_are_refused(
    official: dict[str, Path], tmp_path: Path, table: nhe_tables.Table, cell: str, value: object, message: str
) -> None:
    wanted = (nhe_tables.SPONSORS, nhe_tables.EMPLOYERS, nhe_tables.ENROLMENT)
    members = {one.member: member(official["nhe_tables"], one.member) for one in wanted}
    sheet = openpyxl.load_workbook(io.BytesIO(members[table.member]), read_only=True).sheetnames[0]
    members[table.member] = with_cell(members[table.member], sheet, cell, value)
    with pytest.raises(SourceError, match=message):
        nhe_tables.load(zipped(tmp_path / "tables.zip", members))


def test_insurance_tables_of_other_years_or_without_amember(official: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="columns 2030; wanted 1"):
        nhe_tables.load(official["nhe_tables"], 2030)
    with pytest.raises(SourceError, match="no member 'Table 05-6"):
        nhe_tables.load(official["nhe_services"])
    broken = zipped(tmp_path / "odd.zip", {nhe_tables.SPONSORS.member: b"not a workbook"})
    with pytest.raises(SourceError, match="workbook"):
        nhe_tables.load(broken)
