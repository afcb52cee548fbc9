"""Answers of the Census API for the American Community Survey: rows of a table below the keys of our places.

Holds no table. Rules: Puerto Rico is left out; an at-large district (00, or 98 for a delegate) has number 1; each place
of the level is there exactly once. An answer does not say its year, so the name of the file has to (`..._2024.json`);
the `GEO_ID` says the level, and for districts the Congress (50019 is the 119th).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import district_key, state_by_fips, states, stratum_districts
from tessera.targets.figures import GeoLevel, records
from tessera.targets.loaders.common import read_census_json, require_columns, require_each_once

_PUERTO_RICO = "72"
_AT_LARGE = ("00", "98")
_GEO_COLUMNS: dict[GeoLevel, tuple[str, ...]] = {
    "national": ("us",),
    "state": ("state",),
    "district": ("state", "congressional district"),
}
_LEVEL_MARK: dict[GeoLevel, str] = {"national": "0100000US", "state": "0400000US", "district": "5001900US"}


def read_places(path: Path, level: GeoLevel, columns: list[str], year: int) -> pd.DataFrame:
    """Rows of one level of an answer.

    Args:
        path: the JSON answer.
        level: national, state or district.
        columns: the estimates wanted.
        year: year that the file's name has to hold.

    Returns:
        Columns geo_id (US, CA, CA-12) and `columns` (text, as published), in catalogue order.

    Raises:
        SourceError: a file of another year, level or Congress, a missing column, a place that is missing, unknown or
            there twice.
    """
    frame = read_answer(path, _LEVEL_MARK[level], [*_GEO_COLUMNS[level], *columns], year)
    if level != "national":
        frame = frame[frame["state"] != _PUERTO_RICO]
    frame = frame.assign(geo_id=[_geo_id(row, level, path) for row in records(frame)])
    wanted = _places(level)
    require_each_once(frame["geo_id"], wanted, path, level)
    return frame.set_index("geo_id").loc[wanted, columns].reset_index()


def read_answer(path: Path, mark: str, columns: list[str], year: int) -> pd.DataFrame:
    """An answer's `GEO_ID` and columns (text), if it is of the year and every `GEO_ID` begins with a mark."""
    require_year(path, year)
    frame = read_census_json(path)
    require_columns(frame, ["GEO_ID", *columns], path)
    wrong = frame.loc[~frame["GEO_ID"].str.startswith(mark, na=False), "GEO_ID"]
    if len(wrong):
        raise SourceError(
            f"{path}: place {wrong.iloc[0]} is not of the wanted level and Congress ({mark}...); "
            f"fetch the table of {year}, whose districts are those of the 119th Congress."
        )
    return frame[["GEO_ID", *columns]].copy()


def require_year(path: Path, year: int) -> None:
    """Raise if the name of a file does not hold the year, which its content does not tell."""
    if str(year) not in path.name:
        raise SourceError(
            f"{path}: the name does not hold {year}; the answer itself has no year, so the name must tell it. "
            f"Fetch the table of {year}, or rename the file if it is that."
        )


def _geo_id(row: dict[str, str], level: GeoLevel, path: Path) -> str:
    if level == "national":
        return "US"
    try:
        fips = int(row["state"])
        if level == "state":
            return state_by_fips(fips).usps
        published = row["congressional district"]
        return district_key(fips * 100 + (1 if published in _AT_LARGE else int(published)))
    except (ValueError, GeographyError) as error:
        raise SourceError(f"{path}: place {row['GEO_ID']}: {error}") from error


def _places(level: GeoLevel) -> list[str]:
    if level == "national":
        return ["US"]
    if level == "state":
        return [state.usps for state in states()]
    return [district_key(code) for code in stratum_districts()]
