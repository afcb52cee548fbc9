"""The road to a package, with a double for the engine: built, stopped and resumed, looked at, verified, refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tessera import cli_package
from tessera.areas.dataset import AreaDataset
from tessera.cli import main
from tessera.config import SCALES, paths
from tessera.matrix.package import read_package, write_package
from tessera.road.package import STAGES, Road, build_along
from tessera.rules.values import EntityValues
from tests.stub_engine import StubRules

SCALE = replace(SCALES["tiny"], name="tiny-40x110", households=40, clones=110)
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Road:
    """A road that was gone once."""
    road = Road(paths(tmp_path_factory.mktemp("home")), SCALE)
    assert not build_along(road, StubRules()).reused
    return road


@pytest.fixture
def run(road: Road, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command with the double as its engine: exit code, standard output, standard error."""
    monkeypatch.setattr(cli_package, "engine", StubRules)
    monkeypatch.setenv("TESSERA_HOME", str(road.paths.home))

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


class StoppedRules(StubRules):
    """A double that is stopped at its first simulation after some state is finished."""

    def __init__(self, road: Road) -> None:
        super().__init__()
        self.road = road

    def compute(self, dataset: AreaDataset, variables: Sequence[str]) -> EntityValues:
        if written_states(self.road):
            raise KeyboardInterrupt
        return super().compute(dataset, variables)


def bytes_of(road: Road) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(road.folder.glob("*.h5"))}


def written_states(road: Road) -> dict[str, int]:
    """When each finished state was written."""
    return {path.stem: path.stat().st_mtime_ns for path in (road.folder / "state_values").rglob("*.h5")}


def test_nothing_is_made_twice(road: Road) -> None:
    before = bytes_of(road)
    assert set(before) == {*(f"{name}.h5" for name in STAGES), "package.h5"}
    rules = StoppedRules(road)
    assert build_along(road, rules).reused
    assert rules.loads == 0 and bytes_of(road) == before


def test_a_run_that_was_stopped_goes_on_and_ends_with_the_same_bytes(road: Road, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(road.paths.home, home)
    other = replace(road, paths=paths(home))
    shutil.rmtree(other.folder / "state_values")
    for name in ("calibration_matrix.h5", "package.h5", "clones.h5"):
        (other.folder / name).unlink()
    with pytest.raises(KeyboardInterrupt):
        build_along(other, StoppedRules(other))
    finished = written_states(other)
    assert 0 < len(finished) < 51
    assert not build_along(other, StubRules()).reused
    after = written_states(other)
    assert len(after) == 51 and finished.items() <= after.items()  # what was finished was not made again
    assert (other.folder / "package.h5").read_bytes() == road.package.read_bytes()


def test_another_file_in_the_packages_place_is_replaced(road: Road, tmp_path: Path) -> None:
    moved = replace(road, output=tmp_path / "out.h5")
    assert not build_along(moved, StubRules()).reused
    whole = moved.package.read_bytes()
    assert whole == road.package.read_bytes()
    package = read_package(moved.package)
    write_package(moved.package, replace(package, initial_weights=package.initial_weights * 2))
    assert not build_along(moved, StubRules()).reused
    assert moved.package.read_bytes() == whole
    build_along(road, StubRules())  # the stages are those of the fixture again


def test_uniform_weights_carry_the_same_households(road: Road, run: Run, tmp_path: Path) -> None:
    design = read_package(road.package)
    arguments = ("--scale", "tiny", "--households", "40", "--clones", "110", "--workers", "1")
    code, out, err = run(
        "package", "build", *arguments, "--initial-weights", "uniform", "--output", str(tmp_path / "uniform.h5")
    )
    assert code == 0, err
    assert "initial_weights was design, is uniform" in err and f"built           {tmp_path / 'uniform.h5'}" in out
    uniform = read_package(tmp_path / "uniform.h5")
    assert uniform.provenance["initial_weights"] == "uniform"
    # A district that a city cuts has two cells, which share its households in one way or the other.
    district = np.unique(design.matrix.cells, return_inverse=True)[1][design.matrix.cell]
    carried = [np.bincount(district, package.initial_weights) for package in (design, uniform)]
    np.testing.assert_allclose(carried[0], carried[1])
    for code in range(0, 436, 60):
        assert len(np.unique(uniform.initial_weights[district == code])) == 1
    build_along(road, StubRules())


def test_show_says_what_is_there(road: Road, run: Run) -> None:
    code, out, _ = run("package", "show", str(road.package), "--json")
    facts = json.loads(out)
    package = read_package(road.package)
    assert code == 0
    assert facts["sha256"] == package.sha256 and facts["scale"] == "tiny-40x110"
    assert facts["clones"] == 4400 and facts["situations"] >= facts["rows of the value table"] > 0
    explicit = package.matrix.to_csr()
    assert facts["non-zeros of M"] == explicit.count_nonzero()
    code, out, _ = run("package", "show", str(road.package))
    lines = out.splitlines()
    assert code == 0 and any(line.split() == ["clones", "4,400"] for line in lines)
    counts = [line.split() for line in lines if line.strip().startswith("district ")]
    assert counts == [["district", *(f"{count:,}" for count in _by_level(package, "district"))]]
    assert any(line.startswith("unachievable, ") for line in lines)


def _by_level(package: object, level: str) -> list[int]:
    matrix = package.matrix  # type: ignore[attr-defined]
    return [int((table["geo_level"] == level).sum()) for table in (matrix.targets, matrix.unachievable)]


def test_every_row_of_some_areas_agrees_with_the_engine(road: Road, run: Run, tmp_path: Path) -> None:
    arguments = ("--areas", "2", "--records", "1500", "--workers", "1")
    code, out, err = run("verify-package", str(road.package), *arguments, "--keep", str(tmp_path / "files"))
    assert code == 0, err
    assert "All " in out.splitlines()[-1] and "(a random sample of its 4,400 clones)" in out
    written = sorted(path.parent.name for path in (tmp_path / "files").rglob("*.h5"))
    assert written == ["cities"] * 2 + ["districts"] * 2 + ["national"] + ["states"] * 2
    code, out, _ = run("verify-package", str(road.package), *arguments, "--json")
    found = {one["area"]: one for one in json.loads(out)["areas"]}
    assert found["US"]["records"] == 1500 and found["US"]["of"] == 4400
    assert all(0 < one["largest"] < 1e-6 and one["rows"] > 30 for one in found.values())


def test_a_package_that_says_something_else_fails_with_its_worst_rows(road: Road, run: Run, tmp_path: Path) -> None:
    package = read_package(road.package)
    matrix = package.matrix
    table = matrix.value_table.copy()
    snap = matrix.metric_ids.index("snap")
    table.data = np.where(table.indices == snap, table.data * np.float32(1.001), table.data)
    write_package(tmp_path / "other.h5", replace(package, matrix=replace(matrix, value_table=table)))
    code, out, err = run("verify-package", str(tmp_path / "other.h5"), "--areas", "1", "--records", "500")
    assert (code, out) == (1, "")
    assert "target rows differ between the matrix and the engine by more than 1e-06" in err
    worst = [line for line in err.splitlines() if "difference " in line and line.startswith("  ")]
    assert worst and all("snap" in line and "1.00e-03" in line.replace("9.99e-04", "1.00e-03") for line in worst)


def test_a_package_that_does_not_match_the_store_is_refused(road: Road, run: Run, tmp_path: Path) -> None:
    package = read_package(road.package)
    facts = {**package.provenance, "state_values_sha256": "c" * 64}
    write_package(tmp_path / "other.h5", replace(package, provenance=facts))
    code, _, err = run("verify-package", str(tmp_path / "other.h5"))
    assert code == 1
    assert f"made from the inputs {'c' * 16}" in err and f"those in {road.folder} are " in err
    code, _, err = run("verify-package", str(road.package), "--home", str(tmp_path / "empty"))
    assert code == 1 and "holds no base frame and clones of scale tiny-40x110" in err
    code, _, err = run("verify-package", str(tmp_path / "none.h5"))
    assert code == 1 and "no such calibration package" in err


@pytest.mark.parametrize("arguments", [("--scale", "huge"), ("--clones", "0"), ("--initial-weights", "mine")])
def test_bad_arguments(run: Run, arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run("package", "build", *arguments)
    assert stopped.value.code == 2
