"""Rules of the tax half one by one: parts of totals, couples, occupations, tuition, and the table of treatments."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tessera.errors import FrameError
from tessera.frame import ENTITIES, GROUP_ENTITIES, Frame
from tessera.microdata.chains import Chains
from tessera.microdata.contributions import draw_contributions
from tessera.microdata.filers import FAMILY, draw_couples, filers, keys_of
from tessera.microdata.imputation import Keys
from tessera.microdata.occupations import match_occupations
from tessera.microdata.reconcile import MIN_RECIPIENTS, kinds, split_total, weeks_unemployed
from tessera.microdata.survey_filers import SurveyFilers, survey_filers, works
from tessera.microdata.survey_only import draw_survey_only
from tessera.microdata.survey_variables import Treatment, survey_variables, treated
from tessera.microdata.tax_variables import tax_variables
from tessera.microdata.totals import PENSIONS, SOCIAL_SECURITY, TOTALS, column_of
from tessera.microdata.tuition import COLLEGE, LIFETIME, REPORTED, TUITION, YOUNG, with_students

WAGES = "employment_income_before_lsr"
ROLES = ["UNSPECIFIED", "HEAD", "SPOUSE", "DEPENDENT"]


def people(rows: list[dict[str, object]]) -> Frame:
    """Persons with `unit`, `role`, `age` and any columns; a tax unit is a household of its own."""
    table = pd.DataFrame(rows).fillna(0.0)
    unit = table["unit"].to_numpy(dtype=np.int64)
    person = table.drop(columns=["unit", "role"]).assign(
        **{f"{entity}_id": unit for entity in GROUP_ENTITIES},
        person_id=np.arange(len(table)),
        tax_unit_role_input=pd.Categorical(table["role"], categories=ROLES),
    )
    if "is_female" not in person:
        person["is_female"] = (table["role"] == "SPOUSE").to_numpy()
    ids = np.unique(unit)
    groups = {entity: pd.DataFrame({f"{entity}_id": ids}) for entity in GROUP_ENTITIES}
    groups["household"] = groups["household"].assign(
        household_weight=1.0, source=pd.Categorical(["cps"] * len(ids)), source_household_id=ids
    )
    return Frame(**groups, person=person, year=2024, synthetic=True).validate("people")


def couples(n: int, **amounts: object) -> Frame:
    """n couples, with columns whose values are (head's, spouse's)."""
    rows = []
    for unit in range(n):
        for role, place in (("HEAD", 0), ("SPOUSE", 1)):
            own = {k: v[place] if isinstance(v, tuple) else v for k, v in amounts.items()}
            rows.append({"unit": unit, "role": role, "age": 30.0 + unit % 40, **own})
    return people(rows)


def both(frame: Frame, drawn: pd.DataFrame, columns: tuple[str, ...] = ()) -> SurveyFilers:
    """Filers as reported and as drawn; what a test does not draw is drawn as 0."""
    names = [v.name for v in tax_variables()]
    return survey_filers(frame, drawn.reindex(columns=names, fill_value=0.0), columns)


totals = arrays(np.float64, 7, elements=st.floats(0, 1e9, allow_nan=False))
shares = arrays(np.float64, (7, 4), elements=st.floats(-0.5, 3, allow_nan=False, width=32))
defaults = arrays(np.int64, 7, elements=st.integers(0, 3))


@settings(max_examples=80, deadline=None)
@given(totals, shares, defaults)
def test_parts_sum_to_the_last_bit_and_are_never_negative(
    total: np.ndarray, share: np.ndarray, default: np.ndarray
) -> None:
    parts = split_total(total, share, default)
    assert (parts >= 0).all()
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        running = np.zeros(len(total))
        for column in order:
            running = running + parts[:, column]
        np.testing.assert_array_equal(running, total)
    positive = np.maximum(share, 0)
    scale = positive.sum(axis=1)
    known = scale > 0
    wanted = total[known, None] * positive[known] / scale[known, None]
    np.testing.assert_allclose(parts[known], wanted, rtol=1e-9, atol=1e-6)
    assert (parts[~known, default[~known]] == total[~known]).all()


def test_few_recipients_go_by_age() -> None:
    survey = couples(40, social_security_survivors=(900.0, 0.0), social_security_retirement=0.0,
                     social_security_disability=0.0, social_security_dependents=0.0)  # fmt: skip
    drawn = pd.DataFrame({SOCIAL_SECURITY.name: 1234.56}, index=np.arange(80))
    people = both(survey, drawn)
    assert MIN_RECIPIENTS > 40
    parts = kinds(Chains(1), people, SOCIAL_SECURITY)
    old = (people.drawn["age"] >= 62).to_numpy()
    assert old.any() and not old.all()
    assert (parts["social_security_retirement"] == np.where(old, 1234.56, 0)).all()
    assert (parts["social_security_disability"] == np.where(old, 0, 1234.56)).all()


def test_kinds_follow_recipients_and_losses_stay_whole() -> None:
    survey = couples(150, taxable_private_pension_income=(0.0, 700.0), military_retirement_pay=(500.0, 0.0))
    drawn = pd.DataFrame({PENSIONS.name: np.where(np.arange(300) % 5 == 0, -50.0, 3000.1)}, index=np.arange(300))
    parts = kinds(Chains(1), both(survey, drawn), PENSIONS)
    head = np.repeat([True, False], 150)
    gain = (drawn.loc[parts.index, PENSIONS.name] > 0).to_numpy()
    assert (parts.loc[gain & head, "military_retirement_pay"] == 3000.1).mean() > 0.9
    assert (parts.loc[gain & ~head, "taxable_private_pension_income"] == 3000.1).mean() > 0.9
    assert (parts.loc[~gain, "taxable_private_pension_income"] == -50.0).all()
    assert (parts.loc[~gain, "military_retirement_pay"] == 0.0).all()


def test_totals_name_columns_once() -> None:
    parts = [part for total in TOTALS for part in total.parts]
    assert len(set(parts)) == len(parts)
    table = pd.DataFrame({name: [1.0, 2.0] for name in SOCIAL_SECURITY.parts})
    np.testing.assert_array_equal(column_of(table, SOCIAL_SECURITY.name), [4.0, 8.0])
    np.testing.assert_array_equal(column_of(table.assign(**{SOCIAL_SECURITY.name: 5.0}), SOCIAL_SECURITY.name), [5, 5])
    np.testing.assert_array_equal(column_of(table, "absent"), [0.0, 0.0])


def test_weeks_without_recipients_are_none() -> None:
    survey = couples(30, unemployment_compensation=0.0, weeks_unemployed=5.0)
    drawn = pd.DataFrame({"unemployment_compensation": 800.0}, index=np.arange(60))
    assert not weeks_unemployed(Chains(1), both(survey, drawn, ("weeks_unemployed",))).to_numpy().any()


def test_recipients_without_weight_teach_nothing() -> None:
    survey = couples(30, unemployment_compensation=500.0, weeks_unemployed=5.0)
    drawn = pd.DataFrame({"unemployment_compensation": 800.0}, index=np.arange(60))
    weeks = weeks_unemployed(Chains(1), both(survey, drawn, ("weeks_unemployed",)))
    assert (weeks["weeks_unemployed"] == 5).all()
    weightless = replace(survey, household=survey.household.assign(household_weight=0.0))
    assert not weeks_unemployed(Chains(1), both(weightless, drawn, ("weeks_unemployed",))).to_numpy().any()


def test_a_spouse_draws_only_what_spouses_have_and_goes_with_the_head() -> None:
    """Donor couples earn alike: a spouse of a rich head is rich. Amounts of the return stand with heads alone."""
    rng = np.random.default_rng(0)
    wages = np.where(rng.random(400) < 0.5, 20_000.0, 900_000.0)
    donors = couples(400, gifts=(50.0, 0.0))
    person = donors.person.assign(wages=np.repeat(wages, 2))
    known = filers(replace(donors, person=person), ["wages", "gifts"])
    survey = couples(200)
    drawn = draw_couples(
        Chains(3), "test", known, filers(survey, ()), survey, predictors=FAMILY, spouse_predictors=FAMILY,
        outputs=["wages", "gifts"],
    )  # fmt: skip
    head, spouse = drawn.loc[np.arange(0, 400, 2)], drawn.loc[np.arange(1, 400, 2)]
    assert (head["gifts"] == 50).all()
    assert (spouse["gifts"] == 0).all()
    assert set(head["wages"]) == {20_000.0, 900_000.0}
    assert (head["wages"].to_numpy() == spouse["wages"].to_numpy()).mean() > 0.85  # 0.5 alone


def test_filers_take_spouses_with_their_heads() -> None:
    everyone = filers(couples(5, wages=(1.0, 2.0)), ["wages"])
    some = everyone.take(np.array([1, 4]), np.array([7.0, 8.0]))
    assert some.heads.index.tolist() == [2, 8]
    assert some.spouses.index.tolist() == [3, 9]
    assert some.head_of_spouse.tolist() == [0, 1]
    np.testing.assert_array_equal(some.everybodys_weights(), [7, 8, 7, 8])
    assert some.everybody()["is_tax_unit_head"].tolist() == [1, 1, 0, 0]


def test_two_spouses_or_no_head_are_refused() -> None:
    frame = couples(3)
    for wrong, message in (("SPOUSE", "2 persons have the tax_unit_role_input SPOUSE|0 persons"),
                           ("DEPENDENT", "0 persons have the tax_unit_role_input HEAD")):  # fmt: skip
        role = frame.person["tax_unit_role_input"].copy()
        role[2] = wrong
        with pytest.raises(FrameError, match=message):
            filers(replace(frame, person=frame.person.assign(tax_unit_role_input=role)), [])


def test_keys_are_of_persons_not_of_rows() -> None:
    frame = couples(6)
    order = np.random.default_rng(1).permutation(12)
    shuffled = replace(frame, person=frame.person.iloc[order].reset_index(drop=True))
    one, two = keys_of(frame, order), keys_of(shuffled, np.arange(12))
    np.testing.assert_array_equal(one.household_id, two.household_id)
    np.testing.assert_array_equal(one.entity_index, two.entity_index)
    assert keys_of(frame, np.arange(12)).entity_index.tolist() == [0, 1] * 6


def test_a_chain_without_receivers_or_outputs_is_empty() -> None:
    table = pd.DataFrame({"age": [1.0, 2.0], "y": [1.0, 2.0]})
    none = np.array([], dtype=np.int64)
    chains = Chains(1)
    assert chains.run("a", table, ["age"], ["y"], np.ones(2), table[:0], Keys(none, none), np.ones(0)).shape == (0, 1)
    assert chains.run("a", table, ["age"], [], np.ones(2), table, Keys(none, none), np.ones(2)).shape == (2, 0)
    assert chains.table().empty


def test_occupations_come_from_alike_workers_in_their_types() -> None:
    """Heads who earn much have code 7, those who earn little 3, those who do not work 53."""
    wages = np.tile([0.0, 30_000.0, 300_000.0], 40)
    survey = couples(120)
    code = np.where(wages == 0, 53, np.where(wages > 1e5, 7, 3))
    person = survey.person.assign(
        **{WAGES: np.repeat(wages, 2)},
        detailed_industry_recode=np.repeat(code, 2),
        has_never_worked=np.repeat(wages == 0, 2),
    )
    survey = replace(survey, person=person)
    drawn = pd.DataFrame({WAGES: np.repeat(np.roll(wages, 1), 2)}, index=np.arange(240))
    people = both(survey, drawn)
    matched = match_occupations(people, pd.DataFrame(index=people.drawn.index), seed=1)
    wanted = np.where(people.drawn[WAGES] == 0, 53, np.where(people.drawn[WAGES] > 1e5, 7, 3))
    np.testing.assert_array_equal(matched["detailed_industry_recode"], wanted)
    np.testing.assert_array_equal(matched["has_never_worked"], people.drawn[WAGES] == 0)
    assert matched["detailed_industry_recode"].dtype == person["detailed_industry_recode"].dtype
    assert matched["has_never_worked"].dtype == bool
    again = match_occupations(people, pd.DataFrame(index=people.drawn.index), seed=1)
    pd.testing.assert_frame_equal(matched, again)


def test_hours_are_of_workers_and_nobody_else() -> None:
    survey = couples(60, weekly_hours_worked_before_lsr=(40.0, 0.0), weeks_worked=(52, 0), worked_last_year=False)
    person = survey.person.assign(**{WAGES: np.tile([50_000.0, 0.0], 60)})
    drawn = pd.DataFrame({WAGES: np.tile([0.0, 50_000.0], 60)}, index=np.arange(120))
    people = both(replace(survey, person=person), drawn, ("weekly_hours_worked_before_lsr", "weeks_worked"))
    only = draw_survey_only(Chains(2), people)
    at_work = works(people.drawn)
    assert at_work.sum() == 60
    np.testing.assert_array_equal(only["weekly_hours_worked_before_lsr"], np.where(at_work, 40.0, 0.0))
    np.testing.assert_array_equal(only["worked_last_year"], at_work)


def test_contributions_of_the_self_employed_are_a_quarter_at_most() -> None:
    survey = couples(60, traditional_401k_contributions_desired=(30_000.0, 0.0), **{WAGES: (90_000.0, 0.0)})
    drawn = pd.DataFrame(
        {
            WAGES: np.tile([90_000.0, 0.0], 60),
            "self_employment_income_before_lsr": np.tile([0.0, 40_000.0], 60),
            "self_employed_pension_contributions_desired": 50_000.0,
        },
        index=np.arange(120),
    )
    people = both(survey, drawn, ("traditional_401k_contributions_desired",))
    result = draw_contributions(Chains(1), people, year=2024)
    head = np.repeat([True, False], 60)
    assert (result.loc[head, "self_employed_pension_contributions_desired"] == 0).all()
    assert (result.loc[~head, "self_employed_pension_contributions_desired"] == 10_000).all()
    deferral = result["traditional_401k_contributions_desired"]
    age = people.drawn["age"]
    assert (deferral[head] == np.where(age[head] >= 50, 30_000, 23_000)).mean() > 0.9
    assert (deferral[~head] == 0).all()
    np.testing.assert_allclose(result[WAGES], people.drawn[WAGES] + deferral)


def test_tuition_goes_to_the_students_of_a_unit() -> None:
    rows: list[dict[str, object]] = [
        # College students share it, whatever their role.
        {"unit": 0, "role": "HEAD", "age": 50.0, TUITION: 9000.0, COLLEGE: False},
        {"unit": 0, "role": "DEPENDENT", "age": 20.0, COLLEGE: True},
        {"unit": 0, "role": "DEPENDENT", "age": 26.0, COLLEGE: True},
        {"unit": 0, "role": "DEPENDENT", "age": 18.0, COLLEGE: False},
        # Else dependants of the age of students.
        {"unit": 1, "role": "HEAD", "age": 50.0, TUITION: 4000.0, COLLEGE: False},
        {"unit": 1, "role": "DEPENDENT", "age": 17.0, COLLEGE: False},
        {"unit": 1, "role": "DEPENDENT", "age": 9.0, COLLEGE: False},
        # Else the filer.
        {"unit": 2, "role": "HEAD", "age": 40.0, TUITION: 2000.0, COLLEGE: False},
        {"unit": 2, "role": "DEPENDENT", "age": 9.0, COLLEGE: False},
        # None, nothing.
        {"unit": 3, "role": "HEAD", "age": 22.0, COLLEGE: True},
    ]
    frame = people(rows)
    frame = replace(frame, person=frame.person.astype({COLLEGE: bool}))
    result = with_students(frame).person
    assert result[TUITION].tolist() == [0, 4500, 4500, 0, 0, 4000, 0, 2000, 0, 0]
    paid = result[TUITION] > 0
    for name in (LIFETIME, *REPORTED):
        np.testing.assert_array_equal(result[name], paid, err_msg=name)
    assert result[COLLEGE].tolist() == [False, True, True, False, False, True, False, False, False, True]
    for name in YOUNG:
        assert result[name].tolist() == [False, True, False, False, False, True, False, False, False, False]


def test_treatments_are_known_and_given_a_reason() -> None:
    allowed = set(get_args(Treatment))
    for variable in survey_variables():
        assert variable.treatment in allowed, variable.name
        assert variable.reason, variable.name
        assert variable.entity in ENTITIES, variable.name
        assert variable.treatment in ("kept", "reconciled") or variable.entity == "person", variable.name
    named = [name for treatment in get_args(Treatment) for name in treated(treatment)]
    assert sorted(named) == sorted(variable.name for variable in survey_variables())
