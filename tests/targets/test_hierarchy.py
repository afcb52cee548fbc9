"""The strata of a database are the country, or are refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tessera.errors import TargetError
from tessera.geography.areas import areas_of_kind
from tessera.targets.database import build_database
from tessera.targets.hierarchy import check_database, check_hierarchy
from tessera.targets.strata import build_strata, definition_hash
from tests.targets.small import small_figures


@pytest.fixture(scope="module")
def strata() -> pd.DataFrame:
    return build_strata(small_figures())


@pytest.fixture
def built(tmp_path: Path) -> Path:
    return build_database(tmp_path / "targets.duckdb", small_figures()).path


def test_a_database_holds_every_place_once(built: Path) -> None:
    found = check_database(built)
    assert found.places == {"national": 1, "state": 51, "district": 436, "city": len(areas_of_kind("city"))}
    assert found.domains == 488 + 51
    assert found.text.startswith("1 national, 51 state, 436 district")


def _row(strata: pd.DataFrame, place: str) -> int:
    return int(strata.index[(strata["geo_id"] == place) & (strata["constraints"] == "[]")][0])


def test_a_missing_place_is_named(strata: pd.DataFrame) -> None:
    with pytest.raises(TargetError, match="1 places are missing among the strata, such as VT-01"):
        check_hierarchy(strata.drop(index=_row(strata, "VT-01")))


def test_an_unknown_place_is_named(strata: pd.DataFrame) -> None:
    strange = strata.copy()
    strange.loc[_row(strata, "VT-01"), "geo_id"] = "VT-02"
    with pytest.raises(TargetError, match="unknown among the strata, such as VT-02"):
        check_hierarchy(strange)


def test_a_place_twice_is_named(strata: pd.DataFrame) -> None:
    twice = pd.concat([strata, strata.iloc[[_row(strata, "VT")]].assign(stratum_id=99_999)], ignore_index=True)
    with pytest.raises(TargetError, match=r"The place VT has the strata .*, 99999; wanted one"):
        check_hierarchy(twice)


@pytest.mark.parametrize(("place", "wrong", "right"), [("VT-01", "NY", "VT"), ("VT", "NY", "US"), ("NYC", "CA", "NY")])
def test_a_place_below_another_one_is_named(strata: pd.DataFrame, place: str, wrong: str, right: str) -> None:
    moved = strata.copy()
    moved.loc[_row(strata, place), "parent_stratum_id"] = strata.loc[_row(strata, wrong), "stratum_id"]
    with pytest.raises(TargetError, match=f"The stratum of {place} is below {wrong}; wanted {right}"):
        check_hierarchy(moved)


def test_an_altered_definition_does_not_go_with_its_hash(strata: pd.DataFrame) -> None:
    altered = strata.copy()
    row = altered.index[(altered["geo_id"] == "VT-01") & (altered["constraints"] != "[]")][0]
    altered.loc[row, "constraints"] = '[["age",">=",66]]'
    with pytest.raises(TargetError, match=r"VT-01 .*66.* has the hash .* altered"):
        check_hierarchy(altered)
    altered.loc[row, "definition_hash"] = definition_hash("district", "VT-01", '[["age",">=",66]]')
    check_hierarchy(altered)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("update stratum_constraints set value = 66 where constraint_variable = 'age' and stratum_id = {id}", r"66\.0"),
        ("delete from stratum_constraints where constraint_variable = 'age' and stratum_id = {id}", "has the constr"),
    ],
)
def test_rows_of_constraints_have_to_be_the_stated_ones(built: Path, change: str, message: str) -> None:
    with duckdb.connect(str(built)) as connection:
        (number,) = connection.execute(
            "select stratum_id from strata where geo_id = 'VT-01' and domain = 'age'"
        ).fetchone()
        connection.execute(change.format(id=number))
    with pytest.raises(TargetError, match=rf"VT-01 .*{message}"):
        check_database(built)
