"""Fewer households that still carry the whole distribution: a stratified sample of exactly n, with weights.

Holds the strata and the draw. The income of a household is a *proxy* of its adjusted gross income: the sum over its
persons of the components below, before any adjustment and without Social Security (whose taxable part needs the rules).

    strata     the five brackets from half a million up (`TOP_BRACKETS`), of the rest the lowest quarter and the others
    allocation a bracket keeps its limit at 12,000 households, in proportion at another n, all if it has fewer; the
               others share what is left in proportion to their numbers, by largest remainders; at least one each
    draw       systematic, equal chances, along (source, income), so that each source and income is met in proportion;
               households of weight zero only where those of positive weight are too few
    weights    w * (sum of w over the stratum) / (sum of w over its chosen): every stratum keeps its weight exactly
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.random import uniform

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# Inputs that the engine counts as gross income (26 U.S.C. 61 and 62; its list gov.irs.gross_income.sources), but for
# Social Security.
AGI_COMPONENTS = (
    "employment_income_before_lsr",
    "self_employment_income_before_lsr",
    "sstb_self_employment_income_before_lsr",
    "partnership_income",
    "s_corp_income",
    "farm_operations_income",
    "farm_rent_income",
    "rental_income",
    "estate_income",
    "taxable_interest_income",
    "qualified_dividend_income",
    "non_qualified_dividend_income",
    "long_term_capital_gains_before_response",
    "short_term_capital_gains",
    "non_sch_d_capital_gains",
    "other_net_gain",
    "taxable_private_pension_income",
    "taxable_public_pension_income",
    "military_retirement_pay",
    "military_retirement_pay_survivors",
    "taxable_ira_distributions",
    "taxable_401k_distributions",
    "taxable_403b_distributions",
    "taxable_sep_distributions",
    "keogh_distributions",
    "unemployment_compensation",
    "alimony_income",
    "salt_refund_income",
    "miscellaneous_income",
    "debt_relief",
)
# Lower bound of a bracket and the households that it keeps of 12,000.
TOP_BRACKETS = ((5e5, 400), (1e6, 400), (2e6, 400), (5e6, 300), (1e7, 300))
REFERENCE_SIZE = 12_000
BOTTOM_QUANTILE = 0.25


def household_agi(frame: Frame) -> FloatArray:
    """Proxy of adjusted gross income of each household, dollars, (n_households,)."""
    total = np.zeros(frame.count("household"))
    for entity in ("person", "tax_unit"):
        table = frame.table(entity)
        names = [name for name in AGI_COMPONENTS if name in table]
        if names:
            amounts = table[names].to_numpy(dtype=np.float64).sum(axis=1)
            total += np.bincount(frame.household_of(entity), weights=amounts, minlength=len(total))
    return total


def strata_of(agi: FloatArray) -> IntArray:
    """Stratum of each household, (n_households,): 0 bottom quarter of the rest, 1 the rest, 2-6 top brackets."""
    stratum = 1 + np.searchsorted([bound for bound, _ in TOP_BRACKETS], agi, side="right")
    rest = stratum == 1
    if rest.any():
        stratum[rest & (agi < np.quantile(agi[rest], BOTTOM_QUANTILE))] = 0
    return stratum.astype(np.int64)


def stratify(frame: Frame, n_households: int, *, seed: int) -> Frame:
    """A sub-frame of exactly `n_households`, with the weights of every stratum kept.

    Args:
        frame: households to choose from; ids are kept.
        n_households: households wanted, at least the number of strata that occur (seven at most).
        seed: seed of the draw.

    Raises:
        FrameError: more households wanted than there are, or fewer than strata; or a frame that is not in order.
    """
    total = frame.validate("survey to stratify").count("household")
    agi = household_agi(frame)
    stratum = strata_of(agi)
    sizes = np.bincount(stratum, minlength=2 + len(TOP_BRACKETS))
    if not int((sizes > 0).sum()) <= n_households <= total:
        raise FrameError(
            f"Stratification: {n_households} households wanted of {total} in {int((sizes > 0).sum())} strata; wanted a "
            "number between the two. Change the scale's `households`."
        )
    if n_households == total:
        return frame
    counts = allocate(sizes, n_households)
    chosen = [
        _systematic(frame, np.flatnonzero(stratum == s), int(counts[s]), agi, f"stratify/{s}/{seed}")
        for s in range(len(sizes))
    ]
    rows = np.sort(np.concatenate(chosen))
    weights = _rescaled(frame.weights, stratum, rows)
    result = frame.select_households(rows)
    result.household["household_weight"] = weights
    return result.validate("stratified survey")


def stratum_table(before: Frame, after: Frame) -> pd.DataFrame:
    """What a stratification kept of each stratum: households and millions represented before and after.

    Args:
        before: the frame that was chosen from.
        after: what was chosen; its ids are those of `before`.
    """
    stratum = strata_of(household_agi(before))
    rows = np.searchsorted(before.household["household_id"].to_numpy(), after.household["household_id"].to_numpy())
    n = 2 + len(TOP_BRACKETS)
    bounds = [f"from {bound / 1e6:g} million" for bound, _ in TOP_BRACKETS]
    return pd.DataFrame(
        {
            "stratum": ["lowest quarter", "the rest below half a million", *bounds],
            "households": np.bincount(stratum, minlength=n),
            "kept": np.bincount(stratum[rows], minlength=n),
            "million represented": np.bincount(stratum, weights=before.weights, minlength=n) / 1e6,
            "million kept": np.bincount(stratum[rows], weights=after.weights, minlength=n) / 1e6,
        }
    )


def allocate(sizes: IntArray, n: int) -> IntArray:
    """Households to take from each stratum, (n_strata,): sums to n, at most the sizes, at least one if any.

    Args:
        sizes: households of each stratum: bottom, middle, then the top brackets, (7,).
        n: households wanted, between the number of strata that occur and the sum of sizes.
    """
    limits = np.array([limit for _, limit in TOP_BRACKETS], dtype=np.float64) * n / REFERENCE_SIZE
    counts = np.minimum(sizes, 1)
    # A stratum's floor of one comes first; brackets then fill up to their limits as far as n reaches.
    top = np.minimum(sizes[2:], np.maximum(np.round(limits).astype(np.int64), counts[2:]))
    counts[2:] += _largest_remainder(top - counts[2:], min(n - int(counts.sum()), int((top - counts[2:]).sum())))
    left = n - int(counts.sum())
    rest = sizes[:2] - counts[:2]
    taken = min(left, int(rest.sum()))
    counts[:2] += _largest_remainder(rest, taken)
    # Where even the whole rest does not reach n, the brackets give more than their limits.
    counts[2:] += _largest_remainder(sizes[2:] - counts[2:], left - taken)
    return np.asarray(counts, dtype=np.int64)


def _largest_remainder(capacity: IntArray, n: int) -> IntArray:
    """Share n in proportion to capacities, never beyond them; ties go to the earlier."""
    total = int(capacity.sum())
    if n <= 0 or total == 0:
        return np.zeros_like(capacity)
    exact = capacity * (n / total)
    counts = np.minimum(np.floor(exact + 1e-9).astype(np.int64), capacity)
    remainder = np.where(counts < capacity, exact - counts, -1.0)
    counts[np.argsort(-remainder, kind="stable")[: n - int(counts.sum())]] += 1
    return np.asarray(counts, dtype=np.int64)


def _systematic(frame: Frame, rows: IntArray, n: int, agi: FloatArray, label: str) -> IntArray:
    """n of some rows: of those with a positive weight if they suffice, else all of these and some of the others."""
    positive = frame.weights[rows] > 0
    weighted, others = rows[positive], rows[~positive]
    if n <= len(weighted):
        return _drawn(frame, weighted, n, agi, label)
    return np.concatenate([weighted, _drawn(frame, others, n - len(weighted), agi, label)])


def _drawn(frame: Frame, rows: IntArray, n: int, agi: FloatArray, label: str) -> IntArray:
    """n of some rows at equal steps along (source, income), from a random start."""
    source = frame.household["source"].astype(str).to_numpy()[rows]
    ids = frame.household["household_id"].to_numpy(dtype=np.int64)[rows]
    order = np.lexsort((uniform(label, ids), agi[rows], source))
    start = float(uniform(f"{label}/start", 0))
    picks = np.floor((np.arange(n) + start) * len(rows) / max(n, 1)).astype(np.int64)
    return rows[order[np.minimum(picks, len(rows) - 1)]]


def _rescaled(weights: FloatArray, stratum: IntArray, rows: IntArray) -> FloatArray:
    wanted = np.bincount(stratum, weights=weights)
    held = np.bincount(stratum[rows], weights=weights[rows], minlength=len(wanted))
    factor = np.divide(wanted, held, out=np.ones_like(wanted), where=held > 0)
    return weights[rows] * factor[stratum[rows]]
