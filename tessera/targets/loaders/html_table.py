"""Reading the tables of a published HTML page as rows of text. Holds no source.

Marks of footnotes (`<sup>`) are left out, runs of white space are one blank, a cell is given once whatever its colspan.
Tables inside tables are not understood; no page read here has one.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tessera.errors import SourceError
from tessera.targets.loaders.common import require_file, squash

HtmlRows = list[tuple[str, ...]]


class _TableParser(HTMLParser):
    """Collects rows of cells, table by table; `text` is everything readable on the page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[HtmlRows] = []
        self.text: list[str] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self._row = []
        elif tag in ("td", "th") and self._row is not None:
            self._cell = []
        elif tag in ("sup", "script", "style"):
            self._hidden += 1

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None and self._row is not None:
            self._row.append(squash("".join(self._cell)))
            self._cell = None
        elif tag == "tr" and self._row is not None and self.tables:
            self.tables[-1].append(tuple(self._row))
            self._row = None
        elif tag in ("sup", "script", "style"):
            self._hidden = max(self._hidden - 1, 0)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.text.append(data)
        if self._cell is not None:
            self._cell.append(data)


def read_tables(path: Path) -> tuple[str, list[HtmlRows]]:
    """The readable text of a page, and its tables that have rows, as rows of cells.

    Raises:
        SourceError: no such file, no text, or a page without a table (an error page, or one cut off).
    """
    try:
        content = require_file(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not an HTML page in UTF-8 ({error}); fetch it again.") from error
    parser = _TableParser()
    parser.feed(content)
    parser.close()
    if not any(parser.tables):
        raise SourceError(
            f"{path}: the page has no table ({len(content)} characters); it may be an error page or cut off: fetch it "
            "again."
        )
    return squash(" ".join(parser.text)), [table for table in parser.tables if table]
