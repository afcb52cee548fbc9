"""The command line's road to a package gives the package that the workflow engine's assets give."""

import shutil
from pathlib import Path

from tessera.config import paths
from tessera.matrix.package import CalibrationPackage, read_package
from tessera.road.package import Road, build_along
from tests.orchestration.conftest import SCALE, Store
from tests.stub_engine import StubRules


def test_both_ways_give_the_same_package(whole_run: Store, tmp_path: Path) -> None:
    shutil.copytree(whole_run.settings.paths.raw, tmp_path / "raw")
    road = Road(paths(tmp_path), SCALE, seed=whole_run.settings.seed)
    build_along(road, StubRules())
    assert (
        read_package(road.package).sha256 == CalibrationPackage.from_tree(whole_run.value("calibration_matrix")).sha256
    )
