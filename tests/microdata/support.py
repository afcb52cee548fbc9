"""Raw tables for microdata tests: the real ASEC sample, hand-made households, and small synthetic donor files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.microdata.asec import RELATION_COLUMNS
from tessera.microdata.income import REQUIRED
from tessera.microdata.puf_amounts import AMOUNTS
from tessera.microdata.tax_units import GROSS_INCOME

SEED = 7
_DEFAULTS = {
    **dict.fromkeys([*RELATION_COLUMNS, *REQUIRED, *GROSS_INCOME], 0),
    **{c: 2 for c in RELATION_COLUMNS if c.startswith("PEDIS")},
    "PEPAR1": -1,
    "PEPAR2": -1,
    "PF_SEQ": 1,
    "A_MARITL": 7,
    "A_SEX": 1,
    "A_AGE": 40,
    "MARSUPWT": 1000.0,
    "SPM_TENMORTSTATUS": 3,
}


@dataclass(frozen=True)
class RawAsec:
    person: pd.DataFrame
    household: pd.DataFrame = field(default_factory=pd.DataFrame)
    income_year: int = 2019
    synthetic: bool = True


@dataclass(frozen=True)
class RawTable:
    name: str
    table: pd.DataFrame
    year: int = 2015
    synthetic: bool = True
    companions: dict[str, pd.DataFrame] = field(default_factory=dict)


def persons(*rows: dict[str, object]) -> pd.DataFrame:
    """Hand-made ASEC persons of household PH_SEQ 1 unless given; lines count from 1, the first is the reference."""
    table = []
    for number, row in enumerate(rows, start=1):
        first = {"PH_SEQ": 1, "P_SEQ": number, "A_LINENO": number, "A_EXPRRP": 1 if number == 1 else 13}
        table.append({**_DEFAULTS, **first, **row})
    result = pd.DataFrame(table)
    return result.assign(SPM_ID=result["PH_SEQ"] * 1000 + 1) if "SPM_ID" not in result else result


def sample(shared_data: Path) -> pd.DataFrame:
    """The real ASEC 2020 persons, weights with their two decimals applied as the reader does."""
    table = pd.read_csv(shared_data / "cps_asec" / "pppub20.csv")
    return table.assign(MARSUPWT=table["MARSUPWT"] / 100)


def tax_file(n: int = 300, *, aggregates: bool = True) -> RawTable:
    """A synthetic tax file with the official codes; the last four are aggregate records if wanted."""
    rng = np.random.default_rng(SEED)
    columns = sorted({c for plus, minus in AMOUNTS.values() for c in (*plus, *minus)})
    table = pd.DataFrame(
        {c: np.where(rng.random(n) < 0.4, np.round(np.exp(rng.normal(8, 1.5, n))), 0.0) for c in columns}
    )
    table["E00600"] += table["E00650"]
    table["E01500"] += table["E01700"]
    table["P23250"] -= 2000.0
    table = table.assign(
        RECID=np.arange(1, n + 1),
        S006=rng.uniform(1, 1000, n),
        MARS=rng.choice([1, 2, 3, 4], n),
        XTOT=rng.integers(1, 6, n),
        DSI=(rng.random(n) < 0.05).astype(int),
        E00100=table["E00200"] + table["P23250"],
    )
    if aggregates:
        rows = np.arange(n - 4, n)
        table.loc[rows, "RECID"] = [999996, 999997, 999998, 999999]
        table.loc[rows, "MARS"] = 0
        table.loc[rows, "E00100"] = [-1e6, 2e6, 3e7, 3e8]
        table.loc[n - 1, ["E00200", "P22250"]] = [5e7, -5e6]
    known = n * 3 // 4
    demographics = pd.DataFrame(
        {
            "RECID": table["RECID"][:known],
            "AGERANGE": rng.integers(1, 7, known),
            "GENDER": rng.integers(1, 3, known),
            "EARNSPLIT": np.where(table["MARS"][:known] == 2, rng.integers(1, 4, known), 0),
            **{f"AGEDP{k}": rng.integers(1, 7, known) for k in (1, 2, 3)},
        }
    )
    return RawTable("irs_puf", table, companions={"demographics": demographics})


def donor_files(n: int = 240, *, year: int = 2019) -> dict[str, RawTable]:
    """Synthetic ACS, SIPP, SCF and ORG tables with official names, of the same wages, in dollars of one year."""
    rng = np.random.default_rng(SEED)
    wages = np.round(np.exp(rng.normal(10, 1, n)))
    serial = np.array([f"{year}HU{k:07d}" for k in range(n)])
    return {
        "acs": _acs(rng, serial, wages, year),
        "sipp": _sipp(rng, serial, wages, year),
        "scf": _scf(rng, wages, year),
        "org": _org(rng, wages, year),
    }


def _acs(rng: np.random.Generator, serial: np.ndarray, wages: np.ndarray, year: int) -> RawTable:
    n = len(wages)
    tenure = rng.integers(1, 5, n)
    household = pd.DataFrame(
        {
            "SERIALNO": serial,
            "TEN": tenure.astype(float),
            "NP": rng.integers(1, 6, n),
            "WGTP": rng.integers(1, 200, n),
            "RNTP": np.where(tenure == 3, rng.integers(400, 3000, n), np.nan),
            "TAXAMT": np.where(tenure <= 2, rng.integers(100, 9000, n), np.nan),
            "ADJHSG": 1.0,
        }
    )
    head = pd.DataFrame(
        {"SERIALNO": serial, "RELSHIPP": 20, "AGEP": rng.integers(18, 90, n), "SEX": rng.integers(1, 3, n)}
    )
    head = head.assign(WAGP=wages, SEMP=0.0, SSP=0.0, RETP=np.nan, ADJINC=1.0)
    child = head.assign(RELSHIPP=25, AGEP=7, WAGP=np.nan)
    people = pd.concat([head, child], ignore_index=True)
    return RawTable("acs_pums", people, year=year, companions={"household": household})


def _sipp(rng: np.random.Generator, serial: np.ndarray, wages: np.ndarray, year: int) -> RawTable:
    n = len(wages)
    owned = rng.integers(0, 4, n)
    person: dict[str, object] = {
        "SSUID": serial,
        "SHHADID": 11,
        "PNUM": 101,
        "TAGE": rng.integers(15, 90, n),
        "ESEX": rng.integers(1, 3, n),
        "EMS": rng.integers(1, 7, n).astype(float),
        "ERELRPE": 2.0,
        "ETENURE": rng.integers(1, 3, n).astype(float),
        "WPFINWGT": rng.uniform(100, 5000, n),
        "EJB1_JBORSE": 1.0,
        "TJB1_MSUM": wages / 12,
        "TJB1_TXAMT": np.where(np.arange(n) % 5 == 0, 100.0, np.nan),
        "AJB1_TXAMT": 9.0,
        "TJB1_OCC": np.where(np.arange(n) % 5 == 0, 4110.0, 10.0),
        "TVAL_BANK": np.round(np.exp(rng.normal(7, 2, n))) + 1,
        "TVAL_STMF": np.where(np.arange(n) % 3 == 0, 50_000.0, 0.0),
        "TVAL_BOND": np.where(np.arange(n) % 7 == 0, 9_000.0, 0.0),
        "TINC_BANK": rng.integers(0, 300, n).astype(float),
        "TINC_STMF": np.where(np.arange(n) % 3 == 0, 900.0, 0.0),
        "TINC_BOND": 0.0,
        "TINC_RENT": 0.0,
        "TVEH_NUM": np.where(owned > 0, owned, np.nan),
        "THVAL_VEH": 10_000.0 * owned,
    }
    people = pd.DataFrame(person)
    months = people.loc[np.repeat(np.arange(n), 12)].reset_index(drop=True)
    return RawTable("sipp", months.assign(MONTHCODE=np.tile(np.arange(1, 13), n)), year=year)


def _scf(rng: np.random.Generator, wages: np.ndarray, year: int) -> RawTable:
    n = len(wages) // 5 * 5
    debt = np.where(rng.random(n) < 0.3, 12_000.0, 0.0)
    number = np.arange(n)
    table = pd.DataFrame(
        {
            "YY1": number // 5 + 1,
            "Y1": (number // 5 + 1) * 10 + number % 5 + 1,
            "AGE": rng.integers(18, 90, n),
            "HHSEX": rng.integers(1, 3, n),
            "RACE": rng.integers(1, 6, n),
            "MARRIED": rng.integers(1, 3, n),
            "KIDS": rng.integers(0, 4, n),
            "WAGEINC": wages[:n],
            "BUSSEFARMINC": 0.0,
            "INTDIVINC": 0.0,
            "KGINC": 0.0,
            "SSRETINC": 0.0,
            "HOUSES": rng.integers(0, 2, n) * 250_000.0,
            "MRTHEL": rng.integers(0, 2, n) * 90_000.0,
            "NETWORTH": np.round(rng.normal(200_000, 300_000, n)),
            "VEH_INST": debt,
            "NOWN": rng.integers(0, 4, n),
            "VEHIC": rng.integers(0, 4, n) * 10_000.0,
            "WGT": rng.uniform(1000, 9000, n),
        }
    )
    loans = pd.DataFrame({"Y1": table["Y1"], "X2218": debt, "X2219": np.where(debt > 0, 500.0, 0.0)})
    loans = loans.assign(**dict.fromkeys(("X2318", "X2319", "X2418", "X2419", "X7169", "X7170"), 0.0))
    return RawTable("scf", table, year=year, companions={"loans": loans})


def _org(rng: np.random.Generator, wages: np.ndarray, year: int) -> RawTable:
    n = len(wages)
    hourly = rng.integers(1, 3, n)
    member = np.where(np.arange(n) % 8 == 0, 1, 2)
    table = pd.DataFrame(
        {
            "HRHHID": [f"{k:015d}" for k in range(n)],
            "HRHHID2": "10011",
            "PULINENO": 1,
            "HRMONTH": np.arange(n) % 12 + 1,
            "GESTFIPS": 6,
            "PEERNHRY": hourly,
            "PTERNHLY": np.where(hourly == 1, 18.5, -0.01),
            "PTERNWA": wages / 52,
            "PEERNLAB": member,
            "PEERNCOV": np.where(member == 1, -1, 2),
            "PEHRUSL1": 40,
            "PRTAGE": rng.integers(16, 80, n),
            "PESEX": rng.integers(1, 3, n),
            "PEHSPNON": rng.integers(1, 3, n),
            "PTDTRACE": 1,
            "PWORWGT": rng.uniform(1000, 9000, n),
        }
    )
    return RawTable("cps_org", table, year=year)
