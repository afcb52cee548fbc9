"""KFF: persons with marketplace coverage that was paid for, average month of a year, by state, from CMS's reports.

Reads the page "Full Year Average Marketplace Effectuated Enrollment" as saved: an object in a script holds one table a
year (2017 to 2024), the nation and 51 states by name. One figure by state: person_count with
has_marketplace_health_coverage_at_interview == 1. That variable is coverage at a point in time as the survey reports
it, with or without a credit, and so is an average month. It stays as reported whatever the rules compute, so the figure
shows what the survey leaves out; `aca_marketplace` has what the rules decide, the persons who receive the credit.

Basic Health Programs (Minnesota, New York, Oregon from July 2024) are not marketplace coverage and not in it. States
must add up to the nation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, require_each_once, require_file, state_by_name

YEAR = 2024
SOURCE = "kff_effectuated"
_URL = "https://www.kff.org/affordable-care-act/state-indicator/full-year-average-marketplace-effectuated-enrollment/"
_MARK = '"gdocsObject":'
_HEADINGS = [["", "Total Effectuated Marketplace Enrollment"], ["", "Number"]]
_NATION = "United States"
_COVERED = (("has_marketplace_health_coverage_at_interview", "==", 1.0),)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """One figure for each of the 51 states in a year.

    Raises:
        SourceError: a page without the tables, no table of that year, other headings, a missing, repeated or unknown
            state, a blank cell, states that do not add up to the nation.
    """
    provenance = Provenance(SOURCE, "Marketplace effectuated enrollment", _URL, f"{year}, average of months", year)
    return to_frame(_figures(read(path, year)), provenance)


def read(path: Path, year: int = YEAR) -> dict[str, float]:
    """Persons with effectuated coverage in an average month of a year, by state. Raises as `load`."""
    rows = _table(path, year)
    if rows[:2] != _HEADINGS:
        raise SourceError(f"{path}: table {year}: headings are {rows[:2]}; wanted {_HEADINGS}.")
    ragged = next((position for position, row in enumerate(rows) if len(row) != 2), None)
    if ragged is not None:
        raise SourceError(f"{path}: table {year}, row {ragged + 1}: {rows[ragged]}; wanted a place and a number.")
    places = [str(place) for place, _ in rows[2:]]
    require_each_once(places, [_NATION, *(state.name for state in states())], path, f"place of {year}")
    found = {str(place): number(cell, path, f"table {year}, {place}", minimum=1) for place, cell in rows[2:]}
    nation = found.pop(_NATION)
    if sum(found.values()) != nation:
        raise SourceError(
            f"{path}: table {year}: states add up to {sum(found.values()):.0f}; {_NATION} reads {nation:.0f}. "
            "Fetch the page again."
        )
    return {state_by_name(name, path).usps: value for name, value in found.items()}


def _figures(found: dict[str, float]) -> Iterator[Figure]:
    for state in states():
        yield Figure("state", state.usps, "person_count", found[state.usps], "person", _COVERED)


def _table(path: Path, year: int) -> list[list[object]]:
    text = require_file(path).read_text(encoding="utf-8", errors="replace")
    start = text.find(_MARK)
    if start < 0:
        raise SourceError(f"{path}: no {_MARK} in the page; wanted the page with its tables. Save it from {_URL}.")
    try:
        tables, _ = json.JSONDecoder().raw_decode(text, start + len(_MARK))
        found = {str(name): rows for name, rows in tables}
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise SourceError(f"{path}: the tables after {_MARK} cannot be read ({error}); save the page again.") from error
    if str(year) not in found:
        raise SourceError(f"{path}: no table of {year}; the page has {', '.join(found)}. Save a later page.")
    rows = found[str(year)]
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise SourceError(f"{path}: table {year} is no list of rows; save the page again.")
    return rows
