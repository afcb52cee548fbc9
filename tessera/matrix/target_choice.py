"""Which targets of a package a fit uses: the rules of a target configuration, applied to the package.

The rules are those of `tessera.targets.selection` (YAML, include then exclude). Every rule has to match something, with
one exception: an exclude rule that the package was built with has done its work already.
"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import TargetError
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.package import EXCLUSIONS, CalibrationPackage
from tessera.targets.selection import Rule, Selection

BoolArray = npt.NDArray[np.bool_]


def choose_targets(package: CalibrationPackage, selection: Selection, label: str) -> CalibrationPackage:
    """The package with the targets that a configuration selects; metrics that none of them uses are dropped.

    Args:
        package: to choose from; its unachievable targets are chosen among likewise.
        selection: rules, from `read_selection`.
        label: of the configuration, for messages.

    Raises:
        TargetError: a rule that matches no target of the package, or rules that leave none.
    """
    matrix = package.matrix
    table = pd.concat([matrix.targets, matrix.unachievable], ignore_index=True)
    table["domain"] = [_domain(text) for text in table["constraints"]]
    done = set(str(package.provenance.get(EXCLUSIONS, "")).splitlines())
    chosen = np.ones(len(table), dtype=bool) if not selection.include else np.zeros(len(table), dtype=bool)
    for rule in selection.include:
        chosen |= _matching(table, rule, label)
    for rule in selection.exclude:
        if rule.text not in done or _mask(table, rule).any():
            chosen &= ~_matching(table, rule, label)
    if not chosen[: matrix.n_targets].any():
        raise TargetError(
            f"{label} leaves none of the package's {matrix.n_targets} supported targets; its exclude rules remove "
            "them, or its include rules name unachievable ones alone."
        )
    return replace(package, matrix=_restricted(matrix, chosen))


def _restricted(matrix: CalibrationMatrix, chosen: BoolArray) -> CalibrationMatrix:
    """The matrix with some of its targets (supported ones first, then unachievable ones), and their metrics alone."""
    from scipy.sparse import csr_array

    kept = np.flatnonzero(chosen[: matrix.n_targets])
    rows = csr_array(matrix.aggregation[kept])
    cells, metrics = np.divmod(rows.indices.astype(np.int64), matrix.n_metrics)
    used, renumbered = np.unique(metrics, return_inverse=True)
    shape = (len(kept), matrix.n_cells * len(used))
    return replace(
        matrix,
        targets=matrix.targets.iloc[kept].reset_index(drop=True),
        unachievable=matrix.unachievable[chosen[matrix.n_targets :]].reset_index(drop=True),
        metric_ids=tuple(matrix.metric_ids[metric] for metric in used),
        value_table=csr_array(matrix.value_table[:, used]),
        aggregation=csr_array((rows.data, cells * len(used) + renumbered, rows.indptr), shape=shape),
    )


def _matching(table: pd.DataFrame, rule: Rule, label: str) -> BoolArray:
    found = _mask(table, rule)
    if found.any():
        return found
    column, value = rule.equal[0] if rule.equal else ("variable", "")
    known = sorted(table[column].astype(str).unique())
    raise TargetError(
        f"{label}: the rule {rule.text} matches no target of the package. {column} is {value!r} in the rule and "
        f"in the package one of "
        f"{', '.join(map(repr, known[:12]))}{' ...' if len(known) > 12 else ''}. Correct or "
        "remove the rule, or build the package with these targets."
    )


def _mask(table: pd.DataFrame, rule: Rule) -> BoolArray:
    mask = np.ones(len(table), dtype=bool)
    for column, value in rule.equal:
        if column not in table:
            raise TargetError(f"The package's targets have no column {column}; the rule {rule.text} cannot be applied.")
        mask &= (table[column].astype(str) == value).to_numpy()
    if rule.constraint is not None:
        wanted = rule.constraint
        mask &= np.array([_has(text, wanted) for text in table["constraints"]], dtype=bool)
    return mask


def _has(constraints: str, wanted: tuple[str, str, float]) -> bool:
    variable, operation, value = wanted
    return any(c[0] == variable and c[1] == operation and _number(c[2]) == value for c in json.loads(constraints))


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _domain(constraints: str) -> str:
    """Variables of the constraints in alphabetical order, as the database's view `stratum_domain` gives them."""
    return ",".join(sorted({str(constraint[0]) for constraint in json.loads(constraints)}))
