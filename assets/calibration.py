"""Calibration: the package (factored matrix, initial weights, provenance), and the two fits with their logs."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from resources.accelerator import Accelerator
from resources.settings import Settings

GROUP = "calibration"
OWNERS = ["team:calibration"]
MATRIX_CONDITION = (
    dg.AutomationCondition.any_deps_updated()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.any_deps_match(dg.AutomationCondition.backfill_in_progress())
    & ~dg.AutomationCondition.in_progress()
).with_label("when every state is there and none is under way")


class FitConfig(dg.Config):
    """Changes to a preset, for one run.

    Attributes:
        mode: `calibrate` (Newton on the dual of a distance to the design weights) or `recipe` (sampled gates, the
            published recipe); docs/performance.md compares them.
        records: record budget; 0 takes the preset's, which for national is the scale's.
        epochs: of mode recipe; 0 takes the scale's.
        lambda_l0: of mode recipe; below 0 takes the preset's.
        log_frequency: of mode recipe, epochs between entries of the target log; 0 logs the end only.
        seed: of every random number of the fit.
    """

    mode: str = "calibrate"
    records: int = 0
    epochs: int = 0
    lambda_l0: float = -1.0
    log_frequency: int = 0
    seed: int = 42


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"scipy", "numba"}, automation_condition=MATRIX_CONDITION)
def calibration_matrix(settings: Settings, policy_targets: Any, clones: Any, state_values: Any) -> dg.MaterializeResult:
    """The calibration package: values of each clone, its district, the sums that targets are, and design weights."""
    from tessera.matrix.building import build_package
    from tessera.matrix.supports import nonzeros
    from tessera.targets.report import to_markdown

    package = build_package(
        policy_targets, clones, state_values, scale=settings.scale, sources=settings.sources, seed=settings.seed
    )
    matrix = package.matrix
    nnz_b, nnz_m = nonzeros(matrix)
    listed = matrix.unachievable[["name", "value", "reason"]].head(100)
    metadata = {
        "targets": matrix.n_targets,
        "unachievable": len(matrix.unachievable),
        "clones": matrix.n_records,
        "metrics": matrix.n_metrics,
        "situations": package.provenance["situations"],
        "rows of the value table": int(matrix.value_table.shape[0]),
        "non-zeros of the value table": int(matrix.value_table.nnz),
        "non-zeros of B": nnz_b,
        "non-zeros of M": nnz_m,
        "provenance": dict(package.provenance),
        "unachievable targets": dg.MetadataValue.md(to_markdown(listed)),
    }
    return dg.MaterializeResult(value=package.to_tree(), metadata=metadata)


def _fit_assets(name: str, description: str) -> dg.AssetsDefinition:
    """Weights and log of one preset's fit."""
    weights, log = f"{name}_weights", f"{name}_fit_log"
    shared = {"group_name": GROUP, "owners": OWNERS, "kinds": {"numba", "torch"}}
    logged = f"Loss history, target errors and results by area and programme of the {name} fit."
    outs = {
        weights: dg.AssetOut(description=description, **shared),
        log: dg.AssetOut(description=logged, **shared),
    }

    @dg.multi_asset(name=f"{name}_fit", outs=outs, pool="gpu")
    def fit_assets(
        context: dg.AssetExecutionContext,
        config: FitConfig,
        settings: Settings,
        accelerator: Accelerator,
        calibration_matrix: Any,
    ) -> Iterator[dg.Output[Any]]:
        from tessera.calibration.outputs import log_tree, write_outputs
        from tessera.calibration.request import fit_request
        from tessera.matrix.package import CalibrationPackage

        package = CalibrationPackage.from_tree(calibration_matrix)
        request = fit_request(name, settings.scale, device=accelerator.device, **config.model_dump())
        folder = settings.paths.home / "fits" / name
        fitted = accelerator.fit(context, package, request, weights, folder)
        outcome = fitted.outcome
        written = write_outputs(package, outcome, folder / "weights.npy")
        metadata = {**_metadata(name, package, outcome), **fitted.metadata}
        yield dg.Output({"weights": outcome.weights, "gates": outcome.gates}, weights, metadata=metadata)
        files = {"dagster/row_count": len(outcome.history), "folder": dg.MetadataValue.path(str(written.folder))}
        yield dg.Output(log_tree(package, outcome), log, metadata=files)

    return fit_assets


def _metadata(name: str, package: Any, outcome: Any) -> dict[str, Any]:
    from tessera.calibration.outputs import figures
    from tessera.diagnostics.plots import as_markdown_image, loss_curve
    from tessera.diagnostics.weights import weights_health

    health = weights_health(outcome.weights, package.initial_weights, where=f"{name}_weights")
    found = figures(package, outcome)
    return {
        "mode": outcome.request.mode,
        "records": health.n_nonzero,
        "households represented": health.weight_sum,
        "effective sample size": health.ess,
        "design effect": health.design_effect,
        "share of the weight of the heaviest 1 %": health.top_1_share,
        "share of targets within 1 %": found["share_within_1_percent"],
        "share of targets within 5 %": found["share_within_5_percent"],
        "share of targets within 10 %": found["share_within_10_percent"],
        "steps": len(outcome.history),
        "seconds": outcome.seconds,
        "loss": dg.MetadataValue.md(as_markdown_image(loss_curve({name: outcome.history}), f"loss of the {name} fit")),
    }


local_fit = _fit_assets(
    "local", "Weights of every clone by the local preset, dense enough for 435 districts; gates beside them."
)
national_fit = _fit_assets(
    "national",
    "Weights of a smaller number of records, for fast national runs; gates beside them.",
)


@dg.asset_check(asset="local_weights", additional_ins={"calibration_matrix": dg.AssetIn("calibration_matrix")})
def local_targets_within_10_percent(
    settings: Settings, local_weights: Any, calibration_matrix: Any
) -> dg.AssetCheckResult:
    """The share of supported targets within 10 % is at least what a release needs."""
    from tessera.calibration.log import target_table
    from tessera.matrix.package import CalibrationPackage

    table = target_table(CalibrationPackage.from_tree(calibration_matrix).matrix, local_weights["weights"])
    share = float((table["abs_rel_error"] <= 0.1).mean())
    metadata = {"share within 10 %": share, "wanted": settings.minimum_within_10}
    return dg.AssetCheckResult(passed=share >= settings.minimum_within_10, metadata=metadata)
