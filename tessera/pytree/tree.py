"""Trees: flatten, unflatten, map, update, ravel. Thin functions on `TreeSpec`, which holds the structure (`spec`).

By default dict, list, tuple, None, OrderedDict, defaultdict, namedtuples and registered dataclasses are containers and
everything else is a leaf: the view of a tree as one of arrays and tables. `ravel` is the view as a vector of numbers.
Every function takes `registry` (container types in pybaum's format) and `is_leaf` (stops the descent).

Two trees are matched by path, never by position.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import StructureError
from tessera.pytree.trees.containers import Containers, IsLeaf, Node, containers_for, leaf_texts, put_together
from tessera.pytree.trees.extraction import block_of
from tessera.pytree.trees.leaves import codec_of
from tessera.pytree.trees.naming import flat_names
from tessera.pytree.trees.spec import TreeSpec

__all__ = [
    "TreeSpec",
    "leaf_names",
    "leaf_paths",
    "ravel",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_structure",
    "tree_unflatten",
    "tree_update",
]

Registry = Mapping[Any, Mapping[str, Any]]
Vector = npt.NDArray[np.float64]


def tree_flatten(
    tree: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None
) -> tuple[list[Any], TreeSpec]:
    """The leaves of a tree, in order, and its structure."""
    return TreeSpec.flatten(tree, registry=registry, is_leaf=is_leaf)


def tree_unflatten(spec: TreeSpec, leaves: Sequence[Any]) -> Any:
    """The tree of a structure and its leaves; `StructureError` unless there are exactly as many as it has places."""
    return spec.unflatten(leaves)


def tree_leaves(tree: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None) -> list[Any]:
    """The leaves of a tree, in order."""
    return containers_for(registry, is_leaf).take_apart(tree)[1]


def tree_structure(tree: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None) -> TreeSpec:
    """The structure of a tree."""
    return TreeSpec.of(tree, registry=registry, is_leaf=is_leaf)


def tree_map(
    function: Callable[..., Any],
    tree: Any,
    *others: Any,
    registry: Registry | None = None,
    is_leaf: IsLeaf | None = None,
) -> Any:
    """Apply a function to each leaf, and to what other trees have at the same path.

    Returns:
        A tree of the first tree's structure, whose leaves are what the function returns.

    Raises:
        StructureError: where another tree has other paths; names those that are missing and extra.
    """
    containers = containers_for(registry, is_leaf)
    root, leaves = containers.take_apart(tree)
    aligned = [containers.leaves_like(root, other) for other in others]
    return put_together(root, [function(*group) for group in zip(leaves, *aligned, strict=True)])


def leaf_paths(
    tree: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None
) -> tuple[tuple[Any, ...], ...]:
    """The path of each leaf as plain keys, positions and field names, in order."""
    return TreeSpec.of(tree, registry=registry, is_leaf=is_leaf).paths


def leaf_names(
    tree: Any, sep: str = "_", *, registry: Registry | None = None, is_leaf: IsLeaf | None = None
) -> list[str]:
    """The unique name of each number of a tree, path and labels joined by `sep`; of a leaf without numbers, one name.

    Where two numbers would share a name both get the text of their path, such as `['a']['b']`, instead.
    """
    root, leaves = containers_for(registry, is_leaf).take_apart(tree)
    return flat_names(root, [codec_of(leaf, "value") for leaf in leaves], sep)


def ravel(
    tree: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None
) -> tuple[Vector, Callable[[npt.ArrayLike], Any]]:
    """The numbers of a tree as a vector, shape (n,) float64, and the function that makes a tree of such a vector.

    For more than one tree of a structure make a `TreeSpec` once and call its `ravel`, which aligns by path and label.

    Raises:
        StructureError: for a leaf that holds no numbers; names its path.
    """
    leaves, spec = TreeSpec.flatten(tree, registry=registry, is_leaf=is_leaf)
    return spec.ravel_leaves(leaves), spec.unravel


def tree_update(tree: Any, partial: Any, *, registry: Registry | None = None, is_leaf: IsLeaf | None = None) -> Any:
    """A tree with the leaves of a partial tree in place of its own.

    Args:
        tree: the tree.
        partial: a tree with some of its paths; None leaves what is below alone. A Series or frame may have some of the
            labels, and then replaces the numbers under these.
        registry, is_leaf: as everywhere.

    Raises:
        StructureError: naming paths or labels of the partial tree that the tree does not have.
    """
    containers = containers_for(registry, is_leaf)
    root, leaves = containers.take_apart(tree)
    unknown: list[str] = []
    _replace(containers, root, partial, "", leaves, unknown)
    if unknown:
        raise StructureError(f"the tree has nothing at {', '.join(unknown[:8])}; only existing leaves can be updated.")
    return put_together(root, leaves)


def _replace(
    containers: Containers, node: Node | int, partial: Any, path: str, leaves: list[Any], unknown: list[str]
) -> None:
    if partial is None:
        return
    if isinstance(node, int):
        leaves[node] = _updated(leaves[node], partial, path or "(root)")
        return
    form = containers.form_for(partial)
    if form is None:
        unknown.append(path or "(root)")
        return
    keys, children, _ = form.split(partial)
    mine = dict(node.each())
    for key, child in zip(keys, children, strict=True):
        text = path + form.text(key)
        if key in mine:
            _replace(containers, mine[key], child, text, leaves, unknown)
        else:
            unknown.extend(leaf_texts(containers.take_apart(child)[0], text))


def _updated(old: Any, new: Any, path: str) -> Any:
    """A new leaf, or, where it has some of the old labels only, the old leaf with these numbers replaced."""
    labelled = (pd.Series, pd.DataFrame)
    if not isinstance(old, labelled) or not isinstance(new, labelled) or len(new.index) >= len(old.index):
        return new
    spec = TreeSpec.of(old)
    try:
        mentioned = ~np.isnan(spec.partial(_like(new, 0.0)))
        return spec.unravel(np.where(mentioned, spec.partial(new), spec.ravel(old)))
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from None


def _like(leaf: Any, number: float) -> Any:
    spec = TreeSpec.of(leaf)
    block_of(leaf, "value")
    return spec.unravel(np.full(spec.size, number))
