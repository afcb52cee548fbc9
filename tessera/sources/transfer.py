"""One attempt at a download over HTTP: ask for what is missing, take the bytes of the answer.

An attempt ends with the whole file, with a `TemporaryFault`, or with a `SourceError` that another attempt would not
mend. Whether and when to try again is decided in `download`; what an answer's status and headers mean, in `answer`.
Bytes are asked for as they are (`Accept-Encoding: identity`), so that ranges and lengths are those of the file; an
answer that is compressed all the same is unpacked and cannot be resumed.
"""

from __future__ import annotations

import logging
import shutil
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tessera import __version__
from tessera.durations import duration
from tessera.errors import SourceError, StorageError
from tessera.sources.answer import (
    TemporaryFault,
    Wanted,
    check_address,
    check_range,
    check_status,
    is_packed,
    megabytes,
    origin_of,
)
from tessera.sources.content import HEAD_BYTES, fault_of_head
from tessera.sources.partial import Origin, PartialFile

if TYPE_CHECKING:
    import requests

_LOG = logging.getLogger(__name__)
_CHUNK = 256 << 10
_REDIRECTS = 10
_TICK = 1e-6  # seconds: answers that come at once have a rate too


@dataclass(frozen=True)
class Limits:
    """How patient a download is; times in seconds.

    Attributes:
        attempts: failures in a row without progress after which it is given up.
        first_wait: before the second attempt; each further one waits twice as long.
        longest_wait: no wait is longer; a server that asks for more is not waited for.
        connect: for a connection.
        stall: in which at least `least` bytes must come.
        least: bytes a `stall`.
        report: between two reports of progress.
        largest: bytes of a file; a server that sends more is cut off.
    """

    attempts: int = 5
    first_wait: float = 1.0
    longest_wait: float = 60.0
    connect: float = 20.0
    stall: float = 60.0
    least: int = 16 << 10
    report: float = 5.0
    largest: int = 20 << 30


@dataclass(frozen=True)
class Progress:
    """How far a download is: file name, bytes at hand, bytes in all (-1 if unknown), bytes a second lately."""

    name: str
    done: int
    total: int
    rate: float

    def __str__(self) -> str:
        if self.total < 0:
            return f"{self.name}: {megabytes(self.done)} so far, {megabytes(self.rate)}/s"
        share = 100 * self.done // self.total if self.total else 100
        left = (
            f", {duration((self.total - self.done) / self.rate)} left" if self.done < self.total and self.rate else ""
        )
        return f"{self.name}: {share} % of {megabytes(self.total)}, {megabytes(self.rate)}/s{left}"


Report = Callable[[Progress], None]


def open_session() -> requests.Session:
    """A session that says who it is and follows a few redirects; proxies are those of the environment."""
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": f"tessera/{__version__}", "Accept-Encoding": "identity"})
    session.max_redirects = _REDIRECTS
    return session


def transfer(session: requests.Session, wanted: Wanted, part: PartialFile, limits: Limits, report: Report) -> None:
    """Bring a part to the whole file.

    Raises:
        TemporaryFault: no connection, a busy server, an answer that stalls or ends early or is of another version.
        SourceError: an answer that will be the same next time.
        StorageError: the disk.
    """
    import requests
    import urllib3

    if part.origin.url == wanted.url and part.size == part.origin.length > 0:
        return  # stopped between the last byte and putting it in place
    if part.origin.url != wanted.url:
        part.restart(Origin(wanted.url))
    check_address(wanted, wanted.url)
    try:
        with session.get(
            wanted.url, headers=_range_of(wanted, part), stream=True, timeout=(limits.connect, limits.stall)
        ) as response:
            _take(response, wanted, part, limits, report)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _fault_of(error, wanted, part, limits) from error


def can_go_on(wanted: Wanted, part: PartialFile) -> bool:
    """Whether the rest can be told to be of the version at hand: by a validator, or at the end by the pinned hash."""
    return part.size > 0 and bool(part.origin.validator or (wanted.sha256 and part.origin.length > part.size))


def _range_of(wanted: Wanted, part: PartialFile) -> dict[str, str]:
    """Headers that ask for the rest."""
    if not can_go_on(wanted, part):
        return {}
    headers = {"Range": f"bytes={part.size}-"}
    return headers | {"If-Range": part.origin.validator} if part.origin.validator else headers


def _take(response: requests.Response, wanted: Wanted, part: PartialFile, limits: Limits, report: Report) -> None:
    """Judge an answer, then add its bytes to the part."""
    for hop in (*response.history, response):
        check_address(wanted, hop.url)
    check_status(response, wanted, part)
    stream = _chunks(response, limits)
    head, origin = b"", origin_of(response, wanted)
    if response.status_code == 206:
        check_range(response, part, origin)
        part.continues()
    else:
        # Only what looks like the file may take the place of what has come before.
        for chunk in stream:
            head += chunk
            if len(head) >= HEAD_BYTES:
                break
        fault = fault_of_head(wanted.path.name, head[:HEAD_BYTES], response.headers.get("Content-Type", ""))
        if fault:
            raise SourceError(
                f"{wanted.path.name}: {response.url} answered with {fault}. The file may have moved, or the server "
                f"refuses programs. Open the address in a browser, and put the file at {wanted.path}."
            )
        if part.size:
            why = "does not resume" if part.origin.agrees_with(origin) else "has another version of the file now"
            _LOG.info("%s: the server %s; from the start", wanted.path.name, why)
        part.restart(origin)
    _check_room(part, limits)
    _copy(head, stream, wanted, part, limits, report)


def _copy(
    head: bytes, stream: Iterator[bytes], wanted: Wanted, part: PartialFile, limits: Limits, report: Report
) -> None:
    """Add the bytes of an answer to the part, with reports of progress.

    Raises:
        TemporaryFault: fewer than were announced, or more.
    """
    name, total = wanted.path.name, part.origin.length
    start = since = time.monotonic()
    first = before = part.size
    part.append(head)
    for chunk in stream:
        part.append(chunk)
        now = time.monotonic()
        if part.size > limits.largest:
            _check_room(part, limits)
        if now - since >= limits.report and part.size != total:
            report(Progress(name, part.size, total, (part.size - before) / max(now - since, _TICK)))
            since, before = now, part.size
    if 0 <= total < part.size:
        size = part.size
        part.restart(Origin(wanted.url))
        raise TemporaryFault(f"{size:,} bytes came where {total:,} were announced")
    if part.size < total:
        raise TemporaryFault(f"the answer ended after {part.size:,} of {total:,} bytes")
    report(Progress(name, part.size, part.size, (part.size - first) / max(time.monotonic() - start, _TICK)))


def _chunks(response: requests.Response, limits: Limits) -> Iterator[bytes]:
    """Bytes as they come. A server that only drips is as bad as one that stalls; the socket's time-out misses it."""
    packed = is_packed(response)
    since, seen = time.monotonic(), 0
    while chunk := response.raw.read1(_CHUNK, decode_content=packed):
        yield chunk
        seen += len(chunk)
        now = time.monotonic()
        if now - since > limits.stall:
            if seen < limits.least:
                raise TemporaryFault(f"only {seen:,} bytes came in {now - since:.3g} s")
            since, seen = now, 0


def _fault_of(error: Exception, wanted: Wanted, part: PartialFile, limits: Limits) -> SourceError | TemporaryFault:
    """What to raise for an error of the connection."""
    import urllib3
    from requests import exceptions

    lasting = _lasting_fault(error, wanted)
    if lasting:
        return SourceError(f"{wanted.path.name}: {lasting}")
    if isinstance(error, exceptions.ConnectTimeout):
        return TemporaryFault(f"no connection within {limits.connect:g} s")
    if isinstance(error, exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return TemporaryFault(f"no byte came for {limits.stall:g} s")
    if isinstance(error, urllib3.exceptions.HTTPError):  # of reading; those of connecting come as errors of requests
        whole = f" of {part.origin.length:,}" if part.origin.length >= 0 else ""
        return TemporaryFault(f"the connection ended after {part.size:,}{whole} bytes")
    return TemporaryFault(f"no connection ({_short(error)})")


def _lasting_fault(error: Exception, wanted: Wanted) -> str:
    """What is wrong and will be next time, with what to do; "" for errors that may pass."""
    from requests import exceptions

    if isinstance(error, exceptions.TooManyRedirects):
        return f"{wanted.url} leads on more than {_REDIRECTS} times. Get it with a browser and put it at {wanted.path}."
    if isinstance(error, exceptions.InvalidURL | exceptions.InvalidSchema | exceptions.MissingSchema):
        return f"{wanted.url} leads to no web address ({_short(error)}). Correct the catalogue."
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in _reasons(error)):
        return (
            f"the certificate of {wanted.url} is not trusted ({_short(error)}). Check the clock and the certificates "
            "of this machine (REQUESTS_CA_BUNDLE names others)."
        )
    return ""


def _short(error: BaseException) -> str:
    """The innermost reason in few words: the libraries below nest theirs."""
    last = _reasons(error)[-1]
    return (str(last) or type(last).__name__)[:160]


def _reasons(error: BaseException) -> list[BaseException]:
    """An error and those that it followed from."""
    found = [error]
    while (inner := found[-1].__cause__ or found[-1].__context__) is not None and inner not in found:
        found.append(inner)
    return found


def _check_room(part: PartialFile, limits: Limits) -> None:
    """Refuse to begin what the disk cannot hold, or what is no file of a source."""
    total, to_come = part.origin.length, part.origin.length - part.size
    if (size := max(total, part.size)) > limits.largest:
        url = part.origin.url
        part.restart(Origin(url))
        raise SourceError(
            f"{part.target.name}: {url} sends {megabytes(size)} or more; wanted at most "
            f"{megabytes(limits.largest)}. Look at the address with a browser, and put the file at {part.target}."
        )
    free = shutil.disk_usage(part.path.parent).free
    if to_come > free:
        raise StorageError(
            f"{part.target}: {megabytes(to_come)} are to come, and {megabytes(free)} are free there. Free space, or "
            "set TESSERA_HOME to another disk, and run again."
        )
