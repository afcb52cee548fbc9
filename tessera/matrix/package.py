"""CalibrationPackage: what a fit starts from, in one file: matrix, initial weights, and where they came from.

Holds no fit and reads no source. A package is a tree in the `pytree-h5` format (docs/ep-01-pytree-hdf5.md), so it is
read without unpickling anything; `tessera tree FILE` lists it. Layout, schema version 1:

    format, schema_version      "tessera-calibration-package", 1
    matrix                      `CalibrationMatrix.to_tree()`
    initial_weights             float64, shape (n_records,), in households
    provenance                  text and numbers by name: scale, seed, hashes, versions

The content hash is that of the tree (`tessera.pytree.storage.fingerprint`): equal for equal contents, whatever file
holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.errors import MatrixError, StorageError
from tessera.matrix.calibration_matrix import CalibrationMatrix

FORMAT = "tessera-calibration-package"
SCHEMA_VERSION = 1
EXCLUSIONS = "target_exclusions"
"""Provenance: the exclude rules of the target configuration that the package was built with, one a line."""

Fact = str | int | float | bool
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CalibrationPackage:
    """A calibration problem.

    Attributes:
        matrix: of n_targets targets and n_records clones.
        initial_weights: float64, shape (n_records,), in households, at least 0: the design weights.
        provenance: what it was made from, text and numbers by name.

    Raises:
        MatrixError: on making one whose weights do not fit the matrix, or with a target that is not finite.
    """

    matrix: CalibrationMatrix
    initial_weights: FloatArray
    provenance: Mapping[str, Fact] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_weights(self.initial_weights, self.matrix.n_records)
        _check_targets(self.matrix)
        for name, fact in self.provenance.items():
            if not isinstance(fact, Fact):
                raise MatrixError(
                    f"The package's provenance has {name} = {fact!r} ({type(fact).__name__}); wanted text or a number."
                )

    @cached_property
    def sha256(self) -> str:
        """Hash of the contents, in hexadecimal; equal for equal contents."""
        from tessera.pytree.storage.fingerprint import tree_sha256

        return tree_sha256(self.to_tree())

    def to_tree(self) -> dict[str, Any]:
        """A plain tree for storage; `from_tree` reads it back."""
        return {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "matrix": self.matrix.to_tree(),
            "initial_weights": self.initial_weights,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_tree(cls, tree: Any) -> CalibrationPackage:
        """The package of a stored tree; raises `MatrixError` for anything else, or for another schema version."""
        if not isinstance(tree, Mapping) or tree.get("format") != FORMAT:
            raise MatrixError(f"This tree is no calibration package: {_what(tree)}.")
        version = tree.get("schema_version")
        if version != SCHEMA_VERSION:
            raise MatrixError(
                f"The calibration package has schema version {version}; this code reads {SCHEMA_VERSION}. Materialise "
                "calibration_matrix again, or read it with the release that wrote it."
            )
        missing = [part for part in ("matrix", "initial_weights", "provenance") if part not in tree]
        if missing:
            raise MatrixError(
                f"The calibration package lacks {', '.join(missing)}; materialise calibration_matrix again."
            )
        return cls(
            matrix=CalibrationMatrix.from_tree(tree["matrix"]),
            initial_weights=np.asarray(tree["initial_weights"], dtype=np.float64),
            provenance=dict(tree["provenance"]),
        )


def write_package(path: Path, package: CalibrationPackage) -> str:
    """Write a package atomically; returns its content hash."""
    from tessera.pytree.io import dump_tree

    return dump_tree(package.to_tree(), path).sha256


def read_package(path: Path) -> CalibrationPackage:
    """The package in a file: of `write_package`, or the stored asset `calibration_matrix`.

    Raises:
        StorageError: a missing, damaged or foreign file.
        MatrixError: a file that holds something else, or a package of another schema version; names the file.
    """
    from tessera.pytree.io import load_tree

    if not path.is_file():
        raise StorageError(
            f"{path}: no such calibration package. Make one with `make run` (it is the asset calibration_matrix, "
            "calibration_matrix.h5 among the assets that `tessera paths` shows), or name another file."
        )
    try:
        return CalibrationPackage.from_tree(load_tree(path))
    except MatrixError as error:
        raise MatrixError(f"{path}: {error}") from error


def _what(tree: Any) -> str:
    """What a tree that is no package seems to be, and what to do."""
    if isinstance(tree, Mapping) and "value_table" in tree:
        return (
            "it is a calibration matrix without initial weights, as earlier releases stored it; materialise "
            "calibration_matrix again"
        )
    if isinstance(tree, Mapping):
        keys = ", ".join(map(str, list(tree)[:8]))
        return f"it holds {keys or 'nothing'}; name the file of the asset calibration_matrix"
    return f"it is a {type(tree).__name__}; name the file of the asset calibration_matrix"


def _check_weights(weights: FloatArray, n_records: int) -> None:
    if weights.shape != (n_records,):
        raise MatrixError(f"The package has initial weights of shape {weights.shape}; wanted ({n_records},).")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise MatrixError(
            f"The package's initial weight {int(bad[0])} is {weights[bad[0]]} ({bad.size} such weights); wanted finite "
            "ones of at least 0. Materialise clones and calibration_matrix again."
        )


def _check_targets(matrix: CalibrationMatrix) -> None:
    values = matrix.target_values
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        row = int(bad[0])
        raise MatrixError(
            f"The package's target {matrix.targets['name'].iloc[row]!r} (row {row}) has the value {values[row]}; "
            f"{bad.size} targets are not finite. Correct policy_targets, then materialise calibration_matrix again."
        )
