"""The tax file's aggregate records, taken apart into returns that can be taxed.

The IRS replaces the returns of greatest disclosure risk by four records (RECID 999996-999999), each the mean of a
bucket of returns by adjusted gross income: none or negative, below 10 million, 10-100 million, 100 million and over.
They have no filing status and no family. Here bucket b, of W returns, becomes n = min(40, max(20, W / 10)) copies of
ordinary returns, its donors, of weight W / n each:

1. donors: those with income within the bucket, by a seeded draw that favours incomes near the bucket's mean; else those
   nearest in income. No donor gives more than a fifth of the copies while the file has five returns.
2. income: a donor's own, times one factor and held within the bucket's bounds so that the mean is the bucket's. Where
   the donors lie outside the bucket, as for the top one, they are ranked and take quantiles of a Pareto tail first.
3. amounts: a donor's own times the change of its income, then variable by variable so that

       sum of weight * amount over the copies == weight * amount of the aggregate record.

   Gains are multiplied by a and losses divided by it, with a - solution of a P - N / a = T for the copies' gains P,
   losses N and the total T wanted - so that a total of either sign is met, at the least distortion of either side.
   Then no copy holds more than a fifth of a variable's gains, nor of its losses, while five can have some; the excess
   goes to the others who have, and where fewer than five do, to as many more without any, drawn by seed. Where no copy
   has the total's sign, five drawn ones share it in proportion to income.

Bounds and the tail are data (`data/puf_buckets.csv`). The richest are no named persons: no list of fortunes is used,
and the top bucket's composition is that of its donors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.datafile import read_rows
from tessera.random import uniform
from tessera.sources.irs_puf import AGGREGATES

FEWEST, MOST, RETURNS_A_COPY = 20, 40, 10
COPY = "COPY"
# Most that one donor may give of the copies, and one copy of a variable's gains or losses.
DOMINANCE = 0.2
# Amounts that hold another one: the part beyond it is moved by itself, so that the whole stays no less than its part.
WITHIN = {"E00600": "E00650", "E01500": "E01700"}
_NOT_AMOUNTS = frozenset({"S006"})


@dataclass(frozen=True)
class Bucket:
    """Adjusted gross income of a bucket's returns, dollars, and the exponent of its tail."""

    low: float
    high: float
    exponent: float


@cache
def buckets() -> dict[int, Bucket]:
    """Buckets by the RECID of their aggregate record."""
    return {
        int(row["recid"]): Bucket(float(row["low"]), float(row["high"]), float(row["exponent"]))
        for row in read_rows("puf_buckets")
    }


def amount_codes(returns: pd.DataFrame) -> list[str]:
    """Columns of a table of returns that are amounts in dollars: their codes begin with E, P or T."""
    return [str(c) for c in returns.columns if str(c)[:1] in "EPT" and str(c)[1:].isdigit() and c not in _NOT_AMOUNTS]


def copies_of(population: float) -> int:
    """Copies that a bucket of that many returns becomes."""
    return int(min(MOST, max(FEWEST, round(population / RETURNS_A_COPY))))


def disaggregate(returns: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Replace aggregate records by copies of ordinary returns.

    Args:
        returns: one row a return with RECID, weight (returns represented), E00100 (AGI), all other amounts by code,
            dollars, and what describes the family.
        seed: seed of the choice of donors.

    Returns:
        The ordinary returns and after them the copies, with new RECIDs above all others; column `COPY` is 1 for the
        latter. The weight of every bucket, and its weighted total of every amount, are kept to rounding.

    Raises:
        SourceError: there are aggregate records but no ordinary ones.
    """
    recid = returns["RECID"].to_numpy(dtype=np.int64)
    is_aggregate = np.isin(recid, AGGREGATES)
    if not is_aggregate.any():
        return returns.assign(**{COPY: 0}).reset_index(drop=True)
    ordinary = returns[~is_aggregate].assign(**{COPY: 0})
    if len(ordinary) == 0:
        raise SourceError(
            f"tax file: all {len(returns)} rows are aggregate records (RECID 999996-999999); wanted ordinary returns "
            "too, whose families they take. Check that the file is complete."
        )
    codes = amount_codes(returns)
    tables, next_id = [ordinary], int(recid.max()) + 1
    for row in np.flatnonzero(is_aggregate):
        target = returns.iloc[row]
        copies = _copies(ordinary, target, codes, seed)
        tables.append(copies.assign(RECID=next_id + np.arange(len(copies)), COPY=1))
        next_id += len(copies)
    return pd.concat(tables, ignore_index=True)


def _copies(ordinary: pd.DataFrame, target: pd.Series, codes: list[str], seed: int) -> pd.DataFrame:
    recid, mean = int(target["RECID"]), float(target["E00100"])
    bucket, n = buckets()[recid], copies_of(float(target["weight"]))
    rows = _donors(ordinary, recid, mean, n, seed)
    donors = ordinary.iloc[rows]
    before = donors["E00100"].to_numpy(dtype=np.float64)
    after = _incomes(before, bucket, mean)
    size = np.abs(after) / np.maximum(np.abs(before), 1.0)
    # A donor of next to no income, blown up to millions, would bring its oddities with it: at most hundredfold.
    size = np.clip(np.where(np.abs(before) < 1.0, 1.0, size), 0.01, 100.0)
    values = _parts(donors[codes].astype(np.float64))
    totals = _parts(target[codes].to_frame().T.astype(np.float64)).iloc[0] * n
    income = np.abs(after) + 1.0
    columns = {}
    for code in codes:
        turn = uniform(f"puf_aggregates/{code}/{seed}", recid, np.arange(n))
        columns[code] = moved(values[code].to_numpy() * size, float(totals[code]), income, turn)
    columns["E00100"] = after
    whole = _wholes(pd.DataFrame(columns, index=donors.index)[codes])
    return donors.assign(**{code: whole[code] for code in codes}, weight=float(target["weight"]) / n)


def _donors(ordinary: pd.DataFrame, recid: int, mean: float, n: int, seed: int) -> IntArray:
    """Rows of the returns to copy, in ascending income."""
    income = ordinary["E00100"].to_numpy(dtype=np.float64)
    bucket = buckets()[recid]
    gap = np.abs(np.arcsinh(income) - np.arcsinh(mean))
    inside = (income > bucket.low) & (income <= bucket.high)
    draw = uniform(f"puf_aggregates/{recid}/{seed}", ordinary["RECID"].to_numpy(dtype=np.int64))
    # Smallest of exponential waiting times: a draw without replacement in proportion to 1 / (1 + gap)^2.
    wait = np.where(inside, -np.log(draw) * (1 + gap) ** 2, np.inf)
    order = np.lexsort((gap, wait))
    repeats = max(1, int(np.ceil(n / len(order))))
    chosen = np.tile(order, repeats)[:n] if repeats > 1 else order[:n]
    return np.asarray(chosen[np.argsort(income[chosen], kind="stable")], dtype=np.int64)


def _incomes(before: FloatArray, bucket: Bucket, mean: float) -> FloatArray:
    """Incomes of the copies, ascending as their donors', within the bucket's bounds and of its mean."""
    low, high = min(bucket.low, mean), max(bucket.high, mean)
    own = before
    if np.isfinite(low) and (before <= bucket.low).any() and bucket.low >= 0:
        rank = (np.arange(len(before)) + 0.5) / len(before)
        ratio = (max(low, 1.0) / high) ** bucket.exponent if np.isfinite(high) else 0.0
        own = max(low, 1.0) * (1 - rank * (1 - ratio)) ** (-1 / bucket.exponent)
    if mean == 0 or not (np.sign(own) == np.sign(mean)).any():
        return np.full(len(before), mean)
    own = np.where(np.sign(own) == np.sign(mean), np.abs(own), 0.0)
    floor, ceiling = sorted((abs(low), abs(high))) if low * high >= 0 else (0.0, max(abs(low), abs(high)))
    floor = 0.0 if not np.isfinite(floor) or low <= 0 <= high else floor
    return np.sign(mean) * _of_mean(own, abs(mean), floor, ceiling)


def _of_mean(values: FloatArray, mean: float, floor: float, ceiling: float) -> FloatArray:
    """Values times one factor, held within bounds that contain the mean, so that their mean is the one wanted."""
    small, large = 0.0, 1.0
    while np.clip(values * large, floor, ceiling).mean() < mean and large < 1e30:
        large *= 4.0
    for _ in range(200):
        middle = 0.5 * (small + large)
        small, large = (middle, large) if np.clip(values * middle, floor, ceiling).mean() < mean else (small, middle)
    held = np.clip(values * large, floor, ceiling)
    return np.asarray(held * (mean / held.mean()) if held.mean() > 0 else held + mean, dtype=np.float64)


def moved(values: FloatArray, total: float, income: FloatArray, turn: FloatArray) -> FloatArray:
    """Amounts of one variable that sum to a total, as near to their own as the module says.

    Args:
        values: amounts of the copies, dollars, (n_copies,).
        total: sum wanted, dollars.
        income: size of each copy's income, above 0, for what is shared out, (n_copies,).
        turn: order in which copies without the variable come to have it, the largest first, (n_copies,).
    """
    gains, losses = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    p, n = float(gains.sum()), float(losses.sum())
    if (total > 0 and p == 0) or (total < 0 and n == 0):
        # Those of the other sign stand aside: the whole total is of this one.
        share = np.where(_some(np.zeros(len(values)), turn), income, 0.0)
        amounts = _undominated(abs(total) * share / share.sum(), income, turn)
        return _exact(np.sign(total) * amounts, total)
    if p > 0 and n > 0:
        root = float(np.hypot(total, 2.0 * np.sqrt(p) * np.sqrt(n)))
        # The form without cancellation of the positive root of a^2 p - a total - n = 0.
        factor = (total + root) / (2 * p) if total >= 0 else 2 * n / (root - total)
        gains, losses = gains * factor, losses / factor
    else:
        gains = gains * (total / p) if p > 0 else gains
        losses = losses * (-total / n) if n > 0 else losses
    # Who has a loss does not come to have a gain, nor the other way round: the two would only cancel.
    gains = _undominated(gains, income, np.where(losses > 0, -np.inf, turn))
    losses = _undominated(losses, income, np.where(gains > 0, -np.inf, turn))
    return _exact(gains - losses, total)


def _some(amounts: FloatArray, turn: FloatArray) -> BoolArray:
    """Who has some, and as many more as make one over `DOMINANCE`; nobody whose turn is -inf."""
    has = amounts > 0
    free = np.flatnonzero(~has & np.isfinite(turn))
    lacking = max(round(1 / DOMINANCE) - int(has.sum()), 0)
    has[free[np.argsort(turn[free], kind="stable")[::-1][:lacking]]] = True
    return np.asarray(has)


def _undominated(amounts: FloatArray, income: FloatArray, turn: FloatArray) -> FloatArray:
    """Amounts of the same sum of which none holds more than `DOMINANCE`, while enough rows can hold some."""
    total = float(amounts.sum())
    if total == 0 or amounts.max() <= DOMINANCE * total:
        return amounts
    some = _some(amounts, turn)
    cap = total * max(DOMINANCE, 1.0 / int(some.sum()))
    # Who has next to nothing of a variable takes of it by income, or the excess would find no place.
    share = np.where(some, np.maximum(amounts, 1e-3 * total * income / income.sum()), 0.0)
    if total >= cap * int(some.sum()) * (1 - 1e-12):
        return np.where(some, cap, 0.0)
    small, large = 0.0, 1.0
    while float(np.minimum(share * large, cap).sum()) < total:
        large *= 2.0
    for _ in range(80):
        middle = 0.5 * (small + large)
        enough = float(np.minimum(share * middle, cap).sum()) >= total
        small, large = (small, middle) if enough else (middle, large)
    return np.minimum(share * large, cap)


def _exact(values: FloatArray, total: float) -> FloatArray:
    """The values with what rounding lost put on the largest, so that they sum to the total to the last bits."""
    largest = int(np.argmax(np.abs(values)))
    result = values.copy()
    result[largest] += total - float(values.sum())
    return result


def _parts(amounts: pd.DataFrame) -> pd.DataFrame:
    held = {whole: amounts[whole] - amounts[part] for whole, part in WITHIN.items() if {whole, part} <= {*amounts}}
    return amounts.assign(**held)


def _wholes(amounts: pd.DataFrame) -> pd.DataFrame:
    held = {whole: amounts[whole] + amounts[part] for whole, part in WITHIN.items() if {whole, part} <= {*amounts}}
    return amounts.assign(**held)
