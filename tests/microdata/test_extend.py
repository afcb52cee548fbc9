"""The extended survey: halves, weights, ids, what is replaced and what stays, sums of Social Security."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessera.frame import ENTITIES, Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.extend import ABSENT, INCOMES, TOTAL_SOCIAL_SECURITY, extend_cps, filers, split_social_security
from tessera.microdata.income import SOCIAL_SECURITY_PARTS
from tessera.microdata.puf import build_puf

from .support import RawAsec, sample, tax_file


@pytest.fixture(scope="module")
def cps(shared_data: Path) -> Frame:
    raw = sample(shared_data)
    return build_cps(RawAsec(raw[raw["PH_SEQ"] <= 200].reset_index(drop=True), synthetic=False), seed=1)


@pytest.fixture(scope="module")
def puf() -> Frame:
    return build_puf(tax_file(), year=2024, seed=1)


@pytest.fixture(scope="module")
def extended(cps: Frame, puf: Frame) -> Frame:
    return extend_cps(cps, puf, seed=5)


def half(frame: Frame, source: str) -> Frame:
    return frame.select_households(np.flatnonzero((frame.household["source"] == source).to_numpy()))


def test_halves_share_the_weight_and_no_id(cps: Frame, extended: Frame) -> None:
    survey, tax = half(extended, "cps"), half(extended, "puf")
    np.testing.assert_array_equal(survey.weights, cps.weights / 2)
    np.testing.assert_array_equal(tax.weights, cps.weights / 2)
    for entity in ENTITIES:
        ids = [set(f.table(entity)[f"{entity}_id"]) for f in (survey, tax)]
        assert not ids[0] & ids[1]
        assert len(ids[0]) == len(ids[1]) == cps.count(entity)
    np.testing.assert_array_equal(survey.household["source_household_id"], tax.household["source_household_id"])
    assert extended.synthetic  # the tax file is
    assert extended.year == cps.year


def test_survey_half_keeps_what_was_reported_and_gains_what_was_not(cps: Frame, extended: Frame) -> None:
    survey = half(extended, "cps")
    for name in cps.person.columns:
        assert (survey.person[name].to_numpy() == cps.person[name].to_numpy()).all(), name
    for name in ABSENT:
        assert (survey.person[name] != 0).any(), name
        assert (survey.person.loc[survey.person["tax_unit_role_input"] == "DEPENDENT", name] == 0).all()


def test_tax_half_draws_incomes_of_filers_only(cps: Frame, puf: Frame, extended: Frame) -> None:
    tax = half(extended, "puf").person
    dependent = (tax["tax_unit_role_input"] == "DEPENDENT").to_numpy()
    donors = filers(puf)
    for name in INCOMES:
        if name == TOTAL_SOCIAL_SECURITY:
            continue
        assert np.isin(tax.loc[~dependent, name], donors[name]).all(), name
        if name in cps.person:
            assert (tax.loc[dependent, name].to_numpy() == cps.person.loc[dependent, name].to_numpy()).all(), name
    total = tax[list(SOCIAL_SECURITY_PARTS)].sum(axis=1).to_numpy()[~dependent]
    known = np.sort(donors[TOTAL_SOCIAL_SECURITY].to_numpy())
    place = np.clip(np.searchsorted(known, total), 1, len(known) - 1)
    gap = np.minimum(np.abs(known[place] - total), np.abs(known[place - 1] - total))
    assert (gap <= 1e-6 * np.maximum(total, 1)).all()
    for name in ("age", "is_female", "ssi_reported", "has_esi"):
        assert (tax[name].to_numpy() == cps.person[name].to_numpy()).all()


def test_hours_follow_drawn_earnings(extended: Frame) -> None:
    tax = half(extended, "puf").person
    filer = tax["tax_unit_role_input"] != "DEPENDENT"
    earns = (tax["employment_income_before_lsr"] != 0) | (tax["self_employment_income_before_lsr"] != 0)
    assert (tax.loc[filer & ~earns, "weekly_hours_worked_before_lsr"] == 0).all()
    assert (tax.loc[filer & earns, "weekly_hours_worked_before_lsr"] > 0).mean() > 0.5


def test_same_seed_same_frame(cps: Frame, puf: Frame, extended: Frame) -> None:
    rows = np.arange(10)
    part = extend_cps(cps.select_households(rows), puf, seed=5)
    whole = half(extended, "puf").person
    mine = half(part, "puf").person
    # Draws are keyed on the household, so a household's incomes do not depend on the others.
    for name in ("employment_income_before_lsr", "charitable_cash_donations"):
        np.testing.assert_array_equal(mine[name], whole[name].to_numpy()[: len(mine)])


amounts = arrays(np.float64, 6, elements=st.floats(0, 1e6, allow_nan=False, width=32))
kinds = arrays(np.float64, (6, 4), elements=st.floats(0, 1e5, allow_nan=False, width=32))
years = arrays(np.float64, 6, elements=st.integers(0, 90).map(float))


@settings(max_examples=60, deadline=None)
@given(amounts, kinds, years)
def test_social_security_parts_sum_to_the_total(total: np.ndarray, reported: np.ndarray, age: np.ndarray) -> None:
    parts = split_social_security(total, reported, age)
    np.testing.assert_allclose(parts.sum(axis=1), total, rtol=1e-12, atol=1e-9)
    assert (parts >= -1e-9).all()
    assert (parts[total == 0] == 0).all()
    none = reported.sum(axis=1) == 0
    assert (parts[none & (age >= 62), 1:] == 0).all()
    assert (parts[none & (age < 62)][:, [0, 2, 3]] == 0).all()
