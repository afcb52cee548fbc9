"""Preparation of raw/: idempotent in synthetic mode, strict in official mode, overwriting nothing official."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tessera.config import Paths, Scale
from tessera.errors import SourceError
from tessera.sources import acs_pums, cps_asec, cps_org, irs_puf, scf, sipp
from tessera.sources.marks import read_mark, sidecar_of
from tessera.sources.registry import prepare, prepare_source, sources

SCALE = Scale("test", 60, 120, 30, 10, 2, 10, 10, 100)
READERS = {
    "cps_asec": cps_asec.read, "irs_puf": irs_puf.read, "acs_pums": acs_pums.read, "sipp": sipp.read, "scf": scf.read,
    "cps_org": cps_org.read,
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = Paths(tmp_path_factory.mktemp("home"))
    prepare(paths, "synthetic", SCALE, 3)
    return paths


def test_readers_read_what_prepare_writes(prepared: Paths) -> None:
    found = prepare(prepared, "synthetic", SCALE, 3)
    assert set(found) == set(READERS)
    for name, path in found.items():
        raw = READERS[name](path)
        assert raw.synthetic, name


def test_writing_is_idempotent(prepared: Paths) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.raw.rglob("*")}
    prepare(prepared, "synthetic", SCALE, 3)
    assert {path: path.stat().st_mtime_ns for path in prepared.raw.rglob("*")} == before


def test_another_seed_rewrites(tmp_path: Path) -> None:
    source, paths = sources()["irs_puf"], Paths(tmp_path)
    path = prepare_source(source, paths, "synthetic", SCALE, 1)
    first = read_mark(path)
    prepare_source(source, paths, "synthetic", SCALE, 2)
    second = read_mark(path)
    assert first is not None and second is not None
    assert (second.seed, second.previous) == (2, first.sha256)


def test_interrupted_between_mark_and_file(tmp_path: Path) -> None:
    source, paths = sources()["scf"], Paths(tmp_path)
    path = prepare_source(source, paths, "synthetic", SCALE, 1)
    old = path.read_bytes()
    prepare_source(source, paths, "synthetic", SCALE, 2)
    new = path.read_bytes()
    path.write_bytes(old)  # the mark of the second writing is there, the file of the first still in place
    assert scf.read(path).synthetic
    prepare_source(source, paths, "synthetic", SCALE, 2)
    assert path.read_bytes() == new


def test_unmarked_file_is_never_overwritten(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.raw.mkdir(parents=True)
    licensed = paths.raw / "puf_2015.csv"
    licensed.write_text("RECID\n1\n")
    with pytest.raises(SourceError, match=r"puf_2015\.csv: has no mark .*may be official and is not overwritten"):
        prepare_source(sources()["irs_puf"], paths, "synthetic", SCALE, 1)
    assert licensed.read_text() == "RECID\n1\n"


def test_official_file_with_a_stale_sidecar_is_not_overwritten(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    path = prepare_source(sources()["irs_puf"], paths, "synthetic", SCALE, 1)
    path.write_text("RECID\n1\n")
    with pytest.raises(SourceError, match=r"is not the file that .* describes"):
        prepare_source(sources()["irs_puf"], paths, "synthetic", SCALE, 2)
    assert path.read_text() == "RECID\n1\n"


@pytest.mark.parametrize("name", sorted(READERS.keys() - {"irs_puf"}))
def test_official_file_absent(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=rf"{name}: (\d+) of \1 official files are absent") as caught:
        prepare_source(sources()[name], Paths(tmp_path), "official", SCALE, 1, offline=True)
    for file in sources()[name].files:
        assert f"{tmp_path / 'raw' / file.path}  <-  {file.url}" in str(caught.value)


def test_official_puf_says_what_the_user_must_supply(tmp_path: Path) -> None:
    words = r"irs_puf: 2 of 2 official files \(2015\) are absent\. Licensed: order it .*cannot be downloaded"
    with pytest.raises(SourceError, match=words) as caught:
        prepare_source(sources()["irs_puf"], Paths(tmp_path), "official", SCALE, 1, offline=False)
    for name in ("puf_2015.csv", "demographics_2015.csv"):
        assert str(tmp_path / "raw" / name) in str(caught.value)
    assert "https://www.irs.gov/" in str(caught.value)


def test_official_mode_refuses_synthetic_files(prepared: Paths) -> None:
    with pytest.raises(SourceError, match="is synthetic; wanted the official file of cps_asec"):
        prepare(prepared, "official", SCALE, 3)


def test_official_mode_checks_the_hash(prepared: Paths, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.raw.mkdir(parents=True)
    (paths.raw / "scfp2022s.zip").write_bytes(b"something else")
    with pytest.raises(SourceError, match=r"has sha256 [0-9a-f]{64}; wanted 3bb4d890ae24"):
        prepare_source(sources()["scf"], paths, "official", SCALE, 1)


def test_official_mode_takes_unpinned_files(prepared: Paths, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.raw.mkdir(parents=True)
    for name in ("puf_2015.csv", "demographics_2015.csv"):
        shutil.copy(prepared.raw / name, paths.raw / name)
        assert not sidecar_of(paths.raw / name).exists()
    path = prepare_source(sources()["irs_puf"], paths, "official", SCALE, 1)
    assert not irs_puf.read(path).synthetic


def test_pinned_hashes_agree_with_the_collected_ones(shared_data: Path) -> None:
    import json

    collected = json.loads((shared_data / "docs" / "official_sources.json").read_text(encoding="utf-8"))
    asec = next(entry for entry in collected["cps_asec"] if entry["survey_year"] == 2025)
    file = sources()["cps_asec"].files[0]
    assert (file.url, file.sha256) == (asec["url"], asec["zip_sha256"])
    assert sources()["scf"].files[0].sha256 == collected["scf_2022"]["summary"]["sha256"]
    acs = {file.path: file.sha256 for file in sources()["acs_pums"].files}
    assert acs["csv_pus.zip"] == collected["acs_pums_2024_1yr"]["person"]["sha256"]
    assert acs["csv_hus.zip"] == collected["acs_pums_2024_1yr"]["household"]["sha256"]
