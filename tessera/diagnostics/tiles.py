"""Tile layout of the country: a square a state on a coarse grid, cut into a cell a district.

Holds positions only; draws nothing. A state's tile is divided row by row, left to right, into the smallest near-square
grid that holds its districts in code order; the cells of the last row share its width, so that a tile is always full.
Above the cells a strip is left for the state's name. Every state has the same area on the map, and California's 52
cells are small: the map shows where, not how many.

Coordinates: x to the right, y downward, one unit a state tile. The placement of the states is our own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, sqrt

from tessera.errors import GeographyError
from tessera.geography.areas import state_by_usps, states

# One string a row of the grid, two letters and a space a tile.
_ROWS = (
    "AK .. .. .. .. .. .. .. .. .. ME",
    ".. .. .. .. .. .. .. .. .. VT NH",
    "WA ID MT ND MN WI MI .. NY MA RI",
    "OR UT WY SD IA IL IN OH PA NJ CT",
    "CA NV CO NE MO KY WV VA MD DE ..",
    ".. AZ NM KS AR TN NC SC DC .. ..",
    ".. .. .. OK LA MS AL GA .. .. ..",
    "HI .. .. TX .. .. .. .. FL .. ..",
)
_GAP = 0.04
HEADER = 0.2


@dataclass(frozen=True)
class Cell:
    """A district's rectangle on the map: its code, upper left corner, width and height."""

    code: int
    x: float
    y: float
    width: float
    height: float


@cache
def state_positions() -> dict[str, tuple[int, int]]:
    """Column and row of each state's tile, by postal code; covers the 51 states of the catalogue exactly."""
    found = {
        usps: (column, row)
        for row, line in enumerate(_ROWS)
        for column, usps in enumerate(line.split())
        if usps != ".."
    }
    wanted = {state.usps for state in states()}
    if set(found) != wanted:
        raise GeographyError(
            f"Tile layout: {sorted(wanted ^ set(found))} are not on both the map and the catalogue; wanted each of the "
            "51 states once. Correct the rows of tessera/diagnostics/tiles.py."
        )
    return found


@cache
def district_cells() -> tuple[Cell, ...]:
    """Rectangles of the 436 stratum districts, in catalogue order."""
    return tuple(cell for usps in (state.usps for state in states()) for cell in _cells_of(usps))


def grid_shape() -> tuple[int, int]:
    """Columns and rows of the grid of state tiles."""
    return max(len(line.split()) for line in _ROWS), len(_ROWS)


def _cells_of(usps: str) -> list[Cell]:
    column, row = state_positions()[usps]
    codes = state_by_usps(usps).district_codes
    across = ceil(sqrt(len(codes)))
    n_rows = ceil(len(codes) / across)
    side = 1 - 2 * _GAP
    depth = side - HEADER
    cells = []
    for position, code in enumerate(codes):
        line = position // across
        in_line = min(across, len(codes) - line * across)
        width, height = side / in_line, depth / n_rows
        x = column + _GAP + (position - line * across) * width
        cells.append(Cell(code, x, row + _GAP + HEADER + line * height, width, height))
    return cells
