"""The cells of IRS tables by place and class of AGI as numbers, and the sums that they have to keep.

A table of cells is a DataFrame of floats indexed by place (text) and class (0 for all, then 1 and up), with the columns
of `soi_items`: numbers of returns or persons, and amounts in thousands of dollars. Every published number is rounded by
itself, numbers to ten and amounts to a thousand dollars, so sums may differ by five, and by one thousand dollars (some
amounts are cut, not rounded), for each number in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.targets.loaders.common import number
from tessera.targets.loaders.soi_items import Item, is_amount

PLACE, CLASS = "place", "class"
# Earned income credit, returns and amount: in all, and with no, one, two, three or more qualifying children.
EITC_PARTS = {f"{kind}59660": tuple(f"{kind}5966{part}" for part in range(1, 5)) for kind in "NA"}
_RETURNS_OFF, _AMOUNT_OFF = 5.0, 1.0


def parse(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    """Cells of a table whose text columns are `PLACE`, `CLASS` and `columns`.

    Raises:
        SourceError: names place, class and column of a cell that is blank, marked, no number, or a negative count.
    """
    places, classes = list(frame[PLACE]), [int(label) for label in frame[CLASS]]
    data = {column: _numbers(frame[column], places, classes, path) for column in columns}
    return pd.DataFrame(data, index=pd.MultiIndex.from_arrays([places, classes], names=[PLACE, CLASS])).sort_index()


def _numbers(cells: pd.Series[str], places: list[str], classes: list[int], path: Path) -> npt.NDArray[np.float64]:
    """Plain numbers at once, the rest (separators, brackets, dollar signs) cell by cell; what is none is named."""
    column = str(cells.name)
    minimum = None if is_amount(column) else 0.0
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, copy=True)
    doubtful = ~np.isfinite(values) if minimum is None else ~(np.isfinite(values) & (values >= minimum))
    for row in np.flatnonzero(doubtful):
        where = f"{places[row]}, class {classes[row]}, column {column}"
        values[row] = number(cells.iloc[row], path, where, minimum=minimum)
    return values


def by_place(item: Item, cells: pd.DataFrame) -> dict[str, list[float]]:
    """Values of an item in dollars or units, by place: all classes together first, then class by class."""
    table = item.evaluate({column: cells[column] for _, column in item.terms}).unstack(CLASS)
    return {str(place): list(row) for place, row in zip(table.index, table.to_numpy().tolist(), strict=True)}


def totals(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of all classes together, one row a place."""
    whole = cells[cells.index.get_level_values(CLASS) == 0]
    return whole.set_axis(whole.index.get_level_values(PLACE))


def total(cells: pd.DataFrame, place: str, column: str) -> float:
    """The cell of a place and column, all classes together."""
    whole = totals(cells)
    return dict(zip(whole.index, whole[column].to_numpy(np.float64).tolist(), strict=True))[place]


def added(cells: pd.DataFrame, name: str) -> pd.DataFrame:
    """The sum of some rows as a table with one row of that name."""
    return pd.DataFrame([cells.sum().to_dict()], index=[name])


def check_classes(cells: pd.DataFrame, path: Path, *, relative: float = 0.0) -> None:
    """Refuse a place whose classes do not add up to its total (class 0).

    Args:
        cells: of places with all their classes.
        path: named in the message.
        relative: gap that is allowed beyond rounding, as a share of the total.
    """
    classes = cells[cells.index.get_level_values(CLASS) > 0].groupby(level=PLACE)
    parts = int(classes.size().max())
    require_equal(
        classes.sum(), totals(cells), parts, path, "the AGI classes add up to {}, the total reads {}", relative
    )


def check_eitc(cells: pd.DataFrame, path: Path, *, relative: float = 0.0) -> None:
    """Refuse a place whose earned income credit by number of children does not add up to the credit in all."""
    say = "the numbers of children add up to {}, the credit in all reads {}"
    places = totals(cells)
    for whole, parts in EITC_PARTS.items():
        sums = places[list(parts)].sum(axis=1).to_frame(whole)
        require_equal(sums, places[[whole]], len(parts), path, say, relative)


def require_equal(
    sums: pd.DataFrame, wanted: pd.DataFrame, parts: int, path: Path, say: str, relative: float = 0.0
) -> None:
    """Refuse sums that differ from the published totals by more than rounding.

    Args:
        sums: one row a place, one column an item.
        wanted: the published totals, of the same rows and columns.
        parts: published numbers in each sum.
        path: named in the message.
        say: what is compared, with a place for each of the two numbers.
        relative: gap that is allowed beyond rounding, as a share of the total.

    Raises:
        SourceError: names the place, the column and both numbers.
    """
    for column in wanted.columns:
        off = _AMOUNT_OFF if is_amount(str(column)) else _RETURNS_OFF
        expected = wanted[column].to_numpy(np.float64)
        seen = sums[column].reindex(wanted.index).to_numpy(np.float64)
        wrong = np.flatnonzero(~(np.abs(seen - expected) <= off * (parts + 1) + relative * np.abs(expected)))
        if len(wrong):
            row = int(wrong[0])
            words = say.format(f"{seen[row]:,.0f}", f"{expected[row]:,.0f}")
            raise SourceError(f"{path}: {wanted.index[row]}, column {column}: {words}; fetch the file again.")
