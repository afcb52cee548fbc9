"""ACS subject table S2201 by district: all households, and those that received SNAP in the past twelve months.

Reads the JSON answer of the Census API. Figures: household_count, and household_count with snap > 0. The survey finds
fewer recipients than the administrative records: `reconcile` scales the districts of a state to its caseload.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import SourceError
from tessera.targets.figures import Figure, Provenance, to_frame
from tessera.targets.loaders.acs_age import read_geography
from tessera.targets.loaders.common import number

YEAR = 2024
HOUSEHOLDS = "S2201_C01_001E"
WITH_SNAP = "S2201_C03_001E"
_URL = "https://api.census.gov/data/2024/acs/acs1/subject?get=group(S2201)&for=congressional%20district:*&in=state:*"


def load(path: Path) -> pd.DataFrame:
    """Two figures for each of the 436 districts.

    Raises:
        SourceError: a missing column, a missing or repeated district, a suppressed cell, more recipients than
            households.
    """
    frame = read_geography(path, "district", [HOUSEHOLDS, WITH_SNAP])
    provenance = Provenance("census_acs_s2201", "S2201 district", _URL, "ACS 2024 1-year, 119th Congress", YEAR)
    return to_frame(_figures(frame, path), provenance)


def _figures(frame: pd.DataFrame, path: Path) -> Iterator[Figure]:
    for row in frame.to_dict("records"):
        place = str(row["geo_id"])
        households = number(row[HOUSEHOLDS], path, f"{place}, {HOUSEHOLDS}", minimum=1)
        recipients = number(row[WITH_SNAP], path, f"{place}, {WITH_SNAP}", minimum=0)
        if recipients > households:
            raise SourceError(f"{path}: {place}: {recipients:.0f} households with SNAP of {households:.0f} in all.")
        yield Figure("district", place, "household_count", households, "household")
        yield Figure("district", place, "household_count", recipients, "household", (("snap", ">", 0),))
