"""The Survey of Consumer Finances (SCF), Federal Reserve Board: summary extract, and car loans of the full data set.

Reads the extract as csv (`SCFP2022.csv`, plain, .gz or in a zip) or as the Stata file in its zip (`scfp2022s.zip`,
member `rscfp2022.dta`), whose names are lower case. Each family has five implicates, rows that share YY1; WGT is
already divided by five, so weighted sums over all rows are national totals. Which year's dollars an extract is in
depends on when it was published: see `microdata.donor_scf`.

The rates of car loans are in the full public data set only. Where its archive (`scf2022s.zip`, member `p22i6.dta`)
lies beside the extract, its loans become the companion "loans"; without it there is none.
Columns and codes: `data/columns_scf.csv`.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import NOT_IN_UNIVERSE, columns_of
from tessera.sources.csvfile import CsvTable, members, open_table, read_table, refuse_zeros, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

IMPLICATES = 5
# Waves whose extracts have the columns of the catalogue.
YEARS = (2016, 2019, 2022)
LOANS = "loans"
_ADVICE = "Fetch scfp2022s.zip (summary extract public data) from the Federal Reserve, or run with synthetic sources."
_NAME = re.compile(r"^r?scfp(\d{4})\.(csv|dta|csv\.gz)$", re.IGNORECASE)


def read(path: Path) -> RawTable:
    """Read the summary extract: one row an implicate, upper-case official names.

    Args:
        path: the extract; the full data set's archive is looked for in the same folder.

    Returns:
        One row an implicate; `companions["loans"]` with one row an implicate where the full data set is at hand.

    Raises:
        SourceError: a file is missing, damaged, of another kind or of another wave than `YEARS`, lacks a column,
            repeats an implicate, has a weight below 0, or a family has not five implicates.
    """
    require_file(path, _ADVICE)
    table, year = _table(path)
    frame = _read(table, "family")
    _check_families(table, frame)
    refuse_zeros(path, frame, ("WGT", "AGE", "WAGEINC", "NETWORTH", "ASSET"))
    hashes, companions = [sha256_of(path)], {}
    synthetic = is_synthetic(path, hashes[0])
    full = full_data_set(path, year)
    if full.is_file():
        companions[LOANS] = _loans(full, year, table, frame)
        hashes.append(sha256_of(full))
        synthetic = synthetic or is_synthetic(full, hashes[1])
    sha256 = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return RawTable("scf", frame, year, synthetic, sha256, companions)


def full_data_set(path: Path, year: int) -> Path:
    """Where the archive of the full public data set is looked for, given the path of the extract."""
    return path.with_name(f"scf{year}s.zip")


def _table(path: Path) -> tuple[CsvTable, int]:
    zipped = path.suffix.lower() == ".zip"
    names = members(path) if zipped else (path.name,)
    for name in names:
        if match := _NAME.match(name):
            year = int(match.group(1))
            if year not in YEARS:
                raise SourceError(
                    f"{path}: is the SCF of {year}; wanted one of {', '.join(map(str, YEARS))}. {_ADVICE}"
                )
            return CsvTable(path, name if zipped else None), year
    raise SourceError(f"{path}: wanted SCFPYYYY.csv or rscfpYYYY.dta; found {', '.join(names) or 'nothing'}. {_ADVICE}")


def _check_families(table: CsvTable, frame: pd.DataFrame) -> None:
    unique_rows(table, frame, ["Y1"])
    size = frame.groupby("YY1")["Y1"].transform("size").to_numpy()
    if (size != IMPLICATES).any():
        row = int(np.flatnonzero(size != IMPLICATES)[0])
        raise SourceError(
            f"{table}: family YY1 {frame['YY1'].iloc[row]} has {size[row]} implicate(s); wanted {IMPLICATES}. "
            "The file is probably cut short: fetch it again."
        )
    negative = (frame["WGT"] < 0).to_numpy()
    if negative.any():
        row = int(np.flatnonzero(negative)[0])
        raise SourceError(f"{table}: line {row + 2}, WGT is {frame['WGT'].iloc[row]}; wanted 0 or more. {_ADVICE}")


def _loans(path: Path, year: int, extract: CsvTable, families: pd.DataFrame) -> pd.DataFrame:
    """Balances and rates of car loans, one row an implicate of the extract."""
    wanted = f"p{year % 100:02d}i6.dta"
    found = [name for name in members(path) if name.lower() == wanted]
    if not found:
        raise SourceError(
            f"{path}: wanted a member {wanted}, the full public data set of {year}; found "
            f"{', '.join(members(path)) or 'nothing'}. Fetch it again, or move it away: car loans then have no rates."
        )
    table = CsvTable(path, found[0])
    loans = _read(table, LOANS)
    unique_rows(table, loans, ["Y1"])
    unknown = ~families["Y1"].isin(loans["Y1"]).to_numpy()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise SourceError(
            f"{table}: lacks implicate Y1 {families['Y1'].iloc[row]} of {extract}; {int(unknown.sum())} such, wanted "
            "none. Fetch both files of the same wave."
        )
    return loans


def _read(table: CsvTable, record: str) -> pd.DataFrame:
    stata = (table.member or table.path.name).lower().endswith(".dta")
    return _read_stata(table, record) if stata else read_table(table, columns_of("scf", record))


def _read_stata(table: CsvTable, record: str) -> pd.DataFrame:
    with open_table(table) as handle:
        content = io.BytesIO(handle.read())
    columns = columns_of("scf", record)
    names = {column.name for column in columns}
    try:
        with pd.read_stata(content, iterator=True) as reader:
            held = [name for name in reader.variable_labels() if name.upper() in names]
        # The full data set has five thousand columns: only the needed ones are turned into a table.
        content.seek(0)
        frame = pd.read_stata(content, columns=held, convert_categoricals=False).rename(columns=str.upper)
    except (ValueError, struct.error) as error:
        raise SourceError(f"{table}: not a readable Stata file ({error}). {_ADVICE}") from error
    lacking = [column.name for column in columns if column.required and column.name not in frame]
    if lacking:
        raise SourceError(f"{table}: lacks the needed column(s) {', '.join(lacking)}. {_ADVICE}")
    blank = [column.name for column in columns if column.name in frame and frame[column.name].isna().any()]
    if blank:
        row = int(np.flatnonzero(frame[blank[0]].isna().to_numpy())[0])
        raise SourceError(f"{table}: row {row}, column {blank[0]} is missing; wanted a number. {_ADVICE}")
    types = {column.name: np.int64 if column.kind == "int" else np.float64 for column in columns}
    return frame.reindex(columns=list(types), fill_value=NOT_IN_UNIVERSE).astype(types)
