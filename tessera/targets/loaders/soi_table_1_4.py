"""IRS SOI Publication 1304, table 1.4: sources of income, adjustments and tax items by size of AGI (nation).

Amounts and returns of every column with an engine variable of the same concept, for all returns and 19 classes; returns
and AGI themselves are in table 1.1. Reading notes:

- Capital gains are Schedule D's taxable net gain or loss with the distributions reported without it (Form 1040's line).
- `rental_income` is total rental and royalty (Schedule E, part I), `farm_rent_income` Form 4835, beside it.
- Social security is what filers report; unemployment compensation is what is taxable.
- Income tax before credits is the engine's: without the repayment of excess advance premium credits.

Left out, having no engine variable of the concept: total income, the parts of wages, total pensions (with rollovers),
rents and royalties apart, other income, net operating loss, health savings distributions, total adjustments (the engine
deducts losses there), reservists', moving and other adjustments, disaster loss, total itemised deductions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.targets.figures import Figure, to_frame
from tessera.targets.loaders.soi_concepts import (
    INCOME_HEADINGS,
    NOT_ITEMIZER,
    POSITIVE_AGI,
    Item,
    item_figures,
    net,
    plain,
)
from tessera.targets.loaders.soi_tables import ClassTable, publication_1304, read_class_table

# The tables of tax years 2020 and 2021 serve `growth_soi`; they name wages otherwise, and that of 2020 has partnerships
# and S corporations in one.
YEAR = 2023
SOURCE = "irs_soi_table_1_4"
_TOTAL = "All returns, total"
_GAIN, _LOSS = "Net income", "Net loss"
_SCHEDULE_D = "Sales of capital assets reported on Form 1040, Schedule D"
_DISTRIBUTIONS = "Capital gain distributions reported on Form 1040"
_OLD_WAGES = "Salaries and wages"
_TOGETHER = "Partnership and S corporation"
_PASS_THROUGH = ("partnership_income", "s_corp_income", "tax_unit_partnership_s_corp_income")
_SALES = "Sales of property other than capital assets"
_INCOME = {
    **INCOME_HEADINGS,
    "non_sch_d_capital_gains": _DISTRIBUTIONS,
    "taxable_ira_distributions": "Taxable Individual Retirement Arrangement (IRA) distributions",
    "taxable_pension_income": "Pensions and annuities / Taxable",
    "unemployment_compensation": "Unemployment compensation",
    "social_security": "Social security benefits / Total",
    "taxable_social_security": "Social security benefits / Taxable",
    "foreign_earned_income_exclusion": "Foreign-earned income exclusion",
    "gambling_winnings": "Gambling earnings",
    "debt_relief": "Cancellation of debt",
}
_ADJUSTMENTS = {
    "educator_expense_ald": "Educator expenses deduction",
    "health_savings_account_ald": "Health savings account deduction",
    "self_employment_tax_ald": "Deductible part of self-employment tax",
    "self_employed_pension_contribution_ald": "Payments to a Keogh plan",
    "self_employed_health_insurance_ald": "Self-employed health insurance deduction",
    "early_withdrawal_penalty": "Penalty on early withdrawal of savings",
    "alimony_expense_ald": "Alimony paid",
    "traditional_ira_deduction": "IRA payments",
    "student_loan_interest_ald": "Student loan interest deduction",
}
_TAX = {
    "qualified_business_income_deduction": "Qualified business income deduction",
    "taxable_income": "Taxable income",
    "alternative_minimum_tax": "Alternative minimum tax",
}
ITEMS: tuple[Item, ...] = (
    *(plain(variable, heading) for variable, heading in _INCOME.items()),
    *net(
        "total_self_employment_income", (f"Business or profession / {_GAIN}",), (f"Business or profession / {_LOSS}",)
    ),
    *net(
        "loss_limited_net_capital_gains",
        (_DISTRIBUTIONS, f"{_SCHEDULE_D} / Taxable net gain"),
        (f"{_SCHEDULE_D} / Taxable net loss",),
    ),
    *net("other_net_gain", (f"{_SALES} / Net gain",), (f"{_SALES} / Net loss",)),
    *net("rental_income", (f"Total rental and royalty / {_GAIN}",), (f"Total rental and royalty / {_LOSS}",)),
    *net("farm_rent_income", (f"Farm rental / {_GAIN}",), (f"Farm rental / {_LOSS}",)),
    *net("partnership_income", (f"Partnership / {_GAIN}",), (f"Partnership / {_LOSS}",)),
    *net("s_corp_income", (f"S corporation / {_GAIN}",), (f"S corporation / {_LOSS}",)),
    Item(
        "tax_unit_partnership_s_corp_income",
        (f"Partnership / {_GAIN}", f"S corporation / {_GAIN}"),
        (f"Partnership / {_LOSS}", f"S corporation / {_LOSS}"),
        counted="",
    ),
    *net("estate_income", (f"Estate and trust / {_GAIN}",), (f"Estate and trust / {_LOSS}",)),
    *net("farm_operations_income", (f"Farm / {_GAIN}",), (f"Farm / {_LOSS}",)),
    *(plain(variable, f"Statutory adjustments / {heading}") for variable, heading in _ADJUSTMENTS.items()),
    *(plain(variable, heading) for variable, heading in _TAX.items()),
    Item(
        "income_tax_before_credits",
        ("Income tax before credits",),
        ("Excess advance premium tax credit repayment",),
        counted="",
    ),
)
DEDUCTIONS: tuple[Item, ...] = (
    plain("basic_standard_deduction", "Basic standard deduction", NOT_ITEMIZER),
    # The engine gives the additional amount to whoever is old or blind; it is deducted by those who do not itemise.
    plain("additional_standard_deduction", "Additional standard deduction", NOT_ITEMIZER),
)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Items of a tax year by class of AGI.

    Raises:
        SourceError: another table or year, a heading or class that is not there, cells that do not add up.
    """
    table = read_class_table(path, "Table 1.4", year, _TOTAL)
    return to_frame(_figures(table), publication_1304(SOURCE, "1.4", year, "14ar"))


def _figures(table: ClassTable) -> Iterator[Figure]:
    yield from item_figures(table, _items(table))
    yield from item_figures(table, DEDUCTIONS, whole=(POSITIVE_AGI,))


def _items(table: ClassTable) -> Iterator[Item]:
    """The items, in the layout of the year."""
    for item in ITEMS:
        if item.variable == "irs_employment_income" and f"{_OLD_WAGES} / Amount" in table.cells:
            yield plain(item.variable, _OLD_WAGES)
        elif item.variable in _PASS_THROUGH and f"{_TOGETHER} / {_GAIN} / Amount" in table.cells:
            if item.variable == _PASS_THROUGH[-1]:
                yield Item(item.variable, (f"{_TOGETHER} / {_GAIN}",), (f"{_TOGETHER} / {_LOSS}",), counted="")
        else:
            yield item
