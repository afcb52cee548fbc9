"""Every way to fit the same targets, side by side: what each hits, what it costs, and what it does to targets held out.

Usage: python benchmarks/modes.py [--package var/assets/calibration_matrix.h5] [--folds 3] [--peer-python PATH]
       [--peer-epochs 1000] [--record docs/performance.md] [--json]

Without --package the problem is a synthetic one of a demo's size (`problems.py`). Targets are dealt into ten folds;
each mode is fitted once for each of the first --folds folds, which it does not see, and figures are means over them.
The textbook estimators are restated below, in their usual form: the generalised regression estimator, exact and without
bounds, and raking ratio, target by target. l0-python, the published recipe's own library, is fitted on fold 0 only, in
an environment of its own (see `fit.py`). With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.fit import peer_python, run_peer, store_for_peer
from benchmarks.problems import factored_problem
from benchmarks.record import add_output_options, machine, table, write_section
from tessera.calibration.request import FitRequest
from tessera.calibration.run import run_fit
from tessera.calibration.target_weights import fold_of
from tessera.diagnostics.weights import weights_health
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.package import CalibrationPackage, read_package

FOLDS = 10
RECIPE = {"decay_share": 0.0, "polish_epochs": 0, "device": "cpu"}
Fit = Callable[[CalibrationPackage, int], np.ndarray]


def modes(n_records: int) -> dict[str, Fit]:
    """What is compared, by name: package and fold to weights."""
    half = n_records // 2
    return {
        "initial weights": lambda package, fold: package.initial_weights,
        "recipe, as published (1,000 epochs)": _ours("recipe", **RECIPE),
        "recipe, falling rate and polish": _ours("recipe", device="cpu"),
        f"the same, {half:,} records": _ours("recipe", device="cpu", records=half),
        "calibrate (chi-square)": _ours("calibrate"),
        "calibrate, tolerance 3 %": _ours("calibrate", tolerance=0.03),
        "calibrate, bounds 0.1 to 10": _ours("calibrate", lower=0.1, upper=10.0),
        "calibrate, entropy, tolerance 3 %": _ours("calibrate", distance="entropy", tolerance=0.03),
        "calibrate, logit, tolerance 3 %": _ours("calibrate", distance="logit", tolerance=0.03),
        f"calibrate, {half:,} records": _ours("calibrate", records=half),
        f"calibrate, {half // 2:,} records": _ours("calibrate", records=half // 2),
        "GREG, exact, no bounds": lambda package, fold: greg(*_kept(package, fold)),
        "raking ratio, 50 rounds": lambda package, fold: raking(*_kept(package, fold), rounds=50),
    }


def _ours(mode: str, **changes: Any) -> Fit:
    def weights(package: CalibrationPackage, fold: int) -> np.ndarray:
        held = {"holdout_folds": FOLDS, "holdout_fold": fold}
        return run_fit(package, FitRequest("local", mode, changes | held)).weights

    return weights


def _kept(package: CalibrationPackage, fold: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """M and y without the fold's targets, and the initial weights."""
    rows = np.flatnonzero(fold_of(package.matrix.targets, FOLDS) != fold)
    return package.matrix.to_csr()[rows], package.matrix.target_values[rows], package.initial_weights


def greg(matrix: Any, target: np.ndarray, design: np.ndarray) -> np.ndarray:
    """w = d (1 + M' l), (M D M') l = y - M d: the generalised regression estimator; the least-norm l where targets
    depend on each other or contradict (Deville and Sarndal 1992, case 1)."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.sparse import diags_array

    scaled = (diags_array(1 / (np.abs(target) + 1)) @ matrix).tocsr()
    system = (scaled @ diags_array(design) @ scaled.T).toarray()
    # Collinear targets (ages and persons) leave the system singular: as little ridge as makes it solvable.
    system[np.diag_indices(len(system))] += 1e-9 * system.diagonal().mean()
    factor = cho_factor(system, overwrite_a=True, check_finite=False)
    multipliers = cho_solve(factor, target / (np.abs(target) + 1) - scaled @ design, check_finite=False)
    return np.asarray(design * (1 + scaled.T @ multipliers))


def raking(matrix: Any, target: np.ndarray, design: np.ndarray, *, rounds: int) -> np.ndarray:
    """Raking ratio: each target in turn multiplies the weights of the records that it counts by target / estimate."""
    weights = design.copy()
    for _ in range(rounds):
        for row, wanted in enumerate(target):
            part = slice(matrix.indptr[row], matrix.indptr[row + 1])
            records, values = matrix.indices[part], matrix.data[part]
            estimate = values @ weights[records]
            if estimate * wanted > 0:
                weights[records] *= wanted / estimate
    return weights


def judge(package: CalibrationPackage, weights: np.ndarray, fold: int, seconds: float) -> dict[str, float]:
    """Figures of one fit."""
    matrix = package.matrix
    target = matrix.target_values
    error = np.abs(matrix.matvec(weights) - target) / np.where(target == 0, 1, np.abs(target))
    held = fold_of(matrix.targets, FOLDS) == fold
    health = weights_health(np.maximum(weights, 0), package.initial_weights)
    hits = {f"fitted {p} %": float(np.mean(error[~held] <= p / 100)) for p in (1, 5, 10)}
    hits |= {f"held out {p} %": float(np.mean(error[held] <= p / 100)) for p in (5, 10)}
    return hits | {
        "loss": float(np.sum(error[~held] ** 2)),
        "median held-out error": float(np.median(error[held])),
        "records": health.n_nonzero,
        "effective sample": health.ess,
        "negative": float(np.mean(weights < 0)),
        "seconds": seconds,
    }


def compare(package: CalibrationPackage, folds: int) -> pd.DataFrame:
    """A row a mode, means over the folds."""
    rows = {}
    for name, weights_of in modes(package.matrix.n_records).items():
        found = []
        for fold in range(folds):
            begun = time.perf_counter()
            weights = weights_of(package, fold)
            found.append(judge(package, weights, fold, time.perf_counter() - begun))
        rows[name] = pd.DataFrame(found).mean()
        print(f"{name:38} " + "  ".join(f"{key} {value:.4g}" for key, value in rows[name].items()), flush=True)
    return pd.DataFrame(rows).T


def compare_peer(package: CalibrationPackage, python: str, epochs: int) -> pd.Series:
    """The row of l0-python, on fold 0."""
    rows = np.flatnonzero(fold_of(package.matrix.targets, FOLDS) != 0)
    with tempfile.TemporaryDirectory() as folder:
        store_for_peer(Path(folder), package.matrix, package.initial_weights, rows)
        figures = run_peer(python, Path(folder), epochs)
        weights = np.load(Path(folder) / "weights.npy")
    return pd.Series(judge(package, weights.astype(np.float64), 0, figures["seconds"]))


def markdown(package: CalibrationPackage, found: pd.DataFrame, folds: int, source: str) -> str:
    """The table for the document."""
    matrix: CalibrationMatrix = package.matrix
    share = [column for column in found if column.endswith("%")]
    columns = ["mode", *share, "median held-out error", "records", "effective sample", "weights below 0", "seconds"]
    rows = [
        [
            str(name), *(f"{row[column]:.1%}" for column in share), f"{row['median held-out error']:.1%}",
            f"{row['records']:,.0f}", f"{row['effective sample']:,.0f}", f"{row['negative']:.1%}",
            f"{row['seconds']:.1f}",
        ]
        for name, row in found.iterrows()
    ]  # fmt: skip
    return (
        f"## Modes of the fit\n\n{source}: {matrix.n_records:,} records, {matrix.n_targets:,} targets. Shares of the "
        f"targets within so many percent; means over {folds} of {FOLDS} folds held out in turn (l0-python: one fold).\n"
        f"\n{table(columns, rows)}\n\n{machine()}. Written by `benchmarks/modes.py --record`."
    )


def main() -> None:
    arguments = _arguments()
    if arguments.package is None:
        matrix, design = factored_problem(500, 100, 71, 13, district_metrics=20)
        package, source = CalibrationPackage(matrix, design, {"synthetic": True}), "A generated problem"
    else:
        package, source = read_package(arguments.package), f"The package of a {arguments.scale} run (synthetic sources)"
    found = compare(package, arguments.folds)
    python = peer_python(arguments.peer_python)
    if python is not None:
        found.loc[f"l0-python ({arguments.peer_epochs:,} epochs)"] = compare_peer(
            package, python, arguments.peer_epochs
        )
    if arguments.record is not None:
        write_section(arguments.record, "modes", markdown(package, found, arguments.folds, source))
    if arguments.json:
        print(json.dumps(found.to_dict(orient="index")))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=None)
    parser.add_argument("--scale", default="demo", help="of the package, for the caption")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--peer-python", default=None)
    parser.add_argument("--peer-epochs", type=int, default=1000)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
