"""HHS ACF: TANF families and basic assistance by state and fiscal year.

Reads the caseload workbook (sheet TFam, average of the year) and the financial workbook (one sheet a state; basic
assistance without foster care and guardianship payments, all funds). Figures by state: spm_unit_count with tanf > 0,
and `tanf` in dollars. Territories are left out. Only fiscal 2024 has this layout. Persons who receive assistance
(sheets TRec, Adults, Children) are not read: a family's recipients are fewer than the members of its SPM unit, and the
engine has no recipient among persons. Families by number of parents are not read: the engine's units do not say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.sources.workbook import Rows, read_xlsx, sheet
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, require_each_once, squash

YEAR = 2024
_TERRITORIES = ("Guam", "Puerto Rico", "Virgin Islands")
_BASIC = (
    "Basic Assistance (excluding Relative Foster Care Maintenance Payments and Adoption and Guardianship Subsidies)"
)
_CASELOAD_URL = "https://acf.gov/ofa/data/tanf-caseload-data-2024"
_FINANCIAL_URL = "https://acf.gov/ofa/data/tanf-financial-data-fy-2024"


def load_caseload(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Average number of families of each of the 51 states.

    Raises:
        SourceError: another year or layout, a missing, repeated or unknown state, states that do not add up.
    """
    rows = sheet(read_xlsx(path, path), "TFam", path)
    heading = squash(rows[3][-1]) if len(rows) > 4 else ""
    if heading != f"Average FY {year}" or squash(rows[3][0]) != "State":
        raise SourceError(f"{path}: sheet TFam, row 4 ends with {heading!r}; wanted 'Average FY {year}'.")
    entries = [(squash(row[0]), row[-1]) for row in rows[4:] if row[-1] is not None]
    require_each_once([name for name, _ in entries], {name for name, _ in entries}, path, "row of sheet TFam")
    families = dict(entries)
    published = number(families.pop("U.S. Totals", None), path, "U.S. Totals")
    values = {name: number(cell, path, f"TFam, {name}", minimum=0) for name, cell in families.items()}
    if abs(sum(values.values()) - published) > 1:
        raise SourceError(
            f"{path}: sheet TFam: the areas add up to {sum(values.values()):.0f}, U.S. Totals is {published:.0f}."
        )
    names = {state.name: state.usps for state in states()}
    require_each_once([name for name in values if name not in _TERRITORIES], names, path, "state")
    provenance = Provenance("acf_tanf_caseload", "TFam", _CASELOAD_URL, f"FY {year}", year)
    figures = (
        Figure("state", usps, "spm_unit_count", values[name], "spm_unit", (("tanf", ">", 0),))
        for name, usps in names.items()
    )
    return to_frame(figures, provenance)


def load_financial(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Basic assistance of each of the 51 states, dollars.

    Raises:
        SourceError: another year, a missing sheet, line or column, states that do not add up to the national sheet.
    """
    sheets = read_xlsx(path, path)
    values = {state.usps: _basic(sheets, _sheet_name(state.name), path, year) for state in states()}
    published = _basic(sheets, "A.1 Fed & State by Category", path, year)
    if abs(sum(values.values()) - published) > 1000:
        raise SourceError(f"{path}: the states add up to {sum(values.values()):.0f}, sheet A.1 reads {published:.0f}.")
    provenance = Provenance("acf_tanf_financial", "State summaries", _FINANCIAL_URL, f"FY {year}", year)
    return to_frame(_amounts(values), provenance)


def _amounts(values: dict[str, float]) -> Iterator[Figure]:
    for usps, value in values.items():
        # A state without cash assistance of its own in the year is published as zero; it is no target for dollars.
        if value > 0:
            yield Figure("state", usps, "tanf", value, "dollar")


def _sheet_name(state_name: str) -> str:
    return "DC" if state_name == "District of Columbia" else state_name


def _basic(sheets: dict[str, Rows], name: str, path: Path, year: int) -> float:
    rows = sheet(sheets, name, path)
    if f"FY {year}" not in squash(rows[0][0]) or squash(rows[1][3]) != "All Funds":
        raise SourceError(f"{path}: sheet {name}: wanted FY {year} in the title and 'All Funds' in column 4 of row 2.")
    found = [row[3] for row in rows if squash(row[0]) == _BASIC]
    if len(found) != 1:
        raise SourceError(
            f"{path}: sheet {name}: {len(found)} lines of basic assistance without foster care; wanted 1."
        )
    return number(found[0], path, f"sheet {name}, basic assistance", minimum=0)
