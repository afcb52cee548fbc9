"""Census Annual Survey of State Tax Collections: individual income tax by state (item T40, thousands of dollars).

Reads the flat file of a fiscal year. Figures: `state_income_tax` by state. Rule: X marks a state without the tax, which
gets no figure. Collections of a fiscal year net of refunds: near, but not, the liability of the calendar year.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns

YEAR = 2024
ITEM = "T40"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """A figure for each state with an income tax.

    Raises:
        SourceError: a file of another year, a missing state column, no or several rows of the item.
    """
    if f"FY{year}" not in path.name:
        raise SourceError(f"{path}: the name of the flat file of fiscal {year} has FY{year} in it; fetch that one.")
    frame = read_csv(path)
    require_columns(frame, ["ITEM", *(state.usps for state in states())], path)
    item = frame[frame["ITEM"] == ITEM]
    if len(item) != 1:
        raise SourceError(f"{path}: {len(item)} rows of item {ITEM}; wanted 1.")
    row = item.iloc[0]
    url = f"https://www2.census.gov/programs-surveys/stc/datasets/{year}/FY{year}-Flat-File.txt"
    provenance = Provenance("census_stc", f"Item {ITEM}", url, f"FY {year}", year)
    figures = (
        Figure(
            "state",
            state.usps,
            "state_income_tax",
            number(row[state.usps], path, f"{state.usps}, {ITEM}") * 1000.0,
            "dollar",
        )
        for state in states()
        if str(row[state.usps]).strip() != "X"
    )
    return to_frame(figures, provenance)
