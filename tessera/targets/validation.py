"""What the target database refuses, before anything is written. Each refusal is a `TargetError` that names the row.

Checks rows of figures (unknown variables and places, values, periods, duplicates), sets of constraints (contradictions)
and strata (orphans). Knows nothing of DuckDB.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import pandas as pd

from tessera.errors import TargetError
from tessera.geography.areas import district_key, states, stratum_districts
from tessera.targets.catalogue import GEOGRAPHIC, VariableCatalogue
from tessera.targets.figures import COLUMNS, GEO_LEVELS, Constraint, constraints_from_json, records

OPERATIONS = ("==", "!=", ">", ">=", "<", "<=")
FIRST_PERIOD, LAST_PERIOD = 2015, 2035
_CONCEPT = ["source", "geo_level", "geo_id", "variable", "constraints", "reform", "period"]


def check_figures(figures: pd.DataFrame, variables: VariableCatalogue) -> None:
    """Check every row of a table of figures.

    Args:
        figures: columns of `figures.COLUMNS`.
        variables: the known variables.

    Raises:
        TargetError: names the first row that is refused, and why.
    """
    missing = [column for column in COLUMNS if column not in figures.columns]
    if missing:
        raise TargetError(f"The figures lack the column {', '.join(missing)}; wanted {', '.join(COLUMNS)}.")
    if figures.empty:
        raise TargetError("There are no figures; build them with tessera.targets.snapshot.load_snapshot().")
    places = known_places()
    checked: set[str] = set()
    for position, row in enumerate(records(figures)):
        where = describe(position, row)
        _check_row(row, where, places, variables)
        if row["constraints"] not in checked:
            check_constraints(_parsed(row["constraints"], where), variables, where)
            checked.add(row["constraints"])
    _check_unique(figures)


def check_constraints(constraints: Iterable[Constraint], variables: VariableCatalogue, where: str) -> None:
    """Refuse unknown variables and operations, and sets that are malformed or that nobody can meet.

    Raises:
        TargetError: an unknown variable or operation, a value that is no number, `==` or `!=` beside another comparison
            of the variable, `>` with `>=` or `<` with `<=`, an empty range, geography among them.
    """
    by_variable: dict[str, dict[str, float]] = {}
    for name, operation, value in constraints:
        if name in GEOGRAPHIC:
            raise TargetError(f"{where}: constraint on {name}; geography is given by geo_level and geo_id alone.")
        if name not in variables:
            raise TargetError(f"{where}: constraint on the unknown variable {name!r}; near: {variables.near(name)}.")
        if operation not in OPERATIONS or not math.isfinite(value):
            raise TargetError(
                f"{where}: constraint {name} {operation} {value}; wanted one of {' '.join(OPERATIONS)} and a number."
            )
        if operation in by_variable.setdefault(name, {}):
            raise TargetError(f"{where}: two constraints {name} {operation}; wanted one a variable and operation.")
        by_variable[name][operation] = value
    for name, bounds in by_variable.items():
        _check_bounds(name, bounds, where)


def check_strata(strata: pd.DataFrame) -> None:
    """Refuse orphans: a stratum whose parent is unknown, is not above it or is not part of its definition.

    Args:
        strata: columns stratum_id, parent_stratum_id (-1 for none), geo_level, geo_id, constraints.

    Raises:
        TargetError: names the stratum.
    """
    by_id = {row["stratum_id"]: row for row in strata.to_dict("records")}
    for stratum in by_id.values():
        parent_id = stratum["parent_stratum_id"]
        where = f"Stratum {stratum['stratum_id']} ({stratum['geo_id']} {stratum['constraints']})"
        if parent_id == -1:
            if stratum["geo_id"] != "US" or stratum["constraints"] != "[]":
                raise TargetError(f"{where} has no parent; only the nation as a whole has none.")
            continue
        if parent_id not in by_id:
            raise TargetError(f"{where} has the parent {parent_id}, which does not exist.")
        parent = by_id[parent_id]
        same_place = parent["geo_id"] == stratum["geo_id"]
        contains = parent["geo_id"] == "US" or (
            parent["geo_level"] == "state" and stratum["geo_id"][:3] == parent["geo_id"] + "-"
        )
        inherited = set(constraints_from_json(parent["constraints"])) <= set(
            constraints_from_json(stratum["constraints"])
        )
        if parent_id == stratum["stratum_id"] or not (same_place or contains) or not inherited:
            raise TargetError(
                f"{where} is no part of its parent {parent_id} ({parent['geo_id']} {parent['constraints']})."
            )


def known_places() -> dict[str, str]:
    """Level of every place that targets may be for, by its id: US, CA, CA-12."""
    places = {"US": "national"} | {state.usps: "state" for state in states()}
    return places | {district_key(code): "district" for code in stratum_districts()}


def describe(position: int, row: dict[str, object]) -> str:
    """A row of figures in words, for messages."""
    reform = f" under {row['reform']}" if row["reform"] else ""
    return f"Row {position} ({row['source']}: {row['geo_id']} {row['variable']} {row['constraints']}{reform})"


def _check_row(row: dict[str, object], where: str, places: dict[str, str], variables: VariableCatalogue) -> None:
    if row["geo_level"] not in GEO_LEVELS:
        raise TargetError(f"{where}: geo_level is {row['geo_level']!r}; wanted one of {', '.join(GEO_LEVELS)}.")
    if places.get(str(row["geo_id"])) != row["geo_level"]:
        raise TargetError(f"{where}: no {row['geo_level']} is called {row['geo_id']!r}; ids look like US, CA, CA-12.")
    for name in (row["variable"], row["reform"]):
        if name and name not in variables:
            raise TargetError(f"{where}: unknown variable {name!r}; near: {variables.near(str(name))}.")
    for column in ("value", "raw_value", "uprating", "reconciliation"):
        value = row[column]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TargetError(f"{where}: {column} is {value!r}; wanted a finite number.")
    period = row["period"]
    if not isinstance(period, int) or not FIRST_PERIOD <= period <= LAST_PERIOD:
        raise TargetError(f"{where}: period is {period!r}; wanted a year from {FIRST_PERIOD} to {LAST_PERIOD}.")


def _check_unique(figures: pd.DataFrame) -> None:
    repeated = figures.duplicated(_CONCEPT, keep="first")
    if repeated.any():
        position = int(repeated.to_numpy().argmax())
        first = figures.index.get_indexer(
            figures.index[(figures[_CONCEPT] == figures.iloc[position][_CONCEPT]).all(axis=1)]
        )[0]
        where = describe(position, records(figures.iloc[[position]])[0])
        raise TargetError(f"{where}: the same target is in row {first}; a source gives a figure once.")


def _check_bounds(name: str, bounds: dict[str, float], where: str) -> None:
    if len(bounds) > 1 and ({"==", "!="} & set(bounds)):
        raise TargetError(f"{where}: {name} has == or != beside another comparison ({bounds}); it must be alone.")
    for strict, loose in ((">", ">="), ("<", "<=")):
        if strict in bounds and loose in bounds:
            raise TargetError(f"{where}: {name} has both {strict} and {loose}; wanted one of them.")
    low = bounds.get(">", bounds.get(">="))
    high = bounds.get("<", bounds.get("<="))
    if low is None or high is None:
        return
    both_inclusive = ">=" in bounds and "<=" in bounds
    if low > high or (low == high and not both_inclusive):
        raise TargetError(f"{where}: nobody can have {name} in the empty range from {low} to {high}.")


def _parsed(text: object, where: str) -> tuple[Constraint, ...]:
    try:
        return constraints_from_json(str(text))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise TargetError(
            f"{where}: constraints are no JSON list of [variable, operation, number] ({error})."
        ) from error
