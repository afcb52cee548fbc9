"""Writes synthetic basic monthly CPS files: a folder with `jan24pub.csv` ... `dec24pub.csv`, all months in sample.

A quarter of persons is in months in sample 4 or 8 and has earnings; the others have codes -1 there, as officially.
Weekly pay is capped at $2,884.61, the public topcode. Union shares are rounded from BLS (2024: 9.9 % members, 1.2 %
covered only). Marked synthetic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.random import generator
from tessera.sources.columns import columns_of
from tessera.sources.cps_org import MONTH_NAMES, OUTGOING
from tessera.sources.synthetic import tables
from tessera.sources.synthetic.archive import write_csv
from tessera.sources.synthetic.dollars import in_dollars_of
from tessera.sources.synthetic.population import Population, draw_population

WRITER = "cps_org"
_TOPCODE = 2884.61


def write(folder: Path, *, households: int, year: int, seed: int) -> Path:
    """Write the twelve files of one year.

    Args:
        folder: where to make the folder `cps_basic_YYYY`.
        households: households of each month.
        year: calendar year.
        seed: same arguments, same bytes.

    Returns:
        Path of the folder with the twelve files.
    """
    target = folder / f"cps_basic_{year}"
    order = [column.name for column in columns_of("cps_org", "person")]
    settings = {"households": households, "year": year}
    for index, name in enumerate(MONTH_NAMES):
        population = in_dollars_of(draw_population(households, seed=seed, label=f"{WRITER}/{year}/{name}"), year)
        table = _month(generator(f"{WRITER}/{year}/{name}/month", seed), population, index + 1, year)
        path = target / f"{name}{year % 100:02d}pub.csv"
        columns = [column for column in order if column in table]
        write_csv(path, table[columns], writer=WRITER, seed=seed, settings=settings)
    return target


def _month(rng: np.random.Generator, population: Population, month: int, year: int) -> pd.DataFrame:
    person, n = population.person, len(population.person)
    household, age = person["household"].to_numpy(), person["age"].to_numpy()
    turn = (1 + rng.permutation(len(population.household)) % 8)[household]
    jobs = tables.occupations()
    row = np.maximum(person["occupation"].to_numpy(), 0)
    working = (person["occupation"].to_numpy() >= 0) & (person["weeks"].to_numpy() >= 26)
    paid = working & (person["wages"].to_numpy() > 0) & (person["self_employed"].to_numpy() == 0)
    outgoing = np.isin(turn, OUTGOING)
    asked = outgoing & paid
    weekly = np.minimum(person["wages"].to_numpy() / np.maximum(person["weeks"].to_numpy(), 1), _TOPCODE)
    hours = np.maximum(person["hours"].to_numpy(), 1)
    hourly = asked & (rng.random(n) < np.clip(1.0 - weekly / 2600, 0.08, 0.85))
    public = jobs["code"].to_numpy()[row] == 2310
    member = asked & (rng.random(n) < np.where(public, 0.34, 0.085))
    covered = asked & ~member & (rng.random(n) < 0.013)
    weight = person["weight"].to_numpy() * 1e4
    return pd.DataFrame({
        "HRHHID": [f"{month:02d}{index:013d}" for index in household], "HRHHID2": "10011", "PULINENO": person["line"],
        "HRMONTH": month, "HRYEAR4": year, "HRMIS": turn,
        "GESTFIPS": population.household["state"].to_numpy()[household],
        "PRTAGE": np.select([age >= 85, age >= 80], [85, 80], age), "PESEX": 1 + person["female"],
        "PTDTRACE": person["race"],
        "PEHSPNON": np.where(person["hispanic"] > 0, 1, 2), "PEEDUCA": np.where(age < 15, -1, person["education"]),
        "PEMLR": np.select([age < 15, working, person["weeks_looking"] > 0, age >= 65], [-1, 1, 4, 5], 7),
        "PRERELG": asked.astype(np.int64), "PEERNHRY": np.where(asked, np.where(hourly, 1, 2), -1),
        "PTERNHLY": np.where(hourly, np.round(np.minimum(weekly / hours, 99.99) * 100), -1).astype(np.int64),
        "PTERNWA": np.where(asked, np.round(weekly * 100), -1).astype(np.int64),
        "PEERNLAB": np.where(asked, np.where(member, 1, 2), -1),
        "PEERNCOV": np.where(asked & ~member, np.where(covered, 1, 2), -1),
        # Some say that their hours vary.
        "PEHRUSL1": np.where(working, np.where(rng.random(n) < 0.03, -4, hours), -1),
        "PEIO1COW": np.where(working, np.where(public, 3, 4), -1),
        "PEIO1OCD": np.where(working, jobs["code"].to_numpy()[row], -1),
        # The outgoing quarter alone carries a weight that stands for everybody of sixteen and over.
        "PWORWGT": np.where(outgoing & (age >= 16), np.round(weight * 4), 0).astype(np.int64),
        "PWSSWGT": np.round(weight).astype(np.int64),
    })  # fmt: skip
