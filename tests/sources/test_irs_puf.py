"""The PUF reader and writer: 2015 totals, aggregate records, demographics, bad files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import irs_puf
from tessera.sources.columns import columns_of


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
    with pytest.raises(SourceError, match="licensed"):
        irs_puf.read(tmp_path / "puf_2015.csv")


def test_missing_demographics(copy: Path) -> None:
    copy.with_name("demographics_2015.csv").unlink()
    with pytest.raises(SourceError, match=r"demographics_2015\.csv: source file does not exist"):
        irs_puf.read(copy)


def test_another_year(copy: Path) -> None:
    with pytest.raises(SourceError, match="is of tax year 2015; wanted year 2011"):
        irs_puf.read(copy, 2011)


def test_duplicate_record(copy: Path) -> None:
    _edit(copy, "RECID", 3, pd.read_csv(copy)["RECID"].iloc[0])
    with pytest.raises(SourceError, match=r"RECID .* occurs on lines 2, 5"):
        irs_puf.read(copy)


def test_negative_weight(copy: Path) -> None:
    _edit(copy, "S006", 3, -5)
    with pytest.raises(SourceError, match=r"line 5, weight S006 is -5.0"):
        irs_puf.read(copy)


def test_text_for_an_amount(copy: Path) -> None:
    _edit(copy, "E00200", 1, "n/k")
    with pytest.raises(SourceError, match=r"line 3, column E00200 .*'n/k'; wanted a number"):
        irs_puf.read(copy)


def test_demographics_of_unknown_return(copy: Path) -> None:
    _edit(copy.with_name("demographics_2015.csv"), "RECID", 0, 888888)
    with pytest.raises(SourceError, match="line 2, RECID 888888 is of no return"):
        irs_puf.read(copy)


def test_edited_synthetic_file_is_not_taken_for_official(copy: Path, puf_csv: Path) -> None:
    shutil.copy(puf_csv.with_name("puf_2015.csv.synthetic.json"), copy.with_name("puf_2015.csv.synthetic.json"))
    _edit(copy, "E00200", 1, 5)
    with pytest.raises(SourceError, match="describes a synthetic file"):
        irs_puf.read(copy)
