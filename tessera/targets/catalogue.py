"""The variables that targets and their constraints may use, with entity and kind, so that checking needs no engine.

`variables.csv` is a short list; a test compares it with the installed rules engine. Counts of entities are in it too.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from tessera.errors import TargetError

# What places a stratum; the last names a city by the lowest FIPS code of its counties (see `strata`).
GEOGRAPHIC = ("state_fips", "congressional_district_geoid", "city_county_fips")
COUNTS = {
    f"{entity}_count": entity for entity in ("person", "household", "tax_unit", "spm_unit", "family", "marital_unit")
}


@dataclass(frozen=True)
class Variable:
    """An engine variable: name, entity (person, tax_unit, ...), kind of value (float, int, bool) and unit."""

    name: str
    entity: str
    kind: str
    unit: str


@dataclass(frozen=True)
class VariableCatalogue:
    """A set of known variables.

    Attributes:
        variables: by name.
    """

    variables: dict[str, Variable]

    @classmethod
    def packaged(cls) -> VariableCatalogue:
        """The variables listed in the package."""
        return _packaged()

    @classmethod
    def read(cls, path: Path) -> VariableCatalogue:
        """A list of one's own: a CSV file with columns name, entity, kind, unit."""
        return cls._from_lines(path.read_text(encoding="utf-8").splitlines(), str(path))

    def __contains__(self, name: object) -> bool:
        return name in self.variables or name in COUNTS or name in GEOGRAPHIC

    def entity(self, name: str) -> str:
        """The entity of a variable or count.

        Raises:
            TargetError: an unknown variable.
        """
        if name in COUNTS:
            return COUNTS[name]
        if name in GEOGRAPHIC:
            return "household"
        if name not in self.variables:
            raise TargetError(
                f"Variable {name!r} is not known; known are {len(self.variables)}, such as {self.near(name)}."
            )
        return self.variables[name].entity

    def near(self, name: str) -> str:
        """A few known names that look like a name, for messages."""
        import difflib

        return ", ".join(difflib.get_close_matches(name, [*self.variables, *COUNTS], n=3, cutoff=0.4)) or "none alike"

    @classmethod
    def _from_lines(cls, lines: Iterable[str], label: str) -> VariableCatalogue:
        reader = csv.DictReader(lines)
        if reader.fieldnames is None or list(reader.fieldnames) != ["name", "entity", "kind", "unit"]:
            raise TargetError(f"{label}: columns are {reader.fieldnames}; wanted name, entity, kind, unit.")
        return cls({row["name"]: Variable(row["name"], row["entity"], row["kind"], row["unit"]) for row in reader})


@cache
def _packaged() -> VariableCatalogue:
    text = resources.files("tessera.targets").joinpath("variables.csv").read_text(encoding="utf-8")
    return VariableCatalogue._from_lines(text.splitlines(), "variables.csv")
