"""What the survey's persons pay: health, child support and child care, dollars a year.

Holds amounts of persons and of SPM units; no rents or taxes, which donors impute.

The engine knows premiums in several forms that it never adds to each other (medical deductions read one, the poverty
measure another), so one reported premium (PHIP_VAL) stands in each that it belongs to:

- `health_insurance_premiums_without_medicare_part_b`: everybody's, for medical expenses;
- `health_insurance_premiums`: of the self-employed under 65 without a plan of an employer, whose deduction reads it
  (26 USC 162(l)); where it is there, the engine takes it in place of the former;
- `other_health_insurance_premiums`: for the poverty measure, which adds to it what the engine computes itself of
  marketplace, Medicaid, CHIP and Medicare premiums. So it is 0 for who has marketplace coverage and no plan of an
  employer, and for who has Medicaid or CHIP and nothing else to pay for (a private plan, TRICARE, from 65 on
  supplements of Medicare).

Premiums of Medicare Part B are asked apart (PEMCPREM) and computed by the engine; the reported ones inform nobody but
the reader. The survey does not say whether a premium was taken from pay before tax, so that all count as paid after
it. `selected_marketplace_plan_benchmark_ratio` is left out: it divides the reported premium by the benchmark premium
of the rating area, which is the engine's to compute once a household has a county. Spending on child care is what the
unit paid out of pocket; the survey does not ask what a subsidy paid beside it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.amount_checks import refuse_negative
from tessera.microdata.asec import BoolArray, FloatArray, optional
from tessera.microdata.benefits import coverage, has_private_coverage
from tessera.microdata.work import is_self_employed

PREMIUM = "health_insurance_premiums_without_medicare_part_b"
PERSON_EXPENSES = {
    PREMIUM: "PHIP_VAL",
    "medicare_part_b_premiums_reported": "PEMCPREM",
    "over_the_counter_health_expenses": "POTC_VAL",
    "other_medical_expenses": "PMED_VAL",
    "child_support_expense": "CHSP_VAL",
}
# Age of Medicare, from which premiums of the self-employed are mostly those of supplements.
MEDICARE_AGE = 65


def expenses(person: pd.DataFrame, age: FloatArray) -> dict[str, FloatArray]:
    """Expense inputs of each person, dollars, each of shape (n_persons,); an absent column counts as zero.

    Args:
        person: ordered ASEC persons.
        age: years, (n_persons,).

    Raises:
        SourceError: a negative amount.
    """
    refuse_negative(person, PERSON_EXPENSES.values())
    columns = {name: optional(person, column) for name, column in PERSON_EXPENSES.items()}
    own_business = is_self_employed(optional(person, "SEMP_VAL"), optional(person, "FRSE_VAL"))
    return columns | premium_forms(columns[PREMIUM], own_business, age, coverage(person))


def premium_forms(
    premium: FloatArray, own_business: BoolArray, age: FloatArray, flags: dict[str, BoolArray]
) -> dict[str, FloatArray]:
    """The forms of a premium that stand beside `PREMIUM`, dollars, each (n_persons,).

    Args:
        premium: of all but Medicare Part B, dollars, (n_persons,).
        own_business: who has income of an own business or farm, (n_persons,).
        age: years, (n_persons,).
        flags: coverage, as of `benefits.coverage`.
    """
    alone = own_business & (age < MEDICARE_AGE) & ~flags["has_esi"]
    marketplace = flags["has_marketplace_health_coverage_at_interview"] & ~flags["has_esi"]
    elsewhere = has_private_coverage(flags) | flags["has_tricare_health_coverage_at_interview"] | (age >= MEDICARE_AGE)
    means_tested = (
        flags["has_medicaid_health_coverage_at_interview"] | flags["has_chip_health_coverage_at_interview"]
    ) & ~elsewhere
    return {
        "health_insurance_premiums": np.where(alone, premium, 0.0),
        "other_health_insurance_premiums": np.where(marketplace | means_tested, 0.0, premium),
    }


def unit_expenses(unit: pd.DataFrame) -> dict[str, FloatArray]:
    """Child care of each SPM unit before subsidy, dollars, (n_spm_units,); `unit` has SPM_ columns, a row a unit."""
    return {"spm_unit_pre_subsidy_childcare_expenses": optional(unit, "SPM_CHILDCAREXPNS")}
