"""The meter of stages: seconds and memory, of this process and its children."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from tessera.road import cost
from tessera.road.cost import Meter

MEGABYTE = 1_000_000


def test_memory_that_was_freed_again_counts() -> None:
    with Meter() as quiet:
        pass
    with Meter() as meter:
        filled = np.ones(100 * MEGABYTE // 8)
        del filled
    assert meter.cost.peak_bytes > quiet.cost.peak_bytes + 80 * MEGABYTE
    # What was used before a block is no part of it.
    with Meter() as after:
        pass
    assert after.cost.peak_bytes < meter.cost.peak_bytes - 50 * MEGABYTE


def test_children_count() -> None:
    code = "import time; data = b'x' * 150_000_000; print('ready', flush=True); time.sleep(30)"
    alone = cost._tree_bytes()
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        with Meter() as meter:
            time.sleep(0.01)
    finally:
        child.kill()
        child.communicate()
    # Not beside another block's peak: that counts pages that this process shares with others whole.
    assert meter.cost.peak_bytes > alone + 120 * MEGABYTE
    assert meter.cost.seconds >= 0.01


def test_an_error_passes_through_and_the_cost_is_known() -> None:
    meter = Meter()
    with pytest.raises(ValueError, match="stopped"), meter:
        raise ValueError("stopped")
    assert meter.cost.peak_bytes > 0
