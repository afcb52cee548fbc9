"""Is a file what its name says? Told from its first bytes, and for zips from the end, where their directory is.

A server that is asked for data may answer with a page ("access denied", "this page has moved") and call that a success.
Holds no hashes, and nothing of what a file of a source must contain: readers check that.
"""

from __future__ import annotations

import re
import zipfile
from html import unescape
from pathlib import Path, PurePosixPath

HEAD_BYTES = 2048
_PAGES = (".html", ".htm")
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Workbooks of either kind are published under `.xls`.
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    ".zip": (_ZIP, b"PK\x05\x06"),
    ".xlsx": (_ZIP,),
    ".xls": (_OLE, _ZIP),
    ".pdf": (b"%PDF",),
    ".gz": (b"\x1f\x8b",),
    ".json": (b"[", b"{", b'"'),
}
_WITH_DIRECTORY = (".zip", ".xlsx")
_MARKUP = re.compile(rb"<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def fault_of_head(name: str, head: bytes, content_type: str) -> str:
    """What the first bytes of a file show to be wrong.

    Args:
        name: of the file wanted; its suffix says what it must be.
        head: its first `HEAD_BYTES`, or all of it.
        content_type: header of that name of the answer, "" if there was none.

    Returns:
        A clause that follows "the server answered with ...", or "".
    """
    suffix = PurePosixPath(name).suffix.lower()
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        return "nothing (no bytes)"
    is_page = bool(_MARKUP.match(text)) or ("html" in content_type.lower() and text.startswith(b"<"))
    if is_page and suffix not in _PAGES:
        return f"a web page{_title(text)} in place of the file"
    wanted = _BEGINNINGS.get(suffix, ())
    if wanted and not text.startswith(wanted):
        return f"what is no {suffix} file (it begins with {head[:40]!r})"
    return ""


def fault_of_file(name: str, path: Path) -> str:
    """What a whole file shows to be wrong: a clause that follows "the file ...", or ""."""
    if PurePosixPath(name).suffix.lower() in _WITH_DIRECTORY and not zipfile.is_zipfile(path):
        return "ends before its zip directory: it is truncated"
    return ""


def _title(text: bytes) -> str:
    found = _TITLE.search(text)
    words = " ".join(unescape(found[1].decode("utf-8", "replace")).split()) if found else ""
    return f" ({words[:80]!r})" if words else ""
