"""The American Community Survey public use microdata sample (ACS PUMS), U.S. Census Bureau, 1-year files.

Reads the person archive `csv_pus.zip` (members `psam_pusa.csv`, `psam_pusb.csv`) or that of one state (`csv_pca.zip`,
`psam_p06.csv`) and the household archive beside it (`csv_hus.zip`). Vacant housing units are dropped; group quarters
stay, with weight 0 and no tenure.

Interviews spread over the year. ADJHSG (housing) and ADJINC (incomes), seven digits with six implied decimals, bring
what was answered to dollars of the survey's year. They are applied here, and here only: amounts come out adjusted.
The value of the home (VALP) is not adjusted, as the bureau says. Columns and codes: `data/columns_acs_pums.csv`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.chunks import read_compact
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, coalesced, members, refuse_zeros, require_file
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

# Survey years whose files have the columns of the catalogue; there is no standard 1-year file of 2020.
YEARS = (2021, 2022, 2023, 2024)
# Amounts by the factor that adjusts them.
ADJUSTED: dict[str, dict[str, tuple[str, ...]]] = {
    "household": {"ADJHSG": ("RNTP", "GRNTP", "TAXAMT"), "ADJINC": ("HINCP",)},
    "person": {"ADJINC": ("WAGP", "SEMP", "SSP", "SSIP", "RETP", "INTP", "PAP", "OIP", "PINCP")},
}
_FACTORS = (0.8, 1.25)
WORKING_AGE = 16
_ADVICE = (
    "Fetch csv_pus.zip and csv_hus.zip of the ACS 1-year PUMS from the Census Bureau, or run with synthetic sources."
)


def read(path: Path) -> RawTable:
    """Read persons, and households from the archive beside them; amounts in dollars of the survey's year.

    Args:
        path: the person archive, `csv_p*.zip`; `csv_h*.zip` must lie in the same folder.

    Returns:
        One row a person; `companions["household"]` has one row an occupied unit. Year is that of the survey.

    Raises:
        SourceError: an archive is missing, damaged, of another year than `YEARS`, lacks members or columns, repeats a
            key, has a weight below 0 or a factor out of range, or persons have no household.
    """
    require_file(path, _ADVICE)
    if not path.name.startswith("csv_p"):
        raise SourceError(f"{path}: wanted the person archive csv_p*.zip. {_ADVICE}")
    companion = path.with_name(path.name.replace("csv_p", "csv_h", 1))
    require_file(companion, _ADVICE)
    household = _read_members(companion, "household", "psam_h", ["SERIALNO"])
    person = _read_members(path, "person", "psam_p", ["SERIALNO", "SPORDER"])
    year = _year(path, person)
    if _year(companion, household) != year:
        raise SourceError(
            f"{companion}: is of {_year(companion, household)}; {path.name} is of {year}. Fetch both of one year."
        )
    household = household[household["NP"] > 0].reset_index(drop=True)
    refuse_zeros(companion, household, ("WGTP", "RNTP", "TAXAMT"))
    refuse_zeros(path, person, ("PWGTP", "AGEP", "WAGP", "PINCP"))
    orphan = ~person["SERIALNO"].isin(household["SERIALNO"]).to_numpy()
    if orphan.any():
        first = person.iloc[int(np.flatnonzero(orphan)[0])]
        raise SourceError(
            f"{path}: person SPORDER {first['SPORDER']} of SERIALNO {first['SERIALNO']} has no occupied unit in "
            f"{companion.name}; {int(orphan.sum())} such person(s), wanted none. Fetch both archives of the same year."
        )
    hashes = [sha256_of(path), sha256_of(companion)]
    synthetic = is_synthetic(path, hashes[0]) or is_synthetic(companion, hashes[1])
    sha256 = hashlib.sha256("".join(hashes).encode()).hexdigest()
    return RawTable("acs_pums", person, year, synthetic, sha256, {"household": household})


def _read_members(path: Path, record: str, prefix: str, keys: list[str]) -> pd.DataFrame:
    names = [name for name in members(path) if name.startswith(prefix) and name.endswith(".csv")]
    if not names:
        raise SourceError(
            f"{path}: has no member {prefix}*.csv; it holds {', '.join(members(path)) or 'nothing'}. {_ADVICE}"
        )
    parts = []
    for name in sorted(names):
        table = CsvTable(path, name)
        part = read_compact(table, columns_of("acs_pums", record), keys=keys)
        _check(table, part, "WGTP" if record == "household" else "PWGTP")
        if record == "person":
            _refuse_blank_wages(table, part)
        part = coalesced(table, part, "ST", "STATE") if record == "household" else part
        parts.append(_adjusted(part, record))
    whole = pd.concat(parts, ignore_index=True)
    twice = whole.duplicated(keys).to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        raise SourceError(
            f"{path}: {', '.join(f'{key} {whole[key].iloc[row]}' for key in keys)} occurs in two of its members; "
            "wanted once. Fetch the archive again."
        )
    return whole


def _adjusted(part: pd.DataFrame, record: str) -> pd.DataFrame:
    return part.assign(
        **{
            name: part[name].astype(np.float64) * part[factor]
            for factor, names in ADJUSTED[record].items()
            for name in names
        }
    )


def _check(table: CsvTable, part: pd.DataFrame, weight: str) -> None:
    """Refuse weights below 0, and factors that are no ratios near 1 (the decimals would have been read wrongly)."""
    low, high = _FACTORS
    wrong = {weight: (part[weight] < 0).to_numpy()}
    wrong |= {name: ~part[name].between(low, high).to_numpy() for name in ("ADJHSG", "ADJINC") if name in part}
    for name, bad in wrong.items():
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            wanted = "0 or more" if name == weight else f"a factor of {low} to {high} (six implied decimals)"
            raise SourceError(
                f"{table}: line {row + 2}, {name} is {part[name].iloc[row]}; wanted {wanted}. "
                f"{int(bad.sum())} such line(s). Fetch the archive again."
            )


def _refuse_blank_wages(table: CsvTable, part: pd.DataFrame) -> None:
    """Wages are asked of everybody from `WORKING_AGE` on: a blank there is no "not in universe"."""
    blank = (part["WAGP"].isna() & (part["AGEP"] >= WORKING_AGE)).to_numpy()
    if blank.any():
        row = int(np.flatnonzero(blank)[0])
        raise SourceError(
            f"{table}: line {row + 2}, WAGP is blank at age {part['AGEP'].iloc[row]}; wanted a number from "
            f"{WORKING_AGE} on. {int(blank.sum())} such line(s). Fetch the archive again."
        )


def _year(path: Path, table: pd.DataFrame) -> int:
    match = re.match(r"(\d{4})", str(table["SERIALNO"].iloc[0])) if len(table) else None
    if match is None:
        raise SourceError(f"{path}: SERIALNO does not begin with the survey's year; wanted one of {YEARS}. {_ADVICE}")
    year = int(match.group(1))
    if year not in YEARS:
        raise SourceError(
            f"{path}: is the ACS of {year} (SERIALNO); wanted one of {', '.join(map(str, YEARS))}. {_ADVICE}"
        )
    return year
