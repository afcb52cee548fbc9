"""Forests: trees against the definition of a best cut, draws and quantiles against plain numpy, and an oracle's."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.microdata import forest as forests
from tessera.microdata.forest import Donors, Forest, Keys, conditional_quantiles, draw, fit, grow, plant, transplant
from tessera.random import uniform

SHARES = [0.1, 0.25, 0.5, 0.75, 0.9]


def keys(n: int) -> Keys:
    return Keys(np.arange(n, dtype=np.int64), np.zeros(n, dtype=np.int64))


def sample(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Predictors (n, 3), values that hang on them, a third of them 0, and skewed weights."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.integers(0, 90, n), rng.integers(0, 2, n), rng.normal(size=n)]).astype(float)
    y = np.where(rng.random(n) < 0.65, np.exp(8 + x[:, 0] / 30 + x[:, 2] + rng.normal(0, 0.5, n)).round(), 0.0)
    return x, y, np.exp(rng.normal(0, 1.2, n))


def leaf(forest: Forest, tree: int, row: np.ndarray) -> int:
    """The leaf of one row of predictors, by the definition of a tree."""
    node = 0
    while forest.feature[tree, node] >= 0:
        below = np.float32(row[forest.feature[tree, node]]) <= forest.threshold[tree, node]
        node = int((forest.left if below else forest.right)[tree, node])
    return node


def distribution(forest: Forest, row: np.ndarray, own: int = -1) -> np.ndarray:
    """Share of each donor in the conditional distribution, by the formula of the module."""
    group, weights = forest.donors.group, forest.donors.weights
    shares = np.zeros(len(weights))
    for tree in range(forest.n_trees):
        if own >= 0 and forest.copies[tree][group == own].any():
            continue
        here = np.array([leaf(forest, tree, donor) for donor in forest.donors.x.T]) == leaf(forest, tree, row)
        here &= group != own
        if here.any():
            shares[here] += weights[here] / weights[here].sum()
    return shares / shares.sum()


@pytest.mark.parametrize("own", [False, True])
def test_quantiles_are_those_of_the_conditional_distribution_computed_plainly(own: bool) -> None:
    x, y, weights = sample(60)
    groups = np.arange(60) // 3
    forest = fit(x, y, weights, label="y", seed=3, trees=12, groups=groups)
    rows = np.arange(0, 60, 4)
    found = conditional_quantiles(
        forest, np.ascontiguousarray(x[rows].T), SHARES, own=forest.donors.group[rows] if own else None
    )
    order = np.argsort(y, kind="stable")
    for place, row in enumerate(rows):
        running = np.cumsum(distribution(forest, x[row], int(groups[row]) if own else -1)[order])
        wanted = [y[order][np.argmax(running >= share - 1e-9)] for share in SHARES]
        np.testing.assert_array_equal(found[place], wanted)


def test_draws_are_a_tree_and_then_a_donor_of_its_leaf_by_weight() -> None:
    x, y, weights = sample(80)
    receivers, _, _ = sample(300, seed=1)
    forest = fit(x, y, weights, label="y", seed=5, trees=7)
    drawn = draw(forest, np.ascontiguousarray(receivers.T), keys(300))
    which = uniform("impute/tree/y/5", np.arange(300), 0)
    where = uniform("impute/donor/y/5", np.arange(300), 0)
    leaves = np.array([[leaf(forest, tree, donor) for donor in x] for tree in range(7)])
    for row in range(300):
        tree = int(which[row] * 7)
        here = np.flatnonzero(leaves[tree] == leaf(forest, tree, receivers[row]))
        running = np.cumsum(weights[here])
        assert drawn[row] == y[here[np.argmax(running > where[row] * running[-1])]]


def test_draws_have_the_conditional_distribution() -> None:
    x, y, weights = sample(500)
    forest = fit(x, y, weights, label="y", seed=1, trees=20)
    point = np.repeat(np.array([[60.0], [1.0], [0.5]]), 40_000, axis=1)
    drawn = draw(forest, point, keys(40_000))
    shares = distribution(forest, point[:, 0])
    for value in np.unique(y[shares > 0.01]):
        assert (drawn == value).mean() == pytest.approx(shares[y == value].sum(), abs=0.01)
    for share, value in zip(SHARES, conditional_quantiles(forest, point[:, :1], SHARES)[0], strict=True):
        assert (drawn < value).mean() <= share + 0.01
        assert (drawn <= value).mean() >= share - 0.01


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(20, 60))
def test_every_split_is_the_best_and_every_leaf_is_large_enough(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 12, (n, 3)).astype(float)  # few values, so that every cut is tried
    y = np.where(rng.random(n) < 0.5, rng.integers(1, 1000, n), 0).astype(float)
    weights = rng.random(n) + 0.05
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "FEATURE_SHARE", 1.0)
        forest = fit(x, y, weights, label="y", seed=seed, trees=2)
    z = forests.compressed(y)
    for tree in range(2):
        members = {0: np.flatnonzero(forest.copies[tree])}
        w = weights * forest.copies[tree]
        while members:
            node, rows = members.popitem()
            assert len(rows) >= min(forests.LEAF, n // 2) or node == 0
            cuts = {
                (column, value): _gain(z, w, rows, x[rows, column] <= value)
                for column in range(3)
                for value in np.unique(x[rows, column])[:-1]
            }
            best = max(cuts.values(), default=0.0)
            column = forest.feature[tree, node]
            if column < 0:
                assert best <= 1e-9
                continue
            below = x[rows, column] <= forest.threshold[tree, node]
            assert _gain(z, w, rows, below) == pytest.approx(best)
            members |= {int(forest.left[tree, node]): rows[below], int(forest.right[tree, node]): rows[~below]}


def _gain(z: np.ndarray, w: np.ndarray, rows: np.ndarray, below: np.ndarray) -> float:
    """What a cut takes off the weighted squared deviations; 0 where a side has too few donors."""
    if min(below.sum(), (~below).sum()) < forests.LEAF:
        return 0.0

    def left_over(part: np.ndarray) -> float:
        return float((w[part] * (z[part] - np.average(z[part], weights=w[part])) ** 2).sum())

    return left_over(rows) - left_over(rows[below]) - left_over(rows[~below])


def test_quantiles_agree_with_a_quantile_forest_of_the_same_trees() -> None:
    from quantile_forest import RandomForestQuantileRegressor

    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 3)).astype(np.float32).astype(np.float64)
    y = np.exp(x[:, 0] + rng.normal(0, 0.5, 600))
    oracle = RandomForestQuantileRegressor(
        n_estimators=40, min_samples_leaf=forests.LEAF, max_features=0.4, max_samples_leaf=None, bootstrap=False,
        random_state=1,
    ).fit(x, y)  # fmt: skip
    ours = conditional_quantiles(_transplanted(oracle.estimators_, x, y), np.ascontiguousarray(x[:150].T), SHARES)
    sides = [
        oracle.predict(x[:150], quantiles=SHARES, weighted_leaves=True, interpolation=side)
        for side in ("lower", "higher")
    ]
    # The oracle places quantiles between donors' values; ours is the donor's value where the distribution reaches it.
    between = np.sort(y)
    place = np.searchsorted(between, ours)
    neighbours = between[np.maximum(place - 1, 0)], between[np.minimum(place + 1, 599)]
    close = (sides[0] <= neighbours[1] * (1 + 1e-6)) & (sides[1] >= neighbours[0] * (1 - 1e-6))
    assert close.mean() > 0.9
    assert np.abs(np.log(ours / oracle.predict(x[:150], quantiles=SHARES, weighted_leaves=True))).mean() < 0.02


def _transplanted(trees: list[Any], x: np.ndarray, y: np.ndarray) -> Forest:
    """A forest with trees that another estimator grew."""
    forest = plant(Donors.of(np.ascontiguousarray(x.T), np.ones(len(y))), x.shape[1], y, label="y", seed=0, trees=40)
    for number, estimator in enumerate(trees):
        transplant(forest, number, estimator.tree_)
    return forest


def test_weights_decide_between_donors_of_one_leaf_and_donors_of_no_weight_are_never_drawn() -> None:
    # One value of the predictor: every tree is a single leaf, so that the draw is the weighted distribution itself.
    values, weights = np.array([0.0, 10.0, 20.0, 30.0]), np.array([1.0, 2.0, 0.0, 5.0])
    forest = fit(np.zeros((4, 1)), values, weights, label="x", seed=0)
    drawn = draw(forest, np.zeros((1, 40_000)), keys(40_000))
    np.testing.assert_allclose([(drawn == value).mean() for value in values], weights / 8, atol=0.01)
    assert (drawn != 20.0).all()
    found = conditional_quantiles(forest, np.zeros((1, 1)), [0.1, 0.125, 0.375, 0.38, 1.0])
    assert found.tolist() == [[0, 0, 10, 30, 30]]


def test_splits_count_weight_too() -> None:
    # Among many light donors sex decides, among the few heavy ones age does: trees that heed weight cut by age.
    rng = np.random.default_rng(3)
    heavy = np.arange(400) < 100
    x = rng.integers(0, 2, (400, 2)).astype(float)
    y = np.where(np.where(heavy, x[:, 0], x[:, 1]) > 0, 1000.0, 10.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forests, "FEATURE_SHARE", 1.0)
        light = fit(x, y, np.where(heavy, 0.01, 1.0), label="y", seed=0, trees=5)
        weighted = fit(x, y, np.where(heavy, 100.0, 1.0), label="y", seed=0, trees=5)
    assert (light.feature[:, 0] == 1).all()
    assert (weighted.feature[:, 0] == 0).all()


def test_bootstrap_samples_take_groups_whole() -> None:
    x, y, weights = sample(3000)
    forest = fit(x, y, weights, label="y", seed=1, trees=8, groups=np.repeat(np.arange(600)[::-1], 5))
    copies = forest.copies.reshape(8, 600, 5)
    assert (copies == copies[:, :, :1]).all()
    assert (copies[:, :, 0].sum(axis=1) == 600).all()
    assert (copies == 0).mean() == pytest.approx(np.exp(-1), abs=0.03)
    assert len(np.unique(copies[:, :, 0], axis=0)) == 8


def test_trees_grown_apart_are_those_grown_together() -> None:
    x, y, weights = sample(300)
    whole = fit(x, y, weights, label="y", seed=2, trees=9)
    parts = plant(Donors.of(np.ascontiguousarray(x.T), weights), 3, y, label="y", seed=2, trees=9)
    for first, last in reversed(list(pairwise((0, 4, 5, 9)))):
        grow(parts, first, last)
    for tree in range(9):
        np.testing.assert_array_equal(parts.order[tree], whole.order[tree])
        np.testing.assert_array_equal(parts.cumulative[tree], whole.cumulative[tree])
    grid = np.ascontiguousarray(sample(50, seed=4)[0].T)
    np.testing.assert_array_equal(draw(parts, grid, keys(50)), draw(whole, grid, keys(50)))


def test_numbers_count_in_single_precision_and_none_is_too_large() -> None:
    half = np.arange(200) < 100
    y = np.where(half, 1.0, 5.0)
    pairs = ((1e9, 1e9 + 128, True), (1e9, 1e9 + 1, False), (1e300, -1e300, True), (1e-3, 1.001e-3, True))
    for low, high, apart in pairs:
        x = np.where(half, low, high)[:, None]
        forest = fit(x, y, np.ones(200), label="y", seed=0, trees=3)
        assert (forest.feature[:, 0] == (0 if apart else -1)).all()
        drawn = draw(forest, np.ascontiguousarray(x.T), keys(200))
        assert np.array_equal(drawn, y) == apart
