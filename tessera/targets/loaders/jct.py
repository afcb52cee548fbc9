"""JCT: tax expenditures of 2024, as the revenue gained if a provision were repealed (nation, dollars).

Reads the transcription of JCX-48-24. A figure is on `income_tax` with `reform` naming the engine variable that the
repeal neutralises: value = weighted (income_tax without the variable - income_tax). Lines that measure more than that
variable (net exclusions of pensions, health accounts through employers) are not read.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once

YEAR = 2024
REFORMS = (
    "salt_deduction",
    "medical_expense_deduction",
    "charitable_deduction",
    "deductible_mortgage_interest",
    "qualified_business_income_deduction",
)
_URL = "https://www.jct.gov/publications/2024/jcx-48-24/"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Five national figures.

    Raises:
        SourceError: no column of that year, a missing or repeated provision, a cell that is no number.
    """
    frame = read_csv(path)
    column = f"individual_revenue_loss_{year}"
    require_columns(frame, ["tax_expenditure", column], path)
    chosen = frame[frame["tax_expenditure"].isin(REFORMS)]
    require_each_once(chosen["tax_expenditure"], REFORMS, path, "tax expenditure")
    provenance = Provenance("jct_tax_expenditures", "JCX-48-24", _URL, f"FY {year}", year)
    figures = (
        Figure(
            "national", "US", "income_tax", number(row[column], path, row["tax_expenditure"], minimum=0), "dollar",
            reform=row["tax_expenditure"],
        )
        for row in chosen.to_dict("records")
    )  # fmt: skip
    return to_frame(figures, provenance)
