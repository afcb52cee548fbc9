"""The structure of a tree as JSON: containers, typed keys and the numbers of the leaves. No leaf values.

    node  = "leaf:7" | "none"
          | {"list": [node, ...]} | {"tuple": [node, ...]}
          | {"dict": [[key, node], ...]} | {"ordereddict": [[key, node], ...]}
          | {"namedtuple": ["module:Name", [[field, node], ...]]} | {"dataclass": [...the same...]}
    key   = string | integer | true | false | null
          | {"int": hex} | {"float": hex} | {"bytes": hex} | {"tuple": [key, ...]}

Leaves are numbered 0, 1, 2, ... in the order of traversal. Keys keep their type, so 1, True and "1" differ, and their
order. A *skeleton* is the same structure as a live tree whose leaves are those integers: pybaum's treedef.
"""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from tessera.errors import StructureError, UnsupportedLeafError
from tessera.pytree.registry import (
    ClassNode,
    class_name,
    field_names,
    is_namedtuple_class,
    is_storable,
    resolve_class,
)

MAX_DEPTH = 128
_JSON_INTEGER = 1 << 63


@dataclasses.dataclass(frozen=True)
class Key:
    """A step of a path into a dict."""

    key: Any

    @property
    def plain(self) -> Any:
        """The key itself."""
        return self.key

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclasses.dataclass(frozen=True)
class Item:
    """A step of a path into a list or tuple."""

    index: int

    @property
    def plain(self) -> int:
        """The position itself."""
        return self.index

    def __str__(self) -> str:
        return f"[{self.index}]"


@dataclasses.dataclass(frozen=True)
class Field:
    """A step of a path into a dataclass or namedtuple."""

    name: str

    @property
    def plain(self) -> str:
        """The name itself."""
        return self.name

    def __str__(self) -> str:
        return f".{self.name}"


Path = tuple[Key | Item | Field, ...]


def path_text(path: Path) -> str:
    """A path as text, `['tables'][0].person`; the root is `(root)`. Distinct paths have distinct texts."""
    return "".join(map(str, path)) or "(root)"


def describe_structure(tree: Any) -> tuple[Any, list[Any]]:
    """The structure of a tree as a JSON value, and its leaves in order.

    Raises:
        UnsupportedLeafError: for a dataclass or namedtuple that no file may name.
        StructureError: for a dict key that has no exact text form, or a tree deeper than `MAX_DEPTH` (or cyclic).
    """
    leaves: list[Any] = []
    return _describe(tree, (), leaves), leaves


def skeleton_of(node: Any) -> tuple[Any, list[Path]]:
    """The skeleton of a structure, and the path of each leaf; `StructureError` where the structure is damaged."""
    paths: list[Path] = []
    return _build(node, (), paths), paths


def children_of(node: Any) -> list[tuple[Key | Item | Field, Any]]:
    """The children of a node of a skeleton, each with its step; none for a leaf or None."""
    if isinstance(node, dict):
        return [(Key(key), child) for key, child in node.items()]
    if isinstance(node, ClassNode):
        return [(Field(name), child) for name, child in zip(node.names, node.children, strict=True)]
    if isinstance(node, tuple) and is_namedtuple_class(type(node)):
        return [(Field(name), child) for name, child in zip(field_names(type(node)), node, strict=True)]
    if isinstance(node, list | tuple):
        return [(Item(i), child) for i, child in enumerate(node)]
    return []


def dump_json(value: Any) -> str:
    """Canonical JSON: ASCII, no blanks, order kept."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def load_json(text: str, what: str) -> Any:
    """Parse JSON of ours; `StructureError` naming `what` where it is damaged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StructureError(f"{what} is not valid JSON ({error}); the file is damaged, rebuild it.") from error


def encode_key(key: Any, where: str) -> Any:
    """A dict key (or label) as JSON that keeps its type."""
    kind = type(key)
    if kind in (str, bool) or key is None:
        return key
    if kind is int:
        return key if -_JSON_INTEGER <= key < _JSON_INTEGER else {"int": hex(key)}
    if kind is float:
        return {"float": key.hex()}
    if kind is bytes:
        return {"bytes": key.hex()}
    if kind is tuple:
        return {"tuple": [encode_key(item, where) for item in key]}
    raise StructureError(
        f"{where}: the key {key!r} is a {kind.__module__}.{kind.__qualname__}; wanted str, int, float, bool, bytes, "
        "None or a tuple of these. Convert it, for instance with int(key) or str(key)."
    )


def decode_key(value: Any) -> Any:
    """The key behind its JSON form."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict) and len(value) == 1:
        form, content = next(iter(value.items()))
        decoder = _KEY_DECODERS.get(form)
        if decoder is not None:
            try:
                return decoder(content)
            except (TypeError, ValueError) as error:
                raise StructureError(f"damaged key {value!r} ({error}); rebuild the file.") from error
    raise StructureError(f"damaged key {value!r}; rebuild the file.")


_KEY_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda content: int(content, 16),
    "float": float.fromhex,
    "bytes": bytes.fromhex,
    "tuple": lambda content: tuple(map(decode_key, content)),
}
_SEQUENCES: dict[str, Callable[[list[Any]], Any]] = {"list": list, "tuple": tuple}
_MAPPINGS: dict[str, Callable[[list[tuple[Any, Any]]], Any]] = {"dict": dict, "ordereddict": OrderedDict}


def _describe(tree: Any, path: Path, leaves: list[Any]) -> Any:
    kind = type(tree)
    if len(path) > MAX_DEPTH:
        raise StructureError(
            f"{path_text(path)[:200]}...: the tree is deeper than {MAX_DEPTH} levels or contains itself; flatten it."
        )
    if tree is None:
        return "none"
    if kind is dict or kind is OrderedDict:
        where = path_text(path)
        pairs = [[encode_key(key, where), _describe(child, (*path, Key(key)), leaves)] for key, child in tree.items()]
        return {"dict" if kind is dict else "ordereddict": pairs}
    if kind is list or kind is tuple:
        items = [_describe(child, (*path, Item(i)), leaves) for i, child in enumerate(tree)]
        return {"list" if kind is list else "tuple": items}
    if dataclasses.is_dataclass(kind) or is_namedtuple_class(kind):
        return _describe_class(tree, path, leaves)
    leaves.append(tree)
    return f"leaf:{len(leaves) - 1}"


def _describe_class(tree: Any, path: Path, leaves: list[Any]) -> Any:
    cls = type(tree)
    form = "dataclass" if dataclasses.is_dataclass(cls) else "namedtuple"
    if not is_storable(cls):
        raise UnsupportedLeafError(
            f"{path_text(path)}: an instance of {class_name(cls)} cannot be stored, since no reader would be allowed "
            f"to load it. Call tessera.pytree.registry.register_{form}({cls.__qualname__}) where the class is defined."
        )
    pairs = [[name, _describe(getattr(tree, name), (*path, Field(name)), leaves)] for name in field_names(cls)]
    return {form: [class_name(cls), pairs]}


def _build(node: Any, path: Path, paths: list[Path]) -> Any:
    if len(path) > MAX_DEPTH:
        raise StructureError(f"the stored structure is deeper than {MAX_DEPTH} levels; the file is damaged.")
    if node == "none":
        return None
    if isinstance(node, str):
        if node != f"leaf:{len(paths)}":
            raise StructureError(f"{path_text(path)}: found {node!r}, not leaf:{len(paths)}; rebuild the file.")
        paths.append(path)
        return len(paths) - 1
    form, content = _only_entry(node, path)
    if form in _SEQUENCES:
        return _SEQUENCES[form]([_build(child, (*path, Item(i)), paths) for i, child in enumerate(content)])
    if form in _MAPPINGS:
        built = [(key, _build(child, (*path, Key(key)), paths)) for key, child in _pairs(content, path, decode_key)]
        mapping = _MAPPINGS[form](built)
        if len(mapping) != len(built):
            raise StructureError(f"{path_text(path)}: a key occurs twice in the stored structure; rebuild the file.")
        return mapping
    return _build_class(form, content, path, paths)


def _build_class(form: str, content: Any, path: Path, paths: list[Path]) -> Any:
    if form not in {"dataclass", "namedtuple"} or len(content) != 2 or not isinstance(content[0], str):
        raise StructureError(f"{path_text(path)}: unknown container {form!r}; damaged, or of a newer format.")
    cls = resolve_class(content[0])
    pairs = list(_pairs(content[1], path, str))
    names = tuple(name for name, _ in pairs)
    if names != field_names(cls):
        raise StructureError(
            f"{path_text(path)}: the file holds {content[0]} with the fields {', '.join(names)}; this version has "
            f"{', '.join(field_names(cls))}. Rebuild the file with this version."
        )
    children = [_build(child, (*path, Field(name)), paths) for name, child in pairs]
    return ClassNode(cls, names, children) if dataclasses.is_dataclass(cls) else cls(*children)


def _only_entry(node: Any, path: Path) -> tuple[str, list[Any]]:
    if isinstance(node, dict) and len(node) == 1:
        form, content = next(iter(node.items()))
        if isinstance(content, list):
            return form, content
    raise StructureError(f"{path_text(path)}: {str(node)[:80]!r} is no container; the file is damaged, rebuild it.")


def _pairs(content: Any, path: Path, decode: Callable[[Any], Any]) -> Iterator[tuple[Any, Any]]:
    if not isinstance(content, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in content):
        raise StructureError(f"{path_text(path)}: the stored children are not pairs; the file is damaged, rebuild it.")
    for key, child in content:
        yield decode(key), child
