"""PartitionedTree and PartitionedOutput as mappings."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tessera.errors import StorageError, StructureError
from tessera.pytree.io import dump_tree
from tessera.pytree.partitions import PartitionedOutput, PartitionedTree


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    paths = {key: tmp_path / f"{key}.h5" for key in ("c", "a", "b")}
    for key in ("c", "b"):
        dump_tree({"name": key, "n": [ord(key)]}, paths[key])
    return paths


def test_labels_are_exact_when_one_is_missing(files: dict[str, Path]) -> None:
    tree = PartitionedTree(files, name="states")
    assert (list(tree), len(tree), tree.labels, tree.missing) == (["c", "b"], 2, ("c", "a", "b"), ("a",))
    assert {key: value["name"] for key, value in tree.items()} == {"c": "c", "b": "b"}
    assert "a" not in tree and tree.get("a", 7) == 7
    with pytest.raises(StorageError, match=r"states: partition 'a' has no file.*there are: c, b"):
        tree["a"]
    with pytest.raises(KeyError, match="'z' is not among"):
        tree["z"]
    assert repr(tree) == "PartitionedTree(states: c, b, missing a)"


def test_one_partition_is_a_mapping_and_so_is_none(files: dict[str, Path]) -> None:
    assert dict(PartitionedTree({"b": files["b"]})) == {"b": {"name": "b", "n": [98]}}
    assert len(PartitionedTree({"a": files["a"]})) == len(PartitionedTree({})) == 0


def test_parts_are_read_without_the_rest(files: dict[str, Path]) -> None:
    tree = PartitionedTree(files)
    assert tree.load("c", ("n", 0)) == 99
    assert tree.map_leaf(("n", 0)) == {"c": 99, "b": 98}
    assert tree.map_leaf("['name']", str.upper) == {"c": "C", "b": "B"}
    assert tree.describe("b").n_leaves == 2


def test_a_fan_in_needs_the_memory_of_one(tmp_path: Path) -> None:
    paths = {f"p{i}": tmp_path / f"p{i}.h5" for i in range(6)}
    for path in paths.values():
        dump_tree(np.ones(1_000_000), path)
    tracemalloc.start()
    try:
        total = sum(float(array.sum()) for array in PartitionedTree(paths).values())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 6_000_000
    assert peak < 3 * 8_000_000


def test_an_output_is_made_while_it_is_written() -> None:
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key * 2

    output = PartitionedOutput.lazy(["a", "b"], make)
    assert (list(output), len(output), "a" in output, made) == (["a", "b"], 2, True, [])
    assert output["b"] == "bb" and made == ["b"]
    assert dict(PartitionedOutput({"x": 1})) == {"x": 1}
    with pytest.raises(KeyError, match="no 'z'"):
        output["z"]
    with pytest.raises(StructureError, match="wanted str"):
        PartitionedOutput({1: 2})  # type: ignore[dict-item]
    with pytest.raises(StructureError, match="twice"):
        PartitionedOutput.lazy(["a", "a"], make)
