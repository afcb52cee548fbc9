"""Work codes of the CPS for synthetic persons: labour force, class of worker, occupation, industry, hours and weeks.

Holds recoding only. Who worked 20 weeks or more last year has the job still at the interview; the others have none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.incomes import SOLDIER

Codes = dict[str, npt.NDArray[np.int64]]
STILL_AT_WORK = 20
_NEVER_WORKED, _NO_INDUSTRY = 53, 23
# A_CLSWKR by PEIO1COW: federal, state, local, private twice, incorporated, unincorporated.
_CLASS = np.array((0, 2, 3, 4, 1, 1, 5, 6))
# WEMIND by WEIND 0..23.
_GROUP = np.array((0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 14, 15))


def work_codes(person: pd.DataFrame) -> Codes:
    """Columns P_STAT, A_LFSR, A_CLSWKR, PEIO1COW, A_MJOCC, POCCU2, PEIOOCC, OCCUP, WEIND, WEMIND, A_HRS1, HRSWK,
    WKSWORK, LKWEEKS, ESIOFFER, ESICOULD, ESITAKE3; each of shape (n_persons,)."""
    jobs = tables.occupations()
    age, occupation = person["age"].to_numpy(), person["occupation"].to_numpy()
    worked, row = occupation >= 0, np.maximum(occupation, 0)
    soldier = worked & (jobs["major"].to_numpy()[row] == SOLDIER)
    now = worked & (person["weeks"].to_numpy() >= STILL_AT_WORK)
    sector = np.where(now, person["sector"].to_numpy(), 0)
    industry = np.where(worked, jobs["industry"].to_numpy()[row], _NO_INDUSTRY)
    hours, looking = person["hours"].to_numpy(), person["weeks_looking"].to_numpy()
    # One worker in thirty is away from the job that week, one job seeker in six is on layoff.
    # Of those who looked for work last year and have none, half have given up.
    seeks = (looking > 0) & ((person["line"].to_numpy() + age) % 2 == 0)
    away, layoff = person["line"].to_numpy() + row + age, person["weeks"].to_numpy() + age
    return {
        "P_STAT": np.select([age < 15, soldier & now], [3, 2], 1),
        "A_LFSR": np.select(
            [age < 15, soldier & now, now & (away % 30 == 0), now, seeks & (layoff % 6 == 0), seeks],
            [0, 0, 2, 1, 3, 4], 7,
        ),
        "A_CLSWKR": _CLASS[sector], "PEIO1COW": sector,
        "A_MJOCC": np.where(now, jobs["major"].to_numpy()[row], 0),
        "POCCU2": np.select([age < 15, ~worked], [0, _NEVER_WORKED], jobs["recode"].to_numpy()[row]),
        "PEIOOCC": np.where(now, jobs["code"].to_numpy()[row], -1),
        "OCCUP": np.where(worked, jobs["code"].to_numpy()[row], 0),
        "WEIND": np.where(age < 15, 0, industry), "WEMIND": np.where(age < 15, 0, _GROUP[industry]),
        "A_HRS1": np.where(now, hours, 0), "HRSWK": hours, "WKSWORK": person["weeks"].to_numpy(), "LKWEEKS": looking,
        "ESIOFFER": person["offered"].to_numpy(), "ESICOULD": person["eligible"].to_numpy(),
        "ESITAKE3": person["too_dear"].to_numpy(),
    }  # fmt: skip
