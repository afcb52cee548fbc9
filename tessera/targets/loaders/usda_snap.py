"""USDA FNS: SNAP households and benefits by state and fiscal year, from the zip of workbooks.

Reads member `FY24.xlsx` (states are blocks of twelve months below their name, in seven regional sheets). Figures by
state: `snap` (the year's cost, dollars) and household_count with snap > 0 (average of the months). Territories and
regional sums are left out. The twelve months must add up to the published `Total` of each block, and the blocks, with
Guam and the Virgin Islands, to the `US Summary`. Persons are not read: the engine counts whole units, whose members are
more than the participants, and has no participant among persons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.sources.workbook import Rows, read_xlsx, sheet
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import is_suppressed, number, read_zip_member, require_each_once

YEAR = 2024
REGIONS = ("NERO", "MARO", "SERO", "MWRO", "SWRO", "MPRO", "WRO")
_URL = "https://www.fns.usda.gov/sites/default/files/resource-files/snap-zip-fy69tocurrent-6.zip"
_HEADINGS = ("Household", "Persons")
_NATION = "US Summary"
_TERRITORIES = ("Guam", "Virgin Islands")
# Areas with a block grant in place of the programme: their months have no numbers.
_NO_PROGRAMME = ("Puerto Rico", "American Samoa", "Commonwealth of Northern Mariana Islands")
_MONTH = re.compile(r"(Oct|Nov|Dec|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep) [0-9]{4}")

Block = tuple[str, float, float]


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Two figures for each of the 51 states in a fiscal year.

    Raises:
        SourceError: no workbook of that year, another title or layout, a missing or repeated state or month, a
            suppressed month, months that do not add up to the total, states that do not add up to the nation.
    """
    member = f"FY{year % 100:02d}.xlsx"
    sheets = read_xlsx(read_zip_member(path, member), path / member)
    label = path / member
    found: list[Block] = []
    for region in REGIONS:
        found.extend(_blocks(sheet(sheets, region, label), label, region, year))
    names = {state.name: state.usps for state in states()}
    require_each_once([name for name, _, _ in found], [*names, *_TERRITORIES], label, "state or territory")
    nation = list(_blocks(sheet(sheets, _NATION, label), label, _NATION, year))
    _check_nation(found, nation, label)
    provenance = Provenance("usda_fns_snap", f"National Data Bank, {member}", _URL, f"FY {year}", year)
    blocks = {names[name]: (households, cost) for name, households, cost in found if name in names}
    return to_frame(_figures(blocks), provenance)


def _figures(blocks: dict[str, tuple[float, float]]) -> Iterator[Figure]:
    for state in states():
        households, cost = blocks[state.usps]
        yield Figure("state", state.usps, "snap", cost, "dollar")
        yield Figure("state", state.usps, "household_count", households, "household", (("snap", ">", 0),))


def _blocks(rows: Rows, label: Path, name: str, year: int) -> Iterator[Block]:
    """Average households and the year's cost of each block of twelve months in a sheet, regional sums left out."""
    _check_layout(rows, label, name, year)
    block, months = "", dict[str, tuple[float, float]]()
    for position, row in enumerate(rows[7:], start=8):
        first = str(row[0]).strip() if row[0] is not None else ""
        where = f"sheet {name}, row {position} ({block}, {first})"
        if first and row[1] is None and not _MONTH.fullmatch(first):
            block, months = first, {}
        elif block in _NO_PROGRAMME:
            continue
        elif _MONTH.fullmatch(first):
            if first in months:
                raise SourceError(f"{label}: {where}: the month is there twice.")
            if is_suppressed(row[1]) or is_suppressed(row[3]):
                raise SourceError(f"{label}: {where}: the month is suppressed; wanted households and cost.")
            months[first] = (number(row[1], label, where, minimum=0), number(row[3], label, where, minimum=0))
        elif first == "Total":
            households, cost = _checked_total(row, label, where, months)
            if block not in REGIONS:
                yield block, households, cost


def _check_layout(rows: Rows, label: Path, region: str, year: int) -> None:
    title = str(rows[1][0]) if len(rows) > 1 else ""
    if f"Fiscal Year {year}" not in title:
        raise SourceError(f"{label}: sheet {region}, row 2 reads {title!r}; wanted a table of fiscal year {year}.")
    if len(rows) < 8 or tuple(rows[6][1:3]) != _HEADINGS or str(rows[5][3]).strip() != "Cost":
        raise SourceError(f"{label}: sheet {region}: columns 2 to 4 of rows 6 and 7 are not Household, Persons, Cost.")


def _checked_total(
    row: tuple[object, ...], label: Path, where: str, months: dict[str, tuple[float, float]]
) -> tuple[float, float]:
    if len(months) != 12:
        raise SourceError(f"{label}: {where}: {len(months)} months above the total; wanted 12.")
    households = sum(of_month for of_month, _ in months.values()) / 12
    cost = sum(of_month for _, of_month in months.values())
    published_households, published_cost = number(row[1], label, where), number(row[3], label, where)
    # The published average has four decimals and the cost is in whole dollars, each month rounded.
    if abs(published_households - households) > 1 or abs(published_cost - cost) > 100:
        raise SourceError(
            f"{label}: {where}: the months give {households:.1f} households and {cost:.0f} dollars, "
            f"the total reads {published_households:.1f} and {published_cost:.0f}."
        )
    return households, cost


def _check_nation(found: list[Block], nation: list[Block], label: Path) -> None:
    if len(nation) != 1:
        raise SourceError(f"{label}: sheet {_NATION}: {len(nation)} blocks of months; wanted 1.")
    _, households, cost = nation[0]
    added_households = sum(of_state for _, of_state, _ in found)
    added_cost = sum(of_state for _, _, of_state in found)
    if abs(added_households - households) > 1 or abs(added_cost - cost) > 100:
        raise SourceError(
            f"{label}: the states and territories add up to {added_households:.1f} households and {added_cost:.0f} "
            f"dollars, {_NATION} reads {households:.1f} and {cost:.0f}."
        )
