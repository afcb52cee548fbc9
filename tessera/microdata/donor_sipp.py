"""Donors of tips, liquid assets and vehicles: persons and households of the SIPP, whose rows are person-months.

Holds the meaning of its columns (data dictionary of the 2024 file; those of 2021 to 2023 have the same names).

- Tips are TJB1_TXAMT to TJB7_TXAMT, dollars received in the reference month, summed over jobs and over all months of
  the person in the year. AJB1_TXAMT and so on bear nearly the same names: they are status flags and no dollars.
- Wages are TJB*_MSUM, dollars a month, of jobs for an employer (EJB*_JBORSE 1).
- Assets (TVAL_*) stand at the end of the year and incomes from them (TINC_*) are those of the whole year: both are
  copied to every month and read in December, once.
- Vehicles are of the household: TVEH_NUM cars, trucks and vans (blank: none), THVAL_VEH the value of all vehicles.

Who was not in the sample in December is no donor. A household is SSUID with SHHADID, weighted by its reference person.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import BoolArray, FloatArray, IntArray, require_columns
from tessera.microdata.donor_tables import Donors, RawSurvey, checked_donors, filled, number, refuse_duplicates
from tessera.microdata.work import tipped_occupation_code
from tessera.sources.sipp import monthly_tips

DECEMBER = 12
ADULT = 15
JOBS = range(1, 8)
EMPLOYER, SPOUSE_PRESENT, OWNED = 1, 1, 1
REFERENCE_PERSON = (1, 2)
ASSETS = {"bank_account_assets": "TVAL_BANK", "stock_assets": "TVAL_STMF", "bond_assets": "TVAL_BOND"}
_KEYS = ["SSUID", "PNUM", "MONTHCODE"]
_NEEDED = [
    *_KEYS,
    *("SHHADID", "WPFINWGT", "TAGE", "ESEX", "EMS", "ERELRPE", "ETENURE"),
    *ASSETS.values(),
    *("TINC_BANK", "TINC_STMF", "TINC_BOND", "TINC_RENT", "TVEH_NUM", "THVAL_VEH"),
]


def sipp_donors(raw: RawSurvey) -> tuple[Donors, Donors, Donors]:
    """Workers with `tip_income`; persons from 15 on with assets; households with vehicles owned and their value.

    Raises:
        SourceError: a column is absent, a person-month occurs twice, no month is December, or a number is missing.
    """
    people = _people(raw)
    home = people.pop("home").to_numpy(dtype=np.int64)
    columns: dict[str, FloatArray] = {str(name): people[name].to_numpy(dtype=np.float64) for name in people.columns}
    return _tips(raw, columns), _assets(raw, columns), _vehicles(raw, columns, home)


def _tips(raw: RawSurvey, people: dict[str, FloatArray]) -> Donors:
    names = ("employment_income", "age", "is_male", "count_under_18", "count_under_6", "is_tipped_occupation")
    columns = {name: people[name] for name in (*names, "tip_income") if name in people}
    works = people["employment_income"] > 0
    return checked_donors(f"{raw.name} tips", columns, ["tip_income"], people["weight"], raw.year, rows=works)


def _assets(raw: RawSurvey, people: dict[str, FloatArray]) -> Donors:
    names = (
        *("employment_income", "interest_income", "dividend_income", "rental_income"),
        *("age", "is_male", "is_married", "count_under_18"),
    )
    columns = {name: people[name] for name in (*names, *ASSETS)}
    adult = people["age"] >= ADULT
    return checked_donors(f"{raw.name} assets", columns, list(ASSETS), people["weight"], raw.year, rows=adult)


def _vehicles(raw: RawSurvey, people: dict[str, FloatArray], home: IntArray) -> Donors:
    reference = np.flatnonzero(people["is_reference"] > 0)
    # The first of two reference persons stands for the household: who joined later is listed after.
    reference = reference[np.unique(home[reference], return_index=True)[1]]
    of = home[reference]
    incomes = ("employment_income", "interest_income", "dividend_income", "rental_income")
    columns: dict[str, npt.NDArray[Any]] = {name: np.bincount(home, weights=people[name])[of] for name in incomes}
    columns |= {name: people[name][reference] for name in ("age", "is_male", "is_married", "count_under_18")}
    columns["household_size"] = np.bincount(home).astype(np.float64)[of]
    columns["owns_home"] = people["owns_home"][reference]
    owned = people["vehicles_owned"][reference]
    columns["household_vehicles_owned"] = owned
    columns["household_vehicles_value"] = np.where(owned > 0, people["vehicles_value"][reference], 0.0)
    values = ["household_vehicles_owned", "household_vehicles_value"]
    return checked_donors(f"{raw.name} vehicles", columns, values, people["weight"][reference], raw.year)


def _people(raw: RawSurvey) -> pd.DataFrame:
    """One row a person in sample in December: predictors, values, `home` (number of the household) and `weight`."""
    table = raw.table
    require_columns(table, _NEEDED, f"{raw.name} table")
    refuse_duplicates(table, _KEYS, f"{raw.name} table")
    person = table.groupby(["SSUID", "PNUM"], sort=True).ngroup().to_numpy()
    count = int(person.max()) + 1 if len(person) else 0
    last = np.flatnonzero((table["MONTHCODE"] == DECEMBER).to_numpy())
    if last.size == 0:
        raise SourceError(f"{raw.name} table: no row of December (MONTHCODE 12); wanted all months of the year.")
    last = last[np.argsort(person[last], kind="stable")]
    who, december = person[last], table.iloc[last].reset_index(drop=True)
    home = december.groupby(["SSUID", "SHHADID"], sort=True).ngroup().to_numpy(dtype=np.int64)
    age = number(december, "TAGE")
    columns: dict[str, npt.NDArray[Any]] = {
        "home": home,
        "weight": number(december, "WPFINWGT"),
        "employment_income": np.bincount(person, weights=_wages(raw), minlength=count)[who],
        "tip_income": np.bincount(person, weights=monthly_tips(table), minlength=count)[who],
        "age": age,
        "is_male": number(december, "ESEX") == 1,
        "is_married": filled(december, "EMS") == SPOUSE_PRESENT,
        "count_under_18": np.bincount(home, weights=age < 18)[home],
        "count_under_6": np.bincount(home, weights=age < 6)[home],
        "interest_income": filled(december, "TINC_BANK") + filled(december, "TINC_BOND"),
        "dividend_income": filled(december, "TINC_STMF"),
        "rental_income": filled(december, "TINC_RENT"),
        "is_tipped_occupation": np.bincount(person, weights=_tipped(table), minlength=count)[who] > 0,
        "is_reference": np.isin(filled(december, "ERELRPE"), REFERENCE_PERSON),
        "owns_home": filled(december, "ETENURE") == OWNED,
        "vehicles_owned": filled(december, "TVEH_NUM"),
        "vehicles_value": filled(december, "THVAL_VEH"),
        **{name: filled(december, column) for name, column in ASSETS.items()},
    }
    return pd.DataFrame(columns)


def _tipped(table: pd.DataFrame) -> BoolArray:
    """Whether a job of the person-month is a tipped occupation, as the receivers' are told, (n_rows,)."""
    tipped = np.zeros(len(table), dtype=bool)
    for job in JOBS:
        tipped |= tipped_occupation_code(filled(table, f"TJB{job}_OCC").astype(np.int64)) > 0
    return tipped


def _wages(raw: RawSurvey) -> FloatArray:
    """Pay of each person-month for employers, dollars a month, (n_rows,)."""
    table = raw.table
    jobs = [job for job in JOBS if f"TJB{job}_MSUM" in table]
    if not jobs or f"TJB{jobs[0]}_TXAMT" not in table:
        raise SourceError(
            f"{raw.name} table: no columns TJB*_TXAMT or no columns TJB*_MSUM; wanted tips and pay of a job. "
            "Check that the file is of the vintage that its reader expects."
        )
    total = np.zeros(len(table))
    for job in jobs:
        kind = filled(table, f"EJB{job}_JBORSE")
        # Years without the kind of job have 0 there: its pay counts then.
        total += np.where(np.isin(kind, (0, EMPLOYER)), filled(table, f"TJB{job}_MSUM"), 0.0)
    return total
