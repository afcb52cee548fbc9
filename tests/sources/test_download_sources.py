"""Downloading the files of sources: several at once, official mode, the command line, and the lists themselves."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tessera.cli import main
from tessera.config import SCALES, Paths, offline
from tessera.errors import ConfigError, SourceError
from tessera.geography import official_files
from tessera.geography.official_files import BlockFiles, block_files
from tessera.sources import registry
from tessera.sources.cache import is_direct, obtain
from tessera.sources.confine import path_below
from tessera.sources.marks import sidecar_of
from tessera.sources.registry import OfficialFile, SourceFile, prepare_source, sources
from tests.sources.loopback import BODY, OTHER, QUICK, SHA256, Loopback, Plan, names, serve

SCALE = SCALES["tiny"]
ZERO = "0" * 64


def files_of(server: Loopback, *paths: str, sha256: str | None = None) -> tuple[OfficialFile, ...]:
    return tuple(OfficialFile(path, server.file(Path(path).name), sha256) for path in paths)


def source_of(server: Loopback, *paths: str, sha256: str | None = None) -> SourceFile:
    """A source of CSV files of this machine."""
    return replace(sources()["cps_org"], primary=paths[0], files=files_of(server, *paths, sha256=sha256))


# Several files ----------------------------------------------------------------------------------------------------


def test_absent_files_are_downloaded_and_others_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(OTHER)
    with serve([Plan(BODY)]) as server:
        files = files_of(server, "a.csv", "months/b.csv", "months/c.csv")
        got = obtain(files, tmp_path, what="months", offline=False, limits=QUICK)
        again = obtain(files, tmp_path, what="months", offline=False, limits=QUICK)
    assert [one.path for one in got] == [tmp_path / "months/b.csv", tmp_path / "months/c.csv"]
    assert again == []
    assert (tmp_path / "a.csv").read_bytes() == OTHER
    assert [headers["path"] for headers in server.asked] == ["/b.csv", "/c.csv"]


def test_one_file_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    with serve([Plan(BODY), Plan(status=404), Plan(BODY)]) as server:
        files = files_of(server, "a.csv", "b.csv", "c.csv")
        with pytest.raises(
            SourceError, match=r"months: 1 of 3 official files are absent from .*\. Public use\."
        ) as caught:
            obtain(files, tmp_path, what="months", note="Public use.", offline=False, limits=QUICK)
    assert f"b.csv: {server.file('b.csv')} answered 404 Not Found" in str(caught.value)
    assert names(tmp_path) == ["a.csv", "c.csv"]


def test_after_three_failures_in_a_row_the_rest_is_not_tried(tmp_path: Path) -> None:
    with serve([Plan(status=404), Plan(BODY), Plan(status=404)]) as server:
        files = files_of(server, *(f"{month}.csv" for month in range(9)))
        with pytest.raises(SourceError, match=r"8 of 9 .*(.*\n)+The other 4 were not tried, after 3 failures in a row"):
            obtain(files, tmp_path, what="months", offline=False, limits=QUICK)
    assert len(server.asked) == 5
    assert names(tmp_path) == ["1.csv"]


def test_offline_every_absent_file_is_listed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(OTHER)
    with serve([Plan(BODY)]) as server:
        files = files_of(server, "a.csv", "b.csv", "c.csv")
        with pytest.raises(SourceError, match=r"months: 2 of 3 official files are absent.*TESSERA_OFFLINE") as caught:
            obtain(files, tmp_path, what="months", offline=True)
        assert obtain(files[:1], tmp_path, what="months", offline=True) == []
    for name in ("b.csv", "c.csv"):
        assert f"  {tmp_path / name}  <-  {server.file(name)}" in str(caught.value)
    assert not server.asked


def test_files_that_stand_behind_a_page_are_asked_for(tmp_path: Path) -> None:
    with serve([Plan(BODY)]) as server:
        page = OfficialFile("tanf/caseload.xlsx", server.file("tanf-caseload-data-2024"), None)
        with pytest.raises(SourceError, match=r"1 of 2 (.*\n)1 of them cannot be downloaded.*of a page") as caught:
            obtain((page, *files_of(server, "b.csv")), tmp_path, what="official_targets", offline=False, limits=QUICK)
    assert f"  {tmp_path / 'tanf/caseload.xlsx'}  <-  {page.url}" in str(caught.value)
    assert [headers["path"] for headers in server.asked] == ["/b.csv"]
    assert names(tmp_path) == ["b.csv"]


def test_a_path_that_leaves_the_folder_stops_everything(tmp_path: Path) -> None:
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError, match=r"leads out of the folder"):
        obtain(files_of(server, "a.csv", "../b.csv"), tmp_path, what="months", offline=False, limits=QUICK)
    assert not server.asked


DIRECT = {
    ("https://www.irs.gov/pub/irs-soi/22incd.csv", "irs_soi/22incd.csv"): True,
    ("https://www.irs.gov/pub/irs-soi/22in54us.XLSX?v=2", "irs_soi/22in54us.xlsx"): True,
    ("https://api.census.gov/data/2024/acs/acs1/subject?get=group(S0101)&for=us:*", "census/s0101.json"): True,
    ("https://api.census.gov/data/2024/acs/acs1/subject.html", "census/s0101.json"): False,
    ("https://www.federalreserve.gov/releases/z1/20260319/html/b101.htm", "z1/b101.html"): True,
    ("https://www.kff.org/state-indicator/enrollment/", "kff/enrollment.html"): True,
    ("https://acf.gov/ofa/data/tanf-caseload-data-2024", "tanf/caseload.xlsx"): False,
    ("https://www.jct.gov/getattachment/765709fb/x-48-24.pdf", "jct/tax_expenditures.csv"): False,
    ("https://www.ssa.gov/policy/docs/statcomps/supplement/2025/7b.html", "ssa/table_7b1.csv"): False,
    ("https://www.cbo.gov/system/files/2026-02/51138-2026-02-Revenue-Projections.xlsx", "cbo/income.csv"): False,
}


@pytest.mark.parametrize(("address", "direct"), DIRECT.items(), ids=str)
def test_which_addresses_give_the_file_itself(address: tuple[str, str], direct: bool) -> None:
    assert is_direct(*address) is direct


# The lists --------------------------------------------------------------------------------------------------------


def test_all_files_of_sources_can_be_downloaded_but_licensed_ones(tmp_path: Path) -> None:
    free = [file for source in sources().values() if not source.licensed for file in source.files]
    for file in [*free, *block_files().all()]:
        assert is_direct(file.url, file.path), file
        assert file.url.startswith("https://")
        assert path_below(tmp_path, file.path) == tmp_path / file.path
    assert [name for name, source in sources().items() if source.licensed] == ["irs_puf"]


def test_official_target_files_are_below_their_folder_and_of_the_web(tmp_path: Path, shared_data: Path) -> None:
    with (shared_data / "official" / "SOURCES.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["source_url"]]
    direct = [row for row in rows if is_direct(row["source_url"], row["file"])]
    for row in rows:
        path_below(tmp_path, f"{row['folder']}/{row['file']}")
        assert row["source_url"].startswith("https://")
    assert 0.7 < len(direct) / len(rows) < 1


# Official mode ----------------------------------------------------------------------------------------------------


def test_official_mode_downloads_what_is_absent(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with serve([Plan(BODY)]) as server:
        source = source_of(server, "org/jan.csv", "org/feb.csv", sha256=SHA256)
        for _ in range(2):
            assert prepare_source(source, paths, "official", SCALE, 1, offline=False) == paths.raw / "org/jan.csv"
    assert names(paths.raw / "org") == ["feb.csv", "jan.csv"]
    assert len(server.asked) == 2


def test_official_mode_stays_offline_if_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve([Plan(BODY)]) as server:
        source = source_of(server, "jan.csv")
        monkeypatch.setenv("TESSERA_OFFLINE", "1")
        with pytest.raises(SourceError, match=r"cps_org: 1 of 1 official files are absent.*switched off"):
            prepare_source(source, Paths(tmp_path), "official", SCALE, 1)
        assert not server.asked
        monkeypatch.setenv("TESSERA_OFFLINE", "0")
        assert prepare_source(source, Paths(tmp_path), "official", SCALE, 1).read_bytes() == BODY


@pytest.mark.parametrize("text", ["yes", "true", "2"])
def test_another_word_for_offline_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESSERA_OFFLINE", text)
    with pytest.raises(ConfigError, match=rf"TESSERA_OFFLINE is '{text}'; wanted 1 .* or 0"):
        offline()


def test_a_file_that_will_be_refused_stops_before_hours_of_downloading(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "jan.csv").write_bytes(OTHER)
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError, match=rf"jan\.csv: has sha256 .*wanted {SHA256}"):
        prepare_source(source_of(server, "feb.csv", "jan.csv", sha256=SHA256), Paths(tmp_path), "official", SCALE, 1)
    assert not server.asked


def test_the_sidecar_of_a_synthetic_file_is_not_left_beside_an_official_one(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with serve([Plan(BODY)]) as server:
        source = source_of(server, "jan.csv")
        sidecar = sidecar_of(paths.raw / "jan.csv")
        sidecar.parent.mkdir()
        sidecar.write_text("{}")
        with pytest.raises(
            SourceError, match=r"jan\.csv\.synthetic\.json: describes a synthetic file that is no longer"
        ):
            prepare_source(source, paths, "official", SCALE, 1, offline=False)
    assert not server.asked


# The command line -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shop:
    """A store, and a server that has all files of two sources, one of which is licensed, and one block file."""

    raw: Path
    server: Loopback
    run: Callable[..., tuple[int, str, str]]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Shop]:
    monkeypatch.setenv("TESSERA_OFFLINE", "0")

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["download", "--home", str(tmp_path), *arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    with serve([Plan(BODY)]) as server:
        made = {
            "cps_org": source_of(server, "org/jan.csv", "org/feb.csv"),
            "irs_puf": replace(source_of(server, "puf.csv"), name="irs_puf", licensed=True, note="Licensed: order it."),
        }
        (block,) = files_of(server, "census_blocks/blocks.csv", sha256=SHA256)
        blocks = BlockFiles(block, block, block, block, {}, {}, 2020, "Census Bureau.")
        monkeypatch.setattr(registry, "sources", lambda: made)
        monkeypatch.setattr(official_files, "block_files", lambda: blocks)
        yield Shop(tmp_path / "raw", server, run)


def test_the_list_asks_nobody(shop: Shop) -> None:
    shop.raw.joinpath("org").mkdir(parents=True)
    (shop.raw / "org" / "jan.csv").write_bytes(BODY)
    code, out, _ = shop.run()
    lines = out.splitlines()
    assert code == 0 and lines[0] == str(shop.raw)
    assert lines[1].split(maxsplit=5)[:5] == ["cps_org", "1", "of", "2", "at"]
    assert lines[2] == "irs_puf         0 of 1 at hand      Licensed: order it."
    assert lines[3].startswith("census_blocks   0 of 4 at hand")
    _, out, _ = shop.run("--files")
    assert f"  at hand  org/jan.csv  {shop.server.file('jan.csv')}  sha256 not pinned" in out.splitlines()
    assert f"  absent   census_blocks/blocks.csv  {shop.server.file('blocks.csv')}  {SHA256}" in out.splitlines()
    assert not shop.server.asked


def test_sources_are_downloaded_by_name(shop: Shop) -> None:
    code, out, err = shop.run("cps_org", "cps_org")
    assert (code, out) == (0, "cps_org         2 of 2 at hand, 2 just downloaded\n")
    assert "jan.csv: downloading http://127.0.0.1" in err
    assert (shop.raw / "org" / "feb.csv").read_bytes() == BODY
    assert shop.run("cps_org")[:2] == (0, "cps_org         2 of 2 at hand\n")
    assert len(shop.server.asked) == 2


def test_all_means_those_without_a_licence(shop: Shop) -> None:
    code, out, _ = shop.run("all")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["cps_org", "census_blocks"]
    assert (shop.raw / "census_blocks" / "blocks.csv").read_bytes() == BODY


def test_a_source_that_fails_does_not_hold_up_the_next(shop: Shop) -> None:
    code, out, err = shop.run("irs_puf", "cps_org")
    assert code == 1
    assert out == "cps_org         2 of 2 at hand, 2 just downloaded\n"
    assert "tessera: irs_puf: 1 of 1 official files (2024) are absent. Licensed: order it. See http" in err


def test_offline_the_command_says_what_is_absent(shop: Shop) -> None:
    code, out, err = shop.run("cps_org", "--offline")
    assert (code, out) == (1, "")
    assert f"tessera: cps_org: 2 of 2 official files are absent from {shop.raw}." in err
    assert not shop.server.asked


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["cps"], 1, "No source is called 'cps'; wanted cps_org, irs_puf, census_blocks, or all."),
        (["all", "--attempts", "0"], 2, "'0'; wanted a number above 0"),
        (["all", "--stall", "nan"], 2, "'nan'; wanted a number above 0"),
        (["all", "--stall", "soon"], 2, "'soon'; wanted a number above 0"),
    ],
)
def test_bad_arguments(
    shop: Shop, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if code == 2:
        with pytest.raises(SystemExit) as stopped:
            shop.run(*arguments)
        assert stopped.value.code == 2 and words in capsys.readouterr().err
    else:
        assert shop.run(*arguments)[::2] == (code, f"tessera: {words}\n")
    assert not shop.server.asked
