"""Official block files that are absent, damaged, of another release or against each other: each fault is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import state_by_usps
from tessera.geography.blocks import Blocks
from tessera.geography.official_blocks import official_blocks
from tessera.geography.official_files import block_files
from tessera.geography.sources import read_blocks
from tessera.sources.marks import write_mark
from tessera.store import sha256_of
from tests.geography import official_writer as writer

FILES = writer.unpinned()
ALABAMA = FILES.population["AL"].path
ASSIGNED = FILES.assignment["AL"].path
PLACES = "BlockAssign_ST01_AL_INCPLACE_CDP.txt"
VOTING = "BlockAssign_ST01_AL_VTD.txt"
Edit = Callable[[Path, pd.DataFrame], object]


@pytest.fixture(scope="module")
def country() -> pd.DataFrame:
    return writer.small_country()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, country: pd.DataFrame) -> Path:
    raw = tmp_path_factory.mktemp("raw")
    writer.write_files(raw, country)
    return raw


@pytest.fixture
def raw(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path / "raw")
    return tmp_path / "raw"


def read(raw: Path) -> Blocks:
    return official_blocks(raw, FILES)


def replaced(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), encoding="utf-8")


def equivalency(edit: Callable[[str], str]) -> Edit:
    path = FILES.equivalency.path
    return lambda raw, _: writer.edit_zip(raw / path, "NationalCD119.txt", edit, encoding="utf-8")


def of_alabama(path: str, member: str, edit: Callable[[str], str]) -> Edit:
    return lambda raw, _: writer.edit_zip(raw / path, member, edit)


def without_line(number: int) -> Callable[[str], str]:
    return lambda text: "".join(text.splitlines(keepends=True)[:number] + text.splitlines(keepends=True)[number + 1 :])


def line_again(number: int) -> Callable[[str], str]:
    return lambda text: text + text.splitlines(keepends=True)[number]


def test_absent_files_are_all_listed_with_their_urls(raw: Path) -> None:
    (raw / ALABAMA).unlink()
    (raw / FILES.zctas.path).unlink()
    with pytest.raises(SourceError) as caught:
        read(raw)
    message = str(caught.value)
    assert "2 of 106 official block files are absent" in message
    assert f"{raw / ALABAMA}  <-  https://www2.census.gov" in message
    assert "Alabama/al2020.pl.zip" in message
    assert "zcta520/tab20_zcta520_tabblock20_natl.txt" in message
    assert "BlockAssign" not in message


def test_an_empty_folder_lists_all_files(tmp_path: Path) -> None:
    districts = pd.DataFrame({"district": [101], "population": [1]})
    with pytest.raises(SourceError, match=r"106 of 106(.*\n)+.*District_of_Columbia/dc2020\.pl\.zip"):
        read_blocks("official", districts, 4, 1, raw=tmp_path)
    with pytest.raises(SourceError, match=r"no folder of source files.*Pass raw="):
        read_blocks("official", districts, 4, 1)


def test_the_pinned_hash_is_compared(raw: Path) -> None:
    with pytest.raises(SourceError, match=r"cd119\.zip: has sha256 [0-9a-f]{64}; wanted 1433feb5178d.*/cd119\.zip"):
        official_blocks(raw, block_files())


def test_synthetic_files_are_no_official_ones(raw: Path) -> None:
    path = raw / ALABAMA
    write_mark(path, sha256=sha256_of(path), writer="tests", seed=1, settings={})
    with pytest.raises(SourceError, match=r"al2020\.pl\.zip: is synthetic; wanted the official file"):
        read(raw)


FAULTS: dict[str, tuple[Edit, str]] = {
    "zip cut short": (
        lambda raw, _: (raw / ALABAMA).write_bytes((raw / ALABAMA).read_bytes()[:-80]),
        r"al2020\.pl\.zip.*truncated or damaged",
    ),
    "member missing": (
        lambda raw, _: writer.write_zip(raw / ALABAMA, {"algeo2020.pl": ""}),
        r"algeo2020\.pl\): has no record of summary level 040 for Alabama",
    ),
    "zip of another state": (
        lambda raw, _: shutil.copy(raw / FILES.population["AK"].path, raw / ALABAMA),
        r"has no member algeo2020\.pl; it holds akgeo2020\.pl",
    ),
    "records of another state": (
        of_alabama(ALABAMA, "algeo2020.pl", lambda text: text.replace("PLST|AL|", "PLST|AK|")),
        r"algeo2020\.pl\): holds records of 'AK'; wanted AL",
    ),
    "header file cut at a line": (
        of_alabama(ALABAMA, "algeo2020.pl", without_line(3)),
        r"its blocks count [\d,]+ people, its state record [\d,]+.*truncated",
    ),
    "header file cut within a line": (
        of_alabama(ALABAMA, "algeo2020.pl", lambda text: text[:-200]),
        r"algeo2020\.pl\): line \d+ has \d+ field\(s\); wanted 97",
    ),
    "table P1 of another release": (
        of_alabama(ALABAMA, "al000012020.pl", lambda text: text.replace("|0000001|", "|0000001|1", 1)),
        r"record 0000001 of table P1 counts [\d,]+ people, its state record [\d,]+",
    ),
    "table P1 without the state": (
        of_alabama(ALABAMA, "al000012020.pl", without_line(0)),
        r"al000012020\.pl\): has no record 0000001",
    ),
    "block twice in the header file": (
        lambda raw, country: writer.write_population(
            raw / ALABAMA,
            state_by_usps("AL"),
            pd.concat([country[country["county_fips"].str[:2] == "01"], country.iloc[[0]]]),
        ),
        r"al2020\.pl\.zip.*block 010030101001000 occurs twice",
    ),
    "population no number": (
        of_alabama(ALABAMA, "algeo2020.pl", lambda text: text.replace("|40|", "|4O|", 1)),
        r"field POP100 holds '4O' at or after line 1; wanted a number of people",
    ),
    "wrong header of the equivalency file": (
        equivalency(lambda text: text.replace("GEOID, CDFP", "GEOID20,CD118FP")),
        r"NationalCD119\.txt\): its header lacks GEOID, CDFP.*found 'GEOID20,CD118FP'",
    ),
    "equivalency file of another Congress": (
        equivalency(lambda text: text.replace("010030101001000,01", "010030101001000,08")),
        r"block 010030101001000 lies in district 08 of state 01, which the 119th Congress does not have",
    ),
    "district that is no number": (
        equivalency(lambda text: text.replace("010030101001000,01", "010030101001000,X1")),
        r"block 010030101001000 has district 'X1'; wanted two digits or ZZ",
    ),
    "block code that is none": (
        equivalency(lambda text: text.replace("010030101001000,", "01003010100100,")),
        r"field GEOID holds '01003010100100' at or after line 2; wanted 15 digits",
    ),
    "byte that is not ASCII": (
        equivalency(lambda text: text.replace("010030101001000,01", "010030101001000,Ñ")),
        r"line 2, field CDFP holds '\\xc3\\x91'; wanted at most 2 ASCII characters",
    ),
    "populated block absent from the equivalency file": (
        equivalency(without_line(1)),
        r"block 010030101001000 with 40 residents is absent from the file; 1 populated block\(s\) with 40 people",
    ),
    "populated block in no district": (
        equivalency(lambda text: text.replace("010030101001000,01", "010030101001000,ZZ")),
        r"block 010030101001000 with 40 residents lies in no district \(ZZ\)",
    ),
    "block of a district without population figures": (
        equivalency(lambda text: text + "010030101009999,01\r\n"),
        r"block 010030101009999 \(1 such\) is in no redistricting file",
    ),
    "block twice in the equivalency file": (
        equivalency(line_again(1)),
        r"cd119\.zip: block 010030101001000 occurs twice",
    ),
    "wrong header of an assignment file": (
        of_alabama(ASSIGNED, PLACES, lambda text: text.replace("PLACEFP", "COUSUBFP")),
        r"INCPLACE_CDP\.txt\): its header lacks PLACEFP; wanted BLOCKID\|PLACEFP",
    ),
    "assignment file cut at a line": (
        of_alabama(ASSIGNED, VOTING, without_line(1)),
        r"its vtd file lacks 1 populated block\(s\), block 010030101001000 first; wanted every block of Alabama",
    ),
    "code that is too long": (
        of_alabama(ASSIGNED, VOTING, lambda text: text.replace("|003|000001", "|003|0000001")),
        r"VTD\.txt\): line 2, field code holds '0000001'; wanted at most 6",
    ),
    "block twice in an assignment file": (
        of_alabama(ASSIGNED, PLACES, line_again(2)),
        r"BlockAssign_ST01_AL\.zip \(place\): block 010030101001001 occurs twice",
    ),
    "tract without a PUMA": (
        lambda raw, _: replaced(raw / FILES.tract_pumas.path, "01,003,010100,00030\n", ""),
        r"Tract_to_2020_PUMA\.txt: 2 populated block\(s\) lie in a tract without a PUMA, block 010030101001000 first",
    ),
    "tract twice": (
        lambda raw, _: replaced(
            raw / FILES.tract_pumas.path, "01,003,010100,00030\n", "01,003,010100,00030\n01,003,010100,00040\n"
        ),
        r"tract 01003010100 occurs twice",
    ),
    "wrong header of the ZCTA file": (
        lambda raw, _: replaced(raw / FILES.zctas.path, "GEOID_ZCTA5_20", "GEOID_ZCTA5_10"),
        r"its header lacks GEOID_ZCTA5_20",
    ),
    "ZCTA file cut short": (
        lambda raw, _: (raw / FILES.zctas.path).write_text(
            "".join((raw / FILES.zctas.path).read_text(encoding="utf-8").splitlines(keepends=True)[:900]),
            encoding="utf-8",
        ),
        r"natl\.txt: no block of \w+ has a ZCTA",
    ),
    "delineation list without its headings": (
        lambda raw, country: writer.write_assignment(raw / FILES.cbsas.path, state_by_usps("AL"), country),
        r"list1_2020\.xls: not a readable",
    ),
    "delineation list of no county": (
        lambda raw, country: writer.write_delineation(raw / FILES.cbsas.path, country.iloc[:0]),
        r"list1_2020\.xls: lists no county",
    ),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_is_named(raw: Path, country: pd.DataFrame, fault: str) -> None:
    edit, message = FAULTS[fault]
    edit(raw, country)
    with pytest.raises(SourceError, match=message):
        read(raw)


def test_a_district_without_residents_is_named(country: pd.DataFrame, tmp_path: Path) -> None:
    emptied = country.assign(people=country["people"].where(country["district"] != 612, 0))
    writer.write_files(tmp_path, emptied)
    with pytest.raises(GeographyError, match="official blocks: no populated block in district CA-12"):
        read(tmp_path)


def test_a_county_that_the_engine_does_not_know_is_refused(country: pd.DataFrame, tmp_path: Path) -> None:
    moved = country.copy()
    for column in ("block", "tract", "county_fips"):
        moved[column] = moved[column].str.replace("^09001", "09190", regex=True)
    people = moved.loc[moved["county_fips"] == "09190", "people"].sum()
    assert people > 0
    writer.write_files(tmp_path, moved)
    with pytest.raises(GeographyError, match=rf"counties 09190 \({people:,} people\) are not among.*planning regions"):
        read(tmp_path)


def test_unpopulated_water_in_no_district_is_no_fault(country: pd.DataFrame, tmp_path: Path) -> None:
    writer.write_files(tmp_path, writer.water(country))
    counts = read(tmp_path).counts
    assert counts is not None and counts.without_district == 1
