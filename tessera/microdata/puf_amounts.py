"""Engine inputs of a return from the codes of the public-use file: the map, its signs, and what a code leaves out.

Holds one row a return, dollars of the file's year; no person, no growth. Most inputs are sums and differences of codes
(`AMOUNTS`). Where the code is not yet what the engine asks for:

    interest        E19200 is all interest on Schedule A. Its investment share rises with income
                    (`data/interest_shares.csv`); the rest is the mortgage's.
    casualty        E20500 is net of the floor of 10 % of income (26 USC 165(h)), which the engine takes off itself.
    tuition         E87521 is the tentative American opportunity credit: 100 % of the first 2,000 dollars of expenses
                    and 25 % of the next 2,000 for each student (26 USC 25A(b)). It is turned back into expenses, of as
                    few students as could have had it, and stands beside E03230 and E87530, which are expenses.
    partners        net earnings from self-employment of partners are what Schedule SE (E30400, E30500, net of 7.65 %)
                    holds beyond Schedules C and F, on returns with a K-1 net and a Schedule SE.

Left out, though the file has them: E03240 (domestic production deduction, repealed for years after 2017), T27800 (farm
income averaged on Schedule J: a part of E02100, which the engine would add to it), E03150 and E03270 (deductions that
the engine computes from contributions and premiums, which the survey asks), E17500 and E32800 (as the survey asks the
expenses), E18400 (computed), E18500 (rents and real estate taxes come from the American Community Survey).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from tessera.microdata.asec import FloatArray, optional, require_columns
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_aggregates import COPY
from tessera.sources.columns import columns_of

# Engine input: codes added and codes subtracted.
AMOUNTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "employment_income_before_lsr": (("E00200",), ()),
    "self_employment_income_before_lsr": (("E00900",), ()),
    "partnership_income": (("E25940", "E25980"), ("E25920", "E25960")),
    "s_corp_income": (("E26170", "E26190"), ("E26160", "E26180")),
    "passive_partnership_s_corp_income": (("E25940", "E26170"), ("E25920", "E26160")),
    "partnership_self_employment_net_earnings": (("E30400", "E30500"), ("E00900", "E02100")),
    "puf_social_security": (("E02400",), ()),
    "taxable_private_pension_income": (("E01700",), ()),
    "tax_exempt_private_pension_income": (("E01500",), ("E01700",)),
    "taxable_ira_distributions": (("E01400",), ()),
    "taxable_interest_income": (("E00300",), ()),
    "tax_exempt_interest_income": (("E00400",), ()),
    "qualified_dividend_income": (("E00650",), ()),
    "non_qualified_dividend_income": (("E00600",), ("E00650",)),
    "long_term_capital_gains_before_response": (("P23250",), ()),
    "short_term_capital_gains": (("P22250",), ()),
    "non_sch_d_capital_gains": (("E01100",), ()),
    "long_term_capital_gains_on_collectibles": (("E24518",), ()),
    "unrecaptured_section_1250_gain": (("E24515",), ()),
    "other_net_gain": (("E01200",), ()),
    "rental_income": (("E25850",), ("E25860",)),
    "estate_income": (("E26390",), ("E26400",)),
    "farm_operations_income": (("E02100",), ()),
    "farm_rent_income": (("E27200",), ()),
    "unemployment_compensation": (("E02300",), ()),
    "alimony_income": (("E00800",), ()),
    "alimony_expense": (("E03500",), ()),
    "salt_refund_income": (("E00700",), ()),
    "home_mortgage_interest": (("E19200",), ()),
    "investment_income_elected_form_4952": (("E58990",), ()),
    "charitable_cash_donations": (("E19800",), ()),
    "charitable_non_cash_donations": (("E20100",), ()),
    "casualty_loss": (("E20500",), ()),
    "unreimbursed_business_employee_expenses": (("E20400",), ()),
    "qualified_tuition_expenses": (("E03230", "E87521", "E87530"), ()),
    "student_loan_interest": (("E03210",), ()),
    "educator_expense": (("E03220",), ()),
    "early_withdrawal_penalty": (("E03400",), ()),
    "health_savings_account_ald": (("E03290",), ()),
    "self_employed_pension_contributions_desired": (("E03300",), ()),
    "foreign_tax_credit_potential": (("E07300",), ()),
    "amt_foreign_tax_credit": (("E62900",), ()),
    "general_business_credit": (("E07400",), ()),
    "prior_year_minimum_tax_credit": (("E07600",), ()),
    "other_credits": (("P08000",), ()),
    "excess_payroll_tax_withheld": (("E11200",), ()),
    "qualified_retirement_penalty": (("E09900",), ()),
    "recapture_of_investment_credit": (("E09700",), ()),
    "unreported_payroll_tax": (("E09800",), ()),
}
# Share of earnings that Schedule SE counts: less half of 15.3 % (26 USC 1402(a)(12)).
NET_OF_SELF_EMPLOYMENT_TAX = 0.9235
# Floor of casualty losses, share of adjusted gross income (26 USC 165(h)(2)).
CASUALTY_FLOOR = 0.1
# Dollars by which whole-dollar forms can miss each other.
ROUNDING = 5.0
# American opportunity credit of one student: credit of the full tier, most credit, most expenses (26 USC 25A(b)).
FULL_TIER, MOST_CREDIT, MOST_EXPENSES = 2_000.0, 2_500.0, 4_000.0


@cache
def required_codes() -> tuple[str, ...]:
    """Codes of the map that every vintage of the file has; the others count as zero where they are absent."""
    optional_codes = {column.name for column in columns_of("irs_puf", "return") if not column.required}
    used = {code for plus, minus in AMOUNTS.values() for code in (*plus, *minus)}
    return tuple(sorted((used | {"E00100"}) - optional_codes))


def map_amounts(returns: pd.DataFrame) -> pd.DataFrame:
    """Engine inputs of each return, one column a variable, dollars of the file's year, with the index of `returns`.

    Args:
        returns: ordinary returns (aggregate records taken apart), columns as in the file.

    Raises:
        SourceError: a required column is absent.
    """
    require_columns(returns, required_codes(), "tax file")
    columns = {name: _sum(returns, plus) - _sum(returns, minus) for name, (plus, minus) in AMOUNTS.items()}
    income = returns["E00100"].to_numpy(dtype=np.float64)
    investment = columns["home_mortgage_interest"] * investment_interest_share(income)
    columns["home_mortgage_interest"] = columns["home_mortgage_interest"] - investment
    columns["investment_interest_expense"] = investment
    loss = columns["casualty_loss"]
    # What a copy of an aggregate record has of a rare loss is no return's own, which a floor was taken off.
    floored = (loss > 0) & (optional(returns, COPY) == 0)
    columns["casualty_loss"] = np.where(floored, loss + CASUALTY_FLOOR * np.maximum(income, 0.0), loss)
    credit = optional(returns, "E87521")
    columns["qualified_tuition_expenses"] = columns["qualified_tuition_expenses"] - credit + expenses_of(credit)
    columns["partnership_self_employment_net_earnings"] = _partners(returns)
    return pd.DataFrame(columns, index=returns.index)


def investment_interest_share(income: FloatArray) -> FloatArray:
    """Share of Schedule A's interest that is on investments, by adjusted gross income (dollars), (n_returns,)."""
    rows = read_rows("interest_shares")
    lower = np.array([float(row["lower"]) for row in rows])
    share = np.array([float(row["investment"]) / float(row["total"]) for row in rows])
    place = np.searchsorted(lower, income, side="right") - 1
    return np.asarray(share[np.maximum(place, 0)], dtype=np.float64)


def expenses_of(credit: FloatArray) -> FloatArray:
    """Tuition behind a tentative American opportunity credit, of as few students as could have it, dollars."""
    students = np.floor(credit / MOST_CREDIT)
    rest = credit - students * MOST_CREDIT
    beyond = np.maximum(rest - FULL_TIER, 0.0) * (MOST_EXPENSES - FULL_TIER) / (MOST_CREDIT - FULL_TIER)
    return np.asarray(students * MOST_EXPENSES + np.minimum(rest, FULL_TIER) + beyond, dtype=np.float64)


def _partners(returns: pd.DataFrame) -> FloatArray:
    """Net earnings from self-employment of partners, dollars; zero on returns without a K-1 net or Schedule SE."""
    kinds = (("E25940", "E25920"), ("E25980", "E25960"), ("E26170", "E26160"), ("E26190", "E26180"))
    partner = np.any([optional(returns, gain) != optional(returns, loss) for gain, loss in kinds], axis=0)
    # Without Schedule SE nothing is known of a partner's earnings; the difference would be Schedule C's loss reversed.
    schedule = (optional(returns, "E30400") != 0) | (optional(returns, "E30500") != 0)
    earnings = _sum(returns, ("E30400", "E30500")) / NET_OF_SELF_EMPLOYMENT_TAX
    beyond = earnings - _sum(returns, ("E00900", "E02100"))
    # Both forms are in whole dollars: what a division leaves below a few dollars is rounding.
    return np.where(partner & schedule & (np.abs(beyond) > ROUNDING), beyond, 0.0)


def _sum(returns: pd.DataFrame, codes: tuple[str, ...]) -> FloatArray:
    total = np.zeros(len(returns))
    for code in codes:
        total = total + optional(returns, code)
    return total
