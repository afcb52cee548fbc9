"""Figures that agencies print in PDF documents only, from the packaged table `transcribed.csv`.

The table has a row a printed number: source, table, page, url, vintage, year, geo_level, geo_id, variable, constraints
(JSON, as in the table of figures), part, value (dollars or units), unit. Rows of a figure with different parts add up.
Of each source the latest year up to the model year is taken. The sources, and what their figures are:

- `acf_liheap`: households that the Low Income Home Energy Assistance Program assisted in the fiscal year (HHS, LIHEAP
  National Profile): household_count with an energy subsidy of its SPM unit above zero.
- `treasury_eitc`: the earned income tax credit of a fiscal year in Treasury's Tax Expenditures: its cost in outlays
  (payments above the tax) and in receipts (tax that it cancels) together are the whole credit, `eitc` of filers. An
  estimate made before the year; SOI counts 66.3 billion dollars in tax year 2023, which is claimed in fiscal 2024.
"""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import cast, get_args

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import (
    Constraint,
    Figure,
    GeoLevel,
    Provenance,
    constraints_from_json,
    constraints_to_json,
    to_frame,
)
from tessera.targets.loaders.common import number, read_csv

YEAR = 2024
PACKAGED = "transcribed.csv"
COLUMNS = (
    "source", "table", "page", "url", "vintage", "year", "geo_level", "geo_id", "variable", "constraints", "part",
    "value", "unit",
)  # fmt: skip
_SOURCE = ["source", "table", "url", "vintage", "year"]
_FIGURE = ["geo_level", "geo_id", "variable", "constraints", "unit"]


def load(path: Path, year: int = YEAR) -> pd.DataFrame:
    """Figures of every source of the table, of its latest year up to `year`.

    Raises:
        SourceError: other columns, a blank cell, a year or value that is no number, constraints that are no canonical
            JSON, a part that is there twice, a source with two publications in a year, or with later years only.
    """
    frame = read_csv(path)
    if tuple(frame.columns) != COLUMNS:
        raise SourceError(f"{path}: columns are {', '.join(frame.columns)}; wanted {', '.join(COLUMNS)}.")
    if frame.empty:
        raise SourceError(f"{path}: no rows; wanted at least one printed figure.")
    _check_cells(frame, path)
    numbered = frame.assign(
        year=[_year(cell, path, row) for row, cell in enumerate(frame["year"], start=2)],
        value=[number(cell, path, f"row {row}, value") for row, cell in enumerate(frame["value"], start=2)],
    )
    parts = [_source_figures(str(name), rows, path, year) for name, rows in numbered.groupby("source", sort=False)]
    return pd.concat(parts, ignore_index=True)


def load_packaged(year: int = YEAR) -> pd.DataFrame:
    """Figures of the table in the package."""
    with resources.as_file(resources.files("tessera.targets").joinpath(PACKAGED)) as path:
        return load(path, year)


def _source_figures(name: str, rows: pd.DataFrame, path: Path, year: int) -> pd.DataFrame:
    usable = rows[rows["year"] <= year]
    if usable.empty:
        raise SourceError(f"{path}: {name}: no figure of {year} or before; the first is of {rows['year'].min()}.")
    latest = usable[usable["year"] == usable["year"].max()]
    publications = latest[_SOURCE].drop_duplicates()
    if len(publications) > 1:
        raise SourceError(f"{path}: {name}: {len(publications)} publications in {latest['year'].iloc[0]}; wanted one.")
    figures = []
    for keys, group in latest.groupby(_FIGURE, sort=False):
        level, geo_id, variable, constraints, unit = (str(key) for key in cast("tuple[object, ...]", keys))
        parsed = constraints_from_json(constraints)
        figures.append(Figure(cast("GeoLevel", level), geo_id, variable, float(group["value"].sum()), unit, parsed))
    publication = publications.iloc[0]
    table, url, vintage = (str(publication[column]) for column in ("table", "url", "vintage"))
    return to_frame(figures, Provenance(name, table, url, vintage, int(publication["year"])))


def _check_cells(frame: pd.DataFrame, path: Path) -> None:
    for row, cells in enumerate(frame.to_dict("records"), start=2):
        blank = [column for column in COLUMNS if not str(cells[column]).strip()]
        if blank:
            raise SourceError(f"{path}: row {row}: the column {blank[0]} is blank; wanted a cell in each column.")
        if cells["geo_level"] not in get_args(GeoLevel):
            raise SourceError(f"{path}: row {row}: geo_level is {cells['geo_level']!r}; wanted one of a figure.")
        if _canonical(str(cells["constraints"])) != cells["constraints"]:
            raise SourceError(
                f"{path}: row {row}: constraints are {cells['constraints']!r}; wanted JSON such as "
                '[["snap",">",0]], sorted, without blanks.'
            )
    keys = ["source", "year", *_FIGURE, "part"]
    twice = frame.duplicated(keys)
    if twice.any():
        row = int(twice.to_numpy().argmax()) + 2
        raise SourceError(f"{path}: row {row}: part {frame['part'].iloc[row - 2]!r} of its figure is there twice.")


def _canonical(text: str) -> str | None:
    try:
        parsed: tuple[Constraint, ...] = constraints_from_json(text)
    except (json.JSONDecodeError, TypeError, ValueError):
        return None
    return constraints_to_json(parsed)


def _year(cell: object, path: Path, row: int) -> int:
    text = str(cell)
    if not (len(text) == 4 and text.isdigit()):
        raise SourceError(f"{path}: row {row}: year is {cell!r}; wanted four digits.")
    return int(text)
