"""A web server on this machine that gives one file, well or badly, and remembers what it was asked.

`Plan`s say how each request in turn is answered; the last one answers all that follow. The file of the tests is `BODY`,
and `OTHER` another version of it, of the same length; `HALF` is somewhere in the middle.
"""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from unittest import mock
from zipfile import ZipFile

from tessera.sources.download import Fetched, Limits, fetch

# Waits are short, and nothing stalls but where a test is of that: then it is STALLING that notices.
QUICK = Limits(attempts=3, first_wait=0.01, longest_wait=0.5, connect=20, stall=20)
STALLING = Limits(attempts=3, first_wait=0.01, longest_wait=0.5, connect=20, stall=0.5)
BODY = b"".join(b"%d,%d\n" % (row, row * row) for row in range(60_000))  # some 960 kB
OTHER = BODY.replace(b",", b";")
SHA256 = hashlib.sha256(BODY).hexdigest()
HALF = 400_000
NAME = "data.csv"


@dataclass(frozen=True)
class Plan:
    """One answer.

    Attributes:
        body: the file as it is at this moment.
        status: other than 200 (206 for ranges): an error, or a redirect to `location`.
        reason: words of the status line in place of the usual ones.
        etag, modified: headers, "" for none.
        ranges: whether `Range` is honoured, and `If-Range` with it.
        blind: honour `Range` whatever `If-Range` says.
        cut: hang up after so many bytes of the answer.
        stall: say nothing more after so many bytes of the answer, until the test is over.
        drip: seconds between bytes.
        length: whether to send Content-Length ("yes", "no": end by hanging up, "chunked"), or a false one (a number).
        piece: bytes of an answer to `Range` at most, as a server may choose.
        content_range: in place of the true one.
        headers: further ones.
        before: waited for before anything is answered.
    """

    body: bytes = b""
    status: int = 200
    reason: str | None = None
    location: str = ""
    etag: str = '"v1"'
    modified: str = ""
    ranges: bool = True
    blind: bool = False
    cut: int | None = None
    stall: int | None = None
    drip: float = 0.0
    length: str | int = "yes"
    piece: int | None = None
    content_range: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    before: threading.Event | None = None


@dataclass
class Loopback:
    """The server: its address, its plans, and the headers of each request (with `path`)."""

    url: str
    plans: Sequence[Plan]
    over: threading.Event
    asked: list[dict[str, str]] = field(default_factory=list)
    coming: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def file(self, name: str = "data.csv") -> str:
        """Address of a file; all names give the same."""
        return f"{self.url}/{name}"

    @property
    def ranges(self) -> list[str]:
        """What `Range` was in each request, "" where it had none."""
        return [headers.get("range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known: Loopback

    def do_GET(self) -> None:
        known = self.known
        plan = known.plans[min(len(known.asked), len(known.plans) - 1)]
        known.asked.append({"path": self.path} | {name.lower(): value for name, value in self.headers.items()})
        known.coming.release()
        if plan.before is not None:
            plan.before.wait(30)
        try:
            self._answer(plan)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the client has hung up, as it should on most bad answers

    def _answer(self, plan: Plan) -> None:
        status, start = self._status(plan)
        body = b"" if status in (301, 302, 304, 416) else plan.body[start:]
        self.send_response(status, plan.reason)
        for name, value in (("ETag", plan.etag), ("Last-Modified", plan.modified), ("Location", plan.location)):
            if value:
                self.send_header(name, value)
        if status == 206:
            body = body[: plan.piece]
            end, total = start + len(body) - 1, len(plan.body)
            self.send_header("Content-Range", plan.content_range or f"bytes {start}-{end}/{total}")
        for name, value in plan.headers:
            self.send_header(name, value)
        if plan.length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif plan.length != "no":
            self.send_header("Content-Length", str(len(body) if plan.length == "yes" else plan.length))
        self.end_headers()
        self._send(plan, body)

    def _status(self, plan: Plan) -> tuple[int, int]:
        """Status, and the first byte of the body to send."""
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if plan.status != 200 or asked is None or not plan.ranges:
            return plan.status, 0
        condition = self.headers.get("If-Range")
        if condition is not None and condition not in (plan.etag, plan.modified) and not plan.blind:
            return 200, 0
        start = int(asked[1])
        return (206, start) if start < len(plan.body) else (416, 0)

    def _send(self, plan: Plan, body: bytes) -> None:
        shown = body[: min(len(body), *(limit for limit in (plan.cut, plan.stall, len(body)) if limit is not None))]
        step = 1 if plan.drip else 60_000
        for start in range(0, len(shown), step):
            piece = shown[start : start + step]
            if plan.length == "chunked":
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            else:
                self.wfile.write(piece)
            if plan.drip and self.known.over.wait(plan.drip):
                break
        if plan.stall is not None:
            self.wfile.flush()
            self.known.over.wait(30)
        if plan.length == "chunked" and plan.cut is None and plan.stall is None:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = plan.cut is not None or plan.stall is not None or plan.length != "yes"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests are quiet."""


class _Server(ThreadingHTTPServer):
    # A failed handshake is what the test of certificates is about; it is told to the client, not to the terminal.
    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serve(plans: Sequence[Plan], certificate: Path | None = None) -> Iterator[Loopback]:
    """A running server; with a certificate (PEM of key and certificate) one that speaks TLS."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    known = Loopback(f"{scheme}://127.0.0.1:{server.server_address[1]}", plans, threading.Event())
    handler.known = known  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        # A proxy of the environment must not be asked for this machine.
        with mock.patch.dict(os.environ, {"NO_PROXY": "127.0.0.1,0.0.0.0"}):
            yield known
    finally:
        known.over.set()
        server.shutdown()
        thread.join()
        server.server_close()  # joins the handlers


def get(
    server: Loopback, folder: Path, sha256: str | None = None, *, name: str = NAME, limits: Limits = QUICK
) -> Fetched:
    """Download a file of a server."""
    return fetch(server.file(name), sha256, folder, name, limits=limits)


def names(folder: Path) -> list[str]:
    """Everything in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def zipped() -> bytes:
    """A zip of some 5 kB with one member."""
    made = BytesIO()
    with ZipFile(made, "w") as archive:
        archive.writestr("table.csv", BODY[:5000])
    return made.getvalue()
