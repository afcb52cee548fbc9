"""The benchmarks' tables and JSON: what a script wrote is replaced by what it writes next, and by nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.pytree import as_markdown
from benchmarks.pytree_cases import Figure
from benchmarks.record import write_section

ROOT = Path(__file__).resolve().parents[1]


def test_a_section_replaces_itself_alone(tmp_path: Path) -> None:
    document = tmp_path / "docs" / "performance.md"
    write_section(document, "fit", "## Fit\n\n1")
    write_section(document, "pytree", r"## Trees: \1 $2")
    write_section(document, "fit", "## Fit\n\n2")
    text = document.read_text()
    assert text.startswith("# Performance\n")
    assert "<!-- fit:begin -->\n## Fit\n\n2\n<!-- fit:end -->\n\n<!-- pytree:begin -->\n## Trees: \\1 $2\n" in text
    write_section(document, "pytree", r"## Trees: \1 $2")
    assert document.read_text() == text


def test_the_table_says_what_was_missed() -> None:
    figures = [
        Figure("a", "ravel", 1.2, "x numpy", 1.5, ours=0.0012, reference=0.001),
        Figure("b", "dump", 0.4, "x raw", 0.5, at_least=True),
        Figure("c", "error", 2e-10, ""),
    ]
    rows = as_markdown(figures, "no peer", quick=True).splitlines()
    assert "| ravel | 1.2 x numpy | at most 1.5 x numpy | 1.2 ms / 1 ms | yes |" in rows
    assert "| dump | 0.4 x raw | at least 0.5 x raw |  | **no** |" in rows
    assert "| error | 2e-10 |  |  |  |" in rows


def test_one_json_object_comes_last() -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "pytree.py"),
        "--quick",
        "--only",
        "vectors",
        "scalars",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert {"ravel_arrays", "unravel_series", "ravel_frame", "unravel_scalars", "peer", "machine"} <= set(found)
    assert found["ravel_arrays"]["value"] > 0 and found["ravel_arrays"]["limit"] == 1.5
