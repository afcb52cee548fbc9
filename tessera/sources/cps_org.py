"""The outgoing rotation groups (ORG) of the basic monthly CPS, U.S. Census Bureau: the fourth that is asked its
earnings.

Reads the monthly files `mmmYYpub.csv` of a folder (or one of them), keeps months in sample 4 and 8, and divides
implied decimals (PTERNHLY and PTERNWA two, PWORWGT four); negative codes stay. Each month represents the nation, so
weights of twelve months are divided by twelve by whoever pools them. A folder holds all months of its year; a single
file may be read alone. Columns and codes: `data/columns_cps_org.csv`.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.chunks import read_compact
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, coalesced, refuse_zeros, require_file
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
OUTGOING = (4, 8)
# Calendar years whose files have the columns of the catalogue, and months in which nobody was asked (a shutdown).
YEARS = tuple(range(2019, 2026))
NOT_ASKED = {(10, 2025)}
_ADVICE = "Fetch the basic monthly CPS files (jan24pub.csv ...) from the Census Bureau, or run with synthetic sources."
_NAME = re.compile(r"^([a-z]{3})(\d\d)pub\.csv(\.gz)?$", re.IGNORECASE)


def read(path: Path) -> RawTable:
    """Read one month, or all months in a folder, which must be of one year.

    Raises:
        SourceError: no file, a damaged one or one of another year than `YEARS`, a month of the folder missing, a
            missing column, another month inside than the name says, months of several years, a person twice in a
            month, a weight below 0, pay or weights of nobody, or no outgoing rotation.
    """
    files = sorted(_month_files(path), key=lambda file: _month_of(file)[::-1])
    years = sorted({_month_of(file)[1] for file in files})
    if len(years) != 1:
        raise SourceError(f"{path}: holds months of years {years}; wanted one year. Move the others elsewhere.")
    if years[0] not in YEARS:
        raise SourceError(f"{path}: is of {years[0]}; wanted a year from {YEARS[0]} to {YEARS[-1]}. {_ADVICE}")
    if path.is_dir():
        _refuse_missing_months(path, {_month_of(file) for file in files}, years[0])
    table = pd.concat([_read_month(file) for file in files], ignore_index=True)
    hashes = [sha256_of(file) for file in files]
    synthetic = any(is_synthetic(file, sha256) for file, sha256 in zip(files, hashes, strict=True))
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return RawTable("cps_org", table, years[0], synthetic, sha256)


def _month_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [file for file in path.iterdir() if _NAME.match(file.name)]
        if not files:
            raise SourceError(f"{path}: holds no file mmmYYpub.csv. {_ADVICE}")
        return files
    require_file(path, _ADVICE)
    return [path]


def _month_of(path: Path) -> tuple[int, int]:
    match = _NAME.match(path.name)
    if match is None or match.group(1).lower() not in MONTH_NAMES:
        raise SourceError(f"{path}: wanted a name like jan24pub.csv. {_ADVICE}")
    return MONTH_NAMES.index(match.group(1).lower()) + 1, 2000 + int(match.group(2))


def _refuse_missing_months(path: Path, held: set[tuple[int, int]], year: int) -> None:
    wanted = {(month, year) for month in range(1, 13)} - NOT_ASKED
    missing = sorted(wanted - held)
    if missing:
        names = ", ".join(f"{MONTH_NAMES[month - 1]}{year % 100:02d}pub.csv" for month, _ in missing)
        raise SourceError(
            f"{path}: {len(missing)} month(s) of {year} are missing: {names}; a year is pooled from all of its months. "
            f"{_ADVICE}"
        )


def _read_month(path: Path) -> pd.DataFrame:
    table, (month, year) = CsvTable(path), _month_of(path)

    def keep(part: pd.DataFrame, before: int) -> npt.NDArray[np.bool_]:
        negative = (part["PWORWGT"] < 0).to_numpy()
        if negative.any():
            row = int(np.flatnonzero(negative)[0])
            raise SourceError(
                f"{table}: line {before + row + 2}, PWORWGT is {part['PWORWGT'].iloc[row]}; wanted 0 or more. {_ADVICE}"
            )
        return part["HRMIS"].isin(OUTGOING).to_numpy()

    frame = read_compact(table, columns_of("cps_org", "person"), keep=keep, keys=("HRHHID", "HRHHID2", "PULINENO"))
    if len(frame) == 0:
        raise SourceError(f"{table}: holds nobody in an outgoing rotation (HRMIS 4 or 8). {_ADVICE}")
    stated = set(zip(frame["HRMONTH"], frame["HRYEAR4"], strict=True))
    if stated != {(month, year)}:
        raise SourceError(f"{table}: is of month and year {sorted(stated)}; its name says {(month, year)}. {_ADVICE}")
    frame = coalesced(table, frame, "PTERNHLY", "PRERNHLY")
    frame = coalesced(table, frame, "PTERNWA", "PRERNWA")
    refuse_zeros(table, frame, ("PWORWGT", "PRTAGE", "PTERNWA", "PTERNHLY"))
    return frame
