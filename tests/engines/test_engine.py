"""The rules engine on assembled datasets: files load, values in the matrix are values in the file."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.dataset import write_area
from tessera.areas.inputs import input_variables, table_from_engine
from tessera.errors import RulesError
from tessera.geography import areas
from tessera.rules.engine import PolicyEngine
from tessera.rules.state_values import StateValues, compute_state_values
from tessera.rules.takeup import published_rates, takeup_probabilities
from tests import builders
from tests.builders import by_household

# The engine's own formulas warn (division by zero under a mask); what it computes is what is tested.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

VARIABLES = (
    "snap", "ssi", "medicaid_enrolled", "chip_enrolled", "aca_ptc", "person_receives_aca", "eitc", "tax_unit_is_filer",
    "adjusted_gross_income", "income_tax", "state_income_tax", "tanf", "wic", "head_start", "housing_assistance",
)  # fmt: skip
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


@pytest.fixture(scope="module")
def computed(assembler: Assembler, engine: PolicyEngine) -> Iterator[Mapping[str, StateValues]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tessera.rules.situations.FEW", 0)  # examine every group, however small
        yield compute_state_values(assembler, engine, STATES, VARIABLES, workers=2)


def test_state_values_equal_the_microsimulation_of_the_written_file(
    assembler: Assembler, computed: Mapping[str, StateValues], tmp_path: Path
) -> None:
    from policyengine_us import Microsimulation

    for state in STATES:
        values = computed[state.usps]
        # Some clones stay out, as those that a fit drops: a value must not depend on who else is in the file.
        weights = np.where(np.arange(len(values.records)) % 4 == 1, 0.0, np.linspace(1.0, 3.0, len(values.records)))
        kept = weights > 0
        path = write_area(assembler.assemble(values.records[kept], weights[kept]), tmp_path / f"{state.usps}.h5")
        simulation = Microsimulation(dataset=str(path))
        for variable in VARIABLES:
            ours = float(by_household(values.values, variable)[values.situation] @ weights)
            theirs = float(simulation.calculate(variable, builders.YEAR).sum())
            assert ours == pytest.approx(theirs, rel=1e-6), (state.usps, variable)


def test_situations_are_exact_for_every_clone(
    assembler: Assembler, engine: PolicyEngine, computed: Mapping[str, StateValues]
) -> None:
    for state in STATES:
        values = computed[state.usps]
        each = engine.compute(assembler.assemble(values.records), VARIABLES)
        for variable in VARIABLES:
            ours = by_household(values.values, variable)[values.situation]
            np.testing.assert_array_equal(ours, by_household(each, variable), err_msg=f"{state.usps} {variable}")


def test_clones_share_situations_and_have_their_own_values(assembler: Assembler, engine: PolicyEngine) -> None:
    # All in one county, so that a household's clones differ in their decisions alone, and are examined.
    moved = _moved(assembler, "06037")
    values = compute_state_values(moved, engine, STATES[:1], VARIABLES)["CA"]
    each = engine.compute(moved.assemble(values.records), VARIABLES)
    for variable in VARIABLES:
        ours = by_household(values.values, variable)[values.situation]
        np.testing.assert_array_equal(ours, by_household(each, variable), err_msg=variable)
    assert values.values.n_households < 0.95 * len(values.records)
    assert set(values.situation) == set(range(values.values.n_households))


@pytest.fixture(scope="module")
def traced(assembler: Assembler, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """What the engine reads while it computes: variable -> those whose formulas read it, by the engine's own trace."""
    from policyengine_us import Simulation

    records = np.flatnonzero(np.isin(assembler.clones.state_fips, [6, 36]))[:200]
    path = write_area(assembler.assemble(records), tmp_path_factory.mktemp("traced") / "two.h5")
    simulation = Simulation(dataset=str(path))
    simulation.trace = True
    for variable in VARIABLES:
        simulation.calculate(variable, builders.YEAR)
    found: dict[str, set[str]] = {}
    nodes = list(simulation.tracer.trees)
    while nodes:
        node = nodes.pop()
        nodes += node.children
        for child in node.children:
            found.setdefault(child.name, set()).add(node.name)
    return found


def test_readers_of_decisions_are_all_found(
    assembler: Assembler, engine: PolicyEngine, traced: Mapping[str, set[str]]
) -> None:
    assert traced["takes_up_snap_if_eligible"] >= {"snap"}
    for decision in assembler.takeup.entity_of:
        # A month's value of a yearly input is read by way of the year's.
        assert traced.get(decision, set()) - {decision} <= set(engine.readers(decision)), decision


def test_of_a_place_only_what_its_county_says_is_read(assembler: Assembler, traced: Mapping[str, set[str]]) -> None:
    dataset = assembler.assemble(np.array([0]))
    of_households = {name for name, entity in dataset.entity_of.items() if entity == "household"}
    place = of_households - set(assembler.frame.household)
    assert {"tract_geoid", "block_geoid", "congressional_district_geoid", "clone"} <= place
    # The engine asks for the block where it finds no county; files have one.
    assert place & set(traced) <= {"state_fips", "county_fips", "zip_code", "block_geoid"}


def test_a_repeal_is_what_the_engine_s_own_neutralisation_gives(
    assembler: Assembler, engine: PolicyEngine, tmp_path: Path
) -> None:
    from policyengine_core.reforms import Reform
    from policyengine_us import Simulation

    class NoDeduction(Reform):  # type: ignore[misc]
        def apply(self) -> None:
            self.neutralize_variable("qualified_business_income_deduction")

    name = "qualified_business_income_deduction:income_tax"
    dataset = assembler.assemble(np.flatnonzero(assembler.clones.state_fips == 6)[:120])
    income = dataset.arrays["employment_income_before_lsr"]
    dataset.arrays["self_employment_income_before_lsr"] = np.where(income > 0, 40_000.0, 0.0).astype(np.float32)
    dataset.entity_of["self_employment_income_before_lsr"] = "person"
    repealed = engine.compute(dataset, [name, "income_tax"])
    path = write_area(dataset, tmp_path / "CA.h5")
    theirs = Simulation(dataset=str(path), reform=NoDeduction).calculate("income_tax", builders.YEAR)
    assert repealed.values[name].sum() > 1000
    np.testing.assert_allclose(repealed.values[name], theirs - repealed.values["income_tax"], rtol=0, atol=0.01)
    of_file, _ = engine.compute_file(path, [name])
    np.testing.assert_allclose(of_file.values[name], repealed.values[name], rtol=0, atol=0.01)


def test_every_programme_pays_somebody(computed: Mapping[str, StateValues]) -> None:
    for variable in ("snap", "ssi", "medicaid_enrolled", "aca_ptc", "eitc"):
        assert computed["CA"].values.values[variable].sum() > 0, variable


def test_a_stopped_run_goes_on_with_the_same_bytes(assembler: Assembler, engine: PolicyEngine, tmp_path: Path) -> None:
    first = compute_state_values(assembler, engine, STATES[1:2], VARIABLES[:3], cache=tmp_path)
    done = {path: path.read_bytes() for path in tmp_path.rglob("*.h5")}
    assert [path.name for path in done] == ["NM.h5"]
    both = compute_state_values(assembler, engine, STATES[1:3:1], VARIABLES[:3], cache=tmp_path)
    assert all(path.read_bytes() == content for path, content in done.items())
    assert list(both) == ["NM", "NY"]
    assert first["NM"].inputs_sha256 == both["NY"].inputs_sha256


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
    with pytest.raises(RulesError, match=r"no variable 'snapp'"):
        compute_state_values(assembler, engine, STATES[:1], ["snapp"])


def _moved(assembler: Assembler, county: str) -> Assembler:
    """All clones of the county's state, moved into that county."""
    import dataclasses

    here = assembler.clones.state_fips == int(county[:2])
    blocks = np.where(here, f"{county}0000011000", assembler.clones.block_geoid)
    return Assembler(assembler.frame, dataclasses.replace(assembler.clones, block_geoid=blocks), assembler.takeup)
