"""What the survey's persons earn and receive, as engine inputs, dollars a year.

Holds amounts only. Where the survey asks for one amount and the tax law knows two, the amount is split by a published
share (`data/income_shares.csv`), the same for everybody; the tax-file half of the extended survey imputes them instead.
Missing official columns of some vintages count as zero.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from tessera.microdata.asec import FloatArray, optional, require_columns

REQUIRED = [
    "WSAL_VAL",
    "SEMP_VAL",
    "FRSE_VAL",
    "INT_VAL",
    "DIV_VAL",
    "RNT_VAL",
    "SS_VAL",
    "UC_VAL",
    "CAP_VAL",
    "PNSN_VAL",
    "ANN_VAL",
]
# Reasons for Social Security (RESNSS1, RESNSS2): 1 retired, 2 disabled, 3 widowed, 4 spouse, 5 surviving child,
# 6 dependent child, 7 on behalf of children, 8 other.
SOCIAL_SECURITY_REASONS = {
    "social_security_retirement": (1,),
    "social_security_disability": (2,),
    "social_security_survivors": (3, 5),
    "social_security_dependents": (4, 6, 7),
}
SOCIAL_SECURITY_PARTS = tuple(SOCIAL_SECURITY_REASONS)
RETIREMENT_AGE = 62
ALIMONY, STRIKE = 20, 12
# Distribution sources (DST_SC*): 1 401(k), 2 403(b), 3 Roth IRA, 4 regular IRA, 5 Keogh, 6 SEP, 7 other.
DISTRIBUTIONS = {
    1: "taxable_401k_distributions",
    2: "taxable_403b_distributions",
    3: "tax_exempt_ira_distributions",
    4: "taxable_ira_distributions",
    5: "keogh_distributions",
    6: "taxable_sep_distributions",
    7: "taxable_private_pension_income",
}


@cache
def share(name: str) -> float:
    """A share of `data/income_shares.csv`, between 0 and 1."""
    table = resources.files("tessera.microdata") / "data" / "income_shares.csv"
    with table.open(encoding="utf-8") as handle:
        return {row["share"]: float(row["value"]) for row in csv.DictReader(handle)}[name]


def income(person: pd.DataFrame, age: FloatArray) -> dict[str, FloatArray]:
    """Income inputs of each person, dollars, each of shape (n_persons,).

    Args:
        person: ordered ASEC persons.
        age: ages in years, which decide the kind of Social Security where no reason is given.

    Raises:
        SourceError: an income column is absent.
    """
    require_columns(person, REQUIRED, "ASEC person table")
    columns = {
        "employment_income_before_lsr": optional(person, "WSAL_VAL"),
        "self_employment_income_before_lsr": optional(person, "SEMP_VAL"),
        "farm_operations_income": optional(person, "FRSE_VAL"),
        "rental_income": optional(person, "RNT_VAL"),
        "unemployment_compensation": optional(person, "UC_VAL"),
        "child_support_received": optional(person, "CSP_VAL"),
        "veterans_benefits": optional(person, "VET_VAL"),
        "workers_compensation": optional(person, "WC_VAL"),
        "survivor_benefits": optional(person, "SRVS_VAL"),
        "educational_assistance": optional(person, "ED_VAL"),
        "financial_assistance": optional(person, "FIN_VAL"),
        "alimony_income": _other_income(person, ALIMONY),
        "strike_benefits": _other_income(person, STRIKE),
        "disability_benefits": _disability(person),
    }
    columns |= _property_income(person)
    columns |= _pensions(person)
    columns |= social_security(person, age)
    return columns


def work(person: pd.DataFrame) -> dict[str, FloatArray]:
    """Hours and weeks of work last year, each (n_persons,); codes below zero (not in universe) count as none."""
    return {
        "weekly_hours_worked_before_lsr": np.maximum(optional(person, "HRSWK"), 0),
        "hours_worked_last_week": np.maximum(optional(person, "A_HRS1"), 0),
        "weeks_unemployed": np.maximum(optional(person, "LKWEEKS"), 0),
        "weeks_worked": np.maximum(optional(person, "WKSWORK"), 0),
    }


def social_security(person: pd.DataFrame, age: FloatArray) -> dict[str, FloatArray]:
    """Social Security by kind, dollars; the parts sum to SS_VAL exactly.

    The whole amount goes to the first kind, in the order retirement, disability, survivors, dependents, among the two
    reasons given; without a known reason to retirement from 62 on and to disability before.
    """
    total = optional(person, "SS_VAL")
    reasons = np.stack([optional(person, "RESNSS1"), optional(person, "RESNSS2")])
    kind = np.full(len(person), "", dtype=object)
    for name, codes in SOCIAL_SECURITY_REASONS.items():
        kind[(kind == "") & np.isin(reasons, codes).any(axis=0)] = name
    default = np.where(age >= RETIREMENT_AGE, "social_security_retirement", "social_security_disability")
    kind = np.where(kind == "", default, kind)
    return {name: np.where(kind == name, total, 0.0) for name in SOCIAL_SECURITY_PARTS}


def _other_income(person: pd.DataFrame, code: int) -> FloatArray:
    return np.where(optional(person, "OI_OFF") == code, optional(person, "OI_VAL"), 0.0)


def _disability(person: pd.DataFrame) -> FloatArray:
    """Disability income from sources other than workers' compensation (source 1), which WC_VAL counts already."""
    total = np.zeros(len(person))
    for number in (1, 2):
        total += np.where(optional(person, f"DIS_SC{number}") != 1, optional(person, f"DIS_VAL{number}"), 0.0)
    return total


def _property_income(person: pd.DataFrame) -> dict[str, FloatArray]:
    # INT_VAL includes what retirement accounts earn, which is not income of the year; TRDINT_VAL leaves it out.
    regular = optional(person, "TRDINT_VAL")
    interest = regular if regular.any() else optional(person, "INT_VAL")
    dividends = optional(person, "DIV_VAL")
    gains = optional(person, "CAP_VAL")
    return {
        "taxable_interest_income": interest * share("taxable_interest"),
        "tax_exempt_interest_income": interest * (1 - share("taxable_interest")),
        "qualified_dividend_income": dividends * share("qualified_dividends"),
        "non_qualified_dividend_income": dividends * (1 - share("qualified_dividends")),
        "long_term_capital_gains_before_response": gains * share("long_term_gains"),
        "short_term_capital_gains": gains * (1 - share("long_term_gains")),
    }


def _pensions(person: pd.DataFrame) -> dict[str, FloatArray]:
    pensions = optional(person, "PNSN_VAL") + optional(person, "ANN_VAL")
    columns = {name: np.zeros(len(person)) for name in DISTRIBUTIONS.values()}
    for suffix in ("1", "2", "1_YNG", "2_YNG"):
        source, amount = optional(person, f"DST_SC{suffix}"), optional(person, f"DST_VAL{suffix}")
        for code, name in DISTRIBUTIONS.items():
            columns[name] = columns[name] + np.where(source == code, amount, 0.0)
    columns["taxable_private_pension_income"] += pensions * share("taxable_pensions")
    columns["tax_exempt_private_pension_income"] = pensions * (1 - share("taxable_pensions"))
    return columns
