"""What a package was made from, found again in the store: base frame, clones and take-up, checked against the package.

Looks where `tessera package build` keeps its stages, then where the workflow engine keeps its assets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tessera.config import Paths
from tessera.errors import MatrixError, StorageError

if TYPE_CHECKING:
    from tessera.areas.assemble import Assembler
    from tessera.matrix.package import CalibrationPackage
    from tessera.rules.engine import Rules


def assembler_of(package: CalibrationPackage, paths: Paths, rules: Rules) -> Assembler:
    """The assembler of a package's clones.

    Args:
        package: whose `state_values_sha256` tells what it was made from.
        paths: the store.
        rules: the engine that is to compute with it.

    Raises:
        StorageError: the store holds no base frame and clones.
        MatrixError: those that it holds are not the package's, or the engine is another; both hashes are named.
    """
    from tessera.areas.assemble import Assembler
    from tessera.matrix.metrics import required_variables
    from tessera.rules.state_values import inputs_sha256
    from tessera.rules.takeup import takeup_probabilities

    variables = required_variables(pd.concat([package.matrix.targets, package.matrix.unachievable], ignore_index=True))
    seen = []
    for folder, frame, clones, rates in _found(str(package.provenance.get("scale")), paths):
        takeup = takeup_probabilities(frame, rates, seed=int(package.provenance.get("seed", 0)))
        assembler = Assembler(frame, clones, takeup)
        sha256 = inputs_sha256(assembler, rules, variables)
        if sha256 == package.provenance.get("state_values_sha256"):
            return assembler
        seen.append(f"those in {folder} are {sha256[:16]}")
    wanted = str(package.provenance.get("state_values_sha256", "unknown"))[:16]
    if not seen:
        raise StorageError(
            f"{paths.home} holds no base frame and clones of scale {package.provenance.get('scale')}. Name the home "
            "in which the package was built with --home."
        )
    raise MatrixError(
        f"The package was made from the inputs {wanted} (base frame, clones, take-up, variables, engine "
        f"{package.provenance.get('rules')}); {', '.join(seen)}. Name the home in which it was built with --home, or "
        "build it again from what is there."
    )


def _found(scale: str, paths: Paths) -> Iterator[tuple[Path, Any, Any, Any]]:
    """Folder, base frame, clones and take-up rates of every place that holds them."""
    from tessera.pytree.io import load_tree
    from tessera.rules.takeup import published_rates

    stages = paths.home / "package" / scale
    if all((stages / f"{name}.h5").exists() for name in ("source_imputed_cps", "clones")):
        frame, clones = (load_tree(stages / f"{name}.h5", ("value",)) for name in ("source_imputed_cps", "clones"))
        yield stages, frame, clones, published_rates()
    names = ("source_imputed_cps", "clones", "takeup_rates")
    if all((paths.assets / f"{name}.h5").exists() for name in names):
        yield paths.assets, *(load_tree(paths.assets / f"{name}.h5") for name in names)
