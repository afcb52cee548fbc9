"""The road on real survey rows: 424 households of Maine, from the file as published to a verified area file.

The sample is the head of the CPS ASEC 2020 person file; the household columns are built from the person rows. Incomes
and rules are those of 2019, targets those of the model year: the fit bridges the years by weights alone, which makes
it harder than a production fit, and says nothing about Maine. The records are real; the blocks below the real county
shares are synthetic, so that everything placed in them is marked synthetic.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.areas.assemble import Assembler
from tessera.areas.build import AreaFile, build_area
from tessera.areas.dataset import read_area, read_attributes
from tessera.calibration.fit import fit
from tessera.calibration.log import target_table
from tessera.calibration.presets import fit_options
from tessera.diagnostics.invariant import verify_areas
from tessera.frame import Frame
from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.geography.placement import place_clones
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.joining import matrix_from_state_values
from tessera.matrix.metrics import required_variables
from tessera.microdata.cps import build_cps
from tessera.microdata.stratify import stratify
from tessera.rules.engine import PolicyEngine
from tessera.rules.state_values import compute_state_values
from tessera.rules.takeup import published_rates, takeup_probabilities
from tessera.sources import cps_asec
from tessera.targets.database import build_database
from tessera.targets.selection import read_targets
from tessera.targets.snapshot import district_figures, load_snapshot, state_figures
from tests import builders

# The engine's own formulas warn (division by zero under a mask); what it computes is what is tested.
pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore")]

MAINE = areas.state_by_usps("ME")
HOUSEHOLDS = 400
CLONES = 4 * len(areas.stratum_districts())  # four clones of each household in each of Maine's two districts
EPOCHS = 600
PROGRAMMES = ("snap", "ssi", "medicaid_enrolled", "aca_ptc", "eitc")


@dataclass(frozen=True)
class Road:
    """What each stage made."""

    raw: cps_asec.RawAsec
    frame: Frame
    clones: Clones
    matrix: CalibrationMatrix
    weights: np.ndarray
    fitted: pd.DataFrame
    file: AreaFile
    folder: Path
    engine: PolicyEngine


@pytest.fixture(scope="module")
def road(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Road:
    path = shared_data / "cps_asec" / "pppub20.csv"
    if not path.is_file():
        pytest.skip(f"{path}, the head of the real person file, is absent")
    folder = tmp_path_factory.mktemp("maine")
    raw = cps_asec.read(path, 2020, state_fips=MAINE.fips)
    frame = stratify(build_cps(raw, seed=1), HOUSEHOLDS, seed=1)
    clones = _in_state(
        place_clones(
            frame, builders.real_place_blocks(40), district_figures(), state_figures(), n_clones=CLONES, seed=1
        ),
        MAINE,
    )
    assembler = Assembler(frame, clones, takeup_probabilities(frame, published_rates(), seed=1))
    targets = _targets_of_maine(folder / "targets.duckdb")
    engine = PolicyEngine()
    values = compute_state_values(assembler, engine, [MAINE], required_variables(targets))
    matrix = matrix_from_state_values(targets, clones, values)
    weights = fit(matrix, clones.design_weight, fit_options("local", EPOCHS, -1.0, 42, "cpu")).weights
    file = build_area(areas.area("ME"), assembler, weights, folder)
    return Road(raw, frame, clones, matrix, weights, target_table(matrix, weights), file, folder, engine)


def _in_state(placed: Clones, state: areas.State) -> Clones:
    """The clones of one state; the households that they are clones of stay numbered as they were."""
    here = placed.state_fips == state.fips
    arrays = {
        field.name: value[here]
        for field in dataclasses.fields(placed)
        if isinstance(value := getattr(placed, field.name), np.ndarray)
    }
    return dataclasses.replace(placed, **arrays)


def _targets_of_maine(database: Path) -> pd.DataFrame:
    build_database(database, load_snapshot())
    targets = read_targets(database)
    places = ["ME", *(areas.district_key(code) for code in MAINE.district_codes)]
    # SSI is published for the nation alone; Maine has 0.41 % of its residents.
    ssi = targets[targets["source"] == "ssa_ssi"]
    ssi = ssi.assign(geo_level="state", geo_id="ME", value=0.0041 * ssi["value"], name="ME" + ssi["name"].str[2:])
    return pd.concat([targets[targets["geo_id"].isin(places)], ssi], ignore_index=True)


def test_the_sample_becomes_a_frame_of_its_year(road: Road) -> None:
    assert (len(road.raw.person), len(road.raw.household)) == (999, 424)
    assert road.raw.household_derived and not road.raw.synthetic
    assert road.frame.count("household") == HOUSEHOLDS
    assert (road.frame.year, road.frame.synthetic) == (2019, False)
    assert road.frame.weights.sum() == pytest.approx(road.raw.household["HSUP_WGT"].sum())
    units = road.frame.person.groupby("tax_unit_id")["tax_unit_role_input"].agg(list)
    assert all(roles.count("HEAD") == 1 for roles in units)


def test_clones_lie_in_both_districts_of_maine_and_real_counties(road: Road) -> None:
    districts, counts = np.unique(road.clones.district, return_counts=True)
    assert districts.tolist() == [2301, 2302]
    assert counts.tolist() == [4 * HOUSEHOLDS] * 2
    assert set(road.clones.county_fips) <= {f"23{number:03d}" for number in range(1, 32, 2)}
    households = road.clones.design_weight.sum()
    assert 500_000 < households < 700_000  # the census counts 0.6 million in Maine


def test_the_fit_meets_most_targets_of_the_state_and_its_districts(road: Road) -> None:
    within = road.fitted["abs_rel_error"] <= 0.1
    assert set(road.fitted["geo_id"]) == {"ME", "ME-01", "ME-02"}
    assert len(within) + len(road.matrix.unachievable) == 82
    assert len(road.matrix.unachievable) <= 4
    # All of them, when this was written.
    assert within.mean() >= 0.95, road.fitted.loc[~within, ["name", "value", "estimate"]].to_string()


def test_the_file_holds_real_records_in_synthetic_places(road: Road) -> None:
    stored = read_area(road.folder / road.file.relative_path)
    assert road.file.records == int((road.weights > 0).sum()) == len(stored["household_id"])
    assert set(stored["state_fips"]) == {MAINE.fips}
    assert set(stored["source"]) == {b"cps"}
    assert set(stored["source_household_id"]) <= set(road.raw.household["H_SEQ"])
    assert not road.frame.synthetic and road.clones.synthetic and road.file.synthetic
    assert read_attributes(road.folder / road.file.relative_path)["synthetic"]


def test_the_matrix_says_what_microsimulation_computes_on_the_file(road: Road) -> None:
    (verified,) = verify_areas([areas.area("ME")], road.matrix, road.clones, road.weights, road.folder, road.engine)
    table = verified.metrics.set_index("metric")
    assert len(table) == road.matrix.n_metrics
    for programme in PROGRAMMES:
        of_it = table[[programme in name for name in table.index]]
        assert of_it["engine"].gt(0).any(), programme
    assert verified.max_relative_difference <= 1e-6
