"""Tables about figures and targets: counts, sums of levels, severities, what is set aside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tessera.targets import report
from tessera.targets.database import build_database
from tests.targets.small import small_figures


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "targets.duckdb"
    return build_database(path, small_figures(national_snap=2_550.0)).path


def test_counts_by_source_and_level() -> None:
    table = report.counts_with_sum(small_figures())
    assert list(table.columns) == ["source", "national", "state", "district", "city", "total"]
    assert table.to_numpy().tolist() == [
        ["census", 2, 102, 872, 0, 976],
        ["paper", 1, 0, 0, 0, 1],
        ["usda", 1, 102, 0, 0, 103],
        ["all", 4, 204, 872, 0, 1080],
    ]
    assert report.counts(small_figures())["total"].sum() == len(small_figures())


def test_counts_by_variable() -> None:
    table = report.variable_counts(small_figures()).set_index(["variable", "source"])
    assert table.loc[("snap", "paper")].tolist() == [1, 0, 0, 0, 1]
    assert table.loc[("person_count", "census"), "district"] == 872


def test_sources_have_vintage_and_address() -> None:
    table = report.sources(small_figures()).set_index("source")
    assert table.loc["paper"].tolist() == ["2022", "2022", "https://example.org/paper"]


def test_levels_that_add_up_and_one_that_does_not() -> None:
    figures = small_figures()
    first = figures[figures["source"] != "paper"]
    assert report.largest_gap(report.consistency(first)) == pytest.approx(0, abs=1e-12)
    assert report.district_gaps(first)["gap"].max() == pytest.approx(0, abs=1e-12)
    half = first.assign(value=first["value"].where(first["geo_id"] != "WY-01", first["value"] / 2))
    gaps = report.district_gaps(half)
    assert set(gaps["state"]) == {"WY"}
    assert gaps["gap"].tolist() == pytest.approx([0.5, 0.5])
    assert report.largest_gap(report.consistency(half)) == pytest.approx(0.5 / 436)
    without = first[first["geo_id"] != "WY-01"]
    assert report.consistency(without)["districts"].isna().all()


def test_severities_and_what_is_set_aside(database: Path) -> None:
    severities = report.severities(database).set_index("kind")
    assert severities.loc["sources"].to_dict() == {"ok": 0, "flag": 0, "significant": 0, "critical": 1}
    assert severities.loc["districts to state", "ok"] == 2
    aside = report.excluded_groups(database)
    assert aside[["source", "geo_level", "variable", "targets"]].to_numpy().tolist() == [
        ["paper", "national", "snap", 1]
    ]
    assert "paper" in aside["reason"].iloc[0]


def test_nothing_set_aside_is_an_empty_table(tmp_path: Path) -> None:
    built = build_database(tmp_path / "targets.duckdb", small_figures()).path
    aside = report.excluded_groups(built)
    assert aside.empty and "reason" in aside
    assert report.to_markdown(aside).count("\n") == 1


def test_markdown_has_thousands_separators_in_whole_numbers() -> None:
    table = pd.DataFrame({"name": ["a"], "count": [12_345], "share": [0.5]})
    assert report.to_markdown(table).splitlines()[-1] == "| a | 12,345 | 0.5 |"
