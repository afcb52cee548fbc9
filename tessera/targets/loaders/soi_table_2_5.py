"""IRS SOI Publication 1304, table 2.5: the earned income credit by size of AGI and number of children (nation).

For returns with the credit, in all and with no, one, two, and three or more qualifying children: returns, AGI and the
whole credit, in all and in 28 classes of AGI. Left out, having no engine variable of the concept: salaries and earned
income as the credit counts them, and what the credit offsets or refunds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, to_frame
from tessera.targets.loaders.soi_columns import Bounds, Column, describe
from tessera.targets.loaders.soi_concepts import class_figures
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, NO_AGI, ClassTable, publication_1304, read_class_table

YEAR = 2023
SOURCE = "irs_soi_table_2_5"
TOTAL_ROW = "Total"
_THOUSANDS: tuple[Bounds, ...] = tuple((lower, lower + 1_000) for lower in range(1_000, 20_000, 1_000))
_FIVE_THOUSANDS: tuple[Bounds, ...] = tuple((lower, lower + 5_000) for lower in range(20_000, 50_000, 5_000))
CLASSES: tuple[Bounds, ...] = (NO_AGI, (1, 1_000), *_THOUSANDS, *_FIVE_THOUSANDS, (50_000, None))
ALL = "All returns with earned income credit"
CREDIT = "Total earned income credit"
_WITH_CREDIT: Constraint = ("eitc", ">", 0)
_CHILDREN: dict[str, Constraint] = {
    "Returns with no qualifying children": ("eitc_child_count", "==", 0),
    "Returns with one qualifying child": ("eitc_child_count", "==", 1),
    "Returns with two qualifying children": ("eitc_child_count", "==", 2),
    "Returns with three or more qualifying children": ("eitc_child_count", ">=", 3),
}
# Heading of a column -> variable, and whether it may be negative.
_COLUMNS = {
    "Number of returns": ("tax_unit_count", False),
    "Adjusted gross income less deficit": (AGI, True),
    f"{CREDIT} / Amount": ("eitc", False),
}
_ROUNDING = 10.0


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Returns with the credit of a tax year, by number of children and class of AGI.

    Raises:
        SourceError: another table or year, a heading or class that is not there, cells that do not add up.
    """
    table = read_table(path, year)
    return to_frame(_figures(table), publication_1304(SOURCE, "2.5", year, "25ic"))


def read_table(path: Path, year: int) -> ClassTable:
    """The table of a tax year."""
    return read_class_table(path, "Table 2.5", year, TOTAL_ROW, CLASSES)


def _figures(table: ClassTable) -> Iterator[Figure]:
    for heading, (variable, signed) in _COLUMNS.items():
        whole = table.column(f"{ALL} / {heading}", signed=signed)
        parts = {group: table.column(f"{group} / {heading}", signed=signed) for group in _CHILDREN}
        _require_sum(whole, list(parts.values()), heading, table.path)
        # Whoever has no credit adds nothing to its amount.
        domain = (FILER,) if variable == "eitc" else (FILER, _WITH_CREDIT)
        yield from class_figures(variable, whole, domain)
        for group, column in parts.items():
            yield from class_figures(variable, column, (*domain, _CHILDREN[group]))


def _require_sum(whole: Column, parts: list[Column], heading: str, path: Path) -> None:
    missing = whole
    for part in parts:
        missing = missing - part
    for bounds, gap in [((None, None), missing.total), *missing.classes()]:
        if abs(gap) > _ROUNDING:
            raise SourceError(
                f"{path}: {heading!r}, AGI {describe(bounds)}: returns by number of children add up to {-gap:+.0f} "
                "beside all returns; a column has moved. Fetch the file again."
            )
