"""IRS SOI Publication 1304, table 2.1: returns with itemised deductions, their income and deductions (nation).

All figures are for filers that itemise (tax_unit_itemizes == 1), in all and in 22 classes of AGI. The table's returns
have positive AGI ("Under $5,000" equals table 1.2's "$1 under $5,000"), so totals are for AGI >= 1. Reading notes:

- Medical expenses before the limit are those of returns with the deduction.
- State and local taxes before the limit are without personal property taxes, as the engine's `salt` is.
- Itemised deductions are without other taxes and unlimited deductions (gambling and others), as the engine's sum is.
- Gifts of cash and of property are as reported, before the limits on the deduction.

Left out, having no engine variable of the concept: income and sales taxes apart, personal property and other taxes, the
parts of mortgage interest, carried over gifts, miscellaneous deductions other than gambling, total credits, income tax
after credits, and of the incomes those that table 1.4 leaves out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from tessera.targets.figures import Constraint, Figure, to_frame
from tessera.targets.loaders.soi_columns import Bounds
from tessera.targets.loaders.soi_concepts import (
    INCOME_HEADINGS,
    ITEMIZER,
    POSITIVE_AGI,
    Item,
    amount_only,
    class_figures,
    gain_or_loss,
    item_figures,
    plain,
)
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, ClassTable, publication_1304, read_class_table

YEAR = 2023
SOURCE = "irs_soi_table_2_1"
CLASSES: tuple[Bounds, ...] = (
    (None, 5_000), (5_000, 10_000), (10_000, 15_000), (15_000, 20_000), (20_000, 25_000), (25_000, 30_000),
    (30_000, 35_000), (35_000, 40_000), (40_000, 45_000), (45_000, 50_000), (50_000, 55_000), (55_000, 60_000),
    (60_000, 75_000), (75_000, 100_000), (100_000, 200_000), (200_000, 500_000), (500_000, 1_000_000),
    (1_000_000, 1_500_000), (1_500_000, 2_000_000), (2_000_000, 5_000_000), (5_000_000, 10_000_000),
    (10_000_000, None),
)  # fmt: skip
_FIRST_CLASS: Bounds = (1, 5_000)
_WITH_MEDICAL: Constraint = ("medical_expense_deduction", ">", 0)
_ALL = "Itemized deductions"
_MEDICAL = f"{_ALL} / Medical and dental expenses deduction"
_TAXES = f"{_ALL} / Taxes paid deduction"
_STATE_AND_LOCAL = f"{_TAXES} / Total state and local taxes"
_INTEREST = f"{_ALL} / Interest paid deduction"
_GIFTS = f"{_ALL} / Contributions deduction"
_INCOME = {
    **INCOME_HEADINGS,
    "taxable_ira_distributions": "Taxable Individual Retirement Arrangement (IRA) distributions",
    "taxable_pension_income": "Taxable pensions and annuities",
    "unemployment_compensation": "Unemployment compensation",
    "taxable_social_security": "Taxable Social Security benefits",
    "gambling_winnings": "Gambling earnings",
    "taxable_income": "Taxable income",
    "alternative_minimum_tax": "Alternative minimum tax",
    "income_tax_positive": "Total income tax",
}
_NET_INCOME = {
    "total_self_employment_income": "Business or profession net income less loss",
    "loss_limited_net_capital_gains": "Sales of capital assets, net gain less loss",
    "other_net_gain": "Sales of property other than capital assets, net gain less loss",
    "farm_rent_income": "Farm rental net income less loss",
    "tax_unit_partnership_s_corp_income": "Partnership and S corporation net income less loss",
    "estate_income": "Estate and trust net income less loss",
    "farm_operations_income": "Farm net income less loss",
}
_DEDUCTIONS = {
    "medical_expense_deduction": f"{_MEDICAL} / Total after subtracting AGI limitation",
    "state_and_local_sales_or_income_tax": (
        f"{_STATE_AND_LOCAL} / State and local income taxes or general sales taxes / Total"
    ),
    "real_estate_taxes": f"{_STATE_AND_LOCAL} / Real estate taxes",
    "salt_deduction": f"{_TAXES} / Limited state and local taxes",
    "interest_deduction": f"{_INTEREST} / Total",
    "deductible_mortgage_interest": f"{_INTEREST} / Total mortgage interest and points / Total",
    "investment_interest_expense": f"{_INTEREST} / Investment interest expense deduction",
    "charitable_deduction": f"{_GIFTS} / Total",
    "charitable_cash_donations": f"{_GIFTS} / Cash contributions",
    "charitable_non_cash_donations": f"{_GIFTS} / Other than cash contributions",
    "wagering_losses_deduction": f"{_ALL} / Unlimited miscellaneous deductions / Gambling loss deduction",
}
ITEMS: tuple[Item, ...] = (
    *(plain(variable, heading) for variable, heading in (_INCOME | _DEDUCTIONS).items()),
    *(gain_or_loss(variable, heading) for variable, heading in _NET_INCOME.items()),
    amount_only("itemized_medical_expenses", f"{_MEDICAL} / Total medical expenses", _WITH_MEDICAL),
    Item("rental_income", ("Total rental and royalty net income",), ("Total rental and royalty net loss",), counted=""),
    Item(
        "itemized_taxable_income_deductions",
        (f"{_ALL} / Total",),
        (f"{_TAXES} / Other taxes", f"{_ALL} / Unlimited miscellaneous deductions / Total"),
        counted="",
    ),
    Item("salt", (f"{_STATE_AND_LOCAL} / Total",), (f"{_STATE_AND_LOCAL} / Personal property taxes",), counted=""),
)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Income and deductions of itemisers of a tax year by class of AGI.

    Raises:
        SourceError: another table or year, a heading or class that is not there, cells that do not add up.
    """
    table = read_class_table(path, "Table 2.1", year, "All returns, total", CLASSES)
    table = replace(table, bounds=(_FIRST_CLASS, *CLASSES[1:]))
    return to_frame(_figures(table), publication_1304(SOURCE, "2.1", year, "21id"))


def _figures(table: ClassTable) -> Iterator[Figure]:
    domain, whole = (FILER, ITEMIZER), (POSITIVE_AGI,)
    yield from class_figures("tax_unit_count", table.column("Number of returns"), domain, whole)
    yield from class_figures(AGI, table.column("Adjusted gross income less deficit"), domain, whole)
    yield from item_figures(table, ITEMS, (ITEMIZER,), whole)
