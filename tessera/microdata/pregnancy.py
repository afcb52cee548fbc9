"""Who is pregnant, which the survey does not ask: drawn by the births of the state.

A woman of 15 to 44 is pregnant on a given day with probability

    p(state) = births of a year / women of 15 to 44 x 39/52

as a pregnancy that ends in a birth lasts 39 of 52 weeks (`data/births_by_state.csv`; others are left out, twins count
twice). Where a household's state is not known, p is the nation's. Draws are keyed by PH_SEQ and line.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, Relations
from tessera.microdata.datafile import read_rows
from tessera.random import uniform

LEAST_AGE, GREATEST_AGE = 15, 44
PREGNANT_SHARE = 39 / 52
FEMALE = 2


def is_pregnant(person: pd.DataFrame, related: Relations, state_fips: IntArray, *, seed: int) -> BoolArray:
    """Whether each person is pregnant, shape (n_persons,).

    Args:
        person: ordered ASEC persons.
        related: their pointers.
        state_fips: state of each person, 0 where unknown, shape (n_persons,).
        seed: seed of the draws.
    """
    age = person["A_AGE"].to_numpy()
    may = (person["A_SEX"].to_numpy() == FEMALE) & (age >= LEAST_AGE) & (age <= GREATEST_AGE)
    pregnant: BoolArray = may & (
        uniform(f"is_pregnant/{seed}", related.sequence, related.line) < pregnancy_rates(state_fips)
    )
    return pregnant


def pregnancy_rates(state_fips: IntArray) -> FloatArray:
    """Share of women of 15 to 44 who are pregnant, by state, same shape; the nation's for a code that is no state."""
    rows = read_rows("births_by_state")
    births = np.zeros(100)
    women = np.zeros(100)
    for row in rows:
        births[int(row["state_fips"])], women[int(row["state_fips"])] = float(row["births"]), float(row["women_15_44"])
    nation = births.sum() / women.sum()
    rate = np.divide(births, women, out=np.full(100, nation), where=women > 0)
    code = np.where((state_fips >= 0) & (state_fips < 100), state_fips, 0)
    return rate[code] * PREGNANT_SHARE
