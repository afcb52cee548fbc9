"""What an answer's status and headers say of the file that was asked for: its version, its length, what to do now.

No bytes are read here, and nothing is tried again.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tessera.errors import SourceError
from tessera.sources.partial import Origin, PartialFile

if TYPE_CHECKING:
    import requests

_BUSY = frozenset((408, 425, 429, 500, 502, 503, 504))
_WORDS = {
    400: "it does not understand the request: the address may have changed",
    401: "it asks for a login",
    403: "it refuses programs or this network",
    404: "there is no file of that name: it was moved or withdrawn",
    410: "the file was withdrawn",
    451: "it may not give the file",
}
_RANGE = re.compile(r"bytes\s+(\d+)-(\d+)/(\d+|\*)", re.IGNORECASE)


@dataclass(frozen=True)
class Wanted:
    """One file: its address, the sha256 it must have ("" if none is pinned) and the path it is for."""

    url: str
    sha256: str
    path: Path


class TemporaryFault(Exception):
    """An attempt failed in a way that another may not. `wait`: seconds that the server asks for, 0 if it does not."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def check_status(response: requests.Response, wanted: Wanted, part: PartialFile) -> None:
    """Accept an answer that brings bytes of the file.

    Raises:
        TemporaryFault: a server that is busy, or whose file has become shorter than what is at hand (which is dropped).
        SourceError: any other status.
    """
    status = response.status_code
    if status in (200, 206):
        return
    name = f"{status} {response.reason or ''}".strip()
    if status == 416:  # it has fewer bytes now than are at hand
        part.restart(Origin(wanted.url))
        raise TemporaryFault(f"the server has no bytes where the download stopped ({name}): its file has changed")
    if status in _BUSY or status > 505:
        raise TemporaryFault(f"the server answered {name}", _asked_wait(response))
    words = _WORDS.get(status, "which is no answer to a request for a file")
    raise SourceError(
        f"{wanted.path.name}: {response.url} answered {name}: {words}. Look for the file on the publisher's pages, put "
        f"it at {wanted.path} and run again."
    )


def check_range(response: requests.Response, part: PartialFile, origin: Origin) -> None:
    """A partial answer must follow what is at hand, and be of the same version.

    Raises:
        TemporaryFault: it does not; what is at hand is dropped.
    """
    found = _RANGE.match(response.headers.get("Content-Range", ""))
    if found is not None and int(found[1]) == part.size > 0 and part.origin.agrees_with(origin):
        return
    part.restart(Origin(part.origin.url))
    raise TemporaryFault("what came does not follow what is at hand: the file changed on the server; from the start")


def origin_of(response: requests.Response, wanted: Wanted) -> Origin:
    """What an answer says of the whole file."""
    headers = response.headers
    if is_packed(response):
        return Origin(wanted.url)  # its lengths and versions are of the packed bytes
    length, found = headers.get("Content-Length", ""), _RANGE.match(headers.get("Content-Range", ""))
    if response.status_code == 206:
        length = found[3] if found is not None else ""
    etag = headers.get("ETag", "")
    return Origin(
        url=wanted.url,
        etag="" if etag.startswith("W/") else etag,
        modified=headers.get("Last-Modified", ""),
        length=int(length) if length.isdigit() else -1,
    )


def is_packed(response: requests.Response) -> bool:
    """Whether an answer is compressed, which nobody asked for."""
    return response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity")


def _asked_wait(response: requests.Response) -> float:
    """Seconds of `Retry-After`, which holds a number or a date; 0 where there is none."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def check_address(wanted: Wanted, url: str) -> None:
    """Refuse what is not the web, and plain HTTP where nothing else would show that the bytes were altered.

    Raises:
        SourceError: names the address, and the one that led there.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and (wanted.sha256 or _is_this_machine(parts.hostname))):
        return
    reason = "is not encrypted, and no sha256 is pinned" if parts.scheme == "http" else "is no web address"
    via = "" if url == wanted.url else f" (where {wanted.url} leads)"
    raise SourceError(
        f"{wanted.path.name}: {url}{via} {reason}; wanted an https address. Correct the catalogue, or get the file by "
        f"other means and put it at {wanted.path}."
    )


def _is_this_machine(host: str | None) -> bool:
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def megabytes(size: float) -> str:
    """A number of bytes in words."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
