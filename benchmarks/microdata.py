"""The microdata stages from the source files to the base file: time and memory of each, at full size by default.

Usage: python benchmarks/microdata.py [--persons 150000] [--returns 150000] [--households 12000] [--workers 2]
       [--home FOLDER] [--record docs/performance.md] [--json]

First the synthetic files of all six sources are written in their official formats, which is not counted (with --home
they stay there and are used again). Then a process of its own reads them and builds stage after stage, as `tessera
microdata build` does: parsing, building, imputing and storing are counted, and so is checking the files' hashes. Memory
is that of this process and its workers together, imports included. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.config import SCALES, Scale, paths
from tessera.pytree.io import load_tree
from tessera.road.microdata import MadeStage, MicrodataRoad, build_microdata

PERSONS_A_HOUSEHOLD = 2.5
LIMIT_SECONDS = 25 * 60
LIMIT_BYTES = 10e9


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(measure(_road(arguments, arguments.home))))
        return
    if arguments.home is None:
        with tempfile.TemporaryDirectory(prefix="tessera-benchmark-") as home:
            _run(arguments, Path(home))
    else:
        _run(arguments, arguments.home)


def _run(arguments: argparse.Namespace, home: Path) -> None:
    begun = time.perf_counter()
    write_sources(_road(arguments, home))
    figures: dict[str, Any] = {"write_seconds": time.perf_counter() - begun}
    command = [sys.executable, __file__, "--child", "--home", str(home)]
    for name in ("persons", "returns", "households", "workers"):
        command += [f"--{name}", str(getattr(arguments, name))]
    figures |= run_child(command) | {"workers": arguments.workers, "machine": machine()}
    figures |= {"limit_seconds": LIMIT_SECONDS, "limit_bytes": LIMIT_BYTES}
    hand_out(figures, arguments, "microdata", markdown)


def write_sources(road: MicrodataRoad) -> None:
    """Write every source's synthetic files, but for those that are there."""
    from tessera.sources.registry import prepare

    prepare(road.paths, "synthetic", road.scale, road.seed)


def measure(road: MicrodataRoad) -> dict[str, Any]:
    """Figures of one run over all stages, which must not be stored yet, in this process."""
    stages: list[dict[str, Any]] = []

    def keep(made: MadeStage) -> None:
        if made.stage.reused:
            raise SystemExit(f"{made.stage.path} was there already; name another --home, or delete it.")
        frame = load_tree(made.stage.path, ("value",))
        stages.append(
            {"stage": made.name, "seconds": made.cost.seconds, "peak_bytes": made.cost.peak_bytes,
             "households": frame.count("household"), "persons": frame.count("person"),
             "columns": sum(frame.table(entity).shape[1] for entity in ("household", "tax_unit", "spm_unit", "person"))}
        )  # fmt: skip

    begun = time.perf_counter()
    build_microdata(road, on_stage=keep)
    return {
        "stages": stages,
        "seconds": time.perf_counter() - begun,
        "peak_bytes": max(stage["peak_bytes"] for stage in stages),
    }


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    rows = [
        [stage["stage"], f"{stage['households']:,}", f"{stage['persons']:,}", f"{stage['columns']:,}",
         _minutes(stage["seconds"]), f"{stage['peak_bytes'] / 1e9:,.2f} GB"]
        for stage in figures["stages"]
    ]  # fmt: skip
    rows.append(["all", "", "", "", _minutes(figures["seconds"]), f"{figures['peak_bytes'] / 1e9:,.2f} GB"])
    limits = [_minutes(figures["limit_seconds"]), f"{figures['limit_bytes'] / 1e9:,.0f} GB"]
    rows.append(["must stay below", "", "", "", *limits])
    first = figures["stages"][0]
    workers = f"{figures['workers']} worker{'s' if figures['workers'] > 1 else ''}"
    text = (
        f"From the zip of a synthetic survey of {first['persons']:,} persons, and the files of the other five sources, "
        f"to the base file, with {workers}. Parsing and storing are counted, writing the synthetic files is not. "
        "Memory is that of all processes together."
    )
    head = ["stage", "households", "persons", "columns", "time", "memory"]
    note = f"{figures['machine']}. Written by `benchmarks/microdata.py --record`."
    return f"## Microdata, end to end\n\n{text}\n\n{table(head, rows)}\n\n{note}"


def _minutes(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < 60 else f"{seconds / 60:,.1f} min"


def _road(arguments: argparse.Namespace, home: Path) -> MicrodataRoad:
    return MicrodataRoad(paths(home), _scale(arguments), workers=arguments.workers)


def _scale(arguments: argparse.Namespace) -> Scale:
    households = round(arguments.persons / PERSONS_A_HOUSEHOLD)
    return replace(
        SCALES["production"],
        name=f"benchmark-{arguments.persons}",
        survey_households=households,
        puf_returns=arguments.returns,
        households=min(arguments.households, 2 * households),
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--persons", type=int, default=150_000, help="of the synthetic survey")
    parser.add_argument("--returns", type=int, default=150_000, help="of the synthetic tax file")
    parser.add_argument("--households", type=int, default=12_000, help="that stratification keeps")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the imputation")
    parser.add_argument("--home", type=Path, default=None, metavar="FOLDER", help="where files go (default: a new one)")
    add_output_options(parser)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
