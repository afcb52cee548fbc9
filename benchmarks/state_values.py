"""State values at any scale: what the rules engine computes for every clone of every state.

Usage: python benchmarks/state_values.py --home HOME [--scale production] [--clones N] [--workers 2]
       [--states CA,TX] [--keep] [--record docs/performance.md] [--json]

Base frame, clones and targets are those of `tessera package build` in HOME, which must have got as far as the clones
(it can be stopped there). All states are computed anew, into a folder of their own; with --keep they go where `package
build` looks for them, which then goes on from here. --clones places another number of clones. Time is that of the whole
computation with loading the engine; memory is that of this process and its workers together, pages that they share
counted once, the engine included. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.record import add_output_options, hand_out, machine, table
from tessera.areas.assemble import Assembler
from tessera.config import ROOT_SEED, SCALES
from tessera.geography.areas import state_by_usps, states
from tessera.geography.placement import place_clones
from tessera.matrix.metrics import required_variables
from tessera.pytree.io import load_tree
from tessera.road.cost import Meter
from tessera.rules.engine import PolicyEngine
from tessera.rules.state_values import StateValues, compute_state_values
from tessera.rules.takeup import published_rates, takeup_probabilities
from tessera.targets.snapshot import district_figures, state_figures


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    stages = arguments.home / "package" / arguments.scale
    frame, clones, targets = (
        load_tree(stages / f"{name}.h5", ("value",)) for name in ("source_imputed_cps", "clones", "policy_targets")
    )
    if arguments.clones:
        blocks = load_tree(stages / "block_distribution.h5", ("value",))
        districts, by_state = district_figures(), state_figures()
        clones = place_clones(frame, blocks, districts, by_state, n_clones=arguments.clones, seed=arguments.seed)
    assembler = Assembler(frame, clones, takeup_probabilities(frame, published_rates(), seed=arguments.seed))
    wanted = [state_by_usps(usps) for usps in arguments.states.split(",")] if arguments.states else list(states())
    variables = required_variables(targets)
    rules = PolicyEngine()
    with tempfile.TemporaryDirectory(dir=arguments.home) as folder:
        cache = stages / "state_values" if arguments.keep else Path(folder)
        with Meter() as meter:
            values = compute_state_values(assembler, rules, wanted, variables, workers=arguments.workers, cache=cache)
        figures = {
            "scale": arguments.scale,
            "states": len(wanted),
            "n_clones": 0,
            "n_households": clones.n_households,
            "n_targets": len(targets),
            "variables": len(variables),
            "workers": arguments.workers,
            "seconds": meter.cost.seconds,
            "peak_mb": meter.cost.peak_bytes / 2**20,
            **_sizes(values),
        }
    hand_out(figures, arguments, f"state-values-{arguments.scale}", markdown)


def _sizes(values: Mapping[str, StateValues]) -> dict[str, Any]:
    clones = situations = persons = 0
    for usps in values:
        state = values[usps]
        clones += len(state.records)
        situations += state.values.n_households
        persons += len(state.values.household_of["person"])
    return {"n_clones": clones, "situations": situations, "persons": persons}


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    rows = [
        ["clones", f"{figures['n_clones']:,} of {figures['n_households']:,} households in {figures['states']} states"],
        ["targets, engine variables", f"{figures['n_targets']:,}, {figures['variables']}"],
        ["situations", f"{figures['situations']:,}, {figures['situations'] / figures['n_clones']:.1%} of the clones"],
        ["time", f"{figures['seconds'] / 60:,.1f} minutes with {figures['workers']} worker processes"],
        ["memory", f"{figures['peak_mb']:,.0f} MB, all processes together"],
    ]
    return (
        f"## State values: {figures['scale']} scale\n\n{table(['', ''], rows)}\n\n{machine()}. Written by "
        f"`benchmarks/state_values.py --scale {figures['scale']} --record`."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--scale", choices=tuple(SCALES), default="production")
    parser.add_argument("--clones", type=int, default=0, help="of each household; default: as they were placed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--states", default="", help="postal codes, by commas; default: all")
    parser.add_argument("--seed", type=int, default=ROOT_SEED)
    parser.add_argument("--keep", action="store_true", help="store the states where package build looks for them")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
