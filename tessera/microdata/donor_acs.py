"""Donors of housing costs: household heads of the American Community Survey (ACS PUMS, 1-year).

Holds the meaning of its columns. Rent is contract rent (RNTP, dollars a month, times twelve), real estate taxes are
TAXAMT, dollars a year. Amounts come from the reader in dollars of the survey's year (ADJHSG and ADJINC applied there).
Incomes are the head's own. Heads only: rents and taxes are asked of the household and stand once in the frame.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import require_columns
from tessera.microdata.donor_tables import Donors, RawSurvey, checked_donors, filled, number, refuse_duplicates

MONTHS = 12
# Tenure (TEN): 1 owned with a mortgage, 2 owned free and clear, 3 rented, 4 occupied without payment.
OWNED, RENTED, MORTGAGED = (1, 2), 3, 1
REFERENCE_PERSON = 20
_PERSON = ["SERIALNO", "AGEP", "SEX", "WAGP", "SEMP", "SSP", "RETP", "RELSHIPP"]
_HOUSEHOLD = ["SERIALNO", "NP", "TEN", "WGTP", "RNTP", "TAXAMT"]


def acs_donors(raw: RawSurvey) -> tuple[Donors, Donors]:
    """Renters with `pre_subsidy_rent` and owners with `real_estate_taxes`, weighted by WGTP.

    Raises:
        SourceError: a column is absent, a household has two heads, a number is missing, or nobody rents or owns.
    """
    heads = _heads(raw)
    tenure = number(heads, "TEN")
    columns = {
        "age": number(heads, "AGEP"),
        "is_male": number(heads, "SEX") == 1,
        "employment_income": filled(heads, "WAGP"),
        "self_employment_income": filled(heads, "SEMP"),
        "social_security": filled(heads, "SSP"),
        "pension_income": filled(heads, "RETP"),
        "household_size": number(heads, "NP"),
    }
    state = filled(heads, "ST")
    if state.any():
        columns["state_fips"] = state
    weights = number(heads, "WGTP")
    rent = {**columns, "pre_subsidy_rent": filled(heads, "RNTP") * MONTHS}
    taxes = {**columns, "has_mortgage": tenure == MORTGAGED, "real_estate_taxes": filled(heads, "TAXAMT")}
    return (
        checked_donors(f"{raw.name} rents", rent, ["pre_subsidy_rent"], weights, raw.year, rows=tenure == RENTED),
        checked_donors(
            f"{raw.name} taxes", taxes, ["real_estate_taxes"], weights, raw.year, rows=np.isin(tenure, OWNED)
        ),
    )


def _heads(raw: RawSurvey) -> pd.DataFrame:
    require_columns(raw.table, _PERSON, f"{raw.name} person table")
    household = raw.companions.get("household", pd.DataFrame())
    require_columns(household, _HOUSEHOLD, f"{raw.name} household table")
    people = raw.table.loc[raw.table["RELSHIPP"] == REFERENCE_PERSON, _PERSON]
    refuse_duplicates(people, ["SERIALNO"], f"{raw.name} heads")
    refuse_duplicates(household, ["SERIALNO"], f"{raw.name} household table")
    wanted = [*_HOUSEHOLD, *(["ST"] if "ST" in household else [])]
    # Group quarters have no tenure and no housing weight: they are in neither universe.
    return people.merge(household[wanted], on="SERIALNO", how="inner").reset_index(drop=True)
