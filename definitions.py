"""The code location: assets, checks, jobs, schedule, sensors and resources, put together and nothing else."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import areas, calibration, clones, diagnostics, microdata, release, rules, simulation, sources, targets
from jobs.stages import JOBS
from resources.accelerator import accelerator_from_environment
from resources.engine import RulesEngine
from resources.io_manager import PytreeIOManager
from resources.settings import settings_from_environment
from sensors.automation import automation
from sensors.schedules import monthly_sources
from sensors.source_files import new_source_files

_MODULES = (sources, targets, microdata, clones, rules, simulation, calibration, areas, diagnostics, release)


def build_defs(*, resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions; `resource_overrides` replaces resources by name, for tests and other stores."""
    settings = settings_from_environment()
    resources: dict[str, Any] = {
        "settings": settings,
        "rules_engine": RulesEngine(),
        "accelerator": accelerator_from_environment(),
        "io_manager": PytreeIOManager(base_dir=str(settings.paths.assets)),
        **(resource_overrides or {}),
    }
    return dg.Definitions(
        assets=dg.load_assets_from_modules(_MODULES),
        asset_checks=dg.load_asset_checks_from_modules(_MODULES),
        jobs=JOBS,
        schedules=[monthly_sources],
        sensors=[new_source_files, automation],
        resources=resources,
        executor=dg.in_process_executor,
    )


defs = build_defs()
