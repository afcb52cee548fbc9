"""Retirement contributions of the tax half: drawn given drawn incomes, brought within the limits of the year.

Holds the forest, the rules and the wages before deferrals; the limits are `retirement`'s.

The survey says what persons put into 401(k) plans and IRAs; the tax file, what the self-employed deduct. A wage of the
tax file is box 1 of Form W-2, after deferrals (26 USC 402(e)(3)); the engine's is before them and takes them off
itself. So, dollar for dollar,

    employment_income_before_lsr = drawn wage + deferrals into traditional plans

and the taxable wage stays the one drawn.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.chains import Chains
from tessera.microdata.retirement import CONTRIBUTIONS, SELF_EMPLOYED, TRADITIONAL_WORKPLACE, limited_contributions
from tessera.microdata.survey_filers import OWN_BUSINESSES, WAGES, WHO, SurveyFilers
from tessera.microdata.totals import TOTAL_SOCIAL_SECURITY

# Profit or loss of own businesses and farms, which bounds the plans of the self-employed.
OWN_BUSINESS = "own_business_income"
PREDICTORS = (
    *WHO,
    WAGES,
    OWN_BUSINESS,
    "taxable_interest_income",
    "qualified_dividend_income",
    "taxable_private_pension_income",
    TOTAL_SOCIAL_SECURITY,
)


def draw_contributions(chains: Chains, people: SurveyFilers, *, year: int) -> pd.DataFrame:
    """Contributions of every filer within the limits, and wages before deferrals, indexed by person row.

    Args:
        chains: runs the chain.
        people: filers as reported, and with drawn incomes.
        year: year of the limits.
    """
    outputs = [name for name in CONTRIBUTIONS if name in people.own and name != SELF_EMPLOYED]
    everybody = people.usable(np.ones(len(people.drawn), dtype=bool))
    rows, weights = people.training(everybody, seed=chains.seed)
    reported, receivers = _with_own_business(people.reported), _with_own_business(people.drawn)
    values = chains.run(
        "retirement contributions",
        reported.iloc[rows],
        PREDICTORS,
        outputs,
        weights,
        receivers,
        people.keys,
        people.weights,
    )
    wages = people.drawn[WAGES].to_numpy(dtype=np.float64)
    desired = {name: values[name].to_numpy() for name in outputs}
    if SELF_EMPLOYED in people.drawn:
        desired[SELF_EMPLOYED] = people.drawn[SELF_EMPLOYED].to_numpy(dtype=np.float64)
    limited = limited_contributions(
        desired,
        wages,
        receivers[OWN_BUSINESS].to_numpy(dtype=np.float64),
        people.drawn["age"].to_numpy(dtype=np.float64),
        year,
    )
    before = wages + limited.get(TRADITIONAL_WORKPLACE, 0.0)
    return pd.DataFrame({**limited, WAGES: before}, index=people.drawn.index)


def _with_own_business(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in OWN_BUSINESSES if name in table]
    return table.assign(**{OWN_BUSINESS: table[names].sum(axis=1)})
