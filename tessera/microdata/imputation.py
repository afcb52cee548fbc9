"""Sequential imputation: outputs one after the other, each a predictor of the next.

Holds the chain and its workers; knows no survey. For each output in order a forest grows on the predictors and the
donors' values of the outputs before it (`forest.py`), and a receiver's value is one draw of its conditional
distribution, given the receiver's own draws of the outputs before. Values are whole donor values. An output that is the
same for all donors costs no forest.

Forests need the donors alone, so that workers grow them side by side, ahead of the draws, which follow one another. A
worker takes a few trees at a time, of whichever output is next; at most one forest a worker is alive beyond that which
is being drawn from, so that memory does not grow with the length of the chain. The result is the same to the bit for
any number of workers. Workers are threads: what they run is compiled and leaves the interpreter alone, and all read the
same predictors.

Draws are `tessera.random.uniform` of (chain, output and seed; household; entity): a receiver's value depends on no
other receiver, nor on their order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError
from tessera.microdata.forest import TREES, Donors, FloatArray, Forest, IntArray, Keys, draw, grow, plant
from tessera.microdata.imputation_quality import QUALITY, quality_row
from tessera.random import generator

__all__ = ["Imputation", "Keys", "fit_predict_chain", "impute_chain", "training_sample"]

Progress = Callable[[int, int, str], None]
"""Called with how many outputs are done, how many there are, and the name of the last."""

_BLOCK = 8  # trees that a worker takes at a time


@dataclass(frozen=True)
class Imputation:
    """What a chain imputed.

    Attributes:
        values: outputs, float64, one row a receiver with the receivers' index.
        quality: one row an output in the chain's order, the columns `QUALITY`; empty if not asked for.
    """

    values: pd.DataFrame
    quality: pd.DataFrame


def impute_chain(
    train: pd.DataFrame,
    predictors: Sequence[str],
    outputs: Sequence[str],
    weights: FloatArray,
    receivers: pd.DataFrame,
    *,
    seed: int,
    label: str = "",
    keys: Keys | None = None,
    groups: npt.NDArray[np.generic] | None = None,
    receiver_weights: FloatArray | None = None,
    trees: int = TREES,
    n_jobs: int = 1,
    quality: bool = True,
    progress: Progress | None = None,
) -> Imputation:
    """Impute the outputs one after the other, and say how well.

    Args:
        train: donors, with predictors and outputs; numbers without missing values.
        predictors: names of columns that donors and receivers share.
        outputs: names of the donors' columns to impute, in the order of the chain.
        weights: survey weights of the donors, (n_donors,), at least 0 and not all 0. Donors of weight 0 take no part.
        receivers: rows to impute for, with the predictors.
        seed: seed of forests and draws.
        label: name of the chain, part of what forests and draws are keyed on.
        keys: identity of the receivers' draws; row numbers where absent.
        groups: donors that are one observation (implicates of a family) share a value, (n_donors,). Tests of quality
            hold them out together.
        receiver_weights: survey weights for the receivers' side of the quality table, (n_receivers,); equal if absent.
        trees: number of trees of each forest.
        n_jobs: workers.
        quality: whether to make the quality table.
        progress: called after each output.

    Raises:
        FrameError: an absent column, a missing value, a weight below zero, a column named twice or no donor.
    """
    _check_names(predictors, outputs)
    donors = _donors(train, [*predictors, *outputs], weights, groups)
    _check(receivers, predictors, "receivers")
    if receiver_weights is None:
        receiver_weights = np.ones(len(receivers))
    receiver_weights = _checked_weights(receiver_weights, len(receivers), "receiver")
    if keys is None:
        rows = np.arange(len(receivers), dtype=np.int64)
        keys = Keys(rows, np.zeros_like(rows))
    x = np.empty((len(predictors) + len(outputs), len(receivers)))
    x[: len(predictors)] = _columns(receivers, predictors)
    planted = (
        _planted(donors, len(predictors) + number, f"{label}/{name}" if label else name, seed, trees)
        for number, name in enumerate(outputs)
    )
    table = []
    for number, (forest, seconds) in enumerate(_grown(planted, n_jobs)):
        begun = time.perf_counter()
        place = len(predictors) + number
        x[place] = donors.x[place, 0] if forest is None else draw(forest, x[:place], keys)
        if quality:
            row = quality_row(donors, place, forest, x[place], receiver_weights, seed=seed)
            spent = seconds + time.perf_counter() - begun
            table.append({"chain": label, "output": outputs[number], "order": number, **row, "seconds": spent})
        if progress is not None:
            progress(number + 1, len(outputs), outputs[number])
    values = pd.DataFrame(x[len(predictors) :].T, index=receivers.index, columns=list(outputs))
    return Imputation(values, pd.DataFrame(table, columns=list(QUALITY)))


def fit_predict_chain(
    train: pd.DataFrame,
    predictors: Sequence[str],
    outputs: Sequence[str],
    weights: FloatArray,
    receivers: pd.DataFrame,
    *,
    seed: int,
    keys: Keys | None = None,
    trees: int = TREES,
    n_jobs: int = 1,
) -> pd.DataFrame:
    """The values of `impute_chain`, without the quality table.

    Args:
        train, predictors, outputs, weights, receivers, seed, keys, trees, n_jobs: as there.

    Returns:
        Imputed outputs, float64, one row a receiver with the receivers' index.

    Raises:
        FrameError: as there.
    """
    return impute_chain(
        train, predictors, outputs, weights, receivers, seed=seed, keys=keys, trees=trees, n_jobs=n_jobs, quality=False
    ).values


def training_sample(
    weights: FloatArray, size: int, *, keep: npt.NDArray[np.bool_], seed: int
) -> tuple[IntArray, FloatArray]:
    """Rows to train on and their weights: all rows of `keep`, and a random sample of the others scaled to their total.

    Args:
        weights: (n,), at least 0.
        size: rows wanted; all rows are taken where n is no larger.
        keep: rows that may not be lost (the top of a distribution), (n,).
        seed: of the sample.
    """
    if len(weights) <= size:
        return np.arange(len(weights), dtype=np.int64), weights
    others = np.flatnonzero(~keep)
    n_others = max(size - int(keep.sum()), 0)
    chosen = np.sort(generator("training_sample", seed).permutation(others)[:n_others])
    rows = np.sort(np.concatenate([np.flatnonzero(keep), chosen])).astype(np.int64)
    scaled = weights.copy()
    if weights[chosen].sum() > 0:
        scaled[chosen] *= weights[others].sum() / weights[chosen].sum()
    return rows, scaled[rows]


def _donors(
    train: pd.DataFrame, columns: Sequence[str], weights: FloatArray, groups: npt.NDArray[np.generic] | None
) -> Donors:
    """Donors of weight above 0 with some columns, after the checks of table, weights and groups."""
    _check(train, columns, "donors")
    weights = _checked_weights(weights, len(train), "donor")
    if groups is not None and np.shape(groups) != (len(train),):
        raise FrameError(f"Imputation: groups of donors have shape {np.shape(groups)}; wanted ({len(train)},).")
    kept = weights > 0
    return Donors.of(
        _columns(train.loc[kept], columns), weights[kept], None if groups is None else np.asarray(groups)[kept]
    )


def _planted(donors: Donors, place: int, label: str, seed: int, trees: int) -> Forest | None:
    """A forest yet to grow of the column at a place on those before it; None where all donors have one value."""
    if place not in donors.columns:
        return None
    return plant(donors, place, donors.x[place], label=label, seed=seed, trees=trees)


def _grown(planted: Iterator[Forest | None], n_jobs: int) -> Iterator[tuple[Forest | None, float]]:
    """Forests in their order, grown, with the seconds that it took all workers."""
    if n_jobs <= 1:
        for forest in planted:
            yield forest, 0.0 if forest is None else _timed(forest, 0, forest.n_trees)
        return
    pool = ThreadPoolExecutor(n_jobs)

    def begin(forest: Forest | None) -> tuple[Forest | None, list[Future[float]]]:
        if forest is None:
            return None, []
        blocks = range(0, forest.n_trees, _BLOCK)
        return forest, [pool.submit(_timed, forest, first, first + _BLOCK) for first in blocks]

    try:
        ahead = deque(map(begin, islice(planted, n_jobs)))
        while ahead:
            ahead.extend(map(begin, islice(planted, 1)))
            forest, futures = ahead.popleft()
            yield forest, sum(future.result() for future in futures)
    finally:
        pool.shutdown(cancel_futures=True)


def _timed(forest: Forest, first: int, last: int) -> float:
    begun = time.perf_counter()
    grow(forest, first, min(last, forest.n_trees))
    return time.perf_counter() - begun


def _columns(table: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Columns as rows, (n_names, n_rows) float64."""
    result = np.empty((len(names), len(table)))
    for number, name in enumerate(names):
        result[number] = table[name].to_numpy(dtype=np.float64)
    return result


def _check_names(predictors: Sequence[str], outputs: Sequence[str]) -> None:
    names = [*predictors, *outputs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FrameError(f"Imputation: {', '.join(twice)} named more than once; wanted each predictor or output once.")


def _check(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    absent = [column for column in columns if column not in table]
    if absent:
        raise FrameError(f"Imputation: the {what} have no columns {', '.join(absent)}; wanted {', '.join(columns)}.")
    if len(table) == 0:
        raise FrameError(f"Imputation: there are no {what}; wanted at least one row.")
    for column in columns:
        values = table[column].to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise FrameError(
                f"Imputation: row {int(bad[0])} of the {what} has {column} = {values[bad[0]]}; wanted a number."
            )


def _checked_weights(weights: FloatArray, n: int, whose: str) -> FloatArray:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise FrameError(
            f"Imputation: {whose} weights have shape {weights.shape} and sum {weights.sum()}; "
            f"wanted shape ({n},), finite numbers of at least 0, not all 0."
        )
    return weights
