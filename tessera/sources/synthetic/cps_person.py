"""The CPS ASEC person record of a synthetic population: official columns and codes, one row a person.

Holds recoding only: every draw was made by `population`. Work, income, coverage and SPM columns have modules of their
own (`cps_work`, `cps_income`, `cps_coverage`, `cps_spm`).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic.cps_coverage import coverage_codes
from tessera.sources.synthetic.cps_families import family_codes
from tessera.sources.synthetic.cps_income import income_codes, tax_codes
from tessera.sources.synthetic.cps_spm import spm_columns
from tessera.sources.synthetic.cps_work import work_codes
from tessera.sources.synthetic.draws import Floats, Integers
from tessera.sources.synthetic.population import Population
from tessera.sources.synthetic.traits import DIFFICULTIES

Codes = dict[str, npt.NDArray[np.int64]]
_DIFFICULTY = ("EAR", "EYE", "REM", "PHY", "DRS", "OUT")


def person_record(population: Population, sequence: Integers, year: int) -> pd.DataFrame:
    """Person records, with weights in hundredths.

    Args:
        population: persons and households.
        sequence: H_SEQ of each household, (n_households,).
        year: survey year.
    """
    person = population.person
    own = sequence[person["household"].to_numpy()]
    income = income_codes(person)
    parts: list[Codes] = [
        _identity(person, own), family_codes(person), _demography(population, year), _schooling(person),
        work_codes(person), income, tax_codes(person, income, own), coverage_codes(person), _weights(population),
    ]  # fmt: skip
    table = pd.DataFrame({name: values for part in parts for name, values in part.items()})
    table["PERIDNUM"] = _identifiers(population)
    table["YYYYMM"] = year * 100 + 2 + own % 3
    return pd.concat([table, spm_columns(population, sequence, table)], axis=1)


def _identity(person: pd.DataFrame, sequence: Integers) -> Codes:
    line = person["line"].to_numpy()
    return {
        "PH_SEQ": sequence, "P_SEQ": line, "A_LINENO": line, "A_SPOUSE": person["spouse"].to_numpy(),
        "PEPAR1": person["parent1"].to_numpy(), "PEPAR2": person["parent2"].to_numpy(),
        "PECOHAB": person["partner"].to_numpy(),
    }  # fmt: skip


def _identifiers(population: Population) -> list[str]:
    """Twenty digits that name the household in both of its years, two that name the person: wider than any integer."""
    person, home = population.person, population.household
    place = person["household"].to_numpy()
    cohort, within = home["cohort"].to_numpy()[place], home["of_cohort"].to_numpy()[place]
    return [
        f"{group:04d}{household:016d}{line:02d}"
        for group, household, line in zip(cohort, within, person["line"], strict=True)
    ]


def _demography(population: Population, year: int) -> Codes:
    person, home = population.person, population.household
    age = person["age"].to_numpy()
    difficulty = {
        f"PEDIS{code}": np.where(age < 15, -1, 2 - person[name].to_numpy())
        for code, name in zip(_DIFFICULTY, DIFFICULTIES, strict=True)
    }
    here = person["years_here"].to_numpy()
    arrived = home["cohort"].to_numpy()[person["household"].to_numpy()] - here
    return {
        "A_AGE": np.select([age >= 85, age >= 80], [85, 80], age), "A_SEX": 1 + person["female"].to_numpy(),
        "A_MARITL": person["marital"].to_numpy(), "PRDTRACE": person["race"].to_numpy(),
        "PRDTHSP": person["hispanic"].to_numpy(), "PRCITSHP": person["citizenship"].to_numpy(),
        "PENATVTY": person["birthplace"].to_numpy(), "PEINUSYR": np.where(here > 0, arrival_code(arrived, year), 0),
        "PEAFEVER": np.where(age < 17, -1, 2 - person["veteran"].to_numpy()), **difficulty,
    }  # fmt: skip


def arrival_code(arrived: Integers, year: int) -> Integers:
    """PEINUSYR of a year of arrival: before 1950, the 1950s, five-year periods up to 1979, two-year periods after.

    Args:
        arrived: years of arrival.
        year: survey year; the last period of a file reaches to it, and begins in an even year before it.
    """
    last = 7 + (year - 1981) // 2
    code = np.select(
        [arrived < 1950, arrived < 1960, arrived < 1980],
        [1, 2, 3 + (arrived - 1960) // 5],
        np.minimum(7 + (arrived - 1980) // 2, last),
    )
    return np.asarray(code, dtype=np.int64)


def _schooling(person: pd.DataFrame) -> Codes:
    age = person["age"].to_numpy()
    return {
        "A_HGA": np.where(age < 15, 0, person["education"].to_numpy()), "A_HSCOL": person["school"].to_numpy(),
        "A_FTPT": person["full_time"].to_numpy(), "A_ENRLW": person["enrolled"].to_numpy(),
    }  # fmt: skip


def _weights(population: Population) -> Codes:
    person = population.person
    weight = person["weight"].to_numpy(dtype=np.float64)
    # The reference person carries the household's weight, as in the official file.
    supplement = np.where(person["line"].to_numpy() == 1, _household_weight(population), weight)
    return {
        "A_FNLWGT": np.round(weight * 100).astype(np.int64),
        "MARSUPWT": np.round(supplement * 100).astype(np.int64),
    }


def _household_weight(population: Population) -> Floats:
    weight = population.household["weight"].to_numpy(dtype=np.float64)
    return weight[population.person["household"].to_numpy()]
