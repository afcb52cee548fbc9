"""SCF: reader and writer, implicates, loans of the full data set, waves, the real extract of 2019."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.errors import SourceError
from tessera.sources import scf
from tessera.sources.synthetic import scf as scf_writer
from tests.sources.donor_edits import Edited


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("donors")
    scf_writer.write(target, families=200, year=2022, seed=5)
    return target


def test_scf(folder: Path) -> None:
    raw = scf.read(folder / "scfp2022s.zip")
    table = raw.table
    assert (raw.year, raw.synthetic) == (2022, True)
    assert table["WGT"].sum() == pytest.approx(132.2e6, rel=0.001)
    assert float(table["WGT"] @ table["NETWORTH"]) == pytest.approx(145e12, rel=0.15)
    assert (table.groupby("YY1").size() == scf.IMPLICATES).all()
    np.testing.assert_allclose(table["NETWORTH"], table["ASSET"] - table["DEBT"])


def test_scf_loans_of_the_full_data_set(folder: Path) -> None:
    raw = scf.read(folder / "scfp2022s.zip")
    loans = raw.companions["loans"]
    assert loans["Y1"].tolist() == raw.table["Y1"].tolist()
    np.testing.assert_allclose(loans[["X2218", "X2318", "X2418", "X7169"]].sum(axis=1), raw.table["VEH_INST"])
    # Rates are hundredths of a percent, -1 for none.
    owed = loans["X2218"] > 0
    assert loans.loc[owed, "X2219"].between(-1, 1500).all() and (loans.loc[~owed, "X2219"] == 0).all()


def test_scf_without_the_full_data_set(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scfp2022s.zip").write_bytes((folder / "scfp2022s.zip").read_bytes())
    alone = scf.read(tmp_path / "scfp2022s.zip")
    assert alone.companions == {}
    pd.testing.assert_frame_equal(alone.table, scf.read(folder / "scfp2022s.zip").table)


def test_scf_full_data_set_of_another_wave(folder: Path, edited: Edited, tmp_path: Path) -> None:
    edited(folder / "scf2022s.zip", lambda held: {"p19i6.dta": held["p22i6.dta"]})
    (tmp_path / "scfp2022s.zip").write_bytes((folder / "scfp2022s.zip").read_bytes())
    with pytest.raises(SourceError, match=r"scf2022s\.zip: wanted a member p22i6\.dta"):
        scf.read(tmp_path / "scfp2022s.zip")


def test_scf_full_data_set_without_a_family(folder: Path, tmp_path: Path) -> None:
    scf_writer.write(tmp_path, families=30, year=2022, seed=5)
    (tmp_path / "scfp2022s.zip.synthetic.json").unlink()
    (tmp_path / "scfp2022s.zip").write_bytes((folder / "scfp2022s.zip").read_bytes())
    with pytest.raises(SourceError, match=r"lacks implicate Y1 311 .* 850 such"):
        scf.read(tmp_path / "scfp2022s.zip")


@pytest.mark.parametrize("year", [2013, 2020])
def test_scf_of_a_wave_that_is_not_documented(shared_data: Path, tmp_path: Path, year: int) -> None:
    path = tmp_path / f"SCFP{year}.csv.gz"
    path.write_bytes((shared_data / "scf" / "SCFP2019.csv.gz").read_bytes())
    with pytest.raises(SourceError, match=f"is the SCF of {year}; wanted one of 2016, 2019, 2022"):
        scf.read(path)


def test_scf_weight_below_zero(shared_data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shared_data / "scf" / "SCFP2019.csv.gz", nrows=10)
    table.assign(WGT=[-1.0, *table["WGT"][1:]]).to_csv(tmp_path / "SCFP2019.csv", index=False)
    with pytest.raises(SourceError, match=r"line 2, WGT is -1\.0; wanted 0 or more"):
        scf.read(tmp_path / "SCFP2019.csv")


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


def test_scf_columns_ofzeros(shared_data: Path, tmp_path: Path) -> None:
    table = pd.read_csv(shared_data / "scf" / "SCFP2019.csv.gz", nrows=50)
    table.assign(NETWORTH=0).to_csv(tmp_path / "SCFP2019.csv", index=False)
    with pytest.raises(SourceError, match=r"column\(s\) NETWORTH are 0 or blank in all 50 record"):
        scf.read(tmp_path / "SCFP2019.csv")
