"""A column of an SOI table by classes (of AGI, or of age): numbers, and classes that were combined.

`Column` adds and subtracts like a number. Classes that SOI combined (see `soi_workbook`) are one class, from the lower
bound of the first to the upper bound of the last. Which marked classes belong together is not published: marked classes
that stand side by side, or with nothing but true zeros between them, are taken together; if that leaves a marked class
alone, or several without a value, all marked classes of the column and those between them become one, which is always
right. Holds no table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tessera.targets.figures import Constraint

# Lower and upper bound of a class, lower <= x < upper; None for no bound.
Bounds = tuple[float | None, float | None]
Span = tuple[int, int]


@dataclass(frozen=True)
class Column:
    """Numbers by class.

    Attributes:
        bounds: classes, lowest first.
        total: all classes, as published.
        values: by class.
        spans: first and last index of each run of combined classes, ascending, not overlapping.
    """

    bounds: tuple[Bounds, ...]
    total: float
    values: tuple[float, ...]
    spans: tuple[Span, ...] = ()

    def __add__(self, other: Column) -> Column:
        return self._with(other, 1.0)

    def __sub__(self, other: Column) -> Column:
        return self._with(other, -1.0)

    def __neg__(self) -> Column:
        return Column(self.bounds, -self.total, tuple(-value for value in self.values), self.spans)

    def classes(self) -> Iterator[tuple[Bounds, float]]:
        """Bounds and number of each class, combined classes as one."""
        last_of = dict(self.spans)
        index = 0
        while index < len(self.bounds):
            last = last_of.get(index, index)
            yield (self.bounds[index][0], self.bounds[last][1]), sum(self.values[index : last + 1])
            index = last + 1

    def _with(self, other: Column, sign: float) -> Column:
        values = tuple(one + sign * two for one, two in zip(self.values, other.values, strict=True))
        return Column(self.bounds, self.total + sign * other.total, values, _merged([*self.spans, *other.spans]))


def combined_spans(values: tuple[float, ...], marked: frozenset[int]) -> tuple[Span, ...]:
    """Runs of classes that were combined, from the marked ones (see the module's rule)."""
    if not marked:
        return ()
    runs = list(_runs(values, marked))
    for first, last in runs:
        several = sum(first <= index <= last for index in marked) > 1
        if not several or not any(values[first : last + 1]):
            return ((min(marked), max(marked)),)
    return tuple(runs)


def class_constraints(bounds: Bounds, variable: str) -> tuple[Constraint, ...]:
    """lower <= variable < upper as constraints."""
    lower, upper = bounds
    above: tuple[Constraint, ...] = () if lower is None else ((variable, ">=", float(lower)),)
    below: tuple[Constraint, ...] = () if upper is None else ((variable, "<", float(upper)),)
    return above + below


def describe(bounds: Bounds) -> str:
    """A class in words, for messages."""
    lower, upper = bounds
    if lower is None:
        return "without bounds" if upper is None else f"below {upper:,.0f}"
    return f"from {lower:,.0f}" if upper is None else f"{lower:,.0f} to {upper:,.0f}"


def _runs(values: tuple[float, ...], marked: frozenset[int]) -> Iterator[Span]:
    first = last = None
    for index, value in enumerate(values):
        if index in marked:
            first, last = (index if first is None else first), index
        elif value and first is not None and last is not None:
            yield first, last
            first = last = None
    if first is not None and last is not None:
        yield first, last


def _merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    merged: list[Span] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return tuple(merged)
