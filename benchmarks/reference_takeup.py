"""The public reference's take-up draws of one clone, re-stated from a description of it, to be timed.

For each programme: block by block a mask over all units of the clone finds those in the block, to look up their state's
rate; household by household another mask finds its units, which draw from a generator of their own, made anew from a
number that is hashed, byte by byte, from "variable:household:clone". Then units below their rate take up.

It is kind to the reference in two respects: blocks are compared as numbers, not as strings, and reported recipients are
left out.
"""

from __future__ import annotations

import numpy as np

_WORD = 2**64 - 1
# Its programmes and their entities.
PROGRAMMES = {
    "takes_up_snap_if_eligible": "spm_unit",
    "takes_up_tanf_if_eligible": "spm_unit",
    "takes_up_aca_if_eligible": "tax_unit",
    "takes_up_dc_ptc": "tax_unit",
    "would_file_taxes_voluntarily": "tax_unit",
    "takes_up_ssi_if_eligible": "person",
    "takes_up_medicaid_if_eligible": "person",
    "takes_up_head_start_if_eligible": "person",
    "takes_up_early_head_start_if_eligible": "person",
}


def draw_clone(
    variable: str, household: np.ndarray, household_id: np.ndarray, block: np.ndarray, rates: np.ndarray, clone: int
) -> np.ndarray:
    """Whether each unit takes the programme up.

    Args:
        variable: the programme.
        household: row of the household of each unit, (n_units,).
        household_id: (n_households,).
        block: of each household, (n_households,).
        rates: of each household's state, (n_households,).
        clone: number of the clone.
    """
    draws, rate = np.zeros(len(household)), np.zeros(len(household))
    block_of_unit = block[household]
    for one in np.unique(block):
        mask = block_of_unit == one
        first = np.flatnonzero(mask)
        rate[mask] = rates[household[first[0]]] if first.size else 0.0
    for row, identity in enumerate(household_id):
        mask = household == row
        seed = _hash(f"{variable}:{identity}:{clone}")
        draws[mask] = np.random.default_rng(seed).random(int(mask.sum()))
    return draws < rate


def _hash(text: str) -> int:
    value = 0
    for byte in text.encode():
        value = (value * 31 + byte) & _WORD
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & _WORD
    value ^= value >> 33
    return value % 2**63
