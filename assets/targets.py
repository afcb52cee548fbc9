"""Targets: the DuckDB database of strata, constraints and targets, and the set that the fit uses."""

from typing import Any

import dagster as dg

from resources.settings import Settings


@dg.asset(group_name="targets", owners=["team:targets"], kinds={"duckdb"})
def policy_targets(settings: Settings, official_targets: Any) -> dg.MaterializeResult:
    """Target database built from the official figures; its value is the training set of targets, one row each."""
    from tessera.store import sha256_of
    from tessera.targets.database import build_database
    from tessera.targets.report import consistency, to_markdown
    from tessera.targets.selection import read_targets

    database = settings.paths.assets / "policy_targets.duckdb"
    summary = build_database(database, official_targets)
    targets = read_targets(database)
    by_level = targets.groupby(["geo_level", "variable"], sort=True).size().rename("targets").reset_index()
    metadata = {
        "database": dg.MetadataValue.path(str(database)),
        "sha256": sha256_of(database),
        "dagster/row_count": len(targets),
        "targets in the database": summary.targets,
        "strata": summary.strata,
        "training targets": dg.MetadataValue.md(to_markdown(by_level)),
        "consistency between levels": dg.MetadataValue.md(to_markdown(consistency(targets))),
    }
    return dg.MaterializeResult(value=targets, metadata=metadata)


@dg.asset_check(asset="policy_targets", blocking=True)
def training_targets_agree_between_levels(policy_targets: Any) -> dg.AssetCheckResult:
    """Districts add up to states and states to the nation, wherever one concept stands at several levels."""
    from tessera.targets.report import consistency, district_gaps, largest_gap

    table = consistency(policy_targets)
    gaps = {
        "largest gap to the nation": largest_gap(table),
        "largest gap of districts to their state": float(district_gaps(policy_targets)["gap"].max()),
    }
    return dg.AssetCheckResult(passed=max(gaps.values()) <= 0.001, metadata={**gaps, "concepts": len(table)})
