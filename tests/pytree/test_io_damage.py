"""Tree files that are foreign, forged, cut or flipped: the old file stays, and only our errors come out."""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import StorageError, StructureError, TesseraError
from tessera.pytree import envelope
from tessera.pytree.io import describe_tree, dump_tree, format_tree, load_tree
from tessera.pytree.registry import register_dataclass

TABLE_TREE = {"t": pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}), "m": sp.csr_array(np.eye(3)), "v": np.arange(9.0)}


@dataclass(frozen=True)
class Box:
    content: Any
    label: str


register_dataclass(Box)


def test_a_crash_before_the_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tree.h5"
    dump_tree({"v": 1}, path)

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        dump_tree({"v": 2}, path)
    monkeypatch.undo()
    assert load_tree(path) == {"v": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["tree.h5"]


def edit(path: Path, change: Any) -> Path:
    """Alter a file through HDF5 and seal it again, as a forger would."""
    with h5py.File(path, "r+") as file:
        change(file)
    envelope.seal(path)
    return path


def test_files_that_are_not_ours_say_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        load_tree(tmp_path / "absent.h5")
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = 1
    with pytest.raises(StorageError, match="not a pytree-h5 file"):
        load_tree(foreign)
    pickled = tmp_path / "pickled.h5"
    pickled.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(StorageError, match="not a pytree-h5 file"):
        describe_tree(pickled)
    newer = tmp_path / "newer.h5"
    dump_tree({"a": 1}, newer)
    newer.write_bytes(newer.read_bytes().replace(b"pytree-h5 1\n", b"pytree-h5 7\n", 1))
    with pytest.raises(StorageError, match=r"version 7.*up to version 1.*Upgrade"):
        load_tree(newer)


def test_classes_are_never_imported_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    for name, message in (
        ("os:stat_result", "not registered"),
        ("tessera.errors:StorageError", "no dataclass"),
        ("tessera.nowhere:X", "no module"),
        ("antigravity:X", "not registered"),
    ):
        dump_tree({"b": Box(1, "x")}, path)

        def forge(file: h5py.File, name: str = name) -> None:
            text = bytes(file.attrs["tree"]).decode()
            file.attrs["tree"] = np.bytes_(text.replace(f"{Box.__module__}:Box", name).encode())

        edit(path, forge)
        with pytest.raises(StructureError, match=message):
            load_tree(path)
    assert "antigravity" not in sys.modules


def test_a_changed_class_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    dump_tree({"b": Box(1, "x")}, path)
    edit(
        path,
        lambda file: file.attrs.__setitem__("tree", np.bytes_(bytes(file.attrs["tree"]).replace(b"label", b"other"))),
    )
    with pytest.raises(StructureError, match=r"fields content, other; this version has content, label"):
        load_tree(path)


def test_forged_contents_raise_only_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"

    def drop(file: h5py.File) -> None:
        del file["leaves/000001"]

    def retype(file: h5py.File) -> None:
        header = bytes(file["leaves/000000"].attrs["header"])
        file["leaves/000000"].attrs["header"] = np.bytes_(header.replace(b"<i8", b"|O8"))

    def reshape(file: h5py.File) -> None:
        header = bytes(file["leaves/000000"].attrs["header"])
        file["leaves/000000"].attrs["header"] = np.bytes_(header.replace(b"[3]", b"[9]"))

    def rekind(file: h5py.File) -> None:
        header = bytes(file["leaves/000000"].attrs["header"])
        file["leaves/000000"].attrs["header"] = np.bytes_(header.replace(b"numpy.ndarray", b"pickle.object"))

    def unstructure(file: h5py.File) -> None:
        file.attrs["tree"] = np.bytes_(b'{"dict":[[{"evil":1},"leaf:0"]]}')

    for change in (drop, retype, reshape, rekind, unstructure):
        dump_tree({"a": np.arange(3), "b": 2.5}, path)
        edit(path, change)
        with pytest.raises((StructureError, StorageError), match=r"tree\.h5"):
            load_tree(path)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_of_any_byte_is_seen(data: st.DataObject, tmp_path: Path) -> None:
    whole = tmp_path / "whole.h5"
    if not whole.exists():
        dump_tree(TABLE_TREE, whole)
    content = bytearray(whole.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(bytes(content))
    with pytest.raises(StorageError):
        load_tree(damaged)


def test_a_part_is_checked_by_its_own_sha256(tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    dump_tree({"a": np.arange(3.0), "b": np.arange(5.0)}, path)
    edit(path, lambda file: file["leaves/000001"].write_direct(np.zeros(5)))
    assert load_tree(path, ("a",)).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(StorageError, match=r"\['b'\]: the sha256"):
        load_tree(path, ("b",))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=700))
def test_arbitrary_bytes_raise_only_our_errors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "noise.h5"
    path.write_bytes(content)
    for read in (load_tree, describe_tree, format_tree):
        with pytest.raises(TesseraError):
            read(path)
