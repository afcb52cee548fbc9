"""What persons pay into retirement accounts, by kind of account, as engine inputs, dollars a year.

The survey asks for one sum of all accounts (RETCB_VAL). `split_contributions` takes it apart:

    self-employed plan = min(sum, rate * max(own business and farm income, 0), annual additions limit)
    remainder          = workplace plan (for who has wages) and IRA, in proportion to national totals
    each               = Roth and traditional, in proportion to national totals

and what is above the limit of one kind goes to the other as far as its limit allows. `limited_contributions` holds
contributions of any origin to the limits of the year. Limits are in `data/contribution_limits.csv`, shares in
`data/retirement_shares.csv`. What is above all limits is no contribution of the law's and is dropped.

The engine's inputs are what persons wish to pay; it applies limits again, with compensation and marriage, which this
module does not know. 403(b) and other workplace plans stand with the 401(k): the law limits them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from tessera.microdata.amount_checks import refuse_negative
from tessera.microdata.asec import FloatArray, optional
from tessera.microdata.datafile import read_rows, row_of_year

SELF_EMPLOYED = "self_employed_pension_contributions_desired"
TRADITIONAL_WORKPLACE, ROTH_WORKPLACE = "traditional_401k_contributions_desired", "roth_401k_contributions_desired"
TRADITIONAL_IRA, ROTH_IRA = "traditional_ira_contributions_desired", "roth_ira_contributions_desired"
# What the survey's sum is split into; other files may tell 403(b) plans apart.
CONTRIBUTIONS = (SELF_EMPLOYED, TRADITIONAL_WORKPLACE, ROTH_WORKPLACE, TRADITIONAL_IRA, ROTH_IRA)
WORKPLACE = (
    TRADITIONAL_WORKPLACE,
    ROTH_WORKPLACE,
    "traditional_403b_contributions_desired",
    "roth_403b_contributions_desired",
)
IRAS = (TRADITIONAL_IRA, ROTH_IRA)
CATCH_UP_AGE = 50
HIGHER_CATCH_UP_AGES = (60, 63)


@dataclass(frozen=True)
class Limits:
    """Limits of a year, dollars.

    Attributes:
        elective_deferral: to workplace plans (26 USC 402(g)), without catch-up.
        catch_up: beyond it from 50 on (414(v)).
        catch_up_60_to_63: the same at 60 to 63, higher from 2025 on (414(v)(2)(E)).
        ira: to all IRAs (219(b)(5)(A)).
        ira_catch_up: beyond it from 50 on (219(b)(5)(B)).
        annual_additions: to a self-employed plan (415(c)).
    """

    elective_deferral: float
    catch_up: float
    catch_up_60_to_63: float
    ira: float
    ira_catch_up: float
    annual_additions: float

    def self_employed(self, self_employment: FloatArray) -> FloatArray:
        """Limit of a self-employed plan, a share of the net income of own businesses (dollars, may be negative)."""
        share = retirement_share("self_employed_rate") * np.maximum(self_employment, 0.0)
        return np.asarray(np.minimum(share, self.annual_additions), dtype=np.float64)

    def workplace(self, age: FloatArray, wages: FloatArray) -> FloatArray:
        """Limit of deferrals to workplace plans by age in years; nobody defers more than the wage."""
        low, high = HIGHER_CATCH_UP_AGES
        sixties = (age >= low) & (age < high + 1)
        extra = np.where(age < CATCH_UP_AGE, 0.0, np.where(sixties, self.catch_up_60_to_63, self.catch_up))
        return np.asarray(np.minimum(self.elective_deferral + extra, np.maximum(wages, 0.0)), dtype=np.float64)

    def iras(self, age: FloatArray) -> FloatArray:
        """Limit of a person's contributions to IRAs by age in years."""
        return np.asarray(self.ira + np.where(age < CATCH_UP_AGE, 0.0, self.ira_catch_up), dtype=np.float64)


@cache
def limits_of(year: int) -> Limits:
    """Limits of a year.

    Raises:
        SourceError: a year that `data/contribution_limits.csv` does not hold.
    """
    notice = "the IRS's notice of cost-of-living adjustments"
    row = row_of_year("contribution_limits", year, "limits of retirement contributions", notice)
    return Limits(**{name: float(row[name]) for name in Limits.__dataclass_fields__})


@cache
def retirement_share(name: str) -> float:
    """A share of `data/retirement_shares.csv`, between 0 and 1."""
    return {row["share"]: float(row["value"]) for row in read_rows("retirement_shares")}[name]


def contributions(person: pd.DataFrame, age: FloatArray, year: int) -> dict[str, FloatArray]:
    """Contribution inputs of each person of the survey, dollars, each of shape (n_persons,).

    Args:
        person: ordered ASEC persons.
        age: years, (n_persons,).
        year: of the incomes.

    Raises:
        SourceError: a negative sum, or a year without limits.
    """
    refuse_negative(person, ["RETCB_VAL"])
    business = optional(person, "SEMP_VAL") + optional(person, "FRSE_VAL")
    return split_contributions(optional(person, "RETCB_VAL"), optional(person, "WSAL_VAL"), business, age, year)


def split_contributions(
    total: FloatArray, wages: FloatArray, self_employment: FloatArray, age: FloatArray, year: int
) -> dict[str, FloatArray]:
    """A sum of contributions by kind of account, dollars, each of shape (n,); never more than the sum.

    Args:
        total: contributions to all accounts, dollars, (n,).
        wages: dollars, (n,); without any there is no workplace plan.
        self_employment: net income of own businesses and farms, dollars, (n,), may be negative.
        age: years, (n,).
        year: of the limits.
    """
    limits = limits_of(year)
    total = np.maximum(total, 0.0)
    own = np.minimum(total, limits.self_employed(self_employment))
    remainder = total - own
    workplace_limit = limits.workplace(age, wages)
    workplace = np.minimum(remainder * retirement_share("workplace"), workplace_limit)
    ira = np.minimum(remainder - workplace, limits.iras(age))
    workplace = np.minimum(remainder - ira, workplace_limit)
    roth_workplace, roth_ira = retirement_share("roth_workplace"), retirement_share("roth_ira")
    return {
        SELF_EMPLOYED: own,
        TRADITIONAL_WORKPLACE: workplace * (1 - roth_workplace),
        ROTH_WORKPLACE: workplace * roth_workplace,
        TRADITIONAL_IRA: ira * (1 - roth_ira),
        ROTH_IRA: ira * roth_ira,
    }


def limited_contributions(
    desired: Mapping[str, FloatArray], wages: FloatArray, self_employment: FloatArray, age: FloatArray, year: int
) -> dict[str, FloatArray]:
    """Contributions held to the limits of the year, dollars, each of shape (n,).

    Negative amounts count as 0. Accounts of one limit keep their proportion. Nobody without wages has a workplace plan,
    nobody without profit of an own business a self-employed one.

    Args:
        desired: dollars by name of `SELF_EMPLOYED`, `WORKPLACE`, `IRAS`, (n,) each; names that are absent stay absent.
        wages, self_employment, age, year: as for `split_contributions`.
    """
    limits = limits_of(year)
    groups = (
        ((SELF_EMPLOYED,), limits.self_employed(self_employment)),
        (WORKPLACE, limits.workplace(age, wages)),
        (IRAS, limits.iras(age)),
    )
    result = {}
    for names, limit in groups:
        amounts = {name: np.maximum(desired[name], 0.0) for name in names if name in desired}
        total = np.sum(list(amounts.values()), axis=0) if amounts else np.zeros(len(limit))
        above = total > limit
        scale = np.divide(limit, total, out=np.ones(len(limit)), where=above)
        for name, amount in amounts.items():
            # Rounding may not lift a scaled amount above the limit.
            result[name] = np.where(above, np.minimum(amount * scale, limit), amount)
    return result
