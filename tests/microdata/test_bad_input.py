"""What a user may get wrong in the files of the microdata stage: one case for each line of the list.

Wrong year's file, missing column, duplicate keys, orphans, spouse pointers that disagree, negative weights, a column of
zeros, missing values. Every message names the file, the line, the column, the value seen and the value wanted, and says
what to do next. Absent files and bad values between the stages are in `test_bad_input_stages`.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.cps import build_cps
from tessera.sources import cps_asec
from tessera.sources.reading import read_source

from . import damage
from .damage import (
    ACS_HOUSEHOLD,
    ACS_PERSON,
    ALL_ACS_HOUSEHOLDS,
    ALL_ACS_PERSONS,
    ASEC_FAMILY,
    ASEC_HOUSEHOLD,
    ASEC_PERSON,
    DEMOGRAPHICS,
    ORG,
    RETURNS,
    SCF,
    SIPP,
    Change,
    Part,
    cell,
    damaged,
    doubled,
    everywhere,
    without,
)

SEED = 1
NEXT_STEP = r"(Fetch|fetch|Check|Repair|Put|Get|Give|Delete|Choose)"


def _refused(part: Part, change: Change, files: Path, target: Path, match: str) -> str:
    path = damaged(part, change, files, target)
    with pytest.raises(SourceError, match=match) as caught:
        read_source(part.source, path)
    message = str(caught.value)
    assert Path(part.file).name in message, "the message names the file"
    assert re.search(NEXT_STEP, message), f"the message says what to do next: {message}"
    return message


# --- wrong year's file ------------------------------------------------------------------------------------------------


def test_asec_of_another_year_than_wanted(files: Path) -> None:
    path = files / "asecpub25csv.zip"
    for read in (lambda: cps_asec.read(path, 2024), lambda: read_source("cps_asec", path, 2024)):
        with pytest.raises(
            SourceError, match=r"asecpub25csv\.zip: is of survey year 2025; wanted survey year 2024\. Give"
        ):
            read()


@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        (ASEC_HOUSEHOLD, everywhere("H_YEAR", "2023"), "H_YEAR is 2023; wanted 2025, the year of the member's name"),
        (ACS_PERSON, lambda t: t.assign(SERIALNO=t["SERIALNO"].str.replace("2024", "2019")), "is the ACS of 2019"),
        (ORG, everywhere("HRYEAR4", "2019"), r"mar24pub\.csv: is of month and year .*2019.*its name says .*2024"),
        (RETURNS, everywhere("FLPDYR", "2011"), "2011"),
    ],
    ids=["asec", "acs", "org", "puf"],
)
def test_content_of_another_year_than_the_name_says(
    part: Part, change: Change, match: str, files: Path, tmp_path: Path
) -> None:
    _refused(part, change, files, tmp_path, match)


def test_sipp_of_another_year(files: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(files / "pu2023_csv.zip") as archive:
        damage.rewritten(tmp_path / "pu2011_csv.zip", {"pu2011.csv": archive.read("pu2023.csv")})
    with pytest.raises(SourceError, match=r"2011.*wanted"):
        read_source("sipp", tmp_path / "pu2011_csv.zip")


# --- missing column ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "column"),
    [
        (ASEC_PERSON, "WSAL_VAL"), (ASEC_PERSON, "PEPAR1"), (ASEC_HOUSEHOLD, "GESTFIPS"), (ASEC_FAMILY, "FSUP_WGT"),
        (RETURNS, "E00200"), (DEMOGRAPHICS, "GENDER"), (ACS_PERSON, "WAGP"), (ACS_HOUSEHOLD, "TEN"), (SIPP, "TAGE"),
        (SCF, "wageinc"), (ORG, "PEERNHRY"),
    ],
)  # fmt: skip
def test_missing_column(part: Part, column: str, files: Path, tmp_path: Path) -> None:
    _refused(part, without(column), files, tmp_path, rf"lacks the needed column\(s\) {column.upper()}")


def test_missing_member(files: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(files / "asecpub25csv.zip") as archive:
        held = {name: archive.read(name) for name in archive.namelist() if name != "ffpub25.csv"}
    damage.rewritten(tmp_path / "asecpub25csv.zip", held)
    with pytest.raises(SourceError, match=r"has no member ffpub25\.csv; it holds pppub25\.csv, hhpub25\.csv.*fetch it"):
        read_source("cps_asec", tmp_path / "asecpub25csv.zip")


# --- duplicate keys ---------------------------------------------------------------------------------------------------


def _second_outgoing(table: pd.DataFrame) -> pd.DataFrame:
    rotation = table[table["HRMIS"].isin(["4", "8"])]
    return pd.concat([table, rotation.iloc[[1]]], ignore_index=True)


@pytest.mark.parametrize(
    ("part", "change", "key"),
    [
        (ASEC_PERSON, doubled(), r"PH_SEQ \d+, P_SEQ \d+ occurs on lines 7, \d+"),
        (ASEC_HOUSEHOLD, doubled(), r"H_SEQ \d+ occurs on lines 7, \d+"),
        (ASEC_FAMILY, doubled(), r"FH_SEQ \d+, FFPOS \d+ occurs on lines 7, \d+"),
        (RETURNS, doubled(), r"RECID \d+ occurs on lines 7, \d+"),
        (DEMOGRAPHICS, doubled(), r"RECID \d+ occurs on lines 7, \d+"),
        (ACS_PERSON, doubled(), r"SERIALNO 2024HU\d+, SPORDER \d+ occurs on lines 7, \d+"),
        (ACS_HOUSEHOLD, doubled(), r"SERIALNO 2024HU\d+ occurs on lines 7, \d+"),
        (SIPP, doubled(), r"SSUID \d+, PNUM \d+, MONTHCODE \d+ occurs on lines 7, \d+"),
        (SCF, doubled(), r"Y1 \d+ occurs on lines 7, \d+"),
        (ORG, _second_outgoing, r"HRHHID \d+, HRHHID2 \d+, PULINENO \d+ occurs on lines \d+, \d+"),
    ],
    ids=["asec person", "asec household", "asec family", "returns", "demographics", "acs person", "acs household",
         "sipp", "scf", "org"],
)  # fmt: skip
def test_duplicate_keys(part: Part, change: Change, key: str, files: Path, tmp_path: Path) -> None:
    _refused(part, change, files, tmp_path, rf"{key}; wanted once")


# --- orphans ----------------------------------------------------------------------------------------------------------


def _first_interviewed(table: pd.DataFrame) -> str:
    return str(table.loc[table["H_HHTYPE"] == "1", "H_SEQ"].iloc[0])


@pytest.mark.parametrize(
    ("part", "change", "match"),
    [
        (
            ASEC_HOUSEHOLD,
            lambda table: table.assign(
                H_HHTYPE=table["H_HHTYPE"].where(table["H_SEQ"] != _first_interviewed(table), "2")
            ),
            r"line 2, person P_SEQ 1 of PH_SEQ \d+ has no interviewed household; \d+ such person\(s\), wanted none",
        ),
        (ASEC_FAMILY, lambda table: table.iloc[1:], r"no family FH_SEQ \d+, FFPOS 1, which person P_SEQ 1 belongs to"),
        (DEMOGRAPHICS, cell("RECID", "888888"), r"line 7, RECID 888888 is of no return; 1 such record"),
    ],
    ids=["asec person", "asec family", "demographics"],
)
def test_orphans(part: Part, change: Change, match: str, files: Path, tmp_path: Path) -> None:
    _refused(part, change, files, tmp_path, match)


def test_acs_person_without_household(files: Path, tmp_path: Path) -> None:
    path = damaged(ACS_HOUSEHOLD, lambda table: table.iloc[1:], files, tmp_path)
    with pytest.raises(
        SourceError, match=r"csv_pus\.zip: person SPORDER 1 of SERIALNO \S+ has no occupied unit in .*Fetch"
    ):
        read_source("acs_pums", path)


# --- pointers ---------------------------------------------------------------------------------------------------------


def _first_married(table: pd.DataFrame) -> int:
    return int(np.flatnonzero(table["A_SPOUSE"].astype(int) > 0)[0])


def _one_sided(table: pd.DataFrame) -> pd.DataFrame:
    row = _first_married(table)
    spouse, marital = table["A_SPOUSE"].copy(), table["A_MARITL"].copy()
    spouse.iloc[row], marital.iloc[row] = "0", "7"
    return table.assign(A_SPOUSE=spouse, A_MARITL=marital)


def _to_oneself(table: pd.DataFrame) -> pd.DataFrame:
    row, spouse = _first_married(table), table["A_SPOUSE"].copy()
    spouse.iloc[row] = table["A_LINENO"].iloc[row]
    return table.assign(A_SPOUSE=spouse)


def _in_a_circle(table: pd.DataFrame) -> pd.DataFrame:
    row, parents = int(np.flatnonzero(table["PEPAR1"].astype(int) > 0)[0]), table["PEPAR1"].copy()
    home = table["PH_SEQ"] == table["PH_SEQ"].iloc[row]
    parents[home & (table["A_LINENO"] == parents.iloc[row])] = table["A_LINENO"].iloc[row]
    return table.assign(PEPAR1=parents)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (_one_sided, r"line \d+ \(row \d+\) names line \d+ \(row \d+\) as spouse, whose A_SPOUSE is 0; wanted \d+"),
        (_to_oneself, r"A_SPOUSE is \d+, which is no other person's line of the household; wanted an A_LINENO of it"),
        (cell("PEPAR1", "15"), r"row 5 \(PH_SEQ \d+, line \d+\): PEPAR1 is 15, which is no other person's line"),
        (_in_a_circle, r"following PEPAR1 and PEPAR2 leads into a circle"),
    ],
    ids=["spouses disagree", "own spouse", "parent who is not there", "own ancestor"],
)
def test_pointers_that_disagree(change: Change, match: str, files: Path, tmp_path: Path) -> None:
    survey = read_source("cps_asec", damaged(ASEC_PERSON, change, files, tmp_path))
    with pytest.raises(SourceError, match=match):
        build_cps(survey, seed=SEED)


# --- weights ----------------------------------------------------------------------------------------------------------

WEIGHTS = [
    (ASEC_PERSON, "MARSUPWT"), (ASEC_PERSON, "A_FNLWGT"), (ASEC_HOUSEHOLD, "HSUP_WGT"), (ASEC_FAMILY, "FSUP_WGT"),
    (RETURNS, "S006"), (ACS_PERSON, "PWGTP"), (ACS_HOUSEHOLD, "WGTP"), (SIPP, "WPFINWGT"), (SCF, "wgt"),
    (ORG, "PWORWGT"),
]  # fmt: skip


@pytest.mark.parametrize(("part", "column"), WEIGHTS)
def test_negative_weight(part: Part, column: str, files: Path, tmp_path: Path) -> None:
    value = -700.0 if part is SCF else "-700"
    match = rf"line 7, (weight )?{column.upper()} is -\d+(\.\d+)?; wanted 0 or more"
    _refused(part, cell(column, value), files, tmp_path, match)


# --- columns of zeros -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "column"),
    [*WEIGHTS, (ASEC_PERSON, "WSAL_VAL"), (ASEC_PERSON, "SS_VAL"), (RETURNS, "E00200"), (ACS_PERSON, "WAGP"),
     (DEMOGRAPHICS, "GENDER"), (SIPP, "TAGE"), (SCF, "wageinc"), (ORG, "PTERNWA")],
)  # fmt: skip
def test_column_of_zeros(part: Part, column: str, files: Path, tmp_path: Path) -> None:
    """Somewhere between the file and the stage that uses it, a column that is 0 for everybody is refused by name."""
    whole = {ACS_PERSON: ALL_ACS_PERSONS, ACS_HOUSEHOLD: ALL_ACS_HOUSEHOLDS}.get(part, part)
    path = damaged(whole, everywhere(column, 0.0 if part is SCF else "0"), files, tmp_path)
    with pytest.raises(SourceError, match=column.upper()) as caught:
        read_source(part.source, path)
    assert "wanted" in str(caught.value)


# --- missing values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "column"),
    [(ASEC_PERSON, "WSAL_VAL"), (ASEC_PERSON, "A_AGE"), (ASEC_PERSON, "MARSUPWT"), (ASEC_HOUSEHOLD, "HSUP_WGT"),
     (ASEC_FAMILY, "FFPOS"), (RETURNS, "E01700"), (RETURNS, "S006"), (DEMOGRAPHICS, "GENDER"), (ACS_PERSON, "PWGTP"),
     (ACS_HOUSEHOLD, "NP"), (SIPP, "TAGE"), (SIPP, "WPFINWGT"), (SCF, "wageinc"), (SCF, "wgt"), (ORG, "PTERNWA"),
     (ORG, "PWORWGT")],
)  # fmt: skip
@pytest.mark.parametrize("text", ["", "nan", "n/a"])
def test_missing_value_in_a_file(part: Part, column: str, text: str, files: Path, tmp_path: Path) -> None:
    value = float("nan") if part is SCF else text
    match = rf"(line 7|row 5).*{column.upper()}.*(holds|is) .*wanted"
    _refused(part, cell(column, value), files, tmp_path, match)


# --- absent and broken files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [source for source in damage.PRIMARY if source != "cps_org"])
def test_file_that_is_not_there(source: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"{damage.PRIMARY[source]}: source file does not exist.*synthetic"):
        read_source(source, tmp_path / damage.PRIMARY[source])


@pytest.mark.parametrize("source", [source for source in damage.PRIMARY if source not in ("irs_puf", "cps_org")])
def test_archive_cut_short(source: str, files: Path, tmp_path: Path) -> None:
    path = damage.copied(source, files, tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=rf"{damage.PRIMARY[source]}.*(truncated or damaged|cannot be read)"):
        read_source(source, path)


def test_read_of_an_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No source is called 'census'; wanted one of cps_asec"):
        read_source("census", tmp_path)
