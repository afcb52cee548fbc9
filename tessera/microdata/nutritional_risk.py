"""Who is at nutritional risk in the sense of WIC (42 USC 1786(b)(8)), which the survey does not ask: drawn.

Infants, children under five and pregnant women are at risk with the rates of `data/nutritional_risk.csv`. Nobody else
can be told to be of a category of WIC; they keep the engine's own assumption, that who is eligible is at risk.
The engine's input is of months; a yearly value holds in each of them. Draws are keyed by PH_SEQ and line.
"""

from __future__ import annotations

import numpy as np

from tessera.microdata.asec import BoolArray, FloatArray, Relations
from tessera.microdata.datafile import read_rows
from tessera.random import uniform


def is_at_nutritional_risk(age: FloatArray, pregnant: BoolArray, related: Relations, *, seed: int) -> BoolArray:
    """Whether each person would be found at nutritional risk, shape (n_persons,).

    Args:
        age: years, (n_persons,).
        pregnant: who is pregnant, (n_persons,).
        related: pointers of the persons, whose sequence and line key the draws.
        seed: seed of the draws.
    """
    rate = np.ones(len(age))
    for row in read_rows("nutritional_risk"):
        within = (age >= float(row["least_age"])) & (age <= float(row["greatest_age"]))
        if row["category"] == "PREGNANT":
            within &= pregnant
        rate[within] = float(row["rate"])
    at_risk: BoolArray = uniform(f"is_wic_at_nutritional_risk/{seed}", related.sequence, related.line) < rate
    return at_risk
