"""The catalogue of areas: the nation, 51 states, 435 voting districts of the 119th Congress, and cities.

The one place that knows how many areas there are and what they are called. Two sums, both tested, that happen to agree:
files are 1 national + 51 states (with DC) + 435 districts + cities; target strata know 1 + 51 + 436 districts, because
the DC delegate's district is a stratum too (its file is the state of DC).

Codes: a district is the integer state_fips * 100 + number, an at-large district has number 1 (Alaska 201, DC 1101).
Keys: `US`, `CA`, `CA-12`, `NYC`; districts are in code order of their states' postal order, so that a state's districts
are adjacent. Seats: 2020 apportionment (U.S. Census Bureau, table 1 of the 2020 apportionment results).
Cities are unions of whole counties, and say so in their names; a county may belong to one city at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

from tessera.errors import GeographyError

CONGRESS = 119
AreaKind = Literal["national", "state", "district", "city"]

# FIPS code, postal code, name, seats in the House (DC: its delegate).
_STATES = (
    (1, "AL", "Alabama", 7), (2, "AK", "Alaska", 1), (4, "AZ", "Arizona", 9), (5, "AR", "Arkansas", 4),
    (6, "CA", "California", 52), (8, "CO", "Colorado", 8), (9, "CT", "Connecticut", 5), (10, "DE", "Delaware", 1),
    (11, "DC", "District of Columbia", 1), (12, "FL", "Florida", 28), (13, "GA", "Georgia", 14),
    (15, "HI", "Hawaii", 2), (16, "ID", "Idaho", 2), (17, "IL", "Illinois", 17), (18, "IN", "Indiana", 9),
    (19, "IA", "Iowa", 4),
    (20, "KS", "Kansas", 4), (21, "KY", "Kentucky", 6), (22, "LA", "Louisiana", 6), (23, "ME", "Maine", 2),
    (24, "MD", "Maryland", 8), (25, "MA", "Massachusetts", 9), (26, "MI", "Michigan", 13), (27, "MN", "Minnesota", 8),
    (28, "MS", "Mississippi", 4), (29, "MO", "Missouri", 8), (30, "MT", "Montana", 2), (31, "NE", "Nebraska", 3),
    (32, "NV", "Nevada", 4), (33, "NH", "New Hampshire", 2), (34, "NJ", "New Jersey", 12), (35, "NM", "New Mexico", 3),
    (36, "NY", "New York", 26), (37, "NC", "North Carolina", 14), (38, "ND", "North Dakota", 1), (39, "OH", "Ohio", 15),
    (40, "OK", "Oklahoma", 5), (41, "OR", "Oregon", 6), (42, "PA", "Pennsylvania", 17), (44, "RI", "Rhode Island", 2),
    (45, "SC", "South Carolina", 7), (46, "SD", "South Dakota", 1), (47, "TN", "Tennessee", 9), (48, "TX", "Texas", 38),
    (49, "UT", "Utah", 4), (50, "VT", "Vermont", 1), (51, "VA", "Virginia", 11), (53, "WA", "Washington", 10),
    (54, "WV", "West Virginia", 2), (55, "WI", "Wisconsin", 8), (56, "WY", "Wyoming", 1),
)  # fmt: skip

_CITIES = (
    ("NYC", "New York City (five counties)", 36, (36005, 36047, 36061, 36081, 36085)),
    ("LOS_ANGELES", "Los Angeles (Los Angeles County)", 6, (6037,)),
    ("CHICAGO", "Chicago (Cook County)", 17, (17031,)),
    ("HOUSTON", "Houston (Harris County)", 48, (48201,)),
)


@dataclass(frozen=True)
class State:
    """A state or DC: FIPS code, postal code, name and number of districts (DC: 1, its delegate's)."""

    fips: int
    usps: str
    name: str
    n_districts: int

    @property
    def district_codes(self) -> tuple[int, ...]:
        """Codes of the state's districts, ascending."""
        return tuple(self.fips * 100 + number for number in range(1, self.n_districts + 1))


@dataclass(frozen=True)
class Area:
    """An area that a file is written for.

    Attributes:
        key: `US`, `CA`, `CA-12`, `NYC`.
        kind: national, state, district or city.
        name: for people.
        state_fips: None for the nation.
        district_codes: the districts that make up the area; empty for a city.
        county_fips: the counties that make up a city; empty otherwise.
    """

    key: str
    kind: AreaKind
    name: str
    state_fips: int | None
    district_codes: tuple[int, ...]
    county_fips: tuple[int, ...]

    @property
    def relative_path(self) -> str:
        """Where the area's file lies below a release or staging folder."""
        folder = {"national": "national", "state": "states", "district": "districts", "city": "cities"}[self.kind]
        return f"{folder}/{self.key}.h5"


@cache
def states() -> tuple[State, ...]:
    """The 50 states and DC, by FIPS code."""
    return tuple(State(*row) for row in _STATES)


@cache
def areas() -> tuple[Area, ...]:
    """Every area that a file is written for: the nation, states, voting districts, cities, in that order."""
    return (_nation(), *map(_state_area, states()), *_district_areas(), *map(_city_area, _CITIES))


def areas_of_kind(kind: AreaKind) -> tuple[Area, ...]:
    """The areas of one kind, in catalogue order."""
    return tuple(area for area in areas() if area.kind == kind)


def area(key: str) -> Area:
    """The area with a key; raises `GeographyError` with the nearest keys if there is none."""
    found = _areas_by_key().get(key)
    if found is None:
        near = [known for known in _areas_by_key() if known.startswith(key[:2].upper())][:8]
        raise GeographyError(
            f"No area has the key {key!r}. Keys look like US, CA, CA-12, NYC. Near: {', '.join(near)}."
        )
    return found


@cache
def stratum_districts() -> tuple[int, ...]:
    """Codes of the 436 districts that targets are published for: 435 voting districts and DC's."""
    return tuple(code for state in states() for code in state.district_codes)


def district_key(code: int) -> str:
    """`CA-12` for 612; DC's district is `DC-01`, a stratum without a file of its own."""
    state = _states_by_fips().get(int(code) // 100)
    if state is None or not 1 <= int(code) % 100 <= state.n_districts:
        raise GeographyError(
            f"No district of the {CONGRESS}th Congress has the code {code}; codes look like 612 for CA-12."
        )
    return f"{state.usps}-{int(code) % 100:02d}"


def state_by_usps(usps: str) -> State:
    """The state with a postal code."""
    found = _states_by_usps().get(usps)
    if found is None:
        raise GeographyError(f"No state has the postal code {usps!r}; wanted one of {', '.join(_states_by_usps())}.")
    return found


def state_by_fips(fips: int) -> State:
    """The state with a FIPS code."""
    found = _states_by_fips().get(int(fips))
    if found is None:
        raise GeographyError(f"No state has the FIPS code {fips}; wanted one of {sorted(_states_by_fips())}.")
    return found


@cache
def _states_by_usps() -> dict[str, State]:
    return {state.usps: state for state in states()}


@cache
def _states_by_fips() -> dict[int, State]:
    return {state.fips: state for state in states()}


@cache
def _areas_by_key() -> dict[str, Area]:
    return {area.key: area for area in areas()}


def _nation() -> Area:
    return Area("US", "national", "United States", None, stratum_districts(), ())


def _state_area(state: State) -> Area:
    return Area(state.usps, "state", state.name, state.fips, state.district_codes, ())


def _district_areas() -> tuple[Area, ...]:
    voting = [state for state in states() if state.usps != "DC"]
    return tuple(
        Area(district_key(code), "district", f"{state.name} district {code % 100}", state.fips, (code,), ())
        for state in voting
        for code in state.district_codes
    )


def _city_area(row: tuple[str, str, int, tuple[int, ...]]) -> Area:
    key, name, fips, counties = row
    return Area(key, "city", name, fips, (), counties)
