"""What neither the survey nor the tax file asks, imputed from other surveys.

Holds who receives what; `donor_tables` holds the donors and `imputation` the engine.

    ACS    pre_subsidy_rent of renting heads, real_estate_taxes of owning heads (dollars a year; others 0)
    SIPP   tip_income of persons with wages (a part of wages, so at most these); bank, stock and bond assets from 15 on
    SCF    net_worth and auto_loan_balance of households, by their reference person
    ORG    hourly_wage and is_paid_hourly of persons with wages (others 0)

Amounts stay in the dollars of the donors' year.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.donor_tables import Donors, RawSurvey, acs_donors, org_donors, scf_donors, sipp_donors
from tessera.microdata.imputation import Keys, fit_predict_chain, training_sample
from tessera.microdata.income import SOCIAL_SECURITY_PARTS

TRAINING_ROWS = 20_000
PENSIONS = ("taxable_private_pension_income", "tax_exempt_private_pension_income")
INTEREST_DIVIDENDS = (
    "taxable_interest_income",
    "tax_exempt_interest_income",
    "qualified_dividend_income",
    "non_qualified_dividend_income",
)


def impute_from_donors(
    frame: Frame,
    acs: RawSurvey | None,
    sipp: RawSurvey | None,
    scf: RawSurvey | None,
    org: RawSurvey | None,
    *,
    seed: int,
    n_jobs: int = 1,
) -> Frame:
    """The frame with rents, property taxes, tips, assets, net worth, car loans and wages per hour.

    Args:
        frame: households to impute for.
        acs, sipp, scf, org: tables of the readers, official columns and codes.
        seed: seed of forests and draws.
        n_jobs: threads that grow forests.

    Returns:
        A validated Frame with new columns on `person` and `household`; nothing else changes.

    Raises:
        SourceError: a donor survey is absent or without the needed columns.
    """
    given: dict[str, RawSurvey | None] = {"acs": acs, "sipp": sipp, "scf": scf, "org": org}
    absent = [name for name, raw in given.items() if raw is None]
    if acs is None or sipp is None or scf is None or org is None:
        raise SourceError(
            f"Donor surveys {', '.join(absent)} are absent; wanted tables of ACS PUMS, SIPP, SCF and CPS-ORG. "
            "Materialise the source assets of these names first."
        )
    people = _receivers(frame)
    rows = {"head": frame.person["is_household_head"].to_numpy(dtype=bool)}
    rows["worker"] = (people["employment_income"] > 0).to_numpy()
    rows["adult"] = (people["age"] >= 15).to_numpy()
    tenure = frame.household["tenure_type"].astype(str).to_numpy()[frame.unit_of_person("household")]
    renters, owners = acs_donors(acs)
    tippers, savers = sipp_donors(sipp)
    parts = [
        (renters, rows["head"] & (tenure == "RENTED")),
        (owners, rows["head"] & np.isin(tenure, ("OWNED_OUTRIGHT", "OWNED_WITH_MORTGAGE"))),
        (tippers, rows["worker"]),
        (savers, rows["adult"]),
        (scf_donors(scf), rows["head"]),
        (org_donors(org), rows["worker"]),
    ]
    drawn: dict[str, FloatArray] = {}
    for donors, mask in parts:
        drawn |= _impute(donors, people, mask, frame, seed=seed, n_jobs=n_jobs)
    return _with(frame, drawn, people).validate("donor imputation")


def _impute(
    donors: Donors, people: pd.DataFrame, mask: BoolArray, frame: Frame, *, seed: int, n_jobs: int
) -> dict[str, FloatArray]:
    """Values of the donors' variables for all persons, zero outside the mask, each (n_persons,)."""
    full = {name: np.zeros(len(people)) for name in donors.values}
    rows = np.flatnonzero(mask)
    if rows.size == 0:
        return full
    keep = np.zeros(len(donors.table), dtype=bool)
    chosen, weights = training_sample(donors.weights, TRAINING_ROWS, keep=keep, seed=seed)
    member = people["member"].to_numpy(dtype=np.int64)[rows]
    keys = Keys(frame.person["household_id"].to_numpy(dtype=np.int64)[rows], member)
    values = fit_predict_chain(
        donors.table.iloc[chosen],
        donors.predictors,
        donors.values,
        weights,
        people.iloc[rows],
        seed=seed,
        keys=keys,
        n_jobs=n_jobs,
    )
    for name in donors.values:
        full[name][rows] = values[name].to_numpy()
    return full


def _receivers(frame: Frame) -> pd.DataFrame:
    """Predictors of every person in the donors' terms, one row a person."""
    person = frame.person
    household = frame.unit_of_person("household")
    n = frame.count("household")
    age = person["age"].to_numpy(dtype=np.float64)
    marital = frame.unit_of_person("marital_unit")
    # Non-Hispanic races as the donors count them: one code each, a Hispanic person is no race of theirs.
    hispanic = person["is_hispanic"].to_numpy(dtype=bool)
    tenure = frame.household["tenure_type"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "age": age,
            "is_male": ~person["is_female"].to_numpy(dtype=bool),
            "is_hispanic": hispanic,
            "is_black": (person["cps_race"].to_numpy() == 2) & ~hispanic,
            "is_married": np.bincount(marital)[marital] > 1,
            "own_children": person["own_children_in_household"].to_numpy(),
            "employment_income": _total(person, ("employment_income_before_lsr",)),
            "self_employment_income": _total(person, ("self_employment_income_before_lsr",)),
            "social_security": _total(person, SOCIAL_SECURITY_PARTS),
            "pension_income": _total(person, PENSIONS),
            "social_security_pension_income": _total(person, (*SOCIAL_SECURITY_PARTS, *PENSIONS)),
            "interest_dividend_income": _total(person, INTEREST_DIVIDENDS),
            "weekly_hours": _total(person, ("weekly_hours_worked_before_lsr",)),
            "household_size": np.bincount(household, minlength=n)[household],
            "count_under_18": np.bincount(household[age < 18], minlength=n)[household],
            "count_under_6": np.bincount(household[age < 6], minlength=n)[household],
            "has_mortgage": (tenure == "OWNED_WITH_MORTGAGE")[household],
            "member": _members(household, person["person_id"].to_numpy()),
        }
    ).astype(np.float64)


def _total(person: pd.DataFrame, names: tuple[str, ...]) -> FloatArray:
    return np.asarray(person[[name for name in names if name in person]].sum(axis=1), dtype=np.float64)


def _members(household: IntArray, person_id: npt.NDArray[np.integer]) -> IntArray:
    """Position of each person within the household by person id, (n_persons,)."""
    order = np.lexsort((person_id, household))
    first = np.searchsorted(household[order], household[order])
    member = np.empty(len(household), dtype=np.int64)
    member[order] = np.arange(len(household)) - first
    return member


def _with(frame: Frame, drawn: dict[str, FloatArray], people: pd.DataFrame) -> Frame:
    household = frame.unit_of_person("household")
    n = frame.count("household")
    wages = people["employment_income"].to_numpy()
    person = frame.person.assign(
        pre_subsidy_rent=drawn["pre_subsidy_rent"],
        real_estate_taxes=drawn["real_estate_taxes"],
        # Tips are paid as part of wages: more of them than wages would be a contradiction, not a rich tail.
        tip_income=np.minimum(drawn["tip_income"], np.maximum(wages, 0)),
        bank_account_assets=drawn["bank_account_assets"],
        stock_assets=drawn["stock_assets"],
        bond_assets=drawn["bond_assets"],
        hourly_wage=drawn["hourly_wage"],
        is_paid_hourly=drawn["is_paid_hourly"] > 0,
    )
    homes = {
        name: np.bincount(household, weights=drawn[name], minlength=n) for name in ("net_worth", "auto_loan_balance")
    }
    return replace(frame, person=person, household=frame.household.assign(**homes))
