"""The target database: what it holds, what it refuses, and that it is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.targets import database, selection, snapshot, strata, validation
from tessera.targets.catalogue import VariableCatalogue

KNOWN = VariableCatalogue.packaged()


@pytest.fixture(scope="module")
def figures() -> pd.DataFrame:
    return snapshot.load_snapshot()


@pytest.fixture(scope="module")
def few(figures: pd.DataFrame) -> pd.DataFrame:
    """Some figures of each level."""
    return figures[figures["geo_id"].isin(["US", "VT", "VT-01"])].reset_index(drop=True)


@pytest.fixture(scope="module")
def built(figures: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> database.DatabaseSummary:
    return database.build_database(tmp_path_factory.mktemp("targets") / "targets.duckdb", figures)


def test_everything_is_in_the_database_once(built: database.DatabaseSummary, figures: pd.DataFrame) -> None:
    assert built.targets == len(figures) == sum(built.by_level.values()) == sum(built.by_source.values())
    targets = selection.read_all_targets(built.path)
    assert targets["name"].is_unique
    assert targets["target_id"].tolist() == list(range(len(figures)))
    assert targets["value"].sum() == pytest.approx(figures["value"].sum(), rel=1e-12)


def test_hierarchy_and_views(built: database.DatabaseSummary) -> None:
    with duckdb.connect(str(built.path), read_only=True) as connection:
        places = connection.execute(
            "select geo_level, count(*) from strata where constraints = '[]' group by 1"
        ).fetchall()
        assert dict(places) == {"national": 1, "state": 51, "district": 436}
        parent = connection.execute(
            "select parent.geo_id from strata child join strata parent on child.parent_stratum_id = parent.stratum_id "
            "where child.geo_id = 'CA-12' and child.constraints = '[]'"
        ).fetchall()
        assert parent == [("CA",)]
        constraints = connection.execute(
            "select constraint_variable, operation, value from stratum_constraints join strata using (stratum_id) "
            "where geo_id = 'CA-12' and strata.constraints = '[[\"snap\",\">\",0]]' order by 1"
        ).fetchall()
        assert constraints == [("congressional_district_geoid", "==", 612), ("snap", ">", 0), ("state_fips", "==", 6)]
        domain = connection.execute(
            "select distinct domain from target_overview "
            "where variable = 'tax_unit_count' and geo_level = 'state' order by 1"
        ).fetchall()
        assert domain == [
            ("adjusted_gross_income,tax_unit_is_filer",),
            ("eitc,tax_unit_is_filer",),
            ("tax_unit_is_filer",),
        ]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("variable", "snpa", r"Row 3 .*unknown variable 'snpa'; near: .*snap"),
        ("reform", "no_such_deduction", "unknown variable 'no_such_deduction'"),
        ("geo_id", "ZZ", "no state is called 'ZZ'"),
        ("geo_id", "VT-02", "no state is called"),
        ("geo_level", "county", "geo_level is 'county'"),
        ("value", float("nan"), "value is nan"),
        ("value", float("inf"), "value is inf"),
        ("period", 1924, "period is 1924"),
        ("constraints", '[["agee",">",3]]', "unknown variable 'agee'"),
        ("constraints", '[["age","~",3]]', "one of == !="),
        ("constraints", '[["age","==",3],["age","<",5]]', "must be alone"),
        ("constraints", '[["age",">",3],["age",">=",2]]', "both > and >="),
        ("constraints", '[["age",">=",9],["age","<",9]]', "empty range from 9"),
        ("constraints", '[["age",">",3],["age",">",5]]', "two constraints age >"),
        ("constraints", '[["state_fips","==",6]]', "geography is given by"),
        ("constraints", "age>3", "no JSON list"),
    ],
)
def test_a_bad_row_is_named(few: pd.DataFrame, tmp_path: Path, column: str, value: object, message: str) -> None:
    bad = few[few["geo_level"] == "state"].reset_index(drop=True).astype({column: object})
    bad.loc[3, column] = value
    path = tmp_path / "targets.duckdb"
    with pytest.raises(TargetError, match=message):
        database.build_database(path, bad)
    assert list(tmp_path.iterdir()) == []


def test_equal_inclusive_bounds_are_no_contradiction() -> None:
    validation.check_constraints([("age", ">=", 9), ("age", "<=", 9)], KNOWN, "row")
    with pytest.raises(TargetError, match="age"):
        validation.check_constraints([("age", ">", 9), ("age", "<=", 9)], KNOWN, "row")


def test_duplicates_are_refused(few: pd.DataFrame, tmp_path: Path) -> None:
    twice = pd.concat([few, few.iloc[[5]]], ignore_index=True)
    with pytest.raises(TargetError, match=rf"Row {len(few)} .*the same target is in row 5"):
        database.build_database(tmp_path / "targets.duckdb", twice)


def test_orphan_strata_are_refused(few: pd.DataFrame) -> None:
    table = strata.build_strata(few)
    validation.check_strata(table)
    last = len(table) - 1
    for parent, message in ((99_999, "does not exist"), (5, "is no part of its parent 5"), (-1, "has no parent")):
        broken = table.copy()
        broken.loc[last, "parent_stratum_id"] = parent
        with pytest.raises(TargetError, match=rf"Stratum {last} .*{message}"):
            validation.check_strata(broken)


def test_definition_hashes_tell_strata_apart(few: pd.DataFrame) -> None:
    table = strata.build_strata(few)
    assert table["definition_hash"].is_unique
    assert strata.definition_hash("state", "VT", "[]") != strata.definition_hash("district", "VT-01", "[]")


def test_a_failed_build_leaves_the_old_file(few: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "targets.duckdb"
    database.build_database(path, few)
    before = path.read_bytes()
    with pytest.raises(TargetError):
        database.build_database(path, few.assign(value=float("nan")))
    assert path.read_bytes() == before
    assert database.build_database(path, few.head(5)).targets == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["targets.duckdb"]


def test_a_catalogue_of_ones_own(few: pd.DataFrame, tmp_path: Path) -> None:
    listed = tmp_path / "variables.csv"
    listed.write_text("name,entity,kind,unit\nage,person,float,year\n", encoding="utf-8")
    own = VariableCatalogue.read(listed)
    assert own.entity("age") == own.entity("person_count") == "person"
    with pytest.raises(TargetError, match="unknown variable"):
        database.build_database(tmp_path / "targets.duckdb", few, variables=own)
    with pytest.raises(TargetError, match="not known"):
        own.entity("snap")


@pytest.mark.engine
def test_the_catalogue_agrees_with_the_rules_engine() -> None:
    from policyengine_us import CountryTaxBenefitSystem

    engine = CountryTaxBenefitSystem().variables
    kinds = {"float": float, "int": int, "bool": bool}
    for variable in KNOWN.variables.values():
        assert variable.name in engine, variable.name
        assert engine[variable.name].entity.key == variable.entity, variable.name
        assert engine[variable.name].value_type is kinds[variable.kind], variable.name
