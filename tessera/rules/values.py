"""EntityValues: variables of a set of households, each at its own entity, with the links between entities.

What the rules engine returns and what metrics are evaluated on. Holds arrays, and choosing and joining households.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class EntityValues:
    """Values of variables for `n_households` households.

    Attributes:
        n_households: number of households (rows of whatever is computed from here).
        household_of: for each entity name ("person", "tax_unit", ...), the household row of each unit, (n_units,).
        unit_of_person: for each group entity, the unit row of each person, shape (n_persons,).
        values: variable name -> array of its entity's length. Numbers as float32/float64/bool/int; enumerations as
            fixed-width unicode arrays of their names.
        entity_of: variable name -> entity name.
    """

    n_households: int
    household_of: Mapping[str, npt.NDArray[np.int64]]
    unit_of_person: Mapping[str, npt.NDArray[np.int64]]
    values: Mapping[str, npt.NDArray[np.generic]]
    entity_of: Mapping[str, str]


def by_household(values: EntityValues, variable: str) -> npt.NDArray[np.float64]:
    """A variable's sum over the units of each household, float64, shape (n_households,); of a name its length."""
    household = values.household_of[values.entity_of[variable]]
    array = values.values[variable]
    amounts = np.char.str_len(array.astype(np.str_)) if array.dtype.kind in "US" else array
    sums = np.bincount(household, amounts.astype(np.float64), values.n_households)
    return sums.astype(np.float64, copy=False)  # of no unit at all, they are whole numbers


def select_households(values: EntityValues, keep: npt.NDArray[np.bool_]) -> EntityValues:
    """The values of some households, in order, with links renumbered."""
    kept_units = {entity: keep[household] for entity, household in values.household_of.items()}
    new_row = {entity: np.cumsum(kept) - 1 for entity, kept in kept_units.items()}
    household_row = np.cumsum(keep) - 1
    return EntityValues(
        n_households=int(keep.sum()),
        household_of={entity: household_row[values.household_of[entity][kept]] for entity, kept in kept_units.items()},
        unit_of_person={
            entity: new_row[entity][unit[kept_units["person"]]] for entity, unit in values.unit_of_person.items()
        },
        values={name: array[kept_units[values.entity_of[name]]] for name, array in values.values.items()},
        entity_of=dict(values.entity_of),
    )


def concatenate(parts: Sequence[EntityValues]) -> EntityValues:
    """The values of several sets of households, one after the other, with links renumbered."""
    first = parts[0]
    households = np.cumsum([0, *(part.n_households for part in parts)])
    units = {
        entity: np.cumsum([0, *(len(part.household_of[entity]) for part in parts)]) for entity in first.household_of
    }
    return EntityValues(
        n_households=int(households[-1]),
        household_of={
            entity: np.concatenate(
                [part.household_of[entity] + start for part, start in zip(parts, households, strict=False)]
            )
            for entity in first.household_of
        },
        unit_of_person={
            entity: np.concatenate(
                [part.unit_of_person[entity] + start for part, start in zip(parts, units[entity], strict=False)]
            )
            for entity in first.unit_of_person
        },
        values={name: np.concatenate([part.values[name] for part in parts]) for name in first.values},
        entity_of=dict(first.entity_of),
    )
