"""IRS SOI Publication 1304, table 1.2: returns, AGI, deductions and tax by size of AGI and filing status (nation).

Filing status in the engine's yes-or-no variables, as figures hold numbers: head of household; and neither joint, nor
surviving spouse, nor head, which is the table's married filing separately and single together. Joint returns and
surviving spouses are one group in the table and no conjunction of such variables: all returns less the two give them.
For the two statuses: returns, AGI, itemisers, standard deduction, taxable income and total income tax. For all returns:
itemisers and standard deduction (the rest is in tables 1.1 and 1.4). SOI counts deductions only on returns with
positive AGI. Left out: total itemised deductions (gambling and other losses are no part of the engine's sum), income
tax after credits.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, to_frame
from tessera.targets.loaders.soi_columns import Column, describe
from tessera.targets.loaders.soi_concepts import ITEMIZER, NOT_ITEMIZER, POSITIVE_AGI, class_figures
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, ClassTable, publication_1304, read_class_table

YEAR = 2023
SOURCE = "irs_soi_table_1_2"
_TOTAL = "All returns, total"
_ALL = "All returns"
_JOINT = "Returns of married persons filing jointly and returns of surviving spouses"
_SEPARATE = "Returns of married persons filing separately"
_HEAD = "Returns of heads of households"
_SINGLE = "Returns of single persons"
_IS_HEAD: Constraint = ("head_of_household_eligible", "==", 1)
_UNMARRIED: tuple[Constraint, ...] = (
    ("tax_unit_is_joint", "==", 0),
    ("surviving_spouse_eligible", "==", 0),
    ("head_of_household_eligible", "==", 0),
)
# Groups of columns that make up a status, and its constraints.
STATUSES: tuple[tuple[tuple[str, ...], tuple[Constraint, ...]], ...] = (
    ((_HEAD,), (FILER, _IS_HEAD)),
    ((_SEPARATE, _SINGLE), (FILER, *_UNMARRIED)),
)
_PARTS = (_JOINT, _SEPARATE, _HEAD, _SINGLE)
_POSITIVE = {"Taxable income": "taxable_income", "Total income tax": "income_tax_positive"}
_RETURNS = "Number of returns"
_AGI_HEADING = "Adjusted gross income less deficit"
_ROUNDING = 10.0


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Returns, AGI, deductions and tax of a tax year by class of AGI and filing status.

    Raises:
        SourceError: another table or year, a heading or class that is not there, classes that do not add up to all
            returns, statuses that do not add up to all of them.
    """
    table = read_class_table(path, "Table 1.2", year, _TOTAL)
    return to_frame(_figures(table), publication_1304(SOURCE, "1.2", year, "12ms"))


def _figures(table: ClassTable) -> Iterator[Figure]:
    yield from _deductions(table, (_ALL,), (FILER,))
    for groups, domain in STATUSES:
        yield from class_figures("tax_unit_count", _added(table, groups, _RETURNS), domain)
        yield from class_figures(AGI, _added(table, groups, _AGI_HEADING, signed=True), domain)
        yield from _deductions(table, groups, domain)
        for heading, variable in _POSITIVE.items():
            yield from class_figures(variable, _added(table, groups, f"{heading} / Amount"), domain)
            counts = _added(table, groups, f"{heading} / {_RETURNS}")
            yield from class_figures("tax_unit_count", counts, (*domain, (variable, ">", 0)))


def _deductions(table: ClassTable, groups: tuple[str, ...], domain: tuple[Constraint, ...]) -> Iterator[Figure]:
    itemizers = _added(table, groups, f"Total itemized deductions / {_RETURNS}")
    yield from class_figures("tax_unit_count", itemizers, (*domain, ITEMIZER), (POSITIVE_AGI,))
    others = (*domain, NOT_ITEMIZER)
    amounts = _added(table, groups, "Standard deduction / Amount")
    yield from class_figures("standard_deduction", amounts, others, (POSITIVE_AGI,))
    counts = _added(table, groups, f"Standard deduction / {_RETURNS}")
    yield from class_figures("tax_unit_count", counts, (*others, ("standard_deduction", ">", 0)), (POSITIVE_AGI,))


def _added(table: ClassTable, groups: tuple[str, ...], heading: str, *, signed: bool = False) -> Column:
    """The sum of some groups' columns, once all four are known to add up to all returns."""
    of_group = {group: table.column(f"{group} / {heading}", signed=signed) for group in (_ALL, *_PARTS)}
    missing = of_group[_ALL] - reduce(operator.add, (of_group[group] for group in _PARTS))
    for bounds, gap in [((None, None), missing.total), *missing.classes()]:
        if abs(gap) > _ROUNDING:
            raise SourceError(
                f"{table.path}: {heading!r}, AGI {describe(bounds)}: the four filing statuses add up to {-gap:+.0f} "
                "beside all returns; a column has moved. Fetch the file again."
            )
    return reduce(operator.add, (of_group[group] for group in groups))
