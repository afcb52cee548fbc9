"""Incomes: real persons by hand, sums that lose nothing, payers apart, splits, refusals, use in the engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.microdata.expenses import expenses
from tessera.microdata.income import (
    COLUMNS,
    EXEMPT_PENSION_PARTS,
    KINDS,
    SOCIAL_SECURITY_PARTS,
    TAXABLE_PENSION_PARTS,
    income,
    social_security,
)
from tessera.microdata.income_sources import QUESTIONS, all_kinds, amounts_by_kind, kinds_of
from tessera.microdata.retirement import contributions

from .support import persons, sample

# What the engine reads for subtractions only, part of other columns.
OF_WHICH = ("taxable_federal_pension_income", "pension_survivors", "tax_exempt_disability_benefits")
MAY_BE_NEGATIVE = {"self_employment_income_before_lsr", "farm_operations_income", "rental_income"}


def private(amount: float) -> dict[str, float]:
    return {"taxable_private_pension_income": amount * 0.5845, "tax_exempt_private_pension_income": amount * 0.4155}


def public(amount: float) -> dict[str, float]:
    return {"taxable_public_pension_income": amount * 0.5845, "tax_exempt_public_pension_income": amount * 0.4155}


def interest(amount: float) -> dict[str, float]:
    return {"taxable_interest_income": amount * 0.826, "tax_exempt_interest_income": amount * 0.174}


def dividends(amount: float) -> dict[str, float]:
    return {"qualified_dividend_income": amount * 0.6665, "non_qualified_dividend_income": amount * 0.3335}


WAGES, RETIRED = "employment_income_before_lsr", "social_security_retirement"
# Household and line -> every input that is not zero, read by hand from the real file.
REAL: dict[tuple[int, int], dict[str, float]] = {
    # The 2 dollars of interest are inside accounts; a company's pension and a military one; a Roth IRA.
    (72, 2): {
        **dividends(3500),
        RETIRED: 19200,
        **private(3231),
        "military_retirement_pay": 5256,
        "tax_exempt_ira_distributions": 1800,
    },
    # 10,000 of 10,155 dollars of interest are inside accounts; two distributions, Roth and regular.
    (72, 1): {
        **interest(155),
        **dividends(1000),
        RETIRED: 1700,
        "tax_exempt_ira_distributions": 9783,
        "taxable_ira_distributions": 10000,
    },
    (82, 2): {**interest(1), RETIRED: 10800, **private(4776), "military_retirement_pay": 1000},
    (260, 1): {
        WAGES: 100,
        **interest(25),
        RETIRED: 16200,
        **public(5760),
        "taxable_federal_pension_income": 5760 * 0.5845,
    },
    # Military and railroad.
    (189, 2): {
        **interest(479),
        RETIRED: 19308,
        "military_retirement_pay": 14736,
        **private(27120),
        "veterans_benefits": 400,
        "taxable_401k_distributions": 5000,
    },
    # An account of another type is taxed whole.
    (346, 1): {
        **interest(1),
        RETIRED: 3426,
        "military_retirement_pay": 40000,
        "taxable_private_pension_income": 4800,
    },
    (416, 1): {RETIRED: 15000, **private(16800), "veterans_benefits": 34000},
    # A state's pension and a federal survivor's.
    (333, 1): {
        **interest(2),
        **dividends(20000),
        RETIRED: 4026,
        **public(36000),
        "taxable_federal_pension_income": 18000 * 0.5845,
        "pension_survivors": 18000 * 0.5845,
    },
    (159, 2): {WAGES: 24000, "survivor_benefits": 20000},
    # A survivor's annuity.
    (1, 2): {
        WAGES: 56000,
        RETIRED: 18700,
        **private(124),
        "pension_survivors": 124 * 0.5845,
        "tax_exempt_ira_distributions": 124,
    },
    # Disability insurance of one's own is not taxed; the military's stands with veterans' benefits.
    (241, 1): {
        WAGES: 24000,
        **interest(20),
        **public(22800),
        "disability_benefits": 3720,
        "tax_exempt_disability_benefits": 3720,
    },
    (23, 1): {"veterans_benefits": 40872},
    (553, 1): {
        **interest(100),
        "social_security_disability": 9600,
        "disability_benefits": 480,
        "veterans_benefits": 7536,
    },
    # 32,000 dollars of workers' compensation, reported under two questions.
    (675, 2): {WAGES: 48000, "workers_compensation": 32000},
    (112, 1): {WAGES: 5300, "alimony_income": 48000},
    # Other income: a private pension; public assistance, which is no input; anything else.
    (508, 1): {**interest(125), RETIRED: 12726, **private(22023)},
    (404, 1): {WAGES: 100032, **interest(2)},
    (305, 1): {
        WAGES: 75200,
        "self_employment_income_before_lsr": 1,
        "farm_operations_income": 1,
        **interest(5),
        "miscellaneous_income": 5000,
    },
    (373, 1): {
        WAGES: 50000,
        **interest(2),
        "rental_income": -7000,
        **private(2000),
        "taxable_ira_distributions": 20000,
    },
    (720, 1): {
        WAGES: 45000,
        **interest(150),
        **dividends(125),
        "long_term_capital_gains_before_response": 211200,
        "short_term_capital_gains": 28800,
        "financial_assistance": 30000,
    },
    # No known reason for Social Security at 71.
    (757, 2): {
        WAGES: 32464,
        **interest(3),
        **dividends(27),
        RETIRED: 17976,
        **public(14416),
        "taxable_sep_distributions": 3250,
    },
}


def real_income(shared_data: Path) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    raw = sample(shared_data)
    return raw, income(raw, raw["A_AGE"].to_numpy(dtype=float))


@pytest.mark.parametrize(("sequence", "line"), sorted(REAL))
def test_real_persons_by_hand(shared_data: Path, sequence: int, line: int) -> None:
    raw, columns = real_income(shared_data)
    row = int(np.flatnonzero((raw["PH_SEQ"] == sequence) & (raw["A_LINENO"] == line))[0])
    found = {name: float(values[row]) for name, values in columns.items() if values[row] != 0}
    assert found == pytest.approx(REAL[sequence, line], rel=1e-12)


def test_no_dollar_of_the_real_file_is_lost_or_counted_twice(shared_data: Path) -> None:
    raw, columns = real_income(shared_data)
    parts = np.sum([values for name, values in columns.items() if name not in OF_WHICH], axis=0)
    early = raw["DST_VAL1_YNG"] + raw["DST_VAL2_YNG"]  # under 58: paid out, but not in the survey's income
    within = raw["RINT_VAL1"] + raw["RINT_VAL2"]
    anchors = raw["SSI_VAL"] + raw["PAW_VAL"] + raw["OI_VAL"].where(raw["OI_OFF"].isin((3, 4)), 0)
    twice = np.where(raw["DIS_SC1"] == 1, np.minimum(raw["DIS_VAL1"], raw["WC_VAL"]), 0)
    whole = raw["PEARNVAL"] + raw["POTHVAL"] + raw["CAP_VAL"] + early - within - anchors - twice
    np.testing.assert_allclose(parts, whole.to_numpy(dtype=float), rtol=1e-12, atol=1e-6)
    assert twice.sum() == 32000


def test_of_which_columns_are_parts_of_others(shared_data: Path) -> None:
    _, columns = real_income(shared_data)
    assert (columns["taxable_federal_pension_income"] <= columns["taxable_public_pension_income"]).all()
    taxable = columns["taxable_public_pension_income"] + columns["taxable_private_pension_income"]
    assert (columns["pension_survivors"] <= taxable).all()
    assert (columns["tax_exempt_disability_benefits"] <= columns["disability_benefits"]).all()
    assert all(columns[name].any() for name in OF_WHICH)


def test_only_business_and_rent_can_be_negative(shared_data: Path) -> None:
    _, columns = real_income(shared_data)
    negative = {name for name, values in columns.items() if (values < 0).any()}
    assert negative <= MAY_BE_NEGATIVE
    assert "rental_income" in negative


def test_every_code_of_the_survey_has_its_way() -> None:
    """The table names each code once, and each kind ends in an input."""
    for question in QUESTIONS:
        codes = list(kinds_of(question.name))
        assert codes == list(range(1, len(codes) + 1)), question.name
        assert question.usual in all_kinds()
    assert {question.name: len(kinds_of(question.name)) for question in QUESTIONS} == {
        "pension": 8, "survivor": 10, "disability": 10, "distribution": 7, "other": 20,
    }  # fmt: skip
    used = {*COLUMNS, *KINDS}
    pools = {
        "private_pension", "public_pension", "federal_pension", "private_survivor", "public_survivor",
        "federal_survivor", "taxable_disability", "exempt_disability", "workers_compensation_again", "other_account",
        "social_security", "public_assistance", "interest", "dividends", "not_income",
    }  # fmt: skip
    assert set(all_kinds()) <= used | pools
    assert set(KINDS) <= set(all_kinds())


@pytest.mark.parametrize(
    ("code", "name", "part"),
    [
        (1, "social_security_retirement", 1.0),
        (2, "taxable_private_pension_income", 0.5845),
        (5, "taxable_interest_income", 0.826),
        (6, "qualified_dividend_income", 0.6665),
        (7, "rental_income", 1.0),
        (8, "estate_income", 1.0),
        (9, "tax_exempt_disability_benefits", 1.0),
        (11, "unemployment_compensation", 1.0),
        (12, "strike_benefits", 1.0),
        (13, "taxable_private_pension_income", 0.5845),
        (16, WAGES, 1.0),
        (17, "self_employment_income_before_lsr", 1.0),
        (18, "farm_operations_income", 1.0),
        (19, "miscellaneous_income", 1.0),
        (20, "alimony_income", 1.0),
        (99, "miscellaneous_income", 1.0),
    ],
)
def test_other_income_goes_where_its_source_says(code: int, name: str, part: float) -> None:
    columns = income(persons({"OI_OFF": code, "OI_VAL": 1000}), np.array([70.0]))
    assert columns[name][0] == pytest.approx(1000 * part)
    assert sum(values[0] for key, values in columns.items() if key not in OF_WHICH) == pytest.approx(1000)


def test_what_is_called_no_income_and_assistance_are_no_income() -> None:
    columns = income(
        persons({"OI_OFF": 14, "OI_VAL": 1000}, {"OI_OFF": 3, "OI_VAL": 700}, {"PAW_VAL": 50, "SSI_VAL": 60}),
        np.full(3, 40.0),
    )
    assert sum(values.sum() for values in columns.values()) == 0


def test_totals_without_parts_go_with_the_first_payer() -> None:
    person = persons({"PNSN_VAL": 100, "PEN_SC1": 4}, {"PNSN_VAL": 100}, {"PNSN_VAL": 100, "PEN_SC1": 3}).fillna(0)
    person = person.assign(PEN_VAL1=[60, 0, 0], SRVS_VAL=[0, 30, 0])
    columns = income(person, np.full(3, 70.0))
    np.testing.assert_allclose(columns["taxable_public_pension_income"], [58.45, 0, 0])
    np.testing.assert_allclose(columns["taxable_private_pension_income"], [0, 58.45, 0])
    np.testing.assert_allclose(columns["military_retirement_pay"], [0, 0, 100])
    np.testing.assert_allclose(columns["survivor_benefits"], [0, 30, 0])


def test_workers_compensation_counts_once_whichever_question_it_is_reported_under() -> None:
    person = persons({}, {}, {}).assign(WC_VAL=[500, 0, 300], DIS_SC1=1, DIS_VAL1=[0, 400, 700])
    np.testing.assert_array_equal(income(person, np.full(3, 50.0))["workers_compensation"], [500, 400, 700])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"PNSN_VAL": 10, "PEN_VAL1": 8, "PEN_VAL2": 8}, r"PEN_VAL1 \+ PEN_VAL2 is 16, more than PNSN_VAL 10"),
        ({"INT_VAL": 5, "RINT_VAL1": 6}, "RINT_VAL1 .* more than INT_VAL 5"),
        ({"SRVS_VAL": 0, "SUR_VAL2": 1}, "SUR_VAL1 .* more than SRVS_VAL 0"),
    ],
)
def test_parts_above_their_total_are_refused(row: dict[str, object], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        income(persons({}, row).fillna(0), np.array([50.0, 50.0]))


@pytest.mark.parametrize("column", ["WSAL_VAL", "SS_VAL", "DST_VAL2_YNG", "OI_VAL", "RINT_VAL1", "PAW_VAL"])
def test_amounts_that_cannot_be_losses_are_refused_below_zero(column: str) -> None:
    person = persons({}, {column: -3}).fillna(0)
    with pytest.raises(SourceError, match=rf"row 1 \(PH_SEQ 1, line 2\): {column} is -3 .* wanted 0 or more"):
        income(person, np.array([50.0, 50.0]))
    with pytest.raises(SourceError, match="PHIP_VAL is -1"):
        expenses(person.assign(PHIP_VAL=[0, -1]), np.array([50.0, 50.0]))
    with pytest.raises(SourceError, match="RETCB_VAL is -1"):
        contributions(person.assign(RETCB_VAL=[0, -1]), np.array([50.0, 50.0]), 2024)


def test_businesses_farms_and_rents_may_lose() -> None:
    columns = income(persons({"SEMP_VAL": -1, "FRSE_VAL": -2, "RNT_VAL": -3}), np.array([50.0]))
    assert {name: values[0] for name, values in columns.items() if values[0]} == {
        "self_employment_income_before_lsr": -1, "farm_operations_income": -2, "rental_income": -3,
    }  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_amounts_of_any_codes_are_kept(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 6))
    amounts = st.lists(st.integers(0, 10**7), min_size=n, max_size=n)
    codes = st.lists(st.integers(-1, 25), min_size=n, max_size=n)
    person = pd.DataFrame({"PH_SEQ": range(n), "A_LINENO": 1})
    whole = np.zeros(n)
    for question in QUESTIONS:
        values = [data.draw(amounts) for _ in question.parts]
        for (payer, amount), value in zip(question.parts, values, strict=True):
            person[payer], person[amount] = data.draw(codes), value
        total = np.sum(values, axis=0)
        if question.total:
            total = total + np.array(data.draw(amounts))
            person[question.total] = total
        whole += total
    found = amounts_by_kind(person)
    np.testing.assert_array_equal(np.sum(list(found.values()), axis=0), whole)
    assert all((values >= 0).all() for values in found.values())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2, st.integers(0, 60000), st.integers(0, 99)), min_size=1, max_size=8))
def test_social_security_has_one_kind_and_its_whole_amount(rows: list[tuple[int, int, int, int]]) -> None:
    person = pd.DataFrame(rows, columns=["RESNSS1", "RESNSS2", "SS_VAL", "A_AGE"])
    parts = social_security(person, person["A_AGE"].to_numpy(dtype=float))
    table = np.stack([parts[name] for name in SOCIAL_SECURITY_PARTS])
    np.testing.assert_array_equal(table.sum(axis=0), person["SS_VAL"])
    assert ((table > 0).sum(axis=0) <= 1).all()


# What 10,000 dollars of each input are to the federal income tax.
TAXED = {
    "employment_income_before_lsr", "self_employment_income_before_lsr", "farm_operations_income", "rental_income",
    "unemployment_compensation", "miscellaneous_income", "estate_income", "disability_benefits",
    "taxable_interest_income", "qualified_dividend_income", "non_qualified_dividend_income",
    "long_term_capital_gains_before_response", "short_term_capital_gains", "taxable_ira_distributions",
    "taxable_sep_distributions", "alimony_income", *TAXABLE_PENSION_PARTS,
}  # fmt: skip


@pytest.mark.engine
def test_the_engine_taxes_each_input_once() -> None:
    from policyengine_us import Simulation

    names = sorted(set(income(persons({}), np.array([40.0]))) - set(SOCIAL_SECURITY_PARTS))
    amount = 10_000.0
    situation: dict[str, dict[str, dict[str, object]]] = {
        entity: {} for entity in ("people", "tax_units", "households")
    }
    for name in ("nothing", *names):
        given_amount = {} if name == "nothing" else {name: {"2024": amount}}
        situation["people"][name] = {"age": {"2024": 40}, "divorce_year": {"2024": 2000}, **given_amount}
        situation["tax_units"][name] = {"members": [name]}
        situation["households"][name] = {"members": [name], "state_fips": {"2024": 48}}
    gross = np.asarray(Simulation(situation=situation).calculate("irs_gross_income", 2024))
    found = {name: float(value) for name, value in zip(names, gross[1:], strict=True)}
    assert gross[0] == 0
    wanted = {name: amount if name in TAXED else 0.0 for name in names}
    assert found == pytest.approx(wanted)
    # Untaxed parts of pensions and of-which columns give nothing.
    assert not {*EXEMPT_PENSION_PARTS, *OF_WHICH} & TAXED
