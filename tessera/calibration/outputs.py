"""What a fit leaves behind, as tables and files: the same for the command line and for the assets.

Holds no fit. Files, in the folder of the weights file W.npy that is asked for:

    W.npy                      weights, float64, shape (n_records,), in households
    W_gates.npy                final gates, float64, shape (n_records,)
    calibration_log.csv        every target at every logged step
    unified_diagnostics.csv    every target at the end
    fit_result.h5              weights, gates, and the targets as a tree by level, area and programme
    fit_history.csv            a row a step
    duals.csv, conflicts.csv   in mode calibrate
    unified_run_config.json    mode, settings, package, figures, sha256 of every file above

Targets that no weights can reach are in the tables with `achievable` False. Their estimates are those of the weights
too, where they are known: 0 where no clone has a value, and at the end of the fit always; at earlier steps a target
whose values all have the wrong sign has none (an empty field).
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tessera import __version__
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.calibration.run import FitOutcome
from tessera.calibration.target_weights import held_out
from tessera.matrix.aggregation import aggregation_matrix
from tessera.matrix.calibration_matrix import WRONG_SIGN, CalibrationMatrix
from tessera.matrix.metrics import compile_metrics
from tessera.matrix.package import CalibrationPackage
from tessera.store import atomic_path, sha256_of, write_text

FloatArray = npt.NDArray[np.float64]
LOG_COLUMNS = (
    "target_name", "estimate", "target", "epoch", "error", "rel_error", "abs_error", "rel_abs_error", "loss",
    "achievable",
)  # fmt: skip
DIAGNOSTIC_COLUMNS = ("target", "true_value", "estimate", "rel_error", "abs_rel_error", "achievable")
_LEVELS = (0.01, 0.05, 0.10)


@dataclass(frozen=True)
class Written:
    """Files of a fit: role -> path, in the order of writing; the run configuration is the last."""

    files: Mapping[str, Path]

    @property
    def folder(self) -> Path:
        """The folder that they are in."""
        return self.files["weights"].parent


def log_table(package: CalibrationPackage, outcome: FitOutcome) -> pd.DataFrame:
    """Every target at every logged step, supported ones first: columns `LOG_COLUMNS`.

    error = estimate - target, rel_error = error / |target| (of a target of 0 the error itself), loss = the target's
    squared error over its scale in the loss, before any weighting by groups.
    """
    epochs = outcome.target_log["epoch"].unique()
    known = outcome.target_log[["name", "estimate", "target", "epoch"]].rename(columns={"name": "target_name"})
    parts = [known.assign(achievable=True)]
    hopeless = package.matrix.unachievable
    if len(hopeless):
        last = estimates(package.matrix, hopeless, outcome.weights)
        before = np.where(hopeless["reason"] == WRONG_SIGN, np.nan, 0.0)
        for epoch in epochs:
            estimate = last if epoch == epochs[-1] else before
            columns = {
                "target_name": hopeless["name"],
                "estimate": estimate,
                "target": hopeless["value"],
                "epoch": epoch,
            }
            parts.append(pd.DataFrame(columns).assign(achievable=False))
    table = pd.concat(parts, ignore_index=True)
    table["error"] = table["estimate"] - table["target"]
    table["rel_error"] = table["error"] / np.where(table["target"] == 0, 1.0, np.abs(table["target"]))
    table["abs_error"], table["rel_abs_error"] = table["error"].abs(), table["rel_error"].abs()
    table["loss"] = (table["error"] / _scale(table["target"].to_numpy(), outcome)) ** 2
    table = table.sort_values("epoch", kind="stable", ignore_index=True)
    return table[list(LOG_COLUMNS)]


def diagnostics_table(package: CalibrationPackage, weights: FloatArray) -> pd.DataFrame:
    """Every target at given weights, unachievable ones last: columns `DIAGNOSTIC_COLUMNS`."""
    matrix = package.matrix
    names = [*matrix.targets["name"], *matrix.unachievable["name"]]
    true = np.concatenate([matrix.target_values, matrix.unachievable["value"].to_numpy(dtype=np.float64)])
    found = np.concatenate([matrix.matvec(weights), estimates(matrix, matrix.unachievable, weights)])
    relative = (found - true) / np.where(true == 0, 1.0, np.abs(true))
    achievable = np.arange(len(true)) < matrix.n_targets
    columns = (names, true, found, relative, np.abs(relative), achievable)
    return pd.DataFrame(dict(zip(DIAGNOSTIC_COLUMNS, columns, strict=True)))


def estimates(matrix: CalibrationMatrix, targets: pd.DataFrame, weights: FloatArray) -> FloatArray:
    """Estimates of any targets whose metrics the matrix holds, shape (n,); NaN where it does not hold the metric."""
    if targets.empty:
        return np.empty(0)
    metrics = compile_metrics(targets)
    place = {metric: number for number, metric in enumerate(matrix.metric_ids)}
    columns = np.array([place.get(metric, -1) for metric in metrics.ids], dtype=np.int64)
    totals = matrix.cell_values(weights)
    chosen = np.where(columns >= 0, totals[:, columns], np.nan)
    names = targets["name"].to_list()
    rows = aggregation_matrix(metrics, [int(code) for code in matrix.cells], names, matrix.cell_city)
    found: FloatArray = np.asarray(rows @ np.nan_to_num(chosen).ravel())
    found[columns[metrics.metric_of_target] < 0] = np.nan
    return found


def result_tree(package: CalibrationPackage, outcome: FitOutcome) -> dict[str, Any]:
    """Weights, gates and targets by geography and programme.

    Returns:
        {"targets": {level: {area: {variable: DataFrame}}}, "weights", "gates"}: the tables have the target's name as
        their index and the columns target, estimate, rel_error, achievable.
    """
    matrix = package.matrix
    everything = pd.concat([matrix.targets, matrix.unachievable], ignore_index=True)
    measured = diagnostics_table(package, outcome.weights)
    table = pd.DataFrame(
        {
            "target": measured["true_value"].to_numpy(),
            "estimate": measured["estimate"].to_numpy(),
            "rel_error": measured["rel_error"].to_numpy(),
            "achievable": measured["achievable"].to_numpy(),
        },
        index=pd.Index(everything["name"].astype(str), name="name"),
    )
    tree: dict[str, dict[str, dict[str, pd.DataFrame]]] = {}
    keys = [everything[column].astype(str).to_numpy() for column in ("geo_level", "geo_id", "variable")]
    for (level, area, variable), rows in table.groupby(keys, sort=False):
        tree.setdefault(str(level), {}).setdefault(str(area), {})[str(variable)] = rows
    return {"targets": tree, "weights": outcome.weights, "gates": outcome.gates}


def log_tree(package: CalibrationPackage, outcome: FitOutcome) -> dict[str, Any]:
    """What is kept of a fit beside its weights, as a tree: history, target tables, results by area, settings."""
    return {
        "history": outcome.history,
        "targets": outcome.target_log,
        "result": result_tree(package, outcome)["targets"],
        "options": {"mode": outcome.request.mode, "preset": outcome.request.preset, **outcome.request.settings()},
        "tables": dict(outcome.tables),
        "package_sha256": package.sha256,
    }


def figures(package: CalibrationPackage, outcome: FitOutcome) -> dict[str, float | int]:
    """The fit in a few numbers: targets met (fitted, and held out), records kept, effective sample size (Kish 1965)."""
    matrix, options, weights = package.matrix, outcome.request.options, outcome.weights
    error = target_table(matrix, weights)["abs_rel_error"].to_numpy()
    out = held_out(matrix.targets, options.holdout_folds, options.holdout_fold)
    kept = int(np.count_nonzero(weights))
    return {
        "targets": int((~out).sum()),
        "unachievable": len(matrix.unachievable),
        **_shares("", error[~out]),
        **({"held_out_targets": int(out.sum()), **_shares("held_out_", error[out])} if out.any() else {}),
        "records": kept,
        "households": float(weights.sum()),
        "effective_sample_size": float(weights.sum() ** 2 / np.sum(weights**2)) if kept else 0.0,
    }


def _shares(prefix: str, error: FloatArray) -> dict[str, float]:
    shares = {f"{prefix}share_within_{round(100 * level)}_percent": float(np.mean(error <= level)) for level in _LEVELS}
    return {**shares, f"{prefix}mean_abs_rel_error": float(error.mean())}


def write_outputs(
    package: CalibrationPackage, outcome: FitOutcome, output: Path, facts: Mapping[str, Any] | None = None
) -> Written:
    """Write every file of a fit, each atomically, the run configuration last.

    Args:
        package: what was fitted, with the targets that were chosen.
        outcome: of `run_fit`.
        output: the weights file; the others go beside it, over those of an earlier fit.
        facts: more for the run configuration, by name: plain values.

    Raises:
        StorageError: a file that cannot be written.
    """
    from tessera.pytree.io import dump_tree

    folder = output.parent
    files = {"weights": output, "gates": output.with_name(f"{output.stem}_gates.npy")}
    _save_array(output, outcome.weights)
    _save_array(files["gates"], outcome.gates)
    tables = {
        "calibration_log": log_table(package, outcome),
        "unified_diagnostics": diagnostics_table(package, outcome.weights),
        "fit_history": outcome.history,
        **outcome.tables,
    }
    for name, table in tables.items():
        files[name] = folder / f"{name}.csv"
        _save_table(files[name], table)
    files["fit_result"] = folder / "fit_result.h5"
    dump_tree(result_tree(package, outcome), files["fit_result"])
    files["run_config"] = folder / "unified_run_config.json"
    config = run_config(package, outcome, {role: path for role, path in files.items() if role != "run_config"}, facts)
    write_text(files["run_config"], json.dumps(config, indent=1) + "\n")
    return Written(files)


def run_config(
    package: CalibrationPackage,
    outcome: FitOutcome,
    files: Mapping[str, Path],
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What was fitted, with which settings, and what came of it, as plain values."""
    return {
        "schema_version": 1,
        "mode": outcome.request.mode,
        "preset": outcome.request.preset,
        "options": outcome.request.settings(),
        "package": {"sha256": package.sha256, "provenance": dict(package.provenance)},
        "fingerprint": outcome.fingerprint,
        "figures": figures(package, outcome),
        "device": outcome.device,
        "seconds": outcome.seconds,
        "versions": {"tessera": __version__, "python": platform.python_version(), "numpy": np.__version__},
        "artifacts": {
            role: {"file": path.name, "sha256": sha256_of(path), "bytes": path.stat().st_size}
            for role, path in files.items()
        },
        **(facts or {}),
    }


def _scale(target: FloatArray, outcome: FitOutcome) -> FloatArray | float:
    """What errors are divided by in the loss; mode calibrate reports the relative loss of the recipe."""
    options = outcome.request.options
    squared = isinstance(options, FitOptions) and options.loss == "squared"
    return 1.0 if squared else np.abs(target) + options.relative_floor


def _save_array(path: Path, array: FloatArray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def _save_table(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False)
