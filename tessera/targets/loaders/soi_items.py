"""The items of the IRS tables by state and by congressional district, and the engine's variables that say the same.

`tessera/targets/soi_items.csv` has one line a figure: code (column of the tables, or columns added and subtracted),
kind (count or amount; amounts are published in thousands of dollars), variable (what the figure is a total of), domain
(who is counted, `name operation number` joined by semicolons; that the tax unit files is always understood), by_class
(whether the figure is given for each class of AGI too, or for the state as a whole alone), concept in words.

Counts of items that can be losses are of returns with a gain or a loss (`!= 0`). The IRS tabulates deductions of
returns with AGI of one dollar or more, so their domain says so. Left out, because the engine has no such concept: total
income and statutory adjustments (the engine takes losses as adjustments), taxes paid with personal property taxes, all
credits (the engine has no general business credit), the refundable part of the earned income credit, residential energy
credits (two variables), advance and net premium tax credit, payments, refunds and total tax liability; returns with
income tax before or after credits, among which the IRS has those that only repay a premium tax credit; returns with
mortgage interest, as three columns may name one return. `non_refundable_ctc` is the nearest concept to its column, as
the engine does not limit it to the tax; `ctc_value`, what is used of the whole credit, is that of both columns. Where
a figure adds columns of which one is withheld in a class, it stands: that is a handful of returns among many.

Holds no file format and no classes.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, cast

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.catalogue import COUNTS
from tessera.targets.figures import Constraint

FILER: Constraint = ("tax_unit_is_filer", "==", 1)
AGI = "adjusted_gross_income"
_PACKAGED = "soi_items.csv"
_HEADER = ["code", "kind", "variable", "domain", "by_class", "concept"]
_TERM = re.compile(r"([+-]?)([A-Z]+[0-9]*)")
_CONDITION = re.compile(r"(\w+) (==|!=|>=|<=|>|<) (-?[0-9.]+)")
_THOUSAND = 1000.0

Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Item:
    """A figure of the tables.

    Attributes:
        code: `N1`, or `A05800-A05780`.
        kind: count, or amount in thousands of dollars.
        variable: engine variable or count that the figure is a total of.
        domain: who is counted, without filing.
        by_class: whether it is given by class of AGI.
        concept: in words.
    """

    code: str
    kind: Literal["count", "amount"]
    variable: str
    domain: tuple[Constraint, ...]
    by_class: bool
    concept: str

    @property
    def terms(self) -> tuple[tuple[float, str], ...]:
        """Factor (1 or -1) and name of each column."""
        return tuple((-1.0 if sign == "-" else 1.0, column) for sign, column in _TERM.findall(self.code))

    @property
    def unit(self) -> str:
        """dollar, person or return."""
        if self.kind == "amount":
            return "dollar"
        return "person" if self.variable == "person_count" else "return"

    def evaluate(self, cells: Mapping[str, pd.Series[float]]) -> pd.Series[float]:
        """The figure in dollars or units, from the columns as published."""
        scale = _THOUSAND if self.kind == "amount" else 1.0
        first, *others = (factor * scale * cells[column] for factor, column in self.terms)
        return sum(others, start=first)

    def constraints(self, bounds: Bounds | None = None) -> tuple[Constraint, ...]:
        """Filers of the domain; with bounds, those with lower <= AGI < upper (None for no bound).

        A domain's own bound of AGI gives way to those of a class, which has to lie within it.
        """
        if bounds is None:
            return (FILER, *self.domain)
        kept = [constraint for constraint in self.domain if constraint[0] != AGI]
        return (FILER, *kept, *agi_range(bounds))


def agi_range(bounds: Bounds) -> tuple[Constraint, ...]:
    """Constraints of lower <= AGI < upper; None for no bound."""
    lower, upper = bounds
    floor: tuple[Constraint, ...] = () if lower is None else ((AGI, ">=", lower),)
    ceiling: tuple[Constraint, ...] = () if upper is None else ((AGI, "<", upper),)
    return floor + ceiling


@cache
def items() -> tuple[Item, ...]:
    """The packaged items, in the order of the list."""
    text = resources.files("tessera.targets").joinpath(_PACKAGED).read_text(encoding="utf-8")
    return parse(text.splitlines())


def parse(lines: Iterable[str]) -> tuple[Item, ...]:
    """Items from the lines of a list with a header.

    Raises:
        SourceError: names the line: another header, an unknown kind, a code or domain that cannot be read, two items
            of one variable and domain.
    """
    reader = csv.DictReader(lines)
    if reader.fieldnames is None or list(reader.fieldnames) != _HEADER:
        raise SourceError(f"{_PACKAGED}: columns are {reader.fieldnames}; wanted {', '.join(_HEADER)}.")
    found: dict[tuple[str, frozenset[Constraint]], Item] = {}
    for row in reader:
        item = _item(row, f"{_PACKAGED}, line {reader.line_num}")
        key = item.variable, frozenset(item.domain)
        if key in found:
            raise SourceError(
                f"{_PACKAGED}, line {reader.line_num}: {item.code} has the variable and domain of {found[key].code}; "
                "a figure is given once."
            )
        found[key] = item
    return tuple(found.values())


def columns(of: Iterable[Item]) -> tuple[str, ...]:
    """Columns of the tables that items are made of, each once."""
    return tuple(dict.fromkeys(column for item in of for _, column in item.terms))


def is_amount(column: str) -> bool:
    """Whether a column is in thousands of dollars, and may be negative; the rest are numbers of returns or persons."""
    return re.fullmatch(r"A\d+", column) is not None


def as_published(values: list[float], whole: list[float]) -> list[bool]:
    """Whether each class's value is what the class has.

    The IRS writes nothing, a zero, where few returns of a class have an item, and counts them in a class beside it. So
    a zero where the larger area (`whole`, the same classes) has some says nothing of its class, nor do the classes
    beside it. A zero where the larger area has none is no figure either: the law may give none, or the IRS not tell.

    Args:
        values: of an area, by class.
        whole: of the larger area that it is part of.
    """
    blank = [value == 0 and total != 0 for value, total in zip(values, whole, strict=True)]
    near = [any(blank[max(0, place - 1) : place + 2]) for place in range(len(blank))]
    return [total != 0 and not beside for total, beside in zip(whole, near, strict=True)]


def _item(row: dict[str, str], where: str) -> Item:
    code, kind, domain = row["code"], row["kind"], row["domain"]
    if "".join(sign + column for sign, column in _TERM.findall(code)) != code or not code:
        raise SourceError(f"{where}: code is {code!r}; wanted columns such as N1 or A05800-A05780.")
    conditions = [condition.strip() for condition in domain.split(";")] if domain else []
    matched = [_CONDITION.fullmatch(condition) for condition in conditions]
    if None in matched:
        raise SourceError(f"{where}: domain is {domain!r}; wanted conditions such as eitc > 0, joined by semicolons.")
    constraints = tuple((match[1], match[2], float(match[3])) for match in matched if match is not None)
    item = Item(
        code, cast('Literal["count", "amount"]', kind), row["variable"], constraints, row["by_class"] == "yes",
        row["concept"],
    )  # fmt: skip
    of_amounts = {is_amount(column) for _, column in item.terms}
    if (
        of_amounts != {kind == "amount"}
        or kind not in ("count", "amount")
        or (kind == "count") != (row["variable"] in COUNTS)
    ):
        raise SourceError(
            f"{where}: {code} is of kind {kind!r} and variable {row['variable']}; the three do not agree."
        )
    return item
