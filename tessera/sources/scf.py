"""The Survey of Consumer Finances (SCF) summary extract, Federal Reserve Board.

Reads the csv (`SCFP2022.csv`, plain, .gz or in a zip) or the Stata file in its zip (`scfp2022s.zip`, member
`rscfp2022.dta`), whose names are lower case. Each family has five implicates, rows that share YY1; WGT is already
divided by five, so weighted sums over all rows are national totals. Columns: `data/columns_scf.csv`.
"""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import NOT_IN_UNIVERSE, columns_of
from tessera.sources.csvfile import CsvTable, members, open_table, read_table, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

IMPLICATES = 5
_ADVICE = "Fetch scfp2022s.zip (summary extract public data) from the Federal Reserve, or run with synthetic sources."
_NAME = re.compile(r"^r?scfp(\d{4})\.(csv|dta|csv\.gz)$", re.IGNORECASE)


def read(path: Path) -> RawTable:
    """Read the summary extract: one row an implicate, upper-case official names.

    Raises:
        SourceError: the file is missing, damaged or of another kind, lacks a column, or a family has not five
            implicates.
    """
    require_file(path, _ADVICE)
    table, year = _table(path)
    stata = (table.member or path.name).lower().endswith(".dta")
    frame = _read_stata(table) if stata else read_table(table, columns_of("scf", "family"))
    unique_rows(table, frame, ["Y1"])
    size = frame.groupby("YY1")["Y1"].transform("size").to_numpy()
    if (size != IMPLICATES).any():
        row = int(np.flatnonzero(size != IMPLICATES)[0])
        raise SourceError(
            f"{table}: family YY1 {frame['YY1'].iloc[row]} has {size[row]} implicate(s); wanted {IMPLICATES}. "
            "The file is probably cut short: fetch it again."
        )
    sha256 = sha256_of(path)
    return RawTable("scf", frame, year, is_synthetic(path, sha256), sha256)


def _table(path: Path) -> tuple[CsvTable, int]:
    zipped = path.suffix.lower() == ".zip"
    names = members(path) if zipped else (path.name,)
    for name in names:
        if match := _NAME.match(name):
            return CsvTable(path, name if zipped else None), int(match.group(1))
    raise SourceError(f"{path}: wanted SCFPYYYY.csv or rscfpYYYY.dta; found {', '.join(names) or 'nothing'}. {_ADVICE}")


def _read_stata(table: CsvTable) -> pd.DataFrame:
    with open_table(table) as handle:
        content = io.BytesIO(handle.read())
    try:
        frame = pd.read_stata(content, convert_categoricals=False).rename(columns=str.upper)
    except (ValueError, struct.error) as error:
        raise SourceError(f"{table}: not a readable Stata file ({error}). {_ADVICE}") from error
    columns = columns_of("scf", "family")
    lacking = [column.name for column in columns if column.required and column.name not in frame]
    if lacking:
        raise SourceError(f"{table}: lacks the needed column(s) {', '.join(lacking)}. {_ADVICE}")
    types = {column.name: np.int64 if column.kind == "int" else np.float64 for column in columns}
    return frame.reindex(columns=list(types), fill_value=NOT_IN_UNIVERSE).astype(types)
