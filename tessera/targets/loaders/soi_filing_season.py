"""IRS filing season statistics, table 1 through week 47: returns of tax year 2024 by size of AGI (nation).

Counts of all returns of the tax year that were processed by 20 November 2025, as filed: some percent fewer than the
sample of Publication 1304 will count in the end, and not edited as that one is. Rows are items, columns classes of AGI;
money in thousands. Amounts and returns of each item with an engine variable of the same concept. Reading notes:

- Unlike Publication 1304, deductions are counted on returns without AGI too.
- Income tax after nonrefundable credits, without the repayment of excess advance premium credits and with the net
  investment income tax, is the engine's `income_tax_before_refundable_credits`; before credits likewise.
- Both child tax credits together are `ctc_value`, what is used of the whole credit.
- Gains and losses are in one row; returns have either.

Left out: total income, Schedule E (several variables in one), total adjustments and deductions, personal property,
other and total taxes paid, casualty losses, other deductions, premium credits paid in advance, repaid or net, total
credits, liability, payments, balances and penalties.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.sources.workbook import Rows
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import squash
from tessera.targets.loaders.soi_columns import Bounds
from tessera.targets.loaders.soi_concepts import (
    ITEMIZER,
    NOT_ITEMIZER,
    Item,
    amount_only,
    class_figures,
    gain_or_loss,
    item_figures,
    plain,
)
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, URL, ClassTable, require_classes, require_title
from tessera.targets.loaders.soi_tables import CLASSES as ANNUAL_CLASSES
from tessera.targets.loaders.soi_workbook import read_sheet

YEAR = 2024
SOURCE = "irs_filing_season"
_WEEK = "Cycle 47"
_VINTAGE = "Tax year 2024, returns processed by 20 November 2025 (week 47)"
CLASSES: tuple[Bounds, ...] = (
    *ANNUAL_CLASSES[:12], (200_000, 250_000), (250_000, 500_000), (500_000, 1_000_000), (1_000_000, None),
)  # fmt: skip
_RETURNS, _AMOUNT = "Number of returns", "Amount"
_HEADINGS = 3
_FOOTNOTE = re.compile(r"\s*\[\d+\]")
_INCOME = {
    "irs_employment_income": "Total wages",
    "taxable_interest_income": "Taxable interest",
    "ordinary_dividend_income": "Ordinary dividends",
    "qualified_dividend_income": "Qualified dividends",
    "salt_refund_income": "State and local income tax refunds",
    "taxable_ira_distributions": "Taxable income from Individual Retirement Arrangement (IRA)",
    "taxable_pension_income": "Taxable income from pensions, and annuities",
    "taxable_social_security": "Taxable social security benefits",
    "unemployment_compensation": "Unemployment compensation",
    "educator_expense_ald": "Educator expenses",
    "self_employed_pension_contribution_ald": "Self-employed (Keogh) retirement plans",
    "self_employed_health_insurance_ald": "Self-employed health insurance deduction",
    "traditional_ira_deduction": "Individual retirement arrangement payments",
    "student_loan_interest_ald": "Student loan interest deduction",
}
_NET = {
    "loss_limited_net_capital_gains": "Net capital gains / losses",
    "total_self_employment_income": "Business net income / loss (Schedule C)",
    "farm_operations_income": "Farm income / losses (Schedule F)",
}
_STANDARD = {
    "standard_deduction": "Total standard deduction",
    "basic_standard_deduction": "Basic standard deduction",
    "additional_standard_deduction": "Additional standard deduction",
}
_TAX = {
    "qualified_business_income_deduction": "Qualified business income deduction",
    "taxable_income": "Taxable income",
    "alternative_minimum_tax": "Alternative minimum tax",
    "non_refundable_ctc": "Nonrefundable child tax credit and/or credit for other dependents",
    "foreign_tax_credit": "Foreign tax credit",
    "cdcc": "Nonrefundable child and dependent care credit",
    "education_tax_credits": "Nonrefundable education credit",
    "savers_credit": "Retirement savings contributions credit",
    "aca_ptc": "Total premium tax credit",
    "self_employment_tax": "Self-employment tax",
    "additional_medicare_tax": "Total additional Medicare tax",
    "net_investment_income_tax": "Net investment income tax",
    "refundable_ctc": "Refundable child tax credit or additional child tax credit",
    "eitc": "Earned income credit",
    "refundable_american_opportunity_credit": "Refundable education credit",
}
_CHILD_CREDITS = (_TAX["non_refundable_ctc"], _TAX["refundable_ctc"])
_REPAYMENT = "Excess advance premium tax credit repayment"
ITEMS: tuple[Item, ...] = (
    *(plain(variable, heading) for variable, heading in _INCOME.items()),
    *(gain_or_loss(variable, heading) for variable, heading in _NET.items()),
    *(plain(variable, heading, NOT_ITEMIZER) for variable, heading in _STANDARD.items()),
    amount_only("salt_deduction", "State and local taxes deduction after limitation", ITEMIZER),
    plain("charitable_deduction", "Total charitable contributions deduction", ITEMIZER),
    *(plain(variable, heading) for variable, heading in _TAX.items()),
    Item("ctc_value", _CHILD_CREDITS, counted=""),
    Item("income_tax_before_credits", ("Income tax before credits",), (_REPAYMENT,), counted=""),
    Item(
        "income_tax_before_refundable_credits",
        ("Income tax after non-refundable credits", "Net investment income tax"),
        (_REPAYMENT,),
        counted="",
    ),
)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Items of the tax year by class of AGI.

    Raises:
        SourceError: another table, year or week, an item or class that is not there, cells that do not add up.
    """
    table = _read(path, year)
    url = f"{URL}/{(year + 1) % 100:02d}inweek47.xlsx"
    provenance = Provenance(SOURCE, "Filing season statistics, table 1", url, _VINTAGE, year)
    return to_frame(_figures(table), provenance)


def _figures(table: ClassTable) -> Iterator[Figure]:
    yield from class_figures("tax_unit_count", table.column("All returns"), (FILER,))
    yield from class_figures(AGI, table.column("Adjusted gross income", signed=True), (FILER,))
    itemizers = table.column(f"Total itemized deductions / {_RETURNS}")
    yield from class_figures("tax_unit_count", itemizers, (FILER, ITEMIZER))
    yield from item_figures(table, ITEMS)


def _read(path: Path, year: int) -> ClassTable:
    sheet = read_sheet(path)
    rows = sheet.rows
    require_title(rows, path, "Table 1", year)
    if _WEEK not in squash(rows[0][0]):
        raise SourceError(f"{path}: the title reads {squash(rows[0][0])!r}; wanted the table through {_WEEK}.")
    if len(rows) <= _HEADINGS or squash(rows[_HEADINGS][1]) != "Total returns":
        raise SourceError(f"{path}: row {_HEADINGS + 1}, column 2 is not 'Total returns'; the table has moved.")
    last = 2 + len(CLASSES)
    require_classes(rows[_HEADINGS][2:last], CLASSES, path, f"row {_HEADINGS + 1}")
    index_of = _rows_by_item(rows, path)
    cells = {heading: tuple(rows[index][1:last]) for heading, index in index_of.items()}
    combined = {
        heading: frozenset(place for place in range(len(CLASSES)) if (index, 2 + place) in sheet.combined)
        for heading, index in index_of.items()
    }
    return ClassTable(path, CLASSES, cells, combined)


def _rows_by_item(rows: Rows, path: Path) -> dict[str, int]:
    """Row of each item's returns ("Total wages / Number of returns") and amount, and of single rows."""
    found: dict[str, int] = {}
    item = ""
    for index, row in enumerate(rows[_HEADINGS + 1 :], start=_HEADINGS + 1):
        label = _FOOTNOTE.sub("", squash(row[0]))
        name, _, kind = label.rpartition(": ")
        if kind == _RETURNS:
            item = name
        if label == _AMOUNT and not item:
            raise SourceError(f"{path}: row {index + 1} reads 'Amount' and no item is above it; a row is missing.")
        heading = f"{name or item} / {kind}" if kind in {_RETURNS, _AMOUNT} else label
        if kind == _AMOUNT:
            item = ""
        if heading in found:
            raise SourceError(f"{path}: row {index + 1}: {heading!r} is there twice; the table has changed.")
        if len(row) > 1 and isinstance(row[1], int | float | str) and heading:
            found[heading] = index
    return found
