"""Flags of qualified business income: chances as given, keyed draws, one draw an activity, engine inputs."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.microdata.business_flags import business_shares, qualified_flags


def test_shares_are_met_and_flags_of_other_activities_are_independent() -> None:
    n = 200_000
    flags = qualified_flags(3, np.arange(n), np.zeros(n, dtype=np.int64))
    assert list(flags) == [flag.name for flag in business_shares()]
    for flag in business_shares():
        assert flags[flag.name].mean() == pytest.approx(flag.probability, abs=0.005)  # over 4 standard errors
    both = flags["rental_income_would_be_qualified"] & flags["estate_income_would_be_qualified"]
    assert both.mean() == pytest.approx(0.4 * 0.5, abs=0.005)


def test_a_proprietor_has_one_business() -> None:
    flags = qualified_flags(3, np.arange(1000), np.arange(1000) % 4)
    own, service = (flags[f"{kind}self_employment_income_would_be_qualified"] for kind in ("", "sstb_"))
    np.testing.assert_array_equal(own, service)


def test_a_flag_depends_on_seed_household_and_member_alone() -> None:
    household, member = np.arange(500), np.arange(500) % 3
    whole = qualified_flags(1, household, member)
    some = np.array([7, 3, 400])
    part = qualified_flags(1, household[some], member[some])
    for name, values in whole.items():
        np.testing.assert_array_equal(part[name], values[some])
        assert (qualified_flags(2, household, member)[name] != values).any()
        assert (qualified_flags(1, household, member + 1)[name] != values).any()


@pytest.mark.engine
def test_flags_are_those_that_the_engine_asks_for() -> None:
    from policyengine_us.system import system

    sources = system.parameters("2024-01-01").gov.irs.deductions.qbi.income_definition
    wanted = {f"{name}_would_be_qualified" for name in (*sources, "sstb_self_employment_income")}
    assert {flag.name for flag in business_shares()} == wanted
