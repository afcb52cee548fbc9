"""The page of an optimisation: its numbers, that it renews itself only while it runs, and that it loads nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tessera.errors import ConfigError
from tessera.pytree import OptimizeResult, minimize, write_dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START = {"wage <b>": {"constant": 1.0, "age": 2.0}, "home": 3.0}


def criterion(params: dict[str, Any]) -> float:
    return float(sum(value**2 for value in params["wage <b>"].values()) + (params["home"] - 1) ** 2)


@pytest.fixture(scope="module")
def result() -> OptimizeResult:
    return minimize(criterion, START, "scipy_lbfgsb")


def page(given: Any, path: Path, **options: Any) -> str:
    write_dashboard(given, path, **options)
    return path.read_text(encoding="utf-8")


def test_a_finished_page_tells_how_it_ended(result: OptimizeResult, tmp_path: Path) -> None:
    text = page(result, tmp_path / "deep" / "page.html", title="A <title>")
    assert "A &lt;title&gt;" in text and "A <title>" not in text
    assert "converged" in text and "scipy_lbfgsb" in text
    assert "wage &lt;b&gt;" in text and "wage <b>" not in text
    assert 'http-equiv="refresh"' not in text
    assert str(result.n_fun_evals) in text
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["page.html"]


def test_a_running_page_loads_itself_again_unless_told_not_to(result: OptimizeResult, tmp_path: Path) -> None:
    assert re.search(r'http-equiv="refresh" content="3', page(result.history, tmp_path / "a.html"))
    assert re.search(r'http-equiv="refresh" content="7', page(result.history, tmp_path / "b.html", refresh=7))
    assert 'http-equiv="refresh"' not in page(result.history, tmp_path / "c.html", refresh=0)


def test_the_page_loads_nothing(result: OptimizeResult, tmp_path: Path) -> None:
    text = page(result, tmp_path / "page.html")
    loaded = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', text)
    assert all(link.startswith(("#", "data:")) for link in loaded)
    assert "@import" not in text and "url(http" not in text
    assert "<title>" in text and "<svg" in text


def test_an_optimisation_writes_its_page(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    minimize(criterion, START, "scipy_lbfgsb", dashboard=path)
    text = path.read_text(encoding="utf-8")
    assert "converged" in text and 'http-equiv="refresh"' not in text
    assert list(tmp_path.iterdir()) == [path]


def test_nonsense_is_refused(result: OptimizeResult, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="refresh is -1"):
        write_dashboard(result, tmp_path / "page.html", refresh=-1)
    with pytest.raises(ConfigError):
        write_dashboard({"a": 1}, tmp_path / "page.html")  # type: ignore[arg-type]
    assert not (tmp_path / "page.html").exists()


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_draws_it(result: OptimizeResult, tmp_path: Path) -> None:
    path, picture = tmp_path / "page.html", tmp_path / "page.png"
    write_dashboard(result, path)
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1200,1400", f"--screenshot={picture}", path.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert picture.stat().st_size > 20_000
