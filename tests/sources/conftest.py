"""Synthetic files written once a session, and edits of them that the tests break on purpose."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tessera.sources.synthetic import cps_asec as asec_writer
from tessera.sources.synthetic import irs_puf as puf_writer

YEAR = 2025
HOUSEHOLDS = 1500


@pytest.fixture(scope="session")
def asec_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic CPS ASEC of the demo size; never changed by a test."""
    return asec_writer.write(tmp_path_factory.mktemp("asec"), households=HOUSEHOLDS, year=YEAR, seed=7)


@pytest.fixture(scope="session")
def puf_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic PUF with its demographics; never changed by a test."""
    return puf_writer.write(tmp_path_factory.mktemp("puf"), returns=2000, seed=7)


Edit = Callable[[dict[str, bytes]], dict[str, bytes]]


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Path, Edit], Path]:
    """Makes a copy of a zip whose members (by name without folder) have gone through a function."""

    def make(source: Path, edit: Edit) -> Path:
        with zipfile.ZipFile(source) as archive:
            contents = {Path(name).name: archive.read(name) for name in archive.namelist()}
        target = tmp_path / source.name
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in edit(contents).items():
                archive.writestr(name, content)
        return target

    return make
