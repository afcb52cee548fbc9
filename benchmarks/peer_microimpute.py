"""microimpute's quantile forest on a stored problem, in the peer's own environment. Imports nothing of Tessera.

Usage: python benchmarks/peer_microimpute.py FOLDER OPTIONS

FOLDER holds problem.npz: `names` of predictors and outputs, their columns of donors (`train`), of held-out donors
(`test`) and of receivers, each (n_rows, n_columns), and `train_weights`, `test_weights`. OPTIONS: `places` (columns to
impute), `n_jobs` and `quantiles`.

The chain is made of the library's public calls, with its own settings. This version predicts every output of one call
from the same predictors; so each output is a call of its own, `QRF().fit(donors, predictors and outputs before it,
[output], weight_col=...)`, then `predict` for the receivers, whose outputs before it are given. Its
`predict(quantiles=...)` is a random draw around a quantile; quantiles for the loss come from the fitted forest itself,
which is kinder.

Prints one JSON object: seconds of fit and of predict of each output, their sum, memory beyond the imports, and the
predicted quantiles' mean pinball loss over the held-out donors' weighted mean of |y|, output by output.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from microimpute.models.qrf import QRF


def peak_mb() -> float:
    """Largest memory of this process so far, MB. Not getrusage's, which counts the parent's from before exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def measure(folder: str, options: dict[str, Any]) -> dict[str, Any]:
    """Figures of the outputs asked for."""
    before = peak_mb()
    stored = np.load(folder + "/problem.npz")
    names = [str(name) for name in stored["names"]]
    train = pd.DataFrame(stored["train"], columns=names).assign(weight=stored["train_weights"])
    receivers = pd.DataFrame(stored["receivers"], columns=names)
    test = pd.DataFrame(stored["test"], columns=names)
    figures: dict[str, Any] = {"version": version("microimpute"), "fit_s": [], "predict_s": [], "loss": []}
    for place in options["places"]:
        known, output = names[:place], names[place]
        start = time.perf_counter()
        model = QRF(log_level="WARNING")
        fitted = model.fit(train, list(known), [output], weight_col="weight", n_jobs=options["n_jobs"])
        figures["fit_s"].append(time.perf_counter() - start)
        start = time.perf_counter()
        fitted.predict(receivers[known].copy())
        figures["predict_s"].append(time.perf_counter() - start)
        figures["peak_mb"] = peak_mb() - before  # the loss is not part of the task
        figures["loss"].append(loss(fitted, test, known, output, stored["test_weights"], options["quantiles"]))
        del model, fitted
    figures["seconds"] = sum(figures["fit_s"]) + sum(figures["predict_s"])
    return figures


def loss(
    fitted: Any, test: pd.DataFrame, known: list[str], output: str, weights: np.ndarray, quantiles: list[float]
) -> float:
    """Mean pinball loss of the forest's quantiles, over the weighted mean of |y|."""
    # As its `predict` prepares what it is given: a predictor of few values is a column a value.
    coded = fitted._preprocess_data_types(test[known].copy(), list(known))
    coded = coded.reindex(columns=fitted.predictors, fill_value=0.0)
    predicted = fitted.models[output].qrf.predict(coded, quantiles=quantiles)
    y = test[output].to_numpy()
    gap = y[:, None] - np.asarray(predicted)
    q = np.asarray(quantiles)[None, :]
    mean = np.average(np.maximum(q * gap, (q - 1) * gap).mean(axis=1), weights=weights)
    return float(mean / np.average(np.abs(y), weights=weights))


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
