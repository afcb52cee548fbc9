"""What a survey does not ask, drawn for the survey half from the tax file given family and reported incomes.

Holds the chain of the variables that `tax_variables` calls "absent"; changes nothing that was reported. A head is drawn
given the incomes of head and spouse together, as a return adds them up; a spouse given the own ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tessera.frame import Frame
from tessera.microdata.chains import Chains
from tessera.microdata.filers import FAMILY, Filers, draw_couples, filers
from tessera.microdata.tax_half import SPOUSE_FAMILY
from tessera.microdata.totals import TOTAL_SOCIAL_SECURITY

# Incomes that survey and tax file both know, and that tell most of the rest.
REPORTED = (
    "employment_income_before_lsr",
    "self_employment_income_before_lsr",
    "farm_operations_income",
    "rental_income",
    TOTAL_SOCIAL_SECURITY,
    "taxable_private_pension_income",
    "taxable_interest_income",
    "qualified_dividend_income",
    "long_term_capital_gains_before_response",
)
# What the tax file splits between spouses, so that it means the same for a spouse of either file.
OWN = ("employment_income_before_lsr", "self_employment_income_before_lsr", "farm_operations_income")


def draw_survey_half(chains: Chains, donors: Filers, cps: Frame, names: Sequence[str]) -> pd.DataFrame:
    """Values of the absent variables for all heads and spouses of the survey, indexed by person row.

    Args:
        chains: runs the chains.
        donors: `tax_half.tax_donors` with the columns `REPORTED` and the names.
        cps: the survey.
        names: absent variables in the order of the chain.
    """
    return draw_couples(
        chains,
        "survey half",
        _with_totals(donors),
        _with_totals(filers(cps, REPORTED)),
        cps,
        predictors=[*FAMILY, *(f"unit_{name}" for name in REPORTED)],
        spouse_predictors=[*SPOUSE_FAMILY, *OWN],
        outputs=names,
    )


def _with_totals(people: Filers) -> Filers:
    """Filers whose heads also have the reported incomes of head and spouse together, as `unit_` columns."""
    totals = {}
    for name in REPORTED:
        total = people.heads[name].to_numpy(dtype=np.float64).copy()
        total[people.head_of_spouse] += people.spouses[name].to_numpy(dtype=np.float64)
        totals[f"unit_{name}"] = total
    heads = pd.concat([people.heads, pd.DataFrame(totals, index=people.heads.index)], axis=1)
    return Filers(heads, people.spouses, people.head_of_spouse, people.weights)
