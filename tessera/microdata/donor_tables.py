"""Donors of other surveys in common terms: official columns and codes read into predictors and values, dollars a year.

Holds the meaning of the columns of ACS PUMS, SIPP, SCF (summary extract) and CPS-ORG; imputes nothing. Each function
returns a `Donors` table; its predictors carry the names that `donors` also makes for receivers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.microdata.asec import FloatArray, optional, require_columns
from tessera.sources.sipp import monthly_tips

MONTHS = 12
DECEMBER = 12
JOBS = range(1, 8)
# ACS tenure: 1 owned with a mortgage, 2 owned free and clear, 3 rented, 4 occupied without payment.
ACS_OWNED, ACS_RENTED, ACS_MORTGAGED = (1, 2), 3, 1
ACS_REFERENCE_PERSON = 20


class RawSurvey(Protocol):
    """What a reader hands over: a table with official names, and companions by record name."""

    @property
    def name(self) -> str: ...

    @property
    def table(self) -> pd.DataFrame: ...

    @property
    def companions(self) -> dict[str, pd.DataFrame]: ...


@dataclass(frozen=True)
class Donors:
    """Donors with complete numbers.

    Attributes:
        table: one row a donor; predictors and values.
        predictors: names of the predictors.
        values: names of the values to impute, in the order of the chain.
        weights: survey weights, (n_donors,).
    """

    table: pd.DataFrame
    predictors: tuple[str, ...]
    values: tuple[str, ...]
    weights: FloatArray


def acs_donors(raw: RawSurvey) -> tuple[Donors, Donors]:
    """Renters with rent and owners with real estate taxes: household heads of ACS PUMS.

    Rent is contract rent (RNTP, dollars a month); taxes are TAXAMT. Predictors are those of the head and the household.

    Returns:
        Donors of `pre_subsidy_rent` and of `real_estate_taxes`.
    """
    table = _acs_heads(raw)
    # Interviews spread over a year: the file's own factors bring amounts to the dollars of one year.
    adjust, housing = optional(table, "ADJINC"), optional(table, "ADJHSG")
    columns = {
        "age": optional(table, "AGEP"),
        "is_male": optional(table, "SEX") == 1,
        "employment_income": _filled(table, "WAGP") * adjust,
        "self_employment_income": _filled(table, "SEMP") * adjust,
        "social_security": _filled(table, "SSP") * adjust,
        "pension_income": _filled(table, "RETP") * adjust,
        "household_size": optional(table, "NP"),
        "has_mortgage": optional(table, "TEN") == ACS_MORTGAGED,
    }
    people = pd.DataFrame(columns)
    tenure, weights = optional(table, "TEN"), optional(table, "WGTP")
    predictors = tuple(columns)
    groups = (
        (tenure == ACS_RENTED, "pre_subsidy_rent", _filled(table, "RNTP") * MONTHS * housing),
        (np.isin(tenure, ACS_OWNED), "real_estate_taxes", _filled(table, "TAXAMT") * housing),
    )
    donors = [
        _donors(people.assign(**{name: value}).loc[mask], predictors, (name,), weights[mask], f"{raw.name} {name}")
        for mask, name, value in groups
    ]
    return donors[0], donors[1]


def sipp_donors(raw: RawSurvey) -> tuple[Donors, Donors]:
    """Workers with tips, and adults with assets: persons of SIPP, whose rows are person-months.

    Tips are the sum over months and jobs of TJB*_TXAMT (never of their allocation flags); assets stand in December.

    Returns:
        Donors of `tip_income` (persons with earnings) and of `bank_account_assets`, `stock_assets`, `bond_assets`
        (persons of 15 and over).
    """
    assets = {"bank_account_assets": "TVAL_BANK", "stock_assets": "TVAL_STMF", "bond_assets": "TVAL_BOND"}
    needed = ["SSUID", "PNUM", "MONTHCODE", "TAGE", "ESEX", "EMS", "WPFINWGT", *assets.values()]
    require_columns(raw.table, needed, f"{raw.name} table")
    jobs = [f"TJB{job}_TXAMT" for job in JOBS if f"TJB{job}_TXAMT" in raw.table]
    wages = [f"TJB{job}_MSUM" for job in JOBS if f"TJB{job}_MSUM" in raw.table]
    if not jobs or not wages:
        raise SourceError(
            f"{raw.name} table: no columns TJB*_TXAMT or no columns TJB*_MSUM; wanted tips and pay of a job."
        )
    table = raw.table.sort_values(["SSUID", "PNUM", "MONTHCODE"], kind="stable").drop_duplicates(
        ["SSUID", "PNUM", "MONTHCODE"]
    )
    monthly = table.assign(tips=monthly_tips(table), earnings=table[wages].fillna(0).sum(axis=1))
    yearly = monthly.groupby(["SSUID", "PNUM"])[["tips", "earnings"]].sum()
    last = table.loc[table["MONTHCODE"] == DECEMBER].set_index(["SSUID", "PNUM"])
    if len(last) == 0:
        raise SourceError(f"{raw.name} table: no row of December (MONTHCODE 12); wanted all months of the year.")
    yearly = yearly.loc[last.index]
    home = last.index.get_level_values("SSUID")
    people = pd.DataFrame(
        {
            "employment_income": yearly["earnings"].to_numpy(),
            "age": last["TAGE"].to_numpy(dtype=np.float64),
            "is_male": last["ESEX"].to_numpy() == 1,
            "is_married": last["EMS"].isin((1, 2)).to_numpy(),
            "count_under_18": (last["TAGE"] < 18).groupby(home).transform("sum").to_numpy(),
            "count_under_6": (last["TAGE"] < 6).groupby(home).transform("sum").to_numpy(),
            "tip_income": yearly["tips"].to_numpy(),
            **{name: _filled(last, column) for name, column in assets.items()},
        }
    )
    predictors = ("employment_income", "age", "is_male", "is_married", "count_under_18", "count_under_6")
    weights = _filled(last, "WPFINWGT")
    working, adult = (people["employment_income"] > 0).to_numpy(), (people["age"] >= 15).to_numpy()
    return (
        _donors(people.loc[working], predictors, ("tip_income",), weights[working], f"{raw.name} tips"),
        _donors(people.loc[adult], predictors, tuple(assets), weights[adult], f"{raw.name} assets"),
    )


def scf_donors(raw: RawSurvey) -> Donors:
    """Families with net worth and car loans: the SCF summary extract, all five implicates (WGT sums to families)."""
    needed = [
        "AGE",
        "HHSEX",
        "RACE",
        "MARRIED",
        "KIDS",
        "WAGEINC",
        "INTDIVINC",
        "SSRETINC",
        "NETWORTH",
        "VEH_INST",
        "WGT",
    ]
    require_columns(raw.table, needed, f"{raw.name} table")
    table = raw.table
    race = table["RACE"].to_numpy()
    columns = {
        "age": optional(table, "AGE"),
        "is_male": optional(table, "HHSEX") == 1,
        "is_black": race == 2,
        "is_hispanic": race == 3,
        "is_married": optional(table, "MARRIED") == 1,
        "own_children": optional(table, "KIDS"),
        "employment_income": optional(table, "WAGEINC"),
        "interest_dividend_income": optional(table, "INTDIVINC"),
        "social_security_pension_income": optional(table, "SSRETINC"),
    }
    values = {"net_worth": optional(table, "NETWORTH"), "auto_loan_balance": optional(table, "VEH_INST")}
    people = pd.DataFrame({**columns, **values})
    return _donors(people, tuple(columns), tuple(values), optional(table, "WGT"), raw.name)


def org_donors(raw: RawSurvey) -> Donors:
    """Employees with an hourly wage and how they are paid: the outgoing rotation groups of the CPS.

    The wage is the hourly rate of those paid by the hour (PTERNHLY) and weekly earnings over usual hours of the others.
    """
    needed = ["PEERNHRY", "PTERNHLY", "PTERNWA", "PEHRUSL1", "PRTAGE", "PESEX", "PEHSPNON", "PTDTRACE", "PWORWGT"]
    require_columns(raw.table, needed, f"{raw.name} table")
    table = raw.table
    hours, weekly, rate = (_filled(table, c) for c in ("PEHRUSL1", "PTERNWA", "PTERNHLY"))
    paid_hourly = (optional(table, "PEERNHRY") == 1) & (rate > 0)
    usable = (weekly > 0) & (hours > 0) & (_filled(table, "PWORWGT") > 0)
    wage = np.where(paid_hourly, rate, weekly / np.maximum(hours, 1))
    columns = {
        "employment_income": weekly * 52,
        "weekly_hours": hours,
        "age": optional(table, "PRTAGE"),
        "is_male": optional(table, "PESEX") == 1,
        "is_hispanic": optional(table, "PEHSPNON") == 1,
        "is_black": optional(table, "PTDTRACE") == 2,
    }
    people = pd.DataFrame({**columns, "is_paid_hourly": paid_hourly.astype(np.float64), "hourly_wage": wage})
    weights = _filled(table, "PWORWGT")
    values = ("is_paid_hourly", "hourly_wage")
    return _donors(people.loc[usable], tuple(columns), values, weights[usable], raw.name)


def _acs_heads(raw: RawSurvey) -> pd.DataFrame:
    table = raw.table
    if "TEN" not in table and "household" in raw.companions:
        household = raw.companions["household"]
        extra = [c for c in household.columns if c not in table or c == "SERIALNO"]
        table = table.merge(household[extra], on="SERIALNO", how="inner", validate="many_to_one")
    needed = [
        "SERIALNO",
        "AGEP",
        "SEX",
        "WAGP",
        "SEMP",
        "SSP",
        "RETP",
        "NP",
        "ADJINC",
        "ADJHSG",
        "TEN",
        "WGTP",
        "RNTP",
        "TAXAMT",
    ]
    require_columns(table, needed, f"{raw.name} table")
    head = "RELSHIPP" if "RELSHIPP" in table else "SPORDER"
    require_columns(table, [head], f"{raw.name} table")
    wanted = ACS_REFERENCE_PERSON if head == "RELSHIPP" else 1
    return table.loc[table[head] == wanted].reset_index(drop=True)


def _filled(table: pd.DataFrame, column: str) -> FloatArray:
    """A column whose blanks mean "not in universe", as zeros, and whose negative codes of wages do not occur."""
    return table[column].fillna(0).to_numpy(dtype=np.float64) if column in table else np.zeros(len(table))


def _donors(
    table: pd.DataFrame, predictors: Sequence[str], values: Sequence[str], weights: FloatArray, what: str
) -> Donors:
    if len(table) == 0 or weights.sum() <= 0:
        raise SourceError(
            f"{what}: {len(table)} usable donors with total weight {weights.sum()}; wanted at least one with a weight. "
            "Check the file's vintage and codes."
        )
    return Donors(
        table.astype(np.float64).reset_index(drop=True),
        tuple(predictors),
        tuple(values),
        np.asarray(weights, dtype=float),
    )
