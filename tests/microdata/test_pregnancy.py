"""Pregnancy: rates against the published figures, who may be drawn, keys, states unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.geography.areas import states
from tessera.microdata.asec import ordered_persons, relations
from tessera.microdata.datafile import read_rows
from tessera.microdata.pregnancy import is_pregnant, pregnancy_rates

from .support import persons


def women(n: int, **columns: object) -> pd.DataFrame:
    table = persons({"A_SEX": 2, "A_AGE": 30}).loc[[0] * n].reset_index(drop=True)
    numbers = np.arange(1, n + 1)
    return table.assign(PH_SEQ=numbers, SPM_ID=numbers, PRDTRACE=1, WSAL_VAL=1, SS_VAL=1, INT_VAL=1, **columns)


def drawn(person: pd.DataFrame, state: int, seed: int = 1) -> np.ndarray:
    ordered = ordered_persons(person)
    return is_pregnant(ordered, relations(ordered), np.full(len(ordered), state), seed=seed)


def test_rates_are_births_by_women_for_nine_months(shared_data: Path) -> None:
    file = shared_data / "official" / "census" / "b01001_female_15_44_2023" / "census_b01001_female_15_44_2023.json"
    rows = json.loads(file.read_text())[1:]
    published = {int(row[-1]): sum(map(int, row[:-1])) for row in rows}
    births = {int(row["state_fips"]): int(row["births"]) for row in read_rows("births_by_state")}
    assert sum(births.values()) == 3_605_563
    assert sorted(births) == sorted(state.fips for state in states())
    for fips, number in births.items():
        assert pregnancy_rates(np.array([fips]))[0] == pytest.approx(number / published[fips] * 0.75)


def test_an_unknown_state_has_the_rate_of_the_nation() -> None:
    rates = pregnancy_rates(np.array([0, 72, -1, 900, 48, 50]))
    assert rates[:4] == pytest.approx([0.0410] * 4, abs=1e-4)
    assert rates[4] > 0.0410 > rates[5]  # Texas, Vermont


@pytest.mark.parametrize("state", [0, 49, 50])
def test_share_of_women_is_the_rate(state: int) -> None:
    share = drawn(women(20_000), state).mean()
    rate = pregnancy_rates(np.array([state]))[0]
    assert abs(share - rate) < 4 * np.sqrt(rate * (1 - rate) / 20_000)


def test_only_women_of_15_to_44() -> None:
    person = women(4000)
    assert not drawn(person.assign(A_SEX=1), 48).any()
    assert not drawn(person.assign(A_AGE=14), 48).any()
    assert not drawn(person.assign(A_AGE=45), 48).any()
    assert drawn(person.assign(A_AGE=15), 48).any()
    assert drawn(person.assign(A_AGE=44), 48).any()


def test_a_draw_depends_on_household_and_line_alone() -> None:
    person = women(3000)
    whole, part = drawn(person, 6), drawn(person.iloc[::3], 6)
    np.testing.assert_array_equal(whole[::3], part)
    assert (drawn(person, 6, seed=2) != whole).any()


def test_every_line_names_its_source() -> None:
    assert all(row["source"] and row["year"] for row in read_rows("births_by_state"))
