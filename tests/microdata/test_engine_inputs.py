"""The finished frame against the rules engine: every column is an input that it takes, and reaches what it should.

Loads the engine once. The second half asks, for every amount of the tax file, whether a change of it changes what the
engine computes: a variable that is drawn and calibrated but read by no rule would go unnoticed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import AreaDataset, write_area
from tessera.frame import ENTITIES, Frame
from tessera.microdata.cps import build_cps
from tessera.microdata.donors import impute_donors
from tessera.microdata.extend import extend
from tessera.microdata.puf import build_puf
from tessera.microdata.stratify import stratify
from tessera.microdata.tax_variables import tax_variables
from tessera.microdata.totals import SOCIAL_SECURITY
from tessera.rules.takeup import published_rates, takeup_probabilities
from tessera.sources import cps_asec, irs_puf
from tessera.sources.synthetic import cps_asec as write_cps
from tessera.sources.synthetic import irs_puf as write_puf
from tests import builders

from .support import donor_files

# The engine's own formulas warn (division by zero under a mask); what it computes is what is tested.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

# Ours: provenance, links, reported benefits that anchor take-up, and the constructor's own reading of the status.
OURS = {
    "household": {"source", "source_household_id"},
    "tax_unit": {"constructed_filing_status"},
    "spm_unit": {"snap_reported", "tanf_reported"},
    "person": {"person_id", *(f"{entity}_id" for entity in ENTITIES)},
}


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Frame:
    folder = tmp_path_factory.mktemp("raw")
    cps = build_cps(cps_asec.read(write_cps.write(folder, households=80, year=2025, seed=1)), seed=1)
    puf = build_puf(irs_puf.read(write_puf.write(folder, returns=150, seed=1)), year=2024, seed=1)
    return impute_donors(stratify(extend(cps, puf, seed=1).frame, 40, seed=1), **donor_files(60), seed=1).frame


def test_columns_are_inputs_of_the_engine(frame: Frame) -> None:
    from policyengine_us.system import system

    variables = system.variables
    checked = set()
    for entity in ENTITIES:
        table = frame.table(entity)
        for name in set(table.columns) - OURS.get(entity, set()):
            where = f"{entity}.{name}"
            assert name in variables, f"{where} is unknown to the engine"
            variable = variables[name]
            assert variable.is_input_variable(), f"{where} has a formula"
            assert variable.entity.key == entity, f"{where} belongs to {variable.entity.key}"
            # A year's flag holds in each of its months; amounts would have to be parted.
            period = variable.definition_period
            assert period in ("year", "eternity") or (period == "month" and variable.value_type is bool), where
            _check_values(table[name], variable, where)
            checked.add(name)
    assert len(checked) > 120
    # None of the tax file's variables is lost on the way but the total, which the engine takes by kind.
    assert {v.name for v in tax_variables()} - checked == {SOCIAL_SECURITY.name}


def _check_values(column: pd.Series, variable, where: str) -> None:  # type: ignore[no-untyped-def]
    kind = variable.value_type
    names = getattr(variable, "possible_values", None)
    if names is not None:
        assert isinstance(column.dtype, pd.CategoricalDtype), where
        assert set(column.cat.categories) <= {item.name for item in names}, where
    elif kind is str:
        assert isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column), where
    elif kind is bool:
        assert column.dtype == bool, f"{where} is {column.dtype}"
    else:
        assert pd.api.types.is_numeric_dtype(column) and column.dtype != bool, f"{where} is {column.dtype}"
        values = column.to_numpy(dtype=np.float64)
        assert np.isfinite(values).all(), where
        if kind is int:
            assert (values == np.rint(values)).all(), f"{where} has fractions"


def assembled(base: Frame) -> AreaDataset:
    """Engine inputs of one clone of each household."""
    placed = builders.place(base, builders.real_place_blocks(20), 1)
    assembler = Assembler(base, placed, takeup_probabilities(base, published_rates(), seed=1))
    return assembler.assemble(np.arange(base.count("household")))


def simulated(base: Frame, variables: tuple[str, ...], folder: Path) -> dict[str, np.ndarray]:
    """Values by tax unit of one clone of each household, from the file that is written for it."""
    from policyengine_us import Microsimulation

    simulation = Microsimulation(dataset=str(write_area(assembled(base), folder / "frame.h5")))
    return {
        name: np.asarray(simulation.calculate(name, base.year, map_to="tax_unit").values, dtype=np.float64)
        for name in variables
    }


def test_the_engine_computes_on_a_file_of_the_frame(frame: Frame, tmp_path: Path) -> None:
    names = (
        "income_tax",
        "adjusted_gross_income",
        "snap",
        "household_net_income",
        "irs_employment_income",
        "deductible_mortgage_interest",
    )
    values = simulated(frame, names, tmp_path)
    for name in names:
        assert np.isfinite(values[name]).all(), name
        assert values[name].any(), name
    # Without a balance the engine deducts the whole interest, and that of the tax file is after the limit on debt.
    unit = frame.unit_of_person("tax_unit")
    interest = np.bincount(unit, weights=frame.person["home_mortgage_interest"])
    np.testing.assert_allclose(values["deductible_mortgage_interest"], interest, rtol=1e-5)
    # Deferrals are what they are drawn as: within the limits, so that the engine changes none.
    person = frame.person
    wages = person["employment_income_before_lsr"] - person["traditional_401k_contributions_desired"]
    np.testing.assert_allclose(
        values["irs_employment_income"], np.bincount(unit, weights=wages.clip(lower=0)), rtol=1e-5, atol=1.0
    )


def test_a_flag_of_the_year_holds_in_every_month(frame: Frame, tmp_path: Path) -> None:
    from policyengine_us import Microsimulation

    name = "is_wic_at_nutritional_risk"
    flag = np.arange(frame.count("person")) % 3 > 0
    base = replace(frame, person=frame.person.assign(**{name: flag}))
    data = assembled(base)
    simulation = Microsimulation(dataset=str(write_area(data, tmp_path / "frame.h5")))
    for month in ("2024-01", "2024-07", "2024-12"):
        np.testing.assert_array_equal(np.asarray(simulation.calculate(name, month).values) > 0, data.arrays[name])


# What else a person must have for a variable to count, beside `BASE`.
CONTEXT: dict[str, dict[str, float]] = {
    "passive_partnership_s_corp_income": {"partnership_income": 300_000},
    "long_term_capital_gains_on_collectibles": {"long_term_capital_gains_before_response": 60_000},
    "unrecaptured_section_1250_gain": {"long_term_capital_gains_before_response": 60_000},
    # Counts in the income that decides how much of Social Security is taxed.
    "tax_exempt_interest_income": {
        "social_security_retirement": 20_000,
        "employment_income_before_lsr": 25_000,
        "charitable_cash_donations": 0,
        "home_mortgage_interest": 0,
    },
    "investment_income_elected_form_4952": {
        "investment_interest_expense": 20_000,
        "long_term_capital_gains_before_response": 60_000,
    },
    "investment_interest_expense": {"taxable_interest_income": 40_000},
    "w2_wages_from_qualified_business": {"self_employment_income_before_lsr": 500_000},
    "unadjusted_basis_qualified_property": {"self_employment_income_before_lsr": 500_000},
    "sstb_w2_wages_from_qualified_business": {"sstb_self_employment_income_before_lsr": 90_000},
    "sstb_unadjusted_basis_qualified_property": {"sstb_self_employment_income_before_lsr": 90_000},
    "self_employed_pension_contributions_desired": {"self_employment_income_before_lsr": 100_000},
    "student_loan_interest": {"employment_income_before_lsr": 50_000},
    "qualified_tuition_expenses": {
        "employment_income_before_lsr": 50_000,
        "attends_eligible_educational_institution_for_lifetime_learning_credit": 1,
        "has_lifetime_learning_credit_1098_t_or_exception": 1,
    },
}
BASE = {
    "age": 45.0,
    "employment_income_before_lsr": 150_000.0,
    "charitable_cash_donations": 20_000.0,
    "home_mortgage_interest": 10_000.0,
}
AMOUNT = 4_000.0
# Reports of coverage that take-up asks for.
ANCHORS = tuple(f"has_{kind}_health_coverage_at_interview" for kind in ("medicaid", "chip", "marketplace"))
RESULTS = ("income_tax", "employee_payroll_tax", "self_employment_tax")


def people(rows: list[dict[str, float]]) -> Frame:
    """A single filer a household, each with the columns of a row over `BASE`, units' ones on their unit."""
    of_units = {v.name for v in tax_variables() if v.entity == "tax_unit"}
    flags = {v.name for v in tax_variables() if v.kind == "flag"}
    names = sorted({name for row in rows for name in row} | set(BASE) | flags)
    n = len(rows)
    columns = {name: np.array([{**BASE, **row}.get(name, 0.0) for row in rows]) for name in names}
    for name in flags - {"business_is_sstb"}:
        columns[name] = np.ones(n, dtype=bool)
    for name in names:
        if name in flags or name.startswith(("attends_", "has_")):
            columns[name] = columns[name] > 0
    ids = np.arange(n)
    links = {f"{entity}_id": ids for entity in ENTITIES}
    person = pd.DataFrame({**links, **{k: v for k, v in columns.items() if k not in of_units}})
    person["tax_unit_role_input"] = pd.Categorical(["HEAD"] * n)
    anchors = dict.fromkeys(ANCHORS, False)
    person = person.assign(is_female=False, ssi_reported=0.0, **anchors)
    tables = {entity: pd.DataFrame({f"{entity}_id": ids}) for entity in ENTITIES if entity != "person"}
    tables["tax_unit"] = tables["tax_unit"].assign(**{k: v for k, v in columns.items() if k in of_units})
    tables["household"] = tables["household"].assign(
        household_weight=1.0, source=pd.Categorical(["puf"] * n, categories=["cps", "puf"]), source_household_id=ids
    )
    tables["spm_unit"] = tables["spm_unit"].assign(
        snap_reported=0.0, tanf_reported=0.0, receives_housing_assistance=False
    )
    return Frame(**tables, person=person, year=builders.YEAR, synthetic=True).validate("people")


def test_every_drawn_amount_reaches_what_the_engine_computes(tmp_path: Path) -> None:
    names = [v.name for v in tax_variables() if v.kind == "amount"]
    names = [name if name != SOCIAL_SECURITY.name else "social_security_retirement" for name in names]
    rows = []
    for name in names:
        without = dict(CONTEXT.get(name, {}))
        rows += [without, {**without, name: {**BASE, **without}.get(name, 0.0) + AMOUNT}]
    frame = people(rows)
    values = simulated(frame, RESULTS, tmp_path)
    change = {
        name: max(abs(values[result][2 * k + 1] - values[result][2 * k]) for result in RESULTS)
        for k, name in enumerate(names)
    }
    assert not [name for name, size in change.items() if size < 1.0], change
