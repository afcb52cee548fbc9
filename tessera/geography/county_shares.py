"""Shares of the counties in each district of the 119th Congress: P(county | district), for synthetic blocks.

`county_shares.csv` (district, county_fips, county, share) is what `build` derives from four Census compilations; county
is the name that PolicyEngine's County enumeration has for it. Counties are those of the 2020 census, so Connecticut has
its eight counties and not the planning regions of 2022.

The published distribution leaves out 37 counties (names with an apostrophe, a tilde and others; Prince George's with
967,201 people among them) and spreads their districts over the rest. `build` puts them back: a county that lies in one
district alone tells how many people the distribution covers there, and the rest of the district's population is exactly
that of the counties named in `_LEFT_OUT`, which it verifies person by person.
"""

from __future__ import annotations

import io
import re
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import state_by_fips, stratum_districts

PACKAGED = "county_shares.csv"
COLUMNS = ("district", "county_fips", "county", "share")
_DIGITS = 12
# Whole counties that the distribution lacks, by the district that they lie in.
_LEFT_OUT = {
    201: ("02100", "02195"),
    1301: ("13029",),
    1307: ("13085",),
    1308: ("13017",),
    1312: ("13167", "13279"),
    1904: ("19141",),
    2101: ("21057",),
    2106: ("21049",),
    2401: ("24035",),
    2405: ("24037",),
    2801: ("28019",),
    2802: ("28001",),
    2803: ("28099", "28147"),
    3103: ("31049", "31113"),
    3202: ("32001",),
    3502: ("35013",),
    3503: ("35028",),
    4811: ("48267",),
    4813: ("48023", "48197", "48211"),
    4823: ("48383",),
    4828: ("48247",),
    5101: ("51830",),
    5104: ("51570",),
    5106: ("51530", "51580", "51775", "51840"),
    5109: ("51640", "51690"),
    5110: ("51683",),
}
# The one left-out county that two districts share: the second has what its other people leave, the first the rest.
_SPLIT = ("24033", 2404, 2405)
_UNROUNDED = 2.0  # people by which the populations of the compilations differ from each other


def build(folder: Path) -> pd.DataFrame:
    """County shares from a folder of Census compilations.

    Args:
        folder: holds county_cd_distributions.csv, county_fips_2020.csv.gz, puma_county_crosswalk.csv (2020 population)
            and congressional_district_vintage_crosswalk.csv (2020 population of the districts).

    Returns:
        Columns of `COLUMNS`, ordered by district and county; shares of a district add up to one.

    Raises:
        SourceError: a missing file or column.
        GeographyError: a county without a FIPS code, a district without counties, populations that do not fit.
    """
    names = _county_names(folder / "county_fips_2020.csv.gz")
    shares = _published_shares(folder / "county_cd_distributions.csv", names)
    county_people = _county_population(folder / "puma_county_crosswalk.csv")
    district_people = _district_population(folder / "congressional_district_vintage_crosswalk.csv")
    missing = _left_out_people(county_people, district_people, shares)
    covered = district_people - missing.groupby("district")["people"].sum().reindex(district_people.index, fill_value=0)
    _check_covered(shares, covered, county_people)
    shares = shares.assign(people=shares["share"] * shares["district"].map(covered))
    table = pd.concat([shares[["district", "county_fips", "people"]], missing], ignore_index=True)
    table["share"] = (table["people"] / table.groupby("district")["people"].transform("sum")).round(_DIGITS)
    table["county"] = table["county_fips"].map(names)
    return check(table.sort_values(["district", "county_fips"], ignore_index=True)[list(COLUMNS)])


def check(table: pd.DataFrame) -> pd.DataFrame:
    """The table itself, if it has every district, shares that add up to one, and counties of the district's own state.

    Raises:
        GeographyError: names the district or county.
    """
    absent = sorted(set(stratum_districts()) ^ set(table["district"]))
    if absent:
        raise GeographyError(
            f"County shares: district {absent[0]} is missing or unknown ({len(absent)} such); wanted 436."
        )
    sums = table.groupby("district")["share"].sum()
    wrong = sums[(sums - 1).abs() > 1e-9]
    if len(wrong):
        raise GeographyError(f"County shares: those of district {wrong.index[0]} add up to {wrong.iloc[0]}; wanted 1.")
    elsewhere = table[table["county_fips"].str[:2].astype(int) != table["district"] // 100]
    if len(elsewhere):
        row = elsewhere.iloc[0]
        raise GeographyError(
            f"County shares: county {row['county_fips']} is not in the state of district {row['district']}."
        )
    if table["county"].isna().any() or table.duplicated(["district", "county_fips"]).any():
        raise GeographyError("County shares: a county without a name, or twice in one district.")
    return table


def load() -> pd.DataFrame:
    """The packaged county shares (columns of `COLUMNS`; county_fips as text of five digits); a copy."""
    return _load().copy()


def to_csv(table: pd.DataFrame) -> str:
    """The text of the packaged file."""
    return table.to_csv(index=False, lineterminator="\n")


def enum_name(county_name: str, usps: str) -> str:
    """Name of a county in PolicyEngine's enumeration: upper case, blanks, hyphens and apostrophes as underscores.

    Full stops vanish: `St. Louis city` in MO is ST_LOUIS_CITY_MO, `Prince George's County` PRINCE_GEORGE_S_COUNTY_MD.
    """
    return re.sub(r"[\s\-'’]+", "_", county_name.upper().replace(".", "")) + f"_{usps}"


@cache
def _load() -> pd.DataFrame:
    text = resources.files("tessera.geography").joinpath(PACKAGED).read_text(encoding="utf-8")
    return check(pd.read_csv(io.StringIO(text), dtype={"county_fips": "str", "county": "str"}))


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    if not path.is_file():
        raise SourceError(f"{path}: no such file; wanted {', '.join(columns)} by county or district.")
    frame = pd.read_csv(path, dtype=str, encoding="utf-8")
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise SourceError(f"{path}: column {missing[0]!r} is missing; the file has {', '.join(frame.columns)}.")
    return frame


def _county_names(path: Path) -> dict[str, str]:
    frame = _read(path, ["state", "county_name", "county_fips"])
    rows = frame[["county_fips", "county_name", "state"]].itertuples(index=False)
    return {str(fips): enum_name(str(name), str(state)) for fips, name, state in rows}


def _published_shares(path: Path, names: dict[str, str]) -> pd.DataFrame:
    frame = _read(path, ["cd_geoid", "county_name", "probability"])
    fips_of = {name: fips for fips, name in names.items()}
    frame["county_fips"] = frame["county_name"].map(fips_of)
    unknown = frame.loc[frame["county_fips"].isna(), "county_name"]
    if len(unknown):
        raise GeographyError(f"{path}: no FIPS code of 2020 for county {unknown.iloc[0]} ({len(unknown)} such).")
    district = pd.Series([_district_code(int(code)) for code in frame["cd_geoid"]], name="district")
    share = frame["probability"].astype(float)
    sums = share.groupby(district).sum()
    if ((sums - 1).abs() > 1e-6).any():
        wrong = sums[(sums - 1).abs() > 1e-6]
        raise GeographyError(
            f"{path}: the shares of district {wrong.index[0]} add up to {wrong.iloc[0]:.6f}; wanted 1."
        )
    return pd.DataFrame({"district": district, "county_fips": frame["county_fips"], "share": share})


def _district_code(code: int) -> int:
    """Code with number 1 for an at-large seat, which the Census writes 00, or 98 for a delegate."""
    state = state_by_fips(code // 100)
    return state.fips * 100 + 1 if code % 100 in (0, 98) else code


def _county_population(path: Path) -> pd.Series[float]:
    frame = _read(path, ["county_fips_full", "population"])
    return frame["population"].astype(float).groupby(frame["county_fips_full"]).sum()


def _district_population(path: Path) -> pd.Series[float]:
    frame = _read(path, ["target_geography_id", "pair_population"])
    code = frame["target_geography_id"].str[-4:].astype(int).map(_district_code)
    return frame["pair_population"].astype(float).groupby(code.rename("district")).sum()


def _left_out_people(counties: pd.Series[float], districts: pd.Series[float], shares: pd.DataFrame) -> pd.DataFrame:
    """Columns district, county_fips, people of the counties that the distribution lacks."""
    rows = [(district, fips, counties[fips]) for district, listed in _LEFT_OUT.items() for fips in listed]
    fips, first, second = _SPLIT
    of_second = (
        districts[second] - _covered_people(shares, counties, second) - sum(r[2] for r in rows if r[0] == second)
    )
    rows += [(first, fips, counties[fips] - of_second), (second, fips, of_second)]
    return pd.DataFrame(rows, columns=["district", "county_fips", "people"])


def _covered_people(shares: pd.DataFrame, counties: pd.Series[float], district: int) -> float:
    """People that a district's published shares stand for, by a county that lies in it alone; NaN without one."""
    alone = ~shares["county_fips"].duplicated(keep=False) & (shares["district"] == district)
    if not alone.any():
        return float("nan")
    row = shares[alone].iloc[0]
    return float(counties[row["county_fips"]] / row["share"])


def _check_covered(shares: pd.DataFrame, covered: pd.Series[float], counties: pd.Series[float]) -> None:
    whole = shares[~shares["county_fips"].duplicated(keep=False)].drop_duplicates("district")
    implied = (whole["county_fips"].map(counties) / whole["share"]).to_numpy()
    expected = whole["district"].map(covered).to_numpy()
    off = abs(implied - expected) > _UNROUNDED
    if off.any():
        district = int(whole["district"].to_numpy()[off][0])
        raise GeographyError(
            f"District {district}: its counties stand for {implied[off][0]:.0f} people, wanted {expected[off][0]:.0f}: "
            "the distribution lacks other counties than `_LEFT_OUT` names."
        )
