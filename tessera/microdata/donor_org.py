"""Donors of wages an hour and union coverage: employees in the outgoing rotation groups (ORG) of the basic CPS.

Holds the meaning of its columns. The wage is the hourly rate of those paid by the hour (PTERNHLY), and weekly pay
(PTERNWA) over the usual hours of the main job (PEHRUSL1) of the others; who says that hours vary (-4) and is not paid
by the hour is no donor. Weekly pay rather than a year's: weeks worked are the receivers' to know.

Union: covered are members (PEERNLAB 1) and those covered by a contract without being members (PEERNCOV 1), as answered
on the job of the wage: the survey that the Bureau of Labor Statistics publishes its shares from (`union`).

Months are asked of different people and each represents the nation, so all of them together do too: weights (PWORWGT)
count relative to each other only.
"""

from __future__ import annotations

import numpy as np

from tessera.errors import SourceError
from tessera.microdata.asec import require_columns
from tessera.microdata.donor_tables import (
    Donors,
    RawSurvey,
    checked_donors,
    filled,
    number,
    race_group,
    refuse_duplicates,
)
from tessera.microdata.union import answered, covered

HOURLY, FEMALE, HISPANIC = 1, 2, 1
_KEYS = ["HRHHID", "HRHHID2", "PULINENO", "HRMONTH"]
_NEEDED = [
    *("PEERNHRY", "PTERNHLY", "PTERNWA", "PEHRUSL1", "PEERNLAB", "PEERNCOV"),
    *("PRTAGE", "PESEX", "PEHSPNON", "PTDTRACE", "GESTFIPS", "PWORWGT"),
]
VALUES = ["is_paid_hourly", "hourly_wage", "is_union_member_or_covered"]


def org_donors(raw: RawSurvey) -> Donors:
    """Employees with `is_paid_hourly`, `hourly_wage` and `is_union_member_or_covered`.

    Raises:
        SourceError: a column is absent, a person occurs twice in a month, a number is missing, or no employee answered
            the union questions.
    """
    table = raw.table
    require_columns(table, [*_KEYS, *_NEEDED], f"{raw.name} table")
    refuse_duplicates(table, _KEYS, f"{raw.name} table")
    hours, weekly, rate = (filled(table, column) for column in ("PEHRUSL1", "PTERNWA", "PTERNHLY"))
    paid_hourly = (number(table, "PEERNHRY") == HOURLY) & (rate > 0)
    usable = (weekly > 0) & (hours > 0)
    if usable.any() and not (usable & answered(table)).any():
        raise SourceError(
            f"{raw.name} table: none of {int(usable.sum())} employees answered PEERNLAB (1 yes, 2 no); wanted the "
            "answers of the outgoing rotations. Get the file as published, or leave the survey out."
        )
    race = number(table, "PTDTRACE")
    columns = {
        "weekly_pay": weekly,
        "weekly_hours": hours,
        "age": number(table, "PRTAGE"),
        "is_male": number(table, "PESEX") != FEMALE,
        "race_group": race_group(race == 1, race == 2, number(table, "PEHSPNON") == HISPANIC),
        "state_fips": number(table, "GESTFIPS"),
        "is_paid_hourly": paid_hourly,
        "hourly_wage": np.where(paid_hourly, rate, weekly / np.maximum(hours, 1)),
        "is_union_member_or_covered": covered(table),
    }
    rows = usable & answered(table)
    return checked_donors(raw.name, columns, VALUES, number(table, "PWORWGT"), raw.year, rows=rows)
