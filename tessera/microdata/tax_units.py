"""Tax units of survey households, built from relationships, ages, schooling, disability and income.

Holds the rules; reads no file and computes no tax. Persons are ASEC rows; the whole file is handled at once with arrays
of shape (n_persons,), so 150,000 persons take a fraction of a second.

Every person has a *base unit*: a married couple whose spouse pointers agree, or oneself. A base unit goes by a person
row, its head: the reference person if a member, else the older, else the lower line. Then each has at most one
*claimant*:

    starter  = married couple member, or aged 18 or over, or ever married (A_MARITL 1-6)
    child    = age < 19, or < 24 and a full-time or college student, or disabled without gainful earnings
               (26 USC 152(c)(3); see `disability`)
    1  not a couple, no own child in the household if a starter, a parent present, child  -> the parents' unit
    2  no starter, no parent, age < 15, own child/grandchild/sibling/foster of reference    -> reference unit
    3  no starter, gross income < limit: parents' unit, else (no parent present) reference unit  (26 USC 152(d)(1)(B))

Of two parents in different units the one claims whose unit has the greater (income, head's age, -head's line). A
claimant who is claimed passes dependants on, so a unit is the end of the chain. Rules 1 and 2 make qualifying
children, rule 3 qualifying relatives.

Status of a unit: JOINT with a spouse in it; else SURVIVING_SPOUSE for a widowed head with a qualifying child; else
HEAD_OF_HOUSEHOLD with a qualifying child, or with a related dependant and a head who is not married; else SEPARATE for
a head who is married and lives apart (A_MARITL 3 or 6; 26 USC 7703(b) lets only a child make them head of household);
else SINGLE. The survey does not date a spouse's death, so every widowed parent counts as a surviving spouse, where
26 USC 2(a) says two years.

Why a constructor of our own: the rules engine ships the rules of relationship, age and income as functions of one
person (`policyengine_us.tools.tax_unit_construction`), which nothing there puts together into units. Ours restates
those rules for arrays, and tests hold both equal, function by function and over the units of real households that a
plain loop over the engine's functions makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import (
    BoolArray,
    FloatArray,
    IntArray,
    Relations,
    ordered_persons,
    relations,
    require_columns,
)
from tessera.microdata.datafile import latest_row
from tessera.microdata.demographics import LIVES_APART, WIDOWED
from tessera.microdata.disability import disabled_dependent

ADULT_AGE = 18
CHILD_AGE_LIMIT = 19
STUDENT_AGE_LIMIT = 24
REFERENCE_CHILD_AGE_LIMIT = 15
# A_EXPRRP codes: 3 husband, 4 wife, 5 own child, 7 grandchild, 8 parent, 9 sibling, 10 other relative, 11 foster child.
CHILD_RELATIONSHIPS = (5, 7, 9, 11)
# Codes 1-4 are the reference person and spouse; 12-14 are no relatives.
RELATED_RELATIONSHIPS = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
# "OI_VAL" is other income; each source counts where positive, as a loss does not lower gross income.
GROSS_INCOME = [
    "WSAL_VAL",
    "SEMP_VAL",
    "FRSE_VAL",
    "INT_VAL",
    "DIV_VAL",
    "RNT_VAL",
    "CAP_VAL",
    "UC_VAL",
    "OI_VAL",
    "ANN_VAL",
    "PNSN_VAL",
]
STATUSES = ("SINGLE", "JOINT", "SEPARATE", "HEAD_OF_HOUSEHOLD", "SURVIVING_SPOUSE")


@dataclass(frozen=True)
class TaxUnits:
    """Tax units of ordered persons.

    Attributes:
        tax_unit_id: unit of each person, 0..n_units-1 in the order in which units first occur, shape (n_persons,).
        role: "HEAD", "SPOUSE" or "DEPENDENT" of each person, shape (n_persons,).
        is_qualifying_child: dependants claimed as qualifying children, shape (n_persons,).
        is_related: false for dependants who are no kin or foster child of those who claim them, shape (n_persons,).
        filing_status: status name of each unit, shape (n_units,).
        head: person row of each unit's head, shape (n_units,).
    """

    tax_unit_id: IntArray
    role: npt.NDArray[np.str_]
    is_qualifying_child: BoolArray
    is_related: BoolArray
    filing_status: npt.NDArray[np.str_]
    head: IntArray


def construct(person: pd.DataFrame, income_year: int) -> TaxUnits:
    """Tax units of ASEC persons.

    Args:
        person: ASEC persons with official columns; in (PH_SEQ, P_SEQ) order.
        income_year: year of the incomes, which decides the gross income limit of qualifying relatives.

    Returns:
        The units, aligned with the rows of `person`.

    Raises:
        SourceError: rows out of order, absent columns, duplicated lines or pointers that do not hold.
    """
    ordered = ordered_persons(person)
    if not np.array_equal(ordered[["PH_SEQ", "P_SEQ"]].to_numpy(), person[["PH_SEQ", "P_SEQ"]].to_numpy()):
        raise SourceError(
            "ASEC person table: rows are out of order; sort by PH_SEQ and P_SEQ before constructing units."
        )
    require_columns(ordered, [*GROSS_INCOME, "SS_VAL"], "ASEC person table")
    related = relations(ordered)
    gross = np.maximum(ordered[GROSS_INCOME].to_numpy(dtype=np.float64), 0).sum(axis=1)
    age = ordered["A_AGE"].to_numpy(dtype=np.float64)
    head, paired = _base_heads(ordered, related, age)
    by_age = qualifying_child_age(age, _is_student(ordered), disabled_dependent(ordered, income_year))
    low_income = gross < gross_income_limit(income_year)
    parent = _claiming_parent(ordered, related, head, gross, age)
    claimant, is_child = _claims(ordered, related, parent, paired, by_age, low_income)
    unit_head = _follow(head, claimant)
    return _assemble(ordered, related, head, claimant, is_child, unit_head)


@cache
def gross_income_limit(year: int) -> float:
    """Gross income below which a relative can be claimed, dollars (26 USC 152(d)(1)(B)); the latest known by then.

    Raises:
        SourceError: a year before the first of `data/gross_income_limit.csv`.
    """
    return float(latest_row("gross_income_limit", year, "gross income limit")["limit"])


def qualifying_child_age(age: FloatArray, student: BoolArray, disabled: BoolArray) -> BoolArray:
    """The age test of a qualifying child, shape (n,): 26 USC 152(c)(3), with disability at any age."""
    passes: BoolArray = disabled | (age < np.where(student, STUDENT_AGE_LIMIT, CHILD_AGE_LIMIT))
    return passes


def _is_student(person: pd.DataFrame) -> BoolArray:
    enrolled = person["A_ENRLW"].to_numpy() == 1
    student: BoolArray = enrolled & ((person["A_FTPT"].to_numpy() == 1) | np.isin(person["A_HSCOL"].to_numpy(), (1, 2)))
    return student


def _base_heads(person: pd.DataFrame, related: Relations, age: FloatArray) -> tuple[IntArray, BoolArray]:
    """Head of each person's base unit and whether that unit is a couple, each of shape (n_persons,)."""
    rows = np.arange(len(person))
    married = np.isin(person["A_MARITL"].to_numpy(), (1, 2))
    spouse = related.spouse
    paired = married & (spouse >= 0) & married[np.maximum(spouse, 0)]
    other = np.where(paired, spouse, rows)
    reference = related.reference == rows
    # Ties go down the list: reference person, age, line.
    leads = np.where(
        reference != reference[other],
        reference,
        np.where(age != age[other], age > age[other], related.line < related.line[other]),
    )
    return np.where(paired & ~leads, other, rows).astype(np.int64), paired


def _claims(
    person: pd.DataFrame,
    related: Relations,
    parent: IntArray,
    paired: BoolArray,
    by_age: BoolArray,
    low_income: BoolArray,
) -> tuple[IntArray, BoolArray]:
    """Claimant row (-1: nobody) and qualifying-child flag of each person, each of shape (n_persons,).

    Args:
        person, related: ordered persons and their pointers.
        parent: row of the parent who would claim, or -1.
        paired: members of couples.
        by_age: who passes the age test of a qualifying child.
        low_income: whose gross income is below the limit of a qualifying relative.
    """
    age = person["A_AGE"].to_numpy(dtype=np.float64)
    has_parent = parent >= 0
    starter = paired | (age >= ADULT_AGE) | np.isin(person["A_MARITL"].to_numpy(), range(1, 7))
    relationship = person["A_EXPRRP"].to_numpy()
    is_parent = np.zeros(len(person), dtype=bool)
    for rows in (related.parent_1, related.parent_2):
        is_parent[rows[rows >= 0]] = True
    is_reference = related.reference == np.arange(len(person))

    free = ~paired & ~is_reference
    # The reference person lives with a parent at times: then the parent may claim.
    child_of_parent = ~paired & has_parent & by_age & ~(starter & is_parent)
    young = age < REFERENCE_CHILD_AGE_LIMIT
    child_of_reference = free & ~starter & ~has_parent & young & np.isin(relationship, CHILD_RELATIONSHIPS)
    relative = free & ~starter & low_income & ~child_of_parent & ~child_of_reference

    claimant = np.full(len(person), -1, dtype=np.int64)
    claimant[child_of_parent] = parent[child_of_parent]
    claimant[child_of_reference] = related.reference[child_of_reference]
    claimant[relative] = np.where(has_parent, parent, related.reference)[relative]
    return claimant, child_of_parent | child_of_reference


def _claiming_parent(
    person: pd.DataFrame, related: Relations, head: IntArray, gross: FloatArray, age: FloatArray
) -> IntArray:
    """The parent whose base unit claims, shape (n_persons,), -1 without parents in the household."""
    income = gross + np.maximum(person["SS_VAL"].to_numpy(dtype=np.float64), 0)
    unit_income = np.bincount(head, weights=income, minlength=len(person))
    first, second = related.parent_1, related.parent_2
    heads = [head[np.maximum(parent, 0)] for parent in (first, second)]
    keys = [(unit_income[h], age[h], -related.line[h]) for h in heads]
    second_wins = np.zeros(len(person), dtype=bool)
    undecided = np.ones(len(person), dtype=bool)
    for mine, theirs in zip(*keys, strict=True):
        second_wins |= undecided & (theirs > mine)
        undecided &= theirs == mine
    take_second = (second >= 0) & ((first < 0) | second_wins)
    return np.where(take_second, second, first).astype(np.int64)


def _follow(head: IntArray, claimant: IntArray) -> IntArray:
    """End of each chain person -> head of base unit -> claimant -> ..., by pointer doubling, shape (n_persons,)."""
    rows = np.arange(len(head))
    step = np.where(claimant >= 0, claimant, head)
    # A household's chain is shorter than its size, so that many doublings always reach the end.
    for _ in range(64):
        further = step[step]
        if np.array_equal(further, step):
            return step
        step = further
    row = int(rows[step != step[step]][0])
    raise SourceError(f"ASEC person table row {row}: claims of dependants lead into a circle; repair the household.")


def _assemble(
    person: pd.DataFrame,
    related: Relations,
    head: IntArray,
    claimant: IntArray,
    is_child: BoolArray,
    unit_head: IntArray,
) -> TaxUnits:
    unique, first, inverse = np.unique(unit_head, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    unit = rank[inverse]
    heads = unique[order].astype(np.int64)
    rows = np.arange(len(person))
    role = np.where(unit_head == rows, "HEAD", "DEPENDENT")
    role[(head != rows) & (claimant < 0)] = "SPOUSE"

    dependent = role == "DEPENDENT"
    kin = np.isin(person["A_EXPRRP"].to_numpy(), RELATED_RELATIONSHIPS)
    kin |= (related.parent_1 >= 0) | (related.parent_2 >= 0)
    n_units = len(heads)
    has_child = np.bincount(unit[dependent & is_child], minlength=n_units) > 0
    has_kin = np.bincount(unit[dependent & kin], minlength=n_units) > 0
    joint = np.bincount(unit[role == "SPOUSE"], minlength=n_units) > 0
    marital = person["A_MARITL"].to_numpy()[heads]
    apart = np.isin(marital, LIVES_APART)
    status = np.select(
        [joint, (marital == WIDOWED) & has_child, has_child | (has_kin & ~apart), apart],
        ["JOINT", "SURVIVING_SPOUSE", "HEAD_OF_HOUSEHOLD", "SEPARATE"],
        default="SINGLE",
    )
    return TaxUnits(
        tax_unit_id=unit.astype(np.int64),
        role=role,
        is_qualifying_child=dependent & is_child,
        is_related=~dependent | kin,
        filing_status=status,
        head=heads,
    )
