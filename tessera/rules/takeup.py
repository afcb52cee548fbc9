"""Programme take-up and voluntary filing: who claims what, decided once per clone from the base file.

Holds the probability of each unit of the base frame, and the draws. Rates and their checks are in `takeup_rates.py`.
Knows nothing of eligibility: the engine multiplies take-up by what a unit is entitled to.

A unit that reports a programme in the survey takes it up (its anchor). The others take it up with the probability that
brings the whole base file to the programme's rate r:

    p = max(0, (r - s) / (1 - s)),    s the weighted share of units that report it
    takes_up = uniform(variable/seed, household_id, unit, clone) < p

Rates may differ by group of units (`children` of a tax unit, `wic_category` of a person): then r and s are the group's.
They may differ by `state`: a clone in state g has p_g from r_g and the s of the whole base file, since the survey's
households stand for those of every state they are placed in. In every case p depends on the base file, the rates and
the clone's state, never on the clones at hand: a clone claims the same in the matrix, in a state file and in a district
file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError, RulesError
from tessera.frame import Frame
from tessera.geography.areas import states
from tessera.random import label_key
from tessera.rules.takeup_rates import check_rates, published_rates
from tessera.threads import run_ranges

__all__ = ["Takeup", "check_rates", "published_rates", "takeup_probabilities"]

CHILD_AGE = 19
WIC_CHILD_AGE = 5
_LEAST_DRAWS = 20_000  # that are worth a thread

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Takeup:
    """Take-up probabilities of every unit of the base frame.

    Attributes:
        probability: take-up variable -> probability of each unit of its entity, shape (n_units,); one where anchored.
            Where rates differ by state, shape (51, n_units), states in the order of `areas.states()`.
        entity_of: take-up variable -> entity.
        seed: of the draws.
    """

    probability: Mapping[str, FloatArray]
    entity_of: Mapping[str, str]
    seed: int

    def draw(
        self,
        variable: str,
        unit: IntArray,
        household_id: IntArray,
        index_in_household: IntArray,
        clone: IntArray,
        state: npt.NDArray[np.integer],
        *,
        threads: int | None = None,
    ) -> BoolArray:
        """Whether each unit of some clones takes up; all arrays have one element a unit of a clone.

        Args:
            variable: one of `entity_of`.
            unit: row of the base frame's table of the variable's entity.
            household_id: of the unit's household.
            index_in_household: of the unit among its household's.
            clone: number of the clone.
            state: FIPS code of the state that the clone is in.
            threads: None for all processors; the result does not depend on it.

        Raises:
            RulesError: rates differ by state, and a clone is in none.
        """
        from tessera.rules.takeup_kernels import decide

        probability = np.ascontiguousarray(np.atleast_2d(self.probability[variable]))
        place = np.zeros(1, dtype=np.int64) if len(probability) == 1 else _rows_of_states(variable, state)
        given = (unit, household_id, index_in_household, clone)
        labels = [np.ascontiguousarray(part, dtype=np.int64) for part in given]
        key = np.uint64(label_key(f"{variable}/{self.seed}"))
        taken = np.empty(len(labels[0]), dtype=bool)
        run_ranges(decide, len(taken), key, probability, place, *labels, taken, threads=threads, least=_LEAST_DRAWS)
        return taken


def takeup_probabilities(frame: Frame, rates: pd.DataFrame, *, seed: int) -> Takeup:
    """Probabilities of every unit of the base frame.

    Args:
        frame: the base frame (after the last imputation), with its reported receipts.
        rates: as `published_rates` gives them, or estimated ones of the same columns.
        seed: of the later draws.

    Raises:
        FrameError: a reported receipt that a rate names as its anchor is not in the frame.
        RulesError: rates that `check_rates` refuses.
    """
    probability: dict[str, FloatArray] = {}
    entity_of: dict[str, str] = {}
    for variable, rows in check_rates(rates).groupby("variable", sort=True):
        entity = str(rows["entity"].iloc[0])
        reported = _reported(frame, entity, str(rows["anchor"].iloc[0]))
        weights = frame.weights[frame.household_of(entity)]
        by_state = str(rows["group_by"].iloc[0]) == "state"
        rule = _probability_by_state if by_state else _probability_by_group
        probability[str(variable)] = rule(frame, entity, rows, reported, weights)
        entity_of[str(variable)] = entity
    return Takeup(probability, entity_of, seed)


def _probability_by_group(
    frame: Frame, entity: str, rows: pd.DataFrame, reported: BoolArray, weights: FloatArray
) -> FloatArray:
    group = _group_of_units(frame, entity, rows)
    result = np.empty(frame.count(entity))
    for index, rate in enumerate(rows["rate"].to_numpy(dtype=np.float64)):
        members = group == index
        adjusted = _unreported_rate(rate, _share(reported[members], weights[members]))
        result[members] = np.where(reported[members], 1.0, adjusted)
    return result


def _probability_by_state(
    frame: Frame, entity: str, rows: pd.DataFrame, reported: BoolArray, weights: FloatArray
) -> FloatArray:
    """Shape (51, n_units); a state without a row has the rate of the row without a group."""
    rate_of = dict(zip(rows["group"].astype(str), rows["rate"].to_numpy(dtype=np.float64), strict=True))
    share = _share(reported, weights)
    result = np.empty((len(states()), frame.count(entity)))
    for row, state in enumerate(states()):
        rate = rate_of[state.usps] if state.usps in rate_of else rate_of[""]
        result[row] = np.where(reported, 1.0, _unreported_rate(rate, share))
    return result


def _share(reported: BoolArray, weights: FloatArray) -> float:
    return float(np.average(reported, weights=weights)) if weights.sum() > 0 else 0.0


def _unreported_rate(rate: float, share: float) -> float:
    """Take-up of those who do not report it that brings all to the rate."""
    return max(0.0, (rate - share) / (1.0 - share)) if share < 1.0 else 0.0


def _rows_of_states(variable: str, fips: npt.NDArray[np.integer]) -> IntArray:
    codes = np.asarray(fips)
    row_of = np.full(100, -1, dtype=np.int64)
    row_of[[state.fips for state in states()]] = np.arange(len(states()))
    known = (codes >= 0) & (codes < len(row_of))
    place = np.where(known, row_of[np.where(known, codes, 0)], -1)
    if (place < 0).any():
        row = int(np.flatnonzero(place < 0)[0])
        raise RulesError(
            f"take-up: {variable} has rates by state, and unit {row} is of a clone in state {codes[row]}; wanted the "
            "FIPS code of a state or DC. Place the clones again."
        )
    return place


def _group_of_units(frame: Frame, entity: str, rows: pd.DataFrame) -> IntArray:
    """Index of the row of `rows` that applies to each unit."""
    group_by = str(rows["group_by"].iloc[0])
    if not group_by:
        return np.zeros(frame.count(entity), dtype=np.int64)
    if group_by == "children":  # the last group holds all numbers at or above it
        child = frame.person["age"].to_numpy() < CHILD_AGE
        children = np.bincount(frame.unit_of_person(entity), child, minlength=frame.count(entity)).astype(np.int64)
        return np.minimum(children, len(rows) - 1)
    names = rows["group"].astype(str).to_list()
    categories = _wic_category(frame)
    return np.array([names.index(name) for name in categories.categories], dtype=np.int64)[categories.codes]


def _wic_category(frame: Frame) -> pd.Categorical:
    """Category of WIC of each person as far as the base file knows it.

    Women and girls from five on that the file does not know to be pregnant or breastfeeding are POSTPARTUM: the engine
    tells who of them is a mother of an infant. Men are NONE.
    """
    person = frame.person
    age, female = person["age"].to_numpy(), person["is_female"].to_numpy(dtype=bool)
    flags = {
        name: person[column].to_numpy(dtype=bool) if column in person else np.zeros(len(person), dtype=bool)
        for name, column in (("PREGNANT", "is_pregnant"), ("BREASTFEEDING", "is_breastfeeding"))
    }
    conditions = [age < 1, age < WIC_CHILD_AGE, flags["PREGNANT"], flags["BREASTFEEDING"], female]
    names = ["INFANT", "CHILD", "PREGNANT", "BREASTFEEDING", "POSTPARTUM"]
    return pd.Categorical(np.select(conditions, names, "NONE"), categories=[*names, "NONE"])


def _reported(frame: Frame, entity: str, anchor: str) -> BoolArray:
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
