"""The CPS ASEC reader on the synthetic archive, on broken copies of it, and on the real sample."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import cps_asec
from tessera.sources.columns import columns_of

Edited = Callable[[Path, Callable[[dict[str, bytes]], dict[str, bytes]]], Path]
PERSON, HOUSEHOLD, FAMILY = "pppub25.csv", "hhpub25.csv", "ffpub25.csv"


@pytest.fixture(scope="module")
def raw(asec_zip: Path) -> cps_asec.RawAsec:
    return cps_asec.read(asec_zip)


def _cell(content: bytes, line: int, column: str, value: str) -> bytes:
    rows = content.decode().split("\n")
    fields = rows[line - 1].split(",")
    fields[rows[0].split(",").index(column)] = value
    rows[line - 1] = ",".join(fields)
    return "\n".join(rows).encode()


def _interviewed_line(content: bytes) -> int:
    rows = content.decode().split("\n")
    kind = rows[0].split(",").index("H_HHTYPE")
    return next(line for line, row in enumerate(rows[1:], 2) if row.split(",")[kind] == "1")


def test_reads_what_was_written(raw: cps_asec.RawAsec) -> None:
    assert (raw.year, raw.income_year, raw.synthetic, raw.household_derived) == (2025, 2024, True, False)
    assert len(raw.household) == 1500
    for record, table in (("person", raw.person), ("household", raw.household), ("family", raw.family)):
        assert list(table.columns) == [column.name for column in columns_of("cps_asec", record)]
        assert not table.isna().any().any()
    assert raw.person["A_AGE"].dtype == np.int64
    assert raw.person["PERIDNUM"].str.len().eq(22).all() and raw.person["PERIDNUM"].is_unique


def test_drops_households_that_were_not_interviewed(asec_zip: Path, raw: cps_asec.RawAsec) -> None:
    with zipfile.ZipFile(asec_zip) as archive, archive.open(HOUSEHOLD) as handle:
        everything = pd.read_csv(handle)
    refused = everything[everything["H_HHTYPE"] != 1]
    assert len(refused) >= 100 and (refused["HSUP_WGT"] == 0).all()
    assert not raw.household["H_SEQ"].isin(refused["H_SEQ"]).any()
    assert len(everything) == len(refused) + len(raw.household)


def test_weights_are_in_units(asec_zip: Path, raw: cps_asec.RawAsec) -> None:
    with zipfile.ZipFile(asec_zip) as archive, archive.open(PERSON) as handle:
        written = pd.read_csv(handle, usecols=["MARSUPWT"])["MARSUPWT"]
    np.testing.assert_allclose(raw.person["MARSUPWT"], written / 100)


def test_national_totals(raw: cps_asec.RawAsec) -> None:
    household, person = raw.household, raw.person
    weight = household.set_index("H_SEQ")["HSUP_WGT"].reindex(person["PH_SEQ"]).to_numpy()
    assert household["HSUP_WGT"].sum() == pytest.approx(132.2e6, rel=1e-4)
    assert weight.sum() == pytest.approx(336e6, rel=0.05)
    assert person["MARSUPWT"].sum() == pytest.approx(336e6, rel=0.05)
    official = {"WSAL_VAL": 11e12, "SS_VAL": 1.4e12, "SSI_VAL": 0.06e12, "TRDINT_VAL": 0.41e12, "UC_VAL": 0.035e12}
    for column, total in official.items():
        assert float(weight @ person[column].to_numpy()) == pytest.approx(total, rel=0.3), column
    snap = household["HFOODSP"] == 1
    assert household.loc[snap, "HSUP_WGT"].sum() == pytest.approx(22.2e6, rel=0.3)
    assert float(weight[person["A_AGE"] < 18].sum()) == pytest.approx(73e6, rel=0.1)
    assert float(weight[person["NOW_CAID"] == 1].sum()) == pytest.approx(68e6, rel=0.3)
    assert float(weight[person["NOW_COV"] == 1].sum() / weight.sum()) == pytest.approx(0.92, abs=0.06)
    assert household["GESTFIPS"].nunique() == 51


def test_pointers_are_consistent(raw: cps_asec.RawAsec) -> None:
    person = raw.person
    key = pd.MultiIndex.from_frame(person[["PH_SEQ", "A_LINENO"]])
    by_line = person.set_index(key)
    married = person[person["A_SPOUSE"] > 0]
    partner = by_line.loc[list(zip(married["PH_SEQ"], married["A_SPOUSE"], strict=True))]
    assert (partner["A_SPOUSE"].to_numpy() == married["A_LINENO"].to_numpy()).all()
    assert (married["A_MARITL"] == 1).all() and (person.loc[person["A_SPOUSE"] == 0, "A_MARITL"] != 1).all()
    child = person[person["PEPAR1"] > 0]
    parent = by_line.loc[list(zip(child["PH_SEQ"], child["PEPAR1"], strict=True))]
    assert (parent["A_AGE"].to_numpy() - child["A_AGE"].to_numpy() >= 10).all()
    references = person[person["A_EXPRRP"].isin((1, 2))].groupby("PH_SEQ").size()
    assert (references == 1).all() and len(references) == len(raw.household)
    leaders = person[person["A_FAMREL"].isin((0, 1))].groupby(["PH_SEQ", "PF_SEQ"]).size()
    assert len(leaders) == len(raw.family) and (leaders == 1).all()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"asecpub25csv\.zip: source file does not exist.*synthetic"):
        cps_asec.read(tmp_path / "asecpub25csv.zip")


def test_truncated_archive(asec_zip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "asecpub25csv.zip"
    broken.write_bytes(asec_zip.read_bytes()[:50_000])
    with pytest.raises(SourceError, match=r"truncated or damaged.*50,000 bytes.*fetch it again"):
        cps_asec.read(broken)


def test_corrupt_member(asec_zip: Path, tmp_path: Path) -> None:
    content = bytearray(asec_zip.read_bytes())
    content[30_000:30_400] = bytes(400)
    broken = tmp_path / "asecpub25csv.zip"
    broken.write_bytes(bytes(content))
    with pytest.raises(SourceError, match="truncated or damaged"):
        cps_asec.read(broken)


@pytest.mark.parametrize("member", [HOUSEHOLD, FAMILY])
def test_missing_member(asec_zip: Path, edited: Edited, member: str) -> None:
    broken = edited(asec_zip, lambda held: {name: text for name, text in held.items() if name != member})
    with pytest.raises(SourceError, match=f"no member {member}; it holds .*pppub25"):
        cps_asec.read(broken)


def test_archive_of_something_else(asec_zip: Path, edited: Edited) -> None:
    broken = edited(asec_zip, lambda held: {"readme.txt": b"hello"})
    with pytest.raises(SourceError, match=r"no CPS ASEC member; wanted pppubYY\.csv, it holds readme\.txt"):
        cps_asec.read(broken)


def test_needed_column_missing(asec_zip: Path, edited: Edited) -> None:
    broken = edited(asec_zip, lambda held: {**held, PERSON: held[PERSON].replace(b"WSAL_VAL", b"WAGES", 1)})
    with pytest.raises(SourceError, match=r"member pppub25\.csv\): lacks the needed column\(s\) WSAL_VAL"):
        cps_asec.read(broken)


def test_optional_column_missing(asec_zip: Path, edited: Edited) -> None:
    shorter = edited(asec_zip, lambda held: {**held, PERSON: held[PERSON].replace(b"NOW_MRKS,", b"OTHER,", 1)})
    raw = cps_asec.read(shorter)
    assert "person.NOW_MRKS" in raw.absent and (raw.person["NOW_MRKS"] == 0).all()


@pytest.mark.parametrize(("value", "seen"), [("abc", "'abc'"), ("", "a blank")])
def test_weight_that_is_no_number(asec_zip: Path, edited: Edited, value: str, seen: str) -> None:
    broken = edited(asec_zip, lambda held: {**held, PERSON: _cell(held[PERSON], 5, "MARSUPWT", value)})
    with pytest.raises(
        SourceError, match=rf"pppub25\.csv\): line 5, column MARSUPWT .*holds {seen}; wanted an integer"
    ):
        cps_asec.read(broken)


def test_negative_weight(asec_zip: Path, edited: Edited) -> None:
    broken = edited(asec_zip, lambda held: {**held, PERSON: _cell(held[PERSON], 5, "MARSUPWT", "-3")})
    with pytest.raises(SourceError, match=r"line 5, weight MARSUPWT is -3.0; wanted 0 or more"):
        cps_asec.read(broken)


def test_fraction_where_an_integer_is_due(asec_zip: Path, edited: Edited) -> None:
    broken = edited(asec_zip, lambda held: {**held, PERSON: _cell(held[PERSON], 9, "A_AGE", "33.5")})
    with pytest.raises(SourceError, match=r"line 9, column A_AGE .*33\.5; wanted an integer"):
        cps_asec.read(broken)


def test_household_twice(asec_zip: Path, edited: Edited) -> None:
    def repeat(held: dict[str, bytes]) -> dict[str, bytes]:
        rows = held[HOUSEHOLD].decode().split("\n")
        return {**held, HOUSEHOLD: "\n".join([*rows[:3], rows[2], *rows[3:]]).encode()}

    with pytest.raises(SourceError, match=r"hhpub25\.csv\): H_SEQ \d+ occurs on lines 3, 4; wanted once"):
        cps_asec.read(edited(asec_zip, repeat))


def test_wrong_years_file(asec_zip: Path) -> None:
    with pytest.raises(SourceError, match="is of survey year 2025; wanted survey year 2024"):
        cps_asec.read(asec_zip, 2024)


def test_content_of_another_year(asec_zip: Path, edited: Edited) -> None:
    def rename(held: dict[str, bytes]) -> dict[str, bytes]:
        return {name.replace("25.csv", "24.csv"): text for name, text in held.items()}

    with pytest.raises(SourceError, match=r"hhpub24\.csv\): H_YEAR is 2025; wanted 2024"):
        cps_asec.read(edited(asec_zip, rename))


def test_persons_without_household(asec_zip: Path, edited: Edited) -> None:
    def orphan(held: dict[str, bytes]) -> dict[str, bytes]:
        line = _interviewed_line(held[HOUSEHOLD])
        return {**held, HOUSEHOLD: _cell(held[HOUSEHOLD], line, "H_HHTYPE", "2")}

    with pytest.raises(SourceError, match=r"has no interviewed household; .* such person"):
        cps_asec.read(edited(asec_zip, orphan))


def test_household_without_persons(asec_zip: Path, edited: Edited) -> None:
    def cut(held: dict[str, bytes]) -> dict[str, bytes]:
        return {**held, PERSON: b"\n".join(held[PERSON].split(b"\n")[:2000]) + b"\n"}

    with pytest.raises(SourceError, match="was interviewed but has no person"):
        cps_asec.read(edited(asec_zip, cut))


def test_real_sample(shared_data: Path) -> None:
    raw = cps_asec.read(shared_data / "cps_asec" / "pppub20.csv", 2020, state_fips=23)
    assert (raw.year, raw.synthetic, raw.household_derived, raw.absent) == (
        2020,
        False,
        True,
        ("person.SPM_BBSUBVAL",),
    )
    assert (len(raw.person), len(raw.household)) == (999, 424)
    assert raw.person["MARSUPWT"].iloc[0] == pytest.approx(1552.90)
    assert raw.household["HSUP_WGT"].iloc[0] == pytest.approx(1552.90)
    assert (raw.household["GESTFIPS"] == 23).all()
    assert raw.household["H_NUMPER"].sum() == 999
    assert set(raw.household["H_TENURE"]) == {1, 2}
    assert raw.household["HTOTVAL"].sum() == raw.person["PTOTVAL"].sum()
    assert raw.family["FPERSONS"].sum() == 999


def test_real_sample_of_another_year(shared_data: Path) -> None:
    with pytest.raises(SourceError, match=r"pppub20\.csv: is of survey year 2020; wanted 2025"):
        cps_asec.read(shared_data / "cps_asec" / "pppub20.csv", 2025)


def test_synthetic_has_no_column_that_the_real_file_lacks(shared_data: Path) -> None:
    with (shared_data / "cps_asec" / "pppub20.csv").open(encoding="utf-8-sig") as handle:
        official = set(handle.readline().strip().split(","))
    assert {column.name for column in columns_of("cps_asec", "person") if column.first_year <= 2020} <= official


def test_interest_outside_retirement_accounts_and_person_status(shared_data: Path, raw: cps_asec.RawAsec) -> None:
    person = cps_asec.read(shared_data / "cps_asec" / "pppub20.csv", 2020).person
    assert 0 < person["TRDINT_VAL"].sum() < person["INT_VAL"].sum()
    assert (person["TRDINT_VAL"] <= person["INT_VAL"]).all()
    assert ((person["P_STAT"] == 3) == (person["A_AGE"] < 15)).all()
    assert (person["P_STAT"] == 2).sum() == 1
    assert raw.absent == ()
    retirement = raw.person["RINT_VAL1"] + raw.person["RINT_VAL2"]
    assert (raw.person["TRDINT_VAL"] + retirement == raw.person["INT_VAL"]).all() and retirement.sum() > 0
    assert set(raw.person["P_STAT"]) == {1, 2, 3}


def test_parts_add_up(raw: cps_asec.RawAsec, shared_data: Path) -> None:
    for person in (raw.person, cps_asec.read(shared_data / "cps_asec" / "pppub20.csv", 2020).person):
        assert (person["PEN_VAL1"] + person["PEN_VAL2"] == person["PNSN_VAL"]).all()
        assert (person["SUR_VAL1"] + person["SUR_VAL2"] == person["SRVS_VAL"]).all()
        assert (person["MOOP"] == person["PHIP_VAL"] + person["PMED_VAL"] + person["POTC_VAL"]).all()
        assert (person["PEARNVAL"] == person["WSAL_VAL"] + person["SEMP_VAL"] + person["FRSE_VAL"]).mean() > 0.99
        units = person.groupby("SPM_ID")
        assert (units["SPM_NUMADULTS"].first() + units["SPM_NUMKIDS"].first() == units.size()).all()
        assert (units["SPM_HEAD"].sum() == 1).mean() > 0.95
        assert (units["PTOTVAL"].sum() == units["SPM_TOTVAL"].first()).mean() > 0.99
        scale = person.groupby(["SPM_NUMADULTS", "SPM_NUMKIDS"])["SPM_EQUIVSCALE"].median()
        assert scale.loc[[(1, 0), (2, 0), (2, 1), (2, 2)]].tolist() == pytest.approx([0.4635, 0.6535, 0.8802, 1.0])
