"""Columns by classes, and classes that the SOI combined."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tessera.targets.loaders.soi_columns import Bounds, Column, class_constraints, combined_spans

BOUNDS: tuple[Bounds, ...] = ((None, 1), (1, 10), (10, 20), (20, 30), (30, None))


def _column(values: tuple[float, ...], marked: set[int]) -> Column:
    return Column(BOUNDS, sum(values), values, combined_spans(values, frozenset(marked)))


@pytest.mark.parametrize(
    ("values", "marked", "spans"),
    [
        ((5, 1, 2, 3, 4), set(), ()),
        ((5, 0, 2, 3, 4), {0, 1}, ((0, 1),)),
        ((5, 0, 0, 3, 4), {0, 2}, ((0, 2),)),
        ((5, 0, 2, 0, 4), {0, 1, 3, 4}, ((0, 1), (3, 4))),
        # One mark alone, or marks without a value: the one class is combined with another marked one, whichever.
        ((5, 0, 2, 3, 4), {0, 1, 4}, ((0, 4),)),
        ((0, 0, 2, 0, 4), {0, 1, 3, 4}, ((0, 4),)),
    ],
)
def test_marked_classes_are_taken_together(
    values: tuple[float, ...], marked: set[int], spans: tuple[tuple[int, int], ...]
) -> None:
    assert combined_spans(values, frozenset(marked)) == spans


def test_combined_classes_are_one_class_with_their_sum() -> None:
    assert list(_column((5, 0, 0, 3, 4), {1, 2, 3}).classes()) == [((None, 1), 5), ((1, 30), 3), ((30, None), 4)]


def test_sums_and_differences_join_what_either_combined() -> None:
    one, two = _column((5, 1, 0, 3, 4), {1, 2}), _column((1, 1, 1, 0, 1), {2, 3})
    assert list((one + two).classes()) == [((None, 1), 6), ((1, 30), 6), ((30, None), 5)]
    assert list((one - two).classes()) == [((None, 1), 4), ((1, 30), 2), ((30, None), 3)]
    assert next(iter((-one).classes())) == ((None, 1), -5)
    assert (one + two).total == 17
    assert (one - two).total == 9


def test_constraints_of_a_class() -> None:
    assert class_constraints((None, 1), "age") == (("age", "<", 1),)
    assert class_constraints((1, 10), "age") == (("age", ">=", 1), ("age", "<", 10))
    assert class_constraints((30, None), "age") == (("age", ">=", 30),)


_VALUES = st.tuples(*[st.integers(0, 3).map(float)] * len(BOUNDS))
_MARKS = st.sets(st.integers(0, len(BOUNDS) - 1))


@given(_VALUES, _MARKS, _VALUES, _MARKS)
def test_nothing_is_lost_and_no_two_classes_overlap(
    first: tuple[float, ...], marks: set[int], second: tuple[float, ...], others: set[int]
) -> None:
    column = _column(first, marks) + _column(second, others)
    classes = list(column.classes())
    assert sum(value for _, value in classes) == sum(first) + sum(second)
    assert [bounds[0] for bounds, _ in classes] == [None, *(bounds[1] for bounds, _ in classes[:-1])]
    assert classes[-1][0][1] is None
    for mark in marks | others:
        assert any(low <= mark <= high for low, high in column.spans)
