"""Writes a synthetic ACS PUMS: `csv_pus.zip` and `csv_hus.zip`, with members `psam_pusa.csv`, `psam_pusb.csv` and so
on.

As in the official files, incomes are blank outside their universe, a twentieth of housing units is vacant, some
persons live in group quarters with housing weight 0, and states before 28 (Mississippi) are in part a. Marked
synthetic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic.archive import csv_bytes, write_zip
from tessera.sources.synthetic.dollars import in_dollars_of
from tessera.sources.synthetic.draws import Floats, Integers
from tessera.sources.synthetic.population import Population, draw_population

WRITER = "acs_pums"
# Factor to dollars of the year, with six implied decimals; amounts are written before it.
_ADJUSTMENT = 1_010_000
_FACTOR = _ADJUSTMENT / 1e6
_SPLIT = 28
_RELATION = np.array((20, 21, 22, 25, 30, 29, 33, 34, 36))
_MARITAL = np.array((0, 1, 1, 1, 2, 3, 4, 5))
_RACE = np.array((0, 1, 2, 3, 6, 7, 9, 9, 9))


def write(folder: Path, *, households: int, year: int, seed: int) -> Path:
    """Write both archives.

    Args:
        folder: where to write; made if absent.
        households: occupied housing units.
        year: survey year, which SERIALNO begins with.
        seed: same arguments, same bytes.

    Returns:
        Path of the person archive, `csv_pus.zip`.
    """
    population = in_dollars_of(draw_population(households, seed=seed, label=WRITER), year)
    serial = np.array([f"{year}HU{index + 1:07d}" for index in range(households)])
    person, household = _persons(population, serial), _households(population, serial, year)
    person, household = _with_group_quarters(person, household, year)
    settings = {"households": households, "year": year}
    paths = []
    for kind, table in (("h", household), ("p", person)):
        early = (table["STATE"] < _SPLIT).to_numpy()
        members = {f"psam_{kind}us{part}.csv": csv_bytes(table[mask]) for part, mask in (("a", early), ("b", ~early))}
        path = folder / f"csv_{kind}us.zip"
        paths.append(write_zip(path, members, writer=WRITER, seed=seed, settings=settings))
    return paths[1]


def _households(population: Population, serial: npt.NDArray[np.str_], year: int) -> pd.DataFrame:
    home = population.household
    owned, rented = (home["tenure"] == 1).to_numpy(), (home["tenure"] == 2).to_numpy()
    size = np.bincount(population.person["household"].to_numpy())
    income = np.bincount(population.person["household"].to_numpy(), weights=_total_income(population.person))
    rent = np.round(home["rent_paid"].to_numpy() / 12 / _FACTOR, -1)
    occupied = pd.DataFrame({
        "SERIALNO": serial, "STATE": home["state"], "PUMA": 100 + home["county"] % 90 * 100, "TYPEHUGQ": 1,
        "WGTP": np.maximum(np.round(home["weight"]), 1).astype(np.int64), "NP": size, "ADJHSG": _ADJUSTMENT,
        "ADJINC": _ADJUSTMENT, "TEN": np.where(owned, np.where(home["mortgage"] == 1, 1, 2), home["tenure"] + 1),
        "RNTP": _blank(rent, rented), "GRNTP": _blank(rent + 160, rented),
        "TAXAMT": _blank(home["property_tax"].to_numpy() / _FACTOR, owned),
        "VALP": _blank(home["value"].to_numpy(), owned),
        "HINCP": _blank(income / _FACTOR, np.ones(len(home), dtype=bool)),
    })  # fmt: skip
    vacant = occupied.iloc[: max(1, len(occupied) // 20)].assign(
        SERIALNO=lambda rows: [f"{year}HU9{index:06d}" for index in range(len(rows))], NP=0,
        TEN=np.nan, RNTP=np.nan, GRNTP=np.nan, TAXAMT=np.nan, VALP=np.nan, HINCP=np.nan,
    )  # fmt: skip
    return _nullable(pd.concat([occupied, vacant], ignore_index=True))


def _persons(population: Population, serial: npt.NDArray[np.str_]) -> pd.DataFrame:
    person = population.person
    household, age = person["household"].to_numpy(), person["age"].to_numpy()
    adult, worker = age >= 15, age >= 16
    amounts: dict[str, tuple[tuple[str, ...], npt.NDArray[np.bool_]]] = {
        "WAGP": (("wages",), worker), "SEMP": (("self_employment", "farm"), worker),
        "SSP": (("social_security",), adult),
        "SSIP": (("ssi",), adult), "RETP": (("pension", "annuity", "distributions"), adult),
        "INTP": (("interest", "dividends", "rent"), adult), "PAP": (("public_assistance",), adult),
        "OIP": (("unemployment", "veterans", "child_support", "alimony", "disability", "workers_compensation"), adult),
    }  # fmt: skip
    money = {
        name: _blank(person[list(parts)].to_numpy().sum(axis=1) / _FACTOR, mask)
        for name, (parts, mask) in amounts.items()
    }
    return _nullable(pd.DataFrame({
        "SERIALNO": serial[household], "SPORDER": person["line"],
        "STATE": population.household["state"].to_numpy()[household],
        "PWGTP": np.maximum(np.round(person["weight"]), 1).astype(np.int64), "AGEP": np.minimum(age, 95),
        "SEX": 1 + person["female"], "RELSHIPP": _RELATION[person["role"].to_numpy()], "ADJINC": _ADJUSTMENT,
        "MAR": _MARITAL[person["marital"].to_numpy()],
        "SCHL": _blank(_schooling(person["education"].to_numpy()), age >= 3),
        "RAC1P": _RACE[person["race"].to_numpy()], "HISP": 1 + person["hispanic"], **money,
        "PINCP": _blank(_total_income(person) / _FACTOR, adult),
    }))  # fmt: skip


def _with_group_quarters(person: pd.DataFrame, household: pd.DataFrame, year: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Adds one resident of group quarters for every fiftieth household: copies of reference persons, alone."""
    source = person[person["SPORDER"] == 1].iloc[::50]
    serial = [f"{year}GQ{index + 1:07d}" for index in range(len(source))]
    resident = source.assign(SERIALNO=serial, RELSHIPP=38)
    unit = household.iloc[np.flatnonzero((household["NP"] > 0).to_numpy())[::50]].assign(
        SERIALNO=serial, TYPEHUGQ=3, WGTP=0, NP=1
    )
    unit[["TEN", "RNTP", "GRNTP", "TAXAMT", "VALP", "HINCP"]] = pd.NA
    return pd.concat([person, resident], ignore_index=True), pd.concat([household, unit], ignore_index=True)


def _total_income(person: pd.DataFrame) -> Floats:
    from tessera.sources.synthetic.homes import MONEY

    return person[list(MONEY)].to_numpy(dtype=np.float64).sum(axis=1)


def _schooling(education: Integers) -> Integers:
    codes = {
        31: 4,
        33: 9,
        35: 12,
        36: 13,
        37: 14,
        38: 15,
        39: 16,
        40: 19,
        41: 20,
        42: 20,
        43: 21,
        44: 22,
        45: 23,
        46: 24,
    }
    return np.array([codes.get(int(value), 1) for value in education], dtype=np.int64)


def _blank(values: Floats | Integers, universe: npt.NDArray[np.bool_]) -> Floats:
    return np.where(universe, values, np.nan)


def _nullable(table: pd.DataFrame) -> pd.DataFrame:
    # Integers with blanks, as the official files write them ("1200" and "", never "1200.0").
    written = table.copy()
    for name in table.columns:
        if table[name].dtype == np.float64:
            written[name] = table[name].round().astype("Int64")
    return written
