"""Compiled pass of the take-up draws: one decision a unit of a clone, drawn and compared in one step."""

from __future__ import annotations

from numba import njit

from tessera.random_numba import draw


@njit(cache=True, nogil=True)
def decide(  # type: ignore[no-untyped-def]
    first, last, key, probability, place, unit, household_id, index_in_household, clone, taken
):
    """taken[i] = draw(household, index, clone) < probability[place, unit] for i in [first, last).

    Args:
        first, last: range of the arrays below.
        key: of the variable and the seed, uint64.
        probability: (places, n_units) float64.
        place: row of `probability` of each, int64; of shape (1,) where it is the same for all.
        unit, household_id, index_in_household, clone: int64.
        taken: filled, bool.
    """
    several = len(place) > 1
    for i in range(first, last):
        chance = probability[place[i] if several else place[0], unit[i]]
        # Draws lie in the open interval: what is certain needs none.
        if chance >= 1.0:
            taken[i] = True
        elif chance <= 0.0:
            taken[i] = False
        else:
            taken[i] = draw(key, household_id[i], index_in_household[i], clone[i]) < chance
