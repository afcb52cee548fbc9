"""Building the calibration package stage by stage: sources, microdata, clones, targets, state values, matrix.

Chains the library calls that the assets of the workflow engine chain, with the same settings, so that both ways give
the same package. Every stage is stored below the home, in `package/{scale}/`, and used again as long as its inputs are
the same (`stages`); so is every state of the state values (`tessera.rules.state_values`). Computes nothing itself.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera import __version__
from tessera.config import ROOT_SEED, Paths, Scale, SourceMode
from tessera.durations import duration
from tessera.road.microdata import STAGES as MICRODATA_STAGES
from tessera.road.microdata import Fallback, MicrodataRoad, build_microdata
from tessera.road.stages import Input, Stage, StageStore

if TYPE_CHECKING:
    from tessera.rules.engine import Rules

_LOGGER = logging.getLogger(__name__)
_SECONDS_BETWEEN_LINES = 5.0
STAGES = (*MICRODATA_STAGES, "block_distribution", "clones", "policy_targets", "calibration_matrix")


@dataclass(frozen=True)
class Road:
    """What a package is built from.

    Attributes:
        paths: the store.
        scale: how large.
        sources: synthetic or official files in `raw/`.
        seed: root seed.
        workers: processes of the rules engine and of the imputation.
        config: target configuration; the packaged training set by default.
        weights: kind of the initial weights, of `tessera.matrix.initial_weights.KINDS`.
        output: the package's file; `package.h5` beside the stages by default.
        absent, fallback: sources that the run does without, and what becomes of what they would give
            (`road.microdata`).
    """

    paths: Paths
    scale: Scale
    sources: SourceMode = "synthetic"
    seed: int = ROOT_SEED
    workers: int = 1
    config: Path | None = None
    weights: str = "design"
    output: Path | None = None
    absent: tuple[str, ...] = ()
    fallback: Fallback = "leave_out"

    @property
    def microdata(self) -> MicrodataRoad:
        """The part of the road that leads to the base frame."""
        return MicrodataRoad(self.paths, self.scale, self.sources, self.seed, self.workers, self.absent, self.fallback)

    @property
    def folder(self) -> Path:
        """Where the stages are stored."""
        return self.microdata.folder

    @property
    def package(self) -> Path:
        """Where the package goes."""
        return self.output or self.folder / "package.h5"


def build_along(road: Road, rules: Rules) -> Stage:
    """Build the package of a road, or what is missing of it.

    Args:
        road: from where.
        rules: the engine; loaded only if some state's values are missing.

    Returns:
        The last stage, whose value says what is in the package's file: `path`, `sha256`.

    Raises:
        TesseraError: whatever a stage refuses; the stages before it are stored.
    """
    store = StageStore(road.folder, len(STAGES))
    frame = _microdata(road, store)
    clones = _clones(road, store, frame)
    targets = _targets(road, store)
    return _package(road, store, rules, frame, clones, targets)


def _inputs(road: Road, **more: Input) -> dict[str, Input]:
    return {"tessera": __version__, "seed": road.seed, **more}


def _microdata(road: Road, store: StageStore) -> Stage:
    """The base frame."""
    return build_microdata(road.microdata, store)["source_imputed_cps"].stage


def _clones(road: Road, store: StageStore, frame: Stage) -> Stage:
    from tessera.geography.placement import place_clones
    from tessera.geography.sources import read_blocks
    from tessera.pytree.storage.fingerprint import tree_sha256
    from tessera.targets.snapshot import district_figures, state_figures

    districts, states = district_figures(), state_figures()
    figures = tree_sha256({"districts": districts, "states": states})
    size = road.scale.blocks_per_district
    blocks = store.stage(
        "block_distribution",
        _inputs(road, sources=road.sources, figures=figures, blocks_per_district=size, files=_block_files(road)),
        lambda: read_blocks(
            road.sources, districts, size, road.seed, raw=road.paths.raw, workers=road.workers
        ).validate("census_blocks"),
    )
    return store.stage(
        "clones",
        _inputs(road, base=frame.sha256, blocks=blocks.sha256, figures=figures, clones=road.scale.clones),
        lambda: place_clones(
            frame.value, blocks.value, districts, states, n_clones=road.scale.clones, seed=road.seed
        ),
    )  # fmt: skip


def _block_files(road: Road) -> str:
    """Sizes and times of the official block files, which are too large to be hashed each time; empty for synthetic."""
    if road.sources == "synthetic":
        return ""
    from tessera.geography.official_files import block_files, obtain_blocks

    obtain_blocks(road.paths.raw, block_files())
    found = [(road.paths.raw / file.path).stat() for file in block_files().all()]
    seen = [f"{status.st_size} {status.st_mtime_ns}" for status in found]
    return hashlib.sha256("\n".join(seen).encode()).hexdigest()


def _targets(road: Road, store: StageStore) -> Stage:
    from tessera.pytree.storage.fingerprint import tree_sha256
    from tessera.targets.database import build_database
    from tessera.targets.selection import read_selection, read_targets
    from tessera.targets.snapshot import load_snapshot

    figures, selection = load_snapshot(), read_selection(road.config)
    rules = {kind: "\n".join(rule.text for rule in getattr(selection, kind)) for kind in ("include", "exclude")}

    def make() -> Any:
        database = road.folder / "policy_targets.duckdb"
        build_database(database, figures)
        return read_targets(database, road.config)

    inputs = {"tessera": __version__, "figures": tree_sha256(figures), **rules}
    return store.stage("policy_targets", inputs, make)


def _package(road: Road, store: StageStore, rules: Rules, frame: Stage, clones: Stage, targets: Stage) -> Stage:
    from tessera.pytree.storage.fingerprint import tree_sha256
    from tessera.rules.state_values import METHOD
    from tessera.rules.takeup import published_rates

    rates = published_rates()
    inputs = _inputs(
        road, base=frame.sha256, clones=clones.sha256, targets=targets.sha256, rates=tree_sha256(rates),
        rules=rules.version, method=METHOD, sources=road.sources, scale=road.scale.name, initial_weights=road.weights,
        output=str(road.package),
    )  # fmt: skip
    return store.stage(
        "calibration_matrix", inputs, lambda: _make(road, rules, frame, clones, targets, rates), _is_altered
    )


def _make(road: Road, rules: Rules, frame: Stage, clones: Stage, targets: Stage, rates: Any) -> dict[str, str]:
    """Compute the state values that are missing, join them all, and write the package."""
    from tessera.areas.assemble import Assembler
    from tessera.geography.areas import states
    from tessera.matrix.building import build_package
    from tessera.matrix.metrics import required_variables
    from tessera.matrix.package import write_package
    from tessera.rules.state_values import compute_state_values
    from tessera.rules.takeup import takeup_probabilities

    takeup = takeup_probabilities(frame.value, rates, seed=road.seed)
    assembler = Assembler(frame.value, clones.value, takeup)
    values = compute_state_values(
        assembler, rules, states(), required_variables(targets.value), workers=road.workers,
        cache=road.folder / "state_values",
    )  # fmt: skip
    _LOGGER.info("package: the values of %d states are there; joining them", len(values))
    package = build_package(
        targets.value, clones.value, values, scale=road.scale, sources=road.sources, seed=road.seed,
        config=road.config, weights=road.weights, on_state=_JoinLog(),
    )  # fmt: skip
    return {"path": str(road.package), "sha256": write_package(road.package, package)}


def _is_altered(value: dict[str, str]) -> str:
    """Why the package's file is not what was written; empty where it is."""
    from tessera.errors import StorageError
    from tessera.pytree.io import describe_tree

    try:
        seen = describe_tree(value["path"]).sha256
    except StorageError as error:
        return f"its file cannot be read ({error})"
    return "" if seen == value["sha256"] else f"{value['path']} holds another package"


class _JoinLog:
    """Logs how far the joining is, every few seconds."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def __call__(self, usps: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        left = duration((now - self._begun) / done * (total - done))
        _LOGGER.info("package: %d of %d states joined (%s), %s left", done, total, usps, left)
