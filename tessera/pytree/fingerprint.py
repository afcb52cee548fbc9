"""sha256 of leaves and trees by content: the same whatever file, HDF5 version, compression or machine held them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tessera.pytree import tables  # noqa: F401 (registers the pandas leaf kinds)
from tessera.pytree.arrays import StoredArray, to_stored
from tessera.pytree.encoders import encode_leaf
from tessera.pytree.structure import dump_json
from tessera.pytree.tree import tree_flatten


@dataclass(frozen=True)
class LeafFingerprint:
    """A leaf ready to be written, with its sha256.

    Attributes:
        kind, dtype, shape: what the leaf is.
        header: canonical JSON that, with the arrays, is all that a reader needs.
        arrays: the arrays by name.
        sha256: of header and array bytes, in hexadecimal.
        nbytes: bytes of the arrays, uncompressed.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    header: str
    arrays: dict[str, StoredArray]
    sha256: str
    nbytes: int


def leaf_fingerprint(leaf: Any, where: str) -> LeafFingerprint:
    """Encode a leaf and hash it; `UnsupportedLeafError` names `where` it sits."""
    kind, encoded = encode_leaf(leaf, where)
    arrays = {name: to_stored(array) for name, array in encoded.parts.items()}
    described = {name: [array.dtype, list(array.shape), array.storage] for name, array in arrays.items()}
    header = dump_json({"kind": kind, "meta": encoded.meta, "arrays": described})
    return LeafFingerprint(
        kind=kind,
        dtype=encoded.dtype,
        shape=encoded.shape,
        header=header,
        arrays=arrays,
        sha256=hash_leaf(header, arrays.values()),
        nbytes=sum(array.data.nbytes for array in arrays.values() if array.data is not None),
    )


def hash_leaf(header: str, arrays: Iterable[StoredArray]) -> str:
    """sha256 of a leaf's header and array bytes."""
    digest = hashlib.sha256(header.encode("ascii"))
    for array in arrays:
        digest.update(b"\0")
        if array.data is not None:
            digest.update(np.ascontiguousarray(array.data).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def combine(structure: str, leaf_hashes: Iterable[str]) -> str:
    """sha256 of a tree from its structure and the sha256 of its leaves."""
    return hashlib.sha256("\n".join([structure, *leaf_hashes]).encode("ascii")).hexdigest()


def tree_sha256(tree: Any) -> str:
    """sha256 of a tree by content, the same as `dump_tree` reports; for data versions."""
    leaves, spec = tree_flatten(tree)
    hashes = (leaf_fingerprint(leaf, name).sha256 for leaf, name in zip(leaves, spec.names, strict=True))
    return combine(spec.structure, hashes)
