"""Reported benefits, health coverage at the interview and tenure: what take-up is anchored on.

Holds what respondents said, not what programmes pay. `snap_reported` and `tanf_reported` are columns of ours (the
rules engine has no such inputs and would ignore them); the others are engine inputs. What the poverty measure reports
of a unit is in `spm`.

A person may have several kinds of coverage, and has a flag for each; the engine has no input for "more than one".
Left out: `receives_medicaid`, `receives_snap`, `receives_tanf`, `receives_ssi` and `receives_wic`, which would make
the engine treat as a recipient whom it finds not to be one; what was reported decides take-up instead. WIC is
reported by women for themselves and their children together (WICYN), so that it cannot say whose it is.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, optional
from tessera.microdata.income_sources import amounts_by_kind

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
# NOW_HIPAID of who has a plan of the own employer: how much of the premium the employer pays.
EMPLOYER_PAYS = {1: "ALL", 2: "SOME", 3: "NONE"}
EMPLOYER_PAYS_NAMES = ("NONE", "SOME", "ALL", "NA")
# PAW_TYP: 1 TANF, 2 other (general assistance, refugees), 3 both.
GENERAL_ASSISTANCE = 2
TENURE_TYPES = ("RENTED", "OWNED_OUTRIGHT", "OWNED_WITH_MORTGAGE", "NONE")


def coverage(person: pd.DataFrame) -> dict[str, BoolArray]:
    """Health coverage flags of each person, each of shape (n_persons,)."""
    flags = {name: optional(person, column) == 1 for name, column in COVERAGE.items()}
    direct = optional(person, "NOW_DIR") == 1
    flags["has_non_marketplace_direct_purchase_health_coverage_at_interview"] = (
        direct & ~flags["has_marketplace_health_coverage_at_interview"]
    )
    return flags


def has_private_coverage(flags: dict[str, BoolArray]) -> BoolArray:
    """Who has a plan of an employer, the marketplace or bought directly, given the flags of `coverage`."""
    private: BoolArray = (
        flags["has_esi"]
        | flags["has_marketplace_health_coverage_at_interview"]
        | flags["has_non_marketplace_direct_purchase_health_coverage_at_interview"]
    )
    return private


def employer_plans(person: pd.DataFrame) -> dict[str, BoolArray | pd.Categorical[str]]:
    """What employers offer and pay, each of shape (n_persons,).

    An offer bars from the premium tax credit (26 USC 36B(c)(2)(B)) if the person could have had the plan (ESIOFFER,
    ESICOULD) and it was affordable. The survey does not give its price, so an offer counts as affordable unless the
    person is without it because it is too expensive (ESITAKE3), or has marketplace coverage.
    """
    marketplace = optional(person, "NOW_MRK") == 1
    offered = (optional(person, "ESIOFFER") == 1) & (optional(person, "ESICOULD") == 1)
    unaffordable = optional(person, "ESITAKE3") == 1
    holder = optional(person, "NOW_OWNGRP") == 1
    paid = optional(person, "NOW_HIPAID")
    pays = np.select([holder & (paid == code) for code in EMPLOYER_PAYS], list(EMPLOYER_PAYS.values()), default="NA")
    return {
        "offered_aca_disqualifying_esi": offered & ~unaffordable & ~marketplace,
        "employer_contribution_to_health_insurance_premiums_category": pd.Categorical(
            pays, categories=list(EMPLOYER_PAYS_NAMES)
        ),
    }


def reported_benefits(person: pd.DataFrame) -> dict[str, FloatArray]:
    """Benefits that persons report, dollars, each of shape (n_persons,).

    Public assistance of another kind than TANF is general assistance, which programmes count as income; TANF itself is
    computed by the engine.
    """
    general = optional(person, "PAW_TYP") == GENERAL_ASSISTANCE
    return {
        "ssi_reported": optional(person, "SSI_VAL"),
        "general_assistance": np.where(general, optional(person, "PAW_VAL"), 0.0),
    }


def unit_benefits(person: pd.DataFrame, spm_unit: IntArray, unit: pd.DataFrame) -> dict[str, FloatArray]:
    """Benefits that the persons of an SPM unit report together, dollars, each of shape (n_spm_units,).

    Public assistance reported as other income counts as TANF; what is general assistance does not.

    Args:
        person: ordered ASEC persons.
        spm_unit: SPM unit of each person, 0..n-1.
        unit: one row an SPM unit with its SPM_ columns.
    """
    general = reported_benefits(person)["general_assistance"]
    assistance = optional(person, "PAW_VAL") - general + amounts_by_kind(person)["public_assistance"]
    tanf = np.bincount(spm_unit, weights=assistance, minlength=len(unit))
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
