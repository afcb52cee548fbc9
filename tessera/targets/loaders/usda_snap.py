"""USDA FNS: SNAP households and benefits by state and fiscal year, from the zip of workbooks.

Reads member `FY24.xlsx` (states are blocks of twelve months below their name, in seven regional sheets). Figures by
state: `snap` (the year's cost, dollars) and household_count with snap > 0 (average of the months). Territories and
regional sums are left out. The twelve months must add up to the published `Total` of each block.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import State, states
from tessera.sources.workbook import Rows, read_xlsx
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import is_suppressed, number, read_zip_member, require_each_once

YEAR = 2024
REGIONS = ("NERO", "MARO", "SERO", "MWRO", "SWRO", "MPRO", "WRO")
_URL = "https://www.fns.usda.gov/sites/default/files/resource-files/snap-zip-fy69tocurrent-6.zip"
_HEADINGS = ("Household", "Persons")


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Two figures for each of the 51 states in a fiscal year.

    Raises:
        SourceError: no workbook of that year, another title or layout, a missing or repeated state, a suppressed month,
            months that do not add up to the total.
    """
    member = f"FY{year % 100:02d}.xlsx"
    sheets = read_xlsx(read_zip_member(path, member), path / member)
    label = path / member
    found: list[tuple[State, float, float]] = []
    for region in REGIONS:
        if region not in sheets:
            raise SourceError(f"{label}: no sheet {region!r}; wanted {', '.join(REGIONS)}.")
        _check_layout(sheets[region], label, region, year)
        found.extend(_states_of(sheets[region], label, region))
    require_each_once([state.usps for state, _, _ in found], [state.usps for state in states()], label, "state")
    provenance = Provenance("usda_fns_snap", f"National Data Bank, {member}", _URL, f"FY {year}", year)
    return to_frame(_figures(found), provenance)


def _figures(found: list[tuple[State, float, float]]) -> Iterator[Figure]:
    for state, households, cost in sorted(found, key=lambda entry: entry[0].fips):
        yield Figure("state", state.usps, "snap", cost, "dollar")
        yield Figure("state", state.usps, "household_count", households, "household", (("snap", ">", 0),))


def _check_layout(rows: Rows, label: Path, region: str, year: int) -> None:
    title = str(rows[1][0]) if len(rows) > 1 else ""
    if f"Fiscal Year {year}" not in title:
        raise SourceError(f"{label}: sheet {region}, row 2 reads {title!r}; wanted a table of fiscal year {year}.")
    if len(rows) < 8 or tuple(rows[6][1:3]) != _HEADINGS or str(rows[5][3]).strip() != "Cost":
        raise SourceError(f"{label}: sheet {region}: columns 2 to 4 of rows 6 and 7 are not Household, Persons, Cost.")


def _states_of(rows: Rows, label: Path, region: str) -> Iterator[tuple[State, float, float]]:
    by_name = {state.name: state for state in states()}
    name, months = "", 0
    households = cost = 0.0
    for position, row in enumerate(rows[7:], start=8):
        first = str(row[0]).strip() if row[0] is not None else ""
        where = f"sheet {region}, row {position} ({name}, {first})"
        if first and row[1] is None:
            name, months, households, cost = first, 0, 0.0, 0.0
        elif first == "Total" and name in by_name:
            _check_total(row, label, where, (months, households, cost))
            yield by_name[name], households / months, cost
        elif first and name in by_name:
            if is_suppressed(row[1]) or is_suppressed(row[3]):
                raise SourceError(f"{label}: {where}: the month is suppressed; wanted households and cost.")
            months += 1
            households += number(row[1], label, where, minimum=0)
            cost += number(row[3], label, where, minimum=0)


def _check_total(row: tuple[object, ...], label: Path, where: str, sums: tuple[int, float, float]) -> None:
    months, households, cost = sums
    if months != 12:
        raise SourceError(f"{label}: {where}: {months} months above the total; wanted 12.")
    published_households, published_cost = number(row[1], label, where), number(row[3], label, where)
    # The published average has four decimals and the cost is in whole dollars, each month rounded.
    if abs(published_households - households / months) > 1 or abs(published_cost - cost) > 100:
        raise SourceError(
            f"{label}: {where}: the months give {households / months:.1f} households and {cost:.0f} dollars, "
            f"the total reads {published_households:.1f} and {published_cost:.0f}."
        )
