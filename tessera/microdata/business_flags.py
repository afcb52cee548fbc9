"""Whether a person's business income of each kind would count for the qualified business income deduction (sec. 199A).

Neither survey nor tax file says which activities are a trade or business within 26 USC 199A(c), so each flag is a draw
with a given chance (`data/business_shares.csv`): true if u < p, with u of `tessera.random.uniform`. Holds the flags
alone; no income, wages or property of the business. A flag is drawn for everybody, with such income or without: the
engine multiplies it with the income, and a reform or an imputation may give income to who had none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tessera.microdata.asec import BoolArray, IntArray
from tessera.microdata.datafile import read_rows
from tessera.random import uniform


@dataclass(frozen=True)
class QualifiedFlag:
    """One flag.

    Attributes:
        name: the engine's input.
        draw: label of the uniform draw; flags of one activity share it.
        probability: chance that the income is qualified, between 0 and 1.
    """

    name: str
    draw: str
    probability: float


@cache
def business_shares() -> tuple[QualifiedFlag, ...]:
    """The flags of `data/business_shares.csv`, in its order."""
    return tuple(
        QualifiedFlag(row["flag"], row["draw"], float(row["probability"])) for row in read_rows("business_shares")
    )


def qualified_flags(seed: int, household_id: IntArray, entity_index: IntArray) -> dict[str, BoolArray]:
    """Flags of each person, each of shape (n_persons,).

    Args:
        seed: seed of the draws.
        household_id: what identifies the person's household in its source, so that a draw outlives selections.
        entity_index: position of the person within the household.

    Returns:
        A column for every flag, by engine name; the same keys give the same flags whoever else is in the file.
    """
    return {
        flag.name: uniform(f"business_qualified_{flag.draw}/{seed}", household_id, entity_index) < flag.probability
        for flag in business_shares()
    }
