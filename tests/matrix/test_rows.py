"""Products, sums and gathered rows: the dense form, the sparse form and plain numpy are the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy.sparse import csr_array

from tessera.matrix import rows
from tessera.matrix.rows import BLOCK, DenseTable, SparseTable, Table, form_bytes, gather, table_form


@njit
def compiled_products(table, row, wanted, dual, out):  # type: ignore[no-untyped-def]
    rows.products(table, row, wanted, dual, out)


@njit
def compiled_precise_products(table, row, dual, out):  # type: ignore[no-untyped-def]
    rows.precise_products(table, row, dual, out)


@njit
def compiled_sums(table, row, weight, out):  # type: ignore[no-untyped-def]
    rows.sums(table, row, weight, out)


class Case:
    """A value table in both forms, and a block of its rows."""

    def __init__(self, seed: int, n_rows: int, n_metrics: int, n: int, density: float) -> None:
        rng = np.random.Generator(np.random.Philox(seed))
        self.values = (rng.normal(0, 3, (n_rows, n_metrics)) * (rng.random((n_rows, n_metrics)) < density)).astype("f4")
        table = csr_array(self.values)
        self.sparse = SparseTable(
            table.indptr.astype(np.int64), table.indices.astype(np.uint16), table.data, n_metrics
        )  # fmt: skip
        self.dense = DenseTable(self.values)
        self.row = rng.integers(0, n_rows, n).astype(np.int32)
        self.weight = (rng.lognormal(0, 1, n) * (rng.random(n) < 0.6)).astype("f4")
        self.dual = rng.normal(0, 1, n_metrics).astype("f4")

    @property
    def forms(self) -> tuple[Table, Table]:
        return self.dense, self.sparse


cases = st.builds(
    Case,
    seed=st.integers(0, 10**6),
    n_rows=st.integers(1, 40),
    n_metrics=st.integers(1, 70),
    n=st.integers(0, BLOCK),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_products(case: Case) -> None:
    block = case.values[case.row].astype(np.float64)
    size = np.abs(block) @ np.abs(case.dual.astype(np.float64))
    product = block @ case.dual.astype(np.float64)
    for table in case.forms:
        out = np.full(len(case.row), np.nan, dtype=np.float32)
        compiled_products(table, case.row, case.weight, case.dual, out)
        expected = np.where(_skipped(table, case.weight), 0.0, product)
        assert np.all(np.abs(out - expected) <= 1e-5 * size + 1e-12)


def _skipped(table: Table, weight: np.ndarray) -> np.ndarray:
    """Rows that are not read: those not wanted, in the dense form only where that holds for a whole group of four."""
    if isinstance(table, SparseTable):
        return weight == 0
    skipped = np.zeros(len(weight), dtype=bool)
    whole = len(weight) - len(weight) % 4
    skipped[:whole] = np.repeat((weight[:whole].reshape(-1, 4) == 0).all(axis=1), 4)
    return skipped


@given(cases)
@settings(max_examples=40, deadline=None)
def test_products_in_double_precision(case: Case) -> None:
    block, dual = case.values[case.row].astype(np.float64), case.dual.astype(np.float64) * (1 + 1e-9)
    for table in case.forms:
        out = np.full(len(case.row), np.nan)
        compiled_precise_products(table, case.row, dual, out)
        assert np.all(np.abs(out - block @ dual) <= 1e-13 * (np.abs(block) @ np.abs(dual)))


@given(cases)
@settings(max_examples=60, deadline=None)
def test_sums(case: Case) -> None:
    block, weight = case.values[case.row].astype(np.float64), case.weight.astype(np.float64)
    expected, size = weight @ block, weight @ np.abs(block)
    for table in case.forms:
        out = np.full(case.values.shape[1], np.nan, dtype=np.float32)
        compiled_sums(table, case.row, case.weight, out)
        assert np.all(np.abs(out - expected) <= 1e-5 * size + 1e-12)


@given(cases)
@settings(max_examples=40, deadline=None)
def test_gathered_rows(case: Case) -> None:
    expected = case.values[case.row] * case.weight[:, None]
    for table in case.forms:
        out = np.full((len(case.row) + 2, case.values.shape[1]), 7.0, dtype=np.float32)
        gather(table, case.row, case.weight, out)
        np.testing.assert_array_equal(out[: len(case.row)], expected)
        assert np.all(out[len(case.row) :] == 7.0)


@pytest.mark.parametrize("alone", range(9))
def test_each_of_eight_rows_counts(alone: int) -> None:
    """The dense sums take eight rows at a time, and skip them only if all their weights are 0."""
    case = Case(seed=3, n_rows=9, n_metrics=6, n=9, density=1.0)
    weight = np.zeros(9, dtype=np.float32)
    weight[alone] = 2
    for table in case.forms:
        out = np.empty(6, dtype=np.float32)
        compiled_sums(table, case.row, weight, out)
        np.testing.assert_array_equal(out, 2 * case.values[case.row[alone]])


def test_products_and_sums_are_for_compiled_callers() -> None:
    case = Case(seed=0, n_rows=2, n_metrics=2, n=2, density=1.0)
    with pytest.raises(NotImplementedError, match="dense_products"):
        rows.products(case.dense, case.row, case.weight, case.dual, case.weight)
    with pytest.raises(NotImplementedError, match="dense_sums"):
        rows.sums(case.dense, case.row, case.weight, case.dual)
    with pytest.raises(NotImplementedError, match="dense_precise_products"):
        rows.precise_products(case.dense, case.row, case.dual, case.weight)


def test_the_form_is_dense_from_a_density_on() -> None:
    table = csr_array(np.array([[1.0, 0, 0, 0, 0, 0, 0, 0]], dtype=np.float32))
    assert isinstance(table_form(table), DenseTable)  # an eighth of the values
    sparser = csr_array(np.array([[1.0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=np.float32))
    assert isinstance(table_form(sparser), SparseTable)
    assert isinstance(table_form(csr_array((0, 3), dtype=np.float32)), SparseTable)


def test_the_form_is_sparse_if_dense_were_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    table = csr_array(np.ones((10, 10), dtype=np.float32))
    monkeypatch.setattr(rows, "DENSE_LIMIT_BYTES", 400)
    assert isinstance(table_form(table), DenseTable)
    monkeypatch.setattr(rows, "DENSE_LIMIT_BYTES", 399)
    assert isinstance(table_form(table), SparseTable)


@pytest.mark.parametrize("density", [0.05, 0.6])
def test_forms_hold_the_table_and_take_the_memory_they_say(density: float) -> None:
    rng = np.random.Generator(np.random.Philox(1))
    values = (rng.random((50, 300)) * (rng.random((50, 300)) < density)).astype(np.float32)
    table = csr_array(values)
    form = table_form(table)
    if isinstance(form, DenseTable):
        np.testing.assert_array_equal(form.values, values)
        assert form.values.dtype == np.float32 and form.values.flags.c_contiguous
        own = form.values.nbytes
    else:
        assert (form.indptr.dtype, form.indices.dtype, form.n_metrics) == (np.int64, np.uint16, 300)
        again = csr_array((form.data, form.indices.astype(np.int32), form.indptr), shape=table.shape)
        np.testing.assert_array_equal(again.toarray(), values)
        assert np.shares_memory(form.data, table.data)
        own = form.indptr.nbytes + form.indices.nbytes
    assert form_bytes(table) == own
    assert isinstance(form, DenseTable) == (density > 0.12)
