"""EntityValues: variables of a set of households, each at its own entity, with the links between entities.

What the rules engine returns and what metrics are evaluated on. Holds arrays, and choosing and joining households.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.ragged import ranges


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


def take_households(values: EntityValues, households: npt.NDArray[np.int64]) -> EntityValues:
    """The values of some households, in any order and as often as wanted, with links renumbered.

    Args:
        values: units of each entity in the order of their households, as assembled ones are.
        households: rows, shape (n,).
    """
    units, household_of, shift = {}, {}, {}
    for entity, household in values.household_of.items():
        start = np.searchsorted(household, np.arange(values.n_households + 1))
        size = np.diff(start)[households]
        units[entity] = ranges(start[households], size)
        household_of[entity] = np.repeat(np.arange(len(households)), size)
        # From where the units of a household were to where they are now.
        shift[entity] = np.cumsum(size) - size - start[households]
    return EntityValues(
        n_households=len(households),
        household_of=household_of,
        unit_of_person={
            entity: unit[units["person"]] + shift[entity][household_of["person"]]
            for entity, unit in values.unit_of_person.items()
        },
        values={name: array[units[values.entity_of[name]]] for name, array in values.values.items()},
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
