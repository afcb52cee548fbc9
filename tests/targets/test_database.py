"""The target database: what it holds, what it refuses, and that it is written whole or not at all."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tessera.errors import TargetError
from tessera.geography.areas import areas_of_kind
from tessera.targets import database, reading, snapshot, validation
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import COLUMNS
from tests.targets.small import small_figures

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
    targets = reading.read_table(built.path, "target_overview").sort_values("target_id")
    assert targets["name"].is_unique
    assert targets["target_id"].tolist() == list(range(len(figures)))
    assert targets["value"].sum() == pytest.approx(figures["value"].sum(), rel=1e-12)


def test_figures_come_back_as_they_went_in(built: database.DatabaseSummary, figures: pd.DataFrame) -> None:
    key = ["source", "geo_id", "variable", "constraints", "reform"]
    back = reading.read_figures(built.path)
    pd.testing.assert_frame_equal(
        back.sort_values(key, ignore_index=True)[list(COLUMNS)],
        figures.sort_values(key, ignore_index=True)[list(COLUMNS)],
        check_dtype=False,
    )


def test_hierarchy_and_views(built: database.DatabaseSummary) -> None:
    with duckdb.connect(str(built.path), read_only=True) as connection:
        places = connection.execute(
            "select geo_level, count(*) from strata where constraints = '[]' group by 1"
        ).fetchall()
        cities = len(areas_of_kind("city"))
        assert dict(places) == {"national": 1, "state": 51, "district": 436, "city": cities}
        parent = connection.execute(
            "select parent.geo_id from strata child join strata parent on child.parent_stratum_id = parent.stratum_id "
            "where child.geo_id in ('CA-12', 'NYC') and child.constraints = '[]' order by 1"
        ).fetchall()
        assert parent == [("CA",), ("NY",)]
        constraints = connection.execute(
            "select constraint_variable, operation, value from stratum_constraints join strata using (stratum_id) "
            "where geo_id = 'CA-12' and strata.constraints = '[[\"snap\",\">\",0]]' order by 1"
        ).fetchall()
        assert constraints == [("congressional_district_geoid", "==", 612), ("snap", ">", 0), ("state_fips", "==", 6)]
        domain = connection.execute(
            "select distinct domain from target_overview "
            "where variable = 'tax_unit_count' and geo_level = 'state' order by 1"
        ).fetchall()
        assert {("adjusted_gross_income,tax_unit_is_filer",), ("tax_unit_is_filer",)} <= set(domain)


def test_domains_are_those_of_the_constraints(built: database.DatabaseSummary) -> None:
    with duckdb.connect(str(built.path), read_only=True) as connection:
        differing = connection.execute(
            "select domain, made from stratum_domain join ("
            "  select stratum_id, coalesce(string_agg(distinct constraint_variable, ',' order by constraint_variable)"
            "    filter (where constraint_variable not in "
            "      ('state_fips', 'congressional_district_geoid', 'city_county_fips')), '') as made"
            "  from strata left join stratum_constraints using (stratum_id) group by 1"
            ") using (stratum_id) where domain <> made"
        ).fetchall()
        assert differing == []
        inherited = connection.execute(
            "select count(*) from stratum_constraints above join strata on parent_stratum_id = above.stratum_id "
            "left join stratum_constraints own on own.stratum_id = strata.stratum_id "
            "  and own.constraint_variable = above.constraint_variable and own.operation = above.operation "
            "  and own.value = above.value where own.stratum_id is null"
        ).fetchone()
        assert inherited == (0,)


def test_factors_and_contradictions_are_in_the_database(tmp_path: Path) -> None:
    figures = small_figures(national_snap=9_000.0)
    old = figures["source"] == "paper"
    figures.loc[old, ["year", "uprating", "raw_value"]] = [2022, 1.5, 6_000.0]
    of_ohio = figures["geo_id"].str.startswith("OH-") & (figures["constraints"] == "[]")
    figures.loc[of_ohio, ["reconciliation", "raw_value"]] = [2.0, 50.0]
    path = tmp_path / "targets.duckdb"
    summary = database.build_database(path, figures, variables=KNOWN)
    assert summary.excluded == 1
    tables = {name: reading.read_table(path, name) for name in
              ("uprating_factors", "consistency", "excluded", "reconciliation_factors", "target_overview")}  # fmt: skip
    assert tables["uprating_factors"].to_dict("records") == [
        {"source": "paper", "variable": "snap", "constraints": "[]", "year": 2022, "follows": "", "factor": 1.5}
    ]
    critical = tables["consistency"].query("severity == 'critical'")
    assert critical[["kind", "source", "other_source", "geo_id", "places"]].to_numpy().tolist() == [
        ["sources", "usda", "paper", "US", 1]
    ]
    aside = tables["excluded"].merge(tables["target_overview"], on="target_id")
    assert aside["name"].tolist() == ["US/snap@paper"]
    reason = "paper says 9,000 for US: 76.5% more than the 5,100 of usda, which goes before it"
    assert aside["reason"].tolist() == [reason]
    factors = tables["reconciliation_factors"]
    assert factors[["source", "geo_level", "within", "lowest", "highest", "figures"]].to_numpy().tolist() == [
        ["census", "district", "OH", 2.0, 2.0, 15]
    ]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("variable", "snpa", r"Row 3 .*unknown variable 'snpa'; near: .*snap"),
        ("reform", "no_such_deduction", "unknown variable 'no_such_deduction'"),
        ("geo_id", "ZZ", "no state is called 'ZZ'"),
        ("geo_id", "VT-02", "no state is called"),
        ("geo_id", "NYC", "no state is called 'NYC'; ids look like US, CA, CA-12, NYC"),
        ("geo_level", "county", "geo_level is 'county'"),
        ("value", float("nan"), "value is nan"),
        ("value", float("inf"), "value is inf"),
        ("value", "1,000", "value is '1,000'; wanted a finite number"),
        ("uprating", None, "uprating is None"),
        ("period", 1924, "period is 1924"),
        ("period", 2024.0, "period is 2024.0"),
        ("constraints", '[["agee",">",3]]', "unknown variable 'agee'"),
        ("constraints", '[["age","~",3]]', "one of == !="),
        ("constraints", '[["age","==",3],["age","<",5]]', "must be alone"),
        ("constraints", '[["age",">",3],["age",">=",2]]', "both > and >="),
        ("constraints", '[["age",">=",9],["age","<",9]]', "empty range from 9"),
        ("constraints", '[["age",">",3],["age",">",5]]', "two constraints age >"),
        ("constraints", '[["state_fips","==",6]]', "geography is given by"),
        ("constraints", '[["city_county_fips","==",6037]]', "geography is given by"),
        ("constraints", "age>3", "no JSON list"),
        ("constraints", '[["age",">"]]', "no JSON list"),
        ("constraints", '[["age", ">", 3.0]]', r"Row 3 .*another way than \[\[.age.,.>.,3\]\]; wanted that"),
        ("constraints", '[["snap",">",0],["age",">",3]]', "another way than"),
        ("variable", "", "Row 3 .*variable is ''; wanted words"),
        ("variable", None, "variable is None"),
        ("reform", None, "unknown variable None"),
        ("source", "", "source is ''"),
        ("table", " ", "table is ' '"),
        ("url", None, "url is None"),
        ("vintage", float("nan"), "vintage is nan"),
        ("unit", "", "unit is ''"),
        ("year", 24, "year is 24; wanted a year from 2015"),
        ("year", None, "year is None"),
        ("raw_value", 1.0, r"Row 3 .*wanted raw_value x uprating x reconciliation, which is 1\."),
        ("period", 2023, "Row 3 .*period is 2023, and 2024 in row 0; wanted figures of one year"),
    ],
)
def test_a_bad_row_is_named(few: pd.DataFrame, tmp_path: Path, column: str, value: object, message: str) -> None:
    bad = few[few["geo_level"] == "state"].reset_index(drop=True).astype({column: object})
    bad.loc[3, column] = value
    path = tmp_path / "targets.duckdb"
    with pytest.raises(TargetError, match=message):
        database.build_database(path, bad)
    assert list(tmp_path.iterdir()) == []


def test_a_count_below_none_is_refused_and_an_amount_is_not() -> None:
    figures = small_figures().iloc[:3]
    lost = figures.assign(value=-1.0, raw_value=-1.0)
    with pytest.raises(TargetError, match=r"Row 0 .*AL-01 person_count .*-1 is less than none; wanted a count"):
        validation.check_figures(lost, KNOWN)
    validation.check_figures(lost.assign(variable="rental_income", unit="dollar"), KNOWN)


def test_equal_inclusive_bounds_are_no_contradiction() -> None:
    validation.check_constraints([("age", ">=", 9), ("age", "<=", 9)], KNOWN, "row")
    with pytest.raises(TargetError, match="age"):
        validation.check_constraints([("age", ">", 9), ("age", "<=", 9)], KNOWN, "row")


def test_duplicates_are_refused(few: pd.DataFrame, tmp_path: Path) -> None:
    twice = pd.concat([few, few.iloc[[5]]], ignore_index=True)
    with pytest.raises(TargetError, match=rf"Row {len(few)} .*the same target is in row 5"):
        database.build_database(tmp_path / "targets.duckdb", twice)


def test_rows_are_named_by_position_whatever_the_index(few: pd.DataFrame) -> None:
    twice = pd.concat([few, few.iloc[[5]]]).set_axis([7] * (len(few) + 1))
    with pytest.raises(TargetError, match=rf"Row {len(few)} .*the same target is in row 5"):
        validation.check_figures(twice, KNOWN)


def test_one_table_at_two_addresses_is_two_sources(tmp_path: Path) -> None:
    figures = small_figures()
    nation = figures["geo_level"] == "national"
    figures.loc[nation, ["url", "year"]] = ["https://example.org/nation", 2023]
    path = tmp_path / "targets.duckdb"
    assert database.build_database(path, figures).sources == 5
    back = reading.read_figures(path)
    assert (back["url"] == "https://example.org/nation").tolist() == (back["geo_level"] == "national").tolist()
    assert set(back.loc[back["geo_level"] == "national", "year"]) == {2023}


# Without shrinking: a smaller seed is no simpler one.
@settings(
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_figures_does_not_matter(tmp_path: Path, seed: int) -> None:
    figures = small_figures(national_snap=9_000.0)
    # Thirds, whose sums depend on their order in the last digits.
    old = figures["source"] == "usda"
    figures = figures.assign(
        year=figures["year"].mask(old, 2022), raw_value=figures["raw_value"] / 3, uprating=np.where(old, 1.1, 1.0)
    )
    figures["value"] = figures["raw_value"] * figures["uprating"]
    tables = []
    for name, table in (("one", figures), ("other", figures.sample(frac=1.0, random_state=seed))):
        path = database.build_database(tmp_path / f"{name}.duckdb", table).path
        with duckdb.connect(str(path), read_only=True) as connection:
            names = sorted(reading.table_names(connection))
            tables.append({one: connection.execute(f'select * from "{one}"').df() for one in names})
    assert len(tables[0]) == 10
    for name in tables[0]:
        pd.testing.assert_frame_equal(tables[0][name], tables[1][name], check_exact=True, obj=name)


_HOLD = """
import sys
import duckdb
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    for line in sys.stdin:
        print(connection.execute("select count(*), sum(value) from targets").fetchone(), flush=True)
"""


def test_a_reader_keeps_its_database_while_another_is_put_in_its_place(tmp_path: Path) -> None:
    figures = small_figures()
    path = database.build_database(tmp_path / "targets.duckdb", figures).path
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin is not None and reader.stdout is not None

        def asked() -> tuple[int, float]:
            assert reader.stdin is not None and reader.stdout is not None
            print(file=reader.stdin, flush=True)
            return ast.literal_eval(reader.stdout.readline())

        before = asked()
        assert before == (len(figures), pytest.approx(figures["value"].sum()))
        # This process opens the file that the other one holds, and replaces it.
        assert len(reading.read_figures(path)) == len(figures)
        database.build_database(path, figures.head(7))
        assert asked() == before
        assert len(reading.read_figures(path)) == 7
        reader.stdin.close()
        assert reader.wait(timeout=60) == 0
    assert [entry.name for entry in tmp_path.iterdir()] == ["targets.duckdb"]


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
    from policyengine_us.system import system

    engine = system.variables
    kinds = {"float": float, "int": int, "bool": bool}
    for variable in KNOWN.variables.values():
        assert variable.name in engine, variable.name
        assert engine[variable.name].entity.key == variable.entity, variable.name
        assert engine[variable.name].value_type is kinds[variable.kind], variable.name
