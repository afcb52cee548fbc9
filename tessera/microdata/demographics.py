"""Who the survey's persons are: age, sex, race, disability, schooling, occupation and status, as engine inputs.

Holds no money. Every function takes ordered ASEC persons and returns columns of shape (n_persons,).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, Relations, any_difficulty, optional
from tessera.random import uniform

# The public file writes 80 for ages 80-84 and 85 for 85 and over.
GROUPED_AGE = 80
GROUPED_YEARS = 5
IMMIGRATION_STATUSES = [
    "CITIZEN",
    "LEGAL_PERMANENT_RESIDENT",
    "REFUGEE",
    "ASYLEE",
    "DEPORTATION_WITHHELD",
    "CUBAN_HAITIAN_ENTRANT",
    "CONDITIONAL_ENTRANT",
    "PAROLED_ONE_YEAR",
    "UNDOCUMENTED",
    "DACA",
    "TPS",
]
CARD_TYPES = ["CITIZEN", "NON_CITIZEN_VALID_EAD", "OTHER_NON_CITIZEN", "NONE"]
TAX_UNIT_ROLES = ["UNSPECIFIED", "HEAD", "SPOUSE", "DEPENDENT"]


def demographics(person: pd.DataFrame, related: Relations, member: IntArray, *, seed: int) -> dict[str, object]:
    """Demographic engine inputs of each person.

    Args:
        person: ordered ASEC persons.
        related: their pointers.
        member: position of each person within the household, shape (n_persons,), which keys the draws.
        seed: seed of the draws.
    """
    sex = person["A_SEX"].to_numpy()
    marital = person["A_MARITL"].to_numpy()
    immigration, card = immigration_status(person)
    return {
        "age": ages(person["A_AGE"].to_numpy(dtype=np.float64), related.household, member, seed=seed),
        "is_female": sex == 2,
        "cps_race": optional(person, "PRDTRACE").astype(np.int64),
        "is_hispanic": optional(person, "PRDTHSP") > 0,
        "is_disabled": any_difficulty(person),
        "is_blind": person["PEDISEYE"].to_numpy() == 1,
        "is_deaf": person["PEDISEAR"].to_numpy() == 1,
        "is_full_time_college_student": _college(person, full_time=True),
        "is_part_time_college_student": _college(person, full_time=False),
        "is_surviving_spouse": marital == 4,
        "is_separated": marital == 6,
        "is_household_head": related.reference == np.arange(len(person)),
        "own_children_in_household": own_children(related),
        "is_military": _in_armed_forces(person),
        "detailed_occupation_recode": optional(person, "POCCU2").astype(np.int64),
        "immigration_status_str": pd.Categorical(immigration, categories=IMMIGRATION_STATUSES),
        "ssn_card_type": pd.Categorical(card, categories=CARD_TYPES),
    }


def ages(reported: FloatArray, household: IntArray, member: IntArray, *, seed: int) -> FloatArray:
    """Ages in years: 80 becomes one of 80-84 with equal chance; 85 stays, as no rule tells ages above it apart."""
    draw = uniform(f"age_80_84/{seed}", household, member)
    return np.where(reported == GROUPED_AGE, GROUPED_AGE + np.floor(draw * GROUPED_YEARS), reported)


def own_children(related: Relations) -> IntArray:
    """Number of one's children of any age living in the household, shape (n_persons,)."""
    n = len(related.line)
    counts = sum(np.bincount(rows[rows >= 0], minlength=n) for rows in (related.parent_1, related.parent_2))
    return np.asarray(counts, dtype=np.int64)


def immigration_status(person: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Immigration status and Social Security card type of each person.

    Simple rule: citizens by PRCITSHP 1-4 (absent: everyone). A non-citizen who reports what only a lawful resident can
    hold (Medicare, Social Security, SSI, veterans' benefits or coverage, armed forces, arrival before 1982) is a
    permanent resident; every other non-citizen is taken as undocumented. It overstates the undocumented, as the survey
    cannot see the permits of others.
    """
    noncitizen = optional(person, "PRCITSHP") == 5
    lawful = np.zeros(len(person), dtype=bool)
    for column in ("SS_VAL", "SSI_VAL", "VET_VAL"):
        lawful |= optional(person, column) > 0
    for column in ("MCARE", "CHAMPVA", "NOW_VACARE", "NOW_MIL"):
        lawful |= optional(person, column) == 1
    lawful |= _in_armed_forces(person)
    # Arrival codes 1-9 end with 1980-1981, before the amnesty's cut-off of 1982.
    arrival = optional(person, "PEINUSYR")
    lawful |= (arrival >= 1) & (arrival <= 9)
    status = np.where(~noncitizen, "CITIZEN", np.where(lawful, "LEGAL_PERMANENT_RESIDENT", "UNDOCUMENTED"))
    card = np.where(~noncitizen, "CITIZEN", np.where(lawful, "NON_CITIZEN_VALID_EAD", "NONE"))
    return [str(value) for value in status], [str(value) for value in card]


def _in_armed_forces(person: pd.DataFrame) -> BoolArray:
    """By person status where the file has it, else by the major occupation group of the armed forces (11)."""
    serves: BoolArray = (optional(person, "P_STAT") == 2) | (optional(person, "A_MJOCC") == 11)
    return serves


def _college(person: pd.DataFrame, *, full_time: bool) -> BoolArray:
    at_college = person["A_HSCOL"].to_numpy() == 2
    attends: BoolArray = at_college & (person["A_FTPT"].to_numpy() == (1 if full_time else 2))
    return attends
