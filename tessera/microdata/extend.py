"""The extended survey: every household once as interviewed and once with tax-file incomes.

Holds the doubling, the choice of variables and the reconciliation of what was drawn; the drawing is `imputation`'s.

- The *survey half* (`source` "cps") keeps what was reported and gains what a survey does not ask (`ABSENT`), drawn from
  the tax file given family and reported incomes.
- The *tax half* (`source` "puf") keeps persons, units, benefits and expenses; the incomes of tax-unit heads and
  spouses (`INCOMES`) are drawn from the tax file given age, sex and family alone. Dependants keep their own incomes,
  as a return does not show them. Hours follow the drawn earnings (donors: the survey), Social Security is split into
  its kinds.

Weights: both halves carry half of the household's weight. They are two readings of the same household, so together they
count it once, either total is an estimate of the population, and a fit that starts here starts from a population rather
than from a half of zero weight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tessera.microdata.asec import BoolArray, FloatArray
from tessera.microdata.imputation import Keys, fit_predict_chain, training_sample
from tessera.microdata.income import RETIREMENT_AGE, SOCIAL_SECURITY_PARTS
from tessera.microdata.stratify import AGI_COMPONENTS

FAMILY = (
    "age",
    "is_male",
    "tax_unit_is_joint",
    "tax_unit_count_dependents",
    "is_tax_unit_head",
    "is_tax_unit_spouse",
)
TOTAL_SOCIAL_SECURITY = "puf_social_security"
# In the order of the chain: earnings first, as they predict the rest.
INCOMES = (
    "employment_income_before_lsr",
    "self_employment_income_before_lsr",
    "partnership_income",
    "s_corp_income",
    TOTAL_SOCIAL_SECURITY,
    "taxable_private_pension_income",
    "taxable_interest_income",
    "qualified_dividend_income",
    "non_qualified_dividend_income",
    "long_term_capital_gains_before_response",
    "short_term_capital_gains",
    "rental_income",
    "home_mortgage_interest",
    "charitable_cash_donations",
    "charitable_non_cash_donations",
)
ABSENT = (
    "partnership_income",
    "s_corp_income",
    "home_mortgage_interest",
    "charitable_cash_donations",
    "charitable_non_cash_donations",
)
REPORTED = (
    "employment_income_before_lsr",
    "self_employment_income_before_lsr",
    "taxable_interest_income",
    "qualified_dividend_income",
    TOTAL_SOCIAL_SECURITY,
)
HOURS = "weekly_hours_worked_before_lsr"
TRAINING_ROWS = 20_000
TOP_SHARE = 0.005


def extend_cps(cps: Frame, puf: Frame, *, seed: int, n_jobs: int = 1) -> Frame:
    """Survey half and tax half, in this order.

    Args:
        cps: the survey (`build_cps`).
        puf: the tax file (`build_puf`).
        seed: seed of forests and draws.
        n_jobs: threads that grow forests.

    Returns:
        A validated Frame with twice the survey's households; ids of the tax half follow those of the survey half.

    Raises:
        FrameError: a needed column is absent or missing in places.
    """
    donors = filers(puf)
    top = _is_top(puf, donors)
    rows, weights = training_sample(
        puf.weights[puf.unit_of_person("household")[donors.index]], TRAINING_ROWS, keep=top, seed=seed
    )
    donors = donors.iloc[rows]
    people = filers(cps)
    keys = _keys(cps, people.index.to_numpy())
    chain = {"seed": seed, "keys": keys, "n_jobs": n_jobs}
    added = fit_predict_chain(donors, [*FAMILY, *REPORTED], ABSENT, weights, people, **chain)  # type: ignore[arg-type]
    drawn = fit_predict_chain(donors, FAMILY, INCOMES, weights, people, **chain)  # type: ignore[arg-type]
    survey_person = _replaced(cps.person, added)
    tax_person = _tax_half(cps, people, drawn, keys, seed=seed, n_jobs=n_jobs)
    return _stacked(_half(cps, survey_person, "cps"), _half(cps, tax_person, "puf"), puf).validate("extended CPS")


def filers(frame: Frame) -> pd.DataFrame:
    """Heads and spouses of tax units with family predictors and person amounts, indexed by person row.

    Social Security kinds become their total; the tax file has it already.
    """
    person = frame.person
    role = person["tax_unit_role_input"].astype(str).to_numpy()
    unit = frame.unit_of_person("tax_unit")
    n = frame.count("tax_unit")
    table = pd.DataFrame(
        {
            "age": person["age"].to_numpy(dtype=np.float64),
            "is_male": ~person["is_female"].to_numpy(dtype=bool),
            "tax_unit_is_joint": (np.bincount(unit[role == "SPOUSE"], minlength=n) > 0)[unit],
            "tax_unit_count_dependents": np.bincount(unit[role == "DEPENDENT"], minlength=n)[unit],
            "is_tax_unit_head": role == "HEAD",
            "is_tax_unit_spouse": role == "SPOUSE",
        }
    )
    amounts = {name: person[name].to_numpy(dtype=np.float64) for name in (*INCOMES, HOURS) if name in person}
    if TOTAL_SOCIAL_SECURITY not in amounts:
        amounts[TOTAL_SOCIAL_SECURITY] = person[list(SOCIAL_SECURITY_PARTS)].to_numpy(dtype=np.float64).sum(axis=1)
    return table.assign(**amounts).loc[role != "DEPENDENT"]


def split_social_security(total: FloatArray, reported: FloatArray, age: FloatArray) -> FloatArray:
    """Kinds of Social Security that sum to a total, (n, 4), in the order of `SOCIAL_SECURITY_PARTS`.

    In proportion to the kinds that the person reported; for who reported none, retirement from 62 on, else disability.

    Args:
        total: dollars, (n,).
        reported: reported kinds, dollars, (n, 4).
        age: years, (n,).
    """
    own = reported.sum(axis=1)
    share = np.zeros_like(reported)
    some = own > 0
    share[some] = reported[some] / own[some, None]
    share[~some & (age >= RETIREMENT_AGE), 0] = 1.0
    share[~some & (age < RETIREMENT_AGE), 1] = 1.0
    parts = share * total[:, None]
    # The largest part takes the rounding, so that the parts sum to the total to the last bit that addition allows.
    largest = parts.argmax(axis=1)
    parts[np.arange(len(total)), largest] += total - parts.sum(axis=1)
    return np.asarray(parts, dtype=np.float64)


def _tax_half(
    cps: Frame, people: pd.DataFrame, drawn: pd.DataFrame, keys: Keys, *, seed: int, n_jobs: int
) -> pd.DataFrame:
    rows = people.index.to_numpy()
    parts = split_social_security(
        drawn[TOTAL_SOCIAL_SECURITY].to_numpy(),
        cps.person[list(SOCIAL_SECURITY_PARTS)].to_numpy(dtype=np.float64)[rows],
        people["age"].to_numpy(dtype=np.float64),
    )
    drawn = drawn.drop(columns=TOTAL_SOCIAL_SECURITY)
    drawn[list(SOCIAL_SECURITY_PARTS)] = parts
    if HOURS in people:
        earnings = list(REPORTED[:2])
        receivers = people[list(FAMILY)].join(drawn[earnings])
        weights = cps.weights[cps.unit_of_person("household")[rows]]
        hours = fit_predict_chain(
            people, [*FAMILY, *earnings], [HOURS], weights, receivers, seed=seed, keys=keys, n_jobs=n_jobs
        )[HOURS].to_numpy()
        drawn[HOURS] = np.where((drawn[earnings] != 0).any(axis=1), hours, 0.0)
    return _replaced(cps.person, drawn)


def _is_top(puf: Frame, donors: pd.DataFrame) -> BoolArray:
    """Donors of returns above the 99.5th percentile of income, who are never left out of training."""
    names = [name for name in AGI_COMPONENTS if name in puf.person]
    household = puf.unit_of_person("household")
    income = np.bincount(household, weights=puf.person[names].to_numpy(dtype=np.float64).sum(axis=1))
    top: BoolArray = (income >= np.quantile(income, 1 - TOP_SHARE))[household[donors.index]]
    return top


def _keys(frame: Frame, rows: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Keys:
    household = frame.unit_of_person("household")
    # Members of a household stand together in no promised order: number them by person id.
    order = np.lexsort((frame.person["person_id"].to_numpy(), household))
    first = np.searchsorted(household[order], np.arange(frame.count("household")))
    member = np.empty(len(household), dtype=np.int64)
    member[order] = np.arange(len(household)) - first[household[order]]
    return Keys(frame.person["household_id"].to_numpy(dtype=np.int64)[rows], member[rows])


def _replaced(person: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Persons with some columns replaced (or added, zero elsewhere) in the rows that `values` is indexed by."""
    rows = values.index.to_numpy()
    columns = {}
    for name in values.columns:
        column = person[name].to_numpy(dtype=np.float64).copy() if name in person else np.zeros(len(person))
        column[rows] = values[name].to_numpy()
        columns[str(name)] = column
    return person.assign(**columns)


def _half(cps: Frame, person: pd.DataFrame, source: str) -> Frame:
    n = cps.count("household")
    household = cps.household.assign(
        household_weight=cps.weights / 2,
        source=pd.Categorical([source] * n, categories=["cps", "puf"]),
    )
    return replace(cps, household=household, person=person)


def _stacked(survey: Frame, tax: Frame, puf: Frame) -> Frame:
    """One Frame of both halves; the ids of the second follow those of the first."""
    offsets = {entity: int(survey.table(entity)[f"{entity}_id"].max()) + 1 for entity in ENTITIES}
    tables = {}
    for entity in ENTITIES:
        second = tax.table(entity)
        links = [entity] if entity != "person" else ["person", *GROUP_ENTITIES]
        moved = {f"{name}_id": second[f"{name}_id"] + offsets[name] for name in links}
        first = survey.table(entity)
        tables[entity] = pd.concat([first, second.assign(**moved)[list(first.columns)]], ignore_index=True)
    return Frame(**tables, year=survey.year, synthetic=survey.synthetic or puf.synthetic)
