"""The factored matrix against one that is built entry by entry, its adjoint, its supports and its storage."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tessera.errors import MatrixError
from tessera.geography import areas
from tessera.matrix import calibration_matrix as module
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.initial_weights import active_records
from tessera.matrix.kernels import CellThreads, cell_totals
from tessera.matrix.metrics import compile_metrics
from tessera.matrix.supports import nonzeros

CELLS = [601, 602, 602, 1101, 201]  # the second district is split into two cells
AREAS = [("national", "US"), ("state", "CA"), ("state", "DC"), ("district", "CA-02"), ("district", "AK-01")]
N_METRICS = 3


def target_table(values: float = 10.0) -> pd.DataFrame:
    rows = [(f"{g}/{m}", f"metric_{m}", level, g, "[]", values) for m in range(N_METRICS) for level, g in AREAS]
    return pd.DataFrame(rows, columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"])


def factors(seed: int, n_records: int = 60, n_rows: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(seed))
    table = rng.integers(1, 9, (n_rows, N_METRICS)) * (rng.random((n_rows, N_METRICS)) < 0.6)
    return table.astype(float), rng.integers(0, n_rows, n_records), rng.integers(0, len(CELLS), n_records)


def made(seed: int = 0, n_records: int = 60) -> CalibrationMatrix:
    table, row, cell = factors(seed, n_records)
    targets = target_table()
    return build(targets, compile_metrics(targets), csr_array(table), row, cell, CELLS)


def naive(seed: int, n_records: int, targets: pd.DataFrame) -> np.ndarray:
    table, row, cell = factors(seed, n_records)
    result = np.zeros((len(targets), n_records))
    for t, target in enumerate(targets.itertuples()):
        metric = int(str(target.variable)[-1])
        for record in range(n_records):
            code = CELLS[cell[record]]
            inside = {
                "national": True,
                "state": areas.state_by_fips(code // 100).usps == target.geo_id,
                "district": areas.district_key(code) == target.geo_id,
            }[str(target.geo_level)]
            result[t, record] = table[row[record], metric] if inside else 0.0
    return result


@given(seed=st.integers(0, 10_000), n_records=st.integers(1, 80))
@settings(max_examples=25, deadline=None)
def test_the_factored_matrix_is_the_explicit_one(seed: int, n_records: int) -> None:
    matrix = made(seed, n_records)
    explicit = naive(seed, n_records, matrix.targets)
    np.testing.assert_array_equal(matrix.to_csr().toarray(), explicit)
    np.testing.assert_allclose(matrix.row_sums(), explicit.sum(axis=1), rtol=1e-12)
    rng = np.random.Generator(np.random.Philox(seed + 1))
    weights, residuals = rng.lognormal(0, 2, n_records), rng.normal(0, 1, matrix.n_targets)
    np.testing.assert_allclose(matrix.matvec(weights), explicit @ weights, rtol=1e-12)
    np.testing.assert_allclose(matrix.rmatvec(residuals), explicit.T @ residuals, rtol=1e-12, atol=1e-12)
    left, right = matrix.matvec(weights) @ residuals, weights @ matrix.rmatvec(residuals)
    assert left == pytest.approx(right, rel=1e-11, abs=1e-9)


def test_every_target_is_supported_or_has_a_reason() -> None:
    table = np.array([[1.0, 0.0, -2.0], [3.0, 0.0, -1.0]])
    targets = target_table()
    matrix = build(targets, compile_metrics(targets), csr_array(table), [0, 1], [0, 3], CELLS)
    assert matrix.targets["name"].tolist() == ["US/0", "CA/0", "DC/0"]
    reasons = dict(zip(matrix.unachievable["name"], matrix.unachievable["reason"], strict=True))
    assert reasons["US/1"] == module.NO_SUPPORT
    assert reasons["CA/2"] == module.WRONG_SIGN
    assert reasons["CA-02/0"] == reasons["AK-01/2"] == module.NO_CLONE
    assert len(reasons) == len(targets) - 3
    negative = targets.assign(value=-10.0)
    matrix = build(negative, compile_metrics(negative), csr_array(table), [0, 1], [0, 3], CELLS)
    assert matrix.targets["name"].tolist() == ["US/2", "CA/2", "DC/2"]


def test_results_do_not_depend_on_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = made(3, 5000)
    rng = np.random.Generator(np.random.Philox(1))
    weights, residuals = rng.lognormal(0, 1, 5000), rng.normal(0, 1, matrix.n_targets)
    results = []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("NUMBA_NUM_THREADS", threads)
        results.append((matrix.matvec(weights), matrix.rmatvec(residuals)))
    for other in results[1:]:
        np.testing.assert_array_equal(other[0], results[0][0])
        np.testing.assert_array_equal(other[1], results[0][1])


def test_threads_cover_every_cell_once() -> None:
    matrix = made(5, 300)
    for threads in (1, 2, 3, 50):
        totals = np.full((matrix.n_cells, matrix.n_metrics), np.nan)
        with CellThreads(matrix.cell_work, threads) as pool:
            pool.run(cell_totals, *matrix.factors, np.ones(300), totals)
        np.testing.assert_array_equal(totals, matrix.cell_values(np.ones(300)))


def test_tree_round_trip_and_fingerprint() -> None:
    matrix = made()
    again = CalibrationMatrix.from_tree(matrix.to_tree())
    assert again.fingerprint == matrix.fingerprint
    assert again.metric_ids == matrix.metric_ids
    pd.testing.assert_frame_equal(again.unachievable, matrix.unachievable)
    np.testing.assert_array_equal(again.to_csr().toarray(), matrix.to_csr().toarray())
    assert made(1).fingerprint != matrix.fingerprint
    moved = {**matrix.to_tree(), "targets": matrix.targets.assign(value=11.0)}
    assert CalibrationMatrix.from_tree(moved).fingerprint != matrix.fingerprint


def test_a_stored_matrix_of_another_schema_or_without_a_part_is_refused() -> None:
    tree = made().to_tree()
    with pytest.raises(MatrixError, match="schema version 99"):
        CalibrationMatrix.from_tree({**tree, "schema_version": 99})
    with pytest.raises(MatrixError, match="schema version None"):
        CalibrationMatrix.from_tree({})
    with pytest.raises(MatrixError, match="lacks cell, cells"):
        CalibrationMatrix.from_tree({k: v for k, v in tree.items() if k not in ("cell", "cells")})
    with pytest.raises(MatrixError, match="aggregation has shape"):
        CalibrationMatrix.from_tree({**tree, "targets": tree["targets"].iloc[1:]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_row": [0, 99]}, r"value_row\[1\] is 99"),
        ({"cell": [0, -1]}, r"cell\[1\] is -1"),
        ({"cell": [0, 1, 2]}, "one number a record each"),
        ({"table": np.array([[1.0, np.nan, 0]])}, "Value row 0, metric 1 is nan"),
        ({"table": np.array([[1.0, 1e300, 0]])}, "Value row 0, metric 1 is inf"),
        ({"table": np.ones((1, 2))}, "2 columns for 3 metrics"),
        ({"value": np.nan}, "'US/0' .* has the value nan"),
        ({"geo_id": "CA-99"}, "'CA-99'"),
        ({"geo_level": "county"}, "'county'"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: dict[str, object], message: str) -> None:
    parts = {"value_row": [0, 0], "cell": [0, 1], "table": np.ones((1, 3)), **change}
    targets = target_table()
    for column in {"value", "geo_id", "geo_level"} & set(change):
        targets[column] = change[column]
    with pytest.raises(MatrixError, match=message):
        build(
            targets, compile_metrics(targets), csr_array(parts["table"]), np.array(parts["value_row"]),
            np.array(parts["cell"]), CELLS,
        )  # fmt: skip


def test_vectors_of_the_wrong_length_are_refused() -> None:
    matrix = made()
    with pytest.raises(MatrixError, match=r"weights have shape \(3,\)"):
        matrix.matvec(np.ones(3))
    with pytest.raises(MatrixError, match="residuals have shape"):
        matrix.rmatvec(np.ones(matrix.n_targets + 1))


def test_what_is_stored_is_narrow_and_comes_back() -> None:
    matrix = made(2)
    tree = matrix.to_tree()
    assert tree["value_table"]["indices"].dtype == np.uint16 and tree["cell"].dtype == np.int16
    again = CalibrationMatrix.from_tree(tree)
    assert (again.cell.dtype, again.value_table.data.dtype) == (np.int32, np.float32)
    assert again.value_table.indices.dtype == again.value_table.indptr.dtype == np.int32
    np.testing.assert_array_equal(again.cell_city, matrix.cell_city)
    np.testing.assert_array_equal(again.value_table.toarray(), matrix.value_table.toarray())
    with pytest.raises(MatrixError, match=r"lacks value_table\.data"):
        CalibrationMatrix.from_tree({**tree, "value_table": {"indptr": [0], "indices": []}})


@given(seed=st.integers(0, 10_000), n_records=st.integers(1, 80))
@settings(max_examples=15, deadline=None)
def test_nonzeros_are_those_of_the_explicit_matrix(seed: int, n_records: int) -> None:
    matrix = made(seed, n_records)
    values = matrix.value_table.toarray()[matrix.value_row]
    assert nonzeros(matrix) == (np.count_nonzero(values), matrix.to_csr().count_nonzero())
    supported = abs(matrix.to_csr()).sum(axis=0) > 0
    np.testing.assert_array_equal(active_records(matrix), supported)


def test_cities_are_cells_of_their_own() -> None:
    """A city has one district whole and part of another; district, state and nation still sum all their cells."""
    cells, city = [3610, 3612, 3612, 602], ["NYC", "", "NYC", ""]
    table, row, cell = np.array([[2.0], [3.0], [5.0], [7.0]]), [0, 1, 2, 3], [0, 1, 2, 3]
    places = [("national", "US"), ("state", "NY"), ("district", "NY-12"), ("city", "NYC"), ("city", "CHICAGO")]
    targets = pd.DataFrame(
        [(place, "metric_0", level, place, "[]", 1.0) for level, place in places],
        columns=["name", "variable", "geo_level", "geo_id", "constraints", "value"],
    )
    with pytest.raises(MatrixError, match="city CHICAGO, but no cell lies in it"):
        build(targets, compile_metrics(targets), csr_array(table), row, cell, cells, city)
    targets = targets.iloc[:4]
    matrix = build(targets, compile_metrics(targets), csr_array(table), row, cell, cells, city)
    np.testing.assert_array_equal(matrix.to_csr().toarray(), [[2, 3, 5, 7], [2, 3, 5, 0], [0, 3, 5, 0], [2, 0, 5, 0]])
    with pytest.raises(MatrixError, match="city NYC, but no cell lies in it"):
        build(targets, compile_metrics(targets), csr_array(table), row, cell, cells)
