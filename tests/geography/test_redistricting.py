"""Pairs of old and new districts: rebuilt from the Census compilation, complete; what is moved keeps its totals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import GeographyError, SourceError
from tessera.geography import redistricting
from tessera.geography.areas import states, stratum_districts

Edit = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.fixture(scope="module")
def compilation(shared_data: Path) -> Path:
    return shared_data / "geography" / "congressional_district_vintage_crosswalk.csv"


def _old(seed: int) -> pd.DataFrame:
    """Two columns of numbers by old district."""
    codes = sorted(set(redistricting.load()["old"]))
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(1e9, 1e10, (len(codes), 2)), index=codes, columns=["returns", "income"])


def test_packaged_pairs_are_what_the_compilation_gives(compilation: Path) -> None:
    pd.testing.assert_frame_equal(redistricting.build(compilation), redistricting.load())


def test_all_people_of_2020_between_the_two_congresses() -> None:
    pairs = redistricting.load()
    assert pairs["population"].sum() == 331_449_281
    assert set(pairs["new"]) == set(stratum_districts())
    old = pairs.groupby("old")["population"].sum()
    seats = old.groupby(old.index // 100).size()
    # Seats of the 2010 apportionment; seven states lost one in 2020, five won one, Texas two.
    assert len(old) == 436
    assert (seats[6], seats[48], seats[30], seats[54]) == (53, 36, 1, 3)
    today = {state.fips: state.n_districts for state in states()}
    assert sum(today[int(fips)] > count for fips, count in seats.items()) == 6
    assert sum(today[int(fips)] < count for fips, count in seats.items()) == 7


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_totals_stay_in_their_state(seed: int) -> None:
    old = _old(seed)
    new = redistricting.move(old, redistricting.load())
    assert list(new.index) == sorted(stratum_districts())
    before, after = (table.groupby(table.index // 100).sum() for table in (old, new))
    scale = old.abs().groupby(old.index // 100).sum()
    assert ((before - after).abs() <= 1e-12 * scale).all(axis=None)


def test_an_unchanged_district_keeps_what_it_has_and_a_divided_one_is_shared_by_people() -> None:
    old, pairs = _old(1), redistricting.load()
    new = redistricting.move(old, pairs)
    assert new.loc[201].equals(old.loc[201].rename(201))
    montana = pairs[pairs["old"] == 3001].set_index("new")["population"]
    assert new.loc[3001, "income"] == pytest.approx(old.loc[3001, "income"] * montana[3001] / montana.sum())


def test_what_is_unknown_stays_unknown_where_it_goes() -> None:
    old, pairs = _old(2), redistricting.load()
    whole = redistricting.move(old, pairs)
    old.loc[612, "income"] = np.nan
    new = redistricting.move(old, pairs)
    assert set(new.index[new["income"].isna()]) == set(pairs.loc[pairs["old"] == 612, "new"])
    assert new["returns"].equals(whole["returns"])
    assert new["income"].dropna().equals(whole.loc[new["income"].notna(), "income"])


def test_figures_of_another_congress_are_refused() -> None:
    pairs, old = redistricting.load(), _old(3)
    with pytest.raises(GeographyError, match="District 653 has figures or pairs, not both"):
        redistricting.move(old.drop(index=653), pairs)
    with pytest.raises(GeographyError, match=r"District 653 .* is there twice"):
        redistricting.move(pd.concat([old, old.loc[[653]]]), pairs)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda table: table[table["new"] != 612], "new district 612 is missing"),
        (lambda table: pd.concat([table, table.head(1)]), "the pair of 101 and 101 is there twice"),
        (lambda table: table.assign(old=table["old"].replace(201, 401)), "the pair of 401 and 201 lies in two states"),
        (lambda table: table.assign(population=table["population"].where(table.index > 0, 0)), "has no people"),
    ],
)
def test_impossible_pairs_are_refused(edit: Edit, message: str) -> None:
    with pytest.raises(GeographyError, match=message):
        redistricting.check(edit(redistricting.load()))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda table: table.drop(columns="pair_population"), "'pair_population' is missing"),
        (lambda table: table.replace("5001700US0101", "5001800US0101"), "line 2: '5001800US0101' is no district"),
        (lambda table: table.replace("5001900US0102", "0102"), "'0102' is no district"),
        (lambda table: table.assign(pair_population="7,000"), "line 2, pair_population: '7,000' is no whole number"),
        (lambda table: table.replace("5001700US0200", "5001700US0300"), "FIPS code 3"),
    ],
)
def test_altered_compilations_are_refused(compilation: Path, tmp_path: Path, edit: Edit, message: str) -> None:
    path = tmp_path / "pairs.csv"
    edit(pd.read_csv(compilation, dtype=str)).to_csv(path, index=False)
    with pytest.raises((GeographyError, SourceError), match=message):
        redistricting.build(path)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        redistricting.build(tmp_path / "absent.csv")
    empty = tmp_path / "empty.csv"
    empty.write_bytes(b"")
    with pytest.raises(SourceError, match="not a readable CSV"):
        redistricting.read(empty)
    empty.write_text(redistricting.to_csv(redistricting.load()), encoding="utf-8")
    pd.testing.assert_frame_equal(redistricting.read(empty), redistricting.load())
