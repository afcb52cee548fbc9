"""IRS SOI data by congressional district: the items of `soi_items` for the 436 districts of today.

Reads `22incd.csv`: columns STATEFIPS, STATE, CONG_DISTRICT, agi_stub and the items; one row a place and class of AGI
(0 for all, then nine classes, the last from 500,000 dollars); district 0 is the whole state, and the only rows of a
state with one seat; the row of the US has class 0 alone. Money is in thousands of dollars, but for the earned income
credit with three or more children (A59664), which the IRS published in dollars: the unit is the one in which the four
numbers of children add up to the credit in all.

The file has the districts of the 117th Congress; `redistricting` brings them to the 119th by population. It covers the
returns that could be placed in a district, some percent fewer than Historic Table 2: rows of states serve to check that
districts add up to them, and give no figures. Figures are totals of each item; returns, individuals and AGI come by
class too. A cell that the IRS left empty to protect taxpayers reads zero where the state has some: the new districts
that it touches are left out for that item.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography import redistricting
from tessera.geography.areas import district_key, state_by_fips, states
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders import soi_cells, soi_items
from tessera.targets.loaders.common import number, read_csv, require_columns, require_each_once
from tessera.targets.loaders.soi_items import Bounds, Item
from tessera.targets.loaders.soi_states import BANDS

YEAR = 2022
SOURCE = "irs_soi_congressional_district"
# Bounds of classes 1 to 9: those of the states' table with the two highest as one.
DISTRICT_BANDS: tuple[Bounds, ...] = (*BANDS[:8], (500_000, None))
_BY_CLASS = ("N1", "N2", "A00100")
_FIPS, _STATE, _DISTRICT, _CLASS = "STATEFIPS", "STATE", "CONG_DISTRICT", "AGI_STUB"
_NATION = "US"
_CREDIT, _IN_DOLLARS = "A59660", "A59664"
# Gap that is allowed beyond rounding where places are added: items of few returns are withheld in some of them.
_RELATIVE = 0.005


def load(path: Path, pairs: Path | None = None, year: int = YEAR) -> pd.DataFrame:
    """Figures of the 436 districts.

    Args:
        path: the IRS file.
        pairs: table of old and new districts with population (`redistricting.read`); the packaged one without.
        year: tax year of the file.

    Raises:
        SourceError: a file of another year or table, a missing column, a missing or repeated row, districts of another
            Congress than the pairs, a blank or negative count, classes, districts or parts that do not add up.
    """
    if not path.name.startswith(f"{year % 100:02d}incd"):
        raise SourceError(
            f"{path}: the name of the district file of {year} starts with {year % 100:02d}incd; fetch that one."
        )
    moving = redistricting.load() if pairs is None else redistricting.read(pairs)
    places = _places(moving)
    items = soi_items.items()
    cells = _in_thousands(_read(path, soi_items.columns(items), places), path)
    _check(cells, places, path)
    url = f"https://www.irs.gov/pub/irs-soi/{path.name}"
    vintage = f"Tax year {year}, districts of that time brought to today's by population of 2020"
    provenance = Provenance(SOURCE, "Congressional District Data", url, vintage, year)
    return to_frame(_figures(cells, items, places, moving), provenance)


def _places(pairs: pd.DataFrame) -> dict[int, str]:
    """Where the file has each old district: `CA-12`, or `AK` for a state with one seat."""
    codes = sorted({int(code) for code in pairs["old"]})
    seats = Counter(code // 100 for code in codes)
    usps = {code: state_by_fips(code // 100).usps for code in codes}
    return {code: usps[code] if seats[code // 100] == 1 else f"{usps[code]}-{code % 100:02d}" for code in codes}


def _read(path: Path, columns: tuple[str, ...], places: dict[int, str]) -> pd.DataFrame:
    frame = read_csv(path).rename(columns=str.upper)
    require_columns(frame, [_FIPS, _STATE, _DISTRICT, _CLASS, *columns], path)
    _check_fips(frame, path)
    numbers = [
        int(number(district, path, f"{state}, column {_DISTRICT}", minimum=0))
        for state, district in zip(frame[_STATE], frame[_DISTRICT], strict=True)
    ]
    labels = [f"{state}-{seat:02d}" if seat else state for state, seat in zip(frame[_STATE], numbers, strict=True)]
    frame = frame.rename(columns={_CLASS: soi_cells.CLASS}).assign(**{soi_cells.PLACE: labels})
    listed = {*places.values(), *(state.usps for state in states())}
    wanted = [(place, str(band)) for place in listed for band in range(len(DISTRICT_BANDS) + 1)]
    seen = zip(frame[soi_cells.PLACE], frame[soi_cells.CLASS], strict=True)
    require_each_once(seen, [*wanted, (_NATION, "0")], path, "place and AGI class")
    return soi_cells.parse(frame, columns, path)


def _check_fips(frame: pd.DataFrame, path: Path) -> None:
    fips = {state.usps: state.fips for state in states()} | {_NATION: 0}
    for line, (code, usps) in enumerate(zip(frame[_FIPS], frame[_STATE], strict=True), start=2):
        if usps not in fips or number(code, path, f"line {line}, column {_FIPS}") != fips[usps]:
            raise SourceError(f"{path}: line {line}: {_FIPS} {code!r} is not that of {usps!r}; fetch the file again.")


def _in_thousands(cells: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The cells with the credit of three or more children in thousands of dollars, whichever unit it came in."""
    names = soi_cells.EITC_PARTS[_CREDIT]
    whole, *parts, in_question = (soi_cells.total(cells, _NATION, name) for name in (_CREDIT, *names))
    for unit in (1.0, 1000.0):
        if abs(sum(parts) + in_question / unit - whole) <= _RELATIVE * whole:
            return cells.assign(**{_IN_DOLLARS: cells[_IN_DOLLARS] / unit})
    raise SourceError(
        f"{path}: {_NATION}, columns {', '.join(names)}: in no unit of {_IN_DOLLARS} (thousands or dollars) do they "
        f"add up to the credit in all, {whole:,.0f}; fetch the file again."
    )


def _check(cells: pd.DataFrame, places: dict[int, str], path: Path) -> None:
    """Classes, numbers of children, districts of a state and states of the nation have to add up."""
    of_states = [state.usps for state in states()]
    in_states = cells.index.get_level_values(soi_cells.PLACE) != _NATION
    soi_cells.check_classes(cells[in_states][list(_BY_CLASS)], path)
    soi_cells.check_eitc(cells, path, relative=_RELATIVE)
    total = soi_cells.totals(cells)
    sums = soi_cells.added(total.reindex(of_states), _NATION)
    say = "the states add up to {}, the row reads {}"
    soi_cells.require_equal(sums, total.reindex([_NATION]), len(of_states), path, say, _RELATIVE)
    for usps in of_states:
        districts = total.reindex([place for place in places.values() if place[:2] == usps])
        # Where a district's number is withheld there is no sum to hold against the state's.
        known = districts.columns[~(districts == 0).any().to_numpy()]
        whole = total[known].reindex([usps])
        say = "the districts add up to {}, the row reads {}"
        soi_cells.require_equal(soi_cells.added(districts[known], usps), whole, len(districts), path, say, _RELATIVE)


def _figures(
    cells: pd.DataFrame, items: tuple[Item, ...], places: dict[int, str], pairs: pd.DataFrame
) -> Iterator[Figure]:
    values, kinds = _old_values(cells, items, places)
    moved = redistricting.move(values, pairs)
    for code, row in zip(moved.index, moved.to_numpy().tolist(), strict=True):
        for (item, bounds), value in zip(kinds, row, strict=True):
            if not math.isnan(value):
                constraints = item.constraints(bounds)
                yield Figure("district", district_key(int(code)), item.variable, value, item.unit, constraints)


def _old_values(
    cells: pd.DataFrame, items: tuple[Item, ...], places: dict[int, str]
) -> tuple[pd.DataFrame, list[tuple[Item, Bounds | None]]]:
    """Values by old district, NaN for what is withheld, and the item and class of each column."""
    columns: list[list[float]] = []
    kinds: list[tuple[Item, Bounds | None]] = []
    for item in items:
        values = soi_cells.by_place(item, cells)
        rows = [_known(values[place], values[place[:2]]) for place in places.values()]
        kept = (None, *DISTRICT_BANDS) if item.code in _BY_CLASS else (None,)
        kinds += [(item, bounds) for bounds in kept]
        columns += [list(column) for column in list(zip(*rows, strict=True))[: len(kept)]]
    return pd.DataFrame(dict(enumerate(columns)), index=pd.Index(list(places), name="old")), kinds


def _known(district: list[float], state: list[float]) -> list[float]:
    """A district's total and classes, NaN where a zero says that they are withheld or that there are none."""
    total = math.nan if district[0] == 0 and state[0] != 0 else district[0]
    kept = soi_items.as_published(district[1:], state[1:])
    return [total, *(value if keep else math.nan for value, keep in zip(district[1:], kept, strict=True))]
