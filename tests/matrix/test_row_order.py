"""The rows of the value table go in the order of their first use, and the matrix stays the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from tessera.matrix.row_order import in_order_of_use


@given(seed=st.integers(0, 10**6), n_rows=st.integers(1, 30), n=st.integers(0, 60), cells=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_rows_are_in_the_order_in_which_cells_meet_them(seed: int, n_rows: int, n: int, cells: int) -> None:
    rng = np.random.Generator(np.random.Philox(seed))
    values = rng.random((n_rows, 4)).astype(np.float32)
    value_row, cell = rng.integers(0, n_rows, n), rng.integers(0, cells, n)
    table, rows = in_order_of_use(csr_array(values), value_row, cell)
    assert rows.dtype == np.int32
    np.testing.assert_array_equal(table.toarray()[rows], values[value_row])
    assert sorted(map(tuple, table.toarray().tolist())) == sorted(map(tuple, values.tolist()))
    # The rows that a cell is the first to use follow those of the cells before it, in the order that they had.
    seen: set[int] = set()
    for number in range(cells):
        mine = set(rows[cell == number].tolist())
        first_used = sorted(mine - seen)
        assert first_used == list(range(len(seen), len(seen | mine)))
        before = [int(value_row[np.flatnonzero((rows == row) & (cell == number))[0]]) for row in first_used]
        assert before == sorted(before)
        seen |= mine
    again, same = in_order_of_use(table, rows, cell)
    assert again is table
    np.testing.assert_array_equal(same, rows)
