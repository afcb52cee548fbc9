"""Immigration status and Social Security card of the survey's persons, by the residual method for the ASEC.

Holds the classification; no rule of a programme. The survey asks for citizenship (PRCITSHP), not for papers. The
published method (Ryan 2022, after Borjas 2017) goes by elimination: a non-citizen who reports what only lawful
residents can have (`data/legality_conditions.csv`, 14 conditions) is lawful; of the rest, the *pool*, as many are
undocumented as published controls say (`data/immigration_controls.csv`), scaled by the weighted population of the file
over that of the nation:

    1  DACA: persons of the pool who came before 16, by 2007, born after June 1981, up to their number
    2  students of the pool up to S; then workers until they number W; then those who neither work nor study until all
       number T; if these are too few, whoever is left until all number T. So the total comes first, and
       a pool smaller than T is undocumented as a whole
    3  the rest of the pool has temporary permission

Within each step persons go in the order of (has a lawful spouse or, below 18, a lawful parent; a draw of the household;
the line), so that families share a status wherever the numbers allow it, and the last person is taken if that comes
nearer to the control. Each control is met within one person's weight where the pool suffices. Draws are keyed by
PH_SEQ: the order of rows does not matter. Nobody who meets a condition is ever undocumented.

Statuses: undocumented UNDOCUMENTED with card NONE. Temporary permission is TPS (the engine has no status for visas;
rights are the same: lawfully present, not qualified), card NON_CITIZEN_VALID_EAD for those who work or study and
OTHER_NON_CITIZEN else. The lawful are LEGAL_PERMANENT_RESIDENT but CUBAN_HAITIAN_ENTRANT if born there and come since
1980, and REFUGEE if they report Medicaid or SSI within the five years for which new permanent residents get
neither (8 USC 1613); all of them hold NON_CITIZEN_VALID_EAD, the engine's only card of a non-citizen that is valid for
work, as theirs is.

Not made: `has_tin` (and `has_itin`), which the engine computes as true for everybody and has no other input for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, Relations, optional
from tessera.microdata.datafile import read_rows
from tessera.random import uniform

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
NON_CITIZEN = 5
COLLEGE = 2
ADULT_AGE = 18
OUTLYING_AREA = 2
# PENATVTY, country of birth.
UNITED_STATES = 57
EARNINGS = ("WSAL_VAL", "SEMP_VAL", "FRSE_VAL")
CUBA, HAITI = 327, 332
ENTRANTS_SINCE = 1980
FIVE_YEAR_BAR = 5.0
# DACA (Department of Homeland Security, 15 June 2012): came by 15 June 2007 and before 16; below 31 on 15 June 2012; 15
# or older when asking.
DACA_ARRIVAL, DACA_ARRIVAL_AGE, DACA_BORN_AFTER, DACA_LEAST_AGE = 2007, 16, 1981, 15


@dataclass(frozen=True)
class Pool:
    """Non-citizens without a sign of lawful residence, with what decides their order; arrays of shape (n_persons,).

    Attributes:
        member: who is in it.
        order: rank of each person in the order in which persons are taken, 0 first.
        weight: weight of each person.
        works, studies: who has earnings, who is at college.
    """

    member: BoolArray
    order: IntArray
    weight: FloatArray
    works: BoolArray
    studies: BoolArray


def immigration(
    person: pd.DataFrame, related: Relations, weight: FloatArray, *, survey_year: int, seed: int
) -> dict[str, object]:
    """Immigration inputs of each person.

    Args:
        person: ordered ASEC persons; without PRCITSHP everybody is a citizen.
        related: their pointers.
        weight: weight of each person, in persons, shape (n_persons,).
        survey_year: year of the interview, which dates arrivals.
        seed: seed of the draws.

    Returns:
        `immigration_status_str` and `ssn_card_type` (categoricals), `is_born_outside_us`, `years_since_us_entry`.
    """
    arrival = arrival_years(person, survey_year)
    citizen = optional(person, "PRCITSHP") != NON_CITIZEN
    lawful = ~citizen & meets_condition(person)
    pool = _pool(person, related, citizen, lawful, weight, seed=seed)
    daca = _take(pool, _daca_eligible(person, arrival, survey_year), control("daca_recipients", weight))
    undocumented = undocumented_members(pool, pool.member & ~daca)
    temporary = pool.member & ~daca & ~undocumented
    years = years_since_entry(person, arrival, survey_year)
    status = np.select(
        [citizen, daca, undocumented, _entrants(person, arrival), temporary, lawful & _refugee(person, years)],
        ["CITIZEN", "DACA", "UNDOCUMENTED", "CUBAN_HAITIAN_ENTRANT", "TPS", "REFUGEE"],
        "LEGAL_PERMANENT_RESIDENT",
    )
    card = np.select(
        [citizen, undocumented, temporary & ~pool.works & ~pool.studies],
        ["CITIZEN", "NONE", "OTHER_NON_CITIZEN"],
        "NON_CITIZEN_VALID_EAD",
    )
    return {
        "immigration_status_str": pd.Categorical(status, categories=IMMIGRATION_STATUSES),
        "ssn_card_type": pd.Categorical(card, categories=CARD_TYPES),
        "is_born_outside_us": born_outside(person),
        "years_since_us_entry": years,
    }


def meets_condition(person: pd.DataFrame) -> BoolArray:
    """Whether each person meets a condition of lawful residence, shape (n_persons,); an absent column tells nothing."""
    met = np.zeros(len(person), dtype=bool)
    for row in read_rows("legality_conditions"):
        for column in row["columns"].split():
            values = optional(person, column)
            if row["codes"] == "positive":
                met |= values > 0
            else:
                met |= np.isin(values, [int(code) for code in row["codes"].split()])
    return met


def control(name: str, weight: FloatArray) -> float:
    """A published number of persons, scaled to the weighted population of the file."""
    values = {row["control"]: float(row["value"]) for row in read_rows("immigration_controls")}
    return values[name] * float(weight.sum()) / values["population"]


def undocumented_members(pool: Pool, candidates: BoolArray) -> BoolArray:
    """Who of the candidates is undocumented, shape (n_persons,): step 2 of the module."""
    total = control("undocumented", pool.weight)
    workers, students = control("undocumented_workers", pool.weight), control("undocumented_students", pool.weight)
    chosen = _take(pool, candidates & pool.studies, students)
    chosen |= _take(pool, candidates & pool.works & ~pool.studies, workers - pool.weight[chosen & pool.works].sum())
    others = candidates & ~pool.works & ~pool.studies
    chosen |= _take(pool, others, total - pool.weight[chosen].sum())
    return chosen | _take(pool, candidates & ~chosen, total - pool.weight[chosen].sum())


def arrival_years(person: pd.DataFrame, survey_year: int) -> FloatArray:
    """Middle of the period of arrival, years, shape (n_persons,); missing for those born in the country.

    Periods are those of `data/arrival_periods.csv`. The last that ends by the survey's year is the last in use, and
    reaches to it: code 26 is 2018-2019 in the survey of 2019 and 2018-2020 in that of 2020.
    """
    code = optional(person, "PEINUSYR").astype(np.int64)
    rows = [row for row in read_rows("arrival_periods") if int(row["last_year"]) <= survey_year]
    middle = np.full(max(int(row["code"]) for row in read_rows("arrival_periods")) + 1, np.nan)
    for row in rows:
        last = survey_year if row is rows[-1] else int(row["last_year"])
        middle[int(row["code"])] = (int(row["first_year"]) + last) / 2
    known = (code > 0) & (code < len(middle))
    return np.where(known, middle[np.where(known, code, 0)], np.nan)


def years_since_entry(person: pd.DataFrame, arrival: FloatArray, survey_year: int) -> FloatArray:
    """Years in the country at the interview, never more than the age; the age where no arrival is known."""
    age = person["A_AGE"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(arrival), age, np.minimum(age, np.maximum(survey_year - arrival, 0.0)))


def born_outside(person: pd.DataFrame) -> BoolArray:
    """Born outside the country, by country of birth where the file has it, else by citizenship (3-5), shape (n,).

    Outlying areas (citizenship 2: Puerto Rico, Guam, ...) are part of it (8 USC 1101(a)(38)).
    """
    birthplace, citizenship = optional(person, "PENATVTY"), optional(person, "PRCITSHP")
    if birthplace.any():
        abroad: BoolArray = (birthplace > 0) & (birthplace != UNITED_STATES) & (citizenship != OUTLYING_AREA)
        return abroad
    by_citizenship: BoolArray = np.isin(citizenship, (3, 4, NON_CITIZEN))
    return by_citizenship


def _pool(
    person: pd.DataFrame, related: Relations, citizen: BoolArray, lawful: BoolArray, weight: FloatArray, *, seed: int
) -> Pool:
    settled = citizen | lawful
    minor = person["A_AGE"].to_numpy() < ADULT_AGE
    kin = _of(settled, related.spouse) | (minor & (_of(settled, related.parent_1) | _of(settled, related.parent_2)))
    works: BoolArray = np.logical_or.reduce([optional(person, column) != 0 for column in EARNINGS])
    draw = uniform(f"undocumented/{seed}", related.sequence)
    order = np.empty(len(person), dtype=np.int64)
    order[np.lexsort((related.line, related.sequence, draw, kin))] = np.arange(len(person))
    return Pool(
        member=~settled,
        order=order,
        weight=weight,
        works=works,
        studies=person["A_HSCOL"].to_numpy() == COLLEGE,
    )


def _of(flag: BoolArray, row: IntArray) -> BoolArray:
    """The flag of the person that each row points to; false where it points to nobody."""
    result: BoolArray = (row >= 0) & flag[np.maximum(row, 0)]
    return result


def _take(pool: Pool, candidates: BoolArray, wanted: float) -> BoolArray:
    """The first members of the pool among the candidates whose weights come nearest to a total, shape (n_persons,)."""
    chosen = np.zeros(len(pool.member), dtype=bool)
    rows = np.flatnonzero(candidates & pool.member)
    rows = rows[np.argsort(pool.order[rows])]
    if len(rows) == 0 or wanted <= 0:
        return chosen
    reached = np.concatenate([[0.0], np.cumsum(pool.weight[rows])])
    chosen[rows[: int(np.argmin(np.abs(reached - wanted)))]] = True
    return chosen


def _daca_eligible(person: pd.DataFrame, arrival: FloatArray, survey_year: int) -> BoolArray:
    age = person["A_AGE"].to_numpy(dtype=np.float64)
    born = survey_year - age
    eligible: BoolArray = (
        (arrival <= DACA_ARRIVAL)
        & (arrival - born < DACA_ARRIVAL_AGE)
        & (born > DACA_BORN_AFTER)
        & (age >= DACA_LEAST_AGE)
    )
    return eligible


def _entrants(person: pd.DataFrame, arrival: FloatArray) -> BoolArray:
    """Born in Cuba or Haiti and come since 1980 (Refugee Education Assistance Act of 1980, section 501(e))."""
    entrants: BoolArray = np.isin(optional(person, "PENATVTY"), (CUBA, HAITI)) & (arrival >= ENTRANTS_SINCE)
    return entrants


def _refugee(person: pd.DataFrame, years: FloatArray) -> BoolArray:
    receives = (optional(person, "CAID") == 1) | (optional(person, "SSI_VAL") > 0)
    refugee: BoolArray = receives & (years < FIVE_YEAR_BAR)
    return refugee
