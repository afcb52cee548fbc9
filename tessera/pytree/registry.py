"""Which types are containers, in pybaum's registry format, and which classes a stored file may name.

A registry maps a type to `{"flatten", "unflatten", "names"}`. The default one holds pybaum's containers (list, tuple,
dict, OrderedDict, namedtuple, None), defaultdict and every storable dataclass; arrays, tables and sparse matrices stay
leaves. The extended one makes containers of numbers of these too (`extended`).

A file names classes as `module:qualname`. A name is turned into a class only where the class was registered with
`register_dataclass` or `register_namedtuple`, or is a dataclass or namedtuple of the `tessera` package: reading a file
never imports anything else.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from tessera.errors import StructureError

Registry = dict[Any, dict[str, Callable[..., Any]]]
_Class = TypeVar("_Class", bound=type[Any])
_PACKAGE = "tessera"
_NUMBER_TYPES = ("numpy.ndarray", "pandas.Series", "pandas.DataFrame", "scipy.sparse")
_REGISTERED: dict[str, type[Any]] = {}


class ClassNode:
    """Stand-in for a dataclass instance in a skeleton: its class and its children, without calling the constructor."""

    __slots__ = ("children", "cls", "names")

    def __init__(self, cls: type[Any], names: tuple[str, ...], children: list[Any]) -> None:
        self.cls, self.names, self.children = cls, names, children


class _ContainerRegistry(Registry):
    """A registry that takes any storable dataclass for a container, without an entry made by hand."""

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or (isinstance(key, type) and is_storable_dataclass(key))

    def __missing__(self, key: type[Any]) -> dict[str, Callable[..., Any]]:
        self[key] = _dataclass_entry(key)
        return self[key]


def get_registry(
    types: Sequence[str] | None = None,
    *,
    extended: bool = False,
    data_col: str = "value",
    extra: Mapping[Any, Mapping[str, Callable[..., Any]]] | None = None,
) -> Registry:
    """The containers: pybaum's defaults, storable dataclasses, and what the arguments add.

    Args:
        types: further types as pybaum names them: "numpy.ndarray", "pandas.Series", "pandas.DataFrame", and
            "scipy.sparse". Their numbers become the leaves.
        extended: all of these types; the view of a tree as one of numbers.
        data_col: with them, the column that holds the numbers of a frame that has it; of a frame that does not, all
            numeric columns count.
        extra: further container types of yours, `{type: {"flatten", "unflatten", "names"}}`: `flatten(tree)` gives the
            children and whatever `unflatten(that, children)` needs beside them, `names(tree)` a name a child.
    """
    names = list(_NUMBER_TYPES if extended else types or ())
    if not names and extra is None:
        return _default_registry()
    registry = _ContainerRegistry(_default_registry())
    if names:
        from tessera.pytree.trees.extended import entries

        registry.update(entries(names, data_col))
    registry.update({key: dict(entry) for key, entry in (extra or {}).items()})
    return registry


def register_dataclass(cls: _Class, *, aliases: tuple[str, ...] = ()) -> _Class:
    """Allow instances of a dataclass of another package in stored trees. Usable as a decorator.

    Args:
        cls: a dataclass; its fields are the children.
        aliases: former names (`module:qualname`) under which older files hold it.
    """
    if not dataclasses.is_dataclass(cls):
        raise StructureError(f"{class_name(cls)} is not a dataclass; only dataclasses can be registered here.")
    return _register(cls, aliases)


def register_namedtuple(cls: _Class, *, aliases: tuple[str, ...] = ()) -> _Class:
    """Allow instances of a namedtuple class of another package in stored trees. Usable as a decorator."""
    if not is_namedtuple_class(cls):
        raise StructureError(f"{class_name(cls)} is not a namedtuple class; only those can be registered here.")
    return _register(cls, aliases)


def class_name(cls: type[Any]) -> str:
    """The name that a file gives to a class: `module:qualname`."""
    return f"{cls.__module__}:{cls.__qualname__}"


def is_namedtuple_class(cls: type[Any]) -> bool:
    """Whether a class was made by `collections.namedtuple` or `typing.NamedTuple`."""
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


def is_storable(cls: type[Any]) -> bool:
    """Whether a file may name this class, so that a later reader finds it again."""
    if _REGISTERED.get(class_name(cls)) is cls:
        return True
    return _is_ours(cls.__module__) and _lookup(cls.__module__, cls.__qualname__) is cls


def is_storable_dataclass(cls: type[Any]) -> bool:
    """Whether a class is a dataclass that a file may name."""
    return dataclasses.is_dataclass(cls) and is_storable(cls)


def resolve_class(name: str) -> type[Any]:
    """The class behind a stored name; `StructureError` where it is neither registered nor ours."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    module, _, qualname = name.partition(":")
    if not _is_ours(module):
        raise StructureError(
            f"the file names the class {name!r}, which is not registered. If you trust the file, import the class and "
            "call tessera.pytree.registry.register_dataclass(cls) (or register_namedtuple) before loading."
        )
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise StructureError(
            f"the file names the class {name!r}, but there is no module {module} in this version of tessera. "
            "Rebuild the file, or load it with the version that wrote it."
        ) from error
    cls = _lookup(module, qualname)
    if not isinstance(cls, type) or not (dataclasses.is_dataclass(cls) or is_namedtuple_class(cls)):
        raise StructureError(f"the file names {name!r}, no dataclass or namedtuple of this version of tessera.")
    return cls


def field_names(cls: type[Any]) -> tuple[str, ...]:
    """The names of the children of a dataclass or namedtuple, in order."""
    if dataclasses.is_dataclass(cls):
        return tuple(field.name for field in dataclasses.fields(cls))
    names: tuple[str, ...] = cls._fields
    return names


def build_dataclass(cls: type[Any], names: tuple[str, ...], children: list[Any]) -> Any:
    """An instance from its field values, through the constructor, so that its own checks run."""
    values = dict(zip(names, children, strict=True))
    arguments = {field.name: values.pop(field.name) for field in dataclasses.fields(cls) if field.init}
    try:
        instance = cls(**arguments)
        for name, value in values.items():
            object.__setattr__(instance, name, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise StructureError(f"{class_name(cls)} cannot be built from its stored fields: {error}") from error
    return instance


@cache
def stored_registry() -> Registry:
    """The containers of stored trees: pybaum's defaults and storable dataclasses, and the nodes of skeletons."""
    from pybaum import get_registry as pybaum_registry

    registry = _ContainerRegistry(pybaum_registry())
    registry[ClassNode] = {
        "flatten": lambda node: (node.children, node),
        "unflatten": lambda node, children: build_dataclass(node.cls, node.names, children),
        "names": lambda node: list(node.names),
    }
    return registry


def is_default_registry(registry: Mapping[Any, Any]) -> bool:
    """Whether a registry is the one of `get_registry()`."""
    return _default_registry.cache_info().currsize > 0 and registry is _default_registry()


@cache
def _default_registry() -> Registry:
    registry = _ContainerRegistry(stored_registry())
    registry[defaultdict] = {
        "flatten": lambda tree: (list(tree.values()), (tree.default_factory, list(tree))),
        "unflatten": lambda rest, children: defaultdict(rest[0], zip(rest[1], children, strict=True)),
        "names": lambda tree: list(map(str, tree)),
    }
    return registry


def _dataclass_entry(cls: type[Any]) -> dict[str, Callable[..., Any]]:
    names = field_names(cls)
    return {
        "flatten": lambda tree: ([getattr(tree, name) for name in names], None),
        "unflatten": lambda _, children: build_dataclass(cls, names, children),
        "names": lambda _: list(names),
    }


def _register(cls: _Class, aliases: tuple[str, ...]) -> _Class:
    for name in (class_name(cls), *aliases):
        taken = _REGISTERED.get(name, cls)
        if class_name(taken) != class_name(cls):
            raise StructureError(f"{name} is registered already, for {class_name(taken)}; choose another alias.")
        _REGISTERED[name] = cls
    return cls


def _is_ours(module: str) -> bool:
    return module == _PACKAGE or module.startswith(f"{_PACKAGE}.")


def _lookup(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found
