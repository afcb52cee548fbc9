"""Work of the survey's persons: hours, weeks, occupation, industry and what law hangs on them, as engine inputs.

Holds no money. Hours and weeks are of the job last year but for `hours_worked_last_week`; occupation and industry are
of the longest job last year, but for the tipped occupation, which is of the current job, and of last year's for who
has none now. Codes below zero are "not in universe" and count as none.

- Overtime flags (29 USC 213) by recode of the occupation, `data/occupation_flags.csv`. `has_never_worked` is code 53
  as the engine reads it, which in the survey is everybody who did not work last year; it only exempts from overtime.
- `treasury_tipped_occupation_code` by `data/tipped_occupations.csv`: the Census occupation that is a listed one
  ("same") or of which listed ones are a good part ("part"). The deduction also wants tips, so that a broad occupation
  gives nothing to who has none. Left out where listed ones are few: cashiers, supervisors of personal service
  workers.

Left out: `fsla_overtime_premium`, which hangs on being paid by the hour, which another survey tells (`overtime`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.microdata.asec import BoolArray, FloatArray, IntArray, optional
from tessera.microdata.datafile import read_rows

WEEKS_OF_YEAR = 52


@cache
def occupation_flags() -> Mapping[str, frozenset[int]]:
    """Codes of POCCU2 of each flag of `data/occupation_flags.csv`."""
    codes: dict[str, set[int]] = {}
    for row in read_rows("occupation_flags"):
        if row["flag"]:
            codes.setdefault(row["flag"], set()).add(int(row["code"]))
    return {flag: frozenset(values) for flag, values in codes.items()}


def work(person: pd.DataFrame) -> dict[str, npt.NDArray[np.generic]]:
    """Work inputs of each person, each of shape (n_persons,): hours a week and weeks a year, codes and flags.

    Args:
        person: ordered ASEC persons.
    """
    weeks = _at_least_zero(person, "WKSWORK")
    current, last = (optional(person, column).astype(np.int64) for column in ("PEIOOCC", "OCCUP"))
    columns: dict[str, npt.NDArray[np.generic]] = {
        "weekly_hours_worked_before_lsr": _at_least_zero(person, "HRSWK"),
        "hours_worked_last_week": _at_least_zero(person, "A_HRS1"),
        "weeks_worked": np.minimum(weeks, WEEKS_OF_YEAR).astype(np.int64),
        "weeks_unemployed": np.minimum(_at_least_zero(person, "LKWEEKS"), WEEKS_OF_YEAR),
        "worked_last_year": weeks > 0,
        "is_self_employed": is_self_employed(optional(person, "SEMP_VAL"), optional(person, "FRSE_VAL")),
        "detailed_industry_recode": optional(person, "WEIND").astype(np.int64),
        "major_industry_recode": optional(person, "WEMIND").astype(np.int64),
        "treasury_tipped_occupation_code": tipped_occupation_code(np.where(current > 0, current, last)),
    }
    columns |= overtime_flags(optional(person, "POCCU2").astype(np.int64))
    return columns


def is_self_employed(*business_income: FloatArray) -> BoolArray:
    """Who has net profit or loss of a business or farm of their own, (n,): for whom the engine counts premiums."""
    flag: BoolArray = np.logical_or.reduce([income != 0 for income in business_income])
    return flag


def overtime_flags(recode: IntArray) -> dict[str, BoolArray]:
    """Flags of exemption from overtime by the recode of the occupation (POCCU2), each of the shape of `recode`."""
    return {flag: np.isin(recode, sorted(codes)) for flag, codes in occupation_flags().items()}


def tipped_occupation_code(census_code: IntArray) -> IntArray:
    """Treasury's tipped occupation code of each Census 2018 occupation code; 0 where it is not listed."""
    known, listed = _tipped_occupations()
    place = np.minimum(np.searchsorted(known, census_code), len(known) - 1)
    return np.where(known[place] == census_code, listed[place], 0).astype(np.int64)


@cache
def _tipped_occupations() -> tuple[IntArray, IntArray]:
    pairs = sorted((int(row["census_code"]), int(row["ttoc"])) for row in read_rows("tipped_occupations"))
    table = np.array(pairs, dtype=np.int64)
    return table[:, 0], table[:, 1]


def _at_least_zero(person: pd.DataFrame, column: str) -> FloatArray:
    return np.maximum(optional(person, column), 0.0)
