"""IRS SOI Historic Table 2: income, deductions, credits and taxes by state and size of AGI.

Reads `22in55cmcsv.csv`: one row an area and class of AGI (class 0 is the total), money in thousands of dollars. Figures
are those of `soi_items`, for each of the 51 states in all and, where the list says so, by ten classes that do not
overlap (lower <= AGI < upper). Other areas (OA), Puerto Rico and the US row, which includes both, are read to check
that the areas add up, and give no figures.

A cell of a class that the IRS leaves empty to protect taxpayers is a zero in this file, its returns being counted in a
class beside it: such a class and those beside it are left out for that item and state (`soi_items.as_published`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import states
from tessera.targets.figures import Constraint, Figure, Provenance, to_frame
from tessera.targets.loaders import soi_cells, soi_items
from tessera.targets.loaders.common import read_csv, require_columns, require_each_once
from tessera.targets.loaders.soi_items import FILER, Bounds, Item

__all__ = ["BANDS", "FILER", "SOURCE", "YEAR", "band_constraints", "load"]

YEAR = 2022
SOURCE = "irs_soi_historic_2"
# Lower and upper bound of classes 1 to 10, dollars, as the file's documentation states them.
BANDS: tuple[Bounds, ...] = (
    (None, 1), (1, 10_000), (10_000, 25_000), (25_000, 50_000), (50_000, 75_000), (75_000, 100_000),
    (100_000, 200_000), (200_000, 500_000), (500_000, 1_000_000), (1_000_000, None),
)  # fmt: skip
_STATE, _CLASS, _RETURNS = "STATE", "AGI_STUB", "N1"
_NATION, _OTHER_AREAS = "US", ("OA", "PR")
# Returns of all areas as the state table for the nation prints them (22in54us.xlsx), which tells a year from another.
_RETURNS_OF_YEAR = {2022: 159_651_330}


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Figures of the 51 states.

    Raises:
        SourceError: a file of another year or table, a missing column, a missing or repeated row, a blank or negative
            count, classes, areas or parts that do not add up.
    """
    if not path.name.startswith(f"{year % 100:02d}in55"):
        raise SourceError(
            f"{path}: the name of Historic Table 2 of {year} starts with {year % 100:02d}in55; fetch that one."
        )
    items = soi_items.items()
    cells = _read(path, soi_items.columns(items))
    _check_year(cells, year, path)
    soi_cells.check_classes(cells, path)
    soi_cells.check_eitc(cells, path)
    _check_areas(cells, path)
    url = f"https://www.irs.gov/pub/irs-soi/{path.name}"
    return to_frame(_figures(cells, items, path), Provenance(SOURCE, "Historic Table 2", url, f"Tax year {year}", year))


def band_constraints(lower: float | None, upper: float | None) -> tuple[Constraint, ...]:
    """Filers with lower <= AGI < upper; None for no bound."""
    return (FILER, *soi_items.agi_range((lower, upper)))


def _areas() -> tuple[str, ...]:
    return (_NATION, *_OTHER_AREAS, *(state.usps for state in states()))


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    frame = read_csv(path)
    require_columns(frame, [_STATE, _CLASS, *columns], path)
    wanted = [(area, str(band)) for area in _areas() for band in range(len(BANDS) + 1)]
    require_each_once(zip(frame[_STATE], frame[_CLASS], strict=True), wanted, path, "state and AGI class")
    return soi_cells.parse(frame.rename(columns={_STATE: soi_cells.PLACE, _CLASS: soi_cells.CLASS}), columns, path)


def _check_year(cells: pd.DataFrame, year: int, path: Path) -> None:
    returns, wanted = soi_cells.total(cells, _NATION, _RETURNS), _RETURNS_OF_YEAR.get(year)
    if wanted is not None and returns != wanted:
        raise SourceError(
            f"{path}: the US row counts {returns:,.0f} returns, tax year {year} has {wanted:,}: the file is of another "
            "year or was revised; fetch that year's file, and follow a revision in this loader."
        )


def _check_areas(cells: pd.DataFrame, path: Path) -> None:
    """The states and the other areas of each class have to add up to the nation."""
    is_nation = cells.index.get_level_values(soi_cells.PLACE) == _NATION
    nation, areas = cells[is_nation], cells[~is_nation].groupby(level=soi_cells.CLASS).sum()
    names = [f"{_NATION}, class {band}" for band in areas.index]
    say = "the other areas add up to {}, the row reads {}"
    soi_cells.require_equal(areas.set_axis(names), nation.set_axis(names), len(_areas()) - 1, path, say)


def _figures(cells: pd.DataFrame, items: tuple[Item, ...], path: Path) -> Iterator[Figure]:
    tables = [(item, soi_cells.by_place(item, cells)) for item in items]
    for state in states():
        for item, values in tables:
            total, *classes = values[state.usps]
            of_nation, *classes_of_nation = values[_NATION]
            if total == 0 and of_nation != 0:
                raise SourceError(f"{path}: {state.usps}, column {item.code}: the total reads zero; wanted a number.")
            yield Figure("state", state.usps, item.variable, total, item.unit, item.constraints())
            if item.by_class:
                yield from _by_class(state.usps, item, classes, classes_of_nation)


def _by_class(usps: str, item: Item, values: list[float], nation: list[float]) -> Iterator[Figure]:
    kept = soi_items.as_published(values, nation)
    for value, keep, bounds in zip(values, kept, BANDS, strict=True):
        if keep:
            yield Figure("state", usps, item.variable, value, item.unit, item.constraints(bounds))
