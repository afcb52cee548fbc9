"""Codes of the tax file to engine inputs: every variable of the list, signs, and what a code leaves out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.datafile import read_rows
from tessera.microdata.puf_amounts import (
    AMOUNTS,
    expenses_of,
    investment_interest_share,
    map_amounts,
    required_codes,
)
from tessera.microdata.puf_business import with_business
from tessera.microdata.puf_persons import allocate, expand
from tessera.microdata.tax_variables import tax_variables
from tessera.sources.columns import columns_of

from .support import tax_file

CODES = sorted({code for plus, minus in AMOUNTS.values() for code in (*plus, *minus)})


def returns(**values: float) -> pd.DataFrame:
    """One return with every code at zero but those given."""
    return pd.DataFrame([{**dict.fromkeys([*CODES, "E00100"], 0.0), **values}])


def mapped(name: str, **values: float) -> float:
    return float(map_amounts(returns(**values))[name].iloc[0])


def test_every_code_is_in_the_catalogue() -> None:
    known = {column.name: column for column in columns_of("irs_puf", "return")}
    assert set(CODES) <= set(known)
    assert all(known[code].unit == "dollars a year" and known[code].meaning for code in CODES)


def test_every_variable_of_the_list_is_made() -> None:
    table = tax_file(40, aggregates=False).table
    demographics = dict.fromkeys(("AGERANGE", "GENDER", "EARNSPLIT", "AGEDP1", "AGEDP2", "AGEDP3"), 1)
    table = table.assign(**demographics)
    persons = expand(table, seed=1)
    made = with_business(allocate(map_amounts(table), table, persons, seed=1), persons, seed=1)
    assert set(made) == {variable.name for variable in tax_variables()}
    assert all(value.dtype == np.float64 and value.shape == persons.unit.shape for value in made.values())


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("partnership_income", {"E25940": 5, "E25980": 70, "E25920": 2, "E25960": 10}, 63),
        ("s_corp_income", {"E26170": 5, "E26190": 70, "E26160": 2, "E26180": 10}, 63),
        ("passive_partnership_s_corp_income", {"E25940": 5, "E25980": 70, "E26170": 4, "E25920": 2, "E26160": 1}, 6),
        ("non_qualified_dividend_income", {"E00600": 100, "E00650": 80}, 20),
        ("tax_exempt_private_pension_income", {"E01500": 100, "E01700": 60}, 40),
        ("rental_income", {"E25850": 0, "E25860": 30}, -30),
        ("estate_income", {"E26390": 9, "E26400": 4}, 5),
        ("other_net_gain", {"E01200": -7}, -7),
        ("long_term_capital_gains_on_collectibles", {"E24518": 4}, 4),
        ("health_savings_account_ald", {"E03290": 3}, 3),
        # The penalty on savings and that on retirement plans are two lines of the form and two inputs.
        ("early_withdrawal_penalty", {"E03400": 3, "E09900": 9}, 3),
        ("qualified_retirement_penalty", {"E03400": 3, "E09900": 9}, 9),
        ("excess_payroll_tax_withheld", {"E11200": 11}, 11),
        ("casualty_loss", {"E20500": 0, "E00100": 1000}, 0),
        ("casualty_loss", {"E20500": 50, "E00100": 1000}, 150),
        ("casualty_loss", {"E20500": 50, "E00100": -1000}, 50),
        ("casualty_loss", {"E20500": 50, "E00100": 1000, "COPY": 1}, 50),
        ("qualified_tuition_expenses", {"E03230": 100, "E87530": 20, "E87521": 2500}, 4120),
    ],
)
def test_signs_and_sums(name: str, values: dict[str, float], expected: float) -> None:
    assert mapped(name, **values) == pytest.approx(expected)


def test_tuition_behind_the_american_opportunity_credit() -> None:
    credit = np.array([0.0, 500.0, 2000.0, 2100.0, 2500.0, 4500.0, 5000.0])
    assert expenses_of(credit).tolist() == [0.0, 500.0, 2000.0, 2400.0, 4000.0, 6000.0, 8000.0]
    # And back: the credit of these expenses, student by student.
    expenses = expenses_of(credit)
    students = np.floor(credit / 2500)
    rest = expenses - students * 4000
    np.testing.assert_allclose(students * 2500 + np.minimum(rest, 2000) + 0.25 * np.maximum(rest - 2000, 0), credit)


def test_interest_is_split_and_none_is_lost() -> None:
    for income in (-5e4, 3e4, 1.5e5, 3e6, 5e7):
        table = map_amounts(returns(E19200=1000, E00100=income))
        parts = table["home_mortgage_interest"] + table["investment_interest_expense"]
        assert parts.iloc[0] == pytest.approx(1000)
    share = investment_interest_share(np.array([-1e6, 4e4, 3e5, 3e6, 2e7]))
    assert (np.diff(share[1:]) > 0).all()
    assert share[-1] > 0.9
    assert share[1] < 0.01
    assert all(0 <= float(row["investment"]) <= float(row["total"]) for row in read_rows("interest_shares"))


def test_partners_net_earnings() -> None:
    name = "partnership_self_employment_net_earnings"
    # 20,000 of Schedule C and 30,000 of a partnership: Schedule SE has 92.35 % of 50,000.
    assert mapped(name, E30400=46_175, E00900=20_000, E25980=30_000) == pytest.approx(30_000)
    # Both spouses; a farm's loss is in the sum.
    assert mapped(name, E30400=46_175, E30500=9_235, E02100=-5_000, E25980=90_000) == pytest.approx(65_000)
    # Nothing without a K-1 net: Schedule SE is then that of Schedules C and F.
    assert mapped(name, E30400=46_175, E00900=20_000) == 0
    assert mapped(name, E30400=46_175, E25980=10, E25960=10) == 0
    # Any K-1 net will do, and a loss does too.
    assert mapped(name, E30400=46_175, E26160=1) == pytest.approx(50_000)
    # No Schedule SE, no net earnings: a loss of Schedule C is no partner's gain.
    assert mapped(name, E00900=-5_000, E25980=30_000) == 0
    # Rounding of whole-dollar forms is no income.
    assert mapped(name, E30400=18_470, E00900=20_002, E25980=30_000) == 0


def test_absent_optional_codes_count_as_zero_and_required_ones_are_named() -> None:
    full = returns(E00200=5.0)
    optional = [code for code in CODES if code not in required_codes()]
    pd.testing.assert_frame_equal(map_amounts(full.drop(columns=optional)), map_amounts(full))
    for code in ("E19200", "E00100", "P23250"):
        with pytest.raises(SourceError, match=code):
            map_amounts(full.drop(columns=code))


def test_list_of_variables_is_of_the_kinds_that_it_says() -> None:
    names = [variable.name for variable in tax_variables()]
    assert len(names) == len(set(names)) == 65
    assert {variable.entity for variable in tax_variables()} == {"person", "tax_unit"}
    assert {variable.kind for variable in tax_variables()} == {"amount", "flag"}
    assert all(variable.entity == "person" for variable in tax_variables() if variable.kind == "flag")
    # Suspended or repealed by 2024, or computed by the engine: not stored.
    assert not {"domestic_production_ald", "farm_income", "pre_tax_contributions", "real_estate_taxes"} & set(names)
