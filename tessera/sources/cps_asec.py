"""The Annual Social and Economic Supplement of the Current Population Survey (CPS ASEC), U.S. Census Bureau, public
use.

`read` takes the official archive `asecpubYYcsv.zip` (members `pppubYY.csv`, `hhpubYY.csv`, `ffpubYY.csv`, wherever in
it: at its root, or below `cpspb/asec/prod/data/2019/` as in 2019) or a person file alone, from which
`household_from_persons` builds what it can. Weights come out in units, not hundredths: the official files imply two
decimals. Households that were not interviewed (`H_HHTYPE` other than 1) are dropped. Columns keep their official names
and codes (`data/columns_cps_asec.csv`); nothing is interpreted here. YY is the survey year, the year after the year
that incomes belong to; survey years `FIRST_YEAR` to `LAST_YEAR` have the columns that the catalogue needs (the survey
was processed anew from 2019 on: earlier files lack parents, SPM units and half of the incomes).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.asec_checks import ADVICE, check_identifiers, check_not_empty, check_table
from tessera.sources.columns import Column, columns_of
from tessera.sources.csvfile import CsvTable, absent_columns, members, read_table, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.store import sha256_of

INTERVIEWED = 1
FIRST_YEAR, LAST_YEAR = 2019, 2025
_MEMBER = re.compile(r"^(pp|hh|ff)pub(\d\d)\.csv(\.gz)?$", re.IGNORECASE)
_RECORDS = {"pp": "person", "hh": "household", "ff": "family"}


@dataclass(frozen=True)
class RawAsec:
    """One survey year as read: official column names and codes, weights in units, interviewed households only.

    Attributes:
        person, household, family: one row a record, fresh index, ascending sequence numbers.
        year: survey year.
        income_year: year that incomes belong to, `year - 1`.
        synthetic: whether a synthetic writer made the file.
        sha256: of the file read.
        absent: optional columns ("person.NOW_MRKS", ...) that the file lacks; they hold 0.
        household_derived: whether household and family were built from a person file alone.
    """

    person: pd.DataFrame
    household: pd.DataFrame
    family: pd.DataFrame
    year: int
    income_year: int
    synthetic: bool
    sha256: str
    absent: tuple[str, ...] = ()
    household_derived: bool = False


def read(path: Path, year: int | None = None, *, state_fips: int = 0) -> RawAsec:
    """Read an official (or synthetic) CPS ASEC file.

    Args:
        path: the zip, or a person csv (plain or .gz).
        year: survey year wanted; None takes what the file is of.
        state_fips: state of the households of a person file alone (0: unknown); unused for a zip.

    Raises:
        SourceError: the file is missing, damaged, of another year, lacks a member or a needed column, holds a value
            that is no number, a household twice, or persons without a household.
    """
    require_file(path, ADVICE)
    if path.suffix.lower() != ".zip":
        return _read_person_file(path, year, state_fips)
    found = _known_year(path, _survey_year(path, members(path), year))
    tables = {record: CsvTable(path, f"{prefix}pub{found % 100:02d}.csv") for prefix, record in _RECORDS.items()}
    absent = tuple(
        f"{record}.{name}"
        for record, table in tables.items()
        for name in absent_columns(table, columns_of("cps_asec", record))
    )
    everything = _read_households(tables["household"], found)
    household = everything[everything["H_HHTYPE"] == INTERVIEWED].reset_index(drop=True)
    person = _read_persons(tables["person"], household)
    family = _read_families(tables["family"], person, household, everything)
    sha256 = sha256_of(path)
    return RawAsec(person, household, family, found, found - 1, is_synthetic(path, sha256), sha256, absent)


def household_from_persons(person: pd.DataFrame, *, state_fips: int = 0) -> pd.DataFrame:
    """The household columns that a person file alone supports: one row a household, columns as in the catalogue.

    The weight is the reference person's, tenure and SNAP those of that person's SPM unit, income the members' sum; the
    state is the caller's. Everything else is 0, not in universe.

    Args:
        person: persons with weights in units.
        state_fips: state of all households, 0 if unknown.
    """
    reference = person.sort_values(["PH_SEQ", "P_SEQ"])
    reference = reference.assign(_order=~reference["A_EXPRRP"].isin((1, 2)))
    reference = reference.sort_values(["PH_SEQ", "_order", "P_SEQ"]).drop_duplicates("PH_SEQ")
    sequence = reference["PH_SEQ"].to_numpy()
    members_of = person.groupby("PH_SEQ")
    known = {
        "H_SEQ": sequence,
        "H_HHTYPE": np.full(len(sequence), INTERVIEWED),
        "H_NUMPER": members_of.size().reindex(sequence).to_numpy(),
        "HNUMFAM": members_of["PF_SEQ"].nunique().reindex(sequence).to_numpy(),
        "H_TENURE": np.where(reference["SPM_TENMORTSTATUS"].to_numpy() == 3, 2, 1),
        "GESTFIPS": np.full(len(sequence), state_fips),
        "HSUP_WGT": reference["MARSUPWT"].to_numpy(),
        "HFOODSP": np.where(reference["SPM_SNAPSUB"].to_numpy() > 0, 1, 2),
        "HFDVAL": reference["SPM_SNAPSUB"].to_numpy(),
        "HTOTVAL": members_of["PTOTVAL"].sum().reindex(sequence).to_numpy(),
        "HPRES_MORT": np.select(
            [reference["SPM_TENMORTSTATUS"].to_numpy() == 1, reference["SPM_TENMORTSTATUS"].to_numpy() == 2], [1, 2], 0
        ),
    }
    return _with_all_columns(known, columns_of("cps_asec", "household"), len(sequence))


def family_from_persons(person: pd.DataFrame) -> pd.DataFrame:
    """The family columns that a person file alone supports: one row a (PH_SEQ, PF_SEQ), columns as in the catalogue."""
    ordered = person.assign(_order=(person["A_FAMREL"] > 1).astype(int)).sort_values(
        ["PH_SEQ", "PF_SEQ", "_order", "P_SEQ"]
    )
    head = ordered.drop_duplicates(["PH_SEQ", "PF_SEQ"])
    grouped = ordered.groupby(["PH_SEQ", "PF_SEQ"])
    couple = head["A_SPOUSE"].to_numpy() > 0
    known = {
        "FH_SEQ": head["PH_SEQ"].to_numpy(),
        "FFPOS": head["PF_SEQ"].to_numpy(),
        "FKIND": np.where(couple, 1, np.where(head["A_SEX"].to_numpy() == 1, 2, 3)),
        "FTYPE": head["A_FAMTYP"].to_numpy(),
        "FPERSONS": grouped.size().to_numpy(),
        "FSUP_WGT": head["MARSUPWT"].to_numpy(),
        "FTOTVAL": grouped["PTOTVAL"].sum().to_numpy(),
    }
    return _with_all_columns(known, columns_of("cps_asec", "family"), len(head))


def _with_all_columns(known: dict[str, np.ndarray], columns: tuple[Column, ...], rows: int) -> pd.DataFrame:
    return pd.DataFrame({column.name: known.get(column.name, np.zeros(rows, dtype=np.int64)) for column in columns})


def _survey_year(path: Path, names: tuple[str, ...], year: int | None) -> int:
    years = sorted({2000 + int(match.group(2)) for name in names if (match := _MEMBER.match(name))})
    if not years:
        held = ", ".join(names) or "nothing"
        raise SourceError(f"{path}: holds no CPS ASEC member; wanted pppubYY.csv, it holds {held}. {ADVICE}")
    if year is None and len(years) == 1:
        return years[0]
    if year not in years:
        wanted = "one survey year" if year is None else f"survey year {year}"
        raise SourceError(
            f"{path}: is of survey year {', '.join(map(str, years))}; wanted {wanted}. Give the year, or fetch the "
            f"right file."
        )
    return int(year)


def _known_year(path: Path, year: int) -> int:
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise SourceError(
            f"{path}: is of survey year {year}; wanted one of {FIRST_YEAR} to {LAST_YEAR}, whose layout the column "
            f"catalogue describes. {ADVICE}"
        )
    return year


def _read_households(table: CsvTable, year: int) -> pd.DataFrame:
    household = read_table(table, columns_of("cps_asec", "household"))
    unique_rows(table, household, ["H_SEQ"])
    surveyed = set(household["H_YEAR"].unique()) - {0}
    if surveyed and surveyed != {year}:
        raise SourceError(
            f"{table}: H_YEAR is {', '.join(str(value) for value in sorted(surveyed))}; wanted {year}, the year of the "
            "member's name. Fetch the file of the right year."
        )
    check_table(table, household, "household")
    interviewed = household["H_HHTYPE"] == INTERVIEWED
    if not interviewed.any():
        raise SourceError(f"{table}: none of {len(household)} households was interviewed (H_HHTYPE 1). {ADVICE}")
    check_not_empty(table, household[interviewed], "household")
    return household.sort_values("H_SEQ", ignore_index=True)


def _read_persons(table: CsvTable, household: pd.DataFrame) -> pd.DataFrame:
    person = read_table(table, columns_of("cps_asec", "person"))
    _check_persons(table, person)
    orphan = ~person["PH_SEQ"].isin(household["H_SEQ"]).to_numpy()
    if orphan.any():
        row = int(np.flatnonzero(orphan)[0])
        raise SourceError(
            f"{table}: line {row + 2}, person P_SEQ {person['P_SEQ'].iloc[row]} of PH_SEQ "
            f"{person['PH_SEQ'].iloc[row]} has no "
            f"interviewed household; {int(orphan.sum())} such person(s), wanted none. Fetch the archive again."
        )
    empty = ~household["H_SEQ"].isin(person["PH_SEQ"]).to_numpy()
    if empty.any():
        sequence = household["H_SEQ"].iloc[int(np.flatnonzero(empty)[0])]
        raise SourceError(
            f"{table}: household H_SEQ {sequence} was interviewed but has no person; {int(empty.sum())} such "
            f"household(s), "
            "wanted none. The person file is probably cut short: fetch the archive again."
        )
    return person.sort_values(["PH_SEQ", "P_SEQ"], ignore_index=True)


def _check_persons(table: CsvTable, person: pd.DataFrame) -> None:
    unique_rows(table, person, ["PH_SEQ", "P_SEQ"])
    unique_rows(table, person, ["PH_SEQ", "A_LINENO"])
    check_identifiers(table, person)
    check_table(table, person, "person")
    check_not_empty(table, person, "person")


def _read_families(
    table: CsvTable, person: pd.DataFrame, household: pd.DataFrame, everything: pd.DataFrame
) -> pd.DataFrame:
    family = read_table(table, columns_of("cps_asec", "family"))
    unique_rows(table, family, ["FH_SEQ", "FFPOS"])
    check_table(table, family, "family")
    check_not_empty(table, family, "family")
    lost = ~family["FH_SEQ"].isin(everything["H_SEQ"]).to_numpy()
    if lost.any():
        row = int(np.flatnonzero(lost)[0])
        raise SourceError(
            f"{table}: line {row + 2}, FH_SEQ {family['FH_SEQ'].iloc[row]} is no household of the archive; "
            f"{int(lost.sum())} such family(ies), wanted none. Fetch the archive again."
        )
    family = family[family["FH_SEQ"].isin(household["H_SEQ"])].sort_values(["FH_SEQ", "FFPOS"], ignore_index=True)
    known = pd.MultiIndex.from_frame(family[["FH_SEQ", "FFPOS"]])
    orphan = ~pd.MultiIndex.from_frame(person[["PH_SEQ", "PF_SEQ"]]).isin(known)
    if orphan.any():
        first = person.iloc[int(np.flatnonzero(orphan)[0])]
        raise SourceError(
            f"{table}: no family FH_SEQ {first['PH_SEQ']}, FFPOS {first['PF_SEQ']}, which person P_SEQ "
            f"{first['P_SEQ']} belongs "
            f"to; {int(orphan.sum())} such person(s), wanted none. Fetch the archive again."
        )
    return family


def _read_person_file(path: Path, year: int | None, state_fips: int) -> RawAsec:
    table = CsvTable(path)
    columns = columns_of("cps_asec", "person")
    absent = tuple(f"person.{name}" for name in absent_columns(table, columns))
    person = read_table(table, columns)
    _check_persons(table, person)
    found = _known_year(path, _person_file_year(path, person, year))
    person = person.sort_values(["PH_SEQ", "P_SEQ"], ignore_index=True)
    sha256 = sha256_of(path)
    return RawAsec(
        person=person,
        household=household_from_persons(person, state_fips=state_fips),
        family=family_from_persons(person),
        year=found,
        income_year=found - 1,
        synthetic=is_synthetic(path, sha256),
        sha256=sha256,
        absent=absent,
        household_derived=True,
    )


def _person_file_year(path: Path, person: pd.DataFrame, year: int | None) -> int:
    stated = sorted({int(value) // 100 for value in person["YYYYMM"].unique()} - {0})
    match = _MEMBER.match(path.name)
    if not stated and match:
        stated = [2000 + int(match.group(2))]
    if len(stated) > 1 or (stated and year is not None and stated != [year]):
        wanted = "one" if year is None else str(year)
        raise SourceError(
            f"{path}: is of survey year {', '.join(map(str, stated))}; wanted {wanted}. Give the right file."
        )
    if not stated and year is None:
        raise SourceError(f"{path}: states no survey year (no YYYYMM, name not pppubYY.csv); wanted the argument year.")
    return stated[0] if stated else int(year or 0)
