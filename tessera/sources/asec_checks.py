"""What the CPS ASEC reader refuses in a table that parsed: weights, codes, identifiers and columns that are empty.

Holds no reading and no rule of tax or income. Every message names the file, the line (the header is line 1), the
column, the value seen and the value wanted. A column that is 0 for everybody is how a broken extract looks (a renamed
or dropped column that was filled); few persons hold some columns, so those are looked at in large files only.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tessera.errors import SourceError
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable

ADVICE = "Fetch asecpubYYcsv.zip from the Census Bureau, or let the synthetic writer make one (sources: synthetic)."
WEIGHTS = {"person": ("MARSUPWT", "A_FNLWGT", "SPM_WEIGHT"), "household": ("HSUP_WGT",), "family": ("FSUP_WGT",)}
# Codes on which everything else rests: a file whose columns have shifted, or that another survey wrote, fails here.
CODED = {
    "person": (
        "A_SEX", "A_MARITL", "A_EXPRRP", "A_FAMREL", "A_FAMTYP", "PRCITSHP", "PEDISEAR", "PEDISEYE", "PEDISREM",
        "PEDISPHY", "PEDISDRS", "PEDISOUT",
    ),
    "household": ("H_HHTYPE", "H_TENURE"),
    "family": ("FTYPE",),
}  # fmt: skip
OLDEST = 85
IDENTIFIER_DIGITS = 22
# Columns that are 0 for nobody, and those that some persons in a hundred hold; a large file has somebody with any.
ALWAYS = {
    "person": ("SPM_ID", "MARSUPWT", "A_FNLWGT"),
    "household": ("HSUP_WGT", "H_TENURE", "GESTFIPS", "H_NUMPER"),
    "family": ("FSUP_WGT", "FPERSONS"),
}
COMMON = {
    "person": ("A_AGE", "WSAL_VAL", "SS_VAL", "INT_VAL", "HRSWK", "A_HSCOL"),
    "household": ("HTOTVAL",),
    "family": (),
}
COMMON_FROM = 250
LARGE_FROM = 50_000


def check_table(table: CsvTable, frame: pd.DataFrame, record: str) -> None:
    """Refuse a table whose weights, codes or ages cannot be.

    Args:
        table: the file, for the message.
        frame: all needed columns, rows in the order of the file.
        record: "person", "household" or "family".

    Raises:
        SourceError: names the line.
    """
    for name in WEIGHTS[record]:
        _refuse(table, frame, name, frame[name].to_numpy() < 0, "0 or more", kind="weight")
    columns = {column.name: column for column in columns_of("cps_asec", record)}
    for name in CODED[record]:
        allowed = columns[name].allowed
        if allowed is not None:
            known = np.isin(frame[name].to_numpy(), sorted(allowed))
            _refuse(table, frame, name, ~known, f"one of {columns[name].codes}")
    if record == "person":
        age = frame["A_AGE"].to_numpy()
        _refuse(table, frame, "A_AGE", (age < 0) | (age > OLDEST), f"0 to {OLDEST}, {OLDEST} standing for all above")


def check_identifiers(table: CsvTable, person: pd.DataFrame) -> None:
    """Refuse a person identifier over survey years that two persons share.

    Identifiers that are not of 22 digits (a spreadsheet has rounded them) name nobody and are let pass.
    """
    name = person["PERIDNUM"]
    whole = name.str.len().eq(IDENTIFIER_DIGITS) & name.str.isdigit()
    twice = (whole & name.duplicated(keep=False)).to_numpy()
    if twice.any():
        rows = np.flatnonzero(twice & (name == name.iloc[int(np.flatnonzero(twice)[0])]).to_numpy())[:3]
        raise SourceError(
            f"{table}: PERIDNUM {name.iloc[int(rows[0])]} occurs on lines {', '.join(str(row + 2) for row in rows)}; "
            f"wanted once. {ADVICE}"
        )


def check_not_empty(table: CsvTable, frame: pd.DataFrame, record: str) -> None:
    """Refuse a needed column that is 0 in every row of a table that is large enough to tell.

    Args:
        table: the file, for the message.
        frame: rows of interviewed households, all needed columns.
        record: "person", "household" or "family".
    """
    wanted = list(ALWAYS[record])
    if len(frame) >= COMMON_FROM:
        wanted += COMMON[record]
    if record == "person" and len(frame) >= LARGE_FROM:
        wanted = [column.name for column in columns_of("cps_asec", record) if column.required and column.kind != "text"]
    empty = [name for name in wanted if not frame[name].to_numpy().any()]
    if empty:
        raise SourceError(
            f"{table}: column(s) {', '.join(empty)} hold 0 in all {len(frame):,} rows; wanted some other value. The "
            f"extract is probably broken. {ADVICE}"
        )


def _refuse(
    table: CsvTable, frame: pd.DataFrame, name: str, bad: np.ndarray, wanted: str, *, kind: str = "column"
) -> None:
    if not bad.any():
        return
    row = int(np.flatnonzero(bad)[0])
    raise SourceError(
        f"{table}: line {row + 2}, {kind} {name} is {frame[name].iloc[row]}; wanted {wanted}. {int(bad.sum())} such "
        f"row(s). {ADVICE}"
    )
