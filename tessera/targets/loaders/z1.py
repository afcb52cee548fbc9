"""Federal Reserve, Financial Accounts (Z.1), table B.101: net worth of the household sector (nation, dollars).

Reads the HTML page of the release of 19 March 2026: columns Line, Description, Series, then years and quarters, in
billions of dollars at the end of the period. Figure: `net_worth` (line 40) at the end of 2024. Assets less liabilities
must give it, and the year must equal its fourth quarter.
The sector has nonprofit organisations in it, and pension entitlements that are no account of a household's own; the
page does not give households alone (table B.101.h does), so the figure is above what a survey counts as net worth.
Other lines mix households with nonprofits or with funds and have no engine variable.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, require_each_once
from tessera.targets.loaders.html_table import HtmlRows, read_tables

YEAR = 2024
_TITLE = "B.101 Households and nonprofit organizations"
_UNIT = "Billions of dollars; amounts outstanding end of period"
_HEADINGS = ("Line", "Description", "Series")
# Series by which the Federal Reserve names a line for good; lines are renumbered between releases.
_LINES = {
    "FL152000005": "Assets",
    "FL154190005": "Liabilities",
    "FL152090005": "Net worth (assets minus liabilities)",
}
_ASSETS, _LIABILITIES, _NET_WORTH = _LINES
_URL = "https://www.federalreserve.gov/releases/z1/20260319/html/b101.htm"


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """One figure: net worth at the end of the year.

    Raises:
        SourceError: another table, unit or layout, no column of that year, a missing, repeated or renamed line, a cell
            that is no number, lines that do not add up.
    """
    text, tables = read_tables(path)
    for wanted in (_TITLE, _UNIT):
        if wanted not in text:
            raise SourceError(f"{path}: the page does not say {wanted!r}; wanted table B.101 of the Z.1 release.")
    values = _values(tables[0], path, str(year))
    quarter = _values(tables[0], path, f"{year}:Q4")
    if values != quarter:
        raise SourceError(f"{path}: the column {year} is not the fourth quarter's: {values} and {quarter}.")
    difference = values[_ASSETS] - values[_LIABILITIES] - values[_NET_WORTH]
    if abs(difference) > 0.15:
        raise SourceError(f"{path}: assets less liabilities is {difference:.1f} billion off net worth in {year}.")
    provenance = Provenance("federal_reserve_z1", "B.101, line 40", _URL, f"Z.1 of 19 March 2026, end of {year}", year)
    return to_frame([Figure("national", "US", "net_worth", values[_NET_WORTH] * 1e9, "dollar")], provenance)


def _values(rows: HtmlRows, path: Path, period: str) -> dict[str, float]:
    """The three lines in a period, billions of dollars."""
    heading = rows[0]
    if heading[:3] != _HEADINGS or heading.count(period) != 1:
        raise SourceError(f"{path}: the headings are {', '.join(heading)}; wanted Line, Description, Series, {period}.")
    column = heading.index(period)
    found = [row for row in rows[1:] if len(row) == len(heading) and row[2] in _LINES]
    require_each_once([row[2] for row in found], _LINES, path, "series")
    for row in found:
        if row[1] != _LINES[row[2]]:
            raise SourceError(f"{path}: series {row[2]} is called {row[1]!r}; wanted {_LINES[row[2]]!r}.")
    return {row[2]: number(row[column], path, f"{row[1]}, {period}", minimum=0) for row in found}
