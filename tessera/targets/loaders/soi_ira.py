"""IRS SOI individual retirement arrangements, tables 5 and 6: contributions by age of the taxpayer (nation, 2022).

Table 5 has contributions to traditional plans, table 6 to Roth plans, from a match of the plans' Forms 5498 with Forms
1040: people on a filed return, hence filers. Figures: people who contribute and what they contribute, in all and by age
("15 under 20" is 15 <= age < 20). People without a known age are in the totals alone. Ages that SOI combined are one
class. Left out: contributions by size, whose sizes are that year's limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, squash
from tessera.targets.loaders.soi_columns import Bounds, Column, class_constraints, combined_spans
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import THOUSAND, URL, require_title
from tessera.targets.loaders.soi_workbook import Sheet, read_sheet

YEAR = 2022
_TOTAL, _UNKNOWN = "All taxpayers", "No age information"
_FIVE_YEARS: tuple[Bounds, ...] = tuple((age, age + 5) for age in range(15, 65, 5))
TRADITIONAL_AGES: tuple[Bounds, ...] = ((None, 15), *_FIVE_YEARS, (65, None))
ROTH_AGES: tuple[Bounds, ...] = ((None, 15), *_FIVE_YEARS, (65, 70), (70, None))
_OLDEST = {"65 and over", "70 or over"}
_FIRST_ROW, _HEADINGS, _NUMBERS = 7, 4, 6
_PEOPLE, _AMOUNT = 1, 2


def load_traditional(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Contributions to traditional plans (table 5)."""
    return _load(path, "Table 5", TRADITIONAL_AGES, "traditional_ira_contributions", year)


def load_roth(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Contributions to Roth plans (table 6)."""
    return _load(path, "Table 6", ROTH_AGES, "roth_ira_contributions", year)


def _load(path: Path, name: str, ages: tuple[Bounds, ...], variable: str, year: int) -> pd.DataFrame:
    """Figures of one table.

    Raises:
        SourceError: another table or year, ages or headings that are not there, cells that do not add up.
    """
    sheet = read_sheet(path)
    require_title(sheet.rows, path, name, year)
    _require_headings(sheet, path)
    _require_ages(sheet, ages, path)
    kind = variable.split("_", maxsplit=1)[0]
    number_of_table = name.removeprefix("Table ")
    provenance = Provenance(
        f"irs_soi_ira_{kind}",
        f"Individual retirement arrangements, table {number_of_table}",
        f"{URL}/{year % 100:02d}in{int(number_of_table):02d}ira.xlsx",
        f"Tax year {year}",
        year,
    )
    return to_frame(_figures(sheet, ages, variable, path), provenance)


def _figures(sheet: Sheet, ages: tuple[Bounds, ...], variable: str, path: Path) -> Iterator[Figure]:
    contributes: Constraint = (variable, ">", 0)
    wanted = (
        ("person_count", _PEOPLE, 1.0, "person", (FILER, contributes)),
        (variable, _AMOUNT, THOUSAND, "dollar", (FILER,)),
    )
    for counted, index, scale, unit, domain in wanted:
        column = _column(sheet, index, ages, path)
        yield Figure("national", "US", counted, column.total * scale, unit, domain)
        for bounds, value in column.classes():
            if value:
                yield Figure("national", "US", counted, value * scale, unit, domain + class_constraints(bounds, "age"))


def _column(sheet: Sheet, index: int, ages: tuple[Bounds, ...], path: Path) -> Column:
    rows = range(_FIRST_ROW, _FIRST_ROW + 2 + len(ages))
    total, unknown, *values = (
        number(sheet.rows[row][index], path, f"{squash(sheet.rows[row][0])}, column {index + 1}", minimum=0.0)
        for row in rows
    )
    if abs(unknown + sum(values) - total) > len(rows):
        raise SourceError(
            f"{path}: column {index + 1}: ages add up to {unknown + sum(values):.0f}, all taxpayers read {total:.0f}; "
            "a row has moved. Fetch the file again."
        )
    marked = frozenset(age for age in range(len(ages)) if (_FIRST_ROW + 2 + age, index) in sheet.combined)
    return Column(ages, total, tuple(values), combined_spans(tuple(values), marked))


def _require_headings(sheet: Sheet, path: Path) -> None:
    seen = [squash(sheet.rows[_HEADINGS - 1][_PEOPLE]), *(squash(cell) for cell in sheet.rows[_HEADINGS][1:3])]
    wanted = ["Total", "Number of taxpayers", "Amount"]
    if seen != wanted:
        raise SourceError(f"{path}: rows {_HEADINGS} and {_HEADINGS + 1} read {seen}; wanted {wanted}.")
    # The groups of columns have the same headings, but each column a number of its own.
    numbers = [squash(cell) for cell in sheet.rows[_NUMBERS][1:3]]
    if numbers != ["(1)", "(2)"]:
        raise SourceError(f"{path}: row {_NUMBERS + 1} numbers columns 2 and 3 {numbers}; wanted (1) and (2).")


def _require_ages(sheet: Sheet, ages: tuple[Bounds, ...], path: Path) -> None:
    seen = [squash(row[0]) for row in sheet.rows[_FIRST_ROW : _FIRST_ROW + 2 + len(ages)]]
    wanted = [_TOTAL, _UNKNOWN, *(_label(bounds) for bounds in ages)]
    if [("oldest" if label in _OLDEST else label) for label in seen] != wanted:
        raise SourceError(f"{path}: rows {_FIRST_ROW + 1} on read {seen}; wanted {wanted}. The table has changed.")


def _label(bounds: Bounds) -> str:
    lower, upper = bounds
    if lower is None:
        return f"Under {upper}"
    return "oldest" if upper is None else f"{lower} under {upper}"
