"""Classes of AGI: read from constraints, moved, and found to make up larger ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.targets.classes import EVERYBODY, Interval, class_links, covers, moved, split
from tessera.targets.figures import Figure, Provenance, constraints_to_json, to_frame

SOI = Provenance("soi", "T", "https://example.org", "2022", 2022)


def _domain(interval: Interval, *others: tuple[str, str, float]) -> tuple[tuple[str, str, float], ...]:
    low, high = interval
    bounds = [("adjusted_gross_income", ">=", low)] if math.isfinite(low) else []
    bounds += [("adjusted_gross_income", "<", high)] if math.isfinite(high) else []
    return (*bounds, *others)


def _figures(*intervals: Interval, place: str = "US") -> pd.DataFrame:
    return to_frame((Figure("national", place, "eitc", 1.0, "dollar", _domain(one)) for one in intervals), SOI)


def test_split_takes_a_class_and_leaves_the_rest() -> None:
    text = constraints_to_json(_domain((1, 10_000), ("eitc", ">", 0)))
    assert split(text) == ('[["eitc",">",0]]', (1, 10_000))
    assert split("[]") == ("[]", EVERYBODY)
    assert split('[["adjusted_gross_income",">=",5]]') == ("[]", (5, math.inf))
    assert split('[["adjusted_gross_income","==",5]]') is None


def test_bounds_move_but_not_those_that_divide_some_from_none() -> None:
    text = constraints_to_json(_domain((1, 10_000), ("age", "<", 100)))
    assert split(moved(text, 1.0766)) == ('[["age","<",100]]', (1, 10_766))


@pytest.mark.parametrize(
    ("intervals", "links", "unsummed"),
    [
        # A total of all classes.
        ([EVERYBODY, (-math.inf, 1), (1, math.inf)], {0: {1, 2}}, []),
        # No total: the classes make up everybody.
        ([(-math.inf, 1), (1, 5), (5, math.inf)], {}, [{0, 1, 2}]),
        # A gap and an overlap.
        ([EVERYBODY, (-math.inf, 1), (2, math.inf)], {}, []),
        ([EVERYBODY, (-math.inf, 2), (1, math.inf)], {}, []),
        # Coarse classes above fine ones: the finest make up the total, and some of them a coarse class.
        ([EVERYBODY, (-math.inf, 1), (1, 9), (1, 4), (4, 9), (9, math.inf)], {0: {1, 3, 4, 5}, 2: {3, 4}}, []),
        # Positive AGI alone has a total.
        ([(1, math.inf), (1, 7), (7, math.inf)], {0: {1, 2}}, []),
        ([EVERYBODY], {}, []),
    ],
)
def test_links(intervals: list[Interval], links: dict[int, set[int]], unsummed: list[set[int]]) -> None:
    found = class_links(_figures(*intervals))
    seen: dict[int, set[int]] = {}
    for whole, part in zip(found.whole.tolist(), found.part.tolist(), strict=True):
        seen.setdefault(whole, set()).add(part)
    assert seen == links
    assert [set(group.tolist()) for group in found.unsummed] == unsummed


@pytest.mark.parametrize(
    ("unit", "total", "values", "linked"),
    [
        # Nobody in the class above: the two are all of the total, rounding aside.
        ("dollar", 60_000.0, (20_000.0, 40_000.0), True),
        ("dollar", 60_500.0, (20_000.0, 40_000.0), True),
        ("return", 60_015.0, (20_000.0, 40_000.0), True),
        ("return", 60_016.0, (20_000.0, 40_000.0), False),
        # A suppressed class is no rounding, however small the numbers.
        ("return", 60.0, (20.0, 30.0), False),
        ("dollar", 3_000.0, (1_000.0, 1_500.0), False),
        ("dollar", -60_000.0, (-20_000.0, -40_000.0), True),
    ],
)
def test_classes_that_add_up_as_published_are_all_of_a_total(
    unit: str, total: float, values: tuple[float, float], linked: bool
) -> None:
    figures = _figures(EVERYBODY, (-math.inf, 1), (1, 7))
    links = class_links(figures.assign(raw_value=[total, *values], unit=unit))
    assert links.whole.tolist() == ([0, 0] if linked else [])
    assert links.part.tolist() == ([1, 2] if linked else [])
    assert links.unsummed == ()
    # Classes that overlap count somebody twice.
    overlapping = _figures(EVERYBODY, (-math.inf, 1), (0, 7)).assign(raw_value=[total, *values], unit=unit)
    assert len(class_links(overlapping).whole) == 0


def test_places_sources_and_rests_are_kept_apart() -> None:
    table = pd.concat([_figures((-math.inf, 1)), _figures((1, math.inf), place="CA")], ignore_index=True)
    assert class_links(table).unsummed == ()
    other = table.assign(geo_id="US", variable=["eitc", "snap"])
    assert class_links(other).unsummed == ()
    together = class_links(table.assign(geo_id="US"))
    assert [group.tolist() for group in together.unsummed] == [[0, 1]]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8, unique=True), st.data())
def test_every_cut_of_the_line_is_complete_and_no_cut_with_a_hole(cuts: list[float], data: st.DataObject) -> None:
    ends = [-math.inf, *sorted(cuts), math.inf]
    intervals = list(itertools.pairwise(ends))
    assert covers(intervals, EVERYBODY)
    hole = data.draw(st.integers(0, len(intervals) - 1))
    assert not covers(intervals[:hole] + intervals[hole + 1 :], EVERYBODY)
    shuffled = data.draw(st.permutations([*intervals, EVERYBODY]))
    links = class_links(_figures(*shuffled))
    assert np.unique(links.whole).tolist() == [shuffled.index(EVERYBODY)]
    assert len(links.part) == len(intervals)
