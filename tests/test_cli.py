"""The command line: what it prints, and its exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tessera import __version__
from tessera.cli import main
from tessera.config import paths
from tessera.geography.areas import areas
from tessera.pytree.io import dump_tree
from tests.release.conftest import example  # noqa: F401 - the fixture that makes releases

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on an empty store: exit code, standard output, standard error."""
    monkeypatch.setenv("TESSERA_HOME", str(tmp_path / "store"))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def test_paths_says_what_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store" / "raw").mkdir(parents=True)
    code, out, _ = run("paths")
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0
    assert lines["raw"] == str(tmp_path / "store" / "raw")
    assert lines["release"] == f"{tmp_path / 'store' / 'release'}  (not there yet)"
    assert set(lines) == {"home", "raw", "assets", "dagster", "runs", "staging", "release", "current"}


def test_tree_lists_the_leaves_of_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "asset.h5"
    dump_tree({"weights": np.ones(7, np.float32), "names": ["a", "b"]}, path)
    code, out, _ = run("tree", str(path))
    assert code == 0
    assert "3 leaves" in out.splitlines()[0]
    (weights,) = [line.split() for line in out.splitlines() if line.startswith("['weights']")]
    assert "7" in weights and "28" in weights  # elements and bytes


def test_areas_by_kind(run: Run) -> None:
    code, out, _ = run("areas")
    assert code == 0 and len(out.splitlines()) == len(areas())
    _, cities, _ = run("areas", "--kind", "city")
    assert [line.split()[0] for line in cities.splitlines()] == ["NYC", "LOS_ANGELES", "CHICAGO", "HOUSTON"]


def test_releases_and_rollback(run: Run, example, tmp_path: Path) -> None:  # noqa: F811
    from tessera.release.promotion import promote
    from tessera.release.staging import stage

    assert run("releases")[1].startswith("No release in ")
    for minute, version in enumerate(("1.0", "1.1")):
        made = example(version, minute)
        promote(stage(made.files, made.manifest, tmp_path / "staging" / version), paths().release, version)
    _, out, _ = run("releases")
    assert out.splitlines() == ["  1.0  2025-01-02T03:00:00Z  SYNTHETIC", "* 1.1  2025-01-02T03:01:00Z  SYNTHETIC"]
    assert run("rollback", "1.0") == (0, "The current release is 1.0 (before: 1.1).\n", "")
    assert run("releases")[1].startswith("* 1.0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("tree", "absent.h5"), "absent.h5"), (("rollback", "9.9"), "no such version; versions there are: none")],
)
def test_errors_of_ours_are_one_line_and_code_1(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, error = run(*arguments)
    assert (code, out) == (1, "")
    assert error.startswith("tessera: ") and message in error
    assert "Traceback" not in error


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("tree",), ("areas", "--kind", "county")])
def test_bad_arguments_are_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as left:
        run(*arguments)
    assert left.value.code == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"tessera {__version__}\n"
