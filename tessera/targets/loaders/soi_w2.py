"""IRS SOI Form W-2 study, table 4.B: what employers report for taxpayers, joint returns and others (nation, 2020).

Figures are for persons on a filed return (taxpayer and spouse), of all returns, of joint returns
(tax_unit_is_joint == 1) and of the others: persons with the item and its amount. Which box is which engine variable:
wages of box 1 are after elective deferrals (`irs_employment_income`), Medicare wages of box 5 are before them
(`payroll_tax_gross_wages`), social security wages of box 3 are capped; box 12 code D is what is deferred before tax
(`traditional_401k_contributions`), AA after tax.

Left out, having no engine variable of the concept: tax withheld (a payment, not a liability), allocated tips,
nonqualified plans, employer's contributions to health savings accounts (which hold employees' own), the cost of health
coverage (employers' and employees' together), sick, combat and stock pay, other codes, one- and two-earner returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Constraint, Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, squash
from tessera.targets.loaders.soi_items import FILER
from tessera.targets.loaders.soi_tables import THOUSAND, URL, columns_by_heading, require_title
from tessera.targets.loaders.soi_workbook import read_sheet

YEAR = 2020
SOURCE = "irs_soi_w2"
SHEET = "Table 4.B"
_BOX_1 = "Box 1: Wages, tips, other compensation"
# Label of the row -> engine variable.
ITEMS = {
    _BOX_1: "irs_employment_income",
    "Box 3: Social security wages": "taxable_earnings_for_social_security",
    "Box 5: Medicare wages and tips": "payroll_tax_gross_wages",
    "Box 7: Social security tips": "tip_income",
    "Box 10: Dependent care benefits": "dependent_care_employer_benefits",
    "D. 401(k) elective deferrals": "traditional_401k_contributions",
    "E. 403(b) elective deferrals": "traditional_403b_contributions",
    "AA. Designated Roth 401(k) contributions": "roth_401k_contributions",
    "BB. Designated Roth 403(b) contributions": "roth_403b_contributions",
}
_ALL, _JOINT, _OTHER = "All taxpayers", "Joint returns, total", "Nonjoint returns, wage earner"
_GROUPS: dict[str, tuple[Constraint, ...]] = {
    _ALL: (FILER,),
    _JOINT: (FILER, ("tax_unit_is_joint", "==", 1)),
    _OTHER: (FILER, ("tax_unit_is_joint", "==", 0)),
}
_PEOPLE, _AMOUNT = "Number of taxpayers", "Amount"
_ROUNDING = 3.0


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Persons and amounts of each item.

    Raises:
        SourceError: another table or year, an item or heading that is not there, returns that do not add up.
    """
    rows = read_sheet(path, SHEET).rows
    require_title(rows, path, SHEET, year)
    numbers, columns = columns_by_heading(rows, path)
    cells = _cells_by_item([tuple(row) for row in rows], numbers, path)
    url = f"{URL}/{year % 100:02d}in04w2all.xlsx"
    provenance = Provenance(SOURCE, "Form W-2 statistics, table 4.B", url, f"Tax year {year}", year)
    return to_frame(_figures(cells, columns, path), provenance)


def _cells_by_item(rows: list[tuple[object, ...]], numbers: int, path: Path) -> dict[str, tuple[object, ...]]:
    """Row of each item; the first item's label is beside the column numbers, its cells one row below."""
    found: dict[str, tuple[object, ...]] = {}
    for index in range(numbers, len(rows)):
        label = squash(rows[index][0])
        if label in found:
            raise SourceError(f"{path}: {label!r} is there twice; the table has changed.")
        if label in ITEMS:
            below = index + 1 if index == numbers else index
            found[label] = rows[below]
    missing = [label for label in ITEMS if label not in found]
    if missing:
        raise SourceError(f"{path}: no row {missing[0]!r} in {SHEET} ({len(missing)} such in all).")
    return found


def _figures(cells: dict[str, tuple[object, ...]], columns: dict[str, int], path: Path) -> Iterator[Figure]:
    for label, variable in ITEMS.items():
        people = {group: _cell(cells[label], columns, f"{group} / {_PEOPLE}", label, path) for group in _GROUPS}
        amounts = {group: _cell(cells[label], columns, f"{group} / {_AMOUNT}", label, path) for group in _GROUPS}
        for values in (people, amounts):
            if abs(values[_JOINT] + values[_OTHER] - values[_ALL]) > _ROUNDING:
                raise SourceError(
                    f"{path}: {label}: joint and other returns add up to {values[_JOINT] + values[_OTHER]:.0f}, all "
                    f"taxpayers read {values[_ALL]:.0f}; a column has moved."
                )
        for group, domain in _GROUPS.items():
            positive: Constraint = (variable, ">", 0)
            yield Figure("national", "US", "person_count", people[group], "person", (*domain, positive))
            yield Figure("national", "US", variable, amounts[group] * THOUSAND, "dollar", domain)


def _cell(row: tuple[object, ...], columns: dict[str, int], heading: str, label: str, path: Path) -> float:
    if heading not in columns:
        raise SourceError(f"{path}: no column with the heading {heading!r}; it has {'; '.join(list(columns)[:6])} ...")
    return number(row[columns[heading]], path, f"{label}, column {heading!r}", minimum=1.0)
