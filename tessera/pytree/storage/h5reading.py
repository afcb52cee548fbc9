"""A tree file read back: every byte is checked first, and a forged file gets nothing but an error.

What a file of ours never has is refused before HDF5 acts on it: links to other files, external or virtual data, filters
other than shuffle and gzip, compressed arrays of more than 16 MiB. So reading opens no other file, loads no plug-in,
and takes no more memory than the file's size, and 16 MiB for each compressed array, can account for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from tessera.errors import StorageError, StructureError, TesseraError
from tessera.pytree.storage.arrays import StoredArray, from_stored
from tessera.pytree.storage.checked import Check, CheckedFile
from tessera.pytree.storage.contents import LeafSummary
from tessera.pytree.storage.encoders import decode_leaf
from tessera.pytree.storage.h5writing import COMPRESS_TO
from tessera.pytree.storage.pieces import LARGE, Crew, bytes_of
from tessera.pytree.storage.stores import Source
from tessera.pytree.trees.stored import StoredStructure
from tessera.pytree.trees.structure import load_json

AnyArray = npt.NDArray[Any]
_DAMAGE = (OSError, LookupError, ValueError, TypeError, RuntimeError, OverflowError, AttributeError, MemoryError)
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}
_DIRECT = "biufS"
_IN_FLIGHT = 1 << 27


@dataclass
class _Begun:
    """A leaf whose arrays are being read; `waiting` for what is not there yet."""

    number: int
    where: str
    kind: str
    meta: Any
    waiting: list[Future[None]]
    stored: dict[str, StoredArray]

    @property
    def nbytes(self) -> int:
        return sum(array.data.nbytes for array in self.stored.values() if array.data is not None)

    def leaf(self) -> Any:
        for piece in self.waiting:
            piece.result()
        parts = {}
        for name, array in self.stored.items():
            if array.data is not None and array.data.dtype.kind == "b":
                _refuse_other_truths(array.data)
            parts[name] = from_stored(array.data, array.dtype, array.shape, array.storage)
        return decode_leaf(self.kind, parts, self.meta, self.where)


class TreeReader:
    """An open tree file.

    Attributes:
        spec: the structure.
        sha256: of the content.
    """

    def __init__(self, file: h5py.File, content: CheckedFile, crew: Crew) -> None:
        self._file, self._content, self._crew = file, content, crew
        self.sha256 = self._text(file, "sha256")
        self.spec = StoredStructure(self._text(file, "tree"))
        stored = len(file["leaves"])
        if self.spec.n_leaves != stored or int(file.attrs["n_leaves"]) != stored:
            raise StructureError(
                f"the structure has {self.spec.n_leaves} leaves, the file holds {stored}; it is damaged, materialise "
                "it again."
            )

    def leaves(self, wanted: Iterable[tuple[int, str]]) -> dict[int, Any]:
        """Leaves by number.

        Args:
            wanted: the number of each, and where it sits, for messages.
        """
        done: dict[int, Any] = {}
        begun: deque[_Begun] = deque()
        in_flight = 0
        for number, where in wanted:
            begun.append(self._begin(number, where))
            in_flight += begun[-1].nbytes
            while in_flight > _IN_FLIGHT and begun:
                first = begun.popleft()
                in_flight -= first.nbytes
                done[first.number] = first.leaf()
        return done | {leaf.number: leaf.leaf() for leaf in begun}

    def description(self, number: int, where: str) -> LeafSummary:
        """What there is of a leaf, without reading its arrays."""
        node = self._node(number)
        header = load_json(self._text(node, "header"), f"{where}: the header")
        described = header["arrays"].items()
        nbytes = sum(self._dataset(node, part).nbytes for part, (_, _, storage) in described if storage != "empty")
        shape = tuple(load_json(self._text(node, "shape"), f"{where}: the shape"))
        kind, dtype = self._text(node, "kind"), self._text(node, "dtype").strip()
        return LeafSummary(where, kind, dtype, shape, nbytes, self._text(node, "sha256"))

    def check_rest(self) -> None:
        """Check what was not read."""
        self._content.check_rest(self._crew)

    def _node(self, number: int) -> h5py.Group | h5py.Dataset:
        return _plain_child(self._file["leaves"], f"{number:06d}")

    def _begin(self, number: int, where: str) -> _Begun:
        node = self._node(number)
        header = load_json(self._text(node, "header"), f"{where}: the header")
        begun = _Begun(number, where, header["kind"], header["meta"], [], {})
        for name, (dtype, shape, storage) in header["arrays"].items():
            data = None if storage == "empty" else self._read(self._dataset(node, name), begun.waiting)
            begun.stored[name] = StoredArray(data, dtype, tuple(shape), storage)
        return begun

    def _dataset(self, node: Any, name: str) -> h5py.Dataset:
        dataset = node if isinstance(node, h5py.Dataset) else _plain_child(node, name or "values")
        if not isinstance(dataset, h5py.Dataset):
            raise StructureError(f"{dataset.name} is no dataset; the file is damaged or forged, materialise it again.")
        return dataset

    def _read(self, dataset: h5py.Dataset, waiting: list[Future[None]]) -> AnyArray:
        plan = dataset.id.get_create_plist()
        _refuse_what_is_never_written(dataset, plan)
        place = dataset.id.get_offset() if plan.get_layout() == h5py.h5d.CONTIGUOUS else None
        if plan.get_layout() != h5py.h5d.CHUNKED and dataset.nbytes > self._content.size - (place or 0):
            raise StructureError(f"{dataset.name} has {dataset.nbytes} bytes, more than the file; it is forged.")
        if place is not None and dataset.nbytes > LARGE and dataset.dtype.kind in _DIRECT:
            content = np.empty(dataset.shape, dtype=dataset.dtype)
            pieces = self._content.read_large(place, bytes_of(content), self._crew)
            if pieces is not None:
                waiting += pieces
                return content
        if dataset.shape == ():  # indexing would make a Python object of it and lose the width of text
            content = np.empty((), dtype=dataset.dtype)
            dataset.read_direct(content)
            return content
        return dataset[()]

    def _text(self, node: Any, name: str) -> str:
        if name in node.attrs:
            return bytes(node.attrs[name]).decode("utf-8")
        holder = node if isinstance(node, h5py.Group) else node.parent
        waiting: list[Future[None]] = []
        content = self._read(self._dataset(holder, f"@{name}"), waiting)
        for piece in waiting:
            piece.result()
        return content.tobytes().decode("utf-8")


@contextmanager
def opened_tree(source: Source, *, verify: Check) -> Iterator[TreeReader]:
    """A tree file, open; whatever HDF5 or a damaged content raises becomes an error of ours that names the file."""
    content = CheckedFile(source, verify=verify)
    content.check_start()
    try:
        with Crew() as crew, h5py.File(content, "r") as file:
            yield TreeReader(file, content, crew)
    except TesseraError as error:
        kind = StructureError if isinstance(error, StructureError) else StorageError
        text = str(error) if str(error).startswith(source.name) else f"{source.name}: {error}"
        raise content.error or kind(text) from error
    except _DAMAGE as error:
        raise content.error or StorageError(
            f"{source.name}: the contents cannot be read ({type(error).__name__}: {error}); the file is damaged. "
            "Materialise it again."
        ) from error
    if content.error is not None:
        raise content.error


def _plain_child(group: h5py.Group, name: str) -> Any:
    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise StructureError(f"{group.name}/{name} links elsewhere, which no file of ours does; it is forged.")
    return group[name]


def _refuse_what_is_never_written(dataset: h5py.Dataset, plan: Any) -> None:
    filters = {plan.get_filter(number)[0] for number in range(plan.get_nfilters())}
    chunked = plan.get_layout() == h5py.h5d.CHUNKED
    if dataset.is_virtual or plan.get_external_count() or not filters <= _FILTERS or dataset.dtype.hasobject:
        raise StructureError(f"{dataset.name} is stored as no file of ours stores an array; it is forged.")
    if chunked and dataset.nbytes > COMPRESS_TO:
        raise StructureError(f"{dataset.name} would unpack to {dataset.nbytes} bytes; it is forged.")


def _refuse_other_truths(content: AnyArray) -> None:
    if content.size and content.view(np.uint8).max() > 1:
        raise StructureError("an array of truth values holds other numbers; the file is forged.")
