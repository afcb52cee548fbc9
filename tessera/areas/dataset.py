"""AreaDataset: the engine inputs of a set of clones, and its file: flat HDF5, `variable/period`.

The format that `policyengine_us.Microsimulation(dataset=path)` loads: one group a variable, one dataset a period; ids
int32 from 0; weights float32 on households only; enumerations and codes as ASCII bytes. The alphabetically first
variable carries the dataset year, as every variable does. Provenance that the engine skips (`source`,
`source_household_id`, `clone`) travels along. Files have no timestamps: same clones, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tessera.errors import AreaError
from tessera.frame import ENTITIES
from tessera.hdf5 import new_hdf5
from tessera.store import atomic_path

FORMAT_VERSION = 1


@dataclass(frozen=True)
class AreaDataset:
    """Engine inputs of a set of clones.

    Attributes:
        arrays: variable -> values at its entity.
        entity_of: variable -> entity.
        counts: entity -> number of units.
        year: the period of every variable.
        synthetic: true where any record or place is synthetic.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]]
    entity_of: Mapping[str, str]
    counts: Mapping[str, int]
    year: int
    synthetic: bool

    def check_lengths(self, where: str) -> AreaDataset:
        """Raise `AreaError` if an array has another length than its entity."""
        for name, values in self.arrays.items():
            wanted = self.counts[self.entity_of[name]]
            if len(values) != wanted:
                raise AreaError(f"{where}: {name} has {len(values)} values for {wanted} {self.entity_of[name]} rows.")
        return self


def write_area(dataset: AreaDataset, path: Path, *, fingerprint: str = "") -> Path:
    """Write the file atomically and return its path.

    Args:
        dataset: what to write.
        path: where.
        fingerprint: of the content, kept as an attribute for whoever wants to know whether it is up to date.

    Raises:
        AreaError: an empty dataset, or an array of another length than its entity.
        StorageError: the file cannot be written; the previous one is intact.
    """
    if dataset.counts["household"] == 0:
        raise AreaError(f"{path.name}: no household has a positive weight, so there is nothing to write.")
    dataset.check_lengths(path.name)
    period = str(dataset.year)
    with atomic_path(path) as temporary, new_hdf5(temporary, libver=("earliest", "v110")) as file:
        file.attrs["tessera_format"] = FORMAT_VERSION
        file.attrs["synthetic"] = dataset.synthetic
        file.attrs["fingerprint"] = fingerprint
        for name in sorted(dataset.arrays):
            file.create_group(name).create_dataset(period, data=dataset.arrays[name], track_times=False)
    return path


def read_area(path: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every variable of an area file, as stored.

    Raises:
        AreaError: the file is missing, truncated or holds a variable without a period.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return {name: _single_period(path, name, group) for name, group in file.items()}
    except OSError as error:
        raise AreaError(f"{path}: cannot be read as HDF5 ({error}). Build the area again.") from error


def read_attributes(path: Path) -> dict[str, object]:
    """Attributes of an area file (format, synthetic, fingerprint); empty where it cannot be read as one."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return dict(file.attrs)
    except OSError:
        return {}


def _single_period(path: Path, name: str, group: Mapping[str, object]) -> npt.NDArray[np.generic]:
    periods = list(group) if hasattr(group, "keys") else []
    if len(periods) != 1:
        raise AreaError(f"{path}: variable {name} has periods {periods}; wanted exactly one.")
    return np.asarray(group[periods[0]])


def entity_ids(counts: Mapping[str, int]) -> dict[str, npt.NDArray[np.int32]]:
    """`{entity}_id` of every entity: 0 to n-1."""
    return {f"{entity}_id": np.arange(counts[entity], dtype=np.int32) for entity in ENTITIES}
