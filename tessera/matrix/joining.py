"""From state values to the calibration matrix: metrics are evaluated state by state, equal rows are kept once.

The value table has one row for each distinct row of metric values, the nation over. State values come with one row a
*situation*, what the engine can tell apart: household, county, take-up as far as it matters. So every interaction of
programmes within a household and everything that depends on the county is in the rows, and B = G, a gathering of rows,
exactly: the sparse remainder R that the design allows beside it is empty. What keeps the table small is that situations
which differ in no metric share a row, within a state and across states.

States are read one at a time, from a lazy mapping if it is one, and evaluated in chunks of households. The result does
not depend on the mapping's order nor on the chunks: states are joined by FIPS code, rows numbered as they first occur.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera.errors import MatrixError
from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.cells import cities_of, geography_cells
from tessera.matrix.chunks import HOUSEHOLDS
from tessera.matrix.evaluation import evaluate_chunks
from tessera.matrix.metrics import Metrics, compile_metrics
from tessera.rules.state_values import StateValues

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from tessera.matrix.merging import DistinctRows


@dataclass(frozen=True)
class Joined:
    """A calibration matrix and what it was joined from.

    Attributes:
        matrix: the matrix.
        situations: rows of all state values; the matrix's value table has as many distinct ones as it has rows.
        inputs_sha256: what the state values were made from, the same for all states.
        rules_version: engine that computed them, the same for all states.
    """

    matrix: CalibrationMatrix
    situations: int
    inputs_sha256: str
    rules_version: str


def matrix_from_state_values(
    targets: pd.DataFrame, clones: Clones, state_values: Mapping[str, StateValues]
) -> CalibrationMatrix:
    """The calibration matrix of some targets; arguments and errors are those of `join_state_values`."""
    return join_state_values(targets, clones, state_values).matrix


def join_state_values(
    targets: pd.DataFrame,
    clones: Clones,
    state_values: Mapping[str, StateValues],
    *,
    chunk: int = HOUSEHOLDS,
    on_state: Callable[[str, int, int], None] | None = None,
) -> Joined:
    """Join state values to the calibration matrix of some targets.

    Args:
        targets: one row a target, as `tessera.targets.selection.read_targets` gives them.
        clones: placement of all clones.
        state_values: postal code -> engine values; a lazy mapping is read one state at a time.
        chunk: households that are evaluated at a time.
        on_state: called after a state with its postal code, how many are done, and of how many.

    Raises:
        MatrixError: clones without engine values, values of clones that are not of this placement, values made from
            other inputs than the rest, or values that are not finite; the state is named.
    """
    from tessera.matrix.merging import DistinctRows

    metrics = compile_metrics(targets)
    rows = DistinctRows(len(metrics))
    origin: _Origin | None = None
    value_row = np.full(clones.n_records, -1, dtype=np.int32)
    state_of_record = clones.state_fips
    situations = 0
    in_order = sorted(state_values, key=lambda usps: areas.state_by_usps(usps).fips)
    for done, usps in enumerate(in_order, 1):
        state = state_values[usps]
        origin = _checked_origin(usps, state, origin)
        _check_placement(usps, state, clones)
        _check_records(usps, state, state_of_record)
        numbers = _numbered(usps, state, metrics, rows, chunk)
        value_row[state.records] = numbers[state.situation]
        situations += state.values.n_households
        if on_state is not None:
            on_state(usps, done, len(in_order))
    _check_complete(value_row, state_of_record)
    cells = geography_cells(clones, cities_of(targets))
    matrix = build(targets, metrics, rows.table(), value_row, cells.of_record, cells.district, cells.city)
    if origin is None:
        return Joined(matrix, situations, "", "")
    return Joined(matrix, situations, origin.inputs_sha256, origin.rules_version)


def _numbered(usps: str, state: StateValues, metrics: Metrics, rows: DistinctRows, chunk: int) -> npt.NDArray[np.int32]:
    """Row of the table of each situation of a state, int32, shape (n_situations,); new rows are added to the table."""
    numbers = np.empty(state.values.n_households, dtype=np.int32)
    try:
        for first, part in evaluate_chunks(metrics, state.values, chunk=chunk):
            with np.errstate(over="ignore"):  # what single precision cannot hold is infinite, and named below
                values = part.astype(np.float32)
            _check_values(values, first, metrics)
            values.eliminate_zeros()  # so is what is below it
            numbers[first : first + values.shape[0]] = rows.add(values)
    except MatrixError as error:
        raise MatrixError(f"state_values[{usps}]: {error}") from error
    return numbers


@dataclass(frozen=True)
class _Origin:
    """What state values were made from, and who says so."""

    who: str
    inputs_sha256: str
    rules_version: str


def _checked_origin(usps: str, state: StateValues, wanted: _Origin | None) -> _Origin:
    """The origin of a state's values; raises `MatrixError` where it is not the one wanted."""
    again = (
        "Values of one package have one origin. Materialise state_values again for the states that are older than the "
        "last change of base file, clones, take-up rates, targets or engine, then calibration_matrix."
    )
    if state.state != usps:
        raise MatrixError(f"state_values[{usps}] holds the values of {state.state}. Materialise it again.")
    if wanted is not None and state.inputs_sha256 != wanted.inputs_sha256:
        raise MatrixError(
            f"state_values[{usps}] was made from the inputs {state.inputs_sha256[:16] or 'unknown'}; wanted "
            f"{wanted.inputs_sha256[:16] or 'unknown'}, those of {wanted.who}. {again}"
        )
    if wanted is not None and wanted.rules_version != state.rules_version:
        raise MatrixError(
            f"state_values[{usps}] was computed by {state.rules_version}; wanted {wanted.rules_version}, as "
            f"{wanted.who}. {again}"
        )
    return _Origin(f"state_values[{usps}]", state.inputs_sha256, state.rules_version)


def _check_placement(usps: str, state: StateValues, clones: Clones) -> None:
    """Raise `MatrixError` for values of clones that were placed otherwise, or of another base file."""
    if state.placement_sha256 != clones.placement_sha256:
        raise MatrixError(
            f"state_values[{usps}] was made for the clones {state.placement_sha256[:16] or 'unknown'}; wanted "
            f"{clones.placement_sha256[:16]}, those at hand: base file or placement have changed since. Materialise "
            f"state_values for {usps} again."
        )


def _check_records(usps: str, state: StateValues, state_of_record: npt.NDArray[np.int32]) -> None:
    """Raise `MatrixError` for records that are not of this placement, or without a row of values each."""
    records = state.records
    inside = records[(records >= 0) & (records < len(state_of_record))]
    if len(inside) != len(records) or (state_of_record[inside] != areas.state_by_usps(usps).fips).any():
        raise MatrixError(
            f"state_values[{usps}] holds clones that are not placed in {usps}: it was made for another placement. "
            f"Materialise state_values for {usps} again."
        )
    n = state.values.n_households
    if state.situation.shape != records.shape or ((state.situation < 0) | (state.situation >= n)).any():
        raise MatrixError(
            f"state_values[{usps}] has {len(records)} clones and {len(state.situation)} situations of 0 to "
            f"{int(state.situation.max(initial=0))} in {n} rows of values; wanted one row of these for each clone. "
            f"Materialise state_values for {usps} again."
        )


def _check_values(values: csr_array, first: int, metrics: Metrics) -> None:
    """Raise `MatrixError` for a sum that single precision cannot hold."""
    bad = np.flatnonzero(~np.isfinite(values.data))
    if bad.size:
        situation = first + int(np.searchsorted(values.indptr, bad[0], side="right")) - 1
        metric = metrics.ids[int(values.indices[bad[0]])]
        raise MatrixError(
            f"{metric} is {values.data[bad[0]]} (float32) for situation {situation} ({bad.size} such values); wanted "
            "finite numbers. Check the engine's inputs of that household."
        )


def _check_complete(value_row: npt.NDArray[np.int32], state_of_record: npt.NDArray[np.int32]) -> None:
    """Raise `MatrixError` where clones have no values."""
    missing = np.flatnonzero(value_row < 0)
    if missing.size:
        states = [areas.state_by_fips(int(fips)).usps for fips in np.unique(state_of_record[missing])]
        raise MatrixError(
            f"{missing.size} clones in {', '.join(states)} have no engine values. Materialise state_values for these "
            "states, then calibration_matrix."
        )
