"""Diagnostics: every area and every target, checked and measured, and the report that people read."""

from typing import Any

import dagster as dg

from resources.engine import RulesEngine
from resources.settings import Settings

GROUP = "diagnostics"
OWNERS = ["team:calibration"]


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas", "policyengine"}, pool="engine")
def area_metrics(
    settings: Settings,
    rules_engine: RulesEngine,
    national_dataset: Any,
    state_dataset: Any,
    district_dataset: Any,
    city_dataset: Any,
    clones: Any,
    calibration_matrix: Any,
    local_weights: Any,
    national_weights: Any,
) -> dg.MaterializeResult:
    """One row an area: records, weights, errors; checks of every file; the invariant on a sample of them."""
    from tessera.diagnostics.areas import measure_areas
    from tessera.matrix.package import CalibrationPackage

    files = [national_dataset]
    for partitions in (state_dataset, district_dataset, city_dataset):
        files.extend(partitions[key] for key in partitions)
    measured = measure_areas(
        files,
        CalibrationPackage.from_tree(calibration_matrix).matrix,
        clones,
        local_weights["weights"],
        national_weights["weights"],
        settings.area_folder,
        rules_engine.get(),
        synthetic=settings.source_mode == "synthetic",
        workers=settings.workers,
    )
    failed = [result for result in measured.sanity if not result.passed]
    metadata = {
        "dagster/row_count": len(measured.areas),
        "sanity checks": len(measured.sanity),
        "sanity checks failed": len(failed),
        "files verified with the engine": ", ".join(measured.verified["area"].drop_duplicates()),
        "largest relative difference, matrix to engine": measured.max_relative_difference,
        "smallest effective sample size": float(measured.areas["ess"].min()),
    }
    return dg.MaterializeResult(value=measured, metadata=metadata)


@dg.asset_check(asset="area_metrics")
def matrix_equals_engine(area_metrics: Any) -> dg.AssetCheckResult:
    """For the sampled areas, every metric of the matrix is what Microsimulation computes on the file, within 1e-6."""
    from tessera.release.gate import INVARIANT_TOLERANCE

    seen = area_metrics.max_relative_difference
    metadata = {"largest relative difference": seen, "wanted": INVARIANT_TOLERANCE}
    return dg.AssetCheckResult(passed=seen <= INVARIANT_TOLERANCE, metadata=metadata)


@dg.asset_check(asset="area_metrics")
def area_files_are_sane(area_metrics: Any) -> dg.AssetCheckResult:
    """Every check of every area file passed."""
    failed = [result for result in area_metrics.sanity if not result.passed]
    shown = "; ".join(f"{result.area} {result.check}: {result.seen}" for result in failed[:10])
    return dg.AssetCheckResult(passed=not failed, metadata={"checks": len(area_metrics.sanity), "failed": shown})


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"pandas", "duckdb"})
def target_diagnostics(
    settings: Settings, calibration_matrix: Any, local_weights: Any, national_weights: Any
) -> dg.MaterializeResult:
    """Every target and what its area's file gives for it, as CSV and DuckDB; those without support, and why."""
    from tessera.diagnostics.areas import shipped_targets
    from tessera.diagnostics.plots import as_markdown_image, error_heat_map, share_within_bars
    from tessera.diagnostics.targets import summarise_targets, write_target_diagnostics
    from tessera.matrix.package import CalibrationPackage
    from tessera.targets.report import to_markdown

    matrix = CalibrationPackage.from_tree(calibration_matrix).matrix
    table = shipped_targets(matrix, local_weights["weights"], national_weights["weights"])
    unachievable = matrix.unachievable.rename(columns={"value": "target"})
    folder = settings.paths.assets / "diagnostics"
    write_target_diagnostics(table, folder, unachievable)
    summary = summarise_targets(table, unachievable)
    metadata = {
        "folder": dg.MetadataValue.path(str(folder)),
        "dagster/row_count": len(table),
        "unachievable": len(unachievable),
        "share within 1 %": summary.share_within_1,
        "share within 5 %": summary.share_within_5,
        "share within 10 %": summary.share_within_10,
        "by level": dg.MetadataValue.md(to_markdown(summary.by_level)),
        "worst": dg.MetadataValue.md(to_markdown(summary.worst)),
        "shares": dg.MetadataValue.md(as_markdown_image(share_within_bars(summary.by_level), "targets met by level")),
        "errors": dg.MetadataValue.md(as_markdown_image(error_heat_map(summary.heat_map), "errors by variable")),
    }
    return dg.MaterializeResult(value={"table": table, "unachievable": unachievable}, metadata=metadata)


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"html"})
def diagnostics_report(
    settings: Settings,
    area_metrics: Any,
    target_diagnostics: Any,
    clones: Any,
    local_weights: Any,
    national_weights: Any,
    local_fit_log: Any,
    national_fit_log: Any,
) -> dg.MaterializeResult:
    """The report of the run, one HTML page; gives the run the identity that its release will carry."""
    from tessera.release.identity import identity_of_content
    from tessera.release.provenance import source_entries
    from tessera.report.collect import RunFacts, collect_report
    from tessera.report.document import write_report

    facts = RunFacts(
        scale=settings.scale,
        source_mode=settings.source_mode,
        seed=settings.seed,
        minimum_within_10=settings.minimum_within_10,
        sources=source_entries(settings.paths),
        area_folder=settings.area_folder,
        identity=identity_of_content(settings.paths, area_metrics.content),
    )
    inputs = collect_report(
        facts,
        area_metrics,
        target_diagnostics["table"],
        target_diagnostics["unachievable"],
        clones.design_weight,
        {"local": local_weights["weights"], "national": national_weights["weights"]},
        {"local": local_fit_log["history"], "national": national_fit_log["history"]},
    )
    path = write_report(inputs, settings.paths.assets / "diagnostics" / "report.html")
    metadata = {
        "report": dg.MetadataValue.url(path.as_uri()),
        "run id": inputs.identity.run_id,
        "synthetic": inputs.synthetic,
        "gate": "passes" if inputs.gate is not None and inputs.gate.passed else "fails",
    }
    value = {"identity": inputs.identity, "report": str(path), "sources": inputs.sources, "synthetic": inputs.synthetic}
    return dg.MaterializeResult(value=value, metadata=metadata)
