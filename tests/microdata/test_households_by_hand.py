"""Real households of the survey, worked out by hand from their raw rows: tax units, dependants, statuses, other units.

Each case was read off the columns of relationship (A_EXPRRP, PERRP), marriage (A_MARITL, A_SPOUSE), parents (PEPAR1,
PEPAR2), schooling, difficulties, incomes, SPM_ID and PF_SEQ, and decided by 26 USC 2, 152 and 7703 as the module of tax
units states them. Numbers are line numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.asec import ordered_persons, relations
from tessera.microdata.cps import build_cps
from tessera.microdata.disability import disabled_dependent
from tessera.microdata.tax_units import GROSS_INCOME, construct

from .support import RawAsec, sample

Lines = tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """A tax unit: status, head, spouse, children and other relatives claimed, by line."""

    status: str
    head: int
    spouse: int = 0
    children: Lines = ()
    relatives: Lines = ()


@dataclass(frozen=True)
class Case:
    """What a household is made of. SPM units and families are given where there is more than one."""

    tax_units: tuple[Unit, ...]
    couples: tuple[tuple[int, int], ...] = ()
    spm_units: tuple[Lines, ...] = ()
    families: tuple[Lines, ...] = ()
    own_children: dict[int, int] = field(default_factory=dict)
    partner: int = 0


CASES = {
    # A couple with children of 19 (student), 16 and 15, all born abroad.
    420: Case((Unit("JOINT", 1, 2, (3, 4, 5)),), ((1, 2),), own_children={1: 3, 2: 3}),
    # A father alone with a girl of 11, who names him as her second parent.
    690: Case((Unit("HEAD_OF_HOUSEHOLD", 1, children=(2,)),), own_children={1: 1}),
    # A separated mother and her son of 18: a child makes her head of household, 26 USC 7703(b).
    230: Case((Unit("HEAD_OF_HOUSEHOLD", 1, children=(2,)),), own_children={1: 1}),
    # A separated woman alone.
    23: Case((Unit("SEPARATE", 1),)),
    # A man of 72 and his relative of 75, whose husband lives elsewhere: still married, so not single.
    82: Case((Unit("SINGLE", 1), Unit("SEPARATE", 2))),
    # A mother (student) with the father of her child of 9: he has the greater income, so he claims; a student of 18
    # from abroad, no relative, who is an SPM unit of his own.
    73: Case(
        (Unit("SINGLE", 1), Unit("HEAD_OF_HOUSEHOLD", 2, children=(4,)), Unit("SINGLE", 5)),
        spm_units=((1, 2, 4), (5,)),
        families=((1, 4), (2,), (5,)),
        own_children={1: 1, 2: 1},
        partner=2,
    ),
    # Two women with children of 16 and 15; their son of 18 with wages, his girlfriend and their baby. He has a child of
    # his own, so nobody claims him; he earns more than the mother of the baby, so he claims it.
    19: Case(
        (
            Unit("HEAD_OF_HOUSEHOLD", 1, children=(3, 5)),
            Unit("HEAD_OF_HOUSEHOLD", 4, children=(7,)),
            Unit("SINGLE", 2),
            Unit("SINGLE", 6),
        ),
        families=((1, 3, 4, 5, 7), (2,), (6,)),
        own_children={1: 3, 2: 3, 4: 1, 6: 1},
        partner=2,
    ),
    # A woman with two boys of 10, "other relatives" without parents here: relatives, not children; her partner apart.
    113: Case(
        (Unit("HEAD_OF_HOUSEHOLD", 1, relatives=(3, 4)), Unit("SINGLE", 2)), families=((1, 3, 4), (2,)), partner=2
    ),
    # A woman, her partner, and two boys of 11 and 9 who are nobody's kin: claimed as members of the household
    # (26 USC 152(d)(2)(H)), which makes no head of household (26 USC 2(b)(3)(B)).
    463: Case((Unit("SINGLE", 1, relatives=(3, 4)), Unit("SINGLE", 2)), families=((1,), (2,), (3,), (4,)), partner=2),
    # Three generations: a couple, their divorced daughter of 35 with wages, her girls of 10 and 7.
    784: Case(
        (Unit("JOINT", 1, 2), Unit("HEAD_OF_HOUSEHOLD", 3, children=(4, 5))),
        ((1, 2),),
        own_children={1: 1, 2: 1, 3: 2},
    ),
    # Three generations with a married daughter. In her couple neither is the reference person: the elder heads it.
    504: Case(
        (Unit("JOINT", 1, 2), Unit("JOINT", 3, 4, (5,))), ((1, 2), (3, 4)), own_children={1: 1, 2: 1, 3: 1, 4: 1}
    ),
    # A widow with students of 21 and 20.
    737: Case((Unit("SURVIVING_SPOUSE", 1, children=(2, 3)),), own_children={1: 2}),
    # A divorced mother, her daughters of 24 (wages) and 17, and the younger one's father, a widower with more income.
    228: Case(
        (Unit("SINGLE", 1), Unit("SINGLE", 3), Unit("SURVIVING_SPOUSE", 2, children=(4,))),
        families=((1, 3, 4), (2,)),
        own_children={1: 2, 2: 1},
        partner=2,
    ),
    # An unrelated subfamily: a widowed lodger with a child of 11; two SPM units.
    497: Case(
        (Unit("SINGLE", 1), Unit("SURVIVING_SPOUSE", 2, children=(3,))),
        spm_units=((1,), (2, 3)),
        families=((1,), (2, 3)),
        own_children={2: 1},
    ),
    # A couple and their disabled son of 27 with wages of 10,000, below gainful activity.
    401: Case((Unit("JOINT", 1, 2, (3,)),), ((1, 2),), own_children={1: 1, 2: 1}),
    # The reference person is 37, disabled, lives on SSI, and is claimed by her mother.
    328: Case((Unit("HEAD_OF_HOUSEHOLD", 2, children=(1,)),), own_children={2: 1}),
    # A mother whose husband is absent, with a son of 20 on SSI: a child at any age.
    660: Case((Unit("HEAD_OF_HOUSEHOLD", 1, children=(2,)),), own_children={1: 1}),
    # Three unrelated men, three SPM units.
    329: Case(
        (Unit("SINGLE", 1), Unit("SINGLE", 2), Unit("SINGLE", 3)),
        spm_units=((1,), (2,), (3,)),
        families=((1,), (2,), (3,)),
    ),
    # A grandfather, his son with a girl of 8 and a boy of 21 with wages, a grandson of 11 whose parent is not here, and
    # two lodgers of 76.
    557: Case(
        (
            Unit("HEAD_OF_HOUSEHOLD", 1, children=(4,)),
            Unit("SINGLE", 6),
            Unit("HEAD_OF_HOUSEHOLD", 3, children=(5,)),
            Unit("SINGLE", 2),
            Unit("SINGLE", 7),
        ),
        spm_units=((1, 3, 4, 5, 6), (2,), (7,)),
        families=((1, 3, 4, 5, 6), (2,), (7,)),
        own_children={1: 1, 3: 2},
    ),
    # A mother, her married daughter and son-in-law. He is the elder, so he heads their return.
    303: Case((Unit("SINGLE", 1), Unit("JOINT", 3, 2)), ((2, 3),), own_children={1: 1}),
    # A widowed mother of 85, a daughter of 59, and a divorced son of 63 who lives on Social Security for a disability:
    # he supports himself, so nobody claims him.
    366: Case((Unit("SINGLE", 1), Unit("SINGLE", 3), Unit("SINGLE", 2)), own_children={3: 2}),
    # A couple and her disabled mother of 77: a parent is not claimed here.
    17: Case((Unit("JOINT", 1, 2), Unit("SINGLE", 3)), ((1, 2),), own_children={3: 1}),
}


@pytest.fixture(scope="module")
def frame_of_sample(shared_data: Path) -> pd.DataFrame:
    """Persons of the frame beside their raw numbers and their units."""
    raw = sample(shared_data)
    frame = build_cps(RawAsec(raw, income_year=2019, synthetic=False), seed=1)
    units = construct(raw, 2019)
    known = pd.DataFrame(
        {
            "household": raw["PH_SEQ"],
            "line": raw["A_LINENO"],
            "status": units.filing_status[units.tax_unit_id],
            "child": units.is_qualifying_child,
        }
    )
    return pd.concat([known, frame.person], axis=1)


def tax_units(household: pd.DataFrame) -> tuple[Unit, ...]:
    """The tax units of a household in file order, as cases are written."""
    found = []
    for _, members in household.groupby("tax_unit_id"):
        dependants = members[members["tax_unit_role_input"] == "DEPENDENT"]
        spouse = members.loc[members["tax_unit_role_input"] == "SPOUSE", "line"].tolist()
        found.append(
            Unit(
                status=str(members["status"].iloc[0]),
                head=int(members.loc[members["tax_unit_role_input"] == "HEAD", "line"].iloc[0]),
                spouse=spouse[0] if spouse else 0,
                children=tuple(sorted(dependants.loc[dependants["child"], "line"])),
                relatives=tuple(sorted(dependants.loc[~dependants["child"], "line"])),
            )
        )
    return tuple(found)


def groups(household: pd.DataFrame, entity: str) -> set[Lines]:
    return {tuple(sorted(lines)) for _, lines in household.groupby(f"{entity}_id")["line"]}


@pytest.mark.parametrize("sequence", sorted(CASES))
def test_household_by_hand(frame_of_sample: pd.DataFrame, sequence: int) -> None:
    household = frame_of_sample[frame_of_sample["household"] == sequence]
    case = CASES[sequence]
    everybody = {tuple(sorted(household["line"]))}
    assert set(tax_units(household)) == set(case.tax_units)
    assert groups(household, "spm_unit") == (set(case.spm_units) or everybody)
    assert groups(household, "family") == (set(case.families) or everybody)
    assert {pair for pair in groups(household, "marital_unit") if len(pair) > 1} == set(case.couples)
    assert groups(household, "household") == everybody
    children = household.set_index("line")["own_children_in_household"]
    assert children[children > 0].to_dict() == case.own_children
    partners = household.loc[household["is_unmarried_partner_of_household_head"], "line"].tolist()
    assert partners == ([case.partner] if case.partner else [])
    # The reference person is the first line; the spouse is who is married to them.
    assert household.loc[household["is_household_head"], "line"].tolist() == [1]
    spouse = [second for first, second in case.couples if first == 1]
    assert household.loc[household["is_household_spouse"], "line"].tolist() == spouse


def test_only_strangers_are_unrelated(frame_of_sample: pd.DataFrame) -> None:
    unrelated = frame_of_sample[~frame_of_sample["is_related_to_head_or_spouse"]]
    assert list(zip(unrelated["household"], unrelated["line"], strict=True)) == [(463, 3), (463, 4)]


@pytest.mark.engine
def test_units_are_those_of_a_plain_loop_over_the_rules_of_the_engine(shared_data: Path) -> None:
    """The engine ships rules of one person; a loop puts them together, and arrays must come to the same units."""
    raw = sample(shared_data)
    units = construct(raw, 2019)
    looped = [
        row for _, household in raw.groupby("PH_SEQ") for row in loop_of_engine_rules(household.to_dict("records"))
    ]
    disabled = disabled_dependent(raw, 2019)
    assert disabled.any()
    names = list(zip(raw["PH_SEQ"].tolist(), raw["A_LINENO"].tolist(), strict=True))
    head_of = {name: names[units.head[unit]] for name, unit in zip(names, units.tax_unit_id, strict=True)}
    assert head_of == {(household, line): (household, head) for household, line, head, _ in looped}
    child_of = dict(zip(names, units.is_qualifying_child.tolist(), strict=True))
    assert child_of == {(household, line): child for household, line, _, child in looped}


def loop_of_engine_rules(rows: list[dict[str, float]]) -> list[tuple[int, int, int, bool]]:
    """(PH_SEQ, line, line of the unit's head, qualifying child) of a household's persons, one person at a time."""
    from policyengine_us.tools import tax_unit_construction as engine

    by_line = {int(row["A_LINENO"]): row for row in rows}
    reference = next(line for line, row in by_line.items() if row["A_EXPRRP"] in (1, 2))
    frame = pd.DataFrame(rows)
    disabled = dict(zip(frame["A_LINENO"], disabled_dependent(frame, 2019), strict=True))
    gross = {line: sum(max(0.0, row[name]) for name in GROSS_INCOME) for line, row in by_line.items()}
    couple = {
        line: int(row["A_SPOUSE"])
        for line, row in by_line.items()
        if row["A_MARITL"] in (1, 2) and row["A_SPOUSE"] > 0 and by_line[int(row["A_SPOUSE"])]["A_MARITL"] in (1, 2)
    }

    def base(line: int) -> int:
        members = {line, couple.get(line, line)}
        return min(members, key=lambda one: (one != reference, -by_line[one]["A_AGE"], one))

    def income(head: int) -> float:
        members = {head, couple.get(head, head)}
        return sum(gross[one] + max(0.0, by_line[one]["SS_VAL"]) for one in members)

    def claimant(line: int) -> tuple[int, bool]:
        row = by_line[line]
        student = row["A_ENRLW"] == 1 and (row["A_FTPT"] == 1 or row["A_HSCOL"] in (1, 2))
        parents = [int(row[name]) for name in ("PEPAR1", "PEPAR2") if row[name] > 0]
        starter = line in couple or row["A_AGE"] >= 18 or row["A_MARITL"] in range(1, 7)
        is_parent = any(line in (other["PEPAR1"], other["PEPAR2"]) for other in rows)
        if line in couple:
            return 0, False
        if parents:
            best = max((base(one) for one in parents), key=lambda one: (income(one), by_line[one]["A_AGE"], -one))
            if engine.qualifying_child_age_test(row["A_AGE"], student, bool(disabled[line])) and not (
                starter and is_parent
            ):
                return best, True
        if line == reference or starter:
            return 0, False
        if not parents and row["A_AGE"] < 15 and engine.reference_relationship_allows_qualifying_child(row["A_EXPRRP"]):
            return reference, True
        if engine.qualifying_relative_income_test(gross[line], 2019):
            return (best if parents else reference), False
        return 0, False

    def end(line: int) -> int:
        head = base(line)
        above, _ = claimant(head)
        return end(above) if above else head

    found = []
    for line in by_line:
        above, child = claimant(line)
        found.append((int(by_line[line]["PH_SEQ"]), line, end(above) if above else end(line), child))
    return found


def test_pointers_of_real_persons_resolve(shared_data: Path) -> None:
    person = ordered_persons(sample(shared_data))
    related = relations(person)
    spouse = related.spouse
    married = spouse >= 0
    assert married.sum() == 430
    assert (spouse[spouse[married]] == np.flatnonzero(married)).all()
    np.testing.assert_array_equal(person["PH_SEQ"].to_numpy()[related.reference], person["PH_SEQ"])
    np.testing.assert_array_equal(related.sequence, person["PH_SEQ"])
