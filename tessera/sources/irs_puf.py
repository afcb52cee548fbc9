"""The IRS public-use file of individual tax returns (PUF), licensed by the IRS Statistics of Income division.

Reads `puf_YYYY.csv` and, beside it, `demographics_YYYY.csv`, which the IRS issues apart. Weights come out in returns
(S006 implies two decimals). The records 999996-999999 are kept: each stands for many returns of one income bucket and
has MARS 0; taking them apart is the work of `tessera.microdata`. Columns and codes: `data/columns_irs_puf.csv`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable, read_table, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

AGGREGATES = (999996, 999997, 999998, 999999)
_ADVICE = (
    "The PUF is licensed: order it from the IRS (SOI individual public-use files), put puf_2015.csv and "
    "demographics_2015.csv "
    "into raw/, or run with synthetic sources."
)
_NAME = re.compile(r"^puf_?(\d{4})\.csv(\.gz)?$", re.IGNORECASE)


def read(path: Path, year: int | None = None) -> RawTable:
    """Read the file of returns and its demographic companion, which must lie beside it.

    Args:
        path: `puf_YYYY.csv` (or .gz).
        year: tax year; None takes it from the name.

    Returns:
        One row a return, columns of the catalogue; `companions["demographics"]` has one row a matched RECID.

    Raises:
        SourceError: a file is missing, lacks a column, holds no number where one is due, a RECID twice, a negative
            weight, or demographics of unknown returns.
    """
    require_file(path, _ADVICE)
    match = _NAME.match(path.name)
    found = int(match.group(1)) if match else year
    if found is None or (year is not None and found != year):
        wanted = "puf_YYYY.csv or the argument year" if found is None else f"year {year}"
        raise SourceError(f"{path}: is of tax year {found}; wanted {wanted}. {_ADVICE}")
    table = CsvTable(path)
    returns = read_table(table, columns_of("irs_puf", "return"))
    unique_rows(table, returns, ["RECID"])
    if (returns["S006"] < 0).any():
        row = int(np.flatnonzero((returns["S006"] < 0).to_numpy())[0])
        raise SourceError(
            f"{table}: line {row + 2}, weight S006 is {returns['S006'].iloc[row]}; wanted 0 or more. {_ADVICE}"
        )
    companion = path.with_name(f"demographics_{found}.csv")
    require_file(companion, _ADVICE)
    demographics = _read_demographics(CsvTable(companion), returns)
    sha256, second = sha256_of(path), sha256_of(companion)
    synthetic = is_synthetic(path, sha256) or is_synthetic(companion, second)
    return RawTable("irs_puf", returns, found, synthetic, sha256, {"demographics": demographics})


def _read_demographics(table: CsvTable, returns: pd.DataFrame) -> pd.DataFrame:
    demographics = read_table(table, columns_of("irs_puf", "demographics"))
    unique_rows(table, demographics, ["RECID"])
    unknown = ~demographics["RECID"].isin(returns["RECID"]).to_numpy()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise SourceError(
            f"{table}: line {row + 2}, RECID {demographics['RECID'].iloc[row]} is of no return; "
            f"{int(unknown.sum())} such "
            "record(s), wanted none. Check that both files are of the same year."
        )
    return demographics
