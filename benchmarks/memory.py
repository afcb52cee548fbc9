"""Peak memory of the process that asks; that of it and its workers together is `tessera.road.cost`'s."""

from __future__ import annotations

from pathlib import Path


def peak_mb() -> float:
    """Largest memory of this process so far, MB. Not getrusage's, which counts the parent's from before exec."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
