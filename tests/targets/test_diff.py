"""What changed between two sets of figures: databases, snapshots, tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError, TargetError
from tessera.targets.database import build_database
from tessera.targets.diff import KEY, compare, compare_files
from tessera.targets.snapshot import write_snapshot
from tests.targets.small import small_figures


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return small_figures()


def test_a_set_is_the_same_as_itself_in_any_order(figures: pd.DataFrame) -> None:
    shuffled = figures.sample(frac=1, random_state=1)
    for found in (compare(figures, figures), compare(figures, shuffled), compare(shuffled, figures)):
        assert found.is_empty
        assert found.unchanged == len(figures)
        assert found.by_source().empty


def test_added_removed_and_changed(figures: pd.DataFrame) -> None:
    after = figures.drop(index=[3, 8]).reset_index(drop=True)
    wyoming = (after["geo_id"] == "WY") & (after["variable"] == "snap")
    after.loc[wyoming, ["raw_value", "value"]] = 150.0
    alaska = (after["geo_id"] == "AK") & (after["variable"] == "snap")
    after.loc[alaska, ["reconciliation", "value"]] = [0.5, 50.0]
    new = after.iloc[[0]].assign(variable="tanf")
    found = compare(figures, pd.concat([after, new], ignore_index=True))
    assert found.added["variable"].tolist() == ["tanf"]
    assert found.removed["geo_id"].tolist() == figures.loc[[3, 8], "geo_id"].tolist()
    assert found.changed[["geo_id", "before", "after", "because"]].to_numpy().tolist() == [
        ["AK", 100.0, 50.0, "reconciliation"],
        ["WY", 100.0, 150.0, "raw_value"],
    ]
    assert found.changed["change"].tolist() == [-0.5, 0.5]
    assert found.unchanged == len(figures) - 4
    counts = found.by_source().set_index(["source", "geo_level"])
    assert counts.loc[("usda", "state")].tolist() == [0, 0, 2]
    assert counts.loc[("census", "district")].tolist() == [1, 2, 0]


def test_the_largest_change_comes_first_and_growth_from_zero_is_infinite(figures: pd.DataFrame) -> None:
    before = figures.assign(value=np.arange(len(figures), dtype=float))
    found = compare(before, before.assign(value=before["value"] + 1.0)).changed
    assert found["change"].iloc[0] == np.inf
    assert (found["change"].diff().iloc[2:] < 0).all()


def test_a_difference_within_the_tolerance_is_none(figures: pd.DataFrame) -> None:
    moved = figures.assign(value=figures["value"] * (1 + 1e-6))
    assert compare(figures, moved, tolerance=1e-5).is_empty
    assert len(compare(figures, moved, tolerance=1e-7).changed) == len(figures)
    for senseless in (-1.0, float("nan"), "much"):
        with pytest.raises(TargetError, match="tolerance is"):
            compare(figures, figures, tolerance=senseless)  # type: ignore[arg-type]


def test_moved_bounds_are_another_figure(figures: pd.DataFrame) -> None:
    banded = figures["constraints"] != "[]"
    moved = figures.assign(constraints=figures["constraints"].where(~banded, json.dumps([["age", ">=", 66]])))
    found = compare(figures, moved)
    assert len(found.added) == len(found.removed) == banded.sum()
    assert found.changed.empty


def test_a_figure_twice_is_refused(figures: pd.DataFrame) -> None:
    twice = pd.concat([figures, figures.iloc[[5]]])
    with pytest.raises(TargetError, match="The second set has the figure"):
        compare(figures, twice)
    with pytest.raises(TargetError, match="The first set has the figure"):
        compare(twice, figures)


@given(st.sets(st.integers(0, 900)), st.sets(st.integers(0, 900)))
@settings(max_examples=30, deadline=None)
def test_the_other_way_round_is_the_mirror_image(left: set[int], right: set[int]) -> None:
    table = small_figures()
    one, other = table.drop(index=list(left)), table.drop(index=list(right))
    there, back = compare(one, other), compare(other, one)
    key = list(KEY)
    assert there.added[key].to_numpy().tolist() == back.removed[key].to_numpy().tolist()
    assert there.removed[key].to_numpy().tolist() == back.added[key].to_numpy().tolist()
    assert there.unchanged == back.unchanged == len(table) - len(left | right)


def test_databases_and_snapshots_are_compared_alike(tmp_path: Path) -> None:
    before, after = small_figures(), small_figures(national_snap=5_000.0)
    stored = write_snapshot(before, tmp_path / "before.csv.gz")
    built = build_database(tmp_path / "after.duckdb", after).path
    found = compare_files(stored, built)
    assert found.changed[["source", "geo_id", "before", "after"]].to_numpy().tolist() == [["paper", "US", 5100, 5000]]
    assert compare_files(built, write_snapshot(after, tmp_path / "after.csv.gz")).is_empty


def test_absent_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"absent\.duckdb: no such file"):
        compare_files(tmp_path / "absent.duckdb", None)
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(b"neither the one nor the other" * 500)
    with pytest.raises(TargetError, match=r"foreign\.bin: not a readable target database"):
        compare_files(foreign, None)
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(write_snapshot(small_figures(), tmp_path / "whole.csv.gz").read_bytes()[:500])
    with pytest.raises(SourceError, match=r"cut\.csv\.gz"):
        compare_files(cut, None)
