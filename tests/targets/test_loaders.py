"""Loaders on the real official files, and on altered copies of them that they must refuse."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.targets.loaders import (
    aca_marketplace,
    acs_age,
    acs_snap,
    cbo,
    cms_medicaid,
    jct,
    soi_national,
    soi_states,
    ssa,
    stc,
    tanf,
    usda_snap,
)
from tessera.targets.loaders.common import number
from tessera.targets.snapshot import FILES


@pytest.fixture(scope="session")
def official(shared_data: Path) -> dict[str, Path]:
    return {name: shared_data / "official" / relative for name, relative in FILES.items()}


def _census(path: Path, rows: list[list[object]]) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def _edited_csv(source: Path, target: Path, edit: object) -> Path:
    frame = pd.read_csv(source, dtype=str, keep_default_na=False)
    frame = edit(frame)  # type: ignore[operator]
    frame.to_csv(target, index=False)
    return target


def test_ages_are_consistent_at_three_levels(official: dict[str, Path]) -> None:
    nation = acs_age.load(official["age_national"], "national")
    states = acs_age.load(official["age_state"], "state")
    districts = acs_age.load(official["age_district"], "district")
    assert (len(nation), len(states), len(districts)) == (18, 51 * 18, 436 * 18)
    assert nation["value"].sum() == 340_110_990
    by_bin = nation.set_index("constraints")["value"]
    for level in (states, districts):
        assert (level.groupby("constraints")["value"].sum().loc[by_bin.index] == by_bin).all()
    assert json.loads(nation["constraints"].iloc[-1]) == [["age", ">=", 85]]
    assert {"AK-01", "DC-01", "CA-52"} <= set(districts["geo_id"])
    assert not districts["geo_id"].str.startswith("PR").any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row[1:] for row in rows], "GEO_ID"),
        (lambda rows: rows[:-2] + rows[-1:], "is missing"),
        (lambda rows: [*rows, rows[1]], "is there twice"),
        (lambda rows: [rows[0], rows[1][:-1], *rows[2:]], "row 1 has"),
        (lambda rows: _with(rows, "GEO_ID", "5001800US0101"), "119th"),
        (lambda rows: _with(rows, "S0101_C01_003E", "-888888888"), "suppressed"),
        (lambda rows: _with(rows, "S0101_C01_003E", None), "suppressed"),
        (lambda rows: _with(rows, "S0101_C01_003E", "1"), "add up to"),
    ],
)
def test_altered_age_tables_are_refused(
    official: dict[str, Path], tmp_path: Path, change: object, message: str
) -> None:
    rows = json.loads(official["age_district"].read_text(encoding="utf-8"))
    keep = [rows[0].index(name) for name in ("GEO_ID", acs_age.TOTAL, *map(acs_age.bin_column, range(18)), "state",
                                            "congressional district")]  # fmt: skip
    small = [[row[position] for position in keep] for row in rows]
    path = _census(tmp_path / "S0101.json", change(small))  # type: ignore[operator]
    with pytest.raises(SourceError, match=message):
        acs_age.load(path, "district")


def _with(rows: list[list[object]], column: str, value: object) -> list[list[object]]:
    changed = list(rows[1])
    changed[rows[0].index(column)] = value
    return [rows[0], changed, *rows[2:]]


def test_html_instead_of_json_and_a_missing_file_are_named(tmp_path: Path) -> None:
    page = tmp_path / "answer.json"
    page.write_text("<html>invalid key</html>", encoding="utf-8")
    with pytest.raises(SourceError, match=r"answer\.json: not JSON"):
        acs_age.load(page, "state")
    with pytest.raises(SourceError, match="no such file"):
        acs_age.load(tmp_path / "absent.json", "state")


def test_households_with_snap_by_district(official: dict[str, Path], tmp_path: Path) -> None:
    figures = acs_snap.load(official["snap_district"])
    assert len(figures) == 2 * 436
    recipients = figures[figures["constraints"] != "[]"].set_index("geo_id")["value"]
    assert recipients["AL-01"] == 34_742
    rows = json.loads(official["snap_district"].read_text(encoding="utf-8"))
    with pytest.raises(SourceError, match="households with SNAP"):
        acs_snap.load(_census(tmp_path / "S2201.json", _with(rows, acs_snap.WITH_SNAP, "900000")))


def test_usda_snap_by_state(official: dict[str, Path]) -> None:
    figures = usda_snap.load(official["snap_state"])
    assert len(figures) == 102
    connecticut = figures[figures["geo_id"] == "CT"].set_index("variable")["value"]
    assert connecticut["snap"] == 892_819_650
    assert connecticut["household_count"] == pytest.approx(229_620.25)


@pytest.mark.parametrize(
    ("cell", "value", "message"),
    [
        ("A2", "Fiscal Year 2023", "fiscal year 2024"),
        ("D6", "Households", "are not Household, Persons, Cost"),
        ("B9", "--", "month is suppressed"),
        ("D9", 1, "the total reads"),
        ("A8", "Atlantis", "CT is missing"),
    ],
)
def test_altered_snap_workbooks_are_refused(
    official: dict[str, Path], tmp_path: Path, cell: str, value: object, message: str
) -> None:
    with zipfile.ZipFile(official["snap_state"]) as archive:
        (tmp_path / "FY24.xlsx").write_bytes(archive.read("FY24.xlsx"))
    book = openpyxl.load_workbook(tmp_path / "FY24.xlsx")
    book["NERO"][cell] = value
    book.save(tmp_path / "FY24.xlsx")
    altered = tmp_path / "snap.zip"
    with zipfile.ZipFile(altered, "w") as archive:
        archive.write(tmp_path / "FY24.xlsx", "FY24.xlsx")
    with pytest.raises(SourceError, match=message):
        usda_snap.load(altered)


def test_missing_zip_member_truncated_zip_and_workbook(official: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no member 'FY31\.xlsx'"):
        usda_snap.load(official["snap_state"], 2031)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(official["snap_state"].read_bytes()[:50_000])
    with pytest.raises(SourceError, match="not a whole zip"):
        usda_snap.load(cut)
    with zipfile.ZipFile(tmp_path / "odd.zip", "w") as archive:
        archive.writestr("FY24.xlsx", b"not a workbook")
    with pytest.raises(SourceError, match="workbook"):
        usda_snap.load(tmp_path / "odd.zip")


def test_medicaid_repairs_a_zero_month_with_the_latest_number(official: dict[str, Path], tmp_path: Path) -> None:
    figures = cms_medicaid.load(official["medicaid"]).set_index("geo_id")["value"]
    assert len(figures) == 51
    # December 2024 of Rhode Island is published as zero; November reads 273,400.
    assert figures["RI"] == 273_400
    assert figures["AK"] == 232_106

    def without_rhode_island(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["State Abbreviation"] == "RI", "Total Medicaid Enrollment"] = "0"
        return frame

    with pytest.raises(SourceError, match="RI: no enrolment above zero"):
        cms_medicaid.load(_edited_csv(official["medicaid"], tmp_path / "a.csv", without_rhode_island))
    with pytest.raises(SourceError, match="no final report of 203012"):
        cms_medicaid.load(official["medicaid"], 2030)


def test_marketplace_consumers_and_credits_by_state(official: dict[str, Path], shared_data: Path) -> None:
    figures = aca_marketplace.load(official["marketplace"])
    consumers = figures[figures["variable"] == "person_count"].set_index("geo_id")["value"]
    credit = figures[figures["variable"] == "aca_ptc"].set_index("geo_id")["value"]
    assert len(figures) == 102
    assert len(consumers) == len(credit) == 51
    # As published: Alaska (HealthCare.gov) 23,436 at $865 a month, New York (its own exchange) 205,574 at $455.
    assert (consumers["AK"], credit["AK"]) == (23_436, 243_265_680)
    assert (consumers["NY"], credit["NY"]) == (205_574, 1_122_434_040)
    assert consumers.sum() == 19_743_689
    assert credit.sum() / consumers.sum() / 12 == pytest.approx(536, abs=0.5)
    assert set(figures["constraints"]) == {
        '[["person_receives_aca","==",1]]',
        '[["aca_ptc",">",0],["person_receives_aca","==",1]]',
    }
    later = shared_data / "official/cms_aca/oep_state_level_2025/2025-oep-state-level-public-use-file.zip"
    of_2025 = aca_marketplace.load(later, 2025)
    assert of_2025[of_2025["variable"] == "person_count"]["value"].sum() == 22_380_137
    with pytest.raises(SourceError, match="no member '2024 OEP State-Level"):
        aca_marketplace.load(later)


@pytest.mark.parametrize(
    ("state", "column", "cell", "message"),
    [
        ("OH", "APTC_Cnsmr", "NR", r"2024 OEP .*state OH, column APTC_Cnsmr: the cell is suppressed .*'NR'"),
        ("ID", "APTC_Cnsmr_Avg_APTC", "+", "state ID, column APTC_Cnsmr_Avg_APTC: the cell is suppressed"),
        ("OH", "APTC_Cnsmr", "many", "state OH, column APTC_Cnsmr: 'many' is not a number"),
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
    with zipfile.ZipFile(official["marketplace"]) as archive:
        (tmp_path / name).write_bytes(archive.read(name))

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["State_Abrvtn"] == state, column] = cell
        return frame if state else frame.drop(columns=column)

    altered = tmp_path / "altered.zip"
    with zipfile.ZipFile(altered, "w") as archive:
        archive.write(_edited_csv(tmp_path / name, tmp_path / "edited.csv", change), name)
    with pytest.raises(SourceError, match=message):
        aca_marketplace.load(altered)


def test_soi_states(official: dict[str, Path], tmp_path: Path) -> None:
    figures = soi_states.load(official["soi_state"])
    assert len(figures) == 51 * 37
    assert figures[figures["variable"] == "eitc"].set_index("geo_id")["value"]["AL"] == 1_262_145_000
    assert set(figures["year"]) == {2022}
    source = official["soi_state"]

    def altered(edit: object) -> Path:
        return _edited_csv(source, tmp_path / "22in55cmcsv.csv", edit)

    with pytest.raises(SourceError, match="A59660"):
        soi_states.load(altered(lambda frame: frame.drop(columns="A59660")))
    with pytest.raises(SourceError, match="is there twice"):
        soi_states.load(altered(lambda frame: pd.concat([frame, frame[frame["STATE"] == "OH"]])))
    with pytest.raises(SourceError, match="suppressed"):
        soi_states.load(altered(lambda frame: frame.assign(A00300="**")))
    with pytest.raises(SourceError, match="add up to"):
        soi_states.load(altered(lambda frame: frame.assign(N1=frame["N1"].where(frame["AGI_STUB"] != "0", "7"))))
    with pytest.raises(SourceError, match="starts with 21in55"):
        soi_states.load(source, 2021)


def test_tables_1_4_and_2_5_know_their_year_and_headings(official: dict[str, Path]) -> None:
    table = soi_national.read_table_1_4(official["table_1_4_after"], 2023)
    assert sum(table.returns) == pytest.approx(160_602_107, abs=20)
    assert len(table.returns) == len(soi_states.BANDS)
    with pytest.raises(SourceError, match="tax year 2023"):
        soi_national.read_table_1_4(official["table_1_4_before"], 2023)
    with pytest.raises(SourceError, match=r"wanted Table 1\.4"):
        soi_national.read_table_1_4(official["table_2_5_after"], 2023)
    assert soi_national.read_eitc(official["table_2_5_after"], 2023) == (24_439_936, 66_270_000)


def test_social_security_parts_add_up(official: dict[str, Path], tmp_path: Path) -> None:
    values = ssa.load_benefits(official["benefits"]).set_index("variable")["value"]
    assert values.drop(["social_security", "ssi"]).sum() == values["social_security"] == 1_471_195_000_000

    def other_total(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(value=frame["value"].replace("51075000000", "51000000"))

    with pytest.raises(SourceError, match="add up to"):
        ssa.load_benefits(_edited_csv(official["benefits"], tmp_path / "a.csv", other_total))
    with pytest.raises(SourceError, match="wanted 2025"):
        ssa.load_benefits(official["benefits"], 2025)
    ssi = ssa.load_ssi(official["ssi"])
    assert ssi[(ssi["geo_id"] == "CA") & (ssi["variable"] == "ssi")]["value"].item() == 12_927_048_000


def test_national_sources(official: dict[str, Path]) -> None:
    assert cbo.load_receipts(official["receipts"])["value"].item() == 2_426_067_000_000
    assert set(cbo.load_income(official["income"])["variable"]) == set(cbo.INCOME.values())
    with pytest.raises(SourceError, match="year_2050"):
        cbo.load_income(official["income"], 2050)
    expenditures = jct.load(official["tax_expenditures"])
    assert set(expenditures["reform"]) == set(jct.REFORMS)
    assert (expenditures["variable"] == "income_tax").all()


def test_tanf_and_state_tax(official: dict[str, Path], tmp_path: Path) -> None:
    families = tanf.load_caseload(official["tanf_caseload"])
    assert len(families) == 51
    assert tanf.load_financial(official["tanf_financial"])["value"].sum() == pytest.approx(7_788_317_474.55)
    with pytest.raises(SourceError, match="Average FY 2023"):
        tanf.load_caseload(official["tanf_caseload"], 2023)
    taxes = stc.load(official["state_tax"])
    assert "TX" not in set(taxes["geo_id"])
    assert taxes.set_index("geo_id")["value"]["CA"] == 123_101_651_000
    renamed = tmp_path / "FY2023-Flat-File.txt"
    shutil.copyfile(official["state_tax"], renamed)
    with pytest.raises(SourceError, match="FY2024"):
        stc.load(renamed)


@pytest.mark.parametrize(("cell", "value"), [("1,234", 1234), ("$5", 5), ("(12)", -12), (" 7.5 ", 7.5)])
def test_published_numbers(cell: str, value: float) -> None:
    assert number(cell, Path("table"), "row 1") == value


@pytest.mark.parametrize("cell", ["**", "", None, "-888888888", "twelve", "inf"])
def test_what_is_no_number_is_refused(cell: str | None) -> None:
    with pytest.raises(SourceError, match="row 1"):
        number(cell, Path("table"), "row 1")
