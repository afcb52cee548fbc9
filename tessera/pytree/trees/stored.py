"""The structure of a tree as files hold it: containers and typed paths, no leaves. Holds no file format.

What a stored tree may consist of is fixed, whatever registry a user computes with (`tree`, `spec`): dict, list, tuple,
OrderedDict, namedtuple, dataclass and None; all else is a leaf. Containers are traversed by pybaum, with a skeleton
tree of integers as its treedef, so that no user data is kept and the number of leaves is checked before anything is put
together. Paths are tuples of typed steps, so no two leaves share one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tessera.errors import StructureError
from tessera.pytree.registry import stored_registry
from tessera.pytree.trees.structure import (
    Path,
    describe_structure,
    dump_json,
    load_json,
    path_text,
    skeleton_of,
)


@dataclass(frozen=True)
class StoredStructure:
    """The structure of a tree without its leaves: hashable, comparable, picklable.

    Attributes:
        structure: canonical JSON, as stored in files.
    """

    structure: str

    @cached_property
    def _built(self) -> tuple[Any, list[Path]]:
        return skeleton_of(load_json(self.structure, "the structure of the tree"))

    @property
    def skeleton(self) -> Any:
        """The tree with the number of each leaf in its place."""
        return self._built[0]

    @property
    def paths(self) -> tuple[Path, ...]:
        """The typed path of each leaf, in order."""
        return tuple(self._built[1])

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The path of each leaf as text, in order; unique."""
        return tuple(map(path_text, self.paths))

    @property
    def n_leaves(self) -> int:
        """Number of leaves."""
        return len(self._built[1])

    def diff(self, other: StoredStructure) -> str | None:
        """How another structure differs: paths missing and extra; None for the same paths in any order."""
        missing = sorted(set(self.names) - set(other.names))
        extra = sorted(set(other.names) - set(self.names))
        if not missing and not extra:
            return None
        parts = [f"{label} {shorten(names)}" for label, names in (("missing", missing), ("extra", extra)) if names]
        return "; ".join(parts)


def stored_flatten(tree: Any) -> tuple[list[Any], StoredStructure]:
    """The leaves of a tree, in order, and its structure.

    Raises:
        UnsupportedLeafError: for a dataclass or namedtuple that is not registered.
        StructureError: for keys without an exact text form, and for trees too deep or cyclic.
    """
    from pybaum import tree_just_flatten

    structure, described = describe_structure(tree)
    leaves: list[Any] = tree_just_flatten(tree, registry=stored_registry())
    if len(leaves) != len(described) or any(a is not b for a, b in zip(leaves, described, strict=True)):
        raise StructureError(f"pybaum finds {len(leaves)} leaves where the structure has {len(described)}.")
    return leaves, StoredStructure(dump_json(structure))


def stored_unflatten(spec: StoredStructure, leaves: Sequence[Any]) -> Any:
    """The tree of a structure and its leaves; `StructureError` unless there are exactly as many as it has places."""
    if len(leaves) != spec.n_leaves:
        raise StructureError(f"{len(leaves)} leaves for a structure with {spec.n_leaves}; give one for each place.")
    return fill_skeleton(spec.skeleton, leaves)


def fill_skeleton(skeleton: Any, leaves: Sequence[Any] | Mapping[int, Any]) -> Any:
    """A copy of a skeleton (of a whole tree or of a part of one) with each number replaced by that leaf."""
    from pybaum import tree_just_flatten
    from pybaum import tree_unflatten as pybaum_unflatten

    registry = stored_registry()
    numbers = tree_just_flatten(skeleton, registry=registry)
    return pybaum_unflatten(skeleton, [leaves[number] for number in numbers], registry=registry)


def find_subtree(spec: StoredStructure, subpath: str | Iterable[Any]) -> Any:
    """The part of a skeleton at a path.

    Args:
        spec: structure of the whole tree.
        subpath: the text of a path (`"['tables'][0].person"`), or its keys, positions and field names
            (`("tables", 0, "person")`).

    Raises:
        StructureError: where there is nothing at the path; names what there is.
    """
    found = _nodes(spec.skeleton)
    if isinstance(subpath, str):
        match = next((node for text, _, node in found if text == subpath), _NOTHING)
    else:
        keys = tuple(subpath)
        match = next((node for _, steps, node in found if _same_keys(steps, keys)), _NOTHING)
    if match is _NOTHING:
        wanted = subpath if isinstance(subpath, str) else tuple(subpath)
        raise StructureError(f"there is nothing at {wanted!r}; the leaves are {shorten(spec.names)}.")
    return match


_NOTHING = object()


def _nodes(skeleton: Any) -> Iterable[tuple[str, tuple[Any, ...], Any]]:
    """Every node of a skeleton with its path as text and as plain keys."""
    from tessera.pytree.trees.structure import children_of

    stack: list[tuple[Path, tuple[Any, ...], Any]] = [((), (), skeleton)]
    while stack:
        path, keys, node = stack.pop()
        yield path_text(path), keys, node
        stack.extend(((*path, step), (*keys, step.plain), child) for step, child in children_of(node))


def _same_keys(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return len(one) == len(other) and all(type(a) is type(b) and a == b for a, b in zip(one, other, strict=True))


def shorten(names: Sequence[str], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
