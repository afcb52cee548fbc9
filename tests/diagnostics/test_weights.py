from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.diagnostics.weights import AREA_METRIC_COLUMNS, AreaMetric, area_metrics, weights_health
from tessera.errors import AreaError
from tessera.geography.areas import areas


def test_health_by_hand() -> None:
    health = weights_health(np.array([1.0, 3.0, 0.0]), np.array([2.0, 2.0, 2.0]))
    assert (health.n_records, health.n_nonzero, health.weight_sum) == (3, 2, 4.0)
    assert health.ess == pytest.approx(16 / 10)
    assert health.design_effect == pytest.approx(2 / 1.6)
    assert health.top_1_share == pytest.approx(3 / 4)
    assert (health.max_weight, health.max_ratio) == (3.0, 1.5)


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=300))
def test_bounds_of_effective_sample_and_top_share(values: list[float]) -> None:
    weights = np.array(values)
    health = weights_health(weights)
    n = len(values)
    assert 1 - 1e-9 <= health.ess <= n * (1 + 1e-9)
    assert health.design_effect >= 1 - 1e-9
    top = -(-n // 100)
    assert health.top_1_share == pytest.approx(np.sort(weights)[-top:].sum() / weights.sum())
    assert weights_health(7 * weights).ess == pytest.approx(health.ess)
    assert weights_health(np.append(weights, 0.0)).ess == pytest.approx(health.ess)


def test_weight_where_the_design_has_none_is_unbounded() -> None:
    assert weights_health(np.array([1.0, 1.0]), np.array([1.0, 0.0])).max_ratio == np.inf
    empty = weights_health(np.zeros(3))
    assert empty.ess == 0
    assert np.isnan(empty.design_effect)


def test_bad_weights_are_named() -> None:
    with pytest.raises(AreaError, match=r"Weights of CA-12: -2\.0 in row 1"):
        weights_health(np.array([1.0, -2.0]), where="CA-12")
    with pytest.raises(AreaError, match="nan in row 0"):
        weights_health(np.array([np.nan]))
    with pytest.raises(AreaError, match=r"shape \(2,\); wanted that of the weights, \(3,\)"):
        weights_health(np.ones(3), np.ones(2))


def test_area_table_follows_the_catalogue(area_table: pd.DataFrame, target_table: pd.DataFrame) -> None:
    assert tuple(area_table.columns) == AREA_METRIC_COLUMNS
    assert area_table["key"].tolist() == [area.key for area in areas()]
    by_key = area_table.set_index("key")
    ca = target_table[target_table["geo_id"] == "CA-12"]
    assert by_key.at["CA-12", "n_targets"] == len(ca) == 7
    assert by_key.at["CA-12", "share_within_10"] == pytest.approx((ca["abs_rel_error"] <= 0.1).mean())
    assert by_key.at["DC", "n_targets"] == 14  # its own and its delegate's district
    assert by_key.at["NYC", "n_targets"] == 0
    assert np.isnan(by_key.at["NYC", "share_within_10"])
    assert by_key["n_targets"].sum() == len(target_table)


def test_area_table_refuses_strangers_and_twins() -> None:
    row = AreaMetric("CA", "state", 1, 2, 3.0, 1.0, 3.0, 10, "ab")
    with pytest.raises(AreaError, match="'CA' comes more than once"):
        area_metrics([row, row])
    with pytest.raises(AreaError, match="'ZZ' is not in the catalogue"):
        area_metrics([AreaMetric("ZZ", "state", 1, 2, 3.0, 1.0, 3.0, 10, "ab")])
