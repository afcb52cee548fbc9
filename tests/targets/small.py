"""A small table of figures for tests that need no official ones: some of each level, with domains and two sources."""

from __future__ import annotations

import pandas as pd

from tessera.geography.areas import district_key, states
from tessera.targets.figures import Constraint, Figure, GeoLevel, Provenance, to_frame

CENSUS = Provenance("census", "S1", "https://example.org/census", "2024", 2024)
USDA = Provenance("usda", "T1", "https://example.org/usda", "FY 2024", 2024)
PAPER = Provenance("paper", "P9", "https://example.org/paper", "2022", 2022)
OLD: tuple[Constraint, ...] = (("age", ">=", 65),)
SNAP: tuple[Constraint, ...] = (("snap", ">", 0),)


def small_figures(*, national_snap: float = 5_100.0) -> pd.DataFrame:
    """Persons and persons of 65 and over of the three levels, SNAP of states and the nation, and a second source of it.

    Districts add up to states and states to the nation. `national_snap` is what the second source says; 5,100 agrees.
    """
    every = [Figure("district", district_key(code), "person_count", 100.0, "person")
             for state in states() for code in state.district_codes]  # fmt: skip
    every += [_persons("state", state.usps, state.n_districts, 100.0) for state in states()]
    every += [_persons("national", "US", 436, 100.0)]
    old = [Figure(one.geo_level, one.geo_id, one.variable, one.value * 0.2, one.unit, OLD) for one in every]
    snap = [Figure("state", state.usps, "snap", 100.0, "dollar") for state in states()]
    snap += [Figure("national", "US", "snap", 5_100.0, "dollar")]
    snap += [Figure("state", state.usps, "household_count", 10.0, "household", SNAP) for state in states()]
    second = [Figure("national", "US", "snap", national_snap, "dollar")]
    tables = (to_frame(every + old, CENSUS), to_frame(snap, USDA), to_frame(second, PAPER))
    figures = pd.concat(tables, ignore_index=True)
    return figures.assign(period=2024)


def _persons(level: GeoLevel, place: str, districts: int, each: float) -> Figure:
    return Figure(level, place, "person_count", districts * each, "person")
