"""Tuition goes to who studies, so that the education credits (26 USC 25A) find it.

Holds the move from the filers that tuition was drawn for to the students of their unit, and what the engine wants to
know of students; draws nothing. The tax file has one amount a return. The students of a unit are

    its college students at the interview, else its dependants of 17 to 24, else the filer whom it was drawn for

and they share the unit's tuition evenly. Who pays tuition attends an eligible institution, which reports it (Form
1098-T, with its number). Those up to 24 without a degree study for one at least half time, as most of that age do
(NCES, Digest of Education Statistics 2023, table 303.40); of those older only the interview says so. Both halves alike.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, IntArray

TUITION = "qualified_tuition_expenses"
COLLEGE = "attends_eligible_educational_institution_for_american_opportunity_credit"
LIFETIME = "attends_eligible_educational_institution_for_lifetime_learning_credit"
DEGREE = "has_completed_first_four_years_of_postsecondary_education"
# Taken of a young student, beside `COLLEGE`.
YOUNG = (
    "is_pursuing_credential_for_american_opportunity_credit",
    "is_enrolled_at_least_half_time_for_american_opportunity_credit",
)
# Taken of everybody with tuition, beside `LIFETIME`.
REPORTED = (
    "has_american_opportunity_credit_1098_t_or_exception",
    "has_american_opportunity_credit_institution_ein",
    "has_lifetime_learning_credit_1098_t_or_exception",
)
YOUNGEST, OLDEST = 17, 24


def with_students(frame: Frame) -> Frame:
    """The frame with tuition on students and their flags; all else as it was."""
    person = frame.person
    unit = frame.unit_of_person("tax_unit")
    drawn = person[TUITION].to_numpy(dtype=np.float64)
    total = np.bincount(unit, weights=drawn, minlength=frame.count("tax_unit"))
    student = _students(frame, unit, drawn > 0) & (total[unit] > 0)
    number = np.bincount(unit[student], minlength=frame.count("tax_unit"))
    amount = np.where(student, total[unit] / np.maximum(number[unit], 1), 0.0)
    age = person["age"].to_numpy(dtype=np.float64)
    young = student & (age <= OLDEST) & ~_flag(frame, DEGREE)
    columns = {TUITION: amount, LIFETIME: _flag(frame, LIFETIME) | student}
    columns |= {name: _flag(frame, name) | young for name in (COLLEGE, *YOUNG)}
    columns |= {name: _flag(frame, name) | student for name in REPORTED}
    return replace(frame, person=person.assign(**columns))


def _students(frame: Frame, unit: IntArray, payer: BoolArray) -> BoolArray:
    """Students of each unit by the first of three groups that a unit has."""
    age = frame.person["age"].to_numpy(dtype=np.float64)
    dependent = (frame.person["tax_unit_role_input"] == "DEPENDENT").to_numpy()
    student = np.zeros(len(age), dtype=bool)
    for group in (_flag(frame, COLLEGE), dependent & (age >= YOUNGEST) & (age <= OLDEST), payer):
        without = np.bincount(unit[student], minlength=frame.count("tax_unit")) == 0
        student |= group & without[unit]
    return student


def _flag(frame: Frame, name: str) -> BoolArray:
    none: BoolArray = np.zeros(len(frame.person), dtype=bool)
    return frame.person[name].to_numpy(dtype=bool) if name in frame.person else none
