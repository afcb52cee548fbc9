"""Trees that hold only a part of a structure, matched by path and label; and how two leaves differ.

A node of the structure may be met by the same container with some of its keys, by a scalar, which goes for every number
below, or by None, which leaves all of them alone. A leaf with labels may be met by some of its labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tessera.errors import StructureError
from tessera.pytree.trees.containers import Node, leaf_texts
from tessera.pytree.trees.extraction import block_of
from tessera.pytree.trees.labels import positions_of
from tessera.pytree.trees.leaves import Codec, OpaqueCodec

if TYPE_CHECKING:
    from tessera.pytree.trees.spec import TreeSpec

Vector = npt.NDArray[np.float64]


def fill_in(spec: TreeSpec, tree: Any, fill: float, what: str) -> Vector:
    """The vector of a partial tree, shape (spec.size,); see `TreeSpec.partial`."""
    vector = np.full(spec.size, fill, dtype=np.float64)
    matcher = _Matcher(spec, vector)
    matcher.match(spec.root, tree, "")
    problems = matcher.problems
    if matcher.unmatched:
        listed = _few(matcher.unmatched)
        problems = [f"{listed} match{'es' if len(matcher.unmatched) == 1 else ''} nothing", *problems]
    if problems:
        raise StructureError(
            f"{what}: {'; '.join(problems[:8])}. The leaves are {_few(spec.names)}; give the same keys and labels."
        )
    return vector


class _Matcher:
    def __init__(self, spec: TreeSpec, vector: Vector) -> None:
        self.spec, self.vector = spec, vector
        self.unmatched: list[str] = []
        self.problems: list[str] = []

    def match(self, node: Node | int, tree: Any, path: str) -> None:
        spec = self.spec
        if tree is None:
            return
        if isinstance(node, int):
            start, stop = spec.offsets[node], spec.offsets[node + 1]
            try:
                self._leaf(spec.codecs[node], tree, self.vector[start:stop])
            except StructureError as error:
                self.problems.append(f"{path or '(root)'}: {error}")
            return
        form = spec.containers.form_for(tree)
        if form is None:
            self._broadcast(node, tree, path)
            return
        keys, children, _ = form.split(tree)
        mine = dict(node.each())
        for key, child in zip(keys, children, strict=True):
            if key in mine:
                self.match(mine[key], child, path + node.form.text(key))
            elif child is not None:
                self.unmatched.extend(leaf_texts(spec.containers.take_apart(child)[0], path + form.text(key)))

    def _broadcast(self, node: Node, tree: Any, path: str) -> None:
        try:
            values, _ = block_of(tree, self.spec.data_column)
        except StructureError as error:
            self.problems.append(f"{path or '(root)'}: {error}")
            return
        if values.ndim:
            self.problems.append(
                f"{path or '(root)'}: numbers of shape {values.shape} in place of a container; wanted a scalar or "
                "the container's own keys"
            )
            return
        self.vector[self.spec.offsets[node.start] : self.spec.offsets[node.stop]] = values

    def _leaf(self, codec: Codec, leaf: Any, target: Vector) -> None:
        if self.spec.containers.form_for(leaf) is not None:
            raise StructureError(f"a {type(leaf).__name__} in place of {codec.what}")
        values, labels = block_of(leaf, self.spec.data_column)
        if values.ndim == 0:
            target[:] = values
            return
        if values.ndim != len(codec.shape):
            raise StructureError(f"numbers of shape {values.shape} for {codec.what}")
        block = target.reshape(codec.shape)
        if labels is None or all(label is None for label in labels):
            if values.shape != codec.shape:
                raise StructureError(f"shape {values.shape} instead of {codec.shape}")
            block[...] = values
            return
        where: list[npt.NDArray[Any]] = []
        for axis, (want, have) in enumerate(zip(codec.labels, labels, strict=True)):
            found = positions_of(have, values.shape[axis], want, codec.shape[axis], partial=True)
            where.append(np.arange(codec.shape[axis]) if found is None else found)
        mentioned = np.ix_(*(np.flatnonzero(found >= 0) for found in where))
        block[mentioned] = values[np.ix_(*(found[found >= 0] for found in where))]


def codec_difference(one: Codec, other: Codec) -> str | None:
    """How the numbers of two leaves differ in shape or labels; None where only the order of labels does."""
    if isinstance(one, OpaqueCodec) or isinstance(other, OpaqueCodec):
        return None if type(one) is type(other) else f"{one.what} and {other.what}"
    if len(one.shape) != len(other.shape):
        return f"{one.what} and {other.what}"
    try:
        for axis, (want, have) in enumerate(zip(one.labels, other.labels, strict=True)):
            positions_of(have, other.shape[axis], want, one.shape[axis])
    except StructureError as error:
        return str(error)
    return None


def _few(texts: list[str] | tuple[str, ...], limit: int = 8) -> str:
    shown = ", ".join(texts[:limit])
    return f"{shown} and {len(texts) - limit} more" if len(texts) > limit else shown
