"""IRS SOI Publication 1304, table 4.3: the returns with the highest AGI, by percentile (nation).

The table gives each top share of returns ("1 percent", "5 percent", ...) with the AGI in dollars that it starts at.
Figures are for the slices between two such floors, which do not overlap, and for the rest below the last floor: the
differences of neighbouring rows. The universe is returns that are nobody's dependent's
(head_or_spouse_is_dependent_elsewhere == 0); totals of it are figures too. Items: returns, AGI, the incomes,
deductions, credits and tax with an engine variable of the same concept. Deductions are of returns with positive AGI, as
in tables 1.2 and 2.1.

Left out: gains subject to preferential rates, business with farm income, total adjustments, other taxes in the taxes
paid, unlimited deductions, total, business and minimum tax credits, percentages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, to_frame
from tessera.targets.loaders.common import number, squash
from tessera.targets.loaders.soi_columns import Bounds, Column
from tessera.targets.loaders.soi_concepts import ITEMIZER, NOT_ITEMIZER, POSITIVE_AGI, class_figures
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, columns_by_heading, publication_1304, require_title
from tessera.targets.loaders.soi_workbook import read_sheet

YEAR = 2023
SOURCE = "irs_soi_table_4_3"
SHARES = (0.001, 0.01, 0.1, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0)
_TOTAL = "All returns, total"
_RETURNS = "Number of returns"
_FLOOR = "Adjusted gross income floor on percentiles (whole dollars):"
_INDEPENDENT: Constraint = ("head_or_spouse_is_dependent_elsewhere", "==", 0)
# Engine variable -> heading, where the columns of returns count those above zero.
_COUNTED = {
    "irs_employment_income": "Total wages",
    "taxable_interest_income": "Taxable interest",
    "ordinary_dividend_income": "Ordinary dividends",
    "qualified_dividend_income": "Qualified dividends",
    "qualified_business_income_deduction": "Qualified business income deduction",
    "taxable_income": "Taxable income",
    "alternative_minimum_tax": "Alternative minimum tax",
    "foreign_tax_credit": "Tax credits / Foreign tax credit",
    "cdcc": "Tax credits / Credit for child and dependent care",
    "education_tax_credits": "Tax credits / Nonrefundable education credit",
    "savers_credit": "Tax credits / Retirement savings contribution credit",
    "non_refundable_ctc": "Tax credits / Nonrefundable child and other dependent tax credit",
    "income_tax_positive": "Total income tax",
}
_DEDUCTIONS = {
    "interest_deduction": "Itemized deductions / Total interest paid deduction",
    "charitable_deduction": "Itemized deductions / Total contributions deduction",
}
_PARTNERSHIP = "Partnership and S corporation"
_DIGITS_OF_A_SHARE = 3


@dataclass(frozen=True)
class _Percentiles:
    """The table: floors in dollars from the highest share down, and cells by heading, all returns first."""

    path: Path
    floors: tuple[float, ...]
    cells: dict[str, tuple[object, ...]]

    def column(self, heading: str, *, signed: bool = False) -> Column:
        """A column by slice, from the rest below the last floor up to the highest slice."""
        if heading not in self.cells:
            raise SourceError(f"{self.path}: no column with the heading {heading!r}; it may be another year's layout.")
        where = ("all returns", *(f"{share:g} percent" for share in SHARES))
        total, *top = (
            number(cell, self.path, f"{row}, column {heading!r}", minimum=None if signed else 0.0)
            for row, cell in zip(where, self.cells[heading], strict=True)
        )
        if not signed and sorted([*top, total]) != [*top, total]:
            raise SourceError(f"{self.path}: column {heading!r} does not rise from share to share; it has moved.")
        # Shares are cumulated from the highest returns down, whose gains, or losses, outweigh those of the rest.
        if min(total, *top) < 0 < max(total, *top):
            raise SourceError(
                f"{self.path}: column {heading!r} has cells below and above zero, {min(total, *top):.0f} and "
                f"{max(total, *top):.0f}; wanted one sign from share to share. Fetch the file again."
            )
        if not total:
            raise SourceError(f"{self.path}: column {heading!r} is zero for all returns; fetch the file again.")
        steps = [top[0], *(high - low for low, high in zip(top, [*top[1:], total], strict=True))]
        uppers = (None, *self.floors)
        lowers = (*self.floors, None)
        bounds: tuple[Bounds, ...] = tuple(zip(lowers, uppers, strict=True))
        return Column(bounds[::-1], total, tuple(steps[::-1]))


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Items of a tax year by slice of returns ordered by AGI.

    Raises:
        SourceError: another table or year, a share or heading that is not there, floors that do not fall.
    """
    table = _read(path, year)
    return to_frame(_figures(table), publication_1304(SOURCE, "4.3", year, "43ts"))


def _read(path: Path, year: int) -> _Percentiles:
    rows = read_sheet(path).rows
    require_title(rows, path, "Table 4.3", year)
    numbers, columns = columns_by_heading(rows, path)
    used = rows[numbers + 1 : numbers + 2 + len(SHARES)]
    labels = [squash(row[0]) for row in used]
    wanted = [_TOTAL, *(f"{share:g} percent" for share in SHARES)]
    if labels != wanted:
        raise SourceError(f"{path}: rows {numbers + 2} on read {labels}; wanted {wanted}.")
    cells = {heading: tuple(row[column] for row in used) for heading, column in columns.items()}
    floors = tuple(
        number(cell, path, f"{label}, AGI floor", minimum=1.0)
        for label, cell in zip(labels[1:], cells.get(_FLOOR, ("",) * len(labels))[1:], strict=True)
    )
    if sorted(set(floors), reverse=True) != list(floors):
        raise SourceError(f"{path}: the AGI floors {floors} do not fall from share to share.")
    _require_shares(_Percentiles(path, floors, cells))
    return _Percentiles(path, floors, cells)


def _require_shares(table: _Percentiles) -> None:
    """Each row's returns have to be its share of all returns."""
    total, *top = (number(cell, table.path, f"column {_RETURNS!r}") for cell in table.cells[_RETURNS])
    for share, returns in zip(SHARES, top, strict=True):
        if round(returns / total * 100, _DIGITS_OF_A_SHARE) != share:
            raise SourceError(
                f"{table.path}: {share:g} percent has {returns:.0f} of {total:.0f} returns; a row has moved."
            )


def _figures(table: _Percentiles) -> Iterator[Figure]:
    domain = (FILER, _INDEPENDENT)
    yield from class_figures("tax_unit_count", table.column(_RETURNS), domain)
    yield from class_figures(AGI, table.column("Adjusted gross income less deficit", signed=True), domain)
    for variable, heading in _COUNTED.items():
        yield from _pair(table, variable, heading, domain)
    gains = table.column("Sales of capital assets, net gain less loss / Amount", signed=True)
    yield from class_figures("loss_limited_net_capital_gains", gains, domain)
    # Losses of partnerships are published as negative amounts.
    shares = table.column(f"{_PARTNERSHIP} / Net income / Amount")
    shares += table.column(f"{_PARTNERSHIP} / Net loss / Amount", signed=True)
    yield from class_figures("tax_unit_partnership_s_corp_income", shares, domain)
    yield from _deductions(table, domain)


def _deductions(table: _Percentiles, domain: tuple[Constraint, ...]) -> Iterator[Figure]:
    itemizers = (*domain, ITEMIZER)
    returns = _from_one(table.column(f"Itemized deductions / Total / {_RETURNS}"))
    yield from class_figures("tax_unit_count", returns, itemizers, (POSITIVE_AGI,))
    for variable, heading in _DEDUCTIONS.items():
        yield from _pair(table, variable, heading, itemizers, positive_agi=True)
    yield from _pair(
        table, "standard_deduction", "Total standard deduction", (*domain, NOT_ITEMIZER), positive_agi=True
    )


def _pair(
    table: _Percentiles, variable: str, heading: str, domain: tuple[Constraint, ...], *, positive_agi: bool = False
) -> Iterator[Figure]:
    amounts, returns = table.column(f"{heading} / Amount"), table.column(f"{heading} / {_RETURNS}")
    whole: tuple[Constraint, ...] = ()
    if positive_agi:
        amounts, returns, whole = _from_one(amounts), _from_one(returns), (POSITIVE_AGI,)
    yield from class_figures(variable, amounts, domain, whole)
    yield from class_figures("tax_unit_count", returns, (*domain, (variable, ">", 0)), whole)


def _from_one(column: Column) -> Column:
    """The column with the rest starting at an AGI of 1."""
    rest, *others = column.bounds
    return Column(((1, rest[1]), *others), column.total, column.values, column.spans)
