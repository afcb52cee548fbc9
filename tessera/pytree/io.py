"""Trees in HDF5 files, format `pytree-h5` version 2 (docs/ep-01-pytree-hdf5.md): dump, load, describe.

The same tree gives the same bytes. Writing is atomic, on local folders and on the stores that fsspec knows. Reading
checks every byte before HDF5 or anyone else uses it, imports no classes but ours or registered ones,
and unpickles nothing. How a tree lies in a file is in `h5writing`, `h5reading` and `envelope`.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

from tessera.errors import StructureError
from tessera.pytree.storage.checked import Check
from tessera.pytree.storage.contents import LeafSummary, TreeSummary
from tessera.pytree.storage.stores import as_path, opened, written
from tessera.pytree.trees.stored import fill_skeleton, find_subtree, stored_flatten
from tessera.pytree.trees.structure import children_of, path_text

if TYPE_CHECKING:
    from tessera.pytree.storage.stores import TreePath

__all__ = ["LeafSummary", "TreeSummary", "describe_tree", "dump_tree", "format_tree", "load_tree"]


def dump_tree(tree: Any, path: str | PathLike[str] | TreePath, *, durable: bool = True) -> TreeSummary:
    """Write a tree to a file, atomically; folders are made.

    Args:
        tree: any nesting of containers with storable leaves (see `encoders`).
        path: the file, as `stores.as_path` takes it: text, `Path`, a URL such as `s3://bucket/tree.h5`, or a `UPath`.
            An existing one is replaced only when the new one is complete.
        durable: wait until the disk has it (fsync). Without, the file is as atomic, but may not outlive a power cut.

    Raises:
        UnsupportedLeafError: for a leaf that cannot be stored; names its path, type and the call that registers one.
        StructureError: for keys or nesting that cannot be stored.
        StorageError: where the file cannot be written.
    """
    from tessera.pytree.storage.h5writing import write_tree

    leaves, spec = stored_flatten(tree)
    with written(as_path(path), durable=durable) as temporary:
        summaries, sha256 = write_tree(temporary, spec.structure, leaves, spec.names)
        size = temporary.stat().st_size
    return TreeSummary(size, len(leaves), sha256, tuple(summaries), spec)


def load_tree(
    path: str | PathLike[str] | TreePath, subpath: str | Iterable[Any] | None = None, *, verify: Check = True
) -> Any:
    """Read a tree, or a part of it, exactly as it was written.

    Args:
        path: a file of `dump_tree`, local or in a store.
        subpath: text of a path (`"['tables'][0]"`) or its keys (`("tables", 0)`); only the leaves below it are read,
            and of a file in a store only their bytes are fetched.
        verify: check what is read, and the whole file where there is no `subpath`: everything by its sha256, arrays
            of more than 64 KiB by sums of their words. With "sha256", those by theirs too, which takes three
            times as long as reading. False: check the table of contents only.

    Raises:
        StorageError: for a missing, truncated, altered or foreign file, or one of a newer version.
        StructureError: for a part that is not there, or contents that do not fit together.
    """
    from tessera.pytree.storage.h5reading import opened_tree

    with opened(as_path(path)) as source, opened_tree(source, verify=verify) as reader:
        spec = reader.spec
        skeleton = spec.skeleton if subpath is None else find_subtree(spec, subpath)
        paths = spec.paths
        leaves = reader.leaves((number, path_text(paths[number])) for number in _numbers(skeleton))
        if subpath is None:
            reader.check_rest()
    try:
        return fill_skeleton(skeleton, leaves)
    except StructureError as error:
        raise StructureError(f"{path}: {error}") from error


def describe_tree(path: str | PathLike[str] | TreePath) -> TreeSummary:
    """What a file holds, without reading the leaves; errors as those of `load_tree`."""
    from tessera.pytree.storage.h5reading import opened_tree

    with opened(as_path(path)) as source, opened_tree(source, verify=True) as reader:
        leaves = tuple(reader.description(number, name) for number, name in enumerate(reader.spec.names))
        return TreeSummary(source.size, reader.spec.n_leaves, reader.sha256, leaves, reader.spec)


def format_tree(path: str | PathLike[str] | TreePath) -> str:
    """A file's contents as text for people: a heading, then a line a leaf. For `tessera tree FILE`."""
    return describe_tree(path).text(str(path))


def _numbers(skeleton: Any) -> list[int]:
    if isinstance(skeleton, int):
        return [skeleton]
    return [number for _, child in children_of(skeleton) for number in _numbers(child)]
