"""Time, memory and quality of the L0 fit on a generated problem, against l0-python where it can be imported.

Usage: python benchmarks/fit.py [--households 500] [--clones 100] [--epochs 50] [--preset local] [--json]
       [--peer-python PATH [--peer-epochs 5]]

The problem is synthetic throughout: households with members in 18 age groups, SNAP receipt and incomes, cloned over
the 436 districts; targets of 19 metrics for districts (of all, with extra metrics), of all metrics for states and the
nation, from another draw of weights, with 1 % disagreement between levels. The peer runs in an interpreter of its own
on the same matrix, its loss being that after its own epochs. Peak memory is what a run adds to its process's peak
after the imports and the problem. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tessera.calibration.fit import FitResult, fit
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.calibration.presets import preset
from tessera.diagnostics.weights import weights_health
from tessera.geography import areas
from tessera.matrix.calibration_matrix import CalibrationMatrix, build
from tessera.matrix.metrics import compile_metrics
from tessera.random import generator

AGE_GROUPS = 18
AMOUNTS = ("employment_income", "adjusted_gross_income", "social_security", "snap", "income_tax")
_AGE_SHARES = np.array([56, 59, 61, 64, 66, 67, 70, 69, 67, 62, 61, 60, 64, 59, 50, 40, 27, 18], dtype=float)

_PEER = """
import json, resource, sys, time
import numpy as np, scipy.sparse as sp
from l0.calibration import SparseCalibrationWeights
folder, epochs = sys.argv[1], int(sys.argv[2])
options = json.loads(sys.argv[3])
matrix = sp.load_npz(folder + "/matrix.npz").astype(np.float32)
data = np.load(folder + "/vectors.npz")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = SparseCalibrationWeights(n_features=matrix.shape[1], beta=options["beta"], gamma=-0.1, zeta=1.1,
    init_keep_prob=0.999, init_weights=data["weights"].astype(np.float32), log_weight_jitter_sd=0.05,
    log_alpha_jitter_sd=0.01, device="cpu")
run = dict(M=matrix, y=data["target"], lambda_l0=options["l0"], lambda_l2=options["l2"], lr=0.15,
    loss_type="relative", verbose=False)
model.fit(epochs=1, **run)
start = time.perf_counter()
model.fit(epochs=epochs, **run)
seconds = (time.perf_counter() - start) / epochs
error = (model.predict(matrix).detach().numpy() - data["target"]) / (np.abs(data["target"]) + 1)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"peer_epoch_s": seconds, "peer_peak_mb": peak / 1024, "peer_loss": float((error**2).sum())}))
"""


def problem(households: int, clones: int, extra_metrics: int, seed: int) -> tuple[CalibrationMatrix, np.ndarray]:
    """A synthetic matrix of households * clones records, and its initial weights."""
    rng = generator("benchmark/fit", seed)
    table = _household_values(households, extra_metrics, rng)
    cells = np.array(areas.stratum_districts())
    places = np.argsort(rng.random((households, len(cells)), dtype=np.float32), axis=1)[:, :clones]
    if clones > len(cells):
        places = rng.integers(0, len(cells), (households, clones))
    cell = np.ascontiguousarray(places.T).ravel()
    value_row = np.tile(np.arange(households), clones)
    survey = rng.lognormal(0, 0.5, households)
    weights = np.tile(survey, clones)
    weights *= 132e6 / weights.sum()
    true_totals = _true_totals(table, cell, value_row, weights, len(cells), rng)
    return _assemble(table, true_totals, value_row, cell, cells, extra_metrics, rng), weights


def _household_values(households: int, extra: int, rng: np.random.Generator) -> np.ndarray:
    size = rng.choice([1, 2, 3, 4, 5, 6], households, p=[0.28, 0.35, 0.15, 0.13, 0.06, 0.03])
    shares = _AGE_SHARES / _AGE_SHARES.sum()
    table = np.zeros((households, AGE_GROUPS + 1 + len(AMOUNTS) + extra))
    centre = rng.choice(np.arange(4, AGE_GROUPS), households, p=shares[4:] / shares[4:].sum())
    for member in range(6):
        adult = np.clip(np.rint(centre + rng.normal(0, 1, households)), 4, AGE_GROUPS - 1)
        child = np.clip(centre - 5 - rng.integers(0, 3, households), 0, 5)
        group = np.where(member < 2, adult, child).astype(int)
        present = np.flatnonzero(member < size)
        np.add.at(table, (present, group[present]), 1.0)
    income = rng.lognormal(10.8, 1.0, households) * (rng.random(households) < 0.8)
    poor = rng.random(households) < np.where(income < 30000, 0.35, 0.03)
    old = table[:, 13:AGE_GROUPS].sum(axis=1)
    table[:, AGE_GROUPS] = poor
    table[:, AGE_GROUPS + 1 : AGE_GROUPS + 6] = np.stack(
        [income, income * 0.9 + old * 9000, old * 19000, poor * 4000 * np.sqrt(size), np.maximum(income - 30000, 0) / 6]
    ).T
    if extra:
        table[:, -extra:] = rng.lognormal(8, 1, (households, extra)) * (rng.random((households, extra)) < 0.4)
    return table


def _true_totals(
    table: np.ndarray, cell: np.ndarray, row: np.ndarray, weights: np.ndarray, n_cells: int, rng: np.random.Generator
) -> np.ndarray:
    """Totals of each cell under other weights: districts differ in size, age, poverty and income."""
    scores = rng.normal(0, 1, (n_cells, 3)) * [0.10, 0.35, 0.25]
    trait = np.stack([table[:, 13:AGE_GROUPS].sum(1) - 0.4, table[:, AGE_GROUPS], table[:, AGE_GROUPS + 1] / 1e5])
    tilt = np.exp(np.clip(np.einsum("ij,ji->i", scores[cell], trait[:, row]), -2, 2) + rng.normal(0, 0.3, len(cell)))
    true = weights * tilt
    size = np.bincount(cell, weights=true * table[row, :AGE_GROUPS].sum(axis=1), minlength=n_cells)
    true *= (rng.normal(765e3, 25e3, n_cells) / np.maximum(size, 1))[cell]
    totals = np.zeros((n_cells, table.shape[1]))
    for metric in range(table.shape[1]):
        totals[:, metric] = np.bincount(cell, weights=true * table[row, metric], minlength=n_cells)
    return totals


def _assemble(
    table: np.ndarray, totals: np.ndarray, row: np.ndarray, cell: np.ndarray, cells: np.ndarray, extra: int,
    rng: np.random.Generator,
) -> CalibrationMatrix:  # fmt: skip
    from scipy.sparse import csr_array

    ages = [("person_count", f'[["age",">=",{5 * g}],["age","<",{5 * g + 5}]]') for g in range(AGE_GROUPS)]
    amounts = [(name, "[]") for name in (*AMOUNTS, *(f"synthetic_amount_{i}" for i in range(extra)))]
    kinds = [*ages, ("household_count", '[["snap",">",0]]'), *amounts]
    state = cells // 100
    rows: list[tuple[Any, ...]] = []
    for metric, (variable, constraints) in enumerate(kinds):
        noise = np.exp(rng.normal(0, 0.01, 1 + 99))
        column = totals[:, metric]
        rows.append(("national", "US", variable, constraints, column.sum() * noise[99]))
        for s in areas.states():
            rows.append(("state", s.usps, variable, constraints, column[state == s.fips].sum() * noise[s.fips]))
        if metric <= AGE_GROUPS or extra:
            districts = zip(cells, column, strict=True)
            rows += [("district", areas.district_key(c), variable, constraints, v) for c, v in districts]
    targets = pd.DataFrame(rows, columns=["geo_level", "geo_id", "variable", "constraints", "value"])
    targets["name"] = targets["geo_id"] + "/" + targets["variable"] + targets["constraints"]
    return build(targets, compile_metrics(targets), csr_array(table), row, cell, cells)


def measure(matrix: CalibrationMatrix, weights: np.ndarray, options: FitOptions) -> tuple[dict[str, Any], FitResult]:
    """Figures of our fit; a tiny fit first, so that compiling counts neither as an epoch nor as memory of the fit."""
    cold = time.perf_counter()
    fit(*problem(20, 20, 0, 0), preset("local", epochs=1, polish_epochs=0))
    cold = time.perf_counter() - cold
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = fit(matrix, weights, options)
    error = target_table(matrix, result.weights)["abs_rel_error"].to_numpy()
    health = weights_health(result.weights)
    figures = {
        "records": matrix.n_records,
        "targets": matrix.n_targets,
        "values": int(np.diff(matrix.value_table.indptr)[matrix.value_row].sum()),
        "first_call_s": cold,
        "ours_epoch_s": result.seconds / options.total_epochs,
        "ours_seconds": result.seconds,
        "ours_peak_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "ours_loss": float(np.sum(error**2)),
        "share_within": {str(p): float(np.mean(error <= p / 100)) for p in (1, 5, 10)},
        "nonzero": health.n_nonzero,
        "effective_sample_size": health.ess,
    }
    return figures, result


def measure_peer(
    python: str, matrix: CalibrationMatrix, weights: np.ndarray, options: FitOptions, epochs: int
) -> dict[str, Any]:
    """Figures of l0-python on the same matrix in its own interpreter, or why there are none."""
    from scipy.sparse import csr_matrix, save_npz

    with tempfile.TemporaryDirectory() as folder:
        save_npz(Path(folder) / "matrix.npz", csr_matrix(matrix.to_csr()))
        np.savez(Path(folder) / "vectors.npz", weights=weights, target=matrix.target_values)
        settings = json.dumps({"beta": options.beta, "l0": options.lambda_l0, "l2": options.lambda_l2})
        command = [python, "-c", _PEER, folder, str(epochs), settings]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"peer": f"l0-python did not run in {python}: {done.stderr.strip().splitlines()[-1:]}"}
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures | {"peer_epochs": epochs + 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--households", type=int, default=500)
    parser.add_argument("--clones", type=int, default=100)
    parser.add_argument("--extra-metrics", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=None, help="default: the preset's")
    parser.add_argument("--polish-epochs", type=int, default=None)
    parser.add_argument("--preset", choices=("local", "national"), default="local")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer-python", default=None, help="interpreter that has l0-python")
    parser.add_argument("--peer-epochs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    chosen = {"epochs": arguments.epochs, "polish_epochs": arguments.polish_epochs, "threads": arguments.threads}
    options = preset(arguments.preset, **{name: value for name, value in chosen.items() if value is not None})
    matrix, weights = problem(arguments.households, arguments.clones, arguments.extra_metrics, arguments.seed)
    figures, _ = measure(matrix, weights, options)
    if arguments.peer_python:
        figures |= measure_peer(arguments.peer_python, matrix, weights, options, arguments.peer_epochs)
        if "peer_epoch_s" in figures:
            figures["ratio"] = figures["peer_epoch_s"] / figures["ours_epoch_s"]
    if arguments.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
