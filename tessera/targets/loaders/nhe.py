"""CMS national health expenditure accounts: what Medicaid, Medicare and households spent, by service and payer.

Reads the member `NHE2024.csv` of the zip "by type of service and source of funds": one line a payer inside a block a
service, one column a year from 1960, millions of dollars, blank or " - " where a payer pays nothing. Figures of the
nation, dollars of the calendar year:

- medicaid: Medicaid (Title XIX), federal and state, less what both levels spend to run it (the engine's total is outlay
  for enrollees). The engine shares out a fixed outlay of each state, so this compares, and no weight can move it.
- medicare_gross_cost: all Medicare spending. The engine has the same accounts per enrollee.
- over_the_counter_health_expenses: paid out of pocket for other non-durable medical products (medicines without a
  prescription, and sundries).
- other_medical_expenses: everything else paid out of pocket, less nursing and retirement facilities, whose residents
  are in no household. Premiums are not out of pocket in these accounts.

The accounts cover the states and DC. Checks: sources of funds and kinds of insurance add up to their totals, the ten
services to personal health care, to the rounding of the table. Left out: CHIP (the engine's `chip` is of separate
programmes only, the accounts hold both kinds), and premiums of Medicare Part B, which no file at hand has apart from
Part D.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.common import number, read_zip_member, require_each_once, squash

YEAR = 2024
SOURCE = "cms_nhe"
MEMBER = "NHE2024.csv"
_URL = "https://www.cms.gov/files/zip/national-health-expenditures-type-service-source-funds-cy-1960-2024.zip"
_TITLE = "NATIONAL HEALTH EXPENDITURES BY TYPE OF SERVICE AND SOURCE OF FUNDS"
_UNIT = "Expenditure Amount (Millions)"
_MILLION = 1e6
_NATION, _PERSONAL = "Total National Health Expenditures", "Personal Health Care"
_ADMINISTRATION = ("State and Local Administration Expenditures", "Federal Administration Expenditures")
_PRODUCTS = "Other Non-Durable Medical Products Expenditures"
_NURSING = "Total Nursing Care Facilities and Continuing Care Retirement Communities"
_SERVICES = (
    "Total Hospital Expenditures",
    "Total Physician and Clinical Expenditures",
    "Total Dental Services Expenditures",
    "Total Other Professional Services Expenditures",
    "Total Home Health Care Expenditures",
    _PRODUCTS,
    "Total Prescription Drug Expenditures",
    "Total Durable Medical Equipment Expenditures",
    _NURSING,
    "Total Other Health, Residential, and Personal Care Expenditures",
)
_POCKET, _MEDICAID, _MEDICARE = "Out of pocket", "Medicaid (Title XIX)", "Medicare"
_INSURANCE = "Health Insurance"
_FUNDS = (_POCKET, _INSURANCE, "Other Third Party Payers and Programs", "Public Health Activity", "Investment")
_INSURERS = ("Private Health Insurance", _MEDICARE, _MEDICAID, "CHIP (Title XIX and Title XXI)",
             "Department of Defense", "Department of Veterans Affairs")  # fmt: skip
_TOTAL = "total"

# Cells of a year: block -> line -> cell as printed. Labels that a block has more than once (Federal) are left out.
_Blocks = dict[str, dict[str, str]]


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Four figures of the nation.

    Raises:
        SourceError: no such member, another title, unit or year, a missing or repeated line, a blank cell, parts that
            do not add up.
    """
    label = path / MEMBER
    blocks = _read(read_zip_member(path, MEMBER), label, year)

    def amount(block: str, line: str) -> float:
        return _amount(blocks, block, line, label)

    _check_sums(blocks, label)
    outlay = amount(_NATION, _MEDICAID) - sum(amount(block, _MEDICAID) for block in _ADMINISTRATION)
    products, nursing = amount(_PRODUCTS, _POCKET), amount(_NURSING, _POCKET)
    amounts = {
        "medicaid": outlay,
        "medicare_gross_cost": amount(_NATION, _MEDICARE),
        "over_the_counter_health_expenses": products,
        "other_medical_expenses": amount(_PERSONAL, _POCKET) - products - nursing,
    }
    figures = [Figure("national", "US", name, millions * _MILLION, "dollar") for name, millions in amounts.items()]
    table = "National Health Expenditures by type of service and source of funds"
    return to_frame(figures, Provenance(SOURCE, table, _URL, "CY 1960-2024", year))


def _read(content: bytes, label: Path, year: int) -> _Blocks:
    # The file is of code page 1252 (one long dash in a note); every byte that it uses is defined there.
    rows = list(csv.reader(io.StringIO(content.decode("cp1252", errors="replace"))))
    title = squash(rows[0][0]) if rows and rows[0] else ""
    if not title.startswith(_TITLE):
        raise SourceError(f"{label}: row 1 reads {title[:80]!r}; wanted {_TITLE!r}. Fetch the stated file.")
    head = [squash(cell) for cell in rows[1]] if len(rows) > 1 else []
    if not head or head[0] != _UNIT or head.count(str(year)) != 1:
        raise SourceError(
            f"{label}: row 2 starts with {head[:1]} and has {head.count(str(year))} columns {year}; wanted {_UNIT!r} "
            "and one column of that year. Fetch the release that covers it."
        )
    column = head.index(str(year))
    ragged = next((place for place, row in enumerate(rows) if len(row) != len(head)), None)
    if ragged is not None:
        raise SourceError(
            f"{label}: row {ragged + 1} has {len(rows[ragged])} cells, the header {len(head)}; the file is truncated."
        )
    return _blocks([(row[0], row[column]) for row in rows[2:]], label)


def _blocks(lines: list[tuple[str, str]], label: Path) -> _Blocks:
    blocks: _Blocks = {}
    names: list[str] = []
    lines_of: dict[str, list[str]] = {}
    for text, cell in lines:
        name = squash(text)
        if text and not text.startswith(" "):
            names.append(name)
            blocks[name], lines_of[name] = {_TOTAL: cell}, []
        elif name and names:
            lines_of[names[-1]].append(name)
            blocks[names[-1]][name] = cell
    wanted = {_NATION, _PERSONAL, *_ADMINISTRATION, *_SERVICES}
    require_each_once([name for name in names if name in wanted], wanted, label, "block")
    repeated = {name: {line for line in found if found.count(line) > 1} for name, found in lines_of.items()}
    return {
        name: {line: cell for line, cell in cells.items() if line not in repeated[name]}
        for name, cells in blocks.items()
    }


def _amount(blocks: _Blocks, block: str, line: str, label: Path) -> float:
    """Millions of dollars of a line of a block, as printed for the year."""
    if line not in blocks[block]:
        raise SourceError(f"{label}: block {block!r} has no line {line!r}, or two; the table is of another form.")
    return number(blocks[block][line], label, f"{block}, {line}", minimum=0)


def _check_sums(blocks: _Blocks, label: Path) -> None:
    """Parts add up to what is printed, to half a million for each part and the total."""
    sums = (
        ("sources of funds", [(_NATION, name) for name in _FUNDS], (_NATION, _TOTAL)),
        ("insurers", [(_NATION, name) for name in _INSURERS], (_NATION, _INSURANCE)),
        ("services", [(name, _POCKET) for name in _SERVICES], (_PERSONAL, _POCKET)),
    )
    for what, parts, whole in sums:
        added = sum(_amount(blocks, *part, label) for part in parts)
        printed = _amount(blocks, *whole, label)
        if abs(added - printed) > (len(parts) + 1) / 2:
            raise SourceError(
                f"{label}: {what} add up to {added:.0f} million; {whole[0]}, {whole[1]} reads {printed:.0f}. "
                "Fetch the file again."
            )
