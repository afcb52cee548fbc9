"""The tax file's aggregate records, taken apart into records that can be persons.

The IRS replaces the returns of greatest disclosure risk by four records (RECID 999996-999999), each the mean of a
bucket of returns by income: none or negative, below 10 million, 10-100 million, 100 million and over. They have no
filing status and no family, so they cannot be taxed as they stand. Here every bucket becomes copies of the file's own
returns nearest to it in income, which share its weight equally and whose amounts are moved so that, variable by
variable,

    sum of weight * amount over the copies == weight * amount of the aggregate record   (exactly, for every variable)

by a common factor where the copies' total has the same sign, and by equal shares for each return where it has not.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import FloatArray, IntArray
from tessera.random import uniform

AGGREGATES = (999996, 999997, 999998, 999999)
# Income of a bucket's returns: lower and upper bound, dollars.
BOUNDS = {
    999996: (-np.inf, 0.0),
    999997: (0.0, 1e7),
    999998: (1e7, 1e8),
    999999: (1e8, np.inf),
}
COPIES = 20
# A factor beyond this would blow one donor's oddity up; the total is then met by equal shares instead.
LARGEST_FACTOR = 1e3


def disaggregate(
    returns: pd.DataFrame, amounts: pd.DataFrame, *, seed: int, copies: int = COPIES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Replace aggregate records by copies of ordinary ones.

    Args:
        returns: one row a return with RECID, weight (returns represented), E00100 (AGI) and what describes the family.
        amounts: one row a return, dollars, aligned with `returns`.
        seed: seed of the choice of donors.
        copies: records that each bucket becomes, at most the number of ordinary returns.

    Returns:
        Both tables without aggregate records and with the copies after the ordinary ones; copies have new RECIDs above
        all others. Weighted totals of every bucket are kept.

    Raises:
        SourceError: there are aggregate records but no ordinary ones.
    """
    recid = returns["RECID"].to_numpy(dtype=np.int64)
    is_aggregate = np.isin(recid, AGGREGATES)
    ordinary = np.flatnonzero(~is_aggregate)
    if not is_aggregate.any():
        return returns, amounts
    if ordinary.size == 0:
        raise SourceError("Tax file: it holds aggregate records only (RECID 999996-999999); wanted ordinary returns.")
    tables, values = [returns.iloc[ordinary]], [amounts.iloc[ordinary]]
    next_id = int(recid.max()) + 1
    for row in np.flatnonzero(is_aggregate):
        donors = _donors(returns, ordinary, int(recid[row]), float(returns["E00100"].iloc[row]), copies, seed)
        weight = float(returns["weight"].iloc[row]) / len(donors)
        table = returns.iloc[donors].assign(RECID=next_id + np.arange(len(donors)), weight=weight)
        next_id += len(donors)
        tables.append(table)
        values.append(_moved(amounts.iloc[donors], amounts.iloc[row]))
    return pd.concat(tables, ignore_index=True), pd.concat(values, ignore_index=True)


def _donors(returns: pd.DataFrame, ordinary: IntArray, recid: int, income: float, copies: int, seed: int) -> IntArray:
    """Rows of the returns to copy: of the bucket, else those nearest in income; among many, a draw."""
    agi = returns["E00100"].to_numpy(dtype=np.float64)[ordinary]
    low, high = BOUNDS[recid]
    inside = ordinary[(agi > low) & (agi <= high)] if recid != min(BOUNDS) else ordinary[agi <= high]
    n = min(copies, ordinary.size)
    if inside.size < n:
        distance = np.abs(np.arcsinh(agi) - np.arcsinh(income))
        return np.sort(ordinary[np.argsort(distance, kind="stable")[:n]])
    key = uniform(f"puf_aggregates/{recid}/{seed}", returns["RECID"].to_numpy(dtype=np.int64)[inside])
    # Closeness in income decides softly: a bucket's mean return resembles its own middle, not its bottom.
    gap = np.abs(np.arcsinh(returns["E00100"].to_numpy(dtype=np.float64)[inside]) - np.arcsinh(income))
    return np.sort(inside[np.argsort(-np.log(key) * (1 + gap) ** 2, kind="stable")[:n]])


def _moved(donors: pd.DataFrame, target: pd.Series) -> pd.DataFrame:
    """Donors' amounts whose mean is the target's, variable by variable."""
    moved: dict[str, FloatArray] = {}
    for name in donors.columns:
        value = donors[name].to_numpy(dtype=np.float64)
        wanted, mean = float(target[name]), float(value.mean())
        factor = wanted / mean if mean != 0 else np.inf
        moved[str(name)] = value * factor if 0 <= factor <= LARGEST_FACTOR else value * 0 + wanted
    return pd.DataFrame(moved, index=donors.index)
