"""What becomes of each variable of the survey in the tax half, as data.

Holds `data/survey_only_variables.csv` as records, with a reason on every line; draws nothing. Variables of the tax
file are in `tax_variables`; every other column of the survey's Frame is named here, so that none is copied unnoticed.

    kept        stays as the household reported it
    filers      drawn anew for heads and spouses given family and drawn incomes
    workers     drawn anew for those with drawn earnings; 0 without
    last_year   drawn anew for those whose last year is known
    matched     taken from the nearest survey person who works alike
    reconciled  made to agree with what was drawn by a rule of its own
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

from tessera.microdata.datafile import read_rows

Treatment = Literal["kept", "filers", "workers", "last_year", "matched", "reconciled"]
CHAINED: tuple[Treatment, ...] = ("filers", "workers", "last_year")


@dataclass(frozen=True)
class SurveyVariable:
    """A variable that only the survey has.

    Attributes:
        name: column of the survey's Frame.
        entity: entity of the engine's input.
        treatment: what becomes of it in the tax half.
        reason: why.
    """

    name: str
    entity: str
    treatment: Treatment
    reason: str


@cache
def survey_variables() -> tuple[SurveyVariable, ...]:
    """All of them; those drawn stand in the order of their chain."""
    return tuple(
        SurveyVariable(row["name"], row["entity"], cast(Treatment, row["treatment"]), row["reason"])
        for row in read_rows("survey_only_variables")
    )


def treated(treatment: Treatment) -> tuple[str, ...]:
    """Names of the variables of one treatment, in order."""
    return tuple(variable.name for variable in survey_variables() if variable.treatment == treatment)
