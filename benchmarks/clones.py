"""Assignment of clones to blocks: time, memory and collisions, ours against the reference's algorithm.

Usage: python benchmarks/clones.py [--households 12000] [--clones 430] [--blocks 5769942] [--threads N] [--repeats 3]
       [--no-reference] [--no-curve] [--record docs/performance.md] [--json]

Ours runs in a process of its own (`--child`), so that memory is counted beyond its imports: the block table, the result
and what the assignment needs meanwhile. `seconds` is the median of some repeats, compiled code being loaded before.

The reference's algorithm (`reference_clones.py`) would take many minutes at that size, nearly all of them in calls of
`choice` over all blocks. It is run with the same households and clones on a hundredth of the blocks; then the time in
`choice` is replaced by the number of its calls times the seconds of one call over all blocks, which is measured.

The curve repeats ours with a tenth and a hundredth of the clones. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tessera.geography.clone_kernels  # noqa: F401 (an import is no part of what is measured)
from benchmarks import population, reference_clones
from benchmarks.memory import peak_mb
from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.geography import areas
from tessera.geography.blocks import Blocks
from tessera.geography.clones import Clones, assign

SEED = 42
TOP_SHARE = 90
_BLOCK_ARRAYS = ("block_geoid", "population", "district")


def main() -> None:
    arguments = _arguments()
    if arguments.child is not None:
        print(json.dumps(measure(arguments.child, arguments.households, arguments.clones, arguments)))
        return
    figures: dict[str, Any] = {"households": arguments.households, "blocks": arguments.blocks}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks = population.census(arguments.blocks)
        for field in _BLOCK_ARRAYS:
            np.save(folder / f"{field}.npy", getattr(blocks, field))
        figures |= _child(folder, arguments, arguments.clones)
        if arguments.curve:
            fewer = sorted({max(1, arguments.clones // factor) for factor in (100, 10)})
            figures["curve"] = [_child(folder, arguments, clones) for clones in fewer if clones < arguments.clones]
    if arguments.reference:
        figures |= reference(arguments.households, arguments.clones, blocks)
        figures["ratio"] = figures["reference_seconds"] / figures["seconds"]
    figures["machine"] = machine()
    hand_out(figures, arguments, "clones", markdown)


def measure(folder: Path, n_households: int, n_clones: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Figures of ours, in this process."""
    before = peak_mb()
    place(population.census(2 * population.N_DISTRICTS), 60, 3, 1)  # loads the compiled code, or compiles it
    blocks = Blocks(*(np.load(folder / f"{field}.npy") for field in _BLOCK_ARRAYS), synthetic=True)
    seconds = []
    for _ in range(arguments.repeats):
        begun = time.perf_counter()
        clones = place(blocks, n_households, n_clones, arguments.threads)
        seconds.append(time.perf_counter() - begun)
        peak = peak_mb() - before
        collisions, records = clones.collisions(), clones.n_records
        result_mb = sum(part.nbytes for part in vars(clones).values() if isinstance(part, np.ndarray)) / 2**20
        del clones
    blocks_mb = sum(getattr(blocks, field).nbytes for field in _BLOCK_ARRAYS) / 2**20
    return {
        "n_clones": n_clones, "records": records, "seconds": float(np.median(seconds)), "peak_mb": peak,
        "collisions": collisions, "result_mb": result_mb, "blocks_mb": blocks_mb,
    }  # fmt: skip


def place(blocks: Blocks, n_households: int, n_clones: int, threads: int | None) -> Clones:
    """One assignment, the top decile routed by income."""
    agi, district_agi = population.incomes(n_households)
    weights = np.linspace(500.0, 20_000.0, n_households)
    households = blocks.district_population() / 2.5
    return assign(
        np.arange(n_households), weights, blocks, n_clones=n_clones, seed=SEED, district_households=households,
        household_agi=agi, district_agi=district_agi, threads=threads,
    )  # fmt: skip


def reference(n_households: int, n_clones: int, blocks: Blocks) -> dict[str, Any]:
    """Figures of the reference's algorithm, scaled as the module says."""
    agi, district_agi = population.incomes(n_households)
    top = agi >= np.percentile(agi, TOP_SHARE)
    few = population.census(max(population.N_DISTRICTS, len(blocks.population) // 100))
    run = reference_clones.assign(n_clones, top, *_chances(few, district_agi), SEED)
    one_call = reference_clones.choice_seconds(_chances(blocks, district_agi)[0], SEED)
    return {
        "reference_seconds": run.seconds - run.choice_seconds + run.choices * one_call,
        "reference_collisions": run.collisions,
        "reference_choices": run.choices,
        "reference_choice_seconds": one_call,
        "reference_measured_seconds": run.seconds,
        "reference_measured_on": f"{n_households:,} households x {n_clones} clones on {len(few.population):,} blocks, "
        f"its calls of choice replaced by as many over {len(blocks.population):,}",
    }


def _chances(blocks: Blocks, district_agi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chance of each block, and for high incomes, as the reference has them, and its district's index.

    Every district has the same chance in all, or one in proportion to its income; within it goes by population.
    """
    district = np.searchsorted(np.asarray(areas.stratum_districts()), blocks.district).astype(np.int16)
    within = blocks.population / blocks.district_population()[district]
    chances, top_chances = within / population.N_DISTRICTS, within * (district_agi / district_agi.sum())[district]
    return chances / chances.sum(), top_chances / top_chances.sum(), district


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    runs = [*figures.get("curve", []), figures]
    rows = [
        [f"ours, {run['n_clones']} clones", f"{run['records']:,}", f"{run['seconds']:,.2f} s",
         f"{run['peak_mb']:,.0f} MB", f"{run['collisions']:,}"]
        for run in runs
    ]  # fmt: skip
    text = (
        f"{figures['households']:,} households, {figures['blocks']:,} blocks. Memory is counted beyond the imports: "
        f"{figures['blocks_mb']:,.0f} MB of blocks and {figures['result_mb']:,.0f} MB of result are in it."
    )
    if "ratio" in figures:
        rows.append([
            f"the reference's algorithm, {figures['n_clones']} clones", f"{figures['records']:,}",
            f"{figures['reference_seconds']:,.0f} s", "", f"{figures['reference_collisions']:,}",
        ])  # fmt: skip
        text += (
            f" The reference's algorithm was run on {figures['reference_measured_on']} "
            f"({figures['reference_choices']:,} calls of {figures['reference_choice_seconds']:.3f} s each). "
            f"Ours takes 1/{figures['ratio']:,.0f} of its time."
        )
    head = ["", "clones in all", "time", "memory", "collisions"]
    note = f"{figures['machine']}. Written by `benchmarks/clones.py --record`."
    return f"## Assignment of clones\n\n{text}\n\n{table(head, rows)}\n\n{note}"


def _child(folder: Path, arguments: argparse.Namespace, n_clones: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", str(folder), "--households", str(arguments.households)]
    command += ["--clones", str(n_clones), "--repeats", str(arguments.repeats)]
    command += [] if arguments.threads is None else ["--threads", str(arguments.threads)]
    return run_child(command)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--households", type=int, default=12_000)
    parser.add_argument("--clones", type=int, default=430, help="of each household")
    parser.add_argument("--blocks", type=int, default=population.POPULATED_BLOCKS)
    parser.add_argument("--threads", type=int, default=None, help="default: all processors")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-reference", dest="reference", action="store_false")
    parser.add_argument("--no-curve", dest="curve", action="store_false")
    add_output_options(parser)
    parser.add_argument("--child", type=Path, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
