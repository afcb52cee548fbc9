"""Fixtures shared by all tests: where the read-only example files are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# No test downloads anything: those of downloading ask a server on this machine, and say so.
os.environ["TESSERA_OFFLINE"] = "1"

_CANDIDATES = (
    Path(__file__).resolve().parents[2] / "shared" / "data",
    Path(__file__).resolve().parents[1] / "shared" / "data",
)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real official example files, which are never committed; skips where it is absent."""
    configured = os.environ.get("TESSERA_SHARED_DATA")
    candidates = (Path(configured),) if configured else _CANDIDATES
    for candidate in candidates:
        if (candidate / "official").is_dir():
            return candidate
    pytest.skip("the folder of real official files is not beside this checkout (set TESSERA_SHARED_DATA)")
