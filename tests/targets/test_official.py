"""The list of official files: what it holds, what is refused, and what is read from a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import pytest

from tessera.errors import SourceError, TargetError
from tessera.targets import official
from tessera.targets.catalogue import VariableCatalogue
from tessera.targets.figures import COLUMNS
from tessera.targets.loaders import transcribed
from tessera.targets.uprating_rules import UpratingRules

LINE = "tax,irs/t.xls,https://www.irs.gov/t.xls,,stc:load,Title,true"


def _parse(*lines: str) -> dict[str, official.OfficialFile]:
    return official.parse([",".join(official.HEADER), *lines], "list.csv")


def test_every_loader_exists_and_every_file_is_published_by_somebody() -> None:
    files = official.official_files()
    for file in files.values():
        assert urlsplit(file.url).hostname, file.name
        assert file.title
        if file.loader:
            assert callable(official.loader_of(file)), file.name
    assert sum(bool(file.loader) for file in files.values()) > 15


def test_lists_are_in_order() -> None:
    names = list(official.official_files())
    assert names == sorted(names)
    keys = list(UpratingRules.packaged().by_key)
    assert keys == sorted(keys)
    variables = list(VariableCatalogue.packaged().variables)
    assert variables == sorted(variables)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([LINE, LINE], "line 3: a second file is called 'tax'"),
        ([LINE.replace("irs/t.xls,h", "../t.xls,h")], "path is '../t.xls'"),
        ([LINE.replace("irs/t.xls,h", "/etc/t.xls,h")], "path is '/etc/t.xls'"),
        ([LINE.replace("https", "ftp")], "wanted an address that starts with https"),
        ([LINE.replace(",,stc", ",12ab,stc")], "wanted 64 hexadecimal digits"),
        ([LINE.replace("true", "yes")], "at_hand 'yes'"),
        ([LINE.replace("Title", "Title, 2024")], "wanted 7 cells; quote cells with commas"),
        ([LINE.removesuffix(",true")], "wanted 7 cells"),
        ([LINE.replace("stc:load", "stc:load+other")], "takes the file 'other', which the list does not have"),
    ],
)
def test_lines_that_cannot_be_read(lines: list[str], message: str) -> None:
    with pytest.raises(TargetError, match=message):
        _parse(*lines)
    with pytest.raises(TargetError, match="wanted name, path, url"):
        official.parse(["name,path"], "list.csv")


@pytest.mark.parametrize("loader", ["nothing:load", "stc:nothing"])
def test_a_loader_that_does_not_exist_is_named(loader: str) -> None:
    file = _parse(LINE.replace("stc:load", loader))["tax"]
    with pytest.raises(TargetError, match=f"tax: no loader '{loader}'"):
        official.loader_of(file)


def test_files_are_compared_with_their_pins(official_folder: Path, tmp_path: Path) -> None:
    official.check_pinned(official_folder)
    folder = tmp_path / "official"
    with pytest.raises(SourceError, match=r"no such file; wanted .* published at https"):
        official.check_pinned(folder)
    for file in official.official_files().values():
        if file.at_hand:
            (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(official_folder / file.path, folder / file.path)
    changed = folder / official.official_files()["state_tax"].path
    changed.write_text(changed.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"FY2024-Flat-File.txt: sha256 is .*, wanted ffe44ad5.*not the vintage"):
        official.check_pinned(folder)


def _list_of(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    files = _parse(*lines)
    monkeypatch.setattr(official, "official_files", lambda: files)


def test_figures_are_read_file_by_file(
    official_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tax, age = (official.official_files()[name].path for name in ("state_tax", "age_national"))
    _list_of(
        monkeypatch,
        f"age,{age},https://x.org/a.json,,acs_age:load=national,Ages,true",
        f"tax,{tax},https://x.org/t.txt,,stc:load,Taxes,true",
        "later,not/there.csv,https://x.org/l.csv,,stc:load,Not at hand,false",
        f"check,{tax},https://x.org/t.txt,,,No loader,true",
    )
    printed = transcribed.load_packaged()
    told: list[tuple[int, int, str]] = []
    with caplog.at_level("INFO", logger="tessera.targets.official"):
        figures = official.load_figures(official_folder, lambda *step: told.append(step))
    assert told == [(0, 2, "Ages"), (1, 2, "Taxes")]
    assert list(figures.columns) == list(COLUMNS)
    # What agencies print in documents only comes with the package.
    assert figures["source"].drop_duplicates().tolist() == [
        "census_acs_s0101",
        "census_stc",
        *printed["source"].unique(),
    ]
    assert "tax: 44 figures" in caplog.text


def test_a_second_file_goes_to_the_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _list_of(
        monkeypatch,
        "one,one.csv,https://x.org/one.csv,,stc:load+two,One,true",
        "two,two.csv,https://x.org/two.csv,,,Two,true",
    )
    seen: list[tuple[Path, ...]] = []

    def loader(*paths: Path) -> pd.DataFrame:
        seen.append(paths)
        return pd.DataFrame(columns=list(COLUMNS))

    monkeypatch.setattr("tessera.targets.loaders.stc.load", loader)
    with pytest.raises(SourceError, match=r"one\.csv: stc:load\+two gave 0 rows"):
        official.load_figures(tmp_path)
    assert seen == [(tmp_path / "one.csv", tmp_path / "two.csv")]


def test_download_gets_what_is_needed_and_does_without_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _list_of(
        monkeypatch,
        "one,one.csv,https://x.org/one.csv,,stc:load,One,true",
        "again,one.csv,https://x.org/one.csv,,,One again,true",
        "more,more.csv,https://x.org/more.csv,,stc:load,More,false",
    )
    asked: list[list[str]] = []

    def obtain(files: list[official.OfficialFile], folder: Path, *, what: str) -> list[object]:
        asked.append([file.path for file in files])
        if what == "more":
            raise SourceError("more.csv: 404")
        return []

    monkeypatch.setattr("tessera.sources.cache.obtain", obtain)
    with caplog.at_level("WARNING", logger="tessera.targets.official"):
        assert official.download(tmp_path) == []
    assert asked == [["one.csv"], ["more.csv"]]
    assert "More is left out: more.csv: 404" in caplog.text
