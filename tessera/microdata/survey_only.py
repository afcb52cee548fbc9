"""What only the survey asks and what must fit drawn incomes: drawn anew for the tax half's heads and spouses.

Holds the chains trained on survey persons, and what follows from their values; which variable goes where is
`survey_variables`'. A person who draws wages of half a million keeps sex, race, family and coverage, but not the
part-time hours of the job that they had.

    filers     all of them, given who they are, their coverage and drawn incomes
    workers    those with drawn earnings, from survey persons with earnings; others have 0
    last_year  those whose last year is known, from such persons; others have 0
    derived    other forms of a drawn premium, and whether somebody worked or has an own business
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tessera.microdata.asec import BoolArray
from tessera.microdata.chains import Chains
from tessera.microdata.expenses import PREMIUM, premium_forms
from tessera.microdata.survey_filers import BUSINESS, OWN_BUSINESSES, WAGES, WHO, SurveyFilers, works
from tessera.microdata.survey_variables import treated
from tessera.microdata.totals import TOTAL_SOCIAL_SECURITY
from tessera.microdata.work import is_self_employed

# Premiums go with the kind of coverage; Medicare with age.
COVERAGE = (
    "has_esi",
    "has_marketplace_health_coverage_at_interview",
    "has_non_marketplace_direct_purchase_health_coverage_at_interview",
    "has_medicaid_health_coverage_at_interview",
)
INCOMES = (WAGES, BUSINESS, TOTAL_SOCIAL_SECURITY, "taxable_private_pension_income")
KNOWN_LAST_YEAR = "previous_year_income_available"
WEEKS_WORKED = "weeks_worked"


def draw_survey_only(chains: Chains, people: SurveyFilers) -> pd.DataFrame:
    """Values of the variables that are drawn anew or derived, one row a filer, indexed by person row.

    Args:
        chains: runs the chains.
        people: filers as reported, and with drawn incomes.
    """
    everybody = np.ones(len(people.drawn), dtype=bool)
    told = people.own[KNOWN_LAST_YEAR].to_numpy(dtype=bool) if KNOWN_LAST_YEAR in people.own else ~everybody
    covered = [name for name in COVERAGE if name in people.own]
    groups: tuple[tuple[str, Sequence[str], Sequence[str], BoolArray, BoolArray], ...] = (
        ("survey variables of filers", [*WHO, *covered, *INCOMES], treated("filers"), everybody, everybody),
        (
            "survey variables of workers",
            [*WHO, WAGES, BUSINESS],
            treated("workers"),
            works(people.reported),
            works(people.drawn),
        ),
        ("earnings of last year", [*WHO, WAGES, BUSINESS], treated("last_year"), told, told),
    )
    drawn = pd.concat([_drawn(chains, people, *group) for group in groups], axis=1)
    return pd.concat([drawn, _derived(people, drawn)], axis=1)


def _drawn(
    chains: Chains,
    people: SurveyFilers,
    label: str,
    predictors: Sequence[str],
    wanted: Sequence[str],
    known: BoolArray,
    asked: BoolArray,
) -> pd.DataFrame:
    """Wanted columns drawn for some persons from those who are known; 0 for the others."""
    outputs = [name for name in wanted if name in people.own]
    result = pd.DataFrame(0.0, index=people.drawn.index, columns=outputs)
    known = people.usable(known)
    if known.any() and asked.any() and outputs:
        rows, weights = people.training(known, seed=chains.seed)
        # What is not an income is the person's own in both tables.
        own = [name for name in predictors if name not in people.drawn]
        receivers = people.drawn.loc[asked].join(people.reported.loc[asked, own])
        result.loc[asked] = chains.run(
            label,
            people.reported.iloc[rows],
            predictors,
            outputs,
            weights,
            receivers,
            people.keys_at(asked),
            people.weights[asked],
        ).to_numpy()
    return result


def _derived(people: SurveyFilers, drawn: pd.DataFrame) -> pd.DataFrame:
    own_business = is_self_employed(*(people.drawn[name].to_numpy() for name in OWN_BUSINESSES))
    columns: dict[str, np.ndarray] = {"is_self_employed": own_business}
    if WEEKS_WORKED in drawn:
        columns["worked_last_year"] = drawn[WEEKS_WORKED].to_numpy() > 0
    if PREMIUM in drawn:
        flags = {
            str(name): people.own[name].to_numpy(dtype=bool) for name in people.own if str(name).startswith("has_")
        }
        age = people.drawn["age"].to_numpy(dtype=np.float64)
        columns |= premium_forms(drawn[PREMIUM].to_numpy(), own_business, age, flags)
    return pd.DataFrame(
        {name: values for name, values in columns.items() if name in people.own}, index=people.drawn.index
    )
