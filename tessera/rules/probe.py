"""Probing a PolicyEngine simulation: which take-up decisions its values hang on.

Works on a simulation that has computed what was asked. It never simulates again: it changes inputs, and computes again
only the variables that read them, everything else staying as it is.

A decision reaches the engine's values through its *readers* alone, the variables whose formulas read it (found in the
engine's sources). All decisions of some programmes are turned round at once and their readers computed again. Where no
reader of a unit's decision changes, the decision does not matter: turning it round changes nothing, so that turning
round a second such decision changes nothing either, and so on. Decisions that one reader reads together are turned
round alone and together: programmes are coloured so that such ones have different colours, and every combination of
colours is tried.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations, count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
Stored = list[npt.NDArray[np.generic]]
_QUOTED = re.compile(r"""["']([a-z][a-z0-9_]+)["']""")
_IMPORT = re.compile(r"^(?:from|import)\s[^(\n]*(?:\([^)]*\))?", re.MULTILINE)
_WORD = re.compile(r"\w+")


def find_readers(variables: Mapping[str, Any], inputs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Variables of the engine whose sources name some inputs, themselves or in a helper module that they import.

    Args:
        variables: the engine's, by name.
        inputs: names of input variables.

    Returns:
        Input -> names of its readers, sorted. Too many rather than too few: a name that is merely mentioned counts.
    """
    wanted = set(inputs)
    sources = {name: Path(inspect.getfile(type(variable))) for name, variable in variables.items()}
    texts = {path: path.read_text(encoding="utf-8", errors="replace") for path in _modules(sources.values())}
    named = {path: wanted.intersection(_QUOTED.findall(text)) for path, text in texts.items()}
    importers: dict[str, set[Path]] = {}
    for path, text in texts.items():
        for line in _IMPORT.findall(text):
            for word in _WORD.findall(line):
                importers.setdefault(word, set()).add(path)
    defining = set(sources.values())
    helpers = [path for path, found in named.items() if found and path not in defining]
    while helpers:  # whoever imports a helper reads what it reads; that may be a helper, too
        helper = helpers.pop()
        for path in importers.get(helper.stem, set()) - {helper}:
            if not named[helper] <= named[path]:
                named[path] |= named[helper]
                helpers += [path] if path not in defining else []
    return {
        one: tuple(sorted(name for name, path in sources.items() if name != one and one in named[path]))
        for one in sorted(wanted)
    }


def _modules(sources: Iterable[Path]) -> list[Path]:
    """Modules that define variables, and others of their package, without its tests and its reforms of the law."""
    defining = set(sources)
    common = Path(os.path.commonpath([str(path) for path in defining]))
    package = next((folder for folder in (common, *common.parents) if (folder / "__init__.py").exists()), common)
    left_out = {"tests", "reforms"}
    others = {path for path in package.rglob("*.py") if not left_out & set(path.relative_to(package).parts)}
    return sorted(defining | others)


def computed(simulation: Any, names: Iterable[str]) -> list[str]:
    """Those of some variables that the simulation holds values of."""
    return [name for name in names if simulation.get_holder(name).get_known_periods()]


class Probe:
    """One simulation, and how its values answer to changed inputs.

    Args:
        simulation: the engine's, with every wanted variable computed.
        readers: input -> variables that read it (`find_readers`).
        units: entity -> unit of each person, for groups; the engine's order.
        counts: entity -> number of units.
    """

    def __init__(
        self,
        simulation: Any,
        readers: Mapping[str, Sequence[str]],
        units: Mapping[str, npt.NDArray[np.int64]],
        counts: Mapping[str, int],
    ) -> None:
        self._simulation = simulation
        self._units = units
        self._counts = counts
        self._readers = {name: computed(simulation, found) for name, found in readers.items()}
        self._periods: dict[str, list[Any]] = {}

    def takeup_matters(self) -> dict[str, BoolArray]:
        """Whether each unit's decision matters: take-up variable -> bool, shape (n_units,) of its entity."""
        colour = _colours(self._readers)
        n_colours = max(colour.values(), default=-1) + 1
        subsets = [frozenset(one) for size in range(n_colours + 1) for one in combinations(range(n_colours), size)]
        names = sorted({reader for found in self._readers.values() for reader in found})
        self._remember([*names, *self._readers])
        results: dict[frozenset[int], dict[str, Stored]] = {}
        for subset in subsets:
            turned = [name for name in self._readers if colour[name] in subset]
            with self._turned(turned), self._again(names):
                results[subset] = {name: self._values(name) for name in names}
        return {name: self._changed(name, colour[name], results) for name in self._readers}

    def _changed(self, name: str, own: int, results: Mapping[frozenset[int], Mapping[str, Stored]]) -> BoolArray:
        """Units where turning a decision round changes a reader, whatever else is turned round."""
        entity = self._entity(name)
        result = np.zeros(self._counts[entity], dtype=bool)
        for reader in self._readers[name]:
            for subset, values in results.items():
                if own not in subset:
                    other = results[subset | {own}][reader]
                    for before, after in zip(values[reader], other, strict=True):
                        result |= self._at(entity, self._entity(reader), before != after)
        return result

    def _at(self, entity: str, source: str, flags: BoolArray) -> BoolArray:
        """Units of an entity that share a person with a flagged unit of another."""
        if entity == source or not flags.any():
            return flags if entity == source else np.zeros(self._counts[entity], dtype=bool)
        persons = flags if source == "person" else flags[self._units[source]]
        if entity == "person":
            return persons
        result = np.zeros(self._counts[entity], dtype=bool)
        result[self._units[entity][persons]] = True
        return result

    def _entity(self, name: str) -> str:
        return str(self._simulation.tax_benefit_system.variables[name].entity.key)

    def _remember(self, names: Iterable[str]) -> None:
        """Note the periods in which variables have values, while they have them."""
        for name in names:
            if name not in self._periods:
                self._periods[name] = sorted(self._simulation.get_holder(name).get_known_periods(), key=str)

    def _values(self, name: str) -> Stored:
        return [np.asarray(self._simulation.calculate(name, period)) for period in self._periods[name]]

    @contextmanager
    def _again(self, names: Sequence[str]) -> Iterator[None]:
        """Forget computed values; put them back at the end."""
        kept = {name: self._values(name) for name in names}
        for name in names:
            self._simulation.delete_arrays(name)
        try:
            yield
        finally:
            for name, arrays in kept.items():
                self._simulation.delete_arrays(name)
                self._put(name, arrays)

    def _put(self, name: str, arrays: Stored) -> None:
        holder = self._simulation.get_holder(name)
        for period, array in zip(self._periods[name], arrays, strict=True):
            holder.put_in_cache(array, period, self._simulation.branch_name)

    @contextmanager
    def _turned(self, names: Sequence[str]) -> Iterator[None]:
        """Turn decisions round; as they were at the end."""
        before = {name: self._values(name) for name in names}
        for name, arrays in before.items():
            self._set(name, [~array.astype(bool) for array in arrays])
        try:
            yield
        finally:
            for name, arrays in before.items():
                self._set(name, arrays)

    def _set(self, name: str, arrays: Stored) -> None:
        for period, array in zip(self._periods[name], arrays, strict=True):
            self._simulation.set_input(name, period, array)


def _colours(readers: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """A colour for each input, different where one variable reads both; as few as a greedy choice needs."""
    colour: dict[str, int] = {}
    for name, found in readers.items():
        taken = {colour[other] for other in colour if set(readers[other]) & set(found)}
        colour[name] = next(number for number in count() if number not in taken)
    return colour
