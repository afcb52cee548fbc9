"""SIPP: reader and writer, bounded memory, tips, years, files that cannot be used."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import sipp
from tessera.sources.synthetic import sipp as sipp_writer
from tests.sources.donor_edits import Edited, replaced, zeros


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("donors")
    sipp_writer.write(target, households=150, year=2023, seed=5)
    return target


def test_sipp(folder: Path) -> None:
    raw = sipp.read(folder / "pu2023_csv.zip")
    table = raw.table
    assert (raw.year, raw.synthetic) == (2022, True)
    assert sorted(table["MONTHCODE"].unique()) == list(range(1, 13))
    december = sipp.read(folder / "pu2023_csv.zip", months=(12,)).table
    assert len(december) * 12 == len(table)
    assert float((december["TVAL_BANK"].fillna(0) * december["WPFINWGT"]).sum()) == pytest.approx(8e12, rel=0.01)
    assert table["SSUID"].str.len().eq(14).all()


def test_sipp_chunks_do_not_matter(folder: Path) -> None:
    whole = sipp.read(folder / "pu2023_csv.zip", months=(3, 12)).table
    parts = sipp.read(folder / "pu2023_csv.zip", months=(3, 12), chunk=101).table
    pd.testing.assert_frame_equal(whole, parts)


def test_sipp_tips_leave_allocation_flags_out(folder: Path) -> None:
    table = sipp.read(folder / "pu2023_csv.zip").table
    tips = sipp.monthly_tips(table)
    assert (table["AJB1_TXAMT"].fillna(0) > 0).any()
    expected = table["TJB1_TXAMT"].fillna(0) + table["TJB2_TXAMT"].fillna(0)
    np.testing.assert_allclose(tips, expected)
    assert float((tips * table["WPFINWGT"]).sum()) == pytest.approx(38e9, rel=0.05)


def test_sipp_month_out_of_range(folder: Path, edited: Edited) -> None:
    def spoil(held: dict[str, bytes]) -> dict[str, bytes]:
        rows = held["pu2023.csv"].decode().split("\n")
        fields = rows[150].split("|")
        fields[rows[0].split("|").index("MONTHCODE")] = "13"
        return {**held, "pu2023.csv": "\n".join([*rows[:150], "|".join(fields), *rows[151:]]).encode()}

    broken = edited(folder / "pu2023_csv.zip", spoil)
    with pytest.raises(SourceError, match="line 151, MONTHCODE is 13; wanted 1 to 12"):
        sipp.read(broken, chunk=40)


def test_sipp_line_numbers_are_of_the_file(folder: Path, edited: Edited) -> None:
    def spoil(held: dict[str, bytes]) -> dict[str, bytes]:
        rows = held["pu2023.csv"].decode().split("\n")
        fields = rows[200].split("|")
        fields[rows[0].split("|").index("WPFINWGT")] = "heavy"
        return {**held, "pu2023.csv": "\n".join([*rows[:200], "|".join(fields), *rows[201:]]).encode()}

    with pytest.raises(SourceError, match=r"line 201, column WPFINWGT .*'heavy'"):
        sipp.read(edited(folder / "pu2023_csv.zip", spoil), chunk=64)


def test_sipp_needed_columns_are_named(folder: Path, edited: Edited) -> None:
    with pytest.raises(SourceError, match=r"lacks the needed column\(s\) THVAL_VEH"):
        sipp.read(
            edited(
                folder / "pu2023_csv.zip", lambda held: {n: t.replace(b"THVAL_VEH", b"X", 1) for n, t in held.items()}
            )
        )


def test_sipp_weight_below_zero(folder: Path, edited: Edited) -> None:
    broken = edited(folder / "pu2023_csv.zip", replaced("WPFINWGT", "-0.5"))
    with pytest.raises(SourceError, match=r"line 2, WPFINWGT is -0\.5; wanted 0 or more"):
        sipp.read(broken)


def test_sipp_of_a_year_that_is_not_documented(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(folder / "pu2023_csv.zip") as archive:
        (tmp_path / "pu2014.csv").write_bytes(archive.read("pu2023.csv"))
    with pytest.raises(SourceError, match="is the SIPP of 2014; wanted one of 2021, 2022, 2023, 2024"):
        sipp.read(tmp_path / "pu2014.csv")


def test_sipp_repeated_person_month(folder: Path, edited: Edited) -> None:
    def doubled(held: dict[str, bytes]) -> dict[str, bytes]:
        rows = held["pu2023.csv"].split(b"\n")
        return {**held, "pu2023.csv": b"\n".join([*rows[:3], rows[2], *rows[3:]])}

    with pytest.raises(SourceError, match="PNUM 101, MONTHCODE 2 occurs on lines 3, 4"):
        sipp.read(edited(folder / "pu2023_csv.zip", doubled))


def test_sipp_is_kept_in_small_types(folder: Path) -> None:
    table = sipp.read(folder / "pu2023_csv.zip").table
    assert table["MONTHCODE"].dtype == np.int8 and table["EMS"].dtype == np.float32
    # Amounts and weights keep every digit.
    assert table["TVAL_BANK"].dtype == table["WPFINWGT"].dtype == np.float64


def test_wide_files_are_read_few_rows_at_a_time(tmp_path: Path) -> None:
    from tessera.sources.chunks import CELLS, MAX_ROWS, rows_at_a_time
    from tessera.sources.csvfile import CsvTable

    (tmp_path / "narrow.csv").write_text("A,B\n1,2\n")
    (tmp_path / "wide.csv").write_text(",".join(f"C{number}" for number in range(5_000)) + "\n")
    assert rows_at_a_time(CsvTable(tmp_path / "narrow.csv")) == MAX_ROWS
    assert rows_at_a_time(CsvTable(tmp_path / "wide.csv")) == CELLS // 5_000


def test_sipp_of_a_month_that_is_not_there(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"none of \d+ person-months is of month\(s\) \[14\]"):
        sipp.read(folder / "pu2023_csv.zip", months=(14,))


@pytest.mark.parametrize(
    ("column", "replacement", "message"),
    [("WPFINWGT", "", "WPFINWGT is nan; wanted 0 or more"), ("TAGE", "old", r"column TAGE .* holds 'old'")],
)
def test_sipp_values_that_are_none(folder: Path, edited: Edited, column: str, replacement: str, message: str) -> None:
    with pytest.raises(SourceError, match=f"line 2, {message}"):
        sipp.read(edited(folder / "pu2023_csv.zip", replaced(column, replacement)))


@pytest.mark.parametrize("column", ["WPFINWGT", "TVAL_BANK"])
def test_sipp_columns_ofzeros(folder: Path, edited: Edited, column: str) -> None:
    with pytest.raises(SourceError, match=rf"column\(s\) {column} are 0 or blank in all [\d,]+ record"):
        sipp.read(edited(folder / "pu2023_csv.zip", zeros(column)))
