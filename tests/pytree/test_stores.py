"""Tree files in stores that fsspec knows: the same trees and errors as on a disk, nothing half-written, parts alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from upath import UPath

from tessera.errors import StorageError
from tessera.pytree.compare import tree_equal
from tessera.pytree.io import describe_tree, dump_tree, load_tree
from tessera.pytree.partitions import PartitionedTree
from tessera.pytree.storage import stores

TREE = {"weights": np.arange(40_000) * 0.1, "names": ["DOÑA ANA", None], 1: {"empty": ()}}


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.mark.parametrize("kind", ["memory text", "memory path", "file text", "file path", "local path"])
def test_a_tree_goes_to_any_store_and_back(kind: str, tmp_path: Path, memory: MemoryFileSystem) -> None:
    path: Any = {
        "memory text": "memory://deep/er/tree.h5",
        "memory path": UPath("memory://deep/er/tree.h5"),
        "file text": f"file://{tmp_path}/deep/er/tree.h5",
        "file path": UPath(f"file://{tmp_path}/deep/er/tree.h5"),
        "local path": UPath(tmp_path / "deep/er/tree.h5"),
    }[kind]
    summary = dump_tree(TREE, path)
    assert tree_equal(load_tree(path), TREE)
    assert describe_tree(path) == summary
    assert load_tree(path, ("names", 0)) == "DOÑA ANA"
    held = memory.find("/") if kind.startswith("memory") else [str(file) for file in tmp_path.rglob("*.h5")]
    assert len(held) == 1 and held[0].endswith("deep/er/tree.h5")


def test_a_store_holds_the_same_bytes_as_a_disk(tmp_path: Path, memory: MemoryFileSystem) -> None:
    dump_tree(TREE, tmp_path / "tree.h5")
    dump_tree(TREE, "memory://tree.h5")
    assert memory.cat_file("/tree.h5") == (tmp_path / "tree.h5").read_bytes()


def test_a_part_is_fetched_without_the_rest(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    dump_tree({"big": rng.random(500_000), "small": 1.5}, "memory://tree.h5")
    monkeypatch.setattr(stores, "_WHOLE", 0)
    fetched: list[int] = []
    genuine = MemoryFileSystem.cat_file

    def counting(self: Any, path: str, start: int, end: int, **options: Any) -> bytes:
        fetched.append(end - start)
        return genuine(self, path, start=start, end=end, **options)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", counting)
    assert load_tree("memory://tree.h5", ("small",)) == 1.5
    assert 0 < sum(fetched) < 30_000
    fetched.clear()
    assert load_tree("memory://tree.h5", ("big",)).shape == (500_000,)
    assert 4_000_000 <= sum(fetched) < 4_030_000


@pytest.mark.parametrize("moment", ["put_file", "mv"])
def test_a_failed_upload_leaves_the_old_file(
    moment: str, memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump_tree({"v": 1}, "memory://a/tree.h5")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the network went away")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, moment, fail)
        with pytest.raises(StorageError, match=r"memory://a/tree\.h5: cannot be written.*the network went away"):
            dump_tree({"v": 2}, "memory://a/tree.h5")
    assert load_tree("memory://a/tree.h5") == {"v": 1}
    assert memory.find("/a") == ["/a/tree.h5"]


def test_an_object_store_replaces_with_one_request(memory: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_OBJECT_STORES", {"memory"})
    monkeypatch.setattr(MemoryFileSystem, "mv", None)  # in an object store a move is a copy
    dump_tree(TREE, "memory://tree.h5")
    assert tree_equal(load_tree("memory://tree.h5"), TREE)


def test_what_is_wrong_with_a_store_is_said(memory: MemoryFileSystem, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"memory://absent\.h5: cannot be read.*Materialise"):
        load_tree("memory://absent.h5")
    with pytest.raises(StorageError, match=r"nonsense://x\.h5.*fsspec"):
        load_tree("nonsense://x.h5")
    with pytest.raises(StorageError, match="cannot be read"):
        load_tree(f"file://{tmp_path}/absent.h5")
    memory.pipe_file("/foreign.h5", b"PK\3\4 a zip")
    with pytest.raises(StorageError, match=r"memory://foreign\.h5: not a pytree-h5 file \(10 bytes, beginning with"):
        load_tree("memory://foreign.h5")
    dump_tree(TREE, "memory://tree.h5")
    memory.pipe_file("/tree.h5", memory.cat_file("/tree.h5")[:-100])
    with pytest.raises(StorageError, match="it was cut"):
        load_tree("memory://tree.h5")


def test_partitions_may_be_anywhere(memory: MemoryFileSystem) -> None:
    dump_tree({"n": 7}, "memory://states/CA.h5")
    tree = PartitionedTree({key: f"memory://states/{key}.h5" for key in ("WY", "CA")}, name="states")
    assert (list(tree), tree.missing, tree["CA"], tree.load("CA", ("n",))) == (["CA"], ("WY",), {"n": 7}, 7)
    with pytest.raises(StorageError, match=r"'WY' has no file \(memory://states/WY\.h5\)"):
        tree["WY"]
