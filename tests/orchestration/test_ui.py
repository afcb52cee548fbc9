"""`make ui`: the web UI answers with the whole graph, draws it, and stops without leaving a process behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest

from tests.orchestration.test_definitions import GROUPS

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS, STOP_SECONDS = 300.0, 120.0
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NODES = "{ assetNodes { assetKey { path } groupName isPartitioned jobNames } }"


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    address: str


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """`python -m jobs.ui --port 0` on a store, in a process group of its own, once it has printed its address."""
    environment = {**os.environ, "TESSERA_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    environment.pop("DAGSTER_HOME", None)
    log = home / "ui.log"
    command = [sys.executable, "-m", "jobs.ui", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield Served(process, _address(process, log))
    finally:
        if _alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"web UI: (http://\S+)", log.read_text(encoding="utf-8", errors="replace"))
        if found:
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"no address was printed: {log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def _alive(group: int) -> bool:
    """Whether a process of the group runs; one that ended and was not waited for does not count."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of_group = status.read_text().rsplit(") ", 1)[1].split()[:3]
        except OSError:
            continue  # it ended meanwhile
        if int(of_group) == group and state not in "ZX":
            return True
    return False


def query(address: str, text: str) -> dict:
    request = Request(
        f"{address}/graphql", json.dumps({"query": text}).encode(), headers={"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]


def screenshot(address: str, path: Path, profile: Path) -> Path:
    """A picture of a page once it has drawn itself."""
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--window-size=1600,1000", "--virtual-time-budget=45000", f"--user-data-dir={profile}",
        f"--screenshot={path}", address,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("ui")) as served:
        yield served


def test_the_graph_is_served_whole(served: Served) -> None:
    with urlopen(f"{served.address}/server_info", timeout=30) as answer:
        assert "dagster_version" in json.load(answer)
    nodes = query(served.address, NODES)["assetNodes"]
    groups: dict[str, set[str]] = {}
    for node in nodes:
        groups.setdefault(node["groupName"], set()).add("/".join(node["assetKey"]["path"]))
    assert len(nodes) == 33
    assert groups == GROUPS
    assert sum(node["isPartitioned"] for node in nodes) == 4
    assert all(any(job.startswith("build_") for job in node["jobNames"]) for node in nodes)


def test_the_daemon_runs_beside_it(served: Served) -> None:
    wanted = {"SENSOR", "SCHEDULER", "BACKFILL", "ASSET", "MONITORING", "QUEUED_RUN_COORDINATOR"}
    text = "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }"
    deadline = time.monotonic() + 90
    healthy: set[str] = set()
    while not wanted <= healthy and time.monotonic() < deadline:
        statuses = query(served.address, text)["instance"]["daemonHealth"]["allDaemonStatuses"]
        healthy = {status["daemonType"] for status in statuses if status["healthy"]}
        time.sleep(1)
    assert wanted <= healthy


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_the_graph_is_drawn(served: Served, tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = screenshot(f"{served.address}/asset-groups", tmp_path / "lineage.png", tmp_path / "profile")
    pixels = (imread(path)[..., :3] * 255).astype(np.int64) @ np.array([65536, 256, 1])
    colours, counts = np.unique(pixels, return_counts=True)
    assert len(colours) > 100
    # Pixels that are not background: a page of the UI without the graph (settings) has 36,000, with it 114,000.
    assert int(counts.sum() - counts.max()) > 70_000


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_without_leaving_a_process(tmp_path: Path, stop: signal.Signals) -> None:
    with serving(tmp_path) as served:
        os.kill(served.process.pid, stop)
        assert served.process.wait(timeout=STOP_SECONDS) == 0
        deadline = time.monotonic() + STOP_SECONDS
        while _alive(served.process.pid) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not _alive(served.process.pid), "a server outlived the program that started it"
        host, port = served.address.removeprefix("http://").split(":")
        with socket.socket() as probe:
            assert probe.connect_ex((host, int(port))) != 0


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = subprocess.run(
            [sys.executable, "-m", "jobs.ui", "--port", str(taken.getsockname()[1])], cwd=ROOT,
            env={**os.environ, "TESSERA_HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert ended.returncode == 1
    assert "--port 0" in ended.stderr
