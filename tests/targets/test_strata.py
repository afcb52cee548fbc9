"""Strata: places, domains within them, their parents and hashes."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import TargetError
from tessera.geography.areas import areas_of_kind
from tessera.targets import strata, validation
from tessera.targets.figures import constraints_to_json

PLACES = 1 + 51 + 436 + len(areas_of_kind("city"))
FILER = ("tax_unit_is_filer", "==", 1.0)
CREDIT = ("eitc", ">", 0.0)
CHILDREN = ("eitc_child_count", "==", 2.0)


def _figures(*rows: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["geo_level", "geo_id", "constraints"])


@pytest.fixture
def nested() -> pd.DataFrame:
    """Domains within each other in Vermont, one of them in New York City too."""
    texts = [constraints_to_json(rows) for rows in ([FILER], [FILER, CREDIT], [FILER, CREDIT, CHILDREN], [CHILDREN])]
    return strata.build_strata(_figures(*(("state", "VT", text) for text in texts), ("city", "NYC", texts[2])))


def test_every_place_is_a_stratum_below_the_one_that_holds_it() -> None:
    table = strata.build_strata(_figures()).set_index("stratum_id")
    assert len(table) == PLACES
    assert table["geo_level"].value_counts().to_dict() == {
        "national": 1, "state": 51, "district": 436, "city": len(areas_of_kind("city"))
    }  # fmt: skip
    parent = table["parent_stratum_id"].map(table["geo_id"].to_dict()).groupby(table["geo_id"]).first()
    assert (parent["CA"], parent["CA-12"], parent["NYC"], parent["HOUSTON"]) == ("US", "CA", "NY", "TX")
    assert table["parent_stratum_id"].tolist().count(-1) == 1


def test_the_parent_of_a_domain_is_the_nearest_one_at_its_place(nested: pd.DataFrame) -> None:
    validation.check_strata(nested)
    by_id = nested.set_index("stratum_id")
    of_domain = nested[nested["constraints"] != "[]"].set_index(["geo_id", "domain"])["parent_stratum_id"]
    parent = of_domain.map(by_id["domain"].to_dict())
    assert parent["VT", "tax_unit_is_filer"] == ""
    assert parent["VT", "eitc,tax_unit_is_filer"] == "tax_unit_is_filer"
    assert parent["VT", "eitc,eitc_child_count,tax_unit_is_filer"] == "eitc,tax_unit_is_filer"
    # In New York City none of the larger domains has a figure: the city itself is the parent.
    assert of_domain["NYC", "eitc,eitc_child_count,tax_unit_is_filer"] == by_id.index[by_id["geo_id"] == "NYC"][0]


def test_orphans_and_strangers_are_refused(nested: pd.DataFrame) -> None:
    last = len(nested) - 1
    new_york = int(nested.index[nested["geo_id"] == "NY"][0])
    chicago = int(nested.index[nested["geo_id"] == "CHICAGO"][0])
    for parent, message in (
        (99_999, "does not exist"), (5, "is no part of its parent 5"), (-1, "has no parent"), (last, "is no part"),
        (chicago, "is no part of its parent"),
    ):  # fmt: skip
        broken = nested.copy()
        broken.loc[last, "parent_stratum_id"] = parent
        with pytest.raises(TargetError, match=rf"Stratum {last} .*{message}"):
            validation.check_strata(broken)
    # The city's state is above it.
    within = nested.copy()
    within.loc[last, "parent_stratum_id"] = new_york
    validation.check_strata(within)


@pytest.mark.parametrize(
    ("place", "other", "message"),
    [
        # A district in another state, a state in a district, a city and a district in each other.
        ("VT-01", "NY", r"VT-01 \[\]\) is no part of its parent \d+ \(NY"),
        ("VT", "VT-01", r"\(VT \[\]\) is no part of its parent \d+ \(VT-01"),
        ("NYC", "NY-10", "is no part of its parent"),
        ("NY-10", "NYC", "is no part of its parent"),
        ("CA-11", "CA-12", "is no part of its parent"),
        ("VT", "VT", "is no part of its parent"),
    ],
)
def test_places_in_the_wrong_place_are_refused(nested: pd.DataFrame, place: str, other: str, message: str) -> None:
    plain = nested[nested["constraints"] == "[]"].set_index("geo_id")["stratum_id"]
    moved = nested.copy()
    moved.loc[moved["stratum_id"] == plain[place], "parent_stratum_id"] = plain[other]
    with pytest.raises(TargetError, match=rf"Stratum {plain[place]} .*{message}"):
        validation.check_strata(moved)


def test_a_domain_below_one_without_its_constraint_is_refused(nested: pd.DataFrame) -> None:
    by_domain = nested[nested["geo_id"] == "VT"].set_index("domain")["stratum_id"]
    moved = nested.copy()
    moved.loc[moved["stratum_id"] == by_domain["eitc,tax_unit_is_filer"], "parent_stratum_id"] = by_domain[
        "eitc_child_count"
    ]
    with pytest.raises(TargetError, match=rf"Stratum {by_domain['eitc,tax_unit_is_filer']} \(VT .* is no part of its"):
        validation.check_strata(moved)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("geo_level", "state", r"\(VT-01 .*\): no state is called 'VT-01'"),
        ("geo_id", "VT-02", "no district is called 'VT-02'"),
        ("geo_id", "VT", r"\(VT \[\]\) has the definition of another stratum"),
        ("stratum_id", 3, r"Stratum 3 \(VT-01 .* has the number of another stratum"),
    ],
)
def test_a_stratum_of_no_place_or_twice_is_refused(
    nested: pd.DataFrame, column: str, value: object, message: str
) -> None:
    strange = nested.copy()
    strange.loc[nested["geo_id"] == "VT-01", column] = value
    with pytest.raises(TargetError, match=message):
        validation.check_strata(strange)


_RULES = st.lists(st.sampled_from([FILER, CREDIT, CHILDREN]), unique=True).map(constraints_to_json)
_PLACES = st.sampled_from([("national", "US"), ("state", "VT"), ("district", "VT-01"), ("city", "NYC")])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(_PLACES, _RULES), max_size=12), st.data())
def test_ids_and_hashes_do_not_depend_on_the_order_of_figures(
    rows: list[tuple[tuple[str, str], str]], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(rows))
    one, other = (strata.build_strata(_figures(*((*place, text) for place, text in some))) for some in (rows, shuffled))
    pd.testing.assert_frame_equal(one, other)
    validation.check_strata(one)
    assert one["definition_hash"].is_unique
    assert len(one) == PLACES + len({row for row in rows if row[1] != "[]"})


def test_hashes_tell_places_and_domains_apart(nested: pd.DataFrame) -> None:
    assert nested["definition_hash"].is_unique
    assert strata.definition_hash("state", "VT", "[]") != strata.definition_hash("district", "VT-01", "[]")
    assert strata.geographic_constraints("district", "CA-12") == (
        ("state_fips", "==", 6), ("congressional_district_geoid", "==", 612)
    )  # fmt: skip
    assert strata.geographic_constraints("city", "NYC") == (
        ("state_fips", "==", 36), ("city_county_fips", "==", 36_005)
    )  # fmt: skip


def test_the_order_of_constraints_does_not_matter() -> None:
    one, two = (constraints_to_json(rows) for rows in ([FILER, CREDIT], [CREDIT, FILER]))
    assert one == two
    assert strata.domain_of(one) == "eitc,tax_unit_is_filer"
    assert strata.domain_of("[]") == ""
