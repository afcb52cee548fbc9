"""Who the survey's persons are: age, sex, race, family position and service, as engine inputs.

Holds no money; disability, schooling and immigration stand in modules of their own. Every function takes ordered ASEC
persons and returns columns of shape (n_persons,).

Left out: `is_veteran`, which the engine computes from veterans' benefits; `parent_1_id` and `parent_2_id`, which would
have to follow the persons into every area file, where they are numbered anew; `is_parent_of_filer_or_spouse`, as no
parent is claimed as a dependant here.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, Relations, optional
from tessera.random import uniform

# The public file writes 80 for ages 80-84 and 85 for 85 and over.
GROUPED_AGE = 80
GROUPED_YEARS = 5
# PERRP 43, 44: unmarried partner of the opposite sex, with or without relatives; 46, 47: of the same sex.
PARTNER_RELATIONSHIPS = (43, 44, 46, 47)
# A_MARITL 3: married, spouse absent; 4: widowed; 6: separated.
WIDOWED = 4
LIVES_APART = (3, 6)
ARMED_FORCES_STATUS, ARMED_FORCES_OCCUPATION = 2, 11
TAX_UNIT_ROLES = ["UNSPECIFIED", "HEAD", "SPOUSE", "DEPENDENT"]


def demographics(person: pd.DataFrame, related: Relations, *, seed: int) -> dict[str, object]:
    """Demographic engine inputs of each person.

    `is_separated` holds for every married person who lives apart from the spouse, as that is how the engine uses it:
    they file separate returns, or as heads of household with a child (26 USC 7703(b)). `is_surviving_spouse` holds for
    every widowed person; the survey does not date the death.

    Args:
        person: ordered ASEC persons.
        related: their pointers.
        seed: seed of the age draws, which PH_SEQ and the line key.
    """
    marital = person["A_MARITL"].to_numpy()
    head = related.reference == np.arange(len(person))
    return {
        "age": ages(person["A_AGE"].to_numpy(dtype=np.float64), related, seed=seed),
        "is_female": person["A_SEX"].to_numpy() == 2,
        "cps_race": optional(person, "PRDTRACE").astype(np.int64),
        "is_hispanic": optional(person, "PRDTHSP") > 0,
        "is_surviving_spouse": marital == WIDOWED,
        "is_separated": np.isin(marital, LIVES_APART),
        "is_household_head": head,
        "is_household_spouse": (related.spouse >= 0) & (related.spouse == related.reference),
        "is_unmarried_partner_of_household_head": partners_of_reference(person, related),
        "own_children_in_household": own_children(related),
        "is_military": in_armed_forces(person),
    }


def ages(reported: FloatArray, related: Relations, *, seed: int) -> FloatArray:
    """Ages in years: 80 becomes one of 80-84 with equal chance; 85 stays, as no rule tells ages above it apart."""
    draw = uniform(f"age_80_84/{seed}", related.sequence, related.line)
    return np.where(reported == GROUPED_AGE, GROUPED_AGE + np.floor(draw * GROUPED_YEARS), reported)


def own_children(related: Relations) -> IntArray:
    """Number of one's children of any age living in the household, shape (n_persons,)."""
    n = len(related.line)
    counts = sum(np.bincount(rows[rows >= 0], minlength=n) for rows in (related.parent_1, related.parent_2))
    return np.asarray(counts, dtype=np.int64)


def partners_of_reference(person: pd.DataFrame, related: Relations) -> BoolArray:
    """Unmarried partners of the reference person: by detailed relationship, or by the pointer of either to the other.

    The pointer (PECOHAB) stands in where a file has no PERRP; -1 is nobody. Shape (n_persons,).
    """
    if "PERRP" in person and person["PERRP"].to_numpy().any():
        partner: BoolArray = np.isin(person["PERRP"].to_numpy(), PARTNER_RELATIONSHIPS)
        return partner
    pointer = optional(person, "PECOHAB")
    by_pointer: BoolArray = (pointer > 0) & (pointer == related.line[related.reference])
    return by_pointer


def in_armed_forces(person: pd.DataFrame) -> BoolArray:
    """By person status where the file has it, or by the major occupation group of the armed forces."""
    serves: BoolArray = (optional(person, "P_STAT") == ARMED_FORCES_STATUS) | (
        optional(person, "A_MJOCC") == ARMED_FORCES_OCCUPATION
    )
    return serves
