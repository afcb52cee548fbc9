"""A test double of the rules engine: numbers made up from a dataset's own arrays, without tax or benefit law.

Every value depends on the unit and its members alone, never on who else is in the dataset, as the engine's must; what
`compute` gives for a clone is therefore what `compute_file` gives for it in any area file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from resources.engine import RulesEngine
from tessera.areas.dataset import AreaDataset, read_area
from tessera.frame import ENTITIES, GROUP_ENTITIES
from tessera.rules.engine import Rules, household_links
from tessera.rules.examination import Examined
from tessera.rules.values import EntityValues

Arrays = Mapping[str, npt.NDArray[np.generic]]


class StubRules:
    """A `Rules` that makes up its values, and counts how often it was asked to load."""

    version = "test double 0"
    spell_input = "weeks_unemployed"

    def __init__(self) -> None:
        self.loads = 0

    def load(self) -> None:
        """Nothing to load; counted."""
        self.loads += 1

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        """Made-up values of a dataset's units."""
        return _values(dataset.arrays, dataset.counts, variables)

    def entity(self, variable: str) -> str:
        """Entity of a variable that targets may use."""
        return str(_variables().loc[variable, "entity"])

    def examine(self, dataset: AreaDataset, variables: Sequence[str], takeup: Sequence[str]) -> Examined:
        """The same values: made of ages and incomes alone, so that no decision matters to them."""
        nothing = {name: np.zeros(len(dataset.arrays[name]), dtype=bool) for name in takeup}
        return Examined(self.compute(dataset, variables), nothing)

    def spells(self, person_id: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Nothing is made of ids."""
        return np.zeros(len(person_id), dtype=np.int64)

    def compute_file(self, path: Path, variables: Sequence[str]) -> tuple[EntityValues, npt.NDArray[np.float64]]:
        """The same from a written area file, and the household weights in it."""
        arrays = read_area(path)
        counts = {entity: len(arrays[f"{entity}_id"]) for entity in ENTITIES}
        return _values(arrays, counts, variables), arrays["household_weight"].astype(np.float64)


_RULES = StubRules()


class StubRulesEngine(RulesEngine):
    """The resource that gives the double, one a process."""

    name: str = "test double"

    def get(self) -> Rules:
        """The double."""
        return _RULES


def _values(arrays: Arrays, counts: Mapping[str, int], variables: Sequence[str]) -> EntityValues:
    known = _variables()
    unit_of_person = {entity: arrays[f"person_{entity}_id"].astype(np.int64) for entity in GROUP_ENTITIES}
    amounts = _amounts(arrays)
    values = {}
    for name in variables:
        entity, kind = known.loc[name, "entity"], known.loc[name, "kind"]
        if name in arrays and len(arrays[name]) == counts[entity]:
            values[name] = arrays[name]
            continue
        made_up = amounts * np.float32(0.5 + (zlib.crc32(name.encode()) % 1000) / 1000)
        if entity != "person":
            made_up = np.bincount(unit_of_person[entity], made_up, counts[entity]).astype(np.float32)
        values[name] = _as_kind(made_up, kind, zlib.crc32(name.encode()))
    return EntityValues(
        n_households=counts["household"],
        household_of=household_links(arrays, counts),
        unit_of_person=unit_of_person,
        values=values,
        entity_of={name: known.loc[name, "entity"] for name in variables},
    )


def _amounts(arrays: Arrays) -> npt.NDArray[np.float32]:
    """One positive number a person, of the size of an income."""
    income = np.abs(arrays["employment_income_before_lsr"].astype(np.float64))
    return (income + 100.0 * arrays["age"].astype(np.float64) + 50.0).astype(np.float32)


def _as_kind(values: npt.NDArray[np.float32], kind: str, salt: int) -> npt.NDArray[np.generic]:
    whole = values.astype(np.int64)
    if kind == "bool":
        return (whole + salt) % 3 != 0
    return (whole + salt) % 4 if kind == "int" else values


@cache
def _variables() -> pd.DataFrame:
    """Entity and kind of every variable that targets may use."""
    with resources.files("tessera.targets").joinpath("variables.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle).set_index("name")
