"""The Survey of Income and Program Participation (SIPP), U.S. Census Bureau, public-use person-month file `puYYYY`.

The file is one `|`-separated csv of several gigabytes and about five thousand columns. It is read a few thousand rows
at a time, straight from the zip, and of each part the needed columns of the months asked for are kept in small types,
so that memory does not grow with the width of the file. YYYY is the survey year; amounts are of the year before.
`monthly_tips` adds the tip amounts of the seven jobs (`TJB1_TXAMT` ...): the status flags `AJB1_TXAMT` ... bear nearly
the same names and are no dollars. Columns and codes: `data/columns_sipp.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.chunks import read_compact
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, members, refuse_zeros, require_file
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

# Survey years whose files have the columns of the catalogue.
YEARS = (2021, 2022, 2023, 2024)
MONTHS = tuple(range(1, 13))
JOBS = tuple(range(1, 8))
_KEYS = ("SSUID", "PNUM", "MONTHCODE")
_ADVICE = "Fetch pu2023_csv.zip of the SIPP 2023 from the Census Bureau, or run with synthetic sources."
_NAME = re.compile(r"^pu(\d{4})(_csv)?\.(csv|zip)$", re.IGNORECASE)


def read(path: Path, *, months: Iterable[int] = MONTHS, chunk: int | None = None) -> RawTable:
    """Read person-months.

    Args:
        path: `puYYYY.csv`, or a zip with that member.
        months: months (MONTHCODE) to keep; assets and vehicles are asked of December alone.
        chunk: rows parsed at a time, which bounds memory; by the width of the file if absent.

    Raises:
        SourceError: the file is missing, damaged, of another year than `YEARS`, lacks a column, holds text for a
            number, a weight below 0, a month outside 1-12, a person-month twice, or none of the months asked for.
    """
    require_file(path, _ADVICE)
    table, survey = _table(path)
    wanted = set(months)
    seen = 0

    def keep(part: pd.DataFrame, before: int) -> npt.NDArray[np.bool_]:
        nonlocal seen
        seen = before + len(part)
        _refuse(table, part, before, "MONTHCODE", ~part["MONTHCODE"].between(1, 12).to_numpy(), "1 to 12")
        _refuse(table, part, before, "WPFINWGT", ~(part["WPFINWGT"] >= 0).to_numpy(), "0 or more")
        return part["MONTHCODE"].isin(wanted).to_numpy()

    kept = read_compact(table, columns_of("sipp", "person"), keep=keep, keys=_KEYS, chunk=chunk)
    if len(kept) == 0:
        raise SourceError(f"{table}: none of {seen} person-months is of month(s) {sorted(wanted)}. {_ADVICE}")
    refuse_zeros(path, kept, ("WPFINWGT", "TAGE", "TJB1_MSUM", "TVAL_BANK"))
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
            year = int(match.group(1))
            if year not in YEARS:
                raise SourceError(
                    f"{path}: is the SIPP of {year}; wanted one of {', '.join(map(str, YEARS))}. {_ADVICE}"
                )
            return CsvTable(path, name if path.suffix.lower() == ".zip" else None, "|"), year
    raise SourceError(f"{path}: wanted puYYYY.csv; found {', '.join(names) or 'nothing'}. {_ADVICE}")


def _refuse(
    table: CsvTable, part: pd.DataFrame, before: int, column: str, wrong: npt.NDArray[np.bool_], wanted: str
) -> None:
    """Refuse a part some of whose rows are wrong in a column, by the line of the file."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise SourceError(
            f"{table}: line {before + row + 2}, {column} is {part[column].iloc[row]}; wanted {wanted}. {_ADVICE}"
        )
