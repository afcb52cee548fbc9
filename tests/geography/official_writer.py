"""Block files in the official formats for a small country: every district of the 119th Congress, a handful of blocks.

Writes what `tessera.geography.block_files` reads, with the peculiarities of the files as published: a byte order mark,
a blank in a header, at-large seats as 00, DC's delegate as 98, blocks of water in no district, Puerto Rico, records of
other summary levels, states without areas of a kind, names that are not ASCII.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.geography import county_cbsa, county_shares
from tessera.geography.areas import State, states
from tessera.geography.official_files import BlockFiles, block_files

NO_LOWER_HOUSE = ("NE", "DC")
NO_VOTING_DISTRICTS = ("CA", "HI", "OR")
_BLOCKS_PER_COUNTY = 3
_BOM = "\ufeff"


def unpinned() -> BlockFiles:
    """The catalogue without its hash, which made-up files cannot have."""
    files = block_files()
    return dataclasses.replace(files, equivalency=dataclasses.replace(files.equivalency, sha256=None))


def small_country() -> pd.DataFrame:
    """Blocks of all 436 districts, in their two largest counties: two populated ones and an empty one in each."""
    shares = county_shares.load().sort_values(["district", "share"], ascending=[True, False], kind="stable")
    pieces = shares.groupby("district").head(2).sort_values(["county_fips", "district"])
    rows = pieces.loc[pieces.index.repeat(_BLOCKS_PER_COUNTY), ["district", "county_fips"]].reset_index(drop=True)
    number = rows.groupby("county_fips").cumcount()
    rows["tract"] = rows["county_fips"] + "0" + (number // 4 + 101).astype(str) + "00"
    rows["block"] = rows["tract"] + (number % 4 + 1000).astype(str)
    rows["people"] = np.where(number % _BLOCKS_PER_COUNTY == 2, 0, 40 + 7 * (np.arange(len(rows)) % 90))
    at_large = {state.fips * 100 + 1 for state in states() if state.n_districts == 1}
    seat = (rows["district"] % 100).map("{:02d}".format)
    seat = seat.where(~rows["district"].isin(at_large), "00").where(rows["district"] != 1101, "98")
    rows["cdfp"] = seat
    return _with_areas(rows)


def _with_areas(rows: pd.DataFrame) -> pd.DataFrame:
    usps = {f"{state.fips:02d}": state.usps for state in states()}
    state = rows["county_fips"].str[:2].map(usps)
    index = np.arange(len(rows))
    spread = pd.Series(index % 40 + 1, index=rows.index)
    rows["puma"] = (rows["tract"].str[2:5].astype(int) * 10).map("{:05d}".format)
    rows["place"] = np.where(index % 3 == 0, "", (1000 + spread * 11).map("{:05d}".format))
    rows["zcta"] = np.where(index % 11 == 5, "", rows["county_fips"].str[:2] + spread.map("{:03d}".format))
    rows["sldu"] = spread.map("{:03d}".format).where(state != "AK", "00A")
    rows["sldl"] = spread.map("{:02d}B".format).where(~state.isin(NO_LOWER_HOUSE), "")
    rows["vtd"] = spread.map("{:06d}".format).where(~state.isin(NO_VOTING_DISTRICTS), "")
    rows["cbsa_code"] = county_cbsa.cbsa_of(rows["county_fips"].to_numpy(dtype="S5")).astype(str)
    return rows


def water(country: pd.DataFrame, county: str = "09001", people: int = 0) -> pd.DataFrame:
    """The country with a block of water in no district."""
    last = country[country["county_fips"] == county].iloc[[-1]]
    block = f"{county}9900000001"
    return pd.concat([country, last.assign(block=block, people=people, cdfp="ZZ", sldu="ZZZ", vtd="ZZZZZZ")])


def write_files(raw: Path, country: pd.DataFrame) -> BlockFiles:
    """All 106 files below `raw`; returns their catalogue."""
    files = unpinned()
    (raw / files.zctas.path).parent.mkdir(parents=True, exist_ok=True)
    write_equivalency(raw / files.equivalency.path, country)
    tracts = country.drop_duplicates("tract")
    lines = [f"{t[:2]},{t[2:5]},{t[5:]},{p}" for t, p in zip(tracts["tract"], tracts["puma"], strict=True)]
    text = _BOM + "\n".join(["STATEFP,COUNTYFP,TRACTCE,PUMA5CE", *lines, "72,001,956300,00401"]) + "\n"
    (raw / files.tract_pumas.path).write_text(text, encoding="utf-8")
    write_zctas(raw / files.zctas.path, country)
    write_delineation(raw / files.cbsas.path, country)
    usps = country["county_fips"].str[:2].astype(int)
    for state in states():
        rows = country[usps == state.fips]
        write_population(raw / files.population[state.usps].path, state, rows)
        write_assignment(raw / files.assignment[state.usps].path, state, rows)
    return files


def write_equivalency(path: Path, country: pd.DataFrame, header: str = "GEOID, CDFP") -> None:
    """cd119.zip, with a block of Puerto Rico."""
    lines = [f"{block},{seat}" for block, seat in zip(country["block"], country["cdfp"], strict=True)]
    write_zip(path, {"NationalCD119.txt": _BOM + "\r\n".join([header, *lines, "720019563001000,98"]) + "\r\n"})


def write_zctas(path: Path, country: pd.DataFrame) -> None:
    """The relationship file of ZCTAs and blocks, 18 columns, with areas that are in no block or no ZCTA."""
    zcta = [f"{side}_ZCTA5_20" for side in ("OID", "GEOID", "NAMELSAD", "AREALAND", "AREAWATER", "MTFCC", "CLASSFP",
            "FUNCSTAT")]  # fmt: skip
    block = [
        f"{side}_TABBLOCK_20" for side in ("OID", "GEOID", "NAMELSAD", "AREALAND", "AREAWATER", "MTFCC", "FUNCSTAT")
    ]
    lines = ["|".join([*zcta, *block, "AREALAND_PART", "AREAWATER_PART", "NOTE"])]
    for code, geoid in zip(country["zcta"], country["block"], strict=True):
        left = ["2119", code, f"ZCTA5 {code}", "1", "0", "G6350", "B5", "S"] if code else [""] * 8
        lines.append("|".join([*left, "2080", geoid, f"Block {geoid[-4:]}", "9", "0", "G5040", "S", "9", "0", ""]))
    lines.append("|".join([*["2119", "00601", "ZCTA5 00601", "1", "0", "G6350", "B5", "S"], *[""] * 7, "1", "0", ""]))
    path.write_text(_BOM + "\n".join(lines) + "\n", encoding="utf-8")


def write_delineation(path: Path, country: pd.DataFrame) -> None:
    """The delineation list: titles, a header in the third row, counties, footnotes."""
    import openpyxl

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["List 1. CORE BASED STATISTICAL AREAS (CBSAs), March 2020"])
    sheet.append(["(CBSAs are defined by OMB)"])
    sheet.append(["CBSA Code", "CBSA Title", "County/County Equivalent", "FIPS State Code", "FIPS County Code"])
    for row in country.drop_duplicates("county_fips").itertuples():
        if row.cbsa_code:
            fips = str(row.county_fips)
            sheet.append([row.cbsa_code, "Doña Ana, NM", "A County", fips[:2], fips[2:]])
    sheet.append(["Note: The 2010 OMB Standards"])
    with path.open("wb") as handle:
        book.save(handle)


def write_population(path: Path, state: State, rows: pd.DataFrame, total: int | None = None) -> None:
    """A state's redistricting zip: header and table P1, with records of the state and a county before the blocks."""
    people = int(rows["people"].sum()) if total is None else total
    records = [("040", f"{state.fips:02d}", people), ("050", f"{state.fips:02d}001", people)]
    records += [("750", block, count) for block, count in zip(rows["block"], rows["people"], strict=True)]
    geo, table = [], []
    for number, (level, code, count) in enumerate(records, 1):
        fields = [""] * 97
        fields[:10] = [
            "PLST",
            state.usps,
            level,
            "00",
            "00",
            "000",
            "00",
            f"{number:07d}",
            f"{level}0000US{code}",
            code,
        ]
        fields[87], fields[90] = "Doña Ana", str(count)
        geo.append("|".join(fields))
        table.append("|".join(["PLST", state.usps, "000", "01", f"{number:07d}", str(count), *["0"] * 143]))
    name = state.usps.lower()
    contents = {f"{name}geo2020.pl": "\n".join(geo) + "\n", f"{name}000012020.pl": "\n".join(table) + "\n"}
    write_zip(path, contents, encoding="latin-1")


def write_assignment(path: Path, state: State, rows: pd.DataFrame) -> None:
    """A state's block assignment files; none where the state has no areas of a kind."""
    stem = f"BlockAssign_ST{state.fips:02d}_{state.usps}"
    contents = {
        f"{stem}_{entity}.txt": "\n".join(["BLOCKID|DISTRICT", *(rows["block"] + "|" + rows[layer])]) + "\n"
        for entity, layer in (("SLDU", "sldu"), ("SLDL", "sldl"))
    }
    places = ["BLOCKID|PLACEFP", *(rows["block"] + "|" + rows["place"])]
    contents[f"{stem}_INCPLACE_CDP.txt"] = "\n".join(places) + "\n"
    voting = rows["block"] + "|" + rows["county_fips"].str[2:] + "|" + rows["vtd"]
    contents[f"{stem}_VTD.txt"] = "\n".join(["BLOCKID|COUNTYFP|DISTRICT", *voting]) + "\n"
    if state.usps in NO_LOWER_HOUSE:
        del contents[f"{stem}_SLDL.txt"]
    if state.usps in NO_VOTING_DISTRICTS:
        del contents[f"{stem}_VTD.txt"]
    write_zip(path, contents)


def write_zip(path: Path, contents: dict[str, str], encoding: str = "utf-8") -> None:
    """A zip of texts by name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in contents.items():
            archive.writestr(name, text.encode(encoding))


def edit_zip(path: Path, member: str, edit: Callable[[str], str], encoding: str = "latin-1") -> None:
    """Replace a member of a zip by what a function makes of it."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name).decode(encoding) for name in archive.namelist()}
    contents[member] = edit(contents[member])
    write_zip(path, contents, encoding)
