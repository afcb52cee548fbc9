"""The packaged figures: rebuilt from the official files, brought to 2024, and consistent between levels."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.errors import SourceError, TargetError
from tessera.geography.areas import stratum_districts
from tessera.targets import reconcile, report, snapshot, uprating
from tessera.targets.figures import COLUMNS, constraints_from_json, constraints_to_json


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return snapshot.load_snapshot()


def test_packaged_figures_are_what_the_official_files_give(shared_data: Path, figures: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(snapshot.build_snapshot(shared_data / "official"), figures, check_exact=True)


def test_every_figure_has_source_and_adds_up_from_its_factors(figures: pd.DataFrame) -> None:
    assert list(figures.columns) == list(COLUMNS)
    assert (figures[["source", "table", "url", "vintage", "unit"]] != "").all().all()
    assert (figures["period"] == uprating.MODEL_YEAR).all()
    product = figures["raw_value"] * figures["uprating"] * figures["reconciliation"]
    assert product.to_numpy() == pytest.approx(figures["value"].to_numpy(), rel=1e-12)
    assert figures["value"].notna().all()


def test_counts(figures: pd.DataFrame) -> None:
    table = report.counts(figures).set_index("source")
    assert tuple(table.loc["census_acs_s0101", ["national", "state", "district"]]) == (18, 18 * 51, 18 * 436)
    assert tuple(table.loc["cms_marketplace", ["national", "state", "district"]]) == (2, 102, 0)
    assert table["total"].sum() == len(figures)
    assert {"usda_fns_snap", "irs_soi_historic_2", "cms_medicaid", "jct_tax_expenditures"} <= set(table.index)


def test_districts_add_up_to_states_and_states_to_the_nation(figures: pd.DataFrame) -> None:
    # Without the national sources that measure a concept of the states in another way.
    one_source = figures[
        ~figures["source"].isin(["cbo_income"]) & ~((figures["source"] == "ssa_oasdi") & (figures["variable"] == "ssi"))
    ]
    table = report.consistency(one_source)
    assert table["states_error"].notna().sum() > 40
    assert table["states_error"].abs().max() < 1e-12
    gaps = report.district_gaps(one_source)
    assert len(gaps) == 20
    assert gaps["gap"].max() < 1e-12


def test_mean_income_lies_inside_the_moved_class(figures: pd.DataFrame) -> None:
    banded = figures[figures["constraints"].str.contains("adjusted_gross_income") & (figures["geo_level"] == "state")]
    amounts = banded[banded["variable"] == "adjusted_gross_income"].set_index(["geo_id", "constraints"])["value"]
    returns = banded[banded["variable"] == "tax_unit_count"].set_index(["geo_id", "constraints"])["value"]
    means = amounts / returns[amounts.index]
    assert len(means) == 510
    outside = [
        (place, text)
        for (place, text), mean in means.items()
        for name, operation, bound in json.loads(text)
        if name == "adjusted_gross_income" and not (mean >= bound if operation == ">=" else mean < bound)
    ]
    assert outside == []


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


def test_a_figure_of_an_unknown_year_is_not_carried_over(figures: pd.DataFrame) -> None:
    old = figures.head(1).assign(year=2011)
    factors = uprating.Factors((1.0,) * 10, (1.0,) * 10, 1.0, {}, 1.0)
    with pytest.raises(TargetError, match="2011"):
        uprating.uprate(old, factors)


def test_reconciling_needs_every_state(figures: pd.DataFrame) -> None:
    raw = figures[~figures["table"].str.contains("sum of")]
    without = raw[~((raw["source"] == "usda_fns_snap") & (raw["geo_id"] == "OH"))]
    with pytest.raises(TargetError, match="OH: districts"):
        reconcile.reconcile(without)


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
