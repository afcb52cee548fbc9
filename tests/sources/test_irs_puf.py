"""The PUF reader and writer: 2015 totals, aggregate records, demographics, bad files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.sources import irs_puf
from tessera.sources.columns import columns_of
from tessera.sources.marks import read_mark
from tessera.sources.synthetic import irs_puf as writer
from tessera.sources.synthetic.tax_returns import limited, lines
from tessera.store import sha256_of


@pytest.fixture
def copy(puf_csv: Path, tmp_path: Path) -> Path:
    for name in ("puf_2015.csv", "demographics_2015.csv"):
        shutil.copy(puf_csv.with_name(name), tmp_path / name)
    return tmp_path / "puf_2015.csv"


def _edit(path: Path, column: str, row: int, value: object) -> None:
    table = pd.read_csv(path, dtype=object)
    table.loc[row, column] = str(value)
    table.to_csv(path, index=False)


def test_round_trip_and_totals(puf_csv: Path) -> None:
    raw = irs_puf.read(puf_csv)
    table, demographics = raw.table, raw.companions["demographics"]
    assert (raw.year, raw.synthetic) == (2015, True)
    assert list(table.columns) == [column.name for column in columns_of("irs_puf", "return")]
    weight = table["S006"]
    assert weight.sum() == pytest.approx(150.5e6, rel=0.001)
    # IRS SOI 2015, Table 1.4
    for column, total in {"E00200": 7.112e12, "E00100": 10.21e12, "E00300": 95.9e9, "E02400": 605e9}.items():
        assert float(weight @ table[column]) == pytest.approx(total, rel=0.1), column
    assert float(weight[table["MARS"] == 2].sum()) == pytest.approx(54.3e6, rel=0.12)
    assert (table["E00650"] <= table["E00600"]).all() and (table["E00100"] < 0).any()
    assert demographics["RECID"].is_unique and 0.8 < len(demographics) / len(table) < 0.95
    assert set(demographics["GENDER"]) == {1, 2} and demographics["AGERANGE"].between(1, 6).all()


def test_top_tail(puf_csv: Path) -> None:
    table = irs_puf.read(puf_csv).table
    millions = table["E00100"] >= 1e6
    share = float((table["S006"] * table["E00100"])[millions].sum() / (table["S006"] * table["E00100"]).sum())
    assert share == pytest.approx(0.142, abs=0.05)


def test_aggregate_records(puf_csv: Path) -> None:
    table = irs_puf.read(puf_csv).table.set_index("RECID")
    aggregate = table.loc[list(irs_puf.AGGREGATES)]
    assert (aggregate["MARS"] == 0).all() and (aggregate["S006"] > 0).all()
    bounds = {999996: (-1e12, 0), 999997: (0, 1e7), 999998: (1e7, 1e8), 999999: (1e8, 1e12)}
    for recid, (low, high) in bounds.items():
        assert low <= aggregate.at[recid, "E00100"] <= high
    assert (table["MARS"] == 0).sum() == 4


def test_missing_file_says_that_it_is_licensed(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"does not exist.*licensed.*TESSERA_SOURCES=synthetic"):
        irs_puf.read(tmp_path / "puf_2015.csv")


def test_missing_demographics(copy: Path) -> None:
    copy.with_name("demographics_2015.csv").unlink()
    with pytest.raises(SourceError, match=r"demographics_2015\.csv: source file does not exist"):
        irs_puf.read(copy)


def test_another_year(copy: Path) -> None:
    with pytest.raises(SourceError, match="is of tax year 2015; wanted year 2011"):
        irs_puf.read(copy, 2011)


@pytest.mark.parametrize(
    ("column", "row", "value", "words"),
    [
        ("S006", 3, -5, r"line 5, weight S006 is -5.0"),
        ("S006", 3, "", r"line 5, .*S006 .*a blank"),
        ("E00200", 1, "n/k", r"line 3, column E00200 .*'n/k'; wanted a number"),
        ("E00200", 1, "", r"line 3, RECID \d+, column E00200 \(wages.*\) holds a blank; wanted a number"),
        ("E03210", 2, "", r"line 4, RECID \d+, column E03210"),
        ("MARS", 2, 6, r"line 4, RECID \d+, column MARS .*holds 6; wanted one of its codes \(0 aggregate; 1 single"),
        ("DSI", 2, 2, r"column DSI .*holds 2"),
    ],
)
def test_bad_values_are_named(column: str, row: int, value: object, words: str, copy: Path) -> None:
    _edit(copy, column, row, value)
    with pytest.raises(SourceError, match=words):
        irs_puf.read(copy)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("RECID", 888888, "line 2, RECID 888888 is of no return"),
        ("AGERANGE", 9, r"demographics_2015.csv: line 2, RECID \d+, column AGERANGE .*holds 9"),
        ("GENDER", "", r"column GENDER .*a blank"),
    ],
)
def test_bad_demographics_are_named(column: str, value: object, words: str, copy: Path) -> None:
    _edit(copy.with_name("demographics_2015.csv"), column, 0, value)
    with pytest.raises(SourceError, match=words):
        irs_puf.read(copy)


def test_duplicate_record(copy: Path) -> None:
    _edit(copy, "RECID", 3, pd.read_csv(copy)["RECID"].iloc[0])
    with pytest.raises(SourceError, match=r"RECID .* occurs on lines 2, 5"):
        irs_puf.read(copy)
    demographics = copy.with_name("demographics_2015.csv")
    _edit(copy, "RECID", 3, 777777)
    _edit(demographics, "RECID", 3, pd.read_csv(demographics)["RECID"].iloc[0])
    with pytest.raises(SourceError, match=r"demographics_2015.csv: RECID .* occurs on lines 2, 5"):
        irs_puf.read(copy)


@pytest.mark.parametrize("column", ["E00200", "E26400", "S006"])
def test_a_required_column_of_zeros_is_refused_by_name(column: str, copy: Path) -> None:
    table = pd.read_csv(copy)
    table.assign(**{column: 0}).to_csv(copy, index=False)
    with pytest.raises(SourceError, match=rf"0 on each of \d+ returns: {column} \("):
        irs_puf.read(copy)


def test_an_optional_column_may_be_absent_or_zero_and_a_required_one_may_not_be_absent(copy: Path) -> None:
    table = pd.read_csv(copy)
    table.drop(columns=["E03210", "E30400"]).assign(E09700=0).to_csv(copy, index=False)
    raw = irs_puf.read(copy)
    assert not raw.table[["E03210", "E30400", "E09700"]].any().any()
    table.drop(columns="E19200").to_csv(copy, index=False)
    with pytest.raises(SourceError, match=r"lacks the needed column\(s\) E19200"):
        irs_puf.read(copy)


def test_returns_of_another_year_are_refused_and_a_few_late_ones_are_not(copy: Path) -> None:
    table = pd.read_csv(copy)
    late = table.assign(FLPDYR=np.where(np.arange(len(table)) % 9 == 0, 2013, 2015))
    late.to_csv(copy, index=False)
    assert irs_puf.read(copy).year == 2015
    table.assign(FLPDYR=2011).to_csv(copy, index=False)
    with pytest.raises(SourceError, match=r"most returns are of 2011 \(FLPDYR\); wanted 2015"):
        irs_puf.read(copy)
    table.drop(columns="FLPDYR").to_csv(copy, index=False)
    assert irs_puf.read(copy).year == 2015


@pytest.mark.parametrize("column", ["AGERANGE", "GENDER"])
def test_demographics_that_know_nothing_are_refused(column: str, copy: Path) -> None:
    demographics = copy.with_name("demographics_2015.csv")
    pd.read_csv(demographics).assign(**{column: 0}).to_csv(demographics, index=False)
    with pytest.raises(SourceError, match=rf"demographics_2015.csv: {column} .*is 0 on each of \d+ records"):
        irs_puf.read(copy)


def test_files_without_returns_are_refused(copy: Path) -> None:
    table = pd.read_csv(copy)
    table.iloc[:0].to_csv(copy, index=False)
    with pytest.raises(SourceError, match="has a header and no record"):
        irs_puf.read(copy)
    aggregates = table[table["RECID"].isin(irs_puf.AGGREGATES)]
    aggregates.assign(**{c: 1 for c in table.columns if c[:1] in "EP"}).to_csv(copy, index=False)
    with pytest.raises(SourceError, match=r"holds 4 aggregate records .* and nothing else"):
        irs_puf.read(copy)


def test_edited_synthetic_file_is_not_taken_for_official(copy: Path, puf_csv: Path) -> None:
    shutil.copy(puf_csv.with_name("puf_2015.csv.synthetic.json"), copy.with_name("puf_2015.csv.synthetic.json"))
    _edit(copy, "E00200", 1, 5)
    with pytest.raises(SourceError, match="describes a synthetic file"):
        irs_puf.read(copy)


def _official(column: str) -> float:
    return sum(line.total for line in lines() if line.column == column)


def test_every_amount_of_the_writer_has_its_published_total(puf_csv: Path) -> None:
    table = irs_puf.read(puf_csv).table
    weight = table["S006"].to_numpy()
    written = {column.name for column in columns_of("irs_puf", "return") if column.unit == "dollars a year"}
    for line in lines():
        if line.column[-1] in "PN" or line.column == "T27800":
            continue  # pairs below; averaged farm income is on too few returns of a small file
        assert line.column in written
        rounding = 0.5 * float(weight[(table[line.column] != 0).to_numpy()].sum())
        assert float(weight @ table[line.column]) == pytest.approx(line.total, rel=0.02, abs=rounding), line.column
    for name in ("E00900", "E02100", "E01200"):
        gains, losses = (float(weight @ side) for side in (table[name].clip(lower=0), -table[name].clip(upper=0)))
        assert gains == pytest.approx(_official(f"{name}P"), rel=0.02), name
        assert losses == pytest.approx(_official(f"{name}N"), rel=0.02), name


def test_parts_stay_within_their_whole_and_limits_hold(puf_csv: Path) -> None:
    table = irs_puf.read(puf_csv).table
    table = table[~table["RECID"].isin(irs_puf.AGGREGATES)]
    for line in lines():
        if line.column[-1] in "PN":
            continue
        assert (table[line.column] <= line.limit + 1).all(), line.column
        if line.needs:
            assert (table[line.column] <= line.share * table[line.needs].clip(lower=0) + 1).all(), line.column
    assert (table["E01700"] <= table["E01500"]).all()
    assert all(line.source for line in lines())


def test_schedule_se_is_of_schedules_c_and_f_and_partners(puf_csv: Path) -> None:
    table = irs_puf.read(puf_csv).table
    table = table[~table["RECID"].isin(irs_puf.AGGREGATES)]
    earnings = (table["E30400"] + table["E30500"]) / 0.9235
    alone = (table["E25980"] == 0) & (table["E25960"] == 0) & (earnings > 0)
    own = table["E00900"] + table["E02100"]
    assert (earnings[alone] - own[alone]).abs().max() < 2
    assert (earnings > own + 5).any()
    assert not (table["E30500"][table["MARS"] != 2] != 0).any()


def test_a_small_file_has_every_required_column(tmp_path: Path) -> None:
    """The reader refuses columns of zeros, so that the smallest scale must not write any."""
    for seed in range(3):
        assert irs_puf.read(writer.write(tmp_path, returns=writer.MIN_RETURNS, seed=seed)).synthetic


def test_a_writer_that_is_killed_leaves_the_old_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = writer.write(tmp_path, returns=150, seed=1)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # At any moment before both are whole: here between the files and their marks.
    monkeypatch.setattr(writer, "write_mark", killed)
    with pytest.raises(KeyboardInterrupt):
        writer.write(tmp_path, returns=150, seed=2)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == before
    assert not list(tmp_path.glob(".*.part"))
    assert irs_puf.read(first).synthetic


def test_a_pair_of_two_runs_is_written_again(tmp_path: Path) -> None:
    """Killed between the two renames: the returns are not what their sidecar describes as current."""
    path = writer.write(tmp_path, returns=150, seed=1)
    old = path.read_bytes()
    writer.write(tmp_path, returns=150, seed=2)
    path.write_bytes(old)
    mark = read_mark(path)
    assert mark is not None
    assert mark.describes(sha256_of(path))
    assert mark.sha256 != sha256_of(path)
    writer.write(tmp_path, returns=150, seed=2)
    assert path.read_bytes() != old
    assert irs_puf.read(path).synthetic


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), share=st.floats(0.01, 1.5))
def test_limited_amounts_meet_their_total_or_all_limits(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(30) < 0.3, 0.0, rng.exponential(1, 30))
    weights, most = rng.uniform(0.1, 5, 30), np.where(rng.random(30) < 0.2, np.inf, rng.uniform(0, 3, 30))
    room = float(np.where(values > 0, np.minimum(most, 10), 0.0) @ weights)
    found = limited(values, weights, share * room, most)
    assert (found <= most).all()
    assert (found[values == 0] == 0).all()
    if share <= 1 or np.isinf(most[values > 0]).any():
        assert found @ weights == pytest.approx(share * room)
    else:
        np.testing.assert_array_equal(found, np.where(values > 0, most, 0.0))
    # One constant for all that are below their limit.
    free = (values > 0) & (found < most)
    if free.any():
        np.testing.assert_allclose(found[free] / values[free], (found[free] / values[free])[0])
