"""Trees in HDF5 files, format `pytree-h5` version 1 (docs/ep-01-pytree-hdf5.md): dump, load, describe.

    bytes 0..511     user block: format, version, size and sha256 of all that follows, as text (`head -4 file.h5`)
    /                attributes format, version, n_leaves, sha256 (of the content) and tree (structure, JSON)
    /leaves/000007   one dataset, or a group of named datasets, with the attributes path, kind, dtype, shape, sha256
                     and header (what the decoder needs, JSON)

The same tree gives the same bytes. Writing is atomic. Reading checks the size and the sha256 of the file before HDF5
sees it (or, for a part of a tree, the sha256 of each leaf that is read), imports no classes but ours or registered
ones, and unpickles nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from tessera.errors import StorageError, StructureError, TesseraError
from tessera.hdf5 import new_hdf5
from tessera.pytree import envelope
from tessera.pytree.arrays import StoredArray, from_stored
from tessera.pytree.encoders import decode_leaf
from tessera.pytree.fingerprint import LeafFingerprint, combine, hash_leaf, leaf_fingerprint
from tessera.pytree.structure import dump_json, load_json, path_text
from tessera.pytree.tree import TreeSpec, fill_skeleton, find_subtree, tree_flatten
from tessera.store import atomic_path

_LIBVER = ("v108", "v110")
_ATTRIBUTE_LIMIT = 32_000  # HDF5 holds up to 64 kB in attributes of one object; longer text becomes a dataset
_COMPRESS_FROM, _COMPRESS_TO = 1 << 16, 1 << 24
_CHUNK_BYTES = 1 << 20
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, OverflowError, AttributeError, MemoryError)


@dataclass(frozen=True)
class LeafSummary:
    """What a file holds at one path: kind, dtype and shape of the leaf, bytes before compression, sha256."""

    path: str
    kind: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class TreeSummary:
    """What a file holds.

    Attributes:
        bytes: size of the file.
        n_leaves: number of leaves.
        sha256: of the content; equals `fingerprint.tree_sha256` of the tree. For data versions.
        leaves: one row a leaf, in order.
        structure: the containers.
    """

    bytes: int
    n_leaves: int
    sha256: str
    leaves: tuple[LeafSummary, ...]
    structure: TreeSpec


def dump_tree(tree: Any, path: Path | str) -> TreeSummary:
    """Write a tree to a file, atomically; folders are made.

    Args:
        tree: any nesting of containers with storable leaves (see `encoders`).
        path: the file; an existing one is replaced only when the new one is complete.

    Raises:
        UnsupportedLeafError: for a leaf that cannot be stored; names its path, type and the call that registers one.
        StructureError: for keys or nesting that cannot be stored.
        StorageError: where the file cannot be written.
    """
    path = Path(path)
    leaves, spec = tree_flatten(tree)
    summaries: list[LeafSummary] = []
    with atomic_path(path) as temporary:
        with new_hdf5(temporary, libver=_LIBVER, userblock_size=envelope.SIZE, track_order=False) as file:
            group = file.create_group("leaves")
            for number, (leaf, name) in enumerate(zip(leaves, spec.names, strict=True)):
                encoded = leaf_fingerprint(leaf, name)
                _write_leaf(group, f"{number:06d}", encoded, name)
                summaries.append(
                    LeafSummary(name, encoded.kind, encoded.dtype, encoded.shape, encoded.nbytes, encoded.sha256)
                )
            sha256 = combine(spec.structure, [summary.sha256 for summary in summaries])
            _write_root(file, spec, sha256)
        envelope.seal(temporary)
        size = temporary.stat().st_size
    return TreeSummary(size, len(leaves), sha256, tuple(summaries), spec)


def load_tree(path: Path | str, subpath: str | Iterable[Any] | None = None, *, verify: bool = True) -> Any:
    """Read a tree, or a part of it, exactly as it was written.

    Args:
        path: a file of `dump_tree`.
        subpath: text of a path (`"['tables'][0]"`) or its keys (`("tables", 0)`); only the leaves below it are read.
        verify: check the sha256 of what is read (0.6 s per GB).

    Raises:
        StorageError: for a missing, truncated, altered or foreign file, or one of a newer version.
        StructureError: for a part that is not there, or contents that do not fit together.
    """
    path = Path(path)
    envelope.check(path, digest=verify and subpath is None)
    with _opened(path) as file:
        spec = _read_spec(file)
        skeleton = spec.skeleton if subpath is None else find_subtree(spec, subpath)
        wanted = _numbers(skeleton)
        each = verify and subpath is not None
        leaves: dict[int, Any] = {
            number: _read_leaf(file, number, path_text(spec.paths[number]), verify=each) for number in wanted
        }
    try:
        return fill_skeleton(skeleton, leaves)
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from error


def describe_tree(path: Path | str) -> TreeSummary:
    """What a file holds, without reading the leaves."""
    path = Path(path)
    envelope.check(path, digest=False)
    with _opened(path) as file:
        spec = _read_spec(file)
        leaves = tuple(_describe_leaf(file, number, name) for number, name in enumerate(spec.names))
        sha256 = _text(file, "sha256")
    return TreeSummary(path.stat().st_size, spec.n_leaves, sha256, leaves, spec)


def format_tree(path: Path | str) -> str:
    """A file's contents as text for people: a heading, then a line a leaf. For `tessera tree FILE`."""
    summary = describe_tree(path)
    rows = [(leaf.path, leaf.kind, _shape_text(leaf.shape), leaf.dtype, f"{leaf.nbytes:,}") for leaf in summary.leaves]
    header = ("path", "kind", "shape", "dtype", "bytes")
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)]
    title = f"{path}: {summary.n_leaves} leaves, {summary.bytes:,} bytes, sha256 {summary.sha256}"
    return "\n".join([title, *(line.rstrip() for line in lines)])


_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)

# --- writing ----------------------------------------------------------------------------------------------------------


def _write_root(file: h5py.File, spec: TreeSpec, sha256: str) -> None:
    _put_text(file, "format", envelope.FORMAT)
    file.attrs.create("version", np.int64(envelope.VERSION))
    file.attrs.create("n_leaves", np.int64(spec.n_leaves))
    _put_text(file, "sha256", sha256)
    _put_text(file, "tree", spec.structure)


def _write_leaf(group: h5py.Group, name: str, leaf: LeafFingerprint, path: str) -> None:
    if list(leaf.arrays) == [""] and leaf.arrays[""].data is not None and len(leaf.header) <= _ATTRIBUTE_LIMIT:
        node = _write_array(group, name, leaf.arrays[""].data)
    else:
        node = group.create_group(name)
        for part, array in leaf.arrays.items():
            if array.data is not None:
                _write_array(node, part or "values", array.data)
    _put_text(node, "path", path if len(path) <= 2000 else f"{path[:2000]}...")
    _put_text(node, "kind", leaf.kind)
    _put_text(node, "dtype", leaf.dtype)
    _put_text(node, "shape", dump_json(list(leaf.shape)))
    _put_text(node, "sha256", leaf.sha256)
    _put_text(node, "header", leaf.header)


def _write_array(group: h5py.Group, name: str, data: npt.NDArray[Any]) -> h5py.Dataset:
    options: dict[str, Any] = {}
    if data.ndim and _COMPRESS_FROM <= data.nbytes <= _COMPRESS_TO:
        rows = max(1, _CHUNK_BYTES // max(1, data.nbytes // data.shape[0]))
        chunks = (min(rows, data.shape[0]), *data.shape[1:])
        options = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    return group.create_dataset(name, data=data, track_times=False, **options)


def _put_text(node: Any, name: str, text: str) -> None:
    content = text.encode("utf-8")
    if len(content) > _ATTRIBUTE_LIMIT:
        holder = node if isinstance(node, h5py.Group) else node.parent
        holder.create_dataset(f"@{name}", data=np.frombuffer(content, dtype=np.uint8), track_times=False)
        return
    _put_bytes(node, name, content or b" ")


def _put_bytes(node: Any, name: str, content: bytes) -> None:
    """A fixed-length string attribute through HDF5's own calls: a third of the time of `attrs.create`."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(content))
    kind.set_strpad(h5py.h5t.STR_NULLPAD)
    kind.set_cset(h5py.h5t.CSET_UTF8)
    attribute = h5py.h5a.create(node.id, name.encode("ascii"), kind, _SCALAR)
    attribute.write(np.array(content), mtype=kind)


# --- reading ----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file, open; whatever HDF5 or a damaged content raises becomes an error of ours that names the file."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from error
    except TesseraError as error:
        raise StorageError(f"{path}: {error}") from error
    except _DAMAGE as error:
        raise StorageError(
            f"{path}: the contents cannot be read ({type(error).__name__}: {error}); the file is damaged. "
            "Materialise it again."
        ) from error


def _read_spec(file: h5py.File) -> TreeSpec:
    spec = TreeSpec(_text(file, "tree"))
    stored = len(file["leaves"])
    if spec.n_leaves != stored or int(file.attrs["n_leaves"]) != stored:
        raise StructureError(
            f"the structure has {spec.n_leaves} leaves, the file holds {stored}; it is damaged, materialise it again."
        )
    return spec


def _read_leaf(file: h5py.File, number: int, where: str, *, verify: bool) -> Any:
    node = file[f"leaves/{number:06d}"]
    text = _text(node, "header")
    header = load_json(text, f"{where}: the header")
    stored = {name: _read_array(node, name, *described) for name, described in header["arrays"].items()}
    if verify and hash_leaf(text, stored.values()) != _text(node, "sha256"):
        raise StorageError(f"{where}: the sha256 does not fit the contents; the file is damaged. Materialise it again.")
    parts = {name: from_stored(array.data, array.dtype, array.shape, array.storage) for name, array in stored.items()}
    return decode_leaf(header["kind"], parts, header["meta"], where)


def _read_array(node: Any, name: str, dtype: str, shape: list[int], storage: str) -> StoredArray:
    if storage == "empty":
        return StoredArray(None, dtype, tuple(shape), storage)
    dataset = node if isinstance(node, h5py.Dataset) else node[name or "values"]
    if dataset.shape == ():  # indexing would make a Python object of it and lose the width of text
        content = np.empty((), dtype=dataset.dtype)
        dataset.read_direct(content)
    else:
        content = dataset[()]
    return StoredArray(content, dtype, tuple(shape), storage)


def _describe_leaf(file: h5py.File, number: int, name: str) -> LeafSummary:
    node = file[f"leaves/{number:06d}"]
    header = load_json(_text(node, "header"), f"{name}: the header")
    nbytes = 0
    for part, (_, _, storage) in header["arrays"].items():
        if storage != "empty":
            nbytes += (node if isinstance(node, h5py.Dataset) else node[part or "values"]).nbytes
    shape = tuple(load_json(_text(node, "shape"), f"{name}: the shape"))
    return LeafSummary(name, _text(node, "kind"), _text(node, "dtype").strip(), shape, nbytes, _text(node, "sha256"))


def _text(node: Any, name: str) -> str:
    if name in node.attrs:
        content: bytes = bytes(node.attrs[name])
    else:
        content = node[f"@{name}"][()].tobytes()
    return content.decode("utf-8")


def _numbers(skeleton: Any) -> list[int]:
    from tessera.pytree.structure import children_of

    if isinstance(skeleton, int):
        return [skeleton]
    return [number for _, child in children_of(skeleton) for number in _numbers(child)]


def _shape_text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "scalar"
