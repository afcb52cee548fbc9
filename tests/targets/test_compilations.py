"""Figures against compilations of the same publications that others made: both read the same cells."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from tessera.geography.areas import states
from tessera.targets.loaders import aca_marketplace, soi_states, soi_table_1_4

# Name in the compilation -> engine variable, for table 1.4.
NAMES = {
    "employment_income": "irs_employment_income",
    "taxable_interest_income": "taxable_interest_income",
    "exempt_interest": "tax_exempt_interest_income",
    "ordinary_dividends": "ordinary_dividend_income",
    "qualified_dividends": "qualified_dividend_income",
    "taxable_pension_income": "taxable_pension_income",
    "taxable_social_security": "taxable_social_security",
    "total_social_security": "social_security",
    "unemployment_compensation": "unemployment_compensation",
    "qualified_business_income_deduction": "qualified_business_income_deduction",
}
_FILER, _AGI = "tax_unit_is_filer", "adjusted_gross_income"


@pytest.fixture(scope="session")
def folder(shared_data: Path) -> Path:
    return shared_data / "official"


@pytest.fixture(scope="session")
def of_states(folder: Path) -> pd.DataFrame:
    return soi_states.load(folder / "irs_soi/historic_table_2/22in55cmcsv.csv")


def _domain(text: str) -> tuple[float, float, tuple[str, ...]]:
    """Bounds of AGI and the other conditions of a figure, without that of filing."""
    lower, upper, others = -math.inf, math.inf, []
    for variable, operation, value in json.loads(text):
        if variable == _AGI and operation == ">=":
            lower = value
        elif variable == _AGI and operation == "<":
            upper = value
        elif variable != _FILER:
            others.append(f"{variable} {operation} {value}")
    return lower, upper, tuple(others)


def test_table_1_4_has_the_cells_of_the_compilation(folder: Path) -> None:
    figures = soi_table_1_4.load(folder / "irs_soi/table_1_4/23in14ar.xls")
    ours: dict[tuple[str, bool, float, float], float] = {}
    for row in figures.to_dict("records"):
        lower, upper, others = _domain(row["constraints"])
        for name, variable in NAMES.items():
            if row["variable"] == variable and not others:
                ours[name, False, lower, upper] = row["value"]
            elif row["variable"] == "tax_unit_count" and others == (f"{variable} > 0",):
                ours[name, True, lower, upper] = row["value"]
    table = pd.read_csv(folder / "soi_targets.csv")
    chosen = table[(table["Year"] == 2023) & (table["SOI table"] == "Table 1.4") & table["Variable"].isin(NAMES)]
    chosen = chosen[~chosen["Taxable only"]]
    theirs = {
        # The compilation ends the class without AGI at zero, where the table says "no adjusted gross income".
        (str(name), bool(count), float(lower), 1.0 if upper == 0 else float(upper)): float(value)
        for name, count, lower, upper, value in zip(
            chosen["Variable"], chosen["Count"], chosen["AGI lower bound"], chosen["AGI upper bound"], chosen["Value"],
            strict=True,
        )
    }  # fmt: skip
    common = ours.keys() & theirs.keys()
    assert len(common) > 0.95 * len(ours) > 300
    assert {key: ours[key] for key in common} == {key: theirs[key] for key in common}


def test_agi_by_state_and_class_has_the_cells_of_the_compilation(folder: Path, of_states: pd.DataFrame) -> None:
    table = pd.read_csv(folder / "agi_state.csv")
    theirs = {
        (str(place), bool(count), float(lower), float(upper)): float(value)
        for place, lower, upper, value, count in zip(
            table["GEO_NAME"], table["AGI_LOWER_BOUND"], table["AGI_UPPER_BOUND"], table["VALUE"], table["IS_COUNT"],
            strict=True,
        )
    }  # fmt: skip
    ours: dict[tuple[str, bool, float, float], float] = {}
    for row in of_states.to_dict("records"):
        lower, upper, others = _domain(row["constraints"])
        if row["variable"] in ("tax_unit_count", _AGI) and not others and (lower, upper) != (-math.inf, math.inf):
            ours[row["geo_id"], row["variable"] == "tax_unit_count", lower, upper] = row["raw_value"]
    assert len(theirs) == 51 * 10 * 2
    assert theirs.keys() >= ours.keys()
    assert len(ours) > 0.95 * len(theirs)
    assert ours == {key: theirs[key] for key in ours}


def test_eitc_by_state_has_the_cells_of_the_compilation(folder: Path, of_states: pd.DataFrame) -> None:
    theirs = pd.read_csv(folder / "eitc_state.csv", comment="#").set_index("GEO_ID")
    filers = of_states[of_states["constraints"] == '[["tax_unit_is_filer","==",1]]']
    amounts = filers[filers["variable"] == "eitc"].set_index("geo_id")["raw_value"]
    returns = of_states[
        (of_states["variable"] == "tax_unit_count")
        & (of_states["constraints"] == '[["eitc",">",0],["tax_unit_is_filer","==",1]]')
    ].set_index("geo_id")["raw_value"]
    assert len(theirs) == 51
    for state in states():
        published = theirs.loc[f"0400000US{state.fips:02d}"]
        assert (returns[state.usps], amounts[state.usps]) == (published["Returns"], published["Amount"]), state


def test_average_marketplace_credits_are_those_of_the_compilation(folder: Path) -> None:
    figures = aca_marketplace.load(folder / "cms_aca/oep_state_level/2024-oep-state-level-public-use-file.zip")
    with_credit = figures[figures["constraints"] == '[["person_receives_aca","==",1]]']
    credit = with_credit[with_credit["variable"] == "aca_ptc"].set_index("geo_id")["value"]
    persons = figures[
        (figures["variable"] == "person_count")
        & (figures["constraints"] == '[["aca_ptc",">",0],["person_receives_aca","==",1]]')
    ].set_index("geo_id")["value"]
    theirs = pd.read_csv(folder / "aca_ptc_multipliers_2022_2024.csv").set_index("state")["aptc_2024"]
    assert len(theirs) == 51
    for state in states():
        assert credit[state.usps] / persons[state.usps] / 12 == theirs[state.name], state
