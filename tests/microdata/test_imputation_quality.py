"""The quality table: losses on donors that no tree has seen, groups, zeros, percentiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.forest import conditional_quantiles, fit
from tessera.microdata.imputation import impute_chain
from tessera.microdata.imputation_quality import QUALITY, QUANTILES, losses, pinball, weighted_quantiles


def donors(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    y = np.where(rng.random(n) < 0.6, np.exp(8 + x[:, 0] + 0.5 * x[:, 1] + rng.normal(0, 0.6, n)), 0.0)
    return x, y, np.exp(rng.normal(0, 0.8, n))


def test_loss_is_that_of_the_formula() -> None:
    predicted = np.tile(np.array([[0.0, 1.0, 2.0, 4.0, 8.0]]), (2, 1))
    # For y = 3: q (y - p) below, (1 - q) (p - y) above; for y = 0 likewise.
    first = (0.1 * 3 + 0.25 * 2 + 0.5 * 1 + 0.25 * 1 + 0.1 * 5) / 5
    second = (0.0 + 0.75 * 1 + 0.5 * 2 + 0.25 * 4 + 0.1 * 8) / 5
    assert pinball(predicted, np.array([3.0, 0.0]), np.array([1.0, 3.0])) == pytest.approx((first + 3 * second) / 4)


def test_test_loss_is_that_of_donors_held_out() -> None:
    x, y, weights = donors(3000)
    other_x, other_y, other_weights = donors(4000, seed=1)
    forest = fit(x, y, weights, label="y", seed=1)
    train, test = losses(forest, seed=1, tested=3000)
    predicted = conditional_quantiles(forest, np.ascontiguousarray(other_x.T), QUANTILES)
    held_out = pinball(predicted, other_y, other_weights) / np.average(other_y, weights=other_weights)
    assert test == pytest.approx(held_out, rel=0.06)
    assert train < 0.85 * test


def test_test_loss_of_what_cannot_be_predicted_is_that_of_the_bare_distribution() -> None:
    x, y, weights = donors(3000)
    y = np.random.default_rng(9).permutation(y)
    _, test = losses(fit(x, y, weights, label="y", seed=1), seed=1, tested=3000)
    bare = np.tile(weighted_quantiles(y, weights, list(QUANTILES)), (3000, 1))
    assert test >= 0.99 * pinball(bare, y, weights) / np.average(y, weights=weights)


def test_groups_are_held_out_whole() -> None:
    # Five implicates of each family: alike, and what they are like hangs on nothing that others share.
    rng = np.random.default_rng(2)
    x = np.repeat(rng.normal(size=(400, 3)), 5, axis=0) + rng.normal(0, 1e-3, (2000, 3))
    y = np.repeat(np.exp(rng.normal(8, 1, 400)), 5) * np.exp(rng.normal(0, 0.05, 2000))
    family = np.repeat(np.arange(400), 5)
    _, leaking = losses(fit(x, y, np.ones(2000), label="y", seed=1), seed=1)
    _, honest = losses(fit(x, y, np.ones(2000), label="y", seed=1, groups=family), seed=1)
    bare = np.tile(weighted_quantiles(y, np.ones(2000), list(QUANTILES)), (2000, 1))
    wanted = pinball(bare, y, np.ones(2000)) / y.mean()
    assert leaking < 0.6 * wanted
    assert honest > 0.95 * wanted


def test_one_group_alone_has_no_test_loss() -> None:
    x, y, weights = donors(50)
    train, test = losses(fit(x, y, weights, label="y", seed=1, trees=3, groups=np.zeros(50)), seed=1)
    assert np.isfinite(train)
    assert np.isnan(test)


def test_table_has_a_row_an_output_with_weighted_figures() -> None:
    rng = np.random.default_rng(0)
    age = rng.integers(18, 90, 800).astype(float)
    wage = np.where(rng.random(800) < age / 100, (1000 * age).round(), 0.0)
    train = pd.DataFrame({"age": age, "wage": wage, "never": 0.0, "tips": np.where(wage > 0, 5.0, 0.0)})
    weights = np.exp(rng.normal(0, 0.5, 800))
    receivers, shares = pd.DataFrame({"age": age[:300]}), np.linspace(1, 2, 300)
    result = impute_chain(
        train, ["age"], ["wage", "never", "tips"], weights, receivers, seed=1, label="half", receiver_weights=shares,
        trees=20,
    )  # fmt: skip
    quality = result.quality
    assert tuple(quality.columns) == QUALITY
    assert quality["chain"].tolist() == ["half"] * 3
    assert quality["output"].tolist() == ["wage", "never", "tips"]
    assert quality["order"].tolist() == [0, 1, 2]
    assert (quality["n_train"] == 800).all()
    assert (quality["n_receivers"] == 300).all()
    first = quality.iloc[0]
    assert first["donor_zero_share"] == pytest.approx(weights[wage == 0].sum() / weights.sum())
    assert first["donor_mean"] == pytest.approx((weights * wage).sum() / weights.sum())
    drawn = result.values["wage"].to_numpy()
    assert first["receiver_mean"] == pytest.approx((shares * drawn).sum() / shares.sum())
    assert first["receiver_zero_share"] == pytest.approx(shares[drawn == 0].sum() / shares.sum())
    some = wage > 0
    assert first["donor_p90"] == weighted_quantiles(wage[some], weights[some], [0.9])[0]
    assert 0 < first["train_loss"] < first["test_loss"]
    assert first["seconds"] > 0
    never = quality.iloc[1]
    assert never["donor_zero_share"] == never["receiver_zero_share"] == 1
    assert never["train_loss"] == never["test_loss"] == 0
    assert np.isnan(never["donor_p50"])
    assert np.isnan(never["receiver_p99"])


def test_weighted_quantiles() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 1.0])
    assert weighted_quantiles(values, weights, [0.25, 0.5, 0.51, 0.75, 0.76, 1.0]).tolist() == [1, 1, 2, 2, 3, 3]
    assert np.isnan(weighted_quantiles(values[:0], weights[:0], [0.5])).all()
