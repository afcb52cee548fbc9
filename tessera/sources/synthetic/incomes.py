"""Market incomes, retirement incomes and social insurance of synthetic persons, in dollars a year.

Who has an income is drawn by age, schooling, disability and wealth; how much, from lognormals with Pareto tails; then
each kind is scaled by one constant so that its weighted sum is the national total of `tables.amounts()`. Losses occur
in business, farm and rental income. All arrays have shape (n_persons,).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import (
    Flags,
    Floats,
    Integers,
    choose,
    heavy,
    normal_of,
    rounded,
    scaled,
    stratified,
)
from tessera.sources.synthetic.people import FATHER, MOTHER, REFERENCE

SOLDIER = 11  # major occupation group of the armed forces
# Reasons for Social Security (RESNSS1) by the account that pays.
SOCIAL_SECURITY = {"retirement": (1,), "disability": (2,), "survivors": (3, 5), "dependents": (4, 6)}
# Share employed at some time in the year: men, women; by lower age bound.
_WORK_AGES = (16, 18, 25, 35, 45, 55, 62, 65, 70, 75)
_WORK_MEN = (0.32, 0.70, 0.90, 0.91, 0.88, 0.77, 0.58, 0.38, 0.24, 0.11)
_WORK_WOMEN = (0.34, 0.68, 0.80, 0.79, 0.78, 0.66, 0.47, 0.29, 0.16, 0.06)
_SCHOOLING = ((46, 1.05), (45, 1.15), (44, 0.72), (43, 0.52), (41, 0.18), (40, 0.10), (39, 0.0), (0, -0.33))


def draw_incomes(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    """Columns to add to `people`.

    Args:
        people: with the traits of `draw_traits`.
        weight: weight of each person's household, with which totals are scaled.

    Returns:
        weeks, hours, occupation (row of `tables.occupations()`, -1 none), self_employed, weeks_looking, and the amounts
        wages, self_employment, farm, interest, dividends, rent, capital_gains, social_security with its reason (1
        retired, 2 disabled, 3 widowed, 4 spouse, 5 and 6 children), pension, annuity, distributions, contributions,
        unemployment, veterans, workers_compensation, disability, child_support, child_support_paid, alimony,
        wealth_rank (percent).
    """
    incomes = _work(rng, people, weight)
    wealth = _wealth(rng, people)
    incomes["wealth_rank"] = np.floor(wealth * 100).astype(np.int64)
    incomes.update(_capital(rng, weight, wealth))
    incomes.update(_social_security(rng, people, weight))
    incomes.update(_retirement(rng, people, weight, incomes["wages"], incomes["self_employment"]))
    incomes.update(_transfers(rng, people, weight, incomes))
    return incomes


def _work(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    n, age, education = len(people), people["age"].to_numpy(), people["education"].to_numpy()
    drive = people["drive"].to_numpy()
    band = np.clip(np.searchsorted(_WORK_AGES, age, side="right") - 1, 0, None)
    chance = np.where(people["female"].to_numpy() == 1, np.array(_WORK_WOMEN)[band], np.array(_WORK_MEN)[band])
    chance = chance * np.where(people["disabled"].to_numpy() == 1, 0.5, 1.02) * np.where(education >= 43, 1.06, 0.98)
    # Who works and who has a business are much the same persons from one year to the next.
    working = (age >= 16) & (_rank(-0.9 * drive + 0.45 * rng.standard_normal(n)) < chance)
    venture = people["venture"].to_numpy()
    own = working & (_rank(0.95 * venture + 0.31 * rng.standard_normal(n)) < np.clip(0.02 + age / 600, 0.02, 0.16))
    farmer = working & ~own & (rng.random(n) < 0.006)
    both = own & (rng.random(n) < 0.4)
    soldier = tables.occupations()["major"].to_numpy()[people["job"].to_numpy()] == SOLDIER
    own &= ~soldier
    occupation = np.where(working, people["job"].to_numpy(), -1)
    part = rng.random(n) < np.select([age < 22, age >= 65], [0.62, 0.45], 0.15)
    hours = np.where(working, np.where(part, choose(rng, (10, 16, 20, 24, 30), (1, 1, 3, 2, 3), n),
                                       choose(rng, (35, 40, 45, 50, 60), (1, 7, 1, 1.3, 0.6), n)), 0)  # fmt: skip
    weeks = np.where(working, choose(rng, (8, 16, 26, 36, 44, 50, 52), (2, 3, 4, 4, 4, 8, 75), n), 0)
    weeks = np.where((age < 19) & working, np.minimum(weeks, choose(rng, (8, 12, 26, 52), (1, 1, 1, 1), n)), weeks)
    earned = heavy(
        _earnings_rank(rng, people), median=_median_wage(people, occupation, hours, weeks), sigma=0.52, alpha=1.75
    )
    wages = np.where(working & ~farmer & (~own | both), earned, 0.0)
    profit = heavy(stratified(rng, n), median=24_000.0, sigma=1.1, alpha=1.5)
    profit = np.where(rng.random(n) < 0.09, -0.25 * np.minimum(profit, 80_000.0), profit)
    looking = (
        (rng.random(n) < np.where(weeks < 50, 0.30, 0.01)) & (age >= 18) & (age < 70) & ((weeks > 0) | (chance > 0.6))
    )
    return {
        "weeks": weeks, "hours": hours, "occupation": occupation, "self_employed": (own | farmer).astype(np.int64),
        "weeks_looking": np.where(looking, np.clip(52 - weeks, 2, 40), 0),
        "wages": rounded(scaled(wages, weight, tables.amount("wages"))),
        "self_employment": rounded(scaled(np.where(own, profit, 0.0), weight, tables.amount("self_employment"))),
        "farm": rounded(scaled(np.where(farmer, profit, 0.0), weight, tables.amount("farm"))),
    }  # fmt: skip


def _earnings_rank(rng: np.random.Generator, people: pd.DataFrame) -> Floats:
    # A bit more than half of what ability leaves open lasts: earnings of two years correlate as they do in surveys.
    lasting, fresh = people["drive"].to_numpy(), normal_of(stratified(rng, len(people)))
    return _rank(0.55 * people["ability"].to_numpy() + 0.66 * lasting + 0.50 * fresh)


def _rank(score: Floats) -> Floats:
    """Scores as uniforms in (0, 1) of the same order."""
    return (np.argsort(np.argsort(score)) + 0.5) / max(len(score), 1)


def _median_wage(people: pd.DataFrame, occupation: Integers, hours: Integers, weeks: Integers) -> Floats:
    age, education = people["age"].to_numpy(), people["education"].to_numpy()
    schooling = np.select([education >= level for level, _ in _SCHOOLING], [effect for _, effect in _SCHOOLING])
    curve = -0.0011 * (np.minimum(age, 60) - 49.0) ** 2
    job = tables.occupations()["wage_factor"].to_numpy()[np.maximum(occupation, 0)] ** 0.8
    level = 42_000 * np.exp(schooling + curve - 0.14 * people["female"].to_numpy())
    return np.asarray(level * job * (np.maximum(hours, 1) / 40) * (np.maximum(weeks, 1) / 52), dtype=np.float64)


def _wealth(rng: np.random.Generator, people: pd.DataFrame) -> Floats:
    household, age = people["household"].to_numpy(), people["age"].to_numpy()
    common = rng.standard_normal(int(household.max()) + 1)[household]
    score = 0.5 * people["ability"].to_numpy() + 0.03 * (np.minimum(age, 75) - 45) + 0.7 * common
    adult = np.where(age >= 18, score, -9.0)
    return (np.argsort(np.argsort(adult)) + 0.5) / max(len(people), 1)


def _capital(rng: np.random.Generator, weight: Floats, wealth: Floats) -> dict[str, Integers]:
    n = len(wealth)
    found: dict[str, Integers] = {}
    settings = {
        "interest": (2.0, 1.7, 1.4),
        "dividends": (6.0, 1.6, 1.35),
        "rent": (1.2, 1.1, 1.8),
        "capital_gains": (6, 1.7, 1.25),
    }
    for item, (steepness, sigma, alpha) in settings.items():
        holders = tables.holders(item)
        chance = np.clip(holders * (steepness + 1) * wealth**steepness, 0, 0.96) * (wealth > 0.22)
        holds = rng.random(n) < chance
        value = np.zeros(n)
        # The richest holders hold most: rank within holders mixes wealth and chance.
        score = 1.6 * wealth[holds] + rng.random(int(holds.sum()))
        rank = (np.argsort(np.argsort(score)) + 0.5) / max(len(score), 1)
        value[holds] = heavy(rank, median=1.0, sigma=sigma, alpha=alpha)
        if item == "rent":
            value = np.where(rng.random(n) < 0.16, -0.3 * np.minimum(value, 3.0), value)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    return found


def _social_security(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    n, age, u = len(people), people["age"].to_numpy(), rng.random(len(people))
    claims = np.select([age < 62, age < 65, age < 67, age < 70], [0.0, 0.38, 0.60, 0.82], 0.93)
    widowed, married = people["marital"].to_numpy() == 4, people["spouse"].to_numpy() > 0
    claims = claims * np.where(people["citizenship"].to_numpy() == 5, 0.5, 1.0)
    # Widows draw on the account of the dead spouse, and some wives on that of the living one.
    own = 1 - rng.random(n)
    widow = widowed & (((age >= 60) & (age < 67) & (u < 0.5)) | ((age >= 67) & (u < 0.93) & (own < 0.30)))
    wife = married & (people["female"].to_numpy() == 1) & (age >= 62) & (u < claims) & (own < 0.09)
    unable = (age >= 22) & (age < 66) & (people["disabled"].to_numpy() == 1) & (u < 0.30)
    child = (age < 18) & (u < 0.05)
    reason = np.select([widow, wife, u < claims, unable, child & (u < 0.03), child], [3, 4, 1, 2, 5, 6], 0)
    size = np.select([reason == 1, reason == 2, reason == 3], [1.0, 0.78, 0.85], 0.42)
    amount = heavy(stratified(rng, n), median=21_500.0, sigma=0.42, alpha=9.0) * np.exp(
        0.12 * people["ability"].to_numpy()
    )
    amount = np.minimum(amount * size, 58_000.0)
    benefit = np.zeros(n)
    for kind, reasons in SOCIAL_SECURITY.items():
        part = np.where(np.isin(reason, reasons), amount, 0.0)
        benefit += scaled(part, weight, tables.amount(f"social_security_{kind}"))
    return {"social_security": rounded(benefit), "social_security_reason": reason.astype(np.int64)}


def _retirement(
    rng: np.random.Generator, people: pd.DataFrame, weight: Floats, wages: Integers, profit: Integers
) -> dict[str, Integers]:
    n, age = len(people), people["age"].to_numpy()
    found: dict[str, Integers] = {}
    shares = {"pension": (0.03, 0.13, 0.31), "annuity": (0.0, 0.01, 0.03), "distributions": (0.004, 0.03, 0.13)}
    for item, (young, middle, old) in shares.items():
        has = rng.random(n) < np.select([age < 50, age < 55, age < 65], [0.0, young, middle], old)
        value = np.where(has, heavy(stratified(rng, n), median=17_000.0, sigma=0.95, alpha=2.4), 0.0)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    saver = (wages > 12_000) & (rng.random(n) < np.clip(wages / 130_000, 0.15, 0.75))
    rate = np.clip(rng.gamma(2.0, 0.035, n), 0.01, 0.25)
    contributed = np.where(saver, np.minimum(wages * rate, np.where(age >= 50, 30_500, 23_000)), 0.0)
    owner = (profit > 25_000) & (rng.random(n) < np.clip(profit / 220_000, 0.14, 0.60))
    contributed += np.where(owner, np.minimum(profit * np.clip(2.2 * rate, 0.02, 0.20), 45_000), 0.0)
    found["contributions"] = np.minimum(rounded(scaled(contributed, weight, tables.amount("contributions"))), 69_000)
    return found


def _transfers(
    rng: np.random.Generator, people: pd.DataFrame, weight: Floats, work: dict[str, Integers]
) -> dict[str, Integers]:
    n, age = len(people), people["age"].to_numpy()
    lone = np.isin(people["kind"].to_numpy(), (MOTHER, FATHER)) & (people["role"].to_numpy() == REFERENCE)
    man = people["female"].to_numpy() == 0
    employed = work["wages"] > 0
    has: dict[str, Flags] = {
        "unemployment": (work["weeks_looking"] > 0) & (rng.random(n) < np.where(employed, 0.45, 0.12)),
        "veterans": (people["veteran"].to_numpy() == 1) & (rng.random(n) < 0.30),
        "workers_compensation": employed & (rng.random(n) < 0.006),
        "disability": (people["disabled"].to_numpy() == 1) & (age >= 20) & (age < 67) & (rng.random(n) < 0.05),
        "child_support": lone & (rng.random(n) < np.where(man, 0.08, 0.30)),
        "alimony": np.isin(people["marital"].to_numpy(), (5, 6)) & ~man & (rng.random(n) < 0.02),
    }
    found: dict[str, Integers] = {}
    for item, flag in has.items():
        value = np.where(flag, heavy(stratified(rng, n), median=6_000.0, sigma=0.8, alpha=4.0), 0.0)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    payer = man & employed & (age >= 22) & (age < 60) & (rng.random(n) < 0.045)
    paid = np.where(payer, heavy(stratified(rng, n), median=5_000.0, sigma=0.6, alpha=4.0), 0.0)
    found["child_support_paid"] = rounded(scaled(paid, weight, tables.amount("child_support")))
    return found
