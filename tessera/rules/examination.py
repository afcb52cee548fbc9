"""Examination: engine values of some households, and which of their take-up decisions these values hang on.

Holds the result of `Rules.examine` and nothing that computes. A decision matters if any value could change if the unit
decided the other way. The answer is exact or too careful, never too bold: what is said not to matter does not, alone or
together with everything else that is said not to. Clones that differ in nothing that matters share one row of values
(`situations`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.rules.values import EntityValues


@dataclass(frozen=True)
class Examined:
    """What `Rules.examine` found.

    Attributes:
        values: of the households as they were set up.
        takeup_matters: take-up variable -> whether each unit's decision matters, bool, shape (n_units,) of its entity.
    """

    values: EntityValues
    takeup_matters: Mapping[str, npt.NDArray[np.bool_]]
