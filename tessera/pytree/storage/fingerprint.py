"""sha256 of leaves and trees by content: the same whatever file, HDF5 version, compression or machine held them.

leaf = sha256(header, for each array: zero byte, then its bytes or, beyond 64 KiB, the sha256 of its 4 MiB pieces)
tree = sha256(structure, leaf 0, leaf 1, ..., in hexadecimal, one a line)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tessera.pytree.storage import tables  # noqa: F401 (registers the pandas leaf kinds)
from tessera.pytree.storage.arrays import StoredArray, to_stored
from tessera.pytree.storage.encoders import encode_leaf
from tessera.pytree.storage.pieces import LARGE, Crew, bytes_of
from tessera.pytree.trees.stored import stored_flatten
from tessera.pytree.trees.structure import dump_json


@dataclass(frozen=True)
class PackedLeaf:
    """A leaf ready to be hashed or written.

    Attributes:
        kind, dtype, shape: what the leaf is.
        header: canonical JSON that, with the arrays, is all that a reader needs.
        arrays: the arrays by name.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    header: str
    arrays: dict[str, StoredArray]

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, uncompressed."""
        return sum(array.data.nbytes for array in self.arrays.values() if array.data is not None)


@dataclass(frozen=True)
class LeafFingerprint:
    """What a leaf is, and its sha256 in hexadecimal; leaves with the same one are the same to the last bit."""

    kind: str
    dtype: str
    shape: tuple[int, ...]
    sha256: str


def leaf_fingerprint(leaf: Any, where: str) -> LeafFingerprint:
    """Encode a leaf and hash it; `UnsupportedLeafError` names `where` it sits."""
    packed = pack_leaf(leaf, where)
    with Crew() as crew:
        return LeafFingerprint(packed.kind, packed.dtype, packed.shape, leaf_sha256(packed, crew))


def pack_leaf(leaf: Any, where: str) -> PackedLeaf:
    """Encode a leaf; `UnsupportedLeafError` names `where` it sits."""
    kind, encoded = encode_leaf(leaf, where)
    arrays = {name: to_stored(array) for name, array in encoded.parts.items()}
    described = {name: [array.dtype, list(array.shape), array.storage] for name, array in arrays.items()}
    header = dump_json({"kind": kind, "meta": encoded.meta, "arrays": described})
    return PackedLeaf(kind, encoded.dtype, encoded.shape, header, arrays)


def combine_leaf(header: str, contents: Iterable[bytes | memoryview | list[bytes]]) -> str:
    """sha256 of a leaf from its header and, for each array, its bytes or the sha256 of its pieces."""
    digest = hashlib.sha256(header.encode("ascii"))
    for content in contents:
        digest.update(b"\0")
        digest.update(b"".join(content) if isinstance(content, list) else content)
    return digest.hexdigest()


def combine(structure: str, leaf_hashes: Iterable[str]) -> str:
    """sha256 of a tree from its structure and the sha256 of its leaves."""
    return hashlib.sha256("\n".join([structure, *leaf_hashes]).encode("ascii")).hexdigest()


def tree_sha256(tree: Any) -> str:
    """sha256 of a tree by content, the same as `dump_tree` reports; for data versions."""
    leaves, spec = stored_flatten(tree)
    with Crew() as crew:
        hashes = [leaf_sha256(pack_leaf(leaf, name), crew) for leaf, name in zip(leaves, spec.names, strict=True)]
    return combine(spec.structure, hashes)


def leaf_sha256(leaf: PackedLeaf, crew: Crew) -> str:
    """sha256 of a packed leaf."""
    contents: list[bytes | memoryview | list[bytes]] = []
    for array in leaf.arrays.values():
        content = b"" if array.data is None else bytes_of(array.data)
        contents.append(crew.digests(content) if isinstance(content, memoryview) and len(content) > LARGE else content)
    return combine_leaf(leaf.header, contents)
