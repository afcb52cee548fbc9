"""Aggregate records taken apart: totals and weights of every bucket kept exactly, incomes in bounds, no dominance."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.microdata.puf_aggregates import (
    AGGREGATES,
    COPY,
    DOMINANCE,
    FEWEST,
    MOST,
    WITHIN,
    amount_codes,
    buckets,
    copies_of,
    disaggregate,
    moved,
)

from .support import tax_file


def returns_of(n: int, seed: int = 0) -> pd.DataFrame:
    """Ordinary returns of all incomes and four aggregate records, the last with totals of either sign."""
    table = tax_file(n).table
    rng = np.random.default_rng(seed)
    signed = ["E00900", "P22250", "P23250", "E02100", "E01200"]
    for code in signed:
        table[code] = table[code] * rng.choice([-1.0, 1.0], n)
    table["E00100"] = np.concatenate([rng.normal(0, 1, n - 4) * 10 ** rng.uniform(3, 9, n - 4), table["E00100"][-4:]])
    return table.assign(weight=table["S006"])


def test_number_of_copies() -> None:
    assert [copies_of(w) for w in (1, 199, 200, 310, 400, 1e6)] == [FEWEST, FEWEST, 20, 31, MOST, MOST]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**20), n=st.integers(10, 70))
def test_every_bucket_keeps_weight_and_every_amount(seed: int, n: int) -> None:
    table = returns_of(n, seed)
    new = disaggregate(table, seed=seed)
    codes = amount_codes(table)
    assert {"E00100", "E00200", "P23250"} <= set(codes)
    assert not new["RECID"].duplicated().any()
    assert not new["RECID"].isin(AGGREGATES).any()
    assert (new["MARS"] > 0).all()
    pd.testing.assert_frame_equal(new.iloc[: n - 4].drop(columns=COPY), table.iloc[: n - 4])
    assert new[COPY].tolist() == [0] * (n - 4) + [1] * (len(new) - n + 4)
    start = n - 4
    for place in range(n - 4, n):
        target = table.iloc[place]
        each = copies_of(float(target["weight"]))
        part = new.iloc[start : start + each]
        start += each
        assert part["weight"].sum() == pytest.approx(target["weight"], rel=1e-12)
        values, wanted = part[codes].to_numpy(dtype=float), target[codes].to_numpy(dtype=float) * target["weight"]
        weighted = values * part["weight"].to_numpy()[:, None]
        gross = np.abs(weighted).sum(axis=0) + np.abs(wanted)
        assert (np.abs(weighted.sum(axis=0) - wanted) <= 1e-11 * gross + 1e-9).all()
        for whole, inner in WITHIN.items():
            if target[whole] >= target[inner] >= 0:
                assert (part[whole] >= part[inner] - 1e-6 * part[whole].abs().max()).all(), whole
        free = values[:, [code not in {"E00100", *WITHIN} for code in codes]]
        for side in (free, -free):
            # A copy of the other sign cannot hold some.
            most = np.maximum(DOMINANCE, 1 / np.maximum((side >= 0).sum(axis=0), 1))
            held = np.maximum(side, 0)
            assert (held.max(axis=0) <= most * held.sum(axis=0) * (1 + 1e-6)).all()
    assert start == len(new)


@pytest.mark.parametrize("recid", AGGREGATES)
def test_incomes_lie_within_the_bucket(recid: int) -> None:
    table = returns_of(400)
    new = disaggregate(table, seed=3)
    mean = float(table.loc[table["RECID"] == recid, "E00100"].iloc[0])
    order = list(AGGREGATES).index(recid)
    sizes = [copies_of(w) for w in table["weight"].iloc[-4:]]
    start = 396 + sum(sizes[:order])
    income = new["E00100"].iloc[start : start + sizes[order]].to_numpy()
    bucket = buckets()[recid]
    assert bucket.low - 1e-3 <= income.min()
    assert income.max() <= bucket.high * (1 + 1e-9) + 1e-3
    assert income.mean() == pytest.approx(mean, rel=1e-12)
    # A bucket is no row of equals.
    assert np.unique(income.round()).size > FEWEST // 2


def test_top_bucket_has_a_tail_although_no_return_is_so_rich() -> None:
    table = returns_of(200)
    table.loc[table.index[:-4], "E00100"] = table["E00100"][:-4].clip(upper=4e7)
    new = disaggregate(table, seed=3)
    income = np.sort(new["E00100"].to_numpy())[-copies_of(float(table["weight"].iloc[-1])) :]
    assert income.min() >= 1e8 * (1 - 1e-9)
    assert income.max() > 2 * np.median(income)


def test_no_donor_gives_more_than_a_fifth() -> None:
    table = returns_of(9)  # five ordinary returns
    table["A_MARK"] = np.arange(9)
    new = disaggregate(table, seed=1)
    start = 5
    for weight in table["weight"].iloc[-4:]:
        each = copies_of(float(weight))
        assert new["A_MARK"].iloc[start : start + each].value_counts(normalize=True).max() <= DOMINANCE + 1 / each
        start += each


def test_seed_decides_the_donors_and_nothing_else_does() -> None:
    table = returns_of(300)
    first, again, other = (disaggregate(table, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.iloc[296:].equals(other.iloc[296:])


@settings(max_examples=200, deadline=None)
@given(
    values=st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 2)), min_size=6, max_size=40),
    total=st.floats(-1e12, 1e12).map(lambda x: round(x, 2)),
)
def test_amounts_of_any_signs_meet_a_total_of_any_sign(values: list[float], total: float) -> None:
    income = np.linspace(1, 9, len(values))
    result = moved(np.array(values), total, income, np.linspace(0, 1, len(values)))
    assert np.isfinite(result).all()
    assert abs(result.sum() - total) <= 1e-12 * (np.abs(result).sum() + abs(total)) + 1e-9


def test_gains_and_losses_keep_their_owners() -> None:
    values = np.array([5.0, -3.0, 0.0, 4.0, -4.0, 4.0, 5.0, 5.0, -3.0, -4.0, 3.0, -3.0, -4.0])
    result = moved(values, -7.0, np.ones(13), np.linspace(0, 1, 13))
    assert (np.sign(result) == np.sign(values)).all()
    assert result.sum() == pytest.approx(-7.0)
    # Gains times a, losses by a: products of the two sides are as before.
    assert result[0] * result[1] == pytest.approx(values[0] * values[1])


def test_what_no_donor_has_goes_to_five() -> None:
    result = moved(np.zeros(20), -100.0, np.ones(20), np.linspace(0, 1, 20))
    assert np.flatnonzero(result).tolist() == [15, 16, 17, 18, 19]
    assert result[15:].tolist() == [-20.0] * 5


def test_files_without_aggregates_are_as_they_were() -> None:
    table = returns_of(30).iloc[:-4]
    pd.testing.assert_frame_equal(disaggregate(table, seed=1).drop(columns=COPY), table)


def test_a_file_of_aggregates_only_is_refused() -> None:
    with pytest.raises(SourceError, match="all 4 rows are aggregate records"):
        disaggregate(returns_of(20).iloc[-4:], seed=1)
