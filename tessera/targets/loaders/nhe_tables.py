"""CMS national health expenditure tables: enrolment, employers' and households' premiums, marketplace credits.

Reads three workbooks of the zip "NHE Tables": 5-6 (private health insurance by sponsor) and 24 (employer-sponsored
insurance), where years are columns, amounts in billions; and 22 (enrolment), where years are rows, persons in millions.
Each holds levels first, then growth and shares under the same labels; only the levels are read. All are printed to one
decimal. Figures of the nation:

- health_insurance_premiums_without_medicare_part_b: households' contributions to employers' plans and to plans bought
  directly, net of credits (5-6). The engine's variable is what persons say they pay, payroll deductions included, for
  anything but Part B; premiums of Part D and Medicare Advantage, about 3 % of it, are not private insurance here.
- employer_sponsored_insurance_premiums: employers' contribution (24).
- aca_ptc of units that take up coverage: marketplace tax credits and subsidies (5-6).
- person_count with medicare_enrolled, with has_esi, with has_marketplace_health_coverage_at_interview == 1: persons
  enrolled in Medicare, in an employer's plan, in a marketplace plan, average of the year (22).

Left out: Medicaid and CHIP enrolment (with persons of limited benefits, and both kinds of CHIP; `cms_medicaid` has the
monthly count), Medigap and other plans bought directly, other public coverage and the uninsured, for which the engine
has no variable; premiums paid to the Medicare trust funds, which join Parts B and D.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.sources.workbook import Rows, read_xlsx
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_zip_member, squash

YEAR = 2024
SOURCE = "cms_nhe_tables"
_URL = "https://www.cms.gov/files/zip/nhe-tables.zip"
_AMOUNTS, _PERSONS = "Amount in Billions", "Enrollees in Millions"
_BILLION, _MILLION = 1e9, 1e6
_HEADING_ROWS = 6
_CREDITS = "Marketplace Tax Credits and Subsidies"
_ENROLLED = {
    "Medicare": "medicare_enrolled",
    "Employer Sponsored Insurance": "has_esi",
    "Marketplace": "has_marketplace_health_coverage_at_interview",
}


@dataclass(frozen=True)
class Table:
    """A workbook of the zip.

    Attributes:
        member: its name in the zip.
        title: what the first row starts with.
        whole: the line that the parts add up to.
        parts: lines.
        others: further lines that are read.
    """

    member: str
    title: str
    whole: str
    parts: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """Every line that is read, once."""
        return tuple(dict.fromkeys((self.whole, *self.parts, *self.others)))


SPONSORS = Table(
    "Table 05-6 Private Health Insurance by Sponsor.xlsx",
    "Table 5-6 Private Health Insurance by Sponsor",
    "Private Health Insurance",
    ("Private Business", "Households", "Federal Government", "State and Local Government"),
    (_CREDITS,),
)
EMPLOYERS = Table(
    "Table 24 Employer-Sponsored Private Health Insurance.xlsx",
    "Table 24 Employer-Sponsored Private Health Insurance",
    "Employer-Sponsored Private Health Insurance",
    (
        "Employer Contribution to Private Health Insurance Premiums",
        "Employee Contribution to Private Health Insurance Premiums",
    ),
)
ENROLMENT = Table(
    "Table 22 Health Insurance Enrollment and Uninsured.xlsx",
    "Health Insurance Enrollment and Uninsured; Number of Enrollees",
    "Total Direct Purchase",
    ("Other Direct Purchase", "Marketplace", "Medigap"),
    tuple(_ENROLLED),
)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Six figures of the nation.

    Raises:
        SourceError: a missing member, another title, unit or year, a missing or repeated line, a dash for a number,
            parts that do not add up.
    """
    sponsors, employers, enrolment = (
        _levels(_open(path, table), table, path / table.member, year) for table in (SPONSORS, EMPLOYERS, ENROLMENT)
    )
    figures = list(_figures(sponsors, employers, enrolment))
    return to_frame(figures, Provenance(SOURCE, "NHE Tables 5-6, 22, 24", _URL, "CY 1987-2024", year))


def _figures(sponsors: dict[str, float], employers: dict[str, float], enrolment: dict[str, float]) -> Iterator[Figure]:
    def dollars(variable: str, billions: float, *constraints: tuple[str, str, float]) -> Figure:
        return Figure("national", "US", variable, round(billions * _BILLION), "dollar", constraints)

    yield dollars("health_insurance_premiums_without_medicare_part_b", sponsors["Households"])
    yield dollars("employer_sponsored_insurance_premiums", employers[EMPLOYERS.parts[0]])
    yield dollars("aca_ptc", sponsors[_CREDITS], ("person_receives_aca", "==", 1.0))
    for heading, variable in _ENROLLED.items():
        persons = float(round(enrolment[heading] * _MILLION))
        yield Figure("national", "US", "person_count", persons, "person", ((variable, "==", 1.0),))


def _open(path: Path, table: Table) -> Rows:
    label = path / table.member
    sheets = read_xlsx(read_zip_member(path, table.member), label)
    rows = next(iter(sheets.values()), [])
    title = squash(rows[0][0]) if rows else ""
    if not title.startswith(table.title):
        raise SourceError(f"{label}: row 1 reads {title[:80]!r}; wanted {table.title!r}. Fetch the stated tables.")
    return rows


def _levels(rows: Rows, table: Table, label: Path, year: int) -> dict[str, float]:
    """The levels of a year by label without footnote marks; every label that the figures or sums need."""
    cells = _by_rows(rows, label, year) if table is ENROLMENT else _by_columns(rows, label, year)
    for name in table.lines:
        found = [cell for text, cell in cells if text == name]
        if len(found) != 1:
            raise SourceError(f"{label}: {len(found)} lines {name!r} among the levels; wanted 1. Has the table moved?")
    levels = {text: number(cell, label, f"{text}, {year}", minimum=0) for text, cell in cells if text in table.lines}
    added = sum(levels[part] for part in table.parts)
    # One decimal each: half a tenth for every part and for the whole.
    if abs(added - levels[table.whole]) > 0.05 * (len(table.parts) + 1) + 1e-9:
        raise SourceError(
            f"{label}: {', '.join(table.parts)} add up to {added:.1f} in {year}; {table.whole} reads "
            f"{levels[table.whole]:.1f}. Fetch the file again."
        )
    return levels


def _by_columns(rows: Rows, label: Path, year: int) -> list[tuple[str, object]]:
    """Label and cell of each line of levels of a table whose years are columns (headings in row 2)."""
    head = [squash(cell) for cell in rows[1]] if len(rows) > 1 else []
    if head.count(str(year)) != 1:
        raise SourceError(f"{label}: row 2 has {head.count(str(year))} columns {year}; wanted 1. Fetch later tables.")
    column = head.index(str(year))
    start = next((place for place, row in enumerate(rows[:_HEADING_ROWS]) if _AMOUNTS in map(squash, row)), None)
    if start is None:
        raise SourceError(f"{label}: no {_AMOUNTS!r} in the first {_HEADING_ROWS} rows; the unit may have changed.")
    body = rows[start + 1 :]
    length = next((place for place, row in enumerate(body) if not squash(row[0])), len(body))
    return [(_plain(row[0]), row[column]) for row in body[:length]]


def _by_rows(rows: Rows, label: Path, year: int) -> list[tuple[str, object]]:
    """Heading and cell of each column of levels of the table whose years are rows."""
    start = next((place for place, row in enumerate(rows[:_HEADING_ROWS]) if _PERSONS in map(squash, row)), None)
    if start is None or squash(rows[start - 1][0]) != "Year":
        raise SourceError(f"{label}: no {_PERSONS!r} below a row Year in the first {_HEADING_ROWS} rows: table moved.")
    body = rows[start + 1 :]
    # Growth follows under a title of its own, with the same years.
    length = next((place for place, row in enumerate(body) if not squash(row[0]).isdigit()), len(body))
    found = [row for row in body[:length] if squash(row[0]) == str(year)]
    if len(found) != 1:
        raise SourceError(f"{label}: {len(found)} rows {year} among the levels; wanted 1. Fetch later tables.")
    return list(zip(map(_plain, rows[start - 1]), found[0], strict=True))


def _plain(text: object) -> str:
    """A label without the footnote's number behind it."""
    return re.sub(r"(?<=[A-Za-z])\d$", "", squash(text))
