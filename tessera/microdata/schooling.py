"""Schooling of the survey's persons, as engine inputs: enrolment at the interview and what they have completed.

The survey asks those of 16 to 54 whether they are enrolled in high school or in a college or university, full time or
part time, and those of 15 and over what they have completed. So younger children are not marked here: the engine takes
them to school by age. Columns have shape (n_persons,).

The four inputs of the education credits (26 USC 25A) say what the survey can: a college or university is taken as an
eligible institution and its students as pursuing a credential; full-time students are enrolled at least half time, and
part-time ones are not, as the survey does not tell half from less; a bachelor's degree (A_HGA 43) ends the first four
years. What they pay is no part of this.
"""

from __future__ import annotations

import pandas as pd

from tessera.microdata.asec import BoolArray, optional

HIGH_SCHOOL, COLLEGE = 1, 2
FULL_TIME, PART_TIME = 1, 2
BACHELOR = 43


def schooling(person: pd.DataFrame) -> dict[str, BoolArray]:
    """Schooling inputs of each person; `person` holds ordered ASEC persons."""
    level, intensity = person["A_HSCOL"].to_numpy(), person["A_FTPT"].to_numpy()
    college: BoolArray = level == COLLEGE
    full_time = college & (intensity == FULL_TIME)
    return {
        "is_in_secondary_school": level == HIGH_SCHOOL,
        "is_full_time_college_student": full_time,
        "is_part_time_college_student": college & (intensity == PART_TIME),
        "attends_eligible_educational_institution_for_american_opportunity_credit": college,
        "attends_eligible_educational_institution_for_lifetime_learning_credit": college,
        "is_pursuing_credential_for_american_opportunity_credit": college,
        "is_enrolled_at_least_half_time_for_american_opportunity_credit": full_time,
        "has_completed_first_four_years_of_postsecondary_education": optional(person, "A_HGA") >= BACHELOR,
    }
