"""Households that a survey meets twice: four months in one year, and the same four months of the next.

Half of the households of a March supplement were in the one of the year before. A cohort is drawn once, as it is at
its second interview, under a name that both years' files share; its first interview shows the same persons a year
younger, without those who were not yet born. What does not change with a year (sex, origin, schooling, ability,
occupation, place) is the same in both files; incomes, tenure and coverage are drawn anew by each, around the same
ability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.sources.synthetic.draws import Integers

POINTERS = ("spouse", "parent1", "parent2", "partner")


@dataclass(frozen=True)
class Cohort:
    """Households drawn together.

    Attributes:
        label: names their draws; files that share a label (and seed and size) share the households.
        households: how many.
        first: whether this is the interview a year before the one that they are drawn at.
        number: identifies the cohort in the files (the year of its second interview); 0 for a survey without panel.
    """

    label: str
    households: int
    first: bool = False
    number: int = 0


def cohorts_of(survey: str, year: int, households: int) -> tuple[Cohort, Cohort]:
    """The two cohorts of one year's file: those interviewed for the second time, and those for the first.

    Cohorts of even years have the odd household, so that a cohort is as large in both of its files.
    """

    def cohort(second: int, first: bool) -> Cohort:
        size = households // 2 + (households % 2 if second % 2 == 0 else 0)
        return Cohort(f"{survey}/cohort {second}", size, first=first, number=second)

    return cohort(year, False), cohort(year + 1, True)


def at_interview(people: pd.DataFrame, *, first: bool) -> pd.DataFrame:
    """Members of households as they are at one of the two interviews.

    Infants get the last lines of their household, as new members do, so that everybody else has the same line at both.

    Args:
        people: columns household, line, age and pointers (lines), at the second interview.
        first: whether to go back by a year.
    """
    order = np.lexsort((people["line"].to_numpy(), people["age"].to_numpy() == 0, people["household"].to_numpy()))
    people = people.iloc[order].reset_index(drop=True)
    old = people["line"].to_numpy()
    new = np.asarray(people.groupby("household").cumcount(), dtype=np.int64) + 1
    people = people.assign(line=new, **{name: _renamed(people, old, new, name) for name in POINTERS})
    if not first:
        return people
    born = people[people["age"] > 0].reset_index(drop=True)
    return born.assign(age=born["age"] - 1)


def _renamed(people: pd.DataFrame, old: Integers, new: Integers, name: str) -> Integers:
    household, pointer = people["household"].to_numpy(), people[name].to_numpy()
    width = int(old.max()) + 1
    line = np.zeros((int(household.max()) + 1) * width, dtype=np.int64)
    line[household * width + old] = new
    return np.where(pointer > 0, line[household * width + np.maximum(pointer, 0)], pointer)
