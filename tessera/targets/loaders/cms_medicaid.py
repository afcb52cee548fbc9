"""CMS: Medicaid enrolment by state, from the monthly data set of applications and enrolment.

Figures: person_count with medicaid_enrolled == 1, December of the year, from the final ("Updated") reports. Rule: a
zero or blank month (Rhode Island, December 2024) takes the latest earlier month, at most six back, that has a number.
CHIP is not part of it. Never a dollar target: the engine spreads state outlays over whoever is loaded, so amounts do
not add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import is_suppressed, number, read_csv, require_columns, require_each_once

YEAR = 2024
_STATE, _PERIOD, _FINAL = "State Abbreviation", "Reporting Period", "Final Report"
_ENROLMENT = "Total Medicaid Enrollment"
_MONTHS_BACK = 6
_URL = "https://download.medicaid.gov/data/pi-dataset-april-2026-release.csv"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """One figure for each of the 51 states.

    Raises:
        SourceError: a missing column, no December of that year, a missing or repeated state, no usable month.
    """
    frame = read_csv(path)
    require_columns(frame, [_STATE, _PERIOD, _FINAL, _ENROLMENT], path)
    final = frame[frame[_FINAL] == "Y"]
    december = final[final[_PERIOD] == f"{year}12"]
    if december.empty:
        last = max(frame[_PERIOD], default="none")
        raise SourceError(f"{path}: no final report of {year}12; the last month is {last}. Fetch a later release.")
    require_each_once(december[_STATE], [state.usps for state in states()], path, "state")
    provenance = Provenance("cms_medicaid", "Total Medicaid enrollment, December", _URL, "April 2026 release", year)
    return to_frame(_figures(final, year, path), provenance)


def _figures(final: pd.DataFrame, year: int, path: Path) -> Iterator[Figure]:
    months = [f"{year}{month:02d}" for month in range(12, 12 - _MONTHS_BACK - 1, -1)]
    for state in states():
        of_state = final[final[_STATE] == state.usps].set_index(_PERIOD)[_ENROLMENT]
        value = _latest(of_state, months, path, state.usps)
        yield Figure("state", state.usps, "person_count", value, "person", (("medicaid_enrolled", "==", 1),))


def _latest(of_state: pd.Series[str], months: list[str], path: Path, usps: str) -> float:
    for month in months:
        cell = of_state.get(month)
        if cell is not None and not is_suppressed(cell):
            value = number(cell, path, f"{usps}, {month}", minimum=0)
            if value > 0:
                return value
    raise SourceError(f"{path}: {usps}: no enrolment above zero from {months[-1]} to {months[0]}.")
