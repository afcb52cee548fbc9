"""The imputation engine: exact draws, weights, zeros, tails, determinism, refusals, and a quantile forest as oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.errors import FrameError
from tessera.microdata.imputation import (
    FEATURE_SHARE,
    LEAF,
    Keys,
    conditional_quantiles,
    draw,
    fit,
    fit_predict_chain,
    quantile_losses,
    training_sample,
)
from tessera.random import generator


def keys(n: int) -> Keys:
    return Keys(np.arange(n, dtype=np.int64), np.zeros(n, dtype=np.int64))


def data(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 90, n).astype(float)
    wage = np.where(rng.random(n) < 0.6, np.exp(rng.normal(9 + age / 40, 0.7, n)), 0.0)
    gain = np.where(rng.random(n) < 0.3, wage * rng.normal(0.2, 0.3, n), 0.0)
    return pd.DataFrame({"age": age, "male": rng.integers(0, 2, n).astype(float), "wage": wage, "gain": gain})


def test_draws_are_values_of_donors_and_keep_zeros_tails_and_relations() -> None:
    train, receivers = data(1500), data(3000, seed=1)[["age", "male"]]
    result = fit_predict_chain(train, ["age", "male"], ["wage", "gain"], np.ones(1500), receivers, seed=3)
    assert result.columns.tolist() == ["wage", "gain"]
    for name in result:
        assert np.isin(result[name], train[name]).all()
        assert (result[name] == 0).mean() == pytest.approx((train[name] == 0).mean(), abs=0.04)
    # No winsorising: the top percentile of donors is drawn about as often as it occurs.
    top = np.quantile(train["wage"], 0.99)
    assert (result["wage"] > top).mean() == pytest.approx(0.01, abs=0.006)
    # The second output follows the first: donors without wages have no gain, but a leaf may hold some with little.
    assert (result.loc[result["wage"] == 0, "gain"] == 0).mean() > 0.95
    old, young = receivers["age"] > 70, receivers["age"] < 20
    assert result.loc[old, "wage"].mean() > 1.5 * result.loc[young, "wage"].mean()


def test_weights_decide_between_donors_of_one_leaf() -> None:
    # One predictor value: every tree is a single leaf, so the draw is the weighted distribution itself.
    values = np.array([0.0, 10.0, 20.0, 30.0])
    weights = np.array([1.0, 2.0, 0.0, 5.0])
    sampler = fit(np.zeros((4, 1)), values, weights, label="x", seed=0)
    drawn = draw(sampler, np.zeros((40_000, 1)), keys(40_000), label="x", seed=0)
    shares = [(drawn == value).mean() for value in values]
    np.testing.assert_allclose(shares, weights / 8, atol=0.01)
    quantiles = conditional_quantiles(sampler, np.zeros((1, 1)), [0.1, 0.2, 0.375, 0.38, 1.0])
    assert quantiles.tolist() == [[0, 10, 10, 30, 30]]


def test_draws_have_the_quantiles_of_the_conditional_distribution() -> None:
    train = data(800)
    x = train[["age", "male"]].to_numpy()
    sampler = fit(x, train["wage"].to_numpy(), np.linspace(1, 3, 800), label="wage", seed=1)
    point = np.repeat(np.array([[60.0, 1.0]]), 20_000, axis=0)
    drawn = draw(sampler, point, keys(20_000), label="wage", seed=1)
    wanted = conditional_quantiles(sampler, point[:1], [0.5, 0.75, 0.9])[0]
    for quantile, value in zip((0.5, 0.75, 0.9), wanted, strict=True):
        assert (drawn < value).mean() <= quantile + 0.015
        assert (drawn <= value).mean() >= quantile - 0.015


def test_quantiles_agree_with_a_quantile_forest_of_the_same_trees() -> None:
    from quantile_forest import RandomForestQuantileRegressor

    rng = np.random.default_rng(5)
    x = rng.normal(size=(600, 3))
    y = np.exp(x[:, 0] + rng.normal(0, 0.5, 600))
    sampler = fit(x, y, np.ones(600), label="y", seed=2, trees=60)
    oracle = RandomForestQuantileRegressor(
        n_estimators=60,
        min_samples_leaf=LEAF,
        max_features=FEATURE_SHARE,
        max_samples_leaf=None,
        random_state=int(generator("forest/y", 2).integers(2**31 - 1)),
    ).fit(x, np.log1p(y / np.median(y)))
    ours = np.log1p(conditional_quantiles(sampler, x[:100], [0.25, 0.5, 0.75]) / np.median(y))
    theirs = oracle.predict(x[:100], quantiles=[0.25, 0.5, 0.75], weighted_leaves=True)
    # The oracle counts bootstrap copies of donors and interpolates; the trees are the same.
    assert np.abs(ours - theirs).mean() < 0.03
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_a_receivers_value_depends_on_nobody_else() -> None:
    train, receivers = data(400), data(50, seed=2)[["age", "male"]]
    options = {"seed": 9, "trees": 10}
    arguments = (train, ["age", "male"], ["wage", "gain"], np.ones(400))
    whole = fit_predict_chain(*arguments, receivers, keys=keys(50), **options)
    order = np.random.default_rng(0).permutation(50)[:20]
    part_keys = Keys(order.astype(np.int64), np.zeros(20, dtype=np.int64))
    part = fit_predict_chain(*arguments, receivers.iloc[order], keys=part_keys, **options)
    pd.testing.assert_frame_equal(part, whole.iloc[order])
    threads = fit_predict_chain(*arguments, receivers, keys=keys(50), n_jobs=2, **options)
    pd.testing.assert_frame_equal(threads, whole)
    other = fit_predict_chain(*arguments, receivers, keys=keys(50), seed=10, trees=10)
    assert (other != whole).to_numpy().any()


def test_losses_show_that_prediction_beats_the_unconditional_quantiles() -> None:
    train = data(1200)
    noise = np.random.default_rng(4).normal(0, 5000, 1200)
    train["rent"] = 20_000 + 500 * train["age"] + 8000 * train["male"] + noise
    losses = quantile_losses(train, ["age", "male"], ["rent"], np.ones(1200), seed=1)
    assert losses["output"].tolist() == ["rent"] * 5
    assert (losses["n_train"] + losses["n_test"] == 1200).all()
    assert np.isfinite(losses[["train_loss", "test_loss"]].to_numpy()).all()
    blind = quantile_losses(train.assign(nothing=0.0), ["nothing"], ["rent"], np.ones(1200), seed=1)
    assert losses["test_loss"].sum() < 0.6 * blind["test_loss"].sum()


def test_training_sample_keeps_the_top_and_the_total() -> None:
    weights = np.arange(1.0, 1001.0)
    keep = np.zeros(1000, dtype=bool)
    keep[:5] = True
    rows, scaled = training_sample(weights, 100, keep=keep, seed=1)
    assert len(rows) == 100
    assert set(range(5)) <= set(rows)
    assert scaled.sum() == pytest.approx(weights.sum())
    np.testing.assert_array_equal(scaled[:5], weights[:5])
    everything, same = training_sample(weights, 1000, keep=keep, seed=1)
    assert len(everything) == 1000
    assert same is weights


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": data(20).drop(columns="wage")}, "no columns wage"),
        ({"train": data(20).assign(age=np.nan)}, "row 0 of the donors has age = nan"),
        ({"receivers": data(5).assign(male=np.inf)}, "row 0 of the receivers has male = inf"),
        ({"receivers": data(5).iloc[:0]}, "no receivers"),
        ({"weights": np.ones(19)}, r"shape \(19,\)"),
        ({"weights": np.zeros(20)}, "sum 0.0"),
        ({"weights": -np.ones(20)}, "at least 0"),
    ],
)
def test_unusable_tables_are_refused(change: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {"train": data(20), "weights": np.ones(20), "receivers": data(5)}
    with pytest.raises(FrameError, match=words):
        fit_predict_chain(predictors=["age", "male"], outputs=["wage"], seed=1, **{**arguments, **change})  # type: ignore[arg-type]
