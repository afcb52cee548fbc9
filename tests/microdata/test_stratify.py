"""Stratification: exactly n, weights of strata kept, brackets first, deterministic, refusals."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import FrameError
from tessera.frame import Frame
from tessera.microdata.stratify import (
    AGI_COMPONENTS,
    TOP_BRACKETS,
    allocate,
    household_agi,
    strata_of,
    stratify,
    stratum_table,
)


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


@pytest.fixture(scope="module")
def many() -> Frame:
    """60,000 households, a few thousand of them of half a million and more, a tenth without weight."""
    agi = incomes(60_000)
    weights = np.random.default_rng(1).lognormal(7, 0.5, len(agi))
    weights[::10] = 0.0
    return frame_of(agi, weights)


@pytest.mark.parametrize("n", [100, 101, 999, 5_000, 11_999, 12_000, 12_001, 25_001, 49_999, 50_000, 59_999, 60_000])
def test_any_number_is_met_exactly_and_no_stratum_loses_weight(many: Frame, n: int) -> None:
    chosen = stratify(many, n, seed=7)
    table = stratum_table(many, chosen)
    assert chosen.count("household") == n == table["kept"].sum()
    np.testing.assert_allclose(table["million kept"], table["million represented"], rtol=1e-9)
    limits = np.array([limit for _, limit in TOP_BRACKETS])
    sizes = table["households"].to_numpy()[2:]
    if n <= 50_000:  # the rest reaches n, so that brackets keep their limits, no more and no less
        wanted = np.minimum(sizes, np.maximum(np.round(limits * n / 12_000), 1))
        assert table["kept"].to_numpy()[2:].tolist() == wanted.tolist()


def test_households_of_weight_come_before_those_without(many: Frame) -> None:
    stratum = strata_of(household_agi(many))
    weighted = np.bincount(stratum[many.weights > 0], minlength=7)
    for n in (100, 12_000, 50_000, 57_000):
        chosen = stratify(many, n, seed=3)
        rows = chosen.household["household_id"].to_numpy()
        own = stratum[rows]
        empty = np.bincount(own[many.weights[rows] == 0], minlength=7)
        kept = np.bincount(own, minlength=7)
        assert empty.tolist() == np.maximum(kept - weighted, 0).tolist()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 3.0]), min_size=12, max_size=80), st.data())
def test_one_household_of_weight_is_enough(weights: list[float], data: st.DataObject) -> None:
    """A stratum in which hardly anybody weighs anything keeps what it has, whichever of its households are drawn."""
    frame = frame_of(incomes(len(weights)), np.array(weights))
    chosen = stratify(frame, data.draw(st.integers(8, len(weights))), seed=1)
    assert chosen.weights.sum() == pytest.approx(frame.weights.sum(), rel=1e-9)


def test_proxy_counts_tax_units_and_everything_that_the_engine_counts() -> None:
    frame = frame_of(np.full(4, 1000.0))
    frame.person["estate_income"] = np.tile([10.0, 0.0], 4)
    frame.person["salt_refund_income"] = np.tile([0.0, 5.0], 4)
    frame.person["tax_exempt_interest_income"] = 1e6
    frame.tax_unit["other_net_gain"] = [0.0, 100.0, -30.0, 0.0]
    np.testing.assert_allclose(household_agi(frame), [1015.0, 1115.0, 985.0, 1015.0])


# Entries of the engine's list of gross income, and the components that they are made of; what has none is no input
# of a frame, or is left out of the proxy by intent.
COVERED = {
    "irs_employment_income": {"employment_income_before_lsr"},
    "self_employment_income": {"self_employment_income_before_lsr"},
    "sstb_self_employment_income": {"sstb_self_employment_income_before_lsr"},
    "partnership_s_corp_income": {"partnership_income", "s_corp_income"},
    "farm_operations_income": {"farm_operations_income"},
    "farm_rent_income": {"farm_rent_income"},
    "other_net_gain_gross_income": {"other_net_gain"},
    "capital_gains": {"long_term_capital_gains_before_response", "short_term_capital_gains"},
    "non_sch_d_capital_gains": {"non_sch_d_capital_gains"},
    "taxable_interest_income": {"taxable_interest_income"},
    "rental_income": {"rental_income"},
    "dividend_income": {"qualified_dividend_income", "non_qualified_dividend_income"},
    "taxable_pension_income": {"taxable_private_pension_income", "taxable_public_pension_income"},
    "debt_relief": {"debt_relief"},
    "estate_income": {"estate_income"},
    "taxable_unemployment_compensation": {"unemployment_compensation"},
    "taxable_retirement_distributions": {
        "taxable_ira_distributions", "taxable_401k_distributions", "taxable_403b_distributions",
        "taxable_sep_distributions", "keogh_distributions",
    },
    "miscellaneous_income": {"miscellaneous_income"},
    "taxable_alimony_income": {"alimony_income"},
    "salt_refund_income": {"salt_refund_income"},
    "military_retirement_income": {"military_retirement_pay", "military_retirement_pay_survivors"},
}  # fmt: skip
LEFT_OUT = {
    "taxable_social_security", "taxable_disability_benefits", "illicit_income", "taxable_roth_conversions",
    "ak_permanent_fund_dividend",
}  # fmt: skip


def test_components_are_what_the_engine_counts_as_gross_income() -> None:
    found = importlib.util.find_spec("policyengine_us")
    assert found is not None and found.submodule_search_locations is not None
    path = Path(found.submodule_search_locations[0]) / "parameters" / "gov" / "irs" / "gross_income" / "sources.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))["values"]
    assert set(values[max(values)]) == set(COVERED) | LEFT_OUT
    assert set(AGI_COMPONENTS) == set().union(*COVERED.values())


def test_a_frame_that_is_not_in_order_is_refused() -> None:
    frame = frame_of(incomes(50))
    frame.household.loc[3, "household_weight"] = -1.0
    with pytest.raises(FrameError, match=r"survey to stratify: household row 3 .* has weight -1"):
        stratify(frame, 20, seed=1)
