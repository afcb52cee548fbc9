"""The reader of long delimited files: the same values as Python's, whatever the chunks; faults named by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tessera.errors import SourceError
from tessera.sources import bytefile
from tessera.sources.bytefile import Layout, layout_of, read_bytes_of, whole_numbers
from tessera.sources.csvfile import CsvTable

WIDTHS = {"a": 6, "b": 3}
ROWS = st.lists(st.tuples(*[st.text("0123456789ABZ", max_size=3)] * 3).filter(any), max_size=12)


def read(path: Path, separator: str = "|", **options) -> dict[str, list[bytes]]:
    table = CsvTable(path, separator=separator)
    layout = layout_of(table, {"a": "A", "b": "B"})
    chunks = list(read_bytes_of(table, layout, WIDTHS, **options))
    return {name: [value for chunk in chunks for value in chunk.fields[name].tolist()] for name in WIDTHS}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, ending=st.sampled_from(["\n", "\r\n"]), chunk=st.integers(5, 40), last=st.booleans())
def test_the_fields_are_those_of_a_plain_split(
    tmp_path: Path, monkeypatch, rows, ending: str, chunk: int, last
) -> None:
    path = tmp_path / "table.txt"
    lines = ["\ufeffA|other| B", *("|".join(row) for row in rows)]
    path.write_bytes((ending.join(lines) + (ending if last else "")).encode())
    monkeypatch.setattr(bytefile, "_CHUNK_BYTES", chunk)
    found = read(path)
    assert found["a"] == [row[0].encode() for row in rows]
    assert found["b"] == [row[2].encode() for row in rows]


def test_lines_are_chosen_by_a_field(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("A|B\n1|x\n2|y\n3|x\n\n")
    assert read(path, only=("b", frozenset((b"x",)))) == {"a": [b"1", b"3"], "b": [b"x", b"x"]}


def test_a_file_without_header_has_its_fields_by_position(tmp_path: Path) -> None:
    path = tmp_path / "table.txt"
    path.write_text("9| 8 |7\n6|5|4\n")
    chunks = list(read_bytes_of(CsvTable(path, separator="|"), Layout({"b": 1}, 3, has_header=False), {"b": 3}))
    assert [chunk.fields["b"].tolist() for chunk in chunks] == [[b"8", b"5"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A|C\n1|2\n", r"header lacks B; wanted A\|B, found 'A\|C'"),
        ("A|B\n1|2\n1|2|3\n", r"line 3 has 3 field\(s\); wanted 2.*'1\|2\|3'"),
        ("A|B\n1|2\n12", r"line 3 has 1 field\(s\); wanted 2.*truncated"),
        ("A|B\n1|2|3\n4\n", r"line 2 has 3 field\(s\); wanted 2"),
        ("A|B\n1|2222\n", r"line 2, field b holds '2222'; wanted at most 3 ASCII"),
        ("A|B\n1|2\n1|Ñ\n", r"line 3, field b holds '\\xc3\\x91'; wanted at most 3 ASCII"),
        ("", r"is empty; wanted a header line"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=message):
        read(path)


def test_lines_are_counted_over_chunks(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "table.txt"
    path.write_text("A|B\n" + "1|2\n" * 50 + "1|toolong\n")
    monkeypatch.setattr(bytefile, "_CHUNK_BYTES", 17)
    with pytest.raises(SourceError, match="line 52, field b"):
        read(path)


def test_whole_numbers() -> None:
    number, good = whole_numbers(np.array([b"0", b"010010201001000", b"", b"12a", b"999999999999999", b" 1"]))
    assert good.tolist() == [True, True, False, False, True, False]
    assert number[good].tolist() == [0, 10010201001000, 999999999999999]
