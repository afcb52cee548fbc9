"""Evaluating metrics: from values of entities to one row of numbers a household.

Semantics. Each constraint is evaluated for persons, variables of groups being broadcast to their members; a metric's
constraints are ANDed for each person. A unit qualifies if any of its members does. A count metric counts the qualifying
units of its entity in the household; an amount metric sums the variable over the qualifying units of the variable's own
entity. A metric without constraints takes every unit.

Comparisons are numeric (booleans are 0 and 1, True, "True" and 1 are one value), except with enumerations, which are
compared with names, for equality only.

Households are evaluated some at a time (`chunks`), so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tessera.errors import MatrixError
from tessera.matrix.chunks import HOUSEHOLDS, household_chunks
from tessera.rules.values import EntityValues

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from tessera.matrix.metrics import Constraint, Metric, Metrics

_COMPARE = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
}
_BOOLEANS = {"True": 1.0, "False": 0.0}

BoolArray = npt.NDArray[np.bool_]


def evaluate(metrics: Metrics, values: EntityValues, *, chunk: int = HOUSEHOLDS) -> csr_array:
    """Values of every metric for every household.

    Args:
        metrics: compiled from the targets.
        values: engine values of n_households households, at least of `metrics.variables`.
        chunk: households that are evaluated at a time; results do not depend on it.

    Returns:
        csr_array float64, shape (n_households, n_metrics); no explicit zeros; in the metric's unit.

    Raises:
        MatrixError: a variable that `values` lacks (names a target), a comparison that makes no sense, or a missing or
            infinite value (names the variable and the household row).
    """
    from scipy.sparse import csr_array, vstack

    parts = [rows for _, rows in evaluate_chunks(metrics, values, chunk=chunk)]
    if not parts:
        return csr_array((0, len(metrics)))
    result: csr_array = parts[0] if len(parts) == 1 else vstack(parts, format="csr")
    return result


def evaluate_chunks(
    metrics: Metrics, values: EntityValues, *, chunk: int = HOUSEHOLDS
) -> Iterator[tuple[int, csr_array]]:
    """As `evaluate`, some households at a time: the number of the first one, and the rows of this and those after it.

    The values are checked as a whole before the first rows come.
    """
    _check_finite(metrics, values)
    for first, part in household_chunks(values, metrics.variables, chunk):
        yield first, _evaluate(metrics, part)


def _evaluate(metrics: Metrics, values: EntityValues) -> csr_array:
    from scipy.sparse import csc_array

    evaluator = _Evaluator(values)
    rows: list[npt.NDArray[np.int32]] = []
    data: list[npt.NDArray[np.float64]] = []
    for metric in metrics.metrics:
        column = evaluator.column(metric)
        nonzero = np.flatnonzero(column)
        rows.append(nonzero.astype(np.int32))
        data.append(column[nonzero])
    indptr = np.concatenate([[0], np.cumsum([len(part) for part in rows], dtype=np.int64)])
    shape = (values.n_households, len(metrics))
    stacked = (np.concatenate([*data, np.empty(0)]), np.concatenate([*rows, np.empty(0, np.int32)]), indptr)
    result: csr_array = csc_array(stacked, shape=shape).tocsr()
    return result


def _check_finite(metrics: Metrics, values: EntityValues) -> None:
    """Raise `MatrixError` for a value that is not finite; its unit and household are rows of the whole."""
    for variable in metrics.variables:
        raw = values.values.get(variable)
        if raw is None or raw.dtype.kind != "f" or bool(np.isfinite(raw).all()):
            continue
        bad = np.flatnonzero(~np.isfinite(raw))
        unit, entity = int(bad[0]), values.entity_of.get(variable, "unit")
        household = values.household_of[entity][unit] if entity in values.household_of else "unknown"
        raise MatrixError(
            f"{variable} is {raw[unit]} for {entity} row {unit} of household row {household} ({bad.size} such values); "
            "wanted finite numbers. Check the engine's inputs of that household."
        )


class _Evaluator:
    """Evaluates metrics one after another, each distinct constraint, conjunction and conversion once."""

    def __init__(self, values: EntityValues) -> None:
        self._values = values
        self._numbers: dict[str, npt.NDArray[np.float64]] = {}
        self._holds: dict[Constraint, BoolArray] = {}
        self._persons: dict[tuple[Constraint, ...], BoolArray] = {}
        self._units: dict[tuple[tuple[Constraint, ...], str], BoolArray] = {}

    def column(self, metric: Metric) -> npt.NDArray[np.float64]:
        """Values of one metric, float64, shape (n_households,)."""
        entity = metric.counted_entity
        amounts: npt.NDArray[np.float64] | None = None
        if entity is None:
            entity = self._entity(metric.value_name, metric)
            amounts = self._number(metric.value_name, metric)
        household = self._household_of(entity, metric)
        if metric.constraints:
            # What does not qualify would add zeros.
            units = np.flatnonzero(self._qualifying(metric, entity))
            household = household[units]
            amounts = None if amounts is None else amounts[units]
        sums = np.bincount(household, weights=amounts, minlength=self._values.n_households)
        return sums.astype(np.float64, copy=False)

    def _qualifying(self, metric: Metric, entity: str) -> BoolArray:
        key = (metric.constraints, entity)
        if key not in self._units:
            if entity == "person":
                self._units[key] = self._person_mask(metric)
            else:
                units = np.zeros(len(self._household_of(entity, metric)), dtype=bool)
                units[self._unit_of_person(entity, metric)[self._person_mask(metric)]] = True
                self._units[key] = units
        return self._units[key]

    def _person_mask(self, metric: Metric) -> BoolArray:
        if metric.constraints not in self._persons:
            first, *others = (self._constraint_holds(constraint, metric) for constraint in metric.constraints)
            mask = first.copy() if others else first
            for other in others:
                mask &= other
            self._persons[metric.constraints] = mask
        return self._persons[metric.constraints]

    def _constraint_holds(self, constraint: Constraint, metric: Metric) -> BoolArray:
        if constraint not in self._holds:
            entity = self._entity(constraint.variable, metric)
            raw = self._values.values[constraint.variable]
            holds = self._compare(raw, constraint, metric)
            self._holds[constraint] = holds if entity == "person" else holds[self._unit_of_person(entity, metric)]
        return self._holds[constraint]

    def _compare(self, raw: npt.NDArray[np.generic], constraint: Constraint, metric: Metric) -> BoolArray:
        compare = _COMPARE[constraint.operation]
        if raw.dtype.kind in "US":
            if constraint.operation not in ("==", "!="):
                raise MatrixError(
                    f"Target {metric.first_target!r}: {constraint} orders an enumeration; wanted == or != with a name."
                )
            names: BoolArray = compare(raw.astype(np.str_), constraint.value)
            return names
        try:
            wanted = _BOOLEANS[constraint.value] if constraint.value in _BOOLEANS else float(constraint.value)
        except ValueError:
            raise MatrixError(
                f"Target {metric.first_target!r}: {constraint} compares numbers ({raw.dtype}) with "
                f"{constraint.value!r}; wanted a number, True or False."
            ) from None
        holds: BoolArray = compare(self._number(constraint.variable, metric), wanted)
        return holds

    def _number(self, variable: str, metric: Metric) -> npt.NDArray[np.float64]:
        if variable not in self._numbers:
            raw = self._values.values[variable]
            if raw.dtype.kind not in "bif" + "u":
                raise MatrixError(
                    f"Target {metric.first_target!r}: {variable} has values of type {raw.dtype}; wanted numbers to sum."
                )
            self._numbers[variable] = raw.astype(np.float64)
        return self._numbers[variable]

    def _entity(self, variable: str, metric: Metric) -> str:
        if variable not in self._values.values or variable not in self._values.entity_of:
            raise MatrixError(
                f"Target {metric.first_target!r} needs the variable {variable!r}, which the engine values do not hold; "
                "they hold "
                f"{', '.join(sorted(self._values.values)[:12])} ... Ask the engine for `required_variables(targets)`, "
                "or drop the target."
            )
        return self._values.entity_of[variable]

    def _household_of(self, entity: str, metric: Metric) -> npt.NDArray[np.int64]:
        if entity not in self._values.household_of:
            raise MatrixError(
                f"Target {metric.first_target!r} needs the entity {entity!r}; "
                f"the values hold {', '.join(self._values.household_of)}."
            )
        return self._values.household_of[entity]

    def _unit_of_person(self, entity: str, metric: Metric) -> npt.NDArray[np.int64]:
        if entity in self._values.unit_of_person:
            return self._values.unit_of_person[entity]
        if entity == "household":
            return self._household_of("person", metric)
        raise MatrixError(
            f"Target {metric.first_target!r} needs the members of {entity!r}; "
            f"the values link persons to {', '.join(self._values.unit_of_person)}."
        )
