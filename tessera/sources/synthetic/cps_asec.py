"""Writes a synthetic CPS ASEC archive: `asecpubYYcsv.zip` with `pppubYY.csv`, `hhpubYY.csv` and `ffpubYY.csv`.

Official member names, columns (`tessera/sources/data/columns_cps_asec.csv`) and codes of the survey year asked for;
weights in hundredths; a share of household records are non-interviews with no persons and weight 0, as in the official
file. Half of the households are also in the file of the next year, half in that of the year before (`panel`), with the
same PERIDNUM, if the files are of the same seed and size. Amounts are those of 2024 in every year. Marked synthetic.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.random import generator
from tessera.sources.columns import columns_of
from tessera.sources.cps_asec import FIRST_YEAR, LAST_YEAR
from tessera.sources.synthetic.archive import csv_bytes, write_zip
from tessera.sources.synthetic.cps_person import person_record
from tessera.sources.synthetic.draws import Integers
from tessera.sources.synthetic.panel import cohorts_of
from tessera.sources.synthetic.population import Population, draw_population

WRITER = "cps_asec"
# The archive of 2019 has its members below a folder, the others at the root.
_FOLDERS = {2019: "cpspb/asec/prod/data/2019/"}
_NON_INTERVIEW = 0.12


def write(folder: Path, *, households: int, year: int, seed: int) -> Path:
    """Write the archive of one survey year.

    Args:
        folder: where to write; made if absent.
        households: interviewed households.
        year: survey year; incomes are of the year before.
        seed: same arguments, same bytes.

    Returns:
        Path of the zip; beside it lies its sidecar.

    Raises:
        SourceError: too few households, or a year of another layout.
    """
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise SourceError(
            f"A synthetic CPS ASEC of survey year {year}; wanted one of {FIRST_YEAR} to {LAST_YEAR}, the years whose "
            "layout the column catalogue describes. Choose one of them."
        )
    population = draw_population(
        households, seed=seed, label=f"{WRITER}/{year}", cohorts=cohorts_of(WRITER, year, households)
    )
    sequence, refused = _sequences(households, seed)
    person = person_record(population, sequence, year)
    family = _family_record(person)
    household = _household_record(population, person, sequence, refused, year)
    suffix = f"{year % 100:02d}"
    records = {"pp": ("person", person), "hh": ("household", household), "ff": ("family", family)}
    members = {
        f"{_FOLDERS.get(year, '')}{prefix}pub{suffix}.csv": csv_bytes(_in_file_order(table, record, year))
        for prefix, (record, table) in records.items()
    }
    settings = {"households": households, "year": year}
    return write_zip(folder / f"asecpub{suffix}csv.zip", members, writer=WRITER, seed=seed, settings=settings)


def _in_file_order(table: pd.DataFrame, record: str, year: int) -> pd.DataFrame:
    columns = [column for column in columns_of("cps_asec", record) if column.first_year <= year]
    return table[[column.name for column in columns if column.name in table]]


def _sequences(households: int, seed: int) -> tuple[Integers, Integers]:
    """H_SEQ of interviewed households and of non-interviews, which lie between them."""
    total = households + max(3, round(households * _NON_INTERVIEW))
    order = generator(f"{WRITER}/non-interviews", seed).permutation(total) + 1
    return np.sort(order[:households]), np.sort(order[households:])


def _family_record(person: pd.DataFrame) -> pd.DataFrame:
    ordered = person.assign(_order=(person["A_FAMREL"] > 1).astype(int))
    ordered = ordered.sort_values(["PH_SEQ", "PF_SEQ", "_order", "P_SEQ"])
    head = ordered.drop_duplicates(["PH_SEQ", "PF_SEQ"])
    grouped = ordered.groupby(["PH_SEQ", "PF_SEQ"])
    return pd.DataFrame({
        "FH_SEQ": head["PH_SEQ"].to_numpy(), "FFPOS": head["PF_SEQ"].to_numpy(),
        "FKIND": np.where(head["A_SPOUSE"] > 0, 1, 1 + head["A_SEX"]), "FTYPE": head["A_FAMTYP"].to_numpy(),
        "FPERSONS": grouped.size().to_numpy(), "FSUP_WGT": head["MARSUPWT"].to_numpy(),
        "FTOTVAL": grouped["PTOTVAL"].sum().to_numpy(),
    })  # fmt: skip


def _household_record(
    population: Population, person: pd.DataFrame, sequence: Integers, refused: Integers, year: int
) -> pd.DataFrame:
    home, grouped = population.household, person.groupby("PH_SEQ")
    reference = person[person["P_SEQ"] == 1]
    alone = reference["A_EXPRRP"].to_numpy() == 2
    couple, woman = reference["A_SPOUSE"].to_numpy() > 0, reference["A_SEX"].to_numpy() == 2
    pupils = person["A_AGE"].between(5, 17).groupby(person["PH_SEQ"]).any().to_numpy()
    rents = (home["tenure"] == 2).to_numpy()
    interviewed = pd.DataFrame({
        "H_SEQ": sequence, "H_YEAR": year, "H_HHTYPE": 1, "H_NUMPER": grouped.size().to_numpy(),
        "HNUMFAM": grouped["PF_SEQ"].nunique().to_numpy(), "H_LIVQRT": 1 + 4 * home["mobile"],
        "H_TENURE": home["tenure"],
        "H_TYPE": np.select([couple, alone & woman, alone, woman], [1, 7, 6, 4], 3), "GEREG": home["region"],
        "GESTFIPS": home["state"], "GTCO": home["county"], "GTCBSA": home["cbsa"], "GTMETSTA": 2 - home["metropolitan"],
        "HSUP_WGT": np.round(home["weight"] * 100).astype(np.int64), "HFOODSP": np.where(home["snap"] > 0, 1, 2),
        "HFDVAL": home["snap"], "HENGVAL": home["energy"], "HPROP_VAL": home["value"], "PROP_TAX": home["property_tax"],
        "HPRES_MORT": np.where(home["tenure"] == 1, 2 - home["mortgage"], 0),
        "HPUBLIC": np.where(rents, 2 - home["public"], 0),
        "HLORENT": np.where(rents & (home["public"] == 0), 2 - home["subsidised"], 0),
        "H_MIS": 1 + sequence % 4 + 4 * (1 - home["first"].to_numpy()),
        "HTOTVAL": grouped["PTOTVAL"].sum().to_numpy(), "HENGAST": np.where(home["energy"] > 0, 1, 2),
        "HFLUNCH": np.where(pupils, np.where(home["lunches"] > 0, 1, 2), 0),
        "HRWICYN": np.where((person["WICYN"] == 1).groupby(person["PH_SEQ"]).any().to_numpy(), 1, 2),
    })  # fmt: skip
    empty = pd.DataFrame(0, index=range(len(refused)), columns=interviewed.columns)
    donor = home.iloc[np.arange(len(refused)) % len(home)]
    empty = empty.assign(
        H_SEQ=refused, H_YEAR=year, H_HHTYPE=2 + np.arange(len(refused)) % 2, H_LIVQRT=1,
        GESTFIPS=donor["state"].to_numpy(), GEREG=donor["region"].to_numpy(),
    )  # fmt: skip
    return pd.concat([interviewed, empty]).sort_values("H_SEQ", ignore_index=True)
