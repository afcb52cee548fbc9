"""Loaders of marketplace coverage and credits (CMS, KFF) on the real files, on altered copies, and their growth."""

from __future__ import annotations

import io
import json
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets import marketplace_growth
from tessera.targets.loaders import (
    aca_effectuated,
    aca_marketplace,
    kff_marketplace,
)
from tessera.targets.official import paths
from tests.targets.altered_health import RECEIVES, member, values, with_cell, zipped

_RECIPIENT = '[["aca_ptc",">",0],["person_receives_aca","==",1]]'


@pytest.fixture(scope="session")
def official(shared_data: Path) -> dict[str, Path]:
    return paths(shared_data / "official")


# Marketplace: plan selections


def test_marketplace_consumers_and_credits_by_state(official: dict[str, Path]) -> None:
    figures = aca_marketplace.load(official["marketplace"])
    consumers = values(figures, "person_count", _RECIPIENT)
    credit = values(figures, "aca_ptc", RECEIVES)
    assert len(consumers) == len(credit) == 51
    # As published: Alaska (HealthCare.gov) 23,436 at $865 a month, New York (its own exchange) 205,574 at $455.
    assert (consumers["AK"], credit["AK"]) == (23_436, 243_265_680)
    assert (consumers["NY"], credit["NY"]) == (205_574, 1_122_434_040)
    assert consumers.sum() == 19_743_689
    assert credit.sum() / consumers.sum() / 12 == pytest.approx(536, abs=0.5)


def test_other_plan_years_are_sources_of_their_own(official: dict[str, Path]) -> None:
    later = aca_marketplace.load(official["marketplace_2025"], 2025)
    assert values(later, "person_count", _RECIPIENT).sum() == 22_380_137
    assert set(later["source"]) == {"cms_marketplace_2025"}
    earlier = aca_marketplace.load(official["marketplace_2022"], 2022)
    assert values(earlier, "person_count", _RECIPIENT).sum() == 12_959_981
    # Nevada reported no average for 2022: no dollars, and never zero dollars.
    assert set(values(earlier, "person_count", _RECIPIENT).index) - set(values(earlier, "aca_ptc", RECEIVES).index) == {
        "NV"
    }
    with pytest.raises(SourceError, match="no member '2024 OEP State-Level"):
        aca_marketplace.load(official["marketplace_2025"])


@pytest.mark.parametrize(
    ("state", "column", "cell", "message"),
    [
        ("OH", "APTC_Cnsmr", "NR", r"2024 OEP .*state OH, column APTC_Cnsmr: the cell is suppressed .*'NR'"),
        ("NV", "APTC_Cnsmr_Avg_APTC", "NR", "state NV, column APTC_Cnsmr_Avg_APTC: the cell is suppressed"),
        ("ID", "APTC_Cnsmr_Avg_APTC", "+", "state ID, column APTC_Cnsmr_Avg_APTC: the cell is suppressed"),
        ("OH", "APTC_Cnsmr", "many", "state OH, column APTC_Cnsmr: 'many' is not a number"),
        ("OH", "APTC_Cnsmr", "-1,000", "state OH, column APTC_Cnsmr: '-1,000' is out of range"),
        ("OH", "APTC_Cnsmr_Avg_APTC", "$0 ", "out of range"),
        ("OH", "Cnsmr", "12", "is above Cnsmr 12"),
        ("OH", "APTC_Cnsmr", "1,000", "states add up to"),
        ("FL", "APTC_Cnsmr_Avg_APTC", "$6,800 ", "states add up to"),
        ("OH", "State_Abrvtn", "PR", "state OH is missing"),
        ("OH", "State_Abrvtn", "TX", "state TX is there twice"),
        ("Total", "Pltfrm", "SBM", "0 rows with State_Abrvtn 'Total'"),
        ("", "APTC_Cnsmr", "", "column 'APTC_Cnsmr' is missing"),
    ],
)
def test_altered_marketplace_files_are_refused(
    official: dict[str, Path], tmp_path: Path, state: str, column: str, cell: str, message: str
) -> None:
    name = aca_marketplace.member()
    frame = pd.read_csv(io.BytesIO(member(official["marketplace"], name)), dtype=str, keep_default_na=False)
    frame.loc[frame["State_Abrvtn"] == state, column] = cell
    frame = frame if state else frame.drop(columns=column)
    altered = zipped(tmp_path / "altered.zip", {name: frame.to_csv(index=False).encode()})
    with pytest.raises(SourceError, match=message):
        aca_marketplace.load(altered)


# Marketplace: coverage that was paid for


@pytest.mark.parametrize(
    ("year", "with_aptc", "average", "wyoming"),
    [(2022, 12_153_240, 504.13, 31_634 * 804.37 * 12), (2023, 14_793_073, 519.56, 34_241 * 863.57 * 12)],
)
def test_effectuated_coverage_with_credits_by_state(
    official: dict[str, Path], year: int, with_aptc: float, average: float, wyoming: float
) -> None:
    figures = aca_effectuated.load(official["marketplace_effectuated"], year)
    persons, credit = values(figures, "person_count", _RECIPIENT), values(figures, "aca_ptc", RECEIVES)
    assert persons.sum() == with_aptc
    assert credit["WY"] == pytest.approx(wyoming)
    assert credit.sum() / persons.sum() / 12 == pytest.approx(average, abs=0.01)
    assert set(figures["year"]) == {year}


def test_kff_counts_what_cms_does(official: dict[str, Path]) -> None:
    figures = kff_marketplace.load(official["marketplace_kff"])
    assert len(figures) == 51
    assert figures["value"].sum() == 20_968_847
    assert figures.set_index("geo_id")["value"]["AL"] == 396_750
    # The two publications have the same enrolment for 2021 to 2023, state by state.
    for year in (2021, 2022, 2023):
        cms = {
            usps: row.enrolment for usps, row in aca_effectuated.read(official["marketplace_effectuated"], year).items()
        }
        assert kff_marketplace.read(official["marketplace_kff"], year) == cms


@pytest.fixture(scope="module")
def full_year(official: dict[str, Path]) -> bytes:
    """The sheet of 2023 alone, so that tests alter a small workbook."""
    book = openpyxl.load_workbook(official["marketplace_effectuated"])
    for name in book.sheetnames:
        if name != "Full Year 2023":
            del book[name]
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("A1", "Full Year 2022 Effectuated Enrollment", "row 1 reads 'Full Year 2022 Effectuated Enrollment'"),
        ("D2", "CSR Enrollment", "row 2, column 4 reads 'CSR Enrollment'; wanted 'APTC Enrollment'"),
        ("D7", "**", "state AL, column 'APTC Enrollment': the cell is suppressed"),
        ("D7", None, "state AL, column 'APTC Enrollment': the cell is suppressed"),
        ("D7", -251_516, "out of range"),
        ("D7", 999_999, "is above Total Enrollment 259036"),
        ("D7", 251_515, "states of All add up to"),
        ("I7", 9_671, "states of All add up to"),
        ("B7", "SBM", "states of HC.gov add up to"),
        ("A7", "AK", "state AK is there twice"),
        ("A7", "PR", "state AL is missing"),
        ("B4", "All", "total of platform All is there twice"),
    ],
)
def test_altered_effectuated_workbooks_are_refused(
    full_year: bytes, tmp_path: Path, cell: str, value: object, message: str
) -> None:
    path = tmp_path / "effectuated.xlsx"
    path.write_bytes(with_cell(full_year, "Full Year 2023", cell, value))
    with pytest.raises(SourceError, match=message):
        aca_effectuated.load(path, 2023)


def test_effectuated_workbook_of_another_year_or_no_workbook(
    official: dict[str, Path], full_year: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "effectuated.xlsx"
    path.write_bytes(full_year)
    with pytest.raises(SourceError, match="no sheet 'Full Year 2024'"):
        aca_effectuated.load(path, 2024)
    path.write_bytes(official["marketplace_kff"].read_bytes())
    with pytest.raises(SourceError, match="workbook"):
        aca_effectuated.load(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"gdocsObject":', '"other":', 'no "gdocsObject":'),
        ('"gdocsObject":[[', '"gdocsObject":[[,', "cannot be read"),
        ('["2024",[[', '["2026",[[', "no table of 2024; the page has Notes, 2026"),
        ("Total Effectuated Marketplace Enrollment", "Total Selections", r"headings are \[\['', 'Total Selections'\]"),
        ('["Alabama","396750"]', '["Alabama","N\\/A"]', "Alabama: the cell is suppressed"),
        ('["Alabama","396750"]', '["Alabama",""]', "Alabama: the cell is suppressed"),
        ('["Alabama","396750"]', '["Alabama","-396,750"]', "out of range"),
        ('["Alabama","396750"]', '["Alabama"]', "wanted a place and a number"),
        ('["Alabama","396750"]', '["Alabama","396751"]', "states add up to 20968848; United States reads 20968847"),
        ('["Alabama","396750"]', '["Guam","396750"]', "Alabama is missing"),
        ('["Alabama","396750"]', '["Alaska","396750"]', "Alaska is there twice"),
        ('["United States","20968847"]', '["Total","20968847"]', "United States is missing"),
    ],
)
def test_altered_kff_pages_are_refused(
    official: dict[str, Path], tmp_path: Path, old: str, new: str, message: str
) -> None:
    text = official["marketplace_kff"].read_text(encoding="utf-8")
    assert old in text
    page = tmp_path / "kff.html"
    page.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        kff_marketplace.load(page)


def test_kff_thousands_separators_are_understood(tmp_path: Path) -> None:
    rows = [["", "Total Effectuated Marketplace Enrollment"], ["", "Number"], ["United States", "51,000"]]
    rows += [[state.name, "1,000"] for state in states()]
    page = tmp_path / "kff.html"
    page.write_text(f'<script>{{"gdocsObject":{json.dumps([["2024", rows]])},"postBody":""}}</script>')
    assert set(kff_marketplace.load(page)["value"]) == {1000.0}
    with pytest.raises(SourceError, match="no such file"):
        kff_marketplace.load(tmp_path / "absent.html")


def test_growth_of_credits_agrees_with_an_independent_compilation(official: dict[str, Path], shared_data: Path) -> None:
    growth = marketplace_growth.measure(
        official["marketplace_kff"], official["marketplace_2022"], official["marketplace"], 2022
    )
    assert growth.persons["US"] == pytest.approx(20_968_847 / 13_477_029)
    compiled = pd.read_csv(shared_data / "official/aca_ptc_multipliers_2022_2024.csv").set_index("state")
    published = aca_marketplace.read(official["marketplace_2022"], 2022)
    same = 0
    for state in states():
        row = compiled.loc[state.name]
        assert growth.persons[state.usps] == pytest.approx(row["vol_mult"])
        # The compilation's averages of 2022 are the published ones down to Nebraska, and another table's below.
        if published[state.usps][1] == row["aptc_2022"]:
            same += 1
            assert growth.credit[state.usps] == pytest.approx(row["vol_mult"] * row["val_mult"])
    assert same == 29
    average = {place: growth.credit[place] / growth.persons[place] for place in ("US", "NV")}
    assert average["NV"] == pytest.approx(average["US"])
