"""Stratification: exactly n, weights of strata kept, brackets first, deterministic, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.stratify import TOP_BRACKETS, allocate, household_agi, strata_of, stratify


def frame_of(agi: np.ndarray, weights: np.ndarray | None = None) -> Frame:
    """Two persons a household that share its income."""
    n = len(agi)
    ids = np.arange(n)
    household = pd.DataFrame(
        {
            "household_id": ids,
            "household_weight": np.linspace(1, 5, n) if weights is None else weights,
            "source": pd.Categorical(np.where(ids % 2 == 0, "cps", "puf")),
            "source_household_id": ids,
        }
    )
    person = pd.DataFrame({"person_id": np.arange(2 * n)})
    for entity in ("household", "tax_unit", "spm_unit", "family", "marital_unit"):
        person[f"{entity}_id"] = np.repeat(ids, 2)
    person["employment_income_before_lsr"] = np.repeat(agi, 2) * np.tile([0.25, 0.0], n)
    person["long_term_capital_gains_before_response"] = np.repeat(agi, 2) * np.tile([0.0, 0.75], n)
    groups = {
        f"{entity}": pd.DataFrame({f"{entity}_id": ids})
        for entity in ("tax_unit", "spm_unit", "family", "marital_unit")
    }
    return Frame(household=household, person=person, **groups, year=2024, synthetic=True).validate()


def incomes(n: int, seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(11, 1.6, n)) - 5000


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_exactly_n_and_every_stratum_keeps_its_weight(data: st.DataObject) -> None:
    total = data.draw(st.integers(10, 400))
    n = data.draw(st.integers(10, total))
    weights = np.random.default_rng(total).choice([0.0, 1.0, 2.5, 1000.0], total, p=[0.1, 0.3, 0.3, 0.3])
    frame = frame_of(incomes(total, data.draw(st.integers(0, 5))), weights)
    chosen = stratify(frame, n, seed=data.draw(st.integers(0, 99)))
    assert chosen.count("household") == n
    assert chosen.count("person") == 2 * n
    stratum = strata_of(household_agi(frame))
    own = stratum[chosen.household["household_id"].to_numpy()]
    before = np.bincount(stratum, weights=frame.weights, minlength=7)
    after = np.bincount(own, weights=chosen.weights, minlength=7)
    np.testing.assert_allclose(after, before, rtol=1e-9)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=7, max_size=7), st.integers(0, 100))
def test_allocation_sums_and_stays_within_sizes(sizes: list[int], share: int) -> None:
    table = np.array(sizes)
    low, high = int((table > 0).sum()), int(table.sum())
    n = low + (high - low) * share // 100
    counts = allocate(table, n)
    assert counts.sum() == n
    assert (counts <= table).all()
    assert (counts[table > 0] >= 1).all()


def test_brackets_are_kept_first_up_to_their_limits_in_proportion() -> None:
    sizes = np.array([10_000, 40_000, 2000, 390, 100, 20, 700])
    assert allocate(sizes, 12_000)[2:].tolist() == [400, 390, 100, 20, 300]
    assert allocate(sizes, 12_000).sum() == 12_000
    rest = allocate(sizes, 12_000)[:2]
    assert rest.tolist() == [2158, 8632]  # 10,790 households in proportion to 1 : 4
    assert allocate(sizes, 500)[2:].tolist() == [17, 17, 17, 12, 12]
    assert [limit for _, limit in TOP_BRACKETS] == [400, 400, 400, 300, 300]


def test_same_seed_same_households_and_all_of_them_untouched() -> None:
    frame = frame_of(incomes(200))
    first, again, other = stratify(frame, 50, seed=1), stratify(frame, 50, seed=1), stratify(frame, 50, seed=2)
    pd.testing.assert_frame_equal(first.household, again.household)
    assert first.household["household_id"].tolist() != other.household["household_id"].tolist()
    assert stratify(frame, 200, seed=1) is frame
    assert frame.weights.sum() == pytest.approx(np.linspace(1, 5, 200).sum())  # the argument is not altered


def test_sources_stay_in_proportion() -> None:
    chosen = stratify(frame_of(incomes(400)), 100, seed=3)
    assert 45 <= (chosen.household["source"] == "cps").sum() <= 55


def test_income_proxy_and_strata_edges() -> None:
    agi = np.array([0.0, 100.0, 200.0, 300.0, 499_999.0, 500_000.0, 1e6, 2e6, 5e6, 1e7, -5e6])
    np.testing.assert_allclose(household_agi(frame_of(agi)), agi)
    assert strata_of(agi).tolist() == [0, 1, 1, 1, 1, 2, 3, 4, 5, 6, 0]


@pytest.mark.parametrize("n", [1, 101])
def test_impossible_numbers_are_refused(n: int) -> None:
    with pytest.raises(FrameError, match=f"{n} households wanted of 100"):
        stratify(frame_of(incomes(100)), n, seed=1)
