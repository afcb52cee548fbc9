"""Compiled passes of the imputation forests: sorting donors into the leaves of a tree, draws and quantiles.

Formulas are in `forest.py`. A tree is arrays with one element a node: `feature` (row of x that decides, -1 in a leaf),
`threshold` (rows of at most it go to the child `left`, the others to `right`). The root is node 0. Predictors are given
as (n_predictors, n_rows): a node reads one predictor of many rows.

A pass works on what belongs to one tree or to one range of rows, so that nothing depends on threads.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def leaf_of(x, row, feature, threshold, left, right):  # type: ignore[no-untyped-def]
    """The leaf of one row of x, (n_predictors, n_rows); predictors count in single precision, as they do in growing."""
    node = 0
    while feature[node] >= 0:
        node = left[node] if np.float32(x[feature[node], row]) <= threshold[node] else right[node]
    return node


@njit(cache=True, nogil=True)
def sort_donors(x, weight, feature, threshold, left, right, n_nodes, start, order, cumulative):  # type: ignore[no-untyped-def]
    """Sort all donors, in the sample or not, by leaf.

    Args:
        x: (n_predictors, n_donors).
        weight: (n_donors,).
        feature, threshold, left, right: the tree.
        n_nodes: its nodes.
        start: filled with the place of each node's first donor, and their number at the end, (>= n_nodes + 1,) int32.
        order: filled with donors, those of a leaf together and in their order, (n_donors,) int32.
        cumulative: filled with running sums of their weights that begin anew in each leaf, (n_donors,) float64.
    """
    n_donors = x.shape[1]
    leaf = np.empty(n_donors, np.int32)
    for node in range(n_nodes + 1):
        start[node] = 0
    for row in range(n_donors):
        leaf[row] = leaf_of(x, row, feature, threshold, left, right)
        start[leaf[row] + 1] += 1
    for node in range(n_nodes):
        start[node + 1] += start[node]
    place = start[:n_nodes].copy()
    for row in range(n_donors):
        at = place[leaf[row]]
        order[at] = row
        before = cumulative[at - 1] if at > start[leaf[row]] else 0.0
        cumulative[at] = before + weight[row]
        place[leaf[row]] += 1


@njit(cache=True, nogil=True)
def draw(  # type: ignore[no-untyped-def]
    x, rows, u, feature, threshold, left, right, start, order, cumulative, values, drawn
):
    """Fill `drawn` of some rows with the value of the donor at share u of the weight of the row's leaf.

    Args:
        x: receivers, (n_predictors, n_receivers).
        rows: receivers that take this tree.
        u: in (0, 1), (n_receivers,).
        feature, threshold, left, right, start, order, cumulative: the tree and its donors.
        values: of the donors.
        drawn: filled at `rows`, (n_receivers,).
    """
    for row in rows:
        leaf = leaf_of(x, row, feature, threshold, left, right)
        low, high = start[leaf], start[leaf + 1] - 1
        wanted = u[row] * cumulative[high]
        while low < high:  # the first donor whose running sum exceeds the wanted one
            middle = (low + high) // 2
            if cumulative[middle] > wanted:
                high = middle
            else:
                low = middle + 1
        drawn[row] = values[order[low]]


@njit(cache=True, nogil=True)
def quantiles(  # type: ignore[no-untyped-def]
    x, group, own, feature, threshold, left, right, start, order, weight, copies, rank, n_values, shares, places
):
    """Fill `places` with quantiles of the forest's conditional distribution, as ranks of values; -1 where it is empty.

    Args:
        x: (n_predictors, n_rows).
        group: groups of donors that are kept together, (n_donors,).
        own: group of each row, of which trees and donors may know nothing; -1 where all count, (n_rows,).
        feature, threshold, left, right, start, order: the trees, each (n_trees, ...).
        weight: of the donors, (n_donors,).
        copies: times that a donor is in each tree's sample, (n_trees, n_donors).
        rank: of the donors' values among the different ones, (n_donors,).
        n_values: how many different ones there are.
        shares: of the quantiles, in ascending order, (n_shares,).
        places: filled with the least rank whose share of the distribution reaches each, (n_rows, n_shares).
    """
    member = np.full(group.max() + 1, -1, np.int64)  # a donor of each group, to ask whether a tree has seen it
    for donor in range(len(group)):
        member[group[donor]] = donor
    mass = np.zeros(n_values)
    found = np.empty(n_values, np.int64)
    for row in range(x.shape[1]):
        n_found = 0
        for tree in range(feature.shape[0]):
            if own[row] < 0 or copies[tree, member[own[row]]] == 0:
                leaf = leaf_of(x, row, feature[tree], threshold[tree], left[tree], right[tree])
                here = order[tree, start[tree, leaf] : start[tree, leaf + 1]]
                n_found = _add_leaf(here, group, own[row], weight, rank, mass, found, n_found)
        ranks = np.sort(found[:n_found])
        whole = 0.0
        for value in ranks:
            whole += mass[value]
        at, running = 0, mass[ranks[0]] if n_found > 0 else 0.0
        for number in range(len(shares)):
            while at < n_found - 1 and running < (shares[number] - 1e-12) * whole:
                at += 1
                running += mass[ranks[at]]
            places[row, number] = ranks[at] if n_found > 0 else -1
        for value in ranks:
            mass[value] = 0.0


@njit(cache=True, nogil=True)
def _add_leaf(donors, group, own, weight, rank, mass, found, n_found):  # type: ignore[no-untyped-def]
    """Add a leaf's distribution to `mass` and the ranks that are new there to `found`; returns how many it then has."""
    total = 0.0
    for donor in donors:
        if group[donor] != own:
            total += weight[donor]
    for donor in donors:
        share = weight[donor] / total if group[donor] != own else 0.0
        if share > 0.0:
            value = rank[donor]
            if mass[value] == 0.0:
                found[n_found] = value
                n_found += 1
            mass[value] += share
    return n_found
