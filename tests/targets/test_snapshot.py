"""The packaged figures: rebuilt from the official files, brought to 2024, and consistent between levels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.geography.areas import areas_of_kind, stratum_districts
from tessera.targets import reconcile, report, snapshot, uprating
from tessera.targets.figures import COLUMNS, constraints_from_json, constraints_to_json
from tessera.targets.strata import domain_of


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return snapshot.load_snapshot()


def test_packaged_figures_are_what_the_official_files_give(rebuilt: pd.DataFrame, figures: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(rebuilt, figures, check_exact=True)


def test_building_is_all_the_steps(official_folder: Path, rebuilt: pd.DataFrame) -> None:
    told: list[tuple[int, int, str]] = []
    built = snapshot.build_snapshot(official_folder, progress=lambda *step: told.append(step))
    pd.testing.assert_frame_equal(built, rebuilt, check_exact=True)
    assert [step[0] for step in told] == list(range(told[0][1]))


def test_building_without_scaling(uprated: pd.DataFrame) -> None:
    plain = snapshot.ordered(reconcile.reconcile(uprated, scale=False))
    assert (plain["reconciliation"] == 1).all()


def test_every_figure_has_source_and_adds_up_from_its_factors(rebuilt: pd.DataFrame) -> None:
    assert list(rebuilt.columns) == list(COLUMNS)
    assert (rebuilt[["source", "table", "url", "vintage", "unit"]] != "").all().all()
    assert (rebuilt["period"] == uprating.MODEL_YEAR).all()
    product = rebuilt["raw_value"] * rebuilt["uprating"] * rebuilt["reconciliation"]
    assert product.to_numpy() == pytest.approx(rebuilt["value"].to_numpy(), rel=1e-12)
    assert rebuilt["value"].notna().all()
    # A source describes one year.
    assert (rebuilt.groupby("source")["year"].nunique() == 1).all()


def test_counts(rebuilt: pd.DataFrame) -> None:
    table = report.counts(rebuilt).set_index("source")
    of_ages = table.loc["census_acs_s0101", ["national", "state", "district"]]
    assert of_ages["state"] == of_ages["national"] * 51
    assert of_ages["district"] == of_ages["national"] * 436
    assert table["total"].sum() == len(rebuilt) > 30_000
    assert {"usda_fns_snap", "irs_soi_historic_2", "cms_medicaid", "jct_tax_expenditures"} <= set(table.index)
    assert (rebuilt["geo_level"] == "city").sum() >= 18 * len(areas_of_kind("city"))


def test_official_totals(rebuilt: pd.DataFrame) -> None:
    """Figures that the agencies print themselves, of the files as published."""
    people = rebuilt[(rebuilt["source"] == "census_acs_s0101") & (rebuilt["constraints"].map(domain_of) == "age")]
    assert people.groupby("geo_level")["value"].sum()["district"] == 340_110_990
    assert people.groupby("geo_level")["value"].sum()["national"] == 340_110_990
    snap = rebuilt[(rebuilt["source"] == "usda_fns_snap") & (rebuilt["variable"] == "snap")].set_index("geo_id")
    assert snap["value"]["CT"] == 892_819_650


def test_district_figures() -> None:
    table = snapshot.district_figures()
    assert tuple(table["district"]) == stratum_districts()
    assert table["population"].sum() == 340_110_990
    assert (table["households"] < table["population"]).all()
    states = snapshot.state_figures()
    assert len(states) == 51
    assert states["population"].sum() == table["population"].sum()
    assert (states["agi"] > 0).all()


def test_a_snapshot_round_trips_and_damage_is_named(figures: pd.DataFrame, tmp_path: Path) -> None:
    path = snapshot.write_snapshot(figures, tmp_path / "figures.csv.gz")
    again = snapshot.write_snapshot(figures, tmp_path / "again.csv.gz")
    assert path.read_bytes() == again.read_bytes()
    pd.testing.assert_frame_equal(snapshot.read_snapshot(path.read_bytes(), "x"), figures, check_exact=True)
    with pytest.raises(SourceError, match="cut"):
        snapshot.read_snapshot(path.read_bytes()[:1000], "cut")


@given(
    st.lists(
        st.tuples(st.sampled_from(["age", "snap"]), st.sampled_from([">=", "<"]), st.floats(-1e9, 1e9)),
        max_size=4,
        unique_by=lambda row: row[:2],
    )
)
def test_constraints_round_trip_in_one_canonical_order(rows: list[tuple[str, str, float]]) -> None:
    text = constraints_to_json(rows)
    assert constraints_to_json(rows[::-1]) == text
    assert constraints_from_json(text) == tuple(sorted(rows))
