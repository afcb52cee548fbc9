from __future__ import annotations

import dataclasses
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tessera.diagnostics import canvas, plots
from tessera.diagnostics.tiles import HEADER, district_cells, state_positions
from tessera.errors import TesseraError
from tessera.geography.areas import states, stratum_districts
from tessera.matrix.calibration_matrix import NO_SUPPORT
from tessera.page.tables import Column, amount, shown, table
from tessera.report.document import ReportInputs, build_report, write_report

_VOID = {"meta", "img", "br", "input", "link", "hr"}


class _Balance(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href"):
                self.addresses.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_tiles_hold_every_district_once_without_overlap() -> None:
    cells = district_cells()
    assert tuple(cell.code for cell in cells) == stratum_districts()
    assert len(set(state_positions().values())) == 51
    by_fips = {state.fips: state for state in states()}
    areas: dict[int, float] = {}
    for cell in cells:
        column, row = state_positions()[by_fips[cell.code // 100].usps]
        assert column <= cell.x and cell.x + cell.width <= column + 1
        assert row <= cell.y and cell.y + cell.height <= row + 1
        areas[cell.code // 100] = areas.get(cell.code // 100, 0.0) + cell.width * cell.height
    assert np.allclose(list(areas.values()), 0.92 * (0.92 - HEADER))  # full tiles: nothing missing, nothing twice


def test_figures_are_small_pngs(report_inputs: ReportInputs) -> None:
    assert len(report_inputs.figures) == 9
    for figure in report_inputs.figures:
        assert figure.png.startswith(b"\x89PNG\r\n\x1a\n"), figure.title
        assert len(figure.png) < canvas.MAX_BYTES, figure.title
        width, height = struct.unpack(">II", figure.png[16:24])
        assert 300 < width < 1500 and 150 < height < 1500


def test_figures_are_reproducible_and_depend_on_the_data() -> None:
    values = {"CA-12": 0.5, "DC": 0.1, "WY-01": 0.2}
    first = plots.district_map(values, label="error", percent=True)
    assert first == plots.district_map(values, label="error", percent=True)
    assert first != plots.district_map(values | {"CA-12": 0.01}, label="error", percent=True)
    assert first != plots.district_map(values | {"DC": 0.5}, label="error", percent=True)
    with pytest.raises(TesseraError, match="Unknown kind of map"):
        plots.district_map(values, label="error", kind="loss")


def test_figures_of_little_data() -> None:
    assert plots.district_map({}, label="nothing")
    assert plots.weights_histogram({"empty": np.zeros(4)})
    assert plots.loss_curve({"one": pd.DataFrame({"epoch": [0], "loss": [1.0], "nonzero": [5]})})
    empty = pd.DataFrame({"geo_level": [], "rel_error": []})
    assert plots.error_histogram(empty)


def test_markdown_image() -> None:
    assert plots.as_markdown_image(b"\x89PNG", "loss") == "![loss](data:image/png;base64,iVBORw==)"


def test_report_is_one_well_formed_page(report_inputs: ReportInputs, tmp_path: Path) -> None:
    text = build_report(report_inputs)
    assert write_report(report_inputs, tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert text == build_report(report_inputs)
    page = _Balance()
    page.feed(text)
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert all(address.startswith(("#", "data:image/png;base64,")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert not re.search(r"@import|url\(|<link|fetch\(", text)
    assert len(text) < 1_500_000


def test_report_says_what_it_was_given(report_inputs: ReportInputs) -> None:
    text = build_report(report_inputs)
    assert "<strong>SYNTHETIC DATA.</strong>" in text
    assert report_inputs.identity.run_id in text
    assert f"{100 * report_inputs.targets.share_within_10:.1f} %" in text
    assert text.count('data-kind="district"') == 435
    assert NO_SUPPORT in text
    assert '<div class="tile bad"><b>closed</b>' in text
    assert "HOUSTON" in text


def test_report_without_gate_banner_or_figures(report_inputs: ReportInputs) -> None:
    bare = dataclasses.replace(
        report_inputs, synthetic=False, source_mode="official", gate=None, figures=(), sanity=(), sources=()
    )
    text = build_report(bare)
    assert "SYNTHETIC DATA" not in text
    assert "not evaluated" in text
    assert "treat the files as unchecked" in text


def test_report_escapes_what_it_shows(report_inputs: ReportInputs) -> None:
    text = build_report(dataclasses.replace(report_inputs, settings={"<script>": "<b>&"}))
    assert "&lt;script&gt;" in text
    assert "<b>&</b>" not in text and "<dd><b>" not in text


def test_numbers_as_text() -> None:
    assert [amount(value) for value in (0, 12.5, 999.4, 5_000, 12_345, 3.25e9, -1.5e12)] == [
        "0", "12.5", "999.4", "5,000", "12.35 k", "3.25 B", "-1.5 T",
    ]  # fmt: skip
    assert shown(0.1234, "percent") == "12.3 %"
    assert shown(float("nan"), "count") == "–"
    assert shown(float("inf"), "decimal") == "∞"
    body = table(pd.DataFrame({"a": [float("inf"), float("nan")]}), [Column("a", "A", "decimal")])
    assert 'data-value="Infinity"' in body
    assert 'data-value=""' in body


@pytest.mark.browser
def test_report_renders_in_a_browser(report_inputs: ReportInputs, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    path = write_report(report_inputs, tmp_path / "report.html")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "491 rows" in result.stdout  # written by the page's script when it ran
