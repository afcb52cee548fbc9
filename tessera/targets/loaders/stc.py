"""Census Annual Survey of State Tax Collections: individual income tax by state (item T40, thousands of dollars).

Reads the flat file of a fiscal year (a row an item of tax, a column a state, US for the fifty together). Figures:
`state_income_tax` by state. Rules: X marks a state without the tax, which gets no figure; Tennessee gets none either:
its tax ended with tax year 2020 and what it collects is arrears. DC has the tax and is in no total that would show
its absence, so X is refused there. New Hampshire's tax on interest and dividends and
Washington's on capital gains are in the item, as in the engine. Collections of a fiscal year net of refunds are near,
but not, the liability of the calendar year. The other items (property, sales, licences) have no engine variable.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once

YEAR = 2024
ITEM = "T40"
NO_TAX = "X"
ENDED = ("TN",)
# The column US is the sum of the fifty states.
_OUTSIDE_TOTAL = ("DC",)


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """A figure for each state with an income tax.

    Raises:
        SourceError: a file of another year, a missing or unknown column, no or several rows of the item, a cell that is
            neither X nor a number, states that do not add up to the nation.
    """
    if f"FY{year}" not in path.name:
        raise SourceError(f"{path}: the name of the flat file of fiscal {year} has FY{year} in it; fetch that one.")
    frame = read_csv(path)
    require_columns(frame, ["ITEM", "US", *(state.usps for state in states())], path)
    require_each_once(frame.columns, ["ITEM", "US", *(state.usps for state in states())], path, "column")
    item = frame[frame["ITEM"] == ITEM]
    if len(item) != 1:
        raise SourceError(f"{path}: {len(item)} rows of item {ITEM}; wanted 1.")
    row = item.iloc[0]
    values = {
        state.usps: number(row[state.usps], path, f"{state.usps}, {ITEM}", minimum=0) * 1000.0
        for state in states()
        if state.usps in _OUTSIDE_TOTAL or str(row[state.usps]).strip() != NO_TAX
    }
    nation = number(row["US"], path, f"US, {ITEM}", minimum=0) * 1000.0
    added = sum(value for place, value in values.items() if place not in _OUTSIDE_TOTAL)
    # Each state and the nation are rounded to thousands.
    if abs(added - nation) > 51_000:
        raise SourceError(f"{path}: {ITEM}: the states add up to {added:.0f}, US is {nation:.0f}.")
    url = f"https://www2.census.gov/programs-surveys/stc/datasets/{year}/FY{year}-Flat-File.txt"
    provenance = Provenance("census_stc", f"Item {ITEM}", url, f"FY {year}", year)
    figures = (
        Figure("state", place, "state_income_tax", value, "dollar")
        for place, value in values.items()
        if place not in ENDED
    )
    return to_frame(figures, provenance)
