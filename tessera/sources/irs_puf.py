"""The IRS public-use file of individual tax returns (PUF), licensed by the IRS Statistics of Income division.

Reads `puf_YYYY.csv` and, beside it, `demographics_YYYY.csv`, which the IRS issues apart. Weights come out in returns
(S006 implies two decimals). The records 999996-999999 are kept: each stands for many returns of one income bucket and
has MARS 0; taking them apart is the work of `tessera.microdata`. Columns and codes: `data/columns_irs_puf.csv`; columns
that it does not require count as zero where a file lacks them.

Refused: an absent file, a column that is required, a value that is no number, a blank, a code that the booklet does not
have, returns most of which are of another year than the name's, a RECID twice, a negative weight, weights or a required
amount that are zero on every return (a column that was lost on the way would otherwise leave a nation without wages),
demographics of no return, and demographics without any age or any sex.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import Column, columns_of
from tessera.sources.csvfile import CsvTable, read_table, require_file, unique_rows
from tessera.sources.marks import is_synthetic
from tessera.sources.table import RawTable
from tessera.store import sha256_of

AGGREGATES = (999996, 999997, 999998, 999999)
_ADVICE = (
    "The PUF is licensed and cannot be downloaded: order it from the IRS (SOI individual public-use files) and put "
    "puf_2015.csv and demographics_2015.csv into raw/, or run with synthetic sources (TESSERA_SOURCES=synthetic), "
    "which writes a marked synthetic tax file."
)
_AGAIN = "Check that the file is complete and as the IRS sent it."
_NAME = re.compile(r"^puf_?(\d{4})\.csv(\.gz)?$", re.IGNORECASE)


def read(path: Path, year: int | None = None) -> RawTable:
    """Read the file of returns and its demographic companion, which must lie beside it.

    Args:
        path: `puf_YYYY.csv` (or .gz).
        year: tax year; None takes it from the name.

    Returns:
        One row a return, columns of the catalogue; `companions["demographics"]` has one row a matched RECID.

    Raises:
        SourceError: what the module lists.
    """
    require_file(path, _ADVICE)
    match = _NAME.match(path.name)
    found = int(match.group(1)) if match else year
    if found is None or (year is not None and found != year):
        wanted = "puf_YYYY.csv or the argument year" if found is None else f"year {year}"
        raise SourceError(f"{path}: is of tax year {found}; wanted {wanted}. {_ADVICE}")
    companion = path.with_name(f"demographics_{found}.csv")
    # Before the returns are read: hours of work are no use beside a file that is not there.
    require_file(companion, _ADVICE)
    table = CsvTable(path)
    returns = _checked(table, columns_of("irs_puf", "return"))
    _check_returns(table, returns)
    _check_year(table, returns, found)
    demographics = _read_demographics(CsvTable(companion), returns)
    sha256, second = sha256_of(path), sha256_of(companion)
    synthetic = is_synthetic(path, sha256) or is_synthetic(companion, second)
    return RawTable("irs_puf", returns, found, synthetic, sha256, {"demographics": demographics})


def _checked(table: CsvTable, columns: tuple[Column, ...]) -> pd.DataFrame:
    """The table's columns, every cell a number and every code one of the booklet's."""
    frame = read_table(table, columns)
    if len(frame) == 0:
        raise SourceError(f"{table}: has a header and no record; wanted at least one. {_AGAIN}")
    unique_rows(table, frame, ["RECID"])
    for column in columns:
        values = frame[column.name]
        bad = values.isna().to_numpy()
        wanted = "a number"
        if not bad.any() and column.required and column.unit == "code" and column.allowed is not None:
            bad = ~values.isin(list(column.allowed)).to_numpy()
            wanted = f"one of its codes ({column.codes})"
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            seen = "a blank" if pd.isna(values.iloc[row]) else str(values.iloc[row])
            raise SourceError(
                f"{table}: line {row + 2}, RECID {frame['RECID'].iloc[row]}, column {column.name} ({column.meaning}) "
                f"holds {seen}; wanted {wanted}. {int(bad.sum())} such value(s). {_AGAIN}"
            )
    return frame


def _check_returns(table: CsvTable, returns: pd.DataFrame) -> None:
    """Refuse negative weights, weights that are all zero, a required amount that is, and aggregates alone."""
    if (returns["S006"] < 0).any():
        row = int(np.flatnonzero((returns["S006"] < 0).to_numpy())[0])
        raise SourceError(
            f"{table}: line {row + 2}, weight S006 is {returns['S006'].iloc[row]}; wanted 0 or more. {_AGAIN}"
        )
    amounts = [c for c in columns_of("irs_puf", "return") if c.required and c.unit == "dollars a year"]
    empty = [c for c in amounts if not returns[c.name].any()]
    if not returns["S006"].any() or empty:
        lost = ", ".join(f"{c.name} ({c.meaning})" for c in empty) or "S006 (weight)"
        raise SourceError(f"{table}: 0 on each of {len(returns)} returns: {lost}; wanted some other value. {_AGAIN}")
    if returns["RECID"].isin(AGGREGATES).all():
        raise SourceError(
            f"{table}: holds {len(returns)} aggregate records (RECID 999996-999999) and nothing else; wanted returns. "
            f"{_AGAIN}"
        )


def _check_year(table: CsvTable, returns: pd.DataFrame, year: int) -> None:
    """Refuse returns most of which are of another year than the file's name; a few are filed years later."""
    stated = returns["FLPDYR"][returns["FLPDYR"] > 0]
    if stated.empty:
        return
    usual = int(stated.mode().iloc[0])
    if usual != year:
        raise SourceError(
            f"{table}: most returns are of {usual} (FLPDYR); wanted {year}, the year of the file's name. Give the file "
            "its own year's name, or put the right file there."
        )


def _read_demographics(table: CsvTable, returns: pd.DataFrame) -> pd.DataFrame:
    demographics = _checked(table, columns_of("irs_puf", "demographics"))
    for column in columns_of("irs_puf", "demographics"):
        if column.universe == "all" and not demographics[column.name].any():
            raise SourceError(
                f"{table}: {column.name} ({column.meaning}) is 0 on each of {len(demographics)} records; wanted codes "
                f"({column.codes}). {_AGAIN}"
            )
    unknown = ~demographics["RECID"].isin(returns["RECID"]).to_numpy()
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise SourceError(
            f"{table}: line {row + 2}, RECID {demographics['RECID'].iloc[row]} is of no return; "
            f"{int(unknown.sum())} such record(s), wanted none. Check that both files are of the same year and release."
        )
    return demographics
