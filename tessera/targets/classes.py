"""Classes of adjusted gross income in the domains of figures: their bounds, and which of them make up a larger one.

A class is lower <= AGI < upper, beside any other constraints (the rest); a figure without a bound of AGI is for the
class of everybody. Within one source, place, variable and rest, a class is made up of the finest classes inside it
where these cover it without a gap or an overlap. Holds no figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.targets.figures import Constraint, constraints_from_json, constraints_to_json

AGI = "adjusted_gross_income"
Interval = tuple[float, float]
EVERYBODY: Interval = (-math.inf, math.inf)
_SET = ["source", "geo_level", "geo_id", "variable", "reform"]


@dataclass(frozen=True)
class ClassLinks:
    """Which figures make up which, by positions in a table of figures.

    Attributes:
        whole, part: a figure and one of those that make it up, int64, shape (n_links,), in order of the whole.
        unsummed: one array of positions for each complete set of classes whose total is not among the figures.
    """

    whole: npt.NDArray[np.int64]
    part: npt.NDArray[np.int64]
    unsummed: tuple[npt.NDArray[np.int64], ...]


@cache
def split(text: str) -> tuple[str, Interval] | None:
    """The constraints beside a class of AGI, and the class; None for bounds that are not written as >= or <."""
    lower, upper = EVERYBODY
    rest: list[Constraint] = []
    for variable, operation, value in constraints_from_json(text):
        if variable != AGI:
            rest.append((variable, operation, value))
        elif operation == ">=":
            lower = value
        elif operation == "<":
            upper = value
        else:
            return None
    return constraints_to_json(rest), (lower, upper)


def moved(text: str, factor: float) -> str:
    """Constraints with the bounds of an AGI class times a factor, in whole dollars.

    Bounds of one dollar and less stay: they divide some AGI from none.
    """
    return constraints_to_json(
        [
            (name, operation, float(round(value * factor)) if name == AGI and value > 1 else value)
            for name, operation, value in constraints_from_json(text)
        ]
    )


def class_links(figures: pd.DataFrame) -> ClassLinks:
    """Which figures are sums of classes of AGI that are figures too.

    Args:
        figures: columns of `figures.COLUMNS`.
    """
    parts = {text: split(text) for text in figures["constraints"].unique()}
    rests = {one[0] for one in parts.values() if one is not None and one[1] != EVERYBODY}
    rows = np.flatnonzero([(one := parts[text]) is not None and one[0] in rests for text in figures["constraints"]])
    chosen = figures.iloc[rows]
    found: list[tuple[str, Interval]] = [parts[text] or ("", EVERYBODY) for text in chosen["constraints"]]
    rest = pd.Series([one[0] for one in found], index=chosen.index, dtype="str")
    groups = chosen[_SET].assign(rest=rest).groupby([*_SET, "rest"], sort=False).indices
    whole: list[npt.NDArray[np.int64]] = []
    part: list[npt.NDArray[np.int64]] = []
    unsummed: list[npt.NDArray[np.int64]] = []
    for members in groups.values():
        if len(members) == 1:
            continue
        made, complete = _made_of(tuple(found[member][1] for member in members))
        positions = rows[members].astype(np.int64)
        for made_up, inside in made:
            part.append(positions[list(inside)])
            whole.append(np.full(len(inside), positions[made_up]))
        if complete:
            unsummed.append(positions[list(complete)])
    empty = np.empty(0, dtype=np.int64)
    return ClassLinks(np.concatenate([empty, *whole]), np.concatenate([empty, *part]), tuple(unsummed))


@cache
def _made_of(intervals: tuple[Interval, ...]) -> tuple[tuple[tuple[int, tuple[int, ...]], ...], tuple[int, ...]]:
    """Which intervals others make up (the one, its parts), and those that make up everybody if nothing else is it."""
    holds = {
        one: [other for other in range(len(intervals)) if other != one and _inside(intervals[other], intervals[one])]
        for one in range(len(intervals))
    }
    finest = sorted((one for one, inside in holds.items() if not inside), key=lambda one: intervals[one])
    made = []
    for one, inside in holds.items():
        parts = [other for other in finest if other in inside]
        if parts and covers([intervals[other] for other in parts], intervals[one]):
            made.append((one, tuple(parts)))
    lacking = EVERYBODY not in intervals and covers([intervals[one] for one in finest], EVERYBODY)
    return tuple(made), tuple(finest) if lacking else ()


def _inside(interval: Interval, other: Interval) -> bool:
    return other[0] <= interval[0] and interval[1] <= other[1]


def covers(ordered: Sequence[Interval], whole: Interval) -> bool:
    """Whether intervals, in order, make up a whole without a gap or an overlap."""
    ends = [whole[0], *(upper for _, upper in ordered)]
    return ends[:-1] == [lower for lower, _ in ordered] and ends[-1] == whole[1]
