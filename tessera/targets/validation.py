"""What the target database refuses, before anything is written. Each refusal is a `TargetError` that names the row.

Checks rows of figures (unknown variables and places, values, periods, duplicates), sets of constraints (contradictions)
and strata (orphans, places that are none or lie elsewhere). Knows nothing of DuckDB.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import TargetError
from tessera.geography.areas import areas_of_kind, district_key, state_by_fips, states, stratum_districts
from tessera.targets.catalogue import COUNTS, GEOGRAPHIC, VariableCatalogue
from tessera.targets.figures import COLUMNS, GEO_LEVELS, Constraint, constraints_from_json, constraints_to_json, records

OPERATIONS = ("==", "!=", ">", ">=", "<", "<=")
FIRST_PERIOD, LAST_PERIOD = 2015, 2035
NUMBERS = ("value", "raw_value", "uprating", "reconciliation")
WORDS = ("source", "table", "url", "vintage", "unit", "variable")
YEARS = ("year", "period")
# A value is the product of its factors but for the last digits.
_SAME = 1e-9
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
    for position in _suspects(figures, places, variables):
        row = records(figures.iloc[[position]])[0]
        _check_row(row, describe(position, row), places, variables)
    first = np.flatnonzero(~figures["constraints"].duplicated().to_numpy())
    for place, row in zip(first, records(figures.iloc[first]), strict=True):
        where = describe(int(place), row)
        parsed = _parsed(row["constraints"], where)
        check_constraints(parsed, variables, where)
        if row["constraints"] != (canonical := constraints_to_json(parsed)):
            raise TargetError(f"{where}: constraints are written in another way than {canonical}; wanted that.")
    _check_products(figures)
    _check_one_period(figures)
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
        TargetError: names the stratum; also for a place that is none of its level, and for one that is there twice.
    """
    by_id = {row["stratum_id"]: row for row in records(strata)}
    _check_strata_unique(strata)
    places = known_places()
    for stratum in by_id.values():
        parent_id = stratum["parent_stratum_id"]
        where = _named(stratum)
        if places.get(stratum["geo_id"]) != stratum["geo_level"]:
            raise TargetError(f"{where}: no {stratum['geo_level']} is called {stratum['geo_id']!r}.")
        if parent_id == -1:
            if stratum["geo_id"] != "US" or stratum["constraints"] != "[]":
                raise TargetError(f"{where} has no parent; only the nation as a whole has none.")
            continue
        if parent_id not in by_id:
            raise TargetError(f"{where} has the parent {parent_id}, which does not exist.")
        parent = by_id[parent_id]
        if parent_id == stratum["stratum_id"] or not _is_part(stratum, parent):
            raise TargetError(
                f"{where} is no part of its parent {parent_id} ({parent['geo_id']} {parent['constraints']})."
            )


def known_places() -> dict[str, str]:
    """Level of every place that targets may be for, by its id: US, CA, CA-12, NYC."""
    places = {"US": "national"} | {state.usps: "state" for state in states()}
    places |= {district_key(code): "district" for code in stratum_districts()}
    return places | {area.key: "city" for area in areas_of_kind("city")}


def describe(position: int, row: dict[str, object]) -> str:
    """A row of figures in words, for messages."""
    reform = f" under {row['reform']}" if row["reform"] else ""
    return f"Row {position} ({row['source']}: {row['geo_id']} {row['variable']} {row['constraints']}{reform})"


def _named(stratum: dict[str, object]) -> str:
    """A stratum in words, for messages."""
    return f"Stratum {stratum['stratum_id']} ({stratum['geo_id']} {stratum['constraints']})"


def _check_strata_unique(strata: pd.DataFrame) -> None:
    for columns, what in ((["stratum_id"], "number"), (["geo_id", "constraints"], "definition")):
        twice = strata[strata.duplicated(columns)]
        if len(twice):
            raise TargetError(f"{_named(records(twice)[0])} has the {what} of another stratum; wanted one.")


def _suspects(figures: pd.DataFrame, places: dict[str, str], variables: VariableCatalogue) -> list[int]:
    """Positions of the rows that may be wrong, found column by column: `_check_row` says what is wrong with them."""
    suspect = (figures["geo_id"].map(places) != figures["geo_level"]).to_numpy()
    for column in ("variable", "reform"):
        unknown = [name for name in figures[column].unique() if name != "" and name not in variables]
        suspect = suspect | figures[column].isin(unknown).to_numpy()
    for column in WORDS:
        none = [word for word in figures[column].unique() if not _is_word(word)]
        suspect = suspect | figures[column].isin(none).to_numpy()
    for column in NUMBERS:
        suspect = suspect | _unlike(figures[column], float, np.isfinite)
    suspect = suspect | (figures["variable"].isin(COUNTS).to_numpy() & _unlike(figures["value"], float, _not_negative))
    for column in YEARS:
        suspect = suspect | _unlike(figures[column], int, _in_range)
    return [int(position) for position in np.flatnonzero(suspect)]


def _is_word(word: object) -> bool:
    return isinstance(word, str) and word.strip() != ""


def _not_negative(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return values >= 0


def _in_range(years: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return (years >= FIRST_PERIOD) & (years <= LAST_PERIOD)


def _unlike(
    column: pd.Series, kind: type, good: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.bool_]:
    """Which cells may not be numbers as wanted: all of them, where the column is not of plain numbers of that kind."""
    plain = pd.api.types.is_integer_dtype(column.dtype) or (kind is float and pd.api.types.is_float_dtype(column.dtype))
    if not plain:
        return np.ones(len(column), dtype=np.bool_)
    return ~good(column.to_numpy(dtype=np.float64))


def _is_part(stratum: dict[str, object], parent: dict[str, object]) -> bool:
    """Whether a stratum's place lies in its parent's place, and its domain in its parent's domain."""
    place, above = str(stratum["geo_id"]), str(parent["geo_id"])
    within = above in ("US", place) or _state_of(place, str(stratum["geo_level"])) == above
    return within and _rows(str(parent["constraints"])) <= _rows(str(stratum["constraints"]))


def _state_of(place: str, level: str) -> str:
    """Postal code of the state that a district or city lies in."""
    return place[:2] if level == "district" else _city_states().get(place, "")


@cache
def _city_states() -> dict[str, str]:
    return {area.key: state_by_fips(area.state_fips or 0).usps for area in areas_of_kind("city")}


@cache
def _rows(text: str) -> frozenset[Constraint]:
    return frozenset(constraints_from_json(text))


def _check_row(row: dict[str, object], where: str, places: dict[str, str], variables: VariableCatalogue) -> None:
    if row["geo_level"] not in GEO_LEVELS:
        raise TargetError(f"{where}: geo_level is {row['geo_level']!r}; wanted one of {', '.join(GEO_LEVELS)}.")
    if places.get(str(row["geo_id"])) != row["geo_level"]:
        raise TargetError(
            f"{where}: no {row['geo_level']} is called {row['geo_id']!r}; ids look like US, CA, CA-12, NYC."
        )
    for column in WORDS:
        if not _is_word(row[column]):
            raise TargetError(f"{where}: {column} is {row[column]!r}; wanted words that say it.")
    for name in (row["variable"], row["reform"]):
        if name != "" and name not in variables:
            raise TargetError(f"{where}: unknown variable {name!r}; near: {variables.near(str(name))}.")
    for column in NUMBERS:
        value = row[column]
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TargetError(f"{where}: {column} is {value!r}; wanted a finite number.")
        if column == "value" and row["variable"] in COUNTS and value < 0:
            raise TargetError(f"{where}: {value:,.6g} is less than none; wanted a count of at least 0.")
    for column in YEARS:
        year = row[column]
        if not isinstance(year, int) or not FIRST_PERIOD <= year <= LAST_PERIOD:
            raise TargetError(f"{where}: {column} is {year!r}; wanted a year from {FIRST_PERIOD} to {LAST_PERIOD}.")


def _check_products(figures: pd.DataFrame) -> None:
    """Refuse a value that is not the published one times its factors."""
    value, raw, uprating, reconciliation = (figures[column].to_numpy(np.float64) for column in NUMBERS)
    product = raw * uprating * reconciliation
    wrong = np.flatnonzero(np.abs(value - product) > _SAME * np.maximum(np.abs(value), np.abs(product)))
    if len(wrong):
        one = int(wrong[0])
        raise TargetError(
            f"{_row(figures, one)}: value is {value[one]:,.6g}; wanted raw_value x uprating x reconciliation, which is "
            f"{product[one]:,.6g}."
        )


def _check_one_period(figures: pd.DataFrame) -> None:
    periods = figures["period"].to_numpy()
    other = np.flatnonzero(periods != periods[0])
    if len(other):
        raise TargetError(
            f"{_row(figures, int(other[0]))}: period is {periods[other[0]]}, and {periods[0]} in row 0; wanted figures "
            "of one year (see uprating)."
        )


def _row(figures: pd.DataFrame, position: int) -> str:
    return describe(position, records(figures.iloc[[position]])[0])


def _check_unique(figures: pd.DataFrame) -> None:
    repeated = figures.duplicated(_CONCEPT, keep="first").to_numpy()
    if repeated.any():
        position = int(repeated.argmax())
        same = (figures[_CONCEPT] == figures.iloc[position][_CONCEPT]).all(axis=1).to_numpy()
        raise TargetError(
            f"{_row(figures, position)}: the same target is in row {int(same.argmax())}; a source gives a figure once."
        )


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
