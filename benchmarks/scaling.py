"""How time and memory grow with the number of clones: a table of finished runs of one benchmark, largest last.

Usage: python benchmarks/scaling.py NAME LOG... [--record docs/performance.md]

NAME is that of the benchmark (`state_values` or `matrix`, which take --clones), each LOG what a run of it with --json
printed. Runs nothing itself: a run at production scale takes its time once. Without --record the table is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.record import machine, table, write_section

COLUMNS = {
    "state_values": (("situations", "situations", "{:,}"),),
    "matrix": (
        ("n_targets", "targets", "{:,}"),
        ("value_rows", "value rows", "{:,}"),
        ("package_mb", "package, MB", "{:,.0f}"),
        ("synthetic_values", "state values made up", "{}"),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=tuple(COLUMNS))
    parser.add_argument("logs", type=Path, nargs="+")
    parser.add_argument("--record", type=Path, default=None, help="document to write the table into")
    arguments = parser.parse_args()
    runs = sorted((last_object(path) for path in arguments.logs), key=lambda run: run["n_clones"])
    text = markdown(arguments.name, runs)
    if arguments.record is None:
        print(text)
    else:
        write_section(arguments.record, f"scaling-{arguments.name.replace('_', '-')}", text)


def last_object(path: Path) -> dict[str, Any]:
    """The JSON object in the last line of a log."""
    lines = path.read_text(encoding="utf-8").strip().splitlines()
    try:
        found: dict[str, Any] = json.loads(lines[-1])
    except (IndexError, json.JSONDecodeError) as error:
        raise SystemExit(
            f"{path}: its last line is no JSON object ({error}); run the benchmark with --json."
        ) from error
    return found


def markdown(name: str, runs: list[dict[str, Any]]) -> str:
    """The table: a run a row, with the time of each against the one before."""
    rows = []
    for number, run in enumerate(runs):
        before = runs[number - 1] if number else None
        growth = (
            f"x{run['seconds'] / before['seconds']:,.1f} for x{run['n_clones'] / before['n_clones']:,.1f} clones"
            if before
            else ""
        )
        more = [form.format(run[key]) for key, _, form in COLUMNS[name]]
        rows.append([f"{run['n_clones']:,}", f"{run['seconds']:,.1f}", growth, f"{run['peak_mb']:,.0f}", *more])
    head = ["clones", "seconds", "growth", "memory, MB", *(title for _, title, _ in COLUMNS[name])]
    return (
        f"## Scaling: {name.replace('_', ' ')}\n\n{table(head, rows)}\n\n{machine()}. Written by "
        f"`benchmarks/scaling.py {name}` from runs of `benchmarks/{name}.py --clones`."
    )


if __name__ == "__main__":
    main()
