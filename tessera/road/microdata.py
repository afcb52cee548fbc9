"""The microdata stages from the source files to the base file, each stored and resumed: `tessera microdata build`.

Chains the library calls that the assets of the workflow engine chain, with the same settings, so that both ways give
the same base file. Stages lie where those of the package lie (`road.package`), and serve it. Tables of the quality of
what was imputed are written beside them. Computes nothing itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tessera import __version__
from tessera.config import MODEL_YEAR, ROOT_SEED, Paths, Scale, SourceMode
from tessera.errors import ConfigError, StorageError
from tessera.road.cost import Cost, Meter
from tessera.road.stages import Input, Stage, StageStore

if TYPE_CHECKING:
    import pandas as pd

    from tessera.frame import Frame

_LOG = logging.getLogger(__name__)
STAGES = ("cps", "puf", "extended_cps", "stratified_cps", "source_imputed_cps")
DONORS = ("acs_pums", "sipp", "scf", "cps_org")
# The source files that each stage reads.
SOURCES_OF = {"cps": ("cps_asec",), "puf": ("irs_puf",), "source_imputed_cps": DONORS}
MAY_BE_ABSENT = ("irs_puf", *DONORS)
Fallback = Literal["leave_out", "zero"]
FALLBACKS: tuple[Fallback, ...] = ("leave_out", "zero")


@dataclass(frozen=True)
class MicrodataRoad:
    """What the base file is built from.

    Attributes:
        paths: the store.
        scale: how large.
        sources: synthetic or official files in `raw/`.
        seed: root seed.
        workers: threads or processes of the imputation; the result is the same.
        absent: sources that the run does without, of `MAY_BE_ABSENT`: a synthetic tax file takes the place of the
            official one; of donors see `fallback`.
        fallback: what becomes of the variables of absent donors: "leave_out" (the engine takes its defaults) or "zero".
    """

    paths: Paths
    scale: Scale
    sources: SourceMode = "synthetic"
    seed: int = ROOT_SEED
    workers: int = 1
    absent: tuple[str, ...] = ()
    fallback: Fallback = "leave_out"

    @property
    def donor_fallback(self) -> Literal["error", "leave_out", "zero"]:
        """The fallback that `impute_donors` is told: an absence that nobody announced is an error."""
        return self.fallback if any(name in self.absent for name in DONORS) else "error"

    @property
    def folder(self) -> Path:
        """Where the stages are stored."""
        return self.paths.home / "package" / self.scale.name


@dataclass(frozen=True)
class MadeStage:
    """A stage of the microdata: what is stored, and what it cost now (little where it was there)."""

    name: str
    stage: Stage
    cost: Cost


def build_microdata(
    road: MicrodataRoad,
    store: StageStore | None = None,
    *,
    until: str = STAGES[-1],
    on_stage: Callable[[MadeStage], None] | None = None,
) -> dict[str, MadeStage]:
    """Build the base file, or what is missing of it.

    Args:
        road: from where.
        store: of the stages; one in the road's folder by default.
        until: last stage wanted; what it does not need is not made.
        on_stage: called as stages are there.

    Returns:
        The stages by name, in order.

    Raises:
        TesseraError: whatever a stage refuses; the stages before it are stored.
    """
    builder = _Builder(road, store or StageStore(road.folder, len(needed(until))), on_stage)
    builder.prepare(until)
    builder.make(until)
    return {name: builder.made[name] for name in STAGES if name in builder.made}


def needed(until: str) -> tuple[str, ...]:
    """The stages that a stage needs, itself last."""
    return (until,) if until in ("cps", "puf") else STAGES[: STAGES.index(until) + 1]


def absent_sources(text: str) -> tuple[str, ...]:
    """Names of sources that a run does without, from a list with commas; none of an empty text.

    Raises:
        ConfigError: a source that no run can do without, or none at all.
    """
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in names if name not in MAY_BE_ABSENT]
    if unknown:
        raise ConfigError(
            f"Sources that a run does without: {', '.join(unknown)} cannot be left out; wanted some of "
            f"{', '.join(MAY_BE_ABSENT)}, joined by commas."
        )
    return tuple(name for name in MAY_BE_ABSENT if name in names)


def fallback(text: str) -> Fallback:
    """What becomes of the variables of absent donors, from a setting.

    Raises:
        ConfigError: neither of the two.
    """
    for known in FALLBACKS:
        if text == known:
            return known
    raise ConfigError(f"The fallback of absent donor surveys is {text!r}; wanted one of {', '.join(FALLBACKS)}.")


def quality_path(road: MicrodataRoad, stage: str) -> Path:
    """Where the quality of a stage's imputations is written."""
    return road.folder / f"{stage}_quality.csv"


def stored_stage(road: MicrodataRoad, name: str) -> Frame:
    """The frame of a stage as it lies in the store, whatever it was made from.

    Raises:
        StorageError: it is not there, or cannot be read.
    """
    from tessera.pytree.io import load_tree

    path = road.folder / f"{name}.h5"
    if not path.is_file():
        raise StorageError(
            f"{path} is not there: the stage {name} has not been built at scale {road.scale.name}. Build it: "
            f"tessera microdata build --scale {road.scale.name} --stage {name}"
        )
    frame: Frame = load_tree(path, ("value",))
    return frame


class _Builder:
    """Makes stages, each after what it needs."""

    def __init__(self, road: MicrodataRoad, store: StageStore, on_stage: Callable[[MadeStage], None] | None) -> None:
        self.road = road
        self.store = store
        self.made: dict[str, MadeStage] = {}
        self._on_stage = on_stage
        self._files: dict[str, tuple[Path | None, str]] = {}

    def prepare(self, until: str) -> None:
        """Get or write every source file first: hours of imputing are no use beside a file that is not there."""
        for stage in needed(until):
            for name in SOURCES_OF.get(stage, ()):
                self._file(name)

    def make(self, until: str) -> None:
        """The stage of a name and all that it needs."""
        makers = {
            "cps": self._cps,
            "puf": self._puf,
            "extended_cps": self._extended,
            "stratified_cps": self._stratified,
            "source_imputed_cps": self._imputed,
        }
        for name in needed(until):
            with Meter() as meter:
                stage = makers[name]()
            self.made[name] = MadeStage(name, stage, meter.cost)
            if self._on_stage is not None:
                self._on_stage(self.made[name])

    def _cps(self) -> Stage:
        from tessera.microdata.cps import build_cps

        return self.store.stage(
            "cps",
            self._inputs("cps"),
            lambda: build_cps(self._read("cps_asec"), seed=self.road.seed),
        )

    def _puf(self) -> Stage:
        from tessera.microdata.puf import build_puf

        return self.store.stage(
            "puf",
            self._inputs("puf", year=MODEL_YEAR),
            lambda: build_puf(self._read("irs_puf"), year=MODEL_YEAR, seed=self.road.seed, n_jobs=self.road.workers),
        )

    def _extended(self) -> Stage:
        from tessera.microdata.extend import extend

        def make() -> Any:
            cps, puf = (_value(self.made[name].stage) for name in ("cps", "puf"))
            made = extend(cps, puf, seed=self.road.seed, n_jobs=self.road.workers)
            self._write_quality("extended_cps", made.quality)
            return made.frame

        hashes = {name: self.made[name].stage.sha256 for name in ("cps", "puf")}
        return self.store.stage("extended_cps", self._inputs("extended_cps", **hashes), make)

    def _stratified(self) -> Stage:
        from tessera.microdata.stratify import stratify

        before, households = self.made["extended_cps"].stage, self.road.scale.households
        return self.store.stage(
            "stratified_cps",
            self._inputs("stratified_cps", extended_cps=before.sha256, households=households),
            lambda: stratify(_value(before), households, seed=self.road.seed),
        )

    def _imputed(self) -> Stage:
        from tessera.microdata.donors import impute_donors

        road, before = self.road, self.made["stratified_cps"].stage

        def make() -> Any:
            made = impute_donors(
                _value(before), *(self._read(name) for name in DONORS), seed=road.seed, n_jobs=road.workers,
                fallback=road.donor_fallback,
            )  # fmt: skip
            self._write_quality("source_imputed_cps", made.quality)
            return made.frame.validate("source_imputed_cps")

        inputs = self._inputs("source_imputed_cps", stratified_cps=before.sha256, fallback=road.donor_fallback)
        return self.store.stage("source_imputed_cps", inputs, make)

    def _inputs(self, stage: str, **more: Input) -> dict[str, Input]:
        files = {name: self._file(name)[1] for name in SOURCES_OF.get(stage, ())}
        return {"tessera": __version__, "seed": self.road.seed, **files, **more}

    def _file(self, name: str) -> tuple[Path | None, str]:
        """A source's file or folder, prepared, and the hash of its files."""
        from tessera.sources.registry import sources
        from tessera.store import sha256_of

        if name not in self._files:
            path = prepare_or_absent(self.road, name)
            files = sources()[name].files
            sha256 = " ".join(sha256_of(self.road.paths.raw / file.path) for file in files) if path else "absent"
            self._files[name] = path, sha256
        return self._files[name]

    def _read(self, name: str) -> Any:
        from tessera.sources.reading import read_source
        from tessera.sources.registry import sources

        path, _ = self._file(name)
        return None if path is None else read_source(name, path, sources()[name].year)

    def _write_quality(self, stage: str, quality: pd.DataFrame) -> None:
        from tessera.microdata.quality import write_quality

        write_quality(quality, quality_path(self.road, stage))


def prepare_or_absent(road: MicrodataRoad, name: str) -> Path | None:
    """A source's file or folder in `raw/`; None for a donor that the run does without.

    The tax file has a fallback of its own: a run that does without the official one writes a synthetic one, whose mark
    goes to all that is made from it.
    """
    from tessera.sources.registry import prepare_source, sources

    without = name in road.absent
    if without and name in DONORS:
        return None
    mode: SourceMode = "synthetic" if without else road.sources
    return prepare_source(sources()[name], road.paths, mode, road.scale, road.seed)


def _value(stage: Stage) -> Any:
    """A stage's value, read anew and not kept: at full size, several of them at once would be too many."""
    from tessera.pytree.io import load_tree

    return load_tree(stage.path, ("value",))
