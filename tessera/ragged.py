"""Runs of consecutive numbers: how units are gathered that lie one household after the other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


def ranges(start: IntArray, length: IntArray) -> IntArray:
    """start[0], start[0] + 1, ... (length[0] of them), start[1], ...: int64, shape (length.sum(),)."""
    ends = np.cumsum(length)
    shift = np.repeat(start - (ends - length), length)
    return shift + np.arange(len(shift))
