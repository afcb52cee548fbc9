"""Who receives from the donor surveys: persons and households of a frame, described as the donors are.

Holds the predictors of receivers; imputes nothing. Amounts are dollars of the frame's year. Predictors that a frame
may lack (the state, the occupation of tipped jobs) are left out where it does, and so is the donors' side then.

Net worth is asked of a family and described by its reference person, who in a couple of both sexes is the man and in
one of one sex the older: the survey's rule, applied to the couple of the household's head. Incomes of households are
the sum over their members.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.donor_tables import race_group
from tessera.microdata.income import SOCIAL_SECURITY_PARTS
from tessera.microdata.work import WEEKS_OF_YEAR

OWNED = ("OWNED_OUTRIGHT", "OWNED_WITH_MORTGAGE")
# The survey's race codes (PRDTRACE): 1 white alone, 2 black alone, others Asian, Indian, islanders and several races.
_WHITE, _BLACK = 1, 2
PENSIONS = ("taxable_private_pension_income", "tax_exempt_private_pension_income")
_INTEREST = ("taxable_interest_income", "tax_exempt_interest_income")
_DIVIDENDS = ("qualified_dividend_income", "non_qualified_dividend_income")
# Incomes of persons by predictor; columns that a frame lacks count as none.
INCOMES = {
    "employment_income": ("employment_income_before_lsr",),
    "self_employment_income": ("self_employment_income_before_lsr", "sstb_self_employment_income_before_lsr"),
    "social_security": SOCIAL_SECURITY_PARTS,
    "pension_income": PENSIONS,
    "social_security_pension_income": (*SOCIAL_SECURITY_PARTS, *PENSIONS),
    "interest_income": _INTEREST,
    "dividend_income": _DIVIDENDS,
    "interest_dividend_income": (*_INTEREST, *_DIVIDENDS),
    "rental_income": ("rental_income",),
    "business_income": (
        *("self_employment_income_before_lsr", "sstb_self_employment_income_before_lsr", "farm_operations_income"),
        *("partnership_income", "s_corp_income", "rental_income", "farm_rent_income", "estate_income"),
    ),
    "capital_gains": (
        *("long_term_capital_gains_before_response", "short_term_capital_gains", "non_sch_d_capital_gains"),
    ),
}
_NEEDED = ("age", "is_female", "is_hispanic", "cps_race", "is_household_head", "own_children_in_household")


@dataclass(frozen=True)
class Receivers:
    """A frame as the donors see it.

    Attributes:
        persons: predictors of every person, float64, one row a person of the frame.
        homes: predictors of every household, float64, one row a household.
        families: the same as `homes`, described by the reference person of net worth.
        head: row of each household's head, (n_households,).
        rents, owns: heads who rent, and who own, (n_persons,).
    """

    persons: pd.DataFrame
    homes: pd.DataFrame
    families: pd.DataFrame
    head: IntArray
    rents: BoolArray
    owns: BoolArray


def receivers_of(frame: Frame) -> Receivers:
    """Predictors of the persons and households of a frame.

    Raises:
        FrameError: a needed column is absent, or a household has not exactly one head.
    """
    absent = [name for name in (*_NEEDED, *INCOMES["employment_income"]) if name not in frame.person]
    absent += [name for name in ("tenure_type",) if name not in frame.household]
    if absent:
        raise FrameError(
            f"Donor imputation: the frame has no {', '.join(absent)}; wanted the columns that `build_cps` makes."
        )
    household = frame.unit_of_person("household")
    tenure = frame.household["tenure_type"].astype(str).to_numpy()
    head = _heads(frame, household)
    is_head = np.zeros(len(household), dtype=bool)
    is_head[head] = True
    persons = _persons(frame, household, tenure)
    return Receivers(
        persons=persons,
        homes=_homes(persons, household, head, persons.iloc[head]),
        families=_homes(persons, household, head, persons.iloc[_wealth_reference(frame, persons, head)]),
        head=head,
        rents=is_head & (tenure == "RENTED")[household],
        owns=is_head & np.isin(tenure, OWNED)[household],
    )


def _persons(frame: Frame, household: IntArray, tenure: npt.NDArray[Any]) -> pd.DataFrame:
    person, n = frame.person, frame.count("household")
    age = person["age"].to_numpy(dtype=np.float64)
    marital = frame.unit_of_person("marital_unit")
    race = person["cps_race"].to_numpy()
    columns: dict[str, npt.NDArray[Any]] = {
        "age": age,
        "is_male": ~person["is_female"].to_numpy(dtype=bool),
        "race_group": race_group(race == _WHITE, race == _BLACK, person["is_hispanic"].to_numpy(dtype=bool)),
        # Spouses who live together are one marital unit; spouses who live apart are no couple to any donor survey.
        "is_married": np.bincount(marital)[marital] > 1,
        "own_children": person["own_children_in_household"].to_numpy(),
        "household_size": np.bincount(household, minlength=n)[household],
        "count_under_18": np.bincount(household[age < 18], minlength=n)[household],
        "count_under_6": np.bincount(household[age < 6], minlength=n)[household],
        "owns_home": np.isin(tenure, OWNED)[household],
        "has_mortgage": (tenure == "OWNED_WITH_MORTGAGE")[household],
        "weekly_hours": _total(person, ("weekly_hours_worked_before_lsr",)),
        **{name: _total(person, parts) for name, parts in INCOMES.items()},
    }
    weeks = person["weeks_worked"].to_numpy(dtype=np.float64) if "weeks_worked" in person else np.zeros(len(person))
    # Wages without weeks (drawn from the tax file, or not answered) are taken as a whole year's.
    columns["weekly_pay"] = columns["employment_income"] / np.where(
        (weeks >= 1) & (weeks <= WEEKS_OF_YEAR), weeks, WEEKS_OF_YEAR
    )
    if "state_fips" in frame.household:
        columns["state_fips"] = frame.household["state_fips"].to_numpy()[household]
    if "treasury_tipped_occupation_code" in person:
        columns["is_tipped_occupation"] = person["treasury_tipped_occupation_code"].to_numpy() > 0
    return pd.DataFrame(columns).astype(np.float64)


def _homes(persons: pd.DataFrame, household: IntArray, head: IntArray, described: pd.DataFrame) -> pd.DataFrame:
    """Households, described by one of their persons each, with the incomes of all."""
    n = len(head)
    totals = {
        name: np.bincount(household, weights=persons[name].to_numpy(), minlength=n).astype(np.float64)
        for name in INCOMES
    }
    return described.reset_index(drop=True).assign(**totals)


def _wealth_reference(frame: Frame, persons: pd.DataFrame, head: IntArray) -> IntArray:
    """Row of the person who describes a family's wealth, (n_households,): of the head's couple the man, or the older.

    Draws break no ties: of two of one sex and age the head stays.
    """
    marital = frame.unit_of_person("marital_unit")
    of_head = np.full(frame.count("marital_unit"), -1, dtype=np.int64)
    of_head[marital[head]] = np.arange(len(head))
    place = of_head[marital]
    in_couple = np.flatnonzero(place >= 0)
    is_head = np.zeros(len(marital), dtype=bool)
    is_head[head] = True
    male, age = persons["is_male"].to_numpy(), persons["age"].to_numpy()
    # The last in this order of each couple is the one: men after women, then by age, then heads.
    order = in_couple[np.lexsort((is_head[in_couple], age[in_couple], male[in_couple], place[in_couple]))]
    chosen = np.empty(len(head), dtype=np.int64)
    chosen[place[order]] = order
    return chosen


def _heads(frame: Frame, household: IntArray) -> IntArray:
    is_head = frame.person["is_household_head"].to_numpy(dtype=bool)
    count = np.bincount(household[is_head], minlength=frame.count("household"))
    bad = np.flatnonzero(count != 1)
    if bad.size:
        raise FrameError(
            f"Donor imputation: household {frame.household['household_id'].iloc[int(bad[0])]} has {count[bad[0]]} "
            f"heads (is_household_head); wanted exactly one. {bad.size} such household(s)."
        )
    rows = np.flatnonzero(is_head)
    head = np.empty(len(count), dtype=np.int64)
    head[household[rows]] = rows
    return head


def _total(person: pd.DataFrame, names: tuple[str, ...]) -> FloatArray:
    held = [name for name in names if name in person]
    return np.asarray(person[held].sum(axis=1), dtype=np.float64) if held else np.zeros(len(person))
