"""What benchmarks share: running a process that measures, and handing out figures.

Tables in documents lie between markers of their own, so that a script writes the numbers and no hand:

<!-- pytree:begin -->
... whatever is here is replaced ...
<!-- pytree:end -->
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_TITLE = "# Performance\n\nThe benchmark that a section names has written it: edit that, not the section.\n"


def write_section(document: Path, name: str, markdown: str) -> None:
    """Put a benchmark's text into a document, in the place of what it wrote last; at the end where it is new.

    Args:
        document: the Markdown file; made where there is none.
        name: of the section, letters and digits.
        markdown: the text.
    """
    text = document.read_text(encoding="utf-8") if document.exists() else _TITLE
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    section = f"{begin}\n{markdown.strip()}\n{end}"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    known = pattern.search(text) is not None
    text = pattern.sub(lambda _: section, text, count=1) if known else f"{text.rstrip()}\n\n{section}\n"
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(text, encoding="utf-8")


def hand_out(
    figures: dict[str, Any], arguments: argparse.Namespace, section: str, markdown: Callable[[dict[str, Any]], str]
) -> None:
    """What every benchmark ends with: the section of a document, a line a figure, and one JSON object, as asked for.

    Args:
        figures: by name.
        arguments: with `record`, a document or None, and `json`.
        section: name of the document's section.
        markdown: makes its text.
    """
    if arguments.record is not None:
        write_section(arguments.record, section, markdown(figures))
    for key, value in figures.items():
        print(f"{key:28} {value}")
    if arguments.json:
        print(json.dumps(figures))


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Options that `hand_out` asks for."""
    parser.add_argument("--record", type=Path, default=None, metavar="DOCUMENT", help="write the table into it")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")


def run_child(command: Sequence[object]) -> dict[str, Any]:
    """The JSON object in the last line that a process prints; ends this one with its error if it fails."""
    words = [json.dumps(word) if isinstance(word, dict) else str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])} failed:\n{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def machine() -> str:
    """Processor, cores and Python, for the line under a table."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        found = re.search(r"model name\s*:\s*(.+)", information.read_text(encoding="utf-8", errors="replace"))
        processor = found[1].strip() if found else processor
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{processor}, {cores} cores, Python {platform.python_version()}, {platform.system()}"
