"""Loaders of benefits (SNAP, Social Security, SSI, TANF) on the official files, and on copies they must refuse."""

from __future__ import annotations

import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources.workbook import read_xlsx
from tessera.targets.loaders import ssa, ssi, tanf, usda_snap
from tests.targets.altered import Edit, cell, edited, page, renamed, twice, without

PATHS = {
    "snap": "usda_snap/fy69_to_current/snap-zip-fy69tocurrent-6.zip",
    "benefits": "ssa/annual_statistical_supplement_2025/ssa_oasdi_ssi_2024.csv",
    "ssi": "ssa/ssi_table_7b1_2024/ssi_table_7b1_2024.csv",
    "ssi_monthly": "ssa/ssi_monthly_statistics_2024_12/ssi_monthly_2024_12_table01.html",
    "ssi_monthly_csv": "ssa/ssi_monthly_statistics_2024_12/ssi_monthly_2024_12_table01.csv",
    "tanf_caseload": "hhs_acf/tanf_caseload_2024/tanf_caseload_2024.xlsx",
    "tanf_financial": "hhs_acf/tanf_financial_2024/fy-2024-tanf-moe-financial-data.xlsx",
}


@pytest.fixture(scope="session")
def files(shared_data: Path) -> dict[str, Path]:
    return {name: shared_data / "official" / relative for name, relative in PATHS.items()}


# USDA SNAP


def test_usda_snap_by_state_adds_up_to_the_published_nation(files: dict[str, Path]) -> None:
    figures = usda_snap.load(files["snap"])
    assert len(figures) == 102
    connecticut = figures[figures["geo_id"] == "CT"].set_index("variable")["value"]
    assert connecticut["snap"] == 892_819_650
    assert connecticut["household_count"] == pytest.approx(229_620.25)
    sums = figures.groupby("variable")["value"].sum()
    # The agency's own total of fiscal 2024, and its Guam and Virgin Islands.
    assert sums["snap"] == pytest.approx(93_847_365_890 - 119_035_771 - 70_457_505, abs=100)
    assert sums["household_count"] == pytest.approx(22_200_091.5833 - 12_194.1667 - 10_806.1667, abs=1)


@pytest.mark.parametrize(
    ("sheet", "place", "value", "message"),
    [
        ("NERO", "A2", "Fiscal Year 2023", "fiscal year 2024"),
        ("NERO", "D6", "Households", "are not Household, Persons, Cost"),
        ("NERO", "B9", "--", "month is suppressed"),
        ("NERO", "B9", None, "month is suppressed"),
        ("NERO", "B9", -5, "out of range"),
        ("NERO", "A10", "Oct 2023", "the month is there twice"),
        ("NERO", "A10", "Oct 23", "11 months above the total"),
        ("NERO", "D9", 1, "the total reads"),
        ("NERO", "A8", "Atlantis", "Connecticut is missing"),
        ("NERO", "A8", "Maine", "Maine is there twice"),
        ("US Summary", "A2", "Fiscal Year 2023", "US Summary, row 2"),
        ("US Summary", "A8", "NERO", "0 blocks of months"),
    ],
)
def test_altered_snap_workbooks_are_refused(
    files: dict[str, Path], tmp_path: Path, sheet: str, place: str, value: object, message: str
) -> None:
    book = _snap_book(files["snap"], tmp_path)
    book[sheet][place] = value
    with pytest.raises(SourceError, match=message):
        usda_snap.load(_snap_zip(book, tmp_path))


def test_snap_states_that_are_not_the_nation_are_refused(files: dict[str, Path], tmp_path: Path) -> None:
    book = _snap_book(files["snap"], tmp_path)
    for row in ("D9", "D21"):  # October and the total of Connecticut, changed alike
        book["NERO"][row] = book["NERO"][row].value + 1_000_000
    with pytest.raises(SourceError, match="states and territories add up to"):
        usda_snap.load(_snap_zip(book, tmp_path))
    del book["SERO"]
    with pytest.raises(SourceError, match="no sheet 'SERO'"):
        usda_snap.load(_snap_zip(book, tmp_path))


def _snap_book(source: Path, folder: Path) -> openpyxl.Workbook:
    with zipfile.ZipFile(source) as archive:
        (folder / "FY24.xlsx").write_bytes(archive.read("FY24.xlsx"))
    return openpyxl.load_workbook(folder / "FY24.xlsx")


def _snap_zip(book: openpyxl.Workbook, folder: Path) -> Path:
    book.save(folder / "FY24.xlsx")
    with zipfile.ZipFile(folder / "snap.zip", "w") as archive:
        archive.write(folder / "FY24.xlsx", "FY24.xlsx")
    return folder / "snap.zip"


def test_missing_zip_member_truncated_zip_and_workbook(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no member 'FY31\.xlsx'"):
        usda_snap.load(files["snap"], 2031)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(files["snap"].read_bytes()[:50_000])
    with pytest.raises(SourceError, match="not a whole zip"):
        usda_snap.load(cut)
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("FY24.xlsx", b"not a workbook")
    with pytest.raises(SourceError, match="workbook"):
        usda_snap.load(tmp_path / "odd.zip")


# Social Security and SSI


def test_social_security_parts_add_up(files: dict[str, Path]) -> None:
    figures = ssa.load_benefits(files["benefits"])
    values = figures.set_index("variable")["value"]
    assert set(values.index) == set(ssa.BENEFITS.values())
    assert values.drop("social_security").sum() == values["social_security"] == 1_471_195_000_000
    assert set(figures["year"]) == {2024}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (cell("value", "variable", "social_security_dependents_benefits", "51000000000"), "add up to"),
        (cell("value", "variable", "ssi_payments", "**"), "suppressed"),
        (cell("value", "variable", "ssi_payments", "-5"), "out of range"),
        (cell("period", "variable", "ssi_payments", "2023"), "'2023'; wanted 2024"),
        (cell("unit", "variable", "ssi_payments", "thousands"), "wanted dollars"),
        (twice("variable", "ssi_payments"), "is there twice"),
        (without("variable", "ssi_payments"), "is missing"),
        (renamed("value"), "column 'value' is missing"),
    ],
)
def test_altered_benefits_are_refused(files: dict[str, Path], tmp_path: Path, edit: Edit, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        ssa.load_benefits(edited(files["benefits"], tmp_path / "a.csv", edit))


def test_ssi_is_the_federal_payment_by_age(files: dict[str, Path]) -> None:
    figures = ssi.load(files["ssi_monthly"], files["benefits"])
    counts = figures[figures["variable"] == "person_count"].set_index("constraints")["value"]
    copied = pd.read_csv(files["ssi_monthly_csv"]).set_index("age")["recipient_count"]
    assert counts['[["ssi",">",0]]'] == copied["All ages"] == 7_289_843
    assert counts['[["age","<",18],["ssi",">",0]]'] == copied["Aged 0-17"]
    assert counts['[["age","<",65],["age",">=",18],["ssi",">",0]]'] == copied["Aged 18-64"]
    assert counts['[["age",">=",65],["ssi",">",0]]'] == copied["Aged 65 and over"]
    assert len(counts) == 4
    federal = figures[figures["variable"] == "ssi"]["value"].item()
    assert federal == 63_079_493_000 - 12 * 294_430_000
    # SSA's average monthly federal payment of December is 670.65 dollars without retroactive payments.
    assert federal / 12 / counts['[["ssi",">",0]]'] == pytest.approx(670.65, rel=0.02)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("December&nbsp;2024", "December&nbsp;2023", "wanted table 1 of SSI Monthly Statistics, December 2024"),
        ("by type of payment, eligibility category, and age,", "by state,", "wanted table 1"),
        ("Under 18", "Under 22", "the headings are"),
        (
            'id="r7" headers="r1 r6 c1">Federal payment',
            'id="r7" headers="r1 r6 c1">Payment',
            "no line 'Federal payment'",
        ),
        ("State supplementation only", "Federal payment only", "'Federal payment only' is there twice"),
        ("7,289,843", "(X)", "suppressed"),
        ("7,289,843", "7,289,000", "add up to 7289843"),
        ("1,001,922", "1,101,922", "add up to"),
        ("134,013", "-134,013", "out of range"),
        ("5,233,633", "5,233,600", "Federal payments, State supplementation add up to 5528030"),
        ("Number&nbsp;of&nbsp;awards", "Awards", "the line 'Total' is there twice"),
        ("<table", "<div", "has no table"),
    ],
)
def test_altered_ssi_pages_are_refused(
    files: dict[str, Path], tmp_path: Path, old: str, new: str, message: str
) -> None:
    changed = page(files["ssi_monthly"], tmp_path / "table01.html", old, new)
    with pytest.raises(SourceError, match=message):
        ssi.load(changed, files["benefits"])


def test_the_copy_of_table_7_b1_is_refused_and_a_consistent_one_is_read(files: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="payment_thousands: the states add up to 63915823, all areas are 63079493"):
        ssi.load_states(files["ssi"])

    def consistent(frame: pd.DataFrame) -> pd.DataFrame:
        """All areas as the sum of the states."""
        of_states = frame[frame["geography_level"] == "state"].copy()
        for column in ("recipient_count", "payment_thousands"):
            sums = of_states[column].astype(int).groupby(of_states["ssi_category"]).sum()
            nation = frame["geography_level"] == "country"
            frame.loc[nation, column] = frame.loc[nation, "ssi_category"].map(sums).astype(int).astype(str)
        return frame

    good = edited(files["ssi"], tmp_path / "good.csv", consistent)
    figures = ssi.load_states(good).set_index("geo_id")["value"]
    assert len(figures) == 51
    assert figures["AL"] == 954_623_000
    assert figures["CA"] == (12_927_048 - 12 * 280_698) * 1000
    for edit, message in (
        (without("geography_name", "Ohio"), "OH aged is missing"),
        (twice("geography_name", "Ohio"), "is there twice"),
        (cell("geography_name", "geography_name", "Ohio", "Guam"), "no state is called 'Guam'"),
        (cell("payment_thousands", "geography_name", "Ohio", "(X)"), "(X)"),
        (cell("payment_thousands", "geography_name", "Ohio", "7"), "OH, payment_thousands: categories add up to 21"),
        (renamed("recipient_count"), "column 'recipient_count' is missing"),
    ):
        with pytest.raises(SourceError) as refusal:
            ssi.load_states(edited(good, tmp_path / "altered.csv", edit))
        assert message in str(refusal.value)


# TANF


@pytest.fixture(scope="session")
def family_rows(files: dict[str, Path]) -> list[list[object]]:
    return [list(row) for row in read_xlsx(files["tanf_caseload"], files["tanf_caseload"])["TFam"]]


def test_tanf_families_and_assistance(files: dict[str, Path], family_rows: list[list[object]], tmp_path: Path) -> None:
    families = tanf.load_caseload(_caseload(family_rows, tmp_path))
    assert len(families) == 51
    territories = 179.9166666 + 2390.0833333 + 53.9166666
    assert families["value"].sum() == pytest.approx(841_208.6666666 - territories, abs=0.01)
    assistance = tanf.load_financial(files["tanf_financial"])
    assert assistance["value"].sum() == pytest.approx(7_788_317_474.55)
    with pytest.raises(SourceError, match="wanted 'Average FY 2023'"):
        tanf.load_caseload(_caseload(family_rows, tmp_path), 2023)
    with pytest.raises(SourceError, match="FY 2023"):
        tanf.load_financial(files["tanf_financial"], 2023)


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (5, 0, "Alaska", "Alaska is there twice"),
        (5, 0, "Atlantis", "Alabama is missing"),
        (5, -1, "-", "is not a number"),
        (5, -1, "**", "suppressed"),
        (5, -1, -4, "out of range"),
        (5, -1, 9000, "add up to"),
        (3, -1, "Average CY 2024", "wanted 'Average FY 2024'"),
        (4, 0, "Total", "U.S. Totals"),
    ],
)
def test_altered_caseloads_are_refused(
    family_rows: list[list[object]], tmp_path: Path, row: int, column: int, value: object, message: str
) -> None:
    rows = [list(cells) for cells in family_rows]
    rows[row][column] = value
    with pytest.raises(SourceError, match=message):
        tanf.load_caseload(_caseload(rows, tmp_path))


def test_a_caseload_workbook_with_a_moved_table_is_refused(family_rows: list[list[object]], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="wanted 'Average FY 2024'"):
        tanf.load_caseload(_caseload([[], *family_rows], tmp_path))
    with pytest.raises(SourceError, match="no sheet 'TFam'"):
        tanf.load_caseload(_caseload(family_rows, tmp_path, "Families"))


def _caseload(rows: list[list[object]], folder: Path, name: str = "TFam") -> Path:
    book = openpyxl.Workbook()
    book.active.title = name
    for row in rows:
        book.active.append(row)
    book.save(folder / "caseload.xlsx")
    return folder / "caseload.xlsx"


def test_financial_sheets_are_checked(files: dict[str, Path], tmp_path: Path) -> None:
    # Title, headings and the line of basic assistance of each sheet: what the loader looks at.
    sheets = {
        name: [*rows[:2], *(row for row in rows[2:] if str(row[0]).startswith("Basic Assistance (excluding"))]
        for name, rows in read_xlsx(files["tanf_financial"], files["tanf_financial"]).items()
        if rows
    }

    def altered(changes: dict[tuple[str, int, int], object], drop: str = "") -> Path:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name in sheets.keys() - {drop}:
            target = book.create_sheet(name)
            for position, cells in enumerate(sheets[name]):
                target.append([changes.get((name, position, column), value) for column, value in enumerate(cells)])
        book.save(tmp_path / "financial.xlsx")
        return tmp_path / "financial.xlsx"

    assert tanf.load_financial(altered({}))["value"].sum() == pytest.approx(7_788_317_474.55)
    cases: list[tuple[dict[tuple[str, int, int], object], str, str]] = [
        ({}, "Ohio", "no sheet 'Ohio'"),
        ({("Ohio", 2, 3): 5}, "", "the states add up to"),
        ({("Ohio", 2, 3): None}, "", "suppressed or blank"),
        ({("Ohio", 2, 3): -5}, "", "out of range"),
        ({("Ohio", 2, 0): "Basic"}, "", "0 lines of basic assistance"),
        ({("Ohio", 1, 3): "Federal Funds"}, "", "'All Funds' in column 4"),
        ({("Ohio", 0, 0): "Ohio FY 2023"}, "", "wanted FY 2024"),
    ]
    for changes, drop, message in cases:
        with pytest.raises(SourceError, match=message):
            tanf.load_financial(altered(changes, drop))
