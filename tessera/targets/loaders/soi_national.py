"""IRS SOI Publication 1304, tables 1.4 and 2.5: the nation's returns by size of AGI, and the earned income credit.

Gives no figures of its own: it measures how the items of Historic Table 2 grew to the year after it, for `uprating`.
Table 1.4's classes are finer than those of Historic Table 2 and are added up to them. Money in thousands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tessera.errors import SourceError
from tessera.sources.workbook import Rows, read_xls
from tessera.targets.loaders.common import number, squash

FIRST_ROW = 8
# How many classes of table 1.4, in order, make up each class of Historic Table 2.
CLASSES_PER_BAND = (1, 2, 3, 3, 1, 1, 1, 1, 1, 5)
# Item of Historic Table 2 -> columns of table 1.4 with their sign, and the heading above the first of them.
_ITEMS: dict[str, tuple[tuple[tuple[int, int], ...], int, str]] = {
    "A00200": (((6, 1),), 5, "Total wages"),
    "A00300": (((20, 1),), 19, "Taxable interest"),
    "A00600": (((24, 1),), 23, "Ordinary dividends"),
    "A00650": (((26, 1),), 25, "Qualified dividends"),
    "A00900": (((32, 1), (34, -1)), 31, "Business or profession"),
    "A01000": (((36, 1), (38, 1), (40, -1)), 35, "Capital gain distributions"),
    "A01400": (((46, 1),), 45, "Taxable Individual Retirement"),
    "A01700": (((50, 1),), 47, "Pensions and annuities"),
    "A02300": (((84, 1),), 83, "Unemployment compensation"),
    "A02500": (((88, 1),), 85, "Social security benefits"),
    "A26270": (((68, 1), (70, -1), (72, 1), (74, -1)), 67, "Partnership"),
    "A04475": (((138, 1),), 137, "Qualified business"),
    "A05800": (((148, 1),), 147, "Income tax before credits"),
}


@dataclass(frozen=True)
class NationalTable:
    """Table 1.4 of a year: returns and AGI by class of Historic Table 2, and amounts of its items (thousands)."""

    year: int
    returns: tuple[float, ...]
    agi: tuple[float, ...]
    items: dict[str, float]


def read_table_1_4(path: Path, year: int) -> NationalTable:
    """Table 1.4 of a tax year.

    Raises:
        SourceError: another table or year, a heading that has moved, classes that do not add up.
    """
    rows = read_xls(path)
    _require_title(rows, path, "Table 1.4", year)
    total = rows[FIRST_ROW]
    if squash(total[0]) != "All returns, total":
        raise SourceError(
            f"{path}: row {FIRST_ROW + 1} reads {total[0]!r}; wanted 'All returns, total': the table has moved."
        )
    items = {}
    for item, (columns, heading_column, heading) in _ITEMS.items():
        seen = squash(rows[2][heading_column])
        if not seen.startswith(heading):
            raise SourceError(
                f"{path}: row 3, column {heading_column + 1} reads {seen!r}; wanted {heading!r} (for {item})."
            )
        items[item] = sum(sign * _cell(total, column, path) for column, sign in columns)
    returns, agi = _by_band(rows, 1, path), _by_band(rows, 2, path)
    if abs(sum(returns) - _cell(total, 1, path)) > 20 or abs(sum(agi) - _cell(total, 2, path)) > 20:
        raise SourceError(f"{path}: the classes of AGI do not add up to the first row; the table has moved.")
    return NationalTable(year, returns, agi, items)


def read_eitc(path: Path, year: int) -> tuple[float, float]:
    """Returns with, and amount (thousands) of, the earned income credit in table 2.5 of a tax year."""
    rows = read_xls(path)
    _require_title(rows, path, "Table 2.5", year)
    heading, total = squash(rows[3][9]), rows[8]
    if heading != "Total earned income credit" or squash(total[0]) != "Total":
        raise SourceError(
            f"{path}: column 10 reads {heading!r}; wanted 'Total earned income credit': the table has moved."
        )
    return _cell(total, 9, path), _cell(total, 10, path)


def _require_title(rows: Rows, path: Path, table: str, year: int) -> None:
    title = squash(rows[0][0]) if rows else ""
    if not title.startswith(table) or f"Tax Year {year}" not in title:
        raise SourceError(f"{path}: the title reads {title[:90]!r}; wanted {table} of tax year {year}.")


def _by_band(rows: Rows, column: int, path: Path) -> tuple[float, ...]:
    values, row = [], FIRST_ROW + 1
    for classes in CLASSES_PER_BAND:
        values.append(sum(_cell(rows[row + offset], column, path) for offset in range(classes)))
        row += classes
    return tuple(values)


def _cell(row: tuple[object, ...], column: int, path: Path) -> float:
    return number(row[column], path, f"row {squash(row[0])!r}, column {column + 1}")
