"""Execute the notebooks of docs/internals in place, so that two executions of the same code give the same file.

Usage: python docs/execute_notebooks.py [--check] [NAME ...]

NAME is a notebook without its ending; all of them by default. Volatile metadata (times, versions) is left out; the
hash of the cells' sources is kept, by which a test sees that a notebook was edited and not executed. A cell that
raises ends the script with the error, and leaves the file as it was. With --check nothing is written.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "internals"
SECONDS_PER_CELL = 600
_KEPT = ("jupyter", "tags")  # of a cell: whether its source is folded
_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebooks() -> list[Path]:
    """Every notebook of the folder."""
    return sorted(FOLDER.glob("*.ipynb"))


def sources_hash(content: dict[str, Any]) -> str:
    """Hash of the sources of a notebook's code cells, in order."""
    cells = ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]
    return hashlib.blake2b(json.dumps(cells).encode(), digest_size=8).hexdigest()


def faults(path: Path) -> list[str]:
    """What is wrong with a stored notebook: cells that were not executed, errors, sources changed since, times."""
    content = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    found = []
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("its cells were not executed once each, in order")
    if content["metadata"].get("sources") != sources_hash(content):
        found.append("its cells were changed after it was executed")
    if any(output["output_type"] == "error" for cell in code for output in cell["outputs"]):
        found.append("a cell ended in an error")
    if any("execution" in cell["metadata"] for cell in code):
        found.append("its metadata holds times")
    return found


def execute(path: Path, *, write: bool) -> None:
    """Run a notebook from the top in a fresh kernel of this interpreter.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        # No folder of kernels: what is left is the kernel of this interpreter, whatever else is installed.
        manager = AsyncKernelManager(
            kernel_name="python3", transport="ipc", ip=f"{sockets}/kernel",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        )  # fmt: skip
        client = NotebookClient(
            notebook, km=manager, timeout=SECONDS_PER_CELL, record_timing=False, coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
        )  # fmt: skip
        client.execute(env={**os.environ, "PYTHONHASHSEED": "0", "MPLBACKEND": "agg"})
    if not write:
        return
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key in _KEPT}
    notebook.metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}, "sources": sources_hash(notebook)}
    text = nbformat.writes(notebook, version=4)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    temporary.replace(path)


def main() -> None:
    """Execute the notebooks that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="notebook without .ipynb (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a cell raises")
    arguments = parser.parse_args()
    known = {path.stem: path for path in notebooks()}
    unknown = sorted(set(arguments.names) - set(known))
    if unknown:
        parser.error(f"no notebook {', '.join(unknown)} in {FOLDER}; there are {', '.join(known)}")
    for name in arguments.names or known:
        print(f"{known[name].relative_to(FOLDER.parents[1])}", flush=True)
        execute(known[name], write=not arguments.check)


if __name__ == "__main__":
    sys.exit(main())
