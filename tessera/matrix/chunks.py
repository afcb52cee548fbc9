"""Households in chunks: pieces of EntityValues small enough that evaluating all metrics of one fits the memory.

Holds the cutting only. A chunk's households are consecutive, its units keep their order, so that whatever is summed
over the units of a household is summed in the same order as in the whole: results do not depend on the size of chunks.
Values of units that lie in the order of their households, as assembled ones do, are cut without a copy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.rules.values import EntityValues

HOUSEHOLDS = 65_536
"""Households of a chunk: some 200,000 persons, of which 160 metrics need about 200 MB while they are evaluated."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Units:
    """Units of one entity by household.

    Attributes:
        household: of each unit, ascending, shape (n_units,).
        order: the unit at each place, or None where the units lie in this order anyway.
        place: place of each unit, or None likewise.
    """

    household: IntArray
    order: IntArray | None
    place: IntArray | None

    @classmethod
    def of(cls, household: npt.NDArray[np.int64]) -> _Units:
        if len(household) < 2 or bool((household[1:] >= household[:-1]).all()):
            return cls(household, None, None)
        order = np.argsort(household, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return cls(household[order], order, place)

    def taken(self, values: npt.NDArray[np.generic], part: slice) -> npt.NDArray[np.generic]:
        """Values of the units at some places."""
        return values[part] if self.order is None else values[self.order[part]]


def household_chunks(
    values: EntityValues, variables: Collection[str], size: int = HOUSEHOLDS
) -> Iterator[tuple[int, EntityValues]]:
    """Consecutive households, some at a time.

    Args:
        values: of n_households households.
        variables: names to keep; those that `values` lacks are left out.
        size: most households of a chunk.

    Yields:
        Number of the chunk's first household, and its values with links counted from 0.
    """
    units = {entity: _Units.of(household) for entity, household in values.household_of.items()}
    kept = [name for name in variables if name in values.values and values.entity_of.get(name) in units]
    for first in range(0, values.n_households, size):
        last = min(first + size, values.n_households)
        parts = {
            entity: slice(*np.searchsorted(unit.household, (first, last)).tolist()) for entity, unit in units.items()
        }
        yield (
            first,
            EntityValues(
                n_households=last - first,
                household_of={entity: unit.household[parts[entity]] - first for entity, unit in units.items()},
                unit_of_person={
                    entity: _links(link, entity, units, parts) for entity, link in values.unit_of_person.items()
                },
                values={
                    name: units[values.entity_of[name]].taken(values.values[name], parts[values.entity_of[name]])
                    for name in kept
                },
                entity_of={name: values.entity_of[name] for name in kept},
            ),
        )


def _links(
    link: npt.NDArray[np.int64], entity: str, units: dict[str, _Units], parts: dict[str, slice]
) -> npt.NDArray[np.int64]:
    """Rows, within the chunk, of the units that the chunk's persons belong to."""
    found = units["person"].taken(link, parts["person"])
    place = units[entity].place
    result: IntArray = (found if place is None else place[found]) - parts[entity].start
    return result
