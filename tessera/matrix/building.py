"""From targets, clones and state values to the calibration package: matrix, initial weights, provenance.

The one way to a package, for the workflow engine and for the command line. Reads no source and stores nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from tessera.config import Scale
from tessera.geography.clones import Clones
from tessera.matrix.initial_weights import initial_weights
from tessera.matrix.joining import join_state_values
from tessera.matrix.package import CalibrationPackage
from tessera.matrix.provenance import package_provenance
from tessera.rules.state_values import StateValues


def build_package(
    targets: pd.DataFrame,
    clones: Clones,
    state_values: Mapping[str, StateValues],
    *,
    scale: Scale,
    sources: str,
    seed: int,
    config: Path | None = None,
    weights: str = "design",
    on_state: Callable[[str, int, int], None] | None = None,
) -> CalibrationPackage:
    """The calibration package of some targets.

    Args:
        targets: one row a target.
        clones: placement of all clones.
        state_values: postal code -> engine values; a lazy mapping is read one state at a time.
        scale: of the run.
        sources: synthetic or official.
        seed: root seed of the run.
        config: target configuration that chose the targets; the packaged training set by default.
        weights: kind of the initial weights, of `tessera.matrix.initial_weights.KINDS`.
        on_state: called after a state with its postal code, how many are done, and of how many.

    Raises:
        MatrixError: parts that do not fit together, as `join_state_values` says.
        ConfigError: an unknown kind of initial weights.
    """
    joined = join_state_values(targets, clones, state_values, on_state=on_state)
    provenance = package_provenance(scale, sources, seed, targets, clones, config, joined=joined, weights=weights)
    return CalibrationPackage(joined.matrix, initial_weights(weights, joined.matrix, clones), provenance)
