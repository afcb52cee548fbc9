"""The Survey of Income and Program Participation (SIPP), U.S. Census Bureau, public-use person-month file `puYYYY`.

The file is one `|`-separated csv of several gigabytes; it is read by columns, `CHUNK` rows at a time, keeping only the
months asked for. YYYY is the survey year; amounts are of the year before. `monthly_tips` adds the tip amounts of the
seven jobs (`TJB1_TXAMT` ...): the allocation flags `AJB1_TXAMT` ... bear nearly the same names and are no dollars.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, members, read_chunks, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

CHUNK = 50_000
MONTHS = tuple(range(1, 13))
JOBS = tuple(range(1, 8))
_ADVICE = "Fetch pu2023_csv.zip of the SIPP 2023 from the Census Bureau, or run with synthetic sources."
_NAME = re.compile(r"^pu(\d{4})(_csv)?\.(csv|zip)$", re.IGNORECASE)


def read(path: Path, *, months: Iterable[int] = MONTHS, chunk: int = CHUNK) -> RawTable:
    """Read person-months.

    Args:
        path: `puYYYY.csv`, or a zip with that member.
        months: months (MONTHCODE) to keep; assets and vehicles are asked of December alone.
        chunk: rows parsed at a time, which bounds memory.

    Raises:
        SourceError: the file is missing, damaged, lacks a column, holds text for a number, a month outside 1-12, a
            person-month twice, or none of the months asked for.
    """
    require_file(path, _ADVICE)
    table, survey = _table(path)
    wanted = set(months)
    parts, seen = [], 0
    for part in read_chunks(table, columns_of("sipp", "person"), chunk):
        _check_months(table, part, seen)
        seen += len(part)
        parts.append(part[part["MONTHCODE"].isin(wanted)])
    kept = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if len(kept) == 0:
        raise SourceError(f"{table}: none of {seen} person-months is of month(s) {sorted(wanted)}. {_ADVICE}")
    unique_rows(table, kept, ["SSUID", "SHHADID", "PNUM", "MONTHCODE"])
    sha256 = sha256_of(path)
    return RawTable("sipp", kept, survey - 1, is_synthetic(path, sha256), sha256)


def monthly_tips(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Tips of each person-month over all jobs, dollars a month; blanks count as none. Shape (n_rows,).

    Args:
        table: of `read`; only columns `TJB1_TXAMT` ... `TJB7_TXAMT` are added.
    """
    names = [f"TJB{job}_TXAMT" for job in JOBS if f"TJB{job}_TXAMT" in table]
    return table[names].fillna(0.0).clip(lower=0.0).sum(axis=1).to_numpy(dtype=np.float64)


def _table(path: Path) -> tuple[CsvTable, int]:
    names = members(path) if path.suffix.lower() == ".zip" else (path.name,)
    for name in names:
        match = _NAME.match(name)
        if match and name.lower().endswith(".csv"):
            return CsvTable(path, name if path.suffix.lower() == ".zip" else None, "|"), int(match.group(1))
    raise SourceError(f"{path}: wanted puYYYY.csv; found {', '.join(names) or 'nothing'}. {_ADVICE}")


def _check_months(table: CsvTable, part: pd.DataFrame, seen: int) -> None:
    wrong = ~part["MONTHCODE"].between(1, 12).to_numpy()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise SourceError(
            f"{table}: line {seen + row + 2}, MONTHCODE is {part['MONTHCODE'].iloc[row]}; wanted 1 to 12. {_ADVICE}"
        )
