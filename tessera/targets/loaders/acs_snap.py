"""ACS subject table S2201 by district: households, and those that received SNAP in the past twelve months.

Reads the JSON answer of the Census API. Columns `S2201_Ccc_rrrE`: cc is 01 for all households, 03 for those with SNAP,
05 for those without. Figures, in households: household_count in all, with a person of 60 or more (row 002), with a
person under 18 (009), with a person with a disability (023) and with a Hispanic householder (032); each also with
snap > 0. A household qualifies if one of its members meets all constraints; where a household holds two SPM units, its
SNAP and its child may be in different ones, which the survey counts and such a constraint does not.

Not loaded, because the rules engine has no such concept: types of family (rows 004 to 008 and their like), poverty by
the official measure (021, 022; the engine's is the SPM), other races (the survey's "some other race" is not asked for
in the microdata), median income (034) and workers of families (035 to 038). Households without a 60-year-old, a child
or a disability are the rest of the total, and are held against it.

The survey finds fewer recipients than the administrative records: `reconcile` scales the districts of a state to its
caseload.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, Provenance, records, to_frame
from tessera.targets.loaders.acs_places import read_places
from tessera.targets.loaders.common import number

YEAR = 2024
SOURCE = "census_acs_s2201"
_URL = "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S2201)&for=congressional%20district:*&in=state:*"
_ALL, _WITH, _WITHOUT = "01", "03", "05"
_SNAP: Constraint = ("snap", ">", 0)


@dataclass(frozen=True)
class Item:
    """A row of the table: its number, that of the row that holds all other households, and what the engine calls it."""

    row: int
    others: int | None
    constraints: tuple[Constraint, ...]


ITEMS = (
    Item(1, None, ()),
    Item(2, 3, (("age", ">=", 60),)),
    Item(9, 15, (("age", "<", 18),)),
    Item(23, 24, (("is_disabled", "==", 1),)),
    Item(32, None, (("is_household_head", "==", 1), ("is_hispanic", "==", 1))),
)


def column(kind: str, row: int) -> str:
    """Column of an estimate: kind `01` (all), `03` (with SNAP) or `05` (without), and row of the table."""
    return f"S2201_C{kind}_{row:03d}E"


def load(path: Path) -> pd.DataFrame:
    """Ten figures for each of the 436 districts.

    Raises:
        SourceError: a missing column, a missing or repeated district, a suppressed cell, households with and without
            SNAP, or with and without a characteristic, that do not add up.
    """
    rows = [row for item in ITEMS for row in (item.row, item.others) if row is not None]
    frame = read_places(path, "district", [column(kind, row) for row in rows for kind in (_ALL, _WITH, _WITHOUT)], YEAR)
    provenance = Provenance(SOURCE, "S2201 district", _URL, "ACS 2024 1-year, 119th Congress", YEAR)
    return to_frame(_figures(frame, path), provenance)


def _figures(frame: pd.DataFrame, path: Path) -> Iterator[Figure]:
    for cells in records(frame):
        place = str(cells["geo_id"])
        total, total_with = _counts(cells, 1, place, path)
        for item in ITEMS:
            households, recipients = _counts(cells, item.row, place, path)
            if item.others is not None:
                rest, rest_with = _counts(cells, item.others, place, path)
                _check_parts((households, rest, total), (item.row, item.others), place, path)
                _check_parts((recipients, rest_with, total_with), (item.row, item.others), place, path)
            yield Figure("district", place, "household_count", households, "household", item.constraints)
            yield Figure("district", place, "household_count", recipients, "household", (*item.constraints, _SNAP))


def _counts(cells: dict[str, str], row: int, place: str, path: Path) -> tuple[float, float]:
    """Households of a row: in all and with SNAP."""
    households, recipients, others = (
        number(cells[column(kind, row)], path, f"{place}, {column(kind, row)}", minimum=0)
        for kind in (_ALL, _WITH, _WITHOUT)
    )
    if recipients + others != households:
        raise SourceError(
            f"{path}: {place}, row {row:03d}: {recipients:.0f} households with SNAP and {others:.0f} without it, "
            f"{households:.0f} in all; wanted their sum."
        )
    return households, recipients


def _check_parts(counts: tuple[float, float, float], rows: tuple[int, int], place: str, path: Path) -> None:
    part, rest, total = counts
    if part + rest != total:
        raise SourceError(
            f"{path}: {place}: rows {rows[0]:03d} and {rows[1]:03d} have {part:.0f} and {rest:.0f} households of "
            f"{total:.0f}; the rows of the table may have moved: fetch S2201 of 2024."
        )
