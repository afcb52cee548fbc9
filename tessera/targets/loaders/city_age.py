"""Persons by age in the cities of the catalogue, which are unions of counties: ACS table S0101.

Two ways, each a source of its own, so that a user sees which one a figure comes from:

- `load_counties`, source census_acs_s0101_counties: the API's answer for counties, added up. Exact. The ACS 1-year
  tables have counties of 65,000 people and more, which holds for every county of a city.
- `load`, source census_acs_s0101_district_shares: the districts' table, each district times the share of its people who
  live in the city, P(county | district) of the 2020 census (`tessera/geography/county_shares.py`). A share is the same
  at every age, and of 2020: an estimate, for where the answer for counties is not at hand.

Figures, in persons: person_count in all and in the 18 five-year groups (age >= lo and age < hi; 85 and over without an
upper bound); geo_level city, geo_id the key of the catalogue (NYC). Estimates are whole persons.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import SourceError
from tessera.geography import county_shares
from tessera.geography.areas import Area, areas_of_kind, district_key
from tessera.targets.figures import Figure, Provenance, records, to_frame
from tessera.targets.loaders.acs_age import YEAR, age_bins, age_constraints, group_columns, groups_of
from tessera.targets.loaders.acs_places import read_answer, read_places

SOURCE_SHARES = "census_acs_s0101_district_shares"
SOURCE_COUNTIES = "census_acs_s0101_counties"
_URL = "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S0101)&for="
_COUNTY_MARK = "0500000US"

Groups = npt.NDArray[np.float64]


def load(path: Path) -> pd.DataFrame:
    """19 estimates for each city, from the answer for districts.

    Args:
        path: S0101 by congressional district.

    Raises:
        SourceError: what `acs_age.load` refuses.
    """
    frame = read_places(path, "district", group_columns("01"), YEAR)
    groups = {row["geo_id"]: np.array(groups_of(row, row["geo_id"], path)[1]) for row in records(frame)}
    cities = [(city, np.rint(_by_shares(city, groups))) for city in areas_of_kind("city")]
    provenance = Provenance(
        SOURCE_SHARES,
        "S0101 district x P(county | district)",
        _URL + "congressional%20district:*&in=state:*",
        "ACS 2024 1-year, 119th Congress; shares of the 2020 census",
        YEAR,
    )
    return to_frame(_figures(cities), provenance)


def load_counties(path: Path) -> pd.DataFrame:
    """19 figures for each city, from the answer for counties.

    Args:
        path: S0101 by county (`for=county:*&in=state:*`).

    Raises:
        SourceError: a file of another year or level, a missing column, a county of a city that is missing or there
            twice, a suppressed cell, groups that do not add up.
    """
    frame = read_answer(path, _COUNTY_MARK, group_columns("01"), YEAR)
    by_county: dict[str, list[dict[str, str]]] = {}
    for row in records(frame):
        by_county.setdefault(row["GEO_ID"].removeprefix(_COUNTY_MARK), []).append(row)
    cities = [
        (city, np.sum([_of_county(by_county, fips, path) for fips in city.county_fips], axis=0))
        for city in areas_of_kind("city")
    ]
    vintage = "ACS 2024 1-year, counties added up"
    provenance = Provenance(SOURCE_COUNTIES, "S0101 county", _URL + "county:*&in=state:*", vintage, YEAR)
    return to_frame(_figures(cities), provenance)


def _figures(cities: list[tuple[Area, Groups]]) -> Iterator[Figure]:
    for city, groups in cities:
        yield Figure("city", city.key, "person_count", float(groups.sum()), "person")
        for position in range(len(age_bins())):
            yield Figure("city", city.key, "person_count", float(groups[position]), "person", age_constraints(position))


def _by_shares(city: Area, groups: dict[str, Groups]) -> Groups:
    shares = county_shares.load()
    inside = shares[shares["county_fips"].astype(int).isin(city.county_fips)]
    added = np.zeros(len(age_bins()))
    for row in records(inside):
        added += groups[district_key(int(row["district"]))] * float(row["share"])
    return added


def _of_county(by_county: dict[str, list[dict[str, str]]], fips: int, path: Path) -> Groups:
    rows = by_county.get(f"{fips:05d}", [])
    if len(rows) != 1:
        raise SourceError(
            f"{path}: county {fips:05d} is there {len(rows)} times; wanted once, as a city is made of it. "
            "Fetch the answer for all counties (for=county:*&in=state:*)."
        )
    return np.array(groups_of(rows[0], f"county {fips:05d}", path)[1])
