"""Take-up draws of all programmes for all clones: time and memory, ours against the reference's algorithm.

Usage: python benchmarks/takeup.py [--households 12000] [--clones 430] [--chunk 100000] [--reference-clones 1]
       [--no-reference] [--no-curve] [--record docs/performance.md] [--json]

Ours are the bits that state values and area files are made of (`Assembler.takeup_bits`), chunk by chunk of clones, in a
process of its own (`--child`), so that memory is counted beyond its imports: frame, clones, probabilities and the bits
of a chunk. `seconds` holds the probabilities of the base file too.

The reference's algorithm (`reference_takeup.py`) is run for the programmes that the reference has, for some clones of
all households, and its time multiplied: every clone costs it the same.

The curve repeats ours with a tenth and a hundredth of the clones. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import tessera.geography.clone_kernels
import tessera.rules.takeup_kernels  # noqa: F401 (an import is no part of what is measured)
from benchmarks import population, reference_takeup
from benchmarks.memory import peak_mb
from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.areas.assemble import Assembler
from tessera.frame import Frame
from tessera.geography.clones import Clones, assign
from tessera.rules.takeup import published_rates, takeup_probabilities

SEED = 42
_BLOCKS = 200_000  # draws do not depend on how many there are


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(measure(arguments.households, arguments.clones, arguments.chunk)))
        return
    figures: dict[str, Any] = {"households": arguments.households, "chunk": arguments.chunk}
    figures |= _child(arguments, arguments.clones)
    if arguments.curve:
        fewer = sorted({max(1, arguments.clones // factor) for factor in (100, 10)})
        figures["curve"] = [_child(arguments, clones) for clones in fewer if clones < arguments.clones]
    if arguments.reference:
        figures |= reference(arguments.households, arguments.clones, arguments.reference_clones)
        figures["ratio"] = figures["reference_seconds"] / figures["seconds"]
    figures["machine"] = machine()
    hand_out(figures, arguments, "takeup", markdown)


def measure(n_households: int, n_clones: int, chunk: int) -> dict[str, Any]:
    """Figures of ours, in this process."""
    before = peak_mb()
    _draw_all(population.households(60), 3, chunk)  # loads the compiled code, or compiles it
    return _draw_all(population.households(n_households), n_clones, chunk) | {"peak_mb": peak_mb() - before}


def _draw_all(frame: Frame, n_clones: int, chunk: int) -> dict[str, Any]:
    clones = place(frame, n_clones)
    begun = time.perf_counter()
    takeup = takeup_probabilities(frame, published_rates(), seed=SEED)
    probabilities = time.perf_counter() - begun
    assembler = Assembler(frame, clones, takeup)
    begun = time.perf_counter()
    draws, taken = 0, 0
    for first in range(0, clones.n_records, chunk):
        bits = assembler.takeup_bits(np.arange(first, min(first + chunk, clones.n_records)))
        draws += sum(len(found) for _, found in bits.values())
        taken += sum(int(np.count_nonzero(found)) for _, found in bits.values())
    seconds = time.perf_counter() - begun
    return {
        "n_clones": n_clones, "records": clones.n_records, "programmes": len(takeup.entity_of), "draws": draws,
        "share_taken": taken / draws, "seconds": probabilities + seconds, "draws_per_second": draws / seconds,
    }  # fmt: skip


def place(frame: Frame, n_clones: int) -> Clones:
    """Clones of a frame."""
    blocks = population.census(_BLOCKS)
    return assign(
        frame.household["household_id"].to_numpy(), frame.weights, blocks, n_clones=n_clones, seed=SEED,
        district_households=blocks.district_population() / 2.5, synthetic=True,
    )  # fmt: skip


def reference(n_households: int, n_clones: int, measured: int) -> dict[str, Any]:
    """Figures of the reference's algorithm, scaled as the module says."""
    frame = population.households(n_households)
    clones = place(frame, measured)
    household_id = frame.household["household_id"].to_numpy()
    rates = np.full(n_households, 0.7)
    begun = time.perf_counter()
    for clone in range(measured):
        block = clones.block[clone * n_households : (clone + 1) * n_households]
        for variable, entity in reference_takeup.PROGRAMMES.items():
            reference_takeup.draw_clone(variable, frame.household_of(entity), household_id, block, rates, clone)
    seconds = time.perf_counter() - begun
    return {
        "reference_seconds": seconds / measured * n_clones,
        "reference_programmes": len(reference_takeup.PROGRAMMES),
        "reference_measured_seconds": seconds,
        "reference_measured_on": f"{measured} of {n_clones} clones of {n_households:,} households",
    }


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    runs = [*figures.get("curve", []), figures]
    rows = [
        [f"ours, {run['n_clones']} clones", f"{run['records']:,}", str(run["programmes"]),
         f"{run['draws'] / 1e6:,.1f} M", f"{run['seconds']:,.2f} s", f"{run['peak_mb']:,.0f} MB"]
        for run in runs
    ]  # fmt: skip
    text = (
        f"{figures['households']:,} households, drawn {figures['chunk']:,} clones at a time. Memory is counted beyond "
        "the imports: the clones are in it, and the bits of one chunk."
    )
    if "ratio" in figures:
        rows.append([
            f"the reference's algorithm, {figures['n_clones']} clones", f"{figures['records']:,}",
            str(figures["reference_programmes"]), "", f"{figures['reference_seconds']:,.0f} s", "",
        ])  # fmt: skip
        text += (
            f" The reference's algorithm was run for {figures['reference_measured_on']} "
            f"({figures['reference_measured_seconds']:,.1f} s). Ours takes 1/{figures['ratio']:,.0f} of its time."
        )
    head = ["", "clones in all", "programmes", "decisions", "time", "memory"]
    note = f"{figures['machine']}. Written by `benchmarks/takeup.py --record`."
    return f"## Take-up draws\n\n{text}\n\n{table(head, rows)}\n\n{note}"


def _child(arguments: argparse.Namespace, n_clones: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", "--households", str(arguments.households)]
    command += ["--clones", str(n_clones), "--chunk", str(arguments.chunk)]
    return run_child(command)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--households", type=int, default=12_000)
    parser.add_argument("--clones", type=int, default=430, help="of each household")
    parser.add_argument("--chunk", type=int, default=100_000, help="clones drawn at a time")
    parser.add_argument("--reference-clones", type=int, default=1, help="clones that the reference's algorithm draws")
    parser.add_argument("--no-reference", dest="reference", action="store_false")
    parser.add_argument("--no-curve", dest="curve", action="store_false")
    add_output_options(parser)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
