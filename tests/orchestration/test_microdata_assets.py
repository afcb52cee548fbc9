"""The microdata assets: what they say of themselves, where their columns come from, and checks that fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from assets import microdata as module
from assets import sources as source_module
from resources.io_manager import PytreeIOManager
from resources.settings import Settings
from tessera.errors import ConfigError
from tessera.microdata.catalogue import STAGES
from tessera.microdata.imputation_quality import QUALITY
from tessera.microdata.quality import national_comparison
from tests import builders
from tests.orchestration.conftest import Store

SURVEYS = ("cps_asec", "irs_puf", "acs_pums", "sipp", "scf", "cps_org")
CHECKS = {"columns_are_there", "no_value_is_missing", "totals_are_near_official_ones"}


@pytest.fixture(scope="module")
def instance(whole_run: Store) -> Iterator[dg.DagsterInstance]:
    with whole_run.instance() as instance:
        yield instance


def metadata(instance: dg.DagsterInstance, asset: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None and event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_says_what_it_is(instance: dg.DagsterInstance, whole_run: Store, stage: str) -> None:
    found, frame = metadata(instance, stage), whole_run.value(stage)
    assert found["dagster/row_count"] == frame.count("household")
    assert found["synthetic"] is True
    lines = found["totals against official figures"].splitlines()
    assert lines[0].startswith("| name | meaning | unit | total | official | ratio |")
    assert len(lines) == 2 + len(national_comparison(frame))
    pictures = [text for name, text in found.items() if name.startswith("plot of ")]
    assert pictures and all("](data:image/png;base64,iVBOR" in text for text in pictures)
    described = {column.name: column.description for column in found["dagster/column_schema"].columns}
    assert described["person.employment_income_before_lsr"]
    assert set(described) >= {f"person.{name}" for name in frame.person.columns}


def test_lineage_names_columns_that_the_assets_before_have(instance: dg.DagsterInstance) -> None:
    columns = {
        asset: {column.name for column in metadata(instance, asset)["dagster/column_schema"].columns}
        for asset in (*SURVEYS, *STAGES)
    }
    for stage in STAGES:
        deps = metadata(instance, stage)["dagster/column_lineage"].deps_by_column
        for column, found in deps.items():
            for dep in found:
                asset = dep.asset_key.to_user_string()
                assert dep.column_name in columns[asset], (stage, column, dep)
    deps = metadata(instance, "source_imputed_cps")["dagster/column_lineage"].deps_by_column
    assert [(d.asset_key.to_user_string(), d.column_name) for d in deps["household.net_worth"]] == [
        ("scf", "family.NETWORTH")
    ]


@pytest.mark.parametrize("stage", ["extended_cps", "source_imputed_cps"])
def test_imputations_are_reported_whole_and_in_short(instance: dg.DagsterInstance, stage: str) -> None:
    found = metadata(instance, stage)
    table = pd.read_csv(found["imputation quality file"])
    assert list(table.columns) == list(QUALITY)
    assert len(table) == found["imputed variables"] > (60 if stage == "extended_cps" else 10)
    assert len(found["imputation quality"].splitlines()) == 2 + len(table)
    assert table["test_loss"].dropna().ge(0).all() and table["donor_zero_share"].between(0, 1).all()


def test_checks_are_recorded_and_know_every_column(instance: dg.DagsterInstance) -> None:
    keys = [dg.AssetCheckKey(dg.AssetKey(stage), name) for stage in STAGES for name in CHECKS]
    keys += [dg.AssetCheckKey(dg.AssetKey(name), "required_columns_are_there") for name in SURVEYS]
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    for key in keys:
        evaluation = latest[key].evaluation
        assert evaluation is not None, key
        if key.name == "totals_are_near_official_ones":
            assert evaluation.severity == dg.AssetCheckSeverity.WARN
            continue
        assert evaluation.passed, key
        if key.name == "columns_are_there":
            assert evaluation.metadata["unknown"].value == "none", "name it in tessera/microdata/data/frame_columns.csv"


@dg.asset(name="cps_asec")
def raw_survey() -> Any:
    return 0


def materialise(home: Path, *assets: Any, **settings: Any) -> dg.ExecuteInProcessResult:
    chosen = Settings(home=str(home), scale_name="tiny", **settings)
    resources = {"settings": chosen, "io_manager": PytreeIOManager(base_dir=str(home / "assets"))}
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(list(assets), instance=instance, resources=resources, raise_on_error=False)


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_a_dropped_column_fails_the_asset_and_what_follows(
    whole_run: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = whole_run.value("cps")
    dropped = replace(frame, person=frame.person.drop(columns="is_pregnant"))
    monkeypatch.setattr("tessera.microdata.cps.build_cps", lambda *_args, **_options: dropped)

    @dg.asset
    def what_follows(cps: Any) -> None:
        raise AssertionError("was run although a check before it failed")

    result = materialise(tmp_path, raw_survey, module.cps, what_follows)
    assert not result.success
    check = evaluations(result)["columns_are_there"]
    assert not check.passed
    assert check.metadata["missing"].value == "person.is_pregnant"
    assert evaluations(result)["no_value_is_missing"].passed
    assert not [event for event in result.all_events if event.is_step_start and event.step_key == "what_follows"]


def test_a_missing_value_fails_and_far_totals_only_warn(whole_run: Store) -> None:
    frame = whole_run.value("cps")
    weights = frame.household.assign(household_weight=frame.household["household_weight"] * 9)
    broken = replace(frame, household=weights, person=frame.person.assign(age=float("nan")))
    found = {one.check_name: one for one in module.check_stage("cps", broken, national_comparison(broken))}
    assert not found["no_value_is_missing"].passed
    assert found["no_value_is_missing"].metadata["columns"].value == "person.age"
    far = found["totals_are_near_official_ones"]
    assert not far.passed and far.severity == dg.AssetCheckSeverity.WARN
    assert "| population |" in far.metadata["far"].value


def test_a_source_without_a_required_column_fails(whole_run: Store) -> None:
    raw = whole_run.value("cps_org")
    assert source_module.check_columns("cps_org", {"cps_org": raw.table}).passed
    found = source_module.check_columns("cps_org", {"cps_org": raw.table.drop(columns="PWORWGT")})
    assert not found.passed
    assert found.metadata["missing"].value == "person.PWORWGT"


def test_a_donor_that_the_run_does_without_is_said_to_be_absent(tmp_path: Path) -> None:
    result = materialise(tmp_path, source_module.sipp, absent_sources="sipp")
    assert result.success
    (event,) = result.asset_materializations_for_node("sipp")
    assert event.metadata["absent"].value is True
    assert result.output_for_node("sipp") is None
    assert not (tmp_path / "raw").exists()


def test_settings_refuse_what_no_run_can_do_without() -> None:
    with pytest.raises(ConfigError, match="cps_asec cannot be left out"):
        _ = Settings(home="x", absent_sources="sipp, cps_asec").microdata
    with pytest.raises(ConfigError, match="fallback of absent donor surveys is 'guess'"):
        _ = Settings(home="x", donor_fallback="guess").microdata
    settings = Settings(home="x", absent_sources=" scf,irs_puf ", donor_fallback="zero").microdata
    assert settings.absent == ("irs_puf", "scf")
    assert settings.donor_fallback == "zero"
    assert Settings(home="x", absent_sources="irs_puf").microdata.donor_fallback == "error"


def test_a_frame_that_is_no_stage_is_named_column_by_column() -> None:
    frame = builders.frame(20)
    found = {one.check_name: one for one in module.check_stage("cps", frame, national_comparison(frame))}
    assert "person.is_hispanic" in found["columns_are_there"].metadata["missing"].value
