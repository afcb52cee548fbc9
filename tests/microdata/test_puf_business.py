"""Simulated inputs of the deduction for qualified business income: rates, splits, keys."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.microdata.business_flags import business_shares
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_business import ACTIVITIES, SELF_EMPLOYMENT, SSTB_SELF_EMPLOYMENT, rates, with_business
from tessera.microdata.puf_persons import Persons

N = 40_000


def persons(n: int = N) -> Persons:
    return Persons(
        unit=np.arange(n) // 2,
        slot=np.arange(n) % 2,
        age=np.full(n, 40.0),
        is_female=np.zeros(n, dtype=bool),
        recid=1 + np.arange(n) // 2,
    )


def made(seed: int = 1, n: int = N, **incomes: float) -> dict[str, np.ndarray]:
    amounts = {name: np.zeros(n) for name in ACTIVITIES.values()}
    return with_business(amounts | {ACTIVITIES[k]: np.full(n, v) for k, v in incomes.items()}, persons(n), seed=seed)


@pytest.mark.parametrize(("income", "chance"), [(20_000.0, 0.18), (-20_000.0, 0.18), (300_000.0, 0.35)])
def test_a_service_is_all_or_nothing(income: float, chance: float) -> None:
    found = made(self_employment=income)
    service = found["business_is_sstb"] == 1
    assert service.mean() == pytest.approx(chance, abs=0.01)
    assert (found[SELF_EMPLOYMENT] == np.where(service, 0.0, income)).all()
    assert (found[SSTB_SELF_EMPLOYMENT] == np.where(service, income, 0.0)).all()


def test_partners_and_shareholders_can_be_a_service_whose_income_stays() -> None:
    found = made(partnership=50_000.0)
    assert found["business_is_sstb"].mean() == pytest.approx(0.15, abs=0.01)
    assert (found["partnership_income"] == 50_000.0).all()
    assert not found[SSTB_SELF_EMPLOYMENT].any()


def test_without_a_business_there_is_nothing() -> None:
    found = made()
    for name in set(found) - {flag.name for flag in business_shares()}:
        assert not found[name].any(), name


@pytest.mark.parametrize("activity", ["self_employment", "farm", "rental", "partnership", "s_corporation"])
def test_losses_pay_and_own_nothing_in_the_model(activity: str) -> None:
    found = made(**{activity: -1e6})
    assert not found["w2_wages_from_qualified_business"].any()
    assert not found["unadjusted_basis_qualified_property"].any()


@pytest.mark.parametrize(
    ("item", "name"),
    [("w2_wages", "w2_wages_from_qualified_business"), ("basis", "unadjusted_basis_qualified_property")],
)
@pytest.mark.parametrize("activity", ["self_employment", "s_corporation"])
def test_amounts_follow_their_rates(item: str, name: str, activity: str) -> None:
    income = 150_000.0
    rate = [rate for rate in rates(item) if rate.activity == activity and rate.lower <= income][-1]
    found = made(**{activity: income})[name]
    assert (found > 0).mean() == pytest.approx(rate.chance, abs=0.01)
    # The far end of the spread is cut off: a little below the mean ratio.
    mean = found[found > 0].mean() / income
    assert 0.75 * rate.ratio < mean < 1.02 * rate.ratio
    assert np.median(found[found > 0]) / income == pytest.approx(rate.ratio * np.exp(-(rate.sigma**2) / 2), rel=0.05)


def test_a_services_wages_and_basis_are_its_own_part() -> None:
    found = made(s_corporation=1e5, self_employment=2e5)
    service = found["business_is_sstb"] == 1
    for item in ("w2_wages_from_qualified_business", "unadjusted_basis_qualified_property"):
        assert (found[f"sstb_{item}"] == np.where(service, found[item], 0.0)).all()
        assert (found[f"sstb_{item}"] > 0).any()


@pytest.mark.parametrize(
    ("item", "name"), [("reit_ptp", "qualified_reit_and_ptp_income"), ("bdc", "qualified_bdc_income")]
)
def test_dividends_of_reits_are_a_part_of_dividends(item: str, name: str) -> None:
    (rate,) = rates(item)
    found = made(dividends=1000.0)[name]
    assert found.max() <= 1000.0
    assert (found > 0).mean() == pytest.approx(rate.chance, abs=0.01)
    assert found[found > 0].mean() / 1000 == pytest.approx(rate.ratio, abs=0.03)
    assert not made(dividends=-1000.0)[name].any()


def test_flags_are_those_of_the_survey_and_drawn_for_all() -> None:
    found = made()
    for flag in business_shares():
        assert set(np.unique(found[flag.name])) <= {0.0, 1.0}
        assert found[flag.name].mean() == pytest.approx(flag.probability, abs=0.01)


def test_draws_are_keyed_on_the_person() -> None:
    whole, half, other = made(self_employment=1e5), made(n=N // 2, self_employment=1e5), made(2, self_employment=1e5)
    for name, values in half.items():
        np.testing.assert_array_equal(whole[name][: N // 2], values)
    for name in ("business_is_sstb", "w2_wages_from_qualified_business", "unadjusted_basis_qualified_property"):
        assert (whole[name] != other[name]).any()
        # Head and spouse draw apart.
        assert (whole[name][0::2] != whole[name][1::2]).any()


def test_every_rate_has_a_source_and_is_a_rate() -> None:
    for row in read_rows("business_simulation"):
        assert row["source"], row
        assert row["activity"] in ACTIVITIES
        assert 0 < float(row["chance"]) <= 1
    for item in ("sstb", "w2_wages", "basis", "reit_ptp", "bdc"):
        assert rates(item)
