"""What IRS SOI Publication 1304 counts in several tax years, by name: amounts, returns, and classes of AGI (nation).

Names: a variable for its amount; `returns` for all returns, `returns:VARIABLE` for those with the variable above zero,
and below it where the table counts returns with a loss too (`returns:tax_unit_itemizes` for those that itemise). Where
several tables have one, table 1.1 comes first, then 1.4, 2.5, 1.2 and 2.1: the first three are of all filers, the
others of those who take the deduction. Years come from one table. Which years: those whose tables have the layout that
the loaders know. Holds no growth and no rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.targets.classes import EVERYBODY, Interval, split
from tessera.targets.figures import constraints_from_json
from tessera.targets.loaders import soi_table_1_1, soi_table_1_2, soi_table_1_4, soi_table_2_1, soi_table_2_5

RETURNS = "returns"
_LOSSES = "losses"
_LOADERS = {
    "1_1": soi_table_1_1.load,
    "1_4": soi_table_1_4.load,
    "2_5": soi_table_2_5.load,
    "1_2": soi_table_1_2.load,
    "2_1": soi_table_2_1.load,
}
# Tax years whose tables have the layout that the loaders know.
_ALL, _LATE = (2020, 2021, 2022, 2023), (2022, 2023)
_YEARS = {"1_1": _ALL, "1_4": _ALL, "2_5": _ALL, "1_2": _LATE, "2_1": _LATE}
_COUNT = "tax_unit_count"
_FILER, _ITEMIZES = "tax_unit_is_filer", "tax_unit_itemizes"
# Tables of deductions are of returns with some AGI: that is their total.
_POSITIVE: Interval = (1.0, float("inf"))


@dataclass(frozen=True)
class SoiSeries:
    """Numbers by name and tax year.

    Attributes:
        totals: amounts (dollars) and returns.
        classes: the same by class of AGI, where the table goes by it.
    """

    totals: dict[str, dict[int, float]]
    classes: dict[str, dict[int, dict[Interval, float]]]


@dataclass
class _Series:
    """One name in one table: constraints beside AGI, total, and classes."""

    rest: str
    total: float | None
    classes: dict[Interval, float]


def read_series(path: dict[str, Path]) -> SoiSeries:
    """Series from the tables among official files.

    Args:
        path: of official files by name; those named soi_table_TABLE_YEAR are read, of the years whose layout is known.

    Raises:
        SourceError: a table that is missing or not what its loader knows.
    """
    totals: dict[str, dict[int, float]] = {}
    classes: dict[str, dict[int, dict[Interval, float]]] = {}
    for table, load in _LOADERS.items():
        of_table: dict[str, dict[int, _Series]] = {}
        for year in _YEARS[table]:
            if (name := f"soi_table_{table}_{year}") in path:
                for one, series in _series(load(path[name], year)).items():
                    of_table.setdefault(one, {})[year] = series
        for one, by_year in of_table.items():
            if one not in totals:
                totals[one] = {year: series.total for year, series in by_year.items() if series.total is not None}
                classes[one] = {year: series.classes for year, series in by_year.items()}
    return SoiSeries(totals, classes)


def _series(figures: pd.DataFrame) -> dict[str, _Series]:
    """What a table has under each name; of several domains with one name, that with the fewest constraints."""
    found: dict[str, _Series] = {}
    for variable, text, value in figures[["variable", "constraints", "value"]].itertuples(index=False):
        parts = split(str(text))
        name = _name(str(variable), parts[0]) if parts is not None else ""
        if not name or parts is None:
            continue
        rest, interval = parts
        if name not in found or rest.count("[") < found[name].rest.count("["):
            found[name] = _Series(rest, None, {})
        series = found[name]
        if rest != series.rest:
            continue
        if interval == EVERYBODY or (interval == _POSITIVE and series.total is None):
            series.total = float(value)
        elif interval != _POSITIVE:
            series.classes[interval] = float(value)
    return _with_losses({name: series for name, series in found.items() if series.total is not None})


def _with_losses(found: dict[str, _Series]) -> dict[str, _Series]:
    """Series with the returns of a loss among those of a gain."""
    for name in [name for name in found if name.startswith(f"{_LOSSES}:")]:
        losses, gains = found.pop(name), found.get(name.replace(_LOSSES, RETURNS, 1))
        if gains is not None:
            gains.total = (gains.total or 0.0) + (losses.total or 0.0)
            every = {**gains.classes, **losses.classes}
            gains.classes = {one: gains.classes.get(one, 0.0) + losses.classes.get(one, 0.0) for one in every}
    return found


def _name(variable: str, rest: str) -> str:
    """Name of figures, from their constraints beside AGI; empty for those of a narrower domain."""
    rows = [row for row in constraints_from_json(rest) if row[0] != _FILER]
    beside = [row for row in rows if row[0] != _ITEMIZES]
    if variable != _COUNT:
        return variable if beside in ([], [(variable, ">", 0.0)]) else ""
    if not rows:
        return RETURNS
    if not beside:
        return f"{RETURNS}:{_ITEMIZES}" if rows[0][2] == 1 else ""
    if len(beside) != 1:
        return ""
    one, operation, value = beside[0]
    kind = {(">", 0.0): RETURNS, ("<", 0.0): _LOSSES}.get((operation, value), "")
    return f"{kind}:{one}" if kind else ""
