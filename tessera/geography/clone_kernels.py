"""Compiled passes of the assignment of clones: districts and blocks of each household, then what follows from them.

Formulas are in `clones.py`. Arrays have one element a clone, clone-major: row = clone * n_households + household.
Nothing is allocated that grows with the number of clones: passes fill arrays of the caller's.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from tessera.random_numba import absorb, draw, to_unit

_UNIT_BITS = 40
_UNIT = 1 << _UNIT_BITS


@njit(cache=True, nogil=True)
def place_households(  # type: ignore[no-untyped-def]
    first, last, keys, household_id, group, inclusion, n_clones, starts, cumulated, cell, block
):
    """Fill `cell` and `block` for the clones of the households [first, last).

    Args:
        first, last: households.
        keys: of the draws of order, start and block, (3,) uint64.
        household_id: (n_households,) int64.
        group: row of `inclusion` of each household, (n_households,) int64.
        inclusion: expected clones in units of 2^-40, (groups, n_districts) int64; rows sum to n_clones * 2^40.
        n_clones: of each household.
        starts: first block of each district and the end, (n_districts + 1,) int64.
        cumulated: population before each block and in all, (n_blocks + 1,) int64.
        cell: filled with indices of districts, (n_clones, n_households) int16.
        block: filled with rows of blocks, (n_clones, n_households) int32.
    """
    n_districts = inclusion.shape[1]
    rounds = n_clones // n_districts
    keyed = np.empty(n_districts)
    for h in range(first, last):
        state = absorb(keys[0], household_id[h])
        for d in range(n_districts):
            keyed[d] = to_unit(absorb(absorb(state, d), 0))
        order = np.argsort(keyed, kind="mergesort")  # stable: as the order of equal draws in any other implementation
        placed = rounds * n_districts
        for clone in range(placed):
            cell[clone, h] = order[clone % n_districts]
        if placed < n_clones:
            start = np.int64(np.floor(draw(keys[1], household_id[h], 0, 0) * _UNIT))
            reached = -1 - start
            before = np.int64(-1)
            for d in order:
                reached += inclusion[group[h], d] - rounds * _UNIT
                step = reached >> _UNIT_BITS  # rounds down, negative numbers too
                if step > before:
                    cell[placed, h] = d
                    placed += 1
                before = step
        state = absorb(keys[2], household_id[h])
        for clone in range(n_clones):
            here = np.int64(cell[clone, h])
            low, high = cumulated[starts[here]], cumulated[starts[here + 1]]
            resident = low + np.int64(np.floor(to_unit(absorb(absorb(state, here), clone)) * (high - low)))
            block[clone, h] = _block_of(cumulated, starts[here], starts[here + 1], resident)


@njit(cache=True, nogil=True)
def _block_of(cumulated, first, end, resident):  # type: ignore[no-untyped-def]
    """The block in [first, end) that a resident, numbered over all blocks, lives in."""
    while end - first > 1:
        middle = (first + end) // 2
        if cumulated[middle] <= resident:
            first = middle
        else:
            end = middle
    return first


@njit(cache=True, nogil=True)
def weigh_clones(  # type: ignore[no-untyped-def]
    cell, group, inclusion, weight, codes, households, household, clone, district, expected, design
):
    """Fill what follows from the cells, and scale design weights to the households of each district.

    One pass on one thread, in the order of the rows: the sum of a district's weights depends on the order.

    Args:
        cell: (n_clones, n_households) int16.
        group, inclusion: as above.
        weight: survey weights, (n_households,) float64.
        codes: of the districts, (n_districts,) int32.
        households: of each district, (n_districts,) float64.
        household, clone, district: filled, (n_clones * n_households,) int32.
        expected, design: filled, (n_clones * n_households,) float64.
    """
    n_clones, n_households = cell.shape
    carried = np.zeros(len(codes))
    for k in range(n_clones):
        for h in range(n_households):
            row = k * n_households + h
            d = cell[k, h]
            household[row] = h
            clone[row] = k
            district[row] = codes[d]
            expected[row] = inclusion[group[h], d] / float(_UNIT)
            design[row] = weight[h] / expected[row]
            carried[d] += design[row]
    for d in range(len(codes)):
        carried[d] = households[d] / carried[d] if carried[d] > 0.0 else 0.0
    for k in range(n_clones):
        for h in range(n_households):
            design[k * n_households + h] *= carried[cell[k, h]]
