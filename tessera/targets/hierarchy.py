"""Whether the strata of a database are the country: every place once, below the one it is part of, with its own hash.

`validation.check_strata` refuses orphans one by one; this looks at the whole: 1 nation, 51 states, 436 districts and
the catalogue's cities. Figures are not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tessera.errors import TargetError
from tessera.geography.areas import areas_of_kind, district_key, state_by_fips, states
from tessera.targets.figures import GEO_LEVELS, constraints_from_json
from tessera.targets.reading import read_table
from tessera.targets.strata import definition_hash, geographic_constraints


@dataclass(frozen=True)
class Hierarchy:
    """Numbers of places by level, and of strata with a domain, of a database that has passed."""

    places: dict[str, int]
    domains: int

    @property
    def text(self) -> str:
        """The numbers in words."""
        places = ", ".join(f"{count} {level}" for level, count in self.places.items())
        return f"{places}; {self.domains:,} domains in them"


def check_hierarchy(strata: pd.DataFrame, constraints: pd.DataFrame | None = None) -> Hierarchy:
    """Check strata as a whole.

    Args:
        strata: columns stratum_id, parent_stratum_id, definition_hash, geo_level, geo_id, constraints.
        constraints: the table `stratum_constraints`, to compare with the constraints that each stratum states.

    Raises:
        TargetError: a place that is missing, there twice, unknown or below another place than its own; a stratum whose
            hash is not that of its definition, or whose rows of constraints are not what it states.
    """
    plain = strata[strata["constraints"] == "[]"]
    _check_places(plain)
    _check_parents(plain)
    _check_hashes(strata)
    if constraints is not None:
        _check_constraints(strata, constraints)
    counts = plain["geo_level"].value_counts()
    return Hierarchy({level: int(counts[level]) for level in GEO_LEVELS}, len(strata) - len(plain))


def check_database(database: Path) -> Hierarchy:
    """`check_hierarchy` of the strata and constraints in a target database."""
    return check_hierarchy(read_table(database, "strata"), read_table(database, "stratum_constraints"))


def parents() -> dict[str, str]:
    """Place -> the place that it is part of: states of the nation, districts and cities of their state."""
    found = {state.usps: "US" for state in states()}
    found |= {district_key(code): state.usps for state in states() for code in state.district_codes}
    return found | {
        city.key: state_by_fips(city.state_fips).usps for city in areas_of_kind("city") if city.state_fips is not None
    }


def _check_places(plain: pd.DataFrame) -> None:
    twice = plain[plain.duplicated("geo_id", keep=False)]
    if len(twice):
        raise TargetError(
            f"The place {twice['geo_id'].iloc[0]} has the strata {', '.join(map(str, twice['stratum_id']))}; wanted "
            "one. Build the database again."
        )
    known, found = {"US", *parents()}, set(plain["geo_id"])
    for label, places in (("unknown", found - known), ("missing", known - found)):
        if places:
            raise TargetError(
                f"{len(places)} places are {label} among the strata, such as {min(places)}; wanted US, 51 states, "
                "436 districts and the cities of the catalogue. Build the database again."
            )


def _check_parents(plain: pd.DataFrame) -> None:
    place = plain.set_index("stratum_id")["geo_id"]
    wanted = parents()
    above = plain["parent_stratum_id"].map(place)
    for key, parent in zip(plain["geo_id"], above, strict=True):
        if key != "US" and parent != wanted[key]:
            raise TargetError(
                f"The stratum of {key} is below {parent}; wanted {wanted[key]}. Build the database again."
            )


def _check_hashes(strata: pd.DataFrame) -> None:
    rows = strata[["stratum_id", "geo_level", "geo_id", "constraints", "definition_hash"]]
    for stratum, level, place, text, stored in rows.itertuples(index=False):
        if definition_hash(level, place, text) != stored:
            raise TargetError(
                f"Stratum {stratum} ({place} {text}) has the hash {stored[:12]}..., which is not that of its "
                "definition: it was altered. Build the database again."
            )


def _check_constraints(strata: pd.DataFrame, constraints: pd.DataFrame) -> None:
    columns = ["stratum_id", "constraint_variable", "operation", "value"]
    stored: dict[int, set[tuple[str, str, float]]] = {int(one): set() for one in strata["stratum_id"]}
    for stratum, variable, operation, value in constraints[columns].itertuples(index=False):
        stored.setdefault(int(stratum), set()).add((str(variable), str(operation), float(value)))
    rows = strata[["stratum_id", "geo_level", "geo_id", "constraints"]]
    for stratum, level, place, text in rows.itertuples(index=False):
        wanted = {*geographic_constraints(level, place), *constraints_from_json(text)}
        if stored[int(stratum)] != {(name, operation, float(value)) for name, operation, value in wanted}:
            raise TargetError(
                f"Stratum {stratum} ({place} {text}) has the constraints {sorted(stored[int(stratum)])} in its rows; "
                "wanted those that it states. Build the database again."
            )
    if len(stored) > len(strata):
        raise TargetError(f"Constraints are there for stratum {max(stored)}, which does not exist.")
