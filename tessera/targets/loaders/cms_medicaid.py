"""CMS: enrolment in Medicaid and CHIP by state, from the monthly data set of applications, eligibility and enrolment.

Figures by state for December of the year, from the final ("Updated") reports, all of them persons:

- person_count with medicaid_enrolled == 1: column Total Medicaid Enrollment (funded by Title XIX, comprehensive
  benefits).
- person_count with medicaid_enrolled == 1 and age >= 19: column Total Adult Medicaid Enrollment. CMS counts as a child
  who is under 19; a few states stretch it to 20 for part of their programme.
- person_count with has_chip_health_coverage_at_interview == 1: column Total CHIP Enrollment (funded by Title XXI). That
  variable is coverage at a point in time as the survey reports it, whichever way the state runs CHIP.

Why not `chip_enrolled`: a state may use CHIP funds for a separate programme, for a wider Medicaid, or both. CMS counts
both kinds in CHIP (Ohio has 241,124 and no separate programme); the engine has the separate kind in `chip_enrolled`
and the other in `medicaid_enrolled`. The data set does not split them, so no figure equals `chip_enrolled`, and the
Medicaid figure is short of the engine's concept by the children of a wider Medicaid.

Rule: where a state's December is zero, blank or withheld (Rhode Island, 2024: "unable to provide data"), all its
figures are of the latest earlier month, at most six back, that has the three numbers; a month between without a row is
an error, as the row may be lost. In the month used, Medicaid and CHIP must add up to their total, and so must
children and adults. Earlier years have no adults: where the column is blank in December for every state, the figures of
adults are left out. Never a dollar target: the engine spreads state outlays over whoever is loaded, so amounts do not
add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Constraint, Figure, Provenance, records, to_frame
from tessera.targets.loaders.common import is_suppressed, number, read_csv, require_columns, require_each_once

YEAR = 2024
SOURCE = "cms_medicaid"
_STATE, _PERIOD, _FINAL = "State Abbreviation", "Reporting Period", "Final Report"
_MEDICAID, _ADULTS, _CHIP = "Total Medicaid Enrollment", "Total Adult Medicaid Enrollment", "Total CHIP Enrollment"
_BOTH, _CHILDREN = "Total Medicaid and CHIP Enrollment", "Medicaid and CHIP Child Enrollment"
_COUNTS = (_MEDICAID, _ADULTS, _CHIP, _BOTH, _CHILDREN)
_ENROLLED: Constraint = ("medicaid_enrolled", "==", 1.0)
_DOMAINS: dict[str, tuple[Constraint, ...]] = {
    _MEDICAID: (_ENROLLED,),
    _ADULTS: (("age", ">=", 19.0), _ENROLLED),
    _CHIP: (("has_chip_health_coverage_at_interview", "==", 1.0),),
}
_MONTHS_BACK = 6
_URL = "https://download.medicaid.gov/data/pi-dataset-april-2026-release.csv"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Three figures for each of the 51 states (two before adults were printed).

    Raises:
        SourceError: a missing column, no December of that year, a missing or repeated state or month, no usable month,
            parts that do not add up to the published total.
    """
    frame = read_csv(path)
    require_columns(frame, [_STATE, _PERIOD, _FINAL, *_COUNTS], path)
    final = frame[frame[_FINAL] == "Y"]
    december = final[final[_PERIOD] == f"{year}12"]
    if december.empty:
        last = max(frame[_PERIOD], default="none")
        raise SourceError(f"{path}: no final report of {year}12; the last month is {last}. Fetch a later release.")
    require_each_once(december[_STATE], [state.usps for state in states()], path, "state")
    counted = [name for name in _DOMAINS if name != _ADULTS or not december[name].map(is_suppressed).all()]
    provenance = Provenance(SOURCE, "Medicaid and CHIP enrollment, December", _URL, "April 2026 release", year)
    return to_frame(_figures(final, year, counted, path), provenance)


def _figures(final: pd.DataFrame, year: int, counted: list[str], path: Path) -> Iterator[Figure]:
    months = [f"{year}{month:02d}" for month in range(12, 12 - _MONTHS_BACK - 1, -1)]
    wanted = final[final[_PERIOD].isin(months)]
    by_state = {usps: records(rows) for usps, rows in wanted.groupby(_STATE)}
    for state in states():
        found = _latest(by_state[state.usps], months, counted, path, state.usps)
        for column in counted:
            yield Figure("state", state.usps, "person_count", found[column], "person", _DOMAINS[column])


def _latest(
    of_state: list[dict[str, object]], months: list[str], counted: list[str], path: Path, usps: str
) -> dict[str, float]:
    """The counts of the latest month in which every counted column has a number above zero."""
    require_each_once([row[_PERIOD] for row in of_state], [row[_PERIOD] for row in of_state], path, f"{usps}, month")
    by_month = {str(row[_PERIOD]): row for row in of_state}
    for month in months:
        row = by_month.get(month)
        if row is None:
            raise SourceError(
                f"{path}: {usps}: no final report of {month}, wanted one for each month down to that with numbers. "
                "Fetch the file again."
            )
        if not any(_is_absent(row[column], path, f"{usps}, {month}") for column in counted):
            names = [*counted, _BOTH, _CHILDREN]
            counts = {name: number(row[name], path, f"{usps}, {month}, {name}", minimum=0) for name in names}
            _check_parts(counts, path, f"{usps}, {month}")
            return counts
    raise SourceError(f"{path}: {usps}: no enrolment above zero from {months[-1]} to {months[0]}.")


def _is_absent(cell: object, path: Path, where: str) -> bool:
    return is_suppressed(cell) or number(cell, path, where, minimum=0) == 0


def _check_parts(counts: dict[str, float], path: Path, where: str) -> None:
    for parts in ((_MEDICAID, _CHIP), (_CHILDREN, _ADULTS)):
        added = sum(counts.get(part, 0.0) for part in parts)
        if set(parts) <= set(counts) and added != counts[_BOTH]:
            raise SourceError(
                f"{path}: {where}: {' and '.join(parts)} add up to {added:.0f}; {_BOTH} reads {counts[_BOTH]:.0f}. "
                "Fetch the file again."
            )
