"""Writes a synthetic PUF: `puf_2015.csv` in the IRS's columns and codes, and `demographics_2015.csv` beside it.

The returns of greatest risk (the largest and most negative incomes) are replaced by the four aggregate records
999996-999999, each the weighted mean of a bucket with the sum of its weights, MARS 0, as the IRS does. Both files are
marked synthetic by their sidecars. A tenth of returns has no demographic record, as in the official match.

The two belong together: both are written beside their places, and only when both are whole are they renamed, the
demographics first. A writer killed before leaves the old pair; one killed between the two renames leaves returns that
their sidecar does not describe as current, so that the next run writes both again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.random import generator
from tessera.sources.columns import columns_of
from tessera.sources.irs_puf import AGGREGATES
from tessera.sources.marks import write_mark
from tessera.sources.synthetic.archive import csv_bytes
from tessera.sources.synthetic.draws import Integers, choose
from tessera.sources.synthetic.tax_returns import draw_returns
from tessera.store import atomic_path, sha256_of

WRITER = "irs_puf"
YEAR = 2015
MIN_RETURNS = 100
# Income of a bucket, and share of its returns that are hidden; those of least weight, as the riskiest are.
_BUCKETS = ((-np.inf, 0.0, 0.06), (0.0, 1e7, 0.004), (1e7, 1e8, 0.20), (1e8, np.inf, 1.0))


def write(folder: Path, *, returns: int, seed: int) -> Path:
    """Write both files.

    Args:
        folder: where to write; made if absent.
        returns: records before the aggregates replace some, at least `MIN_RETURNS`.
        seed: same arguments, same bytes.

    Returns:
        Path of `puf_2015.csv`.

    Raises:
        SourceError: too few returns.
    """
    if returns < MIN_RETURNS:
        raise SourceError(
            f"A synthetic tax file of {returns} returns; wanted at least {MIN_RETURNS}. Choose a larger scale."
        )
    rng = generator(WRITER, seed)
    table = draw_returns(rng, returns)
    table, aggregates = _aggregate(rng, table)
    table = table.assign(RECID=rng.permutation(len(table) * 2)[: len(table)] + 1)
    demographics = _demographics(rng, table)
    everything = pd.concat([table, aggregates], ignore_index=True)
    settings = {"returns": returns, "year": YEAR}
    path, companion = folder / f"puf_{YEAR}.csv", folder / f"demographics_{YEAR}.csv"
    # The inner file is renamed first, when both are written.
    with atomic_path(path) as first, atomic_path(companion) as second:
        first.write_bytes(csv_bytes(_official(everything)))
        second.write_bytes(csv_bytes(demographics))
        for place, written in ((path, first), (companion, second)):
            write_mark(place, sha256=sha256_of(written), writer=WRITER, seed=seed, settings=settings)
    return path


def _aggregate(rng: np.random.Generator, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    income, weight = table["E00100"].to_numpy(), table["weight"].to_numpy()
    hidden, records = np.zeros(len(table), dtype=bool), []
    for recid, (low, high, share) in zip(AGGREGATES, _BUCKETS, strict=True):
        inside = np.flatnonzero((income > low) & (income <= high))
        if len(inside) == 0:
            # No return of the sample is so rich: the nearest stands for the bucket.
            inside = np.array([int(np.argmax(np.where(hidden, -np.inf, income)))])
        inside = rng.permutation(inside)
        taken = inside[np.argsort(weight[inside], kind="stable")[: max(1, round(len(inside) * share))]]
        hidden[taken] = True
        mean = (table.iloc[taken].mul(weight[taken], axis=0).sum() / weight[taken].sum()).round()
        records.append(
            {**mean, "weight": weight[taken].sum(), "RECID": recid, "MARS": 0, "XTOT": 0, "DSI": 0, "EIC": 0}
        )
    return table[~hidden].reset_index(drop=True), pd.DataFrame(records).assign(N24=0)


def _official(table: pd.DataFrame) -> pd.DataFrame:
    official: dict[str, object] = {}
    for column in columns_of("irs_puf", "return"):
        if column.name == "S006":
            official["S006"] = np.round(table["weight"] * 100).astype(np.int64)
        elif column.name == "FLPDYR":
            official["FLPDYR"] = YEAR
        else:
            official[column.name] = table[column.name].round().astype(np.int64) if column.name in table else 0
    return pd.DataFrame(official, index=table.index)


def _demographics(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    n, age, mars = len(table), table["age"].to_numpy(), table["MARS"].to_numpy()
    dependent = table["DSI"].to_numpy() == 1
    group = np.searchsorted((26, 35, 45, 55, 65), age, side="right") + 1
    young = np.searchsorted((18, 26), age, side="right") + 1
    earnings = (table["E00200"] + table["E00900"]).to_numpy() != 0
    split = choose(rng, (1, 2, 3), (0.52, 0.34, 0.14), n)
    children = np.where(dependent, 0, table["XTOT"].to_numpy() - 1 - (mars == 2))
    female = rng.random(n) < np.select([mars == 2, mars == 4], [0.14, 0.76], 0.5)
    demographics = pd.DataFrame({
        "RECID": table["RECID"], "AGERANGE": np.where(dependent, young, group), **_child_codes(rng, children, age),
        "EARNSPLIT": np.where((mars == 2) & earnings, split, 0), "GENDER": 1 + female,
    })  # fmt: skip
    matched = rng.random(n) < 0.9
    matched[0] = True
    return demographics[matched].sort_values("RECID", ignore_index=True).astype(np.int64)


def _child_codes(rng: np.random.Generator, children: Integers, parent_age: Integers) -> dict[str, Integers]:
    codes: dict[str, Integers] = {}
    for index in range(3):
        youngest = np.clip(np.floor((parent_age - 24) * rng.random(len(children))), 0, 28)
        code = np.searchsorted((5, 13, 17, 19, 24), youngest, side="right") + 1
        codes[f"AGEDP{index + 1}"] = np.where(children > index, code, 0)
    return codes
