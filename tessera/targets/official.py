"""The official files that the figures are read from: `official_files.csv`, one line a file and loader.

Columns: name; path below the folder of official files; url; sha256 (empty if unknown); loader (`module:function` of
`tessera.targets.loaders`, `+name` for a second file that it takes, `=word` for an argument; empty for a file that only
serves uprating or checks); title; at_hand (whether the packaged figures are read from it: others are read if they are
in the folder). Holds no figures and no file formats.
"""

from __future__ import annotations

import csv
import importlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pandas as pd

from tessera.errors import SourceError, TargetError
from tessera.store import sha256_of
from tessera.targets.figures import COLUMNS
from tessera.targets.loaders import transcribed

_LOG = logging.getLogger(__name__)
LIST = "official_files.csv"
HEADER = ("name", "path", "url", "sha256", "loader", "title", "at_hand")
_LOADERS = "tessera.targets.loaders"
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class OfficialFile:
    """One official file, and the loader that reads it.

    Attributes:
        name: unique.
        path: below the folder of official files.
        url: where the agency publishes it; for a table copied out of a PDF or workbook, that document.
        sha256: of the file as it was read for the packaged figures; empty if it is not pinned.
        loader: as in the list; empty for none.
        title: publisher, table and vintage in words.
        at_hand: whether the packaged figures are read from it.
    """

    name: str
    path: str
    url: str
    sha256: str
    loader: str
    title: str
    at_hand: bool

    @property
    def second(self) -> str:
        """Name of the second file that the loader takes; empty for none."""
        return self.loader.partition("+")[2]


@cache
def official_files() -> dict[str, OfficialFile]:
    """Every official file by name, in the order of the list."""
    return parse(resources.files("tessera.targets").joinpath(LIST).read_text(encoding="utf-8").splitlines(), LIST)


def parse(lines: Iterable[str], label: str) -> dict[str, OfficialFile]:
    """Official files from the lines of a list.

    Raises:
        TargetError: another header, a line that cannot be read, a name twice, a path that leaves the folder, a second
            file that is not in the list.
    """
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != HEADER:
        raise TargetError(f"{label}: columns are {reader.fieldnames}; wanted {', '.join(HEADER)}.")
    files: dict[str, OfficialFile] = {}
    for number, row in enumerate(reader, start=2):
        file = _file(row, f"{label}, line {number}")
        if file.name in files:
            raise TargetError(f"{label}, line {number}: a second file is called {file.name!r}; wanted unique names.")
        files[file.name] = file
    for file in files.values():
        if file.second and file.second not in files:
            raise TargetError(f"{label}: {file.name} takes the file {file.second!r}, which the list does not have.")
    return files


def paths(folder: Path) -> dict[str, Path]:
    """Where each file lies below a folder of official files, by name."""
    return {name: folder / file.path for name, file in official_files().items()}


def check_pinned(folder: Path) -> None:
    """Compare the files at hand with their pinned sha256.

    Raises:
        SourceError: a file that is missing or differs.
    """
    for file in official_files().values():
        path = folder / file.path
        if not file.at_hand:
            continue
        if not path.is_file():
            raise SourceError(f"{path}: no such file; wanted {file.title}, published at {file.url}")
        if file.sha256 and (seen := sha256_of(path)) != file.sha256:
            raise SourceError(
                f"{path}: sha256 is {seen}, wanted {file.sha256}: not the vintage that is pinned ({file.title}). "
                f"Fetch it again from {file.url}, or pin the new one in tessera/targets/{LIST}."
            )


def download(folder: Path, *, pinned: bool = True) -> list[Path]:
    """Get the official files that are absent from a folder.

    Files that the packaged figures are not read from are got as well; one that cannot be had is left out, with a
    warning.

    Args:
        folder: of official files.
        pinned: whether files must have their pinned sha256.

    Returns:
        The files that were downloaded.

    Raises:
        SourceError: a file that the figures need and that cannot be had.
    """
    from tessera.sources.cache import obtain

    by_path = {file.path: file if pinned else replace(file, sha256="") for file in official_files().values()}
    needed = {file.path for file in official_files().values() if file.at_hand}
    got = obtain([by_path[path] for path in sorted(needed)], folder, what="targets")
    for path in sorted(set(by_path) - needed):
        try:
            got += obtain([by_path[path]], folder, what=by_path[path].name)
        except SourceError as error:
            _LOG.warning("%s is left out: %s", by_path[path].title, error)
    return [one.path for one in got]


def load_figures(folder: Path, progress: Progress | None = None) -> pd.DataFrame:
    """The figures of every file that has a loader, as published.

    Args:
        folder: of official files. Files that are not at hand for the packaged figures are read where they are there.
        progress: told (files done, files in all, title) before each file.

    Raises:
        SourceError: a file that is missing or not what its loader knows.
        TargetError: a loader that does not exist.
    """
    wanted = [file for file in official_files().values() if file.loader and (file.at_hand or _present(file, folder))]
    tables = []
    for done, file in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted), file.title)
        table = _loaded(file, folder)
        _LOG.info("%s: %d figures", file.name, len(table))
        tables.append(table)
    # Figures that agencies print in documents only are in the package.
    tables.append(transcribed.load_packaged())
    return pd.concat(tables, ignore_index=True)


def loader_of(file: OfficialFile) -> Callable[..., pd.DataFrame]:
    """The function that a file's line names.

    Raises:
        TargetError: no such module or function.
    """
    module, _, rest = file.loader.partition(":")
    function = rest.partition("+")[0].partition("=")[0]
    try:
        found: Callable[..., pd.DataFrame] = getattr(importlib.import_module(f"{_LOADERS}.{module}"), function)
    except (ImportError, AttributeError) as error:
        raise TargetError(f"{LIST}: {file.name}: no loader {file.loader!r} ({error}); correct the line.") from error
    return found


def _loaded(file: OfficialFile, folder: Path) -> pd.DataFrame:
    second, word = file.second, file.loader.partition("=")[2]
    others: tuple[object, ...] = (folder / official_files()[second].path,) if second else (word,) if word else ()
    table = loader_of(file)(folder / file.path, *others)
    if list(table.columns) != list(COLUMNS) or table.empty:
        raise SourceError(
            f"{folder / file.path}: {file.loader} gave {len(table)} rows with columns {list(table.columns)}; wanted "
            f"figures with {', '.join(COLUMNS)}."
        )
    return table


def _present(file: OfficialFile, folder: Path) -> bool:
    names = [file.name, *([file.second] if file.second else [])]
    return all((folder / official_files()[name].path).is_file() for name in names)


def _file(row: dict[str, str | None], where: str) -> OfficialFile:
    cells = {name: row.get(name) for name in HEADER}
    if None in row or any(cell is None for cell in cells.values()):
        raise TargetError(f"{where}: wanted {len(HEADER)} cells; quote cells with commas.")
    text = {name: str(cell) for name, cell in cells.items()}
    path = PurePosixPath(text["path"])
    if not text["path"] or path.is_absolute() or ".." in path.parts or "\\" in text["path"]:
        raise TargetError(f"{where}: path is {text['path']!r}; wanted one below the folder of official files.")
    if not text["name"].isidentifier() or text["at_hand"] not in ("true", "false"):
        raise TargetError(
            f"{where}: name {text['name']!r} or at_hand {text['at_hand']!r}; wanted a_name, true or false."
        )
    if text["sha256"] and (len(text["sha256"]) != 64 or set(text["sha256"]) - set("0123456789abcdef")):
        raise TargetError(f"{where}: sha256 is {text['sha256']!r}; wanted 64 hexadecimal digits or nothing.")
    if urlsplit(text["url"]).scheme != "https":
        raise TargetError(f"{where}: url is {text['url']!r}; wanted an address that starts with https://.")
    at_hand = text.pop("at_hand") == "true"
    return OfficialFile(**text, at_hand=at_hand)
