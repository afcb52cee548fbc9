"""Several official files at once: what is at hand, what is absent, and getting what is.

`obtain` gets every absent file before it complains of any, so that one withdrawn file does not hold up a night's
downloads, and lists what could not be had. How one file is got is in `download`; which files there are, in `registry`
and in the lists of block files and targets.

Some files of the lists are transcriptions or lie behind a page: their address is where a person finds the figures
(`is_direct`). They are asked for, never downloaded.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol
from urllib.parse import urlsplit

from tessera import config
from tessera.errors import SourceError
from tessera.sources.confine import path_below
from tessera.sources.download import Fetched, Limits, Report, fetch, log_progress

_LOG = logging.getLogger(__name__)
_PAGES = (".html", ".htm", "")
_CENSUS_API = "api.census.gov"
# After so many failures in a row it is the network or the publisher, not a file.
_FAILURES = 3


class RemoteFile(Protocol):
    """A file as the lists have it: path below a folder, address, pinned sha256 (None or "" if there is none)."""

    @property
    def path(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def sha256(self) -> str | None: ...


def absent(files: Sequence[RemoteFile], folder: Path) -> list[RemoteFile]:
    """Those of the files that are not at hand.

    Raises:
        SourceError: a path that leaves the folder.
    """
    return [file for file in files if not path_below(folder, file.path).is_file()]


def is_direct(url: str, path: str) -> bool:
    """Whether an address gives the file itself, and no page on which a person finds it.

    It does if it ends like the file's name, or is a query of the Census Bureau's API for a JSON file.
    """
    parts, wanted = urlsplit(url), PurePosixPath(path).suffix.lower()
    if parts.hostname == _CENSUS_API and "get=" in parts.query:
        return wanted == ".json"
    found = PurePosixPath(parts.path).suffix.lower() if not parts.path.endswith("/") else ""
    return found == wanted or (wanted in _PAGES[:2] and found in _PAGES)


def obtain(
    files: Sequence[RemoteFile],
    folder: Path,
    *,
    what: str,
    kind: str = "official files",
    note: str = "",
    offline: bool | None = None,
    limits: Limits | None = None,
    report: Report = log_progress,
) -> list[Fetched]:
    """Make sure that files are at hand, downloading those that are absent. What is at hand is not looked into.

    Args:
        files: wanted.
        folder: below which they lie.
        what, kind: they are, for messages: "scf: 1 of 1 official files are absent".
        note: publisher and licence in words, for messages.
        offline: download nothing; None for what the environment says (`config.offline`).
        limits, report: of each download.

    Returns:
        The files that were downloaded.

    Raises:
        SourceError: files that could not be had, each with its address and the reason.
        StorageError: the folder cannot be written, or its disk is full.
    """
    missing = absent(files, folder)
    if missing and (config.offline() if offline is None else offline):
        raise SourceError(
            f"{_count(missing, files, what, kind, folder)} {_sentence(note)}Downloading is switched off "
            f"(TESSERA_OFFLINE, or --offline): switch it on, or get them and put them at these paths:\n"
            f"{_listed(missing, folder)}"
        )
    got, failed = _download([file for file in missing if is_direct(file.url, file.path)], folder, limits, report)
    by_hand = [file for file in missing if not is_direct(file.url, file.path)]
    if by_hand:
        failed.append(
            f"{len(by_hand)} of them cannot be downloaded: the address is of a page or a document in which the figures "
            f"stand. Put the files at these paths:\n{_listed(by_hand, folder)}"
        )
    if failed:
        still = absent(files, folder)
        raise SourceError("\n".join([f"{_count(still, files, what, kind, folder)} {note}".rstrip(), *failed]))
    return got


def _download(
    files: Sequence[RemoteFile], folder: Path, limits: Limits | None, report: Report
) -> tuple[list[Fetched], list[str]]:
    """Files that were downloaded, and the messages of those that were not."""
    got: list[Fetched] = []
    failed: list[str] = []
    in_a_row = 0
    for number, file in enumerate(files, 1):
        if len(files) > 1:
            _LOG.info("file %d of %d: %s", number, len(files), file.path)
        try:
            one = fetch(file.url, file.sha256, folder, file.path, limits=limits, report=report)
            got += [one] if one.downloaded else []  # another process may have been faster
            in_a_row = 0
        except SourceError as error:
            if len(files) > 1:  # it will be a while before the list of failures is shown
                _LOG.warning("%s", error)
            failed.append(str(error))
            in_a_row += 1
        if in_a_row == _FAILURES and number < len(files):
            rest = len(files) - number
            failed.append(f"The other {rest} were not tried, after {_FAILURES} failures in a row. Check the network.")
            break
    return got, failed


def _count(missing: Sequence[RemoteFile], files: Sequence[RemoteFile], what: str, kind: str, folder: Path) -> str:
    return f"{what}: {len(missing)} of {len(files)} {kind} are absent from {folder}."


def _sentence(note: str) -> str:
    return f"{note} " if note else ""


def _listed(files: Sequence[RemoteFile], folder: Path) -> str:
    return "\n".join(f"  {folder / file.path}  <-  {file.url}" for file in files)
