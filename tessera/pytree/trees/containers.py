"""Taking containers apart and putting them together again: the traversal behind `TreeSpec`. Knows nothing of numbers.

A container type has a *form*: how its children and their keys are had, and how it is rebuilt from new children. The
forms of dict, list, tuple, None, OrderedDict, defaultdict, namedtuple and registered dataclasses are built in, so that
a walk costs little more than the recursion itself; all other forms are read from entries of a registry in pybaum's
format (`{type: {"flatten", "unflatten", "names"}}`), and a user's own entry for a built-in type is respected.

A `Node` is a container without its leaves: class, keys, and for each child either the number of a leaf or a node. Where
all children are leaves (the common case) there is no list of children at all, and they are handled as one slice.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from tessera.errors import StructureError
from tessera.pytree.registry import (
    build_dataclass,
    field_names,
    is_default_registry,
    is_namedtuple_class,
    is_storable_dataclass,
)

Split = tuple[tuple[Any, ...], Sequence[Any], Any]
IsLeaf = Callable[[Any], bool]


@dataclasses.dataclass(frozen=True)
class Form:
    """How containers of one type come apart and together.

    Attributes:
        name: of the form; "custom" for an entry of a registry.
        split: from a container to the keys of its children, the children, and what else is needed to rebuild it.
        join: from class, keys, new children and that rest to a container.
        text: from a key to the step of a path as text: `[0]`, `['a']` or `.a`.
    """

    name: str
    split: Callable[[Any], Split]
    join: Callable[[type[Any], tuple[Any, ...], list[Any], Any], Any]
    text: Callable[[Any], str] = "[{!r}]".format

    def __reduce__(self) -> Any:
        return (_form_named, (self.name,)) if self.name in _NAMED else super().__reduce__()


class Node:
    """A container without its leaves.

    Attributes:
        form, cls, keys, rest: what it is and what its children are called.
        children: for each child the number of a leaf or a node; None where all are leaves, numbered `start` to `stop`.
        start, stop: the leaves below this node.
    """

    __slots__ = ("children", "cls", "form", "keys", "rest", "start", "stop")

    def __init__(self, form: Form, cls: type[Any], keys: tuple[Any, ...], rest: Any, start: int) -> None:
        self.form, self.cls, self.keys, self.rest, self.start = form, cls, keys, rest, start
        self.stop = start
        self.children: tuple[Node | int, ...] | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        mine = (self.cls, self.form.name, self.start, self.stop, self.keys)
        return mine == (other.cls, other.form.name, other.start, other.stop, other.keys) and (
            self.children == other.children
        )

    def __hash__(self) -> int:
        return hash((self.cls, self.keys, self.start, self.stop, self.children))

    def each(self) -> Iterator[tuple[Any, Node | int]]:
        """The keys of the children with the children."""
        children = range(self.start, self.stop) if self.children is None else self.children
        return zip(self.keys, children, strict=True)


class OutOfOrderError(Exception):
    """Internal: a tree is not built like a node, at least not in the same order."""


class Containers:
    """The forms in use: those of a registry, or of the default one, and a function that stops the descent.

    Args:
        registry: in pybaum's format; None for the default.
        is_leaf: called with every container; where it returns True the container is a leaf.
    """

    def __init__(self, registry: Mapping[Any, Mapping[str, Any]] | None = None, is_leaf: IsLeaf | None = None) -> None:
        registry = None if registry is None or is_default_registry(registry) else registry
        self.registry, self.is_leaf = registry, is_leaf
        self._forms: dict[type[Any], Form | None] = dict(_BUILT_IN) if registry is None else {}
        self._leaf_types = {cls for cls, form in self._forms.items() if form is None}

    def __reduce__(self) -> Any:
        return Containers, (self.registry, self.is_leaf)

    def form_of(self, cls: type[Any]) -> Form | None:
        """The form of a class; None where its instances are leaves."""
        try:
            return self._forms[cls]
        except KeyError:
            pass
        form = _default_form(cls) if self.registry is None else _registered_form(cls, self.registry)
        if form is not None or not dataclasses.is_dataclass(cls):  # a dataclass may yet be registered
            self._forms[cls] = form
        if form is None and cls in self._forms:
            self._leaf_types.add(cls)
        return form

    def form_for(self, tree: Any) -> Form | None:
        """The form of an object, `is_leaf` considered; None for a leaf."""
        form = self.form_of(type(tree))
        if form is not None and self.is_leaf is not None and self.is_leaf(tree):
            return None
        return form

    def take_apart(self, tree: Any) -> tuple[Node | int, list[Any]]:
        """A tree as a node (0 where it is a single leaf) and its leaves in order."""
        leaves: list[Any] = []
        form = self.form_for(tree)
        if form is None:
            return 0, [tree]
        try:
            return self._take_apart(form, tree, leaves), leaves
        except RecursionError:
            raise StructureError(
                "the tree is nested too deeply to be walked, or contains itself; flatten it."
            ) from None

    def _take_apart(self, form: Form, tree: Any, leaves: list[Any]) -> Node:
        children: Any
        if form is _DICT:
            keys, children, rest = tuple(tree), tree.values(), None
        else:
            keys, children, rest = form.split(tree)
        node = Node(form, type(tree), keys, rest, len(leaves))
        kinds = set(map(type, children))
        if self._leaf_types.issuperset(kinds) or not any(map(self.form_of, kinds)):
            leaves.extend(children)
        else:
            found: list[Node | int] = []
            for child in children:
                inner = self.form_for(child)
                if inner is None:
                    found.append(len(leaves))
                    leaves.append(child)
                else:
                    found.append(self._take_apart(inner, child, leaves))
            node.children = tuple(found)
        node.stop = len(leaves)
        return node

    def leaves_like(self, node: Node | int, tree: Any, path: str = "") -> list[Any]:
        """The leaves of a tree in the order of a node: whatever the tree has at the places of the node's leaves.

        Children are matched by key. Lists and tuples, or dicts, dataclasses and namedtuples, may stand for each other.

        Raises:
            StructureError: naming the paths that are missing and those that are extra.
        """
        if isinstance(node, int):
            return [tree]
        leaves: list[Any] = []
        try:
            _collect(node, tree, leaves)
            return leaves
        except OutOfOrderError:
            pass
        missing: list[str] = []
        extra: list[str] = []
        leaves = [None] * node.stop
        self._match(node, tree, path, leaves, missing, extra)
        if missing or extra:
            raise StructureError(f"the trees have different leaves: {describe_difference(missing, extra)}.")
        return leaves[node.start :]

    def _match(
        self, node: Node | int, tree: Any, path: str, leaves: list[Any], missing: list[str], extra: list[str]
    ) -> None:
        if isinstance(node, int):
            leaves[node] = tree
            return
        form = self.form_of(type(tree))
        if form is None:
            missing.extend(leaf_texts(node, path))
            extra.append(path or "(root)")
            return
        keys, children, _ = form.split(tree)
        given = dict(zip(keys, children, strict=True))
        for key, child in node.each():
            text = path + node.form.text(key)
            if key in given:
                self._match(child, given.pop(key), text, leaves, missing, extra)
            else:
                missing.extend(leaf_texts(child, text))
        for key, tree_there in given.items():
            inner, _ = self.take_apart(tree_there)
            extra.extend(leaf_texts(inner, path + form.text(key)))


def containers_for(registry: Mapping[Any, Mapping[str, Any]] | None, is_leaf: IsLeaf | None) -> Containers:
    """The forms of a registry; the same object each time for the default one."""
    return _DEFAULT_CONTAINERS if registry is None and is_leaf is None else Containers(registry, is_leaf)


def put_together(node: Node | int, leaves: Sequence[Any]) -> Any:
    """The tree of a node with these leaves, as many as the node has."""
    if type(node) is not Node:
        return leaves[node]  # type: ignore[index]
    children: Sequence[Any]
    if node.children is None:
        children = leaves[node.start : node.stop]
    else:
        children = [put_together(child, leaves) if type(child) is Node else leaves[child] for child in node.children]  # type: ignore[index]
    if node.form is _DICT:
        return dict(zip(node.keys, children))  # noqa: B905 (as many as keys)
    return node.form.join(node.cls, node.keys, list(children), node.rest)


def leaf_texts(node: Node | int, path: str = "") -> list[str]:
    """The path of each leaf as text, in order: `['tables'][0].person`; the root is `(root)`."""
    if isinstance(node, int):
        return [path or "(root)"]
    to_text = node.form.text
    if node.children is None:
        return [f"{path}{to_text(key)}" for key in node.keys]
    return [text for key, child in node.each() for text in leaf_texts(child, f"{path}{to_text(key)}")]


def leaf_keys(node: Node | int, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of each leaf as plain keys, positions and field names, in order."""
    if isinstance(node, int):
        return [path]
    if node.children is None:
        return [(*path, key) for key in node.keys]
    return [keys for key, child in node.each() for keys in leaf_keys(child, (*path, key))]


def describe_difference(missing: Sequence[str], extra: Sequence[str]) -> str:
    """`missing ...; extra ...`, with at most eight paths of each."""
    return "; ".join(f"{label} {shorten(names)}" for label, names in (("missing", missing), ("extra", extra)) if names)


def shorten(names: Sequence[str], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def _collect(node: Node, tree: Any, leaves: list[Any]) -> None:
    """Append the leaves of a tree that is built like the node; dicts may have their keys in another order."""
    if type(tree) is not node.cls:
        raise OutOfOrderError
    form = node.form
    children: Any
    if form is _DICT:
        children = tree.values() if tuple(tree) == node.keys else _by_key(tree, node.keys)
    elif form is _LIST or form is _TUPLE:
        if len(tree) != len(node.keys):
            raise OutOfOrderError
        children = tree
    else:
        keys, children, _ = form.split(tree)
        if keys != node.keys:
            raise OutOfOrderError
    if node.children is None:
        leaves.extend(children)
        return
    for child, content in zip(node.children, children):  # noqa: B905 (as many, by the keys; strict costs a tenth)
        if type(child) is not Node:
            leaves.append(content)
        elif child.children is None and child.form is _DICT and type(content) is dict and tuple(content) == child.keys:
            leaves.extend(content.values())  # the commonest node by far; a call of its own would double its cost
        else:
            _collect(child, content, leaves)


def _by_key(tree: Mapping[Any, Any], keys: tuple[Any, ...]) -> list[Any]:
    if len(tree) != len(keys):
        raise OutOfOrderError
    try:
        return [tree[key] for key in keys]
    except KeyError:
        raise OutOfOrderError from None


def _form_named(name: str) -> Form:
    return _NAMED[name]


# --- forms ------------------------------------------------------------------------------------------------------------


def _split_dict(tree: Mapping[Any, Any]) -> Split:
    return tuple(tree), list(tree.values()), None


def _split_sequence(tree: Sequence[Any]) -> Split:
    return tuple(range(len(tree))), tree, None


_DICT = Form("dict", _split_dict, lambda cls, keys, children, _: dict(zip(keys, children, strict=True)))
_LIST = Form("list", _split_sequence, lambda cls, keys, children, _: children)
_TUPLE = Form("tuple", _split_sequence, lambda cls, keys, children, _: tuple(children))
_NONE = Form("none", lambda _: ((), (), None), lambda *_: None)
_ORDERED = Form(
    "ordereddict", _split_dict, lambda cls, keys, children, _: OrderedDict(zip(keys, children, strict=True))
)
_DEFAULT = Form(
    "defaultdict",
    lambda tree: (tuple(tree), list(tree.values()), tree.default_factory),
    lambda cls, keys, children, factory: defaultdict(factory, zip(keys, children, strict=True)),
)
_NAMEDTUPLE = Form(
    "namedtuple",
    lambda tree: (tuple(tree._fields), tuple(tree), None),
    lambda cls, keys, children, _: cls._make(children),
    ".{}".format,
)


def _split_dataclass(tree: Any) -> Split:
    names = field_names(type(tree))
    return names, [getattr(tree, name) for name in names], None


_DATACLASS = Form(
    "dataclass", _split_dataclass, lambda cls, keys, children, _: build_dataclass(cls, keys, children), ".{}".format
)
_NAMED = {form.name: form for form in (_DICT, _LIST, _TUPLE, _NONE, _ORDERED, _DEFAULT, _NAMEDTUPLE, _DATACLASS)}
_BUILT_IN: dict[type[Any], Form | None] = {
    dict: _DICT,
    list: _LIST,
    tuple: _TUPLE,
    type(None): _NONE,
    OrderedDict: _ORDERED,
    defaultdict: _DEFAULT,
    **dict.fromkeys((float, int, bool, str, bytes, complex)),
}


def _default_form(cls: type[Any]) -> Form | None:
    if cls in _BUILT_IN:
        return _BUILT_IN[cls]
    if is_namedtuple_class(cls):
        return _NAMEDTUPLE
    return _DATACLASS if is_storable_dataclass(cls) else None


def _registered_form(cls: type[Any], registry: Mapping[Any, Mapping[str, Any]]) -> Form | None:
    """The form of a class by a registry: the built-in one where the entry is pybaum's or ours, else the entry's."""
    key: Any = cls
    if is_namedtuple_class(cls) and cls not in registry:
        key = "namedtuple"
    if key not in registry:
        return None
    entry = registry[key]
    origin = getattr(entry["flatten"], "__module__", "")
    if origin in {"pybaum.registry_entries", "tessera.pytree.registry"}:
        built_in = _default_form(cls)
        if built_in is not None:
            return built_in
    return _custom_form(entry)


def _custom_form(entry: Mapping[str, Any]) -> Form:
    def split(tree: Any) -> Split:
        children, rest = entry["flatten"](tree)
        children = list(children)
        names = tuple(entry["names"](tree)) if "names" in entry else ()
        if len(names) != len(children) or len(set(names)) != len(names):
            names = tuple(range(len(children)))
        return names, children, rest

    return Form("custom", split, lambda cls, keys, children, rest: entry["unflatten"](rest, children))


_DEFAULT_CONTAINERS = Containers()
