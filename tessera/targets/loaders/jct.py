"""JCT: tax expenditures of 2024, as the revenue gained if a provision were repealed (nation, dollars).

Reads the transcription of JCX-48-24 (columns tax_expenditure, jct_line_label, individual_revenue_loss_2024 in dollars).
A figure is on `income_tax` with `reform` naming the engine variable that the repeal neutralises: value = weighted
(income_tax without the variable - income_tax).
Lines that measure more than their variable are not read: the exclusions of pension plans and retirement accounts (with
the income inside them), health savings accounts (with contributions through employers), the credit for child care (with
the exclusion of employers' care). JCT's estimates of the 2025 law (JCX-35-25: tips, overtime) start with tax year 2025
and are no figures of 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once, squash

YEAR = 2024


@dataclass(frozen=True)
class Provision:
    """A line of the transcription: its name, how JCT's own label begins, and the engine variable of the provision."""

    name: str
    label: str
    variable: str


PROVISIONS = (
    Provision("salt_deduction", "Taxes paid deduction", "salt_deduction"),
    Provision("medical_expense_deduction", "Medical expenses deduction", "medical_expense_deduction"),
    Provision("charitable_deduction", "Charitable contributions, other than education", "charitable_deduction"),
    Provision("deductible_mortgage_interest", "Deductibility of mortgage interest", "deductible_mortgage_interest"),
    Provision(
        "qualified_business_income_deduction",
        "20-percent deduction for qualified business income",
        "qualified_business_income_deduction",
    ),
    # The deduction covers premiums for long-term care in the law, in JCT's line and in the engine.
    Provision(
        "self_employed_health_insurance_deduction",
        "Deduction for health insurance premiums and long-term care insurance premiums by the self-employed",
        "self_employed_health_insurance_ald",
    ),
    Provision(
        "student_loan_interest_deduction", "Deduction for interest on student loans", "student_loan_interest_ald"
    ),
)
_URL = "https://www.jct.gov/publications/2024/jcx-48-24/"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """A national figure for each of `PROVISIONS`.

    Raises:
        SourceError: no column of that year, a missing or repeated provision, one with another line of JCT's, a cell
            that is no number.
    """
    frame = read_csv(path)
    column = f"individual_revenue_loss_{year}"
    require_columns(frame, ["tax_expenditure", "jct_line_label", column], path)
    wanted = {provision.name: provision for provision in PROVISIONS}
    chosen = frame[frame["tax_expenditure"].isin(wanted)]
    require_each_once(chosen["tax_expenditure"], wanted, path, "tax expenditure")
    cells = {row["tax_expenditure"]: row for row in chosen.to_dict("records")}
    figures = []
    for provision in PROVISIONS:
        row = cells[provision.name]
        if not squash(row["jct_line_label"]).startswith(provision.label):
            raise SourceError(
                f"{path}: {provision.name} is JCT's line {row['jct_line_label']!r}; wanted {provision.label!r}."
            )
        value = number(row[column], path, f"{provision.name}, {column}", minimum=0)
        figures.append(Figure("national", "US", "income_tax", value, "dollar", reform=provision.variable))
    provenance = Provenance("jct_tax_expenditures", "JCX-48-24", _URL, f"FY {year}", year)
    return to_frame(figures, provenance)
