"""Where a calibration package came from: facts of the run that made it, by name. Holds no clock, so that it repeats."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pandas as pd

from tessera import __version__
from tessera.config import MODEL_YEAR, Scale
from tessera.geography.clones import Clones
from tessera.matrix.joining import Joined
from tessera.matrix.package import EXCLUSIONS, Fact
from tessera.pytree.storage.fingerprint import tree_sha256
from tessera.release.identity import git_state
from tessera.targets.selection import read_selection


def package_provenance(
    scale: Scale,
    sources: str,
    seed: int,
    targets: pd.DataFrame,
    clones: Clones,
    config: Path | None = None,
    *,
    joined: Joined,
    weights: str = "design",
) -> dict[str, Fact]:
    """The provenance of a package.

    Args:
        scale: of the run.
        sources: synthetic or official.
        seed: root seed of the run.
        targets: the training targets, one row each.
        clones: whose design weights are the initial weights.
        config: target configuration that chose the targets; the packaged training set by default.
        joined: the matrix, with the origin of the state values.
        weights: kind of the initial weights.
    """
    return {
        "scale": scale.name,
        "sources": sources,
        "synthetic": clones.synthetic,
        "seed": seed,
        "year": MODEL_YEAR,
        "households": clones.n_households,
        "clones_per_household": clones.n_clones,
        "targets_sha256": tree_sha256(targets.reset_index(drop=True)),
        "base_sha256": clones.base_sha256,
        "clones_sha256": tree_sha256({"block": clones.block_geoid, "design_weight": clones.design_weight}),
        "state_values_sha256": joined.inputs_sha256,
        "situations": joined.situations,
        "initial_weights": weights,
        EXCLUSIONS: "\n".join(rule.text for rule in read_selection(config).exclude),
        "tessera": __version__,
        "commit": git_state(Path(__file__).parent).sha,
        "rules": joined.rules_version,
        "policyengine_us": metadata.version("policyengine-us"),
    }
