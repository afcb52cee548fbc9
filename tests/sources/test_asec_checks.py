"""What the CPS ASEC reader refuses in files that parse: every message names the line, the value seen and wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import asec_checks, cps_asec
from tessera.sources.columns import columns_of
from tessera.sources.csvfile import CsvTable

Edited = Callable[[Path, Callable[[dict[str, bytes]], dict[str, bytes]]], Path]
PERSON, HOUSEHOLD, FAMILY = "pppub25.csv", "hhpub25.csv", "ffpub25.csv"
TABLE = CsvTable(Path("asecpub25csv.zip"), PERSON)


def _set(content: bytes, column: str, value: Callable[[str], str] | str, lines: range | None = None) -> bytes:
    """The text with one column's cells replaced, on some lines (the header is line 1) or all."""
    rows = content.decode().rstrip("\n").split("\n")
    place = rows[0].split(",").index(column)
    for line in lines or range(2, len(rows) + 1):
        fields = rows[line - 1].split(",")
        fields[place] = value(fields[place]) if callable(value) else value
        rows[line - 1] = ",".join(fields)
    return ("\n".join(rows) + "\n").encode()


def _read(asec_zip: Path, edited: Edited, member: str, change: Callable[[bytes], bytes]) -> cps_asec.RawAsec:
    return cps_asec.read(edited(asec_zip, lambda held: {**held, member: change(held[member])}))


@pytest.mark.parametrize(
    ("member", "column", "value", "match"),
    [
        (PERSON, "A_SEX", "3", r"line 7, column A_SEX is 3; wanted one of 1 male; 2 female\. 1 such row"),
        (PERSON, "A_MARITL", "0", "line 7, column A_MARITL is 0; wanted one of 1 married"),
        (PERSON, "A_EXPRRP", "6", "line 7, column A_EXPRRP is 6; wanted one of 1 reference"),
        (PERSON, "PRCITSHP", "9", "line 7, column PRCITSHP is 9; wanted one of 1 born in the US"),
        (PERSON, "PEDISEYE", "5", "line 7, column PEDISEYE is 5; wanted one of -1 not in universe"),
        (PERSON, "A_AGE", "86", "line 7, column A_AGE is 86; wanted 0 to 85"),
        (PERSON, "A_AGE", "-1", "line 7, column A_AGE is -1; wanted 0 to 85"),
        (PERSON, "A_FNLWGT", "-100", r"line 7, weight A_FNLWGT is -100\.0; wanted 0 or more"),
        (PERSON, "SPM_WEIGHT", "-1", r"line 7, weight SPM_WEIGHT is -1\.0; wanted 0 or more"),
        (HOUSEHOLD, "HSUP_WGT", "-7", r"hhpub25\.csv\): line 7, weight HSUP_WGT is -7\.0; wanted 0 or more"),
        (HOUSEHOLD, "H_TENURE", "8", "line 7, column H_TENURE is 8; wanted one of 0 not in universe"),
        (FAMILY, "FSUP_WGT", "-7", r"ffpub25\.csv\): line 7, weight FSUP_WGT is -7\.0; wanted 0 or more"),
        (FAMILY, "FTYPE", "6", "line 7, column FTYPE is 6; wanted one of 1 primary"),
        (PERSON, "WSAL_VAL", "inf", r"line 7, column WSAL_VAL .*holds inf; wanted an integer"),
        (PERSON, "WSAL_VAL", "nan", r"line 7, column WSAL_VAL .*holds a blank; wanted an integer"),
        (PERSON, "SPM_GEOADJ", "x", r"line 7, column SPM_GEOADJ .*holds 'x'; wanted a number"),
    ],
)
def test_values_that_cannot_be(
    asec_zip: Path, edited: Edited, member: str, column: str, value: str, match: str
) -> None:
    with pytest.raises(SourceError, match=match):
        _read(asec_zip, edited, member, lambda text: _set(text, column, value, range(7, 8)))


def test_identifier_twice(asec_zip: Path, edited: Edited) -> None:
    with pytest.raises(SourceError, match=r"PERIDNUM \d{22} occurs on lines 2, 3; wanted once"):
        _read(asec_zip, edited, PERSON, lambda text: _set(text, "PERIDNUM", "7" * 22, range(2, 4)))


def test_identifiers_that_a_spreadsheet_rounded_name_nobody(asec_zip: Path, edited: Edited) -> None:
    raw = _read(asec_zip, edited, PERSON, lambda text: _set(text, "PERIDNUM", "8.3E+21"))
    assert (raw.person["PERIDNUM"] == "8.3E+21").all()


def test_line_number_twice_in_a_household(asec_zip: Path, edited: Edited) -> None:
    raw = cps_asec.read(asec_zip)
    first = raw.person.groupby("PH_SEQ").size().loc[lambda size: size > 1].index[0]
    row = int(np.flatnonzero(raw.person["PH_SEQ"].to_numpy() == first)[1])
    with pytest.raises(SourceError, match=rf"PH_SEQ {first}, A_LINENO 1 occurs on lines {row + 1}, {row + 2}"):
        _read(asec_zip, edited, PERSON, lambda text: _set(text, "A_LINENO", "1", range(row + 2, row + 3)))


@pytest.mark.parametrize(
    ("member", "column"),
    [(PERSON, "WSAL_VAL"), (PERSON, "SS_VAL"), (PERSON, "A_AGE"), (HOUSEHOLD, "HSUP_WGT"), (FAMILY, "FSUP_WGT")],
)
def test_column_of_zeros(asec_zip: Path, edited: Edited, member: str, column: str) -> None:
    with pytest.raises(
        SourceError, match=rf"{member}\): column\(s\) {column} hold 0 in all [\d,]+ rows; wanted some other value"
    ):
        _read(asec_zip, edited, member, lambda text: _set(text, column, "0"))


def test_in_a_large_file_no_needed_column_is_zero_for_all(monkeypatch: pytest.MonkeyPatch, asec_zip: Path) -> None:
    person = cps_asec.read(asec_zip).person
    monkeypatch.setattr(asec_checks, "LARGE_FROM", 1000)
    asec_checks.check_not_empty(TABLE, person.assign(DST_VAL2_YNG=1, DST_SC2_YNG=1, DIS_VAL2=1, DIS_SC2=1), "person")
    with pytest.raises(SourceError, match=r"column\(s\) CHSP_VAL, PEMCPREM hold 0 in all"):
        asec_checks.check_not_empty(
            TABLE,
            person.assign(DST_VAL2_YNG=1, DST_SC2_YNG=1, DIS_VAL2=1, DIS_SC2=1, CHSP_VAL=0, PEMCPREM=0),
            "person",
        )


def test_a_handful_of_persons_may_have_no_wages() -> None:
    names = [column.name for column in columns_of("cps_asec", "person")]
    person = pd.DataFrame(0, index=range(20), columns=names).assign(SPM_ID=1, MARSUPWT=1.0, A_FNLWGT=1.0)
    asec_checks.check_not_empty(TABLE, person, "person")
    with pytest.raises(SourceError, match=r"column\(s\) MARSUPWT hold 0 in all 20 rows"):
        asec_checks.check_not_empty(TABLE, person.assign(MARSUPWT=0.0), "person")


def test_family_of_no_household(asec_zip: Path, edited: Edited) -> None:
    with pytest.raises(SourceError, match=r"ffpub25\.csv\): line 3, FH_SEQ 99999999 is no household of the archive"):
        _read(asec_zip, edited, FAMILY, lambda text: _set(text, "FH_SEQ", "99999999", range(3, 4)))


def test_column_named_twice(asec_zip: Path, edited: Edited) -> None:
    with pytest.raises(SourceError, match=r"pppub25\.csv\): its header names WSAL_VAL twice; wanted once"):
        _read(asec_zip, edited, PERSON, lambda text: text.replace(b"SEMP_VAL", b"WSAL_VAL", 1))
