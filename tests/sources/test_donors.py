"""Readers and writers of the donor surveys: ACS PUMS, SIPP, SCF, CPS ORG."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import acs_pums, cps_org, scf, sipp
from tessera.sources.synthetic import acs_pums as acs_writer
from tessera.sources.synthetic import cps_org as org_writer
from tessera.sources.synthetic import scf as scf_writer
from tessera.sources.synthetic import sipp as sipp_writer

Edited = Callable[[Path, Callable[[dict[str, bytes]], dict[str, bytes]]], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("donors")
    acs_writer.write(target, households=400, year=2024, seed=5)
    sipp_writer.write(target, households=150, year=2023, seed=5)
    scf_writer.write(target, families=200, year=2022, seed=5)
    org_writer.write(target, households=80, year=2024, seed=5)
    return target


def test_acs(folder: Path) -> None:
    raw = acs_pums.read(folder / "csv_pus.zip")
    person, household = raw.table, raw.companions["household"]
    assert (raw.year, raw.synthetic) == (2024, True)
    assert (household["NP"] > 0).all() and household["WGTP"].sum() == pytest.approx(132.2e6, rel=0.001)
    assert household["ADJHSG"].iloc[0] == pytest.approx(1.01)
    rented = household["TEN"] == 3
    assert household.loc[rented, "RNTP"].notna().all() and household.loc[~rented, "RNTP"].isna().all()
    assert household.loc[household["TEN"].isin((1, 2)), "TAXAMT"].notna().all()
    assert (
        person.loc[person["AGEP"] < 15, "WAGP"].isna().all() and person.loc[person["AGEP"] >= 16, "WAGP"].notna().all()
    )
    assert person.groupby("SERIALNO").size().sum() == household["NP"].sum()
    assert (household["TYPEHUGQ"] == 3).any() and household["ST"].nunique() == 51


def test_acs_accepts_the_old_name_of_the_state(folder: Path, edited: Edited, tmp_path: Path) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text.replace(b"STATE", b"ST", 1) for n, text in held.items()})
    person = edited(folder / "csv_pus.zip", lambda held: held)
    assert acs_pums.read(person).companions["household"]["ST"].between(1, 56).all()


def test_acs_without_any_state(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text.replace(b"STATE", b"X", 1) for n, text in held.items()})
    with pytest.raises(SourceError, match="lacks both ST and STATE"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_without_households(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "csv_pus.zip").write_bytes((folder / "csv_pus.zip").read_bytes())
    with pytest.raises(SourceError, match=r"csv_hus\.zip: source file does not exist"):
        acs_pums.read(tmp_path / "csv_pus.zip")


def test_acs_orphans(folder: Path, edited: Edited) -> None:
    edited(folder / "csv_hus.zip", lambda held: {n: text for n, text in held.items() if n != "psam_husb.csv"})
    with pytest.raises(SourceError, match="has no occupied unit"):
        acs_pums.read(edited(folder / "csv_pus.zip", lambda held: held))


def test_acs_needs_the_person_archive(folder: Path) -> None:
    with pytest.raises(SourceError, match="wanted the person archive"):
        acs_pums.read(folder / "csv_hus.zip")


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


def test_sipp_of_a_month_that_is_not_there(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"none of \d+ person-months is of month\(s\) \[14\]"):
        sipp.read(folder / "pu2023_csv.zip", months=(14,))


def test_scf(folder: Path) -> None:
    raw = scf.read(folder / "scfp2022s.zip")
    table = raw.table
    assert (raw.year, raw.synthetic) == (2022, True)
    assert table["WGT"].sum() == pytest.approx(132.2e6, rel=0.001)
    assert float(table["WGT"] @ table["NETWORTH"]) == pytest.approx(145e12, rel=0.15)
    assert (table.groupby("YY1").size() == scf.IMPLICATES).all()
    np.testing.assert_allclose(table["NETWORTH"], table["ASSET"] - table["DEBT"])


def test_scf_real_summary_extract(shared_data: Path) -> None:
    raw = scf.read(shared_data / "scf" / "SCFP2019.csv.gz")
    assert (raw.year, raw.synthetic, len(raw.table)) == (2019, False, 28_885)
    # 128.6 million families; the weights are already divided by the five implicates.
    assert raw.table["WGT"].sum() == pytest.approx(128.6e6, rel=0.001)
    assert raw.table["YY1"].nunique() * scf.IMPLICATES == len(raw.table)


def test_scf_cut_short(shared_data: Path, tmp_path: Path) -> None:
    import gzip

    with gzip.open(shared_data / "scf" / "SCFP2019.csv.gz", "rt", encoding="utf-8-sig") as handle:
        lines = [next(handle) for _ in range(13)]
    (tmp_path / "SCFP2019.csv").write_text("".join(lines))
    with pytest.raises(SourceError, match=r"family YY1 3 has 2 implicate\(s\); wanted 5"):
        scf.read(tmp_path / "SCFP2019.csv")


def test_scf_truncated_gzip(shared_data: Path, tmp_path: Path) -> None:
    (tmp_path / "SCFP2019.csv.gz").write_bytes((shared_data / "scf" / "SCFP2019.csv.gz").read_bytes()[:100_000])
    with pytest.raises(SourceError, match="truncated or damaged"):
        scf.read(tmp_path / "SCFP2019.csv.gz")


def test_scf_stata_that_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scfp2022s.zip", "w") as archive:
        archive.writestr("rscfp2022.dta", b"no stata here")
    with pytest.raises(SourceError, match="not a readable Stata file"):
        scf.read(tmp_path / "scfp2022s.zip")


def test_org(folder: Path) -> None:
    raw = cps_org.read(folder / "cps_basic_2024")
    table = raw.table
    assert (raw.year, raw.synthetic) == (2024, True)
    assert set(table["HRMIS"]) == {4, 8} and set(table["HRMONTH"]) == set(range(1, 13))
    assert table["PWORWGT"].sum() / 12 == pytest.approx(267e6, rel=0.1)
    asked = table["PRERELG"] == 1
    assert (table.loc[~asked, ["PTERNHLY", "PTERNWA"]] == -1).all().all()
    assert table.loc[asked, "PTERNWA"].between(0.01, 2884.61).all()
    hourly = table["PEERNHRY"] == 1
    assert table.loc[hourly, "PTERNHLY"].between(0.01, 99.99).all()


def test_org_one_month(folder: Path) -> None:
    raw = cps_org.read(folder / "cps_basic_2024" / "mar24pub.csv")
    assert set(raw.table["HRMONTH"]) == {3}


def test_org_month_that_its_name_does_not_say(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "apr24pub.csv").write_bytes((folder / "cps_basic_2024" / "mar24pub.csv").read_bytes())
    with pytest.raises(SourceError, match=r"is of month and year \[\(3, 2024\)\]; its name says \(4, 2024\)"):
        cps_org.read(tmp_path)


def test_org_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no file mmmYYpub\.csv"):
        cps_org.read(tmp_path)
