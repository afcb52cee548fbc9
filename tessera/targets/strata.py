"""Strata: places and domains of a table of figures as a hierarchy, US > state > district or city > domain within each.

A stratum's full definition is its geographic constraints and those of its domain; its hash identifies it. A domain's
parent is the stratum of the same place with the largest part of its constraints: the place itself if there is no other.

Geographic constraints are state_fips, and beside it congressional_district_geoid for a district or city_county_fips for
a city. A city is a union of counties, which no conjunction can say; as a county belongs to one city at most, the lowest
FIPS code of its counties names it. Holds no database.
"""

from __future__ import annotations

import hashlib
import itertools
from functools import cache

import pandas as pd

from tessera.geography.areas import areas_of_kind, district_key, state_by_fips, states
from tessera.targets.figures import GEO_LEVELS, Constraint, constraints_from_json, constraints_to_json

COLUMNS = ("stratum_id", "parent_stratum_id", "definition_hash", "geo_level", "geo_id", "constraints", "domain")


def build_strata(figures: pd.DataFrame) -> pd.DataFrame:
    """Strata of every place and of every domain that a figure has.

    Args:
        figures: columns geo_level, geo_id, constraints.

    Returns:
        Columns of `COLUMNS`; ids from 0 in order of level, place, domain; the parent of the nation is -1; `domain` is
        the variables of the constraints in alphabetical order.
    """
    rows: list[tuple[object, ...]] = []
    ids: dict[tuple[str, str], int] = {}
    for level, place, parent in _places():
        ids[place, "[]"] = len(rows)
        parent_id = -1 if parent is None else ids[parent, "[]"]
        rows.append((len(rows), parent_id, definition_hash(level, place, "[]"), level, place, "[]", ""))
    domains = _domains(figures)
    ids |= {(place, text): len(rows) + position for position, (_, place, text) in enumerate(domains)}
    above = {text: _larger_domains(text) for text in {text for _, _, text in domains}}
    names = {text: domain_of(text) for text in above}
    for level, place, text in domains:
        parent_id = next(ids[place, larger] for larger in above[text] if (place, larger) in ids)
        digest = definition_hash(level, place, text)
        rows.append((ids[place, text], parent_id, digest, level, place, text, names[text]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


@cache
def geographic_constraints(geo_level: str, geo_id: str) -> tuple[Constraint, ...]:
    """Constraints that place a stratum: none for the nation, state_fips, beside it the code of a district or city."""
    if geo_level == "national":
        return ()
    if geo_level == "city":
        city = next(area for area in areas_of_kind("city") if area.key == geo_id)
        return (("state_fips", "==", float(city.state_fips or 0)), ("city_county_fips", "==", min(city.county_fips)))
    fips = next(state.fips for state in states() if state.usps == geo_id[:2])
    if geo_level == "state":
        return (("state_fips", "==", fips),)
    return (("state_fips", "==", fips), ("congressional_district_geoid", "==", fips * 100 + int(geo_id[3:])))


def definition_hash(geo_level: str, geo_id: str, constraints: str) -> str:
    """sha256 of the canonical JSON of all constraints, geography included."""
    full = (*geographic_constraints(geo_level, geo_id), *_parsed(constraints))
    return hashlib.sha256(constraints_to_json(full).encode("utf-8")).hexdigest()


def domain_of(constraints: str) -> str:
    """The variables of a domain in alphabetical order, joined by commas; "" for everybody."""
    return ",".join(sorted({variable for variable, _, _ in _parsed(constraints)}))


@cache
def _parsed(text: str) -> tuple[Constraint, ...]:
    return constraints_from_json(text)


@cache
def _places() -> tuple[tuple[str, str, str | None], ...]:
    """Level, id and id of the parent of every place, parents first."""
    of_states = [("state", state.usps, "US") for state in states()]
    districts = [("district", district_key(code), state.usps) for state in states() for code in state.district_codes]
    cities = [("city", area.key, state_by_fips(area.state_fips or 0).usps) for area in areas_of_kind("city")]
    return (("national", "US", None), *of_states, *districts, *cities)


def _larger_domains(text: str) -> list[str]:
    """The domains that hold a domain, nearest first: its constraints less one, less two, ..., none of them."""
    rows = _parsed(text)
    return [
        constraints_to_json(kept)
        for size in range(len(rows) - 1, -1, -1)
        for kept in itertools.combinations(rows, size)
    ]


def _domains(figures: pd.DataFrame) -> list[tuple[str, str, str]]:
    domains = figures.loc[figures["constraints"] != "[]", ["geo_level", "geo_id", "constraints"]].drop_duplicates()
    order: dict[str, int] = {level: position for position, level in enumerate(GEO_LEVELS)}
    listed = [(str(level), str(place), str(text)) for level, place, text in domains.itertuples(index=False)]
    return sorted(listed, key=lambda domain: (order[domain[0]], domain[1], domain[2]))
