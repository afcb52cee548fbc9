"""CPS ASEC archives of every survey year that the reader knows, in each year's layout; households of two years."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import cps_asec
from tessera.sources.columns import columns_of, page_of
from tessera.sources.synthetic import cps_asec as writer
from tessera.sources.synthetic.cps_person import arrival_code

YEARS = range(cps_asec.FIRST_YEAR, cps_asec.LAST_YEAR + 1)
HOUSEHOLDS, SEED = 160, 5
RECORDS = ("person", "household", "family")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("years")
    return {year: writer.write(folder, households=HOUSEHOLDS, year=year, seed=SEED) for year in YEARS}


@pytest.fixture(scope="module")
def surveys(archives: dict[int, Path]) -> dict[int, cps_asec.RawAsec]:
    return {year: cps_asec.read(path, year) for year, path in archives.items()}


@pytest.mark.parametrize("year", YEARS)
def test_each_year_is_read_in_its_own_layout(year: int, surveys: dict[int, cps_asec.RawAsec]) -> None:
    raw = surveys[year]
    assert (raw.year, raw.income_year, raw.household_derived) == (year, year - 1, False)
    assert len(raw.household) == HOUSEHOLDS and (raw.household["H_YEAR"] == year).all()
    for record, table in zip(RECORDS, (raw.person, raw.household, raw.family), strict=True):
        assert list(table.columns) == [column.name for column in columns_of("cps_asec", record)]
        assert not table.isna().any().any()
    later = {f"{record}.{c.name}" for record in RECORDS for c in columns_of("cps_asec", record) if c.first_year > year}
    assert set(raw.absent) == later
    assert ("person.SPM_BBSUBVAL" in later) == (year < 2022)


@pytest.mark.parametrize("year", YEARS)
def test_members_lie_where_the_bureau_puts_them(year: int, archives: dict[int, Path]) -> None:
    folder = "cpspb/asec/prod/data/2019/" if year == 2019 else ""
    names = zipfile.ZipFile(archives[year]).namelist()
    assert set(names) >= {f"{folder}{prefix}pub{year % 100:02d}.csv" for prefix in ("pp", "hh", "ff")}


def test_columns_that_a_year_lacks_are_optional() -> None:
    for record in RECORDS:
        for column in columns_of("cps_asec", record):
            assert not (column.required and column.first_year > cps_asec.FIRST_YEAR), column.name


@pytest.mark.parametrize("year", [2018, 2026])
def test_years_of_another_layout_are_refused(
    year: int, archives: dict[int, Path], edited: Callable[..., Path], tmp_path: Path
) -> None:
    def rename(held: dict[str, bytes]) -> dict[str, bytes]:
        return {name.replace("25.csv", f"{year % 100}.csv"): text for name, text in held.items()}

    with pytest.raises(SourceError, match=rf"is of survey year {year}; wanted one of 2019 to 2025.*Fetch"):
        cps_asec.read(edited(archives[2025], rename))
    with pytest.raises(SourceError, match=rf"survey year {year}; wanted one of 2019 to 2025"):
        writer.write(tmp_path, households=30, year=year, seed=1)


def test_archive_of_two_years_needs_the_year(archives: dict[int, Path], edited: Callable[..., Path]) -> None:
    def both(held: dict[str, bytes]) -> dict[str, bytes]:
        return {**held, "pppub24.csv": held["pppub25.csv"]}

    with pytest.raises(SourceError, match="is of survey year 2024, 2025; wanted one survey year"):
        cps_asec.read(edited(archives[2025], both))


def test_weights_of_each_record_have_two_implied_decimals(
    surveys: dict[int, cps_asec.RawAsec], archives: dict[int, Path]
) -> None:
    weights = {"pp": ("A_FNLWGT", "MARSUPWT", "SPM_WEIGHT"), "hh": ("HSUP_WGT",), "ff": ("FSUP_WGT",)}
    raw = surveys[2025]
    tables = {"pp": raw.person, "hh": raw.household, "ff": raw.family}
    keys = {"pp": ["PH_SEQ", "P_SEQ"], "hh": ["H_SEQ"], "ff": ["FH_SEQ", "FFPOS"]}
    for prefix, names in weights.items():
        with zipfile.ZipFile(archives[2025]) as archive, archive.open(f"{prefix}pub25.csv") as handle:
            written = pd.read_csv(handle)
        both = tables[prefix].merge(written, on=keys[prefix], suffixes=("", "_written"))
        assert len(both) == len(tables[prefix])
        for name in names:
            np.testing.assert_allclose(both[name], both[f"{name}_written"] / 100)


def test_real_sample_has_two_implied_decimals_in_every_weight(shared_data: Path) -> None:
    person = cps_asec.read(shared_data / "cps_asec" / "pppub20.csv", 2020).person
    assert person["A_FNLWGT"].iloc[0] == pytest.approx(1668.60)
    np.testing.assert_allclose(person["SPM_WEIGHT"].iloc[0], 1552.90)
    heads = person[person["SPM_HEAD"] == 1]
    assert (heads["SPM_WEIGHT"] / heads["MARSUPWT"]).median() == pytest.approx(1.0)


def test_half_of_the_persons_are_in_the_file_of_the_next_year(surveys: dict[int, cps_asec.RawAsec]) -> None:
    before, after = surveys[2024].person, surveys[2025].person
    both = before.merge(after, on="PERIDNUM", suffixes=("_1", "_2"))
    assert 0.4 < len(both) / len(before) < 0.6
    for name in ("A_SEX", "PRDTRACE", "PRDTHSP", "PENATVTY", "A_LINENO", "A_SPOUSE", "PEPAR1", "PRCITSHP"):
        assert (both[f"{name}_1"] == both[f"{name}_2"]).all(), name
    # The last period of arrival of a file reaches to its survey, so only the latest arrivals change their code.
    assert ((both["PEINUSYR_1"] == both["PEINUSYR_2"]) | (both["PEINUSYR_2"] == 29)).all()
    young = both["A_AGE_2"] < 80
    assert (both["A_AGE_2"] - both["A_AGE_1"])[young].eq(1).all()
    state = [survey.household.set_index("H_SEQ")["GESTFIPS"] for survey in (surveys[2024], surveys[2025])]
    assert (both["PH_SEQ_1"].map(state[0]) == both["PH_SEQ_2"].map(state[1])).all()
    month = [survey.household.set_index("H_SEQ")["H_MIS"] for survey in (surveys[2024], surveys[2025])]
    assert (both["PH_SEQ_1"].map(month[0]) <= 4).all() and (both["PH_SEQ_2"].map(month[1]) >= 5).all()
    earners = both[(both["WSAL_VAL_1"] > 0) & (both["WSAL_VAL_2"] > 0)]
    logs = np.corrcoef(np.log(earners["WSAL_VAL_1"]), np.log(earners["WSAL_VAL_2"]))[0, 1]
    assert 0.4 < logs < 0.98
    # Who is new within a household that was there before was born since.
    homes = set(both["PERIDNUM"].str[:20])
    new = after[after["PERIDNUM"].str[:20].isin(homes) & ~after["PERIDNUM"].isin(before["PERIDNUM"])]
    assert (new["A_AGE"] == 0).all()


def test_files_two_years_apart_share_nobody(surveys: dict[int, cps_asec.RawAsec]) -> None:
    assert not surveys[2023].person["PERIDNUM"].isin(surveys[2025].person["PERIDNUM"]).any()


def test_codes_of_arrival() -> None:
    years = np.array([1920, 1949, 1950, 1959, 1960, 1964, 1965, 1979, 1980, 1981, 1982, 2023, 2024, 2025])
    assert arrival_code(years, 2025).tolist() == [1, 1, 2, 2, 3, 3, 4, 6, 7, 7, 8, 28, 29, 29]
    # The last period of a file reaches to its survey: 2018-2020 in 2020, 2020-2021 in 2021.
    assert [int(arrival_code(np.array([2020]), year)[0]) for year in (2020, 2021, 2025)] == [26, 27, 27]
    assert [int(arrival_code(np.array([year]), year)[0]) for year in (2019, 2022, 2023, 2024)] == [26, 27, 28, 28]


def test_nobody_arrived_before_birth(surveys: dict[int, cps_asec.RawAsec]) -> None:
    for year, raw in surveys.items():
        foreign = raw.person[raw.person["PEINUSYR"] > 6]
        start = 1980 + 2 * (foreign["PEINUSYR"] - 7)
        assert (start >= year - foreign["A_AGE"] - 2).all() and (start <= year).all()
        assert (raw.person.loc[raw.person["PRCITSHP"] <= 3, "PEINUSYR"] == 0).all()


def test_allowed_codes_are_read_from_the_catalogue() -> None:
    columns = {column.name: column for column in columns_of("cps_asec", "person")}
    assert columns["A_SEX"].allowed == {1, 2}
    assert columns["PEDISEAR"].allowed == {-1, 1, 2}
    assert columns["A_FAMREL"].allowed == {0, 1, 2, 3, 4}
    assert columns["PENATVTY"].allowed is None and columns["A_LINENO"].allowed is None


@pytest.mark.parametrize("source", ["cps_asec", "acs_pums", "sipp", "scf", "cps_org", "irs_puf"])
def test_every_source_names_its_page(source: str) -> None:
    page = page_of(source)
    assert page.url.startswith("https://") and len(page.document) > 20


def test_unknown_source_has_no_page() -> None:
    with pytest.raises(SourceError, match=r"No source page for 'nothing'; wanted a line of data/source_pages\.csv"):
        page_of("nothing")


def test_columns_of_a_record_stand_in_one_place_and_once() -> None:
    with (resources.files("tessera.sources") / "data" / "columns_cps_asec.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    records = [row["record"] for row in rows]
    assert records == sorted(records, key=RECORDS.index)
    names = [(row["record"], row["name"]) for row in rows]
    assert len(names) == len(set(names))
    assert all(row["meaning"] and row["unit"] and row["universe"] for row in rows)
    assert all(row["codes"] for row in rows if row["unit"] == "code")
