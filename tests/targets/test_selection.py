"""Target configurations: what the default training set selects, and rules that are wrong."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.targets import database, report, selection, snapshot


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("targets") / "targets.duckdb"
    return database.build_database(path, snapshot.load_snapshot()).path


@pytest.fixture(scope="module")
def training(built: Path) -> pd.DataFrame:
    return selection.read_targets(built)


def _config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_training_set(training: pd.DataFrame) -> None:
    assert list(training.columns) == list(selection.COLUMNS)
    levels = training["geo_level"].value_counts()
    assert levels["district"] == 436 * 20
    assert levels["state"] == 51 * 42
    assert levels["national"] > 60
    assert (training["reform"] == "").all()
    assert "medicaid" not in set(training["variable"])
    assert (training["value"] > 0).all()
    assert training["name"].is_unique
    assert not training.duplicated(["variable", "geo_id", "constraints"]).any()


def test_training_set_can_hold_at_once(training: pd.DataFrame) -> None:
    table = report.consistency(training)
    assert table["states_error"].abs().max() < 1e-12
    assert table["districts_error"].abs().max() < 1e-12
    assert report.district_gaps(training)["gap"].max() < 1e-12
    parts = training[(training["geo_id"] == "US") & training["variable"].str.startswith("social_security")]
    values = parts.set_index("variable")["value"]
    assert values.drop("social_security").sum() == values["social_security"]


def test_include_exclude_and_domain(built: Path, tmp_path: Path) -> None:
    config = _config(
        tmp_path,
        "include: [{variable: household_count, domain: snap}, {variable: income_tax}]\n"
        "exclude: [{geo_level: district}]\n",
    )
    targets = selection.read_targets(built, config)
    assert len(targets) == 51 + 1 + 5
    assert set(targets["geo_level"]) == {"national", "state"}
    plain = selection.read_targets(built, _config(tmp_path, 'include: [{variable: household_count, domain: ""}]'))
    assert set(plain["constraints"]) == {"[]"}
    assert len(plain) == 488


def test_a_constraint_rule(built: Path, tmp_path: Path) -> None:
    config = _config(tmp_path, 'include: [{variable: person_count, constraint: [age, ">=", 85]}]')
    targets = selection.read_targets(built, config)
    assert len(targets) == 488
    assert set(targets["constraints"]) == {'[["age",">=",85]]'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "include: [{variable: snpa}]",
            r"variable='snpa' matches no target .*'snap'|variable='snpa' matches no target",
        ),
        ("exclude: [{variable: snap, geo_level: district}]", "geo_level='district' matches no target"),
        ("include: [{variable: ssi}]", "two sources for one concept: US/ssi@ssa"),
        ("include: [{varable: ssi}]", "wanted a mapping with any of variable"),
        ("include: [{variable: ssi, constraint: [age]}]", "constraint is written"),
        ("only: [{variable: ssi}]", "include and exclude alone"),
        ("- variable: ssi", "include and exclude alone"),
        ("include: [", "not readable as YAML"),
        ("include: [{source: ssa_ssi}]\nexclude: [{source: ssa_ssi}]", "leaves no target"),
    ],
)
def test_wrong_configurations(built: Path, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TargetError, match=message):
        selection.read_targets(built, _config(tmp_path, text))


def test_absent_and_foreign_files(built: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such target configuration"):
        selection.read_targets(built, tmp_path / "absent.yaml")
    with pytest.raises(TargetError, match="no such target database"):
        selection.read_targets(tmp_path / "absent.duckdb")
    foreign = tmp_path / "foreign.duckdb"
    foreign.write_bytes(b"something else entirely" * 1000)
    with pytest.raises(TargetError, match="not a readable target database"):
        selection.read_targets(foreign)


def test_reading_leaves_the_file_alone(built: Path) -> None:
    before = built.read_bytes()
    selection.read_targets(built)
    assert built.read_bytes() == before
