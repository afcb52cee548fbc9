"""Small synthetic files of every source, written and read once a session; no test changes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tessera.sources.reading import read_source

from . import damage


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the files of every source."""
    folder = tmp_path_factory.mktemp("files")
    damage.write_all(folder)
    return folder


@pytest.fixture(scope="session")
def raw(files: Path) -> dict[str, Any]:
    """What the readers make of them, by source."""
    return {source: read_source(source, files / path) for source, path in damage.PRIMARY.items()}
