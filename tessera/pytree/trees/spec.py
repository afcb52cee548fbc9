"""`TreeSpec`: the structure of a tree, compiled once, between trees and float64 vectors. Holds none of the numbers.

    x[offsets[i] : offsets[i + 1]] = the numbers of leaf i, C order, aligned by path and by label

Dict keys keep their order of insertion in the vector, and are matched by key whatever their order in another tree; so
are the labels of Series, frames and sparse patterns. What leaves hold is in `leaves`, how containers are walked in
`containers`, names and indexes are in `naming`, sub-trees and broadcasting in `partial`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.trees import naming, partial
from tessera.pytree.trees.containers import (
    Containers,
    IsLeaf,
    Node,
    containers_for,
    describe_difference,
    leaf_keys,
    leaf_texts,
    put_together,
)
from tessera.pytree.trees.leaves import SCALAR, SCALAR_TYPES, Codec, Labels, OpaqueCodec, codec_of

Vector = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_MARK = 1 << 40  # positions carry this mark while a selector sees them, so that other numbers are told from them


class TreeSpec:
    """The structure of a tree: containers, paths, shapes and labels. Hashable, comparable, picklable.

    Made by `TreeSpec.of`. Two specs are equal where containers (types and order of keys), kinds of leaves, shapes and
    labels are; the other columns of frames are kept to rebuild them but not compared.

    Attributes:
        root: the containers; the number 0 where the tree is a single leaf.
        codecs: what each leaf holds, in order.
        containers: which types are containers.
        data_column: the column of a frame that holds its numbers.
    """

    def __init__(self, root: Node | int, codecs: list[Codec], containers: Containers, data_column: str) -> None:
        self.root, self.codecs, self.containers, self.data_column = root, codecs, containers, data_column
        self._blocks = _other_than_scalars(codecs)

    @classmethod
    def of(
        cls,
        tree: Any,
        *,
        registry: Mapping[Any, Mapping[str, Any]] | None = None,
        is_leaf: IsLeaf | None = None,
        data_column: str = "value",
    ) -> TreeSpec:
        """The structure of a tree.

        Args:
            tree: any nesting of containers and leaves.
            registry: containers in pybaum's format (see `registry`); None for the default ones.
            is_leaf: called with each container; True makes it a leaf.
            data_column: the column that holds the numbers of a frame that has it.
        """
        return cls.flatten(tree, registry=registry, is_leaf=is_leaf, data_column=data_column)[1]

    @classmethod
    def flatten(
        cls,
        tree: Any,
        *,
        registry: Mapping[Any, Mapping[str, Any]] | None = None,
        is_leaf: IsLeaf | None = None,
        data_column: str = "value",
    ) -> tuple[list[Any], TreeSpec]:
        """The leaves of a tree, in order, and its structure; arguments as in `of`."""
        containers = containers_for(registry, is_leaf)
        root, leaves = containers.take_apart(tree)
        return leaves, cls(root, _codecs(leaves, data_column), containers, data_column)

    def like(self, tree: Any) -> TreeSpec:
        """The structure of another tree, with the registry, `is_leaf` and data column of this one."""
        root, leaves = self.containers.take_apart(tree)
        return TreeSpec(root, _codecs(leaves, self.data_column), self.containers, self.data_column)

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def n_leaves(self) -> int:
        """Number of leaves."""
        return len(self.codecs)

    @cached_property
    def size(self) -> int:
        """Number of numbers; `StructureError` where a leaf holds none."""
        return int(self.offsets[-1])

    @cached_property
    def offsets(self) -> Integers:
        """Where the numbers of each leaf start in the vector, shape (n_leaves + 1,)."""
        self._check_numbers()
        sizes = np.ones(self.n_leaves + 1, dtype=np.int64)
        sizes[0] = 0
        for number in self._blocks:
            sizes[number + 1] = self.codecs[number].size
        return np.cumsum(sizes)

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape of each leaf's numbers: () for scalars, 1-d for Series and value-frames, 2-d for other frames."""
        self._check_numbers()
        return tuple(codec.shape for codec in self.codecs)

    @cached_property
    def paths(self) -> tuple[tuple[Any, ...], ...]:
        """The path of each leaf as plain keys, positions and field names."""
        return tuple(leaf_keys(self.root))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The path of each leaf as text, for instance `['a'][0].x`; the root is `(root)`."""
        return tuple(leaf_texts(self.root))

    def labels(self, leaf_number: int) -> Labels:
        """The labels of each dimension of a leaf's numbers; None for a dimension without (arrays)."""
        return self.codecs[leaf_number].labels

    def index(self, kind: Literal["flat", "multi"] = "flat", *, sep: str = "_") -> pd.Index:
        """Labels for the vector, length `size`.

        Args:
            kind: "flat" for unique texts, path and labels joined by `sep`; where two numbers would share one, both get
                the text of their path instead. "multi" for a MultiIndex of path and labels, padded with "".
            sep: between the parts of a flat name.
        """
        self._check_numbers()
        if kind == "flat":
            if sep not in self._flat:
                self._flat[sep] = naming.flat_index(self, sep)
            return self._flat[sep]
        if kind == "multi":
            return self._multi
        raise StructureError(f"unknown kind of index {kind!r}; wanted 'flat' or 'multi'.")

    @cached_property
    def _flat(self) -> dict[str, pd.Index]:
        return {}

    @cached_property
    def _multi(self) -> pd.MultiIndex:
        return naming.multi_index(self)

    # --- between trees and vectors ------------------------------------------------------------------------------------

    def ravel(self, tree: Any) -> Vector:
        """The numbers of a tree of this structure, shape (size,), aligned by path and by label; a new array.

        Raises:
            StructureError: for paths or labels that are missing or extra, other shapes, and leaves that hold no
                numbers; names the paths.
        """
        return self.ravel_leaves(self.leaves_of(tree))

    def leaves_of(self, tree: Any) -> list[Any]:
        """The leaves of a tree with these paths, in this order; `StructureError` naming missing and extra paths."""
        return self.containers.leaves_like(self.root, tree)

    def ravel_leaves(self, leaves: Sequence[Any]) -> Vector:
        """The numbers of leaves given in order, shape (size,); errors as in `ravel`."""
        vector = np.empty(self.size)
        failures: list[str] = []
        for codec, first, last, start, stop in self._segments:
            if codec is SCALAR and _put_run(leaves, first, last, vector[start:stop]):
                continue
            for number in range(first, last):
                begin = start + number - first
                try:
                    content = codec.numbers(leaves[number], self.data_column)
                except StructureError as error:
                    failures.append(f"{self.names[number]}: {error}")
                else:
                    vector[begin : begin + codec.size].reshape(codec.shape)[...] = content
        if failures:
            raise StructureError(f"the tree does not fit the structure: {_few(failures)}.")
        return vector

    def unravel(self, x: npt.ArrayLike, *, copy: bool = True) -> Any:
        """The tree with these numbers.

        Args:
            x: shape (size,).
            copy: give the leaves memory of their own. Without it arrays and pandas objects may be views of `x`, which
                must then not be changed.

        Returns:
            The tree: scalars are floats, arrays float64; the other columns of frames are as they were.
        """
        try:
            vector = np.array(x, dtype=np.float64, copy=True if copy else None)
        except (TypeError, ValueError) as error:
            raise StructureError(f"{type(x).__name__} is no vector of numbers ({error}).") from None
        if vector.shape != (self.size,):
            raise StructureError(
                f"a vector of shape {vector.shape} for a tree of {self.size} numbers; wanted one each."
            )
        return self._build(vector)

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The tree with these leaves, any objects; `StructureError` unless there is one for each place."""
        if len(leaves) != self.n_leaves:
            raise StructureError(f"{len(leaves)} leaves for a structure with {self.n_leaves}; give one for each place.")
        return put_together(self.root, leaves)

    def _build(self, vector: npt.NDArray[Any]) -> Any:
        leaves: list[Any] = []
        for codec, _, _, start, stop in self._segments:
            if codec is SCALAR:
                leaves.extend(vector[start:stop].tolist())
            else:
                leaves.append(codec.build(vector[start:stop]))
        return put_together(self.root, leaves)

    # --- parts --------------------------------------------------------------------------------------------------------

    def select(self, selector: Callable[[Any], Any]) -> Integers:
        """The positions in the vector of what a selector picks from the tree, in its order.

        Args:
            selector: gets a tree of this structure and returns a part of it: any tree of its numbers.

        Raises:
            StructureError: where the result holds anything else; errors of the selector pass through.
        """
        picked = selector(self._build(np.arange(_MARK, _MARK + self.size, dtype=np.int64)))
        root, leaves = self.containers.take_apart(picked)
        spec = TreeSpec(root, _codecs(leaves, self.data_column), self.containers, self.data_column)
        positions = spec.ravel_leaves(leaves) - _MARK
        wrong = ~((positions >= 0) & (positions < self.size) & (positions == np.floor(positions)))
        if wrong.any():
            raise StructureError(
                f"the selector returns {int(wrong.sum())} of {len(wrong)} numbers that are no parameters of the tree "
                "(another column of a frame, or computed from parameters); return parts of the tree as they are."
            )
        return positions.astype(np.int64)

    def partial(self, tree: Any, *, fill: float = np.nan, what: str = "bounds") -> Vector:
        """The numbers of a tree that may lack parts of this structure, shape (size,).

        Args:
            tree: a tree, or one with only some of the paths and labels, or with a scalar in place of a leaf or of a
                whole sub-tree, which then goes for all its numbers. None stands for nothing.
            fill: for what the tree does not mention.
            what: the tree in words, for messages.

        Raises:
            StructureError: naming the paths and labels of the tree that match nothing.
        """
        return partial.fill_in(self, tree, fill, what)

    def column(self, name: str, fill: float = np.nan) -> Vector:
        """Another column of the frames with a data column, shape (size,); `fill` everywhere else."""
        vector = np.full(self.size, fill)
        for number in self._blocks:
            try:
                found = self.codecs[number].column(name)
            except StructureError as error:
                raise StructureError(f"{self.names[number]}: the column {name!r}: {error}.") from None
            if found is not None:
                vector[self.offsets[number] : self.offsets[number + 1]] = found
        return vector

    # --- comparing ----------------------------------------------------------------------------------------------------

    def diff(self, other: TreeSpec) -> str | None:
        """How another structure differs, by path; None where both have the same paths and labels, in any order."""
        places = dict(zip(other.names, other.codecs, strict=True))
        missing = [name for name in self.names if name not in places]
        extra = sorted(places.keys() - set(self.names), key=other.names.index)
        parts = [describe_difference(missing, extra)] if missing or extra else []
        for name, codec in zip(self.names, self.codecs, strict=True):
            difference = partial.codec_difference(codec, places[name]) if name in places else None
            if difference is not None:
                parts.append(f"{name}: {difference}")
        return _few(parts) if parts else None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return self is other or (
            self.data_column == other.data_column and self.root == other.root and self.codecs == other.codecs
        )

    @cached_property
    def _hash(self) -> int:
        return hash((self.root, tuple(self.codecs), self.data_column))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> Any:
        return TreeSpec, (self.root, self.codecs, self.containers, self.data_column)

    def __repr__(self) -> str:
        numbers = "" if self._opaque else f", {self.size} numbers"
        return f"TreeSpec({self.n_leaves} leaves{numbers}: {_few(self.names, 6, ', ')})"

    @property
    def _opaque(self) -> list[int]:
        return [number for number in self._blocks if isinstance(self.codecs[number], OpaqueCodec)]

    def _check_numbers(self) -> None:
        if self._blocks and self._opaque:
            texts = [f"{self.names[number]}: {self.codecs[number].what}" for number in self._opaque]
            raise StructureError(
                f"{_few(texts)}. Leave it out of the tree, or give its type as a container in `registry`."
            )

    @cached_property
    def _segments(self) -> list[tuple[Codec, int, int, int, int]]:
        """Runs of scalars, and single leaves: codec, first and last leaf, start and stop in the vector."""
        segments: list[tuple[Codec, int, int, int, int]] = []
        offsets, done = self.offsets, 0
        for number in [*self._blocks, self.n_leaves]:
            if number > done:
                segments.append((SCALAR, done, number, int(offsets[done]), int(offsets[number])))
            if number < self.n_leaves:
                codec, start = self.codecs[number], int(offsets[number])
                segments.append((codec, number, number + 1, start, start + codec.size))
            done = number + 1
        return segments


def _codecs(leaves: list[Any], column: str) -> list[Codec]:
    if SCALAR_TYPES.issuperset(map(type, leaves)):
        return [SCALAR] * len(leaves)
    return [SCALAR if type(leaf) in SCALAR_TYPES else codec_of(leaf, column) for leaf in leaves]


def _put_run(leaves: Sequence[Any], first: int, last: int, target: Vector) -> bool:
    """Put a run of scalars of the usual types into a vector at once; False where it has others."""
    run = leaves[first:last] if last - first < len(leaves) else leaves
    if not SCALAR_TYPES.issuperset(map(type, run)):
        return False
    try:
        target[:] = run
    except OverflowError:
        return False
    return True


def _other_than_scalars(codecs: list[Codec]) -> list[int]:
    if codecs.count(SCALAR) == len(codecs):
        return []
    return [number for number, codec in enumerate(codecs) if codec is not SCALAR]


def _few(texts: Sequence[str], limit: int = 8, sep: str = "; ") -> str:
    shown = sep.join(texts[:limit])
    return f"{shown} and {len(texts) - limit} more" if len(texts) > limit else shown
