"""What the survey's persons earn and receive, as engine inputs, dollars a year.

Holds amounts only. Amounts whose taxation hangs on who pays them come from `income_sources`; where the survey asks
for one amount and the tax law knows two, the amount is split by a published share (`data/income_shares.csv`), the
same for everybody; the tax-file half of the extended survey imputes them instead. Missing official columns of some
vintages count as zero.

Sums: earnings and other income of the survey (PEARNVAL + POTHVAL), capital gains (CAP_VAL) and distributions to those
under 58 (DST_VAL1_YNG, DST_VAL2_YNG), which POTHVAL leaves out, go to inputs to the dollar, but for interest that
stays within retirement accounts (RINT_VAL1, RINT_VAL2), which is no income of the year; workers' compensation
reported under two questions, which counts once; what the respondent called no income; and benefits that the engine
pays out itself (SSI_VAL; PAW_VAL but for general assistance), which only anchor take-up.

Of-which columns, which the engine reads for subtractions and never adds up: `taxable_federal_pension_income` (part of
the taxable public pensions), `pension_survivors` (part of taxable pensions), `tax_exempt_disability_benefits` (part
of `disability_benefits`).

Left out: `railroad_benefits`, which the engine counts in tests of some programmes but neither taxes nor adds to
income (such pensions are taxed with the private ones); `csrs_retirement_pay`, as the survey does not tell the two
federal systems apart; `total_disability_payments`, as it does not tell permanent disability apart.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from tessera.microdata.amount_checks import refuse_negative
from tessera.microdata.asec import FloatArray, optional, require_columns
from tessera.microdata.datafile import read_rows
from tessera.microdata.income_sources import QUESTIONS, amounts_by_kind, rest

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
# Engine inputs that are one column of the survey, beside what is reported as other income.
COLUMNS = {
    "employment_income_before_lsr": "WSAL_VAL",
    "self_employment_income_before_lsr": "SEMP_VAL",
    "farm_operations_income": "FRSE_VAL",
    "rental_income": "RNT_VAL",
    "unemployment_compensation": "UC_VAL",
    "child_support_received": "CSP_VAL",
    "veterans_benefits": "VET_VAL",
    "educational_assistance": "ED_VAL",
    "financial_assistance": "FIN_VAL",
}
# Engine inputs that are a kind of `income_sources` and nothing else.
KINDS = (
    "alimony_income",
    "strike_benefits",
    "miscellaneous_income",
    "estate_income",
    "survivor_benefits",
    "military_retirement_pay",
    "military_retirement_pay_survivors",
    "taxable_401k_distributions",
    "taxable_403b_distributions",
    "taxable_ira_distributions",
    "taxable_sep_distributions",
    "tax_exempt_ira_distributions",
    "keogh_distributions",
)
# What a tax return holds in one line of taxable pensions (Form 1040 line 5b) and in its untaxed rest (5a less 5b); what
# a SEP pays out stands with IRAs (line 4b).
TAXABLE_PENSION_PARTS = (
    "taxable_private_pension_income",
    "taxable_public_pension_income",
    "military_retirement_pay",
    "military_retirement_pay_survivors",
    "taxable_401k_distributions",
    "taxable_403b_distributions",
    "keogh_distributions",
)
EXEMPT_PENSION_PARTS = ("tax_exempt_private_pension_income", "tax_exempt_public_pension_income")
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
# Only these amounts may be losses.
LOSSES = ("SEMP_VAL", "FRSE_VAL", "RNT_VAL")
NEVER_NEGATIVE = (
    *(column for column in (*REQUIRED, *COLUMNS.values()) if column not in LOSSES),
    *("WC_VAL", "PAW_VAL", "SSI_VAL", "RINT_VAL1", "RINT_VAL2"),
    *(amount for question in QUESTIONS for _, amount in question.parts),
)


@cache
def share(name: str) -> float:
    """A share of `data/income_shares.csv`, between 0 and 1."""
    return {row["share"]: float(row["value"]) for row in read_rows("income_shares")}[name]


def income(person: pd.DataFrame, age: FloatArray) -> dict[str, FloatArray]:
    """Income inputs of each person, dollars, each of shape (n_persons,).

    Args:
        person: ordered ASEC persons.
        age: ages in years, which decide the kind of Social Security where no reason is given.

    Raises:
        SourceError: an income column is absent, an amount that cannot be a loss is negative, or parts of an amount
            exceed it.
    """
    require_columns(person, REQUIRED, "ASEC person table")
    refuse_negative(person, NEVER_NEGATIVE)
    kinds = amounts_by_kind(person)
    none = np.zeros(len(person))
    columns = {name: optional(person, column) + kinds.get(name, none) for name, column in COLUMNS.items()}
    columns |= {name: kinds[name] for name in KINDS}
    # The same payment, where it is reported under both questions.
    columns["workers_compensation"] = np.maximum(optional(person, "WC_VAL"), kinds["workers_compensation_again"])
    columns["disability_benefits"] = kinds["taxable_disability"] + kinds["exempt_disability"]
    columns["tax_exempt_disability_benefits"] = kinds["exempt_disability"]
    columns |= _property_income(person, kinds)
    columns |= _pensions(person, kinds)
    columns |= social_security(person, age, kinds["social_security"])
    return columns


def social_security(person: pd.DataFrame, age: FloatArray, other: FloatArray | None = None) -> dict[str, FloatArray]:
    """Social Security by kind, dollars; the parts sum to SS_VAL (and `other`) exactly.

    The whole amount goes to the first kind, in the order retirement, disability, survivors, dependents, among the two
    reasons given; without a known reason to retirement from 62 on and to disability before.

    Args:
        person: ordered ASEC persons.
        age: years, (n_persons,).
        other: Social Security reported as other income, dollars, (n_persons,).
    """
    total = optional(person, "SS_VAL") if other is None else optional(person, "SS_VAL") + other
    reasons = np.stack([optional(person, "RESNSS1"), optional(person, "RESNSS2")])
    given = [np.isin(reasons, codes).any(axis=0) for codes in SOCIAL_SECURITY_REASONS.values()]
    default = np.where(age >= RETIREMENT_AGE, 0, 1)
    kind = np.select(given, range(len(given)), default=default)
    return {name: np.where(kind == number, total, 0.0) for number, name in enumerate(SOCIAL_SECURITY_PARTS)}


def _property_income(person: pd.DataFrame, kinds: dict[str, FloatArray]) -> dict[str, FloatArray]:
    interest = rest(person, "INT_VAL", ["RINT_VAL1", "RINT_VAL2"]) + kinds["interest"]
    dividends = optional(person, "DIV_VAL") + kinds["dividends"]
    gains = optional(person, "CAP_VAL")
    return {
        "taxable_interest_income": interest * share("taxable_interest"),
        "tax_exempt_interest_income": interest * (1 - share("taxable_interest")),
        "qualified_dividend_income": dividends * share("qualified_dividends"),
        "non_qualified_dividend_income": dividends * (1 - share("qualified_dividends")),
        "long_term_capital_gains_before_response": gains * share("long_term_gains"),
        "short_term_capital_gains": gains * (1 - share("long_term_gains")),
    }


def _pensions(person: pd.DataFrame, kinds: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Pensions and annuities by payer, each taxed in part, but for military ones, which are kinds of their own."""
    taxed = share("taxable_pensions")
    federal = kinds["federal_pension"] + kinds["federal_survivor"]
    survivors = kinds["private_survivor"] + kinds["public_survivor"] + kinds["federal_survivor"]
    private = optional(person, "ANN_VAL") + kinds["private_pension"] + kinds["private_survivor"]
    public = federal + kinds["public_pension"] + kinds["public_survivor"]
    return {
        # What accounts of other types pay out is taxed whole, as from the named ones.
        "taxable_private_pension_income": private * taxed + kinds["other_account"],
        "tax_exempt_private_pension_income": private * (1 - taxed),
        "taxable_public_pension_income": public * taxed,
        "tax_exempt_public_pension_income": public * (1 - taxed),
        "taxable_federal_pension_income": federal * taxed,
        "pension_survivors": survivors * taxed,
    }
