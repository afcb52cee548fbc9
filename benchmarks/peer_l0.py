"""One measured run of l0-python on a stored problem, in the peer's own environment. Imports nothing of Tessera.

Usage: python benchmarks/peer_l0.py FOLDER OPTIONS

FOLDER holds matrix.npz (the calibration matrix in CSR, float32) and vectors.npz (target, weights, l2_factor).
The first epoch, in which the library converts the matrix, counts in `seconds` but not in `epoch_s`. The loss is the
relative one at the final gates, whose weights go to weights.npy. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from l0.calibration import SparseCalibrationWeights


def peak_mb() -> float:
    """Largest memory of this process so far, MB. Not getrusage's, which counts the parent's from before exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(folder: str, options: dict[str, Any]) -> dict[str, Any]:
    """Figures of one run."""
    before = peak_mb()
    matrix = sp.load_npz(folder + "/matrix.npz")
    data = np.load(folder + "/vectors.npz")
    model = SparseCalibrationWeights(
        n_features=matrix.shape[1], beta=options["beta"], gamma=-0.1, zeta=1.1, init_keep_prob=0.999,
        init_weights=data["weights"].astype(np.float32), log_weight_jitter_sd=0.05, log_alpha_jitter_sd=0.01,
        device="cpu",
    )  # fmt: skip
    run = {
        "M": matrix, "y": data["target"], "lambda_l0": options["lambda_l0"],
        "lambda_l2": options["lambda_l2"] * float(data["l2_factor"]),
        "lr": 0.15, "loss_type": "relative", "verbose": False,
    }  # fmt: skip
    start = time.perf_counter()
    model.fit(epochs=1, **run)
    first = time.perf_counter() - start
    start = time.perf_counter()
    model.fit(epochs=options["epochs"] - 1, **run)
    seconds = time.perf_counter() - start
    error = (model.predict(matrix).detach().numpy() - data["target"]) / (np.abs(data["target"]) + 1)
    size = np.abs(error)
    np.save(folder + "/weights.npy", model.get_weights(deterministic=True).detach().numpy())
    return {
        "epoch_s": seconds / (options["epochs"] - 1),
        "seconds": first + seconds,
        "epochs": options["epochs"],
        "peak_mb": peak_mb() - before,
        "loss": float((error**2).sum()),
        "share_within": {str(p): float(np.mean(size <= p / 100)) for p in (1, 5, 10)},
        "records": int(model.get_active_weights()["count"]),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
