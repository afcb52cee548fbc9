"""The catalogue of areas: two sums, keys, codes, cities."""

from __future__ import annotations

from collections import Counter

import pytest

from tessera.errors import GeographyError
from tessera.geography import areas


def test_files_sum_to_491() -> None:
    kinds = Counter(area.kind for area in areas.areas())
    assert kinds == {"national": 1, "state": 51, "district": 435, "city": 4}
    assert len(areas.areas()) == 491
    assert [len(areas.areas_of_kind(kind)) for kind in kinds] == list(kinds.values())


def test_strata_have_436_districts_of_which_one_has_no_file() -> None:
    strata = areas.stratum_districts()
    assert len(strata) == len(set(strata)) == 436
    assert list(strata) == sorted(strata)
    files = {code for area in areas.areas_of_kind("district") for code in area.district_codes}
    assert set(strata) - files == {1101}
    assert sum(state.n_districts for state in areas.states()) == 436


def test_seats_of_some_states() -> None:
    seats = {state.usps: state.n_districts for state in areas.states()}
    assert [seats[usps] for usps in ("CA", "TX", "FL", "NY", "ME", "MT", "WY", "DC")] == [52, 38, 28, 26, 2, 2, 1, 1]


def test_keys_and_paths_are_unique_and_lead_back() -> None:
    catalogue = areas.areas()
    assert len({area.key for area in catalogue}) == len({area.relative_path for area in catalogue}) == 491
    assert all(areas.area(area.key) is area for area in catalogue)
    wanted = {"US": "national/US.h5", "DC": "states/DC.h5", "AK-01": "districts/AK-01.h5", "NYC": "cities/NYC.h5"}
    assert {key: areas.area(key).relative_path for key in wanted} == wanted


def test_codes_and_keys_of_districts() -> None:
    known = {201: "AK-01", 612: "CA-12", 652: "CA-52", 1101: "DC-01", 5601: "WY-01"}
    assert {code: areas.district_key(code) for code in known} == known
    for code in areas.stratum_districts():
        usps, number = areas.district_key(code).split("-")
        assert areas.state_by_usps(usps).fips * 100 + int(number) == code


def test_states_and_the_nation_are_made_of_their_districts() -> None:
    assert areas.area("US").district_codes == areas.stratum_districts()
    codes = [code for area in areas.areas_of_kind("state") for code in area.district_codes]
    assert tuple(codes) == areas.stratum_districts()
    assert areas.area("CA").district_codes == tuple(range(601, 653))


def test_cities_are_disjoint_unions_of_counties_of_one_state() -> None:
    cities = areas.areas_of_kind("city")
    counties = [county for city in cities for county in city.county_fips]
    assert len(counties) == len(set(counties)) == 8
    for city in cities:
        assert {county // 1000 for county in city.county_fips} == {city.state_fips}
        assert city.district_codes == ()
        assert "ount" in city.name  # says that it is made of counties


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: areas.area("CA-53"), "No area has the key 'CA-53'.*Near: CA, CA-01"),
        (lambda: areas.area("DC-01"), "No area has the key 'DC-01'.*Near: DC"),
        (lambda: areas.district_key(653), "119th Congress has the code 653"),
        (lambda: areas.district_key(600), "has the code 600"),
        (lambda: areas.district_key(301), "has the code 301"),
        (lambda: areas.state_by_usps("PR"), "No state has the postal code 'PR'"),
        (lambda: areas.state_by_fips(3), "No state has the FIPS code 3"),
    ],
)
def test_unknown_places_are_named(call, message: str) -> None:
    with pytest.raises(GeographyError, match=message):
        call()
