"""The imputation of a chain of outputs: time, memory and test loss, against microimpute on the same generated problem.

Usage: python benchmarks/imputation.py [--train 20000] [--receivers 150000] [--outputs 69] [--threads 2]
       [--peer-python PATH] [--peer-every 7] [--record docs/performance.md] [--json]

The problem is synthetic (`imputation_problem.py`). Ours imputes the whole chain with its quality table, as the assets
do, in a process of its own (`--child`). The peer (`peer_microimpute.py`) imputes every seventh output (`--peer-every`),
each from the family's predictors and all outputs before it; its time for the chain is the mean of these times the
outputs, and is said to be projected unless it imputed them all. The peer's interpreter is --peer-python, or
BENCH_MICROIMPUTE_PYTHON, or that of .peers-imputation; it needs an environment of its own, as it wants an older numpy
than the other peers (`peers_imputation.txt`).

Test losses of both are those of the same outputs on the same held-out donors: mean pinball loss of the quantiles .1,
.25, .5, .75 and .9, weighted, over the weighted mean of |y|, each model told the true outputs before. Ours grows those
forests once more for it, with the chain's settings. `oob_loss` is what our quality table says of the same outputs
without any held-out donor. Memory is counted beyond the imports. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.imputation_problem import PREDICTORS, Problem, problem
from benchmarks.memory import peak_mb
from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.microdata.forest import TREES, conditional_quantiles, fit
from tessera.microdata.imputation import impute_chain
from tessera.microdata.imputation_quality import QUANTILES, pinball

ROOT = Path(__file__).resolve().parents[1]
SEED = 42
CHAIN = "benchmark"


def main() -> None:
    arguments = _arguments()
    places = compared(arguments.outputs, arguments.peer_every)
    if arguments.child:
        made = problem(arguments.train, arguments.receivers, arguments.outputs)
        found = chain(made, arguments.threads) if arguments.child == "chain" else losses(made, places)
        print(json.dumps(found))
        return
    figures: dict[str, Any] = {"train": arguments.train, "receivers": arguments.receivers, "outputs": arguments.outputs}
    figures |= {"threads": arguments.threads, "compared": len(places), "trees": TREES}
    figures |= {f"ours_{key}": value for key, value in _child(arguments, "chain").items()}
    figures["ours_loss"] = _child(arguments, "losses")["loss"]
    outputs = figures.pop("ours_oob_losses")
    figures["ours_oob_loss"] = float(np.mean([outputs[place] for place in places]))
    python = peer_python(arguments.peer_python)
    if python:
        figures |= {f"peer_{key}": value for key, value in run_peer(python, arguments, places).items()}
        figures["ratio"] = figures["peer_chain_seconds"] / figures["ours_seconds"]
        figures["loss_ratio"] = figures["ours_loss"] / figures["peer_loss"]
    figures["machine"] = machine()
    hand_out(figures, arguments, "imputation", markdown)


def compared(n_outputs: int, every: int) -> list[int]:
    """Positions in the chain of the outputs that both sides are compared on, spread evenly about its middle."""
    return list(range(min(every // 2, n_outputs - 1), n_outputs, every))


def chain(made: Problem, threads: int) -> dict[str, Any]:
    """Time and memory of our chain, in this process."""
    known = list(PREDICTORS)
    impute_chain(  # loads the compiled code, or compiles it
        made.train[:200], known, made.outputs[:2], made.train_weights[:200], made.receivers[:50], seed=0, n_jobs=threads
    )
    receivers = made.receivers[known].copy()
    before = _resident_mb()
    begun = time.perf_counter()
    result = impute_chain(
        made.train, known, made.outputs, made.train_weights, receivers, seed=SEED, label=CHAIN, n_jobs=threads
    )
    seconds = time.perf_counter() - begun
    quality = result.quality
    gap = (quality["receiver_zero_share"] - quality["donor_zero_share"]).abs()
    return {
        "seconds": seconds,
        "worker_seconds": float(quality["seconds"].sum()),
        "peak_mb": peak_mb() - before,
        "largest_zero_gap": float(gap.max()),
        "oob_losses": quality["test_loss"].tolist(),
    }


def losses(made: Problem, places: list[int]) -> dict[str, Any]:
    """Mean test loss of our forests of some outputs."""
    found = []
    for place in places:
        known, name = [*PREDICTORS, *made.outputs[:place]], made.outputs[place]
        y = made.train[name].to_numpy()
        forest = fit(made.train[known].to_numpy(), y, made.train_weights, label=f"{CHAIN}/{name}", seed=SEED)
        x = np.ascontiguousarray(made.test[known].to_numpy().T)
        truth = made.test[name].to_numpy()
        scale = np.average(np.abs(truth), weights=made.test_weights)
        found.append(pinball(conditional_quantiles(forest, x, QUANTILES), truth, made.test_weights) / scale)
    return {"loss": float(np.mean(found)), "losses": found}


def run_peer(python: str, arguments: argparse.Namespace, places: list[int]) -> dict[str, Any]:
    """Figures of microimpute on some outputs of the problem."""
    made = problem(arguments.train, arguments.receivers, arguments.outputs)
    names = [*PREDICTORS, *made.outputs]
    options = {
        "places": [len(PREDICTORS) + place for place in places],
        "n_jobs": arguments.threads,
        "quantiles": list(QUANTILES),
    }
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        np.savez(
            Path(folder) / "problem.npz", names=np.array(names), train=made.train[names].to_numpy(),
            train_weights=made.train_weights, test=made.test[names].to_numpy(), test_weights=made.test_weights,
            receivers=made.receivers[names].to_numpy(),
        )  # fmt: skip
        del made
        found = run_child([python, ROOT / "benchmarks" / "peer_microimpute.py", folder, options])
    return {
        "version": found["version"],
        "measured_seconds": found["seconds"],
        "fit_seconds": sum(found["fit_s"]),
        "chain_seconds": found["seconds"] / len(places) * arguments.outputs,
        "peak_mb": found["peak_mb"],
        "loss": float(np.mean(found["loss"])),
        "losses": found["loss"],
    }


def peer_python(named: str | None) -> str | None:
    """The interpreter that has microimpute, as the module says; None, with a word on standard error, if none has."""
    default = ROOT / ".peers-imputation" / "bin" / "python"
    found = named or os.environ.get("BENCH_MICROIMPUTE_PYTHON") or (str(default) if default.exists() else None)
    if found is None:
        print("No peer: give --peer-python or set BENCH_MICROIMPUTE_PYTHON.", file=sys.stderr)
    return found


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    rows = [[
        "ours", f"{figures['outputs']}", f"{figures['ours_seconds']:,.0f} s", f"{figures['ours_peak_mb']:,.0f} MB",
        f"{figures['ours_loss']:.4f}",
    ]]  # fmt: skip
    text = (
        f"{figures['outputs']} outputs, each a predictor of those after it, {figures['train']:,} donors, "
        f"{figures['receivers']:,} receivers, {figures['threads']} threads; {figures['trees']} trees an output. Memory "
        f"is counted beyond the imports and the problem. The test loss is the mean of {figures['compared']} outputs on "
        f"donors held out from both sides; ours says {figures['ours_oob_loss']:.4f} of them in its own quality table, "
        "without held-out donors."
    )
    if "ratio" in figures:
        measured = figures["compared"] == figures["outputs"]
        rows.append([
            f"microimpute {figures['peer_version']}", f"{figures['compared']}",
            f"{figures['peer_measured_seconds']:,.0f} s", f"{figures['peer_peak_mb']:,.0f} MB",
            f"{figures['peer_loss']:.4f}",
        ])  # fmt: skip
        whole = "" if measured else ", projected from the outputs that it imputed to all of them"
        text += (
            f" Ours takes 1/{figures['ratio']:,.0f} of the peer's time for the chain "
            f"({figures['peer_chain_seconds']:,.0f} s{whole}) and has {figures['loss_ratio']:.3f} of its test loss."
        )
    head = ["", "outputs", "time", "memory", "test loss"]
    note = f"{figures['machine']}. Written by `benchmarks/imputation.py --record`."
    return f"## Imputation\n\n{text}\n\n{table(head, rows)}\n\n{note}"


def _resident_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _child(arguments: argparse.Namespace, what: str) -> dict[str, Any]:
    sizes = {key: getattr(arguments, key) for key in ("train", "receivers", "outputs", "threads")}
    options = [word for key, value in sizes.items() for word in (f"--{key}", str(value))]
    return run_child([sys.executable, __file__, "--child", what, "--peer-every", arguments.peer_every, *options])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=20_000, help="donors")
    parser.add_argument("--receivers", type=int, default=150_000)
    parser.add_argument("--outputs", type=int, default=69)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer-python", default=None, help="interpreter that has microimpute")
    parser.add_argument("--peer-every", type=int, default=7, help="the peer imputes every so manyth output")
    parser.add_argument("--folder", default=None, help="where to write the problem; default: the system's")
    add_output_options(parser)
    parser.add_argument("--child", choices=("chain", "losses"), default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
