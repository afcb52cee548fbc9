"""Calibration: the factored matrix, and the two fits with their logs."""

from collections.abc import Callable, Iterator
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
        epochs: 0 takes the scale's.
        lambda_l0: below 0 takes the preset's.
        seed: of the gates' noise.
    """

    epochs: int = 0
    lambda_l0: float = -1.0
    seed: int = 42


@dg.asset(group_name=GROUP, owners=OWNERS, kinds={"scipy", "numba"}, automation_condition=MATRIX_CONDITION)
def calibration_matrix(policy_targets: Any, clones: Any, state_values: Any) -> dg.MaterializeResult:
    """The factored calibration matrix: values of each clone, its district, and the sums that targets are."""
    from tessera.matrix.package import matrix_from_state_values
    from tessera.targets.report import to_markdown

    matrix = matrix_from_state_values(policy_targets, clones, state_values)
    listed = matrix.unachievable[["name", "value", "reason"]].head(100)
    metadata = {
        "targets": matrix.n_targets,
        "unachievable": len(matrix.unachievable),
        "clones": matrix.n_records,
        "metrics": matrix.n_metrics,
        "non-zeros of the value table": int(matrix.value_table.nnz),
        "unachievable targets": dg.MetadataValue.md(to_markdown(listed)),
    }
    return dg.MaterializeResult(value=matrix.to_tree(), metadata=metadata)


def _fit(matrix: Any, clones: Any, options: Any, name: str) -> Iterator[dg.Output[Any]]:
    from tessera.calibration.fit import fit
    from tessera.calibration.log import target_table
    from tessera.calibration.progress import progress_log
    from tessera.diagnostics.plots import as_markdown_image, loss_curve
    from tessera.diagnostics.weights import weights_health

    result = fit(matrix, clones.design_weight, options, progress=progress_log(f"{name} fit"))
    health = weights_health(result.weights, clones.design_weight, where=f"{name}_weights")
    within = float((target_table(matrix, result.weights)["abs_rel_error"] <= 0.1).mean())
    metadata = {
        "records": health.n_nonzero,
        "households represented": health.weight_sum,
        "effective sample size": health.ess,
        "design effect": health.design_effect,
        "share of targets within 10 %": within,
        "epochs": options.total_epochs,
        "seconds": result.seconds,
        "loss": dg.MetadataValue.md(as_markdown_image(loss_curve({name: result.history}), f"loss of the {name} fit")),
    }
    yield dg.Output({"weights": result.weights, "gates": result.gates}, f"{name}_weights", metadata=metadata)
    log = {"history": result.history, "targets": result.target_log, "options": options.as_dict()}
    yield dg.Output(log, f"{name}_fit_log", metadata={"dagster/row_count": len(result.history)})


def _fit_assets(name: str, epochs_of: Callable[[Any], int], description: str) -> dg.AssetsDefinition:
    """Weights and log of one preset's fit."""
    shared = {"group_name": GROUP, "owners": OWNERS, "kinds": {"numba"}}
    outs = {
        f"{name}_weights": dg.AssetOut(description=description, **shared),
        f"{name}_fit_log": dg.AssetOut(description=f"Loss history and target errors of the {name} fit.", **shared),
    }

    @dg.multi_asset(name=f"{name}_fit", outs=outs, pool="fit")
    def fit_assets(
        config: FitConfig,
        settings: Settings,
        accelerator: Accelerator,
        calibration_matrix: Any,
        clones: Any,
    ) -> Iterator[dg.Output[Any]]:
        from tessera.calibration.presets import fit_options
        from tessera.matrix.calibration_matrix import CalibrationMatrix

        epochs = config.epochs or epochs_of(settings.scale)
        options = fit_options(name, epochs, config.lambda_l0, config.seed, accelerator.device)
        yield from _fit(CalibrationMatrix.from_tree(calibration_matrix), clones, options, name)

    return fit_assets


local_fit = _fit_assets(
    "local",
    lambda scale: scale.local_epochs,
    "Weights of every clone by the local preset, dense enough for 435 districts; gates beside them.",
)
national_fit = _fit_assets(
    "national",
    lambda scale: scale.national_epochs,
    "Weights by the national preset, whose higher price of a record leaves fewer of them; gates beside them.",
)


@dg.asset_check(asset="local_weights", additional_ins={"calibration_matrix": dg.AssetIn("calibration_matrix")})
def local_targets_within_10_percent(
    settings: Settings, local_weights: Any, calibration_matrix: Any
) -> dg.AssetCheckResult:
    """The share of supported targets within 10 % is at least what a release needs."""
    from tessera.calibration.log import target_table
    from tessera.matrix.calibration_matrix import CalibrationMatrix

    table = target_table(CalibrationMatrix.from_tree(calibration_matrix), local_weights["weights"])
    share = float((table["abs_rel_error"] <= 0.1).mean())
    metadata = {"share within 10 %": share, "wanted": settings.minimum_within_10}
    return dg.AssetCheckResult(passed=share >= settings.minimum_within_10, metadata=metadata)
