"""CPS ORG: reader and writer, months, rotations, implied decimals, files that cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import cps_org
from tessera.sources.synthetic import cps_org as org_writer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("donors")
    org_writer.write(target, households=80, year=2024, seed=5)
    return target


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
        cps_org.read(tmp_path / "apr24pub.csv")


def test_org_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no file mmmYYpub\.csv"):
        cps_org.read(tmp_path)


def test_org_missing_months_are_named(folder: Path, tmp_path: Path) -> None:
    for month in ("jan", "mar"):
        (tmp_path / f"{month}24pub.csv").write_bytes((folder / "cps_basic_2024" / f"{month}24pub.csv").read_bytes())
    with pytest.raises(
        SourceError, match=r"10 month\(s\) of 2024 are missing: feb24pub\.csv, apr24pub\.csv, .*dec24pub"
    ):
        cps_org.read(tmp_path)


def test_org_of_2025_knows_no_october(tmp_path: Path) -> None:
    written = org_writer.write(tmp_path, households=25, year=2025, seed=1)
    (written / "oct25pub.csv").unlink()
    assert set(cps_org.read(written).table["HRMONTH"]) == {*range(1, 13)} - {10}
    (written / "nov25pub.csv").unlink()
    with pytest.raises(SourceError, match=r"1 month\(s\) of 2025 are missing: nov25pub\.csv"):
        cps_org.read(written)


def test_org_of_a_year_that_is_not_documented(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mar09pub.csv").write_bytes((folder / "cps_basic_2024" / "mar24pub.csv").read_bytes())
    with pytest.raises(SourceError, match="is of 2009; wanted a year from 2019 to 2025"):
        cps_org.read(tmp_path / "mar09pub.csv")


def test_org_of_two_years(folder: Path, tmp_path: Path) -> None:
    for name in ("mar23pub.csv", "mar24pub.csv"):
        (tmp_path / name).write_bytes((folder / "cps_basic_2024" / "mar24pub.csv").read_bytes())
    with pytest.raises(SourceError, match=r"holds months of years \[2023, 2024\]; wanted one year"):
        cps_org.read(tmp_path)


def test_org_keeps_outgoing_rotations_only(folder: Path, tmp_path: Path) -> None:
    text = (folder / "cps_basic_2024" / "mar24pub.csv").read_text()
    header = text.split("\n")[0].split(",")
    place = header.index("HRMIS")
    rows = [row for row in text.split("\n")[1:] if row]
    outgoing = sum(row.split(",")[place] in ("4", "8") for row in rows)
    assert len(cps_org.read(folder / "cps_basic_2024" / "mar24pub.csv").table) == outgoing < len(rows)
    others = [row for row in rows if row.split(",")[place] not in ("4", "8")]
    (tmp_path / "mar24pub.csv").write_text("\n".join([",".join(header), *others]) + "\n")
    with pytest.raises(SourceError, match=r"nobody in an outgoing rotation \(HRMIS 4 or 8\)"):
        cps_org.read(tmp_path / "mar24pub.csv")


def test_org_weight_below_zero(folder: Path, tmp_path: Path) -> None:
    rows = (folder / "cps_basic_2024" / "mar24pub.csv").read_text().split("\n")
    fields = rows[1].split(",")
    fields[rows[0].split(",").index("PWORWGT")] = "-70000"
    (tmp_path / "mar24pub.csv").write_text("\n".join([rows[0], ",".join(fields), *rows[2:]]))
    with pytest.raises(SourceError, match=r"line 2, PWORWGT is -70000\.0; wanted 0 or more"):
        cps_org.read(tmp_path / "mar24pub.csv")


def test_org_pay_has_two_implied_decimals(folder: Path) -> None:
    path = folder / "cps_basic_2024" / "mar24pub.csv"
    written = pd.read_csv(path).query("HRMIS in (4, 8) and PRERELG == 1")
    read = cps_org.read(path).table.query("PRERELG == 1")
    np.testing.assert_allclose(read["PTERNWA"], written["PTERNWA"] / 100)
    np.testing.assert_allclose(read["PWORWGT"], written["PWORWGT"] / 10_000)


def test_org_header_in_any_case(folder: Path, tmp_path: Path) -> None:
    path = folder / "cps_basic_2024" / "mar24pub.csv"
    header, rest = path.read_text().split("\n", 1)
    mixed = header.lower().replace("hrmis", "HRMIS")
    (tmp_path / "mar24pub.csv").write_text(f"{mixed}\n{rest}")
    read, again = (cps_org.read(file).table for file in (path, tmp_path / "mar24pub.csv"))
    pd.testing.assert_frame_equal(again, read)
    # Identifiers keep their leading zeros.
    assert again["HRHHID"].str.len().eq(15).all()


def test_org_columns_of_codes(folder: Path, tmp_path: Path) -> None:
    table = pd.read_csv(folder / "cps_basic_2024" / "mar24pub.csv", dtype={"HRHHID": str, "HRHHID2": str})
    table.assign(PTERNWA=-1).to_csv(tmp_path / "mar24pub.csv", index=False)
    with pytest.raises(SourceError, match=r"column\(s\) PTERNWA are 0 or blank"):
        cps_org.read(tmp_path / "mar24pub.csv")
