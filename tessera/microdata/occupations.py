"""Occupations of the tax half: those of the survey person nearest in work, within role and sex.

Holds the match alone. A filer keeps sex, race and family, which the tax file was drawn for, but a drawn wage can
belong to no job that the person was asked about. All codes of the job (treatment "matched" in `survey_variables`) come
from one survey person of the same role and sex who works too, or does not either. Nearest by

    d^2 = sum over age, signed log of wages, of business earnings, hours, weeks of ((x - x') / standard deviation)^2

where those who do not work differ by age alone; ties are broken by keyed draws, so that neither the order of the file
nor its first rows are favoured.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.survey_filers import BUSINESS, WAGES, SurveyFilers, works
from tessera.microdata.survey_variables import treated
from tessera.random import uniform

HOURS = ("weekly_hours_worked_before_lsr", "weeks_worked")
# Far below any real difference: a thousandth of a standard deviation.
_TIE = 1e-3


def match_occupations(people: SurveyFilers, drawn_hours: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Occupation codes of every filer, indexed by person row, in the survey's types.

    Args:
        people: filers as reported, and with drawn incomes.
        drawn_hours: drawn variables of workers (`survey_only.draw_survey_only`), same rows.
        seed: seed of the draws that break ties.
    """
    names = [name for name in treated("matched") if name in people.own]
    hours = [name for name in HOURS if name in people.own]
    donors = _places(people, people.reported, people.reported[hours], f"occupation/donor/{seed}")
    receivers = _places(people, people.drawn, drawn_hours[hours], f"occupation/receiver/{seed}")
    group = {
        "donors": _groups(people, works(people.reported)),
        "receivers": _groups(people, works(people.drawn)),
    }
    nearest = np.arange(len(people.drawn))
    for number in np.unique(group["receivers"]):
        asked = np.flatnonzero(group["receivers"] == number)
        known = np.flatnonzero(group["donors"] == number)
        # Where nobody of the survey is alike, persons keep their own.
        if known.size:
            nearest[asked] = known[_nearest(donors[known], receivers[asked])]
    return people.own[names].iloc[nearest].set_axis(people.drawn.index)


def _places(people: SurveyFilers, table: pd.DataFrame, hours: pd.DataFrame, label: str) -> FloatArray:
    """Coordinates of persons, (n, 4 or more), before scaling, the tie breaker last."""
    tie = uniform(label, people.keys.household_id, people.keys.entity_index)
    logs = [np.arcsinh(table[name].to_numpy(dtype=np.float64)) for name in (WAGES, BUSINESS)]
    columns = [table["age"].to_numpy(dtype=np.float64), *logs, *(hours[name].to_numpy(np.float64) for name in hours)]
    return np.column_stack([*columns, tie])


def _groups(people: SurveyFilers, working: BoolArray) -> IntArray:
    role = people.reported["is_tax_unit_head"].to_numpy(dtype=np.int64)
    male = people.reported["is_male"].to_numpy(dtype=np.int64)
    return 4 * working.astype(np.int64) + 2 * role + male


def _nearest(donors: FloatArray, receivers: FloatArray) -> IntArray:
    from scipy.spatial import cKDTree

    scale = donors.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    scale[-1] = 1 / _TIE
    _, place = cKDTree(donors / scale).query(receivers / scale)
    return np.asarray(place, dtype=np.int64)
