"""IRS SOI Historic Table 2: returns, adjusted gross income and other items by state and size of AGI.

Reads `22in55cmcsv.csv` (one row a state and AGI class; class 0 is the total; money in thousands). Figures by state, all
for filers (tax_unit_is_filer == 1): returns and AGI in ten classes that do not overlap (lower <= AGI < upper), and the
state's amount of the items in `ITEMS`. AGI and returns in all are the sums of their classes. Other areas (OA), Puerto
Rico and the US row, which includes both, are left out. A suppressed cell is an error: the table has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Constraint, Figure, Provenance, records, to_frame
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once

YEAR = 2022
SOURCE = "irs_soi_historic_2"
FILER: Constraint = ("tax_unit_is_filer", "==", 1)
# Lower and upper bound of classes 1 to 10, dollars, as the file's documentation states them.
BANDS: tuple[tuple[float | None, float | None], ...] = (
    (None, 1), (1, 10_000), (10_000, 25_000), (25_000, 50_000), (50_000, 75_000), (75_000, 100_000),
    (100_000, 200_000), (200_000, 500_000), (500_000, 1_000_000), (1_000_000, None),
)  # fmt: skip
# Column of the table -> variable of the engine with the same concept.
ITEMS = {
    "A00200": "irs_employment_income",
    "A00300": "taxable_interest_income",
    "A00600": "ordinary_dividend_income",
    "A00650": "qualified_dividend_income",
    "A00900": "total_self_employment_income",
    "A01000": "loss_limited_net_capital_gains",
    "A01400": "taxable_ira_distributions",
    "A01700": "taxable_pension_income",
    "A02300": "unemployment_compensation",
    "A02500": "taxable_social_security",
    "A26270": "tax_unit_partnership_s_corp_income",
    "A04475": "qualified_business_income_deduction",
    "A06500": "income_tax_before_refundable_credits",
    "A07225": "non_refundable_ctc",
    "A11070": "refundable_ctc",
    "A59660": "eitc",
}
EITC_RETURNS = "N59660"
_STATE, _CLASS, _RETURNS, _AGI = "STATE", "AGI_STUB", "N1", "A00100"
_NOT_STATES = ("US", "OA", "PR")
_THOUSAND = 1000.0
# Each published number is rounded by itself: returns to ten, money to a thousand dollars.
_ROUNDING = {_RETURNS: 100.0, _AGI: 20.0}


@dataclass(frozen=True)
class _Cell:
    state: str
    band: int
    row: dict[str, str]


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """38 figures for each of the 51 states.

    Raises:
        SourceError: a file of another year or table, a missing column, a missing or repeated row, classes that do not
            add up to the total.
    """
    if not path.name.startswith(f"{year % 100:02d}in55"):
        raise SourceError(
            f"{path}: the name of Historic Table 2 of {year} starts with {year % 100:02d}in55; fetch that one."
        )
    frame = read_csv(path)
    require_columns(frame, [_STATE, _CLASS, _RETURNS, _AGI, EITC_RETURNS, *ITEMS], path)
    frame = frame[~frame[_STATE].isin(_NOT_STATES)]
    wanted = [(state.usps, str(band)) for state in states() for band in range(len(BANDS) + 1)]
    require_each_once(zip(frame[_STATE], frame[_CLASS], strict=True), wanted, path, "state and AGI class")
    cells = {(row[_STATE], int(row[_CLASS])): _Cell(row[_STATE], int(row[_CLASS]), row) for row in records(frame)}
    url = f"https://www.irs.gov/pub/irs-soi/{path.name}"
    provenance = Provenance(SOURCE, "Historic Table 2", url, f"Tax year {year}", year)
    return to_frame(_figures(cells, path), provenance)


def band_constraints(lower: float | None, upper: float | None) -> tuple[Constraint, ...]:
    """Filers with lower <= AGI < upper; None for no bound."""
    bounds: list[Constraint] = [FILER]
    if lower is not None:
        bounds.append(("adjusted_gross_income", ">=", lower))
    if upper is not None:
        bounds.append(("adjusted_gross_income", "<", upper))
    return tuple(bounds)


def _figures(cells: dict[tuple[str, int], _Cell], path: Path) -> Iterator[Figure]:
    for state in states():
        for column in (_RETURNS, _AGI):
            _check_sum(cells, state.usps, column, path)
        for band, bounds in enumerate(BANDS, start=1):
            cell, domain = cells[state.usps, band], band_constraints(*bounds)
            yield Figure("state", cell.state, "tax_unit_count", _number(cell, _RETURNS, path), "return", domain)
            agi = _number(cell, _AGI, path) * _THOUSAND
            yield Figure("state", cell.state, "adjusted_gross_income", agi, "dollar", domain)
        total = cells[state.usps, 0]
        for column, variable in ITEMS.items():
            yield Figure("state", total.state, variable, _number(total, column, path) * _THOUSAND, "dollar", (FILER,))
        returns = _number(total, EITC_RETURNS, path)
        yield Figure("state", total.state, "tax_unit_count", returns, "return", (FILER, ("eitc", ">", 0)))


def _check_sum(cells: dict[tuple[str, int], _Cell], usps: str, column: str, path: Path) -> None:
    total = _number(cells[usps, 0], column, path)
    added = sum(_number(cells[usps, band], column, path) for band in range(1, len(BANDS) + 1))
    if abs(added - total) > _ROUNDING[column]:
        raise SourceError(
            f"{path}: {usps}, {column}: the AGI classes add up to {added:.0f}, the total reads {total:.0f}."
        )


def _number(cell: _Cell, column: str, path: Path) -> float:
    return number(cell.row[column], path, f"{cell.state}, class {cell.band}, column {column}")
