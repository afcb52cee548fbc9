"""EntityValues: variables of a set of households, each at its own entity, with the links between entities.

What the rules engine returns and what metrics are evaluated on. Holds arrays only; computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
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
