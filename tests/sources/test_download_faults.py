"""Downloads that cannot succeed, or not at once: what is tried again, what is kept, and what the message says."""

from __future__ import annotations

import logging
import socket
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tessera.errors import SourceError
from tessera.sources.download import fetch
from tests.sources.loopback import BODY, HALF, NAME, OTHER, QUICK, SHA256, STALLING, Plan, get, names, serve, zipped

ZERO = "0" * 64
TITLE = b"<html><head><title>Access\n &amp; denied</title></head></html>"


# Answers that will be the same next time: one request, nothing left behind ----------------------------------------

LASTING: dict[str, tuple[str, Plan, str]] = {
    "not there": (NAME, Plan(status=404), r"answered 404 Not Found: there is no file of that name: it was moved"),
    "withdrawn": (NAME, Plan(status=410), r"answered 410 Gone: the file was withdrawn"),
    "refused": (NAME, Plan(status=403), r"answered 403 Forbidden: it refuses programs or this network"),
    "login": (NAME, Plan(status=401), r"answered 401 Unauthorized: it asks for a login"),
    "not understood": (NAME, Plan(status=400), r"answered 400 Bad Request: it does not understand the request"),
    "unknown status": (NAME, Plan(status=418), r"answered 418 .*: which is no answer to a request for a file"),
    "success without content": (NAME, Plan(status=204), r"answered 204 No Content"),
    "a web page": (NAME, Plan(TITLE), r"answered with a web page \('Access & denied'\) in place of the file"),
    "a web page after blanks": (NAME, Plan(b"\xef\xbb\xbf\n <!DOCTYPE HTML>"), r"answered with a web page in place"),
    "a page that says so": (
        NAME, Plan(b"<p>Moved</p>", headers=(("Content-Type", "text/html"),)), r"answered with a web page in place",
    ),
    "a page for a zip": ("a.zip", Plan(TITLE), r"answered with a web page"),
    "text for a zip": ("a.zip", Plan(b"Try later."), r"answered with what is no \.zip file \(it begins with b'Try l"),
    "text for a workbook": ("a.xls", Plan(b"Try later."), r"answered with what is no \.xls file"),
    "text for JSON": ("a.json", Plan(b"error: unknown variable"), r"answered with what is no \.json file"),
    "nothing": (NAME, Plan(b""), r"answered with nothing \(no bytes\)"),
    "blanks": (NAME, Plan(b" \n"), r"answered with nothing \(no bytes\)"),
    "a zip cut short without a word": (
        "a.zip", Plan(zipped(), cut=3000, length="no"), r"gives ends before its zip directory: it is truncated",
    ),
    "a circle": (NAME, Plan(status=302, location="/data.csv"), r"leads on more than 10 times"),
    "no web address": (NAME, Plan(status=302, location="ftp://127.0.0.1/data.csv"), r"leads to no web address"),
    "a path of this machine": (NAME, Plan(status=302, location="file:///etc/passwd"), r"leads to no web address"),
}  # fmt: skip


@pytest.mark.parametrize("case", LASTING)
def test_what_will_not_change_is_said_at_once(case: str, tmp_path: Path) -> None:
    name, plan, message = LASTING[case]
    with serve([plan]) as server, pytest.raises(SourceError, match=message) as caught:
        get(server, tmp_path, name=name)
    assert str(caught.value).startswith(f"{name}: ") and server.url in str(caught.value)
    assert names(tmp_path) == []
    assert len(server.asked) == (11 if case == "a circle" else 1)


def test_a_page_does_not_cost_what_has_come(tmp_path: Path) -> None:
    """A server under repair that answers with a page, and calls it a success."""
    with serve([Plan(BODY, cut=HALF), Plan(TITLE, etag='"page"'), Plan(BODY)]) as server:
        with pytest.raises(SourceError, match="web page"):
            get(server, tmp_path)
        assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={HALF}-", f"bytes={HALF}-"]


# Faults that may pass ---------------------------------------------------------------------------------------------

PASSING: dict[str, tuple[Plan, str]] = {
    "error of the server": (Plan(status=500), "the server answered 500 Internal Server Error"),
    "busy": (Plan(status=503), "the server answered 503 Service Unavailable"),
    "busy until a date that has passed": (
        Plan(status=503, headers=(("Retry-After", "Sat, 01 Mar 2025 10:00:00 GMT"),)), "the server answered 503",
    ),
    "busy until nobody knows when": (Plan(status=503, headers=(("Retry-After", "soon"),)), "the server answered 503"),
    "an error of a proxy": (Plan(status=520, reason="Web Server Error"), "the server answered 520 Web Server Error"),
    "cut": (Plan(BODY, cut=50), "the connection ended after 0 bytes"),
    "stalled": (Plan(BODY, stall=50), r"no byte came for 0\.5 s"),
    "dripping": (Plan(BODY, drip=0.02), r"only \d+ bytes came in 0\.\d+ s"),
}  # fmt: skip


@pytest.mark.parametrize("case", PASSING)
def test_what_may_pass_is_tried_again_and_then_given_up(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan, reason = PASSING[case]
    limits = STALLING if plan.stall or plan.drip else QUICK
    with serve([plan]) as server, pytest.raises(SourceError, match=reason) as caught:
        get(server, tmp_path, limits=limits)
    assert f"could not be had from {server.file()}" in str(caught.value)
    assert "(tried 3 times without progress). Run again later, or get it with a browser" in str(caught.value)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.split("; ")[-1] for message in warned] == [
        "again in 0.01 s (2 of 3)",
        "again in 0.02 s (3 of 3)",
    ]
    assert len(server.asked) == 3
    assert names(tmp_path) == []


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_asks_for_a_long_wait_is_not_waited_for(form: str, tmp_path: Path) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    headers = (("Retry-After", "3600" if form == "seconds" else later),)
    with (
        serve([Plan(status=429, headers=headers)]) as server,
        pytest.raises(
            SourceError, match=r"429 Too Many Requests \(tried once .*It asks to wait (1 h 0 min|59 min \d+ s)"
        ),
    ):
        get(server, tmp_path)
    assert len(server.asked) == 1


def test_no_server_at_all(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/data.csv"
        with pytest.raises(
            SourceError, match=r"data\.csv: could not be had from .*: no connection \(.*refused.*3 times"
        ):
            fetch(url, None, tmp_path, NAME, limits=QUICK)
    assert names(tmp_path) == []


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    pem = tmp_path / "own.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(tmp_path / "cert")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, so no certificate can be made")
    pem.write_bytes(pem.read_bytes() + (tmp_path / "cert").read_bytes())
    with (
        serve([Plan(BODY)], certificate=pem) as server,
        pytest.raises(
            SourceError, match=r"the certificate of https://.* is not trusted \(.*verify failed.*REQUESTS_CA"
        ),
    ):
        get(server, tmp_path / "raw")
    assert not server.asked and names(tmp_path / "raw") == []


# The file changes on the server -----------------------------------------------------------------------------------

CHANGED: dict[str, Plan] = {
    "the server compares": Plan(OTHER, etag='"v2"'),
    "the server does not compare, and says what it gives": Plan(OTHER, etag='"v2"', blind=True),
    "it is longer now": Plan(OTHER + b"more\n", etag="", blind=True),
    "it is shorter than what is at hand": Plan(OTHER[: HALF // 2], etag='"v2"', blind=True),
    "the server does not know ranges": Plan(OTHER, ranges=False),
    "the answer begins elsewhere": Plan(OTHER, content_range=f"bytes 7-{len(OTHER) - 1}/{len(OTHER)}"),
    "the answer does not say where it begins": Plan(OTHER, content_range="words"),
}


@pytest.mark.parametrize("case", CHANGED)
@pytest.mark.parametrize("dated", [False, True])
def test_two_versions_are_never_joined(case: str, dated: bool, tmp_path: Path) -> None:
    changed = CHANGED[case]
    first = Plan(BODY, cut=HALF, modified="Sat, 01 Mar 2025 10:00:00 GMT" if dated else "")
    with serve([first, changed, changed]) as server:
        found = get(server, tmp_path)
    assert found.path.read_bytes() == changed.body
    assert server.ranges[:2] == ["", f"bytes={HALF}-"]
    assert names(tmp_path) == [NAME]


def test_more_bytes_than_were_announced_are_dropped(tmp_path: Path) -> None:
    more = BODY + b"more\n"
    plans = [Plan(BODY, cut=HALF), Plan(more, content_range=f"bytes {HALF}-{len(more) - 1}/*"), Plan(BODY)]
    with serve(plans) as server:
        assert get(server, tmp_path).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={HALF}-", ""]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_mark_of_its_version_a_file_is_not_resumed(etag: str, tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF, etag=etag), Plan(BODY, etag=etag)]) as server:
        assert get(server, tmp_path).sha256 == SHA256
    assert server.ranges == ["", ""]


def test_a_pinned_file_is_resumed_without_a_mark(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF, etag=""), Plan(BODY, etag="")]) as server:
        assert get(server, tmp_path, SHA256).sha256 == SHA256
    assert server.ranges == ["", f"bytes={HALF}-"]


def test_parts_that_do_not_fit_are_fetched_once_more_from_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first part is of another version of the same length, and the server gives nothing to tell them apart."""
    with serve([Plan(OTHER, cut=HALF, etag=""), Plan(BODY, etag="")]) as server:
        assert get(server, tmp_path, SHA256).path.read_bytes() == BODY
    assert server.ranges == ["", f"bytes={HALF}-", ""]
    assert "data.csv: the parts that came do not make the file wanted; once more from the start" in caplog.messages


# Pinned hashes ----------------------------------------------------------------------------------------------------


def test_another_file_than_the_pinned_one_is_not_put_in_place(tmp_path: Path) -> None:
    with serve([Plan(BODY)]) as server, pytest.raises(SourceError) as caught:
        get(server, tmp_path, ZERO)
    message = str(caught.value)
    assert f"has sha256 {SHA256} ({len(BODY):,} bytes); wanted {ZERO}. The publisher has replaced it" in message
    assert "Nothing was put in place" in message
    assert names(tmp_path) == [] and len(server.asked) == 1


def test_a_resumed_file_with_another_hash_is_tried_once_from_the_start(tmp_path: Path) -> None:
    with serve([Plan(BODY, cut=HALF), Plan(BODY)]) as server, pytest.raises(SourceError, match=f"wanted {ZERO}"):
        get(server, tmp_path, ZERO)
    assert server.ranges == ["", f"bytes={HALF}-", ""]
    assert names(tmp_path) == []


def test_a_file_at_hand_with_another_hash_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(OTHER)
    with (
        serve([Plan(BODY)]) as server,
        pytest.raises(SourceError, match=rf"data\.csv: has sha256 [0-9a-f]{{64}}; wanted {SHA256}.*not overwritten"),
    ):
        get(server, tmp_path, SHA256)
    assert (tmp_path / NAME).read_bytes() == OTHER and not server.asked


# What is not asked at all -----------------------------------------------------------------------------------------


def test_offline_nothing_is_asked(tmp_path: Path) -> None:
    with serve([Plan(BODY)]) as server:
        with pytest.raises(SourceError, match=rf"data\.csv: is absent, and downloading is switched off.*{server.url}"):
            fetch(server.file(), None, tmp_path, NAME, offline=True)
        get(server, tmp_path)
        assert not fetch(server.file(), None, tmp_path, NAME, offline=True).downloaded
    assert len(server.asked) == 1


def test_no_address_leads_to_one_that_would_not_be_asked(tmp_path: Path) -> None:
    plans = [Plan(status=302), Plan(BODY)]
    with serve(plans) as server:
        other = server.url.replace("127.0.0.1", "0.0.0.0")  # reaches this machine, and is not known to
        plans[0] = replace(plans[0], location=f"{other}/data.csv")
        with pytest.raises(
            SourceError, match=rf"{other}/data\.csv \(where {server.url}/data\.csv leads\) is not encry"
        ):
            get(server, tmp_path)
        assert names(tmp_path) == []
        plans[0] = Plan(BODY)
        assert fetch(f"{other}/data.csv", SHA256, tmp_path, NAME, limits=QUICK).downloaded  # the hash vouches for it


ADDRESSES = {
    "http://www.irs.gov/pub/irs-soi/22incd.csv": "is not encrypted, and no sha256 is pinned",
    "http://127.0.0.1.example.com/22incd.csv": "is not encrypted, and no sha256 is pinned",
    "ftp://ftp.irs.gov/22incd.csv": "is no web address",
    "file:///etc/passwd": "is no web address",
    "22incd.csv": "is no web address",
    "": "is no web address",
}


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses_that_are_not_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=ADDRESSES[url]):
        fetch(url, None, tmp_path, NAME, limits=QUICK)
    assert names(tmp_path) == []
