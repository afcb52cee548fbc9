"""The notebooks are stored executed, with the cells that they were executed with, and run without an error."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "execute_notebooks.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("execute_notebooks", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load()
NOTEBOOKS = script.notebooks()


def _store(path: Path, *sources: str) -> dict[str, Any]:
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "execution_count": None, "outputs": [], "source": [source]}
        for n, source in enumerate(sources)
    ]
    content = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(content), encoding="utf-8")
    return content


def _execute(path: Path) -> subprocess.CompletedProcess[str]:
    code = f"import pathlib, execute_notebooks as e; e.execute(pathlib.Path({str(path)!r}), write=True)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=SCRIPT.parent)


def test_there_are_notebooks() -> None:
    assert "fit" in {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_as_executed(path: Path) -> None:
    assert script.faults(path) == []


def test_an_executed_notebook_has_no_faults_and_no_times_until_it_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "note.ipynb"
    _store(path, "x = 6", "print(7 * x)")
    assert script.faults(path) == ["its cells were not executed once each, in order", *_EDITED]
    done = _execute(path)
    assert done.returncode == 0, done.stderr
    assert script.faults(path) == []
    first = path.read_bytes()
    content = json.loads(first)
    assert content["cells"][1]["outputs"][0]["text"] == ["42\n"]
    assert _execute(path).returncode == 0
    assert path.read_bytes() == first
    content["cells"][0]["source"] = ["x = 7"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert script.faults(path) == _EDITED


def test_a_cell_that_raises_is_an_error_and_leaves_the_file(tmp_path: Path) -> None:
    path = tmp_path / "note.ipynb"
    _store(path, "1 / 0")
    before = path.read_bytes()
    done = _execute(path)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_executes(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check", path.stem], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


_EDITED = ["its cells were changed after it was executed"]
