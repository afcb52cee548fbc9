"""Demographic codes of returns without a record: kept where known, learnt from returns alike where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.microdata.puf_demographics import CHILD, DEMOGRAPHICS, FILER, dependents_of, fill_demographics

from .support import tax_file


def returns(n: int = 600, known: float = 0.6) -> pd.DataFrame:
    """Returns whose codes follow from what the return shows, so that a forest can learn them."""
    rng = np.random.default_rng(3)
    table = tax_file(n, aggregates=False).table
    table = table.assign(weight=table["S006"], DSI=(np.arange(n) % 15 == 0).astype(int))
    table["E02400"] = np.where(rng.random(n) < 0.3, 20_000.0, 0.0)
    old = table["E02400"] > 0
    claimed = table["DSI"] == 1
    codes = {
        "AGERANGE": np.where(claimed, 2, np.where(old, 6, 3)),
        "GENDER": np.where(table["MARS"] == 4, 2, 1),
        "EARNSPLIT": np.where(table["MARS"] == 2, np.where(table["E00200"] > 0, 2, 0), 0),
    }
    count = dependents_of(table)
    codes |= {f"AGEDP{k}": np.where(count >= k, np.where(old, 5, 1), 0) for k in (1, 2, 3)}
    record = rng.random(n) < known
    return table.assign(**{name: np.where(record, values, np.nan) for name, values in codes.items()}, record=record)


def test_what_a_record_has_is_kept() -> None:
    table = returns()
    filled = fill_demographics(table, seed=1)
    record = table["record"].to_numpy()
    pd.testing.assert_frame_equal(filled.loc[record, [*DEMOGRAPHICS]], table.loc[record, [*DEMOGRAPHICS]].astype(int))
    assert all(filled[name].dtype == np.int64 for name in DEMOGRAPHICS)


def test_codes_follow_what_the_return_shows() -> None:
    table = returns(1500)
    filled = fill_demographics(table, seed=1)[~table["record"]]
    old, claimed = filled["E02400"] > 0, filled["DSI"] == 1
    assert (filled["AGERANGE"][claimed] == 2).mean() > 0.9
    assert (filled["AGERANGE"][~claimed & old] == 6).mean() > 0.9
    assert (filled["AGERANGE"][~claimed & ~old] == 3).mean() > 0.9
    assert (filled["GENDER"][~claimed & (filled["MARS"] == 4)] == 2).mean() > 0.9
    assert (filled["AGEDP1"][(dependents_of(filled) > 0) & old] == 5).mean() > 0.8


def test_children_where_there_are_dependants_and_only_there() -> None:
    filled = fill_demographics(returns(), seed=1)
    count = dependents_of(filled)
    for number, name in enumerate(CHILD):
        assert (filled[name][count > number] > 0).all()
        assert (filled[name][count <= number] == 0).all()
    assert (filled["EARNSPLIT"][filled["MARS"] != 2] == 0).all()
    assert (filled[list(FILER[:2])] > 0).all().all()


def test_a_record_without_a_childs_code_gains_one() -> None:
    table = returns(known=1.0)
    count = dependents_of(table)
    table.loc[(count > 1) & (np.arange(len(table)) % 2 == 0), "AGEDP2"] = 0
    filled = fill_demographics(table, seed=1)
    assert (filled["AGEDP2"][count > 1] > 0).all()


def test_dependants_that_nobody_has_a_code_for() -> None:
    table = returns()
    for name in CHILD:
        table[name] = np.where(table["record"], 0.0, np.nan)
    filled = fill_demographics(table, seed=1)
    assert set(filled["AGEDP1"][dependents_of(filled) > 0]) == {2}


def test_draws_are_keyed_on_the_return() -> None:
    table = returns()
    first = fill_demographics(table, seed=1)
    pd.testing.assert_frame_equal(fill_demographics(table, seed=1, n_jobs=2), first)
    other = fill_demographics(table, seed=2)
    assert not other["AGERANGE"].equals(first["AGERANGE"]) or not other["AGEDP1"].equals(first["AGEDP1"])
    # One more return that wants codes changes nobody else's.
    dropped = table.index[~table["record"]][0]
    fewer = fill_demographics(table.drop(index=dropped).reset_index(drop=True), seed=1)
    pd.testing.assert_frame_equal(fewer, first.drop(index=dropped).reset_index(drop=True))


def test_only_dependent_filers_without_a_donor_of_their_own() -> None:
    table = returns()
    table.loc[table["DSI"] == 1, [*DEMOGRAPHICS]] = np.nan
    filled = fill_demographics(table, seed=1)
    assert (filled["AGERANGE"] > 0).all()


@pytest.mark.parametrize("absent", [True, False])
def test_a_file_without_records_is_refused(absent: bool) -> None:
    table = returns(known=0.0)
    with pytest.raises(SourceError, match="no return has a demographic record"):
        fill_demographics(table.drop(columns=[*DEMOGRAPHICS]) if absent else table, seed=1)
