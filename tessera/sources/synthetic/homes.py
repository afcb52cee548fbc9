"""Tenure, housing costs, assistance and health coverage of synthetic households and persons, given incomes.

Reads the poverty ratio of a household (income over the 2024 HHS guideline) and draws what depends on it: owning, SNAP,
TANF, SSI, energy assistance, subsidised rent, coverage. Household arrays have shape (n_households,), person arrays
(n_persons,).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import Flags, Floats, Integers, heavy, rounded, scaled, stratified
from tessera.sources.synthetic.people import REFERENCE

MONEY = (
    "wages", "self_employment", "farm", "interest", "dividends", "rent", "social_security", "ssi", "unemployment",
    "public_assistance", "veterans", "workers_compensation", "disability", "pension", "annuity", "distributions",
    "child_support", "alimony", "retirement_interest", "survivors", "education_aid", "financial_aid", "other_income",
    "second_disability", "second_distributions",
)  # fmt: skip
PART_B_PREMIUM = 2_096  # 12 x $174.70, CMS 2024
_GUIDELINE, _PER_PERSON = 15_060, 5_380  # HHS poverty guidelines 2024, 48 states


def draw_assistance(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    """Person columns ssi with its reason (RESNSSI1) and public_assistance: means-tested cash, by other income."""
    n, age = len(people), people["age"].to_numpy()
    ratio = poverty_ratio(people)[people["household"].to_numpy()]
    frail = (people["disabled"].to_numpy() == 1) & (age < 65)
    ssi = (ratio < 2.0) & (age >= 15) & (rng.random(n) < np.where(frail, 0.62, np.where(age >= 65, 0.14, 0.0)))
    raises = people.groupby("household")["age"].transform("min").to_numpy() < 18
    tanf = (ratio < 1.2) & raises & (people["role"].to_numpy() == REFERENCE) & (rng.random(n) < 0.22)
    found: dict[str, Integers] = {}
    for item, flag, median in (("ssi", ssi, 8_800.0), ("public_assistance", tanf, 4_200.0)):
        value = np.where(flag, heavy(stratified(rng, n), median=median, sigma=0.35, alpha=9.0), 0.0)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    has_child = np.bincount(people["household"].to_numpy(), weights=age < 18)[people["household"].to_numpy()] > 0
    for_child = (age < 65) & has_child & (rng.random(n) < 0.25)
    reason = np.select([people["seeing"].to_numpy() == 1, for_child, age >= 65], [2, 3, 5], 1)
    return {**found, "ssi_reason": np.where(found["ssi"] > 0, reason, 0)}


def poverty_ratio(people: pd.DataFrame) -> Floats:
    """Household money income over the federal poverty guideline of its size, from the money columns present."""
    household = people["household"].to_numpy()
    present = [name for name in MONEY if name in people]
    income = np.bincount(household, weights=people[present].to_numpy(dtype=np.float64).sum(axis=1))
    return income / (_GUIDELINE + _PER_PERSON * (np.bincount(household) - 1))


def draw_homes(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    """Household columns tenure (1 owned, 2 rented, 3 no rent), mortgage (0/1), value, property_tax, rent_paid, snap,
    energy, subsidised and public (0/1: pays less than the market's rent, and lives in public housing), mobile (0/1),
    lunches (0 no child eats at school, 1 at full price, 2 free), internet (0/1: help with its price).

    Args:
        people: persons with incomes and assistance.
        weight: household weights.
    """
    n, ratio = len(weight), poverty_ratio(people)
    reference = people[people["role"] == REFERENCE]
    age = reference["age"].to_numpy()
    owns = rng.random(n) < 1 / (
        1 + np.exp(-(-2.3 + 0.045 * np.minimum(age, 70) + 0.55 * np.log(np.clip(ratio, 0.3, 12))))
    )
    free = ~owns & (rng.random(n) < 0.04)
    mortgage = owns & (rng.random(n) < np.clip(1.15 - age / 95, 0.12, 0.88))
    value = np.where(
        owns, heavy(stratified(rng, n), median=270_000 * np.clip(ratio, 0.5, 15) ** 0.35, sigma=0.6, alpha=3.0), 0
    )
    tax = value * np.clip(rng.normal(0.0105, 0.005, n), 0.002, 0.03)
    subsidised = ~owns & ~free & (ratio < 1.6) & (rng.random(n) < 0.32)
    paid = heavy(stratified(rng, n), median=15_300 * np.clip(ratio, 0.5, 8) ** 0.28, sigma=0.38, alpha=5.0)
    rent = np.where(owns | free, 0.0, np.where(subsidised, paid * 0.4, paid))
    return {
        "tenure": np.select([owns, free], [1, 3], 2), "mortgage": mortgage.astype(np.int64),
        "value": rounded(value), "property_tax": rounded(tax), "rent_paid": rounded(rent),
        "subsidised": subsidised.astype(np.int64),
        "mobile": (rng.random(n) < np.where(ratio < 3, 0.09, 0.02)).astype(np.int64),
        **_help(rng, people, weight, ratio, subsidised),
    }  # fmt: skip


def _help(
    rng: np.random.Generator, people: pd.DataFrame, weight: Floats, ratio: Floats, subsidised: Flags
) -> dict[str, Integers]:
    """In-kind help of households: snap, energy, public, lunches, internet."""
    n, size = len(weight), np.bincount(people["household"].to_numpy())
    snap = rng.random(n) < np.select(
        [ratio < 0.6, ratio < 1.3, ratio < 2.0, ratio < 3.0], [0.90, 0.74, 0.30, 0.06], 0.003
    )
    benefit = np.where(snap, 3_100 * size**0.75 * np.clip(rng.normal(0.8, 0.3, n), 0.1, 1.6), 0.0)
    energy = (ratio < 2.0) & (rng.random(n) < 0.14)
    pupils = np.bincount(people["household"].to_numpy(), weights=people["age"].between(5, 17)) > 0
    eats = pupils & (rng.random(n) < np.where(ratio < 1.85, 0.92, 0.72))
    return {
        "snap": rounded(scaled(benefit, weight, tables.amount("snap"))),
        "energy": rounded(scaled(np.where(energy, 500.0, 0.0), weight, tables.amount("energy"))),
        "public": (subsidised & (rng.random(n) < 0.42)).astype(np.int64),
        "lunches": np.where(eats, np.where(ratio < 1.85, 2, 1), 0),
        "internet": ((ratio < 2.0) & (rng.random(n) < 0.30)).astype(np.int64),
    }


def draw_coverage(rng: np.random.Generator, people: pd.DataFrame, weight: Floats) -> dict[str, Integers]:
    """Person columns of 0/1 coverage (employer, own_employer, marketplace, subsidised_marketplace, direct, medicare,
    medicaid, chip, military, champva, veterans_care, indian_health, other_means), what employees without a plan of
    their own say of their employer's (offered, eligible, too_dear: 0 not asked, 1 yes, 2 no), and premiums, medical,
    over_the_counter, part_b."""
    n, age = len(people), people["age"].to_numpy()
    household = people["household"].to_numpy()
    ratio, u = poverty_ratio(people)[household], rng.random(n)
    entitled = np.where(people["citizenship"].to_numpy() == 5, 0.5, 0.95)
    medicare = ((age >= 65) & (u < entitled)) | (people["social_security_reason"].to_numpy() == 2)
    needy = np.select([ratio < 1.0, ratio < 1.4, ratio < 2.1, ratio < 3.0], [0.72, 0.62, 0.34, 0.16], 0.035)
    medicaid = rng.random(n) < np.clip(needy * np.where(age < 19, 1.35, np.where(medicare, 0.5, 0.85)), 0, 0.95)
    medicaid |= (people["ssi"].to_numpy() > 0) | (people["public_assistance"].to_numpy() > 0)
    offered = (people["wages"].to_numpy() > 18_000) & (people["hours"].to_numpy() >= 30) & (rng.random(n) < 0.80)
    policy = np.bincount(household, weights=offered)[household] > 0
    related = people["role"].to_numpy() <= 3
    employer = ~(medicare & (age >= 70)) & (offered | (policy & related & (age < 66) & (rng.random(n) < 0.86)))
    bare = ~(employer | medicaid | medicare)
    market = bare & (rng.random(n) < 0.32)
    subsidised = market & (ratio < 6) & (rng.random(n) < 0.85)
    direct = (bare & ~market & (rng.random(n) < 0.16)) | (medicare & ~medicaid & (rng.random(n) < 0.25))
    served = (people["veteran"].to_numpy() == 1) & (rng.random(n) < 0.25)
    flags: dict[str, Flags] = {
        "employer": employer, "own_employer": employer & offered, "marketplace": market,
        "subsidised_marketplace": subsidised, "direct": direct, "medicare": medicare, "medicaid": medicaid,
        "chip": medicaid & (age < 19) & (rng.random(n) < 0.27), "military": served & (rng.random(n) < 0.5),
        "champva": rng.random(n) < 0.004, "veterans_care": served,
        "indian_health": (people["race"].to_numpy() == 3) & (rng.random(n) < 0.3),
        "other_means": (ratio < 2.0) & ~medicaid & (rng.random(n) < 0.012),
    }  # fmt: skip
    found = {name: flag.astype(np.int64) for name, flag in flags.items()}
    found.update(_offers(rng, people, employer & offered))
    payer = offered | (market & (age >= 18)) | (direct & (age >= 18))
    found.update(_costs(rng, weight, payer))
    found["part_b"] = np.where(medicare & ~medicaid, PART_B_PREMIUM, 0)
    return found


def _costs(rng: np.random.Generator, weight: Floats, payer: Flags) -> dict[str, Integers]:
    """Premiums of who pays for a plan, and what persons pay for care."""
    n = len(weight)
    found: dict[str, Integers] = {}
    costs = {
        "premiums": (payer, 3_600.0),
        "medical": (rng.random(n) < 0.72, 420.0),
        "over_the_counter": (rng.random(n) < 0.7, 120.0),
    }
    for item, (flag, median) in costs.items():
        value = np.where(flag, heavy(stratified(rng, n), median=median, sigma=1.0, alpha=2.5), 0.0)
        found[item] = rounded(scaled(value, weight, tables.amount(item)))
    return found


def _offers(rng: np.random.Generator, people: pd.DataFrame, insured: Flags) -> dict[str, Integers]:
    """Whether the employer of a worker without a plan of their own offers one, takes the worker in, at what price."""
    n, sector = len(people), people["sector"].to_numpy()
    asked = (people["weeks"].to_numpy() >= 30) & (sector >= 1) & (sector <= 5) & ~insured
    offered = np.where(asked, np.where(rng.random(n) < 0.60, 1, 2), 0)
    eligible = np.where(offered == 1, np.where(rng.random(n) < 0.60, 1, 2), 0)
    return {
        "offered": offered, "eligible": eligible,
        "too_dear": np.where(eligible == 1, np.where(rng.random(n) < 1 / 3, 1, 2), 0),
    }  # fmt: skip
