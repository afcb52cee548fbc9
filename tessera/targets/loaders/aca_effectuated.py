"""CMS: marketplace coverage that was paid for, average month of a year, by state: persons with APTC and the dollars.

Reads a sheet `Full Year {year}` of the workbook "Full Year Effectuated Enrollment" (2016 to 2023): title in row 1,
headings in row 2, three totals (all, HealthCare.gov, state-based), then a row a state. Figures by state, for the same
persons and units as `aca_marketplace`:

- person_count with aca_ptc > 0 and person_receives_aca == 1: APTC enrolment, persons in an average month.
- aca_ptc of units with such a member: APTC enrolment * average APTC * 12, dollars. CMS defines the average as the
  year's APTC over its APTC member months, so the product is what was paid in the year.

The workbook ends with 2023 and no agency prints 2024 by state with the credit. The figures are of 2022 because the
growth of credits by state is measured from that year (`marketplace_growth`); 2023 can be asked for. Left out:
enrolment with or without the credit (the KFF page has it, with 2024), cost-sharing reductions and premiums, which need
the plan that a unit chose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.sources.workbook import Rows, read_xlsx, sheet
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, require_each_once, squash

YEAR = 2022
SOURCE = "cms_effectuated"
_URL = "https://www.cms.gov/files/document/full-year-effectuated-enrollment.xlsx"
_STATE, _PLATFORM, _ALL, _WITH_APTC = "State", "Platform", "Total Enrollment", "APTC Enrollment"
_AVERAGE = "Average APTC per Month (for Consumers receiving APTC)"
_HEADINGS = {0: _STATE, 1: _PLATFORM, 2: _ALL, 3: _WITH_APTC, 8: _AVERAGE}
_TOTAL, _EVERYWHERE, _PLATFORMS = "TOTAL", "All", ("HC.gov", "SBM")
_MONTHS = 12
# Averages of states are printed in cents or whole dollars; the published total agrees within a cent.
_CENTS = 0.05
_RECEIVES = ("person_receives_aca", "==", 1.0)


@dataclass(frozen=True)
class Coverage:
    """A row of the sheet: platform, persons, persons with APTC, average APTC of these in dollars a month."""

    platform: str
    enrolment: float
    with_aptc: float
    average: float


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Two figures for each of the 51 states in a year.

    Raises:
        SourceError: no sheet of that year, another title or headings, a missing, repeated or unknown state, a
            suppressed cell, more persons with APTC than persons, states that do not add up to the totals.
    """
    table = f"Effectuated Enrollment, sheet {_sheet_name(year)}"
    return to_frame(_figures(read(path, year)), Provenance(SOURCE, table, _URL, f"{year}, average of months", year))


def read(path: Path, year: int = YEAR) -> dict[str, Coverage]:
    """Average month of a year by state. Raises as `load`."""
    rows = sheet(read_xlsx(path, path), _sheet_name(year), path)
    label = path / _sheet_name(year)
    _check_layout(rows, label, year)
    totals = [row for row in rows[2:] if squash(row[0]) == _TOTAL]
    of_states = [row for row in rows[2:] if squash(row[0]) not in (_TOTAL, "")]
    require_each_once([squash(row[0]) for row in of_states], [state.usps for state in states()], label, "state")
    found = {squash(row[0]): _read(row, label, f"state {squash(row[0])}") for row in of_states}
    require_each_once([squash(row[1]) for row in totals], [_EVERYWHERE, *_PLATFORMS], label, "total of platform")
    for row in totals:
        _check_total(_read(row, label, f"{_TOTAL} {squash(row[1])}"), found, label)
    return found


def _sheet_name(year: int) -> str:
    return f"Full Year {year}"


def _figures(found: dict[str, Coverage]) -> Iterator[Figure]:
    for state in states():
        row = found[state.usps]
        dollars = row.with_aptc * row.average * _MONTHS
        recipient = (("aca_ptc", ">", 0.0), _RECEIVES)
        yield Figure("state", state.usps, "person_count", row.with_aptc, "person", recipient)
        yield Figure("state", state.usps, "aca_ptc", dollars, "dollar", (_RECEIVES,))


def _check_layout(rows: Rows, label: Path, year: int) -> None:
    title = squash(rows[0][0]) if rows else ""
    if title != f"Full Year {year} Effectuated Enrollment":
        raise SourceError(f"{label}: row 1 reads {title!r}; wanted 'Full Year {year} Effectuated Enrollment'.")
    headings = rows[1] if len(rows) > 1 else ()
    for position, wanted in _HEADINGS.items():
        seen = squash(headings[position]) if position < len(headings) else ""
        if seen != wanted:
            raise SourceError(
                f"{label}: row 2, column {position + 1} reads {seen!r}; wanted {wanted!r}. The table has moved: fetch "
                "the stated workbook, or adapt the loader to the new one."
            )


def _read(row: tuple[object, ...], label: Path, where: str) -> Coverage:
    enrolment, with_aptc, average = (
        number(row[position], label, f"{where}, column {_HEADINGS[position]!r}", minimum=1) for position in (2, 3, 8)
    )
    if with_aptc > enrolment:
        raise SourceError(
            f"{label}: {where}: {_WITH_APTC} {with_aptc:.0f} is above {_ALL} {enrolment:.0f}; wanted a part of it. "
            "Fetch the file again."
        )
    return Coverage(squash(row[1]), enrolment, with_aptc, average)


def _check_total(total: Coverage, found: dict[str, Coverage], label: Path) -> None:
    rows = [row for row in found.values() if total.platform in (_EVERYWHERE, row.platform)]
    enrolment, with_aptc = sum(row.enrolment for row in rows), sum(row.with_aptc for row in rows)
    dollars = sum(row.with_aptc * row.average for row in rows)
    whole = total.platform == _EVERYWHERE
    # CMS rounds the average of HealthCare.gov states to dollars in some years; the average of all is in cents.
    if (enrolment, with_aptc) != (total.enrolment, total.with_aptc) or (
        whole and abs(dollars / with_aptc - total.average) > _CENTS
    ):
        raise SourceError(
            f"{label}: states of {total.platform} add up to {enrolment:.0f} persons, {with_aptc:.0f} with APTC of "
            f"{dollars / max(with_aptc, 1):.2f} dollars; the total reads {total.enrolment:.0f}, {total.with_aptc:.0f} "
            f"and {total.average:.2f}. Fetch the file again."
        )
