"""The gate holds in every way of running it: nothing is staged or promoted past a rule that fails."""

from typing import Any

import dagster as dg
import pytest

from jobs.run import StageFailed
from tests.orchestration.conftest import Store

RELEASE = ("release_gate", "staged_release", "promoted_release")


def materialised(instance: dg.DagsterInstance) -> set[str]:
    return {name for name in RELEASE if instance.get_latest_materialization_event(dg.AssetKey(name)) is not None}


def forget_release(store: Store) -> None:
    """As before the first release: no value of the gate and of what follows it, no version."""
    for name in RELEASE:
        store.io_manager.path_of(dg.AssetKey(name)).unlink()
    store.settings.paths.current_release.unlink()


def error_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    failures = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    return str(failures[0].step_failure_data.error)


def run_alone(store: Store, instance: dg.DagsterInstance, asset: str, **changes: Any) -> dg.ExecuteInProcessResult:
    """One asset in a run of its own, as a backfill makes them."""
    job = store.definitions(**changes).resolve_job_def("build_release")
    return job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False)


@pytest.mark.parametrize("rule", ["targets_within_10", "area_files", "invariant"])
def test_a_rule_that_fails_stops_the_job(copied_run: Store, rule: str) -> None:
    forget_release(copied_run)
    changes = break_rule(copied_run, rule)
    with copied_run.instance() as instance:
        job = copied_run.definitions(**changes).resolve_job_def("build_release")
        with pytest.raises(dg.Failure, match=f"1 of 7 rules fail: {rule}: seen") as raised:
            job.execute_in_process(instance=instance)
        assert rule in raised.value.metadata["rules"].value
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]
        assert materialised(instance) == set()
    assert not copied_run.settings.paths.current_release.exists()
    assert not (copied_run.home / "staging").exists()


def break_rule(store: Store, rule: str) -> dict[str, Any]:
    """Make one rule fail; returns the settings to run with."""
    if rule == "area_files":
        (store.settings.area_folder / "states" / "WY.h5").unlink()
    if rule == "invariant":
        from dataclasses import replace

        from tessera.pytree.io import dump_tree

        measured = store.value("area_metrics")
        verified = measured.verified.assign(relative_difference=2e-6)
        dump_tree(replace(measured, verified=verified), store.io_manager.path_of(dg.AssetKey("area_metrics")))
    return {"minimum_within_10": 1.0} if rule == "targets_within_10" else {}


def test_the_earlier_release_stays_when_the_gate_fails(copied_run: Store) -> None:
    current = copied_run.settings.paths.current_release
    target, manifest = current.readlink(), (current / "manifest.json").read_bytes()
    with pytest.raises(StageFailed, match=r"release_gate.*targets_within_10"):
        copied_run.run("release", minimum_within_10=1.0)
    assert current.readlink() == target
    assert (current / "manifest.json").read_bytes() == manifest
    with copied_run.instance() as instance:
        assert materialised(instance) == set()


def test_runs_of_their_own_do_not_pass_a_gate_that_never_passed(copied_run: Store) -> None:
    forget_release(copied_run)
    with copied_run.instance() as instance:
        for asset, wanted in (
            ("release_gate", "targets_within_10"),
            ("staged_release", "asset release_gate has no file"),
            ("promoted_release", "asset staged_release has no file"),
        ):
            result = run_alone(copied_run, instance, asset, minimum_within_10=1.0)
            assert not result.success
            assert wanted in error_of(result, asset), asset
        assert materialised(instance) == set()
    assert not copied_run.settings.paths.current_release.exists()


@pytest.mark.parametrize("changed", ["threshold", "areas", "targets"])
def test_a_gate_that_passed_something_else_is_not_enough(copied_run: Store, changed: str) -> None:
    """The gate passed once and its value is there, but what would be staged now is not what it passed."""
    from dataclasses import replace

    from tessera.pytree.io import dump_tree

    settings = {"minimum_within_10": 1.0} if changed == "threshold" else {}
    if changed == "areas":
        measured = copied_run.value("area_metrics")
        areas = measured.areas.assign(records=measured.areas["records"] + 1)
        dump_tree(replace(measured, areas=areas), copied_run.io_manager.path_of(dg.AssetKey("area_metrics")))
    if changed == "targets":
        targets = copied_run.value("target_diagnostics")
        table = targets["table"].assign(estimate=targets["table"]["estimate"] * 2)
        dump_tree({**targets, "table": table}, copied_run.io_manager.path_of(dg.AssetKey("target_diagnostics")))
    current = copied_run.settings.paths.current_release
    target = current.readlink()
    with copied_run.instance() as instance:
        result = run_alone(copied_run, instance, "staged_release", **settings)
        assert not result.success
        assert "Materialise release_gate again" in error_of(result, "staged_release")
        assert materialised(instance) == set()
    assert current.readlink() == target


def test_a_report_of_other_files_is_refused(copied_run: Store) -> None:
    """area_metrics was made again for other files, and the report, which names the run, was not."""
    from dataclasses import replace

    from tessera.pytree.io import dump_tree

    measured = copied_run.value("area_metrics")
    areas = measured.areas.assign(sha256="0" * 64)
    dump_tree(replace(measured, areas=areas), copied_run.io_manager.path_of(dg.AssetKey("area_metrics")))
    with copied_run.instance() as instance:
        result = run_alone(copied_run, instance, "release_gate")
        assert not result.success
        assert "Materialise diagnostics_report again" in error_of(result, "release_gate")
        assert materialised(instance) == set()
