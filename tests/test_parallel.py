"""`fork_map`: results in order, errors and news of what is done."""

from __future__ import annotations

import os
import time

import pytest

from tessera.errors import RulesError
from tessera.parallel import fork_map

WORKERS = pytest.mark.parametrize("workers", [1, 3])


@WORKERS
def test_results_are_in_order_of_the_items_whoever_ends_first(workers: int) -> None:
    offset = 100  # a closure: what is here at the fork is there in the worker

    def slow_at_first(item: int) -> int:
        time.sleep(0.03 if item == 0 else 0.0)
        return item + offset

    assert fork_map(slow_at_first, range(7), workers) == list(range(100, 107))


@WORKERS
def test_every_item_is_reported_once(workers: int) -> None:
    seen: list[tuple[int, str]] = []
    fork_map(str.upper, ["a", "b", "c", "d"], workers, lambda done, item: seen.append((done, item)))
    assert [done for done, _ in seen] == [1, 2, 3, 4]
    assert sorted(item for _, item in seen) == ["a", "b", "c", "d"]


@WORKERS
def test_an_error_comes_back_as_itself(workers: int) -> None:
    def fail(item: int) -> int:
        if item == 2:
            raise RulesError(f"item {item} failed")
        return item

    with pytest.raises(RulesError, match="item 2 failed"):
        fork_map(fail, range(4), workers)
    assert fork_map(abs, [-1, -2], workers) == [1, 2]  # nothing of the failed map is left


def test_one_worker_or_one_item_stay_in_this_process() -> None:
    here = os.getpid()
    assert fork_map(lambda _: os.getpid(), range(3), 1) == [here] * 3
    assert fork_map(lambda _: os.getpid(), [0], 4) == [here]
    assert here not in fork_map(lambda _: os.getpid(), range(3), 2)
    assert fork_map(abs, [], 4) == []
