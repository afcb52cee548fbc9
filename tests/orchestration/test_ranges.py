"""Chunked runs of areas: a crash half-way records nothing and loses nothing, a rerun goes on where it stopped."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from jobs.partitions import DISTRICTS
from jobs.run import StageFailed, run_stage
from tessera.areas import build
from tessera.pytree.io import dump_tree
from tests import builders
from tests.orchestration.conftest import Store, stage_named

ILLINOIS = [key for key in DISTRICTS.get_partition_keys() if key.startswith("IL-")]
CRASH_AT = 8
STAGE = replace(stage_named("district_areas"), partitions=dg.StaticPartitionsDefinition(ILLINOIS))
ASSET = dg.AssetKey("district_dataset")


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    """A store with what district files are made from, small and made up."""
    from tessera.rules.takeup import published_rates

    made = make_store(workers=1)
    base = builders.frame(30)
    blocks = builders.real_place_blocks()
    clones = builders.place(base, blocks, 200)
    weights = np.linspace(1.0, 3.0, clones.n_records)
    values = {
        "source_imputed_cps": base,
        "block_distribution": blocks,
        "clones": clones,
        "takeup_rates": published_rates(),
        "local_weights": {"weights": weights},
    }
    for name, value in values.items():
        dump_tree(value, made.io_manager.path_of(dg.AssetKey(name)))
    return made


def stamps(store: Store) -> dict[str, int]:
    folder = store.settings.area_folder / "districts"
    return {path.stem: path.stat().st_mtime_ns for path in folder.iterdir()} if folder.is_dir() else {}


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Building the file of that number fails, as a full disk would make it."""
    genuine, built = build.build_area, []

    def crashing(*arguments: Any, **options: Any) -> Any:
        built.append(arguments)
        if len(built) == number:
            raise OSError("No space left on device")
        return genuine(*arguments, **options)

    monkeypatch.setattr(build, "build_area", crashing)


def test_a_crash_half_way_records_nothing_and_the_rerun_goes_on(store: Store) -> None:
    with store.instance() as instance:
        with pytest.MonkeyPatch.context() as patch:
            crash_at(patch, CRASH_AT)
            with pytest.raises(StageFailed, match=r"district_dataset: .*No space left on device"):
                run_stage(store.definitions(), instance, STAGE)
        finished = stamps(store)
        assert sorted(finished) == ILLINOIS[: CRASH_AT - 1]
        assert instance.get_materialized_partitions(ASSET) == set()
        assert not (store.settings.paths.assets / "district_dataset").exists()

        run_stage(store.definitions(), instance, STAGE)
        after = stamps(store)
        assert sorted(after) == ILLINOIS
        assert {key: after[key] for key in finished} == finished
        assert instance.get_materialized_partitions(ASSET) == set(ILLINOIS)
        records = instance.fetch_materializations(ASSET, limit=1000).records
        metadata = {record.partition_key: record.asset_materialization.metadata for record in records}
    assert len(records) == len(ILLINOIS)
    for key in ILLINOIS:
        assert metadata[key]["path"].value.endswith(f"{key}.h5")
        assert metadata[key]["records"].value == store.value("district_dataset", key).records
    assert len({metadata[key]["file sha256"].value for key in ILLINOIS}) == len(ILLINOIS)


def test_a_range_of_one_partition_takes_the_same_path(store: Store) -> None:
    one = replace(STAGE, partitions=dg.StaticPartitionsDefinition(["WY-01"]))
    with store.instance() as instance:
        run_stage(store.definitions(), instance, one)
        assert instance.get_materialized_partitions(ASSET) == {"WY-01"}
    assert store.value("district_dataset", "WY-01").key == "WY-01"


def test_a_file_that_was_damaged_is_built_again(store: Store) -> None:
    one = replace(STAGE, partitions=dg.StaticPartitionsDefinition(["AK-01"]))
    with store.instance() as instance:
        run_stage(store.definitions(), instance, one)
        path: Path = store.settings.area_folder / "districts" / "AK-01.h5"
        whole = path.read_bytes()
        path.write_bytes(whole[:500])
        run_stage(store.definitions(), instance, one)
    assert path.read_bytes() == whole
