"""The calibration matrix from state values: time, memory, size on disk, and products against the memory's bandwidth.

Usage: python benchmarks/matrix.py [--scale tiny|demo|production] [--clones N] [--home HOME] [--threads N]
       [--folder DIR] [--record docs/performance.md] [--json]

With --home the clones, targets and state values are those that `tessera package build` of this scale left there.
Without, clones are placed in synthetic blocks and state values are made up (`synthetic_values.py`), of the size and
structure of the scale; the result is then marked synthetic. The training targets are joined by further synthetic ones,
every metric in every district that it has no target in, so that there are at least 17,000 whatever the training set is.

The clock runs from the targets to the written package: metrics compiled, every state read and evaluated, rows merged,
matrix built, package written. Memory counts everything after the imports, clones included. Products are the best of
three, in the threads that there are, on this matrix and, as `m160_...`, on one of 160 metrics with 70 values a clone
(`problems.py`); the bytes that they move at least are set against a triad's (a = b + s c) on the same threads. With
--json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numba import njit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.memory import peak_mb
from benchmarks.problems import factored_problem
from benchmarks.record import add_output_options, hand_out, machine, table
from benchmarks.synthetic_values import SyntheticStates, synthetic_clones
from tessera.config import ROOT_SEED, SCALES, Scale
from tessera.geography import areas
from tessera.geography.clones import Clones
from tessera.matrix.building import build_package
from tessera.matrix.calibration_matrix import CalibrationMatrix
from tessera.matrix.kernels import CellThreads
from tessera.matrix.metrics import required_variables
from tessera.matrix.package import write_package
from tessera.matrix.supports import nonzeros
from tessera.rules.state_values import StateValues
from tessera.targets.snapshot import load_snapshot
from tessera.threads import thread_count

_TRIAD = 1 << 26  # doubles of each of three arrays
_REPEATS = 3


def main() -> None:
    arguments = _arguments()
    if arguments.threads:
        os.environ["NUMBA_NUM_THREADS"] = str(arguments.threads)
    scale = SCALES[arguments.scale]
    if arguments.clones:
        scale = replace(scale, clones=arguments.clones)
    before = peak_mb()
    if arguments.home is None:
        clones, targets = synthetic_clones(scale.households, scale.clones), training_targets()
        values: Mapping[str, StateValues] = SyntheticStates(clones, _variables(), required_variables(targets))
    else:
        clones, targets, values = stored(arguments.home, scale)
    targets = with_all_districts(targets)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures, matrix = build_and_write(targets, clones, values, scale, Path(folder) / "package.h5")
    figures |= {"peak_mb": peak_mb() - before, "synthetic_values": arguments.home is None, "scale": scale.name}
    bandwidth = triad_bandwidth()
    figures |= {"triad_gb_s": bandwidth / 1e9, "threads": thread_count()} | products(matrix, bandwidth)
    del matrix
    if arguments.scale == "production":
        figures |= {f"m160_{key}": value for key, value in products(_160_metrics(), bandwidth).items()}
    hand_out(figures, arguments, f"matrix-{scale.name}", markdown)


def training_targets() -> pd.DataFrame:
    """The packaged training set."""
    from tessera.targets.database import build_database
    from tessera.targets.selection import read_targets

    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "targets.duckdb"
        build_database(database, load_snapshot())
        return read_targets(database)


def with_all_districts(targets: pd.DataFrame) -> pd.DataFrame:
    """The targets, and a synthetic one for every metric in every district that it has none in."""
    concept = ["variable", "constraints", "reform"]
    known = set(
        targets.loc[targets["geo_level"] == "district", [*concept, "geo_id"]].itertuples(index=False, name=None)
    )
    rows = [
        {**dict(zip(concept, metric, strict=True)), "geo_level": "district", "geo_id": key, "value": 1.0,
         "name": f"synthetic/{number}/{key}", "source": "synthetic"}
        for number, metric in enumerate(targets[concept].drop_duplicates().itertuples(index=False, name=None))
        for key in map(areas.district_key, areas.stratum_districts())
        if (*metric, key) not in known
    ]  # fmt: skip
    return pd.concat([targets, pd.DataFrame(rows)], ignore_index=True)


def stored(home: Path, scale: Scale) -> tuple[Clones, pd.DataFrame, Mapping[str, StateValues]]:
    """Clones, targets and state values of a run of `tessera package build`."""
    from tessera.pytree.io import load_tree
    from tessera.pytree.partitions import PartitionedTree

    folder = home / "package" / scale.name
    clones, targets = (load_tree(folder / f"{name}.h5", ("value",)) for name in ("clones", "policy_targets"))
    newest = max((folder / "state_values").iterdir(), key=lambda path: path.stat().st_mtime)
    keys = [state.usps for state in areas.states()]
    return clones, targets, PartitionedTree({usps: newest / f"{usps}.h5" for usps in keys}, name="state_values")


def build_and_write(
    targets: pd.DataFrame, clones: Clones, values: Mapping[str, StateValues], scale: Scale, path: Path
) -> tuple[dict[str, Any], CalibrationMatrix]:
    """Build the package and write it; figures, and the matrix."""
    begun = time.perf_counter()
    package = build_package(targets, clones, values, scale=scale, sources="synthetic", seed=ROOT_SEED)
    built = time.perf_counter() - begun
    write_package(path, package)
    seconds = time.perf_counter() - begun
    matrix = package.matrix
    nnz_b, nnz_m = nonzeros(matrix)
    return {
        "seconds": seconds,
        "build_seconds": built,
        "write_seconds": seconds - built,
        "n_clones": matrix.n_records,
        "n_targets": matrix.n_targets,
        "unachievable": len(matrix.unachievable),
        "n_metrics": matrix.n_metrics,
        "nnz_b": nnz_b,
        "nnz_m": nnz_m,
        "situations": int(package.provenance["situations"]),
        "value_rows": int(matrix.value_table.shape[0]),
        "nnz_table": int(matrix.value_table.nnz),
        "package_mb": path.stat().st_size / 1e6,
    }, matrix


def products(matrix: CalibrationMatrix, bandwidth: float) -> dict[str, float]:
    """Seconds of a product and of its adjoint, and how they compare with what the memory allows."""
    rng = np.random.Generator(np.random.Philox(0))
    weights, residuals = rng.random(matrix.n_records), rng.normal(size=matrix.n_targets)
    matvec = _best(lambda: matrix.matvec(weights))
    rmatvec = _best(lambda: matrix.rmatvec(residuals))
    moved = moved_bytes(matrix)
    return {
        "matvec_s": matvec,
        "rmatvec_s": rmatvec,
        "both_s": matvec + rmatvec,
        "moved_gb": 2 * moved / 1e9,
        "floor_s": 2 * moved / bandwidth,
        "over_floor": (matvec + rmatvec) * bandwidth / (2 * moved),
    }


def moved_bytes(matrix: CalibrationMatrix) -> int:
    """Bytes that a product moves at least: the layout, a double a clone, each cell's distinct rows once."""
    layout = matrix.layout
    new = np.ones(matrix.n_records, dtype=bool)
    new[1:] = np.diff(layout.row) != 0
    new[layout.ptr[:-1][np.diff(layout.ptr) > 0]] = True
    lengths = np.diff(matrix.value_table.indptr)[layout.row[new]]
    return int(matrix.n_records * (4 + 4 + 8) + len(lengths) * 16 + int(lengths.sum()) * 6)


def triad_bandwidth() -> float:
    """Bytes a second of a = b + s c over arrays beyond the caches, on all threads, the best of some."""
    a, b, c = (np.ones(_TRIAD) for _ in range(3))
    with CellThreads(np.ones(64)) as threads:
        chunk = _TRIAD // 64
        seconds = _best(lambda: threads.run(_triad, chunk, a, b, c), repeats=6)
    return 3 * a.nbytes / seconds


@njit(cache=True, nogil=True)
def _triad(first, last, chunk, a, b, c):  # type: ignore[no-untyped-def]
    for i in range(first * chunk, last * chunk):
        a[i] = b[i] + 3.0 * c[i]


def _best(function: Any, repeats: int = _REPEATS) -> float:
    function()  # compiles, and makes what is made once
    found = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        found.append(time.perf_counter() - begun)
    return min(found)


def _160_metrics() -> CalibrationMatrix:
    return factored_problem(12_000, 430, 160, 70)[0]


def _variables() -> pd.DataFrame:
    from importlib import resources

    with resources.files("tessera.targets").joinpath("variables.csv").open(encoding="utf-8") as handle:
        return pd.read_csv(handle).set_index("name")


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    origin = (
        "Clones of made-up households and made-up state values of the scale's size"
        if figures["synthetic_values"]
        else "Clones and state values of `tessera package build` (synthetic sources)"
    )
    text = (
        f"{origin}: {figures['n_clones']:,} clones, {figures['n_targets']:,} targets (training set, and every metric "
        f"in every district), {figures['n_metrics']} metrics. {figures['situations']:,} situations have "
        f"{figures['value_rows']:,} distinct rows of values; B has {figures['nnz_b'] / 1e6:,.0f} M non-zeros, M "
        f"{figures['nnz_m'] / 1e6:,.0f} M. From the targets to the written package {figures['seconds']:,.1f} s, "
        f"{figures['peak_mb']:,.0f} MB beyond the imports, {figures['package_mb']:,.0f} MB on disk."
    )
    named = {"": "this matrix", "m160_": "160 metrics, 70 values a clone"}
    rows = [
        [name, *(f"{1000 * figures[prefix + key]:,.0f} ms" for key in ("matvec_s", "rmatvec_s", "floor_s")),
         f"{figures[prefix + 'moved_gb']:.2f} GB", f"{figures[prefix + 'over_floor']:.1f}"]
        for prefix, name in named.items() if f"{prefix}matvec_s" in figures
    ]  # fmt: skip
    head = ["products", "M w", "M' r", "both at the memory's bandwidth", "moved", "times that"]
    return (
        f"## Matrix: {figures['scale']}\n\n{text}\n\n{table(head, rows)}\n\nA triad moves {figures['triad_gb_s']:.1f} "
        f"GB/s on {figures['threads']} threads. {machine()}. Written by `benchmarks/matrix.py --scale "
        f"{figures['scale']} --record`."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=tuple(SCALES), default="demo")
    parser.add_argument("--clones", type=int, default=0, help="of each household, in place of the scale's")
    parser.add_argument("--home", type=Path, default=None, help="of a run of `tessera package build` at this scale")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--folder", default=None, help="where to write the package; default: the system's")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
