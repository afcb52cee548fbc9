"""Hold-out folds: a stratum is dealt as a whole, and stays in its fold whatever else is there."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import TargetError
from tessera.geography.areas import district_key, stratum_districts
from tessera.targets.folds import fold, folds_of
from tessera.targets.strata import definition_hash

HASHES = st.lists(st.binary(max_size=8).map(lambda raw: hashlib.sha256(raw).hexdigest()), min_size=1, max_size=40)
PINNED = [0, 5, 3, 6, 0]
AGE, SNAP = '[["age",">=",85]]', '[["snap",">",0]]'


def districts(constraints: str, variable: str) -> pd.DataFrame:
    keys = [district_key(code) for code in stratum_districts()]
    return pd.DataFrame({"geo_level": "district", "geo_id": keys, "constraints": constraints, "variable": variable})


def test_pinned_for_ever() -> None:
    # Figures of a fold stand in notes, and have to mean the same targets later.
    assert [fold(definition_hash("state", usps, SNAP), 10) for usps in ("AL", "CA", "NY", "TX", "WY")] == PINNED
    assert fold("ab" * 32, 5, seed=3) == int.from_bytes(
        hashlib.blake2b(b"3:" + b"ab" * 32, digest_size=8).digest(), "little"
    ) % 5  # fmt: skip


@given(HASHES, st.integers(2, 12), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_stratum_keeps_its_fold_whatever_else_is_there(hashes: list[str], folds: int, seed: int) -> None:
    dealt = folds_of(pd.DataFrame({"definition_hash": hashes}), folds, seed)
    assert dealt.tolist() == [fold(one, folds, seed) for one in hashes]
    assert set(dealt) <= set(range(folds))
    some = pd.DataFrame({"definition_hash": hashes[::2]}, index=range(7, 7 + len(hashes[::2])))
    assert folds_of(some, folds, seed).tolist() == dealt[::2].tolist()


def test_all_figures_of_a_stratum_are_held_out_together() -> None:
    counted, dollars = districts(SNAP, "household_count"), districts(SNAP, "snap")
    table = pd.concat([counted, dollars, districts(AGE, "person_count")], ignore_index=True)
    dealt = folds_of(table, 5)
    n = len(counted)
    assert dealt[:n].tolist() == dealt[n : 2 * n].tolist()
    assert dealt[:n].tolist() != dealt[2 * n :].tolist()


def test_hashes_are_computed_where_the_table_has_none() -> None:
    table = districts(AGE, "person_count")
    hashes = [definition_hash("district", key, AGE) for key in table["geo_id"]]
    np.testing.assert_array_equal(folds_of(table, 7, 1), folds_of(table.assign(definition_hash=hashes), 7, 1))


def test_folds_are_even_and_another_seed_deals_anew() -> None:
    table = pd.concat([districts(f'[["age","==",{age}]]', "person_count") for age in range(12)], ignore_index=True)
    dealt, anew = folds_of(table, 10), folds_of(table, 10, seed=1)
    wanted = len(table) / 10
    for folds in (dealt, anew):
        assert np.abs(np.bincount(folds, minlength=10) - wanted).max() < 5 * np.sqrt(wanted)
    # As if independent: a tenth agree by chance.
    assert np.count_nonzero(dealt == anew) == pytest.approx(wanted, abs=5 * np.sqrt(wanted))


def test_no_targets_have_no_folds() -> None:
    assert folds_of(districts(SNAP, "snap").head(0), 5).shape == (0,)


@pytest.mark.parametrize("folds", [1, 0, -3, 2.0, True, "5"])
def test_senseless_numbers_of_folds_are_refused(folds: object) -> None:
    with pytest.raises(TargetError, match="folds is"):
        fold("ab" * 32, folds)  # type: ignore[arg-type]


def test_targets_without_a_definition_are_refused() -> None:
    with pytest.raises(TargetError, match="neither definition_hash nor constraints"):
        folds_of(districts(SNAP, "snap").drop(columns="constraints"), 5)
    with pytest.raises(TargetError, match="Target 1 has no definition_hash"):
        folds_of(pd.DataFrame({"definition_hash": ["ab", None]}), 5)
    with pytest.raises(TargetError, match="wanted the hash of a stratum"):
        fold("", 5)
