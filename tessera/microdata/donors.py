"""What neither the survey nor the tax file asks, imputed from other surveys.

Holds who receives what, in which order, and what happens without a survey; `donor_acs`, `donor_sipp`, `donor_scf` and
`donor_org` hold the donors, `donor_receivers` the receivers' side and `imputation` the engine.

    ACS    pre_subsidy_rent of renting heads, real_estate_taxes of owning heads (dollars a year; others 0)
    SIPP   tip_income of persons with wages (a part of wages, so at most these); bank, stock and bond assets from 15 on;
           household_vehicles_owned and household_vehicles_value of households
    SCF    net_worth, auto_loan_balance and auto_loan_interest of households, given their vehicles
    ORG    is_paid_hourly, hourly_wage and is_union_member_or_covered of persons with wages (others 0)

household_vehicles_equity follows: value of vehicles less loans, below 0 where more is owed than they are worth. So does
the premium of overtime pay (`overtime`), once it is known who is paid by the hour.

Donors' amounts, predictors and values alike, are brought to dollars of the frame's year before anything is drawn, once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import ConfigError, FrameError
from tessera.frame import Frame
from tessera.microdata.asec import BoolArray, FloatArray, IntArray
from tessera.microdata.chains import Chains
from tessera.microdata.donor_absence import Absent, absent_donors
from tessera.microdata.donor_acs import acs_donors
from tessera.microdata.donor_org import org_donors
from tessera.microdata.donor_receivers import Receivers, receivers_of
from tessera.microdata.donor_scf import scf_donors
from tessera.microdata.donor_sipp import ADULT, sipp_donors
from tessera.microdata.donor_tables import Donors, RawSurvey
from tessera.microdata.filers import keys_of
from tessera.microdata.imputation import training_sample
from tessera.microdata.overtime import with_overtime_premium

logger = logging.getLogger(__name__)
Fallback = Literal["error", "leave_out", "zero"]
FALLBACKS: tuple[str, ...] = get_args(Fallback)
TRAINING_ROWS = 20_000
# Implicates share a family: five rows of it are less than five donors.
TRAINING_ROWS_OF_GROUPS = 30_000
TOP_SHARE = 0.005
# Variables of all surveys, for the time left.
PLANNED = 14
# Predictors that some frames lack.
OPTIONAL = ("state_fips", "is_tipped_occupation", "vehicles_owned", "vehicles_value")
_PERSON_FLAGS = ("is_paid_hourly", "is_union_member_or_covered")


@dataclass(frozen=True)
class DonorImputation:
    """A frame with the donors' variables.

    Attributes:
        frame: validated; new columns on `person` and `household`, nothing else changed.
        quality: one row an imputed variable, columns of `imputation_quality.QUALITY`.
        absent: surveys that were not at hand, with the variables that are left out or zero for it.
    """

    frame: Frame
    quality: pd.DataFrame
    absent: tuple[Absent, ...]


@dataclass
class _Run:
    """One run over the chains: what is drawn so far, for every person or household."""

    frame: Frame
    receivers: Receivers
    chains: Chains
    person: dict[str, FloatArray] = field(default_factory=dict)
    household: dict[str, FloatArray] = field(default_factory=dict)


def impute_donors(
    frame: Frame,
    acs: RawSurvey | None = None,
    sipp: RawSurvey | None = None,
    scf: RawSurvey | None = None,
    org: RawSurvey | None = None,
    *,
    seed: int,
    fallback: Fallback = "error",
    n_jobs: int = 1,
) -> DonorImputation:
    """Rents, property taxes, tips, assets, vehicles, net worth, car loans, wages an hour and union coverage.

    Args:
        frame: households to impute for; donors' amounts are brought to its year.
        acs, sipp, scf, org: tables of the readers, official columns and codes; None where a survey is absent.
        seed: seed of forests and draws.
        fallback: what an absent survey means: "error"; "leave_out", its variables are not stored and the engine takes
            its defaults; "zero", they are stored as 0. The last two log a warning and name it in `absent`.
        n_jobs: workers over variables; the result is the same.

    Raises:
        ConfigError: an unknown fallback.
        SourceError: an absent survey where that is an error, or one whose table cannot be used.
        FrameError: a frame that is not valid, or without the columns that `build_cps` makes.
    """
    if fallback not in FALLBACKS:
        raise ConfigError(f"Fallback for absent donor surveys is {fallback!r}; wanted one of {', '.join(FALLBACKS)}.")
    given: dict[str, RawSurvey | None] = {"acs": acs, "sipp": sipp, "scf": scf, "org": org}
    absent = absent_donors([name for name, raw in given.items() if raw is None], fallback)
    run = _Run(frame.validate("frame before the donors"), receivers_of(frame), Chains(seed, n_jobs, planned=PLANNED))
    for survey, raw in given.items():
        if raw is not None:
            _STEPS[survey](run, raw)
    for missing in absent if fallback == "zero" else ():
        run.person |= {name: np.zeros(frame.count("person")) for name in missing.person}
        run.household |= {name: np.zeros(frame.count("household")) for name in missing.household}
    run.chains.finish("donor surveys")
    marked = frame.synthetic or any(raw.synthetic for raw in given.values() if raw is not None)
    imputed = replace(_with(run), synthetic=marked)
    if "is_paid_hourly" in imputed.person:
        imputed = with_overtime_premium(imputed)
    return DonorImputation(imputed.validate("donor imputation"), run.chains.table(), absent)


def _acs(run: _Run, raw: RawSurvey) -> None:
    renters, owners = acs_donors(raw)
    _draw_persons(run, renters, run.receivers.rents)
    _draw_persons(run, owners, run.receivers.owns)


def _sipp(run: _Run, raw: RawSurvey) -> None:
    tips, assets, vehicles = sipp_donors(raw)
    people = run.receivers.persons
    wages = people["employment_income"].to_numpy()
    _draw_persons(run, tips, wages > 0)
    # Tips are paid as part of wages: more of them than wages would be a contradiction, not a rich tail.
    run.person["tip_income"] = np.minimum(run.person["tip_income"], np.maximum(wages, 0))
    _draw_persons(run, assets, people["age"].to_numpy() >= ADULT)
    _draw_homes(run, vehicles, run.receivers.homes)
    owned = run.household["household_vehicles_owned"] > 0
    run.household["household_vehicles_value"] = np.where(owned, run.household["household_vehicles_value"], 0.0)


def _scf(run: _Run, raw: RawSurvey) -> None:
    families = run.receivers.families
    if "household_vehicles_owned" in run.household:
        families = families.assign(
            vehicles_owned=run.household["household_vehicles_owned"],
            vehicles_value=run.household["household_vehicles_value"],
        )
    _draw_homes(run, scf_donors(raw), families)
    balance = run.household["auto_loan_balance"]
    if "auto_loan_interest" in run.household:
        run.household["auto_loan_interest"] = np.where(balance > 0, run.household["auto_loan_interest"], 0.0)
    else:
        logger.warning(
            "%s: auto_loan_interest is left out: the summary extract knows no rates, and the full public data set "
            "(scfYYYYs.zip) does not lie beside it",
            raw.name,
        )
    if "household_vehicles_value" in run.household:
        run.household["household_vehicles_equity"] = run.household["household_vehicles_value"] - balance


def _org(run: _Run, raw: RawSurvey) -> None:
    _draw_persons(run, org_donors(raw), (run.receivers.persons["employment_income"] > 0).to_numpy())


_STEPS = {"acs": _acs, "sipp": _sipp, "scf": _scf, "org": _org}


def _draw_persons(run: _Run, donors: Donors, mask: BoolArray) -> None:
    """Values for the persons of the mask, zero for the others."""
    rows = np.flatnonzero(mask)
    for name, drawn in _drawn(run, donors, run.receivers.persons, rows, rows):
        run.person[name] = np.zeros(run.frame.count("person"))
        run.person[name][rows] = drawn


def _draw_homes(run: _Run, donors: Donors, homes: pd.DataFrame) -> None:
    """Values for all households, keyed on their heads."""
    rows = np.arange(run.frame.count("household"))
    run.household |= dict(_drawn(run, donors, homes, rows, run.receivers.head))


def _drawn(
    run: _Run, donors: Donors, table: pd.DataFrame, rows: IntArray, persons: IntArray
) -> Iterator[tuple[str, FloatArray]]:
    """The donors' variables, one after the other, drawn for some rows of a table, each (n_rows,).

    Args:
        donors: in dollars of their own year.
        table: predictors of receivers.
        rows: rows to draw for.
        persons: the person whose key each of them draws on, (n_rows,).
    """
    donors = donors.in_dollars_of(run.frame.year)
    predictors = _shared(donors, table)
    chosen, weights = _training(donors, run.chains.seed)
    values = run.chains.run(
        donors.label,
        donors.table.iloc[chosen],
        predictors,
        donors.values,
        weights,
        table.iloc[rows],
        keys_of(run.frame, persons),
        run.frame.weights[run.frame.unit_of_person("household")[persons]],
        groups=None if donors.groups is None else donors.groups[chosen],
    )
    yield from ((name, values[name].to_numpy(dtype=np.float64)) for name in donors.values)


def _shared(donors: Donors, table: pd.DataFrame) -> list[str]:
    lacking = [name for name in donors.predictors if name not in table and name not in OPTIONAL]
    if lacking:
        raise FrameError(
            f"{donors.label}: receivers have no {', '.join(lacking)}; wanted every predictor of the donors but "
            f"{', '.join(OPTIONAL)}. Add it in tessera/microdata/donor_receivers.py."
        )
    return [name for name in donors.predictors if name in table]


def _training(donors: Donors, seed: int) -> tuple[IntArray, FloatArray]:
    """Rows to train on and their weights; the largest values of each variable are never left out."""
    size = TRAINING_ROWS if donors.groups is None else TRAINING_ROWS_OF_GROUPS
    values = donors.table[list(donors.values)].to_numpy()
    largest = (values > np.quantile(values, 1 - TOP_SHARE, axis=0)).any(axis=1)
    return training_sample(donors.weights, size, keep=largest, seed=seed)


def _with(run: _Run) -> Frame:
    person: dict[str, npt.NDArray[Any]] = {
        name: values > 0 if name in _PERSON_FLAGS else values for name, values in run.person.items()
    }
    household: dict[str, npt.NDArray[Any]] = {
        name: values.astype(np.int64) if name == "household_vehicles_owned" else values
        for name, values in run.household.items()
    }
    return replace(
        run.frame,
        person=_joined(run.frame.person, person),
        household=_joined(run.frame.household, household),
    )


def _joined(table: pd.DataFrame, columns: dict[str, npt.NDArray[Any]]) -> pd.DataFrame:
    """A table with columns, which take the place of those of their name; all joined at once."""
    kept = table[[name for name in table.columns if name not in columns]]
    return pd.concat([kept, pd.DataFrame(columns, index=table.index)], axis=1)
