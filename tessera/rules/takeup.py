"""Programme take-up and voluntary filing: who claims what, decided once per clone from the base file.

Holds the rates (a table with sources), the probability of each unit of the base frame, and the draws. Knows nothing of
eligibility: the engine multiplies take-up by what a unit is entitled to.

A unit that reports a programme in the survey takes it up (its anchor). The others take it up with the probability that
brings the whole base file to the programme's rate r:  p = max(0, (r - s) / (1 - s)),  s the weighted share of units
that report it. p depends on the base file alone, never on the clones at hand, so a clone claims the same in the
matrix, in a state file and in a district file:  takes_up = uniform(variable/seed, household_id, unit, clone) < p.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError, RulesError
from tessera.frame import Frame
from tessera.random import uniform

CHILD_AGE = 19
_COLUMNS = ["variable", "entity", "group_by", "group", "rate", "anchor", "source"]


@dataclass(frozen=True)
class Takeup:
    """Take-up probabilities of every unit of the base frame.

    Attributes:
        probability: take-up variable -> probability of each unit of its entity, shape (n_units,); one where anchored.
        entity_of: take-up variable -> entity.
        seed: of the draws.
    """

    probability: Mapping[str, npt.NDArray[np.float64]]
    entity_of: Mapping[str, str]
    seed: int

    def draw(
        self,
        variable: str,
        unit: npt.NDArray[np.int64],
        household_id: npt.NDArray[np.int64],
        index_in_household: npt.NDArray[np.int64],
        clone: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.bool_]:
        """Whether each unit of some clones takes up; all arguments have one element a unit of a clone."""
        draws = uniform(f"{variable}/{self.seed}", household_id, index_in_household, clone)
        return draws < self.probability[variable][unit]


def published_rates() -> pd.DataFrame:
    """Published rates, one row a (variable, group): variable, entity, group_by, group, rate, anchor, source."""
    with resources.files("tessera.rules").joinpath("takeup_rates.csv").open(encoding="utf-8") as handle:
        return check_rates(pd.read_csv(handle, dtype={"group": "string"}, keep_default_na=False))


def check_rates(rates: pd.DataFrame) -> pd.DataFrame:
    """The table itself if it is usable, else `RulesError` naming the row."""
    missing = [column for column in _COLUMNS if column not in rates]
    if missing:
        raise RulesError(f"take-up rates: no column {', '.join(missing)}; wanted {', '.join(_COLUMNS)}.")
    rate = pd.to_numeric(rates["rate"], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~((rate >= 0) & (rate <= 1)))
    if bad.size:
        row = rates.iloc[int(bad[0])]
        raise RulesError(f"take-up rates row {int(bad[0])}: {row['variable']} has rate {row['rate']}; wanted 0 to 1.")
    duplicated = rates.duplicated(["variable", "group"]).to_numpy()
    if duplicated.any():
        row = rates.iloc[int(np.flatnonzero(duplicated)[0])]
        raise RulesError(f"take-up rates: {row['variable']} has two rates for group {row['group']!r}; keep one.")
    return rates


def takeup_probabilities(frame: Frame, rates: pd.DataFrame, *, seed: int) -> Takeup:
    """Probabilities of every unit of the base frame.

    Args:
        frame: the base frame (after the last imputation), with its reported receipts.
        rates: as `published_rates` gives them, or estimated ones of the same columns.
        seed: of the later draws.

    Raises:
        FrameError: a reported receipt that a rate names as its anchor is not in the frame.
        RulesError: a rate outside 0 to 1, or a group that the rates do not cover.
    """
    probability: dict[str, npt.NDArray[np.float64]] = {}
    entity_of: dict[str, str] = {}
    for variable, rows in check_rates(rates).groupby("variable", sort=True):
        entity = str(rows["entity"].iloc[0])
        reported = _reported(frame, entity, str(rows["anchor"].iloc[0]))
        weights = frame.weights[frame.household_of(entity)]
        probability[str(variable)] = _rate_of_units(frame, entity, rows, reported, weights)
        entity_of[str(variable)] = entity
    return Takeup(probability, entity_of, seed)


def _rate_of_units(
    frame: Frame,
    entity: str,
    rows: pd.DataFrame,
    reported: npt.NDArray[np.bool_],
    weights: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    group = _group_of_units(frame, entity, str(rows["group_by"].iloc[0]), rows)
    result = np.empty(frame.count(entity))
    for index, rate in enumerate(rows["rate"].to_numpy(dtype=np.float64)):
        members = group == index
        share = float(np.average(reported[members], weights=weights[members])) if weights[members].sum() > 0 else 0.0
        adjusted = max(0.0, (rate - share) / (1.0 - share)) if share < 1.0 else 0.0
        result[members] = np.where(reported[members], 1.0, adjusted)
    return result


def _group_of_units(frame: Frame, entity: str, group_by: str, rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Index of the row of `rows` that applies to each unit; the last group holds all numbers at or above it."""
    if not group_by:
        return np.zeros(frame.count(entity), dtype=np.int64)
    if group_by != "children":
        raise RulesError(f"take-up rates: {rows['variable'].iloc[0]} is grouped by {group_by!r}; known: children.")
    child = frame.person["age"].to_numpy() < CHILD_AGE
    children = np.bincount(frame.unit_of_person(entity), child, minlength=frame.count(entity)).astype(np.int64)
    groups = rows["group"].astype(int).to_list()
    if groups != list(range(len(groups))):
        raise RulesError(
            f"take-up rates: {rows['variable'].iloc[0]} has groups {groups}; wanted 0, 1, 2, ... in order."
        )
    return np.minimum(children, len(groups) - 1)


def _reported(frame: Frame, entity: str, anchor: str) -> npt.NDArray[np.bool_]:
    """Units that report the programme: the unit itself, or any of its members where the report is a person's."""
    if not anchor:
        return np.zeros(frame.count(entity), dtype=bool)
    column = anchor.split(".")[1]
    table = frame.table(entity)
    if column in table:
        return table[column].to_numpy() > 0
    if column not in frame.person:
        raise FrameError(
            f"take-up: neither {entity} nor person has the reported receipt {column}; build the base again."
        )
    reports = frame.person[column].to_numpy() > 0
    result = np.zeros(frame.count(entity), dtype=bool)
    np.logical_or.at(result, frame.unit_of_person(entity), reports)
    return result
