"""Compiled passes shared out to plain threads: each thread takes the next range of rows until none is left.

A kernel handles the rows [first, last) and writes only what belongs to them, so that results do not depend, to the
bit, on the number of threads or on how rows are shared out. It has to release the interpreter lock while it runs.
Plain threads, so that there is no threading layer of a compiler's that a fork could break.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

_RANGES_A_THREAD = 4  # enough to even out, few enough for the calls to cost nothing


def thread_count(wanted: int | None = None) -> int:
    """Threads to use: those wanted, else `NUMBA_NUM_THREADS`, else the processors this process may run on."""
    if wanted is not None:
        return max(1, wanted)
    configured = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(configured) if configured.isdigit() and int(configured) > 0 else len(os.sched_getaffinity(0))


def run_ranges(
    kernel: Callable[..., None], rows: int, *arguments: object, threads: int | None = None, least: int = 1
) -> None:
    """Call `kernel(first, last, *arguments)` for ranges that make up [0, rows), on some threads; wait for all.

    Args:
        kernel: releases the interpreter lock.
        rows: how many there are.
        arguments: passed on.
        threads: how many, None for `thread_count()`. One does all the work on the thread that calls.
        least: rows that are worth a range of their own.
    """
    count = min(thread_count(threads), max(1, rows // max(1, least)))
    if count <= 1:
        kernel(0, rows, *arguments)
        return
    parts = min(count * _RANGES_A_THREAD, rows)
    edges = [rows * part // parts for part in range(parts + 1)]
    waiting = iter(list(pairwise(edges)))  # taking the next of a list's iterator is one step of the interpreter

    def work() -> None:
        for first, last in waiting:
            kernel(first, last, *arguments)

    with ThreadPoolExecutor(count - 1) as pool:
        pending = [pool.submit(work) for _ in range(count - 1)]
        work()
        for future in pending:
            future.result()
