"""The asset `policy_targets`: its metadata, its checks, and the database that stays open to others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from assets import targets as module
from assets.sources import official_targets
from resources.io_manager import PytreeIOManager
from resources.settings import Settings
from tessera.targets.selection import COLUMNS

CHECKS = ("training_targets_agree_between_levels", "strata_are_the_country", "no_training_target_is_contradicted")
Materialise = Callable[[], dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def materialise(home: Path) -> Materialise:
    """Runs both assets and the checks of `policy_targets` in a store of its own."""
    settings = Settings(home=str(home))
    definitions = [official_targets, module.policy_targets, *(getattr(module, name) for name in CHECKS)]
    resources = {"settings": settings, "io_manager": PytreeIOManager(base_dir=str(settings.paths.assets))}
    return lambda: dg.materialize(definitions, resources=resources)


@pytest.fixture(scope="module")
def result(materialise: Materialise) -> dg.ExecuteInProcessResult:
    return materialise()


@pytest.fixture(scope="module")
def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.asset_materializations_for_node("policy_targets")
    return {name: value.value for name, value in event.metadata.items()}


def test_every_check_passes(result: dg.ExecuteInProcessResult) -> None:
    found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert set(found) == set(CHECKS)
    assert all(evaluation.passed for evaluation in found.values())
    assert found["strata_are_the_country"].metadata["district"].value == 436
    assert found["no_training_target_is_contradicted"].metadata["set aside"].value == 0


def test_columns_are_described(metadata: dict[str, Any], result: dg.ExecuteInProcessResult) -> None:
    columns = metadata["dagster/column_schema"].columns
    value = result.output_for_node("policy_targets")
    assert [column.name for column in columns] == list(COLUMNS) == list(value.columns)
    assert all(column.description for column in columns)
    assert metadata["dagster/row_count"] == len(value)


def test_tables_and_plots_are_there(metadata: dict[str, Any]) -> None:
    for name in ("targets by source and level", "sources", "training targets", "comparisons by severity"):
        lines = metadata[name].splitlines()
        assert lines[0].startswith("| ") and len(lines) > 3, name
    assert metadata["targets by source and level"].splitlines()[-1].startswith("| all | ")
    for name in ("plot of targets by source", "plot of training targets by level"):
        assert metadata[name].startswith("![") and "](data:image/png;base64,iVBOR" in metadata[name]


def test_the_database_is_what_the_metadata_says(metadata: dict[str, Any]) -> None:
    with duckdb.connect(metadata["database"], read_only=True) as connection:
        count = connection.execute("select count(*) from targets").fetchone()
        aside = connection.execute("select count(*) from excluded").fetchone()
    assert count == (metadata["targets in the database"],)
    assert aside == (metadata["targets set aside"],)


def test_the_database_is_made_again_while_somebody_reads_it(
    materialise: Materialise, metadata: dict[str, Any], home: Path
) -> None:
    path = Path(metadata["database"])
    before = path.stat().st_ino
    with duckdb.connect(str(path), read_only=True) as looking:
        again = materialise()
        assert again.success
        assert (
            looking.execute("select count(*) from target_overview").fetchone()[0] == metadata["targets in the database"]
        )
    assert path.stat().st_ino != before
    assert not list((home / "assets").glob("*.wal"))


def test_a_damaged_hierarchy_is_refused_by_the_check(metadata: dict[str, Any], home: Path) -> None:
    path = Path(metadata["database"])
    content = path.read_bytes()
    try:
        with duckdb.connect(str(path)) as connection:
            connection.execute("delete from stratum_constraints where constraint_variable = 'age'")
        value = module.strata_are_the_country(settings=Settings(home=str(home)), policy_targets=[])
        assert not value.passed
        assert "wanted those that it states" in value.metadata["refused"].value
    finally:
        path.write_bytes(content)
