"""Names of the numbers of a tree: flat texts, and a MultiIndex that is easier to select from. Built on demand.

{"a": Series over x, y; "b": [1.0, array of shape (2, 2)]}
flat    a_x, a_y, b_0, b_1_0_0, b_1_0_1, b_1_1_0, b_1_1_1
multi   (a, x, "", ""), (a, y, "", ""), (b, 0, "", ""), (b, 1, 0, 0), ...
"""

from __future__ import annotations

import math
from collections import Counter
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tessera.pytree.trees.containers import Node, leaf_texts
from tessera.pytree.trees.labels import label_levels, label_texts
from tessera.pytree.trees.leaves import SCALAR, Codec

if TYPE_CHECKING:
    from tessera.pytree.trees.spec import TreeSpec


def flat_index(spec: TreeSpec, sep: str) -> pd.Index:
    """The unique name of each number as an index of texts, length `spec.size`."""
    return pd.Index(flat_names(spec.root, spec.codecs, sep), dtype="str")


def flat_names(root: Node | int, codecs: list[Codec], sep: str) -> list[str]:
    """The unique name of each number, path and labels joined by `sep`; a leaf without numbers has one name."""
    names: list[str] = []
    for prefix, codec in zip(_joined(root, "", sep), codecs, strict=True):
        if codec is SCALAR:
            names.append(prefix or "0")
        else:
            names.extend(_number_names(prefix, codec, sep))
    if len(set(names)) == len(names):
        return names
    texts = _unambiguous(root, codecs)
    counts = Counter(names)
    renamed = [text if counts[name] > 1 else name for name, text in zip(names, texts, strict=True)]
    return renamed if len(set(renamed)) == len(renamed) else _numbered(texts)


def multi_index(spec: TreeSpec) -> pd.MultiIndex:
    """Path and labels of each number as levels, padded with "" to the longest, length `spec.size`."""
    columns: list[list[Any]] = [[] for _ in range(max(_depth(spec.root, spec.codecs), 1))]
    _fill(spec.root, [], spec.codecs, columns)
    parts: Any = [pd.factorize(np.fromiter(column, dtype=object, count=spec.size)) for column in columns]
    levels: Any = [pd.Index(level, tupleize_cols=False) for _, level in parts]
    return pd.MultiIndex(levels=levels, codes=[codes for codes, _ in parts], verify_integrity=False)


def _depth(node: Node | int, codecs: list[Codec]) -> int:
    if isinstance(node, int):
        return _n_levels(codecs[node])
    if node.children is None:
        deepest = {id(codec): codec for codec in codecs[node.start : node.stop]}.values()
        return 1 + max(map(_n_levels, deepest), default=0)
    return 1 + max((_depth(child, codecs) for child in node.children), default=0)


def _fill(node: Node | int, above: list[Any], codecs: list[Codec], columns: list[list[Any]]) -> None:
    """Append the rows of the numbers below a node to each column."""
    if isinstance(node, int):
        codec = codecs[node]
        levels = _leaf_levels(codec) or ([] if above else [[0]])
        _append([[key] * codec.size for key in above] + levels, codec.size, columns)
    elif node.children is None and all(codec is SCALAR for codec in codecs[node.start : node.stop]):
        n = len(node.keys)
        _append([[key] * n for key in above] + [node.keys], n, columns)
    else:
        for key, child in node.each():
            _fill(child, [*above, key], codecs, columns)


def _append(rows: list[Any], size: int, columns: list[list[Any]]) -> None:
    for column, content in zip(columns, [*rows, *[[""] * size] * (len(columns) - len(rows))], strict=True):
        column.extend(content)


def _joined(node: Node | int, prefix: str, sep: str) -> list[str]:
    if isinstance(node, int):
        return [prefix]
    start = f"{prefix}{sep}" if prefix else ""
    if node.children is None:
        return [f"{start}{key}" for key in node.keys]
    return [name for key, child in node.each() for name in _joined(child, f"{start}{key}", sep)]


def _number_names(prefix: str, codec: Codec, sep: str) -> list[str]:
    if not codec.shape:
        return [prefix or "0"]
    start = f"{prefix}{sep}" if prefix else ""
    per_axis = [label_texts(labels, size, sep) for labels, size in zip(codec.labels, codec.shape, strict=True)]
    if len(per_axis) == 1:
        return [start + text for text in per_axis[0]]
    return [start + sep.join(parts) for parts in product(*per_axis)]


def _unambiguous(root: Node | int, codecs: list[Codec]) -> list[str]:
    names: list[str] = []
    for path, codec in zip(leaf_texts(root), codecs, strict=True):
        if not codec.shape:
            names.append(path)
            continue
        per_axis = [_reprs(labels, size) for labels, size in zip(codec.labels, codec.shape, strict=True)]
        names.extend(f"{path}[{', '.join(parts)}]" for parts in product(*per_axis))
    return names


def _reprs(labels: pd.Index | None, size: int) -> list[str]:
    return list(map(str, range(size))) if labels is None else list(map(repr, labels.tolist()))


def _numbered(texts: list[str]) -> list[str]:
    """The texts, those that occur more than once with `#0`, `#1`, ... behind them (repeated labels)."""
    counts, seen = Counter(texts), Counter[str]()
    names = []
    for text in texts:
        names.append(f"{text}#{seen[text]}" if counts[text] > 1 else text)
        seen[text] += 1
    return names


def _n_levels(codec: Codec) -> int:
    return sum(1 if labels is None else labels.nlevels for labels in codec.labels)


def _leaf_levels(codec: Codec) -> list[Any]:
    """The labels of a leaf's numbers as columns of length `codec.size`."""
    levels: list[Any] = []
    for axis, (labels, size) in enumerate(zip(codec.labels, codec.shape, strict=True)):
        inner = math.prod(codec.shape[axis + 1 :])
        outer = math.prod(codec.shape[:axis])
        for content in label_levels(labels, size):
            cells = np.fromiter(content, dtype=object, count=size)
            levels.append(np.tile(np.repeat(cells, inner), outer))
    return levels
