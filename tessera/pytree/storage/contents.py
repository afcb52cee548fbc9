"""What a tree file holds, as plain values and as text for people. Reads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.pytree.trees.stored import StoredStructure


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
    structure: StoredStructure

    def text(self, title: str) -> str:
        """A heading, then a line a leaf."""
        header = ("path", "kind", "shape", "dtype", "bytes")
        rows = [(leaf.path, leaf.kind, _shape(leaf.shape), leaf.dtype, f"{leaf.nbytes:,}") for leaf in self.leaves]
        widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
        ]
        heading = f"{title}: {self.n_leaves} leaves, {self.bytes:,} bytes, sha256 {self.sha256}"
        return "\n".join([heading, *(line.rstrip() for line in lines)])


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "scalar"
