"""Items of the SOI tables as figures: which columns make an engine variable, and how returns are counted.

An item is an engine variable and the columns that add up to it. A plain item has one amount and one count of returns:
the filers' sum of the variable, and the tax units with the variable above zero. A net item is published as gains and
losses; it gives the net amount, and gains and losses apart, each with its count (domain: variable > 0 and < 0). SOI
splits gains from losses by return; where the engine's variable is a person's, a unit counts if any member's value meets
the domain, so a couple with a gain and a loss is in both.

A class of AGI in which the publisher counts nothing (0) gives no figure: the sample has no such return. Publication
1304 counts standard and itemised deductions only on returns with positive AGI, so its totals of them are for AGI >= 1.
Holds no table's layout.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

from tessera.targets.figures import Constraint, Figure
from tessera.targets.loaders.soi_columns import Column, class_constraints
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import AGI, THOUSAND, ClassTable

ITEMIZER: Constraint = ("tax_unit_itemizes", "==", 1)
NOT_ITEMIZER: Constraint = ("tax_unit_itemizes", "==", 0)
POSITIVE_AGI: Constraint = (AGI, ">=", 1)
_NUMBER, _AMOUNT = "Number of returns", "Amount"

# Sources of income with one heading in tables 1.4 and 2.1, by engine variable.
INCOME_HEADINGS = {
    "irs_employment_income": "Total wages / Total",
    "taxable_interest_income": "Taxable interest",
    "tax_exempt_interest_income": "Tax-exempt interest",
    "ordinary_dividend_income": "Ordinary dividends",
    "qualified_dividend_income": "Qualified dividends",
    "salt_refund_income": "State income tax refunds",
    "taxable_alimony_income": "Alimony received",
}


@dataclass(frozen=True)
class Item:
    """One engine variable and its columns.

    Attributes:
        variable: engine variable.
        plus: headings, without "/ Amount" where they have it, of the columns that are added.
        minus: of those that are subtracted.
        domain: constraints on the units that the columns cover, besides filing and the class.
        sign: ">" or "<" if only gains or only losses are in the columns, else "".
        counted: how the columns of returns count: tax units with the variable ">", "<" or "!=" zero; "" for no count.
        signed: whether the published cells may be negative.
    """

    variable: str
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()
    domain: tuple[Constraint, ...] = ()
    sign: str = ""
    counted: str = ">"
    signed: bool = False


def plain(variable: str, heading: str, *domain: Constraint) -> Item:
    """An item with one column pair."""
    return Item(variable, (heading,), domain=domain)


def amount_only(variable: str, heading: str, *domain: Constraint) -> Item:
    """An item whose count has no engine concept."""
    return Item(variable, (heading,), domain=domain, counted="")


def gain_or_loss(variable: str, heading: str) -> Item:
    """A net amount in one column, counted on returns with a gain or a loss."""
    return Item(variable, (heading,), counted="!=", signed=True)


def net(variable: str, gains: tuple[str, ...], losses: tuple[str, ...]) -> tuple[Item, Item, Item]:
    """The net amount, and gains and losses apart."""
    return (
        Item(variable, gains, losses, counted=""),
        Item(variable, gains, sign=">"),
        Item(variable, (), losses, sign="<", counted="<"),
    )


def item_figures(
    table: ClassTable,
    items: Iterable[Item],
    base: tuple[Constraint, ...] = (),
    whole: tuple[Constraint, ...] = (),
) -> Iterator[Figure]:
    """Figures of the nation for each item: all returns and each class.

    Args:
        table: the table.
        items: what it holds.
        base: constraints on all of its returns besides filing.
        whole: constraints on the returns in the totals (the classes have their bounds).
    """
    for item in items:
        domain = (FILER, *base, *item.domain)
        over = ((item.variable, item.sign, 0.0),) if item.sign else ()
        yield from class_figures(item.variable, _amounts(table, item), domain + over, whole)
        if item.counted:
            having: Constraint = (item.variable, item.counted, 0.0)
            yield from class_figures("tax_unit_count", _returns(table, item), (*domain, having), whole)


def class_figures(
    variable: str, column: Column, domain: tuple[Constraint, ...], whole: tuple[Constraint, ...] = ()
) -> Iterator[Figure]:
    """Figures from a column: all returns first, then the classes that are not zero.

    Args:
        variable: engine variable (the column is in thousands of dollars) or tax_unit_count (in returns).
        column: the numbers.
        domain: constraints besides the class.
        whole: constraints on all returns.
    """
    unit, scale = ("return", 1.0) if variable == "tax_unit_count" else ("dollar", THOUSAND)
    yield Figure("national", "US", variable, column.total * scale, unit, domain + whole)
    for bounds, value in column.classes():
        if value:
            yield Figure("national", "US", variable, value * scale, unit, domain + class_constraints(bounds, AGI))


def _amounts(table: ClassTable, item: Item) -> Column:
    added = [_amount(table, heading, item) for heading in item.plus]
    taken = [-_amount(table, heading, item) for heading in item.minus]
    return reduce(operator.add, [*added, *taken])


def _amount(table: ClassTable, heading: str, item: Item) -> Column:
    bare = heading in table.cells
    return table.column(heading if bare else f"{heading} / {_AMOUNT}", signed=item.signed)


def _returns(table: ClassTable, item: Item) -> Column:
    return reduce(operator.add, [table.column(f"{heading} / {_NUMBER}") for heading in (*item.plus, *item.minus)])
