"""Fixtures shared by the tests of targets: the figures as built from the official files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tessera.targets import growth, official, reconcile, snapshot, uprating


@pytest.fixture(scope="session")
def official_folder(shared_data: Path) -> Path:
    """Folder of the official files as published."""
    return shared_data / "official"


@pytest.fixture(scope="session")
def published(official_folder: Path) -> pd.DataFrame:
    """Every figure as its loader reads it: of its own year, no level reconciled."""
    return official.load_figures(official_folder)


@pytest.fixture(scope="session")
def measured(official_folder: Path) -> growth.Growth:
    """Growth as measured from the official files."""
    return growth.measure(official.paths(official_folder))


@pytest.fixture(scope="session")
def uprated(published: pd.DataFrame, measured: growth.Growth) -> pd.DataFrame:
    """The published figures, brought to the model year."""
    return uprating.uprate(published, measured)


@pytest.fixture(scope="session")
def rebuilt(uprated: pd.DataFrame) -> pd.DataFrame:
    """The figures as the snapshot holds them."""
    return snapshot.ordered(reconcile.reconcile(uprated))
