"""The table of official figures: its columns, where a figure comes from, and how constraints are written.

One row a figure: a published number for a place, a variable and a domain. Holds no loaders and no database.
`value = raw_value * uprating * reconciliation`, where raw_value is the number as published (in dollars or units).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast

import pandas as pd

GeoLevel = Literal["national", "state", "district", "city"]
Constraint = tuple[str, str, float]

# The year that all figures are brought to.
MODEL_YEAR = 2024
GEO_LEVELS: tuple[GeoLevel, ...] = ("national", "state", "district", "city")
COLUMNS = (
    "source", "table", "url", "vintage", "year", "geo_level", "geo_id", "variable", "constraints", "reform", "unit",
    "value", "raw_value", "uprating", "reconciliation", "period",
)  # fmt: skip


@dataclass(frozen=True)
class Provenance:
    """Where a figure was published: short source name, table, URL, vintage in words, and the year it describes."""

    source: str
    table: str
    url: str
    vintage: str
    year: int


@dataclass(frozen=True)
class Figure:
    """One published number for a place, as a loader sees it (before uprating and reconciliation)."""

    geo_level: GeoLevel
    geo_id: str
    variable: str
    value: float
    unit: str
    constraints: tuple[Constraint, ...] = ()
    reform: str = ""


def constraints_to_json(constraints: Sequence[Constraint]) -> str:
    """Canonical JSON of a conjunction: sorted, whole numbers without a decimal point; `[]` for no constraint."""
    rows = sorted([variable, operation, _plain(value)] for variable, operation, value in constraints)
    return json.dumps(rows, separators=(",", ":"))


def constraints_from_json(text: str) -> tuple[Constraint, ...]:
    """The constraints that `constraints_to_json` wrote."""
    return tuple((str(variable), str(operation), float(value)) for variable, operation, value in json.loads(text))


def to_frame(figures: Iterable[Figure], provenance: Provenance) -> pd.DataFrame:
    """Figures of one source as a table with `COLUMNS`; value equals raw_value, both factors are 1."""
    rows = [_row(figure, provenance) for figure in figures]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(figure: Figure, provenance: Provenance) -> dict[str, object]:
    row: dict[str, object] = asdict(provenance) | asdict(figure)
    row["constraints"] = constraints_to_json(figure.constraints)
    row["value"] = row["raw_value"] = float(figure.value)
    row["uprating"] = row["reconciliation"] = 1.0
    row["period"] = provenance.year
    return row


def _plain(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as mappings of column to cell."""
    return cast("list[dict[str, Any]]", table.to_dict("records"))
