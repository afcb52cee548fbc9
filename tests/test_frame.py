"""Frames: links, sub-frames, and every fault that `validate` names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import FrameError
from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tests import builders

BASE = builders.frame(30)


def test_links_lead_from_persons_to_units_to_households() -> None:
    for entity in GROUP_ENTITIES:
        units = BASE.table(entity)[f"{entity}_id"].to_numpy()
        np.testing.assert_array_equal(units[BASE.unit_of_person(entity)], BASE.person[f"{entity}_id"])
        household = BASE.household_of(entity)
        assert len(household) == BASE.count(entity)
        np.testing.assert_array_equal(household[BASE.unit_of_person(entity)], BASE.unit_of_person("household"))
    np.testing.assert_array_equal(BASE.household_of("person"), BASE.unit_of_person("household"))
    assert BASE.weights.dtype == np.float64 and len(BASE.weights) == 30


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=40))
def test_a_sub_frame_is_valid_and_keeps_whole_households(rows: list[int]) -> None:
    part = BASE.select_households(np.array(rows)).validate()
    kept = np.unique(rows)
    np.testing.assert_array_equal(part.household["household_id"], BASE.household["household_id"].iloc[kept])
    inside = np.isin(BASE.unit_of_person("household"), kept)
    pd.testing.assert_frame_equal(part.person, BASE.person[inside].reset_index(drop=True))
    assert (part.year, part.synthetic) == (BASE.year, BASE.synthetic)


def test_no_household_is_no_frame() -> None:
    with pytest.raises(FrameError, match="none: table household is empty"):
        BASE.select_households(np.array([], dtype=np.int64)).validate("none")


def test_an_unknown_entity_is_named() -> None:
    with pytest.raises(FrameError, match=rf"'benefit_unit'; wanted one of {', '.join(ENTITIES)}"):
        BASE.table("benefit_unit")


def _set(table: str, column: str, row: int, value: object) -> Callable[[Frame], Frame]:
    def change(frame: Frame) -> Frame:
        altered = frame.table(table).copy()
        altered[column] = altered[column].astype(type(value) if isinstance(value, float) else altered[column].dtype)
        altered.loc[row, column] = value
        return replace(frame, **{table: altered})

    return change


def _without(table: str, column: str) -> Callable[[Frame], Frame]:
    return lambda frame: replace(frame, **{table: frame.table(table).drop(columns=column)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("household", "household_id", 4, 37), "table household row 4: household_id 37 occurs twice"),
        (_set("person", "person_id", 4, 3), "table person row 4: person_id 3 occurs twice"),
        (_set("household", "household_id", 4, 1), "household row 4: household_id 1 is out of order"),
        (_set("household", "household_weight", 2, -1.0), r"row 2 \(household_id 27\) has weight -1.0"),
        (_set("household", "household_weight", 2, float("inf")), "has weight inf; wanted a finite number"),
        (_set("person", "age", 5, float("nan")), "table person row 5: age is missing"),
        (_set("person", "household_id", 0, 8), "person row 0 belongs to household 8, which is not in its table"),
        (_set("person", "household_id", 0, 17), "has members in more than one household|has no persons"),
        (_without("tax_unit", "tax_unit_id"), "table tax_unit has no column tax_unit_id"),
        (_without("person", "spm_unit_id"), "table person has no column spm_unit_id, the link to spm_unit"),
        (
            lambda frame: replace(frame, family=pd.DataFrame({"family_id": np.arange(31)})),
            r"family row 30 \(family_id 30\) has no persons",
        ),
    ],
)
def test_faults_are_named(change: Callable[[Frame], Frame], message: str) -> None:
    with pytest.raises(FrameError, match=f"here: .*(?:{message})"):
        change(BASE).validate("here")
