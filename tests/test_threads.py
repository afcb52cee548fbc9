"""Ranges of rows on threads: every row once, whatever the number of threads; errors come out."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from tessera.threads import run_ranges, thread_count


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1000])
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_every_row_is_handled_once(rows: int, threads: int) -> None:
    seen = np.zeros(rows, dtype=int)

    def count(first: int, last: int, step: int) -> None:
        assert 0 <= first <= last <= rows
        seen[first:last] += step

    run_ranges(count, rows, 3, threads=threads)
    assert (seen == 3).all()


def test_few_rows_stay_on_the_thread_that_calls() -> None:
    names: list[str] = []
    run_ranges(lambda *_: names.append(threading.current_thread().name), 99, threads=8, least=50)
    assert names == [threading.current_thread().name]


def test_an_error_on_any_thread_comes_out() -> None:
    def fail(first: int, last: int) -> None:
        if last == 100:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_ranges(fail, 100, threads=3)


def test_the_number_of_threads_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_NUM_THREADS", "5")
    assert thread_count() == 5
    assert thread_count(2) == 2
    assert thread_count(0) == 1
    monkeypatch.setenv("NUMBA_NUM_THREADS", "many")
    assert thread_count() >= 1
