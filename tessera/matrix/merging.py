"""DistinctRows: a table of sparse rows that holds equal rows once, filled some rows at a time.

Situations of a household often differ in no metric, within a state and across states, so that the table is smaller than
what comes in. A row is looked up by a 64-bit hash of its columns and values, and then compared with the row that is
there: rows are merged only if they are equal to the bit. Rows are numbered in the order in which they first came, so
that neither the size of the pieces nor the hash matters for what comes out.

Memory: 6 bytes a value that is kept (column uint16, value float32), 8 + 8 + about 12 bytes a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numba import njit

from tessera.random_numba import absorb

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_GROWTH = 1.25
_FREE = np.int32(-1)
_LOAD = 2  # slots a row, at least
_SEED = np.uint64(0x243F6A8885A308D3)


class DistinctRows:
    """A growing table of distinct sparse rows.

    Args:
        n_columns: of the table, at most 65,535.
    """

    def __init__(self, n_columns: int) -> None:
        self._n_columns = n_columns
        self._reset()

    def _reset(self) -> None:
        self._n_rows = self._n_values = 0
        self._indptr = np.zeros(1, dtype=np.int64)
        self._indices = np.empty(0, dtype=np.uint16)
        self._bits = np.empty(0, dtype=np.uint32)
        self._hashes = np.empty(0, dtype=np.uint64)
        self._slots = np.full(1024, _FREE)

    @property
    def n_rows(self) -> int:
        """Distinct rows so far."""
        return self._n_rows

    def add(self, rows: csr_array) -> npt.NDArray[np.int32]:
        """Take in some rows.

        Args:
            rows: csr_array float32, shape (n, n_columns), columns ascending, no explicit zeros.

        Returns:
            The number of each row in the table, shape (n,).
        """
        n, indptr = int(rows.shape[0]), rows.indptr.astype(np.int64)
        indices, bits = rows.indices.astype(np.uint16), np.ascontiguousarray(rows.data).view(np.uint32)
        hashes = np.empty(n, dtype=np.uint64)
        hash_rows(indptr, indices, bits, hashes)
        self._make_room(n, len(bits))
        numbers = np.empty(n, dtype=np.int32)
        self._n_rows = insert_rows(
            indptr, indices, bits, hashes, self._indptr, self._indices, self._bits, self._hashes, self._slots,
            self._n_rows, numbers,
        )  # fmt: skip
        self._n_values = int(self._indptr[self._n_rows])
        return numbers

    def table(self) -> csr_array:
        """The rows, csr_array float32, shape (n_rows, n_columns). They are handed over: nothing is left here."""
        from scipy.sparse import csr_array

        n_values, shape = self._n_values, (self._n_rows, self._n_columns)
        width = np.int32 if n_values <= np.iinfo(np.int32).max else np.int64
        indptr = self._indptr[: self._n_rows + 1].astype(width)
        bits, columns = self._bits, self._indices
        self._reset()
        data = (bits[:n_values].copy() if len(bits) > n_values else bits).view(np.float32)
        del bits
        return csr_array((data, columns[:n_values].astype(width), indptr), shape=shape)

    def _make_room(self, n: int, n_values: int) -> None:
        rows, values = self._n_rows + n, self._n_values + n_values
        self._indptr = _grown(self._indptr, rows + 1)
        self._hashes = _grown(self._hashes, rows)
        self._indices = _grown(self._indices, values)
        self._bits = _grown(self._bits, values)
        if _LOAD * rows > len(self._slots):
            self._slots = np.full(1 << int(_LOAD * rows - 1).bit_length(), _FREE)
            fill_slots(self._hashes, self._n_rows, self._slots)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The array with room for `size` elements at least; what is there stays."""
    if size <= len(array):
        return array
    result = np.empty(max(size, int(_GROWTH * len(array))), dtype=array.dtype)
    result[: len(array)] = array
    return result


@njit(cache=True, nogil=True)
def hash_rows(indptr, indices, bits, hashes):  # type: ignore[no-untyped-def]
    """hashes[row] of its columns and the bits of its values, uint64."""
    for row in range(len(hashes)):
        state = _SEED
        for k in range(indptr[row], indptr[row + 1]):
            state = absorb(state, (np.int64(indices[k]) << 32) | np.int64(bits[k]))
        hashes[row] = state


@njit(cache=True, nogil=True)
def fill_slots(hashes, n_rows, slots):  # type: ignore[no-untyped-def]
    """Puts the rows of a table, all distinct, into empty slots."""
    mask = np.uint64(len(slots) - 1)
    for row in range(n_rows):
        place = hashes[row] & mask
        while slots[place] >= 0:
            place = (place + np.uint64(1)) & mask
        slots[place] = row


@njit(cache=True, nogil=True)
def insert_rows(  # type: ignore[no-untyped-def]
    indptr, indices, bits, hashes, t_indptr, t_indices, t_bits, t_hashes, slots, n_rows, numbers
):
    """numbers[row] = where the row is in the table (t_...), which gets the rows that it lacks; returns its new size."""
    mask = np.uint64(len(slots) - 1)
    for row in range(len(numbers)):
        first, size = indptr[row], indptr[row + 1] - indptr[row]
        place = hashes[row] & mask
        while slots[place] >= 0:
            known = slots[place]
            start = t_indptr[known]
            if t_hashes[known] == hashes[row] and t_indptr[known + 1] - start == size:
                same = True
                for k in range(size):
                    if t_indices[start + k] != indices[first + k] or t_bits[start + k] != bits[first + k]:
                        same = False
                        break
                if same:
                    break
            place = (place + np.uint64(1)) & mask
        if slots[place] < 0:
            slots[place] = n_rows
            start = t_indptr[n_rows]
            t_indices[start : start + size] = indices[first : first + size]
            t_bits[start : start + size] = bits[first : first + size]
            t_indptr[n_rows + 1] = start + size
            t_hashes[n_rows] = hashes[row]
            n_rows += 1
        numbers[row] = slots[place]
    return n_rows
