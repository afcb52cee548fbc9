"""What a piece of work costs: seconds, and the most memory that this process and its workers held together.

Memory is the proportional share (pages that forked workers share count once), sampled twice a second, and at least the
largest resident memory of this process alone, which the kernel keeps exactly. Both are Linux's; 0 elsewhere.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_INTERVAL = 0.5
_SELF = Path("/proc/self")


@dataclass(frozen=True)
class Cost:
    """What something cost.

    Attributes:
        seconds: of wall time.
        peak_bytes: most memory of this process and its children while it ran.
    """

    seconds: float
    peak_bytes: int


class Meter:
    """Measures the block that it encloses; `cost` has the figures afterwards."""

    def __enter__(self) -> Meter:
        self.cost = Cost(0.0, 0)
        self._begun = time.perf_counter()
        self._own = _forget_peak()
        self._peak = _tree_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        own = _status_bytes("VmHWM") if self._own else 0
        self.cost = Cost(time.perf_counter() - self._begun, max(self._peak, _tree_bytes(), own))

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL):
            self._peak = max(self._peak, _tree_bytes())


def _forget_peak() -> bool:
    """Let the kernel count this process's largest memory from now on; whether it does."""
    try:
        (_SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _tree_bytes() -> int:
    listed = list((_SELF / "task").glob("*/children")) if _SELF.exists() else []
    children: list[str] = []
    for path in listed:
        with contextlib.suppress(OSError):
            children += path.read_text(encoding="ascii").split()
    return sum(_share_bytes(process) for process in ("self", *children))


def _share_bytes(process: str) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _status_bytes(label: str) -> int:
    try:
        text = (_SELF / "status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    found = re.search(rf"^{label}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
