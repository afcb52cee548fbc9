"""Readers of the Census Bureau's block files as published, one function a format. Codes stay codes: nothing is joined.

Formats, with the pages of census.gov that define them:

- 119th Congress block equivalency (programs-surveys/decennial/rdo, mapping-files/2025): `NationalCD119.txt` in a zip,
  comma separated, header `GEOID,CDFP`. CDFP is `00` for an at-large seat, `98` for a delegate (both are number 1 here),
  `ZZ` where a block lies in no district.
- P.L. 94-171 (2020 Census State Redistricting Data Summary File, chapters 2 and 6): `{usps}geo2020.pl`, a geographic
  header of 97 fields without names, and `{usps}000012020.pl`, tables P1 and P2, of 149 fields, in one zip a state;
  separated by `|`, Latin-1. Blocks are the records of summary level 750.
- Block assignment files of 2020 (technical-documentation/records-layout/block-assignment-record-layout.html), one zip a
  state: `BLOCKID|DISTRICT` for SLDU and SLDL, `BLOCKID|PLACEFP` for places, `BLOCKID|COUNTYFP|DISTRICT` for voting
  districts. Every block of the state is listed; no area is a blank or a code of Zs. A state without areas of a kind
  (lower districts of Nebraska) has no such file.
- Tract to PUMA, 2020: comma separated, `STATEFP,COUNTYFP,TRACTCE,PUMA5CE`, with a byte order mark.
- ZCTA to block, 2020 (records-layout/2020-zcta-record-layout.html): `|`, of 18 columns `GEOID_ZCTA5_20` and
  `GEOID_TABBLOCK_20`. Blocks in no ZCTA have a blank one.
- Delineation list of March 2020 (`list1_2020.xls`): a sheet with two lines of title, a header and footnotes. The lists
  since 2023 know Connecticut's planning regions only, in which no county of 2020 lies.

Block and tract codes are int64 numbers (their leading zero is known from their length), others ASCII bytes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from tessera.errors import SourceError
from tessera.geography import areas
from tessera.geography.areas import State
from tessera.sources.bytefile import Bytes, Chunk, Layout, layout_of, read_bytes_of, whole_numbers
from tessera.sources.csvfile import CsvTable, members

Numbers = npt.NDArray[np.int64]
Layer = Literal["sldu", "sldl", "place", "vtd"]
NO_DISTRICT = 0
EQUIVALENCY_MEMBER = "NationalCD119.txt"
GEO_FIELDS, TABLE_FIELDS = 97, 149
BLOCK_DIGITS, TRACT_DIGITS = 15, 11
_GEO = Layout({"STUSAB": 1, "SUMLEV": 2, "GEOCOMP": 4, "LOGRECNO": 7, "GEOCODE": 9, "POP100": 90}, GEO_FIELDS, False)
_GEO_WIDTHS = {"STUSAB": 2, "SUMLEV": 3, "GEOCOMP": 2, "LOGRECNO": 7, "GEOCODE": 15, "POP100": 9}
_STATE_LEVEL, _BLOCK_LEVEL = b"040", b"750"
_TABLE = Layout({"LOGRECNO": 4, "P0010001": 5}, TABLE_FIELDS, False)
_ENTITY: dict[Layer, tuple[str, str, int]] = {
    "sldu": ("SLDU", "DISTRICT", 3),
    "sldl": ("SLDL", "DISTRICT", 3),
    "place": ("INCPLACE_CDP", "PLACEFP", 5),
    "vtd": ("VTD", "DISTRICT", 6),
}
_NO_PLACE = b"99999"


@dataclass(frozen=True)
class Coded:
    """Codes of some blocks or tracts: `key` int64 and `code` bytes, shape (n,), in the order of the file."""

    key: Numbers
    code: Bytes


@dataclass(frozen=True)
class Districts:
    """The equivalency file: block and district code (`NO_DISTRICT` for none), shape (n,); blocks outside the states."""

    block: Numbers
    district: npt.NDArray[np.int32]
    outside_states: int


def read_districts(path: Path) -> Districts:
    """District of every block of the 50 states and DC.

    Raises:
        SourceError: a damaged file, another header, a code that is no block or no district of the 119th Congress.
    """
    table = CsvTable(path, EQUIVALENCY_MEMBER)
    layout = layout_of(table, {"GEOID": "GEOID", "CDFP": "CDFP"})
    states = np.array([state.fips for state in areas.states()])
    blocks, districts, outside = [], [], 0
    for chunk in read_bytes_of(table, layout, {"GEOID": BLOCK_DIGITS, "CDFP": 2}):
        block = _codes(table, chunk, "GEOID", BLOCK_DIGITS)
        inside = np.isin(block // 10 ** (BLOCK_DIGITS - 2), states)
        outside += int((~inside).sum())
        blocks.append(block[inside])
        districts.append(_district_codes(table, block[inside], chunk.fields["CDFP"][inside]))
    return Districts(_joined(blocks), np.concatenate(districts or [np.zeros(0, np.int32)]), outside)


def read_population(path: Path, state: State) -> tuple[Numbers, npt.NDArray[np.int32]]:
    """Blocks of a state, ascending, and their residents on 1 April 2020.

    The blocks of the header add up to its record of the state, which table P1 repeats: a file that ends early shows.

    Raises:
        SourceError: a damaged zip, a file of another state, a block that occurs twice, sums that do not agree.
    """
    geo = CsvTable(path, f"{state.usps.lower()}geo2020.pl", "|")
    blocks, people, total, record = [], [], -1, b""
    for chunk in read_bytes_of(geo, _GEO, _GEO_WIDTHS, ("SUMLEV", frozenset((_STATE_LEVEL, _BLOCK_LEVEL)))):
        level = chunk.fields["SUMLEV"]
        _check_state(geo, chunk, state)
        whole = np.flatnonzero((level == _STATE_LEVEL) & (chunk.fields["GEOCOMP"] == b"00"))
        count = _counts(geo, chunk, "POP100")
        if whole.size:
            total, record = int(count[whole[0]]), bytes(chunk.fields["LOGRECNO"][whole[0]])
        kept = level == _BLOCK_LEVEL
        part = Chunk({"GEOCODE": chunk.fields["GEOCODE"][kept]}, chunk.first_line)
        blocks.append(_codes(geo, part, "GEOCODE", BLOCK_DIGITS))
        people.append(count[kept].astype(np.int32))
    block, residents = _joined(blocks), np.concatenate(people or [np.zeros(0, np.int32)])
    if total < 0:
        raise SourceError(f"{geo}: has no record of summary level 040 for {state.name}; fetch it again.")
    _check_total(geo, int(residents.sum(dtype=np.int64)), total, "its blocks")
    _check_total(geo, _first_count(path, state, record), total, f"record {record.decode()} of table P1")
    order = np.argsort(block, kind="stable")
    _check_once(geo, block[order])
    return block[order], residents[order]


def read_assignment(path: Path, state: State, layer: Layer) -> Coded | None:
    """Areas of one kind of a state's blocks, "" for none; None where the state has no areas of the kind.

    Raises:
        SourceError: a damaged zip, another header, a code that is too long.
    """
    entity, column, width = _ENTITY[layer]
    member = f"BlockAssign_ST{state.fips:02d}_{state.usps}_{entity}.txt"
    if member not in members(path):
        return None
    table = CsvTable(path, member, "|")
    layout = layout_of(table, {"BLOCKID": "BLOCKID", "code": column})
    keys, codes = [], []
    for chunk in read_bytes_of(table, layout, {"BLOCKID": BLOCK_DIGITS, "code": width}):
        keys.append(_codes(table, chunk, "BLOCKID", BLOCK_DIGITS))
        codes.append(chunk.fields["code"])
    code = np.concatenate(codes or [np.zeros(0, f"S{width}")])
    code[np.isin(code, np.array([b"Z" * width, _NO_PLACE if layer == "place" else b""]))] = b""
    return Coded(_joined(keys), code)


def read_tract_pumas(path: Path) -> Coded:
    """PUMA of every tract, in the order of the file."""
    table = CsvTable(path)
    names = {"STATEFP": 2, "COUNTYFP": 3, "TRACTCE": 6}
    layout = layout_of(table, {name: name for name in (*names, "PUMA5CE")})
    keys, codes = [], []
    for chunk in read_bytes_of(table, layout, {**names, "PUMA5CE": 5}):
        key = np.zeros(len(chunk.fields["PUMA5CE"]), dtype=np.int64)
        for name, width in names.items():
            key = key * 10**width + _codes(table, chunk, name, width)
        keys.append(key)
        codes.append(chunk.fields["PUMA5CE"])
    return Coded(_joined(keys), np.concatenate(codes or [np.zeros(0, "S5")]))


def read_zctas(path: Path) -> Iterator[Coded]:
    """ZCTA of every block that is listed, in pieces; lines without a block (areas of water) are passed over."""
    table = CsvTable(path, separator="|")
    layout = layout_of(table, {"zcta": "GEOID_ZCTA5_20", "block": "GEOID_TABBLOCK_20"})
    with closing(read_bytes_of(table, layout, {"zcta": 5, "block": BLOCK_DIGITS})) as chunks:
        for chunk in chunks:
            listed = chunk.fields["block"] != b""
            part = Chunk({"block": chunk.fields["block"][listed]}, chunk.first_line)
            yield Coded(_codes(table, part, "block", BLOCK_DIGITS), chunk.fields["zcta"][listed])


def read_cbsas(path: Path) -> tuple[Bytes, Bytes]:
    """Counties (five digits, ascending) that lie in a metropolitan or micropolitan area, and the area's code."""
    from tessera.sources.workbook import read_xls, read_xlsx

    rows = next(iter(read_xlsx(path, path).values())) if zipfile.is_zipfile(path) else read_xls(path)
    wanted = ("CBSA Code", "FIPS State Code", "FIPS County Code")
    heads = [index for index, row in enumerate(rows) if set(wanted) <= {str(cell).strip() for cell in row}]
    if not heads:
        raise SourceError(f"{path}: no line holds the headings {', '.join(wanted)}; wanted the delineation list 1.")
    names = [str(cell).strip() for cell in rows[heads[0]]]
    area, state, county = (names.index(name) for name in wanted)
    found: dict[str, str] = {}
    for number, row in enumerate(rows[heads[0] + 1 :], heads[0] + 2):
        texts = [str(row[index] or "").strip().removesuffix(".0") for index in (area, state, county)]
        if not re.fullmatch(r"\d{5}", texts[0]):
            continue  # footnotes
        fips = texts[1].zfill(2) + texts[2].zfill(3)
        if not re.fullmatch(r"\d{5}", fips) or fips in found:
            raise SourceError(f"{path}: row {number} has county {fips!r}; wanted five digits, once.")
        found[fips] = texts[0]
    counties = sorted(found)
    return np.array(counties, "S5"), np.array([found[fips] for fips in counties], "S5")


def _district_codes(table: CsvTable, block: Numbers, number: Bytes) -> npt.NDArray[np.int32]:
    """District codes (612) of blocks and the numbers that the file gives for them."""
    names, inverse = np.unique(number, return_inverse=True)
    value, good = whole_numbers(names)
    none = names == b"ZZ"
    if (~good & ~none).any():
        index = int(np.flatnonzero(~good & ~none)[0])
        row = int(np.flatnonzero(inverse == index)[0])
        raise SourceError(
            f"{table}: block {block[row]:0{BLOCK_DIGITS}d} has district {names[index].decode()!r}; wanted two digits "
            "or ZZ. Fetch the file again."
        )
    value = np.where(np.isin(value, (0, 98)), 1, value)
    state = block // 10 ** (BLOCK_DIGITS - 2)
    code = np.where(none[inverse], NO_DISTRICT, state * 100 + value[inverse])
    unknown = np.flatnonzero(~np.isin(code, (NO_DISTRICT, *areas.stratum_districts())))
    if unknown.size:
        row = int(unknown[0])
        raise SourceError(
            f"{table}: block {block[row]:0{BLOCK_DIGITS}d} lies in district {number[row].decode()} of state "
            f"{state[row]:02d}, which the {areas.CONGRESS}th Congress does not have. Use the file of that Congress."
        )
    return code.astype(np.int32)


def _codes(table: CsvTable, chunk: Chunk, name: str, digits: int) -> Numbers:
    """A field of exactly so many digits, as numbers."""
    text = chunk.fields[name]
    number, good = whole_numbers(text)
    good &= np.char.str_len(text) == digits
    if not good.all():
        seen = text[int(np.flatnonzero(~good)[0])].decode()
        raise SourceError(
            f"{table}: field {name} holds {seen!r} at or after line {chunk.first_line}; wanted {digits} digits. Delete "
            "the file and fetch it again."
        )
    return number


def _counts(table: CsvTable, chunk: Chunk, name: str) -> Numbers:
    number, good = whole_numbers(chunk.fields[name])
    if not good.all():
        seen = chunk.fields[name][int(np.flatnonzero(~good)[0])].decode()
        raise SourceError(
            f"{table}: field {name} holds {seen!r} at or after line {chunk.first_line}; wanted a number of people. "
            "Delete the file and fetch it again."
        )
    return number


def _first_count(path: Path, state: State, record: bytes) -> int:
    """Residents that table P1 gives for a record of the header."""
    table = CsvTable(path, f"{state.usps.lower()}000012020.pl", "|")
    widths = {"LOGRECNO": 7, "P0010001": 9}
    with closing(read_bytes_of(table, _TABLE, widths, ("LOGRECNO", frozenset((record,))))) as chunks:
        for chunk in chunks:
            if len(chunk.fields["LOGRECNO"]):
                return int(_counts(table, chunk, "P0010001")[0])
    raise SourceError(f"{table}: has no record {record.decode()}; the header and the table are of different releases.")


def _check_state(table: CsvTable, chunk: Chunk, state: State) -> None:
    other = np.flatnonzero(chunk.fields["STUSAB"] != state.usps.encode())
    if other.size:
        seen = chunk.fields["STUSAB"][other[0]].decode()
        raise SourceError(f"{table}: holds records of {seen!r}; wanted {state.usps}. Fetch the file of {state.name}.")


def _check_total(table: CsvTable, found: int, total: int, what: str) -> None:
    if found != total:
        raise SourceError(
            f"{table}: {what} count{'s' if what.startswith('record') else ''} {found:,} people, its state record "
            f"{total:,}. The file is truncated or damaged: delete it and fetch it again."
        )


def _check_once(table: CsvTable, ordered: Numbers) -> None:
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        raise SourceError(
            f"{table}: block {ordered[twice[0]]:0{BLOCK_DIGITS}d} occurs twice ({twice.size} such); wanted once. "
            "Delete the file and fetch it again."
        )


def _joined(parts: list[Numbers]) -> Numbers:
    return np.concatenate(parts or [np.zeros(0, np.int64)])
