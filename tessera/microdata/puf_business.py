"""What the deduction for qualified business income asks and no tax file of 2015 has: simulated, seeded, by known rates.

Holds the inputs of 26 USC 199A, which came in 2018: whether a person's business is a specified service (all or nothing
for a person), W-2 wages that it pays, unadjusted basis of its property, and dividends of REITs, publicly traded
partnerships and business development companies. Self-employment of a specified service moves to the input of its own.
Flags of what would be qualified are `business_flags`'s, the same rule as for the survey.

For each item and activity with income y > 0, of `data/business_simulation.csv`, with u and z keyed on the person:

    some     u < chance                               (chance by the activity's income)
    amount   y * ratio * exp(sigma z - sigma^2 / 2)   (mean ratio, z below 2; wages and basis)
             y * share, share = v^(1 / ratio - 1)     (v uniform: mean ratio, between 0 and 1; dividends)

Amounts are in dollars of the incomes given, so that they are uprated with all others, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from tessera.microdata.asec import BoolArray, FloatArray
from tessera.microdata.business_flags import qualified_flags
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_persons import Persons
from tessera.random import uniform

SELF_EMPLOYMENT = "self_employment_income_before_lsr"
SSTB_SELF_EMPLOYMENT = "sstb_self_employment_income_before_lsr"
# Most standard deviations above the median: beyond, one large business would pay the wages of a nation.
MOST_SPREAD = 2.0
# Income that an activity's rates are of: of the person, before self-employment is split.
ACTIVITIES = {
    "self_employment": SELF_EMPLOYMENT,
    "farm": "farm_operations_income",
    "rental": "rental_income",
    "partnership": "partnership_income",
    "s_corporation": "s_corp_income",
    "dividends": "non_qualified_dividend_income",
}


@dataclass(frozen=True)
class Rate:
    """One line of the rates: from which income on it holds (dollars), and chance, mean ratio and spread."""

    activity: str
    lower: float
    chance: float
    ratio: float
    sigma: float


@cache
def rates(item: str) -> tuple[Rate, ...]:
    """Rates of "sstb", "w2_wages", "basis", "reit_ptp" or "bdc", in ascending income within an activity."""
    return tuple(
        Rate(
            row["activity"],
            float(row["lower"]),
            float(row["chance"]),
            float(row["ratio"] or 0.0),
            float(row["sigma"] or 0.0),
        )
        for row in read_rows("business_simulation")
        if row["item"] == item
    )


def with_business(amounts: dict[str, FloatArray], persons: Persons, *, seed: int) -> dict[str, FloatArray]:
    """Amounts of persons with self-employment split and the inputs of the deduction added; flags are 0 or 1.

    Args:
        amounts: incomes by engine name, dollars, (n_persons,) each.
        persons: whom they belong to.
        seed: seed of all draws.
    """
    service = _is_service(amounts, persons, seed)
    own = amounts[SELF_EMPLOYMENT]
    wages = _amounts("w2_wages", amounts, persons, seed)
    basis = _amounts("basis", amounts, persons, seed)
    flags = qualified_flags(seed, persons.recid, persons.slot)
    return {
        **amounts,
        SELF_EMPLOYMENT: np.where(service, 0.0, own),
        SSTB_SELF_EMPLOYMENT: np.where(service, own, 0.0),
        "business_is_sstb": service.astype(np.float64),
        "w2_wages_from_qualified_business": wages,
        "unadjusted_basis_qualified_property": basis,
        "sstb_w2_wages_from_qualified_business": np.where(service, wages, 0.0),
        "sstb_unadjusted_basis_qualified_property": np.where(service, basis, 0.0),
        "qualified_reit_and_ptp_income": _shares("reit_ptp", amounts, persons, seed),
        "qualified_bdc_income": _shares("bdc", amounts, persons, seed),
        **{name: flag.astype(np.float64) for name, flag in flags.items()},
    }


def _is_service(amounts: dict[str, FloatArray], persons: Persons, seed: int) -> BoolArray:
    """Whether the person's business is a specified service; one draw a person, against the largest chance."""
    chance = np.zeros(len(persons.unit))
    for rate in rates("sstb"):
        income = amounts[ACTIVITIES[rate.activity]]
        holds = (income != 0) & (np.maximum(income, 0.0) >= rate.lower)
        chance = np.where(holds, np.maximum(chance, rate.chance), chance)
    return np.asarray(uniform(f"puf_business/sstb/{seed}", persons.recid, persons.slot) < chance)


def _amounts(item: str, amounts: dict[str, FloatArray], persons: Persons, seed: int) -> FloatArray:
    """Sum over activities of what they hold of an item."""
    from scipy.special import ndtri

    total = np.zeros(len(persons.unit))
    for activity, (chance, ratio, sigma) in _by_activity(item, amounts).items():
        income = np.maximum(amounts[ACTIVITIES[activity]], 0.0)
        some = uniform(f"puf_business/{item}/{activity}/{seed}", persons.recid, persons.slot) < chance
        z = np.minimum(
            ndtri(uniform(f"puf_business/{item}/{activity}/size/{seed}", persons.recid, persons.slot)), MOST_SPREAD
        )
        total += np.where(some, income * ratio * np.exp(sigma * z - sigma**2 / 2), 0.0)
    return total


def _shares(item: str, amounts: dict[str, FloatArray], persons: Persons, seed: int) -> FloatArray:
    """Sum over activities of a share between 0 and 1 of their income."""
    total = np.zeros(len(persons.unit))
    for activity, (chance, ratio, _) in _by_activity(item, amounts).items():
        income = np.maximum(amounts[ACTIVITIES[activity]], 0.0)
        some = uniform(f"puf_business/{item}/{activity}/{seed}", persons.recid, persons.slot) < chance
        v = uniform(f"puf_business/{item}/{activity}/size/{seed}", persons.recid, persons.slot)
        exponent = 1 / np.maximum(ratio, 1e-9) - 1
        total += np.where(some, income * v**exponent, 0.0)
    return total


def _by_activity(item: str, amounts: dict[str, FloatArray]) -> dict[str, tuple[FloatArray, FloatArray, FloatArray]]:
    """Chance, ratio and spread of each person by activity; chance 0 without positive income."""
    result: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
    for rate in rates(item):
        income = amounts[ACTIVITIES[rate.activity]]
        none = np.zeros(len(income))
        held = result.get(rate.activity, (none, none, none))
        holds = (income > 0) & (income >= rate.lower)
        own = (rate.chance, rate.ratio, rate.sigma)
        chance, ratio, sigma = (np.where(holds, new, old) for new, old in zip(own, held, strict=True))
        result[rate.activity] = (chance, ratio, sigma)
    return result
