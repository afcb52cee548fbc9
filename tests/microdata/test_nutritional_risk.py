"""Nutritional risk: rates by category, who is left alone, and draws that depend on nobody else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.asec import ordered_persons, relations
from tessera.microdata.nutritional_risk import is_at_nutritional_risk

from .support import persons

N = 20_000


def drawn(age: float, *, pregnant: bool = False, rows: np.ndarray | None = None) -> np.ndarray:
    table: pd.DataFrame = persons({"A_SEX": 2, "A_AGE": 30}).loc[[0] * N].reset_index(drop=True)
    numbers = np.arange(1, N + 1)
    ordered = ordered_persons(table.assign(PH_SEQ=numbers, SPM_ID=numbers, PRDTRACE=1, WSAL_VAL=1, SS_VAL=1, INT_VAL=1))
    if rows is not None:
        ordered = ordered.iloc[rows].reset_index(drop=True)
    n = len(ordered)
    return is_at_nutritional_risk(np.full(n, age), np.full(n, pregnant), relations(ordered), seed=1)


@pytest.mark.parametrize(
    ("age", "pregnant", "rate"), [(0, False, 0.95), (1, False, 0.752), (4, False, 0.752), (30, True, 0.913)]
)
def test_shares_are_the_rates(age: float, pregnant: bool, rate: float) -> None:
    assert abs(drawn(age, pregnant=pregnant).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / N)


@pytest.mark.parametrize("age", [5, 30, 80])
def test_others_stay_as_the_engine_assumes(age: float) -> None:
    assert drawn(age).all()


def test_a_draw_does_not_depend_on_the_others() -> None:
    some = np.arange(0, N, 7)
    np.testing.assert_array_equal(drawn(2, rows=some), drawn(2)[some])
