"""What the survey's persons pay: health, child support and child care, dollars a year.

Holds amounts of persons and of SPM units; no rents or taxes, which donors impute.
"""

from __future__ import annotations

import pandas as pd

from tessera.microdata.asec import FloatArray, optional

# The survey counts premiums of Medicare Part B apart from all others (PEMCPREM, PHIP_VAL).
PERSON_EXPENSES = {
    "health_insurance_premiums_without_medicare_part_b": "PHIP_VAL",
    "medicare_part_b_premiums_reported": "PEMCPREM",
    "over_the_counter_health_expenses": "POTC_VAL",
    "other_medical_expenses": "PMED_VAL",
    "child_support_expense": "CHSP_VAL",
}


def expenses(person: pd.DataFrame) -> dict[str, FloatArray]:
    """Expense inputs of each person, dollars, each of shape (n_persons,); an absent column counts as zero."""
    return {name: optional(person, column) for name, column in PERSON_EXPENSES.items()}


def unit_expenses(unit: pd.DataFrame) -> dict[str, FloatArray]:
    """Child care of each SPM unit before subsidy, dollars, (n_spm_units,); `unit` has SPM_ columns, a row a unit."""
    return {"spm_unit_pre_subsidy_childcare_expenses": optional(unit, "SPM_CHILDCAREXPNS")}
