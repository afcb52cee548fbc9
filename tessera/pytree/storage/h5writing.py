"""A tree as HDF5: groups, datasets and attributes in an order that depends on nothing but the tree.

    /                attributes format, version, n_leaves, sha256 (of the content) and tree (structure, JSON)
    /leaves/000007   one dataset, or a group of named datasets, with the attributes path, kind, dtype, shape, sha256
                     and header (what the decoder needs, JSON)

HDF5 writes the small things; for a large array it only sets the room aside, and threads write and hash its pieces.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from tessera.hdf5 import new_hdf5
from tessera.pytree.storage import envelope
from tessera.pytree.storage.contents import LeafSummary
from tessera.pytree.storage.envelope import Block
from tessera.pytree.storage.fingerprint import PackedLeaf, combine, combine_leaf, pack_leaf
from tessera.pytree.storage.pieces import LARGE, Crew, PieceSums, bytes_of, cuts, sums
from tessera.pytree.trees.structure import dump_json

AnyArray = npt.NDArray[Any]
_LIBVER = ("v108", "v110")
_ATTRIBUTE_LIMIT = 32_000  # HDF5 holds up to 64 kB in attributes of one object; longer text becomes a dataset
_CHUNK = 1 << 20
COMPRESS_TO = 1 << 24
_SAMPLES, _SAMPLE, _WORTH = 4, 1 << 12, 0.75
_IN_FLIGHT = 1 << 27
_SCALAR = h5py.h5s.create(h5py.h5s.SCALAR)


@dataclass
class _Pending:
    """A leaf whose arrays are being written.

    Attributes:
        contents: for each array its bytes, or the checksums of its pieces to come.
        places: where in the file those arrays begin that are written past HDF5; None for the others.
    """

    leaf: PackedLeaf
    name: str
    node: Any
    contents: list[memoryview | bytes | list[Future[PieceSums]]] = field(default_factory=list)
    places: list[int | None] = field(default_factory=list)


def write_tree(
    path: Path, structure: str, leaves: Sequence[Any], names: Sequence[str]
) -> tuple[list[LeafSummary], str]:
    """Write a file, envelope included.

    Args:
        path: an existing file that may be overwritten.
        structure: canonical JSON of the containers.
        leaves: the leaves, in order.
        names: the path of each as text.

    Returns:
        What was written of each leaf, and the sha256 of the content.
    """
    with Crew() as crew:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            with new_hdf5(path, libver=_LIBVER, userblock_size=envelope.SIZE, track_order=False) as file:
                writer = _Writer(file.create_group("leaves"), descriptor, crew)
                for number, (leaf, name) in enumerate(zip(leaves, names, strict=True)):
                    writer.add(f"{number:06d}", pack_leaf(leaf, name), name)
                writer.finish()
                sha256 = combine(structure, [leaf.sha256 for leaf in writer.done])
                _write_root(file, structure, len(leaves), sha256)
        finally:
            os.close(descriptor)
    envelope.seal(path, writer.blocks)
    return writer.done, sha256


class _Writer:
    """Writes leaves one after another; a leaf's attributes follow once its pieces are hashed.

    Attributes:
        done: the leaves that are complete.
        blocks: pieces of large arrays in the file.
    """

    def __init__(self, group: h5py.Group, descriptor: int, crew: Crew) -> None:
        self.done: list[LeafSummary] = []
        self.blocks: list[Block] = []
        self._group, self._descriptor, self._crew = group, descriptor, crew
        self._pending: deque[_Pending] = deque()
        self._in_flight = 0

    def add(self, number: str, leaf: PackedLeaf, name: str) -> None:
        """Begin a leaf. How many are open depends on their sizes alone, as the file's layout depends on it."""
        single = leaf.arrays.get("") if len(leaf.arrays) == 1 else None
        if single is not None and single.data is not None and len(leaf.header) <= _ATTRIBUTE_LIMIT:
            pending = _Pending(leaf, name, None)
            pending.node = self._put(pending, self._group, number, single.data, compress=False)
        else:
            pending = _Pending(leaf, name, self._group.create_group(number))
            for part, array in leaf.arrays.items():
                self._put(pending, pending.node, part or "values", array.data, compress=True)
        self._pending.append(pending)
        self._in_flight += leaf.nbytes
        while self._in_flight > _IN_FLIGHT:
            self._complete()

    def finish(self) -> None:
        """Complete all leaves."""
        while self._pending:
            self._complete()

    def _put(
        self, pending: _Pending, group: h5py.Group, name: str, data: AnyArray | None, *, compress: bool
    ) -> h5py.Dataset | None:
        content: memoryview | bytes | list[Future[PieceSums]] = b"" if data is None else bytes_of(data)
        place, dataset = None, None
        if data is not None and data.nbytes <= LARGE:
            dataset = group.create_dataset(name, data=data, track_times=False)
        elif data is not None and compress and data.nbytes <= COMPRESS_TO and _shrinks(data):
            content = [self._crew.start(sums, bytes_of(data)[start:stop]) for start, stop in cuts(data.nbytes)]
            dataset = _compressed(group, name, data)
        elif data is not None:
            dataset, place = _set_aside(group, name, data)
            pieces = [(place + start, bytes_of(data)[start:stop]) for start, stop in cuts(data.nbytes)]
            content = [self._crew.start(self._write_piece, *piece) for piece in pieces]
        pending.contents.append(content)
        pending.places.append(place)
        return dataset

    def _write_piece(self, place: int, content: memoryview) -> PieceSums:
        done = 0
        while done < len(content):
            done += os.pwrite(self._descriptor, content[done:], place + done)
        return sums(content)

    def _complete(self) -> None:
        pending = self._pending.popleft()
        leaf = pending.leaf
        self._in_flight -= leaf.nbytes
        contents: list[memoryview | bytes | list[bytes]] = []
        for place, content, array in zip(pending.places, pending.contents, leaf.arrays.values(), strict=True):
            if not isinstance(content, list):
                contents.append(content)
                continue
            pieces = [future.result() for future in content]
            contents.append([piece.sha256 for piece in pieces])
            if place is not None and array.data is not None:
                for (start, stop), piece in zip(cuts(array.data.nbytes), pieces, strict=True):
                    self.blocks.append(Block(place + start, stop - start, piece.sha256, piece.words))
        summary = LeafSummary(
            pending.name, leaf.kind, leaf.dtype, leaf.shape, leaf.nbytes, combine_leaf(leaf.header, contents)
        )
        _describe(pending.node, summary, leaf.header)
        self.done.append(summary)


def _set_aside(group: h5py.Group, name: str, data: AnyArray) -> tuple[h5py.Dataset, int]:
    """A dataset whose room in the file is taken but not written, and where it begins."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    kind = h5py.h5t.py_create(data.dtype, logical=True)
    made = h5py.h5d.create(group.id, name.encode("utf-8"), kind, h5py.h5s.create_simple(data.shape or (1,)), plan)
    return h5py.Dataset(made), int(made.get_offset())


def _compressed(group: h5py.Group, name: str, data: AnyArray) -> h5py.Dataset:
    rows = max(1, _CHUNK // max(1, data.nbytes // data.shape[0]))
    chunks = (min(rows, data.shape[0]), *data.shape[1:])
    options: dict[str, Any] = {"chunks": chunks, "compression": "gzip", "compression_opts": 1, "shuffle": True}
    return group.create_dataset(name, data=data, track_times=False, **options)


def _shrinks(data: AnyArray) -> bool:
    """Whether a few samples compress enough to be worth the time; random numbers do not."""
    content, width = bytes_of(data), data.dtype.itemsize
    length = max(width, _SAMPLE // width * width)
    starts = [int(place) // width * width for place in np.linspace(0, len(content) - length, _SAMPLES)]
    packed = size = 0
    for start in starts:
        sample = np.frombuffer(content[start : start + length], dtype=np.uint8)
        packed += len(zlib.compress(sample.reshape(-1, width).T.tobytes(), 1))
        size += length
    return packed < _WORTH * size


def _write_root(file: h5py.File, structure: str, n_leaves: int, sha256: str) -> None:
    _put_text(file, "format", envelope.FORMAT)
    file.attrs.create("version", np.int64(envelope.VERSION))
    file.attrs.create("n_leaves", np.int64(n_leaves))
    _put_text(file, "sha256", sha256)
    _put_text(file, "tree", structure)


def _describe(node: Any, leaf: LeafSummary, header: str) -> None:
    _put_text(node, "path", leaf.path if len(leaf.path) <= 2000 else f"{leaf.path[:2000]}...")
    _put_text(node, "kind", leaf.kind)
    _put_text(node, "dtype", leaf.dtype)
    _put_text(node, "shape", dump_json(list(leaf.shape)))
    _put_text(node, "sha256", leaf.sha256)
    _put_text(node, "header", header)


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
