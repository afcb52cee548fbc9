"""The draws of `tessera.random`, compiled: functions of one draw for other kernels to call, and a twin of `uniform`.

Equal to `tessera.random.uniform` to the bit, whatever the number of threads. Apart from it, so that importing that one
stays light.

    key   = label_key("takes_up_snap_if_eligible/42")          # once, outside the kernel
    state = absorb(np.uint64(key), household_id)               # once a household
    state = absorb(state, entity_index)
    u     = to_unit(absorb(state, clone))                      # = draw(key, household_id, entity_index, clone)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import float64, int64, njit, uint64, vectorize

from tessera.random import BELOW_ONE, IntegerArray, label_key
from tessera.threads import run_ranges

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OFFSET = np.uint64(0xD1B54A32D192ED03)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_A_RANGE = 20_000  # draws that are worth a thread


@njit(uint64(uint64, int64), cache=True, nogil=True, inline="always")
def absorb(state, part):  # type: ignore[no-untyped-def]
    """State after one more label, a signed 64-bit integer; the first state is the key of the variable."""
    x = state * _GOLDEN + np.uint64(part) + _OFFSET
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@njit(float64(uint64), cache=True, nogil=True, inline="always")
def to_unit(state):  # type: ignore[no-untyped-def]
    """The draw, in (0, 1), from the state after the last label."""
    return min((np.float64(state >> _11) + 0.5) * 2.0**-53, BELOW_ONE)


@njit(float64(uint64, int64, int64, int64), cache=True, nogil=True, inline="always")
def draw(key, household_id, entity_index, clone):  # type: ignore[no-untyped-def]
    """One draw; `key` is `tessera.random.label_key(variable)`."""
    return to_unit(absorb(absorb(absorb(key, household_id), entity_index), clone))


@vectorize([float64(uint64, int64, int64, int64)], nopython=True, cache=True)
def _draws(key, household_id, entity_index, clone):  # type: ignore[no-untyped-def]
    return draw(key, household_id, entity_index, clone)


def uniform(
    variable: str,
    household_id: IntegerArray | int,
    entity_index: IntegerArray | int = 0,
    clone: IntegerArray | int = 0,
    *,
    threads: int | None = None,
) -> npt.NDArray[np.float64]:
    """`tessera.random.uniform`, compiled; rows of the first axis are shared out to threads.

    Args:
        variable, household_id, entity_index, clone: as there.
        threads: how many, None for all that there are.

    Returns:
        float64 array of the broadcast shape.
    """
    parts = [np.asarray(part).astype(np.int64, copy=False) for part in (household_id, entity_index, clone)]
    shape = np.broadcast_shapes(*(part.shape for part in parts))
    key = np.uint64(label_key(variable))
    if not shape:
        return np.asarray(_draws(key, *parts))
    result = np.empty(shape)
    views = [np.broadcast_to(part, shape) for part in parts]

    def rows(first: int, last: int) -> None:
        _draws(key, *(view[first:last] for view in views), out=result[first:last])

    width = max(1, int(np.prod(shape[1:])))
    run_ranges(rows, shape[0], threads=threads, least=-(-_A_RANGE // width))
    return result
