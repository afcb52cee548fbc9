"""Getting one published file: from its official address to a path below a folder, whole or not at all.

`fetch` is the one door. A file at hand is left alone (and compared with its sha256, where one is pinned); an absent one
is downloaded, and goes on where an earlier download stopped. What may go wrong, and what follows:

- The connection fails, stalls or ends early; the server is busy (408, 425, 429, 5xx): again, after a wait that doubles
  (or that the server asks for), up to `Limits.attempts` times without progress. What has come is kept.
- The server does not know ranges, or its file has changed (`If-Range`, `Content-Range`): from the start.
- Any other status, a web page or another format in place of the file, a certificate that fails: an error at once.
- The sha256 is another than the pinned one: an error; nothing is put in place. If the bytes came in several parts, once
  more from the start before.

Plain HTTP is refused unless a sha256 is pinned or the server is this machine. A path from a catalogue cannot leave the
folder (`confine`); no name that a server gives is used. Proxies and certificates are taken from the environment as
`requests` does. Which files there are is the work of `registry`; of several at once, of `cache`.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from tessera.durations import duration
from tessera.errors import SourceError
from tessera.sources.answer import TemporaryFault, Wanted, megabytes
from tessera.sources.confine import path_below
from tessera.sources.content import fault_of_file
from tessera.sources.partial import Origin, PartialFile, hold
from tessera.sources.transfer import Limits, Progress, Report, can_go_on, open_session, transfer
from tessera.store import sha256_of

__all__ = ["Fetched", "Limits", "Progress", "Report", "fetch", "log_progress"]

_LOG = logging.getLogger(__name__)
# A server that gives a few bytes and hangs up does not count as progress: it could go on for ever.
_PROGRESS_BYTES = 64 << 10


@dataclass(frozen=True)
class Fetched:
    """A file that is at hand now.

    Attributes:
        path: of the file.
        size: bytes.
        sha256: in hexadecimal; "" for a file that was at hand and has no pinned one.
        downloaded: whether it has just been downloaded.
    """

    path: Path
    size: int
    sha256: str
    downloaded: bool


def log_progress(progress: Progress) -> None:
    """Report progress as a log message."""
    _LOG.info("%s", progress)


def fetch(
    url: str,
    sha256: str | None,
    folder: Path,
    relative_path: str,
    *,
    offline: bool = False,
    limits: Limits | None = None,
    report: Report = log_progress,
) -> Fetched:
    """Make sure that a published file is at hand.

    Args:
        url: its official address.
        sha256: that it must have, in hexadecimal; None or "" if none is pinned.
        folder: that holds such files.
        relative_path: of the file below the folder, parts separated by `/`.
        offline: use what is at hand only.
        limits: patience; None for the usual one.
        report: is called as a download goes on.

    Returns:
        The file, and whether it was downloaded.

    Raises:
        SourceError: a path that leaves the folder; an absent file while offline; an address that does not give the file
            (the message says why and what to do); another sha256, of the file at hand or of the downloaded one.
        StorageError: the folder cannot be written, or its disk is full.
    """
    wanted = Wanted(url, (sha256 or "").lower(), path_below(folder, relative_path))
    if (found := _at_hand(wanted)) is not None:
        return found
    if offline:
        raise SourceError(
            f"{wanted.path}: is absent, and downloading is switched off. Unset TESSERA_OFFLINE (or leave out "
            f"--offline), or get it from {url} and put it at that path."
        )
    with hold(wanted.path) as part:
        if (found := _at_hand(wanted)) is not None:  # another process has just put it there
            return found
        _LOG.info("%s: downloading %s", wanted.path.name, url)
        digest = _complete(wanted, part, limits or Limits(), report)
        size = part.size
        part.complete()
    _LOG.info("%s: %s, sha256 %s%s", wanted.path, megabytes(size), digest, "" if wanted.sha256 else " (not pinned)")
    return Fetched(wanted.path, size, digest, downloaded=True)


def _at_hand(wanted: Wanted) -> Fetched | None:
    """The file if it is there already; its sha256 is only computed to be compared."""
    if not wanted.path.exists():
        return None
    size = wanted.path.stat().st_size
    if not wanted.sha256:
        return Fetched(wanted.path, size, "", downloaded=False)
    digest = sha256_of(wanted.path)
    if digest != wanted.sha256:
        raise SourceError(
            f"{wanted.path}: has sha256 {digest}; wanted {wanted.sha256}. It is damaged or of another release, and is "
            f"not overwritten: move it away and run again, which gets it from {wanted.url}."
        )
    return Fetched(wanted.path, size, digest, downloaded=False)


def _complete(wanted: Wanted, part: PartialFile, limits: Limits, report: Report) -> str:
    """Get all bytes of a file, and check them; returns their sha256."""
    while True:
        _persist(wanted, part, limits, report)
        digest, resumed = part.sha256(), part.resumed
        fault = "" if wanted.sha256 else fault_of_file(wanted.path.name, part.path)
        if not fault and digest == (wanted.sha256 or digest):
            return digest
        size = part.size
        part.restart(Origin(wanted.url))
        if not resumed:
            break
        _LOG.warning("%s: the parts that came do not make the file wanted; once more from the start", wanted.path.name)
    if fault:
        raise SourceError(
            f"{wanted.path.name}: the file that {wanted.url} gives {fault}. Nothing was put in place. Try again later, "
            f"or get it with a browser and put it at {wanted.path}."
        )
    raise SourceError(
        f"{wanted.path.name}: the file that {wanted.url} gives has sha256 {digest} ({size:,} bytes); wanted "
        f"{wanted.sha256}. The publisher has replaced it, or something on the way altered it. Nothing was put in "
        "place. Look at the publisher's page; if the new file is the right one, correct the sha256 in the catalogue."
    )


def _persist(wanted: Wanted, part: PartialFile, limits: Limits, report: Report) -> None:
    """Attempt transfers until all bytes are there."""
    most, failures = part.size, 0
    with open_session() as session:
        while True:
            try:
                transfer(session, wanted, part, limits, report)
                return
            except TemporaryFault as fault:
                # Against the most that ever came: a server that starts over each time makes no progress.
                if part.size >= most + _PROGRESS_BYTES:
                    most, failures = part.size, 0
                failures += 1
                wait = max(fault.wait, min(limits.first_wait * 2 ** (failures - 1), limits.longest_wait))
                if failures >= limits.attempts or wait > limits.longest_wait:
                    raise SourceError(_given_up(wanted, part, fault, failures)) from fault
                part.checkpoint()
                _LOG.warning("%s: %s; again in %s (%d of %d)", wanted.path.name, fault, _seconds(wait), failures + 1,
                             limits.attempts)  # fmt: skip
                time.sleep(wait)


def _given_up(wanted: Wanted, part: PartialFile, fault: TemporaryFault, failures: int) -> str:
    asked = f" It asks to wait {duration(fault.wait)}." if fault.wait else ""
    kept = f" {megabytes(part.size)} are kept; the next run goes on from there." if can_go_on(wanted, part) else ""
    times = f"{failures} times" if failures > 1 else "once"
    return (
        f"{wanted.path.name}: could not be had from {wanted.url}: {fault} (tried {times} without progress).{asked}"
        f"{kept} Run again later, or get it with a browser and put it at {wanted.path}."
    )


def _seconds(wait: float) -> str:
    return duration(wait) if wait >= 1 else f"{wait:.2g} s"
