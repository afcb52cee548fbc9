"""The fit and the calibration mode against l0-python: time, memory, loss, on the same matrix in the same run.

Usage: python benchmarks/fit.py [--problem small|standard|national|production] [--epochs N] [--peer-python PATH]
       [--peer-epochs N] [--threads N] [--record docs/performance.md] [--json]

    small       1,000 households x 40 clones, 20 metrics: a look, in seconds
    standard    10,000 x 20, 40 metrics, 19,520 targets, 12 M non-zeros of the matrix: the comparison
    national    12,000 x 430, 160 metrics, districts with targets of 20 of them: 50,000 records are kept
    production  12,000 x 430, 160 metrics, 78,080 targets, a billion non-zeros: ours alone

The problems are synthetic (`problems.py`). Each side runs in a process of its own, so that memory is counted beyond its
imports (`measure.py`, `peer_l0.py`). The peer's interpreter is --peer-python, or BENCH_PEER_PYTHON, or that of .peers,
which `make peers` makes. "ours" is the recipe with our falling learning rate and no polish, so that both take the same
number of steps; "published" the recipe without it. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.problems import factored_problem
from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.calibration.device import cuda_lack
from tessera.calibration.dual import calibrate
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.fit import fit
from tessera.calibration.presets import preset
from tessera.calibration.recipe.state import l2_factor
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.package import CalibrationPackage, write_package
from tessera.matrix.supports import nonzeros

ROOT = Path(__file__).resolve().parents[1]
# Households, clones of each, metrics, non-zero values of a household, metrics with district targets.
PROBLEMS = {
    "small": (1_000, 40, 20, 10, None),
    "standard": (10_000, 20, 40, 20, None),
    "national": (12_000, 430, 160, 70, 20),
    "production": (12_000, 430, 160, 70, None),
}
NATIONAL_RECORDS = 50_000
PRICES = {"lambda_l0": 1e-7, "lambda_l2": 1e-8, "beta": 0.65}  # of the recipe, local preset


def main() -> None:
    arguments = _arguments()
    households, clones, metrics, nonzeros, districts = PROBLEMS[arguments.problem]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        figures = _write_problem(folder, factored_problem(households, clones, metrics, nonzeros, 0,
                                                          district_metrics=districts), arguments)  # fmt: skip
        _fill_cache()
        figures |= _ours(folder, arguments)
        if not cuda_lack():
            cuda = _child(sys.executable, "measure.py", "cuda", folder, {**PRICES, "epochs": 100, "device": "cuda"})
            figures |= {f"cuda_{key}": value for key, value in cuda.items()}
        if figures["peer_python"]:
            peer = run_peer(figures["peer_python"], folder, arguments.peer_epochs)
            figures |= {f"peer_{key}": value for key, value in peer.items()}
    if "peer_epoch_s" in figures:
        figures |= {
            "ratio": figures["peer_epoch_s"] / figures["ours_epoch_s"],
            "memory_ratio": figures["ours_peak_mb"] / figures["peer_peak_mb"],
            "time_to_peer_loss_s": _time_to(figures["calibrate_path"], figures["peer_loss"]),
        }
        if figures["time_to_peer_loss_s"] is not None:
            figures["time_to_peer_loss_ratio"] = figures["peer_seconds"] / figures["time_to_peer_loss_s"]
    hand_out(figures, arguments, f"fit-{arguments.problem}", markdown)


def _time_to(path: list[list[float]], loss: float) -> float | None:
    """Seconds after which a run's loss is at or below one for good; None where it never is."""
    reached = next((at for at, (_, found) in enumerate(path) if all(later <= loss for _, later in path[at:])), None)
    return None if reached is None else path[reached][0]


def _write_problem(
    folder: Path, problem: tuple[CalibrationMatrix, np.ndarray], arguments: argparse.Namespace
) -> dict[str, Any]:
    """Store the problem for both sides; returns its size."""
    matrix, start = problem
    write_package(folder / "package.h5", CalibrationPackage(matrix, start, {"synthetic": True}))
    nnz_b, nnz_m = nonzeros(matrix)
    figures = {
        "problem": arguments.problem,
        "epochs": arguments.epochs,
        "clones": matrix.n_records,
        "targets": matrix.n_targets,
        "metrics": matrix.n_metrics,
        "nnz_b": nnz_b,
        "nnz_m": nnz_m,
        "peer_python": peer_python(arguments.peer_python) if arguments.problem in ("small", "standard") else None,
    }
    if figures["peer_python"]:
        store_for_peer(folder, matrix, start, np.arange(matrix.n_targets))
    return figures


def store_for_peer(folder: Path, matrix: CalibrationMatrix, start: np.ndarray, rows: np.ndarray) -> None:
    """Write what `peer_l0.py` reads: some rows of the matrix, their targets, and the initial weights."""
    from scipy.sparse import csr_matrix, save_npz

    save_npz(folder / "matrix.npz", csr_matrix(matrix.to_csr()[rows]).astype(np.float32))
    # The same objective on both sides: ours scales squared weights to those that the recipe was tuned with.
    scale = l2_factor(start, preset("local"))
    np.savez(folder / "vectors.npz", weights=start, target=matrix.target_values[rows], l2_factor=scale)


def run_peer(python: str, folder: Path, epochs: int) -> dict[str, Any]:
    """Figures of l0-python on a stored problem."""
    return _child(python, "peer_l0.py", folder, {**PRICES, "epochs": epochs})


def _fill_cache() -> None:
    """A tiny run of both modes, so that compiling counts neither as time nor as memory."""
    matrix, start = factored_problem(60, 8, 6, 3)
    fit(matrix, start, preset("local", epochs=2, polish_epochs=1))
    calibrate(matrix, start, DualOptions(records=200))


def _ours(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    threads = {"threads": arguments.threads}
    recipe = {**PRICES, "epochs": arguments.epochs, "polish_epochs": 0, "device": "cpu"} | threads
    fitted = _child(sys.executable, "measure.py", "fit", folder, recipe)
    tolerance = {"tolerance": arguments.tolerance} | threads
    figures = {f"ours_{key}": value for key, value in fitted.items()}
    if arguments.problem in ("small", "standard"):
        published = _child(sys.executable, "measure.py", "fit", folder, recipe | {"decay_share": 0.0})
        figures |= {f"published_{key}": value for key, value in published.items()}
    figures |= {
        f"calibrate_{k}": v for k, v in _child(sys.executable, "measure.py", "calibrate", folder, tolerance).items()
    }
    if arguments.problem == "national":
        budget = tolerance | {"records": NATIONAL_RECORDS}
        thinned = _child(sys.executable, "measure.py", "calibrate", folder, budget)
        figures |= {f"sparse_{key}": value for key, value in thinned.items()}
    return figures


def _child(python: str, script: str, *arguments: object) -> dict[str, Any]:
    return run_child([python, ROOT / "benchmarks" / script, *arguments])


def peer_python(named: str | None) -> str | None:
    """The interpreter that has l0-python, as the module says; None, with a word on standard error, if there is none."""
    default = ROOT / ".peers" / "bin" / "python"
    found = named or os.environ.get("BENCH_PEER_PYTHON") or (str(default) if default.exists() else None)
    if found is None:
        print("No peer: give --peer-python, set BENCH_PEER_PYTHON or run `make peers`.", file=sys.stderr)
    return found


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    sides = [
        ("l0-python", "peer"), ("the same recipe, ours", "published"), ("with a falling rate", "ours"),
        ("calibrate", "calibrate"),
    ]  # fmt: skip
    kept = [(name, side) for name, side in sides if f"{side}_seconds" in figures]
    if "sparse_seconds" in figures:
        kept.append((f"calibrate, {NATIONAL_RECORDS:,} records", "sparse"))
    rows = []
    for name, side in kept:
        value = {key.removeprefix(f"{side}_"): found for key, found in figures.items() if key.startswith(f"{side}_")}
        within = value["share_within"]
        epoch = f"{1000 * value['epoch_s']:,.1f} ms" if "epoch_s" in value else f"{value['iterations']} steps"
        rows.append([
            name, epoch, f"{value['seconds']:,.1f} s", f"{value['peak_mb']:,.0f} MB", f"{value['loss']:,.3g}",
            *(f"{within[p]:.1%}" for p in ("1", "5", "10")), f"{value['records']:,}",
        ])  # fmt: skip
    head = ["", "an epoch", "in all", "memory", "loss", "within 1 %", "5 %", "10 %", "records"]
    size = (
        f"{figures['clones']:,} clones, {figures['metrics']} metrics, {figures['targets']:,} targets, "
        f"{figures['nnz_b'] / 1e6:,.0f} M non-zeros of B, {figures['nnz_m'] / 1e6:,.0f} M of M"
    )
    epochs = f"{figures['epochs']:,} epochs. "
    ratio = (
        f"An epoch of ours takes 1/{figures['ratio']:,.0f} of the peer's time, and the fit "
        f"{figures['memory_ratio']:.1%} of its memory. "
        if "ratio" in figures
        else ""
    )
    if figures.get("time_to_peer_loss_ratio"):
        ratio += (
            f"The calibration mode is below the peer's final loss after {figures['time_to_peer_loss_s']:.2f} s, 1/"
            f"{figures['time_to_peer_loss_ratio']:,.0f} of the time that the peer takes for {figures['peer_epochs']:,} "
            "epochs. "
        )
    gpu = (
        f"On one {figures['cuda_name']} an epoch takes {1000 * figures['cuda_epoch_s']:.1f} ms, "
        f"{figures['cuda_ratio_to_floor']:.1f} times what its memory's bandwidth allows at least. "
        if "cuda_epoch_s" in figures
        else "No GPU was at hand: nothing here ran on one. "
    )
    return (
        f"## Fit: the {figures['problem']} problem\n\n{size}. {epochs}{ratio}{gpu}Memory is counted beyond the "
        f"imports, the problem included.\n\n{table(head, rows)}\n\n{machine()}. Written by "
        f"`benchmarks/fit.py --problem {figures['problem']} --record`."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", choices=tuple(PROBLEMS), default="standard")
    parser.add_argument("--epochs", type=int, default=None, help="of our fit; default: the peer's")
    parser.add_argument("--peer-epochs", type=int, default=30)
    parser.add_argument("--peer-python", default=None, help="interpreter that has l0-python")
    parser.add_argument("--tolerance", type=float, default=0.01, help="of the calibration mode")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--folder", default=None, help="where to write the problem; default: the system's")
    add_output_options(parser)
    arguments = parser.parse_args()
    if arguments.epochs is None:
        arguments.epochs = arguments.peer_epochs
    return arguments


if __name__ == "__main__":
    main()
