"""The imputation chain: donors' values, zeros, tails, order, workers, bounded memory, refusals."""

from __future__ import annotations

import weakref

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import FrameError
from tessera.microdata import imputation
from tessera.microdata.forest import Forest
from tessera.microdata.imputation import Keys, fit_predict_chain, impute_chain, training_sample


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


def test_a_receivers_value_depends_on_nobody_else() -> None:
    train, receivers = data(400), data(50, seed=2)[["age", "male"]]
    options = {"seed": 9, "trees": 10}
    arguments = (train, ["age", "male"], ["wage", "gain"], np.ones(400))
    whole = fit_predict_chain(*arguments, receivers, keys=keys(50), **options)
    order = np.random.default_rng(0).permutation(50)[:20]
    part_keys = Keys(order.astype(np.int64), np.zeros(20, dtype=np.int64))
    part = fit_predict_chain(*arguments, receivers.iloc[order], keys=part_keys, **options)
    pd.testing.assert_frame_equal(part, whole.iloc[order])
    other = fit_predict_chain(*arguments, receivers, keys=keys(50), seed=10, trees=10)
    assert (other != whole).to_numpy().any()


def chain(**options: object) -> imputation.Imputation:
    train = data(600).assign(never=0.0, gift=lambda table: (table["gain"] > 0) * 100.0)
    outputs = ["wage", "never", "gain", "gift"]
    receivers = data(200, seed=1)[["age", "male"]]
    weights = np.exp(np.random.default_rng(7).normal(0, 1, 600))
    return impute_chain(train, ["age", "male"], outputs, weights, receivers, **{"seed": 1, "trees": 18} | options)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_jobs", [2, 3, 7])
def test_workers_change_nothing(n_jobs: int) -> None:
    one, several = chain(), chain(n_jobs=n_jobs)
    assert one.values.to_numpy().tobytes() == several.values.to_numpy().tobytes()
    pd.testing.assert_frame_equal(one.quality.drop(columns="seconds"), several.quality.drop(columns="seconds"))
    pd.testing.assert_frame_equal(chain().values, one.values)


def test_the_quality_table_changes_no_value_and_the_chains_label_does() -> None:
    without = chain(quality=False)
    pd.testing.assert_frame_equal(without.values, chain().values)
    assert without.quality.empty
    assert not chain(label="other").values.equals(without.values)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_output_with_one_value_costs_no_forest_and_few_forests_live_at_once(
    monkeypatch: pytest.MonkeyPatch, n_jobs: int
) -> None:
    planted: list[weakref.ref[Forest]] = []
    names, alive, steps = [], [], []
    plant = imputation.plant

    def counted(*arguments: object, **options: object) -> Forest:
        forest = plant(*arguments, **options)  # type: ignore[arg-type]
        planted.append(weakref.ref(forest))
        names.append(options["label"])
        return forest

    def told(done: int, total: int, name: str) -> None:
        alive.append(sum(one() is not None for one in planted))
        steps.append((done, total, name))

    monkeypatch.setattr(imputation, "plant", counted)
    train = data(300).assign(**{f"y{number}": data(300, seed=number)["wage"] for number in range(8)}, never=5.0)
    outputs = ["never", *(f"y{number}" for number in range(8))]
    receivers = data(30, seed=99)[["age", "male"]]
    result = impute_chain(
        train, ["age", "male"], outputs, np.ones(300), receivers, seed=1, trees=9, n_jobs=n_jobs, progress=told
    )
    assert names == outputs[1:]
    assert (result.values["never"] == 5.0).all()
    assert max(alive) <= n_jobs + 1
    assert steps == [(number + 1, 9, name) for number, name in enumerate(outputs)]


def test_a_value_that_never_changes_is_no_predictor_but_may_stand_among_them() -> None:
    train, receivers = data(200).assign(year=2024.0), data(40, seed=1)[["age", "male"]]
    wanted = fit_predict_chain(train, ["age", "male"], ["wage"], np.ones(200), receivers, seed=1, trees=5)
    found = fit_predict_chain(
        train, ["age", "year", "male"], ["wage"], np.ones(200), receivers.assign(year=1999.0), seed=1, trees=5
    )
    pd.testing.assert_frame_equal(found, wanted)


def test_zeros_of_a_rare_amount_come_out_where_the_donors_have_them() -> None:
    # 3 % have the amount, nearly all of them men over 60: the zeros of the others stay zeros.
    rng = np.random.default_rng(3)

    def people(n: int) -> pd.DataFrame:
        table = pd.DataFrame({"age": rng.integers(18, 90, n), "male": rng.integers(0, 2, n)}).astype(float)
        chance = np.where((table["age"] > 60) & (table["male"] > 0), 0.15, 0.002)
        return table.assign(rare=np.where(rng.random(n) < chance, np.exp(rng.normal(8, 1, n)), 0.0))

    train, receivers = people(8000), people(20_000)
    drawn = fit_predict_chain(train, ["age", "male"], ["rare"], np.ones(8000), receivers, seed=1)["rare"]
    likely = (receivers["age"] > 60) & (receivers["male"] > 0)
    for part in (likely, ~likely):
        assert (drawn[part] == 0).mean() == pytest.approx((receivers.loc[part, "rare"] == 0).mean(), abs=0.02)
    assert (drawn[~likely] == 0).mean() > 0.99


def test_the_largest_donor_can_be_drawn_and_nothing_beyond() -> None:
    train = data(1000)
    train.loc[17, "wage"], train.loc[18, "wage"] = 3e9, -2e8
    receivers = data(60_000, seed=5)[["age", "male"]]
    drawn = fit_predict_chain(train, ["age", "male"], ["wage"], np.ones(1000), receivers, seed=1)["wage"]
    assert drawn.max() == 3e9
    assert drawn.min() == -2e8
    assert (drawn == 3e9).mean() == pytest.approx(1 / 1000, abs=0.001)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 30), st.booleans())
def test_draws_are_values_of_donors_with_weight_in_any_order(
    seed: int, n: int, n_receivers: int, grouped: bool
) -> None:
    rng = np.random.default_rng(seed)
    train = pd.DataFrame(rng.integers(-2, 3, (n, 4)).astype(float), columns=["a", "b", "y", "z"])
    weights = np.where(rng.random(n) < 0.3, 0.0, rng.random(n) * 10.0 ** rng.integers(-6, 6, n))
    weights[rng.integers(n)] = 1.0
    receivers = pd.DataFrame(rng.integers(-4, 5, (n_receivers, 2)).astype(float), columns=["a", "b"])
    groups = rng.integers(0, 5, n) if grouped else None
    identity = Keys(rng.integers(0, 9, n_receivers), np.arange(n_receivers))
    options = {"seed": seed, "trees": 3, "groups": groups}
    whole = impute_chain(train, ["a", "b"], ["y", "z"], weights, receivers, keys=identity, **options).values  # type: ignore[arg-type]
    for name in ("y", "z"):
        assert np.isin(whole[name], train.loc[weights > 0, name]).all()
    order = rng.permutation(n_receivers)
    moved = Keys(identity.household_id[order], identity.entity_index[order])
    again = impute_chain(train, ["a", "b"], ["y", "z"], weights, receivers.iloc[order], keys=moved, **options).values  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(again, whole.iloc[order])


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
        ({"outputs": ["wage", "age"]}, "age named more than once"),
        ({"outputs": ["wage", "wage"]}, "wage named more than once"),
        ({"groups": np.zeros(19)}, r"groups of donors have shape \(19,\)"),
        ({"receiver_weights": np.ones(4)}, r"receiver weights have shape \(4,\)"),
    ],
)
def test_unusable_tables_are_refused(change: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {
        "train": data(20), "weights": np.ones(20), "receivers": data(5), "outputs": ["wage"]
    } | change  # fmt: skip
    with pytest.raises(FrameError, match=words):
        impute_chain(predictors=["age", "male"], seed=1, **arguments)  # type: ignore[arg-type]
