"""Reported benefits and health coverage at the interview: what take-up is anchored on.

Holds what respondents said, not what programmes pay. `snap_reported` and `tanf_reported` are columns of ours (the rules
engine has no such inputs and would ignore them); the others are engine inputs.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, optional

# Official flags are 1 yes, 2 no.
COVERAGE = {
    "has_esi": "NOW_GRP",
    "has_marketplace_health_coverage_at_interview": "NOW_MRK",
    "has_medicaid_health_coverage_at_interview": "NOW_CAID",
    "has_chip_health_coverage_at_interview": "NOW_PCHIP",
    "has_other_means_tested_health_coverage_at_interview": "NOW_OTHMT",
    "has_tricare_health_coverage_at_interview": "NOW_MIL",
    "has_champva_health_coverage_at_interview": "NOW_CHAMPVA",
    "has_va_health_coverage_at_interview": "NOW_VACARE",
    "has_indian_health_service_coverage_at_interview": "NOW_IHSFLG",
}
SPM_TENURE = {1: "OWNER_WITH_MORTGAGE", 2: "OWNER_WITHOUT_MORTGAGE", 3: "RENTER"}
HOUSEHOLD_TENURE = {
    "OWNER_WITH_MORTGAGE": "OWNED_WITH_MORTGAGE",
    "OWNER_WITHOUT_MORTGAGE": "OWNED_OUTRIGHT",
    "RENTER": "RENTED",
}
TENURE_TYPES = ("RENTED", "OWNED_OUTRIGHT", "OWNED_WITH_MORTGAGE", "NONE")


def coverage(person: pd.DataFrame) -> dict[str, BoolArray]:
    """Health coverage flags of each person, each of shape (n_persons,)."""
    flags = {name: optional(person, column) == 1 for name, column in COVERAGE.items()}
    direct = optional(person, "NOW_DIR") == 1
    flags["has_non_marketplace_direct_purchase_health_coverage_at_interview"] = (
        direct & ~flags["has_marketplace_health_coverage_at_interview"]
    )
    return flags


def reported_benefits(person: pd.DataFrame) -> dict[str, FloatArray]:
    """Benefits that persons report, dollars, each of shape (n_persons,)."""
    return {"ssi_reported": optional(person, "SSI_VAL")}


def unit_benefits(person: pd.DataFrame, spm_unit: IntArray, unit: pd.DataFrame) -> dict[str, FloatArray]:
    """Benefits that the persons of an SPM unit report together, dollars, each of shape (n_spm_units,).

    Args:
        person: ordered ASEC persons.
        spm_unit: SPM unit of each person, 0..n-1.
        unit: one row an SPM unit with its SPM_ columns.
    """
    tanf = np.bincount(spm_unit, weights=optional(person, "PAW_VAL"), minlength=len(unit))
    return {"snap_reported": optional(unit, "SPM_SNAPSUB"), "tanf_reported": np.asarray(tanf, dtype=np.float64)}


def spm_tenure(unit: pd.DataFrame) -> pd.Categorical[str]:
    """Tenure of each SPM unit by engine name; a renter where the file does not say, as the engine assumes."""
    code = optional(unit, "SPM_TENMORTSTATUS").astype(np.int64)
    return pd.Categorical(
        [SPM_TENURE.get(int(value), "RENTER") for value in code], categories=list(SPM_TENURE.values())
    )


def household_tenure(reference_spm_tenure: pd.Categorical[str], h_tenure: FloatArray | None) -> pd.Categorical[str]:
    """Tenure of each household by engine name, that of its reference person's SPM unit.

    Args:
        reference_spm_tenure: SPM tenure of the reference person of each household, shape (n_households,).
        h_tenure: official H_TENURE (1 owned, 2 rented, 3 without payment), which tells "NONE" apart, or None.
    """
    names = np.array([HOUSEHOLD_TENURE[str(value)] for value in reference_spm_tenure], dtype=object)
    if h_tenure is not None:
        names[h_tenure == 3] = "NONE"
    return pd.Categorical(names, categories=list(TENURE_TYPES))
