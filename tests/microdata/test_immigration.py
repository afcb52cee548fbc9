"""Immigration status: the conditions one by one, controls met on a whole population, order, keys, arrivals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.microdata.asec import ordered_persons, relations
from tessera.microdata.datafile import read_rows
from tessera.microdata.immigration import CARD_TYPES, IMMIGRATION_STATUSES, arrival_years, control, immigration

from .support import persons, sample

NATION = 340_110_988.0


def classified(
    person: pd.DataFrame, weight: np.ndarray | None = None, *, seed: int = 1, year: int = 2025
) -> pd.DataFrame:
    """Immigration inputs beside the persons, in their order."""
    ordered = ordered_persons(person)
    weights = np.full(len(ordered), 1000.0) if weight is None else weight
    columns = immigration(ordered, relations(ordered), weights, survey_year=year, seed=seed)
    return pd.concat([ordered, pd.DataFrame(columns)], axis=1)


def population(n: int = 4000, *, noncitizens: float = 0.12, seed: int = 3) -> tuple[pd.DataFrame, np.ndarray]:
    """Persons alone, some of them non-citizens with work, school and benefits, and weights that differ."""
    rng = np.random.default_rng(seed)
    table = persons({}).loc[[0] * n].reset_index(drop=True)
    table = table.assign(
        PH_SEQ=np.arange(1, n + 1),
        SPM_ID=np.arange(1, n + 1),
        A_AGE=rng.integers(16, 60, n),
        PRCITSHP=np.where(rng.random(n) < noncitizens, 5, 1),
        PEINUSYR=rng.integers(8, 30, n),
        WSAL_VAL=np.where(rng.random(n) < 0.6, 30_000, 0),
        A_HSCOL=np.where(rng.random(n) < 0.06, 2, 0),
        CAID=np.where(rng.random(n) < 0.2, 1, 2),
        SS_VAL=np.where(rng.random(n) < 0.2, 9000, 0),
        INT_VAL=5,
        PENATVTY=303,
        PRDTRACE=1,
    )
    table.loc[table["PRCITSHP"] == 1, ["PEINUSYR", "PENATVTY"]] = [0, 57]
    weight = rng.uniform(0.2, 1.8, n)
    return table, weight * NATION / weight.sum()


@pytest.mark.parametrize(
    ("report", "lawful"),
    [
        ({"PEINUSYR": 7}, True),
        ({"PEINUSYR": 8}, False),
        ({"MCARE": 1}, True),
        ({"PEN_SC1": 2}, True),
        ({"PEN_SC2": 3}, True),
        ({"PEN_SC1": 1}, False),
        ({"RESNSS1": 2}, True),
        ({"RESNSS2": 1}, False),
        ({"IHSFLG": 1}, True),
        ({"CAID": 1}, True),
        ({"CAID": 2}, False),
        ({"CHAMPVA": 1}, True),
        ({"MIL": 1}, True),
        ({"PEIO1COW": 3}, True),
        ({"PEIO1COW": 4}, False),
        ({"SS_YN": 1}, True),
        ({"SS_VAL": 1}, True),
        ({"SPM_CAPHOUSESUB": 100}, True),
        ({"PEAFEVER": 1}, True),
        ({"PEAFEVER": 2}, False),
        ({"A_MJOCC": 11}, True),
        ({"P_STAT": 2}, True),
        ({"SSI_YN": 1}, True),
        ({"SSI_VAL": 1}, True),
        ({"SSI_YN": 2}, False),
    ],
)
def test_what_only_lawful_residents_have_makes_lawful(report: dict[str, int], lawful: bool) -> None:
    crowd, weight = population(400, noncitizens=0.02)
    person = pd.concat([crowd, persons({"PRCITSHP": 5, "PEINUSYR": 20, "PH_SEQ": 9000} | report)], ignore_index=True)
    last = classified(person.fillna(0), np.append(weight, 1.0)).iloc[-1]
    # Few non-citizens: those without a sign of lawful residence are undocumented to the last.
    assert last["immigration_status_str"] == ("LEGAL_PERMANENT_RESIDENT" if lawful else "UNDOCUMENTED")
    assert last["ssn_card_type"] == ("NON_CITIZEN_VALID_EAD" if lawful else "NONE")


def test_controls_are_met_within_one_persons_weight() -> None:
    person, weight = population()
    found = classified(person, weight)
    undocumented = found["immigration_status_str"] == "UNDOCUMENTED"
    one = weight.max()
    assert abs(weight[undocumented].sum() - 13e6) <= one
    assert abs(weight[undocumented & (found["WSAL_VAL"] > 0)].sum() - 8.3e6) <= one
    assert abs(weight[undocumented & (found["A_HSCOL"] == 2)].sum() - 0.399e6) <= one
    assert abs(weight[found["immigration_status_str"] == "DACA"].sum() - 0.538e6) <= one
    # Nobody who reports Medicaid, and no citizen, is among them.
    assert not (undocumented & ((found["CAID"] == 1) | (found["PRCITSHP"] != 5))).any()
    assert ((found["ssn_card_type"] == "NONE") == undocumented).all()


def test_controls_follow_the_weighted_size_of_the_file() -> None:
    person, weight = population()
    found = classified(person, weight / 100)
    undocumented = found["immigration_status_str"] == "UNDOCUMENTED"
    assert abs(weight[undocumented].sum() / 100 - 13e4) <= weight.max() / 100
    assert control("undocumented", weight) == pytest.approx(13e6)


def test_total_comes_before_workers_where_too_few_do_not_work() -> None:
    person, weight = population()
    found = classified(person.assign(WSAL_VAL=1), weight)
    undocumented = found["immigration_status_str"] == "UNDOCUMENTED"
    assert abs(weight[undocumented].sum() - 13e6) <= weight.max()
    assert weight[undocumented & (found["WSAL_VAL"] > 0)].sum() > 8.3e6 + weight.max()


def test_pool_that_is_too_small_is_undocumented_as_a_whole() -> None:
    person, weight = population(noncitizens=0.03)
    found = classified(person.assign(PEINUSYR=lambda t: np.where(t["PRCITSHP"] == 5, 25, 0)), weight)
    pool = (found["PRCITSHP"] == 5) & (found["CAID"] != 1) & (found["SS_VAL"] == 0)
    assert (found.loc[pool, "immigration_status_str"] == "UNDOCUMENTED").all()
    assert weight[pool].sum() < 13e6


def test_same_persons_in_any_order_have_the_same_status() -> None:
    person, weight = population(1500)
    first = classified(person, weight)
    order = np.random.default_rng(5).permutation(len(person))
    # Weights go with the persons once these are in order, so that only rows are shuffled.
    second = classified(person.iloc[order].reset_index(drop=True), weight)
    pd.testing.assert_frame_equal(first, second)
    other = classified(person, weight, seed=2)
    assert (other["immigration_status_str"] != first["immigration_status_str"]).any()


def test_lawful_family_goes_last() -> None:
    pair = persons(
        {"PRCITSHP": 5, "A_MARITL": 1, "A_SPOUSE": 2, "PEINUSYR": 25},
        {"PRCITSHP": 5, "A_MARITL": 1, "A_SPOUSE": 1, "A_EXPRRP": 4, "PEINUSYR": 25, "SS_VAL": 1},
    )
    person = pair.loc[[0, 1] * 400].reset_index(drop=True)
    number = np.repeat(np.arange(1, 401), 2)
    citizen_wife = (number % 2 == 0) & (person["A_LINENO"] == 2)
    person = person.assign(PH_SEQ=number, SPM_ID=number, PRDTRACE=1, INT_VAL=5, PRCITSHP=np.where(citizen_wife, 1, 5))
    person = person.assign(WSAL_VAL=np.where(person["A_LINENO"] == 1, 1, 0), SS_VAL=np.where(citizen_wife, 1, 0))
    found = classified(person)
    undocumented = found["immigration_status_str"] == "UNDOCUMENTED"
    married_to_citizens = (found["PRCITSHP"] == 5) & (found["PH_SEQ"] % 2 == 0)
    assert undocumented.any()
    assert not (undocumented & married_to_citizens).any()


def test_spouses_share_a_status_wherever_numbers_allow() -> None:
    pair = persons(
        {"PRCITSHP": 5, "A_MARITL": 1, "A_SPOUSE": 2, "PEINUSYR": 25},
        {"PRCITSHP": 5, "A_MARITL": 1, "A_SPOUSE": 1, "A_EXPRRP": 4, "PEINUSYR": 25},
    )
    person = pd.concat([pair.assign(PH_SEQ=k, SPM_ID=k) for k in range(1, 91)], ignore_index=True)
    person = person.assign(PRDTRACE=1)
    found = classified(person)
    undocumented = (found["immigration_status_str"] == "UNDOCUMENTED").to_numpy().reshape(-1, 2)
    assert undocumented.any()
    assert not undocumented.all()
    assert (undocumented[:, 0] != undocumented[:, 1]).sum() <= 1


def test_entrants_refugees_daca_and_cards() -> None:
    crowd, weight = population(3000)
    extra = persons(
        {"PENATVTY": 327, "PEINUSYR": 20, "CAID": 1},  # a Cuban with Medicaid
        {"PEINUSYR": 28, "CAID": 1},  # two years here, with Medicaid
        {"PEINUSYR": 20, "CAID": 1},  # long here, with Medicaid
    ).assign(PRCITSHP=5, PH_SEQ=[9001, 9002, 9003], A_EXPRRP=1, SPM_ID=[9001, 9002, 9003])
    found = classified(pd.concat([crowd, extra], ignore_index=True).fillna(0), np.append(weight, [1.0] * 3))
    assert found["immigration_status_str"].tolist()[-3:] == [
        "CUBAN_HAITIAN_ENTRANT",
        "REFUGEE",
        "LEGAL_PERMANENT_RESIDENT",
    ]
    assert found["ssn_card_type"].tolist()[-3:] == ["NON_CITIZEN_VALID_EAD"] * 3
    daca = found[found["immigration_status_str"] == "DACA"]
    assert (daca["PEINUSYR"] <= 20).all()  # 2006-2007 at the latest
    assert (2025 - daca["A_AGE"] > 1981).all()
    temporary = found[found["immigration_status_str"] == "TPS"]
    idle = (temporary["WSAL_VAL"] == 0) & (temporary["A_HSCOL"] != 2)
    assert ((temporary["ssn_card_type"] == "OTHER_NON_CITIZEN") == idle).all()
    assert idle.any()


@pytest.mark.parametrize(
    ("code", "year", "middle"),
    [(1, 2025, 1944.5), (7, 2025, 1980.5), (26, 2020, 2019), (26, 2025, 2018.5), (29, 2025, 2024.5)],
)
def test_arrival_is_the_middle_of_the_period(code: int, year: int, middle: float) -> None:
    assert arrival_years(persons({"PEINUSYR": code}), year)[0] == middle


def test_years_since_entry_never_exceed_the_age() -> None:
    person = persons(
        {"PEINUSYR": 8, "A_AGE": 30, "PENATVTY": 303},
        {"PEINUSYR": 28, "A_AGE": 30, "PENATVTY": 303},
        {"PEINUSYR": 0, "A_AGE": 12, "PENATVTY": 57},
        {"PEINUSYR": 10, "A_AGE": 50, "PENATVTY": 66, "PRCITSHP": 2},
    )
    found = classified(person.fillna(1))
    assert found["years_since_us_entry"].tolist() == [30.0, 2.5, 12.0, 38.5]
    # Guam is part of the country.
    assert found["is_born_outside_us"].tolist() == [True, True, False, False]
    by_citizenship = classified(persons({"PRCITSHP": 4}, {"PRCITSHP": 2}, {"PRCITSHP": 1}))
    assert by_citizenship["is_born_outside_us"].tolist() == [True, False, False]


def test_every_line_of_data_names_its_source() -> None:
    for table in ("legality_conditions", "immigration_controls", "arrival_periods"):
        assert all(row["source"] and row["year"] for row in read_rows(table))
    assert {row["condition"] for row in read_rows("legality_conditions")} == {str(k) for k in range(1, 15)}


def test_real_persons(shared_data: Path) -> None:
    person = sample(shared_data)
    weight = person["MARSUPWT"].to_numpy(dtype=np.float64)
    found = classified(person, weight, year=2020)
    noncitizen = found["PRCITSHP"] == 5
    assert noncitizen.sum() == 17
    assert (found.loc[~noncitizen, "immigration_status_str"] == "CITIZEN").all()
    assert set(found["immigration_status_str"]) <= set(IMMIGRATION_STATUSES)
    assert set(found["ssn_card_type"]) <= set(CARD_TYPES)
    # Maine: the non-citizens weigh 15,777 where the nation's share would be 46,000, so all of the pool are undocumented
    # but those who came as children by 2007.
    lawful = found.loc[noncitizen, "immigration_status_str"].isin(["LEGAL_PERMANENT_RESIDENT", "REFUGEE"])
    signs = (
        (found[["CAID", "MCARE", "SS_YN"]] == 1).any(axis=1)
        | found["PEIO1COW"].isin((1, 2, 3))
        | found["PEINUSYR"].between(1, 7)
    )
    assert (lawful >= signs[noncitizen]).all()
    assert not (found["immigration_status_str"].isin(["TPS"])).any()
    assert found["is_born_outside_us"].sum() == 74
