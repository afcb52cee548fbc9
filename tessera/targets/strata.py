"""Strata: places and domains of a table of figures as a hierarchy, US > state > district > domain within each place.

A stratum's full definition is its geographic constraints (state_fips, congressional_district_geoid) and those of its
domain; its hash identifies it. Holds no database.
"""

from __future__ import annotations

import hashlib

import pandas as pd

from tessera.geography.areas import district_key, states
from tessera.targets.figures import GEO_LEVELS, Constraint, constraints_from_json, constraints_to_json

COLUMNS = ("stratum_id", "parent_stratum_id", "definition_hash", "geo_level", "geo_id", "constraints")


def build_strata(figures: pd.DataFrame) -> pd.DataFrame:
    """Strata of the 488 places and of every domain that a figure has.

    Args:
        figures: columns geo_level, geo_id, constraints.

    Returns:
        Columns of `COLUMNS`; ids from 0 in order of level, place, domain; the parent of the nation is -1.
    """
    rows: list[dict[str, object]] = []
    ids: dict[tuple[str, str], int] = {}
    for level, place, parent in _places():
        parent_id = -1 if parent is None else ids[parent, "[]"]
        ids[place, "[]"] = len(rows)
        rows.append(_row(len(rows), parent_id, level, place, "[]"))
    for level, place, constraints in _domains(figures):
        ids[place, constraints] = len(rows)
        rows.append(_row(len(rows), ids[place, "[]"], level, place, constraints))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def geographic_constraints(geo_level: str, geo_id: str) -> tuple[Constraint, ...]:
    """Constraints that place a stratum: none for the nation, state_fips, and the district's code beside it."""
    if geo_level == "national":
        return ()
    fips = {state.usps: state.fips for state in states()}[geo_id[:2]]
    if geo_level == "state":
        return (("state_fips", "==", fips),)
    return (("state_fips", "==", fips), ("congressional_district_geoid", "==", fips * 100 + int(geo_id[3:])))


def definition_hash(geo_level: str, geo_id: str, constraints: str) -> str:
    """sha256 of the canonical JSON of all constraints, geography included."""
    full = (*geographic_constraints(geo_level, geo_id), *constraints_from_json(constraints))
    return hashlib.sha256(constraints_to_json(full).encode("utf-8")).hexdigest()


def _places() -> list[tuple[str, str, str | None]]:
    places: list[tuple[str, str, str | None]] = [("national", "US", None)]
    places += [("state", state.usps, "US") for state in states()]
    return places + [
        ("district", district_key(code), state.usps) for state in states() for code in state.district_codes
    ]


def _domains(figures: pd.DataFrame) -> list[tuple[str, str, str]]:
    domains = figures.loc[figures["constraints"] != "[]", ["geo_level", "geo_id", "constraints"]].drop_duplicates()
    order: dict[str, int] = {level: position for position, level in enumerate(GEO_LEVELS)}
    listed = [(str(level), str(place), str(text)) for level, place, text in domains.itertuples(index=False)]
    return sorted(listed, key=lambda domain: (order[domain[0]], domain[1], domain[2]))


def _row(stratum_id: int, parent: int, level: str, place: str, constraints: str) -> dict[str, object]:
    digest = definition_hash(level, place, constraints)
    return dict(zip(COLUMNS, (stratum_id, parent, digest, level, place, constraints), strict=True))
