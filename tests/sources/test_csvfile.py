"""Delimited files: chunks, and files that are closed whatever happens."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pandas.io.parsers import TextFileReader

from tessera.errors import SourceError
from tessera.sources import csvfile
from tessera.sources.columns import Column
from tessera.sources.csvfile import CsvTable, header, members, read_chunks, read_table


def _column(name: str) -> Column:
    return Column("record", name, "int", 0, True, "", "all", name, "")


ROWS = 100_000
COLUMNS = (_column("A"), _column("B"))


@pytest.fixture
def table(tmp_path: Path) -> CsvTable:
    path = tmp_path / "table.csv"
    path.write_text("A, B\n" + "".join(f"{row},{row * row}\n" for row in range(ROWS)), encoding="utf-8")
    return CsvTable(path)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[TextFileReader]:
    """The parsers that were closed, and not left for the garbage collector to find with their file still open."""
    seen: list[TextFileReader] = []
    close = TextFileReader.close

    def noted(parser: TextFileReader) -> None:
        seen.append(parser)
        close(parser)

    monkeypatch.setattr(TextFileReader, "close", noted)
    return seen


def test_chunks_are_the_table(table: CsvTable) -> None:
    whole = read_table(table, COLUMNS)
    assert whole["B"].tolist() == [row * row for row in range(ROWS)]
    pd.testing.assert_frame_equal(pd.concat(read_chunks(table, COLUMNS, 700), ignore_index=True), whole)


def test_a_bad_value_in_a_later_chunk_names_its_line_and_closes_the_file(
    table: CsvTable, closed: list[TextFileReader]
) -> None:
    lines = table.path.read_text(encoding="utf-8").split("\n")
    lines[3000] = "x,1"
    table.path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SourceError, match=r"line 3001, column A .* holds 'x'; wanted an integer"):
        list(read_chunks(table, COLUMNS, 700))
    assert len(closed) == 1


def test_a_reader_that_stops_half_way_closes_the_file(table: CsvTable, closed: list[TextFileReader]) -> None:
    chunks = read_chunks(table, COLUMNS, 700)
    assert len(next(chunks)) == 700 and closed == []
    chunks.close()
    assert len(closed) == 1


def test_members_of_no_zip(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"absent\.zip: cannot be read"):
        members(tmp_path / "absent.zip")


def test_names_in_any_case_and_with_blanks(tmp_path: Path) -> None:
    path = tmp_path / "small.csv"
    path.write_text('a, "Key" ,B\n1,007,2\n', encoding="utf-8")
    key = Column("record", "KEY", "text", 0, True, "", "all", "key", "")
    table = CsvTable(path)
    assert header(table) == ("A", "KEY", "B")
    assert read_table(table, (*COLUMNS, key)).to_dict("list") == {"A": [1], "B": [2], "KEY": ["007"]}


def test_a_wide_table_is_read_in_parts_that_lines_are_counted_over(
    table: CsvTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_table(table, COLUMNS)
    monkeypatch.setattr(csvfile, "_CELLS", 2 * 999)
    pd.testing.assert_frame_equal(read_table(table, COLUMNS), whole)
    lines = table.path.read_text(encoding="utf-8").split("\n")
    lines[5000] = "1,"
    table.path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SourceError, match=r"line 5001, column B .* holds a blank"):
        read_table(table, COLUMNS)
