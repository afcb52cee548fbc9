"""Persons one by one: ages, family position, disability, schooling, checks of the table; all columns engine inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.areas.inputs import input_variables
from tessera.errors import SourceError
from tessera.microdata.asec import ordered_persons, relations
from tessera.microdata.datafile import read_rows
from tessera.microdata.demographics import demographics
from tessera.microdata.disability import disability, gainful_activity
from tessera.microdata.immigration import immigration
from tessera.microdata.person_checks import LEAST_ROWS, NEVER_ALL_ZERO, check_persons
from tessera.microdata.schooling import schooling

from .support import persons, sample


def described(person: pd.DataFrame, year: int = 2024) -> pd.DataFrame:
    """All that the modules of persons say, in file order."""
    ordered = ordered_persons(person)
    related = relations(ordered)
    columns: dict[str, object] = {
        **demographics(ordered, related, seed=1),
        **disability(ordered, related, year),
        **schooling(ordered),
        **immigration(ordered, related, np.ones(len(ordered)), survey_year=year + 1, seed=1),
    }
    return pd.DataFrame(columns)


def test_every_column_is_an_input_of_the_engine(shared_data: Path) -> None:
    found = described(sample(shared_data), 2019)
    inputs = {name for name, entity in input_variables().items() if entity == "person"}
    assert set(found.columns) <= inputs
    assert not found.isna().to_numpy().any()


def test_couple_partner_and_children() -> None:
    person = persons(
        {"A_SEX": 2, "A_MARITL": 1, "A_SPOUSE": 2, "PRDTRACE": 4, "PRDTHSP": 1},
        {"A_MARITL": 1, "A_SPOUSE": 1, "A_EXPRRP": 3, "PERRP": 42},
        {"A_AGE": 5, "PEPAR1": 1, "PEPAR2": 2, "A_EXPRRP": 5},
        {"A_AGE": 30, "PEPAR1": 1, "A_EXPRRP": 5, "A_MARITL": 6},
        {"A_MARITL": 4, "P_STAT": 2},
        {"A_MARITL": 3},
    ).fillna(0)
    found = described(person)
    assert found["is_household_head"].tolist() == [True, *[False] * 5]
    assert found["is_household_spouse"].tolist() == [False, True, *[False] * 4]
    assert found["own_children_in_household"].tolist() == [2, 1, 0, 0, 0, 0]
    assert found["is_separated"].tolist() == [False, False, False, True, False, True]
    assert found["is_surviving_spouse"].tolist() == [False, False, False, False, True, False]
    assert found["is_military"].tolist() == [False, False, False, False, True, False]
    assert found["is_female"].tolist() == [True, *[False] * 5]
    assert found["cps_race"].tolist()[0] == 4
    assert found["is_hispanic"].tolist() == [True, *[False] * 5]


@pytest.mark.parametrize("code", [43, 44, 46, 47])
def test_partner_of_the_reference_person_by_relationship(code: int) -> None:
    person = persons({"PERRP": 40, "PECOHAB": 2}, {"PERRP": code, "PECOHAB": 1}, {"PERRP": 58, "PECOHAB": -1})
    assert described(person)["is_unmarried_partner_of_household_head"].tolist() == [False, True, False]


def test_partner_by_pointer_where_there_is_no_relationship() -> None:
    person = persons({"PECOHAB": 2}, {"PECOHAB": 1}, {"PECOHAB": 4}, {"PECOHAB": 3})
    assert described(person)["is_unmarried_partner_of_household_head"].tolist() == [False, True, False, False]


def test_both_ways_to_a_partner_agree_on_real_persons(shared_data: Path) -> None:
    raw = sample(shared_data)
    column = "is_unmarried_partner_of_household_head"
    by_relationship = described(raw, 2019)[column]
    by_pointer = described(raw.drop(columns="PERRP"), 2019)[column]
    assert by_relationship.sum() == 54
    pd.testing.assert_series_equal(by_relationship, by_pointer)


@pytest.mark.parametrize("column", ["PEDISEAR", "PEDISEYE", "PEDISREM", "PEDISPHY", "PEDISDRS", "PEDISOUT"])
def test_any_of_six_difficulties_disables(column: str) -> None:
    found = described(persons({column: 1}, {}))
    assert found["is_disabled"].tolist() == [True, False]
    assert found["is_permanently_and_totally_disabled"].tolist() == [True, False]
    assert found["is_blind"].tolist() == [column == "PEDISEYE", False]
    assert found["is_deaf"].tolist() == [column == "PEDISEAR", False]
    assert found["is_incapable_of_self_care"].tolist() == [column == "PEDISDRS", False]
    assert not found["meets_ssi_disability_criteria"].any()


@pytest.mark.parametrize(
    ("report", "disabled", "ssi"),
    [
        ({"SSI_VAL": 900}, True, True),
        ({"SSI_VAL": 900, "RESNSSI1": 1}, True, True),
        ({"SSI_VAL": 900, "RESNSSI1": 3}, False, False),  # for a child
        ({"SSI_VAL": 900, "RESNSSI1": 3, "RESNSSI2": 1}, True, True),
        ({"SSI_VAL": 900, "A_AGE": 65}, False, False),  # for age
        ({"SSI_VAL": 0, "RESNSSI1": 1}, False, False),
        ({"SS_VAL": 900, "RESNSS1": 2}, False, True),
        ({"SS_VAL": 900, "RESNSS1": 2, "A_AGE": 66}, False, False),
        ({"SS_VAL": 900, "RESNSS1": 1}, False, False),
    ],
)
def test_benefits_of_the_disabled(report: dict[str, int], disabled: bool, ssi: bool) -> None:
    found = described(persons({"A_AGE": 40} | report).fillna(0)).iloc[0]
    assert found["is_disabled"] == disabled
    assert found["meets_ssi_disability_criteria"] == ssi


def test_child_on_whose_behalf_a_parent_has_ssi() -> None:
    person = persons(
        {"SSI_VAL": 9000, "RESNSSI1": 3},
        {"A_AGE": 19, "PEPAR1": 1, "A_EXPRRP": 5},
        {"A_AGE": 12, "PEPAR1": 1, "A_EXPRRP": 5},
        {"A_AGE": 10, "PEPAR1": 1, "A_EXPRRP": 5},
    ).fillna(0)
    assert described(person)["meets_ssi_disability_criteria"].tolist() == [False, False, True, False]


@pytest.mark.parametrize(("wages", "blind", "unable"), [(18_599, 2, True), (18_600, 2, False), (31_079, 1, True)])
def test_gainful_earnings_end_permanent_disability(wages: int, blind: int, unable: bool) -> None:
    person = persons({"WSAL_VAL": wages, "PEDISREM": 1, "PEDISEYE": blind})
    found = described(person)
    assert found["is_disabled"].tolist() == [True]
    assert found["is_permanently_and_totally_disabled"].tolist() == [unable]


def test_gainful_activity_by_year() -> None:
    assert gainful_activity(2019) == (12 * 1220, 12 * 2040)
    assert gainful_activity(2040) == gainful_activity(2026)
    with pytest.raises(SourceError, match="starts in 2017"):
        gainful_activity(2000)
    assert all(row["source"] for row in read_rows("substantial_gainful_activity"))


def test_schooling() -> None:
    person = persons(
        {"A_HSCOL": 1, "A_FTPT": 1},
        {"A_HSCOL": 2, "A_FTPT": 1, "A_HGA": 40},
        {"A_HSCOL": 2, "A_FTPT": 2, "A_HGA": 43},
        {},
    ).fillna(0)
    found = described(person)
    assert found["is_in_secondary_school"].tolist() == [True, False, False, False]
    assert found["is_full_time_college_student"].tolist() == [False, True, False, False]
    assert found["is_part_time_college_student"].tolist() == [False, False, True, False]
    assert found["is_enrolled_at_least_half_time_for_american_opportunity_credit"].tolist() == [
        False,
        True,
        False,
        False,
    ]
    assert found["has_completed_first_four_years_of_postsecondary_education"].tolist() == [False, False, True, False]
    college = [False, True, True, False]
    for name in ("american_opportunity_credit", "lifetime_learning_credit"):
        assert found[f"attends_eligible_educational_institution_for_{name}"].tolist() == college
    assert found["is_pursuing_credential_for_american_opportunity_credit"].tolist() == college


def many(n: int = LEAST_ROWS) -> pd.DataFrame:
    numbers = np.arange(1, n + 1)
    table = persons({}).loc[[0] * n].reset_index(drop=True)
    return table.assign(PH_SEQ=numbers, SPM_ID=numbers, PRDTRACE=1, WSAL_VAL=1, SS_VAL=1, INT_VAL=1)


@pytest.mark.parametrize("column", NEVER_ALL_ZERO)
def test_a_column_of_zeros_is_refused_by_name(column: str) -> None:
    with pytest.raises(SourceError, match=f"{column} is 0 in all {LEAST_ROWS} rows"):
        check_persons(many().assign(**{column: 0}))
    check_persons(many(LEAST_ROWS - 1).assign(**{column: 0}))
    check_persons(many())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"A_SEX": [1, 3]}, "row 1 .PH_SEQ 1.: A_SEX is 3 .* wanted 1 to 2"),
        ({"A_MARITL": [0, 7]}, "row 0 .*A_MARITL is 0"),
        ({"A_EXPRRP": [1, 15]}, "A_EXPRRP is 15"),
        ({"A_AGE": [40, -1]}, "A_AGE is -1"),
        ({"SSI_VAL": [0, np.nan]}, "row 1 .*SSI_VAL is missing in 1 row"),
        ({"WSAL_VAL": [np.nan, np.nan]}, "row 0 .*WSAL_VAL is missing in 2 row"),
        ({"A_SPOUSE": [0, np.inf]}, "row 1 .*A_SPOUSE is inf in 1 row"),
    ],
)
def test_cells_that_cannot_be_are_refused(change: dict[str, list[float]], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        ordered_persons(persons({}, {}).assign(**change))


def test_columns_that_nobody_uses_may_have_gaps() -> None:
    ordered_persons(persons({}, {}).assign(NOTE=[np.nan, 1.0]))
