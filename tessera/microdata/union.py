"""Union membership and coverage: what the outgoing rotations answered, and the shares that were published from it.

Holds the codes of PEERNLAB and PEERNCOV, the published national shares (`data/union_rates.csv`, Bureau of Labor
Statistics, Union Members, table 1) and their comparison with a frame; imputes nothing. States are not assigned a
published rate: the state is a predictor of the imputation, so what a state's employees answered is what it gets.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray
from tessera.microdata.datafile import read_rows
from tessera.microdata.donor_tables import filled

YES, NO = 1, 2
COVERED = "is_union_member_or_covered"
WAGES = "employment_income_before_lsr"


def answered(table: pd.DataFrame) -> BoolArray:
    """Who answered whether they are union members, (n_rows,)."""
    known: BoolArray = np.isin(filled(table, "PEERNLAB"), (YES, NO))
    return known


def covered(table: pd.DataFrame) -> BoolArray:
    """Members, and those covered by a contract without being members, (n_rows,)."""
    represented: BoolArray = (filled(table, "PEERNLAB") == YES) | (filled(table, "PEERNCOV") == YES)
    return represented


def published_share(year: int, concept: str) -> float:
    """Published share of wage and salary workers, between 0 and 1.

    Args:
        year: calendar year.
        concept: "members" or "represented" (members and those covered by a contract).

    Raises:
        SourceError: no such year or concept on file.
    """
    rows = {(int(row["year"]), row["concept"]): float(row["percent"]) / 100 for row in read_rows("union_rates")}
    if (year, concept) not in rows:
        known = ", ".join(f"{concept} {year}" for year, concept in sorted(rows))
        raise SourceError(
            f"No published union share of {concept} in {year}; on file are {known}. "
            "Add the year to tessera/microdata/data/union_rates.csv."
        )
    return rows[year, concept]


def covered_share(frame: Frame) -> float:
    """Weighted share of persons with wages who are covered, between 0 and 1.

    Raises:
        SourceError: the frame has no union coverage, or nobody with wages.
    """
    if COVERED not in frame.person:
        raise SourceError(f"The frame has no {COVERED}; wanted a frame whose donors included CPS-ORG.")
    works = frame.person[WAGES].to_numpy(dtype=np.float64) > 0
    weights = frame.weights[frame.unit_of_person("household")] * works
    if weights.sum() <= 0:
        raise SourceError("The frame has nobody with wages, so no share of workers; check the frame's wages.")
    return float(np.average(frame.person[COVERED].to_numpy(dtype=np.float64), weights=weights))
