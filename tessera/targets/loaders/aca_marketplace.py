"""CMS: marketplace consumers with advance payments of the premium tax credit (APTC), and the dollars, by state.

Reads the comma-separated member of the Open Enrollment state-level public use file of plan years 2022, 2024 and 2025:
HealthCare.gov states and state-based exchanges alike. Figures by state, both for tax units that take up coverage (the
engine's `aca_ptc` is also positive for filers who are eligible and buy no plan):

- person_count with aca_ptc > 0 and person_receives_aca == 1: consumers whose plan selection has APTC. The credit is an
  amount of the tax unit, so the second condition leaves out members on Medicaid, Medicare or an employer's plan.
- aca_ptc of units with such a member: consumers * average monthly APTC * 12, dollars. The average is published in whole
  dollars, which leaves the product uncertain by up to 0.15 %.

They are plan selections at the end of open enrollment, not effectuated coverage: some never pay, others come later in
the year (`aca_effectuated` has the average month of 2022). Basic Health Program enrolment, which has no credit, is
apart in the file and is not part of it. States must add up to the published total.

Documented gap: for 2022 Nevada reported no average, so it has no dollars of that year, and there is no total average.

Left out: consumers by metal level, cost-sharing reduction, age and income. The file has them for all consumers, with or
without APTC; the engine knows who takes the credit, and every unit's plan is silver unless the data say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, records, to_frame
from tessera.targets.loaders.common import number, read_zip_csv, require_columns, require_each_once

YEAR = 2024
SOURCE = "cms_marketplace"
CONSUMERS, WITH_APTC, AVERAGE = "Cnsmr", "APTC_Cnsmr", "APTC_Cnsmr_Avg_APTC"
_STATE, _PLATFORM = "State_Abrvtn", "Pltfrm"
_TOTAL, _EVERYWHERE = "Total", "All"
_MONTHS = 12
_NOT_REPORTED = "NR"
# States whose average CMS marks as not reported, by plan year. Such a year has no average of all states either.
_WITHOUT_AVERAGE = {2022: ("NV",)}
_RECEIVES = ("person_receives_aca", "==", 1.0)
_RECIPIENT = (("aca_ptc", ">", 0.0), _RECEIVES)


def member(year: int = YEAR) -> str:
    """Name of the table inside the zip file of a plan year."""
    return f"{year} OEP State-Level Public Use File.csv"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Two figures for each of the 51 states in a plan year.

    Args:
        path: the zip file of that year.
        year: plan year.

    Returns:
        Figures of the source `cms_marketplace`; other years than 2024 are a source each (`cms_marketplace_2022`).

    Raises:
        SourceError: no table of that year, a missing column, a missing, repeated or unknown state, a suppressed cell
            (`+`, `NR`), more consumers with APTC than consumers, states that do not add up to the total.
    """
    source = SOURCE if year == YEAR else f"{SOURCE}_{year}"
    url = f"https://www.cms.gov/files/zip/{year}-oep-state-level-public-use-file.zip"
    name = "OEP State-Level Public Use File, consumers with APTC"
    return to_frame(_figures(read(path, year)), Provenance(source, name, url, f"Plan year {year}, selections", year))


def read(path: Path, year: int = YEAR) -> dict[str, tuple[float, float | None]]:
    """By state: consumers with APTC, and average APTC in dollars a month (None: not reported). Raises as `load`."""
    table, label = read_zip_csv(path, member(year)), path / member(year)
    require_columns(table, [_STATE, _PLATFORM, CONSUMERS, WITH_APTC, AVERAGE], label)
    is_total = table[_STATE].str.strip() == _TOTAL
    of_states = table[~is_total].assign(**{_STATE: table[_STATE].str.strip()})
    require_each_once(of_states[_STATE], [state.usps for state in states()], label, "state")
    unreported = _WITHOUT_AVERAGE.get(year, ())
    found = {
        str(row[_STATE]): _read(row, label, f"state {row[_STATE]}", row[_STATE] in unreported)
        for row in records(of_states)
    }
    _check_total(table[is_total & (table[_PLATFORM].str.strip() == _EVERYWHERE)], found, label, bool(unreported))
    return found


def _figures(found: dict[str, tuple[float, float | None]]) -> Iterator[Figure]:
    for state in states():
        consumers, average = found[state.usps]
        yield Figure("state", state.usps, "person_count", consumers, "person", _RECIPIENT)
        if average is not None:
            yield Figure("state", state.usps, "aca_ptc", consumers * average * _MONTHS, "dollar", (_RECEIVES,))


def _read(row: dict[str, object], label: Path, where: str, unreported: bool) -> tuple[float, float | None]:
    """Consumers with APTC and their average monthly APTC, of one row."""
    everyone = number(row[CONSUMERS], label, f"{where}, column {CONSUMERS}", minimum=1)
    consumers = number(row[WITH_APTC], label, f"{where}, column {WITH_APTC}", minimum=1)
    if consumers > everyone:
        raise SourceError(
            f"{label}: {where}: {WITH_APTC} {consumers:.0f} is above {CONSUMERS} {everyone:.0f}; wanted a part of it. "
            "Fetch the file again."
        )
    if unreported and str(row[AVERAGE]).strip() == _NOT_REPORTED:
        return consumers, None
    return consumers, number(row[AVERAGE], label, f"{where}, column {AVERAGE}", minimum=1)


def _check_total(
    total: pd.DataFrame, found: dict[str, tuple[float, float | None]], label: Path, unreported: bool
) -> None:
    if len(total) != 1:
        raise SourceError(
            f"{label}: {len(total)} rows with {_STATE} {_TOTAL!r} and {_PLATFORM} {_EVERYWHERE!r}; wanted 1."
        )
    published, published_average = _read(records(total)[0], label, f"{_TOTAL}, {_EVERYWHERE}", unreported)
    consumers = sum(count for count, _ in found.values())
    average = sum(count * amount for count, amount in found.values() if amount is not None) / consumers
    # Averages are in whole dollars: theirs and ours may be half a dollar off each.
    differs = published_average is not None and abs(average - published_average) > 1
    if consumers != published or differs:
        raise SourceError(
            f"{label}: states add up to {consumers:.0f} consumers with APTC of {average:.2f} dollars a month; the "
            f"total reads {published:.0f} and {published_average}. Fetch the file again."
        )
