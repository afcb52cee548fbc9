"""Scales, the year modelled and the store's paths: everything that a run is configured with, and nothing computed.

`$TESSERA_HOME` (default `var/` in the checkout) holds every file that a run leaves behind; `Paths` is its map.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tessera.errors import ConfigError

MODEL_YEAR = 2024
ROOT_SEED = 20240101
SourceMode = Literal["synthetic", "official"]


@dataclass(frozen=True)
class Scale:
    """How large a run is.

    Attributes:
        name: preset name.
        survey_households: households that the synthetic survey interviews (official files bring their own).
        puf_returns: returns of the synthetic tax file.
        households: households kept by stratification.
        clones: clones of each household.
        blocks_per_district: synthetic census blocks of each district, at least one for each of its counties.
        local_epochs, national_epochs: epochs of the two fits in mode recipe.
        national_records: record budget of the national fit in mode calibrate.
    """

    name: str
    survey_households: int
    puf_returns: int
    households: int
    clones: int
    blocks_per_district: int
    local_epochs: int
    national_epochs: int
    national_records: int


SCALES = {
    "tiny": Scale("tiny", 300, 400, 60, 120, 4, 200, 200, 5_000),
    "demo": Scale("demo", 1500, 2000, 500, 100, 40, 1000, 4000, 25_000),
    "production": Scale("production", 60000, 150000, 12000, 430, 400, 1000, 4000, 50_000),
}


def scale(name: str) -> Scale:
    """The preset of a name."""
    if name not in SCALES:
        raise ConfigError(f"Unknown scale {name!r}; wanted one of {', '.join(SCALES)}.")
    return SCALES[name]


@dataclass(frozen=True)
class Paths:
    """The store. `raw` holds source files, `assets` what the IO manager writes, `dagster` the instance."""

    home: Path

    @property
    def raw(self) -> Path:
        return self.home / "raw"

    @property
    def assets(self) -> Path:
        return self.home / "assets"

    @property
    def dagster(self) -> Path:
        return self.home / "dagster"

    def run(self, run_id: str) -> Path:
        return self.home / "runs" / run_id

    def staging(self, run_id: str) -> Path:
        return self.home / "staging" / run_id

    @property
    def release(self) -> Path:
        return self.home / "release"

    @property
    def current_release(self) -> Path:
        """A link (or a file with the name) of the promoted version."""
        return self.release / "current"


def paths(home: str | os.PathLike[str] | None = None) -> Paths:
    """The store at `home`, else at `$TESSERA_HOME`, else at `var/` in the checkout."""
    if home is not None:
        return Paths(Path(home).resolve())
    configured = os.environ.get("TESSERA_HOME")
    if configured:
        return Paths(Path(configured).resolve())
    return Paths(Path(__file__).resolve().parent.parent / "var")


def offline() -> bool:
    """Whether `$TESSERA_OFFLINE` switches downloads off: 1 does, 0 or nothing does not."""
    configured = os.environ.get("TESSERA_OFFLINE", "0") or "0"
    if configured not in ("0", "1"):
        raise ConfigError(f"TESSERA_OFFLINE is {configured!r}; wanted 1 (no downloads) or 0. Set it and run again.")
    return configured == "1"
