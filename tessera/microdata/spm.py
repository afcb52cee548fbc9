"""What the poverty measure reports of an SPM unit, as engine inputs.

Holds the columns that the Census Bureau computes for a unit (SPM_*), where the engine takes them as inputs; tenure is
in `benefits`, child care in `expenses`. What the engine does with each:

- `spm_unit_energy_subsidy` adds to resources; energy assistance is not computed among them, so it counts once;
- `receives_housing_assistance` makes a unit eligible whatever its income; how much it gets, the engine computes;
- `spm_unit_total_income_reported`, `spm_unit_net_income_reported` and `spm_unit_school_lunch_subsidy` enter nothing:
  they stay beside the computed ones to compare with, as school meals are computed.

Left out, as the engine computes them: thresholds, taxes, SNAP, WIC, medical and work expenses, the amount of housing
subsidy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, optional

AMOUNTS = {
    "spm_unit_energy_subsidy": "SPM_ENGVAL",
    "spm_unit_school_lunch_subsidy": "SPM_SCHLUNCH",
    "spm_unit_total_income_reported": "SPM_TOTVAL",
    "spm_unit_net_income_reported": "SPM_RESOURCES",
}
YES = 1


def reported_amounts(unit: pd.DataFrame) -> dict[str, FloatArray]:
    """Amounts reported of each SPM unit, dollars a year, each of shape (n_units,); an absent column counts as zero.

    Args:
        unit: one row an SPM unit with its SPM_ columns.
    """
    return {name: optional(unit, column) for name, column in AMOUNTS.items()}


def housing_assistance(unit: pd.DataFrame, home: pd.DataFrame | None, first_unit: IntArray) -> BoolArray:
    """Units with housing assistance, (n_units,): public housing, a lower rent paid by government, or a subsidy.

    The subsidy of the measure (SPM_CAPHOUSESUB) is capped and may be 0 for who is assisted; the question itself is of
    the household, and counts for the unit of its reference person.

    Args:
        unit: one row an SPM unit with its SPM_ columns.
        home: one row a household with HPUBLIC and HLORENT, or None where there is no household file.
        first_unit: unit of each household's reference person, (n_households,).
    """
    assisted: BoolArray = optional(unit, "SPM_CAPHOUSESUB") > 0
    if home is not None:
        asked = (optional(home, "HPUBLIC") == YES) | (optional(home, "HLORENT") == YES)
        assisted[first_unit[asked]] = True
    return assisted


def public_housing(home: pd.DataFrame | None, n_households: int) -> BoolArray:
    """Households in public housing (HPUBLIC), (n_households,); nobody where there is no household file."""
    if home is None:
        return np.zeros(n_households, dtype=bool)
    flag: BoolArray = optional(home, "HPUBLIC") == YES
    return flag
