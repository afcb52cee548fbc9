"""Calibration packages: what is written is read, and everything else is refused by name."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tessera.errors import MatrixError, StorageError
from tessera.matrix.package import CalibrationPackage, read_package, write_package
from tessera.pytree.io import dump_tree
from tests.packages import example_matrix, example_package


def test_what_is_written_is_read(tmp_path: Path) -> None:
    package = example_package(300)
    digest = write_package(tmp_path / "package.h5", package)
    again = read_package(tmp_path / "package.h5")
    assert digest == package.sha256 == again.sha256
    assert again.matrix.fingerprint == package.matrix.fingerprint
    assert again.provenance == {"scale": "test", "seed": 0, "synthetic": True}
    np.testing.assert_array_equal(again.initial_weights, package.initial_weights)
    pd.testing.assert_frame_equal(again.matrix.unachievable, package.matrix.unachievable)


def test_the_hash_follows_the_contents() -> None:
    package = example_package(100)
    assert example_package(100).sha256 == package.sha256
    others = (
        replace(package, initial_weights=package.initial_weights * 2),
        replace(package, provenance={**package.provenance, "seed": 1}),
        example_package(100, seed=1),
    )
    assert len({package.sha256, *(other.sha256 for other in others)}) == 4


def tree_with(**changes: Any) -> dict[str, Any]:
    return {**example_package(20).to_tree(), **changes}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (tree_with(schema_version=7), "schema version 7; this code reads 1"),
        (tree_with(format="other"), "no calibration package: it holds format, schema_version"),
        (tree_with(initial_weights=np.ones(19)), r"shape \(19,\); wanted \(20,\)"),
        (tree_with(initial_weights=np.full(20, np.nan)), "initial weight 0 is nan"),
        (tree_with(initial_weights=np.full(20, -1.0)), "initial weight 0 is -1.0"),
        (tree_with(provenance={"when": [1, 2]}), r"provenance has when = \[1, 2\]"),
        ({key: value for key, value in tree_with().items() if key != "initial_weights"}, "lacks initial_weights"),
        (example_matrix(20).to_tree(), "without initial weights, as earlier releases stored it"),
        ({"weights": np.ones(3)}, "it holds weights; name the file of the asset"),
        ([1, 2, 3], "it is a list"),
    ],
)
def test_what_is_no_package_is_refused(tmp_path: Path, tree: Any, message: str) -> None:
    dump_tree(tree, tmp_path / "file.h5")
    with pytest.raises(MatrixError, match=message) as refused:
        read_package(tmp_path / "file.h5")
    assert str(tmp_path / "file.h5") in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_targets_and_values_that_are_not_finite_are_named(tmp_path: Path, value: float) -> None:
    package = example_package(20)
    matrix = package.matrix
    targets = matrix.targets.assign(value=np.where(np.arange(matrix.n_targets) == 3, value, matrix.target_values))
    name = matrix.targets["name"].iloc[3]
    with pytest.raises(MatrixError, match=rf"target '{name}' \(row 3\) has the value {value}"):
        CalibrationPackage(replace(matrix, targets=targets), package.initial_weights)
    tree = package.to_tree()
    tree["matrix"]["value_table"]["data"] = matrix.value_table.data * value
    with pytest.raises(MatrixError, match="values are not finite"), np.errstate(invalid="ignore"):
        CalibrationPackage.from_tree(tree)


def test_missing_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "package.h5"
    with pytest.raises(StorageError, match=r"package\.h5: no such calibration package. Make one with `make run`"):
        read_package(path)
    write_package(path, example_package(200))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StorageError, match=r"package\.h5"):
        read_package(path)
    path.write_bytes(b"\x80\x04 not a package, but a pickle")
    with pytest.raises(StorageError, match=r"package\.h5"):
        read_package(path)


def test_a_full_disk_leaves_the_package_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "package.h5"
    write_package(path, example_package(50))
    before = path.read_bytes()

    def full(_path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tessera.store._sync", full)
    with pytest.raises(StorageError, match=r"package\.h5: cannot be written \(No space left on device\)"):
        write_package(path, example_package(60))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
