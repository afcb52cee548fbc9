"""Release: a gate that raises, a staged folder with its manifest, and the promoted, immutable version.

The gate is an asset and not a blocking check, because a blocking check does not hold back the runs of a backfill.
"""

from typing import Any

import dagster as dg

from resources.settings import Settings

GROUP = "release"
OWNERS = ["team:release"]


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"python"})
def release_gate(
    settings: Settings,
    diagnostics_report: Any,
    area_metrics: Any,
    target_diagnostics: Any,
) -> dg.MaterializeResult:
    """Every rule that a release must keep; fails the run with the rules that it breaks, and stages nothing."""
    from tessera.errors import ReleaseError
    from tessera.release.gate import gate_of, judged_content, require
    from tessera.release.identity import known_identity
    from tessera.targets.report import to_markdown

    if known_identity(settings.paths, area_metrics.content) != diagnostics_report["identity"]:
        raise dg.Failure(
            "release_gate: diagnostics_report describes other area files than area_metrics, or another commit. "
            "Materialise diagnostics_report again.",
            allow_retries=False,
        )
    gate = gate_of(area_metrics, target_diagnostics["table"], settings.area_folder, settings.minimum_within_10)
    rules = dg.MetadataValue.md(to_markdown(gate.as_table()))
    try:
        require(gate)
    except ReleaseError as error:
        raise dg.Failure(str(error), metadata={"rules": rules}, allow_retries=False) from error
    judged = judged_content(area_metrics, target_diagnostics, settings.minimum_within_10)
    value = {"gate": gate, "judged": judged, **diagnostics_report}
    return dg.MaterializeResult(value=value, metadata={"run id": diagnostics_report["identity"].run_id, "rules": rules})


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"python"})
def staged_release(
    settings: Settings, release_gate: Any, area_metrics: Any, target_diagnostics: Any
) -> dg.MaterializeResult:
    """Files and manifest of the run below staging/, each verified by sha256."""
    from tessera.release.assemble import release_files, release_manifest
    from tessera.release.gate import judged_content, require_judged
    from tessera.release.staging import stage

    content = judged_content(area_metrics, target_diagnostics, settings.minimum_within_10)
    require_judged(release_gate["judged"], content)
    run_id = release_gate["identity"].run_id
    files = release_files(area_metrics.areas, settings.area_folder, settings.paths.assets / "diagnostics")
    manifest = release_manifest(
        release_gate, files, area_metrics.areas, target_diagnostics, settings.scale, settings.source_mode, settings.seed
    )
    staged = stage(files, manifest, settings.paths.staging(run_id))
    metadata = {"folder": dg.MetadataValue.path(str(staged.folder)), "files": staged.n_files, "run id": run_id}
    return dg.MaterializeResult(value={"folder": str(staged.folder), "run_id": run_id}, metadata=metadata)


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"python"})
def promoted_release(settings: Settings, staged_release: Any) -> dg.MaterializeResult:
    """The release that `release/current` names: verified again, immutable, switched to in one step."""
    from pathlib import Path

    from tessera.release.promotion import promote
    from tessera.release.staging import verify_staged

    staged = verify_staged(Path(staged_release["folder"]))
    promoted = promote(staged, settings.paths.release, staged_release["run_id"])
    metadata = {"version": promoted.version, "folder": dg.MetadataValue.path(str(promoted.folder))}
    return dg.MaterializeResult(value={"version": promoted.version, "folder": str(promoted.folder)}, metadata=metadata)
