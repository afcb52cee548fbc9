"""The pytree layer against what it must reach: NumPy, SciPy and h5py here, optimagic in an environment of its own.

Usage: python benchmarks/pytree.py [--json] [--quick] [--only NAME ...] [--folder DIR] [--record docs/performance.md]
       [--peer-python PATH]

Times are the least of some repeats, ours and the reference's taken in turns; memory is tracemalloc's peak. --quick
divides the sizes by ten or so, to see that everything runs: its ratios mean little. optimagic is measured where
--peer-python, or BENCH_PEER_PYTHON, names an interpreter that has it. --record writes the table into a document. With
--json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for both sides; spinning threads spoil times
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import pytree_cases as cases
from benchmarks import pytree_files as files
from benchmarks.pytree_cases import Figure
from benchmarks.record import add_output_options, machine, table, write_section


def measurements(quick: bool, repeats: int, folder: Path) -> dict[str, Callable[[], list[Figure]]]:
    """What there is to measure, by name."""
    few = max(2, repeats // 4)
    return {
        "vectors": lambda: cases.vectors(100_000 if quick else 1_000_000, 3 * repeats),
        "scalars": lambda: cases.scalars(10_000 if quick else 100_000, repeats),
        "optimisation": lambda: cases.optimisation(50_000 if quick else 1_000_000, few),
        "derivatives": lambda: cases.derivatives(100 if quick else 1_000, 10 if quick else 30, repeats),
        "sensitivity": lambda: cases.sensitivity(100 if quick else 600, few),
        "moments": lambda: cases.moments(40 if quick else 436, few),
        "files": lambda: files.throughput(folder, 50_000_000 if quick else 1_000_000_000, repeats),
        "import": lambda: cases.import_time(few),
    }


def peer_figures(python: str, quick: bool, figures: list[Figure]) -> tuple[list[Figure], str]:
    """optimagic's times beside ours, and its version; no figures, and why, where it does not run."""
    sizes = ("100000", "100") if quick else ("1000000", "1000")
    command = [python, str(Path(__file__).with_name("pytree_peer.py")), *sizes]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [], f"optimagic did not run in {python}: {done.stderr.strip().splitlines()[-1:]}"
    peer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    ours = {figure.name: figure.ours for figure in figures}
    found = []
    for name in ("ravel_arrays", "unravel_arrays", "ravel_series", "unravel_series", "ravel_frame", "unravel_frame"):
        mine, his = ours.get(name), peer[f"{name}_s"]
        if mine is not None:
            limit = 100.0 if name.endswith("arrays") and not quick else None
            what = f"{name.replace('_', ' ')}: optimagic's time over ours"
            found.append(Figure(f"optimagic_{name}", what, his / mine, "x", limit, True, mine, his))
    mine = ours.get("first_derivative")
    if mine is not None:
        his = peer["derivative_s"]
        what = "first_derivative: optimagic's time over ours"
        found.append(Figure("optimagic_first_derivative", what, his / mine, "x", None, True, mine, his))
        error = peer["derivative_error"]
        found.append(Figure("optimagic_first_derivative_error", "optimagic's largest error", error, ""))
    return found, f"optimagic {peer['version']}"


def as_markdown(figures: list[Figure], peer: str, quick: bool) -> str:
    """The section for a document."""
    rows = [
        [figure.what, _number(figure.value, figure.unit), _asked(figure), _seconds(figure), _verdict(figure)]
        for figure in figures
    ]
    command = "`python benchmarks/pytree.py --record docs/performance.md`"
    note = f"Measured by {command} on {machine()}; {peer}." + (" A --quick run: sizes are small." if quick else "")
    columns = ["measure", "found", "must reach", "ours / reference", "met"]
    return f"## Trees\n\n{table(columns, rows)}\n\n{note}"


def _number(value: float, unit: str) -> str:
    text = f"{value:,.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _asked(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    return f"{'at least' if figure.at_least else 'at most'} {_number(figure.limit, figure.unit)}"


def _seconds(figure: Figure) -> str:
    if figure.ours is None or figure.reference is None:
        return ""
    return f"{_time(figure.ours)} / {_time(figure.reference)}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _verdict(figure: Figure) -> str:
    return {None: "", True: "yes", False: "**no**"}[figure.met]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, few repeats")
    parser.add_argument("--only", nargs="+", default=None, metavar="NAME", help="of the measurements")
    parser.add_argument("--repeats", type=int, default=None, help="default: 10, or 3 with --quick")
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to be measured; default: the system's")
    parser.add_argument("--peer-python", default=os.environ.get("BENCH_PEER_PYTHON"), help="one that has optimagic")
    add_output_options(parser)
    arguments = parser.parse_args()
    repeats = arguments.repeats or (3 if arguments.quick else 10)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        wanted = measurements(arguments.quick, repeats, Path(folder))
        unknown = [name for name in arguments.only or [] if name not in wanted]
        if unknown:
            parser.error(f"--only {unknown[0]}: there are {', '.join(wanted)}")
        for name, measure in wanted.items():
            if arguments.only is None or name in arguments.only:
                figures += measure()
    peer = "optimagic was not measured"
    if arguments.peer_python:
        found, peer = peer_figures(arguments.peer_python, arguments.quick, figures)
        figures += found
    if arguments.record:
        write_section(arguments.record, "pytree", as_markdown(figures, peer, arguments.quick))
    if arguments.json:
        print(json.dumps({f.name: asdict(f) | {"met": f.met} for f in figures} | {"peer": peer, "machine": machine()}))
    else:
        for figure in figures:
            found = _number(figure.value, figure.unit)
            print(f"{figure.what:62} {found:28} {_asked(figure):36} {_seconds(figure):24} {_verdict(figure)}")
        print(peer)


if __name__ == "__main__":
    main()
