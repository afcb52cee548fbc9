"""Heads and spouses of the survey twice over: as they reported, and with what was drawn from the tax file.

Holds the two tables that forests of the tax half are trained on and draw for, row by row the same persons; draws
nothing. Training takes at most `TRAINING_PERSONS` of them, the same for every forest of the same persons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.filers import FAMILY, filers, keys_of
from tessera.microdata.imputation import Keys, training_sample

TRAINING_PERSONS = 5_000
WHO = (*FAMILY, "is_tax_unit_head")
OWN_BUSINESSES = (
    "self_employment_income_before_lsr",
    "sstb_self_employment_income_before_lsr",
    "farm_operations_income",
)
WAGES = "employment_income_before_lsr"
# Income from work: where all of these are zero, nobody worked.
EARNINGS = (WAGES, *OWN_BUSINESSES, "partnership_self_employment_net_earnings")
BUSINESS = "business_earnings"


@dataclass(frozen=True)
class SurveyFilers:
    """Filers of the survey, one row a person, indexed by row of the person table.

    Attributes:
        own: columns of the survey as they are.
        reported: `WHO`, what the drawn variables are called as reported (totals are sums of their parts), `BUSINESS`
            (all earnings but wages) and the amounts that are drawn anew.
        drawn: `WHO`, the drawn variables and `BUSINESS`.
        weights: household weights, (n,).
        keys: identity of the draws, (n,) each.
    """

    own: pd.DataFrame
    reported: pd.DataFrame
    drawn: pd.DataFrame
    weights: FloatArray
    keys: Keys

    def keys_at(self, mask: BoolArray) -> Keys:
        """Keys of some of the persons."""
        return Keys(self.keys.household_id[mask], self.keys.entity_index[mask])

    def usable(self, mask: BoolArray) -> BoolArray:
        """Those of some persons who can be trained on: with a weight."""
        return np.logical_and(mask, self.weights > 0)

    def training(self, mask: BoolArray, *, seed: int) -> tuple[IntArray, FloatArray]:
        """Rows of `reported` to train on among some (usable) persons, and their weights."""
        rows = np.flatnonzero(mask)
        none = np.zeros(len(rows), dtype=bool)
        chosen, weights = training_sample(self.weights[rows], TRAINING_PERSONS, keep=none, seed=seed)
        return rows[chosen], weights


def works(table: pd.DataFrame) -> BoolArray:
    """Who has earnings of any kind or sign, in one of the tables of `SurveyFilers`, (n,)."""
    names = [name for name in EARNINGS if name in table]
    return np.any(table[names].to_numpy() != 0, axis=1)


def survey_filers(cps: Frame, drawn: pd.DataFrame, columns: Sequence[str]) -> SurveyFilers:
    """Both tables.

    Args:
        cps: the survey.
        drawn: variables of the tax file, indexed by person row (`tax_half.draw_tax_half`).
        columns: amounts of persons wanted, beside those named as drawn.
    """
    everyone = filers(cps, list(dict.fromkeys([*columns, *EARNINGS, *map(str, drawn.columns)])))
    reported = everyone.everybody()
    receivers = pd.concat([reported[list(WHO)], drawn.loc[reported.index]], axis=1)
    return SurveyFilers(
        cps.person.loc[reported.index],
        _with_business(reported),
        _with_business(receivers),
        everyone.everybodys_weights(),
        keys_of(cps, reported.index.to_numpy()),
    )


def _with_business(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in EARNINGS[1:] if name in table]
    return table.assign(**{BUSINESS: table[names].sum(axis=1)})
