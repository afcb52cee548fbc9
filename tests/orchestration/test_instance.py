"""The home and its configuration: made once whoever comes first, slots freed, runs bounded, loggers left alone."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from definitions import build_defs
from jobs.instance import CONFIG, open_home
from jobs.partitions import DISTRICTS, STATES
from jobs.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with open_home(tmp_path / "dagster") as instance:
        yield instance


def test_the_configuration_is_what_the_instance_runs_with(instance: dg.DagsterInstance) -> None:
    written = yaml.safe_load((Path(instance.root_directory) / "dagster.yaml").read_text(encoding="utf-8"))
    assert written == CONFIG
    assert instance.telemetry_enabled is False
    # A cancelled run must give its pool slot back, and a run whose worker was lost must end at some time.
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
    assert 0 < instance.run_monitoring_max_runtime_seconds <= 86_400


def test_a_pool_has_one_slot_a_step(instance: dg.DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert pools.default_pool_limit == 1
    assert pools.pool_granularity is not None and pools.pool_granularity.value == "op"


def test_what_must_not_run_twice_at_once_is_in_a_pool() -> None:
    graph = build_defs().resolve_asset_graph()
    pools = {key.to_user_string(): graph.get(key).pools for key in graph.get_all_asset_keys()}
    in_pool: dict[str, set[str]] = {}
    for name, of_asset in pools.items():
        for pool in of_asset or ():
            in_pool.setdefault(pool, set()).add(name)
    fits = {"local_weights", "local_fit_log", "national_weights", "national_fit_log"}
    assert in_pool == {"engine": {"state_values", "area_metrics"}, "gpu": fits}


def test_loggers_are_the_librarys_alone(instance: dg.DagsterInstance) -> None:
    managed = instance.managed_python_loggers
    assert managed == ["tessera"]
    assert not {"root", ""} & set(managed)
    before = list(logging.getLogger().handlers)

    @dg.asset
    def quiet() -> None:
        logging.getLogger("tessera.test").info("heard")

    assert dg.materialize([quiet], instance=instance).success
    assert logging.getLogger().handlers == before
    messages = [entry.user_message for entry in instance.all_logs(instance.get_runs()[0].run_id)]
    assert "heard" in messages


OPEN = """
import sys, time
from pathlib import Path
from jobs.instance import open_home
home, gate = Path(sys.argv[1]), Path(sys.argv[2])
gate.with_name(f"ready-{sys.argv[3]}").touch()
while not gate.exists():
    time.sleep(0.01)
with open_home(home) as instance:
    print(instance.get_runs_count())
"""


def test_four_processes_may_open_an_empty_home_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, gate = tmp_path / "dagster", tmp_path / "go"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", OPEN, str(home), str(gate), str(number)],
            cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(4)
    ]  # fmt: skip
    while len(list(tmp_path.glob("ready-*"))) < 4 and all(process.poll() is None for process in processes):
        pass
    gate.touch()
    ended = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert [(out.strip(), code) for out, _, code in ended] == [("0", 0)] * 4, ended

    @dg.asset
    def something() -> None: ...

    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with open_home(home) as instance:
        assert dg.materialize([something], instance=instance).success
        assert instance.get_latest_materialization_event(dg.AssetKey("something")) is not None


def test_a_home_keeps_a_configuration_that_somebody_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\nrun_monitoring: {enabled: false}\n")
    with open_home(tmp_path) as instance:
        assert not instance.run_monitoring_enabled


def test_a_states_districts_are_one_range() -> None:
    states = [key.split("-")[0] for key in DISTRICTS.get_partition_keys()]
    runs = [state for position, state in enumerate(states) if position == 0 or states[position - 1] != state]
    assert len(runs) == len(set(runs)) == 50
    assert runs == [state for state in STATES.get_partition_keys() if state != "DC"]


def test_a_backfill_takes_many_partitions_a_run() -> None:
    """The engine and the base file are loaded once a run, and a run of one partition costs seconds of overhead."""
    graph = build_defs().resolve_asset_graph()
    partitioned = [graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).partitions_def is not None]
    assert len(partitioned) == 4
    for node in partitioned:
        size = node.backfill_policy.max_partitions_per_run if node.backfill_policy else 1
        runs = 1 if size is None else -(-len(node.partitions_def.get_partition_keys()) // size)
        assert runs <= 5, node.key


def test_a_job_has_one_partitions_definition_at_most() -> None:
    definitions = build_defs()
    for stage in STAGES:
        job = definitions.resolve_job_def(stage.job_name)
        found = {
            job.asset_layer.get(key).partitions_def
            for key in job.asset_layer.executable_asset_keys
            if job.asset_layer.get(key).partitions_def is not None
        }
        assert found == ({stage.partitions} if stage.partitions else set()), stage


def test_every_mapping_between_partitioned_assets_is_the_whole_or_the_same() -> None:
    """No asset of one partitions definition reads another's by accident: keys that differ would be mixed up."""
    graph = build_defs().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        for parent in node.parent_keys:
            theirs = graph.get(parent).partitions_def
            if theirs is not None and node.partitions_def is not None:
                assert theirs == node.partitions_def, (parent, key)
