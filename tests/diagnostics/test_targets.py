from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diagnostics import targets
from tessera.errors import StorageError, TargetError
from tessera.matrix.calibration_matrix import NO_SUPPORT


def _table(pairs: list[tuple[float, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(pairs, columns=["target", "estimate"], dtype=float)
    frame["error"] = frame["estimate"] - frame["target"]
    frame["rel_error"] = frame["error"] / frame["target"].where(frame["target"] != 0)
    frame["abs_rel_error"] = frame["rel_error"].abs()
    frame["name"] = [f"t{position}" for position in range(len(frame))]
    return frame.assign(variable="snap", geo_level="national", geo_id="US", source="usda")


def test_shares_by_hand() -> None:
    summary = targets.summarise_targets(
        _table([(100, 100.5), (100, 96), (-100, -108), (100, 150), (0, 0), (0, 1), (100, np.nan), (100, np.inf)])
    )
    assert summary.n_targets == 8
    assert summary.n_not_finite == 2
    assert summary.share_within_1 == 2 / 8  # 100.5, and the zero that is zero
    assert summary.share_within_5 == 3 / 8
    assert summary.share_within_10 == 4 / 8
    assert summary.median_abs_rel_error == pytest.approx(0.06)
    assert summary.worst["name"].tolist()[:3] == ["t6", "t7", "t3"]


def test_groups_partition_the_targets(target_table: pd.DataFrame) -> None:
    summary = targets.summarise_targets(target_table)
    for grouped in (summary.by_level, summary.by_variable, summary.by_source, summary.heat_map):
        assert grouped["n_targets"].sum() == len(target_table)
        assert np.average(grouped["share_within_10"], weights=grouped["n_targets"]) == pytest.approx(
            summary.share_within_10
        )
    assert summary.by_level["geo_level"].tolist() == ["national", "state", "district"]
    assert summary.by_variable["share_within_10"].is_monotonic_increasing
    assert len(summary.worst) == 25
    assert summary.worst["abs_rel_error"].iloc[-1] >= target_table["abs_rel_error"].nlargest(26).iloc[-1]


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(allow_nan=True)), min_size=1, max_size=30))
def test_shares_are_ordered_whatever_the_numbers(pairs: list[tuple[float, float]]) -> None:
    with np.errstate(all="ignore"):
        table = _table(pairs)
        summary = targets.summarise_targets(table)
    assert 0 <= summary.share_within_1 <= summary.share_within_5 <= summary.share_within_10 <= 1
    assert summary.share_within_10 <= 1 - summary.n_not_finite / summary.n_targets


def test_error_of_a_zero_target_counts_for_nothing_but_a_miss() -> None:
    table = _table([(0, 0.05), (100, 102)])
    table.loc[0, ["rel_error", "abs_rel_error"]] = 0.05  # as a fit may write it: the error itself
    summary = targets.summarise_targets(table)
    assert summary.share_within_10 == 0.5
    assert summary.mean_abs_rel_error == pytest.approx(0.02)


def test_empty_table_has_no_share() -> None:
    summary = targets.summarise_targets(_table([]))
    assert summary.n_targets == 0
    assert np.isnan(summary.share_within_10)
    assert summary.worst.empty


def test_sum_of_areas_needs_every_area_once(target_table: pd.DataFrame) -> None:
    sums = targets.sum_of_areas(target_table)
    assert len(sums) == 2 * target_table["variable"].nunique()
    assert np.allclose(sums["target_ratio"], 1.0)
    row = sums[(sums["quantity"] == "snap") & (sums["geo_level"] == "state")].iloc[0]
    part = target_table[(target_table["variable"] == "snap") & (target_table["geo_level"] == "state")]
    assert row["estimate"] == pytest.approx(part["estimate"].sum())
    without = target_table[target_table["name"] != "CA/snap"]
    assert "state" not in targets.sum_of_areas(without).query("quantity == 'snap'")["geo_level"].tolist()


def test_sum_of_areas_keeps_constraints_apart(target_table: pd.DataFrame) -> None:
    both = pd.concat(
        [target_table.assign(constraints="[]"), target_table.assign(constraints='[["age", ">=", 65]]')]
    )  # fmt: skip
    assert len(targets.sum_of_areas(both)) == 2 * len(targets.sum_of_areas(target_table))


def test_written_files_hold_the_same_tables(
    target_table: pd.DataFrame, unachievable: pd.DataFrame, tmp_path: Path
) -> None:
    written = targets.write_target_diagnostics(target_table, tmp_path, unachievable)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "targets.csv"), target_table)
    with duckdb.connect(str(tmp_path / "target_diagnostics.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM targets").fetchall() == [(len(target_table),)]
        reasons = connection.sql("SELECT DISTINCT reason FROM unachievable").fetchall()
        share = connection.sql("SELECT avg((abs_rel_error <= 0.1)::INT) FROM targets").fetchall()
    assert reasons == [(NO_SUPPORT,)]
    assert share[0][0] == pytest.approx(targets.summarise_targets(target_table).share_within_10)


def test_written_again_over_a_previous_run(target_table: pd.DataFrame, tmp_path: Path) -> None:
    targets.write_target_diagnostics(target_table, tmp_path)
    targets.write_target_diagnostics(target_table.head(5), tmp_path)
    assert len(pd.read_csv(tmp_path / "targets.csv")) == 5
    with duckdb.connect(str(tmp_path / "target_diagnostics.duckdb"), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM targets").fetchall() == [(5,)]


def test_full_disk_leaves_the_previous_file(
    target_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets.write_target_diagnostics(target_table, tmp_path)
    before = (tmp_path / "targets.csv").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(StorageError, match=r"targets\.csv.*No space left"):
        targets.write_target_diagnostics(target_table.head(3), tmp_path)
    assert (tmp_path / "targets.csv").read_bytes() == before
    assert not list(tmp_path.glob("*.part"))


def test_refusals_name_what_is_wrong(target_table: pd.DataFrame, unachievable: pd.DataFrame) -> None:
    with pytest.raises(TargetError, match="abs_rel_error are missing"):
        targets.summarise_targets(target_table.drop(columns="abs_rel_error"))
    with pytest.raises(TargetError, match="'county' is unknown"):
        targets.summarise_targets(target_table.assign(geo_level="county"))
    with pytest.raises(TargetError, match="either fitted or unachievable"):
        targets.summarise_targets(target_table, unachievable.assign(name="US/snap"))
