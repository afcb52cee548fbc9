"""Comparing trees to the last bit, by path. What a leaf is compared by is its fingerprint (`fingerprint`)."""

from __future__ import annotations

from typing import Any

from tessera.pytree.fingerprint import leaf_fingerprint
from tessera.pytree.tree import tree_flatten


def tree_equal(first: Any, second: Any) -> bool:
    """Whether two trees are the same to the last bit: structure, key order, types, dtypes, labels and values.

    NaN equals a NaN of the same bits. Leaves of types that cannot be stored raise `UnsupportedLeafError`.
    """
    return tree_diff(first, second) is None


def tree_diff(first: Any, second: Any) -> str | None:
    """The first ten differences between two trees, one a line, by path; None where they are equal to the last bit."""
    leaves, spec = tree_flatten(first)
    other_leaves, other_spec = tree_flatten(second)
    if spec != other_spec:
        return spec.diff(other_spec) or "the same leaves in containers of another type or order"
    differences = []
    for name, one, other in zip(spec.names, leaves, other_leaves, strict=True):
        a, b = leaf_fingerprint(one, name), leaf_fingerprint(other, name)
        if a.sha256 != b.sha256:
            differences.append(f"{name}: {a.kind} {a.dtype} {a.shape} and {b.kind} {b.dtype} {b.shape} differ")
    return "\n".join(differences[:10]) or None
