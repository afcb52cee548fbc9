"""Tree files that are foreign, forged, cut or flipped: the old file stays, and only our errors come out."""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
import tracemalloc
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
from tessera.pytree.io import describe_tree, dump_tree, format_tree, load_tree
from tessera.pytree.registry import register_dataclass
from tessera.pytree.storage import envelope
from tessera.pytree.storage.stores import opened

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
    newer.write_bytes(newer.read_bytes().replace(b"pytree-h5 2\n", b"pytree-h5 7\n", 1))
    with pytest.raises(StorageError, match=r"version 7.*up to version 2.*Upgrade"):
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


@pytest.mark.parametrize("size", [100, 20_000, 2_000_000])
def test_a_part_is_checked_without_the_rest(size: int, tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    rng = np.random.default_rng(size)
    tree = {"a": rng.random(size), "b": rng.random(size)}
    dump_tree(tree, path)
    content = bytearray(path.read_bytes())
    content[content.index(tree["b"].tobytes()) + 8 * size - 1] ^= 1
    path.write_bytes(bytes(content))
    for wanted in (None, ("b",)):
        with pytest.raises(StorageError, match=r"tree\.h5.*differ from their .*altered or damaged"):
            load_tree(path, wanted)
    if size > 100:  # small leaves share a block
        assert np.array_equal(load_tree(path, ("a",)), tree["a"])
    assert not np.array_equal(load_tree(path, verify=False)["b"], tree["b"])


def test_the_sha256_of_large_arrays_is_compared_where_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    dump_tree(np.random.default_rng(1).random(20_000), path)
    text = path.read_bytes()
    with opened(path) as source:
        layout = envelope.read_layout(source)
    large = next(block for block in layout.blocks if block.words is not None)
    forged = bytes.fromhex("00" * 32).hex().encode()
    table = text[int(text.split(b"\n")[2].split()[1]) :].replace(large.sha256.hex().encode(), forged)
    assert forged in table
    head = text[:512].replace(text.split(b"\n")[3].split()[1], hashlib.sha256(table).hexdigest().encode())
    path.write_bytes(head + text[512 : -len(table)] + table)
    assert load_tree(path).shape == (20_000,)
    with pytest.raises(StorageError, match=r"160000 bytes from .* differ from their sha256"):
        load_tree(path, verify="sha256")


FORGERIES = {
    "link to another file": lambda group, other: group.__setitem__("000000", h5py.ExternalLink(str(other), "/x")),
    "link within the file": lambda group, other: group.__setitem__("000000", h5py.SoftLink("/elsewhere")),
    "numbers of another file": lambda group, other: group.create_dataset(
        "000000", shape=(3,), dtype="i8", external=[(str(other), 0, 24)]
    ),
    "virtual": lambda group, other: group.create_virtual_dataset("000000", virtual_layout(other)),
    "bomb": lambda group, other: group.create_dataset(
        "000000", shape=(1 << 36,), dtype="i8", chunks=(1 << 20,), compression="gzip"
    ),
    "late bomb": lambda group, other: group.create_dataset("000000", shape=(1 << 36,), dtype="i8"),
    "other filter": lambda group, other: group.create_dataset(
        "000000", data=np.arange(3), chunks=(3,), fletcher32=True
    ),
    "objects": lambda group, other: group.create_dataset("000000", data=["a", "b", "c"]),
    "references": lambda group, other: group.create_dataset("000000", shape=(3,), dtype=h5py.ref_dtype),
    "a group": lambda group, other: group.create_group("000000"),
}


def virtual_layout(other: Path) -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout(shape=(3,), dtype="i8")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=(3,))
    return layout


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_file_opens_no_other_and_takes_no_memory(name: str, tmp_path: Path) -> None:
    other, path = tmp_path / "other.h5", tmp_path / "tree.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.arange(3)
    dump_tree(np.arange(3), path)

    def forge(file: h5py.File) -> None:
        attributes = dict(file["leaves/000000"].attrs)
        if name == "link within the file":
            file["elsewhere"] = file["leaves/000000"]
        del file["leaves/000000"]
        FORGERIES[name](file["leaves"], other)
        if isinstance(file["leaves"].get("000000", getlink=True), h5py.HardLink):
            file["leaves/000000"].attrs.update(attributes)

    edit(path, forge)
    tracemalloc.start()
    try:
        with pytest.raises((StructureError, StorageError), match=r"tree\.h5"):
            load_tree(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


HEADERS = {
    "rows beyond all memory": (b'"shape":[3,3]', b'"shape":[99999999999999,3]'),
    "negative rows": (b'"shape":[3,3]', b'"shape":[-3,3]'),
    "no rows": (b'"shape":[3,3]', b'"shape":[]'),
    "deep": (b'{"shape":[3,3]}', b"[" * 900 + b"]" * 900),
    "text": (b'"shape":[3,3]', b'"shape":"33"'),
    "numbers as text": (b'"shape":[3,3]', b'"shape":["3","3"]'),
    "not a number": (b'"shape":[3,3]', b'"shape":[NaN,3]'),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_forged_header_raises_only_our_errors(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    dump_tree(sp.csr_array(np.eye(3)), path)
    old, new = HEADERS[name]

    def forge(file: h5py.File) -> None:
        header = bytes(file["leaves/000000"].attrs["header"])
        assert old in header
        file["leaves/000000"].attrs["header"] = np.bytes_(header.replace(old, new))

    edit(path, forge)
    with pytest.raises(TesseraError, match=r"tree\.h5"):
        load_tree(path)


STRUCTURES = {
    "deep lists": b'{"list":[' * 2000 + b'"leaf:0"' + b"]}" * 2000,
    "deep keys": b'{"dict":[[' + b'{"tuple":[' * 600 + b"1" + b"]}" * 600 + b',"leaf:0"]]}',
    "long number": b'{"dict":[[{"int":"' + b"f" * 20_000 + b'z"},"leaf:0"]]}',
    "same leaf often": b'{"list":["leaf:0","leaf:0"]}',
    "call": b'{"namedtuple":["builtins:eval",[["source","leaf:0"]]]}',
    "module with effects": b'{"dataclass":["this:Zen",[["x","leaf:0"]]]}',
    "not JSON": b"__import__('os').abort()",
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_forged_structure_raises_only_our_errors(name: str, tmp_path: Path) -> None:
    path = tmp_path / "tree.h5"
    dump_tree(2.5, path)
    edit(path, lambda file: file.attrs.__setitem__("tree", np.bytes_(STRUCTURES[name])))
    for read in (load_tree, describe_tree):
        with pytest.raises(TesseraError, match=r"tree\.h5"):
            read(path)
    assert "this" not in sys.modules


_FUZZ = """
import random, resource, signal, sys
from pathlib import Path
from tessera.errors import TesseraError
from tessera.pytree.storage import envelope
from tessera.pytree.io import load_tree
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
whole, rng = Path(sys.argv[1]).read_bytes(), random.Random(5)
damaged = Path(sys.argv[1] + ".damaged")
counts = [0, 0]
for _ in range(300):
    content = bytearray(whole)
    for _ in range(rng.choice([1, 2, 8])):
        content[rng.randrange(512, len(content))] = rng.randrange(256)
    damaged.write_bytes(content)
    envelope.seal(damaged)
    signal.alarm(20)
    try:
        load_tree(damaged)
        counts[0] += 1
    except TesseraError:
        counts[1] += 1
print(*counts)
"""


def test_sealed_damage_never_ends_the_process(tmp_path: Path) -> None:
    """As a forger would send it: checksums fit, HDF5 and the decoders meet nonsense. In a process of its own."""
    path = tmp_path / "whole.h5"
    zoned = pd.Series(pd.date_range("2024", periods=2, tz="UTC").as_unit("ns"), index=pd.CategoricalIndex(["a", "b"]))
    dump_tree(TABLE_TREE | {"t2": pd.DataFrame({"x": np.zeros(20_000)}), "zoned": zoned, "c": (1 + 2j, b"x")}, path)
    done = subprocess.run([sys.executable, "-c", _FUZZ, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    fine, refused = map(int, done.stdout.split())
    assert fine + refused == 300 and refused > 30


def test_files_of_version_1_are_read_and_checked(tmp_path: Path) -> None:
    old = Path(__file__).parent / "data" / "version_1.h5"
    tree = load_tree(old)
    assert list(tree) == ["table", "sparse", "large", 3, "empty"]
    assert np.array_equal(tree["large"], np.arange(60_000) % 7) and tree[3] == [1, 2.5, None, "text", (b"\0", True)]
    assert tree["table"].loc["x", "name"] == "Añasco" and tree["table"]["n"].dtype == "Int64"
    assert (tree["sparse"].toarray() == np.eye(3)).all()
    assert load_tree(old, (3, 4, 0)) == b"\0" and describe_tree(old).n_leaves == 8
    again = dump_tree(tree, tmp_path / "new.h5")
    assert (tmp_path / "new.h5").read_bytes().startswith(b"pytree-h5 2\n")
    assert [leaf.path for leaf in again.leaves] == [leaf.path for leaf in describe_tree(old).leaves]
    content = bytearray(old.read_bytes())
    content[-300] ^= 1
    (tmp_path / "damaged.h5").write_bytes(bytes(content))
    for wanted in (None, (3, 0)):
        with pytest.raises(StorageError, match="the contents have the sha256"):
            load_tree(tmp_path / "damaged.h5", wanted)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=700))
def test_arbitrary_bytes_raise_only_our_errors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "noise.h5"
    path.write_bytes(content)
    for read in (load_tree, describe_tree, format_tree):
        with pytest.raises(TesseraError):
            read(path)


def test_a_damaged_start_does_not_crash_the_process_at_its_exit(tmp_path: Path) -> None:
    """A failed open of HDF5 through a stream did, long after the error had been dealt with."""
    path = tmp_path / "tree.h5"
    dump_tree({"a": np.arange(100.0)}, path)
    content = bytearray(path.read_bytes())
    content[512] ^= 1
    path.write_bytes(content)
    code = (
        "import sys\nfrom tessera.errors import StorageError\nfrom tessera.pytree import load_tree\n"
        "for wanted in (None, ('a',)):\n    try:\n        load_tree(sys.argv[1], wanted)\n"
        "    except StorageError as error:\n        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("altered or damaged") == 2
