"""RawTable: what a reader hands over, a table with the official column names and codes, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd


@dataclass(frozen=True)
class RawTable:
    """One source file as read.

    Attributes:
        name: name of the source ("irs_puf", ...).
        table: official column names, one row a record, fresh index.
        year: year that the amounts or the interview belong to.
        synthetic: whether a synthetic writer made the file.
        sha256: of the file read (of all files, joined, where there are several).
        companions: further tables of the same source by record name ("household", "demographics").
    """

    name: str
    table: pd.DataFrame
    year: int
    synthetic: bool
    sha256: str
    companions: dict[str, pd.DataFrame] = field(default_factory=dict)
