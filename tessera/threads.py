"""Compiled passes shared out to plain threads: each thread takes the next range of rows until none is left.

A kernel handles the rows [first, last) and writes only what belongs to them, so that results do not depend, to the
bit, on the number of threads or on how rows are shared out. It has to release the interpreter lock while it runs.
Plain threads, so that there is no threading layer of a compiler's that a fork could break.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Self

RANGES_A_THREAD = 4
"""Enough to even out, few enough for the calls to cost nothing."""


def thread_count(wanted: int | None = None) -> int:
    """Threads to use: those wanted, else `NUMBA_NUM_THREADS`, else the processors this process may run on."""
    if wanted is not None:
        return max(1, wanted)
    configured = os.environ.get("NUMBA_NUM_THREADS", "")
    return int(configured) if configured.isdigit() and int(configured) > 0 else len(os.sched_getaffinity(0))


class RangeThreads:
    """Shares ranges of rows out to threads; a context manager.

    A thread that is done takes the next range: processors that something else uses too do not hold up the rest.

    Args:
        edges: ascending, from 0 to the number of rows; a range is between two neighbours.
        threads: how many; one of them is the thread that calls.
    """

    def __init__(self, edges: Sequence[int], threads: int) -> None:
        self._ranges = list(pairwise(edges)) or [(0, 0)]
        self._others = min(threads, len(self._ranges)) - 1
        self._pool = ThreadPoolExecutor(self._others) if self._others else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, kernel: Callable[..., None], *arguments: object) -> None:
        """Call `kernel(first, last, *arguments)` for every range, some of them on this thread; wait for all."""
        waiting = iter(self._ranges)  # taking the next of a list's iterator is one step of the interpreter

        def work() -> None:
            for first, last in waiting:
                kernel(first, last, *arguments)

        pending = [] if self._pool is None else [self._pool.submit(work) for _ in range(self._others)]
        work()
        for future in pending:
            future.result()


def run_ranges(
    kernel: Callable[..., None], rows: int, *arguments: object, threads: int | None = None, least: int = 1
) -> None:
    """Call `kernel(first, last, *arguments)` for even ranges that make up [0, rows), on some threads; wait for all.

    Args:
        kernel: releases the interpreter lock.
        rows: how many there are.
        arguments: passed on.
        threads: how many, None for `thread_count()`. One does all the work on the thread that calls.
        least: rows that are worth a range of their own.
    """
    count = min(thread_count(threads), max(1, rows // max(1, least)))
    parts = 1 if count <= 1 else min(count * RANGES_A_THREAD, rows)
    with RangeThreads([rows * part // parts for part in range(parts + 1)], count) as pool:
        pool.run(kernel, *arguments)
