"""Never a silent change: each official file, altered in many ways, is refused or gives the very same figures.

The alterations are the same for every file at hand; which cell is used is said for each. `RULES` names the documented
rules by which an altered file gives other figures, `HARMLESS` what has to give the same figures rather than an error.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.targets import official
from tessera.targets.loaders import nhe_tables, tanf
from tests.targets import altered_official as alter
from tests.targets.altered_official import Grids, Original, Used

MARKS = ("-888888888", "**", "", "X")
_HTML = "<!DOCTYPE html>\n<html><head><title>404</title></head><body><p>Page not found</p></body></html>\n"
_SEED = 20_240_704
# What every loader has to refuse, as it is done to a cell that it reads.
REFUSED = {
    "heading renamed", "heading lost", "column dropped", "row dropped", "row twice", "place renamed",
    "other sign", "in brackets", "decimal comma", *(f"withheld {mark!r}" for mark in MARKS),
}  # fmt: skip
# Of large files, the rest is left to the slow test.
LARGE = {"age_district", "city_age_shares", "snap_district", "soi_state", "medicaid"}
QUICK = {
    "heading renamed", "column dropped", "columns shuffled (0)", "another column so headed", "row dropped",
    "row twice", "withheld ''", "withheld '-888888888'", "other sign", "separators",
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A cell that the loader of an official file reads.

    Attributes:
        name: of the file in the list of official files.
        heading: text above the cell.
        labels: texts in its row, the first one its place, class or item.
        table: which of several tables of the file.
        neighbours: further cells with numbers that are altered, used or not.
        right: columns from the heading to the cell, where the heading is over several.
    """

    name: str
    heading: str
    labels: tuple[str, ...]
    table: str = ""
    neighbours: int = 10
    right: int = 0

    def __str__(self) -> str:
        return "-".join(part for part in (self.name, self.table, self.heading, self.labels[0]) if part)


_DISTRICT, _STATE = "5001900US0612", "0400000US06"
_CLASS, _LOW_CLASS = "$50,000 under $75,000", "$20,000 under $25,000"
_EFFECTUATED = "full-year-effectuated-enrollment.xlsx/Full Year 2022"
_SPONSORS, _EMPLOYERS, _ENROLMENT = (
    f"{table.member}/{sheet}"
    for table, sheet in (
        (nhe_tables.SPONSORS, "Table 5-6"), (nhe_tables.EMPLOYERS, "Table 24"), (nhe_tables.ENROLMENT, "Table 22"),
    )
)  # fmt: skip
_CASELOAD, _FINANCIAL = "tanf_caseload_2024.xlsx/TFam", "fy-2024-tanf-moe-financial-data.xlsx"
_BASIC = tanf._BASIC
CASES = (
    Case("age_district", "S0101_C01_005E", (_DISTRICT,), neighbours=1),
    Case("age_national", "S0101_C01_005E", ("0100000US",)),
    Case("age_state", "S0101_C05_005E", (_STATE,), neighbours=4),
    Case("benefits", "value", ("social_security_retirement_benefits",)),
    Case("city_age_shares", "S0101_C01_005E", (_DISTRICT,), neighbours=2),
    Case("females_15_to_44", "B01001_032E", ("06",)),
    Case("income", "year_2024", ("wages_and_salaries",)),
    Case("marketplace", "APTC_Cnsmr", ("CA",)),
    Case("marketplace_effectuated", "APTC Enrollment", ("CA",), _EFFECTUATED),
    Case("marketplace_kff", "Number", ("California",), "2024"),
    Case("medicaid", "Total CHIP Enrollment", ("CA", "202412", "U"), neighbours=4),
    Case("medicaid", "Total CHIP Enrollment", ("RI", "202411", "U"), neighbours=0),
    Case("net_worth", "2024", ("FL152090005",)),
    Case("nhe_services", "2024", ("Medicaid (Title XIX)",)),
    Case("nhe_services", "2024", ("Out of pocket",)),
    Case("nhe_tables", "2024", ("Households",), _SPONSORS),
    Case("nhe_tables", "2024", ("Employer Contribution to Private Health Insurance Premiums",), _EMPLOYERS),
    Case("nhe_tables", "Medicare", ("2024",), _ENROLMENT),
    Case("population_by_age_and_sex", "POPESTIMATE2024", ("1", "34")),
    Case("receipts", "year_2024", ("individual_income_taxes",)),
    Case("snap_district", "S2201_C03_001E", (_DISTRICT,), neighbours=2),
    Case("snap_state", "Household", ("Oct 2023",), "FY24.xlsx/WRO"),
    Case("snap_state", "Household", ("Connecticut",), "FY24.xlsx/NERO"),
    Case("snap_state", "Cost", ("Total",), "FY24.xlsx/SERO"),
    Case("soi_filing_season_2024", _CLASS, ("Taxable interest: Number of returns",)),
    Case("soi_ira_roth_2022", "Number of taxpayers", ("25 under 30",)),
    Case("soi_ira_traditional_2022", "Amount", ("25 under 30",)),
    Case("soi_state", "N1", ("CA", "3"), neighbours=3),
    Case("soi_table_1_1_2023", "Taxable returns", (_CLASS,)),
    Case("soi_table_1_2_2023", "Standard deduction", (_CLASS,)),
    Case("soi_table_1_4_2023", "Taxable interest", (_CLASS,)),
    Case("soi_table_2_1_2023", "Real estate taxes", ("$55,000 under $60,000",)),
    Case("soi_table_2_5_2023", "Returns with one qualifying child", (_LOW_CLASS,)),
    Case("soi_top_shares_2023", "Total wages", ("5 percent",)),
    Case("soi_top_shares_2023", "Adjusted gross income less deficit", ("5 percent",), neighbours=0),
    Case("soi_top_shares_2023", "Partnership and S corporation", ("5 percent",), neighbours=0, right=3),
    Case("soi_w2_2020", "Number of taxpayers", ("Box 5: Medicare wages and tips",)),
    Case("ssi_monthly", "All recipients", ("Federal payment",)),
    Case("state_tax", "CA", ("T40",)),
    Case("state_tax", "DC", ("T40",)),
    Case("tanf_caseload", "Average FY 2024", ("California",), _CASELOAD),
    Case("tanf_financial", "All Funds", (_BASIC,), f"{_FINANCIAL}/California"),
    Case("tanf_financial", "All Funds", (_BASIC,), f"{_FINANCIAL}/A.1 Fed & State by Category"),
    Case("tax_expenditures", "individual_revenue_loss_2024", ("salt_deduction",)),
)  # fmt: skip


_BLOCK = "snap_state-FY24.xlsx/NERO-Household-Connecticut"
_MEDICAID = tuple(str(case) for case in CASES if case.name == "medicaid")
# Case -> alterations after which a documented rule gives other figures of one place: enrolment of an earlier month.
RULES = {case: {f"withheld {mark!r}" for mark in MARKS} for case in _MEDICAID}
# Case -> alterations of `REFUSED` that change nothing: the name of a block of months, twice.
HARMLESS = {_BLOCK: {"row twice"}}


@cache
def _original(folder: Path, name: str) -> Original:
    file = official.official_files()[name]
    if not (folder / file.path).is_file():
        pytest.skip(f"{file.path} is not at hand")
    return alter.opened(file, folder)


def _table_edits(original: Original, used: Used) -> Iterator[tuple[str, Grids]]:
    """Tables whose headings, columns or rows were altered, by what was done."""
    grids, table, row = original.grids, used.table, used.row

    def columns(order: Callable[[alter.Row], alter.Row]) -> Grids:
        return alter.with_columns(grids, table, order)

    def rows(edit: Callable[[alter.Grid], alter.Grid]) -> Grids:
        return alter.with_rows(grids, table, edit)

    heading, key = replace(used, row=used.heading), replace(used, column=used.key)
    yield "heading renamed", alter.with_cell(grids, heading, lambda cell: "Something else")
    yield "heading lost", rows(partial(_without_cell, heading))
    yield "heading twice", columns(lambda cells: [*cells, *cells[used.column : used.column + 1]])
    yield "column dropped", columns(lambda cells: cells[: used.column] + cells[used.column + 1 :])
    yield "blank column added", columns(lambda cells: ["", *cells])
    yield "another column so headed", rows(partial(_headed_twice, used))
    yield "columns swapped", columns(partial(_swapped, used.column))
    for seed in range(3):
        yield f"columns shuffled ({seed})", alter.shuffled(grids, table, seed)
    yield "row dropped", rows(lambda found: found[:row] + found[row + 1 :])
    yield "row twice", rows(lambda found: [*found[: row + 1], *found[row:]])
    yield "row again at the end", rows(lambda found: [*found, found[row]])
    yield "rows cut off", rows(lambda found: found[: row + 1])
    yield "moved down", rows(lambda found: [_blank(found), _blank(found), *found])
    below = used.heading + 1
    yield "moved away from its headings", rows(lambda found: [*found[:below], _blank(found), *found[below:]])
    yield "place renamed", alter.with_cell(grids, key, lambda cell: "Elsewhere")
    yield "another year", alter.other_year(grids, used, int(original.figures["year"].iloc[0]))


def _cell_edits(original: Original, used: Used) -> Iterator[tuple[str, Grids]]:
    """Tables with one cell altered: withheld, of the other sign, and printed otherwise."""
    seen = alter.value_at(original.grids, used)
    changes: dict[str, object] = {f"withheld {mark!r}": mark for mark in MARKS}
    if alter.is_number(seen):
        value = alter.plain(seen)
        text = f"{value:,.0f}" if value.is_integer() else f"{value:,}"
        changes |= {"other sign": _like(seen, -value), "in brackets": f"({text})", "separators": text,
                    "dollars": f"${text}", "decimal comma": f"{int(value)},5"}  # fmt: skip
    for what, cell in changes.items():
        yield what, alter.with_cell(original.grids, used, partial(_put, cell))


def _put(new: object, _old: object) -> object:
    return new


def _swapped(column: int, cells: alter.Row) -> alter.Row:
    """A row whose cell of a column changed places with the one two further on."""
    other = column + 2
    if other >= len(cells):
        return cells
    return [*cells[:column], cells[other], cells[column + 1], cells[column], *cells[other + 1 :]]


def _headed_twice(used: Used, rows: alter.Grid) -> alter.Grid:
    """A column with the used heading and other cells, put before the used one."""
    before = max(used.column - 1, 0)
    copied = [[*row[: used.column], *row[before : before + 1], *row[used.column :]] for row in rows]
    copied[used.heading][used.column] = rows[used.heading][used.column]
    return copied


def _without_cell(used: Used, rows: alter.Grid) -> alter.Grid:
    rows[used.row] = [cell for column, cell in enumerate(rows[used.row]) if column != used.column]
    return rows


def _blank(rows: alter.Grid) -> alter.Row:
    return [""] * max(len(row) for row in rows)


def _like(seen: object, value: float) -> object:
    """A number as the file has it: as text or as a number."""
    return f"{value:.15g}" if isinstance(seen, str) else value


def _outcome(original: Original, load: Callable[[], pd.DataFrame]) -> str:
    """`same`, `refused ...`, or `one place` where its figures alone are others; anything else must not happen."""
    try:
        figures = load()
    except SourceError as error:
        name, message = original.path.name, str(error)
        return f"refused {message}" if name in message and len(message) > len(name) + 20 else f"UNCLEAR {message}"
    except Exception as error:
        return f"CRASH {error!r}"
    if figures.equals(original.figures):
        return "same"
    values = ["value", "raw_value"]
    alike = figures.drop(columns=values).equals(original.figures.drop(columns=values))
    changed = set(figures.loc[figures["value"] != original.figures["value"], "geo_id"]) if alike else set()
    return "one place" if len(changed) == 1 else "SILENT CHANGE"


def _outcomes(
    original: Original, folder: Path, edits: Iterator[tuple[str, Grids]], only: set[str] | None = None
) -> dict[str, str]:
    target = folder / original.path.name
    found = {}
    for what, grids in edits:
        if only is not None and what not in only:
            continue
        with pytest.MonkeyPatch.context() as patch:
            found[what] = _outcome(original, partial(alter.load_altered, original, grids, target, patch))
    return found


def _file_edits(original: Original) -> Iterator[tuple[str, bytes]]:
    """Contents of files that are not whole, or no data at all."""
    content = original.path.read_bytes()
    yield "empty", b""
    yield "blank lines", b"\n\n\n"
    yield "an HTML page", _HTML.encode()
    for tenths in (1, 4, 7, 9):
        yield f"cut after {tenths} tenths", content[: len(content) * tenths // 10]
    for lost in (1, 2, 3, 40):
        yield f"the last {lost} bytes lost", content[:-lost]
    middle = len(content) // 2
    yield "a hole in the middle", content[:middle] + bytes(64) + content[middle + 64 :]
    if original.path.suffix in (".zip", ".xlsx"):
        yield "members of other names", _other_members(original.path)
        yield "a page in a zip file", _zipped({"page.html": _HTML.encode()})


def _other_members(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return _zipped({f"other {name}": archive.read(name) for name in archive.namelist()})


def _zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _file_outcomes(original: Original, folder: Path) -> dict[str, str]:
    target, found = folder / original.path.name, {}
    for what, content in _file_edits(original):
        target.write_bytes(content)
        found[what] = _outcome(original, partial(original.load, target))
    found["no file"] = _outcome(original, partial(original.load, folder / "none" / target.name))
    return found


def _check(case: Case, original: Original, outcomes: dict[str, str]) -> None:
    """No silent change, no crash, and no figures where an error has to be."""
    by_rule = RULES.get(str(case), set())
    wrong = {
        what: outcome
        for what, outcome in outcomes.items()
        if outcome != "same" and not outcome.startswith("refused") and not (outcome == "one place" and what in by_rule)
    }
    assert not wrong, wrong
    kept = {what for what, outcome in outcomes.items() if outcome == "same"}
    assert kept & REFUSED <= HARMLESS.get(str(case), set())
    assert {what for what, outcome in outcomes.items() if outcome == "one place"} == by_rule & set(outcomes)


def _used(original: Original, case: Case) -> Used:
    return alter.used_cell(original.grids, case.table, case.heading, case.labels, case.right)


def _edits(original: Original, used: Used) -> Iterator[tuple[str, Grids]]:
    yield from _table_edits(original, used)
    yield from _cell_edits(original, used)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_altered_tables_are_refused_or_give_the_same_figures(official_folder: Path, tmp_path: Path, case: Case) -> None:
    original = _original(official_folder, case.name)
    used = _used(original, case)
    only = QUICK if case.name in LARGE else None
    outcomes = _outcomes(original, tmp_path, _edits(original, used), only)
    _check(case, original, outcomes)
    assert "separators" in outcomes or not alter.is_number(alter.value_at(original.grids, used))


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case.name in LARGE], ids=str)
def test_every_alteration_of_large_files(official_folder: Path, tmp_path: Path, case: Case) -> None:
    original = _original(official_folder, case.name)
    used = _used(original, case)
    _check(case, original, _outcomes(original, tmp_path, _edits(original, used)))
    for cell in alter.neighbours(original, used, 3, _SEED + 1):
        _require_nothing_silent(original, cell, _outcomes(original, tmp_path, _cell_edits(original, cell)))


@pytest.mark.parametrize("case", [case for case in CASES if case.neighbours], ids=str)
def test_any_cell_altered(official_folder: Path, tmp_path: Path, case: Case) -> None:
    """Cells anywhere below the headings, read or not, each withheld, of the other sign or with a decimal comma."""
    original = _original(official_folder, case.name)
    marks = {f"withheld {MARKS[number % len(MARKS)]!r}" for number in range(case.neighbours)}
    used = _used(original, case)
    for number, cell in enumerate(alter.neighbours(original, used, case.neighbours, _SEED)):
        what = sorted(marks)[number % len(marks)]
        edits = _cell_edits(original, cell)
        _require_nothing_silent(
            original, cell, _outcomes(original, tmp_path, edits, {what, "other sign", "decimal comma"})
        )


def _require_nothing_silent(original: Original, cell: Used, outcomes: dict[str, str]) -> None:
    rules = {"one place"} if original.file.name == "medicaid" else set()
    wrong = {
        what: outcome
        for what, outcome in outcomes.items()
        if outcome not in {"same"} | rules and not outcome.startswith("refused")
    }
    assert not wrong, (cell, wrong)


@pytest.mark.parametrize("name", sorted({case.name for case in CASES}))
def test_files_that_are_not_whole(official_folder: Path, tmp_path: Path, name: str) -> None:
    original = _original(official_folder, name)
    outcomes = _file_outcomes(original, tmp_path)
    wrong = {what: text for what, text in outcomes.items() if text != "same" and not text.startswith("refused")}
    assert not wrong, wrong
    harmless = {what for what in outcomes if what.startswith(("cut", "the last", "a hole"))}
    assert {what for what, text in outcomes.items() if text == "same"} <= harmless


def test_every_loader_has_a_case() -> None:
    with_loader = {name for name, file in official.official_files().items() if file.loader and file.at_hand}
    assert with_loader == {case.name for case in CASES}
