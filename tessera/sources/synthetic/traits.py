"""Lasting traits of synthetic persons: race, origin, citizenship, degree, disability, service, ability, occupation.

Shares are rounded from Census ACS and CPS tables (2023-2024): origin 19 % Hispanic, 14 % foreign born, 29 % with a
bachelor's degree or more at 25 and over among persons, 13 % with a disability. Codes are those of the CPS.
`draw_schooling` is apart: whom a school enrols is of the year, not of the person.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.draws import Floats, Integers, choose
from tessera.sources.synthetic.people import CHILD, GRANDCHILD, ROOMMATE_CHILD

DIFFICULTIES = ("hearing", "seeing", "remembering", "walking", "dressing", "errands")
_DIFFICULTY_SHARES = (0.036, 0.025, 0.055, 0.068, 0.027, 0.060)
_DEGREES = (31, 33, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46)
_DEGREE_SHARES = (0.004, 0.015, 0.012, 0.015, 0.02, 0.015, 0.28, 0.145, 0.045, 0.06, 0.235, 0.115, 0.016, 0.023)


def draw_traits(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers | Floats]:
    """Columns to add to `people`: race, hispanic, citizenship, birthplace, years_here (0 native), education, veteran,
    ability, drive and venture (standard normal), job (row of `tables.occupations()`), one 0/1 column per difficulty,
    disabled."""
    traits: dict[str, Integers | Floats] = {}
    traits.update(_origin(rng, people))
    traits["ability"] = _household_normal(rng, people, share=0.35)
    traits["education"] = _education(rng, people, traits["ability"])
    traits.update(_disability(rng, people))
    age, man = people["age"].to_numpy(), people["female"].to_numpy() == 0
    served = np.where(man, np.clip((age - 15) / 260, 0.02, 0.32), 0.02)
    traits["veteran"] = ((age >= 19) & (rng.random(len(people)) < served)).astype(np.int64)
    traits["drive"], traits["venture"] = rng.standard_normal(len(people)), rng.standard_normal(len(people))
    traits["job"] = _occupation(rng, np.asarray(traits["education"]), age)
    return traits


def draw_schooling(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers]:
    """Columns to add to `people`: enrolled, school, full_time (codes of A_ENRLW, A_HSCOL, A_FTPT)."""
    return _school(rng, people)


def _occupation(rng: np.random.Generator, education: Integers, age: Integers) -> Integers:
    """The line of work of everybody, by schooling; the armed forces are for those of 18 to 44."""
    jobs = tables.occupations()
    share, degree = jobs["share"].to_numpy(), jobs["degree_share"].to_numpy()
    soldier = jobs["major"].to_numpy() == 11
    picked = np.empty(len(education), dtype=np.int64)
    fit, graduate = (age >= 18) & (age < 45), education >= 43
    for rows, shares in (
        (np.flatnonzero(graduate & fit), share * degree),
        (np.flatnonzero(~graduate & fit), share * (1 - degree)),
        (np.flatnonzero(graduate & ~fit), np.where(soldier, 0.0, share * degree)),
        (np.flatnonzero(~graduate & ~fit), np.where(soldier, 0.0, share * (1 - degree))),
    ):
        picked[rows] = choose(rng, range(len(jobs)), shares.tolist(), len(rows))
    return picked


def _household_normal(rng: np.random.Generator, people: pd.DataFrame, share: float) -> Floats:
    household = people["household"].to_numpy()
    common = rng.standard_normal(int(household.max()) + 1)[household]
    return np.sqrt(share) * common + np.sqrt(1 - share) * rng.standard_normal(len(people))


def _origin(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers]:
    household = people["household"].to_numpy()
    n, own = int(household.max()) + 1, rng.random(len(people)) < 0.07
    source = np.where(own, rng.integers(0, n, len(people)), household)
    race = choose(rng, (1, 2, 3, 4, 5, 6, 7, 8), (0.752, 0.137, 0.013, 0.064, 0.004, 0.011, 0.011, 0.008), n)[source]
    latin = (rng.random(n) < np.where(np.isin(np.arange(n), source[race == 4]), 0.03, 0.205))[source]
    group = choose(rng, range(1, 9), (0.58, 0.09, 0.04, 0.04, 0.04, 0.06, 0.07, 0.08), n)[source]
    hispanic = np.where(latin, group, 0)
    foreign = np.where(race == 4, 0.58, np.where(latin, 0.38, 0.06))
    child = np.isin(people["role"].to_numpy(), (CHILD, GRANDCHILD, ROOMMATE_CHILD))
    born_abroad = (people["age"].to_numpy() > 0) & (rng.random(len(people)) < np.where(child, foreign * 0.25, foreign))
    naturalised = rng.random(len(people)) < np.clip(people["age"].to_numpy() / 100, 0.05, 0.8)
    islander = (hispanic == 2) & (rng.random(len(people)) < 0.32)
    native = np.where(rng.random(len(people)) < 0.012, 3, np.where(islander, 2, 1))
    citizenship = np.where(born_abroad, np.where(naturalised, 4, 5), native)
    birthplace = np.select(
        [born_abroad, citizenship == 2, citizenship == 3], [_country(rng, race, hispanic), 73, 110], 57
    )
    # Most came young, those who are no citizens yet more lately than others; nobody came before birth.
    age = people["age"].to_numpy()
    since = age * (1 - 0.9 * rng.random(len(people)) ** 1.6) * np.where(citizenship == 5, 0.6, 1.0)
    years = np.clip(np.floor(since), 1, np.maximum(age, 1))
    return {
        "race": race, "hispanic": hispanic, "citizenship": citizenship, "birthplace": birthplace,
        "years_here": np.where(born_abroad, years, 0).astype(np.int64),
    }  # fmt: skip


def _country(rng: np.random.Generator, race: Integers, hispanic: Integers) -> Integers:
    """Country of birth that everybody would have if born abroad, by origin."""
    origins = ("mexican", "other", "cuban", "dominican", "salvadoran", "central", "southern", "central")
    origin = np.select(
        [race == 4, *(hispanic == code for code in range(1, 9)), race == 2], ["asian", *origins, "black"], "other"
    )
    places = tables.birthplaces()
    country = np.zeros(len(race), dtype=np.int64)
    for name, rows in places.groupby("origin"):
        here = np.flatnonzero(origin == name)
        country[here] = choose(rng, rows["code"].tolist(), rows["share"].tolist(), len(here))
    return country


def _education(rng: np.random.Generator, people: pd.DataFrame, ability: Integers | Floats) -> Integers:
    age = people["age"].to_numpy()
    edges = np.cumsum(_DEGREE_SHARES) / np.sum(_DEGREE_SHARES)
    # Rank of ability and chance together picks the degree, so that earnings, schooling and wealth hang together.
    score = 0.6 * np.asarray(ability) + 0.8 * rng.standard_normal(len(people))
    rank = (np.argsort(np.argsort(score)) + 0.5) / len(people)
    degree = np.asarray(_DEGREES)[np.minimum(np.searchsorted(edges, rank), len(_DEGREES) - 1)]
    cap = np.select([age < 15, age < 17, age < 19, age < 22, age < 25], [0, 36, 39, 41, 43], 46)
    return np.minimum(degree, cap).astype(np.int64)


def _school(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers]:
    age, u = people["age"].to_numpy(), rng.random(len(people))
    chance = np.select([age < 16, age <= 17, age <= 18, age <= 21, age <= 24, age <= 34, age <= 54],
                       [0.0, 0.95, 0.72, 0.50, 0.26, 0.09, 0.025], 0.0)  # fmt: skip
    enrolled = u < chance
    school = np.where(enrolled, np.where(age <= 17, 1, np.where((age == 18) & (u < 0.35), 1, 2)), 0)
    full_time = np.where(enrolled, np.where((age <= 21) | (rng.random(len(people)) < 0.55), 1, 2), 0)
    universe = (age >= 16) & (age <= 54)
    return {"enrolled": np.where(universe, np.where(enrolled, 1, 2), 0), "school": school, "full_time": full_time}


def _disability(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers]:
    age = people["age"].to_numpy()
    level = np.where(age < 15, 0.0, np.exp(np.clip((age - 48) / 22, -1.6, 1.6)) / 1.55)
    frailty = rng.standard_normal(len(people))
    columns: dict[str, Integers] = {}
    for name, share in zip(DIFFICULTIES, _DIFFICULTY_SHARES, strict=True):
        chance = np.clip(share * level * np.exp(0.9 * frailty - 0.4), 0, 0.9)
        columns[name] = (rng.random(len(people)) < chance).astype(np.int64)
    columns["disabled"] = np.max([columns[name] for name in DIFFICULTIES], axis=0)
    return columns
