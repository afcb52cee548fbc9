"""Work in forked processes: what is loaded before the fork (an engine, a frame) is shared, not loaded again or sent.

Holds `fork_map` and `settled_memory`. Results come back in the order of the items; an error in a worker is raised here.
"""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# The function and items of the map under way; forked workers inherit them and are told an index only.
_WORK: tuple[Callable[[Any], Any], Sequence[Any]] | None = None


def fork_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    on_done: Callable[[int, Item], None] | None = None,
) -> list[Result]:
    """`[function(item) for item in items]` in up to `workers` forked processes; one worker stays in this process.

    Args:
        function: may be a closure or bound method; it is inherited by the fork. Its results are sent back.
        items: what to call it with.
        workers: processes.
        on_done: called as items finish, with how many have and the item.
    """
    global _WORK  # noqa: PLW0603 - inherited by the forked workers
    results: dict[int, Result] = {}
    if workers <= 1 or len(items) <= 1:
        for index, item in enumerate(items):
            results[index] = function(item)
            if on_done is not None:
                on_done(index + 1, item)
        return [results[index] for index in range(len(items))]
    _WORK = (function, items)
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=multiprocessing.get_context("fork"))
    try:
        futures = {pool.submit(_call, index): index for index in range(len(items))}
        for done, future in enumerate(as_completed(futures), 1):
            results[futures[future]] = future.result()
            if on_done is not None:
                on_done(done, items[futures[future]])
    finally:
        # After an error, what has not begun would keep it back for as long as it takes.
        pool.shutdown(cancel_futures=True)
        _WORK = None
    return [results[index] for index in range(len(items))]


@contextmanager
def settled_memory() -> Iterator[None]:
    """Leave what is in memory now out of garbage collections until the end.

    An engine is millions of objects that live as long as the process. To look through them takes a collection four
    seconds, and in a forked process copies the pages that they share with their parent.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _call(index: int) -> Any:
    assert _WORK is not None
    function, items = _WORK
    return function(items[index])
