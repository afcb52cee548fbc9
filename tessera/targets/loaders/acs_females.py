"""ACS table B01001: females of 15 to 44 years by state and narrow age group, 2023.

Reads the JSON answer of the Census API for columns B01001_030E to B01001_038E. Figures, in persons of 2023:
person_count with is_female and age >= lo, age < hi. They part the groups of table S0101 more finely (15 to 17, 18 and
19, 20, 21, 22 to 24). The answer holds neither totals nor names: that it is the right table shows by its columns, the
year by the file's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from tessera.errors import GeographyError, SourceError
from tessera.geography.areas import state_by_fips, states
from tessera.targets.figures import Constraint, Figure, Provenance, records, to_frame
from tessera.targets.loaders.acs_places import require_year
from tessera.targets.loaders.common import number, read_census_json, require_columns, require_each_once

YEAR = 2023
SOURCE = "census_acs_b01001"
# Column -> (lowest age, first age above).
GROUPS = {
    "B01001_030E": (15, 18),
    "B01001_031E": (18, 20),
    "B01001_032E": (20, 21),
    "B01001_033E": (21, 22),
    "B01001_034E": (22, 25),
    "B01001_035E": (25, 30),
    "B01001_036E": (30, 35),
    "B01001_037E": (35, 40),
    "B01001_038E": (40, 45),
}
_URL = f"https://api.census.gov/data/{YEAR}/acs/acs1?get={','.join(GROUPS)}&for=state:*"
_PUERTO_RICO = "72"


def load(path: Path) -> pd.DataFrame:
    """Nine figures for each of the 51 states.

    Raises:
        SourceError: a file of another year, a missing column, a missing, unknown or repeated state, a suppressed or
            negative cell.
    """
    require_year(path, YEAR)
    frame = read_census_json(path)
    require_columns(frame, ["state", *GROUPS], path)
    frame = frame[frame["state"] != _PUERTO_RICO]
    frame = frame.assign(geo_id=[_postal_code(code, path) for code in frame["state"]])
    wanted = [state.usps for state in states()]
    require_each_once(frame["geo_id"], wanted, path, "state")
    provenance = Provenance(SOURCE, "B01001 females 15 to 44", _URL, f"ACS {YEAR} 1-year", YEAR)
    return to_frame(_figures(frame.set_index("geo_id").loc[wanted].reset_index(), path), provenance)


def _figures(frame: pd.DataFrame, path: Path) -> Iterator[Figure]:
    for row in records(frame):
        for column, (low, high) in GROUPS.items():
            value = number(row[column], path, f"{row['geo_id']}, {column}", minimum=0)
            constraints: tuple[Constraint, ...] = (("age", ">=", low), ("age", "<", high), ("is_female", "==", 1))
            yield Figure("state", row["geo_id"], "person_count", value, "person", constraints)


def _postal_code(fips: str, path: Path) -> str:
    try:
        return state_by_fips(int(fips)).usps
    except (ValueError, GeographyError) as error:
        raise SourceError(f"{path}: state {fips!r}: {error}") from error
