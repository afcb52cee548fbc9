"""The IO manager: partitions in, partitions out, and the traps of fan-ins, ranges and missing files."""

import os  # no postponed annotations here: Dagster reads the annotations of assets defined inside functions
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from resources.io_manager import PytreeIOManager
from tessera.errors import StorageError, StructureError
from tessera.pytree.io import load_tree
from tessera.pytree.partitions import PartitionedOutput, PartitionedTree
from tessera.pytree.storage.fingerprint import tree_sha256

pytestmark = pytest.mark.filterwarnings("ignore:Asset job __ephemeral_asset_job__:UserWarning")

STATES = dg.StaticPartitionsDefinition(["WY", "CA", "NV"])  # not in alphabetical order, on purpose
RANGE = {"dagster/asset_partition_range_start": "WY", "dagster/asset_partition_range_end": "NV"}


def tree_of(state: str) -> dict[str, Any]:
    return {"state": state, "values": np.arange(3) + len(state), "table": pd.DataFrame({"s": [state]})}


@dg.asset(partitions_def=STATES)
def simulated(context: dg.AssetExecutionContext) -> dict[str, Any]:
    return tree_of(context.partition_key)


class Store:
    """An IO manager on a folder, an instance, and what the consuming assets saw."""

    def __init__(self, folder: Path) -> None:
        self.manager = PytreeIOManager(base_dir=str(folder))
        self.instance = dg.DagsterInstance.ephemeral()
        self.seen: dict[str, Any] = {}

    def run(self, *assets: Any, selection: list[str] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            assets, selection=selection, instance=self.instance, resources={"io_manager": self.manager}, **options
        )

    def fill(self, *states: str) -> None:
        for state in states:
            assert self.run(simulated, partition_key=state).success

    def names(self, asset: str) -> list[str]:
        """The names of the files in an asset's folder."""
        return [path.name for path in (Path(self.manager.base_dir) / asset).iterdir()]

    def path(self, name: str, key: str | None = None) -> Path:
        return self.manager.path_of(dg.AssetKey(name), key)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "assets")


def metadata_by_partition(result: dg.ExecuteInProcessResult, name: str) -> dict[str | None, dict[str, Any]]:
    events = [event.materialization for event in result.get_asset_materialization_events()]
    return {
        event.partition: {key: value.value for key, value in event.metadata.items()}
        for event in events
        if event.asset_key == dg.AssetKey(name)
    }


def test_an_unpartitioned_value_and_its_metadata(store: Store, tmp_path: Path) -> None:
    @dg.asset(key_prefix=["deep"])
    def frame() -> pd.DataFrame:
        return pd.DataFrame({"age": [1, 2]})

    @dg.asset(ins={"frame": dg.AssetIn(key_prefix="deep")})
    def total(frame: pd.DataFrame) -> int:
        return int(frame["age"].sum())

    result = store.run(frame, total)
    assert result.output_for_node("total") == 3
    path = tmp_path / "assets" / "deep" / "frame.h5"
    events = result.asset_materializations_for_node("deep__frame")
    metadata = {key: value.value for key, value in events[0].metadata.items()}
    assert metadata["path"] == str(path)
    assert metadata["tessera/bytes"] == path.stat().st_size
    assert metadata["tessera/leaves"] == 1
    assert metadata["tessera/sha256"] == tree_sha256(pd.DataFrame({"age": [1, 2]}))
    assert metadata["tessera/tree"].records[0].data["shape"] == "(2, 1)"


def test_three_partitions_one_run_each(store: Store) -> None:
    @dg.asset(partitions_def=STATES)
    def copied(simulated: dict[str, Any]) -> str:
        return simulated["state"]

    @dg.asset(partitions_def=STATES)
    def unannotated(simulated):  # type: ignore[no-untyped-def]
        return simulated["state"]

    for state in ("CA", "NV", "WY"):
        result = store.run(simulated, copied, unannotated, partition_key=state)
        assert result.output_for_node("copied") == result.output_for_node("unannotated") == state
        assert load_tree(store.path("simulated", state))["state"] == state
    assert sorted(store.names("simulated")) == ["CA.h5", "NV.h5", "WY.h5"]


def test_content_is_the_data_version(store: Store) -> None:
    version = "dagster/data_version"
    first = store.run(simulated, partition_key="CA").asset_materializations_for_node("simulated")[0].tags
    again = store.run(simulated, partition_key="CA").asset_materializations_for_node("simulated")[0].tags
    assert first[version] == again[version] == tree_sha256(tree_of("CA"))

    @dg.asset
    def versioned() -> dg.MaterializeResult[int]:
        return dg.MaterializeResult(value=3, data_version=dg.DataVersion("mine"))

    tags = store.run(versioned).asset_materializations_for_node("versioned")[0].tags
    assert tags[version] == "mine"


@pytest.mark.parametrize("states", [("WY", "CA", "NV"), ("CA",)])
def test_a_fan_in_is_a_lazy_mapping_whatever_the_count(store: Store, states: tuple[str, ...]) -> None:
    store.fill(*states)
    mapping = dg.SpecificPartitionsPartitionMapping(list(states))

    @dg.asset(ins={"simulated": dg.AssetIn(partition_mapping=mapping)})
    def annotated(simulated: PartitionedTree) -> int:
        store.seen["annotated"] = simulated
        return len(simulated)

    @dg.asset(ins={"simulated": dg.AssetIn(partition_mapping=mapping)})
    def plain(simulated):  # type: ignore[no-untyped-def]
        store.seen["plain"] = simulated
        return len(simulated)

    store.run(simulated, annotated, plain, selection=["annotated", "plain"])
    for name in ("annotated", "plain"):
        tree = store.seen[name]
        assert isinstance(tree, PartitionedTree) and isinstance(tree, Mapping)
        assert list(tree) == list(tree.labels) == list(states) and tree.missing == ()
        assert {key: value["state"] for key, value in tree.items()} == {state: state for state in states}


def test_an_unpartitioned_consumer_of_a_one_partition_definition(store: Store) -> None:
    one = dg.StaticPartitionsDefinition(["only"])

    @dg.asset(partitions_def=one)
    def source() -> int:
        return 1

    @dg.asset
    def sink(source) -> int:  # type: ignore[no-untyped-def]
        return source["only"]

    store.run(source, partition_key="only")
    assert store.run(source, sink, selection=["sink"]).output_for_node("sink") == 1


def test_regrouping_one_key_is_still_a_mapping(store: Store) -> None:
    areas = dg.StaticPartitionsDefinition(["CA", "CA-12"])
    mapping = dg.StaticPartitionMapping({"CA": ["CA", "CA-12"]})

    @dg.asset(partitions_def=areas, ins={"simulated": dg.AssetIn(partition_mapping=mapping)})
    def area(simulated) -> str:  # type: ignore[no-untyped-def]
        return simulated["CA"]["state"]

    @dg.asset(partitions_def=areas, ins={"simulated": dg.AssetIn(partition_mapping=mapping)})
    def area_tree(simulated: dict[str, Any]) -> str:
        return simulated["state"]

    store.fill("CA")
    for key in ("CA", "CA-12"):
        result = store.run(simulated, area, area_tree, selection=["area", "area_tree"], partition_key=key)
        assert result.output_for_node("area") == result.output_for_node("area_tree") == "CA"


def test_several_partitions_for_another_annotation_are_refused(store: Store) -> None:
    @dg.asset
    def wrong(simulated: dict[str, Any]) -> int:
        return 1

    store.fill("WY", "CA", "NV")
    with pytest.raises(StructureError, match=r"Annotate it tessera\.pytree\.partitions\.PartitionedTree"):
        store.run(simulated, wrong, selection=["wrong"])


def test_missing_partitions_keep_their_labels(store: Store) -> None:
    store.fill("WY", "NV")

    @dg.asset(ins={"simulated": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def lenient(simulated: PartitionedTree) -> list[str]:
        store.seen["tree"] = simulated
        return [value["state"] for value in simulated.values()]

    @dg.asset
    def strict(simulated: PartitionedTree) -> int:
        return len(simulated)

    result = store.run(simulated, lenient, selection=["lenient"])
    assert result.output_for_node("lenient") == ["WY", "NV"]
    tree = store.seen["tree"]
    assert (list(tree), tree.labels, tree.missing, len(tree)) == (["WY", "NV"], ("WY", "CA", "NV"), ("CA",), 2)
    assert "CA" not in tree and tree.get("CA") is None
    with pytest.raises(StorageError, match=r"simulated.*CA.*CA\.h5.*--select simulated --partition CA"):
        store.run(simulated, strict, selection=["strict"])


def test_a_single_tree_may_be_missing_where_that_is_allowed(store: Store) -> None:
    @dg.asset(partitions_def=STATES, ins={"simulated": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def lenient(simulated: Any) -> str:
        return "nothing" if simulated is None else simulated["state"]

    @dg.asset(partitions_def=STATES)
    def strict(simulated: Any) -> str:
        return str(simulated["state"])

    store.fill("WY")
    found = [
        store.run(simulated, lenient, selection=["lenient"], partition_key=key).output_for_node("lenient")
        for key in ("WY", "CA")
    ]
    assert found == ["WY", "nothing"]
    with pytest.raises(StorageError, match="have no file: CA"):
        store.run(simulated, strict, selection=["strict"], partition_key="CA")


def test_a_missing_file_names_the_command(store: Store) -> None:
    @dg.asset
    def first() -> int:
        return 1

    @dg.asset
    def second(first: int) -> int:
        return first

    with pytest.raises(StorageError, match=r"first has no file at .*first\.h5.*dagster asset materialize"):
        store.run(first, second, selection=["second"])


@pytest.mark.parametrize("lazy", [False, True])
def test_a_range_run_writes_exactly_its_partitions(store: Store, lazy: bool) -> None:
    @dg.asset(partitions_def=STATES, backfill_policy=dg.BackfillPolicy.single_run())
    def chunked(context: dg.AssetExecutionContext) -> Any:
        if lazy:
            return PartitionedOutput.lazy(context.partition_keys, tree_of)
        return PartitionedOutput({state: tree_of(state) for state in context.partition_keys})

    @dg.asset(partitions_def=STATES, backfill_policy=dg.BackfillPolicy.single_run())
    def after(chunked: PartitionedTree) -> Any:
        return PartitionedOutput({key: tree["state"] for key, tree in chunked.items()})

    result = store.run(chunked, after, tags=RANGE)
    recorded = metadata_by_partition(result, "chunked")
    assert set(recorded) == {"WY", "CA", "NV"}
    for state, metadata in recorded.items():
        assert metadata["path"] == str(store.path("chunked", state))
        assert metadata["tessera/sha256"] == tree_sha256(tree_of(str(state)))
        assert load_tree(store.path("after", state)) == state
    one = dict.fromkeys(RANGE, "CA")
    assert store.run(chunked, after, tags=one).success


def test_an_unannotated_input_of_a_range_run_is_a_mapping(store: Store) -> None:
    store.fill("CA")

    @dg.asset(partitions_def=STATES, backfill_policy=dg.BackfillPolicy.single_run())
    def after(simulated) -> Any:  # type: ignore[no-untyped-def]
        return PartitionedOutput({key: tree["state"] for key, tree in simulated.items()})

    store.run(simulated, after, selection=["after"], tags=dict.fromkeys(RANGE, "CA"))
    assert load_tree(store.path("after", "CA")) == "CA"


def range_asset(value: Any) -> dg.AssetsDefinition:
    @dg.asset(partitions_def=STATES, backfill_policy=dg.BackfillPolicy.single_run())
    def chunked() -> Any:
        return value

    return chunked


def test_a_range_run_must_return_every_partition(store: Store) -> None:
    with pytest.raises(StructureError, match=r"missing CA; extra TX\. Nothing was written"):
        store.run(range_asset(PartitionedOutput({"WY": 1, "NV": 2, "TX": 3})), tags=RANGE)
    with pytest.raises(StructureError, match=r"covers 3 partitions \(WY to NV\) and returned one dict"):
        store.run(range_asset({"WY": 1, "CA": 2, "NV": 3}), tags=RANGE)
    assert not store.path("chunked", "WY").exists()


def test_partitions_for_an_unpartitioned_asset_are_refused(store: Store) -> None:
    @dg.asset
    def wrong() -> Any:
        return PartitionedOutput({"a": 1})

    with pytest.raises(StructureError, match="asset wrong is not partitioned"):
        store.run(wrong)


def test_none_is_not_stored(store: Store) -> None:
    @dg.asset
    def only_metadata() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 3})

    @dg.asset
    def nothing() -> None:
        return None

    @dg.asset
    def untyped():  # type: ignore[no-untyped-def]
        return None

    assert store.run(only_metadata, nothing, untyped).success
    assert not Path(store.manager.base_dir).exists()


def test_a_crash_before_the_rename_leaves_the_old_file(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fill("CA")
    before = store.path("simulated", "CA").read_bytes()

    def crash(*_: Any) -> None:
        raise OSError("the disk went away")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(StorageError, match="the disk went away"):
        store.run(simulated, partition_key="CA")
    assert store.path("simulated", "CA").read_bytes() == before
    assert store.names("simulated") == ["CA.h5"]


def test_two_dimensions_and_odd_keys_stay_in_the_folder(store: Store) -> None:
    odd = dg.StaticPartitionsDefinition(["..", "/etc/x", "a b"])
    both = dg.MultiPartitionsDefinition({"area": STATES, "year": dg.StaticPartitionsDefinition(["2024"])})

    @dg.asset(partitions_def=odd)
    def odd_keys(context: dg.AssetExecutionContext) -> str:
        return context.partition_key

    @dg.asset(partitions_def=both)
    def grid(context: dg.AssetExecutionContext) -> str:
        return str(context.partition_key)

    @dg.asset(partitions_def=both)
    def regrid(grid) -> str:  # type: ignore[no-untyped-def]
        return grid

    for key in odd.get_partition_keys():
        store.run(odd_keys, partition_key=key)
        assert load_tree(store.path("odd_keys", key)) == key
    assert len(store.names("odd_keys")) == 3
    key = dg.MultiPartitionKey({"area": "CA", "year": "2024"})
    assert store.run(grid, regrid, partition_key=key).output_for_node("regrid") == "CA|2024"


def test_ops_hand_trees_to_each_other(store: Store) -> None:
    @dg.op
    def make() -> dict[str, int]:
        return {"a": 1}

    @dg.op
    def use(tree: dict[str, int]) -> int:
        return tree["a"]

    @dg.job(resource_defs={"io_manager": store.manager})
    def line() -> None:
        use(make())

    assert line.execute_in_process().output_for_node("use") == 1


def test_outputs_load_outside_a_run(store: Store) -> None:
    store.fill("CA")
    definitions = dg.Definitions(assets=[simulated], resources={"io_manager": store.manager})
    loaded = definitions.load_asset_value("simulated", partition_key="CA", instance=store.instance)
    assert loaded["state"] == "CA"


def test_assets_live_in_any_store_that_fsspec_knows() -> None:
    import fsspec

    files = fsspec.filesystem("memory")
    files.store.clear()
    store = Store(Path("unused"))
    store.manager = PytreeIOManager(base_dir="memory://bucket/assets", storage_options={"skip_instance_cache": False})
    store.fill("CA", "NV")

    @dg.asset(ins={"simulated": dg.AssetIn(metadata={"allow_missing_partitions": True})})
    def total(simulated: PartitionedTree) -> list[str]:
        store.seen["tree"] = simulated
        return [simulated.load(key, ("state",)) for key in simulated]

    @dg.asset
    def strict(simulated: PartitionedTree) -> int:
        return len(simulated)

    result = store.run(simulated, total, selection=["total"])
    assert result.output_for_node("total") == ["CA", "NV"]
    assert store.seen["tree"].missing == ("WY",)
    metadata = {key: value.value for key, value in result.asset_materializations_for_node("total")[0].metadata.items()}
    assert metadata["path"] == "memory://bucket/assets/total.h5"
    assert metadata["tessera/bytes"] == files.size("/bucket/assets/total.h5")
    assert files.find("/") == [f"/bucket/assets/{name}.h5" for name in ("simulated/CA", "simulated/NV", "total")]
    with pytest.raises(StorageError, match=r"1 of the partitions wanted have no file: WY \(the first at memory://"):
        store.run(simulated, strict, selection=["strict"])
    files.store.clear()
