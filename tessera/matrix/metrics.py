"""Metrics: what a target measures, without where it measures it.

A metric is (variable, constraints, reform). The persons count of California and of its twelfth district are one metric
in two areas, so that a clone's values are needed once a metric and not once a target. Compiling reads the target table;
evaluating (in `tessera.matrix.evaluation`) needs values of the rules engine. Neither knows about geography beyond
carrying each target's `geo_level` and `geo_id` along.

Constraints are conjunctions that are evaluated for persons. A `*_count` variable counts distinct units of its entity
and is no variable of the engine; every other variable is an amount.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import MatrixError
from tessera.frame import ENTITIES

OPERATIONS = ("==", "!=", ">", ">=", "<", "<=")
ORDERINGS = (">", ">=", "<", "<=")
COUNTED_ENTITY = {f"{entity}_count": entity for entity in ENTITIES}
_COLUMNS = ("name", "variable", "geo_level", "geo_id", "constraints")

Scalar = bool | int | float | str


@dataclass(frozen=True, order=True)
class Constraint:
    """One comparison, `variable operation value`; the value is kept as canonical text ("True", "18", "SINGLE")."""

    variable: str
    operation: str
    value: str

    def __str__(self) -> str:
        return f"{self.variable}{self.operation}{self.value}"


@dataclass(frozen=True)
class Metric:
    """What a target measures.

    Attributes:
        variable: `person_count`, ..., or a variable of the rules engine.
        constraints: in canonical order, none twice.
        reform: "" for the law as it is; otherwise the name under which the engine's values hold the variable's change,
            as `{reform}:{variable}`.
        first_target: name of the first target that uses the metric, for messages.
    """

    variable: str
    constraints: tuple[Constraint, ...]
    reform: str
    first_target: str

    @property
    def metric_id(self) -> str:
        """Readable and unique: `snap[age>=18,age<65]`, `mortgage_repeal:income_tax`."""
        return self.value_name + (f"[{','.join(map(str, self.constraints))}]" if self.constraints else "")

    @property
    def value_name(self) -> str:
        """Name under which the amounts are looked up."""
        return f"{self.reform}:{self.variable}" if self.reform else self.variable

    @property
    def counted_entity(self) -> str | None:
        """The entity that a count metric counts; None for an amount."""
        return COUNTED_ENTITY.get(self.variable)


@dataclass(frozen=True)
class Metrics:
    """The distinct metrics of a target table, and how its rows use them.

    Attributes:
        metrics: in the order of their first use.
        metric_of_target: index into `metrics`, int32, shape (n_targets,).
        geo_level, geo_id: where each target measures its metric, str, shape (n_targets,).
    """

    metrics: tuple[Metric, ...]
    metric_of_target: npt.NDArray[np.int32]
    geo_level: npt.NDArray[np.str_]
    geo_id: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.metrics)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the metrics, the columns of every value table."""
        return tuple(metric.metric_id for metric in self.metrics)

    @property
    def variables(self) -> list[str]:
        """Engine variables needed to evaluate the metrics, sorted: amounts and constraint variables, no counts."""
        amounts = {metric.value_name for metric in self.metrics if metric.counted_entity is None}
        return sorted(amounts | {c.variable for metric in self.metrics for c in metric.constraints})


def compile_metrics(targets: pd.DataFrame) -> Metrics:
    """The distinct metrics of a target table.

    Args:
        targets: one row a target, with columns name, variable, geo_level, geo_id, constraints (JSON list of
            [variable, operation, value]) and optionally reform.

    Returns:
        The metrics with each row's metric index and area.

    Raises:
        MatrixError: a missing column, an unknown operation or a malformed constraint; names the target.
    """
    missing = [column for column in _COLUMNS if column not in targets]
    if missing:
        raise MatrixError(
            f"The target table has no column {', '.join(missing)}; it has {', '.join(map(str, targets.columns))}."
        )
    reforms = targets["reform"].fillna("").astype(str) if "reform" in targets else [""] * len(targets)
    found: dict[tuple[str, str, tuple[Constraint, ...]], int] = {}
    metrics: list[Metric] = []
    of_target = np.empty(len(targets), dtype=np.int32)
    rows = zip(targets["name"], targets["variable"], targets["constraints"], reforms, strict=True)
    for row, (name, variable, text, reform) in enumerate(rows):
        key = (str(reform), str(variable), _constraints(text, str(name)))
        if key not in found:
            found[key] = len(metrics)
            metrics.append(Metric(key[1], key[2], key[0], str(name)))
        of_target[row] = found[key]
    level, place = (targets[column].to_numpy(dtype=np.str_) for column in ("geo_level", "geo_id"))
    return Metrics(tuple(metrics), of_target, level, place)


def required_variables(targets: pd.DataFrame) -> list[str]:
    """Engine variables that a target table needs, sorted; counts are no engine variables, constraint variables are."""
    return compile_metrics(targets).variables


def _constraints(text: object, target: str) -> tuple[Constraint, ...]:
    try:
        listed = json.loads(text) if isinstance(text, str) else None
    except json.JSONDecodeError:
        listed = None
    if not isinstance(listed, list):
        raise MatrixError(
            f"Target {target!r}: constraints are {text!r}; wanted a JSON list of [variable, operation, value], "
            "[] for none."
        )
    return tuple(sorted({_constraint(item, target) for item in listed}))


def _constraint(item: object, target: str) -> Constraint:
    if not (isinstance(item, list) and len(item) == 3 and isinstance(item[2], bool | int | float | str)):
        raise MatrixError(f"Target {target!r}: constraint {item!r} is not [variable, operation, value].")
    variable, operation, value = item
    if operation not in OPERATIONS:
        raise MatrixError(
            f"Target {target!r}: constraint on {variable} has the operation {operation!r}; "
            f"wanted one of {' '.join(OPERATIONS)}."
        )
    return Constraint(str(variable), str(operation), _canonical(value))


def _canonical(value: Scalar) -> str:
    """One text for equal values, so that 18, 18.0 and "18" make one metric."""
    if isinstance(value, bool) or value in ("True", "False", "true", "false"):
        return str(value).capitalize()
    try:
        number = float(value)
    except ValueError:
        return str(value)
    return str(int(number)) if number.is_integer() else repr(number)
