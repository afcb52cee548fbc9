"""ACS subject table S0101: persons by five-year age group, of the nation, the states or the districts.

Reads the JSON answer of the Census API (`acs/acs1/subject?get=group(S0101)`). Figures: person_count with age >= lo
and age < hi; the top group, 85 and over, has no upper bound. Rules: Puerto Rico is left out; an at-large district (00,
or 98 for a delegate) has number 1; a suppressed cell is an error, because the groups must add up to the total that is
read beside them (`S0101_C01_001E`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.geography.areas import district_key, state_by_fips, states, stratum_districts
from tessera.targets.figures import Constraint, Figure, GeoLevel, Provenance, records, to_frame
from tessera.targets.loaders.common import number, read_census_json, require_columns, require_each_once

YEAR = 2024
TOTAL = "S0101_C01_001E"
_PUERTO_RICO = "72"
_URL = "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S0101)"
_GEO_COLUMNS: dict[GeoLevel, tuple[str, ...]] = {
    "national": ("us",),
    "state": ("state",),
    "district": ("state", "congressional district"),
}
_VINTAGE_MARK = {"national": "0100000US", "state": "0400000US", "district": "5001900US"}


def age_bins() -> tuple[tuple[int, int | None], ...]:
    """The 18 groups as (lowest age, first age above); the last has no upper bound."""
    return (*((low, low + 5) for low in range(0, 85, 5)), (85, None))


def bin_column(position: int) -> str:
    """Column of the estimate of group number `position` (0 to 17)."""
    return f"S0101_C01_{position + 2:03d}E"


def load(path: Path, level: GeoLevel) -> pd.DataFrame:
    """Age figures of one level.

    Args:
        path: the API's JSON answer.
        level: which of the three files it is.

    Returns:
        18 figures for each place: 1, 51 or 436 places.

    Raises:
        SourceError: a missing column, a missing or repeated place, another Congress, groups that do not add up.
    """
    frame = read_geography(path, level, [TOTAL, *(bin_column(position) for position in range(18))])
    provenance = Provenance("census_acs_s0101", f"S0101 {level}", _URL, "ACS 2024 1-year, 119th Congress", YEAR)
    return to_frame(_figures(frame, level, path), provenance)


def read_geography(path: Path, level: GeoLevel, columns: list[str]) -> pd.DataFrame:
    """Rows of one level below a `geo_id` column (US, CA, CA-12), in catalogue order; each place exactly once."""
    frame = read_census_json(path)
    needed = ["GEO_ID", *_GEO_COLUMNS[level], *columns]
    require_columns(frame, needed, path)
    frame = frame[needed].copy()
    wrong = frame.loc[~frame["GEO_ID"].str.startswith(_VINTAGE_MARK[level]), "GEO_ID"]
    if len(wrong):
        raise SourceError(
            f"{path}: place {wrong.iloc[0]} is not of the wanted level and Congress ({_VINTAGE_MARK[level]}...); "
            "fetch the 2024 table, which has the districts of the 119th Congress."
        )
    if level != "national":
        frame = frame[frame["state"] != _PUERTO_RICO]
    frame = frame.assign(geo_id=[_geo_id(row, level, path) for row in records(frame)])
    wanted = _places(level)
    require_each_once(frame["geo_id"], wanted, path, level)
    return frame.set_index("geo_id").loc[wanted].reset_index()


def _figures(frame: pd.DataFrame, level: GeoLevel, path: Path) -> Iterator[Figure]:
    for row in records(frame):
        place = str(row["geo_id"])
        total = number(row[TOTAL], path, f"{place}, {TOTAL}", minimum=0)
        added = 0.0
        for position, (low, high) in enumerate(age_bins()):
            column = bin_column(position)
            value = number(row[column], path, f"{place}, {column}", minimum=0)
            added += value
            bounds: list[Constraint] = [("age", ">=", low)]
            if high is not None:
                bounds.append(("age", "<", high))
            yield Figure(level, place, "person_count", value, "person", tuple(bounds))
        if added != total:
            raise SourceError(
                f"{path}: {place}: the age groups add up to {added:.0f}, the total {TOTAL} is {total:.0f}."
            )


def _geo_id(row: dict[str, str], level: GeoLevel, path: Path) -> str:
    if level == "national":
        return "US"
    try:
        fips = int(row["state"])
        if level == "state":
            return state_by_fips(fips).usps
        published = row["congressional district"]
        return district_key(fips * 100 + (1 if published in ("00", "98") else int(published)))
    except (ValueError, LookupError) as error:
        raise SourceError(f"{path}: place {row['GEO_ID']}: {error}") from error


def _places(level: GeoLevel) -> list[str]:
    if level == "national":
        return ["US"]
    if level == "state":
        return [state.usps for state in states()]
    return [district_key(code) for code in stratum_districts()]
