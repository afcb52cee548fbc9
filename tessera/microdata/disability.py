"""Disability of the survey's persons, by the four meanings that programmes give the word.

The survey asks those of 15 and over about six difficulties, and everybody about benefits that only the disabled get.
From these:

    is_disabled                       any of six difficulties, or SSI below 65 for oneself
    meets_ssi_disability_criteria     below 65 with SSI for oneself or Social Security for a disability, or the child
                                      on whose behalf a parent gets SSI
    is_permanently_and_totally_...    such benefits (at any age), or any of six difficulties and earnings of the year
                                      below what the SSA calls substantial gainful activity
    is_incapable_of_self_care         difficulty dressing or bathing (26 CFR 1.21-1(b)(4))

Below 65 nobody gets SSI without a disability or blindness (42 USC 1382c(a)(1)), so a report of SSI settles the matter.
Social Security and SSI share one test (42 USC 423(d) and 1382c(a)(3)); persons who would pass it but get neither are
not told apart here, so that disability of the poor rests on reports. "Permanently and totally disabled" is inability to
engage in substantial gainful activity (26 USC 22(e)(3)): a difficulty alone, in a person who earns a living, is not it.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray, Relations, any_difficulty, optional
from tessera.microdata.datafile import latest_row

AGED = 65
ADULT = 18
# Reasons for Social Security and for SSI that name the person's own disability or blindness, and a child's.
OWN_SOCIAL_SECURITY = 2
CHILDS_SSI = (3, 4)
OWN_SSI = (1, 2)


def disability(person: pd.DataFrame, related: Relations, year: int) -> dict[str, BoolArray]:
    """Disability inputs of each person, each of shape (n_persons,).

    Args:
        person: ordered ASEC persons.
        related: their pointers.
        year: year of the incomes, which decides what gainful activity is.
    """
    receives = receives_disability_benefits(person)
    below_65 = person["A_AGE"].to_numpy() < AGED
    return {
        "is_disabled": any_difficulty(person) | own_ssi(person),
        "meets_ssi_disability_criteria": (receives & below_65) | child_with_ssi(person, related),
        "is_permanently_and_totally_disabled": receives | disabled_dependent(person, year),
        "is_incapable_of_self_care": person["PEDISDRS"].to_numpy() == 1,
        "is_blind": person["PEDISEYE"].to_numpy() == 1,
        "is_deaf": person["PEDISEAR"].to_numpy() == 1,
    }


def own_ssi(person: pd.DataFrame) -> BoolArray:
    """Persons below 65 who report SSI that is not on behalf of a child alone, shape (n_persons,)."""
    reported = (optional(person, "SSI_VAL") > 0) & (person["A_AGE"].to_numpy() < AGED)
    reasons = np.stack([optional(person, "RESNSSI1"), optional(person, "RESNSSI2")])
    for_child = np.isin(reasons, CHILDS_SSI).any(axis=0) & ~np.isin(reasons, OWN_SSI).any(axis=0)
    own: BoolArray = reported & ~for_child
    return own


def child_with_ssi(person: pd.DataFrame, related: Relations) -> BoolArray:
    """The first child below 18, by line, of each parent who reports SSI on behalf of a child, shape (n_persons,)."""
    reasons = np.stack([optional(person, "RESNSSI1"), optional(person, "RESNSSI2")])
    asks = (optional(person, "SSI_VAL") > 0) & np.isin(reasons, CHILDS_SSI).any(axis=0)
    chosen = np.zeros(len(person), dtype=bool)
    minor = person["A_AGE"].to_numpy() < ADULT
    for parent in (related.parent_1, related.parent_2):
        rows = np.flatnonzero(minor & (parent >= 0) & asks[np.maximum(parent, 0)])
        # Rows are in the order of lines, and the first of each parent counts.
        _, first = np.unique(parent[rows], return_index=True)
        chosen[rows[first]] = True
    return chosen


def receives_disability_benefits(person: pd.DataFrame) -> BoolArray:
    """Persons with SSI for themselves below 65, or Social Security for a disability at any age; shape (n_persons,)."""
    reasons = np.stack([optional(person, "RESNSS1"), optional(person, "RESNSS2")])
    insured = (optional(person, "SS_VAL") > 0) & (reasons == OWN_SOCIAL_SECURITY).any(axis=0)
    return own_ssi(person) | insured


def disabled_dependent(person: pd.DataFrame, year: int) -> BoolArray:
    """Who can be claimed as a child at any age for a disability, shape (n_persons,).

    A difficulty without gainful earnings, or SSI of one's own. Social Security for a disability alone does not count:
    it is support that a person provides for themselves (26 USC 152(c)(1)(D)).
    """
    claimable: BoolArray = own_ssi(person) | (any_difficulty(person) & ~gainfully_employed(person, year))
    return claimable


def gainfully_employed(person: pd.DataFrame, year: int) -> BoolArray:
    """Whether earnings of the year show substantial gainful activity, shape (n_persons,)."""
    earned = sum(np.maximum(optional(person, column), 0.0) for column in ("WSAL_VAL", "SEMP_VAL", "FRSE_VAL"))
    others, blind = gainful_activity(year)
    limit = np.where(person["PEDISEYE"].to_numpy() == 1, blind, others)
    gainful: BoolArray = earned >= limit
    return gainful


def gainful_activity(year: int) -> tuple[float, float]:
    """Earnings of a year that show substantial gainful activity, dollars: of others and of the blind (20 CFR 404.1574).

    Twelve times the monthly amount of the latest known year up to `year`.

    Raises:
        SourceError: a year before the first of `data/substantial_gainful_activity.csv`.
    """
    latest = latest_row("substantial_gainful_activity", year, "substantial gainful activity amount")
    return 12 * float(latest["monthly"]), 12 * float(latest["monthly_blind"])
