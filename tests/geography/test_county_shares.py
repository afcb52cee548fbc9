"""County shares of the districts: rebuilt from the Census compilations, complete, with names that the engine knows."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import GeographyError, SourceError
from tessera.geography import county_shares
from tessera.geography.areas import stratum_districts


def test_packaged_shares_are_what_the_compilations_give(shared_data: Path) -> None:
    built = county_shares.build(shared_data / "geography")
    pd.testing.assert_frame_equal(built, county_shares.load(), check_exact=True)


def test_every_district_and_every_county_of_2020() -> None:
    table = county_shares.load()
    assert set(table["district"]) == set(stratum_districts())
    assert table["county_fips"].nunique() == 3143
    assert table["county_fips"].str.fullmatch(r"\d{5}").all()
    connecticut = table[table["district"] // 100 == 9]["county_fips"]
    assert set(connecticut) == {f"090{number:02d}" for number in range(1, 16, 2)}


def test_restored_counties_have_their_population(shared_data: Path) -> None:
    crosswalk = pd.read_csv(shared_data / "geography" / "puma_county_crosswalk.csv", dtype=str)
    people = crosswalk["population"].astype(float).groupby(crosswalk["county_fips_full"]).sum()
    districts = pd.read_csv(shared_data / "geography" / "congressional_district_vintage_crosswalk.csv")
    code = districts["target_geography_id"].str[-4:].astype(int)
    size = districts["pair_population"].groupby(code.where(code % 100 != 0, code + 1)).sum()
    table = county_shares.load()
    implied = (table["share"] * table["district"].map(size)).groupby(table["county_fips"]).sum()
    assert implied["35013"] == pytest.approx(219_561, abs=3)
    assert implied["24033"] == pytest.approx(967_201, abs=3)
    assert (implied - people[implied.index]).abs().max() < 50


def test_names_are_those_of_the_engine() -> None:
    package = importlib.util.find_spec("policyengine_us")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "variables" / "household" / "demographic" / "geographic" / "county"
    known = set(re.findall(r'^    (\w+) = "', (folder / "county_enum.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(county_shares.load()["county"]) <= known
    assert county_shares.enum_name("Doña Ana County", "NM") == "DOÑA_ANA_COUNTY_NM"
    assert county_shares.enum_name("O'Brien County", "IA") == "O_BRIEN_COUNTY_IA"
    assert county_shares.enum_name("St. Louis city", "MO") == "ST_LOUIS_CITY_MO"


def test_damaged_inputs_are_named(shared_data: Path, tmp_path: Path) -> None:
    names = ("county_cd_distributions.csv", "county_fips_2020.csv.gz", "puma_county_crosswalk.csv",
             "congressional_district_vintage_crosswalk.csv")  # fmt: skip
    with pytest.raises(SourceError, match=r"county_fips_2020\.csv\.gz: no such file"):
        county_shares.build(tmp_path)
    for name in names:
        shutil.copyfile(shared_data / "geography" / name, tmp_path / name)
    distribution = pd.read_csv(tmp_path / names[0])
    distribution.replace("BALDWIN_COUNTY_AL", "ATLANTIS_COUNTY_AL").to_csv(tmp_path / names[0], index=False)
    with pytest.raises(GeographyError, match="ATLANTIS_COUNTY_AL"):
        county_shares.build(tmp_path)
    distribution[distribution["county_name"] != "BALDWIN_COUNTY_AL"].to_csv(tmp_path / names[0], index=False)
    with pytest.raises(GeographyError, match="district 101 add up"):
        county_shares.build(tmp_path)


def test_check_refuses_shares_of_another_state() -> None:
    table = county_shares.load()
    table.loc[0, "county_fips"] = "56001"
    with pytest.raises(GeographyError, match="not in the state"):
        county_shares.check(table)
