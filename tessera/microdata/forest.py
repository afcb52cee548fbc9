"""Weighted quantile regression forests whose draws are whole donor values.

With T trees and donors j of survey weight v_j, the conditional distribution (Meinshausen 2006, "Quantile regression
forests", Journal of Machine Learning Research 7) is

    P(Y = y_j | x) = 1/T sum_t  v_j 1[j shares x's leaf of tree t] / sum of v over that leaf

It is drawn exactly, in two steps: a tree, then a donor of the leaf in proportion to weight. So zeros come out as often
as they stand in the leaves (no separate model of zero), and nothing is interpolated, averaged or cut off at the top.
Every donor stands in every tree, also where the tree's bootstrap sample passed it over: each can be drawn.

Trees are scikit-learn's, grown on sign(y) log(1 + |y| / median of |y| > 0), so that one fortune does not decide every
split; splits, like draws, count donors by weight. scikit-learn grows a tree in single precision, and so a row is told
apart in it. What the leaves hold and how it is drawn is compiled here (`forest_kernels.py`).

A tree's bootstrap sample is of groups of donors (each donor by itself, unless groups are given: the implicates of one
family). The trees that passed a group over are a forest that has never seen it: with the group left out of their leaves
too, its loss is an honest test loss of the very forest that is drawn from, and no second one is fitted.

A forest is the same, to the bit, whoever grows which of its trees in what order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.random import label_key, uniform

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Int32Array = npt.NDArray[np.int32]

TREES = 32
LEAF = 10
FEATURE_SHARE = 0.4
_STATES = 2**31 - 1  # seeds that scikit-learn takes
_LARGEST = 1e30  # in single precision, with room for sums


@dataclass(frozen=True)
class Keys:
    """What a receiver's draws are keyed on: household id and position within the household, each (n_receivers,)."""

    household_id: IntArray
    entity_index: IntArray


@dataclass(frozen=True)
class Donors:
    """Those whose values are drawn: predictors, weights and groups.

    Attributes:
        x: predictors, and where a chain is imputed its outputs in order, (n_columns, n_donors).
        varying: the columns that vary, as trees read them, (n_varying, n_donors) float32.
        columns: rows of `x` of these, ascending, (n_varying,).
        weights: above 0, (n_donors,).
        group: number of each donor's group, from 0 on, (n_donors,).
        n_groups: how many there are.
    """

    x: FloatArray
    varying: npt.NDArray[np.float32]
    columns: IntArray
    weights: FloatArray
    group: IntArray
    n_groups: int

    @classmethod
    def of(cls, x: FloatArray, weights: FloatArray, groups: npt.NDArray[np.generic] | None = None) -> Donors:
        """Donors with columns (n_columns, n_donors), weights above 0 and, unless each is its own, groups."""
        columns = np.flatnonzero((x != x[:, :1]).any(axis=1))
        varying = np.clip(x[columns], -_LARGEST, _LARGEST).astype(np.float32)
        if groups is None:
            group = np.arange(x.shape[1], dtype=np.int64)
        else:
            group = np.unique(groups, return_inverse=True)[1].astype(np.int64).ravel()
        return cls(np.ascontiguousarray(x), varying, columns, weights, group, int(group.max()) + 1)


@dataclass(frozen=True)
class Forest:
    """A forest and the donors in its leaves; nodes are numbered within their tree.

    Attributes:
        feature: column that decides a node, -1 in leaves, (n_trees, n_nodes) int32.
        threshold: rows of at most it go left, (n_trees, n_nodes).
        left, right: children, (n_trees, n_nodes) int32.
        start: place in `order` of a leaf's first donor; that of the next node ends it, (n_trees, n_nodes + 1) int32.
        order: donors, leaf after leaf, (n_trees, n_donors) int32.
        cumulative: running sums of their weights within the leaf, (n_trees, n_donors).
        copies: times that a donor is in the tree's bootstrap sample, (n_trees, n_donors) uint8.
        values: of the donors, (n_donors,).
        donors: whose predictors are the first `n_columns` columns.
        n_columns: predictors.
        label: what its random numbers and draws are keyed on, the seed included.
    """

    feature: Int32Array
    threshold: FloatArray
    left: Int32Array
    right: Int32Array
    start: Int32Array
    order: Int32Array
    cumulative: FloatArray
    copies: npt.NDArray[np.uint8]
    values: FloatArray
    donors: Donors
    n_columns: int
    label: str

    @property
    def n_trees(self) -> int:
        return len(self.feature)


def plant(donors: Donors, n_columns: int, values: FloatArray, *, label: str, seed: int, trees: int = TREES) -> Forest:
    """A forest of which no tree has been grown (`grow`).

    Args:
        donors: with the predictors as their first columns.
        n_columns: how many those are.
        values: of the output, (n_donors,).
        label: name of the output, which with `seed` decides trees and draws.
        seed: see `label`.
        trees: how many.
    """
    n = len(values)
    nodes = 2 * (n // LEAF) + 1
    return Forest(
        feature=np.empty((trees, nodes), np.int32),
        threshold=np.empty((trees, nodes)),
        left=np.empty((trees, nodes), np.int32),
        right=np.empty((trees, nodes), np.int32),
        start=np.empty((trees, nodes + 1), np.int32),
        order=np.empty((trees, n), np.int32),
        cumulative=np.empty((trees, n)),
        copies=np.empty((trees, n), np.uint8),
        values=values,
        donors=donors,
        n_columns=n_columns,
        label=f"{label}/{seed}",
    )


def grow(forest: Forest, first: int, last: int) -> None:
    """Grow the trees [first, last) of a forest; leaves the interpreter to other threads meanwhile."""
    from sklearn.tree import DecisionTreeRegressor

    donors = forest.donors
    used = int(np.searchsorted(donors.columns, forest.n_columns))
    x = donors.varying[:used].T
    scale = donors.weights / donors.weights.mean()
    goal = compressed(forest.values)
    for number in range(first, last):
        forest.copies[number] = _sample(donors, forest.label, number)
        state = int(label_key(f"forest/{forest.label}/{number}") % _STATES)
        grown = DecisionTreeRegressor(min_samples_leaf=LEAF, max_features=FEATURE_SHARE, random_state=state)
        if used:
            # Donors of weight 0, which the bootstrap sample passed over, take no part in a split nor count in a leaf.
            grown.fit(x, goal, sample_weight=scale * forest.copies[number])
        transplant(forest, number, grown.tree_ if used else None)


def transplant(forest: Forest, number: int, grown: Any) -> None:
    """Put a tree of scikit-learn (`tree_`; None for a single leaf) into a forest; sort the donors into its leaves."""
    from tessera.microdata import forest_kernels

    n_nodes = 1 if grown is None else int(grown.node_count)
    feature, threshold = forest.feature[number], forest.threshold[number]
    left, right = forest.left[number], forest.right[number]
    feature[0] = -1
    if grown is not None:
        inner = grown.children_left >= 0
        feature[:n_nodes] = np.where(inner, forest.donors.columns[np.maximum(grown.feature, 0)], -1)
        threshold[:n_nodes] = grown.threshold
        left[:n_nodes], right[:n_nodes] = grown.children_left, grown.children_right
    forest_kernels.sort_donors(
        forest.donors.x, forest.donors.weights, feature, threshold, left, right, n_nodes,
        forest.start[number], forest.order[number], forest.cumulative[number],
    )  # fmt: skip


def fit(
    x: FloatArray,
    y: FloatArray,
    weights: FloatArray,
    *,
    label: str,
    seed: int,
    trees: int = TREES,
    groups: npt.NDArray[np.generic] | None = None,
) -> Forest:
    """A grown forest of y on x.

    Args:
        x: predictors, (n_donors, n_predictors).
        y: values, (n_donors,).
        weights: at least 0, not all 0; donors of weight 0 take no part, (n_donors,).
        label: name of the output, which with `seed` decides trees and draws.
        seed: see `label`.
        trees: how many.
        groups: of donors that bootstrap samples take or leave together, (n_donors,).
    """
    kept = weights > 0
    donors = Donors.of(x[kept].T, weights[kept], None if groups is None else groups[kept])
    forest = plant(donors, x.shape[1], y[kept], label=label, seed=seed, trees=trees)
    grow(forest, 0, trees)
    return forest


def draw(forest: Forest, x: FloatArray, keys: Keys) -> FloatArray:
    """One draw for each receiver from the forest's conditional distribution, (n_receivers,).

    Args:
        forest: grown.
        x: predictors of the receivers, (at least n_columns, n_receivers).
        keys: identities, so that a draw depends on no other receiver.
    """
    from tessera.microdata import forest_kernels

    which = uniform(f"impute/tree/{forest.label}", keys.household_id, keys.entity_index)
    where = uniform(f"impute/donor/{forest.label}", keys.household_id, keys.entity_index)
    tree_of = np.minimum((which * forest.n_trees).astype(np.int16), forest.n_trees - 1)
    sorted_rows = np.argsort(tree_of, kind="stable")
    edges = np.searchsorted(tree_of[sorted_rows], np.arange(forest.n_trees + 1))
    drawn = np.empty(x.shape[1])
    for tree in range(forest.n_trees):
        rows = sorted_rows[edges[tree] : edges[tree + 1]]
        forest_kernels.draw(
            x, rows, where, forest.feature[tree], forest.threshold[tree], forest.left[tree], forest.right[tree],
            forest.start[tree], forest.order[tree], forest.cumulative[tree], forest.values, drawn,
        )  # fmt: skip
    return drawn


def conditional_quantiles(
    forest: Forest, x: FloatArray, shares: Sequence[float], *, own: IntArray | None = None
) -> FloatArray:
    """Quantiles of the conditional distribution of each row, (n_rows, n_shares): least y with F(y | x) >= share.

    Args:
        forest: grown.
        x: predictors, (at least n_columns, n_rows).
        shares: of the quantiles, ascending, in (0, 1].
        own: group of each row where rows are donors and are to be told without it: only trees that passed the group
            over count, and of their leaves only other groups, (n_rows,). Not a number where there is no such tree.
    """
    from tessera.microdata import forest_kernels

    different, rank = np.unique(forest.values, return_inverse=True)
    places = np.empty((x.shape[1], len(shares)), np.int64)
    forest_kernels.quantiles(
        x, forest.donors.group, np.full(x.shape[1], -1) if own is None else own, forest.feature, forest.threshold,
        forest.left, forest.right, forest.start, forest.order, forest.donors.weights, forest.copies, rank,
        len(different), np.asarray(shares, dtype=np.float64), places,
    )  # fmt: skip
    return np.where(places >= 0, different[places], np.nan)


def compressed(y: FloatArray) -> FloatArray:
    """sign(y) log(1 + |y| / median of |y| > 0)."""
    sizes = np.abs(y[y != 0])
    scale = float(np.median(sizes)) if sizes.size else 1.0
    return np.asarray(np.sign(y) * np.log1p(np.abs(y) / scale), dtype=np.float64)


def _sample(donors: Donors, label: str, tree: int) -> npt.NDArray[np.uint8]:
    """Times that each donor is in a tree's bootstrap sample: as often as its group is drawn, with replacement."""
    u = uniform(f"bootstrap/{label}", tree, np.arange(donors.n_groups))
    drawn = np.minimum((u * donors.n_groups).astype(np.int64), donors.n_groups - 1)
    copies = np.minimum(np.bincount(drawn, minlength=donors.n_groups), 255).astype(np.uint8)
    return copies[donors.group]
