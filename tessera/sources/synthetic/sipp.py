"""Writes a synthetic SIPP: `puYYYY_csv.zip` with `puYYYY.csv`, `|`-separated, one row a person-month, twelve a person.

Tips are paid in the tipped occupations; the status flags AJB*_TXAMT are written too, with codes that are no amounts.
Bank accounts, stocks, bonds and vehicles are those of December repeated over months, as in the official file, and
blank outside their universe. Amounts are dollars of the year before the survey. Marked synthetic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.random import generator
from tessera.sources.columns import columns_of
from tessera.sources.synthetic import tables
from tessera.sources.synthetic.archive import csv_bytes, write_zip
from tessera.sources.synthetic.dollars import in_dollars_of
from tessera.sources.synthetic.draws import Floats, heavy, scaled, stratified
from tessera.sources.synthetic.homes import MONEY
from tessera.sources.synthetic.people import REFERENCE
from tessera.sources.synthetic.population import Population, draw_population

WRITER = "sipp"
# National totals of what households hold, in dollars (Federal Reserve Z.1 and SCF 2022, survey concept, rounded).
_ASSETS = {"TVAL_BANK": (8.0e12, 1.9, 0.9), "TVAL_STMF": (9.0e12, 2.0, 0.28), "TVAL_BOND": (0.6e12, 1.8, 0.04)}
_TIPS = 38e9  # BEA, tip income 2022
_MARITAL = np.array((0, 1, 1, 2, 3, 4, 5, 6))
_RACE = np.array((0, 1, 2, 4, 3, 4, 4, 4, 4))
# Reference, spouse, partner, child, grandchild, parent, relative, roommate, roommate's child.
_RELATION = np.array((1, 3, 4, 7, 8, 9, 14, 16, 18))
_EMPLOYER, _SELF_EMPLOYED = 1, 2


def write(folder: Path, *, households: int, year: int, seed: int) -> Path:
    """Write the archive of one survey year; amounts are of the year before.

    Args:
        folder: where to write; made if absent.
        households: sample households; the file has about 30 rows for each.
        year: survey year.
        seed: same arguments, same bytes.
    """
    population = in_dollars_of(draw_population(households, seed=seed, label=WRITER), year - 1)
    person = _person_year(generator(WRITER, seed), population, year)
    months = pd.concat([_month(person, month) for month in range(1, 13)], ignore_index=True)
    months = months.sort_values(["SSUID", "PNUM", "MONTHCODE"], ignore_index=True)
    order = [column.name for column in columns_of("sipp", "person") if column.name in months]
    content = csv_bytes(months[order], separator="|")
    settings = {"households": households, "year": year}
    return write_zip(
        folder / f"pu{year}_csv.zip", {f"pu{year}.csv": content}, writer=WRITER, seed=seed, settings=settings
    )


def _person_year(rng: np.random.Generator, population: Population, year: int) -> pd.DataFrame:
    person, n = population.person, len(population.person)
    household, age = person["household"].to_numpy(), person["age"].to_numpy()
    adult = age >= 15
    table = pd.DataFrame({
        "SSUID": [f"{910_000_000_000 + index:014d}" for index in household], "PNUM": 100 + person["line"],
        "SHHADID": 11,
        "SPANEL": year, "SWAVE": 1, "WPFINWGT": person["weight"].round(6), "TAGE": np.minimum(age, 87),
        "ESEX": 1 + person["female"], "ERACE": _RACE[person["race"].to_numpy()],
        "EORIGIN": np.where(person["hispanic"] > 0, 1, 2),
        "EMS": np.where(adult, _MARITAL[person["marital"].to_numpy()], np.nan),
        "ERELRPE": np.where(
            (person["role"] == REFERENCE) & (np.bincount(household)[household] == 1), 2,
            _RELATION[person["role"].to_numpy()],
        ),
        "ETENURE": population.household["tenure"].to_numpy()[household],
        "TPTOTINC": np.where(adult, person[list(MONEY)].to_numpy().sum(axis=1) / 12, np.nan).round(),
    })  # fmt: skip
    table = table.assign(**_jobs(rng, person))
    wealth = person["wealth_rank"].to_numpy() / 100
    for name, (total, sigma, share) in _ASSETS.items():
        holds = adult & (rng.random(n) < np.clip(share * (0.35 + 1.3 * wealth), 0, 0.97))
        value = np.where(holds, heavy(stratified(rng, n), median=1.0, sigma=sigma, alpha=1.4) * np.exp(3 * wealth), 0.0)
        table[name] = np.where(adult, scaled(value, person["weight"].to_numpy(), total), np.nan).round()
    for name, source in {"TINC_BANK": "interest", "TINC_STMF": "dividends", "TINC_RENT": "rent"}.items():
        table[name] = np.where(adult, person[source], np.nan)
    table["TINC_BOND"] = np.where(adult, np.round(table["TVAL_BOND"] * 0.03), np.nan)
    return table.assign(**_vehicles(rng, population))


def _jobs(rng: np.random.Generator, person: pd.DataFrame) -> dict[str, Floats]:
    occupations, n = tables.occupations(), len(person)
    row = person["occupation"].to_numpy()
    employed = (row >= 0) & (person["wages"].to_numpy() > 0)
    tipped = employed & (occupations["tipped"].to_numpy()[np.maximum(row, 0)] == 1) & (rng.random(n) < 0.8)
    second = employed & (rng.random(n) < 0.05)
    tips = np.where(tipped, person["wages"].to_numpy() * rng.uniform(0.1, 0.9, n), 0.0)
    monthly = np.round(scaled(tips, person["weight"].to_numpy(), _TIPS) / 12)
    earnings = np.round(person["wages"].to_numpy() / 12)
    code = occupations["code"].to_numpy()[np.maximum(row, 0)]
    profit = person["self_employment"].to_numpy()
    # Businesses of who has no employer: a job of their own, which pays no wages.
    business = ~employed & (profit > 0)
    return {
        "EJB1_JBORSE": np.select([employed, business], [float(_EMPLOYER), float(_SELF_EMPLOYED)], np.nan),
        "TJB1_TXAMT": np.where(tipped, monthly, np.nan),
        "AJB1_TXAMT": np.where(tipped, 1.0 + 6 * (rng.random(n) < 0.3), 0.0),
        "TJB1_MSUM": np.select(
            [employed & second, employed, business], [np.round(0.8 * earnings), earnings, np.round(profit / 12)], np.nan
        ),
        "TJB1_OCC": np.where(employed | business, code, np.nan),
        "EJB2_JBORSE": np.where(second, float(_EMPLOYER), np.nan),
        "TJB2_TXAMT": np.where(second & tipped, 20.0, np.nan), "AJB2_TXAMT": np.where(second & tipped, 1.0, 0.0),
        "TJB2_MSUM": np.where(second, np.round(0.2 * earnings), np.nan), "TJB2_OCC": np.where(second, code, np.nan),
    }  # fmt: skip


def _vehicles(rng: np.random.Generator, population: Population) -> dict[str, Floats]:
    household = population.person["household"].to_numpy()
    adults = np.bincount(household, weights=population.person["age"].to_numpy() >= 18)
    rich = np.bincount(household, weights=population.person["wages"].to_numpy()) > 45_000
    number = np.minimum(rng.binomial((adults + 1).astype(np.int64), np.where(rich, 0.62, 0.45)), 6)
    each = heavy(stratified(rng, len(number)), median=11_000.0, sigma=0.8, alpha=4.0)
    value = np.round(number * each, -2)
    owned = (number > 0)[household]
    return {"TVEH_NUM": np.where(owned, number[household], np.nan), "THVAL_VEH": value[household]}


def _month(person: pd.DataFrame, month: int) -> pd.DataFrame:
    return person.assign(MONTHCODE=month)
