"""Peak memory: of the process that asks, or of it and its workers together."""

from __future__ import annotations

import threading
from pathlib import Path


def peak_mb() -> float:
    """Largest memory of this process so far, MB. Not getrusage's, which counts the parent's from before exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Memory:
    """Largest memory of this process and its children together, sampled every few seconds: sampling takes time."""

    def __enter__(self) -> Memory:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(4.0):
            self.peak_mb = max(self.peak_mb, sum(map(_resident_mb, ["self", *_children()])))


def _children() -> list[str]:
    listed = Path("/proc/self/task").glob("*/children")
    return [pid for path in listed for pid in path.read_text().split()]


def _resident_mb(process: str) -> float:
    """Proportional share of a process's memory: pages that several processes share count once among them."""
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    line = next((one for one in text.splitlines() if one.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) / 1024
