"""Targets: the DuckDB database of strata, constraints and targets, and the set that the fit uses."""

from typing import Any

import dagster as dg

from resources.settings import Settings

DATABASE = "policy_targets.duckdb"


@dg.asset(group_name="targets", owners=["team:targets"], kinds={"duckdb"})
def policy_targets(settings: Settings, official_targets: Any) -> dg.MaterializeResult:
    """Target database built from the official figures; its value is the training set of targets, one row each."""
    from tessera.diagnostics.plots import as_markdown_image
    from tessera.diagnostics.target_plots import fitted_by_level, targets_by_source
    from tessera.store import sha256_of
    from tessera.targets import report
    from tessera.targets.database import build_database
    from tessera.targets.selection import read_targets

    database = settings.paths.assets / DATABASE
    summary = build_database(database, official_targets)
    targets = read_targets(database)
    tables = {
        "targets by source and level": report.counts_with_sum(official_targets),
        "sources": report.sources(official_targets),
        "training targets": report.variable_counts(targets),
        "consistency between levels": report.consistency(targets),
        "comparisons by severity": report.severities(database),
        "set aside": report.excluded_groups(database),
    }
    plots = {
        "targets by source": targets_by_source(report.counts(official_targets)),
        "training targets by level": fitted_by_level(targets, official_targets),
    }
    metadata = {
        "database": dg.MetadataValue.path(str(database)),
        "sha256": sha256_of(database),
        "dagster/row_count": len(targets),
        "dagster/column_schema": dg.TableSchema(
            [dg.TableColumn(name, kind, description=text) for name, (kind, text) in report.TARGET_COLUMNS.items()]
        ),
        "targets in the database": summary.targets,
        "strata": summary.strata,
        "targets set aside": summary.excluded,
        **{name: dg.MetadataValue.md(report.to_markdown(table)) for name, table in tables.items()},
        **{f"plot of {name}": dg.MetadataValue.md(as_markdown_image(png, name)) for name, png in plots.items()},
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


@dg.asset_check(asset="policy_targets", blocking=True)
def strata_are_the_country(settings: Settings, policy_targets: Any) -> dg.AssetCheckResult:
    """Nation, 51 states, 436 districts and cities are there once, each below its own place and with its own hash."""
    from tessera.errors import TargetError
    from tessera.targets.hierarchy import check_database

    try:
        hierarchy = check_database(settings.paths.assets / DATABASE)
    except TargetError as error:
        return dg.AssetCheckResult(passed=False, metadata={"refused": str(error)})
    metadata = {**hierarchy.places, "domains": hierarchy.domains, "training targets": len(policy_targets)}
    return dg.AssetCheckResult(passed=True, metadata=metadata)


@dg.asset_check(asset="policy_targets")
def no_training_target_is_contradicted(settings: Settings, policy_targets: Any) -> dg.AssetCheckResult:
    """No target that the training set names was set aside because other official figures contradict it critically."""
    from tessera.targets.report import to_markdown
    from tessera.targets.selection import TRAINING_SET, read_comparison

    chosen = read_comparison(settings.paths.assets / DATABASE, TRAINING_SET)
    lost = chosen.loc[chosen["set_aside"], ["name", "value"]]
    return dg.AssetCheckResult(
        passed=lost.empty and len(chosen) == len(policy_targets),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "named": len(chosen),
            "set aside": len(lost),
            "which": dg.MetadataValue.md(to_markdown(lost.head(20))),
        },
    )
