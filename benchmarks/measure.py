"""One measured run in a process of its own: seconds, memory beyond the imports, and the loss that a fit reaches.

Usage: python benchmarks/measure.py fit|calibrate|cuda FOLDER OPTIONS

FOLDER holds package.h5; OPTIONS are those of the mode as JSON, with `threads` for the processors. Compiled code comes
from the cache, which `benchmarks/fit.py` fills, and is loaded before the clock starts. Peak memory counts everything
after the imports: reading the problem, its factors, the fit. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tessera.calibration.dual
import tessera.calibration.fit
import tessera.calibration.newton.sparsify  # noqa: F401
from benchmarks.memory import peak_mb
from benchmarks.problems import factored_problem
from tessera.calibration.dual import calibrate
from tessera.calibration.dual_options import DualOptions
from tessera.calibration.fit import fit
from tessera.calibration.log import target_table
from tessera.calibration.options import FitOptions
from tessera.diagnostics.weights import weights_health
from tessera.matrix.package import read_package


def measure(mode: str, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Figures of one run."""
    before = peak_mb()
    _warm_up(mode)
    package = read_package(folder / "package.h5")
    matrix, start = package.matrix, package.initial_weights
    _ = matrix.layout, matrix.table  # what every fit needs is made once, and belongs to the problem
    begun = time.perf_counter()
    if mode == "fit":
        settings = FitOptions(**options)
        result: Any = fit(matrix, start, settings)
        per_step = {"epoch_s": _epoch_seconds(matrix, start, settings)}
    elif mode == "cuda":
        return cuda_epoch(matrix, start, FitOptions(**options))
    else:
        result = calibrate(matrix, start, DualOptions(**options))
        per_step = {
            "iterations": len(result.history) - 1,
            "dual_gradient": float(result.history["dual_gradient"].iloc[-1]),
            "converged": result.converged,
            "path": result.history[["seconds", "loss"]].to_numpy().tolist(),
        }
    seconds = time.perf_counter() - begun
    table = target_table(matrix, result.weights)
    error = table["abs_rel_error"].to_numpy()
    target = np.abs(table["target"].to_numpy())
    health = weights_health(result.weights, start)
    return per_step | {
        "seconds": result.seconds,
        "seconds_with_set_up": seconds,
        "peak_mb": peak_mb() - before,
        "loss": float(np.sum((table["error"].to_numpy() / (target + 1)) ** 2)),
        "share_within": {str(p): float(np.mean(error <= p / 100)) for p in (1, 5, 10)},
        "records": health.n_nonzero,
        "effective_sample_size": health.ess,
    }


def cuda_epoch(matrix: Any, start: np.ndarray, options: FitOptions) -> dict[str, Any]:
    """Seconds of an epoch on the GPU against what its memory's bandwidth allows at least."""
    import torch

    from tessera.calibration.gpu.bandwidth import copy_bandwidth, epoch_floor
    from tessera.calibration.gpu.torch_epochs import TorchEpochs

    with TorchEpochs(matrix, start, options, "cuda") as epochs:
        state = epochs.begin()
        for _ in range(5):
            epochs.advance(state)
        begun = time.perf_counter()
        for _ in range(20):
            epochs.advance(state)
        seconds = (time.perf_counter() - begun) / 20
    floor = epoch_floor(matrix, copy_bandwidth("cuda"))
    peak = torch.cuda.max_memory_allocated() / 2**20
    return {
        "name": torch.cuda.get_device_name(), "epoch_s": seconds, "floor_s": floor, "ratio_to_floor": seconds / floor,
        "peak_mb": peak,
    }  # fmt: skip


def _warm_up(mode: str) -> None:
    """Load the compiled code by a tiny run, so that its time, a second or two, does not count; its memory does."""
    matrix, start = factored_problem(60, 8, 6, 3)
    if mode == "fit":
        fit(matrix, start, FitOptions(epochs=2, polish_epochs=1, device="cpu"))
    else:
        calibrate(matrix, start, DualOptions(records=200, max_iterations=3))


def _epoch_seconds(matrix: Any, start: np.ndarray, options: FitOptions) -> float:
    """Seconds of an epoch in full run, without what a fit does once; the median of the later half."""
    from tessera.calibration.recipe.epochs import Epochs

    times = []
    with Epochs(matrix, start, options) as epochs:
        state = epochs.begin()
        for _ in range(min(options.epochs, 40) - 1):
            begun = time.perf_counter()
            epochs.advance(state)
            times.append(time.perf_counter() - begun)
    return float(np.median(times[len(times) // 2 :]))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))))
