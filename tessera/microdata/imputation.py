"""Sequential imputation by weighted quantile random forests, with draws that are whole donor values.

Holds the engine; knows no survey. For each output in order a forest grows on the predictors and the outputs before it.
A receiver's value is one draw from the forest's conditional distribution (Meinshausen 2006, "Quantile regression
forests", Journal of Machine Learning Research 7): with T trees and donors j of weight v_j,

    P(Y = y_j | x) = 1/T sum_t  v_j 1[j shares x's leaf of tree t] / sum of v over that leaf

which is drawn exactly, in two steps: a tree, then a donor of the leaf in proportion to weight. So zeros come out as
often as they stand in the leaves (no separate model of zero), and nothing is interpolated, averaged or cut off at the
top.
Trees split on sign(y) log(1 + |y| / median), so that one fortune does not decide every split; values drawn are dollars.

Draws are `tessera.random.uniform` of (output and seed, household, entity): a receiver's value depends on no other
receiver, nor on their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError
from tessera.random import generator, uniform

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

TREES = 32
LEAF = 6
FEATURE_SHARE = 0.4
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Keys:
    """What a receiver's draws are keyed on: household id and position within the household, each (n_receivers,)."""

    household_id: IntArray
    entity_index: IntArray


@dataclass(frozen=True)
class LeafSampler:
    """One fitted forest with its donors sorted by leaf.

    Attributes:
        trees: the fitted trees (scikit-learn estimators).
        order: per tree, donors sorted by leaf, (n_trees, n_donors).
        leaf: per tree, leaf of each sorted donor, (n_trees, n_donors).
        cumulative: per tree, running sum of the sorted donors' weights, (n_trees, n_donors).
        values: values of the donors, (n_donors,).
    """

    trees: Sequence[Any]
    order: IntArray
    leaf: IntArray
    cumulative: FloatArray
    values: FloatArray


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
    """Impute the outputs one after the other; every output joins the predictors of the next.

    Args:
        train: donors, with predictors and outputs; numbers without missing values.
        predictors: names of columns that donors and receivers share.
        outputs: names of the donors' columns to impute, in the order of the chain.
        weights: survey weights of the donors, (n_donors,), at least 0 and not all 0.
        receivers: rows to impute for, with the predictors.
        seed: seed of forests and draws.
        keys: identity of the receivers' draws; row numbers where absent.
        trees: number of trees of each forest.
        n_jobs: threads that grow a forest; the result is the same.

    Returns:
        Imputed outputs, float64, one row a receiver with the receivers' index.

    Raises:
        FrameError: an absent column, a missing value, a weight below zero or no donor.
    """
    _check(train, [*predictors, *outputs], "donors")
    _check(receivers, predictors, "receivers")
    weights = _checked_weights(weights, len(train))
    if keys is None:
        rows = np.arange(len(receivers), dtype=np.int64)
        keys = Keys(rows, np.zeros_like(rows))
    donor_x = train[list(predictors)].to_numpy(dtype=np.float64)
    receiver_x = receivers[list(predictors)].to_numpy(dtype=np.float64)
    result: dict[str, FloatArray] = {}
    for name in outputs:
        values = train[name].to_numpy(dtype=np.float64)
        sampler = fit(donor_x, values, weights, label=name, seed=seed, trees=trees, n_jobs=n_jobs)
        drawn = draw(sampler, receiver_x, keys, label=name, seed=seed)
        result[name] = drawn
        donor_x = np.column_stack([donor_x, values])
        receiver_x = np.column_stack([receiver_x, drawn])
    return pd.DataFrame(result, index=receivers.index, columns=list(outputs))


def fit(
    x: FloatArray, y: FloatArray, weights: FloatArray, *, label: str, seed: int, trees: int = TREES, n_jobs: int = 1
) -> LeafSampler:
    """Grow a forest of y on x and sort the donors into its leaves.

    Args:
        x: predictors, (n_donors, n_predictors).
        y: values, (n_donors,).
        weights: weights, (n_donors,), at least 0.
        label: name of the output, which with `seed` decides the trees.
    """
    from sklearn.ensemble import RandomForestRegressor

    state = int(generator(f"forest/{label}", seed).integers(2**31 - 1))
    # Only the trees are wanted: a quantile forest's own store of leaves knows no survey weights and costs a third more.
    forest = RandomForestRegressor(
        n_estimators=trees, min_samples_leaf=LEAF, max_features=FEATURE_SHARE, random_state=state, n_jobs=n_jobs
    )
    forest.fit(x, _compressed(y), sample_weight=weights / weights.mean())
    leaves = np.asarray(forest.apply(x), dtype=np.int64).T
    order = np.argsort(leaves, axis=1, kind="stable")
    return LeafSampler(
        trees=forest.estimators_,
        order=order,
        leaf=np.take_along_axis(leaves, order, axis=1),
        cumulative=np.cumsum(weights[order], axis=1),
        values=y,
    )


def draw(sampler: LeafSampler, x: FloatArray, keys: Keys, *, label: str, seed: int) -> FloatArray:
    """One draw for each row of x, (n_receivers,), from the conditional distribution of the sampler."""
    n_trees = len(sampler.trees)
    which = uniform(f"impute/tree/{label}/{seed}", keys.household_id, keys.entity_index)
    where = uniform(f"impute/donor/{label}/{seed}", keys.household_id, keys.entity_index)
    tree_of = np.minimum((which * n_trees).astype(np.int64), n_trees - 1)
    result = np.empty(len(x))
    single = np.asarray(x, dtype=np.float32)
    for number, tree in enumerate(sampler.trees):
        rows = np.flatnonzero(tree_of == number)
        if rows.size:
            leaf = tree.apply(single[rows], check_input=False)
            result[rows] = sampler.values[_donors(sampler, number, leaf, where[rows])]
    return result


def quantile_losses(
    train: pd.DataFrame,
    predictors: Sequence[str],
    outputs: Sequence[str],
    weights: FloatArray,
    *,
    seed: int,
    test_share: float = 0.2,
    max_test: int = 500,
) -> pd.DataFrame:
    """Weighted quantile loss of each output of the chain on donors seen and on donors held out.

    The loss of quantile q is mean of v max(q (y - p), (q - 1)(y - p)), divided by the weighted mean of |y| so that
    outputs compare. A test loss far above the train loss means that the forest remembers rather than predicts.

    Returns:
        One row an (output, quantile): output, quantile, train_loss, test_loss, n_train, n_test.
    """
    _check(train, [*predictors, *outputs], "donors")
    weights = _checked_weights(weights, len(train))
    order = generator("quantile_losses", seed).permutation(len(train))
    n_test = min(max(1, round(test_share * len(train))), max_test, len(train) - 1)
    test, seen = order[:n_test], order[n_test:]
    rows = []
    for number, name in enumerate(outputs):
        x = train[[*predictors, *outputs[:number]]].to_numpy(dtype=np.float64)
        y = train[name].to_numpy(dtype=np.float64)
        sampler = fit(x[seen], y[seen], weights[seen], label=name, seed=seed)
        scale = max(float(np.average(np.abs(y), weights=weights)), 1e-12)
        losses = [
            _pinball(conditional_quantiles(sampler, x[part], QUANTILES), y[part], weights[part]) / scale
            for part in (seen[:n_test], test)
        ]
        for place, quantile in enumerate(QUANTILES):
            rows.append((name, quantile, losses[0][place], losses[1][place], len(seen), n_test))
    return pd.DataFrame(rows, columns=["output", "quantile", "train_loss", "test_loss", "n_train", "n_test"])


def conditional_quantiles(sampler: LeafSampler, x: FloatArray, quantiles: Sequence[float]) -> FloatArray:
    """Quantiles of the conditional distribution of each row of x, (n_rows, n_quantiles): least y with F(y | x) >= q."""
    weights = np.zeros((len(x), len(sampler.values)))
    single = np.asarray(x, dtype=np.float32)
    for number, tree in enumerate(sampler.trees):
        leaf = tree.apply(single, check_input=False)
        own = np.diff(sampler.cumulative[number], prepend=0.0)
        start, end = (np.searchsorted(sampler.leaf[number], leaf, side=side) for side in ("left", "right"))
        for row in range(len(x)):
            part = slice(start[row], end[row])
            total = own[part].sum()
            if total > 0:
                weights[row, sampler.order[number, part]] += own[part] / total
    rank = np.argsort(sampler.values, kind="stable")
    running = np.cumsum(weights[:, rank], axis=1)
    running /= np.maximum(running[:, -1:], 1e-300)
    place = (running[:, None, :] < np.asarray(quantiles)[None, :, None] - 1e-12).sum(axis=2)
    result: FloatArray = sampler.values[rank][np.minimum(place, len(rank) - 1)]
    return result


def training_sample(
    weights: FloatArray, size: int, *, keep: npt.NDArray[np.bool_], seed: int
) -> tuple[IntArray, FloatArray]:
    """Rows to train on and their weights: all rows of `keep`, and a random sample of the others scaled to their total.

    Args:
        weights: (n,), at least 0.
        size: rows wanted; all rows are taken where n is no larger.
        keep: rows that may not be lost (the top of a distribution), (n,).
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


def _donors(sampler: LeafSampler, number: int, leaf: IntArray, u: FloatArray) -> IntArray:
    """Donor of each receiver: the leaf's donor at share u of its weight; uniform where all donors of a leaf weigh 0."""
    start, end = (np.searchsorted(sampler.leaf[number], leaf, side=side) for side in ("left", "right"))
    cumulative = sampler.cumulative[number]
    before = np.where(start > 0, cumulative[np.maximum(start - 1, 0)], 0.0)
    total = cumulative[end - 1] - before
    place = np.searchsorted(cumulative, before + u * total, side="right")
    place = np.where(total > 0, place, start + (u * (end - start)).astype(np.int64))
    result: IntArray = sampler.order[number, np.clip(place, start, end - 1)]
    return result


def _compressed(y: FloatArray) -> FloatArray:
    sizes = np.abs(y[y != 0])
    scale = float(np.median(sizes)) if sizes.size else 1.0
    return np.asarray(np.sign(y) * np.log1p(np.abs(y) / scale), dtype=np.float64)


def _pinball(predicted: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    gap = y[:, None] - predicted
    q = np.asarray(QUANTILES)[None, :]
    return np.asarray(np.average(np.maximum(q * gap, (q - 1) * gap), axis=0, weights=weights), dtype=np.float64)


def _check(table: pd.DataFrame, columns: Sequence[str], what: str) -> None:
    absent = [column for column in columns if column not in table]
    if absent:
        raise FrameError(f"Imputation: the {what} have no columns {', '.join(absent)}; wanted {', '.join(columns)}.")
    if len(table) == 0:
        raise FrameError(f"Imputation: there are no {what}; wanted at least one row.")
    values = table[list(columns)].to_numpy(dtype=np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if bad.size:
        row, column = bad[0]
        raise FrameError(
            f"Imputation: row {int(row)} of the {what} has {columns[column]} = {values[row, column]}; wanted a number."
        )


def _checked_weights(weights: FloatArray, n: int) -> FloatArray:
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n,) or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise FrameError(
            f"Imputation: donor weights have shape {weights.shape} and sum {weights.sum()}; "
            f"wanted shape ({n},), finite numbers of at least 0, not all 0."
        )
    return weights
