"""Classes of adjusted gross income in the domains of figures: their bounds, and which of them make up a larger one.

A class is lower <= AGI < upper, beside any other constraints (the rest); a figure without a bound of AGI is for the
class of everybody. Within one source, place, variable and rest, a class is made up of the finest classes inside it
where these cover it without a gap or an overlap. Everybody is made up of less where the classes that are there add up
to the total as it was published, rounding aside: there is nothing in the others. Holds no figures.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
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
# Half of the coarsest rounding of the tables that are added up: returns to ten, money to a thousand dollars.
_ROUNDING = {"dollar": 500.0}
_COUNTS_ROUNDING = 5.0
# However it is rounded, classes this far from a total leave something out.
_LEFT_OUT = 0.01


@dataclass(frozen=True)
class ClassLinks:
    """Which figures make up which, by positions in a table of figures.

    Attributes:
        whole, part: a figure and one of those that make it up, int64, shape (n_links,), parts of one side by side.
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


def rounding(units: pd.Series) -> pd.Series:
    """By how much a published number may be off, by its unit: half a unit of publication."""
    return units.map(_ROUNDING).fillna(_COUNTS_ROUNDING)


def class_links(figures: pd.DataFrame) -> ClassLinks:
    """Which figures are sums of classes of AGI that are figures too.

    Args:
        figures: columns of `figures.COLUMNS`.
    """
    raw, off = figures["raw_value"].to_numpy(np.float64), rounding(figures["unit"]).to_numpy(np.float64)
    whole: list[npt.NDArray[np.int64]] = []
    part: list[npt.NDArray[np.int64]] = []
    unsummed: list[npt.NDArray[np.int64]] = []
    for positions, intervals in _sets(figures):
        made_of = _made_of(intervals)
        made = [(positions[one], positions[list(inside)]) for one, inside in made_of.made]
        if made_of.scattered:
            total, parts = positions[intervals.index(EVERYBODY)], positions[list(made_of.scattered)]
            made += [(total, parts)] if _add_up(raw[total], raw[parts], off[total]) else []
        whole += [np.full(len(parts), one) for one, parts in made]
        part += [parts for _, parts in made]
        if made_of.unsummed:
            unsummed.append(positions[list(made_of.unsummed)])
    empty = np.empty(0, dtype=np.int64)
    return ClassLinks(np.concatenate([empty, *whole]), np.concatenate([empty, *part]), tuple(unsummed))


def _sets(figures: pd.DataFrame) -> Iterator[tuple[npt.NDArray[np.int64], tuple[Interval, ...]]]:
    """Positions and classes of the figures that differ in nothing but their class of AGI."""
    parts = {text: split(text) for text in figures["constraints"].unique()}
    rests = {one[0] for one in parts.values() if one is not None and one[1] != EVERYBODY}
    rows = np.flatnonzero([(one := parts[text]) is not None and one[0] in rests for text in figures["constraints"]])
    chosen = figures.iloc[rows]
    found: list[tuple[str, Interval]] = [parts[text] or ("", EVERYBODY) for text in chosen["constraints"]]
    rest = pd.Series([one[0] for one in found], index=chosen.index, dtype="str")
    for members in chosen[_SET].assign(rest=rest).groupby([*_SET, "rest"], sort=False).indices.values():
        if len(members) > 1:
            yield rows[members].astype(np.int64), tuple(found[member][1] for member in members)


def _add_up(total: float, parts: npt.NDArray[np.float64], off: float) -> bool:
    """Whether parts are all of a total as published, each number being off by `off` at most."""
    return bool(abs(parts.sum() - total) <= min(off * (len(parts) + 1), _LEFT_OUT * abs(total)))


@dataclass(frozen=True)
class _MadeOf:
    """Which intervals of a set others make up, by their places in it.

    Attributes:
        made: an interval and its parts.
        unsummed: parts of everybody, where everybody is not in the set.
        scattered: the finest intervals, where everybody is in the set and they do not cover it.
    """

    made: tuple[tuple[int, tuple[int, ...]], ...]
    unsummed: tuple[int, ...]
    scattered: tuple[int, ...]


@cache
def _made_of(intervals: tuple[Interval, ...]) -> _MadeOf:
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
    classes = [intervals[one] for one in finest]
    complete, total = covers(classes, EVERYBODY), EVERYBODY in intervals
    apart = all(one[1] <= other[0] for one, other in itertools.pairwise(classes))
    return _MadeOf(
        made=tuple(made),
        unsummed=tuple(finest) if complete and not total else (),
        scattered=tuple(finest) if total and apart and not complete else (),
    )


def _inside(interval: Interval, other: Interval) -> bool:
    return other[0] <= interval[0] and interval[1] <= other[1]


def covers(ordered: Sequence[Interval], whole: Interval) -> bool:
    """Whether intervals, in order, make up a whole without a gap or an overlap."""
    ends = [whole[0], *(upper for _, upper in ordered)]
    return ends[:-1] == [lower for lower, _ in ordered] and ends[-1] == whole[1]
