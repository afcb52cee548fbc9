"""The extended survey: halves, weights, ids, what is replaced and what stays, and what must agree."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tessera.errors import FrameError
from tessera.frame import ENTITIES, Frame
from tessera.microdata.chains import Chains
from tessera.microdata.cps import build_cps
from tessera.microdata.extend import Extended, extend
from tessera.microdata.filers import filers
from tessera.microdata.imputation_quality import QUALITY
from tessera.microdata.income import SOCIAL_SECURITY_PARTS
from tessera.microdata.puf import build_puf
from tessera.microdata.reconcile import MIN_RECIPIENTS
from tessera.microdata.retirement import CONTRIBUTIONS, SELF_EMPLOYED, TRADITIONAL_WORKPLACE, limits_of
from tessera.microdata.survey_filers import EARNINGS, OWN_BUSINESSES
from tessera.microdata.survey_variables import survey_variables, treated
from tessera.microdata.tax_half import TRAINING_RETURNS, draw_tax_half, tax_donors
from tessera.microdata.tax_variables import tax_variables
from tessera.microdata.totals import IRAS, PENSIONS, SOCIAL_SECURITY, TOTALS, UNTAXED_PENSIONS, column_of
from tessera.microdata.tuition import COLLEGE, LIFETIME, REPORTED, TUITION, YOUNG
from tessera.sources import cps_asec, irs_puf
from tessera.sources.synthetic import cps_asec as write_cps
from tessera.sources.synthetic import irs_puf as write_puf

WAGES = "employment_income_before_lsr"
SEED = 5
# Replaced, after drawing, by a rule that a test of its own holds.
RULED = {WAGES, SELF_EMPLOYED, TUITION, *(total.name for total in TOTALS)}


@pytest.fixture(scope="module")
def cps(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    path = write_cps.write(tmp_path_factory.mktemp("asec"), households=400, year=2025, seed=1)
    return build_cps(cps_asec.read(path), seed=1)


@pytest.fixture(scope="module")
def puf(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    return build_puf(
        irs_puf.read(write_puf.write(tmp_path_factory.mktemp("puf"), returns=400, seed=1)), year=2024, seed=1
    )


@pytest.fixture(scope="module")
def result(cps: Frame, puf: Frame) -> Extended:
    return extend(cps, puf, seed=SEED, n_jobs=2)


@pytest.fixture(scope="module")
def frame(result: Extended) -> Frame:
    return result.frame


def half(frame: Frame, source: str) -> Frame:
    return frame.select_households(np.flatnonzero((frame.household["source"] == source).to_numpy()))


def is_dependent(frame: Frame) -> np.ndarray:
    return (frame.person["tax_unit_role_input"] == "DEPENDENT").to_numpy()


def test_halves_share_the_weight_and_no_id(cps: Frame, frame: Frame) -> None:
    survey, tax = half(frame, "cps"), half(frame, "puf")
    np.testing.assert_array_equal(survey.weights, cps.weights / 2)
    np.testing.assert_array_equal(tax.weights, cps.weights / 2)
    for entity in ENTITIES:
        ids = [set(f.table(entity)[f"{entity}_id"]) for f in (survey, tax)]
        assert not ids[0] & ids[1]
        assert len(ids[0]) == len(ids[1]) == cps.count(entity)
    np.testing.assert_array_equal(survey.household["source_household_id"], tax.household["source_household_id"])
    assert (frame.household["source"].to_numpy() == np.repeat(["cps", "puf"], cps.count("household"))).all()
    assert frame.synthetic
    assert frame.year == cps.year


def test_every_variable_of_the_tax_file_is_on_its_entity_with_its_type_in_both_halves(frame: Frame) -> None:
    for variable in tax_variables():
        if variable.name == SOCIAL_SECURITY.name:
            assert variable.name not in frame.person
            continue
        table, other = (
            (frame.tax_unit, frame.person) if variable.entity == "tax_unit" else (frame.person, frame.tax_unit)
        )
        assert variable.name in table, variable.name
        assert variable.name not in other, variable.name
        assert table[variable.name].dtype == (bool if variable.kind == "flag" else np.float64), variable.name
    for entity in ENTITIES:
        assert not frame.table(entity).isna().to_numpy().any()


def test_every_column_of_the_survey_has_a_rule(cps: Frame) -> None:
    """A new column of the survey must be given a treatment in the tax half, not be copied unnoticed."""
    links = {f"{entity}_id" for entity in ENTITIES} | {"household_weight", "source", "source_household_id"}
    known = {(v.entity, v.name) for v in survey_variables()} | {("person", v.name) for v in tax_variables()}
    unruled = [
        f"{entity}.{name}"
        for entity in ENTITIES
        for name in cps.table(entity).columns
        if name not in links and (entity, name) not in known
    ]
    assert not unruled
    names = [v.name for v in survey_variables()]
    assert len(set(names)) == len(names)
    assert not set(names) & {v.name for v in tax_variables()}
    # An absent state is of a file without household records.
    absent = [v.name for v in survey_variables() if v.name not in cps.table(v.entity) and v.name != "state_fips"]
    assert not absent, "named in survey_only_variables.csv, but the survey has no such column"


def test_survey_half_keeps_what_was_reported(cps: Frame, frame: Frame) -> None:
    survey = half(frame, "cps")
    gained = {COLLEGE, LIFETIME, *YOUNG, *REPORTED, *(v.name for v in tax_variables() if v.survey != "asks")}
    for entity in ENTITIES:
        links = {f"{other}_id" for other in ENTITIES} | {"household_weight"}
        for name in set(cps.table(entity).columns) - links - gained:
            mine, reported = survey.table(entity)[name], cps.table(entity)[name]
            assert (mine.to_numpy() == reported.to_numpy()).all(), name
            assert mine.dtype in (reported.dtype, bool), name


def test_survey_half_gains_what_a_survey_does_not_ask(cps: Frame, frame: Frame, puf: Frame) -> None:
    survey = half(frame, "cps")
    dependent = is_dependent(survey)
    for variable in tax_variables():
        if variable.survey == "asks" or variable.name == TUITION:
            continue
        values = survey.table(variable.entity)[variable.name].to_numpy()
        if variable.survey == "tax_only":
            assert not values.any(), variable.name
            continue
        if variable.entity == "person":
            np.testing.assert_array_equal(values[dependent], column_of(cps.person, variable.name)[dependent])
            assert np.isin(values[~dependent], puf.person[variable.name]).all(), variable.name
    for name in ("partnership_income", "home_mortgage_interest", "charitable_cash_donations"):
        assert survey.person[name].any(), name


def test_tax_half_draws_donor_values_for_filers_alone(cps: Frame, puf: Frame, frame: Frame) -> None:
    tax = half(frame, "puf")
    dependent = is_dependent(tax)
    for variable in tax_variables():
        if variable.entity != "person" or variable.name in RULED:
            continue
        drawn = tax.person[variable.name].to_numpy(dtype=np.float64)
        assert np.isin(drawn[~dependent], puf.person[variable.name]).all(), variable.name
        own = column_of(cps.person, variable.name)
        np.testing.assert_array_equal(drawn[dependent], own[dependent], err_msg=variable.name)


def test_tax_unit_values_are_those_of_head_and_spouse(frame: Frame, puf: Frame) -> None:
    for variable in tax_variables():
        if variable.entity == "tax_unit":
            # Only heads of the file have them, so a unit's value is one donor's.
            everyone = filers(puf, [variable.name])
            if not everyone.spouses[variable.name].any():
                assert np.isin(frame.tax_unit[variable.name], everyone.heads[variable.name]).all(), variable.name


def test_an_amount_of_the_return_stands_with_heads(frame: Frame, puf: Frame) -> None:
    role = frame.person["tax_unit_role_input"].astype(str)
    donors = filers(puf, [v.name for v in tax_variables()])
    checked = 0
    for variable in tax_variables():
        if variable.name == TUITION:
            continue
        if variable.entity == "person" and variable.survey != "asks" and not donors.spouses[variable.name].any():
            assert not frame.person.loc[role == "SPOUSE", variable.name].any(), variable.name
            checked += 1
    assert checked > 10


def test_extremes_are_not_cut_off(puf: Frame) -> None:
    donors = tax_donors(puf, ["long_term_capital_gains_before_response"], seed=SEED)
    assert len(donors.heads) == min(puf.count("tax_unit"), TRAINING_RETURNS)
    gains = puf.person["long_term_capital_gains_before_response"]
    assert donors.heads["long_term_capital_gains_before_response"].max() == gains.max()


def test_top_returns_stay_in_a_training_sample(puf: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tessera.microdata.tax_half.TRAINING_RETURNS", 60)
    donors = tax_donors(puf, [WAGES], seed=SEED)
    assert len(donors.heads) == 60
    np.testing.assert_allclose(donors.weights.sum(), puf.weights.sum())
    # Spouses come with their heads.
    joint = donors.heads["tax_unit_is_joint"].to_numpy() == 1
    np.testing.assert_array_equal(np.flatnonzero(joint), donors.head_of_spouse)
    income = column_of(puf.person, WAGES)
    unit = puf.unit_of_person("tax_unit")
    richest = int(np.bincount(unit, weights=income).argmax())
    head = np.flatnonzero((unit == richest) & (puf.person["tax_unit_role_input"] == "HEAD").to_numpy())[0]
    assert head in donors.heads.index


@pytest.mark.parametrize("total", TOTALS, ids=lambda total: total.name)
def test_kinds_sum_to_the_drawn_total(total, cps: Frame, puf: Frame, frame: Frame) -> None:  # type: ignore[no-untyped-def]
    tax = half(frame, "puf").person
    filer = ~is_dependent(half(frame, "puf"))
    parts = tax[[name for name in total.parts if name in tax]].to_numpy()
    known = np.unique(puf.person[total.name])
    assert np.isin(parts[filer].sum(axis=1), known).all()  # to the last bit
    assert (parts[filer] >= min(0.0, known.min())).all()
    for name, whole in total.of_which:
        assert (tax[name] <= tax[whole]).all()
        assert (tax[name] >= 0).all()
    for name in total.parts:
        np.testing.assert_array_equal(tax.loc[~filer, name], cps.person.loc[~filer, name])


def test_kinds_come_from_recipients_of_the_survey(cps: Frame, frame: Frame) -> None:
    recipients = (cps.person.loc[~is_dependent(cps), list(SOCIAL_SECURITY_PARTS)].sum(axis=1) > 0).sum()
    assert recipients >= MIN_RECIPIENTS, "the file is too small for this test"
    tax = half(frame, "puf").person
    amount = column_of(tax, SOCIAL_SECURITY.name)
    share = tax["social_security_retirement"] / np.maximum(amount, 1)
    young, old = (tax["age"] < 60) & (amount > 0), (tax["age"] >= 70) & (amount > 0)
    assert young.sum() > 5
    assert old.sum() > 20
    assert share[old].mean() > share[young].mean() + 0.4
    for total in (PENSIONS, UNTAXED_PENSIONS, IRAS):
        assert total.name in tax


def test_contributions_keep_to_the_limits(frame: Frame) -> None:
    person = frame.person
    limits = limits_of(frame.year)
    age = person["age"].to_numpy(dtype=np.float64)
    values = {name: person[name].to_numpy() for name in CONTRIBUTIONS}
    assert all((value >= 0).all() for value in values.values())
    workplace = values["traditional_401k_contributions_desired"] + values["roth_401k_contributions_desired"]
    assert (workplace <= limits.workplace(age, person[WAGES].to_numpy()) * (1 + 1e-12)).all()
    assert not workplace[person[WAGES] <= 0].any()
    ira = values["traditional_ira_contributions_desired"] + values["roth_ira_contributions_desired"]
    assert (ira <= limits.iras(age) * (1 + 1e-12)).all()
    business = person[list(OWN_BUSINESSES)].sum(axis=1).to_numpy()
    allowed = np.minimum(0.25 * np.maximum(business, 0), limits.annual_additions)
    own = values[SELF_EMPLOYED]
    tax = (frame.household["source"] == "puf").to_numpy()[frame.unit_of_person("household")]
    drawn = tax & ~is_dependent(frame)
    assert (own[drawn] <= allowed[drawn] + 1e-9).all()
    assert workplace[drawn].any()


def test_wages_are_drawn_wages_and_deferrals(frame: Frame, puf: Frame) -> None:
    """The taxable wage of the engine is the wage of the return: box 1 of Form W-2 is after deferrals."""
    tax = half(frame, "puf")
    person = tax.person.loc[~is_dependent(tax)]
    taxable = person[WAGES].to_numpy() - person[TRADITIONAL_WORKPLACE].to_numpy()
    known = np.unique(puf.person[WAGES])
    place = np.clip(np.searchsorted(known, taxable), 1, len(known) - 1)
    gap = np.minimum(np.abs(known[place] - taxable), np.abs(known[place - 1] - taxable))
    assert (gap <= 1e-6 * np.maximum(1, np.abs(taxable))).all()


def test_weeks_without_work_follow_the_compensation(frame: Frame, cps: Frame) -> None:
    tax = half(frame, "puf")
    filer = ~is_dependent(tax)
    weeks, amount = tax.person["weeks_unemployed"].to_numpy(), tax.person["unemployment_compensation"].to_numpy()
    assert ((weeks >= 0) & (weeks <= 52)).all()
    assert not weeks[filer & (amount == 0)].any()
    np.testing.assert_array_equal(weeks[~filer], cps.person["weeks_unemployed"].to_numpy()[~filer])


def test_hours_follow_drawn_earnings(frame: Frame) -> None:
    tax = half(frame, "puf")
    person, filer = tax.person, ~is_dependent(tax)
    works = (person[list(EARNINGS)] != 0).any(axis=1).to_numpy()
    for name in treated("workers"):
        assert not person.loc[filer & ~works, name].any(), name
    assert (person.loc[filer & works, "weekly_hours_worked_before_lsr"] > 0).mean() > 0.9
    np.testing.assert_array_equal(person.loc[filer, "worked_last_year"], person.loc[filer, "weeks_worked"] > 0)
    business = (person[list(OWN_BUSINESSES)] != 0).any(axis=1)
    np.testing.assert_array_equal(person.loc[filer, "is_self_employed"], business[filer])


def test_redrawn_variables_are_values_of_the_survey_in_its_types(frame: Frame, cps: Frame) -> None:
    tax = half(frame, "puf").person
    for treatment in ("filers", "workers", "last_year", "matched"):
        for name in treated(treatment):
            assert np.isin(tax[name], np.append(cps.person[name].to_numpy(), 0)).all(), name
            assert tax[name].dtype == cps.person[name].dtype, name
    for name in treated("kept"):
        if name in cps.person:
            assert (tax[name].to_numpy() == cps.person[name].to_numpy()).all(), name


def test_occupations_go_with_work_and_sex(frame: Frame, cps: Frame) -> None:
    tax = half(frame, "puf")
    filer = ~is_dependent(tax)
    works = (tax.person[list(EARNINGS)] != 0).any(axis=1).to_numpy()
    worked = (cps.person[[n for n in EARNINGS if n in cps.person]] != 0).any(axis=1).to_numpy()
    codes = [name for name in treated("matched") if name in cps.person]
    for female in (False, True):
        for at_work in (False, True):
            mine = filer & (works == at_work) & (tax.person["is_female"].to_numpy() == female)
            theirs = filer & (worked == at_work) & (cps.person["is_female"].to_numpy() == female)
            known = set(map(tuple, cps.person.loc[theirs, codes].to_numpy(dtype=np.int64)))
            assert set(map(tuple, tax.person.loc[mine, codes].to_numpy(dtype=np.int64))) <= known


def test_means_by_filer_are_near_the_tax_files(frame: Frame, puf: Frame) -> None:
    """Drawn given family alone, so means agree as far as the two populations' families do."""
    tax = half(frame, "puf")
    names = [
        "taxable_interest_income",
        "charitable_cash_donations",
        "home_mortgage_interest",
        "qualified_dividend_income",
    ]
    means = []
    for one in (tax, puf):
        everyone = filers(one, [*names, WAGES])
        total = everyone.heads.copy()
        total.iloc[everyone.head_of_spouse] += everyone.spouses.to_numpy()
        joint = everyone.heads["tax_unit_is_joint"].to_numpy() == 1
        # By status, so that another share of couples is no difference.
        means.append(
            [np.average(total.loc[m, n], weights=everyone.weights[m]) for m in (joint, ~joint) for n in [WAGES, *names]]
        )
    ratio = np.array(means[0]) / np.array(means[1])
    assert 0.75 < np.median(ratio) < 1.3, ratio
    assert (ratio[[0, 5]] > 0.6).all() and (ratio[[0, 5]] < 1.5).all(), ratio


def test_quality_has_a_row_for_every_output_of_every_chain(result: Extended) -> None:
    quality = result.quality
    assert tuple(quality.columns) == QUALITY
    assert not quality.duplicated(["chain", "output"]).any()
    heads = quality[quality["chain"] == "tax half, heads"]
    assert list(heads["output"]) == [v.name for v in tax_variables()]
    absent = [v.name for v in tax_variables() if v.survey == "absent"]
    assert list(quality.loc[quality["chain"] == "survey half, heads", "output"]) == absent
    assert {"survey variables of workers", "kinds of Social Security", "retirement contributions"} <= set(
        quality["chain"]
    )


@pytest.fixture(scope="module")
def few(cps: Frame) -> Frame:
    return cps.select_households(np.arange(60))


def test_draws_depend_on_neither_workers_nor_the_order_of_persons(
    few: Frame, puf: Frame, caplog: pytest.LogCaptureFixture
) -> None:
    returns = puf.select_households(np.arange(150))
    told: list[tuple[int, int, str]] = []
    with caplog.at_level(logging.INFO, "tessera.microdata.chains"):
        one = extend(few, returns, seed=2, progress=lambda done, total, what: told.append((done, total, what))).frame
    assert told[-1][0] == told[-1][1]
    assert [done for done, _, _ in told[:-1]] == list(range(1, len(told)))
    assert all(done <= total for done, total, _ in told)
    assert "to go" in caplog.text
    order = np.random.default_rng(0).permutation(len(few.person))
    shuffled = replace(few, person=few.person.iloc[order].reset_index(drop=True))
    two = extend(shuffled, returns, seed=2, n_jobs=2).frame
    for entity in ENTITIES:
        first, second = (f.table(entity).sort_values(f"{entity}_id").reset_index(drop=True) for f in (one, two))
        pd.testing.assert_frame_equal(first, second)


def test_a_household_draws_the_same_whoever_else_is_there(few: Frame, cps: Frame, puf: Frame) -> None:
    names = [WAGES, "taxable_interest_income", "charitable_cash_donations"]
    donors = tax_donors(puf, names, seed=SEED)
    part, whole = (draw_tax_half(Chains(SEED), donors, frame, names) for frame in (few, cps))
    pd.testing.assert_frame_equal(part.sort_index(), whole.loc[sorted(part.index)])


def test_a_tax_file_without_a_variable_is_refused(few: Frame, puf: Frame) -> None:
    lacking = replace(puf, person=puf.person.drop(columns=["estate_income"]))
    with pytest.raises(FrameError, match=r"estate_income.*Materialise puf"):
        extend(few, lacking, seed=1)


def test_a_unit_with_two_heads_is_refused(few: Frame, puf: Frame) -> None:
    role = few.person["tax_unit_role_input"].copy()
    unit = few.person["tax_unit_id"].value_counts().idxmax()
    role[few.person["tax_unit_id"] == unit] = "HEAD"
    with pytest.raises(FrameError, match=r"tax_unit_id \d+\): \d+ persons have the tax_unit_role_input HEAD"):
        extend(replace(few, person=few.person.assign(tax_unit_role_input=role)), puf, seed=1)
