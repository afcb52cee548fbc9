"""The whole graph through the stage runner, on a persistent instance: everything is recorded, and done again it is the
same. The engine is a double, so that a run takes minutes less; everything else is the real thing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from jobs.stages import STAGES
from tessera.geography.areas import areas
from tessera.store import sha256_of
from tests.orchestration.conftest import Store
from tests.orchestration.test_definitions import GROUPS, PARTITIONS

CHECKS = {
    "policy_targets": {
        "training_targets_agree_between_levels",
        "strata_are_the_country",
        "no_training_target_is_contradicted",
    },
    "source_imputed_cps": {"base_file_is_complete"},
    "clones": {"clones_do_not_collide"},
    "local_weights": {"local_targets_within_10_percent"},
    "area_metrics": {"matrix_equals_engine", "area_files_are_sane"},
}


@pytest.fixture(scope="module")
def instance(whole_run: Store) -> Iterator[dg.DagsterInstance]:
    with whole_run.instance() as instance:
        yield instance


def test_every_stage_is_one_successful_run(instance: dg.DagsterInstance) -> None:
    runs = instance.get_runs()
    assert [run.job_name for run in reversed(runs)] == [stage.job_name for stage in STAGES]
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert [run.tags["tessera/stage"] for run in reversed(runs)] == [stage.name for stage in STAGES]


def test_every_asset_and_every_partition_is_materialised(instance: dg.DagsterInstance) -> None:
    for key in (dg.AssetKey(name) for group in GROUPS.values() for name in group):
        assert instance.get_latest_materialization_event(key) is not None, key
        counted = instance.get_materialized_partitions(key)
        assert len(counted) == PARTITIONS.get(key.to_user_string(), 0), key


def test_every_partition_has_metadata_of_its_own(instance: dg.DagsterInstance, whole_run: Store) -> None:
    by_key = {area.key: area for area in areas()}
    wanted = {
        "state_dataset": {"records", "persons", "households represented", "file sha256"},
        "district_dataset": {"records", "persons", "households represented", "file sha256"},
        "city_dataset": {"records", "persons", "households represented", "file sha256"},
        "state_values": {"clones", "situations", "persons", "variables"},
    }
    for name, labels in wanted.items():
        records = instance.fetch_materializations(dg.AssetKey(name), limit=1000).records
        found = {record.partition_key: record.asset_materialization.metadata for record in records}
        assert len(records) == len(found) == PARTITIONS[name]
        for partition, metadata in found.items():
            assert labels | {"path", "tessera/bytes", "tessera/sha256"} <= set(metadata), (name, partition)
            if name != "state_values":
                path = whole_run.settings.area_folder / by_key[str(partition)].relative_path
                assert metadata["file sha256"].value == sha256_of(path), partition


def test_every_check_is_recorded(instance: dg.DagsterInstance) -> None:
    for asset, names in CHECKS.items():
        for name in names:
            key = dg.AssetCheckKey(dg.AssetKey(asset), name)
            latest = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
            evaluation = latest[key].evaluation
            assert evaluation is not None and evaluation.passed, key


def test_the_matrix_is_what_the_written_files_say(whole_run: Store) -> None:
    measured = whole_run.value("area_metrics")
    assert len(measured.verified) > 100
    assert measured.max_relative_difference < 1e-6


def test_the_release_holds_every_area(whole_run: Store) -> None:
    current = whole_run.settings.paths.current_release
    assert current.is_symlink() and (current / "manifest.json").is_file()
    assert all((current / area.relative_path).is_file() for area in areas())
    assert (current / "diagnostics" / "report.html").is_file()


def hashes(folder: Path) -> dict[str, str]:
    """Path below a folder -> sha256."""
    return {path.relative_to(folder).as_posix(): sha256_of(path) for path in folder.rglob("*") if path.is_file()}


def test_a_second_release_changes_nothing(copied_run: Store) -> None:
    current = copied_run.settings.paths.current_release
    target, before = current.readlink(), hashes(current)
    stamps = {path: path.stat().st_mtime_ns for path in current.rglob("*")}
    copied_run.run("release")
    assert current.readlink() == target
    assert hashes(current) == before
    assert {path: path.stat().st_mtime_ns for path in current.rglob("*")} == stamps
    versions = [path for path in copied_run.settings.paths.release.iterdir() if path.is_dir() and path != current]
    assert len(versions) == 1


def test_diagnostics_done_again_make_the_same_release(copied_run: Store) -> None:
    current = copied_run.settings.paths.current_release
    target, before = current.readlink(), hashes(current)
    copied_run.run("diagnostics", "release")
    assert current.readlink() == target
    assert hashes(current) == before


def test_the_same_inputs_make_the_same_bytes(whole_run: Store, make_store: Callable[..., Store]) -> None:
    again = make_store(workers=1)
    inputs = ("source_imputed_cps", "block_distribution", "clones", "takeup_rates", "local_weights", "national_weights")
    for name in inputs:
        path = again.io_manager.path_of(dg.AssetKey(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole_run.io_manager.path_of(dg.AssetKey(name)).read_bytes())
    again.run("national_area", "city_areas")
    job = again.definitions().resolve_job_def("build_district_areas")
    with again.instance() as instance:
        assert job.execute_in_process(instance=instance, partition_key="CA-12").success
    made = hashes(again.settings.area_folder)
    assert set(made) == {
        "national/US.h5", "districts/CA-12.h5",
        "cities/NYC.h5", "cities/LOS_ANGELES.h5", "cities/CHICAGO.h5", "cities/HOUSTON.h5",
    }  # fmt: skip
    assert made == {path: sha256_of(whole_run.settings.area_folder / path) for path in made}
