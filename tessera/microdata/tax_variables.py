"""The variables that the tax file gives: name, entity, kind and what the survey knows of each, as data.

Holds `data/tax_variables.csv` as records, in the order of the imputation chain; holds no amount.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from tessera.microdata.datafile import read_rows

Survey = Literal["asks", "absent", "tax_only"]


@dataclass(frozen=True)
class TaxVariable:
    """A variable of the tax file.

    Attributes:
        name: column of the tax file's persons; an engine input, but for the total of Social Security.
        entity: entity of the engine's input; "tax_unit" values stand with the head until the halves are joined.
        kind: "amount" (dollars) or "flag" (0 or 1).
        survey: "asks" (the survey half keeps what was reported), "absent" (the survey half gains a draw) or "tax_only"
            (the survey half has 0: what it would hold is inside another reported amount).
        codes: codes of the public-use file, or how it is made.
    """

    name: str
    entity: str
    kind: str
    survey: Survey
    codes: str


@cache
def tax_variables() -> tuple[TaxVariable, ...]:
    """All variables, in the order of the chain: earnings first, as they predict the rest."""
    return tuple(
        TaxVariable(row["name"], row["entity"], row["kind"], cast(Survey, row["survey"]), row["codes"])
        for row in read_rows("tax_variables")
    )
