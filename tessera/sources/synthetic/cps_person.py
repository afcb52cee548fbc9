"""The CPS ASEC person record of a synthetic population: official columns and codes, one row a person.

Holds recoding only: every draw was made by `population`. Columns come out in the order of the column catalogue.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.sources.synthetic import tables
from tessera.sources.synthetic.cps_families import family_codes
from tessera.sources.synthetic.draws import Floats, Integers
from tessera.sources.synthetic.homes import MONEY
from tessera.sources.synthetic.population import Population
from tessera.sources.synthetic.traits import DIFFICULTIES

Codes = dict[str, npt.NDArray[np.int64]]
_FIELD_LIMIT = 9_999_999
_AMOUNTS = {
    "WSAL_VAL": "wages", "SEMP_VAL": "self_employment", "FRSE_VAL": "farm", "INT_VAL": "interest",
    "DIV_VAL": "dividends",
    "RNT_VAL": "rent", "CAP_VAL": "capital_gains", "SS_VAL": "social_security", "SSI_VAL": "ssi",
    "UC_VAL": "unemployment",
    "PAW_VAL": "public_assistance", "VET_VAL": "veterans", "WC_VAL": "workers_compensation", "DIS_VAL1": "disability",
    "PNSN_VAL": "pension", "ANN_VAL": "annuity", "CSP_VAL": "child_support", "RETCB_VAL": "contributions",
    "CHSP_VAL": "child_support_paid", "PHIP_VAL": "premiums", "PMED_VAL": "medical", "POTC_VAL": "over_the_counter",
    "PEMCPREM": "part_b", "OI_VAL": "alimony",
}  # fmt: skip
_NOW = {
    "GRP": ("employer",), "MRK": ("marketplace",), "MRKS": ("subsidised_marketplace",), "NONM": ("direct",),
    "DIR": ("marketplace", "direct"), "PRIV": ("employer", "marketplace", "direct"), "MCARE": ("medicare",),
    "CAID": ("medicaid",), "MCAID": ("medicaid", "chip"), "PCHIP": ("chip",), "MIL": ("military",),
    "CHAMPVA": ("champva",),
    "VACARE": ("veterans_care",), "IHSFLG": ("indian_health",), "PUB": ("medicare", "medicaid", "chip", "military"),
    "COV": ("employer", "marketplace", "direct", "medicare", "medicaid", "chip", "military", "champva",
            "veterans_care"),
}  # fmt: skip


def person_record(population: Population, sequence: Integers, year: int) -> pd.DataFrame:
    """Person records, with weights in hundredths.

    Args:
        population: persons and households.
        sequence: H_SEQ of each household, (n_households,).
        year: survey year.
    """
    person = population.person
    household = person["household"].to_numpy()
    parts: list[Codes] = [
        _identity(person, sequence[household]), family_codes(person), _demography(person), _schooling(person),
        _work(person), _income(person), _coverage(person), _weights(population),
    ]  # fmt: skip
    table = pd.DataFrame({name: values for part in parts for name, values in part.items()})
    table["PERIDNUM"] = _identifiers(sequence[household], person["line"].to_numpy(), year)
    table["YYYYMM"] = year * 100 + 3
    return pd.concat([table, _spm_unit(population, sequence, table)], axis=1)


def _identity(person: pd.DataFrame, sequence: Integers) -> Codes:
    line = person["line"].to_numpy()
    head = np.where(person["role"].to_numpy() == 1, 1, line)
    child = person["age"].to_numpy() < 18
    head = np.where(child & (person["parent1"].to_numpy() > 0), person["parent1"].to_numpy(), head)
    return {
        "PH_SEQ": sequence, "P_SEQ": line, "A_LINENO": line, "A_SPOUSE": person["spouse"].to_numpy(),
        "PEPAR1": person["parent1"].to_numpy(), "PEPAR2": person["parent2"].to_numpy(),
        "PECOHAB": person["partner"].to_numpy(), "TAX_ID": sequence * 100 + head,
        "DEP_STAT": np.where(child, np.maximum(person["parent1"].to_numpy(), 0), 0),
    }  # fmt: skip


def _identifiers(sequence: Integers, line: Integers, year: int) -> list[str]:
    # Twenty digits that name the household, two that name the person: wider than any machine integer.
    return [f"{year}{household:016d}{person:02d}" for household, person in zip(sequence, line, strict=True)]


def _demography(person: pd.DataFrame) -> Codes:
    age = person["age"].to_numpy()
    difficulty = {
        f"PEDIS{code}": np.where(age < 15, -1, 2 - person[name].to_numpy())
        for code, name in zip(("EAR", "EYE", "REM", "PHY", "DRS", "OUT"), DIFFICULTIES, strict=True)
    }
    return {
        "A_AGE": np.select([age >= 85, age >= 80], [85, 80], age), "A_SEX": 1 + person["female"].to_numpy(),
        "A_MARITL": person["marital"].to_numpy(), "PRDTRACE": person["race"].to_numpy(),
        "PRDTHSP": person["hispanic"].to_numpy(), "PRCITSHP": person["citizenship"].to_numpy(),
        "PENATVTY": person["birthplace"].to_numpy(), "PEINUSYR": person["arrival"].to_numpy(),
        "PEAFEVER": np.where(age < 17, -1, 2 - person["veteran"].to_numpy()), **difficulty,
    }  # fmt: skip


def _schooling(person: pd.DataFrame) -> Codes:
    age = person["age"].to_numpy()
    return {
        "A_HGA": np.where(age < 15, 0, person["education"].to_numpy()), "A_HSCOL": person["school"].to_numpy(),
        "A_FTPT": person["full_time"].to_numpy(), "A_ENRLW": person["enrolled"].to_numpy(),
    }  # fmt: skip


def _work(person: pd.DataFrame) -> Codes:
    jobs = tables.occupations()
    age, occupation = person["age"].to_numpy(), person["occupation"].to_numpy()
    worked, row = occupation >= 0, np.maximum(occupation, 0)
    now = worked & (person["weeks"].to_numpy() >= 30)
    own = person["self_employed"].to_numpy() == 1
    public = jobs["code"].to_numpy()[row] == 2310
    unable = person["weeks_looking"].to_numpy() > 0
    hours = person["hours"].to_numpy()
    return {
        "A_LFSR": np.select([age < 15, now, unable & worked], [0, 1, 4], 7),
        "A_CLSWKR": np.select([~now, own, public], [0, 6, 4], 1),
        "PEIO1COW": np.select([~now, own, public], [0, 7, 3], 4),
        "A_MJOCC": np.where(now, jobs["major"].to_numpy()[row], 0),
        "POCCU2": np.select([age < 15, ~worked], [0, 53], jobs["recode"].to_numpy()[row]),
        "PEIOOCC": np.where(now, jobs["code"].to_numpy()[row], -1), "A_HRS1": np.where(now, hours, 0), "HRSWK": hours,
        "WKSWORK": person["weeks"].to_numpy(), "LKWEEKS": person["weeks_looking"].to_numpy(),
        "I_ERNVAL": np.zeros(len(person), dtype=np.int64), "I_SEVAL": np.zeros(len(person), dtype=np.int64),
    }  # fmt: skip


def _income(person: pd.DataFrame) -> Codes:
    codes = {code: np.clip(person[name].to_numpy(), -_FIELD_LIMIT, _FIELD_LIMIT) for code, name in _AMOUNTS.items()}
    age, reason = person["age"].to_numpy(), person["social_security_reason"].to_numpy()
    drawn = person["distributions"].to_numpy()
    old, zero = age >= 58, np.zeros(len(person), dtype=np.int64)
    account = np.where(drawn > 0, np.where(np.arange(len(person)) % 5 < 2, 1, 4), 0)
    adult = age >= 15
    for name, has in (("SS_YN", reason > 0), ("SSI_YN", codes["SSI_VAL"] > 0)):
        codes[name] = np.select([~adult & ~has, has], [0, 1], 2)
    codes |= {
        "RESNSS1": reason, "RESNSS2": zero, "RESNSSI1": np.where(codes["SSI_VAL"] > 0, 1, 0), "RESNSSI2": zero,
        "PAW_TYP": np.where(codes["PAW_VAL"] > 0, 1, 0), "DIS_SC1": np.where(codes["DIS_VAL1"] > 0, 2, 0),
        "DIS_SC2": zero,
        "DIS_VAL2": zero, "SRVS_VAL": zero, "PEN_SC1": np.where(codes["PNSN_VAL"] > 0, 1, 0), "PEN_SC2": zero,
        "DST_VAL1": np.where(old, drawn, 0), "DST_SC1": np.where(old, account, 0),
        "DST_VAL1_YNG": np.where(old, 0, drawn), "DST_SC1_YNG": np.where(old, 0, account),
        "DST_VAL2": zero, "DST_SC2": zero, "DST_VAL2_YNG": zero, "DST_SC2_YNG": zero,
        "OI_OFF": np.where(codes["OI_VAL"] > 0, 20, 0), "ED_VAL": zero, "FIN_VAL": zero,
        "PEARNVAL": codes["WSAL_VAL"] + codes["SEMP_VAL"] + codes["FRSE_VAL"],
        "PTOTVAL": person[list(MONEY)].to_numpy().sum(axis=1),
        "MOOP": codes["PHIP_VAL"] + codes["PMED_VAL"] + codes["POTC_VAL"] + codes["PEMCPREM"],
    }  # fmt: skip
    taxable = ("WSAL_VAL", "SEMP_VAL", "FRSE_VAL", "INT_VAL", "DIV_VAL", "RNT_VAL", "UC_VAL", "PNSN_VAL", "ANN_VAL")
    codes["AGI"] = np.sum([codes[name] for name in taxable], axis=0)
    return codes


def _coverage(person: pd.DataFrame) -> Codes:
    has = {code: person[list(names)].to_numpy().max(axis=1) for code, names in _NOW.items()}
    codes = {f"NOW_{code}": 2 - flag for code, flag in has.items()}
    codes["NOW_MRKUN"] = 2 - (has["MRK"] & (1 - has["MRKS"]))
    codes["NOW_OTHMT"] = np.full(len(person), 2)
    own = person["own_employer"].to_numpy()
    codes["NOW_OWNGRP"] = np.where(has["GRP"] == 1, 2 - own, 0)
    codes["NOW_HIPAID"] = np.where(own == 1, 2, 0)
    for code in ("COV", "MCARE", "CAID", "MCAID", "PCHIP", "CHAMPVA", "IHSFLG", "MIL", "VACARE"):
        codes[code] = codes[f"NOW_{code}"]
    woman = (person["female"].to_numpy() == 1) & (person["age"].to_numpy() >= 15)
    infants = person.assign(infant=person["age"] < 5).groupby("household")["infant"].transform("any").to_numpy()
    wic = woman & infants & (person["age"].to_numpy() < 50) & (person["medicaid"].to_numpy() == 1)
    codes["WICYN"] = np.select([wic, woman & infants], [1, 2], 0)
    return codes


def _weights(population: Population) -> Codes:
    person = population.person
    weight = person["weight"].to_numpy()
    # The reference person carries the household's weight, as in the official file.
    supplement = np.where(person["line"].to_numpy() == 1, _household_weight(population), weight)
    return {
        "A_FNLWGT": np.round(weight * 100).astype(np.int64),
        "MARSUPWT": np.round(supplement * 100).astype(np.int64),
    }


def _household_weight(population: Population) -> Floats:
    weight = population.household["weight"].to_numpy(dtype=np.float64)
    return weight[population.person["household"].to_numpy()]


def _spm_unit(population: Population, sequence: Integers, table: pd.DataFrame) -> pd.DataFrame:
    """SPM columns: one unit a household, but room-mates (not partners) are units of their own with their children."""
    person, home = population.person, population.household
    household, line = person["household"].to_numpy(), person["line"].to_numpy()
    guest = person["role"].to_numpy() == 7
    number = np.where(guest, line, np.where(person["role"].to_numpy() == 8, person["parent1"].to_numpy(), 1))
    unit = sequence[household] * 1000 + number
    _, index = np.unique(unit, return_inverse=True)
    adult = person["age"].to_numpy() >= 18
    adults, size = np.bincount(index, weights=adult)[index].astype(np.int64), np.bincount(index)[index]
    main = number == 1
    tenure = np.where(home["tenure"] == 1, np.where(home["mortgage"] == 1, 1, 2), 3)[household]
    scale = np.where(size - adults > 0, ((adults + 0.5 * (size - adults)) / 3) ** 0.7, (adults / 3) ** 0.7)

    def total(values: Integers) -> Integers:
        return np.round(np.bincount(index, weights=values)[index]).astype(np.int64)

    def of_home(name: str) -> Integers:
        return np.where(main, home[name].to_numpy()[household], 0)

    return pd.DataFrame({
        "SPM_ID": unit, "SPM_WEIGHT": np.round(_household_weight(population) * 100).astype(np.int64),
        "SPM_HEAD": (line == number).astype(np.int64), "SPM_NUMADULTS": adults, "SPM_NUMKIDS": size - adults,
        "SPM_NUMPER": size, "SPM_TENMORTSTATUS": np.where(main, tenure, 3),
        "SPM_GEOADJ": home["price_level"].to_numpy()[household].round(4), "SPM_EQUIVSCALE": scale.round(4),
        "SPM_TOTVAL": total(table["PTOTVAL"].to_numpy()), "SPM_ENGVAL": of_home("energy"),
        "SPM_SNAPSUB": of_home("snap"),
        "SPM_CAPHOUSESUB": np.where(of_home("subsidised") == 1, 7_800, 0),
        "SPM_CHILDCAREXPNS": total(_childcare(person)),
        "SPM_CAPWKCCXPNS": total(_childcare(person) + 1_900 * (table["WSAL_VAL"].to_numpy() > 0)),
    })  # fmt: skip


def _childcare(person: pd.DataFrame) -> Integers:
    # Each child below six costs a round sum where its first parent has wages, and every third school child half of it.
    first = person["parent1"].to_numpy()
    earner = dict(zip(zip(person["household"], person["line"], strict=True), person["wages"], strict=True))
    paid = np.array([earner.get(key, 0) > 9_000 for key in zip(person["household"], first, strict=True)], dtype=bool)
    age = person["age"].to_numpy()
    cost = np.select(
        [(age < 6) & (first > 0), (age < 13) & (first > 0) & (np.arange(len(age)) % 3 == 0)], [4_200, 1_800], 0
    )
    return np.where(paid, cost, 0)
