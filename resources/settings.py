"""Settings: where the store is, at which scale and from which sources a run works, and how many processes it may use.

Read from the environment once, when definitions are loaded, so that the web UI, the daemon and the command line agree:
TESSERA_HOME, TESSERA_SCALE (tiny, demo, production), TESSERA_SOURCES (synthetic, official), TESSERA_SEED,
TESSERA_WORKERS, TESSERA_ABSENT_SOURCES (names joined by commas: irs_puf, acs_pums, sipp, scf, cps_org),
TESSERA_DONOR_FALLBACK (leave_out, zero).
"""

import os
from functools import cached_property
from pathlib import Path

import dagster as dg

from tessera.config import ROOT_SEED, Paths, Scale, SourceMode, paths, scale
from tessera.errors import ConfigError
from tessera.road.microdata import MicrodataRoad, absent_sources, fallback


class Settings(dg.ConfigurableResource):
    """What a run is configured with.

    Attributes:
        home: the store's folder.
        scale_name: preset of `tessera.config.SCALES`.
        sources: `synthetic` or `official`.
        seed: root seed; every stage derives its own from it.
        workers: processes for the rules engine, and workers of the imputation.
        absent_sources: sources that a run does without, joined by commas: a synthetic tax file takes the place of the
            official one; of donor surveys see the next.
        donor_fallback: what becomes of the variables of absent donor surveys: `leave_out` or `zero`.
        minimum_within_10: share of supported targets that must be within 10 % for a release.
    """

    home: str
    scale_name: str = "demo"
    sources: str = "synthetic"
    seed: int = ROOT_SEED
    workers: int = 2
    absent_sources: str = ""
    donor_fallback: str = "leave_out"
    minimum_within_10: float = 0.9

    @property
    def paths(self) -> Paths:
        """The store."""
        return paths(self.home)

    @cached_property
    def scale(self) -> Scale:
        """The scale preset."""
        return scale(self.scale_name)

    @property
    def source_mode(self) -> SourceMode:
        """Where source files come from."""
        if self.sources == "synthetic":
            return "synthetic"
        if self.sources == "official":
            return "official"
        raise ConfigError(f"TESSERA_SOURCES is {self.sources!r}; wanted synthetic or official.")

    @property
    def microdata(self) -> MicrodataRoad:
        """What the base file is built from, as the command line has it."""
        return MicrodataRoad(
            self.paths, self.scale, self.source_mode, self.seed, self.workers, absent_sources(self.absent_sources),
            fallback(self.donor_fallback),
        )  # fmt: skip

    @property
    def area_folder(self) -> Path:
        """Folder below which area files are written, before they are staged."""
        return self.paths.assets / "areas"


def settings_from_environment() -> Settings:
    """Settings as the environment gives them; unset variables keep their defaults."""
    return Settings(
        home=str(paths().home),
        scale_name=os.environ.get("TESSERA_SCALE", "demo"),
        sources=os.environ.get("TESSERA_SOURCES", "synthetic"),
        seed=_integer("TESSERA_SEED", ROOT_SEED),
        workers=_integer("TESSERA_WORKERS", os.cpu_count() or 1),
        absent_sources=os.environ.get("TESSERA_ABSENT_SOURCES", ""),
        donor_fallback=os.environ.get("TESSERA_DONOR_FALLBACK", "leave_out"),
    )


def _integer(name: str, default: int) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError as error:
        raise ConfigError(f"{name} is {text!r}; wanted a whole number.") from error
