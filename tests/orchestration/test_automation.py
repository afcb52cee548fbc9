"""Schedule, sensor and automation condition."""

import datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.calibration import MATRIX_CONDITION
from definitions import build_defs
from jobs.partitions import STATES
from resources.settings import Settings
from sensors.schedules import monthly_sources
from sensors.source_files import new_source_files


def test_the_schedule_runs_the_sources_job_once_a_month() -> None:
    definitions = build_defs()
    schedule = definitions.resolve_schedule_def("monthly_sources")
    assert schedule.job_name == "build_sources"
    assert monthly_sources.cron_schedule == "0 6 2 * *"
    context = dg.build_schedule_context(scheduled_execution_time=datetime.datetime(2026, 3, 2, 6, tzinfo=datetime.UTC))
    requests = schedule.evaluate_tick(context).run_requests
    assert requests is not None
    assert len(requests) == 1


class TestSourceFiles:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(home=str(tmp_path))

    def evaluate(self, settings: Settings, cursor: str | None = None):
        context = dg.build_sensor_context(cursor=cursor, resources={"settings": settings})
        return new_source_files(context)

    def test_nothing_to_do_without_files(self, settings: Settings) -> None:
        assert isinstance(self.evaluate(settings), dg.SkipReason)

    def test_a_new_file_starts_the_job_once(self, settings: Settings) -> None:
        path = settings.paths.raw / "asecpub25csv.zip"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"one")
        first = self.evaluate(settings)
        assert len(first.run_requests) == 1
        assert "asecpub25csv.zip" in first.run_requests[0].tags["tessera/source_files"]
        assert isinstance(self.evaluate(settings, first.cursor), dg.SkipReason)

    def test_a_replaced_file_starts_it_again_under_another_key(self, settings: Settings) -> None:
        path = settings.paths.raw / "scfp2022.csv"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"one")
        first = self.evaluate(settings)
        path.write_bytes(b"another")
        second = self.evaluate(settings, first.cursor)
        assert second.run_requests[0].run_key != first.run_requests[0].run_key

    def test_synthetic_and_partial_files_do_not_count(self, settings: Settings) -> None:
        settings.paths.raw.mkdir(parents=True)
        (settings.paths.raw / "puf_2015.csv").write_bytes(b"made up")
        (settings.paths.raw / "puf_2015.csv.synthetic.json").write_text("{}")
        (settings.paths.raw / "psam_h.zip.part").write_bytes(b"half")
        assert isinstance(self.evaluate(settings), dg.SkipReason)


def test_the_matrix_is_requested_once_and_only_when_every_state_is_there() -> None:
    @dg.asset(partitions_def=STATES)
    def state_values() -> None: ...

    @dg.asset(deps=[state_values], automation_condition=MATRIX_CONDITION)
    def calibration_matrix() -> None: ...

    definitions = dg.Definitions(assets=[state_values, calibration_matrix])
    keys = STATES.get_partition_keys()
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.evaluate_automation_conditions(definitions, instance)
        requested = [result.total_requested]
        for key in (keys[:-1], keys[-1:]):
            for one in key:
                instance.report_runless_asset_event(dg.AssetMaterialization("state_values", partition=one))
            result = dg.evaluate_automation_conditions(definitions, instance, cursor=result.cursor)
            requested.append(result.total_requested)
        result = dg.evaluate_automation_conditions(definitions, instance, cursor=result.cursor)
        requested.append(result.total_requested)
    assert requested == [0, 0, 1, 0]
