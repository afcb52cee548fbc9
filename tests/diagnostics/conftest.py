"""A made-up fit over the real catalogue of areas, for the tests of diagnostics. Nothing here comes from a run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tessera.diagnostics import plots
from tessera.diagnostics.sanity import REQUIRED_VARIABLES, TAKEUP_VARIABLES, SanityResult, check_names
from tessera.diagnostics.targets import sum_of_areas, summarise_targets
from tessera.diagnostics.weights import AreaMetric, area_metrics, weights_health
from tessera.frame import GROUP_ENTITIES
from tessera.geography.areas import areas, district_key, states, stratum_districts
from tessera.matrix.calibration_matrix import NO_SUPPORT
from tessera.random import generator
from tessera.release.gate import GateInputs, InvariantCheck, evaluate_gate
from tessera.release.identity import GitState, new_identity
from tessera.release.manifest import SourceEntry
from tessera.report.document import ReportFigure, ReportInputs

VARIABLES = {
    "person_count": ("census_acs_s0101", 760_000.0),
    "household_count": ("usda_fns_snap", 52_000.0),
    "snap": ("usda_fns_snap", 2.3e8),
    "adjusted_gross_income": ("irs_soi", 3.4e10),
    "eitc": ("irs_soi", 1.4e8),
    "medicaid_enrolled": ("cms_medicaid", 170_000.0),
    "social_security": ("ssa_trustees", 2.9e9),
}


@pytest.fixture(scope="session")
def target_table() -> pd.DataFrame:
    """Targets of seven variables for the nation, 51 states and 436 districts, with made-up errors."""
    rng = generator("tests/diagnostics", 1)
    places = [("national", "US", 436.0)]
    places += [("state", state.usps, float(state.n_districts)) for state in states()]
    places += [("district", district_key(code), 1.0) for code in stratum_districts()]
    rows = []
    for variable, (source, size) in VARIABLES.items():
        for level, key, districts in places:
            target = size * districts
            spread = {"national": 0.01, "state": 0.04, "district": 0.07}[level]
            error = target * spread * float(rng.standard_t(3))
            rows.append((f"{key}/{variable}", variable, level, key, target, target + error, error, source))
    columns = ["name", "variable", "geo_level", "geo_id", "target", "estimate", "error", "source"]
    table = pd.DataFrame(rows, columns=columns)
    table["rel_error"] = table["error"] / table["target"]
    table["abs_rel_error"] = table["rel_error"].abs()
    return table


@pytest.fixture(scope="session")
def unachievable() -> pd.DataFrame:
    """Two targets without support."""
    targets = pd.DataFrame(
        {
            "name": ["WY-01/eitc/4 children", "AK-01/ssi/age 90"],
            "variable": ["eitc", "ssi"],
            "geo_level": ["district", "district"],
            "geo_id": ["WY-01", "AK-01"],
            "target": [1.2e6, 310.0],
            "source": ["irs_soi", "ssa"],
        }
    )
    return targets.assign(reason=NO_SUPPORT)


@pytest.fixture(scope="session")
def area_table(target_table: pd.DataFrame) -> pd.DataFrame:
    """One row for each of the catalogue's areas."""
    rng = generator("tests/areas", 1)
    rows = []
    for area in areas():
        n = 60 * max(len(area.district_codes), 1)
        health = weights_health(rng.lognormal(7, 1, n))
        rows.append(
            AreaMetric(
                area.key,
                area.kind,
                n,
                int(2.4 * n),
                health.weight_sum,
                health.ess,
                health.max_weight,
                4000 * n,
                "ab" * 32,
            )
        )
    return area_metrics(rows, target_table)


@pytest.fixture(scope="session")
def report_inputs(target_table: pd.DataFrame, unachievable: pd.DataFrame, area_table: pd.DataFrame) -> ReportInputs:
    """Inputs of a report with every part filled."""
    rng = generator("tests/report", 1)
    epochs = np.arange(0, 1001, 50)
    histories = {
        name: pd.DataFrame(
            {
                "epoch": epochs,
                "loss": level * np.exp(-epochs / 180) + 0.01,
                "loss_state": 0.5 * level * np.exp(-epochs / 150) + 0.004,
                "nonzero": (50_000 * (keep + (1 - keep) * np.exp(-epochs / 200))).astype(int),
            }
        )
        for name, level, keep in (("local", 0.9, 0.8), ("national", 0.7, 0.1))
    }
    local, national = rng.lognormal(6, 1.2, 50_000), rng.lognormal(7, 1.0, 50_000)
    national[rng.random(50_000) < 0.9] = 0
    weights = {"local": local, "national": national}
    summary = summarise_targets(target_table, unachievable)
    by_area = target_table[target_table["geo_level"] == "district"].groupby("geo_id")["abs_rel_error"].mean().to_dict()
    ess = area_table.set_index("key")["ess"].to_dict()
    sanity = tuple(
        SanityResult(area.key, name, True, "as wanted", "as wanted") for area in areas() for name in check_names()
    )
    sanity = (*sanity[:-1], SanityResult("HOUSTON", check_names()[-1], False, "attribute synthetic is None", "True"))
    figures = (
        ReportFigure("Loss", plots.loss_curve(histories), "Loss by epoch and records kept."),
        ReportFigure("Hit rate by level", plots.share_within_bars(summary.by_level), "Shares of targets met."),
        ReportFigure("Errors", plots.error_histogram(target_table), "Relative errors of all targets."),
        ReportFigure("Weights", plots.weights_histogram(weights), "Positive weights on a log scale."),
        ReportFigure(
            "Mean absolute error", plots.district_map(by_area, label="mean absolute error, %", percent=True), "."
        ),
        ReportFigure("Effective sample", plots.district_map(ess, label="effective sample size", kind="ess"), "."),
        ReportFigure("Hit rate by variable", plots.hit_rate_by_variable(summary.by_variable), "Least met first."),
        ReportFigure("Variable by level", plots.error_heat_map(summary.heat_map), "Mean absolute error, %."),
        ReportFigure("Sum of areas", plots.sum_of_areas_plot(sum_of_areas(target_table)), "Beside the nation."),
    )
    gate = evaluate_gate(GateInputs({}, sanity, area_table, target_table, 0.80, InvariantCheck(51, 3.1e-8)))
    return ReportInputs(
        identity=new_identity("0.1.0", GitState("1a2b3c4d" * 5, False), datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)),
        packages={"policyengine-us": "2.68.0", "numpy": "2.4.0", "python": "3.11.7"},
        scale="demo",
        settings={"households": "500", "clones": "100", "seed": "20240101", "Congress": "119"},
        source_mode="synthetic",
        synthetic=True,
        targets=summary,
        areas=area_table,
        weights={name: weights_health(values) for name, values in weights.items()},
        sanity=sanity,
        gate=gate,
        figures=figures,
        sources=(SourceEntry("cps_asec", "cd" * 32, "https://www2.census.gov/programs-surveys/cps/", "2025", True),),
        sums=sum_of_areas(target_table),
    )


@pytest.fixture
def write_area(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a small valid file of Wyoming with changes: variable -> array, or None to leave it out."""

    def write(
        changes: dict[str, np.ndarray | None] | None = None, *, year: int = 2024, synthetic: object = True
    ) -> Path:
        arrays: dict[str, np.ndarray | None] = {name: np.ones(5, np.float32) for name in REQUIRED_VARIABLES}
        arrays |= {name: np.ones(5, bool) for name in TAKEUP_VARIABLES}
        arrays |= {"person_id": np.arange(5, dtype=np.int32), "household_weight": np.array([10, 20.5, 0], np.float32)}
        for entity in GROUP_ENTITIES:
            arrays[f"{entity}_id"] = np.arange(3, dtype=np.int32)
            arrays[f"person_{entity}_id"] = np.array([0, 0, 1, 1, 2], np.int32)
        arrays |= {
            "state_fips": np.full(3, 56, np.int32),
            "congressional_district_geoid": np.full(3, 5601, np.int32),
            "county_fips": np.array([b"56001"] * 3),
            "spm_unit_spm_threshold": np.full(3, 30_000, np.float32),
        }
        path = tmp_path / "WY.h5"
        with h5py.File(path, "w") as file:
            if synthetic is not None:
                file.attrs["synthetic"] = synthetic
            for name, array in (arrays | (changes or {})).items():
                if array is not None:
                    file.create_group(name).create_dataset(str(year), data=array)
        return path

    return write
