from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from tessera.diagnostics import sanity
from tessera.frame import GROUP_ENTITIES
from tessera.geography.areas import area

Writer = Callable[..., Path]
EXPECTED = sanity.Expectations(year=2024, weight_sum=30.5, synthetic=True)


def _failed(path: Path, key: str = "WY", expected: sanity.Expectations = EXPECTED) -> set[str]:
    results = sanity.check_area_file(path, area(key), expected)
    assert tuple(result.check for result in results) == sanity.check_names()
    assert {result.area for result in results} == {key}
    return {result.check for result in sanity.failures(results)}


def test_valid_file_passes_every_check(write_area: Writer) -> None:
    assert _failed(write_area()) == set()


DAMAGE: list[tuple[str, dict[str, np.ndarray | None], str]] = [
    ("negative weight", {"household_weight": np.array([40.5, -10, 0], np.float32)}, "weights"),
    ("weight not finite", {"household_weight": np.array([30.5, np.nan, 0], np.float32)}, "weights"),
    ("all weights zero", {"household_weight": np.zeros(3, np.float32)}, "weights"),
    ("double weights", {"household_weight": np.array([10, 20.5, 0], np.float64)}, "weights"),
    ("second weight", {"person_weight": np.ones(5, np.float32)}, "weights"),
    ("no weight", {"household_weight": None}, "weights"),
    ("another sum", {"household_weight": np.array([10, 20.6, 0], np.float32)}, "weight_sum"),
    ("repeated id", {"tax_unit_id": np.array([0, 1, 1], np.int32)}, "ids"),
    ("id from one", {"household_id": np.array([1, 2, 3], np.int32)}, "ids"),
    ("long id", {"person_id": np.arange(5, dtype=np.int64)}, "ids"),
    ("no id", {"marital_unit_id": None}, "ids"),
    ("orphan", {"person_household_id": np.array([0, 0, 1, 1, 9], np.int32)}, "links"),
    ("empty unit", {"person_spm_unit_id": np.array([0, 0, 1, 1, 1], np.int32)}, "links"),
    ("no link", {"person_family_id": None}, "links"),
    ("short link", {"person_family_id": np.zeros(4, np.int32)}, "links"),
    ("length of no entity", {"age": np.ones(4, np.float32)}, "lengths"),
    ("missing amount", {"employment_income_before_lsr": None}, "required_variables"),
    ("nan amount", {"employment_income_before_lsr": np.array([1, 2, np.nan, 4, 5], np.float32)}, "finite_values"),
    ("infinite amount", {"some_other_amount": np.array([1, 2, np.inf, 4, 5], np.float32)}, "finite_values"),
    ("text not ASCII", {"county": np.array(["DOÑA_ANA_COUNTY_NM".encode()] * 3)}, "texts"),
    ("missing take-up", {"takes_up_snap_if_eligible": None}, "takeup_booleans"),
    ("take-up is a rate", {"takes_up_ssi_if_eligible": np.full(5, 0.4, np.float32)}, "takeup_booleans"),
    ("take-up is two", {"takes_up_dc_ptc": np.full(5, 2, np.int8)}, "takeup_booleans"),
    ("another take-up is a rate", {"takes_up_eitc": np.full(5, 0.4, np.float32)}, "takeup_booleans"),
    ("another state", {"state_fips": np.array([56, 56, 6], np.int32)}, "geography"),
    ("another district", {"congressional_district_geoid": np.array([5601, 5601, 5602], np.int32)}, "geography"),
    ("no district", {"congressional_district_geoid": None}, "geography"),
]


@pytest.mark.parametrize(("changes", "check"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_damage_is_found(write_area: Writer, changes: dict[str, np.ndarray | None], check: str) -> None:
    assert check in _failed(write_area(changes))


def test_no_check_is_vacuous(write_area: Writer, tmp_path: Path) -> None:
    """Every check fails on something: all on an absent file, all but two on an empty one."""
    assert _failed(tmp_path / "absent.h5") == set(sanity.check_names())
    (tmp_path / "torn.h5").write_bytes(write_area().read_bytes()[:300])
    assert _failed(tmp_path / "torn.h5") == set(sanity.check_names())
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert set(sanity.check_names()) - _failed(tmp_path / "empty.h5") == {"readable", "texts"}


def test_layout_and_year(write_area: Writer) -> None:
    assert _failed(write_area(year=2023)) == {"dataset_year"}
    path = write_area()
    with h5py.File(path, "a") as file:
        file["aaa"] = np.ones(5)
    assert "layout" in _failed(path)
    with h5py.File(path, "a") as file:
        del file["aaa"]
        file.create_group("aaa").create_dataset("2023", data=np.ones(5, np.int8))
    assert _failed(path) == {"dataset_year"}


def test_later_periods_are_checked_too(write_area: Writer) -> None:
    path = write_area()
    with h5py.File(path, "a") as file:
        file["age"].create_dataset("2024-02", data=np.array([1, 2, 3, 4, np.nan], np.float32))
    assert _failed(path) == {"finite_values"}


def test_synthetic_mark_must_be_there_and_right(write_area: Writer) -> None:
    assert _failed(write_area(synthetic=None)) == {"synthetic_mark"}
    assert _failed(write_area(synthetic=False)) == {"synthetic_mark"}


def test_national_file_may_hold_any_state(write_area: Writer) -> None:
    assert _failed(write_area({"state_fips": np.array([56, 6, 36], np.int32)}), "US") == set()


def test_weight_sum_allows_storage_and_no_more(write_area: Writer) -> None:
    weights = np.array([1e6 / 3, 2e6 / 7, 0.123456789])
    path = write_area({"household_weight": weights.astype(np.float32)})
    assert _failed(path, expected=sanity.Expectations(2024, float(weights.sum()), True)) == set()
    assert _failed(path, expected=sanity.Expectations(2024, float(weights.sum()) * (1 + 1e-6), True)) == {"weight_sum"}
    assert _failed(path, expected=sanity.Expectations(2024, float("nan"), True)) == {"weight_sum"}


def test_failures_say_what_was_seen(write_area: Writer) -> None:
    path = write_area({f"person_{GROUP_ENTITIES[0]}_id": np.array([0, 0, 1, 1, 9], np.int32)})
    (failed,) = sanity.failures(sanity.check_area_file(path, area("WY"), EXPECTED))
    assert (failed.area, failed.check) == ("WY", "links")
    assert "person_household_id: 1 orphan" in failed.seen
