"""The target database: time and memory of its snapshot, its file, selection queries and `tessera targets show`.

Usage: python benchmarks/targets.py --official FOLDER [--record docs/performance.md] [--json]

Each step runs in a process of its own (`--child STEP`), so that its peak memory is its own, imports and all:

- snapshot: every official file checked, read, uprated and reconciled (`build_snapshot`);
- database: the DuckDB file from the packaged figures, checks and consistency report with it (`build_database`);
- selection: the targets of each packaged configuration, queries of that file (`read_targets`, `read_comparison`);
- show: the command `tessera targets show --area CA-12 --variable snap` on that file, from start to exit.

Seconds are without imports, but for `show`. With --json the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import duckdb  # noqa: F401 (an import is no part of what is measured)

from benchmarks.memory import peak_mb
from benchmarks.record import add_output_options, hand_out, machine, run_child, table
from tessera.targets import database, selection, snapshot

_ROOT = Path(__file__).resolve().parents[1]
_SHOW = ("targets", "show", "--area", "CA-12", "--variable", "snap", "--database")
# The command, and its peak memory in the last line.
_COMMAND = """
import sys
from tessera.cli import main
code = main(sys.argv[1:])
from benchmarks.memory import peak_mb
print(peak_mb())
sys.exit(code)
"""
# What each step may take, seconds.
_LIMITS = {"snapshot": 180, "database": 20, "selection": 1, "show": None}


def main() -> None:
    """Measure, and write what was asked for."""
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_STEPS[arguments.child](arguments.official, arguments.database)))
        return
    with tempfile.TemporaryDirectory(prefix="tessera-benchmark-") as folder:
        file = Path(folder) / "targets.duckdb"
        figures: dict[str, Any] = {"machine": machine()}
        for step in _STEPS:
            command = [sys.executable, __file__, "--official", arguments.official, "--child", step, "--database", file]
            figures |= {f"{step}_{name}": value for name, value in run_child(command).items()}
    hand_out(figures, arguments, "targets", markdown)


def _snapshot(official: Path, _file: Path) -> dict[str, Any]:
    return _timed(lambda: {"figures": len(snapshot.build_snapshot(official))})


def _database(_official: Path, file: Path) -> dict[str, Any]:
    figures = snapshot.load_snapshot()
    found = _timed(lambda: {"targets": database.build_database(file, figures).targets})
    return {**found, "file_mb": file.stat().st_size / 1e6}


def _selection(_official: Path, file: Path) -> dict[str, Any]:
    """Every packaged configuration; `seconds` are those of the slowest."""
    runs = {name: _timed(partial(_selected, file, name)) for name in selection.PACKAGED}
    slowest = max(runs, key=lambda name: runs[name]["seconds"])
    return {**runs[slowest], "of": slowest, "peak_mb": peak_mb()}


def _selected(file: Path, name: str) -> dict[str, Any]:
    read = selection.read_comparison if name == "validation" else selection.read_targets
    return {"targets": len(read(file, Path(name)))}


def _show(_official: Path, file: Path) -> dict[str, Any]:
    begun = time.perf_counter()
    command = [sys.executable, "-c", _COMMAND, *_SHOW, str(file)]
    shown = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    *lines, memory = shown.stdout.splitlines()
    return {"seconds": time.perf_counter() - begun, "peak_mb": float(memory), "lines": len(lines)}


def _timed(step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    begun = time.perf_counter()
    counted = step()
    return {"seconds": time.perf_counter() - begun, "peak_mb": peak_mb(), **counted}


_STEPS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "snapshot": _snapshot,
    "database": _database,
    "selection": _selection,
    "show": _show,
}


def markdown(figures: dict[str, Any]) -> str:
    """The figures as a section of a document."""
    what = {
        "snapshot": f"snapshot from the official files: {figures['snapshot_figures']:,} figures",
        "database": f"database of {figures['database_targets']:,} targets ({figures['database_file_mb']:,.0f} MB)",
        "selection": f"selection of {figures['selection_targets']:,} targets ({figures['selection_of']}, the slowest)",
        "show": f"`tessera targets show --area CA-12 --variable snap`: {figures['show_lines']} lines",
    }
    rows = []
    for step, text in what.items():
        limit = "" if _LIMITS[step] is None else f"{_LIMITS[step]} s"
        rows.append([text, f"{figures[f'{step}_seconds']:,.2f} s", limit, f"{figures[f'{step}_peak_mb']:,.0f} MB"])
    note = (
        "Each step in a process of its own; time is without imports but for `show`, which is the whole command. "
        f"{figures['machine']}. Written by `benchmarks/targets.py --record`."
    )
    return f"## Target database\n\n{table(['', 'time', 'may take', 'memory'], rows)}\n\n{note}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--official", type=Path, required=True, metavar="FOLDER", help="official files as published")
    add_output_options(parser)
    parser.add_argument("--child", choices=tuple(_STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
