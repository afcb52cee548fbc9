"""CBO: individual income tax receipts, and income by source of the tax projections (nation, dollars).

Reads the transcriptions of CBO's February 2026 budget data and revenue projections (columns source_concept_id, label,
year_2023 and later, dollars; the projections say of which baseline they are). Figures: receipts of the fiscal year as
`income_tax_positive` (credit payments above the tax are outlays in the budget, so receipts have no negative taxes), and
the income lines that have an engine variable of the same concept. CBO's net business income and its interest with
ordinary dividends mix several variables: they serve `uprating` only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once
from tessera.targets.loaders.soi_states import FILER

YEAR = 2024
RECEIPTS = "individual_income_taxes"
_BASELINE = "cbo_february_2026_baseline_projection"
_AGI = "adjusted_gross_income"
INCOME = {
    _AGI: "adjusted_gross_income",
    "wages_and_salaries": "irs_employment_income",
    "qualified_dividend_income": "qualified_dividend_income",
    "net_capital_gain": "loss_limited_net_capital_gains",
}
ONLY_GROWTH = ("taxable_interest_and_ordinary_dividends_excluding_qualified_dividends", "net_business_income")
_RECEIPTS_URL = "https://www.cbo.gov/system/files/2026-02/51134-2026-02-Historical-Budget-Data.xlsx"
_INCOME_URL = "https://www.cbo.gov/system/files/2026-02/51138-2026-02-Revenue-Projections.xlsx"


def load_receipts(path: Path, year: int = YEAR) -> pd.DataFrame:
    """One figure: individual income tax receipts of the fiscal year."""
    value = read_series(path, (RECEIPTS,), year)[RECEIPTS]
    provenance = Provenance("cbo_receipts", "Historical Budget Data", _RECEIPTS_URL, f"February 2026, FY {year}", year)
    return to_frame([Figure("national", "US", "income_tax_positive", value, "dollar")], provenance)


def load_income(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Four figures: AGI, wages, qualified dividends and net capital gain of filers.

    Raises:
        SourceError: another baseline, lines that add up to more than AGI, and what `read_series` refuses.
    """
    frame = read_csv(path)
    require_columns(frame, ["source_concept_id", "projection_status"], path)
    for row in frame.to_dict("records"):
        if row["projection_status"] != _BASELINE:
            raise SourceError(
                f"{path}: {row['source_concept_id']} is of {row['projection_status']!r}; wanted {_BASELINE!r}."
            )
    values = read_series(path, (*INCOME, *ONLY_GROWTH), year)
    # The other lines of AGI (pensions, benefits, less adjustments) are positive, so these five stay below it.
    parts = sum(value for concept, value in values.items() if concept != _AGI)
    if parts > values[_AGI]:
        raise SourceError(
            f"{path}: {len(values) - 1} lines add up to {parts:.0f}, more than AGI of {values[_AGI]:.0f}."
        )
    provenance = Provenance("cbo_income", "Revenue Projections, sheet 3", _INCOME_URL, "February 2026 baseline", year)
    return to_frame(_income_figures(values), provenance)


def read_series(path: Path, concepts: tuple[str, ...], year: int) -> dict[str, float]:
    """Value of each concept in a year, dollars.

    Raises:
        SourceError: no column of that year, a missing, repeated or unknown concept, a cell that is no number or below
            zero (none of these totals of the nation can be).
    """
    frame = read_csv(path)
    column = f"year_{year}"
    require_columns(frame, ["source_concept_id", column], path)
    require_each_once(frame["source_concept_id"], concepts, path, "concept")
    return {
        row["source_concept_id"]: number(row[column], path, row["source_concept_id"], minimum=0)
        for row in frame.to_dict("records")
    }


def _income_figures(values: dict[str, float]) -> Iterator[Figure]:
    for concept, variable in INCOME.items():
        yield Figure("national", "US", variable, values[concept], "dollar", (FILER,))
