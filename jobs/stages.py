"""Stage jobs: the assets that run together, in the order in which a whole run takes them.

A job has one partitions definition at most, so areas are four jobs; `monthly_sources` and backfills start from these.
"""

from dataclasses import dataclass

import dagster as dg

from jobs.partitions import CITIES, DISTRICTS, STATES


@dataclass(frozen=True)
class Stage:
    """A stage of a whole run.

    Attributes:
        name: short; its job is `build_{name}`.
        title: for people.
        partitions: of its assets; None where they have none.
    """

    name: str
    title: str
    partitions: dg.StaticPartitionsDefinition | None = None

    @property
    def job_name(self) -> str:
        """Name of the stage's job; a job may not be called like an asset."""
        return f"build_{self.name}"


STAGES = (
    Stage("sources", "source files and official figures"),
    Stage("targets", "target database"),
    Stage("microdata", "survey, tax file and imputations"),
    Stage("clones", "clones with geography"),
    Stage("simulation", "rules engine, every clone", STATES),
    Stage("calibration", "matrix and fits"),
    Stage("national_area", "the national file"),
    Stage("state_areas", "state files", STATES),
    Stage("district_areas", "district files", DISTRICTS),
    Stage("city_areas", "city files", CITIES),
    Stage("diagnostics", "diagnostics and report"),
    Stage("release", "gate, staging and promotion"),
)

_SELECTIONS = {
    "sources": (dg.AssetSelection.groups("sources"), "Read every source file: surveys, tax file, blocks, figures."),
    "targets": (dg.AssetSelection.groups("targets"), "Build the target database."),
    "microdata": (dg.AssetSelection.groups("microdata"), "From the raw survey to the base file."),
    "clones": (dg.AssetSelection.groups("clones", "rules"), "Place the clones; look up take-up rates."),
    "simulation": (dg.AssetSelection.groups("simulation"), "Run the rules engine on the clones of every state."),
    "calibration": (dg.AssetSelection.groups("calibration"), "Build the matrix and fit both sets of weights."),
    "national_area": (dg.AssetSelection.assets("national_dataset"), "Write the national file."),
    "state_areas": (dg.AssetSelection.assets("state_dataset"), "Write the 51 state files."),
    "district_areas": (dg.AssetSelection.assets("district_dataset"), "Write the 435 district files."),
    "city_areas": (dg.AssetSelection.assets("city_dataset"), "Write the city files."),
    "diagnostics": (dg.AssetSelection.groups("diagnostics"), "Measure every area and target; write the report."),
    "release": (dg.AssetSelection.groups("release"), "Evaluate the gate, stage and promote."),
}

JOBS = [
    dg.define_asset_job(
        stage.job_name,
        _SELECTIONS[stage.name][0],
        description=_SELECTIONS[stage.name][1],
        tags={"tessera/stage": stage.name},
    )
    for stage in STAGES
]
