"""The rules engine on assembled datasets: files load, values in the matrix are values in the file."""

from pathlib import Path

import numpy as np
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import write_area
from tessera.areas.inputs import input_variables, table_from_engine
from tessera.errors import RulesError
from tessera.geography import areas
from tessera.rules.engine import PolicyEngine
from tessera.rules.state_values import compute_state_values
from tessera.rules.takeup import published_rates, takeup_probabilities
from tests import builders

# The engine's own formulas warn (division by zero under a mask); what it computes is what is tested.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

VARIABLES = ("snap", "ssi", "medicaid_enrolled", "aca_ptc", "eitc", "adjusted_gross_income", "income_tax", "tanf")
STATES = tuple(areas.state_by_usps(usps) for usps in ("CA", "NM", "NY", "CT"))


@pytest.fixture(scope="module")
def assembler() -> Assembler:
    base = builders.frame(60)
    placed = builders.place(base, builders.real_place_blocks(40), 40)
    return Assembler(base, placed, takeup_probabilities(base, published_rates(), seed=1))


@pytest.fixture(scope="module")
def engine() -> PolicyEngine:
    return PolicyEngine()


def test_the_packaged_table_of_inputs_is_the_engines() -> None:
    rows = [line.split(",") for line in table_from_engine().splitlines()[2:]]
    assert dict(rows) == input_variables()


def test_state_values_equal_the_microsimulation_of_the_written_file(
    assembler: Assembler, engine: PolicyEngine, tmp_path: Path
) -> None:
    from policyengine_us import Microsimulation

    computed = compute_state_values(assembler, engine, STATES, VARIABLES, workers=2)
    for state in STATES:
        values = computed[state.usps]
        # Some clones stay out, as those that a fit drops: a value must not depend on who else is in the file.
        weights = np.where(np.arange(len(values.records)) % 4 == 1, 0.0, np.linspace(1.0, 3.0, len(values.records)))
        kept = weights > 0
        path = write_area(assembler.assemble(values.records[kept], weights[kept]), tmp_path / f"{state.usps}.h5")
        simulation = Microsimulation(dataset=str(path))
        for variable in VARIABLES:
            entity = values.values.entity_of[variable]
            household = values.values.household_of[entity]
            ours = float((values.values.values[variable] * weights[household]).sum())
            theirs = float(simulation.calculate(variable, builders.YEAR).sum())
            assert ours == pytest.approx(theirs, rel=1e-6), (state.usps, variable)


def test_every_programme_pays_somebody(assembler: Assembler, engine: PolicyEngine) -> None:
    values = compute_state_values(assembler, engine, STATES[:1], VARIABLES)["CA"].values
    for variable in ("snap", "ssi", "medicaid_enrolled", "aca_ptc", "eitc"):
        assert values.values[variable].sum() > 0, variable


def test_counties_with_accents_and_rating_areas_by_zip_are_known_to_the_engine(
    assembler: Assembler, engine: PolicyEngine
) -> None:
    for fips, name in (("35013", "DOÑA_ANA_COUNTY_NM"), ("06037", "LOS_ANGELES_COUNTY_CA")):
        moved = _moved(assembler, fips)
        records = np.flatnonzero(moved.clones.county_fips == fips)
        assert len(records) > 0, fips
        values = engine.compute(moved.assemble(records), ["county", "aca_ptc"])
        assert set(values.values["county"]) == {name}
        assert values.values["aca_ptc"].sum() > 0


def test_every_county_with_a_share_is_known_to_the_engine(engine: PolicyEngine) -> None:
    from policyengine_us.tools.geography.county_helpers import load_county_fips_dataset, map_county_string_to_enum

    from tessera.geography import county_shares

    known = load_county_fips_dataset()
    enum = map_county_string_to_enum(known["county_name"], known["state"]).to_numpy()
    usable = set(known["county_fips"][enum > 0])
    assert set(county_shares.load()["county_fips"]) <= usable


def test_an_unknown_variable_is_named(assembler: Assembler, engine: PolicyEngine) -> None:
    with pytest.raises(RulesError, match=r"CA.*no variable 'snapp'"):
        compute_state_values(assembler, engine, STATES[:1], ["snapp"])


def _moved(assembler: Assembler, county: str) -> Assembler:
    """All clones of the county's state, moved into that county."""
    import dataclasses

    here = assembler.clones.state_fips == int(county[:2])
    blocks = np.where(here, f"{county}0000011000", assembler.clones.block_geoid)
    return Assembler(assembler.frame, dataclasses.replace(assembler.clones, block_geoid=blocks), assembler.takeup)
