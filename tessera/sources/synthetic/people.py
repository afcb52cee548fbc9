"""Who lives with whom: households of eleven kinds, their members' roles, ages, sexes, couples and parents.

No weights, no incomes. Each household is of one kind; its kind says how many members of each role it has; roles become
rows by repetition, sorted by household and role. Shares of kinds, children and marriages are rounded from the Census
Bureau's America's Families and Living Arrangements tables (2023-2024). Line numbers count from 1 within a household.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.sources.synthetic.draws import Floats, Integers, choose, stratified

REFERENCE, SPOUSE, PARTNER, CHILD, GRANDCHILD, PARENT, RELATIVE, ROOMMATE, ROOMMATE_CHILD = range(9)
ALONE, COUPLE, COUPLE_KIDS, MOTHER, FATHER, COHABITING, COHABITING_KIDS = range(7)
ADULT_CHILD, THREE_GENERATIONS, WITH_PARENT, RELATIVES, ROOMMATES = range(7, 12)

_SHARES = (0.250, 0.215, 0.218, 0.064, 0.021, 0.042, 0.034, 0.044, 0.035, 0.034, 0.017, 0.026)
# Mean and standard deviation of the reference person's age, by kind.
_AGE = ((60, 20), (62, 14), (40, 8), (38, 8), (41, 8), (38, 15), (35, 7), (60, 9), (57, 7), (42, 9), (40, 15), (29, 7))
_YOUNGEST = (18, 19, 21, 18, 21, 18, 19, 40, 46, 28, 20, 18)
_KIDS = {
    COUPLE_KIDS: ((1, 2, 3, 4, 5), (0.36, 0.41, 0.16, 0.05, 0.02)),
    MOTHER: ((1, 2, 3, 4), (0.54, 0.29, 0.12, 0.05)),
    FATHER: ((1, 2, 3), (0.62, 0.28, 0.10)),
    COHABITING_KIDS: ((1, 2, 3, 4), (0.47, 0.33, 0.14, 0.06)),
    WITH_PARENT: ((0, 1, 2, 3), (0.40, 0.27, 0.23, 0.10)),
}


def draw_people(rng: np.random.Generator, households: int) -> pd.DataFrame:
    """Members of `households` households, sorted by household and role.

    Returns:
        Columns household (0..n-1), kind, role, line, age, female, spouse (line, 0 none), parent1, parent2, partner
        (lines, -1 none), marital (CPS codes).
    """
    kind = choose(rng, range(len(_SHARES)), _SHARES, households)
    counts = _role_counts(rng, kind)
    household = np.concatenate([np.repeat(np.arange(households), count) for count in counts])
    role = np.concatenate([np.full(int(count.sum()), index) for index, count in enumerate(counts)])
    order = np.lexsort((role, household))
    people = pd.DataFrame({"household": household[order], "role": role[order]})
    people["kind"] = kind[people["household"]]
    people["line"] = people.groupby("household").cumcount() + 1
    people["age"] = _ages(rng, people, kind)
    people["female"] = _sexes(rng, people, kind)
    people = people.assign(**_pointers(rng, people))
    people["marital"] = _marital(rng, people)
    return people


def line_of(people: pd.DataFrame, role: int, *, last: bool = False) -> Integers:
    """Line of the first (or last) member of a role in each household, 0 where it has none. Shape (n_households,)."""
    n = int(people["household"].max()) + 1
    lines = np.zeros(n, dtype=np.int64)
    members = people[people["role"] == role]
    household, line = members["household"].to_numpy(), members["line"].to_numpy()
    if not last:
        household, line = household[::-1], line[::-1]
    lines[household] = line
    return lines


def _role_counts(rng: np.random.Generator, kind: Integers) -> list[Integers]:
    n = len(kind)
    counts = [np.zeros(n, dtype=np.int64) for _ in range(9)]
    counts[REFERENCE][:] = 1
    counts[SPOUSE][:] = np.isin(kind, (COUPLE, COUPLE_KIDS)) | (
        np.isin(kind, (THREE_GENERATIONS, WITH_PARENT)) & (stratified(rng, n) < 0.5)
    )
    counts[PARTNER][:] = np.isin(kind, (COHABITING, COHABITING_KIDS))
    for name, (values, shares) in _KIDS.items():
        rows = np.flatnonzero(kind == name)
        counts[CHILD][rows] = choose(rng, values, shares, len(rows))
    grown = np.select([kind == COUPLE, kind == COUPLE_KIDS, kind == MOTHER], [0.28, 0.14, 0.12], 0.0)
    counts[CHILD] += stratified(rng, n) < grown
    rows = np.flatnonzero(kind == ADULT_CHILD)
    counts[CHILD][rows] = choose(rng, (1, 2), (0.82, 0.18), len(rows))
    rows = np.flatnonzero(kind == THREE_GENERATIONS)
    counts[CHILD][rows] = 1
    counts[GRANDCHILD][rows] = choose(rng, (1, 2, 3), (0.58, 0.30, 0.12), len(rows))
    rows = np.flatnonzero(kind == WITH_PARENT)
    counts[PARENT][rows] = choose(rng, (1, 2), (0.75, 0.25), len(rows))
    rows = np.flatnonzero(kind == RELATIVES)
    counts[RELATIVE][rows] = choose(rng, (1, 2), (0.75, 0.25), len(rows))
    rows = np.flatnonzero(kind == ROOMMATES)
    counts[ROOMMATE][rows] = choose(rng, (1, 2, 3), (0.66, 0.24, 0.10), len(rows))
    counts[ROOMMATE_CHILD][rows] = stratified(rng, len(rows)) < 0.05
    return counts


def _ages(rng: np.random.Generator, people: pd.DataFrame, kind: Integers) -> Integers:
    n, household, role = len(people), people["household"].to_numpy(), people["role"].to_numpy()
    location = np.array(_AGE, dtype=np.float64)[kind]
    reference = np.clip(location[:, 0] + location[:, 1] * rng.standard_normal(len(kind)), np.array(_YOUNGEST)[kind], 97)
    couple = np.clip(reference + rng.normal(-1.0, 3.5, len(kind)), np.array(_YOUNGEST)[kind], 97)
    paired = line_of(people, SPOUSE) + line_of(people, PARTNER) > 0
    youngest = np.where(paired, np.minimum(reference, couple), reference)
    u = rng.random(n)
    first_child = (role == CHILD) & (people["line"].to_numpy() == line_of(people, CHILD)[household])
    # Children are minors, but for the eldest where the household's parents are old enough: those grew up.
    minor = np.floor(u * np.minimum(18, np.maximum(youngest[household] - 17, 1)))
    adult_kinds = np.isin(kind, (COUPLE, ADULT_CHILD, THREE_GENERATIONS))[household]
    grown = 18 + np.floor(u**1.7 * np.clip(youngest[household] - 37, 2, 26))
    eldest = first_child & (youngest[household] > 44) & (rng.random(n) < 0.35)
    child = np.where((adult_kinds | eldest) & (youngest[household] >= 38), grown, minor)
    parent_age = np.zeros(len(kind))
    parent_age[household[first_child]] = child[first_child]
    grandchild = np.floor(u * np.clip(parent_age[household] - 16, 1, 18))
    by_role = [
        reference[household], couple[household], couple[household], child, grandchild,
        np.minimum(np.maximum(reference[household] + 19 + u * 14, 45), 97), np.clip(20 + u * 55, 18, 90),
        np.clip(20 + u * u * 40, 18, 90), np.floor(u * 8),
    ]  # fmt: skip
    return np.floor(np.choose(role, by_role)).astype(np.int64)


def _sexes(rng: np.random.Generator, people: pd.DataFrame, kind: Integers) -> Integers:
    household, role = people["household"].to_numpy(), people["role"].to_numpy()
    women = np.select(
        [kind == MOTHER, kind == FATHER, kind == ALONE, kind == ADULT_CHILD], [1.0, 0.0, 0.545, 0.66], 0.5
    )
    reference = rng.random(len(kind)) < women
    opposite = np.where(rng.random(len(kind)) < 0.015, reference, ~reference)
    own = rng.random(len(people)) < np.where(role == PARENT, 0.66, np.where(role == CHILD, 0.485, 0.5))
    female = np.where(
        role == REFERENCE, reference[household], np.where(np.isin(role, (1, 2)), opposite[household], own)
    )
    # A pair of parents is a man and a woman.
    pair = (role == PARENT) & (people.groupby(["household", "role"])["line"].transform("size").to_numpy() == 2)
    lower = people["line"].to_numpy() == line_of(people, PARENT)[household]
    return np.where(pair, lower, female).astype(np.int64)


def _pointers(rng: np.random.Generator, people: pd.DataFrame) -> dict[str, Integers]:
    household, role, line = (people[name].to_numpy() for name in ("household", "role", "line"))
    n = len(people)
    lines = {r: line_of(people, r)[household] for r in range(9)}
    second = line_of(people, PARENT, last=True)[household]
    spouse = np.zeros(n, dtype=np.int64)
    spouse[role == REFERENCE] = lines[SPOUSE][role == REFERENCE]
    spouse[role == SPOUSE] = lines[REFERENCE][role == SPOUSE]
    pair = (role == PARENT) & (second > lines[PARENT])
    spouse[pair] = np.where(line == second, lines[PARENT], second)[pair]
    partner = np.full(n, -1, dtype=np.int64)
    partnered = lines[PARTNER] > 0
    partner[(role == REFERENCE) & partnered] = lines[PARTNER][(role == REFERENCE) & partnered]
    partner[role == PARTNER] = lines[REFERENCE][role == PARTNER]
    shared = (rng.random(int(household.max()) + 1) < 0.72)[household]
    parent1 = np.select(
        [role == CHILD, role == GRANDCHILD, (role == REFERENCE) & (lines[PARENT] > 0), role == ROOMMATE_CHILD],
        [lines[REFERENCE], lines[CHILD], lines[PARENT], lines[ROOMMATE]], -1,
    )  # fmt: skip
    other = np.where(lines[SPOUSE] > 0, lines[SPOUSE], np.where(partnered & shared, lines[PARTNER], -1))
    parent2 = np.select([role == CHILD, (role == REFERENCE) & (second > lines[PARENT])], [other, second], -1)
    return {"spouse": spouse, "partner": partner, "parent1": parent1, "parent2": parent2}


def _marital(rng: np.random.Generator, people: pd.DataFrame) -> Integers:
    age, u = people["age"].to_numpy(), rng.random(len(people))
    widowed: Floats = np.clip((age - 50) / 38, 0.005, 0.85) * np.where(people["female"].to_numpy() == 1, 1.0, 0.5)
    never = np.clip(1.25 - (age - 18) / 38, 0.14, 1.0)
    once: Floats = widowed + (1 - widowed) * never
    rest = (u - once) / np.maximum(1 - once, 1e-9)
    single = np.select([u < widowed, u < once, rest < 0.74, rest < 0.90], [4, 7, 5, 6], 3)
    raising = (people["role"] == REFERENCE).to_numpy() & np.isin(people["kind"].to_numpy(), (MOTHER, FATHER))
    single = np.where(raising & (single == 7) & (u > 0.75), 6, single)
    married = people["spouse"].to_numpy() > 0
    child = (people["role"] == CHILD).to_numpy() & (age < 26)
    return np.where(married, 1, np.where((age < 15) | child, 7, single)).astype(np.int64)
