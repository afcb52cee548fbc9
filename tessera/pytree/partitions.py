"""Trees by partition key: `PartitionedTree`, read lazily from files, and `PartitionedOutput`, to be written.

Knows keys and files; knows nothing of the scheduler that names the partitions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from tessera.errors import StorageError, StructureError
from tessera.pytree.storage.stores import as_path, exists

if TYPE_CHECKING:
    from tessera.pytree.storage.contents import TreeSummary
    from tessera.pytree.storage.stores import TreePath


class MissingPartitionError(StorageError, KeyError):
    """A key that a `PartitionedTree` does not hold; also a `KeyError`, as mappings promise."""

    __str__ = StorageError.__str__


class PartitionedTree(Mapping[str, Any]):
    """The trees of some partitions, each read when it is asked for and not kept.

    A mapping of the partitions that *exist*, in the order of the partition definition, whether there are none, one or
    hundreds. Reading 51 trees one after another needs the memory of one.

    Attributes:
        labels: the keys that were asked for, in order.
        missing: those of them that have no file.
        name: what the partitions belong to, for messages.
    """

    def __init__(self, files: Mapping[str, str | PathLike[str] | TreePath], *, name: str = "tree") -> None:
        """Look which files exist.

        Args:
            files: partition key -> file (see `stores.as_path`), in order, whether it exists or not.
            name: what the partitions belong to, for messages.
        """
        self._files = {key: as_path(path) for key, path in files.items()}
        self._present = {key: path for key, path in self._files.items() if exists(path)}
        self.labels: tuple[str, ...] = tuple(self._files)
        self.missing: tuple[str, ...] = tuple(key for key in self._files if key not in self._present)
        self.name = name

    def __getitem__(self, key: str) -> Any:
        return self.load(key)

    def __len__(self) -> int:
        return len(self._present)

    def __iter__(self) -> Iterator[str]:
        return iter(self._present)

    def __contains__(self, key: object) -> bool:
        return key in self._present

    def __repr__(self) -> str:
        missing = f", missing {', '.join(self.missing)}" if self.missing else ""
        return f"PartitionedTree({self.name}: {', '.join(self._present)}{missing})"

    def load(self, key: str, subpath: str | Iterable[Any] | None = None) -> Any:
        """The tree of a partition, or the part of it at `subpath` (see `load_tree`)."""
        # Here and below: the scheduler imports this module when it loads definitions, and reading trees needs pandas.
        from tessera.pytree.io import load_tree

        return load_tree(self.path(key), subpath)

    def describe(self, key: str) -> TreeSummary:
        """What the file of a partition holds, without reading the leaves."""
        from tessera.pytree.io import describe_tree

        return describe_tree(self.path(key))

    def path(self, key: str) -> TreePath:
        """The file of a partition; `MissingPartitionError` where there is none."""
        if key in self._present:
            return self._present[key]
        held = ", ".join(self._present) or "none"
        if key in self._files:
            raise MissingPartitionError(
                f"{self.name}: partition {key!r} has no file ({self._files[key]}); there are: {held}. Materialise "
                "it, or look at .missing before reading."
            )
        raise MissingPartitionError(f"{self.name}: {key!r} is not among the partitions asked for; there are: {held}.")

    def map_leaf(self, subpath: str | Iterable[Any], function: Callable[[Any], Any] | None = None) -> dict[str, Any]:
        """The same part of each tree, by key; `function` is applied to it before the next is read."""
        steps = subpath if isinstance(subpath, str) else tuple(subpath)
        apply = function or (lambda part: part)
        return {key: apply(self.load(key, steps)) for key in self}


class PartitionedOutput(Mapping[str, Any]):
    """The trees of several partitions, returned by a step that covers a range of them.

    A dict is itself a tree, so a step that makes several partitions says so with this wrapper. With `lazy`, each tree
    is made only when it is written, and one is in memory at a time.
    """

    def __init__(self, trees: Mapping[str, Any]) -> None:
        self._make: Callable[[str], Any] = dict(trees).__getitem__
        self._keys = tuple(trees)
        self._check()

    @classmethod
    def lazy(cls, keys: Sequence[str], make: Callable[[str], Any]) -> PartitionedOutput:
        """An output whose trees are made by `make(key)`, in the order of `keys`, while they are being written."""
        output = cls({})
        output._keys, output._make = tuple(keys), make
        output._check()
        return output

    def _check(self) -> None:
        wrong = [key for key in self._keys if not isinstance(key, str)]
        if wrong:
            raise StructureError(f"PartitionedOutput: the key {wrong[0]!r} is a {type(wrong[0]).__name__}; wanted str.")
        if len(set(self._keys)) != len(self._keys):
            raise StructureError(f"PartitionedOutput: a key occurs twice in {', '.join(self._keys)}.")

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise MissingPartitionError(f"PartitionedOutput holds no {key!r}; it holds {', '.join(self._keys)}.")
        return self._make(key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __repr__(self) -> str:
        return f"PartitionedOutput({', '.join(self._keys)})"
