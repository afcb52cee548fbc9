"""The American Community Survey public use microdata sample (ACS PUMS), U.S. Census Bureau, 1-year files.

Reads the person archive `csv_pus.zip` (members `psam_pusa.csv`, `psam_pusb.csv`) or that of one state (`csv_pca.zip`,
`psam_p06.csv`) and the household archive beside it (`csv_hus.zip`). Vacant housing units are dropped; group quarters
stay, with weight 0 and no tenure. ADJINC and ADJHSG come out as ratios; amounts are as written. Columns and codes:
`data/columns_acs_pums.csv`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, coalesced, members, read_table, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

_ADVICE = (
    "Fetch csv_pus.zip and csv_hus.zip of the ACS 1-year PUMS from the Census Bureau, or run with synthetic sources."
)


def read(path: Path) -> RawTable:
    """Read persons, and households from the archive beside them.

    Args:
        path: the person archive, `csv_p*.zip`; `csv_h*.zip` must lie in the same folder.

    Returns:
        One row a person; `companions["household"]` has one row an occupied unit. Year is that of the survey.

    Raises:
        SourceError: an archive is missing, damaged, lacks members or columns, repeats a key, or persons have no
            household.
    """
    require_file(path, _ADVICE)
    if not path.name.startswith("csv_p"):
        raise SourceError(f"{path}: wanted the person archive csv_p*.zip. {_ADVICE}")
    companion = path.with_name(path.name.replace("csv_p", "csv_h", 1))
    require_file(companion, _ADVICE)
    household = _read_members(companion, "household", "psam_h", ["SERIALNO"])
    household = household[household["NP"] > 0].reset_index(drop=True)
    person = _read_members(path, "person", "psam_p", ["SERIALNO", "SPORDER"])
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
    return RawTable("acs_pums", person, _year(path, person), synthetic, sha256, {"household": household})


def _read_members(path: Path, record: str, prefix: str, keys: list[str]) -> pd.DataFrame:
    names = [name for name in members(path) if name.startswith(prefix) and name.endswith(".csv")]
    if not names:
        raise SourceError(
            f"{path}: has no member {prefix}*.csv; it holds {', '.join(members(path)) or 'nothing'}. {_ADVICE}"
        )
    parts = []
    for name in sorted(names):
        table = CsvTable(path, name)
        part = read_table(table, columns_of("acs_pums", record))
        unique_rows(table, part, keys)
        parts.append(coalesced(table, part, "ST", "STATE") if record == "household" else part)
    return pd.concat(parts, ignore_index=True)


def _year(path: Path, person: pd.DataFrame) -> int:
    match = re.match(r"(\d{4})", str(person["SERIALNO"].iloc[0])) if len(person) else None
    if match is None:
        raise SourceError(f"{path}: SERIALNO does not begin with the survey's year; wanted 2017 or later. {_ADVICE}")
    return int(match.group(1))
