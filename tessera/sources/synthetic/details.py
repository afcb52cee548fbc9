"""Sources, kinds and smaller incomes of synthetic persons: what a file tells apart about incomes drawn already.

Holds which account a distribution came from, which employer a pension, second sources, reasons, and the incomes that
few persons have. Codes are those of the CPS. Shares are rounded from the CPS ASEC of 2020-2023. All arrays have shape
(n_persons,).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import Flags, Floats, Integers, choose, heavy, rounded, scaled, stratified
from tessera.sources.synthetic.people import CHILD, GRANDCHILD

_ACCOUNTS, _ACCOUNT_SHARES = (1, 2, 3, 4, 5, 6, 7), (0.32, 0.06, 0.05, 0.50, 0.005, 0.015, 0.05)
_YOUNG_ACCOUNT_SHARES = (0.62, 0.07, 0.06, 0.17, 0.005, 0.005, 0.07)
_EMPLOYERS, _EMPLOYER_SHARES = (1, 2, 3, 4, 5, 6, 7, 8), (0.50, 0.12, 0.08, 0.17, 0.07, 0.01, 0.02, 0.03)
_DISABILITY, _DISABILITY_SHARES = (1, 2, 3, 4, 5, 7, 9, 10), (0.10, 0.32, 0.10, 0.14, 0.12, 0.06, 0.08, 0.08)
_SURVIVOR, _SURVIVOR_SHARES = (1, 2, 3, 4, 9, 10), (0.45, 0.10, 0.05, 0.20, 0.10, 0.10)
# Class of worker: 1 federal, 2 state, 3 local, 4 private for profit, 5 private nonprofit; 6, 7 own business.
_SECTORS, _SECTOR_SHARES = (1, 2, 3, 4, 5), (0.028, 0.045, 0.065, 0.782, 0.080)
_TEACHER, _POLICE, _SOLDIER = 2310, 3870, 9840
# Other income: 2 pensions, 3 annuities, 12 strike benefits, 19 anything else (20, alimony, is drawn with incomes).
_OTHER, _OTHER_SHARES = (2, 3, 12, 19), (0.06, 0.05, 0.02, 0.87)
# Allocation flags: 0 as reported, 9 the whole supplement allocated, others by item.
_FLAGS, _FLAG_SHARES = (0, 1, 2, 4, 9), (0.72, 0.06, 0.02, 0.03, 0.17)


def draw_details(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    """Columns to add to `people`.

    Args:
        people: with the incomes of `draw_incomes`.
        weight: weight of each person's household, with which totals are scaled.

    Returns:
        Amounts retirement_interest, survivors, education_aid, financial_aid, other_income, second_disability,
        second_distributions; codes account, second_account (DST_SC), pension_source, second_pension_source (PEN_SC),
        disability_source, second_disability_source (DIS_SC), survivor_source (SUR_SC), other_source (OI_OFF),
        second_reason (RESNSS), sector (PEIO1COW of the job last year, 0 none), allocated, allocated_business (I_ERNVAL,
        I_SEVAL); and childcare, what is paid for each child.
    """
    found = _amounts(rng, people, weight)
    found.update(_codes(rng, people, found))
    found["sector"] = _sector(rng, people)
    found["childcare"] = _childcare(rng, people, weight)
    return found


def _amounts(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    n, age = len(people), people["age"].to_numpy()
    wealth = people["wealth_rank"].to_numpy() / 100
    widowed = (people["marital"].to_numpy() == 4) & (age >= 40)
    student = people["school"].to_numpy() == 2
    saves = (people["contributions"].to_numpy() > 0) | ((wealth > 0.6) & (age >= 50))
    poor = people["wages"].to_numpy() + people["self_employment"].to_numpy() < 15_000
    settings: dict[str, tuple[Flags, float]] = {
        "retirement_interest": (saves & (rng.random(n) < 0.62), 900.0),
        "survivors": (widowed & (rng.random(n) < 0.10), 9_000.0),
        "education_aid": (student & (rng.random(n) < 0.42), 6_000.0),
        "financial_aid": ((age >= 18) & poor & (rng.random(n) < 0.018), 4_000.0),
        "other_income": ((age >= 18) & (people["alimony"].to_numpy() == 0) & (rng.random(n) < 0.006), 2_500.0),
        "second_disability": ((people["disability"].to_numpy() > 0) & (rng.random(n) < 0.05), 4_000.0),
        "second_distributions": ((people["distributions"].to_numpy() > 0) & (rng.random(n) < 0.06), 8_000.0),
    }
    found: dict[str, Integers] = {}
    for item, (holds, median) in settings.items():
        value = np.where(holds, heavy(stratified(rng, n), median=median, sigma=0.9, alpha=3.0), 0.0)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    return found


def _codes(rng: np.random.Generator, people: pd.DataFrame, amounts: dict[str, Integers]) -> dict[str, Integers]:
    n, age = len(people), people["age"].to_numpy()

    def source(holds: Flags, codes: Sequence[int], shares: Sequence[float]) -> Integers:
        return np.where(holds, choose(rng, codes, shares, n), 0)

    drawn = people["distributions"].to_numpy() > 0
    account = np.where(
        age >= 58, source(drawn, _ACCOUNTS, _ACCOUNT_SHARES), source(drawn, _ACCOUNTS, _YOUNG_ACCOUNT_SHARES)
    )
    second = source(amounts["second_distributions"] > 0, _ACCOUNTS, _ACCOUNT_SHARES)
    pension = source(people["pension"].to_numpy() > 0, _EMPLOYERS, _EMPLOYER_SHARES)
    reason = people["social_security_reason"].to_numpy()
    child = np.isin(people["role"].to_numpy(), (CHILD, GRANDCHILD))
    alimony = people["alimony"].to_numpy() > 0
    return {
        "account": account,
        # Two accounts of one person are of two kinds.
        "second_account": np.where((second > 0) & (second == account), second % 7 + 1, second),
        "pension_source": pension,
        "second_pension_source": np.where((pension > 0) & (rng.random(n) < 0.06), pension % 8 + 1, 0),
        "disability_source": source(people["disability"].to_numpy() > 0, _DISABILITY, _DISABILITY_SHARES),
        "survivor_source": source(amounts["survivors"] > 0, _SURVIVOR, _SURVIVOR_SHARES),
        "second_disability_source": source(amounts["second_disability"] > 0, (2, 7, 10), (0.6, 0.2, 0.2)),
        "other_source": np.where(alimony, 20, source(amounts["other_income"] > 0, _OTHER, _OTHER_SHARES)),
        "second_reason": np.where(
            np.isin(reason, (1, 2)) & ~child, source(rng.random(n) < 0.03, (3, 4, 7), (0.5, 0.2, 0.3)), 0
        ),
        "allocated": source(people["wages"].to_numpy() > 0, _FLAGS, _FLAG_SHARES),
        "allocated_business": source(people["self_employment"].to_numpy() != 0, _FLAGS, _FLAG_SHARES),
    }


def _sector(rng: np.random.Generator, people: pd.DataFrame) -> Integers:
    n, occupation = len(people), people["occupation"].to_numpy()
    code = tables.occupations()["code"].to_numpy()[np.maximum(occupation, 0)]
    employee = choose(rng, _SECTORS, _SECTOR_SHARES, n)
    employee = np.where(code == _TEACHER, choose(rng, (2, 3, 5), (0.14, 0.68, 0.18), n), employee)
    employee = np.select([code == _POLICE, code == _SOLDIER], [3, 1], employee)
    # Few who are no citizens work for a government.
    barred = (people["citizenship"].to_numpy() == 5) & (employee <= 3) & (rng.random(n) < 0.7)
    employee = np.where(barred & (code != _SOLDIER), 4, employee)
    own = np.where(rng.random(n) < 0.36, 6, 7)
    return np.where(occupation < 0, 0, np.where(people["self_employed"].to_numpy() == 1, own, employee))


def _childcare(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> Integers:
    """Care of children below 13 whose first parent works, most of it for those below six."""
    n, age, parent = len(people), people["age"].to_numpy(), people["parent1"].to_numpy()
    household, line = people["household"].to_numpy(), people["line"].to_numpy()
    earns = np.zeros((int(household.max()) + 1, int(max(line.max(), parent.max())) + 1), dtype=bool)
    earns[household, line] = people["wages"].to_numpy() + people["self_employment"].to_numpy() > 9_000
    cared = (parent > 0) & earns[household, np.maximum(parent, 0)]
    chance = np.select([age < 6, age < 13], [0.42, 0.16], 0.0)
    value = np.where(age < 6, 1.0, 0.4) * heavy(stratified(rng, n), median=5_000.0, sigma=0.8, alpha=5.0)
    paid = np.where(cared & (rng.random(n) < chance), value, 0.0)
    return rounded(scaled(paid, weight, tables.amount("childcare")))
