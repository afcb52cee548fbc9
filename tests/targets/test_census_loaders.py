"""Loaders of Census and CDC population files: on the real files, and on altered ones that they must refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import areas_of_kind
from tessera.targets.figures import COLUMNS
from tessera.targets.loaders import acs_age, acs_females, acs_snap, city_age

Rows = list[list[Any]]
TOTALS = {"[]", '[["is_female","==",0]]', '[["is_female","==",1]]'}
KEY = ["geo_id", "variable", "constraints"]


@pytest.fixture(scope="session")
def census(shared_data: Path) -> Path:
    return shared_data / "official" / "census"


def _age_path(census: Path, level: str) -> Path:
    return census / f"acs_s0101_{level}_2024" / f"acs_S0101_{level}_2024.json"


@pytest.fixture(scope="session")
def ages(census: Path) -> dict[str, pd.DataFrame]:
    return {level: acs_age.load(_age_path(census, level), level) for level in ("national", "state", "district")}


def _kept(path: Path, columns: list[str]) -> Rows:
    """The rows of an answer with a few of its columns."""
    rows: Rows = json.loads(path.read_text(encoding="utf-8"))
    positions = [rows[0].index(name) for name in columns]
    return [[row[position] for position in positions] for row in rows]


def _written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def _with(rows: Rows, column: str, value: object) -> Rows:
    changed = list(rows[1])
    changed[rows[0].index(column)] = value
    return [rows[0], changed, *rows[2:]]


def _renamed(rows: Rows, column: str) -> Rows:
    return [[name + "_new" if name == column else name for name in rows[0]], *rows[1:]]


def test_ages_and_sexes_are_consistent_at_three_levels(ages: dict[str, pd.DataFrame]) -> None:
    assert {level: len(table) for level, table in ages.items()} == {
        "national": 57, "state": 57 * 51, "district": 57 * 436,
    }  # fmt: skip
    nation = ages["national"].set_index("constraints")["value"]
    # United States, ACS 2024: persons, males, females, and females of 85 years and over.
    assert [nation[key] for key in sorted(TOTALS)] == [168_294_343, 171_816_647, 340_110_990]
    assert nation['[["age",">=",85],["is_female","==",1]]'] == 3_974_596
    for level in ("state", "district"):
        assert (ages[level].groupby("constraints")["value"].sum().loc[nation.index] == nation).all()
    assert not ages["district"].duplicated(KEY).any()


def test_districts_add_up_to_their_state_and_groups_to_their_place(ages: dict[str, pd.DataFrame]) -> None:
    districts = ages["district"].assign(geo_id=ages["district"]["geo_id"].str[:2])
    added = districts.groupby(["geo_id", "constraints"])["value"].sum()
    published = ages["state"].set_index(["geo_id", "constraints"])["value"]
    # The 2024 tables of states and districts come from one set of weights.
    assert (added.loc[published.index] - published).abs().max() == 0
    parts = ages["state"][ages["state"]["constraints"].str.contains("age")]
    both = parts[~parts["constraints"].str.contains("is_female")].groupby("geo_id")["value"].sum()
    sexes = parts[parts["constraints"].str.contains("is_female")].groupby("geo_id")["value"].sum()
    assert (both == sexes).all()
    whole = ages["state"][ages["state"]["constraints"] == "[]"].set_index("geo_id")["value"]
    assert (both == whole[both.index]).all()


def test_places_and_provenance_of_ages(ages: dict[str, pd.DataFrame]) -> None:
    table = ages["district"]
    assert list(table.columns) == list(COLUMNS)
    assert {"AK-01", "DC-01", "CA-52"} <= set(table["geo_id"])
    assert not table["geo_id"].str.startswith("PR").any()
    assert set(table["source"]) == {"census_acs_s0101"}
    assert set(table["url"]) == {
        "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S0101)&for=congressional%20district:*&in=state:*"
    }
    assert set(table["year"]) == {2024}
    with pytest.raises(GeographyError, match="'city'"):
        acs_age.load(Path("acs_2024.json"), "city")


_SMALL_AGE = (
    "GEO_ID",
    *(name for sex in ("01", "03", "05") for name in acs_age.group_columns(sex)),
    *(acs_age.column(sex, row) for sex in ("01", "03", "05") for row in (20, 24, 28, 30, 31)),
    "state",
    "congressional district",
)


@pytest.fixture(scope="module")
def small_ages(census: Path) -> Rows:
    return _kept(_age_path(census, "district"), list(_SMALL_AGE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row[1:] for row in rows], "'GEO_ID' is missing"),
        (lambda rows: _renamed(rows, "S0101_C05_004E"), "'S0101_C05_004E' is missing"),
        (lambda rows: rows[:-2] + rows[-1:], "is missing"),
        (lambda rows: [*rows, rows[1]], "is there twice"),
        (lambda rows: [rows[0], rows[1][:-1], *rows[2:]], "row 1 has"),
        (lambda rows: _with(rows, "GEO_ID", "5001800US0101"), "119th"),
        (lambda rows: _with(rows, "GEO_ID", None), "119th"),
        (lambda rows: _with(rows, "congressional district", "ZZ"), "ZZ"),
        (lambda rows: _with(rows, "state", "99"), "99"),
        (lambda rows: _with(rows, "S0101_C01_003E", "-888888888"), "suppressed"),
        (lambda rows: _with(rows, "S0101_C03_003E", "**"), "suppressed"),
        (lambda rows: _with(rows, "S0101_C01_003E", None), "suppressed"),
        (lambda rows: _with(rows, "S0101_C01_003E", "-1"), "out of range"),
        (lambda rows: _with(rows, "S0101_C01_003E", "1"), "AL-01: the age groups add up to"),
        (lambda rows: _with(rows, "S0101_C01_028E", "1"), "S0101_C01_028E is 1"),
    ],
)
def test_altered_age_tables_are_refused(
    small_ages: Rows, tmp_path: Path, change: Callable[[Rows], Rows], message: str
) -> None:
    path = _written(tmp_path / "S0101_2024.json", change(small_ages))
    with pytest.raises(SourceError, match=message):
        acs_age.load(path, "district")


def test_sexes_that_do_not_add_up_are_refused(small_ages: Rows, tmp_path: Path) -> None:
    # Two cells of one sex moved by one, so that its groups still add up to its total.
    rows = small_ages
    for name, by in (("S0101_C05_002E", 1), ("S0101_C05_007E", -1)):
        rows = _with(rows, name, str(int(rows[1][rows[0].index(name)]) + by))
    for_15_to_44 = "S0101_C05_024E"
    rows = _with(rows, for_15_to_44, str(int(rows[1][rows[0].index(for_15_to_44)]) - 1))
    with pytest.raises(SourceError, match=r"males and .* females of"):
        acs_age.load(_written(tmp_path / "S0101_2024.json", rows), "district")


def test_thousands_separators_are_read(small_ages: Rows, tmp_path: Path) -> None:
    separated = _with(small_ages, "S0101_C01_001E", f"{int(small_ages[1][1]):,}")
    assert "," in separated[1][1]
    table = acs_age.load(_written(tmp_path / "S0101_2024.json", separated), "district")
    assert table["value"].iloc[0] == 760_389


def test_an_answer_needs_its_year_in_its_name(small_ages: Rows, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not hold 2024"):
        acs_age.load(_written(tmp_path / "S0101_2023.json", small_ages), "district")


def test_html_instead_of_json_and_a_missing_file_are_named(tmp_path: Path) -> None:
    page = tmp_path / "answer_2024.json"
    page.write_text("<html>invalid key</html>", encoding="utf-8")
    with pytest.raises(SourceError, match=r"answer_2024\.json: not JSON"):
        acs_age.load(page, "state")
    with pytest.raises(SourceError, match="no such file"):
        acs_age.load(tmp_path / "absent_2024.json", "state")
    with pytest.raises(SourceError, match="rows below a header"):
        acs_age.load(_written(tmp_path / "empty_2024.json", []), "state")


def _snap_path(census: Path) -> Path:
    return census / "acs_s2201_district_2024" / "acs_S2201_district_2024.json"


def test_households_with_snap_by_district(census: Path) -> None:
    table = acs_snap.load(_snap_path(census))
    assert len(table) == 10 * 436
    assert not table.duplicated(KEY).any()
    first = table[table["geo_id"] == "AL-01"].set_index("constraints")["value"]
    # Table S2201 of Alabama's first district.
    assert first['[["snap",">",0]]'] == 34_742
    assert first['[["age",">=",60]]'] == 142_797
    assert first['[["age","<",18],["snap",">",0]]'] == 17_777
    assert first['[["is_disabled","==",1]]'] == 98_024
    assert first['[["is_hispanic","==",1],["is_household_head","==",1]]'] == 13_235
    # Nation, without Puerto Rico.
    assert table.loc[table["constraints"] == '[["snap",">",0]]', "value"].sum() == 15_632_675


_SMALL_SNAP = (
    "GEO_ID",
    *(acs_snap.column(kind, row) for row in (1, 2, 3, 9, 15, 23, 24, 32) for kind in ("01", "03", "05")),
    "state",
    "congressional district",
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: _with(rows, "S2201_C03_001E", "900000"), "row 001: 900000 households with SNAP"),
        (lambda rows: _with(rows, "S2201_C03_032E", "-999999999"), "suppressed"),
        (lambda rows: _with(rows, "S2201_C05_032E", "-5"), "out of range"),
        (lambda rows: _renamed(rows, "S2201_C03_009E"), "'S2201_C03_009E' is missing"),
        (lambda rows: [*rows, rows[5]], "is there twice"),
        # Row 002 and its like hold what row 004 should: the parts no longer make the whole.
        (
            lambda rows: _with(_with(_with(rows, "S2201_C01_002E", "9"), "S2201_C03_002E", "4"), "S2201_C05_002E", "5"),
            "rows 002 and 003 have 9",
        ),
    ],
)
def test_altered_snap_tables_are_refused(
    census: Path, tmp_path: Path, change: Callable[[Rows], Rows], message: str
) -> None:
    rows = _kept(_snap_path(census), list(_SMALL_SNAP))
    with pytest.raises(SourceError, match=message):
        acs_snap.load(_written(tmp_path / "S2201_2024.json", change(rows)))


def _females_path(census: Path) -> Path:
    return census / "b01001_female_15_44_2023" / "census_b01001_female_15_44_2023.json"


def test_females_of_15_to_44(census: Path, ages: dict[str, pd.DataFrame]) -> None:
    table = acs_females.load(_females_path(census))
    assert len(table) == 9 * 51
    assert set(table["year"]) == {2023}
    alabama = table[table["geo_id"] == "AL"].set_index("constraints")["value"]
    assert alabama['[["age","<",18],["age",">=",15],["is_female","==",1]]'] == 100_354
    # A year later the women of 25 to 29 of a state are about as many.
    key = '[["age","<",30],["age",">=",25],["is_female","==",1]]'
    before = table[table["constraints"] == key].set_index("geo_id")["value"]
    after = ages["state"][ages["state"]["constraints"] == key].set_index("geo_id")["value"]
    assert ((after[before.index] / before - 1).abs() < 0.1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: _renamed(rows, "B01001_032E"), "'B01001_032E' is missing"),
        (lambda rows: _with(rows, "B01001_032E", "-666666666"), "AL, B01001_032E: the cell is suppressed"),
        (lambda rows: [*rows, rows[1]], "state AL is there twice"),
        (lambda rows: rows[:-1][:-1], "is missing"),
        (lambda rows: _with(rows, "state", "66"), "'66'"),
    ],
)
def test_altered_tables_of_females_are_refused(
    census: Path, tmp_path: Path, change: Callable[[Rows], Rows], message: str
) -> None:
    rows = json.loads(_females_path(census).read_text(encoding="utf-8"))
    with pytest.raises(SourceError, match=message):
        acs_females.load(_written(tmp_path / "b01001_2023.json", change(rows)))


def test_the_year_of_the_females_is_in_the_name(census: Path, tmp_path: Path) -> None:
    copy = tmp_path / "census_b01001_female_15_44_2024.json"
    copy.write_bytes(_females_path(census).read_bytes())
    with pytest.raises(SourceError, match="does not hold 2023"):
        acs_females.load(copy)


def test_every_city_has_ages_from_its_districts(census: Path, ages: dict[str, pd.DataFrame]) -> None:
    table = city_age.load(_age_path(census, "district"))
    cities = [city.key for city in areas_of_kind("city")]
    assert list(dict.fromkeys(table["geo_id"])) == cities
    assert len(table) == 19 * len(cities)
    assert set(table["geo_level"]) == {"city"}
    totals = table[table["constraints"] == "[]"].set_index("geo_id")["value"]
    parts = table[table["constraints"] != "[]"].groupby("geo_id")["value"].sum()
    assert (totals == parts[totals.index]).all()
    # Census population estimates of 1 July 2024 of the counties (vintage 2024): Harris County 5,009,302; the others in
    # round numbers. Shares of 2020 do not know how a district has grown since.
    published = {"NYC": 8_478_000, "LOS_ANGELES": 9_757_000, "CHICAGO": 5_183_000, "HOUSTON": 5_009_302}
    assert totals.to_dict() == pytest.approx(published, rel=0.015)
    state_total = ages["state"][ages["state"]["constraints"] == "[]"].set_index("geo_id")["value"]
    assert totals["NYC"] < state_total["NY"]


def _county_rows() -> Rows:
    """A small answer for counties in the published format: county number n has n persons in every group."""
    rows: Rows = [["GEO_ID", "NAME", *acs_age.group_columns("01"), "state", "county"]]
    fips = [code for city in areas_of_kind("city") for code in city.county_fips]
    for position, code in enumerate([*fips, 4013], start=1):
        groups = [str(position)] * 18
        key = f"{code:05d}"
        rows.append([f"0500000US{key}", f"County {key}", str(18 * position), *groups, key[:2], key[2:]])
    return rows


def test_ages_of_cities_from_their_counties_are_exact(tmp_path: Path) -> None:
    table = city_age.load_counties(_written(tmp_path / "county_2024.json", _county_rows()))
    assert set(table["source"]) == {"census_acs_s0101_counties"}
    value = table.set_index(["geo_id", "constraints"])["value"]
    assert value["NYC", "[]"] == 18 * (1 + 2 + 3 + 4 + 5)
    assert value["NYC", '[["age",">=",85]]'] == 15
    assert value["HOUSTON", '[["age","<",5],["age",">=",0]]'] == 8
    assert len(value) == 19 * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[0], *rows[2:]], "county 36005 is there 0 times"),
        (lambda rows: [*rows, rows[2]], "county 36047 is there 2 times"),
        (lambda rows: _with(rows, "GEO_ID", "0400000US36"), "wanted level"),
        (lambda rows: _with(rows, "S0101_C01_004E", None), "suppressed"),
        (lambda rows: _with(rows, "S0101_C01_004E", "7"), "county 36005: the age groups add up to"),
    ],
)
def test_altered_county_answers_are_refused(tmp_path: Path, change: Callable[[Rows], Rows], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        city_age.load_counties(_written(tmp_path / "county_2024.json", change(_county_rows())))
