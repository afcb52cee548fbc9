"""Groups of parameters that belong in one line plot, and the titles of those plots (EEP-01, "Dashboard").

Holds the rules only; `plots` and `dashboard` draw by them. A parameter's name is a sequence of words: the keys of its
path, its labels (levels of an index, positions in an array), and the parts of a text between underscores, so that
`wage_constant` and `wage_experience` begin alike. The rules:

1. Magnitude. The start values of one group differ by a factor of at most 10 in size. A start of zero has no magnitude;
   it goes with values of at most 1.
2. Common beginning. Groups are formed from the end of the names towards their beginning: parameters meet where their
   names part, and groups of different branches are only joined where that brings them nearer to the wanted size.
3. Title. The words that all names of a group begin with; where two titles are the same, what tells them apart is added.
4. Size. About 5 lines, never more than 8: many alike are cut into even pieces, and neighbouring groups are joined so
   that `sum (size - 5)^2 + cost of joining branches` is smallest (dynamic programme over the order of the tree).

Shapes: a vector of start values is `(n,)`; a group holds positions in that vector.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.errors import ConfigError
from tessera.pytree.registry import Registry
from tessera.pytree.tree import TreeSpec

MAX_LINES = 8
"""The most lines that any plot may have."""

_WANTED_SHARE = 5 / 8  # about five lines where eight are allowed
_DECADES = 1.0  # sizes within a group span at most one power of ten
_GAP = math.log10(2.0)  # neighbours closer than a factor of two are not torn apart if it can be helped
_JOIN, _JOIN_AT_ROOT = 8.0, 24.0  # cost of a group over two branches; names without any common beginning cost more
_JOIN_SINGLE = 2.0  # single parameters have no group of their own to lose, so it costs little to put them together
_DEEPEST = 200  # words of a name that are looked at; below that everything counts as one branch
_SEPARATOR = "_"
_ZERO = -math.inf  # stands for the logarithm of a start of zero

Words = tuple[str, ...]


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters for one line plot.

    Attributes:
        title: what the names have in common.
        labels: what tells the parameters of the group apart, one text a line.
        names: the full names, as in `TreeSpec.index("flat")`.
        positions: places in the vector of all parameters, in the order of the tree.
    """

    title: str
    labels: tuple[str, ...]
    names: tuple[str, ...]
    positions: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True)
class _Bundle:
    """Members (numbers of items, in order) that stay together, and the span of their sizes as logarithms."""

    members: tuple[int, ...]
    low: float
    high: float
    zero: bool


def parameter_groups(
    params: Any,
    max_size: int = MAX_LINES,
    *,
    registry: Registry | None = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> tuple[ParameterGroup, ...]:
    """Groups of similar magnitude and common name, of about five parameters and never more than `max_size`.

    Args:
        params: tree of start values (any extended tree).
        max_size: most parameters of a group, 1 to 8; groups of five eighths of it are aimed at.
        registry: containers, in pybaum's format; default as everywhere.
        is_leaf: ends the descent into containers where it is true.

    Returns:
        The groups in the order of the tree; every parameter is in exactly one.

    Raises:
        ConfigError: a `max_size` outside 1 to 8.
        StructureError: a leaf that holds no numbers.
    """
    spec = TreeSpec.of(params, registry=registry, is_leaf=is_leaf)
    return group_parameters(spec, spec.ravel(params), max_size=max_size)


def group_parameters(
    spec: TreeSpec,
    start: npt.NDArray[np.float64],
    *,
    positions: Sequence[int] | npt.NDArray[np.int64] | None = None,
    max_size: int = MAX_LINES,
) -> tuple[ParameterGroup, ...]:
    """`parameter_groups` for a known structure and flat start values, of all parameters or of some.

    Args:
        spec: structure of the parameters, of size n.
        start: start values, shape (n,).
        positions: which parameters to group (default: all).
        max_size: most parameters of a group, 1 to 8.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int | np.integer) or not 1 <= max_size <= MAX_LINES:
        raise ConfigError(
            f"parameter_groups: max_size is {max_size!r}; wanted a whole number from 1 to {MAX_LINES}, because a plot "
            "with more lines cannot be read. Leave it out for the default."
        )
    chosen = np.arange(spec.size) if positions is None else np.unique(np.asarray(positions, dtype=np.int64))
    words = words_of(spec, chosen)
    sizes = _log_sizes(np.asarray(start, dtype=np.float64)[chosen])
    bundles = _bundle(list(range(len(chosen))), words, sizes, 0, int(max_size), at_root=True)
    bundles.sort(key=lambda bundle: bundle.members[0])
    names = spec.index("flat")
    return tuple(
        ParameterGroup(
            title,
            labels,
            tuple(str(names[int(chosen[member])]) for member in bundle.members),
            tuple(int(chosen[member]) for member in bundle.members),
        )
        for bundle, title, labels in zip(bundles, *_titles(bundles, words), strict=True)
    )


def words_of(spec: TreeSpec, positions: Sequence[int] | npt.NDArray[np.int64]) -> list[Words]:
    """The name of each parameter as words: keys of its path, labels, and parts of texts between underscores."""
    places = np.asarray(positions, dtype=np.int64)
    leaves = np.searchsorted(spec.offsets, places, side="right") - 1
    heads: dict[int, Words] = {}
    found: list[Words] = []
    for leaf, place in zip(leaves.tolist(), places.tolist(), strict=True):
        if leaf not in heads:
            heads[leaf] = tuple(word for key in spec.paths[leaf] for word in _split(key))
        within = np.unravel_index(place - int(spec.offsets[leaf]), spec.shapes[leaf]) if spec.shapes[leaf] else ()
        tail = (
            number if index is None else index[int(number)]
            for number, index in zip(within, spec.labels(leaf), strict=True)
        )
        found.append((*heads[leaf], *(word for label in tail for word in _split(label))))
    return found


def _split(label: Any) -> Words:
    if isinstance(label, tuple):
        return tuple(word for level in label for word in _split(level))
    return tuple(str(label).split(_SEPARATOR))


def _log_sizes(start: npt.NDArray[np.float64]) -> list[float]:
    """log10 of the absolute values; minus infinity for zero, plus infinity for what is not finite."""
    absolute = np.abs(start)
    sizes = np.full(absolute.shape, _ZERO)
    np.log10(absolute, out=sizes, where=absolute > 0)
    sizes[~np.isfinite(absolute)] = math.inf
    return [float(size) for size in sizes]


def _bundle(
    items: list[int], words: list[Words], sizes: list[float], depth: int, max_size: int, *, at_root: bool
) -> list[_Bundle]:
    """The groups of the items, whose names agree in the first `depth` words."""
    direct: list[int] = []
    branches: dict[str, list[int]] = {}
    while True:
        for item in items:
            if len(words[item]) <= depth + 1 or depth >= _DEEPEST:
                direct.append(item)
            else:
                branches.setdefault(words[item][depth], []).append(item)
        if direct or len(branches) != 1:
            break
        # One branch only: walk down without a call, so that a long common beginning costs no depth of recursion.
        depth, branches, at_root = depth + 1, {}, False
    bundles = [bundle for cluster in _clusters(direct, sizes) for bundle in _pieces(cluster, sizes, max_size)]
    for branch in branches.values():
        bundles.extend(_bundle(branch, words, sizes, depth + 1, max_size, at_root=False))
    return _join(bundles, max_size, _JOIN_AT_ROOT if at_root else _JOIN)


def _clusters(items: list[int], sizes: list[float]) -> list[list[int]]:
    """Items of similar magnitude, each cluster in the order of the tree."""
    if len(items) <= 1:
        return [items] if items else []
    special = {size: [item for item in items if sizes[item] == size] for size in (_ZERO, math.inf)}
    ordered = sorted((item for item in items if math.isfinite(sizes[item])), key=lambda item: sizes[item])
    clusters = _split_by_size(ordered, sizes)
    # A start of zero goes with the largest values that are at most 1, where there are any.
    small = [cluster for cluster in clusters if sizes[cluster[-1]] <= 0]
    if small and special[_ZERO]:
        small[-1].extend(special[_ZERO])
        special[_ZERO] = []
    clusters.extend(group for group in special.values() if group)
    return [sorted(cluster) for cluster in clusters]


def _split_by_size(ordered: list[int], sizes: list[float]) -> list[list[int]]:
    """Cut a sequence of ascending size at its widest gaps, or evenly where there is none, until each spans a decade."""
    done: list[list[int]] = []
    stack = [ordered] if ordered else []
    while stack:
        part = stack.pop()
        values = np.array([sizes[item] for item in part])
        span = float(values[-1] - values[0])
        if span <= _DECADES:
            done.append(part)
            continue
        gaps = np.diff(values)
        cut = int(gaps.argmax()) + 1
        if gaps[cut - 1] < _GAP:
            edges = values[0] + span * np.arange(1, math.ceil(span)) / math.ceil(span)
            cuts = [0, *np.searchsorted(values, edges, side="right").tolist(), len(part)]
            stack.extend(part[a:b] for a, b in zip(cuts[-2::-1], cuts[:0:-1], strict=True) if b > a)
        else:
            stack.extend((part[cut:], part[:cut]))
    return done


def _pieces(cluster: list[int], sizes: list[float], max_size: int) -> list[_Bundle]:
    """A cluster as even pieces of about the wanted size."""
    n = len(cluster)
    count = 1 if n <= max_size else max(math.ceil(n / max_size), round(n / _wanted(max_size)))
    edges = [round(n * piece / count) for piece in range(count + 1)]
    return [_bundle_of(cluster[a:b], sizes) for a, b in itertools.pairwise(edges)]


def _bundle_of(members: list[int], sizes: list[float]) -> _Bundle:
    known = [sizes[member] for member in members if sizes[member] != _ZERO]
    return _Bundle(tuple(members), min(known, default=math.inf), max(known, default=_ZERO), len(known) < len(members))


def _wanted(max_size: int) -> float:
    return max(1.0, max_size * _WANTED_SHARE)


def _join(bundles: list[_Bundle], max_size: int, cost: float) -> list[_Bundle]:
    """Join neighbours of similar magnitude so that the sizes come nearest to the wanted one."""
    if len(bundles) < 2:
        return bundles
    centre = [bundle.high if math.isinf(bundle.high) else (bundle.low + bundle.high) / 2 for bundle in bundles]
    joined: list[_Bundle] = []
    for cluster in _clusters(list(range(len(bundles))), centre):
        chain = sorted((bundles[number] for number in cluster), key=lambda bundle: bundle.members[0])
        joined.extend(_best_chain(chain, max_size, cost))
    return joined


def _best_chain(chain: list[_Bundle], max_size: int, cost: float) -> list[_Bundle]:
    """The cheapest way to cut a chain of bundles into runs; each run becomes one bundle."""
    wanted = _wanted(max_size)
    best = [0.0] + [math.inf] * len(chain)
    came_from = [0] * (len(chain) + 1)
    for end in range(1, len(chain) + 1):
        run: _Bundle | None = None
        for begin in range(end - 1, -1, -1):
            run = chain[begin] if run is None else _union(chain[begin], run)
            if end - begin > 1 and (len(run.members) > max_size or not _alike(run)):
                break
            each = _JOIN_SINGLE if len(run.members) == end - begin else cost
            price = best[begin] + (len(run.members) - wanted) ** 2 + each * (end - begin - 1)
            if price < best[end]:
                best[end], came_from[end] = price, begin
    runs: list[_Bundle] = []
    end = len(chain)
    while end:
        run = chain[came_from[end]]
        for bundle in chain[came_from[end] + 1 : end]:
            run = _union(run, bundle)
        runs.append(run)
        end = came_from[end]
    return runs[::-1]


def _union(one: _Bundle, other: _Bundle) -> _Bundle:
    members = tuple(sorted((*one.members, *other.members)))
    return _Bundle(members, min(one.low, other.low), max(one.high, other.high), one.zero or other.zero)


def _alike(bundle: _Bundle) -> bool:
    if bundle.high == _ZERO:
        return True
    if bundle.zero and bundle.high > 0:
        return False
    return bundle.low == bundle.high or bundle.high - bundle.low <= _DECADES


def _titles(bundles: list[_Bundle], words: list[Words]) -> tuple[list[str], list[tuple[str, ...]]]:
    """A title for each group, all different, and the labels of its members."""
    titles: list[str] = []
    labels: list[Words] = []
    for bundle in bundles:
        names = [words[member] for member in bundle.members]
        begin, end = _n_common(names)
        tails = (_SEPARATOR.join(name[begin : len(name) - end] or name[-1:]) for name in names)
        labels.append(tuple(tail or "value" for tail in tails))
        parts = (_SEPARATOR.join(names[0][:begin]), _SEPARATOR.join(names[0][len(names[0]) - end :]))
        common = " … ".join(parts) if end else parts[0]
        titles.append(common.strip() or _listed(list(dict.fromkeys(name[0] for name in names if name))))
    return _distinct(titles, bundles, labels), labels


def _n_common(names: list[Words]) -> tuple[int, int]:
    """How many words all names begin with, and with how many more all of them end."""
    begin = _n_alike(names)
    if len(names) == 1:
        return begin, 0
    # One word of every name at least is left to tell it apart.
    tails = [name[begin + 1 :][::-1] for name in names]
    return begin, _n_alike(tails)


def _n_alike(names: list[Words]) -> int:
    # The names between the first and the last of a sorted list cannot part from each other earlier than these two do.
    one, other = min(names), max(names)
    same = (a == b for a, b in zip(one, other, strict=False))
    return next((number for number, equal in enumerate(same) if not equal), min(len(one), len(other)))


def _listed(words: list[str], limit: int = 3) -> str:
    if len(words) > limit + 1:
        return f"{', '.join(words[:limit])} and {len(words) - limit} more"
    return ", ".join(words) or "parameters"


def _distinct(titles: list[str], bundles: list[_Bundle], labels: list[Words]) -> list[str]:
    """Add to equal titles the range of their labels or, where the ranges overlap, the size of their start values."""
    made = list(titles)
    for numbers in _repeated(titles):
        spans = [(bundles[number].members[0], bundles[number].members[-1]) for number in numbers]
        apart = all(one[1] < other[0] for one, other in itertools.pairwise(spans))
        for number in numbers:
            made[number] += f": {_span(labels[number])}" if apart else f", {_about(bundles[number])}"
    for numbers in _repeated(made):
        for number in numbers:
            made[number] += f": {_span(labels[number])}"
    for numbers in _repeated(made):
        for count, number in enumerate(numbers[1:], start=2):
            made[number] += f" ({count})"
    return made


def _repeated(titles: list[str]) -> list[list[int]]:
    """Where each title stands that stands more than once."""
    places: dict[str, list[int]] = {}
    for number, title in enumerate(titles):
        places.setdefault(title, []).append(number)
    return [numbers for numbers in places.values() if len(numbers) > 1]


def _span(labels: Words) -> str:
    return labels[0] if labels[0] == labels[-1] else f"{labels[0]} to {labels[-1]}"


def _about(bundle: _Bundle) -> str:
    if bundle.high == _ZERO:
        return "start 0"
    if math.isinf(bundle.high):
        return "start not finite"
    rounded = float(f"{10 ** ((bundle.low + bundle.high) / 2):.0e}")
    return f"start about {rounded:g}"
