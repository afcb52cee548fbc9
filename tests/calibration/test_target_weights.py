"""How much each target weighs in the loss: groups, multipliers, and the folds that are held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.calibration.dual import calibrate
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.fit import fit
from tessera.calibration.options import FitOptions
from tessera.calibration.recipe.objective import Objective
from tessera.calibration.target_weights import fold_of, held_out, target_weights
from tessera.errors import FitError
from tessera.matrix.calibration_matrix import CalibrationMatrix

MakeMatrix = Callable[..., CalibrationMatrix]
COLUMNS = {
    "variable": ["variable"],
    "level": ["geo_level"],
    "level_variable": ["geo_level", "variable"],
    "source": ["source"],
}


def targets(rows: list[tuple[str, str, str | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["geo_level", "variable", "source"])
    return table.assign(name=[f"t{i}" for i in range(len(rows))])


TARGETS = targets(
    [("national", "snap", "usda")]
    + [("state", "age", "census")] * 18
    + [("district", "age", "census"), ("district", "snap", None)]
)

tables = st.lists(
    st.tuples(
        st.sampled_from(["national", "state", "district"]),
        st.sampled_from(["snap", "ssi", "age"]),
        st.sampled_from(["usda", "ssa", None]),
    ),
    min_size=1,
    max_size=40,
).map(targets)


@given(tables, st.sampled_from(list(COLUMNS)))
@settings(max_examples=150, deadline=None)
def test_every_group_weighs_the_same_and_all_sum_to_the_number_of_targets(table: pd.DataFrame, groups: str) -> None:
    weight = target_weights(table, FitOptions(loss_groups=groups))
    assert weight.sum() == pytest.approx(len(table))
    by_group = pd.Series(weight).groupby([table[c].fillna("?").to_numpy() for c in COLUMNS[groups]])
    np.testing.assert_allclose(by_group.sum(), len(table) / by_group.ngroups)
    assert (by_group.nunique() == 1).all()


def test_without_groups_every_target_weighs_one() -> None:
    assert target_weights(TARGETS, FitOptions()).tolist() == [1.0] * 21


def test_eighteen_age_targets_do_not_outvote_one_of_snap() -> None:
    weight = target_weights(TARGETS, FitOptions(loss_groups="level_variable"))
    # Four groups: national/snap, state/age, district/age, district/snap.
    np.testing.assert_allclose(weight, [21 / 4, *[21 / 4 / 18] * 18, 21 / 4, 21 / 4])


@pytest.mark.parametrize(
    ("groups", "multipliers", "factors"),
    [
        ("variable", (("snap", 3.0),), [3.0, *[1.0] * 19, 3.0]),
        ("level", (("district", 0.5), ("national", 2.0)), [2.0, *[1.0] * 18, 0.5, 0.5]),
        ("level_variable", (("state/age", 4.0),), [1.0, *[4.0] * 18, 1.0, 1.0]),
        ("source", (("unknown", 0.0),), [*[1.0] * 20, 0.0]),
        ("variable", (("snap", 2.0), ("snap", 3.0)), [6.0, *[1.0] * 19, 6.0]),
    ],
)
def test_multipliers_come_on_top(groups: str, multipliers: tuple[tuple[str, float], ...], factors: list[float]) -> None:
    plain = target_weights(TARGETS, FitOptions(loss_groups=groups))
    weighted = target_weights(TARGETS, FitOptions(loss_groups=groups, group_multipliers=multipliers))
    np.testing.assert_allclose(weighted, plain * factors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss_groups": "variable", "group_multipliers": (("snp", 2.0),)}, "names 'snp'; the groups are age, snap"),
        ({"group_multipliers": (("snap", 2.0),)}, "loss_groups is 'none'"),
        ({"loss_groups": "variable", "group_multipliers": (("snap", 0.0), ("age", 0.0))}, "No target is left"),
    ],
)
def test_groups_that_make_no_sense_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FitError, match=message):
        target_weights(TARGETS, FitOptions(**change))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(FitError, match="no column source"):
        target_weights(TARGETS.drop(columns="source"), FitOptions(loss_groups="source"))


def test_a_lone_target_that_is_held_out_leaves_nothing() -> None:
    alone = TARGETS.iloc[:1]
    fold = int(fold_of(alone, 5)[0])
    with pytest.raises(FitError, match="all 1 are held out"):
        target_weights(alone, FitOptions(holdout_folds=5, holdout_fold=fold))


@pytest.mark.parametrize(
    "change",
    [
        {"loss_groups": "colour"},
        {"loss_groups": "variable", "group_multipliers": (("snap", -1.0),)},
        {"loss_groups": "variable", "group_multipliers": (("snap", float("nan")),)},
        {"holdout_folds": 1},
        {"holdout_fold": 10},
        {"holdout_fold": -1},
        {"holdout_fold": 2.5},
        {"holdout_fold": True},
    ],
)
def test_senseless_options_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(FitError, match=next(reversed(change))):
        FitOptions(**change)


@pytest.mark.parametrize("fold", [10, -1, 2.5, True])
def test_senseless_folds_are_refused_in_mode_calibrate(fold: object) -> None:
    with pytest.raises(FitError, match="holdout_fold is"):
        DualOptions(holdout_fold=fold)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=50, unique=True), st.integers(2, 12), st.randoms())
@settings(max_examples=100, deadline=None)
def test_a_target_keeps_its_fold_whatever_else_is_there(names: list[str], folds: int, random: object) -> None:
    table = pd.DataFrame({"name": names})
    fold = dict(zip(names, fold_of(table, folds), strict=True))
    assert set(fold.values()) <= set(range(folds))
    shuffled = sorted(names, key=lambda _: random.random())  # type: ignore[attr-defined]
    some = shuffled[: max(1, len(names) // 2)]
    assert fold_of(pd.DataFrame({"name": some}, index=range(5, 5 + len(some))), folds).tolist() == [
        fold[name] for name in some
    ]
    for number in range(folds):
        assert held_out(table, folds, number).tolist() == [fold[name] == number for name in names]
    assert not held_out(table, folds, None).any()


def test_folds_are_even_and_the_same_for_ever() -> None:
    table = pd.DataFrame({"name": [f"CA-{i:02}/snap" for i in range(5000)]})
    assert np.abs(np.bincount(fold_of(table, 10)) - 500).max() < 5 * np.sqrt(500)
    # Pinned: figures of a fold stand in notes, and have to mean the same targets later.
    assert fold_of(table, 10)[:8].tolist() == [3, 6, 6, 2, 6, 3, 0, 4]


def test_all_targets_of_a_stratum_are_held_out_together() -> None:
    names = [f"CA-{i:02}/{variable}" for i in range(40) for variable in ("snap", "household_count")]
    table = pd.DataFrame({"name": names, "definition_hash": [f"{i // 2:064x}" for i in range(80)]})
    dealt = fold_of(table, 4)
    assert dealt[::2].tolist() == dealt[1::2].tolist()
    assert set(dealt) == {0, 1, 2, 3}
    assert dealt.tolist() == fold_of(table.assign(name="another"), 4).tolist()
    assert dealt.tolist() != fold_of(table.drop(columns="definition_hash"), 4).tolist()


def test_held_out_targets_leave_the_loss_and_stay_in_the_log(make_matrix: MakeMatrix) -> None:
    matrix, weights = make_matrix(300), np.full(300, 100.0)
    options = FitOptions(epochs=150, polish_epochs=30, holdout_folds=4, holdout_fold=1, log_frequency=90, device="cpu")
    out = held_out(matrix.targets, 4, 1)
    assert 0 < np.count_nonzero(out) < matrix.n_targets
    result = fit(matrix, weights, options)
    for epoch in (90, 180):
        logged = result.target_log[result.target_log["epoch"] == epoch]
        assert logged["name"].tolist() == matrix.targets["name"].tolist()
    error = result.target_log.loc[result.target_log["epoch"] == 180, "abs_rel_error"].to_numpy()
    assert error[~out].max() < 0.01 < error[out].max()
    assert result.history["share_within_10"].iloc[-1] == 1.0
    # Their values do not matter to the fit.
    values = matrix.targets["value"].where(~out, 7.0)
    other = fit(replace(matrix, targets=matrix.targets.assign(value=values)), weights, options)
    np.testing.assert_array_equal(other.weights, result.weights)
    pd.testing.assert_frame_equal(other.history, result.history, check_exact=True)


def test_mode_calibrate_holds_out_the_same_targets(make_matrix: MakeMatrix) -> None:
    matrix, weights = make_matrix(300), np.full(300, 100.0)
    out = held_out(matrix.targets, 4, 1)
    result = calibrate(matrix, weights, DualOptions(holdout_folds=4, holdout_fold=1))
    assert set(result.duals["name"]) == set(matrix.targets["name"][~out])
    objective = Objective.of(matrix, FitOptions(holdout_folds=4, holdout_fold=1))
    np.testing.assert_array_equal(objective.weight == 0, out)


def test_a_group_with_a_larger_multiplier_is_met_better(make_matrix: MakeMatrix) -> None:
    """Of targets that contradict each other, those that weigh more win."""
    matrix = make_matrix(300)
    national = (matrix.targets["geo_level"] == "national").to_numpy()
    doubled = matrix.targets["value"].where(~national, 3 * matrix.targets["value"])
    matrix = replace(matrix, targets=matrix.targets.assign(value=doubled))
    options = FitOptions(epochs=200, polish_epochs=50, loss_groups="level", max_weight_ratio=1.5, device="cpu")
    error = {}
    for factor in (0.05, 20.0):
        result = fit(matrix, np.full(300, 100.0), replace(options, group_multipliers=(("national", factor),)))
        table = result.target_log
        error[factor] = table.loc[table["geo_level"] == "national", "abs_rel_error"].mean()
    assert error[20.0] < 0.9 * error[0.05]
